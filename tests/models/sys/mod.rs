//! The crate's `sys` as the models see it: the real files, but for what blocks, what threads meet at, and how
//! memory is released.

#[path = "../../../src/sys/context.rs"]
pub(crate) mod context;
pub(crate) mod eventfd;
#[path = "../../../src/sys/fork.rs"]
pub(crate) mod fork;
#[path = "../../../src/sys/guarded.rs"]
pub(crate) mod guarded;
pub(crate) mod memory;
pub(crate) mod sync;
