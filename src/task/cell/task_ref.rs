//! `TaskRef`: making a cell, taking its outcome, releasing it. `layout.rs` explains the kinds of reference.

use std::cell::{Cell, OnceCell, UnsafeCell};
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::{Context, Poll, RawWaker, Waker};

use super::error::{Ended, JoinError};
use super::header::free;
use super::layout::{ColdFields, Header, Stage, TaskCell, TaskInit, TaskRef, Vtable, Waiter};
use super::loop_core::{self, LoopCore};
use super::stage::VtableOf;
use super::state::{Flags, JoinState, Phase};
use super::waker::{self, WAKER, wake_ref};
use crate::sys::guarded::contain;
use crate::sys::sync::Arc;
use crate::sys::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::task::ready::Link;
use crate::task::report::unhandled::ReportPolicy;
use crate::task::threads::inbox::{Node, Shared};

/// The part of the atomic count that all local references hold together.
const LOCAL_REFS: u32 = 1;

impl TaskRef {
    /// Allocates a cell. The caller is on the owner thread, the thread of this loop.
    #[inline]
    pub(in crate::task) fn new<F: Future, V: ReportPolicy<F::Output>>(
        future: F,
        core: &LoopCore,
        init: TaskInit,
    ) -> TaskRef {
        // SAFETY: the caller is on the owner thread, and the last local reference releases it.
        unsafe { Shared::retain(core.shared()) };
        let vtable: *const Vtable = VtableOf::<F, V>::VTABLE;
        // SAFETY: the kind is the first field of the table, which is a constant.
        let node = unsafe { Node::of_table(vtable.cast()) };
        let memory = core.free_lists.allocate(VtableOf::<F, V>::VTABLE.layout).cast();
        // The cell is written where it will lie. Moved there, it would be copied in pieces other than those in which it was
        // written, and the processor would wait for the writes.
        let cell = TaskCell {
            header: Header {
                node,
                shared: Arc::as_ptr(core.shared()),
                refs: AtomicU32::new(LOCAL_REFS),
                posted: AtomicBool::new(false),
                scheduled: Cell::new(init.scheduled),
                phase: Cell::new(Phase::Idle),
                join_state: Cell::new(JoinState::Detach),
                local_refs: Cell::new(1),
                flags: Cell::new(init.flags),
                ended: Cell::new(Ended::Finished),
                cancels: Cell::new(0),
                pending: Cell::new(0),
                index: Cell::new(u32::MAX),
                identity: init.identity,
                spawned_at: init.spawned_at,
                cold: match init.cold {
                    Some(cold) => OnceCell::from(cold),
                    None => OnceCell::new(),
                },
                joiner: Cell::new(None),
                next_ready: Cell::new(None),
            },
            stage: UnsafeCell::new(Stage::Future(future)),
        };
        // SAFETY: the memory was allocated for such a cell, and is not used elsewhere.
        unsafe { memory.write(cell) };
        TaskRef(memory.cast())
    }

    #[inline]
    pub(in crate::task) fn header(&self) -> &Header {
        // SAFETY: a local reference keeps the cell.
        unsafe { self.0.as_ref() }
    }

    /// Whether it is a child: one of many futures in the future of a task, to which the child's operations belong.
    #[inline]
    pub(crate) fn is_child(&self) -> bool {
        self.header().has(Flags::CHILD)
    }

