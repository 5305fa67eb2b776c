//! The task cell: its data, its references, and the rules that make it safe. This file has no behaviour.
//!
//! A task is one allocation, a [`TaskCell`]: a [`Header`], the same for every type of future, and a [`Stage`], which holds
//! the future and then its outcome. A [`Vtable`] hides the type of the stage. The header is small: a task of a small
//! future fits into the 120 bytes up to which the C library's allocator is fastest, and of a million tasks every cache
//! line counts. Rarely used fields are in a box of their own ([`ColdFields`]).
//!
//! A *child* is the same cell for a future that is one of many in the future of a task (`group/children.rs`). It is woken
//! like a task, but its child set polls it, not the scheduler.
//!
//! # References
//!
//! | reference | counted in | where it may be |
//! |---|---|---|
//! | [`TaskRef`], a *local reference*: in the task table, the ready queue, operations, join handles | [`local_refs`](Header::local_refs), not atomic | the owner thread |
//! | [`Waiter`] of a task of this loop: a local reference in the form of a waker | the same | the owner thread |
//! | a [`Waker`] with the functions of `WAKER`, and the inbox while the cell is in it | [`refs`](Header::refs), atomic, 2 each | any thread |
//! | the borrowed waker of a poll | not counted: `poll` holds a local reference | the poll |
//!
//! The *owner thread* is the thread of the task's loop. All local references together count as 1 in `refs`. So a task
//! whose waker is never cloned costs no atomic read-modify-write. The operations, timers, locks and channels of one loop do
//! not clone it: they recognise it and keep a `Waiter`.
//!
//! # Bits
//!
//! [`phase`](Header::phase) tells what is in the stage:
//!
//! ```text
//!          poll             ready              taken or dropped
//!   Idle ---------> Running -------> Complete -----------------> Empty
//!    | ^  pending    |  |                ^
//!    | +-------------+  | panic          | pending == 0
//!    |                  +---------> Reaping
//!    +--------------------------------^
//!      cancelled: the future is dropped
//! ```
//!
//! A task that finishes completes at once, although operations that it has abandoned may still be with the kernel. A task
//! that was cancelled or has panicked stays `Reaping` until [`pending`](Header::pending) is 0. The release of the last local
//! reference of a task drops the content of the stage. A child's content is dropped by its child set or by its handle.
//!
//! [`flags`](Header::flags) are properties, one bit each:
//!
//! | bit | is set | is cleared |
//! |---|---|---|
//! | [`CANCEL_PENDING`](Flags::CANCEL_PENDING) | by a cancellation request | by the run that delivers it; when all requests are taken back |
//! | [`UNSCOPED`](Flags::UNSCOPED) | by a request that no scope is to catch | with `CANCEL_PENDING` |
//! | [`UNCANCELLABLE`](Flags::UNCANCELLABLE) | at the spawn of a task that is never cancelled, such as one that runs cleanups | when the shutdown kills the task |
//! | [`SHUTTING_DOWN`](Flags::SHUTTING_DOWN) | when the shutdown cancels the task, or waits for it | never |
//! | [`KILLED`](Flags::KILLED) | when the shutdown's deadline has passed; on tasks that destructors spawn during a shutdown; on cleanup owners | never |
//! | [`CALLBACK`](Flags::CALLBACK), [`CHILD`](Flags::CHILD), [`BODY`](Flags::BODY) | when the cell is made | never |
//!
//! # Fields
//!
//! | field | the owner thread | any thread that has a waker |
//! |---|---|---|
//! | [`node`](Header::node) | links the nodes that it took out of the inbox | links it, after it has set `posted` |
//! | [`shared`](Header::shared) | reads | reads |
//! | [`refs`](Header::refs) | adds and subtracts | adds and subtracts |
//! | [`posted`](Header::posted) | clears it, when the inbox delivers the task | sets it, before it posts the task; clears it, if the inbox is closed |
//! | [`scheduled`](Header::scheduled) | sets it with a push to the ready queue, clears it with the run | |
//! | [`phase`](Header::phase), [`ended`](Header::ended) | the run, the end, and the taking of the outcome | |
//! | [`join_state`](Header::join_state), [`joiner`](Header::joiner) | the join handle; the end takes the joiner | |
//! | [`local_refs`](Header::local_refs) | clones and drops of `TaskRef` | |
//! | [`flags`](Header::flags), [`cancels`](Header::cancels) | requests, the run, the scheduler | |
//! | [`pending`](Header::pending) | the driver, and tasks that this one waits for | |
//! | [`index`](Header::index), [`identity`](Header::identity), [`spawned_at`](Header::spawned_at) | set when the cell is made (`index`: when it is listed), then read | |
//! | [`cold`](Header::cold) | allocates it on first use; the fields are used on this thread only | |
//! | [`next_ready`](Header::next_ready) | the ready queue that the task is in | |
//! | [`stage`](TaskCell::stage) | the functions of the vtable | |
//!
//! The kernel and the threads of the blocking pool have no reference to a cell. The kernel knows an operation by its key;
//! the slot of the operation, on the owner thread, has a [`TaskRef`] to the task and a [`Waiter`].
//!
//! # Why it is safe
//!
//! - *One thread.* A `TaskRef` and a `Waiter` are not [`Send`]. A waker touches only the four fields of the last column,
//!   unless the loop that runs on its thread is the task's own (`with_loop_of` compares [`shared`](Header::shared)): then
//!   it is on the owner thread. So no other field is touched by two threads.
//! - *One user of the stage.* A poll is started in the phase `Idle` alone and sets `Running` first, so that a run inside it
//!   does nothing. The callers of `cancel`, `take` and `clear` set the next phase first, so that the content is not
//!   used again after a panic or by a nested call. The code that runs a task holds a `TaskRef`, so the cell is not released
//!   meanwhile.
//! - *Pinning.* The future is moved into the cell when the cell is made, and never again. It is dropped in place before the
//!   outcome is written over it.
//! - *One release.* The drop of the last local reference drops the stage, the joiner and the cold fields, and then takes
//!   the 1 from `refs`. No local reference can come back: one is made of a waker only while there are others. The drop that
//!   takes the last part of `refs` frees the memory. Its subtraction acquires what the earlier ones have released, as in
//!   [`Arc`](std::sync::Arc). So the drop of a waker, on any thread, frees bare memory at most.
//! - *The remote side.* `shared` lives as long as the cell: the local references count in it without an atomic
//!   ([`Shared::retain`]), and all wakers of a task hold one count together, which the first clone takes and the last drop
//!   gives back.
//! - *The type.* Only the functions of the vtable know the future's type, and a cell has the vtable with which it was made.
//!   A `JoinHandle<T>` is made together with a cell whose output is `T`.
//! - *A child's [`child_set`](Identity::child_set)* is used only until the child has ended, and the set ends all children
//!   before it is dropped.

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

