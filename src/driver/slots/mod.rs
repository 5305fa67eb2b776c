//! Slots of operations in flight, and the lifecycle of an operation in its slot.

pub(crate) mod arena;
mod erased;
pub(crate) mod key;
pub(crate) mod lifecycle;
pub(crate) mod slot_ref;
