//! The task cell: one allocation that holds a future, then its result, and everything else about a task.
//!
//! Three kinds of reference keep a cell. *Home references* ([`TaskRef`]: the task table, the ready queue,
//! slots, timers, the join handle) stay on the loop's thread and count without atomics. *Wakers* may go
//! anywhere and count with them. All home references together hold one share of the atomic count, so that a
//! task whose waker is never cloned costs no atomic read-modify-write at all; and nothing of ours clones
//! it: our own operations recognise our own waker and take a home reference (see [`Waiter`]).
//!
//! The future and its output are made, polled and dropped on the home thread only. A waker that outlives
//! everything else frees bare memory.
//!
//! The remote side (`shared`) is kept alive by the home references, with a count that is not atomic, and by the
//! wakers of a task together: the first clone takes a count of it, the last one gives it back.
//!
//! The header is small on purpose: a task of a small future fits into the 120 bytes up to which the C library's
//! allocator is quickest, and of a million tasks every line of the cache counts.

use std::alloc::Layout;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::{Context, Poll, RawWaker, Waker};

use super::inbox::{Node, NodeKind, Shared};
use super::ready::Link;
use super::scheduler;
use super::spare::{self, Spares};
use super::waker::{self, WAKER, Waiter, wake_ref};
use super::{JoinError, Panic, TaskId};
use crate::sys::guarded::contain;
use crate::sys::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sys::sync::{Arc, dealloc};

/// The share of the atomic count that all home references hold together.
const HOME: u32 = 1;
/// One waker in the atomic count.
pub(super) const CLONE: u32 = 2;

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits to be run.
    Idle,
    /// Is being polled.
    Running,
    /// Its future is gone; operations that it began are still with the kernel.
    Reaping,
    /// Its outcome is in the cell.
    Complete,
    /// It has ended, and nothing is in the cell any more.
    Empty,
}

/// What becomes of a task when its join handle goes, and whether there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    /// The handle detaches the task.
    Detach,
    /// The handle cancels the task.
    Cancel,
    /// There is no handle any more: nobody will ask for the outcome.
    Gone,
}

/// What all cells have in common, whatever their future.
#[repr(C)]
pub(crate) struct Header {
    /// First, because the inbox hands back a pointer to it. Its kind is the beginning of a [`Vtable`].
    node: Node,
    pub(super) shared: *const Shared,
    pub(super) refs: AtomicU32,
    /// In the inbox already.
    pub(super) posted: AtomicBool,
    // From here on: for the home thread only.
    pub(super) scheduled: Cell<bool>,
    pub(super) phase: Cell<Phase>,
    pub(super) joining: Cell<Joining>,
    pub(super) home_refs: Cell<u32>,
    /// Cancellations asked for, counted as asyncio does.
    pub(super) cancels: Cell<u32>,
    /// Operations of this task that the driver still holds, abandoned ones included.
    ops: Cell<u32>,
    /// Place in the scheduler's table.
    pub(super) index: Cell<u32>,
    pub(super) id: TaskId,
    /// Few tasks have one, so it does not take the room of a wide pointer in all.
    pub(super) name: Option<Box<Rc<str>>>,
    joiner: Cell<Option<Waiter>>,
    /// The next in the ready queue.
    next_ready: Cell<Option<NonNull<Header>>>,
}

impl Header {
    #[inline]
    fn vtable(&self) -> &'static Vtable {
        let kind: *const NodeKind = self.node.kind();
        // SAFETY: `TaskRef::new` made the node with the first field of a vtable, from a pointer to all of it.
        unsafe { &*kind.cast::<Vtable>() }
    }
}

#[repr(C)]
struct Vtable {
    /// First, because a task's node points to it.
    node: NodeKind,
    /// Polls the future; true when its outcome is in the cell now. Catches panics.
    poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> bool,
    /// Drops the future and puts `JoinError::Cancelled` (or the panic of its drop) in its place.
    cancel: unsafe fn(NonNull<Header>),
    /// Moves the outcome to where the pointer (to a `Poll<Result<T, JoinError>>`) says.
    take: unsafe fn(NonNull<Header>, *mut ()),
    /// Drops whatever the stage holds.
    clear: unsafe fn(NonNull<Header>),
    layout: Layout,
}

#[repr(C)]
struct TaskCell<F: Future> {
    header: Header,
    stage: UnsafeCell<Stage<F>>,
}

impl<F: Future> TaskCell<F> {
    const VTABLE: &'static Vtable = &Vtable {
        node: NodeKind { deliver: waker::deliver },
        poll: poll::<F>,
        cancel: cancel::<F>,
        take: take::<F>,
        clear: clear::<F>,
        layout: Layout::new::<Self>(),
    };
}

