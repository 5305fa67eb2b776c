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
//! The tables show CPU time: per round trip of an echo, per connection with one round trip (*churn*), and per message
//! in one direction (*stream*). It is relative to a bare ring with plain receives, sends and descriptors. Everything
//! ran on one core: the echoes in one run, churn with small messages in a second, the others in a third (Linux 6.18).
//!
//! | echo, 64 connections | 64 B | 4 KiB | 64 KiB |
//! |---|---|---|---|
//! | `recv` + `write_all` | 1.02 | 1.06 | 0.92 |
//! | … with direct descriptors | 0.95 | 1.01 | 0.80 |
//! | … without incremental buffers: one buffer, or one bundle, per receive | 1.10 | 1.06 | 0.85 |
//! | … polled, without multishot | 1.14 | 1.11 | 0.94 |
//! | `read` + `write_all` | 1.08 | 1.09 | 0.94 |
//! | `recv` + `write_all_zerocopy` | 1.14 | 1.10 | 1.27 |
//! | bare ring, multishot | 1.01 | 1.00 | 1.45 |
//! | bare ring, multishot and direct descriptors | 1.01 | 1.07 | 1.43 |
//! | bare ring, multishot bundles | 1.02 | 1.13 | 1.42 |
//! | bare epoll, one hot buffer | 1.19 | 1.15 | 0.86 |
//! | the best other runtime (compio, monoio, tokio) | 1.01 | 0.98 | 0.82 |
//!
//! | echo, 1,000 connections | 64 B | 4 KiB | 64 KiB |
//! |---|---|---|---|
//! | `recv` + `write_all` | 1.06 | 1.10 | 0.98 |
//! | … with direct descriptors | 0.98 | 0.97 | 0.94 |
//! | … without incremental buffers: one buffer, or one bundle, per receive | 1.13 | 0.94 | 0.97 |
//! | … polled, without multishot | 1.20 | 1.09 | 0.97 |
//! | `read` + `write_all` | 1.14 | 1.03 | 0.99 |
//! | `recv` + `write_all_zerocopy` | 1.20 | 1.15 | 1.35 |
//! | bare ring, multishot | 0.97 | 1.07 | 1.31 |
//! | bare ring, multishot and direct descriptors | 0.93 | 1.17 | 1.03 |
//! | bare ring, multishot bundles | 1.02 | 1.23 | 1.16 |
//! | bare epoll, one hot buffer | 1.17 | 1.08 | 0.92 |
//! | the best other runtime (compio, monoio, tokio) | 1.14 | 1.10 | 1.09 |
//!
//! | stream, 64 connections | 64 B | 4 KiB | 64 KiB |
//! |---|---|---|---|
//! | `recv` | 0.95 | 0.94 | 0.57 |
//! | … with direct descriptors | 0.94 | 0.99 | 0.78 |
//! | `read` | 0.96 | 1.05 | 1.03 |
//! | bare ring, multishot | 1.01 | 1.15 | 1.67 |
//! | bare ring, multishot bundles | 0.90 | 1.18 | 1.25 |
//! | bare epoll | 0.95 | 1.04 | 0.50 |
//! | the best other runtime | 0.96 | 1.03 | 0.57 |
//!
//! | churn, 64 connections | 64 B | 4 KiB | 64 KiB |
//! |---|---|---|---|
//! | `recv` | 1.02 | 0.99 | 0.75 |
//! | … with direct descriptors | 1.01 | 1.05 | 0.73 |
//! | `read` | 1.00 | 0.93 | 0.89 |
//! | bare ring, multishot | 0.94 | 0.95 | 0.77 |
//! | bare ring, multishot bundles | – | – | 0.74 |
//! | bare epoll | – | – | 0.71 |
//! | the best other runtime | 0.98 | 1.05 | 0.77 |
//!
//! The machine is shared and small: differences of up to 0.05 are noise. The large messages show why multishot is not
//! the default for them: with one buffer for each of many pieces in flight, every buffer is cold. The commands are
//!
//! ```text
//! cd benches/rivals
//! cargo run --release -- --cores same --rounds 7 --seconds 0.25 --no-counts \
//!     --only echo-64-64,echo-64-1000,echo-4k-64,echo-4k-1000,echo-64k-64 \
//!     --only echo-64k-1000 \
//!     --runtimes bare-ring,bare-multishot,bare-direct,bare-bundle \
//!     --runtimes bare-epoll,proactor,proactor-direct,proactor-owned \
//!     --runtimes proactor-whole,proactor-polled,proactor-zerocopy,tokio \
//!     --runtimes monoio,compio
//! cargo run --release -- --cores same --rounds 3 --seconds 0.25 --no-counts \
//!     --only stream-64-64,stream-4k-64,stream-64k-64,churn-64k-64 \
//!     --runtimes bare-ring,bare-multishot,bare-bundle,bare-epoll,proactor \
//!     --runtimes proactor-direct,proactor-owned,tokio,monoio,compio
//! cargo run --release -- --cores same --rounds 7 --seconds 0.3 \
//!     --only churn-64-64,churn-4k-64 \
//!     --runtimes bare-ring,bare-multishot,proactor,proactor-direct \
//!     --runtimes proactor-owned,monoio,compio,tokio
//! ```
#![forbid(unsafe_code)]

