//! `UdpSocket`: see udp(7), recvmsg(2), sendmsg(2).
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::{Protocol, SockAddr, SockRef, Type};

use super::addr::{LookupHost, ToSocketAddrs, lookup_host};
use super::bind::{Binding, first_that_works};
use super::datagrams::{Datagrams, ReceivingDatagram, RecvChunkFrom};
use super::{internet, socket};
use crate::buf::{BufResult, Chunk, IoBuf, IoBufMut};
use crate::driver::operation::submission::Submission;
use crate::driver::{attach, attach_shared, release_endpoint};
use crate::io::Close;
use crate::io::shared::quiesce::{Detaching, Quiesce, UdpIntoOwnedFd};
use crate::io::shared::unfinished::Unfinished;
use crate::op::catalogue::net::datagram;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::received::Received;

/// A UDP socket.
///
/// Dropping it closes it, and discards datagrams that were received and not yet taken.
///
/// # Examples
/// ```
/// use proactor::net::UdpSocket;
/// proactor::run(async {
///     let a = UdpSocket::bind("127.0.0.1:0").await?;
///     let b = UdpSocket::bind("127.0.0.1:0").await?;
///     a.send_to("hello", b.local_addr()?).await?;
///     let ((count, sender), buffer) = b.recv_from(Vec::with_capacity(64)).await?;
///     assert_eq!((count, sender, &buffer[..]), (5, a.local_addr()?, &b"hello"[..]));
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    endpoint: EndpointRef,
    /// The unfinished receive of `poll_recv_chunk`.
    polled: Unfinished<RecvChunkFrom>,
}

impl UdpSocket {
    /// Binds to the first address that works.
    ///
    /// # Errors
    /// Those of the look-up, socket(2) and bind(2); with several addresses, the error of the last.
    ///
    /// # Panics
    /// When polled outside a runtime.
    pub fn bind(address: impl ToSocketAddrs) -> UdpBind {
        UdpBind(Binding::new(address, |address| {
            let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
            socket.bind(&SockAddr::from(*address))?;
            Ok(UdpSocket::from_fd(socket.into(), "UdpSocket::bind"))
        }))
    }

    /// Takes over a socket of the standard library.
    ///
    /// On the proactor O_NONBLOCK is set while the runtime has the socket. If it was clear before, it is cleared again
    /// by the drop and by `into_owned_fd`. The flag belongs to the open file description, which clones of the
    /// descriptor share. The selector leaves the flag as it is.
    ///
    /// # Errors
    /// Those of fcntl(2).
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        let descriptor = attach_shared(socket.into(), "UdpSocket::from_std")?;
        Ok(UdpSocket { endpoint: EndpointRef::new(descriptor), polled: Unfinished::default() })
    }

    #[track_caller]
    fn from_fd(fd: OwnedFd, what: &str) -> Self {
        UdpSocket { endpoint: EndpointRef::new(attach(fd, what)), polled: Unfinished::default() }
    }

    /// Sets the peer of [`send`](Self::send) and [`recv`](Self::recv) to the first address that works.
    ///
    /// # Errors
    /// Those of the look-up and connect(2).
    pub fn connect(&self, address: impl ToSocketAddrs) -> ConnectUdp {
        ConnectUdp(ConnectTo { endpoint: self.endpoint.clone(), lookup: lookup_host(address) })
    }

    /// Sends one datagram to an address.
    ///
    /// # Errors
    /// Those of sendmsg(2); the buffer comes back.
    ///
    /// # Cancellation
    /// A dropped send may have been sent, but never in part.
    pub fn send_to<B: IoBuf>(&self, buf: B, target: SocketAddr) -> SendTo<B> {
        SendTo(Submission::new(datagram::SendTo::new(&self.endpoint, buf, Some(target.into()))))
    }

    /// Sends one datagram to the peer set by [`connect`](Self::connect).
    ///
    /// # Errors
    /// Those of sendmsg(2); the buffer comes back.
    pub fn send<B: IoBuf>(&self, buf: B) -> UdpSend<B> {
        UdpSend(Submission::new(datagram::SendTo::new(&self.endpoint, buf, None)))
    }

    /// Receives one datagram and its sender's address. A datagram longer than the buffer is truncated.
    ///
    /// # Errors
    /// Those of recvmsg(2); the buffer comes back.
    ///
    /// # Cancellation
    /// Dropping the future loses no datagram: one that still arrives for it goes to the next receive, truncated to the
    /// size of the dropped future's buffer.
    pub fn recv_from<B: IoBufMut>(&self, buf: B) -> RecvFrom<B> {
        RecvFrom(Submission::new(datagram::RecvFrom::new(&self.endpoint, buf)))
    }

    /// Receives one datagram; otherwise as [`recv_from`](Self::recv_from).
    ///
    /// # Errors
    /// Those of recvmsg(2); the buffer comes back.
    pub fn recv<B: IoBufMut>(&self, buf: B) -> UdpRecv<B> {
        UdpRecv(Receiving(Submission::new(datagram::RecvFrom::new(&self.endpoint, buf))))
    }

    /// Receives one whole datagram into memory of the runtime, and its sender's address.
    ///
    /// This is the cheapest way to receive. On the proactor one multishot operation, which belongs to the socket, fills
    /// the socket's queue.
    ///
    /// # Errors
    /// Those of recvmsg(2).
    ///
    /// # Cancellation
    /// Dropping it loses no datagram.
    pub fn recv_chunk(&self) -> RecvChunkFrom {
        RecvChunkFrom(ReceivingDatagram::new(&self.endpoint))
    }

    /// Returns the received datagrams as a stream of the `futures` crates.
    ///
    /// # Cancellation
    /// Dropping it loses no datagram.
    pub fn datagrams(&self) -> Datagrams {
        Datagrams::new(&self.endpoint)
    }

    /// Polls for a datagram, as [`recv_chunk`](Self::recv_chunk) does; for adapters. After `Pending` it keeps its turn:
    /// other receives wait until it has returned `Ready`.
    pub fn poll_recv_chunk(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Chunk, SocketAddr)>> {
        self.polled.poll(cx, || self.recv_chunk())
    }

    /// Waits until no operation of the socket is in flight; stops its multishot operation. See
    /// [`TcpStream::quiesce`](super::TcpStream::quiesce).
    ///
    /// # Errors
    /// Only `ECANCELED`, after a cancel.
    ///
    /// # Cancellation
    /// Dropping the future is harmless.
    pub fn quiesce(&self) -> Quiesce {
        Quiesce::of(&self.endpoint)
    }

    /// Gives the descriptor away, together with the datagrams that were received and not yet taken.
    ///
    /// # Errors
    /// `ResourceBusy` while futures of this socket exist; the socket is then closed.
    ///
    /// # Cancellation
    /// Dropping or cancelling the future closes the socket.
    pub fn into_owned_fd(self) -> UdpIntoOwnedFd {
        let datagrams = |received: Vec<Received>| {
            let datagram = |received| match received {
                Received::Datagram(datagram) => {
                    datagram.sender().map(|sender| (datagram.into_bytes(), sender))
                }
                _ => None,
            };
            received.into_iter().filter_map(datagram).collect()
        };
        UdpIntoOwnedFd(Detaching::new(self.endpoint.clone(), datagrams))
    }

    /// The local address.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(SockRef::from(&self.endpoint.descriptor).local_addr())
    }

    /// The peer set by [`connect`](Self::connect).
    ///
    /// # Errors
    /// Those of getpeername(2).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        internet(SockRef::from(&self.endpoint.descriptor).peer_addr())
    }

    /// Whether the socket may send to broadcast addresses (SO_BROADCAST).
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn broadcast(&self) -> io::Result<bool> {
        SockRef::from(&self.endpoint.descriptor).broadcast()
    }

    /// Sets whether the socket may send to broadcast addresses (SO_BROADCAST).
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        SockRef::from(&self.endpoint.descriptor).set_broadcast(broadcast)
    }

    /// Closes the socket and waits until it is closed. A drop closes it as well, but reports no error.
    ///
    /// # Errors
    /// Those of close(2); `ResourceBusy` while futures of this socket exist.
    pub fn close(self) -> Close {
        Close::new(self.endpoint.clone())
    }
}

