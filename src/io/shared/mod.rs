//! Code that sockets, pipes and their halves share: receiving chunks, polled writes, closing, and giving the
//! descriptor away.

pub(crate) mod chunks;
pub(crate) mod close;
pub(crate) mod install;
pub(crate) mod quiesce;
pub(crate) mod transfers;
pub(crate) mod unfinished;
pub(crate) mod writer;
