//! `TcpStream`: see tcp(7), connect(2), recv(2), send(2), shutdown(2).
#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll};

use socket2::SockRef;

use super::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::buf::{Chunk, IoBufMut, IoVecMut};
use crate::driver::operation::transfer::{Goal, Repeat};
use crate::driver::{attach, attach_shared};
use crate::io::Close;
use crate::io::shared::chunks::{Chunks, Recv};
use crate::io::shared::quiesce::{Detaching, IntoOwnedFd, Leftover, Quiesce};
use crate::io::shared::transfers::{Read, ReadExact, ReadVectored};
use crate::io::shared::unfinished::Unfinished;
use crate::io::shared::writer::Writer;
use crate::net::internet;
use crate::op::catalogue::net::recv::Receiver;
use crate::op::catalogue::net::vectored::VectoredReceiver;
use crate::op::fd::descriptor::Opened;
use crate::op::object::endpoint_ref::EndpointRef;

/// A TCP connection.
///
/// Dropping it closes the connection. Operations of dropped futures that are still in flight are cancelled first, which
/// takes one or two turns of the loop. Futures of the stream that still exist keep it open.
///
/// # Examples
/// ```
/// use proactor::net::{TcpListener, TcpStream};
/// proactor::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, _) = listener.accept().await?;
///     client.write_all("hello").await?;
///     let (count, buffer) = server.read(Vec::with_capacity(64)).await?;
///     assert_eq!((count, &buffer[..]), (5, &b"hello"[..]));
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpStream {
    pub(super) endpoint: EndpointRef,
    /// The unfinished receive of `poll_recv`.
    polled: Unfinished<Recv>,
    pub(super) writer: Writer,
}

