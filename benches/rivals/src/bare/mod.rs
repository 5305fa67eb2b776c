//! Loops written by hand, without a runtime: the limit against which the runtimes are held.

pub mod epoll;
pub mod executor;
pub mod multishot;
pub mod ring;