/// Identity of a cell: the number of a task, or the child set of a child ([`Flags::CHILD`]).
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
    pub(in crate::task) spawned_at: &'static Location<'static>,
}

/// The part of a cell that is the same for every type of future.
#[repr(C)]
pub(crate) struct Header {
    /// The node of the inbox. First, because the inbox hands back a pointer to it. Its kind is the beginning of a [`Vtable`].
    pub(in crate::task) node: Node,
    /// The remote side of the task's loop.
    pub(in crate::task) shared: *const Shared,
    /// The number of wakers, doubled, and 1 for all local references together.
    pub(in crate::task) refs: AtomicU32,
    /// Whether the task is in the inbox.
    pub(in crate::task) posted: AtomicBool,
    // The fields from here on are for the owner thread only.
    /// Whether the task is in a ready queue.
    pub(in crate::task) scheduled: Cell<bool>,
    /// The content of the stage, and whether it is being polled.
    pub(in crate::task) phase: Cell<Phase>,
    pub(in crate::task) join_state: Cell<JoinState>,
    /// The number of local references.
    pub(in crate::task) local_refs: Cell<u32>,
    pub(in crate::task) flags: Cell<Flags>,
    /// The way in which the task has ended. It stays when the outcome is taken or dropped. A task that finishes does not write
    /// it. The byte would otherwise be padding.
    pub(in crate::task) ended: Cell<Ended>,
    /// The number of cancellation requests that were not taken back, as asyncio counts them.
    pub(in crate::task) cancels: Cell<u16>,
    /// The number of things that a cancelled task waits for before it completes: operations that the driver still holds,
    /// abandoned ones included, tasks that it has cancelled, its cleanup task.
    pub(in crate::task) pending: Cell<u32>,
    /// The key of the task in the scheduler's table, or of the child in its child set.
    pub(in crate::task) index: Cell<u32>,
    pub(in crate::task) identity: Identity,
    pub(in crate::task) spawned_at: &'static Location<'static>,
    pub(in crate::task) cold: OnceCell<Box<ColdFields>>,
    /// The waiter of the join handle.
    pub(in crate::task) joiner: Cell<Option<Waiter>>,
    /// The next task in the ready queue.
    pub(in crate::task) next_ready: Cell<Option<NonNull<Header>>>,
}

