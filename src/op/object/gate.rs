//! Gates: one receive (or accept) and one send of an endpoint are in flight at a time; a later one waits until the
//! one before has ended, whether or not its future is still there. So bytes come and go in order, and a write never
//! overtakes one whose fate is open.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::VecDeque;

use crate::task::cell::layout::Waiter;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Receive,
    Send,
    /// As `Send`; whoever goes through would rather not have its bytes copied.
    SendWithoutCopy,
}

/// Lets one operation through at a time, first come, first served.
#[derive(Default)]
pub(in crate::op) struct Gate {
    pub(in crate::op) busy: Cell<bool>,
    /// More than 32 bits, so that it shows when tickets come round while somebody waits.
    pub(in crate::op) next_ticket: Cell<u64>,
    /// In a box, as most endpoints never have any.
    waiting: Cell<Option<Box<Queue>>>,
}

type Queue = VecDeque<(u32, Option<Waiter>)>;

impl Gate {
    #[inline]
    pub(in crate::op) fn nobody_waits(&self) -> bool {
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

    /// A number that nobody in the queue has.
    #[cold]
    pub(in crate::op) fn ticket(&self) -> u32 {
        let mut next = if self.nobody_waits() { 0 } else { self.next_ticket.get() };
        if u32::try_from(next).is_err() {
            let is_taken = |ticket| self.queue(|waiting| waiting.iter().any(|(other, _)| *other == ticket));
            while is_taken(next as u32) {
                next += 1;
            }
        }
        self.next_ticket.set(next + 1);
        next as u32
    }

    /// Takes the waker of the first in the queue, which has to be told that the gate is open. It keeps its place in the
    /// queue, and is asked for its waker again if it waits on.
    #[cold]
    pub(in crate::op) fn first(&self) -> Option<Waiter> {
        self.queue(|waiting| waiting.front_mut().and_then(|(_, waiter)| waiter.take()))
    }

    /// Takes a place in the queue out. What comes back is code of the user to drop.
    #[cold]
    pub(in crate::op) fn leave(&self, ticket: u32) -> Option<(u32, Option<Waiter>)> {
        self.queue(|waiting| {
            let place = waiting.iter().position(|(other, _)| *other == ticket);
            place.and_then(|place| waiting.remove(place))
        })
    }
}
