//! `TcpListener` that accepts connections as direct descriptors.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::SockRef;

use super::stream::TcpStream;
use crate::io::Close;
use crate::io::shared::unfinished::Unfinished;
use crate::net::addr::ToSocketAddrs;
use crate::net::tcp;
use crate::net::tcp::accept::{Accepting, Acceptor};

/// A listener that accepts connections as direct descriptors. Its own descriptor is an ordinary one.
///
/// # Examples
/// See [`TcpStream`].
#[derive(Debug)]
pub struct TcpListener {
    listener: tcp::listener::TcpListener,
    polled: Unfinished<Accept>,
}

impl TcpListener {
    /// As [`TcpListener::bind`](crate::net::TcpListener::bind).
    pub fn bind(address: impl ToSocketAddrs) -> Bind {
        Bind(Binding(tcp::listener::TcpListener::bind(address)))
    }

    /// Takes over a listener of the standard library.
    ///
    /// # Errors
    /// Those of fcntl(2), and on the proactor of epoll_create1(2) and epoll_ctl(2).
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        tcp::listener::TcpListener::from_std(listener).map(Self::from)
    }

    /// Waits for a connection. The peer's address would cost a further system call: see [`TcpStream::peer_addr`].
    ///
    /// A connection is accepted only when the future is polled, as by
    /// [`TcpListener::accept`](crate::net::TcpListener::accept).
    ///
    /// # Errors
    /// Those of accept(2), and `QuotaExceeded` when the table is full. Try again after these: as after `EMFILE`
    /// ([`TcpListener::accept`](crate::net::TcpListener::accept)), the next accept first waits until a descriptor has been
    /// closed, or for a pause. The connection stays in the backlog.
    ///
    /// # Cancellation
    /// Dropping the future loses no connection.
    pub fn accept(&self) -> Accept {
        Accept(AcceptFrom(Accepting::direct(self.acceptor())))
    }

    /// Polls for a connection, for adapters. After `Pending` it keeps its turn: other accepts wait until it has
    /// returned `Ready`.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        self.polled.poll(cx, || self.accept())
    }

    fn acceptor(&self) -> &Rc<Acceptor> {
        self.listener.acceptor()
    }

    /// The address that the listener is bound to.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Sets whether connections that are accepted from now on send small segments at once (TCP_NODELAY).
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        SockRef::from(&self.listener.as_fd()).set_tcp_nodelay(nodelay)
    }

    /// Closes the listener and waits until it is closed. A drop closes it as well, but reports no error.
    ///
    /// # Errors
    /// Those of close(2); `ResourceBusy` while futures of this listener exist.
    pub fn close(self) -> Close {
        self.polled.end();
        self.listener.close()
    }
}

impl From<tcp::listener::TcpListener> for TcpListener {
    /// Connections inherit SO_LINGER from their listener. A ring closes direct descriptors on the loop's thread, which
    /// must not wait: so a linger time is turned off, and zero is kept.
    fn from(listener: tcp::listener::TcpListener) -> Self {
        listener.acceptor().endpoint.descriptor.stop_lingering();
        TcpListener { listener, polled: Unfinished::default() }
    }
}

io_future! {
    /// The future of [`TcpListener::bind`].
    Bind<> = Binding => io::Result<TcpListener>
}
io_future! {
    /// The future of [`TcpListener::accept`].
    Accept<> = AcceptFrom => io::Result<TcpStream>
}

pub(crate) struct Binding(tcp::listener::Bind);

impl Binding {
    fn request_cancel(&mut self) {
        crate::io::Cancellable::request_cancel(&mut self.0);
    }
}

impl Future for Binding {
    type Output = io::Result<TcpListener>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_ok(TcpListener::from)
    }
}

pub(crate) struct AcceptFrom(Accepting);

impl AcceptFrom {
    fn request_cancel(&mut self) {
        self.0.request_cancel();
    }
}

impl Future for AcceptFrom {
    type Output = io::Result<TcpStream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let accepted = Pin::new(&mut self.0).poll(cx);
        accepted.map_ok(|accepted| {
            TcpStream(tcp::stream::TcpStream::from_opened(accepted.connection, "direct::TcpListener::accept"))
        })
    }
}
