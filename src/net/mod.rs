//! Sockets: TCP and UDP over IPv4 and IPv6.
//!
//! All methods take `&self` and owned buffers; their futures are `'static`, may be kept in structures, and
//! have `cancel()`. Dropping one loses nothing that was received: bytes, datagrams and connections that
//! arrive for it all the same are given to the next one. One receive and one send (or accept) of an object
//! are with the kernel at a time, later ones wait their turn. A future that has its result keeps its turn until
//! it is polled or dropped: otherwise bytes could overtake each other.
//!
//! An object belongs to the runtime in which it was made and stays on its thread:
//! ```compile_fail,E0277
//! # async fn example(stream: proactor::net::TcpStream) {
//! std::thread::spawn(move || drop(stream));
//! # }
//! ```
#![forbid(unsafe_code)]

mod accept;
mod addr;
mod chunks;
mod incoming;
mod quiesce;
mod split;
mod tcp_listener;
mod tcp_stream;
mod udp;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

pub use addr::{LookupHost, ToSocketAddrs, lookup_host};
pub use chunks::{Chunks, Datagrams, Recv, RecvChunkFrom};
pub use incoming::Incoming;
pub use quiesce::{IntoOwnedFd, Leftover, ListenerIntoOwnedFd, Quiesce, UdpIntoOwnedFd};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use tcp_listener::{Accept, Bind, TcpListener};
pub use tcp_stream::{
    Connect, Read, ReadExact, ReadVectored, Shutdown, TcpStream, Write, WriteAll, WriteAllVectored,
    WriteVectored,
};
pub use udp::{ConnectUdp, RecvFrom, SendTo, UdpBind, UdpRecv, UdpSend, UdpSocket};

/// A socket of the address's family that does not block and is not inherited.
fn socket(address: &SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    Socket::new(Domain::for_address(*address), kind.nonblocking().cloexec(), Some(protocol))
}

/// An Internet address, or an error for a socket of another family.
fn internet(address: io::Result<SockAddr>) -> io::Result<SocketAddr> {
    address?.as_socket().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the socket's address is neither IPv4 nor IPv6")
    })
}

/// What a method with `poll_` in its name goes on with.
struct Unfinished<T>(Cell<Option<Box<T>>>);

impl<T> Unfinished<T> {
    fn take(&self) -> Option<Box<T>> {
        self.0.take()
    }

    fn set(&self, value: Option<Box<T>>) {
        self.0.set(value);
    }
}

impl<T> Default for Unfinished<T> {
    fn default() -> Self {
        Unfinished(Cell::new(None))
    }
}

impl<T> fmt::Debug for Unfinished<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unfinished").finish_non_exhaustive()
    }
}

/// Prepares a descriptor from elsewhere: both backends want it not to block.
fn adopt(fd: OwnedFd) -> io::Result<OwnedFd> {
    let socket = Socket::from(fd);
    socket.set_nonblocking(true)?;
    Ok(socket.into())
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
