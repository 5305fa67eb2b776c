//! References to operations in their slots, and the steps of an operation's lifecycle.

use std::alloc::Layout;
use std::fmt;
use std::ptr::NonNull;
use std::task::Context;

use super::arena::{Holder, NONE, Slot, Slots, address_of, payload};
use super::erased::{Erased, OpVtable};
use super::key::Key;
use super::lifecycle::{Action, Event, Impossible, Lifecycle};
use crate::op::completion::Completion;
use crate::op::{Entry, Kind, MultishotStep, Op};
use crate::sys::call::Call;
use crate::task::cell::layout::{TaskRef, Waiter};
use crate::task::cell::waker::local_task;

impl Slots {
    /// Returns the operation with this key, unless it has ended.
    #[inline]
    pub(crate) fn find(&self, key: Key) -> Option<SlotRef<'_>> {
        let slot = self.slot(key.index)?;
        let named = slot.generation.get() == key.generation && slot.lifecycle.get() != Lifecycle::Vacant;
        named.then_some(SlotRef { slots: self, slot, key })
    }

    /// Returns the names of the operations in flight that a task has started. Visits every slot; for diagnostics.
    pub(crate) fn names_of(&self, task: &TaskRef) -> Vec<&'static str> {
        let all = (0..).map_while(|index| Some((index, self.slot(index)?)));
        let live = all.filter(|(_, slot)| slot.lifecycle.get() != Lifecycle::Vacant);
        let keyed = live.map(|(index, slot)| {
            let key = Key { index, generation: slot.generation.get() };
            SlotRef { slots: self, slot, key }
        });
        let own = keyed.filter(|operation| operation.owner().is_some_and(|owner| owner.same(task)));
        own.map(|operation| operation.vtable().name).collect()
    }

    /// Inserts an operation into a slot, where it stays until it is taken or reclaimed.
    #[inline(always)]
    pub(crate) fn insert<O: Op>(&self, op: O, owner: Option<TaskRef>, waker: Option<Waiter>) -> SlotRef<'_> {
        let index = match self.free.get() {
            NONE => self.grow(),
            index => index,
        };
        let slot = self.slot(index).expect("free slots lie in chunks");
        self.free.set(slot.next_free.get());
        self.live.set(self.live.get() + 1);
        self.inserted.set(self.inserted.get() + 1);
        slot.vtable.set(Some(Erased::<O>::VTABLE));
        slot.kind.set(O::KIND);
        if O::KIND == Kind::Multishot {
            self.multishot.set(self.multishot.get() + 1);
        }
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
        slot.holder.set(Holder::Kernel);
        slot.counted.set(owner.is_some());
        if let Some(owner) = &owner {
            owner.add_pending();
        }
        // SAFETY: a vacant slot holds neither, so nothing is lost that had to be dropped.
        unsafe {
            slot.waker.as_ptr().write(waker);
            slot.owner.as_ptr().write(owner);
        }
        let inserted = SlotRef { slots: self, slot, key: Key { index, generation: slot.generation.get() } };
        inserted.apply(Event::Insert);
        inserted
    }
}

/// A reference to an operation in its slot. It is valid until the operation is taken or reclaimed.
#[derive(Clone, Copy)]
pub(crate) struct SlotRef<'a> {
    slots: &'a Slots,
    slot: &'a Slot,
    key: Key,
}