impl Drop for UdpSocket {
    /// Frees the port at once, also when operations of dropped futures are still in flight.
    fn drop(&mut self) {
        self.polled.end();
        release_endpoint(&self.endpoint);
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.endpoint.descriptor.lend()
    }
}

impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.endpoint.descriptor.lend().as_raw_fd()
    }
}

io_future! {
    /// The future of [`UdpSocket::bind`].
    UdpBind<> = Binding<UdpSocket> => io::Result<UdpSocket>
}
io_future! {
    /// The future of [`UdpSocket::connect`].
    ConnectUdp<> = ConnectTo => io::Result<()>
}
io_future! {
    /// The future of [`UdpSocket::send_to`].
    SendTo<B: IoBuf> = Submission<datagram::SendTo<B>> => BufResult<usize, B>
}
io_future! {
    /// The future of [`UdpSocket::send`].
    UdpSend<B: IoBuf> = Submission<datagram::SendTo<B>> => BufResult<usize, B>
}
io_future! {
    /// The future of [`UdpSocket::recv_from`].
    RecvFrom<B: IoBufMut> = Submission<datagram::RecvFrom<B>> => BufResult<(usize, SocketAddr), B>
}
io_future! {
    /// The future of [`UdpSocket::recv`].
    UdpRecv<B: IoBufMut> = Receiving<B> => BufResult<usize, B>
}

pub(crate) struct ConnectTo {
    endpoint: EndpointRef,
    lookup: LookupHost,
}

impl ConnectTo {
    fn request_cancel(&mut self) {
        self.lookup.request_cancel();
    }
}

impl Future for ConnectTo {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let addresses = ready!(Pin::new(&mut self.lookup).poll(cx))?;
        // For a datagram socket connect(2) only stores the address: it never waits.
        Poll::Ready(first_that_works(&addresses, |address| {
            SockRef::from(&self.endpoint.descriptor).connect(&SockAddr::from(*address))
        }))
    }
}

/// A receive that does not ask for the sender.
pub(crate) struct Receiving<B: IoBufMut>(Submission<datagram::RecvFrom<B>>);

impl<B: IoBufMut> Receiving<B> {
    fn request_cancel(&mut self) {
        self.0.request_cancel();
    }
}

impl<B: IoBufMut> Unpin for Receiving<B> {}

impl<B: IoBufMut> Future for Receiving<B> {
    type Output = BufResult<usize, B>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let received = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(received.map(|((count, _sender), buf)| (count, buf)))
    }
}
