//! Cancellation: requests for a task's end, scopes that catch them, and cleanup.
//!
//! | file | what it holds |
//! |---|---|
//! | `request.rs` | requests for a task's end: counted, delivered, taken back |
//! | `pending.rs` | the count of what a task waits for before it completes |
//! | `scopes.rs`, `limit_scope.rs` | the scopes of a task that a request reaches; that of a time limit |
//! | `caught.rs` | requests that scopes have caught |
//! | `catch.rs` | `catch_cancel` |
//! | `cleanup.rs` | pending cleanup of dropped futures, and waiting for it |

pub(crate) mod catch;
mod caught;
pub(crate) mod cleanup;
pub(crate) mod limit_scope;
pub(in crate::task) mod pending;
pub(in crate::task) mod request;
pub(crate) mod scopes;
