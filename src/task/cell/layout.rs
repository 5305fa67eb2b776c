//! The data of a task cell, without behaviour: one allocation that holds a future, then its result, and everything else about
//! a task.
//!
//! Three kinds of reference keep a cell. *Local references* ([`TaskRef`]: the task table, the ready queue,
//! slots, timers, the join handle) stay on the loop's thread and count without atomics. *Wakers* may go
//! anywhere and count with them. All local references together hold one caught of the atomic count, so that a
//! task whose waker is never cloned costs no atomic read-modify-write at all; and nothing of ours clones
//! it: our own operations recognise our own waker and take a local reference (see [`Waiter`]).
//!
//! The future and its output are made, polled and dropped on the owner thread only. A waker that outlives
//! everything else frees bare memory.
//!
//! The remote side (`shared`) is kept alive by the local references, with a count that is not atomic, and by the
//! wakers of a task together: the first clone takes a count of it, the last one gives it back.
//!
//! A cell is a [`Header`], the same for every type of future, and a [`Stage`], which a table of functions ([`Vtable`]) hides.
//! The header is small on purpose: a task of a small future fits into the 120 bytes up to which the C library's allocator is
//! quickest, and of a million tasks every line of the cache counts. Rarely used fields are in a box of their own
//! ([`ColdFields`]).
//!
//! The same cell holds a *child*: a future that is one of many in the future of a task (`group/children.rs`). It is woken like a
//! task, but its child set polls it, not the scheduler.

use std::alloc::Layout;
use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::{Context, Waker};

use slab::Slab;

use super::error::{Ended, JoinError, TaskId};
use super::state::{Flags, JoinState, Phase, Polled};
use crate::sys::sync::atomic::{AtomicBool, AtomicU32};
use crate::task::ready::ReadyQueue;
use crate::task::report::unhandled::Unhandled;
use crate::task::threads::inbox::{LocalShared, Node, NodeKind, Shared};

/// Of a task its number; of a child its child set.
#[derive(Clone, Copy)]
pub(in crate::task) union Identity {
    pub(in crate::task) id: TaskId,
    pub(in crate::task) child_set: NonNull<ChildSetCore>,
}

/// Initial values of a task cell.
pub(in crate::task) struct TaskInit {
    pub(in crate::task) identity: Identity,
    pub(in crate::task) flags: Flags,
    /// The caller puts the task into a ready queue.
    pub(in crate::task) scheduled: bool,
    pub(in crate::task) cold: Option<Box<ColdFields>>,
    pub(in crate::task) place: &'static Location<'static>,
}

/// The part of a cell that is the same for every type of future.
#[repr(C)]
pub(crate) struct Header {
    /// First, because the inbox hands back a pointer to it. Its kind is the beginning of a [`Vtable`].
    pub(in crate::task) node: Node,
    pub(in crate::task) shared: *const Shared,
    pub(in crate::task) refs: AtomicU32,
    /// In the inbox already.
    pub(in crate::task) posted: AtomicBool,
    // From here on: for the owner thread only.
    pub(in crate::task) scheduled: Cell<bool>,
    pub(in crate::task) phase: Cell<Phase>,
    pub(in crate::task) join_state: Cell<JoinState>,
    pub(in crate::task) local_refs: Cell<u32>,
    pub(in crate::task) flags: Cell<Flags>,
    /// The way the task ended, once it has: it stays when the outcome is taken or dropped. This byte would be padding. A task
    /// that finishes does not write it.
    pub(in crate::task) ended: Cell<Ended>,
    /// Cancellations asked for, counted as asyncio does.
    pub(in crate::task) cancels: Cell<u16>,
    /// The number of things that a cancelled task waits for before it completes: operations that the driver still holds,
    /// abandoned ones included, tasks that it has cancelled, its cleanup.
    pub(in crate::task) ops: Cell<u32>,
    /// Place in the scheduler's table.
    pub(in crate::task) index: Cell<u32>,
    pub(in crate::task) identity: Identity,
    /// Where it was spawned.
    pub(in crate::task) place: &'static Location<'static>,
    pub(in crate::task) cold: OnceCell<Box<ColdFields>>,
    pub(in crate::task) joiner: Cell<Option<Waiter>>,
    /// The next in the ready queue.
    pub(in crate::task) next_ready: Cell<Option<NonNull<Header>>>,
}

