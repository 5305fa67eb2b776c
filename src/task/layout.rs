//! What a task consists of: all its data, without behaviour.
//!
//! The header is the same for every type of future, and small on purpose: a task of a small future fits into the 120 bytes
//! up to which the C library's allocator is quickest, and of a million tasks every line of the cache counts. Rarely used
//! fields are in a box of their own ([`Extra`]).

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
use super::inbox::{Home, Node, NodeKind, Shared};
use super::ready::ReadyQueue;
use super::state::{Flags, Joining, Phase, Polled};
use super::unhandled::Unhandled;
use crate::sys::sync::atomic::{AtomicBool, AtomicU32};

/// Of a task its number; of a child its brood.
#[derive(Clone, Copy)]
pub(super) union Identity {
    pub(super) id: TaskId,
    pub(super) brood: NonNull<Core>,
}

/// The initial values of a cell.
pub(super) struct Birth {
    pub(super) identity: Identity,
    pub(super) flags: Flags,
    /// It goes into the ready queue at once.
    pub(super) scheduled: bool,
    pub(super) extra: Option<Box<Extra>>,
    pub(super) place: &'static Location<'static>,
}

/// The part of a cell that is the same for every type of future.
#[repr(C)]
pub(crate) struct Header {
    /// First, because the inbox hands back a pointer to it. Its kind is the beginning of a [`Vtable`].
    pub(super) node: Node,
    pub(super) shared: *const Shared,
    pub(super) refs: AtomicU32,
    /// In the inbox already.
    pub(super) posted: AtomicBool,
    // From here on: for the home thread only.
    pub(super) scheduled: Cell<bool>,
    pub(super) phase: Cell<Phase>,
    pub(super) joining: Cell<Joining>,
    pub(super) home_refs: Cell<u32>,
    pub(super) flags: Cell<Flags>,
    /// The way the task ended, once it has: it stays when the outcome is taken or dropped. This byte would be padding. A task
    /// that finishes does not write it.
    pub(super) ended: Cell<Ended>,
    /// Cancellations asked for, counted as asyncio does.
    pub(super) cancels: Cell<u16>,
    /// The number of things that a cancelled task waits for before it ends: operations that the driver still holds,
    /// abandoned ones included, tasks that it has cancelled, its cleanup.
    pub(super) ops: Cell<u32>,
    /// Place in the scheduler's table.
    pub(super) index: Cell<u32>,
    pub(super) identity: Identity,
    /// Where it was spawned.
    pub(super) place: &'static Location<'static>,
    pub(super) extra: OnceCell<Box<Extra>>,
    pub(super) joiner: Cell<Option<Waiter>>,
    /// The next in the ready queue.
    pub(super) next_ready: Cell<Option<NonNull<Header>>>,
}

#[repr(C)]
pub(super) struct Vtable {
    /// First, because a task's node points to it.
    pub(super) node: NodeKind,
    /// Polls the future, and puts its outcome in its place when there is one. Catches panics.
    pub(super) poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> Polled,
    /// Drops the future and puts `JoinError::Cancelled` (or the panic of its drop) in its place.
    pub(super) cancel: unsafe fn(NonNull<Header>) -> Ended,
    /// Moves the outcome to where the pointer (to a `Poll<Result<T, JoinError>>`) says.
    pub(super) take: unsafe fn(NonNull<Header>, *mut ()),
    /// Drops whatever the stage holds.
    pub(super) clear: unsafe fn(NonNull<Header>),
    /// The unhandled error in an outcome that was not taken.
    pub(super) unhandled: unsafe fn(NonNull<Header>) -> Option<Unhandled>,
    /// Whether the outcome is no value, or a value that counts as an error.
    pub(super) failed: unsafe fn(NonNull<Header>) -> bool,
    /// Points to the outcome.
    pub(super) outcome: unsafe fn(NonNull<Header>) -> *const (),
    pub(super) layout: Layout,
}

#[repr(C)]
pub(super) struct TaskCell<F: Future> {
    pub(super) header: Header,
    pub(super) stage: UnsafeCell<Stage<F>>,
}

pub(super) enum Stage<F: Future> {
    Future(F),
    Outcome(Result<F::Output, JoinError>),
}

/// A reference to a task from its home thread; `!Send`.
pub(crate) struct TaskRef(pub(super) NonNull<Header>);

/// A waiter for something of this thread's loop: a task of the loop, by a home reference, or any waker.
///
/// It is a waker by its looks, and no larger. Where it stands for a task, its functions are those of `HOME` (`waker.rs`), which
/// count home references and not wakers; so it never leaves its thread, and user code never sees it.
///
/// Dropping a foreign waker runs user code. A panic in it ends here: it does not concern the holder of the waiter,
/// which may be half done or unwinding.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Taken out once, by `wake` or by the drop.
    pub(super) waker: ManuallyDrop<Waker>,
    pub(super) thread: PhantomData<*const ()>,
}

