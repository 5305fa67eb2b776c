//! Combining futures and tasks: waiting for all of them, for the first, for each as it ends.
//!
//! | | takes | gives | when one fails | when it is dropped |
//! |---|---|---|---|---|
//! | [`gather`](fn@gather) | any number of futures of one type | all outputs | errors are outputs like others | drops them all |
//! | [`try_gather`](fn@try_gather) | any number of futures, as tasks | all values | the first error at once; the others go on | cancels them all |
//! | [`as_completed`](fn@as_completed) | any number of futures of one type | each output as it comes | as `gather` | drops those that are left |
//! | [`wait`](fn@wait) | tasks | which have ended | as it is told | leaves them alone |
//! | [`shield`](fn@shield) | one future, as a task | its output | | lets it go on |
//! | [`join!`](crate::join) | a list of futures, in place | a tuple | errors are outputs like others | drops them all |
//! | [`try_join!`](crate::try_join) | a list of futures, in place | a tuple | the first error at once; the others are dropped | drops them all |
//! | [`select!`](crate::select) | a list of futures, in place | what the first one's handler gives | errors are outputs like others | drops them all |
//!
//! What is wanted more often than any of these is a [`task_group`](crate::task::task_group), where a failure ends the
//! others and nothing is left behind.
//!
//! Those that take any number of futures keep each in a cell with a waker of its own (`task/brood.rs`), so that each is
//! polled only when it can go on; it is to be polled in the runtime in which it was made, the one that hears its wakers. The macros poll all that are left whenever one is woken, and allocate nothing.
#![forbid(unsafe_code)]

mod as_completed;
mod gather;
mod join;
mod select;
mod shield;
mod shutdown;
mod try_gather;
mod wait;

pub use as_completed::{AsCompleted, as_completed};
pub use gather::{Gather, gather};
#[doc(hidden)]
pub use select::start;
pub use shield::{Shield, shield};
pub use try_gather::{TryGather, try_gather, try_gather_tasks};
pub use wait::{ReturnWhen, WaitTasks, Waited, wait, wait_results};
