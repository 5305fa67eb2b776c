//! Many futures or tasks in one: groups and sets.
//!
//! | file | what it holds |
//! |---|---|
//! | `children.rs` | many futures in the future of one task |
//! | `scoped.rs` | `task_group`: children that may borrow |
//! | `task_group.rs`, `group_tasks.rs` | `TaskGroup`: children that are tasks; their list and hooks |
//! | `state.rs`, `child.rs`, `run_group.rs` | parts that both kinds of group share: state, children, running a group |
//! | `error.rs` | all errors of a group in one |
//! | `task_set.rs`, `set_tasks.rs` | `TaskSet`: tasks that are independent of each other, for servers; their list |

pub(in crate::task) mod child;
pub(crate) mod children;
pub(in crate::task) mod error;
mod group_tasks;
pub(in crate::task) mod run_group;
pub(in crate::task) mod scoped;
mod set_tasks;
pub(in crate::task) mod state;
pub(in crate::task) mod task_group;
pub(in crate::task) mod task_set;
