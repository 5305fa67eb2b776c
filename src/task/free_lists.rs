//! Free lists: memory of released task cells, kept for new ones.
//!
//! A service spawns and ends tasks of a few kinds, over and over. A general allocator takes a hundred instructions and
//! more to allocate and free a cell, a third of the cost of a short task; a free list for each size takes ten. The kept
//! memory is limited, and is freed with the runtime.
//!
//! The lists do not know what a cell is, and are used on the owner thread only: a cell that another thread frees goes to
//! the allocator.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;

use crate::sys::sync::{KEEPS_FREE_LISTS, dealloc};

/// The difference in bytes between the sizes of two classes; also the alignment of the memory.
const STEP: usize = 16;
/// The size in bytes of the largest cells that are kept.
const LARGEST: usize = 1_024;
const CLASSES: usize = LARGEST / STEP;
/// The number of bytes that are kept of one size: about a thousand cells of most sizes.
const LIMIT: usize = 256 << 10;

/// One free list for each size.
pub(super) struct FreeLists([FreeList; CLASSES]);

struct FreeList {
    head: Cell<Option<NonNull<FreeBlock>>>,
    /// The number of blocks that can still be added.
    room: Cell<u32>,
}

/// The contents of a free block of memory.
struct FreeBlock {
    next: Option<NonNull<FreeBlock>>,
}

impl FreeLists {
    pub(super) fn new() -> Self {
        let room = |class| (LIMIT / size(class)) as u32;
        FreeLists(std::array::from_fn(|class| FreeList {
            head: Cell::new(None),
            room: Cell::new(room(class)),
        }))
    }

    #[inline]
    fn list(&self, layout: Layout) -> Option<&FreeList> {
        let kept = KEEPS_FREE_LISTS && layout.align() <= STEP && layout.size() >= size_of::<FreeBlock>();
        if kept { self.0.get(class(layout)) } else { None }
    }

    /// Returns memory of this layout: from the free list, or from the allocator if the list is empty.
    #[inline]
    pub(super) fn allocate(&self, layout: Layout) -> NonNull<u8> {
        if let Some(list) = self.list(layout)
            && let Some(head) = list.head.get()
        {
            // SAFETY: `free` wrote it, and the memory has been in the list since.
            list.head.set(unsafe { head.as_ref() }.next);
            list.room.set(list.room.get() + 1);
            return head.cast();
        }
        allocate(layout)
    }

    /// Takes memory back.
    ///
    /// # Safety
    /// The memory comes from [`allocate`](Self::allocate) with this layout, and is not used any more.
    #[inline]
    pub(super) unsafe fn free(&self, memory: NonNull<u8>, layout: Layout) {
        if let Some(list) = self.list(layout)
            && let Some(room) = list.room.get().checked_sub(1)
        {
            let block: NonNull<FreeBlock> = memory.cast();
            // SAFETY: the memory is not used, and is large enough and aligned for this.
            unsafe { block.write(FreeBlock { next: list.head.get() }) };
            list.head.set(Some(block));
            list.room.set(room);
            return;
        }
        // SAFETY: by the caller's word.
        unsafe { dealloc(memory.as_ptr(), whole(layout)) };
    }
}

impl Drop for FreeLists {
    fn drop(&mut self) {
        for (class, list) in self.0.iter().enumerate() {
            let layout = Layout::from_size_align(size(class), STEP).expect("a small layout");
            while let Some(block) = list.head.get() {
                // SAFETY: it is in the list of its size, and leaves it here.
                unsafe {
                    list.head.set(block.as_ref().next);
                    dealloc(block.as_ptr().cast(), layout);
                }
            }
        }
    }
}

#[inline]
fn class(layout: Layout) -> usize {
    (layout.size() - 1) / STEP
}

fn size(class: usize) -> usize {
    STEP * (class + 1)
}

/// Rounds a layout up to that of its class, with which memory is allocated and freed.
#[inline]
pub(super) fn whole(layout: Layout) -> Layout {
    let align = layout.align().max(STEP);
    match Layout::from_size_align(layout.size().next_multiple_of(STEP), align) {
        Ok(whole) => whole,
        Err(_) => layout,
    }
}

#[cold]
fn allocate(layout: Layout) -> NonNull<u8> {
    let layout = whole(layout);
    // SAFETY: a task has a header, so the size is not zero.
    let memory = unsafe { std::alloc::alloc(layout) };
    NonNull::new(memory).unwrap_or_else(|| std::alloc::handle_alloc_error(layout))
}

#[cfg(all(test, not(any(proactor_asan, miri))))] // under the sanitizer and Miri nothing is kept
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn the_last_memory_of_a_size_is_the_next() {
        let free_lists = FreeLists::new();
        let [small, same, large] = [layout(104, 8), layout(112, 16), layout(120, 8)];
        let (first, second) = (free_lists.allocate(small), free_lists.allocate(small));
        // SAFETY: both were allocated with this layout, and are not used.
        unsafe {
            free_lists.free(first, small);
            free_lists.free(second, small);
        }
        let other = free_lists.allocate(large);
        assert!(other != first && other != second);
        assert_eq!(free_lists.allocate(same), second, "of one class");
        assert_eq!(free_lists.allocate(small), first);
        // SAFETY: as above.
        unsafe {
            free_lists.free(first, small);
            free_lists.free(second, small);
            free_lists.free(other, large);
        }
    }

    #[test]
    fn kept_memory_is_limited_and_odd_sizes_are_not_kept() {
        let free_lists = FreeLists::new();
        for layout in [layout(112, 8), layout(LARGEST, 8), layout(LARGEST + 1, 8), layout(256, 64)] {
            let memory: Vec<_> = (0..2 * LIMIT / 112).map(|_| free_lists.allocate(layout)).collect();
            // SAFETY: each was allocated with this layout, and is not used.
            memory.into_iter().for_each(|memory| unsafe { free_lists.free(memory, layout) });
        }
        let kept: usize = free_lists
            .0
            .iter()
            .enumerate()
            .map(|(class, list)| LIMIT / size(class) * size(class) - list.room.get() as usize * size(class))
            .sum();
        assert!(kept <= 2 * LIMIT && kept > LIMIT);
    }
}
