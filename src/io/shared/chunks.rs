//! Receiving into the runtime's memory: chunks of a stream, and datagrams.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::buf::Chunk;
use crate::driver::current;
use crate::driver::operation::submission::Submission;
use crate::op::catalogue::net::recv_chunk::{Receive, ReceiveStep, RecvChunk};
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::io_lock::Side;
use crate::op::object::io_turn::IoTurn;
use crate::sys::context::expect_runtime;

io_future! {
    /// The future of [`TcpStream::recv`](crate::net::TcpStream::recv).
    Recv<> = Receiving<RecvChunk> => io::Result<Option<Chunk>>
}

impl Recv {
    pub(crate) fn of(endpoint: &EndpointRef) -> Self {
        Recv(Receiving::new(endpoint))
    }
}

/// Receives once: data that a multishot operation has put into the receive queue, or else the next data that arrives.
pub(crate) struct Receiving<O: Receive> {
    step: Submission<O>,
    cancelled: bool,
}

impl<O: Receive> Receiving<O> {
    pub(crate) fn new(endpoint: &EndpointRef) -> Self {
        Self::through(IoTurn::new(endpoint, Side::Receive))
    }

    fn through(turn: IoTurn) -> Self {
        Receiving { step: Submission::new(O::new(turn)), cancelled: false }
    }

    pub(crate) fn request_cancel(&mut self) {
        self.cancelled = true;
        self.step.request_cancel();
    }
}

impl<O: Receive> Unpin for Receiving<O> {}

impl<O: Receive> Future for Receiving<O> {
    type Output = io::Result<O::Item>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let (result, turn) = match ready!(Pin::new(&mut self.step).poll(cx)) {
                ReceiveStep::Item(result, turn) => (result, turn),
                ReceiveStep::Ready(step) => match step.asking() {
                    Ok(step) => {
                        self.step = Submission::new(step);
                        continue;
                    }
                    Err(step) => {
                        let driver = expect_runtime(current(), O::NAME);
                        match driver.call_now(step) {
                            ReceiveStep::Item(result, turn) => (result, turn),
                            ReceiveStep::Ready(_) => {
                                unreachable!("a call returns received data or an error")
                            }
                        }
                    }
                },
            };
            match result {
                // Another receive was faster, or there was no data after all: the ring's next poll may report the same.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
                        && !self.cancelled =>
                {
                    if error.kind() == io::ErrorKind::WouldBlock {
                        turn.endpoint().descriptor.needs_edges_from_now_on();
                    }
                    *self = Self::through(turn);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(io::Error::from_raw_os_error(libc::ECANCELED)));
                }
                result => return Poll::Ready(result),
            }
        }
    }
}

/// The chunks of a stream, as a [`Stream`]: see [`TcpStream::chunks`](crate::net::TcpStream::chunks).
///
/// It yields `None` at the end of the stream, and after an error.
///
/// # Examples
/// ```
/// use proactor::net::{TcpListener, TcpStream};
/// proactor::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, _) = listener.accept().await?;
///     client.write_all("all that there is").await?;
///     drop(client);
///     let mut chunks = server.chunks();
///     let mut count = 0;
///     while let Some(chunk) = chunks.next().await {
///         count += chunk?.len();
///     }
///     assert_eq!(count, 17);
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Chunks {
    endpoint: EndpointRef,
    next: Option<Recv>,
    over: bool,
}

impl Chunks {
    pub(crate) fn new(endpoint: &EndpointRef) -> Self {
        Chunks { endpoint: endpoint.clone(), next: None, over: false }
    }

    /// The next chunk; `None` at the end, and after an error.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing: the next call returns the chunk.
    #[expect(clippy::should_implement_trait, reason = "it is what `StreamExt` calls it")]
    pub fn next(&mut self) -> impl Future<Output = Option<io::Result<Chunk>>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
    }
}

impl Stream for Chunks {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        let next = this.next.get_or_insert_with(|| Recv::of(&this.endpoint));
        let received = ready!(Pin::new(next).poll(cx)).transpose();
        this.next = None;
        this.over = !matches!(received, Some(Ok(_)));
        Poll::Ready(received)
    }
}
