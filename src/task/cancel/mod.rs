//! Cancellation: requests for a task's end, the scopes that catch them, and the cleanups that they leave.
//!
//! | file | what it holds |
//! |---|---|
//! | `request.rs` | requests for a task's end: counted, delivered, taken back |
//! | `scopes.rs` | the scopes of a task that a request reaches |
//! | `catch.rs` | `catch_cancel` |
//! | `cleanup.rs` | what a dropped future leaves, and waiting for it |

pub(crate) mod catch;
pub(crate) mod cleanup;
pub(in crate::task) mod request;
pub(crate) mod scopes;