impl SlotRef<'_> {
    pub(crate) fn key(self) -> Key {
        self.key
    }

    #[inline]
    pub(crate) fn lifecycle(self) -> Lifecycle {
        self.slot.lifecycle.get()
    }

    /// Applies an event to the operation's lifecycle.
    ///
    /// # Panics
    /// On an event that cannot happen in the operation's state: a defect of the driver.
    #[inline]
    pub(crate) fn apply(self, event: Event) -> Action {
        match self.slot.lifecycle.get().on(event, self.slot.kind.get()) {
            Ok((lifecycle, action)) => {
                self.slot.lifecycle.set(lifecycle);
                #[cfg(proactor_asan)]
                if event == Event::Last {
                    self.slots.lent.take_back(self.key);
                }
                if lifecycle == Lifecycle::Done {
                    // The kernel has no pointers into it any more. The holder of its future takes the result at any
                    // time, and need not be the task that started it.
                    self.discount();
                }
                action
            }
            Err(impossible) => self.panic(impossible),
        }
    }

    #[cold]
    fn panic(self, impossible: Impossible) -> ! {
        let name = self.slot.vtable.get().map_or("an operation", |vtable| vtable.name);
        panic!("driver: {name} got an impossible event: {impossible:?}")
    }

    /// Returns the task that waits for the operation.
    #[inline]
    fn owner(&self) -> Option<&TaskRef> {
        // SAFETY: only `set_waker`, `vacate`, `disown` and `reassign` replace the owner, and none is called while one borrows it.
        unsafe { (*self.slot.owner.as_ptr()).as_ref() }
    }

    /// Lets the owner end before the operation.
    #[inline]
    fn discount(self) {
        if self.slot.counted.replace(false)
            && let Some(owner) = self.owner()
        {
            owner.remove_pending();
        }
    }

    /// Detaches a leaked operation from its task: the loop has ended. Returns the owner and the waker, whose destructors
    /// may run user code.
    pub(crate) fn disown(self) -> (Option<TaskRef>, Option<Waiter>) {
        self.discount();
        (self.slot.owner.take(), self.slot.waker.take())
    }

    /// Makes another task wait for the operation, whose future was dropped.
    pub(crate) fn reassign(self, owner: TaskRef) {
        if self.slot.counted.get() {
            owner.add_pending();
            let before = self.slot.owner.replace(Some(owner));
            before.iter().for_each(TaskRef::remove_pending);
        }
    }

    /// Hands the operation to the pool. The owner may end before it: a thread in a system call cannot be stopped, and the slot
    /// keeps everything that the call needs.
    pub(crate) fn give_to_pool(self) {
        self.slot.holder.set(Holder::Pool);
        self.discount();
    }

    /// Notes that the kernel has the entry and may write into the buffers from now on.
    #[inline]
    pub(crate) fn lend_to_ring(self, entry: &Entry) {
        #[cfg(proactor_asan)]
        self.slots.lent.lend_to_ring(self.key, entry);
        let _ = entry;
    }

    /// Notes that the pool has the call and may write into the buffers from now on.
    pub(crate) fn lend_to_pool(self, call: Call) {
        #[cfg(proactor_asan)]
        self.slots.lent.lend_to_pool(self.key, call);
        let _ = call;
    }

    /// Notes that the operation waits for an edge of its descriptor, beside the ring.
    pub(crate) fn leave_to_edges(self) {
        self.slot.holder.set(Holder::Edges);
    }

    pub(crate) fn holder(self) -> Holder {
        self.slot.holder.get()
    }

    /// Returns true for a call on the pool that need not be awaited: see [`Op::MAY_BE_LEFT`].
    pub(crate) fn is_left(self) -> bool {
        self.holder() == Holder::Pool && self.lifecycle() == Lifecycle::Orphan && self.vtable().may_be_left
    }

    #[inline]
    pub(crate) fn keep(self, completion: Completion) {
        self.slot.result.set(completion);
    }

    /// Returns the completion that was kept.
    pub(crate) fn kept(self) -> Completion {
        self.slot.result.get()
    }

    fn vtable(self) -> &'static OpVtable {
        self.slot.vtable.get().expect("an operation has its table")
    }

    /// Returns the operation's system call.
    pub(crate) fn call(self) -> Call {
        let vtable = self.vtable();
        // SAFETY: the slot holds the operation that the vtable was made for.
        unsafe { (vtable.call)(address_of(self.slot, vtable.boxed)) }
    }

    /// Hands one completion of a multishot operation to it.
    pub(crate) fn multishot_step(self, completion: Completion) -> MultishotStep {
        let vtable = self.vtable();
        // SAFETY: as in `call`.
        unsafe { (vtable.multishot_step)(address_of(self.slot, vtable.boxed), completion) }
    }

    /// Notes that the future was dropped outside the running loop: the slot is reclaimed as soon as the operation completes.
    pub(crate) fn release_at_once(self) {
        self.slot.at_once.set(true);
    }

    /// Returns true if the slot is reclaimed outside the loop. That includes multishot operations, which have no user code.
    pub(crate) fn is_released_at_once(self) -> bool {
        self.slot.at_once.get() || self.is_multishot()
    }

    /// Returns true for a multishot operation, which belongs to an endpoint and not to a future.
    pub(crate) fn is_multishot(self) -> bool {
        self.slot.kind.get() == Kind::Multishot
    }

    /// Returns a pointer to the operation.
    ///
    /// # Safety
    /// `O` is the type that it was inserted with.
    #[inline]
    pub(crate) unsafe fn get<O: Op>(self) -> NonNull<O> {
        address_of(self.slot, Erased::<O>::BOXED).cast()
    }

    /// Replaces the waker, and returns the previous one. Cloning and dropping a waker runs user code, so the driver must not be
    /// borrowed.
    #[must_use = "dropping a waker runs user code: not while the driver is borrowed"]
    pub(crate) fn set_waker(self, cx: &Context<'_>) -> Option<Waiter> {
        let slot = self.slot;
        let waker = slot.waker.take();
        let keep = waker.as_ref().is_some_and(|waker| waker.will_wake(cx));
        slot.waker.set(waker);
        if keep {
            return None;
        }
        let is_other = |task: &TaskRef| !self.owner().is_some_and(|owner| owner.same(task));
        let other = local_task(cx.waker()).filter(|task| !task.is_child() && is_other(task));
        // Cloning a waker may panic: nothing has changed yet.
        let waker = foreign_waker(other.as_ref().or(self.owner()), cx);
        if let Some(task) = other {
            // The future has moved to another task, so the operation moves with it.
            if slot.counted.get() {
                task.add_pending();
                self.owner().into_iter().for_each(TaskRef::remove_pending);
            }
            drop(slot.owner.replace(Some(task)));
        }
        slot.waker.replace(waker)
    }

    /// Schedules the owner, or returns the waiter of another task, which the caller must wake.
    #[must_use = "waking runs user code: not while the driver is borrowed"]
    #[inline]
    pub(crate) fn wake(self) -> Option<Waiter> {
        if let Some(waker) = self.slot.waker.take() {
            return Some(waker);
        }
        if let Some(task) = self.owner() {
            task.schedule();
        }
        None
    }

    /// Moves an operation that is [`Lifecycle::Done`] out of its slot and frees the slot. Returns the stored waker as well:
    /// dropping it runs user code.
    ///
    /// # Safety
    /// `O` is the type that it was inserted with.
    #[inline(always)] // the result is large, and destructured at once
    pub(crate) unsafe fn take<O: Op>(self) -> Option<(O, Completion, Option<Waiter>)> {
        if self.lifecycle() != Lifecycle::Done {
            return None;
        }
        // SAFETY: the caller vouches for the type; the slot is vacated below, so this is the only read.
        let op = unsafe { self.get::<O>().read() };
        let result = self.slot.result.get();
        let waker = self.slot.waker.take();
        self.apply(Event::Take);
        self.vacate(Erased::<O>::BOXED);
        Some((op, result, waker))
    }

    /// Releases everything but the buffer of an operation that waits for a notification. Its task does not wait for that. Runs
    /// user code: the waker of the next send.
    pub(crate) fn release(self) {
        if !self.lifecycle().is_notifying() {
            return;
        }
        self.discount();
        let vtable = self.vtable();
        // SAFETY: as in `call`: the kernel uses the buffer, and nobody refers to the rest.
        unsafe { (vtable.release)(address_of(self.slot, vtable.boxed), self.slot.result.get()) };
    }

    /// Moves an operation that is [`Lifecycle::Reclaiming`] out of its slot, handles its result, and frees the slot. Runs user
    /// code: destructors of buffers.
    pub(crate) fn reclaim(self) {
        if self.lifecycle() != Lifecycle::Reclaiming {
            return;
        }
        struct Vacate<'a>(SlotRef<'a>, Option<Layout>);
        impl Drop for Vacate<'_> {
            fn drop(&mut self) {
                self.0.apply(Event::Reclaimed);
                drop(self.0.slot.waker.take());
                self.0.slot.at_once.set(false);
                self.0.discount();
                self.0.vacate(self.1);
            }
        }
        let vtable = self.vtable();
        let _vacate = Vacate(self, vtable.boxed); // also when a destructor panics
        // SAFETY: the operation is moved out, once; the state guards against a second time.
        unsafe { (vtable.abandoned)(address_of(self.slot, vtable.boxed), self.slot.result.get()) };
    }

    /// Frees the slot. The waker has been taken, and the owner does not wait any more.
    #[inline]
    fn vacate(self, boxed: Option<Layout>) {
        let SlotRef { slots, slot, key } = self;
        if self.is_multishot() {
            slots.multishot.set(slots.multishot.get() - 1);
        }
        if let Some(layout) = boxed {
            slots.deallocate(address_of(slot, boxed), layout);
        }
        // A key is never used again: a slot that has given out all of its keys is retired. That costs 128 bytes in
        // 2^31 operations.
        if key.generation < slots.last_generation {
            slot.generation.set(key.generation + 1);
            slot.next_free.set(slots.free.replace(key.index));
        }
        slots.live.set(slots.live.get() - 1);
        drop(slot.owner.take());
    }
}

impl fmt::Debug for SlotRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotRef")
            .field("key", &self.key)
            .field("lifecycle", &self.lifecycle())
            .finish_non_exhaustive()
    }
}

/// Returns the waker to store for an operation. `None` if it is the owner's own. Cloning a waker may run user code.
#[inline]
pub(in crate::driver) fn foreign_waker(owner: Option<&TaskRef>, cx: &Context<'_>) -> Option<Waiter> {
    let own = owner.is_some_and(|owner| owner.is_woken_by(cx.waker()));
    (!own).then(|| Waiter::new(cx))
}
