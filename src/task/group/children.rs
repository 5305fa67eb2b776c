//! Child sets: many futures in the future of one task, each polled only when it was woken.
//!
//! Polling all of a thousand futures whenever one of them is ready costs a thousand polls each time. Here each child has a
//! cell like a task's, with a waker of its own. A wake puts the child into the ready queue of its set and wakes the owner
//! of the set. On the owner thread a wake costs no atomics, as that of a task. Only the owner polls and drops the futures,
//! so they may borrow what the owner may.
//!
//! Operations and cancellations of the children belong to the owner's task. Each child has its own task-locals, which start
//! with those of the moment when it was made, as in asyncio's tasks. The children of [`ScopedChildren`] can be cancelled one
//! by one.

use std::cell::{Cell, OnceCell, RefCell, UnsafeCell};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::{Context, Poll};

use slab::Slab;

use crate::sys::guarded::Guarded;
use crate::task::cancel::cleanup::{PendingCleanup, drop_and_track};
use crate::task::cancel::scopes;
use crate::task::cell::error::JoinError;
use crate::task::cell::layout::{ChildSetCore, ColdFields, Identity, TaskInit, TaskRef, Waiter};
use crate::task::cell::loop_core;
use crate::task::cell::state::{Flags, Phase, Polled};
use crate::task::handle::join::JoinHandle;
use crate::task::ready::ReadyQueue;
use crate::task::report::unhandled::Opaque;
use crate::task::threads::inbox::LocalShared;

const GONE: &str = "futures of a gather or a group belong to a runtime that has ended; gather them in the runtime that awaits them";

impl ChildSetCore {
    fn new(capacity: usize) -> Rc<Self> {
        let children = RefCell::new(Slab::with_capacity(capacity));
        Rc::new(ChildSetCore {
            ready: ReadyQueue::new(),
            owner: Cell::new(None),
            children,
            shared: OnceCell::new(),
        })
    }

    /// Adds a future, which is polled with the next poll of the child set.
    ///
    /// # Safety
    /// The child ends, and with it the future, before the end of anything that the future borrows.
    #[track_caller]
    unsafe fn add<F: Future>(&self, future: F, name: Option<Rc<str>>, flags: Flags) -> TaskRef {
        let spawned_at = Location::caller();
        let child = loop_core::expect("a set of futures", |core| {
            self.shared.get_or_init(|| LocalShared::new(core.shared()));
            let locals = if flags.is(Flags::BODY) { None } else { core.locals() };
            let init = TaskInit {
                identity: Identity { child_set: NonNull::from(self) },
                flags: Flags::CHILD.with(flags),
                scheduled: true,
                cold: ColdFields::new(name, locals),
                spawned_at,
            };
            TaskRef::new::<F, Opaque>(future, core, init)
        });
        let key = self.children.borrow_mut().insert(child.clone());
        child.header().index.set(u32::try_from(key).expect("fewer than 2^32 futures"));
        child
    }

    /// Takes the next child that was woken and has not ended from the ready queue. Returns `None` after `left` entries.
    fn next_woken(&self, left: &mut usize) -> Option<TaskRef> {
        while *left > 0 {
            *left -= 1;
            let child = self.ready.pop()?;
            child.mark_polled();
            match child.phase() {
                Phase::Idle => return Some(child),
                Phase::Running => unreachable!("a child polls the child set that it is one of"),
                Phase::Reaping | Phase::Complete | Phase::Empty => {}
            }
        }
        None
    }

    /// Removes a child that has ended.
    fn remove(&self, child: &TaskRef) {
        let removed = self.children.borrow_mut().try_remove(key(child));
        debug_assert!(removed.is_some_and(|removed| removed.same(child)));
    }

