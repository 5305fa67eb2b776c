//! The proactor's descriptor for a foreign loop: readable when a turn would do something.
//!
//! The ring's own descriptor is not sufficient. With DEFER_TASKRUN a poll(2) on it is not woken by work that only the loop
//! itself can turn into completions. An eventfd that is registered with the ring is signalled for such work. It is not
//! signalled reliably while another eventfd is being written, which happens when another thread wakes the loop. So a foreign
//! loop gets an epoll set of both, made at its first request.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::kernel::Kernel;
use super::uring::Uring;
use crate::driver::selector::poller;
use crate::sys::eventfd::EventFd;
use crate::task::threads::inbox::Shared;

#[derive(Debug)]
pub(crate) struct ForeignFd {
    set: OwnedFd,
    /// Signalled by the ring.
    ring: EventFd,
}

impl ForeignFd {
    pub(crate) fn new(uring: &mut Uring, shared: &Shared) -> io::Result<Self> {
        let ring = EventFd::nonblocking()?;
        let set = poller::set_of([ring.as_fd(), shared.eventfd.as_fd()])?;
        uring.register_eventfd(ring.as_raw_fd())?;
        if uring.has_work() {
            ring.signal(); // for what has come before
        }
        Ok(ForeignFd { set, ring })
    }

    /// Notes that the loop has turned: later work makes the descriptor readable again. The wake-ups of other threads are
    /// consumed by the loop's own read.
    pub(crate) fn acknowledge(&self) {
        self.ring.drain();
    }
}

impl AsFd for ForeignFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }
}
