//! Where operations lie while somebody else has pointers into them.
//!
//! Slots are 128 bytes, in chunks that never move and are freed only when the driver is; a slot is named by
//! a [`Key`], its index and a generation, so that a completion or a cancel that comes late meets nobody.
//! Operations of up to [`INLINE`] bytes lie in the slot itself, larger ones in a box; boxes of one common
//! size are kept for the next, so that in steady state no operation allocates.
//!
//! Everything in a slot is a cell and slots are only ever shared: a unique reference to memory that the
//! kernel writes would be a lie to the compiler.
//!
//! It knows lives and operations, but no kernel; it wakes nobody and runs no code of the user, except
//! through [`Slots::take_apart`], which says so.

use std::alloc::Layout;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::task::{Context, Waker};

use super::slot::{Action, Event, Life};
use crate::op::{Completion, Kind, Op};
use crate::sys::call::Call;
use crate::task::cell::TaskRef;
use crate::task::waker::{Waiter, local_task};

/// Bytes of an operation that fit into its slot.
const INLINE: usize = 64;
/// Bytes of the boxes that are kept for reuse.
const BOXED: usize = 512;
/// Boxes that are kept; beyond, they go back to the allocator.
const SPARE_BOXES: usize = 256;
const CHUNK: usize = 64;
/// End of the free list.
const NONE: u32 = u32::MAX;

/// Names an operation in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// As the kernel's `user_data`. Never more than 63 bits, and never [`super::ring::CANCEL`].
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(crate) fn unpack(user_data: u64) -> Self {
        Key { index: user_data as u32, generation: (user_data >> 32) as u32 }
    }
}

/// Who holds an operation that is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Kernel,
    Pool,
}

#[repr(C, align(64))]
struct Slot {
    payload: UnsafeCell<MaybeUninit<[u8; INLINE]>>,
    vtable: Cell<Option<&'static OpVtable>>,
    /// The task that began it; none for the driver's own.
    owner: Cell<Option<TaskRef>>,
    /// Who waits for it, when that is not the owner itself.
    waker: Cell<Option<Waker>>,
    result: Cell<Completion>,
    generation: Cell<u32>,
    next_free: Cell<u32>,
    life: Cell<Life>,
    holder: Cell<Holder>,
    /// Whether the owner waits for this operation before it ends: until it is done, or has been taken apart.
    counted: Cell<bool>,
}

struct OpVtable {
    name: &'static str,
    kind: Kind,
    call: unsafe fn(NonNull<u8>) -> Call,
    each: unsafe fn(NonNull<u8>, Completion),
    abandoned: unsafe fn(NonNull<u8>, Completion),
    /// None when the operation lies in its slot.
    boxed: Option<Layout>,
}

/// How an operation of type `O` is treated once its type is forgotten.
struct Erased<O>(std::marker::PhantomData<O>);

impl<O: Op> Erased<O> {
    const LAYOUT: Layout = Layout::new::<O>();
    const BOXED: Option<Layout> = if Self::LAYOUT.size() <= INLINE && Self::LAYOUT.align() <= 16 {
        None
    } else if Self::LAYOUT.size() <= BOXED && Self::LAYOUT.align() <= 16 {
        Some(COMMON_BOX)
    } else {
        Some(Self::LAYOUT)
    };
    const VTABLE: &'static OpVtable = &OpVtable {
        name: O::NAME,
        kind: O::KIND,
        // SAFETY: called with the place of a live `O`, to which nobody else refers.
        call: |op| unsafe { op.cast::<O>().as_mut() }.call(),
        // SAFETY: the same.
        each: |op, completion| unsafe { op.cast::<O>().as_mut() }.each(completion),
        // SAFETY: the same, and once: the slot is vacated afterwards.
        abandoned: |op, completion| unsafe { op.cast::<O>().read() }.abandoned(completion),
        boxed: Self::BOXED,
    };
}

const COMMON_BOX: Layout = match Layout::from_size_align(BOXED, 16) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

