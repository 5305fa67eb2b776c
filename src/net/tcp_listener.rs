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
use super::addr::ToSocketAddrs;
use super::incoming::Incoming;
use super::quiesce::{ListenerIntoOwnedFd, Quiesce, Surrender};
use super::tcp_stream::TcpStream;
use super::{Binding, Unfinished, adopt, internet, not_internet, socket};
use crate::driver::{attach, let_go};
use crate::io::Close;
use crate::op::endpoint::{Arrival, Share};
use crate::op::fd::Opened;

/// A socket that accepts connections.
///
/// Dropping it closes it, and the kernel resets the connections that wait in its backlog. The backlog is 1,024; the
/// kernel limits it to `net.core.somaxconn`.
///
/// # Several loops with one listener
/// A connection is accepted when the future of an accept is polled, never ahead of that: so a program that serves one
/// client after the other holds the descriptor of one. Several loops, threads or processes may have the same listener
/// (`try_clone` of the standard library's, then [`from_std`](Self::from_std); or descriptors kept across a fork). Each new
/// client wakes all loops that wait in an accept, and the first one takes it; a loop that is busy, sleeps, or does not run
/// leaves its clients to the others. With many loops it is cheaper to give each a listener of its own on the same port, by
/// `SO_REUSEPORT`; then the kernel distributes the clients, and those of a loop that does not run wait for it.
///
/// On the proactor a listener has a second descriptor: an epoll set, which the ring polls in its place. So nothing in the
/// ring keeps the listener open, and its port is free as soon as the process has ended, also by `SIGKILL` or `exit`.
/// (Streams, UDP sockets and files of operations that were in flight then are closed some milliseconds later, when the
/// kernel takes the ring apart.)
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
    /// What `poll_accept` waits with.
    polled: Unfinished<Accept>,
}

const BACKLOG: i32 = 1_024;

impl TcpListener {
    /// Binds to the first address that works, with SO_REUSEADDR, and listens.
    ///
    /// Port 0 lets the kernel choose; [`local_addr`](Self::local_addr) tells.
    ///
    /// # Errors
    /// Those of the look-up, socket(2), bind(2) and listen(2), and on the proactor of epoll_create1(2) and epoll_ctl(2); of
    /// several addresses, the last one's.
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

    /// Takes a listener of the standard library over.
    ///
    /// O_NONBLOCK is set, and stays so: accept4(2) has no flag of its own to keep it from waiting, and other loops may share
    /// the listener. Other code may clear it. From Linux 6.10 on that never stops the proactor's loop: the ring accepts, which
    /// needs no flag. The selector, and the proactor on older kernels, look at the flag right before each accept4(2) and set
    /// it again. What remains is a clear between these two calls: if another loop has taken the client as well, this one
    /// waits for the next client. Since the flag is set again, an accept on a clone in other code may give `WouldBlock`.
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
        let acceptor = Acceptor::new(Share::new(attach(fd, what)))?;
        Ok(TcpListener { acceptor, polled: Unfinished::default() })
    }

    pub(super) fn acceptor(&self) -> &Rc<Acceptor> {
        &self.acceptor
    }

    /// Waits for a connection; gives the stream and its peer's address.
    ///
    /// A connection that its peer has reset while it was in the backlog is given as well: its bytes can be received, and
    /// then `ECONNRESET`.
    ///
    /// # Errors
    /// Those of accept(2). Some concern only the one connection (ECONNABORTED, and errors of the network);
    /// on EMFILE, ENFILE, ENOBUFS and ENOMEM connections stay in the backlog. Simply try again: after such
    /// an error the next accept waits until the runtime has closed a descriptor, or for a pause (5 ms, doubled
    /// with each failure in a row, up to 1 s), so that a loop around it does not spin.
    ///
    /// # Cancellation
    /// Dropping it loses no connection: none is accepted before the future is polled.
    pub fn accept(&self) -> Accept {
        Accept(AcceptFrom::new(&self.acceptor))
    }

    /// The connections, one after the other, as a stream of the `futures` crates.
    ///
    /// # Cancellation
    /// Dropping it loses no connection.
    pub fn incoming(&self) -> Incoming {
        Incoming::new(&self.acceptor)
    }

    /// Polls for a connection, as [`accept`](Self::accept) does, for adapters. After `Pending` it keeps its turn: other
    /// accepts wait until it has been ready.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.polled.poll(cx, || self.accept())
    }

    /// Waits for its turn among the accepts, so that no accept of the listener is under way.
    ///
    /// # Errors
    /// None but `ECANCELED`.
    ///
    /// # Cancellation
    /// Dropping it is harmless.
    pub fn quiesce(&self) -> Quiesce {
        Quiesce::of(&self.acceptor.endpoint)
    }

    /// Gives the descriptor away. Connections that nobody has accepted stay in its backlog. The vector has one only if the
    /// future of an accept was dropped after the ring had accepted for it.
    ///
    /// # Errors
    /// `ResourceBusy` while futures of this listener are still there; it is closed then.
    ///
    /// # Cancellation
    /// Dropping or cancelling it closes the listener.
    pub fn into_owned_fd(self) -> ListenerIntoOwnedFd {
        let connections = |arrivals: Vec<Arrival>| {
            let connection = |arrival| match arrival {
                Arrival::Connection(accepted) => match accepted.connection {
                    Opened::Raw(fd) => Some(fd),
                    Opened::Direct(_) => None,
                },
                _ => None,
            };
            arrivals.into_iter().filter_map(connection).collect()
        };
        ListenerIntoOwnedFd(Surrender::new(self.acceptor.endpoint.clone(), connections))
    }

    /// The address that it listens on.
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

    /// Closes it and waits until that is done; dropping it closes it as well, but tells of no error.
    ///
    /// # Errors
    /// Those of close(2); `ResourceBusy` while futures of this listener are still there.
    pub fn close(self) -> Close {
        Close::new(self.acceptor.endpoint.clone())
    }
}

impl Drop for TcpListener {
    /// Frees the port at once, also when operations of dropped futures were still with the kernel.
    fn drop(&mut self) {
        self.polled.end();
        let_go(&self.acceptor.endpoint);
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
    pub(super) fn new(acceptor: &Rc<Acceptor>) -> Self {
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
