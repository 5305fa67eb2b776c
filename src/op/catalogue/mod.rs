//! The operations, one file for each family: the io_uring entry and the system call of each stand next to each other.

pub(crate) mod close;
pub(crate) mod direct;
pub(crate) mod file;
pub(crate) mod message;
pub(crate) mod multishot;
pub(crate) mod nop;
pub(crate) mod open;
pub(crate) mod poll;
pub(crate) mod receive;
pub(crate) mod socket;