#[repr(C)]
pub(in crate::task) struct Vtable {
    /// First, because a task's node points to it.
    pub(in crate::task) node: NodeKind,
    /// Polls the future, and puts its outcome in its place when there is one. Catches panics.
    pub(in crate::task) poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> Polled,
    /// Drops the future and puts `JoinError::Cancelled` (or the panic of its drop) in its place.
    pub(in crate::task) cancel: unsafe fn(NonNull<Header>) -> Ended,
    /// Moves the outcome to where the pointer (to a `Poll<Result<T, JoinError>>`) says.
    pub(in crate::task) take: unsafe fn(NonNull<Header>, *mut ()),
    /// Drops whatever the stage holds.
    pub(in crate::task) clear: unsafe fn(NonNull<Header>),
    /// The unhandled error in an outcome that was not taken.
    pub(in crate::task) unhandled: unsafe fn(NonNull<Header>) -> Option<Unhandled>,
    /// Whether the outcome is no value, or a value that counts as an error.
    pub(in crate::task) failed: unsafe fn(NonNull<Header>) -> bool,
    /// Points to the outcome.
    pub(in crate::task) outcome: unsafe fn(NonNull<Header>) -> *const (),
    pub(in crate::task) layout: Layout,
}

#[repr(C)]
pub(in crate::task) struct TaskCell<F: Future> {
    pub(in crate::task) header: Header,
    pub(in crate::task) stage: UnsafeCell<Stage<F>>,
}

pub(in crate::task) enum Stage<F: Future> {
    Future(F),
    Outcome(Result<F::Output, JoinError>),
}

/// A reference to a task from its owner thread; `!Send`.
pub(crate) struct TaskRef(pub(in crate::task) NonNull<Header>);

/// A waiter for something of this thread's loop: a task of the loop, by a local reference, or any waker.
///
/// It is a waker by its looks, and no larger. Where it stands for a task, its functions are those of `LOCAL_WAKER` (`waker.rs`), which
/// count local references and not wakers; so it never leaves its thread, and user code never sees it.
///
/// Dropping a foreign waker runs user code. A panic in it ends here: it does not concern the holder of the waiter,
/// which may be half done or unwinding.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Taken out once, by `wake` or by the drop.
    pub(in crate::task) waker: ManuallyDrop<Waker>,
    pub(in crate::task) thread: PhantomData<*const ()>,
}

/// Rarely used task fields, allocated on first use.
#[derive(Default)]
pub(in crate::task) struct ColdFields {
    pub(in crate::task) name: Option<Rc<str>>,
    /// Its task-locals, shared with tasks that it spawned until one of them sets another value.
    pub(in crate::task) locals: RefCell<Option<Rc<Values>>>,
    /// Callbacks for its end.
    pub(in crate::task) callbacks: Watchers<TaskRef>,
    /// Where a cancellation is caught, in the order in which they began.
    pub(in crate::task) scopes: Scopes,
    /// Cleanups that have not started, and run before the task completes.
    pub(in crate::task) cleanups: RefCell<Option<CleanupQueue>>,
    /// Tasks that complete only after this one.
    pub(in crate::task) end_waiters: RefCell<Vec<TaskRef>>,
    /// Of the body of a group: the task, or child of a group, that runs it.
    pub(in crate::task) runner: RefCell<Option<TaskRef>>,
    /// Its group, which waits for its end beside the waiter of its handle.
    pub(in crate::task) group: Cell<Option<Waiter>>,
    /// The address of its set, until it has ended; 0 without one.
    pub(in crate::task) set: Cell<usize>,
    /// Its set, to be told of its end at once.
    pub(in crate::task) at_end: Cell<Option<Box<dyn FnOnce()>>>,
}

/// The values of a task, by the addresses of their keys.
#[derive(Clone, Default)]
pub(in crate::task) struct Values(pub(in crate::task) Vec<(usize, Rc<dyn Any>)>);

/// Cleanups that have not started, and the task that will run them.
#[derive(Clone)]
pub(in crate::task) struct CleanupQueue {
    pub(in crate::task) task: TaskRef,
    pub(in crate::task) queue: Rc<RefCell<VecDeque<Cleanup>>>,
}

pub(in crate::task) struct Cleanup {
    pub(in crate::task) future: Pin<Box<dyn Future<Output = io::Result<()>>>>,
    /// The line where user code registered the cleanup. The report of a failure names it.
    pub(in crate::task) place: &'static Location<'static>,
}

