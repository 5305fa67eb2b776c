//! Receiving datagrams into the runtime's memory.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::buf::Chunk;
use crate::io::shared::chunks::Receiving;
use crate::op::catalogue::net::recv_chunk::RecvDatagram;
use crate::op::object::endpoint_ref::EndpointRef;

io_future! {
    /// The future of [`UdpSocket::recv_chunk`](crate::net::UdpSocket::recv_chunk).
    RecvChunkFrom<> = ReceivingDatagram => io::Result<(Chunk, SocketAddr)>
}

pub(crate) struct ReceivingDatagram(Receiving<RecvDatagram>);

impl ReceivingDatagram {
    pub(crate) fn new(endpoint: &EndpointRef) -> Self {
        ReceivingDatagram(Receiving::new(endpoint))
    }

    fn request_cancel(&mut self) {
        self.0.request_cancel();
    }
}

impl Future for ReceivingDatagram {
    type Output = io::Result<(Chunk, SocketAddr)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let received = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(received.and_then(|datagram| {
            let sender = datagram.sender().ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "the sender's address is neither IPv4 nor IPv6")
            })?;
            Ok((datagram.into_bytes(), sender))
        }))
    }
}

/// The datagrams that a socket receives, with their senders, as a [`Stream`] that never ends: see
/// [`UdpSocket::datagrams`](crate::net::UdpSocket::datagrams).
///
/// # Examples
/// ```
/// use proactor::net::UdpSocket;
/// proactor::run(async {
///     let a = UdpSocket::bind("127.0.0.1:0").await?;
///     let b = UdpSocket::bind("127.0.0.1:0").await?;
///     a.send_to("hello", b.local_addr()?).await?;
///     let mut datagrams = b.datagrams();
///     let (datagram, sender) = datagrams.next().await?;
///     assert_eq!((&datagram[..], sender), (&b"hello"[..], a.local_addr()?));
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Datagrams {
    endpoint: EndpointRef,
    next: Option<RecvChunkFrom>,
}

impl Datagrams {
    pub(crate) fn new(endpoint: &EndpointRef) -> Self {
        Datagrams { endpoint: endpoint.clone(), next: None }
    }

    /// The next datagram and its sender.
    ///
    /// # Errors
    /// Those of recvmsg(2); the next call continues.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing: the next call returns the datagram.
    #[expect(clippy::should_implement_trait, reason = "it is what `StreamExt` calls it")]
    pub fn next(&mut self) -> impl Future<Output = io::Result<(Chunk, SocketAddr)>> {
        std::future::poll_fn(|cx| self.poll_datagram(cx))
    }

    pub(crate) fn poll_datagram(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Chunk, SocketAddr)>> {
        let next = self.next.get_or_insert_with(|| RecvChunkFrom(ReceivingDatagram::new(&self.endpoint)));
        let received = ready!(Pin::new(next).poll(cx));
        self.next = None;
        Poll::Ready(received)
    }
}

impl Stream for Datagrams {
    type Item = io::Result<(Chunk, SocketAddr)>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_datagram(cx).map(Some)
    }
}
