//! The proactor: a ring of io_uring, over any kernel that answers as Linux does.
//!
//! | file | what it holds |
//! |---|---|
//! | `ring.rs` | the ring, over any `Kernel`: queueing, submitting, reaping |
//! | `kernel.rs` | the seam `Kernel`; with the next two the only file that calls io_uring |
//! | `open.rs` | opening a ring, and finding out what it has |
//! | `resize.rs` | a larger ring in the place of one that keeps overflowing |
//! | `setup.rs` | the ladder of setup flags, refusals |
//! | `listening.rs` | how the ring waits for the clients of a listener |
//! | `readiness.rs` | the proactor's descriptor for a foreign loop |
//! | `wake.rs` | the loop's own read of its event descriptor |

pub(in crate::driver) mod foreign_fd;
pub(crate) mod kernel;
pub(in crate::driver) mod listening;
pub(in crate::driver) mod open;
pub(in crate::driver) mod resize;
pub(crate) mod ring;
pub(crate) mod setup;
pub(crate) mod wake;
