//! `TcpListener`: see tcp(7), listen(2), accept4(2).
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use socket2::{Protocol, SockAddr, SockRef, Type};

use super::accept::{Accepting, Acceptor};
use super::stream::TcpStream;
use crate::driver::{attach, release_endpoint};
use crate::io::Close;
use crate::io::shared::quiesce::{Detaching, ListenerIntoOwnedFd, Quiesce};
use crate::io::shared::unfinished::{Unfinished, adopt};
use crate::net::addr::ToSocketAddrs;
use crate::net::bind::Binding;
use crate::net::{internet, not_internet, socket};
use crate::op::fd::descriptor::Opened;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::received::Received;

/// A TCP socket that accepts connections.
///
/// Dropping it closes it, and the kernel resets the connections in its backlog. The backlog is 1,024; the kernel limits
/// it to `net.core.somaxconn`.
///
/// # Several loops with one listener
/// A connection is accepted only when the future of an accept is polled, never ahead of that. So a program that serves
/// one client after the other holds the descriptor of one. Several loops, threads or processes may share a listener
/// (`try_clone` of the standard library, then [`from_std`](Self::from_std); or descriptors kept across a fork). Each
/// new client wakes all loops that wait in an accept, and the first one takes it. A loop that is busy, sleeps or does
/// not run leaves clients to the others. With many loops it is cheaper to give each its own listener on the same port,
/// with `SO_REUSEPORT`. The kernel then distributes the clients, and clients of a loop that does not run wait for that
/// loop.
///
/// On the proactor a listener has a second descriptor: an epoll set, which the ring polls in the listener's place. So
/// nothing in the ring keeps the listener open, and its port is free as soon as the process has ended, also by
/// `SIGKILL` or `exit`. (Streams, UDP sockets and files with operations in flight at that time are closed some
/// milliseconds later, when the kernel releases the ring.)
///
/// # Examples
/// ```
/// use proactor::net::{TcpListener, TcpStream};
/// proactor::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, peer) = listener.accept().await?;
///     assert_eq!(peer, client.local_addr()?);
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpListener {
    acceptor: Rc<Acceptor>,
    /// The unfinished accept of `poll_accept`.
    polled: Unfinished<Accept>,
}

const BACKLOG: i32 = 1_024;

impl TcpListener {
    /// Binds to the first address that works, with SO_REUSEADDR, and listens.
    ///
    /// With port 0 the kernel chooses the port; [`local_addr`](Self::local_addr) returns it.
    ///
    /// # Errors
    /// Those of the look-up, socket(2), bind(2) and listen(2), and on the proactor of epoll_create1(2) and
    /// epoll_ctl(2); with several addresses, the error of the last.
    ///
    /// # Panics
    /// When polled outside a runtime.
    pub fn bind(address: impl ToSocketAddrs) -> Bind {
        Bind(Binding::new(address, |address| {
            let socket = socket(address, Type::STREAM, Protocol::TCP)?;
            socket.set_reuse_address(true)?;
            socket.bind(&SockAddr::from(*address))?;
            socket.listen(BACKLOG)?;
            TcpListener::from_fd(socket.into(), "TcpListener::bind")
        }))
    }

