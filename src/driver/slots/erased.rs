//! Type-erased operations: the vtable by which a slot handles its operation, and the operation's layout.

use std::alloc::Layout;
use std::ptr::NonNull;

use crate::op::completion::Completion;
use crate::op::{MultishotStep, Op};
use crate::sys::call::Call;

/// The size of the largest operation that lies in its slot.
pub(super) const INLINE: usize = 64;
/// The size of the boxes that are kept for reuse.
pub(super) const BOXED: usize = 512;

pub(super) struct OpVtable {
    pub(super) name: &'static str,
    pub(super) call: unsafe fn(NonNull<u8>) -> Call,
    pub(super) multishot_step: unsafe fn(NonNull<u8>, Completion) -> MultishotStep,
    pub(super) release: unsafe fn(NonNull<u8>, Completion),
    pub(super) abandoned: unsafe fn(NonNull<u8>, Completion),
    /// [`Op::MAY_BE_LEFT`].
    pub(super) may_be_left: bool,
    /// The layout of the box. `None` if the operation lies in its slot.
    pub(super) boxed: Option<Layout>,
}

/// The vtable and layout of operations of type `O`.
pub(super) struct Erased<O>(std::marker::PhantomData<O>);

impl<O: Op> Erased<O> {
    const LAYOUT: Layout = Layout::new::<O>();
    pub(super) const BOXED: Option<Layout> = if Self::LAYOUT.size() <= INLINE && Self::LAYOUT.align() <= 16 {
        None
    } else if Self::LAYOUT.size() <= BOXED && Self::LAYOUT.align() <= 16 {
        Some(COMMON_BOX)
    } else {
        Some(Self::LAYOUT)
    };
    pub(super) const VTABLE: &'static OpVtable = &OpVtable {
        name: O::NAME,
        // SAFETY: called with the place of a live `O` that waits in its slot: nobody has pointers into it yet.
        call: |op| unsafe { op.cast::<O>().as_mut() }.call(),
        // SAFETY: called with the place of a live `O`. The kernel may have pointers to parts that it reads, such as a
        // message header, which `multishot_step` does not touch; no other reference is there.
        multishot_step: |op, completion| unsafe { op.cast::<O>().as_mut() }.multishot_step(completion),
        // SAFETY: called with the place of a live `O`. The kernel may read its buffer, which `release` does not touch; no
        // other reference is there.
        release: |op, completion| unsafe { op.cast::<O>().as_mut() }.release(completion),
        // SAFETY: called with the place of a live `O` that nobody else has pointers into any more, and once: the slot is
        // vacated afterwards.
        abandoned: |op, completion| unsafe { op.cast::<O>().read() }.abandoned(completion),
        may_be_left: O::MAY_BE_LEFT,
        boxed: Self::BOXED,
    };
}

pub(super) const COMMON_BOX: Layout = match Layout::from_size_align(BOXED, 16) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::{Chunk, RegisteredBuf};
    use crate::op::catalogue::fs::read_write;
    use crate::op::catalogue::net::{accept, recv, recv_chunk, send};

    #[test]
    fn the_operations_of_every_day_lie_in_their_slots() {
        fn fits<O: Op>() {
            assert!(Erased::<O>::BOXED.is_none(), "{} has {} bytes", O::NAME, size_of::<O>());
        }
        fits::<recv::Recv<Vec<u8>>>();
        fits::<send::Send<Vec<u8>>>();
        fits::<send::Send<Chunk>>();
        fits::<accept::Accept>();
        fits::<recv_chunk::RecvChunk>();
        fits::<read_write::ReadAt<Vec<u8>>>();
        fits::<read_write::WriteAt<Vec<u8>>>();
        fits::<read_write::ReadAt<RegisteredBuf>>();
    }
}
