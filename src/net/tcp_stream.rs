//! `TcpStream`: see tcp(7), connect(2), recv(2), send(2), shutdown(2).
#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;

use super::internet;
use super::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::buf::{Chunk, IoBuf, IoBufMut, IoVec, IoVecMut};
use crate::driver::submission::Submission;
use crate::driver::transfer::{Goal, Repeat};
use crate::driver::{attach, attach_shared};
use crate::io::Close;
use crate::io::shared::chunks::{Chunks, Recv};
use crate::io::shared::quiesce::{IntoOwnedFd, Leftover, Quiesce, Surrender};
use crate::io::shared::transfers::{
    Read, ReadExact, ReadVectored, Shutdown, Write, WriteAll, WriteAllVectored, WriteVectored,
};
use crate::io::shared::unfinished::Unfinished;
use crate::io::shared::writer::Writer;
use crate::op;
use crate::op::catalogue::net::recv::Receiver;
use crate::op::catalogue::net::send::Sender;
use crate::op::catalogue::net::vectored::{VectoredReceiver, VectoredSender};
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
    endpoint: EndpointRef,
    /// The unfinished receive of `poll_recv`.
    polled: Unfinished<Recv>,
    writer: Writer,
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
    pub(super) fn from_opened(opened: Opened, what: &str) -> Self {
        Self::from_endpoint(EndpointRef::new(attach(opened, what)))
    }

    pub(super) fn from_endpoint(endpoint: EndpointRef) -> Self {
        TcpStream { endpoint, polled: Unfinished::default(), writer: Writer::default() }
    }

    /// It was accepted by this listener, whose options it has.
    pub(super) fn inherit(self, listener: &EndpointRef) -> Self {
        if listener.descriptor.is_lent() {
            self.endpoint.descriptor.note_lent();
        }
        self
    }

    pub(super) fn endpoint(&self) -> &EndpointRef {
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

    /// Sends bytes from the buffer's start, and returns how many the kernel took.
    ///
    /// # Errors
    /// Those of send(2), `BrokenPipe` if the peer has closed (never SIGPIPE); the buffer comes back.
    ///
    /// # Cancellation
    /// A dropped write may have been sent, in full or in part; [`bytes_sent`](Self::bytes_sent) tells how much. Later
    /// writes wait until that is known, so that nothing is sent out of order.
    pub fn write<B: IoBuf>(&self, buf: B) -> Write<B> {
        Write(Repeat::new(Sender::new(&self.endpoint), buf, Goal::Once))
    }

    /// Sends all bytes of the buffer, with no bytes of another write in between.
    ///
    /// # Errors
    /// Those of send(2), and `WriteZero`; the buffer comes back.
    ///
    /// # Cancellation
    /// As for [`write`](Self::write).
    pub fn write_all<B: IoBuf>(&self, buf: B) -> WriteAll<B> {
        WriteAll(Repeat::new(Sender::new(&self.endpoint), buf, Goal::All))
    }

    /// Sends bytes from the buffer's start without a copy, if the kernel can
    /// ([`Feature::SendZeroCopy`](crate::Feature::SendZeroCopy)), and otherwise as [`write`](Self::write) does.
    ///
    /// The future completes, and the buffer comes back, when the kernel no longer reads it: with TCP, when the peer has
    /// acknowledged the bytes. Later writes wait until then, unless the future is dropped. It pays off for large
    /// buffers (64 KiB and more) over real network cards; on loopback the kernel copies anyway.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    ///
    /// # Cancellation
    /// As for [`write`](Self::write). The kernel keeps the buffer of a dropped write until the peer has acknowledged
    /// the bytes. Nothing else waits for that: later writes continue, and the stream can be closed. The shutdown of the
    /// runtime waits one second for such buffers, then leaks them and counts each in
    /// [`Shutdown::ops_leaked`](crate::Shutdown::ops_leaked). The stream is closed in any case.
    pub fn write_zerocopy<B: IoBuf>(&self, buf: B) -> Write<B> {
        Write(Repeat::new(Sender::without_copy(&self.endpoint), buf, Goal::Once))
    }

    /// Sends all of the buffer's bytes as [`write_zerocopy`](Self::write_zerocopy) does.
    ///
    /// # Errors
    /// As for [`write_all`](Self::write_all).
    ///
    /// # Cancellation
    /// As for [`write_zerocopy`](Self::write_zerocopy).
    pub fn write_all_zerocopy<B: IoBuf>(&self, buf: B) -> WriteAll<B> {
        WriteAll(Repeat::new(Sender::without_copy(&self.endpoint), buf, Goal::All))
    }

    /// Sends all bytes of several buffers as [`write_zerocopy`](Self::write_zerocopy) does.
    ///
    /// # Errors
    /// As for [`write_all_vectored`](Self::write_all_vectored).
    ///
    /// # Cancellation
    /// As for [`write_zerocopy`](Self::write_zerocopy).
    pub fn write_all_vectored_zerocopy<V: IoVec>(&self, bufs: V) -> WriteAllVectored<V> {
        WriteAllVectored(Repeat::new(VectoredSender(Sender::without_copy(&self.endpoint)), bufs, Goal::All))
    }

    /// Sends some of the bytes at once, or fails with `WouldBlock` if the kernel has no room. The bytes are borrowed:
    /// the runtime copies nothing.
    ///
    /// It fails with `WouldBlock` as well while another write is in flight or waits for its turn, since it would
    /// overtake that write.
    ///
    /// # Errors
    /// Those of send(2), `WouldBlock`, and the error of bytes that [`poll_write`](Self::poll_write) had taken before.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.try_write(&self.endpoint, bytes)
    }

    /// Polls until bytes can be sent, and returns how many were taken; for adapters.
    ///
    /// The bytes are borrowed. Those that the kernel takes at once are not copied. If it takes none, or another write
    /// is in flight, up to 64 KiB are copied and count as taken, and a task of the runtime sends them. The task keeps
    /// the order of all writes of the stream, and sends the bytes even if this is not polled again. The next poll waits
    /// for it. A stream that is dropped meanwhile is closed after the bytes have been sent. [`close`](Self::close)
    /// and [`shutdown`](Self::shutdown) wait for them. The shutdown of the runtime drops the bytes.
    ///
    /// [`bytes_sent`](Self::bytes_sent) counts only bytes that the kernel has taken. When several tasks poll, the last
    /// one is woken.
    ///
    /// # Errors
    /// Those of send(2). An error of bytes that were taken before is returned by the next poll.
    ///
    /// # Panics
    /// Outside a runtime.
    ///
    /// # Examples
    /// ```
    /// use proactor::net::{TcpListener, TcpStream};
    /// use std::future::poll_fn;
    /// proactor::run(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let (server, _) = listener.accept().await?;
    ///     let text = String::from("borrowed");
    ///     let mut rest = text.as_bytes();
    ///     while !rest.is_empty() {
    ///         let taken = poll_fn(|cx| client.poll_write(cx, rest)).await?;
    ///         rest = &rest[taken..];
    ///     }
    ///     poll_fn(|cx| client.poll_shutdown(cx)).await?;
    ///     assert_eq!(server.read_exact([0; 8]).await?.1, *b"borrowed");
    ///     assert_eq!(server.recv().await?, None);
    ///     std::io::Result::Ok(())
    /// }).unwrap();
    /// ```
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writer.poll_write(&self.endpoint, cx, bytes)
    }

    /// Polls until the kernel has all bytes that [`poll_write`](Self::poll_write) has taken.
    ///
    /// # Errors
    /// The error of sending them.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_flush(cx)
    }

    /// Flushes as [`poll_flush`](Self::poll_flush) does, and then shuts the write direction down: the peer reads the
    /// end.
    ///
    /// # Errors
    /// As for [`poll_flush`](Self::poll_flush), and those of shutdown(2). A connection that has already ended is not an
    /// error.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_shutdown(&self.endpoint, cx)
    }

    /// Sends bytes from several buffers, in order, and returns how many the kernel took.
    ///
    /// # Errors
    /// Those of sendmsg(2); the buffers come back.
    pub fn write_vectored<V: IoVec>(&self, bufs: V) -> WriteVectored<V> {
        WriteVectored(Repeat::new(VectoredSender(Sender::new(&self.endpoint)), bufs, Goal::Once))
    }

    /// Sends all bytes of several buffers.
    ///
    /// # Errors
    /// Those of sendmsg(2), and `WriteZero`; the buffers come back.
    pub fn write_all_vectored<V: IoVec>(&self, bufs: V) -> WriteAllVectored<V> {
        WriteAllVectored(Repeat::new(VectoredSender(Sender::new(&self.endpoint)), bufs, Goal::All))
    }

    /// Shuts one or both directions down. After `Write` the peer reads the end of the stream.
    ///
    /// `Write` and `Both` wait for their turn: the writes that were polled before, and the bytes that
    /// [`poll_write`](Self::poll_write) has taken, are sent first, and nothing is cut off. So this waits as long as the
    /// peer does not read; cancel or drop a pending write to give it up. `Read` never waits.
    ///
    /// # Errors
    /// Those of shutdown(2). An error of bytes that `poll_write` has taken is returned by the next
    /// [`poll_flush`](Self::poll_flush).
    ///
    /// # Cancellation
    /// Dropping the future gives its turn up; a shutdown that has begun may still take effect.
    pub fn shutdown(&self, how: std::net::Shutdown) -> Shutdown {
        Shutdown(Submission::new(op::catalogue::net::socket::Shutdown::new(&self.endpoint, how)))
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
        IntoOwnedFd(Surrender::new(self.endpoint, Leftover::of))
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

/// Socket options. Each method is one getsockopt(2) or setsockopt(2), and returns its errors.
impl TcpStream {
    /// Whether small segments are sent at once (TCP_NODELAY).
    pub fn nodelay(&self) -> io::Result<bool> {
        SockRef::from(&self.endpoint.descriptor).tcp_nodelay()
    }

    /// Sets whether small segments are sent at once (TCP_NODELAY).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        SockRef::from(&self.endpoint.descriptor).set_tcp_nodelay(nodelay)
    }

    /// How long a close waits for unsent data (SO_LINGER).
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(&self.endpoint.descriptor).linger()
    }

    /// Sets how long [`close`](Self::close) waits for the peer to acknowledge sent data (SO_LINGER); zero resets the
    /// connection instead.
    ///
    /// close(2) itself waits, so a thread of the blocking pool calls it, and the loop continues. The shutdown of the
    /// runtime waits for it until its deadline. Such closes have their own threads and delay no other job of the pool.
    /// There are [`pool_threads`](crate::Config::pool_threads) of these threads: while all of them wait, further closes
    /// that would wait leave their connections open until a thread is free.
    ///
    /// A drop does not wait. It turns the option off, for duplicates of the descriptor as well, and the kernel sends
    /// the rest in the background, as it does after the time has passed.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.endpoint.descriptor.note_lent();
        SockRef::from(&self.endpoint.descriptor).set_linger(linger)
    }

    /// The time-to-live of its packets.
    pub fn ttl(&self) -> io::Result<u32> {
        SockRef::from(&self.endpoint.descriptor).ttl_v4()
    }

    /// Sets the time-to-live of its packets.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        SockRef::from(&self.endpoint.descriptor).set_ttl_v4(ttl)
    }

    /// Size of the kernel's receive buffer in bytes (SO_RCVBUF).
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        SockRef::from(&self.endpoint.descriptor).recv_buffer_size()
    }

    /// Sets the size of the kernel's receive buffer in bytes (SO_RCVBUF); the kernel doubles it.
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        SockRef::from(&self.endpoint.descriptor).set_recv_buffer_size(bytes)
    }

    /// Size of the kernel's send buffer in bytes (SO_SNDBUF).
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        SockRef::from(&self.endpoint.descriptor).send_buffer_size()
    }

    /// Sets the size of the kernel's send buffer in bytes (SO_SNDBUF); the kernel doubles it.
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        SockRef::from(&self.endpoint.descriptor).set_send_buffer_size(bytes)
    }

    /// Takes the socket's pending error (SO_ERROR).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(&self.endpoint.descriptor).take_error()
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
