//! The runtimes, one file each.

pub mod compio;
pub mod glommio;
pub mod monoio;
pub mod proactor;
pub mod tokio;
pub mod tokio_uring;
