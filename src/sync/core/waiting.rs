//! The wait of a future at a primitive: it checks under the lock, and if it must wait, makes a waiter and checks again.
//! Also wakes many waiters at once.
//!
//! There are two checks because making a waiter runs user code, which must not run under the lock, and because most
//! first checks succeed. This file does not know the condition that a future waits for.
#![forbid(unsafe_code)]

use std::mem;
use std::task::{Context, Poll};

use super::flavor::Flavor;
use super::waiters::{Ticket, Waiters};
use crate::sys::guarded::contain;

/// The relation of a future to the queue in which it may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueStatus {
    /// It is not in the queue.
    New,
    /// It is still in the queue: it was not served.
    Waiting,
    /// It was in the queue and was taken out. Reported once.
    Served,
}

/// Waits at a primitive that has room for one waiter, in `slot`.
pub(crate) fn poll_slot<F: Flavor, S, R>(
    cell: &F::Cell<S>,
    cx: &Context<'_>,
    slot: impl Fn(&mut S) -> &mut Option<F::Waiter>,
    mut look: impl FnMut(&mut S) -> Poll<R>,
) -> Poll<R> {
    let first = F::with(cell, |state| match look(state) {
        Poll::Pending => {
            let known = slot(state).as_ref().is_some_and(|waiter| F::will_wake(waiter, cx));
            known.then_some(Poll::Pending)
        }
        ready => Some(ready),
    });
    if let Some(poll) = first {
        return poll;
    }
    let mut waiter = Some(F::waiter(cx));
    let poll = F::with(cell, |state| {
        let poll = look(state);
        if poll.is_pending() {
            mem::swap(slot(state), &mut waiter);
        }
        poll
    });
    drop_waiter::<F>(waiter); // the replaced one, or the new one if it was not needed
    poll
}

/// Waits in `queue`, at the place that `ticket` names. If a waiter is served by being given something, `look` must be
/// ready when it gets [`QueueStatus::Served`].
pub(crate) fn poll_queue<F: Flavor, S, R>(
    cell: &F::Cell<S>,
    cx: &Context<'_>,
    ticket: &mut Option<Ticket>,
    queue: impl Fn(&mut S) -> &mut Waiters<F::Waiter>,
    look: impl FnMut(&mut S, QueueStatus) -> Poll<R>,
) -> Poll<R> {
    poll_queue_with::<F, _, _>(cell, cx, ticket, None, queue, look)
}

/// [`poll_queue`] after a check without the lock: the caller passes its waiter, and there is only one more check.
pub(crate) fn poll_queue_with<F: Flavor, S, R>(
    cell: &F::Cell<S>,
    cx: &Context<'_>,
    ticket: &mut Option<Ticket>,
    mut waiter: Option<F::Waiter>,
    queue: impl Fn(&mut S) -> &mut Waiters<F::Waiter>,
    mut look: impl FnMut(&mut S, QueueStatus) -> Poll<R>,
) -> Poll<R> {
    loop {
        // A waiter that was replaced or removed is dropped outside the lock.
        let (poll, left) = F::with(cell, |state| {
            let status = match *ticket {
                None => QueueStatus::New,
                Some(place) if queue(state).get_mut(place).is_some() => QueueStatus::Waiting,
                Some(_) => QueueStatus::Served,
            };
            if status == QueueStatus::Served {
                *ticket = None;
            }
            let poll = look(state, status);
            let queue = queue(state);
            match (poll.is_ready(), *ticket) {
                (true, None) => (Some(poll), None),
                (true, Some(place)) => {
                    *ticket = None;
                    (Some(poll), queue.remove(place))
                }
                (false, None) => match waiter.take() {
                    None => (None, None),
                    Some(waiter) => {
                        *ticket = Some(queue.push_back(waiter));
                        (Some(poll), None)
                    }
                },
                (false, Some(place)) => {
                    let known = queue.get_mut(place).expect("it still waits");
                    if F::will_wake(known, cx) {
                        return (Some(poll), None);
                    }
                    match waiter.take() {
                        None => (None, None),
                        Some(waiter) => (Some(poll), Some(mem::replace(known, waiter))),
                    }
                }
            }
        });
        drop_waiter::<F>(left);
        match poll {
            Some(poll) => {
                drop_waiter::<F>(waiter);
                return poll;
            }
            None => waiter = Some(F::waiter(cx)),
        }
    }
}

/// Takes a dropped future out of the queue. Returns true if it had been served.
pub(crate) fn leave<F: Flavor, S>(
    cell: &F::Cell<S>,
    ticket: &mut Option<Ticket>,
    queue: impl Fn(&mut S) -> &mut Waiters<F::Waiter>,
) -> bool {
    let Some(place) = ticket.take() else { return false };
    let waiter = F::with(cell, |state| queue(state).remove(place));
    let served = waiter.is_none();
    drop_waiter::<F>(waiter);
    served
}

/// Maximum number of waiters that are taken out of a queue under one lock.
const BATCH: usize = 16;

/// Wakes all current waiters, without allocating.
///
/// Waiters that arrive in the meantime may be woken too: only for queues whose waiters check again when they are woken.
pub(crate) fn wake_all<F: Flavor, S>(cell: &F::Cell<S>, queue: impl Fn(&mut S) -> &mut Waiters<F::Waiter>) {
    let mut left = F::with(cell, |state| queue(state).len());
    if left == 0 {
        return;
    }
    while left > 0 {
        let mut batch = [const { None }; BATCH];
        F::with(cell, |state| {
            for place in &mut batch[..left.min(BATCH)] {
                *place = queue(state).pop_front();
            }
        });
        left -= left.min(BATCH);
        for waiter in batch.into_iter().flatten() {
            wake::<F>(Some(waiter));
        }
    }
}

/// Wakes one waiter, if there is one. A panic of the waker is contained, because the caller may hold an item.
#[inline]
pub(crate) fn wake<F: Flavor>(waiter: Option<F::Waiter>) {
    if let Some(waiter) = waiter {
        contain(|| F::wake(waiter));
    }
}

/// Drops a waiter that is not needed any more. A panic of its destructor is contained, because the caller may have been
/// given something.
#[inline]
pub(crate) fn drop_waiter<F: Flavor>(waiter: Option<F::Waiter>) {
    if let Some(waiter) = waiter {
        contain(|| drop(waiter));
    }
}
