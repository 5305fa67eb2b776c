//! Wakes the waiters of locks: collects their wakers under the lock, and runs them after it was released.
#![forbid(unsafe_code)]

use std::mem;
use std::task::Context;

use super::flavor::Flavor;
use super::waiters::Waiters;
use super::waiting::{drop_waiter, wake};

/// A queue of waiters, and the state that the same lock protects.
pub(crate) struct WaitQueue<F: Flavor, T, S = ()> {
    pub(crate) waiters: Waiters<T>,
    pub(crate) state: S,
    /// The memory of the next [`WakeList`]; kept, so that it is allocated once.
    pub(crate) wake_buffer: Vec<F::Waiter>,
}

/// The waiters to be woken after the lock has been released.
pub(crate) struct WakeList<F: Flavor> {
    first: Option<F::Waiter>,
    /// The waiters from the second on, in the memory of the queue's `wake_buffer`.
    more: Vec<F::Waiter>,
}

impl<F: Flavor, T, S> WaitQueue<F, T, S> {
    pub(crate) fn new(state: S) -> F::Cell<Self> {
        F::cell(WaitQueue { waiters: Waiters::new(), state, wake_buffer: Vec::new() })
    }

    pub(crate) fn waiters(&mut self) -> &mut Waiters<T> {
        &mut self.waiters
    }
}

impl<F: Flavor> WakeList<F> {
    /// Adds a waiter. `wake_buffer` is that of the queue.
    pub(crate) fn push(&mut self, wake_buffer: &mut Vec<F::Waiter>, waiter: F::Waiter) {
        if self.first.is_none() {
            self.first = Some(waiter);
            return;
        }
        if self.more.capacity() == 0 {
            mem::swap(&mut self.more, wake_buffer);
        }
        self.more.push(waiter);
    }
}

/// Calls `f` under the lock, and then wakes the waiters that it has put into the list, in order. A panic of a waker is
/// contained: the caller may be unwinding itself, or hold a guard.
pub(crate) fn lock_and_wake<F: Flavor, T, S, U>(
    queue: &F::Cell<WaitQueue<F, T, S>>,
    f: impl FnOnce(&mut WaitQueue<F, T, S>, &mut WakeList<F>) -> U,
) -> U {
    let mut wakes = WakeList { first: None, more: Vec::new() };
    let output = F::with(queue, |queue| f(queue, &mut wakes));
    wake::<F>(wakes.first);
    if !wakes.more.is_empty() {
        wake_more::<F, _, _>(queue, wakes.more);
    }
    output
}

#[cold]
fn wake_more<F: Flavor, T, S>(queue: &F::Cell<WaitQueue<F, T, S>>, mut more: Vec<F::Waiter>) {
    more.drain(..).for_each(|waiter| wake::<F>(Some(waiter)));
    F::with(queue, |queue| {
        if queue.wake_buffer.capacity() < more.capacity() {
            mem::swap(&mut queue.wake_buffer, &mut more);
        }
    });
}

/// Whether the waiter still waits; `find` returns its waker then. If so, the waker is replaced by that of `cx`.
pub(crate) fn still_waits<F: Flavor, S>(
    cell: &F::Cell<S>,
    cx: &Context<'_>,
    find: impl Fn(&mut S) -> Option<&mut F::Waiter>,
) -> bool {
    let mut fresh: Option<F::Waiter> = None;
    loop {
        let up_to_date = F::with(cell, |state| {
            let waiter = find(state)?;
            if F::will_wake(waiter, cx) {
                return Some(true);
            }
            let fresh = fresh.as_mut();
            Some(fresh.map(|fresh| mem::swap(waiter, fresh)).is_some())
        });
        let waits = match up_to_date {
            Some(false) => {
                fresh = Some(F::waiter(cx));
                continue;
            }
            Some(true) => true,
            None => false,
        };
        drop_waiter::<F>(fresh); // it holds the waker that was replaced, whose drop may panic
        return waits;
    }
}
