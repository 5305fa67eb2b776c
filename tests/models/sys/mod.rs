//! The crate's `sys` for the models: the real files, except for blocking calls, synchronization between threads, and the
//! release of memory.

#[path = "../../../src/sys/context.rs"]
pub(crate) mod context;
pub(crate) mod eventfd;
#[path = "../../../src/sys/fork.rs"]
pub(crate) mod fork;
#[path = "../../../src/sys/guarded.rs"]
pub(crate) mod guarded;
pub(crate) mod memory;
pub(crate) mod sync;
