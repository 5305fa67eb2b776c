//! The task cell: one allocation that holds a future, then its outcome, and everything else about a task.
//!
//! | file | what it holds |
//! |---|---|
//! | `layout.rs` | the data: header, rarely used fields, stage, references |
//! | `state.rs`, `error.rs` | the phase and properties of a task; its number, and how it has ended |
//! | `loop_core.rs` | the loop that runs on this thread, as far as a cell needs it |
//! | `header.rs` | access to the header and to the rarely used fields |
//! | `watchers.rs` | what waits for an end: waiters, callbacks to be scheduled |
//! | `waker.rs` | wakers, and waiters of this loop |
//! | `stage.rs` | the future and its outcome; the one place that knows their types |
//! | `task_ref.rs` | references to a task: making a cell, its outcome, its release |
//! | `run.rs` | running a task, and its end |

pub(crate) mod error;
pub(in crate::task) mod header;
pub(crate) mod layout;
pub(crate) mod loop_core;
pub(in crate::task) mod run;
pub(in crate::task) mod stage;
pub(in crate::task) mod state;
pub(crate) mod task_ref;
pub(crate) mod waker;
pub(in crate::task) mod watchers;
