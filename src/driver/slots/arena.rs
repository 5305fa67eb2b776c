//! The slots of operations, to which the kernel may have pointers.
//!
//! Slots have 128 bytes. They lie in chunks that never move and are freed only with the driver. A [`Key`] names the
//! operation in a slot by index and generation, so a late completion or cancel matches no other operation. Operations of up
//! to [`INLINE`] bytes lie in the slot itself, larger ones in a box. Boxes of one common size are kept for reuse, so in a
//! steady state no operation allocates.
//!
//! Every field of a slot is a cell, and references to slots are always shared: a unique reference to memory that the kernel
//! writes would be undefined behaviour.
//!
//! Each step of an operation looks its slot up once and then uses the [`SlotRef`](super::slot_ref::SlotRef). So inserting,
//! submitting, completing and taking an operation cost one lookup each.
//!
//! This module does not know the kernel. It runs no user code, except where the documentation of a function says so.

use super::key::Key;
use std::alloc::Layout;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::erased::{COMMON_BOX, INLINE, OpVtable};
use super::lifecycle::Lifecycle;
use crate::op::Kind;
use crate::op::completion::Completion;
use crate::task::cell::layout::{TaskRef, Waiter};

/// The number of boxes that are kept for reuse.
const SPARE_BOXES: usize = 256;
const CHUNK: usize = 64;
/// End of the free list.
pub(super) const NONE: u32 = u32::MAX;

/// The holder of an operation that is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Kernel,
    Pool,
    /// The epoll set beside a ring: the operation waits for an edge of its descriptor. See `selector/edges.rs`.
    Edges,
}

#[repr(C, align(64))]
pub(super) struct Slot {
    pub(super) payload: UnsafeCell<MaybeUninit<[u8; INLINE]>>,
    pub(super) vtable: Cell<Option<&'static OpVtable>>,
    /// The task that started the operation. `None` for the driver's own.
    pub(super) owner: Cell<Option<TaskRef>>,
    /// The waiter for the result, if it is not the owner.
    pub(super) waker: Cell<Option<Waiter>>,
    pub(super) result: Cell<Completion>,
    pub(super) generation: Cell<u32>,
    pub(super) next_free: Cell<u32>,
    pub(super) lifecycle: Cell<Lifecycle>,
    pub(super) kind: Cell<Kind>,
    pub(super) holder: Cell<Holder>,
    /// Whether the owner may not end before this operation has completed or has been reclaimed.
    pub(super) counted: Cell<bool>,
    /// Whether the future was dropped outside the running loop.
    pub(super) at_once: Cell<bool>,
}

/// The slots of one driver.
pub(crate) struct Slots {
    /// Chunks are boxes that only the destructor takes back. Nothing borrows the vector for longer than one
    /// statement of this file, and none of these runs user code.
    chunks: UnsafeCell<Vec<NonNull<Chunk>>>,
    pub(super) free: Cell<u32>,
    pub(super) live: Cell<usize>,
    /// The number of multishot operations.
    pub(super) multishot: Cell<usize>,
    /// The number of operations that were ever inserted.
    pub(super) inserted: Cell<u64>,
    spare: RefCell<Vec<NonNull<u8>>>,
    /// The last generation of a slot, after which it is not used again.
    pub(super) last_generation: u32,
    #[cfg(proactor_asan)]
    pub(super) lent: crate::driver::memory::lent::Lent,
}

/// The last generation of a slot. The top bit of `user_data` stays free for other uses.
const LAST_GENERATION: u32 = (1 << 31) - 1;

type Chunk = [Slot; CHUNK];

impl Slots {
    pub(crate) fn new() -> Self {
        Self::with_generations(LAST_GENERATION)
    }

    /// Creates slots with a limit of generations, for tests.
    pub(in crate::driver) fn with_generations(last_generation: u32) -> Self {
        Slots {
            last_generation,
            #[cfg(proactor_asan)]
            lent: crate::driver::memory::lent::Lent::default(),
            chunks: UnsafeCell::default(),
            free: Cell::new(NONE),
            live: Cell::new(0),
            multishot: Cell::new(0),
            inserted: Cell::new(0),
            spare: RefCell::default(),
        }
    }

