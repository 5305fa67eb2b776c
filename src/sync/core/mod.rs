//! Building blocks of the primitives: queues of waiters, permits, and one interface for loops and threads.

pub(in crate::sync) mod blocking;
pub(in crate::sync) mod fanout;
pub(in crate::sync) mod flavor;
pub(in crate::sync) mod permits;
pub(in crate::sync) mod request;
pub(in crate::sync) mod waiters;
pub(in crate::sync) mod waiting;
pub(in crate::sync) mod wake_list;