    /// Waits for the next wake. It is ready when there are no children.
    ///
    /// # Panics
    /// When no wake can come, because the loop in which the children were made has ended.
    fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        if self.children.borrow().is_empty() {
            return Poll::Ready(());
        }
        assert!(!self.shared.get().is_some_and(|shared| shared.is_closed()), "{GONE}");
        if self.ready.is_empty() {
            let owner = match self.owner.take() {
                Some(owner) if owner.will_wake(cx) => owner,
                _ => Waiter::new(cx),
            };
            self.owner.set(Some(owner));
        } else {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

fn key(child: &TaskRef) -> usize {
    child.header().index.get() as usize
}

/// The key of a future that has ended, and its output or panic.
pub(crate) type ChildEnded<T> = (usize, Result<T, JoinError>);

/// A set of futures of one type, in no order. The owner of the set polls it.
pub(crate) struct ChildSet<F: Future> {
    /// The part to which the children hold a pointer. It is in an `Rc`, so that its address stays the same.
    core: Rc<ChildSetCore>,
    /// The futures are in the cells, but the child set owns them.
    futures: PhantomData<UnsafeCell<F>>,
}

impl<F: Future> Unpin for ChildSet<F> {}

impl<F: Future> ChildSet<F> {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        ChildSet { core: ChildSetCore::new(capacity), futures: PhantomData }
    }

    pub(crate) fn new() -> Self {
        Self::with_capacity(0)
    }

    pub(crate) fn len(&self) -> usize {
        self.core.children.borrow().len()
    }

    /// Adds a future, which is polled with the next poll of the child set, and returns its key. A key is used again after its
    /// future has ended. Futures that are added before the first poll have the keys 0, 1, 2 and so on.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub(crate) fn push(&mut self, future: F) -> usize {
        // SAFETY: the drop of the child set ends the child, and the future counts as the child set's own.
        let child = unsafe { self.core.add(future, None, Flags::NONE) };
        self.core.child_woken(child.clone());
        key(&child)
    }

    /// The number of woken futures. A caller that takes no more than these from [`step`](Self::step) polls each once at
    /// most, so that a future that is always ready does not starve the others.
    pub(crate) fn generation(&self) -> usize {
        self.core.ready.len()
    }

    /// Polls woken futures until one has ended, and returns its key and its output or panic. Returns `None` after `left` polls.
    pub(crate) fn step(&mut self, left: &mut usize) -> Option<ChildEnded<F::Output>> {
        while let Some(child) = self.core.next_woken(left) {
            if child.poll_child() != Polled::Pending {
                self.core.remove(&child);
                // SAFETY: the cells of this child set were made with futures of type `F`.
                return Some((key(&child), unsafe { outcome::<F::Output>(&child) }));
            }
        }
        None
    }

    /// Waits for the next wake of a future. It is ready when all have ended.
    pub(crate) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        self.core.poll_empty(cx)
    }

    /// Waits until one of the futures has ended, and returns its key and its output or panic; `None` if there are none.
    pub(crate) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<ChildEnded<F::Output>>> {
        let mut left = self.generation();
        match self.step(&mut left) {
            None => self.poll_empty(cx).map(|()| None),
            ended => Poll::Ready(ended),
        }
    }
}

/// Takes the outcome of a child that has ended.
///
/// # Safety
/// The output of the child's future is a `T`, and the outcome is in the cell.
unsafe fn outcome<T>(child: &TaskRef) -> Result<T, JoinError> {
    child.header().phase.set(Phase::Complete);
    // SAFETY: by the caller's word.
    match unsafe { child.take::<T>() } {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("a child that has ended has its outcome"),
    }
}

impl<F: Future> Drop for ChildSet<F> {
    fn drop(&mut self) {
        let mut guarded = Guarded::default();
        let children = self.core.children.take();
        for (_, child) in &children {
            child.drop_child();
            // SAFETY: the cells of this child set were made with futures of type `F`, and the drop has left an outcome.
            if let Err(JoinError::Panicked(panic)) = unsafe { outcome::<F::Output>(child) } {
                guarded.run(|| resume_unwind(panic.into_payload()));
            }
        }
        // Children that are still in the ready queue have ended: the queue frees their memory.
        guarded.finish();
    }
}

impl<F: Future> fmt::Debug for ChildSet<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSet").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The children of a group: futures of any types, each with a handle for its output, which can be cancelled like tasks.
///
/// It is used by shared reference: a child may add others. The futures may borrow what lives for `'a`. A handle that is
/// forgotten leaks the output.
pub(in crate::task) struct ScopedChildren<'a> {
    core: Rc<ChildSetCore>,
    /// Cancelled children whose cleanup is pending.
    ending: RefCell<ChildSet<CancelledChild>>,
    futures: PhantomData<UnsafeCell<Box<dyn Future<Output = ()> + 'a>>>,
}

impl<'a> ScopedChildren<'a> {
    pub(in crate::task) fn new() -> Self {
        ScopedChildren {
            core: ChildSetCore::new(0),
            ending: RefCell::new(ChildSet::new()),
            futures: PhantomData,
        }
    }

