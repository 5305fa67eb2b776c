//! Combining futures and tasks: waiting for all of them, for the first, for each as it completes.
//!
//! | | takes | returns | when one fails | when it is dropped |
//! |---|---|---|---|---|
//! | [`gather`](fn@gather) | any number of futures of one type | all outputs | errors are outputs like others | drops them all |
//! | [`try_gather`](fn@try_gather) | any number of futures, as tasks | all values | the first error at once; the others continue | cancels them all |
//! | [`as_completed`](fn@as_completed) | any number of futures of one type | each output as it completes | as `gather` | drops the remaining ones |
//! | [`wait`](fn@wait) | tasks | the indices of those that have ended | as [`ReturnWhen`] sets | leaves them alone |
//! | [`shield`](fn@shield) | one future, as a task | its output | | the task continues |
//! | [`join!`](crate::join) | a list of futures, in place | a tuple | errors are outputs like others | drops them all |
//! | [`try_join!`](crate::try_join) | a list of futures, in place | a tuple | the first error at once; the others are dropped | drops them all |
//! | [`select!`](crate::select) | a list of futures, in place | the value of the first one's handler | errors are outputs like others | drops them all |
//!
//! For most programs a [`task_group`](crate::task::task_group) is the better choice: a failure ends the others, and
//! nothing is left behind.
//!
//! The functions that take any number of futures give each one a separate waker (`task/group/children.rs`), so that each is
//! polled only when it was woken. Poll them in the runtime in which they were made. The macros poll all remaining
//! futures whenever one is woken, and allocate nothing.
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
