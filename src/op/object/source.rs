//! The kinds of multishot operations, and the memory for received data.

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

/// The memory of a runtime for received data.
pub(crate) trait Buffers {
    /// Returns the buffer group from which the kernel takes buffers.
    fn group(&self) -> u16;

    /// Passes the chunks of a completion to `take`. A completion without a buffer has none.
    fn received(&self, completion: Completion, take: &mut dyn FnMut(Chunk));

    /// Returns true if one receive may fill several buffers.
    fn bundles(&self) -> bool;

    /// Notes that the kernel has found no buffer.
    fn ran_out(&self);

    /// Returns a buffer for a single receive.
    fn lease(&self) -> Lease;

    /// Returns the chunk of such a receive, or a copy of it if few buffers are left.
    fn kept(&self, chunk: Chunk) -> Chunk;

    /// Returns the address and size of the memory for the next receive by a system call.
    fn room(&self) -> (NonNull<u8>, usize);

    /// Returns the chunk of the bytes that a system call has received.
    ///
    /// # Safety
    /// They have been written where the last `room` said.
    unsafe fn filled(&self, count: usize) -> Chunk;
}
