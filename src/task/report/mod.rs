//! What a loop tells about its tasks: information, errors that were not retrieved, slow polls.

pub(crate) mod hooks;
pub(in crate::task) mod task_info;
pub(crate) mod unhandled;
