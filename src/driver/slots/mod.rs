//! Where operations lie while they are in flight, and their life there.

pub(crate) mod arena;
pub(crate) mod key;
pub(crate) mod lifecycle;
