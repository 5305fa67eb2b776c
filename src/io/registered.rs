//! Making buffers that the runtime's ring knows.
#![forbid(unsafe_code)]

use crate::buf::RegisteredBuf;
use crate::driver::current;
use crate::task::no_runtime;

impl RegisteredBuf {
    /// A buffer of `len` zeros, registered with the runtime's ring if it can be.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn new(len: usize) -> Self {
        current().unwrap_or_else(|| no_runtime("RegisteredBuf::new")).registered_buffer(len)
    }
}
