//! How the ring waits for the clients of a listener.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use io_uring::opcode;

use super::feature::Feature;
use super::{Driver, poller};
use crate::op::fd::Descriptor;

impl Driver {
    /// An epoll set that is readable while the listener has a connection, for the ring to poll: see [`PollListener`]. None
    /// on the selector.
    ///
    /// # Errors
    /// Those of epoll_create1(2) and epoll_ctl(2).
    ///
    /// [`PollListener`]: crate::op::poll::PollListener
    pub(crate) fn set_of_listener(&self, listener: &Descriptor) -> io::Result<Option<OwnedFd>> {
        if !self.native.get().has(opcode::PollAdd::CODE) {
            return Ok(None);
        }
        self.stats.calls.add(2);
        poller::set_of([listener.as_fd()]).map(Some)
    }

    /// Whether the ring accepts into its own table, unless it has refused to make one.
    pub(crate) fn has_direct_descriptors(&self) -> bool {
        self.features.has(Feature::DirectDescriptors)
    }
}