mod accept;
mod addr;
mod any;
mod connect;
mod datagrams;
pub mod direct;
mod incoming;
mod split;
mod tcp_listener;
mod tcp_stream;
mod udp;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

pub use super::io::shared::chunks::{Chunks, Recv};
pub use super::io::shared::quiesce::{IntoOwnedFd, Leftover, ListenerIntoOwnedFd, Quiesce, UdpIntoOwnedFd};
pub use super::io::shared::transfers::{
    Read, ReadExact, ReadVectored, Shutdown, Write, WriteAll, WriteAllVectored, WriteVectored,
};
pub use addr::{LookupHost, ToSocketAddrs, lookup_host};
pub use any::{AnyTcpListener, AnyTcpStream};
pub use connect::Connect;
pub use datagrams::{Datagrams, RecvChunkFrom};
pub use incoming::Incoming;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use tcp_listener::{Accept, Bind, TcpListener};
pub use tcp_stream::TcpStream;
pub use udp::{ConnectUdp, RecvFrom, SendTo, UdpBind, UdpRecv, UdpSend, UdpSocket};

crate::io::shared::close::async_close!(
    TcpListener,
    TcpStream,
    UdpSocket,
    direct::TcpListener,
    direct::TcpStream
);

/// A socket of the address's family that does not block and is not inherited.
fn socket(address: &SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    Socket::new(Domain::for_address(*address), kind.nonblocking().cloexec(), Some(protocol))
}

/// An Internet address, or an error for a socket of another family.
fn internet(address: io::Result<SockAddr>) -> io::Result<SocketAddr> {
    address?.as_socket().ok_or_else(not_internet)
}

fn not_internet() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the socket's address is neither IPv4 nor IPv6")
}

/// Looks names up, then makes an object of the first address that works.
pub(crate) struct Binding<T> {
    lookup: LookupHost,
    make: fn(&SocketAddr) -> io::Result<T>,
}

impl<T> Binding<T> {
    fn new(address: impl ToSocketAddrs, make: fn(&SocketAddr) -> io::Result<T>) -> Self {
        Binding { lookup: lookup_host(address), make }
    }

    fn request_cancel(&mut self) {
        self.lookup.request_cancel();
    }
}

impl<T> Future for Binding<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let addresses = ready!(Pin::new(&mut self.lookup).poll(cx))?;
        Poll::Ready(first_that_works(&addresses, self.make))
    }
}

/// The first of several addresses with which `make` succeeds, or the last error, naming its address.
fn first_that_works<T>(
    addresses: &[SocketAddr],
    make: impl Fn(&SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for address in addresses {
        match make(address) {
            Ok(made) => return Ok(made),
            Err(error) => last = Some(naming(address, error)),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::InvalidInput)))
}

/// The error with the address that it concerns; a cancellation stays as it is.
fn naming(address: &SocketAddr, error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ECANCELED) => error,
        _ => io::Error::new(error.kind(), format!("{address}: {error}")),
    }
}