enum Stage<F: Future> {
    Future(F),
    Outcome(Result<F::Output, JoinError>),
}

/// A reference to a task from its home thread; `!Send`.
pub(crate) struct TaskRef(pub(super) NonNull<Header>);

impl TaskRef {
    /// On the home thread of the loop with this remote side. A task that is made `scheduled` goes into the ready
    /// queue at once.
    #[inline]
    pub(super) fn new<F: Future>(
        future: F,
        shared: &Arc<Shared>,
        spares: &Spares,
        id: TaskId,
        name: Option<Rc<str>>,
        scheduled: bool,
    ) -> TaskRef {
        // SAFETY: the caller is on the home thread, and the last home reference releases it.
        unsafe { Shared::retain(shared) };
        let vtable: *const Vtable = TaskCell::<F>::VTABLE;
        // SAFETY: the kind is the first field of the table, and this pointer may reach all of it.
        let kind: &'static NodeKind = unsafe { &*vtable.cast() };
        let memory = spares.allocate(TaskCell::<F>::VTABLE.layout).cast();
        // Written where it will lie: made elsewhere and moved, it would be copied in pieces other than those in
        // which it was made, for which the processor waits.
        let cell = TaskCell {
            header: Header {
                node: Node::new(kind),
                shared: Arc::as_ptr(shared),
                refs: AtomicU32::new(HOME),
                posted: AtomicBool::new(false),
                scheduled: Cell::new(scheduled),
                phase: Cell::new(Phase::Idle),
                joining: Cell::new(Joining::Detach),
                home_refs: Cell::new(1),
                cancels: Cell::new(0),
                ops: Cell::new(0),
                index: Cell::new(u32::MAX),
                id,
                name: name.map(Box::new),
                joiner: Cell::new(None),
                next_ready: Cell::new(None),
            },
            stage: UnsafeCell::new(Stage::Future(future)),
        };
        // SAFETY: the memory was allocated for such a cell, and is nobody else's.
        unsafe { memory.write(cell) };
        TaskRef(memory.cast())
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: a home reference keeps the cell.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn same(&self, other: &TaskRef) -> bool {
        self.0 == other.0
    }

    /// Whether this is a waker of the task.
    #[inline]
    pub(crate) fn is_woken_by(&self, waker: &Waker) -> bool {
        // `WAKER` is a static with a name, so its address is one and the same in every codegen unit.
        std::ptr::eq(waker.vtable(), &WAKER) && std::ptr::eq(waker.data(), self.0.as_ptr().cast())
    }

    pub(super) fn address(&self) -> *const Header {
        self.0.as_ptr()
    }

    /// # Safety
    /// Null, or the address of a live task of this thread.
    pub(super) unsafe fn from_address(address: *const Header) -> Option<TaskRef> {
        let task = ManuallyDrop::new(TaskRef(NonNull::new(address.cast_mut())?));
        Some(TaskRef::clone(&task))
    }

    /// It has left the ready queue and is about to be polled by its owner (the root).
    pub(super) fn mark_polled(&self) {
        self.header().scheduled.set(false);
    }

    #[inline]
    pub(super) fn phase(&self) -> Phase {
        self.header().phase.get()
    }

    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.phase(), Phase::Complete | Phase::Empty)
    }

    /// Puts the task in the ready queue, unless it is there or has ended.
    pub(crate) fn schedule(&self) {
        // SAFETY: the cell is alive, and this is its home thread.
        unsafe { wake_ref(self.0) }
    }

    /// A waker that counts: for code that is not ours, and for other threads.
    pub(crate) fn waker(&self) -> Waker {
        // SAFETY: `clone` makes a counted waker of a live cell; the pair is what the vtable expects.
        unsafe { Waker::from_raw(waker::clone(self.0.as_ptr().cast())) }
    }

    /// Runs the task once, by way of its phase. True when it has ended now.
    #[inline]
    pub(super) fn run(&self) -> bool {
        let header = self.header();
        header.scheduled.set(false);
        if header.phase.get() != Phase::Idle || header.cancels.get() > 0 {
            return self.run_otherwise();
        }
        header.phase.set(Phase::Running);
        let waker = self.borrowed_waker();
        // SAFETY: on the home thread, not being polled, and the stage holds the future; the borrowed waker does
        // not outlive `self`.
        let ready = unsafe { (header.vtable().poll)(self.0, &mut Context::from_waker(&waker)) };
        header.phase.set(Phase::Idle);
        if !ready && header.cancels.get() > 0 {
            self.schedule(); // it asked for its own cancellation while it ran
        }
        ready
    }

    /// A step that is no poll.
    #[cold]
    fn run_otherwise(&self) -> bool {
        let header = self.header();
        match header.phase.get() {
            Phase::Idle => {
                header.phase.set(Phase::Running);
                // SAFETY: on the home thread, not being polled, and the stage holds the future.
                unsafe { (header.vtable().cancel)(self.0) };
                header.phase.set(Phase::Reaping);
                header.ops.get() == 0
            }
            Phase::Reaping => header.ops.get() == 0,
            Phase::Running | Phase::Complete | Phase::Empty => false,
        }
    }

    /// A waker for one poll, not counted.
    pub(super) fn borrowed_waker(&self) -> ManuallyDrop<Waker> {
        // SAFETY: the data and the vtable belong together; `ManuallyDrop` gives back no count that was not
        // taken, and callers hold a reference for as long as they use the waker.
        ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(self.0.as_ptr().cast(), &WAKER)) })
    }

    /// The task has ended: wakes who waits for it.
    #[inline]
    pub(super) fn complete(&self) {
        let header = self.header();
        header.phase.set(Phase::Complete);
        if header.joining.get() == Joining::Gone {
            self.clear();
        }
        if let Some(joiner) = header.joiner.take() {
            joiner.wake();
        }
    }

    /// Drops the future or outcome that the cell holds; a panic in its destructor ends here, since nobody
    /// is left to ask for it (the panic hook has reported it).
    #[inline]
    pub(super) fn clear(&self) {
        if self.phase() != Phase::Empty {
            self.empty();
        }
    }

    fn empty(&self) {
        self.header().phase.set(Phase::Empty);
        // SAFETY: on the home thread; not being polled, since only the scheduler and the handle of an
        // ended task call this.
        contain(|| unsafe { (self.header().vtable().clear)(self.0) });
    }

    /// Takes the outcome, if the task has ended.
    ///
    /// # Safety
    /// `T` is the output of the future that the cell was made with.
    pub(super) unsafe fn take<T>(&self) -> Poll<Result<T, JoinError>> {
        let mut outcome = Poll::Pending;
        if self.is_complete() {
            assert!(self.phase() == Phase::Complete, "a JoinHandle was polled after it had given its result");
            self.header().phase.set(Phase::Empty);
            // SAFETY: the caller vouches for the type.
            unsafe { (self.header().vtable().take)(self.0, (&raw mut outcome).cast()) };
        }
        outcome
    }

    pub(super) fn set_joiner(&self, cx: &Context<'_>) {
        let joiner = &self.header().joiner;
        let waiter = match joiner.take() {
            Some(waiter) if waiter.will_wake(cx) => waiter,
            _ => Waiter::new(cx),
        };
        joiner.set(Some(waiter));
    }

    /// One more operation of this task is with the driver.
    #[inline]
    pub(crate) fn op_began(&self) {
        let ops = &self.header().ops;
        ops.set(ops.get() + 1);
    }

    /// The driver has let go of one. The last one of a task that is only waiting for that lets it end.
    #[inline]
    pub(crate) fn op_ended(&self) {
        let header = self.header();
        header.ops.set(header.ops.get() - 1);
        if header.ops.get() == 0 && header.phase.get() == Phase::Reaping {
            self.schedule();
        }
    }
}

