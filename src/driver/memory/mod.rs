//! Memory that the kernel uses: buffers for chunks, and the ring's own tables of descriptors and buffers.

pub(in crate::driver) mod buffers;
pub(in crate::driver) mod fixed;
#[cfg(proactor_asan)]
pub(in crate::driver) mod lent;
pub(crate) mod table;
