//! The ways between a loop and other threads.
//!
//! | file | what it holds |
//! |---|---|
//! | `inbox.rs` | wake-ups and closures from other threads, parking |
//! | `pool.rs`, `blocking.rs` | the blocking pool and `spawn_blocking` |
//! | `remote_result.rs` | a result that crosses threads once |
//! | `handle.rs` | `Handle`, `RemoteHandle` |

pub(crate) mod blocking;
pub(in crate::task) mod handle;
pub(crate) mod inbox;
pub(crate) mod pool;
pub(crate) mod remote_result;