/// Callbacks and waiting tasks of something that has not ended, in one order.
pub(in crate::task) struct Watchers<A> {
    /// With rising numbers. None where one was taken back.
    pub(in crate::task) list: RefCell<Vec<(u64, Option<Watcher<A>>)>>,
    pub(in crate::task) taken_back: Cell<usize>,
    pub(in crate::task) next_id: Cell<u64>,
}

pub(in crate::task) enum Watcher<A> {
    /// Schedules a callback.
    Call(Box<dyn FnOnce(A)>),
    Wake(Waiter),
}

/// The scopes of one task.
#[derive(Debug, Default)]
pub(in crate::task) struct Scopes {
    pub(in crate::task) all: RefCell<Slab<Rc<Scope>>>,
    /// The one whose future is being polled.
    pub(in crate::task) current: RefCell<Option<Rc<Scope>>>,
    /// Of the children of groups in the task, the innermost that is being polled: it has scopes of its own.
    pub(in crate::task) child: RefCell<Option<TaskRef>>,
    /// The request because of which a future is being dropped now. Requests that were handled in that future are merged into it.
    pub(in crate::task) dropped_by: RefCell<Option<Rc<Request>>>,
    /// Requests that were caught and are being handled, those of bodies of groups in the task included.
    pub(in crate::task) handled: Cell<usize>,
    /// The task is to be asked to end when none is being handled any more.
    pub(in crate::task) is_postponed: Cell<bool>,
}

pub(in crate::task) struct Scope {
    /// The scope around this one.
    pub(in crate::task) parent: Option<Rc<Scope>>,
    /// None for a scope that catches.
    pub(in crate::task) limit: Option<Limit>,
    /// Scopes directly inside that a request would reach, or have such scopes inside.
    pub(in crate::task) inner: Cell<usize>,
    /// It has a request: it has caught one, or is the limit that nothing inside could catch for. Or it has ended.
    pub(in crate::task) triggered: Cell<bool>,
    /// Until its owner takes it.
    pub(in crate::task) caught: Cell<Option<CaughtRequest>>,
    pub(in crate::task) waiter: Cell<Option<Waiter>>,
}

/// The inside of a time limit.
#[derive(Debug, Default)]
pub(in crate::task) struct Limit {
    /// Its request is counted by the task.
    pub(in crate::task) counted: Cell<bool>,
    /// Its time is up, and its future is being polled once more before the request is delivered.
    pub(in crate::task) last_poll: Cell<bool>,
    /// A limit inside was up at the same moment, and leaves the rest to this one.
    pub(in crate::task) has_joined: Cell<bool>,
}

/// The caught of one scope in a request that it has caught; when it is dropped, the request continues.
pub(in crate::task) struct CaughtRequest {
    pub(in crate::task) request: Rc<Request>,
    pub(in crate::task) suppressed: bool,
}

/// A request that was caught, once or several times.
pub(in crate::task) struct Request {
    pub(in crate::task) task: TaskRef,
    pub(in crate::task) origin: Origin,
    /// Those that were being handled in what this one has ended.
    pub(in crate::task) merged: RefCell<Vec<Origin>>,
    /// A scope that has caught it has not suppressed it.
    pub(in crate::task) continues: Cell<bool>,
    /// Woken when all scopes are through.
    pub(in crate::task) waiting: RefCell<Vec<Waiter>>,
    /// Last: what was put off follows when this has gone on.
    pub(in crate::task) _handling: HandlingGuard,
}

/// The task, and those around a body of a group, handle a request as long as this is there.
pub(in crate::task) struct HandlingGuard(pub(in crate::task) Vec<TaskRef>);

/// The sender of a request, and what it is to end.
#[derive(Clone)]
pub(in crate::task) enum Origin {
    /// The task. One that is not counted came out of an await.
    Task { counted: bool },
    /// The code inside a time limit.
    Limit(Rc<Scope>),
}

/// The part of a child set that its children refer to.
pub(in crate::task) struct ChildSetCore {
    pub(in crate::task) ready: ReadyQueue<TaskRef>,
    /// The waiter that polls the child set, until it is woken.
    pub(in crate::task) owner: Cell<Option<Waiter>>,
    /// Those that have not ended.
    pub(in crate::task) children: RefCell<Slab<TaskRef>>,
    /// The loop in which the first of them was made.
    pub(in crate::task) shared: OnceCell<LocalShared>,
}
