//! TCP streams and listeners.

pub(in crate::net) mod accept;
pub(in crate::net) mod connect;
pub(in crate::net) mod incoming;
pub(in crate::net) mod listener;
mod options;
pub(in crate::net) mod split;
pub(in crate::net) mod stream;
mod write;
