//! Waits of the ring for the clients of a listener.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use io_uring::opcode;

use crate::driver::Driver;
use crate::driver::feature::Feature;
use crate::driver::selector::poller;
use crate::op::fd::descriptor::Descriptor;

impl Driver {
    /// Creates an epoll set that is readable while the listener has a connection, for the ring to poll: see [`PollListener`].
    /// Returns `None` on the selector.
    ///
    /// # Errors
    /// Those of epoll_create1(2) and epoll_ctl(2).
    ///
    /// [`PollListener`]: crate::op::catalogue::poll::PollListener
    pub(crate) fn set_of_listener(&self, listener: &Descriptor) -> io::Result<Option<OwnedFd>> {
        if !self.native.get().has(opcode::PollAdd::CODE) {
            return Ok(None);
        }
        self.stats.calls.add(2);
        poller::set_of([listener.as_fd()]).map(Some)
    }

    /// Returns true if the ring accepts a connection of this listener once there is one: for a direct descriptor, or because
    /// other code may have cleared O_NONBLOCK and the ring's accept does not wait even then. Every kernel whose direct
    /// descriptors are used has such accepts. Otherwise accept4(2) is called.
    pub(crate) fn accepts_on_ring(&self, listener: &Descriptor, direct: bool) -> bool {
        (direct || listener.is_lent()) && self.features.has(Feature::DirectDescriptors)
    }
}