    /// Returns the number of operations in slots.
    pub(crate) fn live(&self) -> usize {
        self.live.get()
    }

    /// Returns the number of multishot operations.
    pub(crate) fn multishot(&self) -> usize {
        self.multishot.get()
    }

    /// Returns the number of operations that were ever inserted.
    pub(crate) fn inserted(&self) -> u64 {
        self.inserted.get()
    }

    #[inline]
    pub(super) fn slot(&self, index: u32) -> Option<&Slot> {
        // SAFETY: see `chunks`: nobody changes the vector in this statement, and chunks are neither moved nor
        // freed before the driver is.
        let chunk = unsafe { (&*self.chunks.get()).get(index as usize / CHUNK)?.as_ref() };
        Some(&chunk[index as usize % CHUNK])
    }

    #[cold]
    pub(super) fn grow(&self) -> u32 {
        // SAFETY: see `chunks`; what is allocated in here runs no code of ours.
        let chunks = unsafe { &mut *self.chunks.get() };
        let first = u32::try_from(chunks.len() * CHUNK).expect("fewer than 2^32 operations in flight");
        let last = first + CHUNK as u32 - 1;
        let mut next = first;
        let chunk = Box::new(std::array::from_fn(|_| {
            next += 1;
            Slot {
                payload: UnsafeCell::new(MaybeUninit::uninit()),
                vtable: Cell::new(None),
                owner: Cell::new(None),
                waker: Cell::new(None),
                result: Cell::new(Completion::new(0)),
                generation: Cell::new(1),
                next_free: Cell::new(if next > last { NONE } else { next }),
                lifecycle: Cell::new(Lifecycle::Vacant),
                kind: Cell::new(Kind::Single),
                holder: Cell::new(Holder::Kernel),
                counted: Cell::new(false),
                at_once: Cell::new(false),
            }
        }));
        chunks.push(NonNull::from(Box::leak(chunk)));
        first
    }

    pub(super) fn allocate(&self, layout: Layout) -> NonNull<u8> {
        if layout == COMMON_BOX
            && let Some(memory) = self.spare.borrow_mut().pop()
        {
            return memory;
        }
        // SAFETY: only operations larger than the inline room get here, so the size is not zero.
        let memory = unsafe { std::alloc::alloc(layout) };
        NonNull::new(memory).unwrap_or_else(|| std::alloc::handle_alloc_error(layout))
    }

    pub(super) fn deallocate(&self, memory: NonNull<u8>, layout: Layout) {
        let mut spare = self.spare.borrow_mut();
        if layout == COMMON_BOX && spare.len() < SPARE_BOXES {
            spare.push(memory);
        } else {
            // SAFETY: it was allocated with this layout, and what lay in it is gone.
            unsafe { std::alloc::dealloc(memory.as_ptr(), layout) };
        }
    }

    /// Returns the keys of all operations.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let slots = (0..).map_while(|index| Some((index, self.slot(index)?)));
        slots
            .filter(|(_, slot)| slot.lifecycle.get() != Lifecycle::Vacant)
            .map(|(index, slot)| Key { index, generation: slot.generation.get() })
            .collect()
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // The kernel may still have pointers into live slots: a leak is better than a write after free.
        let lost = self.live.get() > 0;
        for chunk in self.chunks.get_mut().drain(..).filter(|_| !lost) {
            // SAFETY: `grow` leaked this box, and nothing lies in its slots.
            drop(unsafe { Box::from_raw(chunk.as_ptr()) });
        }
        for memory in self.spare.take() {
            // SAFETY: spare boxes have this layout and hold nothing.
            unsafe { std::alloc::dealloc(memory.as_ptr(), COMMON_BOX) };
        }
    }
}

#[inline]
pub(super) fn payload(slot: &Slot) -> NonNull<u8> {
    NonNull::from(&slot.payload).cast()
}

#[inline]
pub(super) fn address_of(slot: &Slot, boxed: Option<Layout>) -> NonNull<u8> {
    match boxed {
        None => payload(slot),
        // SAFETY: a boxed operation's slot holds the pointer to its box.
        Some(_) => unsafe { payload(slot).cast::<NonNull<u8>>().read() },
    }
}
