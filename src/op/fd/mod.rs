//! Descriptors that operations use and keep open, and open files.

pub(crate) mod descriptor;
pub(crate) mod host;
pub(crate) mod open_file;
