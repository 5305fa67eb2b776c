//! The proactor: a ring of io_uring, over any kernel that answers as Linux does.
//!
//! | file | what it holds |
//! |---|---|
//! | `ring.rs` | the ring, over any `Kernel`: queueing, submitting, reaping |
//! | `deliver.rs` | delivery of a completion to its operation |
//! | `kernel.rs` | the interface `Kernel` to a ring |
//! | `uring.rs` | the kernel's ring; with the next two the only file that calls io_uring |
//! | `open.rs` | opening a ring, and probing its features |
//! | `resize.rs` | replacing a ring that keeps overflowing by a larger one |
//! | `setup.rs` | the ladder of setup flags, refusals |
//! | `listening.rs` | waiting for the clients of a listener |
//! | `foreign_fd.rs` | the proactor's descriptor for a foreign loop |
//! | `wake.rs` | the loop's own read of its event descriptor |

mod deliver;
pub(in crate::driver) mod foreign_fd;
pub(crate) mod kernel;
pub(in crate::driver) mod listening;
pub(in crate::driver) mod open;
pub(in crate::driver) mod resize;
pub(crate) mod ring;
pub(crate) mod setup;
pub(in crate::driver) mod uring;
pub(crate) mod wake;