/// Functions for one type of future and one report policy. They are defined in `stage.rs`, which says what each requires.
#[repr(C)]
pub(in crate::task) struct Vtable {
    /// The functions of the inbox. First, because a task's node points to it.
    pub(in crate::task) node: NodeKind,
    /// Polls the future. When it is ready or panics, replaces it by its outcome.
    pub(in crate::task) poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> Polled,
    /// Drops the future, and replaces it by `JoinError::Cancelled`, or by the panic of its drop.
    pub(in crate::task) cancel: unsafe fn(NonNull<Header>) -> Ended,
    /// Moves the outcome into a `Poll<Result<T, JoinError>>`.
    pub(in crate::task) take: unsafe fn(NonNull<Header>, *mut ()),
    /// Drops the content of the stage.
    pub(in crate::task) clear: unsafe fn(NonNull<Header>),
    /// Returns the unhandled error in an outcome that was not taken.
    pub(in crate::task) unhandled: unsafe fn(NonNull<Header>) -> Option<Unhandled>,
    /// Whether the outcome is a panic, a cancellation, or a value that counts as an error.
    pub(in crate::task) failed: unsafe fn(NonNull<Header>) -> bool,
    /// Returns a pointer to the outcome.
    pub(in crate::task) outcome: unsafe fn(NonNull<Header>) -> *const (),
    pub(in crate::task) layout: Layout,
}

/// The allocation of a task: header and stage.
#[repr(C)]
pub(in crate::task) struct TaskCell<F: Future> {
    pub(in crate::task) header: Header,
    pub(in crate::task) stage: UnsafeCell<Stage<F>>,
}

/// The future of a task, and later its outcome. In the phase `Empty` the value was moved out or dropped.
pub(in crate::task) enum Stage<F: Future> {
    Future(F),
    Outcome(Result<F::Output, JoinError>),
}

/// A local reference to a task, on its owner thread; `!Send`.
pub(crate) struct TaskRef(pub(in crate::task) NonNull<Header>);

/// A waiter for an event of this thread's loop: a local reference to a task of the loop, or any other waker.
///
/// It has the layout of a waker. If it stands for a task, its functions are those of `LOCAL_WAKER` (`waker.rs`), which count
/// local references and not wakers; so it never leaves its thread, and user code never sees it.
///
/// Dropping a foreign waker runs user code. A panic of that code is caught here: it does not concern the holder of the
/// waiter, which may be unwinding, or in the middle of a change.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// The waker. It is taken out once, by `wake` or by the drop.
    pub(in crate::task) waker: ManuallyDrop<Waker>,
    pub(in crate::task) thread: PhantomData<*const ()>,
}

/// Rarely used task fields, allocated on first use.
#[derive(Default)]
pub(in crate::task) struct ColdFields {
    pub(in crate::task) name: Option<Rc<str>>,
    /// The task-locals. Tasks that this one spawned share them until one of the tasks sets a value.
    pub(in crate::task) locals: RefCell<Option<Rc<Values>>>,
    /// Callbacks for the end of the task.
    pub(in crate::task) callbacks: DoneCallbacks<TaskRef>,
    /// The scopes that catch cancellation requests, and those of time limits.
    pub(in crate::task) scopes: Scopes,
    /// Cleanups that have not started, and run before the task completes.
    pub(in crate::task) cleanups: RefCell<Option<CleanupQueue>>,
    /// Tasks that complete only after this one.
    pub(in crate::task) end_waiters: RefCell<Vec<TaskRef>>,
    /// For the body of a group: the task or child that runs the group.
    pub(in crate::task) runner: RefCell<Option<TaskRef>>,
    /// The waiter of the task's group, beside that of its handle.
    pub(in crate::task) group: Cell<Option<Waiter>>,
    /// The address of the task set that the task belongs to, for comparison; 0 if there is none.
    pub(in crate::task) set: Cell<usize>,
    /// The hook by which the task set learns of the end of the task.
    pub(in crate::task) at_end: Cell<Option<Box<dyn FnOnce()>>>,
}

/// The task-locals of a task, each with the address of its key.
#[derive(Clone, Default)]
pub(in crate::task) struct Values(pub(in crate::task) Vec<(usize, Rc<dyn Any>)>);

/// Cleanups that have not started, and the task that will run them.
#[derive(Clone)]
pub(in crate::task) struct CleanupQueue {
    pub(in crate::task) task: TaskRef,
    pub(in crate::task) queue: Rc<RefCell<VecDeque<Cleanup>>>,
}

/// A cleanup: a future that closes what a dropped future had open.
pub(in crate::task) struct Cleanup {
    pub(in crate::task) future: Pin<Box<dyn Future<Output = io::Result<()>>>>,
    /// The line where user code registered the cleanup. The report of a failure names it.
    pub(in crate::task) registered_at: &'static Location<'static>,
}

/// Callbacks and waiters for the end of a task or the outcome of a promise, in the order in which they were added.
pub(in crate::task) struct DoneCallbacks<A> {
    /// The entries, with rising numbers. `None` where one was removed.
    pub(in crate::task) list: RefCell<Vec<(u64, Option<DoneCallback<A>>)>>,
    /// The number of removed entries in the list.
    pub(in crate::task) removed: Cell<usize>,
    pub(in crate::task) next_id: Cell<u64>,
}

