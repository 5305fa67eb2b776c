//! Memory that the kernel uses: buffers for chunks, and the ring's own tables of descriptors and buffers.

pub(in crate::driver) mod buffer_ring;
pub(in crate::driver) mod buffers;
pub(in crate::driver) mod fixed;
#[cfg(proactor_asan)]
pub(in crate::driver) mod lent;
pub(in crate::driver) mod resources;
pub(crate) mod table;
