//! Accepted connections.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use crate::op::fd::descriptor::Opened;

/// An accepted connection with the address of its peer. There is no address for a direct descriptor, and if it is no Internet
/// address.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) connection: Opened,
    pub(crate) peer: Option<SocketAddr>,
}
