//! The operations, one file for each family: the io_uring entry and the system call of each stand next to each other.

pub(crate) mod close;
pub(crate) mod direct;
pub(crate) mod fs;
pub(crate) mod net;
pub(crate) mod nop;
pub(crate) mod poll;
