//! The I/O locks of an endpoint: one for receives and accepts, one for sends.
//!
//! One operation of each side is in flight at a time. A later one waits until the earlier one has completed, also if the
//! future of the earlier one has been dropped. So bytes come and go in order, and a write never overtakes one whose result
//! is unknown.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::VecDeque;

use crate::task::cell::layout::Waiter;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Receive,
    Send,
    /// As [`Send`](Self::Send), for an operation that requests a send without a copy.
    SendWithoutCopy,
}

/// A lock that one operation holds at a time. Waiting operations get it in the order of their arrival.
#[derive(Default)]
pub(in crate::op) struct IoLock {
    pub(in crate::op) locked: Cell<bool>,
    /// Has more than 32 bits, so that a wrap of the tickets shows while operations wait.
    pub(in crate::op) next_ticket: Cell<u64>,
    /// Boxed, because most endpoints never have a waiting operation.
    waiting: Cell<Option<Box<Queue>>>,
}

type Queue = VecDeque<(u32, Option<Waiter>)>;

impl IoLock {
    #[inline]
    pub(in crate::op) fn has_no_waiters(&self) -> bool {
        let waiting = self.waiting.take();
        let nobody = waiting.as_ref().is_none_or(|waiting| waiting.is_empty());
        self.waiting.set(waiting);
        nobody
    }

    /// Calls `f` with the queue. `f` must not run user code.
    pub(in crate::op) fn queue<T>(&self, f: impl FnOnce(&mut Queue) -> T) -> T {
        let mut waiting = self.waiting.take().unwrap_or_default();
        let made = f(&mut waiting);
        self.waiting.set(Some(waiting));
        made
    }

    /// Returns a ticket that no waiting operation has.
    #[cold]
    pub(in crate::op) fn ticket(&self) -> u32 {
        let mut next = if self.has_no_waiters() { 0 } else { self.next_ticket.get() };
        if u32::try_from(next).is_err() {
            let is_taken = |ticket| self.queue(|waiting| waiting.iter().any(|(other, _)| *other == ticket));
            while is_taken(next as u32) {
                next += 1;
            }
        }
        self.next_ticket.set(next + 1);
        next as u32
    }

    /// Takes the waiter of the first operation in the queue, to be woken. The operation stays in the queue, and stores a new
    /// waiter if it has to wait again.
    #[cold]
    pub(in crate::op) fn take_first_waiter(&self) -> Option<Waiter> {
        self.queue(|waiting| waiting.front_mut().and_then(|(_, waiter)| waiter.take()))
    }

    /// Removes an operation from the queue. Dropping the returned waiter may run user code.
    #[cold]
    pub(in crate::op) fn remove(&self, ticket: u32) -> Option<(u32, Option<Waiter>)> {
        self.queue(|waiting| {
            let place = waiting.iter().position(|(other, _)| *other == ticket);
            place.and_then(|place| waiting.remove(place))
        })
    }
}
