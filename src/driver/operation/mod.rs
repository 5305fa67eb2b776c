//! Operations in flight: start, poll, cancel and drop, and their futures.
//!
//! | file | what it holds |
//! |---|---|
//! | `dispatch.rs` | start and poll of an operation: on the ring, by a call, on the pool |
//! | `cancel.rs` | cancel of an operation, and the drop of its future |
//! | `job.rs` | calls on the blocking pool |
//! | `submission.rs` | the future of an operation |
//! | `transfer.rs` | the future of a transfer in several steps: read_exact, write_all |
//! | `multishot.rs` | start and stop of multishot operations |
//! | `release.rs` | drops outside the loop, after which the descriptor closes at once |

#[macro_use]
pub(crate) mod transfer;
mod cancel;
pub(in crate::driver) mod dispatch;
mod job;
pub(in crate::driver) mod multishot;
pub(in crate::driver) mod release;
pub(crate) mod submission;
