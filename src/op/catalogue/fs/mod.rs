//! Operations on files.

pub(crate) mod metadata;
pub(crate) mod open;
pub(crate) mod read_write;
pub(crate) mod vectored;