#[derive(Default)]
pub(super) struct Extra {
    pub(super) name: Option<Rc<str>>,
    /// Its task-locals, shared with tasks that it spawned until one of them sets another value.
    pub(super) locals: RefCell<Option<Rc<Values>>>,
    /// Callbacks for its end.
    pub(super) callbacks: Watchers<TaskRef>,
    /// Where a cancellation is caught, in the order in which they began.
    pub(super) scopes: Scopes,
    /// Cleanups that are to run before it ends, and have not begun.
    pub(super) clean_ups: RefCell<Option<CleanUps>>,
    /// Tasks that end no earlier than this one.
    pub(super) mourners: RefCell<Vec<TaskRef>>,
    /// Of the body of a group: the task, or child of a group, that runs it.
    pub(super) runner: RefCell<Option<TaskRef>>,
    /// Its group, which waits for its end beside the waiter of its handle.
    pub(super) group: Cell<Option<Waiter>>,
    /// The address of its set, until it has ended; 0 without one.
    pub(super) set: Cell<usize>,
    /// Its set, to be told of its end at once.
    pub(super) at_end: Cell<Option<Box<dyn FnOnce()>>>,
}

/// The values of a task, by the addresses of their keys.
#[derive(Clone, Default)]
pub(super) struct Values(pub(super) Vec<(usize, Rc<dyn Any>)>);

/// Cleanups that have not begun, and the task that will run them.
#[derive(Clone)]
pub(super) struct CleanUps {
    pub(super) task: TaskRef,
    pub(super) queue: Rc<RefCell<VecDeque<CleanUp>>>,
}

pub(super) struct CleanUp {
    pub(super) future: Pin<Box<dyn Future<Output = io::Result<()>>>>,
    /// Where the user registered it: a failure names this line.
    pub(super) place: &'static Location<'static>,
}

/// Callbacks and waiting tasks of something that has not ended, in one order.
pub(super) struct Watchers<A> {
    /// With rising numbers. None where one was taken back.
    pub(super) list: RefCell<Vec<(u64, Option<Watcher<A>>)>>,
    pub(super) taken_back: Cell<usize>,
    pub(super) next_id: Cell<u64>,
}

pub(super) enum Watcher<A> {
    /// Schedules a callback.
    Call(Box<dyn FnOnce(A)>),
    Wake(Waiter),
}

/// The scopes of one task.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    pub(super) all: RefCell<Slab<Rc<Scope>>>,
    /// The one whose future is being polled.
    pub(super) current: RefCell<Option<Rc<Scope>>>,
    /// Of the children of groups in the task, the innermost that is being polled: it has scopes of its own.
    pub(super) child: RefCell<Option<TaskRef>>,
    /// The request that ends what is being dropped now: requests that were handled in there are merged into it.
    pub(super) ends: RefCell<Option<Rc<Request>>>,
    /// Requests that were caught and are being handled, those of bodies of groups in the task included.
    pub(super) handled: Cell<usize>,
    /// The task is to be asked to end when none is being handled any more.
    pub(super) is_put_off: Cell<bool>,
}

pub(super) struct Scope {
    /// The scope around this one.
    pub(super) parent: Option<Rc<Scope>>,
    /// None for a scope that catches.
    pub(super) limit: Option<Limit>,
    /// Scopes directly inside that a request would reach, or have such scopes inside.
    pub(super) inner: Cell<usize>,
    /// It has a request: it has caught one, or is the limit that nothing inside could catch for. Or it has ended.
    pub(super) triggered: Cell<bool>,
    /// Until its owner takes it.
    pub(super) caught: Cell<Option<Share>>,
    pub(super) waiter: Cell<Option<Waiter>>,
}

/// The inside of a time limit.
#[derive(Debug, Default)]
pub(super) struct Limit {
    /// Its request is counted by the task.
    pub(super) counted: Cell<bool>,
    /// Its time is up, and its future is being polled once more before the request is delivered.
    pub(super) last_poll: Cell<bool>,
    /// A limit inside was up at the same moment, and leaves the rest to this one.
    pub(super) has_joined: Cell<bool>,
}

/// The share of one scope in a request that it has caught; when it is dropped, the request continues.
pub(super) struct Share {
    pub(super) request: Rc<Request>,
    pub(super) swallowed: bool,
}

/// A request that was caught, once or several times.
pub(super) struct Request {
    pub(super) task: TaskRef,
    pub(super) origin: Origin,
    /// Those that were being handled in what this one has ended.
    pub(super) merged: RefCell<Vec<Origin>>,
    /// A scope that has caught it has not swallowed it.
    pub(super) goes_on: Cell<bool>,
    /// Woken when all scopes are through.
    pub(super) waiting: RefCell<Vec<Waiter>>,
    /// Last: what was put off follows when this has gone on.
    pub(super) _handling: Handling,
}

/// The task, and those around a body of a group, handle a request as long as this is there.
pub(super) struct Handling(pub(super) Vec<TaskRef>);

/// The sender of a request, and what it is to end.
#[derive(Clone)]
pub(super) enum Origin {
    /// The task. One that is not counted came out of an await.
    Task { counted: bool },
    /// The code inside a time limit.
    Limit(Rc<Scope>),
}

/// The part of a brood that its children refer to.
pub(super) struct Core {
    pub(super) ready: ReadyQueue<TaskRef>,
    /// The waiter that polls the brood, until it is woken.
    pub(super) owner: Cell<Option<Waiter>>,
    /// Those that have not ended.
    pub(super) children: RefCell<Slab<TaskRef>>,
    /// The loop in which the first of them was made.
    pub(super) home: OnceCell<Home>,
}