    /// Whether the future was dropped, and its cleanup is still pending.
    pub(in crate::task) fn is_being_reaped(&self) -> bool {
        self.phase() == Phase::Reaping
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

    pub(in crate::task) fn address(&self) -> *const Header {
        self.0.as_ptr()
    }

    /// The task at this address; `None` if it is null.
    ///
    /// # Safety
    /// The address is null, or that of a live task of this thread.
    pub(in crate::task) unsafe fn from_address(address: *const Header) -> Option<TaskRef> {
        let task = ManuallyDrop::new(TaskRef(NonNull::new(address.cast_mut())?));
        Some(TaskRef::clone(&task))
    }

    /// Notes that the root, or a child, has left its ready queue and is about to be polled.
    pub(in crate::task) fn mark_polled(&self) {
        self.header().scheduled.set(false);
    }

    #[inline]
    pub(in crate::task) fn phase(&self) -> Phase {
        self.header().phase.get()
    }

    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.phase(), Phase::Complete | Phase::Empty)
    }

    /// Puts the task into the ready queue, unless it is there or has ended.
    pub(crate) fn schedule(&self) {
        // SAFETY: the cell is alive, and this is its owner thread.
        unsafe { wake_ref(self.0) }
    }

    /// A counted waker, for user code and for other threads.
    pub(crate) fn waker(&self) -> Waker {
        // SAFETY: `clone` makes a counted waker of a live cell; the pair is what the vtable expects.
        unsafe { Waker::from_raw(waker::clone(self.0.as_ptr().cast())) }
    }

    /// An uncounted waker, for one poll.
    pub(in crate::task) fn borrowed_waker(&self) -> ManuallyDrop<Waker> {
        // SAFETY: the data and the vtable belong together; `ManuallyDrop` gives back no count that was not
        // taken, and callers hold a reference for as long as they use the waker.
        ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(self.0.as_ptr().cast(), &WAKER)) })
    }

    /// Drops the future or outcome that the cell holds. A panic in its destructor is caught and dropped: the panic hook has
    /// reported it.
    #[inline]
    pub(in crate::task) fn clear(&self) {
        if self.phase() != Phase::Empty {
            self.empty();
        }
    }

    #[inline(never)] // most outcomes are taken
    fn empty(&self) {
        let header = self.header();
        let phase = header.phase.replace(Phase::Empty);
        if phase == Phase::Idle {
            header.ended.set(Ended::Cancelled); // its future is dropped here
        }
        if phase == Phase::Complete && !self.is_child() {
            // The error's `Display` is user code.
            contain(|| {
                // SAFETY: a complete task has its outcome, and no other code uses the stage.
                let unhandled = unsafe { (header.vtable().unhandled)(self.0) };
                unhandled.into_iter().for_each(|unhandled| loop_core::report(&unhandled, header.shared));
            });
        }
        // SAFETY: on the owner thread; not being polled, since only the scheduler and the handle of an
        // ended task call this.
        contain(|| unsafe { (header.vtable().clear)(self.0) });
    }

    /// Takes the outcome, if the task has ended.
    ///
    /// # Safety
    /// `T` is the output of the future that the cell was made with.
    pub(in crate::task) unsafe fn take<T>(&self) -> Poll<Result<T, JoinError>> {
        let mut outcome = Poll::Pending;
        if self.is_complete() {
            assert!(self.phase() == Phase::Complete, "a JoinHandle was polled after it had given its result");
            self.header().phase.set(Phase::Empty);
            // SAFETY: the caller vouches for the type.
            unsafe { (self.header().vtable().take)(self.0, (&raw mut outcome).cast()) };
        }
        outcome
    }

    /// The outcome, if the task has ended and it was not taken.
    ///
    /// # Safety
    /// `T` is the output of the future that the cell was made with, and the outcome is not taken or dropped while it is
    /// borrowed: only the task's handle does that.
    pub(in crate::task) unsafe fn outcome<T>(&self) -> Option<&Result<T, JoinError>> {
        // SAFETY: the outcome is in the cell, as its phase tells. The caller vouches for the type.
        (self.phase() == Phase::Complete)
            .then(|| unsafe { &*(self.header().vtable().outcome)(self.0).cast::<Result<T, JoinError>>() })
    }

    /// Whether the outcome is in the cell, and is a panic, a cancellation, or a value that counts as an error.
    pub(in crate::task) fn has_failed(&self) -> bool {
        // SAFETY: the outcome is in the cell, as its phase tells.
        self.phase() == Phase::Complete && unsafe { (self.header().vtable().failed)(self.0) }
    }

    /// Detaches the task: its outcome is dropped when it ends.
    pub(in crate::task) fn detached(self) -> Self {
        self.header().join_state.set(JoinState::Gone);
        self
    }

    /// Makes the end of the task wake the poller of its handle.
    pub(in crate::task) fn set_joiner(&self, cx: &Context<'_>) {
        set_waiter(&self.header().joiner, cx);
    }

    /// Panics if a wait for this task's end would never end: in the task itself, unless its cancellation was requested, and
    /// in another loop of the thread, because this task's loop does not run meanwhile.
    #[inline]
    pub(in crate::task) fn check_joiner(&self) {
        let header = self.header();
        let (is_own, is_foreign) = loop_core::with(|current| {
            current.map_or((false, false), |current| {
                (current.is_current(self), !current.is_loop_of(header.shared))
            })
        });
        if is_foreign || is_own && header.cancels.get() == 0 {
            self.refuse_joiner(is_foreign);
        }
    }

    #[cold]
    fn refuse_joiner(&self, is_foreign: bool) -> ! {
        let header = self.header();
        let name =
            header.cold().and_then(ColdFields::name).map(|name| format!(" {name:?}")).unwrap_or_default();
        let place = header.spawned_at;
        if is_foreign {
            panic!(
                "the task{name} that was spawned at {place} belongs to another loop of this thread, which does not run \
                 meanwhile: the await would never end. Start it with `Handle::spawn`, from a thread of its own, or send \
                 its result through a `sync::shared::oneshot` channel"
            );
        }
        panic!(
            "the task{name} that was spawned at {place} awaits its own handle: the await would never end. Let another \
             task await it, or drop the handle to detach the task"
        );
    }

    /// Polls the end of the task for its group, independently of the handle. There is one such waiter at most.
    pub(in crate::task) fn poll_end(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_complete() {
            return Poll::Ready(());
        }
        set_waiter(&self.header().cold_or_new().group, cx);
        Poll::Pending
    }

    /// Sets the hook that the end of the task calls at once, for the task set at the address `set`. The task has not ended. The
    /// hook runs no user code. There is one such hook at most.
    pub(in crate::task) fn at_end(&self, set: usize, hook: impl FnOnce() + 'static) {
        let cold = self.header().cold_or_new();
        cold.set.set(set);
        cold.at_end.set(Some(Box::new(hook)));
    }

    /// Whether a task that has not ended belongs to the task set at this address.
    pub(in crate::task) fn is_of_set(&self, set: usize) -> bool {
        self.header().cold().is_some_and(|cold| cold.set.get() == set)
    }

    /// The task of this loop that awaits the handle of this one, if there is one.
    pub(in crate::task) fn joined_by(&self) -> Option<TaskRef> {
        let joiner = self.header().joiner.take();
        let task = joiner.as_ref().and_then(Waiter::task);
        self.header().joiner.set(joiner);
        task
    }
}

