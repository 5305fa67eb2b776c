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
pub(crate) mod loop_core;
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
pub(crate) mod spawn;
mod stage;
mod state;
mod task_group;
mod task_set;
pub(crate) mod unhandled;
mod view;
pub(crate) mod waker;
mod watchers;
mod yielding;

pub use pool::BlockingPool;
pub use blocking::{spawn_blocking, spawn_blocking_on};
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
pub use spawn::{Builder, spawn, spawn_eager, try_spawn};
pub use task_group::{GroupHandle, TaskGroup};
pub use task_set::{JoinNext, TaskSet};
pub use unhandled::Unhandled;
pub use view::{Task, TaskState, current, try_current};
pub use watchers::CallbackId;
pub use yielding::{YieldNow, yield_now};