impl Clone for TaskRef {
    #[inline]
    fn clone(&self) -> Self {
        let refs = &self.header().home_refs;
        refs.set(refs.get().checked_add(1).expect("fewer than 2^32 references to a task"));
        TaskRef(self.0)
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        let left = &self.header().home_refs;
        left.set(left.get() - 1);
        if left.get() == 0 {
            self.release();
        }
    }
}

impl TaskRef {
    /// The last home reference goes, and with it everything that belongs to the home thread.
    #[inline(never)] // most references that go are not the last
    fn release(&self) {
        let header = self.header();
        self.clear();
        drop(header.joiner.take());
        let shared = header.shared;
        // SAFETY: nobody but home references reads the name, and this was the last.
        unsafe { std::ptr::drop_in_place(&raw mut (*self.0.as_ptr()).name) };
        // A plain load suffices when there is no waker: nobody is left to make one.
        if header.refs.load(Ordering::Acquire) == HOME
            || header.refs.fetch_sub(HOME, Ordering::AcqRel) == HOME
        {
            let kept = scheduler::at_home(shared, |scheduler| {
                // SAFETY: as below; the memory came from the spares of this loop, or could have.
                unsafe { scheduler.spares.free(self.0.cast(), header.vtable().layout) };
            });
            if kept.is_none() {
                // SAFETY: no reference of either kind is left, and the stage has been cleared.
                unsafe { free(self.0) };
            }
        }
        // SAFETY: on the home thread; `new` retained it for this task.
        unsafe { Shared::release(shared) };
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.header();
        f.debug_struct("Task")
            .field("id", &header.id)
            .field("name", &header.name)
            .field("phase", &header.phase.get())
            .field("ops", &header.ops.get())
            .finish_non_exhaustive()
    }
}

