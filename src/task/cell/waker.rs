//! Wakers: they make a task ready, on the owner thread and from other threads.
//!
//! The [`Waker`] of a task is a pointer to the task's header and to the static [`WAKER`]. On the owner thread, while the
//! task's loop runs there, a wake puts the task into the ready queue. From anywhere else the task goes through the inbox,
//! at most once until the loop looks there.
//!
//! The crate's operations and timers don't clone such a waker: they recognise it and keep a [`Waiter`].

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

use super::header::free;
use super::layout::{ChildSetCore, Header, TaskRef, Waiter};
use super::loop_core;
use super::state::Phase;
use crate::sys::guarded::contain;
use crate::sys::sync::Arc;
use crate::sys::sync::atomic::Ordering;
use crate::task::ready::Link;
use crate::task::threads::inbox::{Delivery, Node};

/// The part of the atomic count that one waker holds.
const CLONE: u32 = 2;

impl Waiter {
    /// Makes a waiter for the poller: a local reference if it is a task of the running loop, else a clone of the waker.
    #[inline]
    pub(crate) fn new(cx: &Context<'_>) -> Self {
        match local_task(cx.waker()) {
            Some(task) => {
                let data = task.into_pointer().as_ptr().cast_const().cast();
                // SAFETY: the data is a local reference, which the functions of `LOCAL_WAKER` expect.
                Waiter::from(unsafe { Waker::from_raw(RawWaker::new(data, &LOCAL_WAKER)) })
            }
            None => Waiter::from(cx.waker().clone()),
        }
    }

    /// The task that it wakes; for a child, the task that polls its child set. `None` for a foreign waker.
    pub(in crate::task) fn task(&self) -> Option<TaskRef> {
        if !self.is_task() {
            return None;
        }
        // SAFETY: the data of such a waker is a local reference.
        let task = unsafe { ManuallyDrop::new(local_reference(self.waker.data())) };
        if task.is_child() { task.owner() } else { Some(TaskRef::clone(&task)) }
    }

    fn is_task(&self) -> bool {
        ptr::eq(self.waker.vtable(), &LOCAL_WAKER) // a static with a name: one address in every codegen unit
    }

    pub(crate) fn will_wake(&self, cx: &Context<'_>) -> bool {
        let other = cx.waker();
        if self.is_task() {
            return ptr::eq(other.vtable(), &WAKER) && ptr::eq(other.data(), self.waker.data());
        }
        self.waker.will_wake(other)
    }

    /// Wakes the poller. For a foreign waker this runs arbitrary code: call it while nothing is borrowed and no change is
    /// half done. A panic propagates, unless the thread unwinds already: a second panic would abort the process.
    #[inline]
    pub(crate) fn wake(self) {
        let is_task = self.is_task();
        let waker = self.into_waker();
        if is_task || !std::thread::panicking() {
            waker.wake();
        } else {
            contain(|| waker.wake());
        }
    }

    /// Wakes the poller in the middle of a change. A panic of a foreign waker is caught; the panic hook has reported it.
    #[inline]
    pub(crate) fn wake_contained(self) {
        let is_task = self.is_task();
        let waker = self.into_waker();
        if is_task {
            waker.wake();
        } else {
            contain(|| waker.wake());
        }
    }

    fn into_waker(self) -> Waker {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is neither used nor dropped after this.
        unsafe { ManuallyDrop::take(&mut this.waker) }
    }
}

impl Drop for Waiter {
    #[inline(always)] // most are tasks, and only counted down
    fn drop(&mut self) {
        let is_task = self.is_task();
        // SAFETY: the waker is not used after this.
        let waker = unsafe { ManuallyDrop::take(&mut self.waker) };
        if is_task {
            drop(waker);
        } else {
            contain(|| drop(waker));
        }
    }
}

impl From<Waker> for Waiter {
    #[inline]
    fn from(waker: Waker) -> Self {
        Waiter { waker: ManuallyDrop::new(waker), thread: PhantomData }
    }
}

/// The waker functions of a local reference that is in a [`Waiter`].
static LOCAL_WAKER: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: the data of such a waker is a local reference.
        let task = unsafe { ManuallyDrop::new(local_reference(data)) };
        let _ = TaskRef::clone(&task).into_pointer();
        RawWaker::new(data, &LOCAL_WAKER)
    },
    // SAFETY: as above, and it is handed over.
    |data| unsafe { local_reference(data) }.schedule(),
    // SAFETY: as above.
    |data| unsafe { ManuallyDrop::new(local_reference(data)) }.schedule(),
    // SAFETY: as above, and it is handed over.
    |data| drop(unsafe { local_reference(data) }),
);

/// # Safety
/// The data is that of a waker with [`LOCAL_WAKER`]'s functions. The result is the same reference, not another one.
unsafe fn local_reference(data: *const ()) -> TaskRef {
    // SAFETY: by the caller's word; it came from a `NonNull`.
    unsafe { TaskRef::from_pointer(NonNull::new_unchecked(data.cast_mut().cast())) }
}

/// The task that this waker wakes, if it belongs to the loop that runs on this thread.
pub(crate) fn local_task(waker: &Waker) -> Option<TaskRef> {
    // `WAKER` is a static with a name, so its address is one and the same in every codegen unit.
    if !ptr::eq(waker.vtable(), &WAKER) {
        return None;
    }
    let header = NonNull::new(waker.data().cast_mut().cast::<Header>())?;
    // SAFETY: a waker of ours points to a live header.
    loop_core::with_loop_of(unsafe { header.as_ref() }.shared, |_| ())?;
    let task = ManuallyDrop::new(TaskRef(header));
    // A waker can outlive the local references. Then no local reference may be made.
    (task.header().local_refs.get() > 0).then(|| TaskRef::clone(&task))
}

