//! Wakers: how a task is made ready, from its own thread and from others.
//!
//! A [`Waker`] of ours is a pointer to a task's header and the one static [`WAKER`]. On its home thread,
//! while its loop runs there, waking puts the task into the ready queue; from anywhere else it goes through
//! the inbox, at most once until the loop looks there.
//!
//! Our own operations and timers don't clone wakers: they recognise ours and keep a [`Waiter`].

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

use super::cell::{CLONE, Header, Phase, TaskRef, free};
use super::inbox::{Delivery, Node};
use super::scheduler;
use crate::sys::sync::Arc;
use crate::sys::sync::atomic::Ordering;

/// Who waits for something of this thread's loop: a task of it, by a home reference, or any waker.
#[derive(Debug)]
pub(crate) enum Waiter {
    Task(TaskRef),
    Waker(Waker),
}

impl Waiter {
    pub(crate) fn new(cx: &Context<'_>) -> Self {
        match local_task(cx.waker()) {
            Some(task) => Waiter::Task(task),
            None => Waiter::Waker(cx.waker().clone()),
        }
    }

    pub(crate) fn will_wake(&self, cx: &Context<'_>) -> bool {
        match self {
            Waiter::Task(task) => std::ptr::eq(cx.waker().data(), task.0.as_ptr().cast()),
            Waiter::Waker(waker) => waker.will_wake(cx.waker()),
        }
    }

    /// Wakes it. For a foreign waker this is arbitrary code: call it with nothing borrowed.
    pub(crate) fn wake(self) {
        match self {
            Waiter::Task(task) => task.schedule(),
            Waiter::Waker(waker) => waker.wake(),
        }
    }
}

/// The task that this waker wakes, if it belongs to the loop that runs here.
pub(crate) fn local_task(waker: &Waker) -> Option<TaskRef> {
    // `WAKER` is a static with a name, so its address is one and the same in every codegen unit.
    if !std::ptr::eq(waker.vtable(), &WAKER) {
        return None;
    }
    let header = NonNull::new(waker.data().cast_mut().cast::<Header>())?;
    // SAFETY: a waker of ours points to a live header.
    scheduler::at_home(unsafe { header.as_ref() }.shared, |_| ())?;
    let task = ManuallyDrop::new(TaskRef(header));
    // A waker can outlive the home references, and then there is none to add to.
    (task.header().home_refs.get() > 0).then(|| TaskRef::clone(&task))
}

pub(super) static WAKER: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

pub(super) unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the caller holds a waker, counted or borrowed from a home reference.
    let header = unsafe { &*data.cast::<Header>() };
    let before = header.refs.fetch_add(CLONE, Ordering::Relaxed);
    if before > i32::MAX as u32 {
        std::process::abort(); // a leak in a loop: the count would overflow, as in `Arc`
    }
    if before < CLONE {
        // SAFETY: the first clone is made on the home thread, where a home reference keeps `shared`.
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
            Arc::decrement_strong_count(shared); // the last clone gives the inbox back
        }
    }
}

/// Schedules the task: at once on its home thread while its loop runs there, else by way of the inbox.
///
/// # Safety
/// The caller holds a counted waker, or a home reference on the home thread.
pub(super) unsafe fn wake_ref(task: NonNull<Header>) {
    // SAFETY: by the caller's word.
    let header = unsafe { task.as_ref() };
    let ended = |phase| matches!(phase, Phase::Complete | Phase::Empty);
    let at_home = scheduler::at_home(header.shared, |scheduler| {
        if header.scheduled.get() || ended(header.phase.get()) || header.home_refs.get() == 0 {
            return;
        }
        header.scheduled.set(true);
        let task = ManuallyDrop::new(TaskRef(task));
        scheduler.push(TaskRef::clone(&task));
    });
    if at_home.is_none() {
        // SAFETY: by the caller's word.
        unsafe { wake_from_elsewhere(task) };
    }
}

/// Puts the task into the inbox: once, however often it is woken until the loop looks there.
///
/// # Safety
/// The caller holds a counted waker.
#[cold]
unsafe fn wake_from_elsewhere(task: NonNull<Header>) {
    // SAFETY: by the caller's word.
    let header = unsafe { task.as_ref() };
    if header.posted.swap(true, Ordering::AcqRel) {
        return;
    }
    // SAFETY: the cell is alive, and the reference made here is given back by `deliver`, or below.
    unsafe {
        let data = task.as_ptr().cast_const().cast::<()>();
        let _ = clone(data); // counted for the time in the inbox
        if !(*header.shared).push(task.cast()) {
            header.posted.store(false, Ordering::Release);
            drop_waker(data);
        }
    }
}

/// The inbox hands the task to the loop (or, at the end, back).
pub(super) unsafe fn deliver(node: NonNull<Node>, delivery: Delivery) {
    let task = node.cast::<Header>();
    // SAFETY: `wake_ref` took a counted reference for the time in the inbox. The exchange acquires what
    // every waker wrote that found the flag set.
    unsafe {
        task.as_ref().posted.swap(false, Ordering::AcqRel);
        if delivery == Delivery::Run {
            wake_ref(task);
        }
        drop_waker(task.as_ptr().cast_const().cast());
    }
}