fn set_waiter(slot: &Cell<Option<Waiter>>, cx: &Context<'_>) {
    let waiter = match slot.take() {
        Some(waiter) if waiter.will_wake(cx) => waiter,
        _ => Waiter::new(cx),
    };
    slot.set(Some(waiter));
}

impl Clone for TaskRef {
    #[inline]
    fn clone(&self) -> Self {
        let refs = &self.header().local_refs;
        refs.set(refs.get().checked_add(1).expect("fewer than 2^32 references to a task"));
        TaskRef(self.0)
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        let left = &self.header().local_refs;
        left.set(left.get() - 1);
        if left.get() == 0 {
            self.release();
        }
    }
}

impl TaskRef {
    /// Releases what belongs to the owner thread, when the last local reference was dropped. Frees the cell if no waker is left.
    #[inline(never)] // most dropped references are not the last
    fn release(&self) {
        let header = self.header();
        if !self.is_child() {
            self.clear();
        } // A child's output may borrow what was dropped: its child set has dropped the future, and only a handle drops the output.
        if let Some(joiner) = header.joiner.take() {
            contain(|| drop(joiner)); // its waker may be foreign, and the cell is half released
        }
        let shared = header.shared;
        // The fields may hold values of user code, which refer to anything; they can't refer to this task any more.
        // SAFETY: only local references read it, and this was the last.
        let cold = unsafe { (*self.0.as_ptr()).cold.take() };
        if cold.is_some() {
            contain(|| drop(cold));
        }
        // A plain load suffices when there is no waker: no reference is left to make one.
        if header.refs.load(Ordering::Acquire) == LOCAL_REFS
            || header.refs.fetch_sub(LOCAL_REFS, Ordering::AcqRel) == LOCAL_REFS
        {
            // No reference to the header is passed along: it would have to be valid until the call has returned.
            let (memory, layout) = (self.0.cast(), header.vtable().layout);
            let kept = loop_core::with_loop_of(shared, |core| {
                // SAFETY: as below; the memory came from the free lists of this loop, or could have.
                unsafe { core.free_lists.free(memory, layout) };
            });
            if kept.is_none() {
                // SAFETY: no reference of either kind is left, and the stage has been cleared.
                unsafe { free(self.0) };
            }
        }
        // SAFETY: on the owner thread; `new` retained it for this task.
        unsafe { Shared::release(shared) };
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.header();
        f.debug_struct("Task")
            .field("id", &(!header.has(Flags::CHILD)).then(|| header.id()))
            .field("name", &header.cold().and_then(ColdFields::name))
            .field("phase", &header.phase.get())
            .field("pending", &header.pending.get())
            .finish_non_exhaustive()
    }
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
