//! The task cell: one allocation that holds a future, then its outcome, and everything else about a task.
//!
//! | file | what it holds |
//! |---|---|
//! | `layout.rs` | the data and its rules: references, flags, fields, and why they are safe |
//! | `state.rs`, `error.rs` | phase and flags; the number of a task, the way it has ended |
//! | `loop_core.rs` | the part of the running loop that cells need |
//! | `header.rs` | access to the header and to the rarely used fields |
//! | `done_callbacks.rs` | the list of callbacks and waiters for an end |
//! | `waker.rs` | wakers, and waiters of this loop |
//! | `stage.rs` | the future and its outcome, and the functions that know their types |
//! | `task_ref.rs` | references to a task: making a cell, its outcome, its release |
//! | `run.rs` | running a task, and its end |

pub(in crate::task) mod done_callbacks;
pub(crate) mod error;
pub(in crate::task) mod header;
pub(crate) mod layout;
pub(crate) mod loop_core;
pub(in crate::task) mod run;
pub(in crate::task) mod stage;
pub(in crate::task) mod state;
pub(crate) mod task_ref;
pub(crate) mod waker;
