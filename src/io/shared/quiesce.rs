//! Giving a socket away: `quiesce` and `into_owned_fd`.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::buf::Chunk;
use crate::io::busy;
use crate::op::fd::descriptor::Opened;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::io_lock::Side;
use crate::op::object::io_turn::IoTurn;
use crate::op::object::received::Received;

io_future! {
    /// The future of `quiesce()` on a socket: see [`TcpStream::quiesce`](crate::net::TcpStream::quiesce).
    Quiesce<> = Quiescing => io::Result<()>
}
io_future! {
    /// The future of [`TcpStream::into_owned_fd`](crate::net::TcpStream::into_owned_fd).
    IntoOwnedFd<> = Detaching<Leftover> => io::Result<(OwnedFd, Leftover)>
}
io_future! {
    /// The future of [`TcpListener::into_owned_fd`](crate::net::TcpListener::into_owned_fd).
    ListenerIntoOwnedFd<> = Detaching<Vec<OwnedFd>> => io::Result<(OwnedFd, Vec<OwnedFd>)>
}
io_future! {
    /// The future of [`UdpSocket::into_owned_fd`](crate::net::UdpSocket::into_owned_fd).
    UdpIntoOwnedFd<> = Detaching<Vec<(Chunk, SocketAddr)>> => io::Result<(OwnedFd, Vec<(Chunk, SocketAddr)>)>
}

impl Quiesce {
    pub(crate) fn of(endpoint: &EndpointRef) -> Self {
        Quiesce(Quiescing::new(endpoint))
    }
}

/// Data that a stream had received and not yet delivered when its descriptor was given away.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Leftover {
    /// The bytes, in order.
    pub chunks: Vec<Chunk>,
    /// The error that follows the bytes, such as `ECONNRESET`. The socket does not report it a second time.
    pub error: Option<io::Error>,
}

impl Leftover {
    pub(crate) fn of(received: Vec<Received>) -> Self {
        let mut leftover = Leftover::default();
        for received in received {
            match received {
                Received::Bytes(chunk) => leftover.chunks.push(chunk),
                Received::Error(errno) => leftover.error = Some(io::Error::from_raw_os_error(errno)),
                // The kernel reports the end again.
                Received::End => {}
                other => unreachable!("a stream received {other:?}"),
            }
        }
        leftover
    }

    pub(crate) fn into_received(self) -> impl Iterator<Item = Received> {
        let chunks = self.chunks.into_iter().filter(|chunk| !chunk.is_empty());
        let error = self.error.map(|error| Received::Error(error.raw_os_error().unwrap_or(libc::EIO)));
        chunks.map(Received::Bytes).chain(error)
    }
}

/// Takes both I/O locks, so that no other operation is with the kernel, and stops the endpoint's multishot operation.
pub(crate) struct Quiescing {
    receiving: IoTurn,
    sending: IoTurn,
    cancelled: bool,
}

impl Quiescing {
    pub(crate) fn new(endpoint: &EndpointRef) -> Self {
        Quiescing {
            receiving: IoTurn::new(endpoint, Side::Receive),
            sending: IoTurn::new(endpoint, Side::Send),
            cancelled: false,
        }
    }

    pub(crate) fn request_cancel(&mut self) {
        self.cancelled = true;
        self.receiving.withdraw();
        self.sending.withdraw();
    }
}

impl Quiescing {
    /// Releases the I/O locks, so that other operations continue even if this completed future is kept.
    fn leave(&mut self) {
        self.receiving.release_and_wake();
        self.sending.release_and_wake();
    }
}

impl Future for Quiescing {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.cancelled {
            self.leave();
            return Poll::Ready(Err(crate::sys::cancelled()));
        }
        ready!(self.receiving.poll_acquire(cx));
        ready!(self.sending.poll_acquire(cx));
        let endpoint = self.receiving.endpoint();
        endpoint.disarm();
        if endpoint.is_armed() {
            endpoint.wait(cx);
            return Poll::Pending;
        }
        self.leave();
        Poll::Ready(Ok(()))
    }
}

/// Quiesces an endpoint and takes it apart: its descriptor, and the data in its receive queue.
pub(crate) struct Detaching<T> {
    endpoint: Option<EndpointRef>,
    quiescing: Option<Quiescing>,
    leftover: fn(Vec<Received>) -> T,
}

impl<T> Detaching<T> {
    pub(crate) fn new(endpoint: EndpointRef, leftover: fn(Vec<Received>) -> T) -> Self {
        let quiescing = Some(Quiescing::new(&endpoint));
        Detaching { endpoint: Some(endpoint), quiescing, leftover }
    }

    pub(crate) fn request_cancel(&mut self) {
        if let Some(quiescing) = &mut self.quiescing {
            quiescing.request_cancel();
        }
    }
}

impl<T> Future for Detaching<T> {
    type Output = io::Result<(OwnedFd, T)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let quiescing = self.quiescing.as_mut().expect("an `into_owned_fd` was polled after its result");
        let quiet = ready!(Pin::new(quiescing).poll(cx));
        self.quiescing = None; // its turns refer to the endpoint
        let endpoint = self.endpoint.take().expect("an `into_owned_fd` was polled after its result");
        quiet?;
        if endpoint.is_referenced_elsewhere() {
            return Poll::Ready(Err(busy()));
        }
        let received = std::iter::from_fn(|| endpoint.next_received()).collect();
        let endpoint = endpoint.into_inner().expect("this is the only reference");
        match endpoint.descriptor.into_opened() {
            Opened::Raw(fd) => Poll::Ready(Ok((fd, (self.leftover)(received)))),
            Opened::Direct(_) => unreachable!("a direct descriptor is installed instead"),
        }
    }
}
