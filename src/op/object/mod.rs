//! Endpoints: sockets and pipes with the state that their operations share, and the order of these operations.

pub(crate) mod accepted;
pub(crate) mod calls;
pub(crate) mod datagram;
pub(crate) mod endpoint;
pub(crate) mod endpoint_kind;
pub(crate) mod endpoint_ref;
pub(crate) mod io_lock;
pub(crate) mod io_turn;
pub(crate) mod received;
pub(crate) mod source;
