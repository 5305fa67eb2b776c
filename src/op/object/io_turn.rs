//! The turn of an operation at an I/O lock of its endpoint.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::task::{Context, Poll};

use super::endpoint_ref::EndpointRef;
use super::io_lock::Side;
use crate::task::cell::layout::Waiter;

/// The turn of one operation at an [`IoLock`]: not requested, queued, or held. A drop gives the lock to the next operation.
#[derive(Debug)]
pub(crate) struct IoTurn {
    endpoint: EndpointRef,
    side: Side,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Queued(u32),
    Held,
}

impl IoTurn {
    pub(crate) fn new(endpoint: &EndpointRef, side: Side) -> Self {
        IoTurn { endpoint: endpoint.clone(), side, state: State::Idle }
    }

    pub(crate) fn endpoint(&self) -> &EndpointRef {
        &self.endpoint
    }

    pub(in crate::op) fn side(&self) -> Side {
        self.side
    }

    /// Takes the lock, or queues for it.
    #[inline]
    pub(crate) fn poll_acquire(&mut self, cx: &Context<'_>) -> Poll<()> {
        let lock = self.endpoint.lock(self.side);
        match self.state {
            State::Held => Poll::Ready(()),
            State::Idle if !lock.locked.get() && lock.has_no_waiters() => {
                lock.locked.set(true);
                self.state = State::Held;
                Poll::Ready(())
            }
            State::Idle | State::Queued(_) => self.poll_turn(cx),
        }
    }

    /// Queues for the lock, and takes it if this operation is the first in the queue.
    #[cold]
    fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        let lock = self.endpoint.lock(self.side);
        match self.state {
            State::Held => Poll::Ready(()),
            State::Idle => {
                let waiter = Waiter::new(cx); // may run user code: not while the queue is borrowed
                let ticket = lock.ticket();
                lock.queue(|waiting| waiting.push_back((ticket, Some(waiter))));
                self.state = State::Queued(ticket);
                Poll::Pending
            }
            State::Queued(ticket) => {
                let first = lock.queue(|waiting| waiting.front().is_some_and(|(first, _)| *first == ticket));
                if first && !lock.locked.get() {
                    let entry = lock.queue(VecDeque::pop_front);
                    drop(entry); // the destructor of a foreign waker is user code
                    lock.locked.set(true);
                    self.state = State::Held;
                    return Poll::Ready(());
                }
                let waiter = Waiter::new(cx);
                let replaced = lock.queue(|waiting| {
                    let entry = waiting.iter_mut().find(|(other, _)| *other == ticket);
                    entry.and_then(|(_, old)| old.replace(waiter))
                });
                drop(replaced);
                Poll::Pending
            }
        }
    }

    /// Releases the lock, or leaves its queue. Returns the waiter of the next operation. The turn can be requested again.
    #[must_use = "the next operation waits to be woken"]
    #[inline]
    pub(crate) fn release(&mut self) -> Option<Waiter> {
        let lock = self.endpoint.lock(self.side);
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => return None,
            State::Queued(ticket) => drop(lock.remove(ticket)),
            State::Held => lock.locked.set(false),
        }
        if lock.locked.get() || lock.has_no_waiters() { None } else { lock.take_first_waiter() }
    }

    /// Ends the wait of an operation that will not start: wakes its waiter and leaves the queue. A held lock stays held until
    /// the operation has been dropped, because the operation may hold received data.
    pub(crate) fn withdraw(&mut self) {
        match self.state {
            State::Idle => {}
            State::Queued(ticket) => {
                let own = self.endpoint.lock(self.side).queue(|waiting| {
                    let place = waiting.iter_mut().find(|(other, _)| *other == ticket);
                    place.and_then(|(_, waiter)| waiter.take())
                });
                let next = self.release();
                own.into_iter().chain(next).for_each(Waiter::wake_contained);
            }
            State::Held => {
                self.endpoint.take_waiter(self.side).into_iter().for_each(Waiter::wake_contained);
            }
        }
    }

    /// Releases the lock, or leaves its queue, and wakes the next operation. Panics of the waker are contained: the caller
    /// may be a half-dropped operation.
    pub(crate) fn release_and_wake(&mut self) {
        if let Some(next) = self.release() {
            next.wake_contained();
        }
    }
}

impl Drop for IoTurn {
    fn drop(&mut self) {
        self.release_and_wake();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::num::NonZeroU64;
    use std::os::fd::{OwnedFd, RawFd};
    use std::rc::{Rc, Weak};
    use std::task::Waker;

    use super::*;
    use crate::op::fd::descriptor::{Descriptor, ZeroCopy};
    use crate::op::fd::host::{FixedFileSlot, Host};
    use crate::op::object::source::{Buffers, MultishotKind};

    /// The registry of a runtime that has gone.
    enum Gone {}

    impl Host for Gone {
        fn deregister(&self, _: u64, _: RawFd) {}
        fn descriptor_closed(&self) {}

        fn is_here(&self) -> bool {
            true
        }
        fn reserve_file_slot(&self) -> io::Result<Option<FixedFileSlot>> {
            match *self {}
        }
        fn free_file_slot(&self, _: u32, _: bool) {}
        fn stop_multishot(&self, _: NonZeroU64) {}
        fn buffers(&self, _: MultishotKind) -> Rc<dyn Buffers> {
            match *self {}
        }
    }

    fn endpoint() -> EndpointRef {
        let (one, _) = std::os::unix::net::UnixStream::pair().unwrap();
        let host: Weak<dyn Host> = Weak::<Gone>::new();
        EndpointRef::new(Descriptor::new(OwnedFd::from(one).into(), host, ZeroCopy::NEVER))
    }

    #[test]
    fn t100_tickets_that_come_round_are_not_given_to_two() {
        let endpoint = endpoint();
        let cx = Context::from_waker(Waker::noop());
        let mut turns: Vec<_> = (0..5).map(|_| IoTurn::new(&endpoint, Side::Receive)).collect();
        assert!(turns[0].poll_acquire(&cx).is_ready());
        assert!(turns[1].poll_acquire(&cx).is_pending());
        // Four billion others have come and gone while that one waits.
        endpoint.receiving.next_ticket.set(u32::MAX.into());
        for turn in &mut turns[2..] {
            assert!(turn.poll_acquire(&cx).is_pending());
        }
        drop(turns.pop()); // leaves its own place in the queue, and no other
        turns[0].release_and_wake();
        for place in 1..4 {
            for later in &mut turns[place + 1..4] {
                assert!(later.poll_acquire(&cx).is_pending(), "a later one overtook {place}");
            }
            assert!(turns[place].poll_acquire(&cx).is_ready(), "{place} has lost its place");
            turns[place].release_and_wake();
        }
    }
}
