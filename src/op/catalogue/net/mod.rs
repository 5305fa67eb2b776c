//! Operations on sockets and pipes.

pub(crate) mod accept;
pub(crate) mod datagram;
pub(crate) mod multishot;
pub(crate) mod recv;
pub(crate) mod recv_chunk;
pub(crate) mod send;
pub(crate) mod socket;
pub(crate) mod vectored;