impl TcpStream {
    /// Takes over a stream of the standard library.
    ///
    /// On the proactor O_NONBLOCK is set while the runtime has the stream. If it was clear before, it is cleared again
    /// by the drop and by `into_owned_fd`. The flag belongs to the open file description, which clones of the
    /// descriptor share. The selector leaves the flag as it is.
    ///
    /// # Errors
    /// Those of fcntl(2).
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        let descriptor = attach_shared(stream.into(), "TcpStream::from_std")?;
        Ok(Self::from_endpoint(EndpointRef::new(descriptor)))
    }

    /// Takes over a connection and the data that was received ahead of its readers, as returned by
    /// [`into_owned_fd`](Self::into_owned_fd): on another thread or backend, for example. Receives return the
    /// leftover's bytes first, then its error, and then the socket's data.
    ///
    /// O_NONBLOCK is set and cleared as by [`from_std`](Self::from_std). An error without an OS error code is received
    /// as EIO.
    ///
    /// # Errors
    /// Those of fcntl(2).
    ///
    /// # Panics
    /// Outside a runtime.
    ///
    /// # Examples
    /// ```
    /// use proactor::net::{TcpListener, TcpStream};
    /// proactor::run(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let (server, _) = listener.accept().await?;
    ///     client.write_all("hello").await?;
    ///     let first = server.recv().await?.expect("the client is still there");
    ///     client.write_all("world").await?;
    ///
    ///     let (fd, leftover) = server.into_owned_fd().await?;
    ///     let server = proactor::spawn(async move {
    ///         let (_, rest) = TcpStream::from_owned_fd(fd, leftover)?.read_exact([0; 5]).await?;
    ///         std::io::Result::Ok(rest)
    ///     });
    ///     assert_eq!((&first[..], &server.await??), (&b"hello"[..], b"world"));
    ///     std::io::Result::Ok(())
    /// }).unwrap();
    /// ```
    #[track_caller]
    pub fn from_owned_fd(fd: OwnedFd, leftover: Leftover) -> io::Result<Self> {
        let endpoint = EndpointRef::new(attach_shared(fd, "TcpStream::from_owned_fd")?);
        leftover.into_received().for_each(|received| endpoint.push_received(received));
        Ok(Self::from_endpoint(endpoint))
    }

    #[track_caller]
    pub(in crate::net) fn from_opened(opened: Opened, what: &str) -> Self {
        Self::from_endpoint(EndpointRef::new(attach(opened, what)))
    }

    pub(in crate::net) fn from_endpoint(endpoint: EndpointRef) -> Self {
        TcpStream { endpoint, polled: Unfinished::default(), writer: Writer::default() }
    }

    /// Notes the listener that accepted this stream, whose options it has inherited.
    pub(in crate::net) fn inherit(self, listener: &EndpointRef) -> Self {
        if listener.descriptor.is_lent() {
            self.endpoint.descriptor.note_lent();
        }
        self
    }

    pub(in crate::net) fn endpoint(&self) -> &EndpointRef {
        &self.endpoint
    }

    /// Receives into the buffer: at least one byte, at most its capacity.
    ///
    /// The bytes are written from the buffer's start, and its length is set. Zero means the end of the stream (or a
    /// buffer without room).
    ///
    /// # Errors
    /// Those of recv(2); the buffer comes back.
    ///
    /// # Cancellation
    /// Dropping the future loses no byte: bytes that still arrive for it go to the next receive. The buffer is freed
    /// when the kernel no longer uses it.
    pub fn read<B: IoBufMut>(&self, buf: B) -> Read<B> {
        Read(Repeat::new(Receiver::new(&self.endpoint), buf, Goal::Once))
    }

    /// Receives at least one byte into memory of the runtime; `None` at the end of the stream.
    ///
    /// This is the cheapest way to receive. On the proactor one multishot operation, which belongs to the stream, fills
    /// the stream's queue. The kernel takes a buffer only when bytes arrive, so a waiting connection keeps none. If no
    /// receive takes the bytes, the queue grows to about 256 KiB, and the rest stays in the kernel until the queue is
    /// empty. After the first 17 pieces of the queue, a piece smaller than half a buffer is copied into memory of its
    /// own size, so that few bytes don't keep many buffers. For the memory that a chunk keeps see [its
    /// memory](Chunk#memory).
    ///
    /// `recv` and [`read`](Self::read) may be mixed; bytes stay in order.
    ///
    /// # Errors
    /// Those of recv(2).
    ///
    /// # Cancellation
    /// Dropping it loses no byte.
    pub fn recv(&self) -> Recv {
        Recv::of(&self.endpoint)
    }

    /// Polls for a chunk, as [`recv`](Self::recv) does; for adapters. After `Pending` it keeps its turn: other receives
    /// wait until it has returned `Ready`.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
        self.polled.poll(cx, || self.recv())
    }

    /// Returns the received chunks as a stream of the `futures` crates.
    ///
    /// # Cancellation
    /// Dropping it loses no byte.
    pub fn chunks(&self) -> Chunks {
        Chunks::new(&self.endpoint)
    }

    /// Receives until the buffer is full.
    ///
    /// # Errors
    /// Those of recv(2), and `UnexpectedEof`; the buffer comes back with the bytes received so far. The length of a `Vec`
    /// is then their count; an array does not show it.
    ///
    /// # Cancellation
    /// Dropping the future loses no byte: the bytes that it had received go back to the stream.
    pub fn read_exact<B: IoBufMut>(&self, buf: B) -> ReadExact<B> {
        ReadExact(Repeat::new(Receiver::new(&self.endpoint), buf, Goal::All))
    }

    /// Receives into several buffers, one after the other; otherwise as [`read`](Self::read).
    ///
    /// # Errors
    /// Those of recvmsg(2); the buffers come back.
    pub fn read_vectored<V: IoVecMut>(&self, bufs: V) -> ReadVectored<V> {
        ReadVectored(Repeat::new(VectoredReceiver::new(&self.endpoint), bufs, Goal::Once))
    }

    /// Splits the stream into two halves that borrow it.
    pub fn split(&self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Splits the stream into two halves that own it together. Dropping the writing half shuts its direction down.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        super::split::split(self)
    }

    /// The local address.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(SockRef::from(&self.endpoint.descriptor).local_addr())
    }

    /// The peer's address.
    ///
    /// # Errors
    /// Those of getpeername(2).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        internet(SockRef::from(&self.endpoint.descriptor).peer_addr())
    }

    /// Number of bytes that the kernel has taken for sending since this stream was made, including those of dropped and
    /// cancelled writes.
    pub fn bytes_sent(&self) -> u64 {
        self.endpoint.sent()
    }

    /// Waits until no operation of the stream is in flight.
    ///
    /// It stops the stream's multishot operation, and waits for the operations of futures that exist and of dropped
    /// ones. Received data stays in the stream's queue. If a send waits for the peer, this waits as well.
    ///
    /// # Errors
    /// Only `ECANCELED`, after a cancel.
    ///
    /// # Cancellation
    /// Dropping the future is harmless.
    pub fn quiesce(&self) -> Quiesce {
        Quiesce::of(&self.endpoint)
    }

    /// Gives the descriptor away, together with the data that was received and not yet taken.
    ///
    /// # Errors
    /// `ResourceBusy` while other futures or halves of this stream exist; the last of them closes it.
    ///
    /// # Cancellation
    /// Dropping or cancelling the future closes the connection.
    pub fn into_owned_fd(self) -> IntoOwnedFd {
        IntoOwnedFd(Detaching::new(self.endpoint, Leftover::of))
    }

    /// Closes the connection and waits until it is closed. A drop closes it as well, but reports no error. The bytes
    /// that [`poll_write`](Self::poll_write) has taken are sent first. With a time in SO_LINGER the close waits for the peer, on the blocking pool: see [`set_linger`](Self::set_linger).
    ///
    /// # Errors
    /// Those of close(2), and the error of bytes that `poll_write` had taken; `ResourceBusy` while futures of this
    /// stream exist.
    pub fn close(self) -> Close {
        Close::new((self.endpoint, self.writer))
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.endpoint.descriptor.lend()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.endpoint.descriptor.lend().as_raw_fd()
    }
}

crate::io::reads_owned!(TcpStream);

crate::io::writes_owned!(TcpStream);
