//! Makes buffers that are registered with the runtime's ring.
#![forbid(unsafe_code)]

use std::io;

use crate::buf::RegisteredBuf;
use crate::driver::current;
use crate::sys::context::expect_runtime;

impl RegisteredBuf {
    /// Makes a buffer of `len` zeros, registered with the runtime's ring if possible.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn new(len: usize) -> Self {
        let driver = expect_runtime(current(), "RegisteredBuf::new");
        let mut buffer = Self::unregistered(len);
        let _ = driver.register_buffer(&mut buffer); // it is an ordinary one then
        buffer
    }

    /// Makes a buffer of `len` zeros that is registered with the runtime's ring, or fails.
    ///
    /// # Errors
    /// The message names cause and remedy: the runtime has no registered buffers
    /// ([`Config::require`](crate::Config::require) checks this when the runtime is made), all places are taken, or
    /// RLIMIT_MEMLOCK is too low (`ENOMEM`).
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn try_new(len: usize) -> io::Result<Self> {
        let driver = expect_runtime(current(), "RegisteredBuf::try_new");
        let mut buffer = Self::unregistered(len);
        driver.register_buffer(&mut buffer)?;
        Ok(buffer)
    }
}
