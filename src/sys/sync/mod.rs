//! Synchronization between threads: atomics, locks, shared counts, thread-locals, and the release of memory that another
//! thread may have used last.
//!
//! These are the standard library's, under the same names. `task/` takes them from here and from nowhere
//! else, so that `tests/models` can compile the very files that ship against a model checker's, which tries
//! interleaving of threads. Types that two threads never use at once need not come from here.

pub(crate) mod lock_cell;

pub(crate) use std::alloc::dealloc;
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};
pub(crate) use std::thread::{Builder as ThreadBuilder, LocalKey};
pub(crate) use std::thread_local;

/// Whether the memory of tasks that have ended is kept for others. Not under the address sanitizer and Miri, which would
/// take a late use of the one for a use of the other, nor in the models.
pub(crate) const KEEPS_FREE_LISTS: bool = cfg!(not(any(proactor_asan, miri)));

/// Converts the standard library's `Arc`, which a method's `self` must have, into the `Arc` of this module.
pub(crate) fn share<T>(arc: std::sync::Arc<T>) -> Arc<T> {
    arc
}
