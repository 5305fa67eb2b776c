//! A place at a gate.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::task::{Context, Poll};

use super::endpoint::Share;
use super::gate::Side;
use crate::task::cell::layout::Waiter;

/// A place at a gate: outside, in the queue, or through. Dropping it lets the next one go.
#[derive(Debug)]
pub(crate) struct Pass {
    endpoint: Share,
    side: Side,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Outside,
    Waiting(u32),
    Through,
}

impl Pass {
    pub(crate) fn new(endpoint: &Share, side: Side) -> Self {
        Pass { endpoint: endpoint.clone(), side, state: State::Outside }
    }

    pub(crate) fn endpoint(&self) -> &Share {
        &self.endpoint
    }

    pub(in crate::op) fn side(&self) -> Side {
        self.side
    }

    /// Goes through the gate, or waits for its turn.
    #[inline]
    pub(crate) fn poll_enter(&mut self, cx: &Context<'_>) -> Poll<()> {
        let gate = self.endpoint.gate(self.side);
        match self.state {
            State::Through => Poll::Ready(()),
            State::Outside if !gate.busy.get() && gate.nobody_waits() => {
                gate.busy.set(true);
                self.state = State::Through;
                Poll::Ready(())
            }
            State::Outside | State::Waiting(_) => self.poll_turn(cx),
        }
    }

    /// Waits for its turn.
    #[cold]
    fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        let gate = self.endpoint.gate(self.side);
        match self.state {
            State::Through => Poll::Ready(()),
            State::Outside => {
                let waiter = Waiter::new(cx); // may be code of the user: not while the queue is borrowed
                let ticket = gate.ticket();
                gate.queue(|waiting| waiting.push_back((ticket, Some(waiter))));
                self.state = State::Waiting(ticket);
                Poll::Pending
            }
            State::Waiting(ticket) => {
                let first = gate.queue(|waiting| waiting.front().is_some_and(|(first, _)| *first == ticket));
                if first && !gate.busy.get() {
                    let entry = gate.queue(VecDeque::pop_front);
                    drop(entry); // a foreign waker's destructor is code of the user
                    gate.busy.set(true);
                    self.state = State::Through;
                    return Poll::Ready(());
                }
                let waiter = Waiter::new(cx);
                let replaced = gate.queue(|waiting| {
                    let entry = waiting.iter_mut().find(|(other, _)| *other == ticket);
                    entry.and_then(|(_, old)| old.replace(waiter))
                });
                drop(replaced);
                Poll::Pending
            }
        }
    }

    /// Gives the place up, and says who may go through now. It may be entered anew.
    #[must_use = "the next one waits to be woken"]
    #[inline]
    pub(crate) fn release(&mut self) -> Option<Waiter> {
        let gate = self.endpoint.gate(self.side);
        match std::mem::replace(&mut self.state, State::Outside) {
            State::Outside => return None,
            State::Waiting(ticket) => drop(gate.leave(ticket)),
            State::Through => gate.busy.set(false),
        }
        if gate.busy.get() || gate.nobody_waits() { None } else { gate.first() }
    }

    /// The operation is not to begin any more: wakes who waits for it, and gives a place in the queue up. One that is
    /// through stays so until the operation has been taken apart: it may hold what it had received before.
    pub(crate) fn withdraw(&mut self) {
        match self.state {
            State::Outside => {}
            State::Waiting(ticket) => {
                let own = self.endpoint.gate(self.side).queue(|waiting| {
                    let place = waiting.iter_mut().find(|(other, _)| *other == ticket);
                    place.and_then(|(_, waiter)| waiter.take())
                });
                let next = self.release();
                own.into_iter().chain(next).for_each(Waiter::wake_contained);
            }
            State::Through => {
                self.endpoint.nobody_waits(self.side).into_iter().for_each(Waiter::wake_contained);
            }
        }
    }

    /// Gives the place up, and wakes who may go through now. The operation that had it may be half taken apart.
    pub(crate) fn leave(&mut self) {
        if let Some(next) = self.release() {
            next.wake_contained();
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::num::NonZeroU64;
    use std::os::fd::{OwnedFd, RawFd};
    use std::rc::{Rc, Weak};
    use std::task::Waker;

    use super::super::fd::{Descriptor, Registry, Vacancy, ZeroCopy};
    use super::*;
    use crate::op::object::source::{Buffers, MultishotKind};

    /// The registry of a runtime that has gone.
    enum Gone {}

    impl Registry for Gone {
        fn forget(&self, _: u64, _: RawFd) {}
        fn closed(&self) {}

        fn is_here(&self) -> bool {
            true
        }
        fn vacancy(&self) -> io::Result<Option<Vacancy>> {
            match *self {}
        }
        fn vacate(&self, _: u32, _: bool) {}
        fn stop_multishot(&self, _: NonZeroU64) {}
        fn buffers(&self, _: MultishotKind) -> Rc<dyn Buffers> {
            match *self {}
        }
    }

    fn endpoint() -> Share {
        let (one, _) = std::os::unix::net::UnixStream::pair().unwrap();
        let home: Weak<dyn Registry> = Weak::<Gone>::new();
        Share::new(Descriptor::new(OwnedFd::from(one).into(), home, ZeroCopy::NEVER))
    }

    #[test]
    fn t100_tickets_that_come_round_are_not_given_to_two() {
        let endpoint = endpoint();
        let cx = Context::from_waker(Waker::noop());
        let mut passes: Vec<_> = (0..5).map(|_| Pass::new(&endpoint, Side::Receive)).collect();
        assert!(passes[0].poll_enter(&cx).is_ready());
        assert!(passes[1].poll_enter(&cx).is_pending());
        // Four billion others have come and gone while that one waits.
        endpoint.receiving.next_ticket.set(u32::MAX.into());
        for pass in &mut passes[2..] {
            assert!(pass.poll_enter(&cx).is_pending());
        }
        drop(passes.pop()); // gives its own place up, and nobody else's
        passes[0].leave();
        for place in 1..4 {
            for later in &mut passes[place + 1..4] {
                assert!(later.poll_enter(&cx).is_pending(), "a later one overtook {place}");
            }
            assert!(passes[place].poll_enter(&cx).is_ready(), "{place} has lost its place");
            passes[place].leave();
        }
    }
}
