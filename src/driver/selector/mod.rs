//! Readiness by epoll: the selector, and a set beside a ring.

pub(in crate::driver) mod edges;
pub(crate) mod poller;
