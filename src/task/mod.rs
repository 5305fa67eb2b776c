//! Tasks: spawning, joining, cancelling, and the ways into a loop from other threads.
//!
//! A task is a future that the loop owns and polls on its one thread. [`spawn`] starts a task and returns its
//! [`JoinHandle`]. Await the handle for the result, cancel the task through it, or drop it: the task then continues,
//! detached. A panic ends only its own task, and becomes the task's [`JoinError`].
//!
//! Cancelling a task drops its future at its next await. The kernel may still have operations of the task then; the
//! task, and so its handle, completes after the last of them has completed.
//!
//! | file | what it holds |
//! |---|---|
//! | `cell.rs` | the task cell: references to it, running it, its end |
//! | `header.rs`, `stage.rs`, `extra.rs` | its parts: what all tasks have, future and outcome, what few have |
//! | `waker.rs` | wakers, and waiters of this loop |
//! | `scheduler.rs` | the table of tasks, running one, shutting all down |
//! | `ready.rs` | the ready queue |
//! | `spare.rs` | memory of tasks that have ended, for those to come |
//! | `join.rs`, `done.rs` | `JoinHandle`; callbacks and waiters for the end of a task or promise |
//! | `view.rs` | `Task`: information about a task; `current` |
//! | `request.rs`, `scopes.rs` | requests for a task's end; the scopes that they reach |
//! | `catch.rs` | `catch_cancel` |
//! | `cleanup.rs` | what a dropped future leaves, and waiting for it |
//! | `brood.rs` | many futures in the future of one task |
//! | `group.rs`, `task_group.rs` | `task_group`: children that may borrow; `TaskGroup`: children that are tasks |
//! | `task_set.rs` | `TaskSet`: tasks that are independent of each other, for servers |
//! | `lead.rs`, `member.rs` | what both have in common: a group's run to its end; its children |
//! | `group_error.rs` | all errors of a group in one |
//! | `callback.rs` | `call_soon` |
//! | `promise.rs` | a future whose result other code sets, for one or for several that wait |
//! | `local.rs` | `task_local!` |
//! | `unhandled.rs`, `hooks.rs` | errors that were not retrieved; other reports of the loop |
//! | `inbox.rs` | wake-ups and closures from other threads, parking |
//! | `handle.rs` | `Handle`, `RemoteHandle` |
//! | `outcome.rs` | a result that crosses threads once |
//! | `pool.rs`, `blocking.rs` | the blocking pool and `spawn_blocking` |
//! | `yielding.rs` | `yield_now` |

pub(crate) mod blocking;
pub(crate) mod brood;
pub(crate) mod callback;
pub(crate) mod catch;
pub(crate) mod cell;
pub(crate) mod cleanup;
pub(crate) mod current;
mod done;
pub(crate) mod error;
mod group;
mod group_error;
mod handle;
mod header;
pub(crate) mod hooks;
pub(crate) mod inbox;
pub(crate) mod join;
pub(crate) mod layout;
mod lead;
mod local;
mod local_handle;
mod member;
pub(crate) mod outcome;
pub(crate) mod pool;
mod promise;
mod ready;
mod request;
mod run;
pub(crate) mod scheduler;
pub(crate) mod scopes;
mod spare;
mod stage;
mod state;
mod task_group;
mod task_set;
pub(crate) mod unhandled;
mod view;
pub(crate) mod waker;
mod watchers;
mod yielding;

use std::fmt;
use std::future::Future;
use std::rc::Rc;

pub use blocking::{BlockingPool, spawn_blocking, spawn_blocking_on};
pub use callback::{CallHandle, call_soon};
pub use catch::{Cancelled, CatchCancel, catch_cancel};
pub use error::{Ended, JoinError, Panic, RuntimeGone, TaskId};
pub use group::{Group, task_group};
pub use group_error::GroupError;
pub use handle::{Handle, RemoteHandle};
pub use hooks::SlowPoll;
pub use join::{Cancel, JoinHandle};
pub use local::TaskLocal;
pub use local_handle::LocalHandle;
pub use member::Child;
pub use promise::{AlreadySettled, Promise, PromiseError, Promised, SharedPromised, promise};
use scheduler::Start;
pub use task_group::{GroupHandle, TaskGroup};
pub use task_set::{JoinNext, TaskSet};
pub use unhandled::Unhandled;
use unhandled::{Fallible, Opaque, Verdict};
pub use view::{Task, TaskState, current, try_current};
pub use watchers::CallbackId;
pub use yielding::{YieldNow, yield_now};