/// A callback or waiter in a list of [`DoneCallbacks`].
pub(in crate::task) enum DoneCallback<A> {
    /// A closure that schedules a callback.
    Call(Box<dyn FnOnce(A)>),
    Wake(Waiter),
}

/// The scopes of one task.
#[derive(Debug, Default)]
pub(in crate::task) struct Scopes {
    pub(in crate::task) all: RefCell<Slab<Rc<Scope>>>,
    /// The innermost scope whose future is being polled.
    pub(in crate::task) current: RefCell<Option<Rc<Scope>>>,
    /// The innermost child of a group in the task that is being polled. It has scopes of its own.
    pub(in crate::task) child: RefCell<Option<TaskRef>>,
    /// The request because of which a future is being dropped now. Requests that were handled in that future are merged into it.
    pub(in crate::task) dropped_by: RefCell<Option<Rc<Request>>>,
    /// The number of requests that were caught and are being handled, including those of bodies of groups in the task.
    pub(in crate::task) handled: Cell<usize>,
    /// Whether a cancellation request was postponed until no request is being handled.
    pub(in crate::task) is_postponed: Cell<bool>,
}

/// A scope of a task: the inside of a `catch_cancel`, or of a time limit.
pub(in crate::task) struct Scope {
    /// The scope around this one.
    pub(in crate::task) parent: Option<Rc<Scope>>,
    /// The state of a time limit; `None` for a scope that catches requests.
    pub(in crate::task) limit: Option<Limit>,
    /// The number of scopes directly inside that a request would reach, or that have such scopes inside.
    pub(in crate::task) inner: Cell<usize>,
    /// Whether no further request reaches the scope: it has caught one, or it is a limit whose request no scope inside could
    /// catch, or it has ended.
    pub(in crate::task) triggered: Cell<bool>,
    /// The caught request, until the owner of the scope takes it.
    pub(in crate::task) caught: Cell<Option<CaughtRequest>>,
    /// The poller of the scope's future.
    pub(in crate::task) waiter: Cell<Option<Waiter>>,
}

/// State of a scope that is the inside of a time limit.
#[derive(Debug, Default)]
pub(in crate::task) struct Limit {
    /// Whether the task counts the request of this limit.
    pub(in crate::task) counted: Cell<bool>,
    /// Whether the time is up, and the future is being polled once more before the request is delivered.
    pub(in crate::task) last_poll: Cell<bool>,
    /// Whether a limit inside expired at the same moment, and leaves the request to this one.
    pub(in crate::task) has_joined: Cell<bool>,
}

/// The reference of a scope to a request that it has caught. Its drop counts as handling the request, which then continues
/// unless it was suppressed.
pub(in crate::task) struct CaughtRequest {
    pub(in crate::task) request: Rc<Request>,
    pub(in crate::task) suppressed: bool,
}

/// A cancellation request that one or several scopes have caught.
pub(in crate::task) struct Request {
    pub(in crate::task) task: TaskRef,
    pub(in crate::task) origin: Origin,
    /// The origins of requests that were being handled in a future that this request has ended.
    pub(in crate::task) merged: RefCell<Vec<Origin>>,
    /// Whether a scope that had caught it has not suppressed it: then it continues to the enclosing scope.
    pub(in crate::task) continues: Cell<bool>,
    /// Waiters for the moment when all scopes have handled the request.
    pub(in crate::task) waiting: RefCell<Vec<Waiter>>,
    /// Last, so that a postponed request is made after this one has continued.
    pub(in crate::task) _handling: HandlingGuard,
}

/// While it lives, the task handles a request, and so do the tasks and children that run the group if it is a body.
pub(in crate::task) struct HandlingGuard(pub(in crate::task) Vec<TaskRef>);

/// The sender of a request, and what it is to end.
#[derive(Clone)]
pub(in crate::task) enum Origin {
    /// A request for the task. If it is not counted, it came out of an await.
    Task { counted: bool },
    /// The request of a time limit, for the code inside.
    Limit(Rc<Scope>),
}

/// The part of a child set that its children refer to.
pub(in crate::task) struct ChildSetCore {
    pub(in crate::task) ready: ReadyQueue<TaskRef>,
    /// The waiter that polls the child set, until it is woken.
    pub(in crate::task) owner: Cell<Option<Waiter>>,
    /// The children that have not ended.
    pub(in crate::task) children: RefCell<Slab<TaskRef>>,
    /// The remote side of the loop in which the first child was made.
    pub(in crate::task) shared: OnceCell<LocalShared>,
}
