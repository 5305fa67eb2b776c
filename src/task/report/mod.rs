//! Reports about tasks: information, unhandled errors, slow polls, hooks.

pub(crate) mod hooks;
pub(in crate::task) mod task_info;
pub(crate) mod unhandled;
