//! Wakes waiters for every lock: carries their wakers out of the lock first, and keeps the wakers up to date.
#![forbid(unsafe_code)]

use std::mem;
use std::task::Context;

use super::flavor::Flavor;
use super::waiters::Waiters;
use super::waiting::{let_go, wake};

/// A queue, and what changes together with it.
pub(crate) struct Line<F: Flavor, T, S = ()> {
    pub(crate) queue: Waiters<T>,
    pub(crate) state: S,
    /// Carries out the waiters that are woken together; kept, so that it is allocated once.
    pub(crate) room: Vec<F::Waiter>,
}

/// The waiters to be woken after the lock has been released.
pub(crate) struct Woken<F: Flavor> {
    first: Option<F::Waiter>,
    /// Has the line's room once there is a second.
    more: Vec<F::Waiter>,
}

impl<F: Flavor, T, S> Line<F, T, S> {
    pub(crate) fn new(state: S) -> F::Cell<Self> {
        F::cell(Line { queue: Waiters::new(), state, room: Vec::new() })
    }

    pub(crate) fn queue(&mut self) -> &mut Waiters<T> {
        &mut self.queue
    }
}

impl<F: Flavor> Woken<F> {
    /// The room is the line's.
    pub(crate) fn push(&mut self, room: &mut Vec<F::Waiter>, waiter: F::Waiter) {
        if self.first.is_none() {
            self.first = Some(waiter);
            return;
        }
        if self.more.capacity() == 0 {
            mem::swap(&mut self.more, room);
        }
        self.more.push(waiter);
    }
}

/// Calls `f` under the lock, and then wakes the waiters that it has named, in order. A panic of a waker is contained:
/// the caller may be unwinding itself, or hold a guard.
pub(crate) fn waking<F: Flavor, T, S, U>(
    line: &F::Cell<Line<F, T, S>>,
    f: impl FnOnce(&mut Line<F, T, S>, &mut Woken<F>) -> U,
) -> U {
    let mut woken = Woken { first: None, more: Vec::new() };
    let output = F::with(line, |line| f(line, &mut woken));
    wake::<F>(woken.first);
    if !woken.more.is_empty() {
        wake_more::<F, _, _>(line, woken.more);
    }
    output
}

#[cold]
fn wake_more<F: Flavor, T, S>(line: &F::Cell<Line<F, T, S>>, mut more: Vec<F::Waiter>) {
    more.drain(..).for_each(|waiter| wake::<F>(Some(waiter)));
    F::with(line, |line| {
        if line.room.capacity() < more.capacity() {
            mem::swap(&mut line.room, &mut more);
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
        let_go::<F>(fresh); // it holds the waker that was replaced, whose drop may panic
        return waits;
    }
}
