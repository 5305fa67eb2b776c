//! The methods of `TcpStream` that write and shut down: see send(2), sendmsg(2), shutdown(2).
#![forbid(unsafe_code)]

use std::io;
use std::task::{Context, Poll};

use super::stream::TcpStream;
use crate::buf::{IoBuf, IoVec};
use crate::driver::operation::submission::Submission;
use crate::driver::operation::transfer::{Goal, Repeat};
use crate::io::shared::transfers::{Shutdown, Write, WriteAll, WriteAllVectored, WriteVectored};
use crate::op;
use crate::op::catalogue::net::send::Sender;
use crate::op::catalogue::net::vectored::VectoredSender;

impl TcpStream {
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
}
