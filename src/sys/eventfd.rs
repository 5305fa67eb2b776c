//! The kernel's event counter, eventfd(2): how another thread wakes a loop that waits in the kernel.
//!
//! The loop's own is a blocking descriptor on purpose: io_uring answers a read of a non-blocking one with EAGAIN at
//! once instead of waiting for it. A write blocks only while the counter stands at 2^64 - 2, until the loop
//! reads it; one write is made for each time that the loop goes to sleep, so it never does.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::check;

#[derive(Debug)]
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        Self::with_flags(0)
    }

    /// Makes a counter whose reads don't wait: [`drain`](Self::drain) may be called at any time.
    pub(crate) fn nonblocking() -> io::Result<Self> {
        Self::with_flags(libc::EFD_NONBLOCK)
    }

    fn with_flags(flags: i32) -> io::Result<Self> {
        // SAFETY: eventfd(2) takes no pointer, and answers with a descriptor that no other code owns.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC | flags))?) };
        Ok(EventFd(fd))
    }

    /// Adds one to the counter, which makes the descriptor readable.
    pub(crate) fn signal(&self) {
        let one = 1u64.to_ne_bytes();
        loop {
            // SAFETY: the eight bytes live until the call has returned.
            let answer = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
            if answer >= 0 || super::call::errno() != libc::EINTR {
                return;
            }
        }
    }

    /// Sets the counter back to zero. A blocking one must have been reported readable.
    pub(crate) fn drain(&self) {
        self.take();
    }

    /// Sets the counter back to zero and returns its value. A blocking one must have been reported readable.
    pub(crate) fn take(&self) -> u64 {
        let mut count = [0u8; 8];
        // SAFETY: the eight bytes live until the call has returned. One that fails leaves them as they are.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
        u64::from_ne_bytes(count)
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