/// The slots of one driver.
pub(crate) struct Slots {
    chunks: RefCell<Vec<Box<[Slot; CHUNK]>>>,
    free: Cell<u32>,
    live: Cell<usize>,
    /// Operations that were ever placed.
    placed: Cell<u64>,
    spare: RefCell<Vec<NonNull<u8>>>,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Slots {
            chunks: RefCell::default(),
            free: Cell::new(NONE),
            live: Cell::new(0),
            placed: Cell::new(0),
            spare: RefCell::default(),
        }
    }

    /// Operations that occupy a slot.
    pub(crate) fn live(&self) -> usize {
        self.live.get()
    }

    /// Operations that were ever placed.
    pub(crate) fn placed(&self) -> u64 {
        self.placed.get()
    }

    fn slot(&self, index: u32) -> &Slot {
        let chunks = self.chunks.borrow();
        let slot: *const Slot = &chunks[index as usize / CHUNK][index as usize % CHUNK];
        // SAFETY: chunks are boxed, and neither moved nor freed before the driver is.
        unsafe { &*slot }
    }

    /// The slot that a key names, unless the operation is gone.
    fn find(&self, key: Key) -> Option<&Slot> {
        let known = (key.index as usize) < self.chunks.borrow().len() * CHUNK;
        let slot = known.then(|| self.slot(key.index))?;
        (slot.generation.get() == key.generation && slot.life.get() != Life::Vacant).then_some(slot)
    }

    fn grow(&self) -> u32 {
        let mut chunks = self.chunks.borrow_mut();
        let first = u32::try_from(chunks.len() * CHUNK).expect("fewer than 2^32 operations in flight");
        let last = first + CHUNK as u32 - 1;
        let mut next = first;
        chunks.push(Box::new(std::array::from_fn(|_| {
            next += 1;
            Slot {
                payload: UnsafeCell::new(MaybeUninit::uninit()),
                vtable: Cell::new(None),
                owner: Cell::new(None),
                waker: Cell::new(None),
                result: Cell::new(Completion::new(0)),
                generation: Cell::new(1),
                next_free: Cell::new(if next > last { NONE } else { next }),
                life: Cell::new(Life::Vacant),
                holder: Cell::new(Holder::Kernel),
                counted: Cell::new(false),
            }
        })));
        first
    }

    /// Writes an operation into a slot, where it stays until it is claimed or taken apart.
    pub(crate) fn place<O: Op>(&self, op: O, owner: Option<TaskRef>, waker: Option<Waker>) -> Key {
        let index = match self.free.get() {
            NONE => self.grow(),
            index => index,
        };
        let slot = self.slot(index);
        self.free.set(slot.next_free.get());
        self.live.set(self.live.get() + 1);
        self.placed.set(self.placed.get() + 1);
        slot.vtable.set(Some(Erased::<O>::VTABLE));
        let target = match Erased::<O>::BOXED {
            None => payload(slot),
            Some(layout) => {
                let memory = self.allocate(layout);
                // SAFETY: the payload is large enough for a pointer and aligned for one.
                unsafe { payload(slot).cast::<NonNull<u8>>().write(memory) };
                memory
            }
        };
        // SAFETY: the memory was chosen for `O`'s size and alignment, and holds nothing.
        unsafe { target.cast::<O>().write(op) };
        slot.waker.set(waker);
        slot.holder.set(Holder::Kernel);
        slot.counted.set(owner.is_some());
        if let Some(owner) = &owner {
            owner.op_began();
        }
        slot.owner.set(owner);
        let key = Key { index, generation: slot.generation.get() };
        let _ = self.apply(key, Event::Place);
        key
    }

    fn allocate(&self, layout: Layout) -> NonNull<u8> {
        if layout == COMMON_BOX
            && let Some(memory) = self.spare.borrow_mut().pop()
        {
            return memory;
        }
        // SAFETY: only operations larger than the inline room get here, so the size is not zero.
        let memory = unsafe { std::alloc::alloc(layout) };
        NonNull::new(memory).unwrap_or_else(|| std::alloc::handle_alloc_error(layout))
    }

    fn deallocate(&self, memory: NonNull<u8>, layout: Layout) {
        let mut spare = self.spare.borrow_mut();
        if layout == COMMON_BOX && spare.len() < SPARE_BOXES {
            spare.push(memory);
        } else {
            // SAFETY: it was allocated with this layout, and what lay in it is gone.
            unsafe { std::alloc::dealloc(memory.as_ptr(), layout) };
        }
    }

    /// Steps an operation's life. `None` when the key names nobody any more.
    ///
    /// # Panics
    /// On an event that can't happen in the operation's state: a defect of the driver.
    pub(crate) fn apply(&self, key: Key, event: Event) -> Option<Action> {
        let slot = if event == Event::Place { self.slot(key.index) } else { self.find(key)? };
        let vtable = slot.vtable.get()?;
        match slot.life.get().on(event, vtable.kind) {
            Ok((life, action)) => {
                slot.life.set(life);
                if life == Life::Done {
                    // Nobody has pointers into it any more. Who holds its future takes the result when it
                    // likes, and need not be the task that began it.
                    discount(slot);
                }
                Some(action)
            }
            Err(impossible) => panic!("driver: {} got an impossible event: {impossible:?}", vtable.name),
        }
    }

    pub(crate) fn life(&self, key: Key) -> Option<Life> {
        self.find(key).map(|slot| slot.life.get())
    }

    /// A thread of the pool gets the operation. Its task does not wait for that before it ends: nothing can
    /// stop a thread in a system call, and the slot keeps what it needs.
    pub(crate) fn give_to_pool(&self, key: Key) {
        if let Some(slot) = self.find(key) {
            slot.holder.set(Holder::Pool);
            discount(slot);
        }
    }

    pub(crate) fn holder(&self, key: Key) -> Option<Holder> {
        self.find(key).map(|slot| slot.holder.get())
    }

    pub(crate) fn keep(&self, key: Key, completion: Completion) {
        if let Some(slot) = self.find(key) {
            slot.result.set(completion);
        }
    }

    /// The operation's description for the selector or the pool.
    pub(crate) fn call(&self, key: Key) -> Option<Call> {
        let slot = self.find(key)?;
        let vtable = slot.vtable.get()?;
        // SAFETY: the slot holds the operation that the vtable was made for.
        Some(unsafe { (vtable.call)(place_of(slot, vtable)) })
    }

    /// Hands one completion of many to the operation.
    pub(crate) fn each(&self, key: Key, completion: Completion) {
        if let Some(slot) = self.find(key)
            && let Some(vtable) = slot.vtable.get()
        {
            // SAFETY: as in `call`.
            unsafe { (vtable.each)(place_of(slot, vtable), completion) };
        }
    }

    /// Where the operation lies.
    ///
    /// # Safety
    /// `O` is the type that it was placed with.
    pub(crate) unsafe fn get<O: Op>(&self, key: Key) -> Option<NonNull<O>> {
        let slot = self.find(key)?;
        Some(place_of(slot, Erased::<O>::VTABLE).cast())
    }

    /// Changes who is woken, and gives back the waker that it replaces. Cloning and dropping wakers is code
    /// of the user: not while the driver is borrowed.
    #[must_use = "dropping a waker is code of the user: not while the driver is borrowed"]
    pub(crate) fn set_waker(&self, key: Key, cx: &Context<'_>) -> Option<Waker> {
        let slot = self.find(key)?;
        let mut owner = slot.owner.take();
        let waker = slot.waker.take();
        let keep = waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if !keep
            && let Some(task) = local_task(cx.waker())
            && !owner.as_ref().is_some_and(|owner| owner.same(&task))
        {
            // The future has moved to another task, and the operation with it.
            if slot.counted.get() {
                task.op_began();
                owner.iter().for_each(TaskRef::op_ended);
            }
            owner = Some(task);
        }
        let (new, old) = if keep { (waker, None) } else { (foreign_waker(owner.as_ref(), cx), waker) };
        slot.owner.set(owner);
        slot.waker.set(new);
        old
    }

    /// Who is to be woken now. The owner is scheduled at once, a foreign waker is the caller's to wake.
    #[must_use = "waking runs code of the user: not while the driver is borrowed"]
    pub(crate) fn wake(&self, key: Key) -> Option<Waiter> {
        let slot = self.find(key)?;
        if let Some(waker) = slot.waker.take() {
            return Some(Waiter::Waker(waker));
        }
        let owner = slot.owner.take();
        if let Some(task) = &owner {
            task.schedule();
        }
        slot.owner.set(owner);
        None
    }

    /// Moves an operation that is [`Life::Done`] out of its slot and frees the slot. The waker that was kept
    /// comes along: dropping it is code of the user.
    ///
    /// # Safety
    /// `O` is the type that it was placed with.
    pub(crate) unsafe fn claim<O: Op>(&self, key: Key) -> Option<(O, Completion, Option<Waker>)> {
        let slot = self.find(key).filter(|slot| slot.life.get() == Life::Done)?;
        let place = place_of(slot, Erased::<O>::VTABLE);
        // SAFETY: the caller vouches for the type; the slot is vacated below, so this is the only read.
        let op = unsafe { place.cast::<O>().read() };
        let result = slot.result.get();
        let waker = slot.waker.take();
        let _ = self.apply(key, Event::Claim);
        self.vacate(key.index, slot);
        Some((op, result, waker))
    }

    /// Takes an operation that is [`Life::Reclaiming`] apart. Runs code of the user: destructors of buffers.
    pub(crate) fn take_apart(&self, key: Key) {
        let Some(slot) = self.find(key).filter(|slot| slot.life.get() == Life::Reclaiming) else { return };
        let Some(vtable) = slot.vtable.get() else { return };
        struct Vacate<'a>(&'a Slots, Key, &'a Slot);
        impl Drop for Vacate<'_> {
            fn drop(&mut self) {
                let _ = self.0.apply(self.1, Event::Reclaimed);
                self.0.vacate(self.1.index, self.2);
            }
        }
        let _vacate = Vacate(self, key, slot); // also when a destructor panics
        // SAFETY: the operation is moved out, once; the state guards against a second time.
        unsafe { (vtable.abandoned)(place_of(slot, vtable), slot.result.get()) };
    }

    fn vacate(&self, index: u32, slot: &Slot) {
        if let Some(layout) = slot.vtable.take().and_then(|vtable| vtable.boxed) {
            // SAFETY: a boxed operation's slot holds the pointer to its box.
            let memory = unsafe { payload(slot).cast::<NonNull<u8>>().read() };
            self.deallocate(memory, layout);
        }
        // A key is never used again; zero and the top bit stay free for other uses of `user_data`.
        let generation = slot.generation.get() + 1;
        slot.generation.set(if generation >= 1 << 31 { 1 } else { generation });
        slot.next_free.set(self.free.replace(index));
        self.live.set(self.live.get() - 1);
        drop(slot.waker.take());
        if let Some(owner) = slot.owner.take()
            && slot.counted.get()
        {
            owner.op_ended();
        }
    }

    /// The keys of all operations.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let count = self.chunks.borrow().len() * CHUNK;
        (0..count as u32)
            .map(|index| (index, self.slot(index)))
            .filter(|(_, slot)| slot.life.get() != Life::Vacant)
            .map(|(index, slot)| Key { index, generation: slot.generation.get() })
            .collect()
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        if self.live.get() > 0 {
            // Somebody may still have pointers into them: better lost than written to after free.
            std::mem::forget(self.chunks.take());
        }
        for memory in self.spare.take() {
            // SAFETY: spare boxes have this layout and hold nothing.
            unsafe { std::alloc::dealloc(memory.as_ptr(), COMMON_BOX) };
        }
    }
}

/// The owner does not wait for the operation any more.
fn discount(slot: &Slot) {
    if slot.counted.replace(false) {
        let owner = slot.owner.take();
        owner.iter().for_each(TaskRef::op_ended);
        slot.owner.set(owner);
    }
}

fn payload(slot: &Slot) -> NonNull<u8> {
    NonNull::from(&slot.payload).cast()
}

fn place_of(slot: &Slot, vtable: &OpVtable) -> NonNull<u8> {
    match vtable.boxed {
        None => payload(slot),
        // SAFETY: a boxed operation's slot holds the pointer to its box.
        Some(_) => unsafe { payload(slot).cast::<NonNull<u8>>().read() },
    }
}

/// The waker to keep for an operation: none when it is the owner's own. Cloning it is code of the user.
pub(super) fn foreign_waker(owner: Option<&TaskRef>, cx: &Context<'_>) -> Option<Waker> {
    match (owner, local_task(cx.waker())) {
        (Some(owner), Some(task)) if owner.same(&task) => None,
        _ => Some(cx.waker().clone()),
    }
}
