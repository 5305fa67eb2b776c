//! Descriptors for which the ring cannot wait: an epoll set beside it, for their readiness.
//!
//! Facts that shape this file: io_uring waits for a socket as poll(2) does, which reports POLLERR as long as the socket's
//! queue of errors has an entry (an ICMP error with IP_RECVERR, a time stamp). Then each retry of a receive or send comes at
//! once and finds nothing. After 128 retries the kernel gives up: the operation ends with EAGAIN, a multishot operation with
//! ECANCELED, or a kernel thread blocks in it. An edge-triggered epoll set reports only new events. So a descriptor on which
//! the ring has given up stays in this set from then on. Its operations are system calls, made at each reported edge, as on
//! the selector. The ring polls the set with one operation.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;

use super::poller::Poller;
use crate::driver::poll_mode::PollMode;
use crate::driver::{Driver, attach, with};
use crate::op::Op;
use crate::op::catalogue::poll::{PollSet, SetState};
use crate::op::completion::Completion;
use crate::op::fd::descriptor::{Descriptor, Waiting};
use crate::task::threads::inbox::Shared;

/// The epoll set of a proactor, made at the first use.
#[derive(Debug, Default)]
pub(in crate::driver) struct Edges {
    poller: RefCell<Option<Poller>>,
    /// A second descriptor of the set, for the ring's poll, and the state of that poll.
    poll: RefCell<Option<(Rc<OwnedFd>, Rc<SetState>)>>,
}

impl Edges {
    /// Makes the set, unless it exists.
    fn open(&self, shared: &Arc<Shared>) -> io::Result<()> {
        if self.poller.borrow().is_some() {
            return Ok(());
        }
        let poller = Poller::beside_a_ring(shared.clone())?;
        let set = poller.as_fd().try_clone_to_owned()?;
        *self.poll.borrow_mut() = Some((Rc::new(set), Rc::default()));
        *self.poller.borrow_mut() = Some(poller);
        Ok(())
    }

    /// Closes the set, at the end of the runtime or in a fork.
    pub(in crate::driver) fn close(&self) {
        self.poller.take();
        self.poll.take();
    }

    /// Calls `f` with the set. Returns `None` if there is no set.
    pub(in crate::driver) fn with<T>(&self, f: impl FnOnce(&mut Poller) -> T) -> Option<T> {
        self.poller.borrow_mut().as_mut().map(f)
    }

    /// Returns true while the ring polls the set.
    pub(in crate::driver) fn is_polled(&self) -> bool {
        self.poll.borrow().as_ref().is_some_and(|(_, state)| state.armed.get())
    }
}

impl Driver {
    /// Makes the epoll set for descriptors for which the ring cannot wait.
    pub(in crate::driver) fn open_edges(&self) -> io::Result<()> {
        self.edges.open(self.scheduler.shared())
    }

    /// Returns true if the ring cannot wait for this descriptor.
    #[inline]
    pub(in crate::driver) fn needs_edges(&self, descriptor: &Descriptor) -> bool {
        descriptor.waiting() != Waiting::ByRing && self.finds_errors(descriptor)
    }

    /// Checks the queue of errors of a descriptor that other code has had. If it has an entry, the descriptor uses edges from
    /// now on, so the kernel makes no retries and uses no thread for them.
    #[cold]
    fn finds_errors(&self, descriptor: &Descriptor) -> bool {
        if descriptor.needs_edges() {
            return true;
        }
        descriptor.has_no_error(); // corrected below if there is an error
        if descriptor.is_direct() {
            return false;
        }
        self.stats.calls.add(1);
        crate::sys::has_error(descriptor.as_fd()) && descriptor.needs_edges_from_now_on()
    }

    /// Returns true if an operation that the ring has ended with this completion must start again with the epoll set.
    #[inline]
    pub(in crate::driver) fn goes_over<O: Op>(&self, op: &mut O, completion: Completion) -> bool {
        O::WAITS && completion.result == -libc::EAGAIN && Self::give_up_waiting(op)
    }

    #[cold]
    fn give_up_waiting<O: Op>(op: &mut O) -> bool {
        let Some(turn) = op.turn() else { return false };
        turn.endpoint().descriptor.needs_edges_from_now_on()
    }

    /// Makes the ring poll the set, unless it does so already.
    pub(in crate::driver) fn arm_edges(&self) {
        let Some((set, state)) = self.edges.poll.borrow().clone() else { return };
        if !state.armed.replace(true) && self.start_multishot(PollSet::new(set, state.clone())).is_none() {
            state.armed.set(false);
        }
    }

    /// Takes the edges out of the set, if the ring's poll has reported some. Wakers are left in `deferred`.
    pub(in crate::driver) fn take_edges(&self) -> io::Result<()> {
        if !self.edges.poll.borrow().as_ref().is_some_and(|(_, state)| state.fired.take()) {
            return Ok(());
        }
        let visited = {
            let mut deferred = self.deferred.borrow_mut();
            self.edges
                .with(|poller| poller.poll_kernel(PollMode::NoWait, &self.slots, &self.stats, &mut deferred))
        };
        self.arm_edges();
        visited.unwrap_or(Ok(()))
    }

    /// Removes a descriptor from the set before it is closed.
    pub(in crate::driver) fn deregister_edges(&self, token: u64, fd: RawFd) {
        self.edges.with(|poller| poller.deregister(token, fd, &self.stats));
    }
}

/// Wraps a socket that other processes may share, for the runtime of this thread. On the proactor O_NONBLOCK is set while the
/// runtime has the socket: otherwise the kernel would block one of its threads. The selector's calls never wait.
///
/// # Panics
/// Outside a runtime; `what` names the method in the message.
#[track_caller]
pub(crate) fn attach_shared(fd: OwnedFd, what: &str) -> io::Result<Descriptor> {
    let descriptor = attach(fd, what);
    descriptor.note_lent();
    if with(|driver| driver.is_some_and(|driver| driver.with_ring(|_| ()).is_some())) {
        descriptor.make_nonblocking()?;
    }
    Ok(descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_made_once_and_closed() {
        let (edges, shared) = (Edges::default(), Shared::new().unwrap());
        assert!(edges.with(|_| ()).is_none());
        edges.open(&shared).unwrap();
        let set = |edges: &Edges| edges.poll.borrow().as_ref().map(|(set, _)| Rc::as_ptr(set));
        let first = set(&edges);
        edges.open(&shared).unwrap();
        assert_eq!((set(&edges), edges.is_polled()), (first, false));
        edges.close();
        assert!(edges.with(|_| ()).is_none());
    }
}