    /// Adds a future, which is polled with the next poll of these children.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub(in crate::task) fn push<F: Future + 'a>(
        &self,
        future: F,
        options: ChildOptions,
    ) -> JoinHandle<F::Output> {
        // SAFETY: the drop of the scoped children ends the child, and it counts as the owner of what lives for `'a`.
        let child = unsafe { self.core.add(future, options.name, options.flags) };
        if options.eager {
            child.mark_polled();
            self.run(&child);
        } else {
            self.core.child_woken(child.clone());
        }
        JoinHandle::new(child)
    }

    /// Requests cancellation of all children.
    pub(in crate::task) fn cancel_all(&self) {
        let children: Vec<TaskRef> =
            self.core.children.borrow().iter().map(|(_, child)| child.clone()).collect();
        for child in children {
            child.request_cancel();
        }
    }

    /// Polls woken children, each at most once, and drops those with a pending cancellation. It is ready when all have ended,
    /// including the cleanup of cancelled ones.
    pub(in crate::task) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut left = self.core.ready.len();
        while let Some(child) = self.core.next_woken(&mut left) {
            if child.take_request() {
                let pending = drop_and_track(|| child.drop_child());
                self.ending.borrow_mut().push(CancelledChild { child, pending });
            } else {
                self.run(&child);
            }
        }
        while let Poll::Ready(Some((_, Ok(child)))) = self.poll_ending(cx) {
            self.end(&child);
        }
        self.core.poll_empty(cx)
    }

    fn run(&self, child: &TaskRef) {
        if scopes::inside(child, || child.poll_child()) != Polled::Pending {
            self.end(child);
        }
    }

    fn poll_ending(&self, cx: &Context<'_>) -> Poll<Option<ChildEnded<TaskRef>>> {
        self.ending.borrow_mut().poll_next(cx) // no user code
    }

    fn end(&self, child: &TaskRef) {
        self.core.remove(child);
        child.complete();
    }
}

/// Options of a scoped child.
#[derive(Debug)]
pub(in crate::task) struct ChildOptions {
    pub(in crate::task) name: Option<Rc<str>>,
    pub(in crate::task) flags: Flags,
    /// The child is polled inside the call that adds it.
    pub(in crate::task) eager: bool,
}

impl ChildOptions {
    pub(in crate::task) fn new(name: Option<Rc<str>>, eager: bool) -> Self {
        ChildOptions { name, flags: Flags::NONE, eager }
    }

    /// Options of a group's body. It is part of the task's own code and has that task's task-locals.
    pub(in crate::task) fn body() -> Self {
        ChildOptions { name: None, flags: Flags::BODY, eager: false }
    }
}

/// Future that waits for the pending cleanup of a cancelled child, and returns the child.
struct CancelledChild {
    child: TaskRef,
    pending: PendingCleanup,
}

impl Future for CancelledChild {
    type Output = TaskRef;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TaskRef> {
        Pin::new(&mut self.pending).poll(cx).map(|()| self.child.clone())
    }
}

impl Drop for ScopedChildren<'_> {
    fn drop(&mut self) {
        // All children must end, since they have the address of what is dropped now.
        let mut guarded = Guarded::default();
        let children = self.core.children.take();
        for (_, child) in &children {
            if child.phase() == Phase::Idle {
                child.drop_child(); // a panic of the destructor is in the outcome
            }
            guarded.run(|| child.complete()); // wakes waiters, which may run user code
        }
        guarded.finish();
    }
}

impl fmt::Debug for ScopedChildren<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedChildren")
            .field("len", &self.core.children.borrow().len())
            .finish_non_exhaustive()
    }
}

impl TaskRef {
    /// Polls a child, with its own task-locals.
    #[inline]
    fn poll_child(&self) -> Polled {
        self.with_own_locals(|| self.poll())
    }

    /// Drops the future of a child, with its own task-locals.
    fn drop_child(&self) {
        self.with_own_locals(|| self.drop_future());
    }

    #[inline]
    fn with_own_locals<T>(&self, f: impl FnOnce() -> T) -> T {
        if self.header().has(Flags::BODY) {
            return f();
        }
        loop_core::with(|current| match current {
            Some(core) => core.with_locals_of(self, f),
            None => f(),
        })
    }
}
