//! How the ring waits for the clients of a listener.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use io_uring::opcode;

use crate::driver::Driver;
use crate::driver::feature::Feature;
use crate::driver::selector::poller;
use crate::op::fd::descriptor::Descriptor;

impl Driver {
    /// An epoll set that is readable while the listener has a connection, for the ring to poll: see [`PollListener`]. None
    /// on the selector.
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

    /// Whether a connection of this listener is accepted by the ring, once there is one: into its own table, or because
    /// its accept does not wait whatever others make of O_NONBLOCK, as in every kernel whose direct descriptors are used.
    /// Elsewhere accept4(2) is called, at once.
    pub(crate) fn accepts_on_ring(&self, listener: &Descriptor, direct: bool) -> bool {
        (direct || listener.is_lent()) && self.features.has(Feature::DirectDescriptors)
    }
}
