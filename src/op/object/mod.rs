//! Objects that operations use and keep open: descriptors, endpoints and files; and the order of operations on them.

pub(crate) mod accepted;
pub(crate) mod calls;
pub(crate) mod datagram;
pub(crate) mod endpoint;
pub(crate) mod endpoint_kind;
pub(crate) mod fd;
pub(crate) mod io_lock;
pub(crate) mod io_turn;
pub(crate) mod open_file;
pub(crate) mod source;
