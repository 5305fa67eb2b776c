//! The kernel's answer to an operation, and the directions of readiness.
#![forbid(unsafe_code)]

use std::io;

use crate::task::threads::pool::no_thread;

/// A direction of readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// The kernel's answer: a count or descriptor, or a negated `errno`; and the flags of the queue entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) result: i32,
    pub(crate) flags: u32,
}

impl Completion {
    pub(crate) const fn new(result: i32) -> Self {
        Completion { result, flags: 0 }
    }

    pub(crate) const CANCELED: Completion = Completion::new(-libc::ECANCELED);

    /// The flags that mark [`no_thread`](Self::no_thread). The kernel never sets all flags.
    const NO_THREAD: u32 = u32::MAX;

    /// Creates the result of an operation for whose call no thread of the pool could be started.
    pub(crate) const fn no_thread(errno: i32) -> Self {
        Completion { result: -errno, flags: Self::NO_THREAD }
    }

    pub(crate) fn into_result(self) -> io::Result<u32> {
        match u32::try_from(self.result) {
            Ok(value) => Ok(value),
            Err(_) if self.flags == Self::NO_THREAD => Err(no_thread(-self.result)),
            Err(_) => Err(io::Error::from_raw_os_error(-self.result)),
        }
    }

    pub(crate) fn count(self) -> io::Result<usize> {
        self.into_result().map(|count| count as usize)
    }

    pub(crate) fn unit(self) -> io::Result<()> {
        self.into_result().map(drop)
    }
}
