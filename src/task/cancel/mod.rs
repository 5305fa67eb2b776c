//! Cancellation: requests for a task's end, scopes that catch them, and cleanup.
//!
//! | file | what it holds |
//! |---|---|
//! | `request.rs` | requests for a task's end: counted, delivered, taken back |
//! | `pending.rs` | the count of what a task waits for before it completes |
//! | `scopes.rs` | the scopes of a task that a request reaches |
//! | `catch.rs` | `catch_cancel` |
//! | `cleanup.rs` | pending cleanup of dropped futures, and waiting for it |

pub(crate) mod catch;
pub(crate) mod cleanup;
pub(in crate::task) mod pending;
pub(in crate::task) mod request;
pub(crate) mod scopes;
