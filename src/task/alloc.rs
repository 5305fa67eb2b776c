//! Memory of tasks that have ended, kept for those to come.
//!
//! Services spawn and end tasks of a few kinds, over and over. A general allocator takes a hundred
//! instructions and more for each cell there and back, a third of what a short task costs in all; a stack of
//! spare cells for each size takes ten. What is kept is limited, and goes with the runtime.
//!
//! It does not know what a cell is, and is used on the home thread only: a cell that another thread frees goes to
//! the allocator.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;

use crate::sys::sync::{KEEPS_SPARES, dealloc};

/// Sizes are told apart in steps of so many bytes, which is also how memory is aligned.
const STEP: usize = 16;
/// Larger cells are not kept.
const LARGEST: usize = 1_024;
const CLASSES: usize = LARGEST / STEP;
/// Bytes that are kept of one size: a thousand cells of most.
const LIMIT: usize = 256 << 10;

/// The stacks of spare memory, one for each size.
pub(super) struct Spares([Stack; CLASSES]);

struct Stack {
    top: Cell<Option<NonNull<Spare>>>,
    /// How many more are kept.
    room: Cell<u32>,
}

/// The contents of spare memory.
struct Spare {
    below: Option<NonNull<Spare>>,
}

impl Spares {
    pub(super) fn new() -> Self {
        let room = |class| (LIMIT / size(class)) as u32;
        Spares(std::array::from_fn(|class| Stack { top: Cell::new(None), room: Cell::new(room(class)) }))
    }

    #[inline]
    fn stack(&self, layout: Layout) -> Option<&Stack> {
        let kept = KEEPS_SPARES && layout.align() <= STEP && layout.size() >= size_of::<Spare>();
        if kept { self.0.get(class(layout)) } else { None }
    }

    /// Memory of this layout, from the allocator if none is spare.
    #[inline]
    pub(super) fn allocate(&self, layout: Layout) -> NonNull<u8> {
        if let Some(stack) = self.stack(layout)
            && let Some(top) = stack.top.get()
        {
            // SAFETY: `free` wrote it, and nobody has had the memory since.
            stack.top.set(unsafe { top.as_ref() }.below);
            stack.room.set(stack.room.get() + 1);
            return top.cast();
        }
        allocate(layout)
    }

    /// Takes memory back.
    ///
    /// # Safety
    /// It comes from [`allocate`](Self::allocate) with this layout, and nobody uses it any more.
    #[inline]
    pub(super) unsafe fn free(&self, memory: NonNull<u8>, layout: Layout) {
        if let Some(stack) = self.stack(layout)
            && let Some(room) = stack.room.get().checked_sub(1)
        {
            let spare: NonNull<Spare> = memory.cast();
            // SAFETY: the memory is nobody's, and large enough and aligned for this.
            unsafe { spare.write(Spare { below: stack.top.get() }) };
            stack.top.set(Some(spare));
            stack.room.set(room);
            return;
        }
        // SAFETY: by the caller's word.
        unsafe { dealloc(memory.as_ptr(), whole(layout)) };
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        for (class, stack) in self.0.iter().enumerate() {
            let layout = Layout::from_size_align(size(class), STEP).expect("a small layout");
            while let Some(spare) = stack.top.get() {
                // SAFETY: it is in the stack of its size, and leaves it here.
                unsafe {
                    stack.top.set(spare.as_ref().below);
                    dealloc(spare.as_ptr().cast(), layout);
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

/// The layout with which memory is asked for and given back: all of one class have the same.
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
        let spares = Spares::new();
        let [small, same, large] = [layout(104, 8), layout(112, 16), layout(120, 8)];
        let (first, second) = (spares.allocate(small), spares.allocate(small));
        // SAFETY: both were allocated with this layout, and are not used.
        unsafe {
            spares.free(first, small);
            spares.free(second, small);
        }
        let other = spares.allocate(large);
        assert!(other != first && other != second);
        assert_eq!(spares.allocate(same), second, "of one class");
        assert_eq!(spares.allocate(small), first);
        // SAFETY: as above.
        unsafe {
            spares.free(first, small);
            spares.free(second, small);
            spares.free(other, large);
        }
    }

    #[test]
    fn what_is_kept_is_limited_and_odd_sizes_are_not() {
        let spares = Spares::new();
        for layout in [layout(112, 8), layout(LARGEST, 8), layout(LARGEST + 1, 8), layout(256, 64)] {
            let memory: Vec<_> = (0..2 * LIMIT / 112).map(|_| spares.allocate(layout)).collect();
            // SAFETY: each was allocated with this layout, and is not used.
            memory.into_iter().for_each(|memory| unsafe { spares.free(memory, layout) });
        }
        let kept: usize = spares
            .0
            .iter()
            .enumerate()
            .map(|(class, stack)| LIMIT / size(class) * size(class) - stack.room.get() as usize * size(class))
            .sum();
        assert!(kept <= 2 * LIMIT && kept > LIMIT);
    }
}
