//! Sockets: TCP and UDP over IPv4 and IPv6.
//!
//! All methods take `&self` and owned buffers. Their futures are `'static`, so they can be stored in structs, and each
//! has a `cancel()` method. The kernel works on one receive and one send (or accept) of an object at a time; later ones
//! wait their turn. A future that has its result keeps its turn until it is polled or dropped: otherwise bytes could
//! overtake each other.
//!
//! # Nothing that was received is lost
//!
//! Dropping a future, as `select!` and timeouts do, loses no data. Received data belongs to the stream, socket or
//! listener. It stays in that object's queue, and the next receive takes it from there, in order, whichever method it
//! uses.
//!
//! - *Multishot operations*: on the proactor `recv` and `recv_chunk` use one multishot operation per object, which
//!   fills the object's queue. It is stopped when the queue holds 256 KiB and no receive takes from it; data in flight at
//!   that time is still added. It is started again when the queue is empty.
//! - *Accepts* take a connection only when their future is polled. Until then the connection stays in the kernel's
//!   backlog. It uses no descriptor there, and another loop or process with the same listener may accept it.
//! - *Reads into the caller's buffer*: when one is dropped with its operation in flight, the bytes that still arrive
//!   for it go to the same queue. A dropped `read_exact` also puts back the bytes that it had received.
//! - *Writes*: a dropped write may have been sent, in full or in part. [`bytes_sent`](TcpStream::bytes_sent) tells how
//!   much, once a later write has had its turn (an empty `write` is enough).
//! - [`quiesce`](TcpStream::quiesce) waits until no operation of the object is in flight.
//!   [`into_owned_fd`](TcpStream::into_owned_fd) gives the descriptor away, together with the data in the queue.
//!
//! # Which method to use
//!
//! - [`recv`](TcpStream::recv) and [`chunks`](TcpStream::chunks): by default. Small pieces are received by multishot, into
//!   buffers that the kernel takes when data arrives. A stream with pieces of 16 KiB or more is polled instead, and
//!   received into a buffer that is still in the caches. An idle connection takes 690 bytes.
//! - [`read`](TcpStream::read): to receive into memory that the program has anyway, such as the buffer of a frame. An idle
//!   connection takes 690 bytes and its buffer.
//! - [`write_all`](TcpStream::write_all) of a chunk: to forward received data without a copy.
//! - [`write_all_zerocopy`](TcpStream::write_all_zerocopy): for large buffers over real network cards. On loopback the
//!   kernel copies anyway, and it costs 10 to 50 % more.
//! - [`direct`]: for streams that only this loop uses, and no other library: the ring owns their descriptors. An idle
//!   connection takes 690 bytes.
//!
//! # Runtimes and threads
//!
//! An object belongs to the runtime in which it was made. Starting an operation in another runtime panics. An accept
//! makes an object, so it panics there even if it was started in its own runtime. A future that has been polled in its
//! own runtime must be finished there: elsewhere it may make no progress, and after the end of its runtime it fails with
//! `ECANCELED` or panics. An object also stays on its thread:
//! ```compile_fail,E0277
//! # async fn example(stream: proactor::net::TcpStream) {
//! std::thread::spawn(move || drop(stream));
//! # }
//! ```
//!
//! # Benchmarks
//!
//! The page [benchmarks](crate::guide::benchmarks) compares the methods, and the runtimes, by their CPU time.
#![forbid(unsafe_code)]

mod addr;
mod any;
mod bind;
mod datagrams;
pub mod direct;
mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

pub use super::io::shared::chunks::{Chunks, Recv};
pub use super::io::shared::quiesce::{IntoOwnedFd, Leftover, ListenerIntoOwnedFd, Quiesce, UdpIntoOwnedFd};
pub use super::io::shared::transfers::{
    Read, ReadExact, ReadVectored, Shutdown, Write, WriteAll, WriteAllVectored, WriteVectored,
};
pub use addr::{LookupHost, ToSocketAddrs, lookup_host};
pub use any::{AnyTcpListener, AnyTcpStream};
pub use datagrams::{Datagrams, RecvChunkFrom};
pub use tcp::connect::Connect;
pub use tcp::incoming::Incoming;
pub use tcp::listener::{Accept, Bind, TcpListener};
pub use tcp::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use tcp::stream::TcpStream;
pub use udp::{ConnectUdp, RecvFrom, SendTo, UdpBind, UdpRecv, UdpSend, UdpSocket};

crate::io::shared::close::async_close!(
    TcpListener,
    TcpStream,
    UdpSocket,
    direct::TcpListener,
    direct::TcpStream
);

/// Makes a socket of the address's family that does not block and is not inherited.
fn socket(address: &SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    Socket::new(Domain::for_address(*address), kind.nonblocking().cloexec(), Some(protocol))
}

/// Converts an Internet address. Returns an error for an address of another family.
fn internet(address: io::Result<SockAddr>) -> io::Result<SocketAddr> {
    address?.as_socket().ok_or_else(not_internet)
}

fn not_internet() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the socket's address is neither IPv4 nor IPv6")
}
