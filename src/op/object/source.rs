//! Where received bytes lie, and what a multishot operation receives.

use std::ptr::NonNull;

use crate::buf::Chunk;
use crate::buf::pool::Lease;
use crate::op::completion::{Completion, Direction};

/// The kind of items that a multishot operation delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MultishotKind {
    /// Bytes of a socket.
    Bytes,
    /// Bytes of a pipe.
    Read,
    Datagrams,
    /// Reports that the descriptor has become ready in this direction.
    Poll(Direction),
}

/// Where received bytes lie: the memory for chunks of one loop.
pub(crate) trait Buffers {
    /// The group from which the kernel takes buffers.
    fn group(&self) -> u16;

    /// Gives the bytes that a completion brings in buffers of the group; none when it brings no buffer.
    fn received(&self, completion: Completion, take: &mut dyn FnMut(Chunk));

    /// Whether one receive may fill several buffers.
    fn bundles(&self) -> bool;

    /// The kernel has found no buffer.
    fn ran_out(&self);

    /// A buffer for one receive alone.
    fn lease(&self) -> Lease;

    /// The chunk that such a receive has brought, or a copy of it when few buffers are left for others.
    fn kept(&self, chunk: Chunk) -> Chunk;

    /// Where the next bytes may be received by a system call, and how many.
    fn room(&self) -> (NonNull<u8>, usize);

    /// So many bytes were.
    ///
    /// # Safety
    /// They have been written where the last `room` said.
    unsafe fn filled(&self, count: usize) -> Chunk;
}