/// Starts a task on the runtime of this thread.
///
/// The task is first polled in the next turn of the loop, never inside this call. It continues when the handle is
/// dropped: the statement `spawn(future);` starts a task whose result is not needed.
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let task = proactor::spawn(async { 6 * 7 });
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    start::<_, Opaque>(future, Start::here())
}

/// Starts a task whose error is reported if it is not retrieved: it goes to
/// [`Config::on_unhandled`](crate::Config::on_unhandled), as a panic does; asyncio's "Task exception was never
/// retrieved".
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let task = proactor::task::try_spawn(async { "7".parse::<i32>() });
///     assert_eq!(task.await.unwrap(), Ok(7)); // an error would be ours to handle
/// });
/// ```
#[track_caller]
pub fn try_spawn<T, E, F>(future: F) -> JoinHandle<Result<T, E>>
where
    F: Future<Output = Result<T, E>> + 'static,
    T: 'static,
    E: fmt::Display + 'static,
{
    start::<_, Fallible>(future, Start::here())
}

/// Starts a task and polls it at once, inside this call; asyncio's eager tasks. A task that completes in this poll
/// never enters a queue.
///
/// The caller continues when the task first waits. The caller must not hold a borrow that the task needs, of a
/// `RefCell` for example.
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let task = proactor::task::spawn_eager(async { 42 });
///     assert!(task.is_finished());
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
#[track_caller]
pub fn spawn_eager<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    start_eagerly::<_, Opaque>(future, Start::here(), |_| ())
}

#[inline]
#[track_caller]
fn start<F, V>(future: F, start: Start) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
    V: Verdict<F::Output>,
{
    JoinHandle::new(scheduler::expect("spawn", |scheduler| scheduler.spawn::<F, V>(future, start)))
}

#[track_caller]
fn start_eagerly<F, V>(
    future: F,
    start: Start,
    made: impl FnOnce(&JoinHandle<F::Output>),
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
    V: Verdict<F::Output>,
{
    scheduler::expect("spawn", |scheduler| {
        let task = JoinHandle::new(scheduler.spawn::<F, V>(future, Start { held_back: true, ..start }));
        made(&task);
        scheduler.run_eagerly(task.task_ref());
        task
    })
}

/// Starts tasks with a name, or eagerly.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let task = proactor::task::Builder::new().name("answer").spawn(async { 42 });
///     assert_eq!(task.name(), Some("answer"));
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `spawn` is called"]
pub struct Builder {
    name: Option<Rc<str>>,
    eager: bool,
}

impl Builder {
    /// Makes a builder for a task without a name.
    pub fn new() -> Self {
        Builder::default()
    }

    /// Gives the task a name, for debugging.
    pub fn name(mut self, name: impl Into<Rc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets whether the task is polled at once, as by [`spawn_eager`].
    pub fn eager(mut self, eager: bool) -> Self {
        self.eager = eager;
        self
    }

    /// Starts the task, as [`spawn`](fn@spawn) does.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.start::<_, Opaque>(future)
    }

    /// Starts the task, as [`try_spawn`](fn@try_spawn) does.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn try_spawn<T, E, F>(self, future: F) -> JoinHandle<Result<T, E>>
    where
        F: Future<Output = Result<T, E>> + 'static,
        T: 'static,
        E: fmt::Display + 'static,
    {
        self.start::<_, Fallible>(future)
    }

    #[track_caller]
    fn start<F, V>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
        V: Verdict<F::Output>,
    {
        let begin = Start { name: self.name, ..Start::here() };
        if self.eager { start_eagerly::<_, V>(future, begin, |_| ()) } else { start::<_, V>(future, begin) }
    }

    /// Starts the task, and calls `made` before it can run.
    #[track_caller]
    fn spawn_then<F>(self, future: F, made: impl FnOnce(&JoinHandle<F::Output>)) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let begin = Start { name: self.name, ..Start::here() };
        if self.eager {
            return start_eagerly::<_, Opaque>(future, begin, made);
        }
        let task = start::<_, Opaque>(future, begin);
        made(&task);
        task
    }
}
