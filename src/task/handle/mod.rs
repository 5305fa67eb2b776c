//! Handles of tasks on their own loop, callbacks, promises, task-locals.
//!
//! | file | what it holds |
//! |---|---|
//! | `spawn.rs` | starting tasks: `spawn`, `Builder` |
//! | `join.rs`, `on_done.rs` | `JoinHandle`; callbacks for the end of a task or promise |
//! | `call_soon.rs` | callbacks of the loop |
//! | `promise.rs`, `promise_error.rs` | a future whose result other code sets, for one waiter or for several; its errors |
//! | `task_local.rs` | `task_local!` |
//! | `local_handle.rs` | `LocalHandle`: the handle of a loop on its own thread |
//! | `yield_now.rs` | `yield_now` |

pub(crate) mod call_soon;
pub(crate) mod join;
pub(in crate::task) mod local_handle;
pub(in crate::task) mod on_done;
pub(in crate::task) mod promise;
pub(in crate::task) mod promise_error;
pub(crate) mod spawn;
pub(in crate::task) mod task_local;
pub(in crate::task) mod yield_now;