/// # Safety
/// Nobody refers to the cell, and its stage and joiner have been cleared.
pub(super) unsafe fn free(task: NonNull<Header>) {
    // SAFETY: the cell was allocated with this layout. What is left of the header has no destructor: the
    // last home reference dropped the joiner and the name.
    unsafe { dealloc(task.as_ptr().cast(), spare::whole(task.as_ref().vtable().layout)) };
}

unsafe fn stage<F: Future>(task: NonNull<Header>) -> *mut Stage<F> {
    // SAFETY: the vtable's functions are used only with the cell that they were made for.
    unsafe { task.cast::<TaskCell<F>>().as_ref() }.stage.get()
}

unsafe fn poll<F: Future>(task: NonNull<Header>, cx: &mut Context<'_>) -> bool {
    // SAFETY: the caller is the only one at the stage (phase Running). The future is never moved out of
    // the cell, which is what pins it.
    let stage = unsafe { stage::<F>(task) };
    let mut output = None;
    let polled = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: as above.
        let Stage::Future(future) = (unsafe { &mut *stage }) else { unreachable!("polled after its end") };
        // SAFETY: as above.
        if let Poll::Ready(ready) = unsafe { Pin::new_unchecked(&mut *future) }.poll(cx) {
            output = Some(ready);
            // SAFETY: dropped where it lies, as pinning asks, and overwritten below without a second drop.
            unsafe { std::ptr::drop_in_place(future) };
        }
    }));
    let outcome = match (polled, output) {
        (Ok(()), None) => return false,
        (Ok(()), Some(output)) => Ok(output),
        // It panicked in its poll, and is still there.
        // SAFETY: as above.
        (Err(panic), None) => unsafe { drop_future(stage, Err(JoinError::Panicked(Panic::new(panic)))) },
        // It panicked in its destructor.
        (Err(panic), Some(output)) => {
            contain(|| drop(output)); // its destructor may panic as well
            Err(JoinError::Panicked(Panic::new(panic)))
        }
    };
    // SAFETY: as above; the future has been dropped.
    unsafe { std::ptr::write(stage, Stage::Outcome(outcome)) };
    true
}

unsafe fn cancel<F: Future>(task: NonNull<Header>) {
    // SAFETY: as in `poll`.
    unsafe {
        let stage = stage::<F>(task);
        let outcome = drop_future(stage, Err(JoinError::Cancelled));
        std::ptr::write(stage, Stage::Outcome(outcome));
    }
}

/// Drops the future in place. Gives the outcome, or what its destructor panicked with instead.
///
/// # Safety
/// The caller is the only one at the stage, which holds a future, and overwrites it afterwards without a drop.
#[cold]
unsafe fn drop_future<F: Future>(
    stage: *mut Stage<F>,
    outcome: Result<F::Output, JoinError>,
) -> Result<F::Output, JoinError> {
    // SAFETY: by the caller's word; dropped where it lies, as pinning asks.
    match catch_unwind(AssertUnwindSafe(|| unsafe { std::ptr::drop_in_place(stage) })) {
        Ok(()) => outcome,
        Err(panic) => {
            contain(|| drop(outcome));
            Err(JoinError::Panicked(Panic::new(panic)))
        }
    }
}

unsafe fn take<F: Future>(task: NonNull<Header>, target: *mut ()) {
    // SAFETY: the caller vouches for the target's type; the task has ended, so nobody else is at the stage, and
    // its phase keeps what is read here from being read or dropped again.
    unsafe {
        let target = target.cast::<Poll<Result<F::Output, JoinError>>>();
        let Stage::Outcome(outcome) = &*stage::<F>(task) else {
            unreachable!("a complete task has its outcome")
        };
        target.write(Poll::Ready(std::ptr::read(outcome)));
    }
}

unsafe fn clear<F: Future>(task: NonNull<Header>) {
    // SAFETY: the caller is the only one at the stage, and its phase keeps what is dropped here, even with a
    // panic, from being dropped again.
    unsafe { std::ptr::drop_in_place(stage::<F>(task)) };
}

impl Link for TaskRef {
    type Pointer = NonNull<Header>;

    #[inline]
    fn into_pointer(self) -> NonNull<Header> {
        ManuallyDrop::new(self).0
    }

    #[inline]
    unsafe fn from_pointer(pointer: NonNull<Header>) -> Self {
        TaskRef(pointer)
    }

    #[inline]
    unsafe fn next<'a>(pointer: NonNull<Header>) -> &'a Cell<Option<NonNull<Header>>> {
        // SAFETY: the caller vouches for the task.
        &unsafe { pointer.as_ref() }.next_ready
    }
}
