//! Connections as a stream: `incoming`, `poll_accept`.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::accept::Acceptor;
use super::listener::{Accept, AcceptFrom, TcpListener};
use super::stream::TcpStream;

/// The connections of a listener, as a [`Stream`] that never ends: see
/// [`TcpListener::incoming`](crate::net::TcpListener::incoming).
///
/// # Examples
/// ```
/// use proactor::net::{TcpListener, TcpStream};
/// proactor::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let mut incoming = listener.incoming();
///     let (_server, peer) = incoming.next().await?;
///     assert_eq!(peer, client.local_addr()?);
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming {
    acceptor: Rc<Acceptor>,
    next: Option<Accept>,
}

impl TcpListener {
    /// Returns the connections as a stream of the `futures` crates.
    ///
    /// # Cancellation
    /// Dropping the stream loses no connection.
    pub fn incoming(&self) -> Incoming {
        Incoming::new(self.acceptor())
    }
}

impl Incoming {
    pub(in crate::net) fn new(acceptor: &Rc<Acceptor>) -> Self {
        Incoming { acceptor: acceptor.clone(), next: None }
    }

    /// The next connection.
    ///
    /// # Errors
    /// Those of [`accept`](crate::net::TcpListener::accept); the next call continues.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing: the next call returns the connection.
    #[expect(clippy::should_implement_trait, reason = "it is what `StreamExt` calls it")]
    pub fn next(&mut self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> {
        std::future::poll_fn(|cx| self.poll_accept(cx))
    }

    pub(in crate::net) fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let next = self.next.get_or_insert_with(|| Accept(AcceptFrom::new(&self.acceptor)));
        let accepted = ready!(Pin::new(next).poll(cx));
        self.next = None;
        Poll::Ready(accepted)
    }
}

impl Stream for Incoming {
    type Item = io::Result<(TcpStream, SocketAddr)>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_accept(cx).map(Some)
    }
}
