//! Tasks: spawning, joining, cancelling, and the ways into a loop from other threads.
//!
//! A task is a future that the loop owns and polls on its one thread. [`spawn`] starts a task and returns its
//! [`JoinHandle`]. Await the handle for the result, cancel the task through it, or drop it: the task then continues,
//! detached. A panic ends only its own task, and becomes the task's [`JoinError`].
//!
//! Cancelling a task drops its future at its next await. The kernel may still have operations of the task then; the
//! task, and so its handle, completes after the last of them has completed.
//!
//! | folder or file | what it holds |
//! |---|---|
//! | `threads/` | ways between a loop and other threads: the inbox, `Handle`, results, the blocking pool |
//! | `ready.rs`, `free_lists.rs` | the ready queue; free lists for the memory of task cells |
//! | `cell/` | the task cell: its data, references to it, wakers, running it |
//! | `report/` | `Task`: information about a task; errors that were not retrieved; hooks |
//! | `scheduler/` | the table of tasks, running a task, shutting down all |
//! | `cancel/` | requests for a task's end, the scopes that catch them, cleanups |
//! | `handle/` | `spawn`, `JoinHandle`, callbacks, promises, task-locals, `LocalHandle` |
//! | `group/` | many futures or tasks in one: `task_group`, `TaskGroup`, `TaskSet` |
//!
//! Each file imports from those above it in this table, or from its own folder. In `threads/` the inbox, the pool and the
//! results lie at the bottom; `handle.rs` and `blocking.rs` start tasks, and lie at the top.

pub(crate) mod cancel;
pub(crate) mod cell;
mod free_lists;
pub(crate) mod group;
pub(crate) mod handle;
mod ready;
pub(crate) mod report;
pub(crate) mod scheduler;
pub(crate) mod threads;

pub use cancel::catch::{Cancelled, CatchCancel, catch_cancel};
pub use cell::done_callbacks::CallbackId;
pub use cell::error::{Ended, JoinError, Panic, RuntimeGone, TaskId};
pub use group::child::Child;
pub use group::error::GroupError;
pub use group::scoped::{Group, task_group};
pub use group::task_group::{GroupHandle, TaskGroup};
pub use group::task_set::{JoinNext, TaskSet};
pub use handle::call_soon::{CallHandle, call_soon};
pub use handle::join::{Cancel, JoinHandle};
pub use handle::local_handle::LocalHandle;
pub use handle::promise::{Promise, Promised, SharedPromised, promise};
pub use handle::promise_error::{AlreadySettled, PromiseError};
pub use handle::spawn::{Builder, spawn, spawn_eager, try_spawn};
pub use handle::task_local::TaskLocal;
pub use handle::yield_now::{YieldNow, yield_now};
pub use report::hooks::SlowPoll;
pub use report::task_info::{Task, TaskState, current, try_current};
pub use report::unhandled::Unhandled;
pub use threads::blocking::{spawn_blocking, spawn_blocking_on};
pub use threads::handle::{Handle, RemoteHandle};
pub use threads::pool::BlockingPool;
