//! Sockets whose descriptors belong to the ring.
//!
//! A *direct descriptor* is an entry of the ring's table instead of the process's. The kernel uses it without counting
//! references. Only operations can accept, open, close or name it: these types have no `AsFd` and no descriptor number,
//! and `install` converts one into an ordinary stream.
//!
//! The table has [`Config::direct_descriptors`](crate::Config::direct_descriptors) entries. When all are taken,
//! connects and accepts fail with `QuotaExceeded`, and the connection stays in the listener's backlog. On the selector,
//! and on a kernel without direct descriptors, these types use ordinary descriptors, so that the same program runs.
//! [`Feature::DirectDescriptors`](crate::Feature::DirectDescriptors) in the report shows which are in use, and
//! [`Config::require`](crate::Config::require) asks for an error instead. Code that is generic over
//! [`AnyTcpStream`](super::AnyTcpStream) and [`AnyTcpListener`](super::AnyTcpListener) runs on both kinds.
//!
//! Everything else is as for [`TcpStream`](super::TcpStream): nothing that was received is lost, and operations keep their
//! order.
#![forbid(unsafe_code)]

mod listener;
mod stream;

pub use listener::{Accept, Bind, TcpListener};
pub use stream::{Address, Connect, InstallStream, SetSocketOption, TcpStream};
