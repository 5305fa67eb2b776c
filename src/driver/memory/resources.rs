//! The configured amounts of memory.
#![forbid(unsafe_code)]

use crate::op::fd::descriptor::ZeroCopy;

/// The configured amounts of memory, and the threshold of sends without a copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resources {
    pub(crate) stream_buffers: u32,
    /// Bytes, in whole pages.
    pub(crate) stream_buffer_size: u32,
    pub(crate) datagram_buffers: u32,
    /// The size of the ring's file table.
    pub(crate) direct_descriptors: u32,
    pub(crate) zero_copy: ZeroCopy,
}

impl Default for Resources {
    fn default() -> Self {
        Resources {
            stream_buffers: 1_024,
            stream_buffer_size: 64 << 10,
            datagram_buffers: 1_024,
            direct_descriptors: 1_024,
            zero_copy: ZeroCopy::ON_REQUEST,
        }
    }
}