pub(in crate::task) static WAKER: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

pub(in crate::task) unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the caller holds a waker, counted or borrowed from a local reference.
    let header = unsafe { &*data.cast::<Header>() };
    let before = header.refs.fetch_add(CLONE, Ordering::Relaxed);
    if before > i32::MAX as u32 {
        std::process::abort(); // a leak in a loop: the count would overflow, as in `Arc`
    }
    if before < CLONE {
        // SAFETY: there is no counted waker, so the caller has a local reference, which keeps `shared`.
        unsafe { Arc::increment_strong_count(header.shared) };
    }
    RawWaker::new(data, &WAKER)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the caller hands over one counted waker.
    unsafe {
        wake_by_ref(data);
        drop_waker(data);
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the caller holds a waker, so the cell is alive; the pointer came from `NonNull`.
    unsafe { wake_ref(NonNull::new_unchecked(data.cast_mut().cast())) };
}

unsafe fn drop_waker(data: *const ()) {
    let header: *const Header = data.cast();
    // SAFETY: the caller gives up one counted waker. `shared` is read first: after the subtraction the
    // cell may be freed by another thread.
    unsafe {
        let shared = (*header).shared;
        let before = (*header).refs.fetch_sub(CLONE, Ordering::AcqRel);
        if before == CLONE {
            free(NonNull::new_unchecked(header.cast_mut()));
        }
        if before < 2 * CLONE {
            Arc::decrement_strong_count(shared); // the last waker gives the count of the remote side back
        }
    }
}

/// Schedules the task: at once on its owner thread while its loop runs there, else by way of the inbox.
///
/// # Safety
/// The caller holds a counted waker, or a local reference on the owner thread.
#[inline(never)] // one copy, into which all that it calls is inlined
pub(in crate::task) unsafe fn wake_ref(task: NonNull<Header>) {
    // SAFETY: by the caller's word.
    let header = unsafe { task.as_ref() };
    let ended = |phase| matches!(phase, Phase::Complete | Phase::Empty);
    let woken = loop_core::with_loop_of(header.shared, |core| {
        if header.scheduled.get() || ended(header.phase.get()) || header.local_refs.get() == 0 {
            return;
        }
        header.scheduled.set(true);
        let task = ManuallyDrop::new(TaskRef(task));
        if !header.wake_child_set(&task) {
            core.push(TaskRef::clone(&task));
        }
    });
    if woken.is_none() {
        // SAFETY: the caller's promise is the same.
        unsafe { wake_from_elsewhere(task) };
    }
}

/// Puts the task into the inbox, unless it is there already.
///
/// # Safety
/// The caller holds a counted waker, or a local reference on the owner thread, where no loop or another one may run now.
#[cold]
unsafe fn wake_from_elsewhere(task: NonNull<Header>) {
    // SAFETY: by the caller's word.
    let header = unsafe { task.as_ref() };
    if header.posted.swap(true, Ordering::AcqRel) {
        return;
    }
    // SAFETY: the cell is alive, and the count taken here, the first one perhaps, is given back by `deliver`, or below.
    // The caller's reference keeps `shared` meanwhile: a local reference counts for it as a waker does.
    unsafe {
        let data = task.as_ptr().cast_const().cast::<()>();
        let _ = clone(data); // counted for the time in the inbox
        if !(*header.shared).push(task.cast()) {
            header.posted.store(false, Ordering::Release);
            drop_waker(data);
        }
    }
}

/// Delivers a task from the inbox: schedules it, or drops the inbox's reference if the runtime has ended.
pub(in crate::task) unsafe fn deliver(node: NonNull<Node>, delivery: Delivery) {
    let task = node.cast::<Header>();
    // SAFETY: `wake_from_elsewhere` took a counted reference for the time in the inbox. The exchange acquires what
    // every waker wrote that found the flag set.
    unsafe {
        task.as_ref().posted.swap(false, Ordering::AcqRel);
        if delivery == Delivery::Run {
            wake_ref(task);
        }
        drop_waker(task.as_ptr().cast_const().cast());
    }
}

impl ChildSetCore {
    /// Puts a woken child into the ready queue of its set, and wakes the poller of the set. The child is marked as scheduled.
    pub(in crate::task) fn child_woken(&self, child: TaskRef) {
        self.ready.push(child);
        if let Some(owner) = self.owner.take() {
            // The caller may have others to wake, as a task that ends has.
            owner.wake_contained();
        }
    }
}

impl TaskRef {
    /// The task that polls the child set of this child, if it waits for the set.
    pub(in crate::task) fn owner(&self) -> Option<TaskRef> {
        let child_set = self.header().child_set().filter(|_| !self.is_complete())?;
        // SAFETY: a child set is dropped after its children have ended.
        let slot = unsafe { &child_set.as_ref().owner };
        let owner = slot.take();
        let task = owner.as_ref().and_then(Waiter::task);
        slot.set(owner);
        task
    }
}

impl Header {
    /// Wakes the child set of a child. Returns false for a task. `task` is this cell; it is marked as scheduled and has not
    /// ended.
    #[inline]
    pub(in crate::task) fn wake_child_set(&self, task: &TaskRef) -> bool {
        let Some(child_set) = self.child_set() else { return false };
        // SAFETY: a child set is dropped after its children have ended.
        unsafe { child_set.as_ref() }.child_woken(task.clone());
        true
    }
}

/// A foreign waker whose clone panics, for tests.
#[cfg(test)]
pub(crate) fn waker_whose_clone_panics() -> Waker {
    static TABLE: RawWakerVTable =
        RawWakerVTable::new(|_| panic!("expected: no clone"), |_| (), |_| (), |_| ());
    // SAFETY: the functions use no data.
    unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &TABLE)) }
}
