//! The proactor: a ring of io_uring, over any kernel that answers as Linux does.

pub(crate) mod kernel;
pub(in crate::driver) mod listening;
pub(in crate::driver) mod open;
pub(in crate::driver) mod readiness;
pub(in crate::driver) mod resize;
pub(crate) mod ring;
pub(crate) mod setup;
pub(crate) mod wake;