    /// Takes over a listener of the standard library.
    ///
    /// O_NONBLOCK is set and stays set: accept4(2) has no flag that keeps it from blocking, and other loops may share
    /// the listener. Other code may clear the flag. From Linux 6.13 on this never blocks the proactor's loop: the ring
    /// accepts, which needs no flag. The selector, and the proactor on older kernels, check the flag right before each
    /// accept4(2) and set it again. A gap remains between these two calls: if the flag is cleared there and another
    /// loop takes the client, this loop blocks until the next client. Since the flag is set again, an accept on a clone
    /// in other code may fail with `WouldBlock`.
    ///
    /// # Errors
    /// Those of fcntl(2), and on the proactor of epoll_create1(2) and epoll_ctl(2).
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        let listener = Self::from_fd(adopt(listener.into())?, "TcpListener::from_std")?;
        listener.acceptor.endpoint.descriptor.lend();
        Ok(listener)
    }

    #[track_caller]
    fn from_fd(fd: OwnedFd, what: &str) -> io::Result<Self> {
        let acceptor = Acceptor::new(EndpointRef::new(attach(fd, what)))?;
        Ok(TcpListener { acceptor, polled: Unfinished::default() })
    }

    pub(in crate::net) fn acceptor(&self) -> &Rc<Acceptor> {
        &self.acceptor
    }

    /// Waits for a connection; returns the stream and the peer's address.
    ///
    /// A connection that the peer has reset in the backlog is returned as well: its bytes can be received, and then
    /// `ECONNRESET`.
    ///
    /// # Errors
    /// Those of accept(2). Some concern only one connection (ECONNABORTED, and errors of the network). On EMFILE,
    /// ENFILE, ENOBUFS and ENOMEM connections stay in the backlog. Try again in both cases. After a lack of descriptors
    /// or memory the next accept first waits until the runtime has closed a descriptor, or for a pause (5 ms, doubled
    /// with each failure in a row, up to 1 s). So a loop around it does not spin.
    ///
    /// # Cancellation
    /// Dropping the future loses no connection: none is accepted before it is polled.
    pub fn accept(&self) -> Accept {
        Accept(AcceptFrom::new(&self.acceptor))
    }

    /// Polls for a connection, as [`accept`](Self::accept) does; for adapters. After `Pending` it keeps its turn: other
    /// accepts wait until it has returned `Ready`.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.polled.poll(cx, || self.accept())
    }

    /// Waits until no accept of the listener is in flight: takes its turn among them.
    ///
    /// # Errors
    /// Only `ECANCELED`, after a cancel.
    ///
    /// # Cancellation
    /// Dropping the future is harmless.
    pub fn quiesce(&self) -> Quiesce {
        Quiesce::of(&self.acceptor.endpoint)
    }

    /// Gives the descriptor away. Connections that were not accepted stay in its backlog. The vector contains a
    /// connection only if the future of an accept was dropped after the ring had accepted for it.
    ///
    /// # Errors
    /// `ResourceBusy` while futures of this listener exist; the listener is then closed.
    ///
    /// # Cancellation
    /// Dropping or cancelling the future closes the listener.
    pub fn into_owned_fd(self) -> ListenerIntoOwnedFd {
        let connections = |received: Vec<Received>| {
            let connection = |received| match received {
                Received::Connection(accepted) => match accepted.connection {
                    Opened::Raw(fd) => Some(fd),
                    Opened::Direct(_) => None,
                },
                _ => None,
            };
            received.into_iter().filter_map(connection).collect()
        };
        ListenerIntoOwnedFd(Detaching::new(self.acceptor.endpoint.clone(), connections))
    }

    /// The address that the listener is bound to.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(SockRef::from(&self.acceptor.endpoint.descriptor).local_addr())
    }

    /// The time-to-live of its packets.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn ttl(&self) -> io::Result<u32> {
        SockRef::from(&self.acceptor.endpoint.descriptor).ttl_v4()
    }

    /// Sets the time-to-live of its packets.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        SockRef::from(&self.acceptor.endpoint.descriptor).set_ttl_v4(ttl)
    }

    /// Closes the listener and waits until it is closed. A drop closes it as well, but reports no error.
    ///
    /// # Errors
    /// Those of close(2); `ResourceBusy` while futures of this listener exist.
    pub fn close(self) -> Close {
        Close::new(self.acceptor.endpoint.clone())
    }
}

impl Drop for TcpListener {
    /// Frees the port at once, also when operations of dropped futures are still in flight.
    fn drop(&mut self) {
        self.polled.end();
        release_endpoint(&self.acceptor.endpoint);
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.acceptor.endpoint.descriptor.lend()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.acceptor.endpoint.descriptor.lend().as_raw_fd()
    }
}

io_future! {
    /// The future of [`TcpListener::bind`].
    Bind<> = Binding<TcpListener> => io::Result<TcpListener>
}

io_future! {
    /// The future of [`TcpListener::accept`].
    Accept<> = AcceptFrom => io::Result<(TcpStream, SocketAddr)>
}

pub(crate) struct AcceptFrom {
    step: Accepting,
}

impl AcceptFrom {
    pub(in crate::net) fn new(acceptor: &Rc<Acceptor>) -> Self {
        AcceptFrom { step: Accepting::new(acceptor) }
    }

    fn request_cancel(&mut self) {
        self.step.request_cancel();
    }
}

impl Future for AcceptFrom {
    type Output = io::Result<(TcpStream, SocketAddr)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let accepted = ready!(Pin::new(&mut self.step).poll(cx))?;
        let stream = TcpStream::from_opened(accepted.connection, "TcpListener::accept");
        let stream = stream.inherit(self.step.listener());
        Poll::Ready(accepted.peer.ok_or_else(not_internet).map(|peer| (stream, peer)))
    }
}
