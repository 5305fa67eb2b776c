//! Locks, events, barriers, conditions and semaphores, for one loop and between threads.

pub(in crate::sync) mod barrier;
pub(in crate::sync) mod condition;
pub(in crate::sync) mod event;
pub(in crate::sync) mod mutex;
pub(in crate::sync) mod owned;
pub(in crate::sync) mod rwlock;
pub(in crate::sync) mod semaphore;
