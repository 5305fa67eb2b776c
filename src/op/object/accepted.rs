//! A connection that was accepted.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use super::fd::Opened;

/// A connection that was accepted, and the address of its peer: none for a direct descriptor, and where it is no
/// Internet address.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) connection: Opened,
    pub(crate) peer: Option<SocketAddr>,
}
