//! Pipes: see pipe2(2), pipe(7).
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll};

use super::shared::chunks::{Chunks, Recv};
use super::shared::close::Close;
use super::shared::quiesce::Quiesce;
use super::shared::transfers::{Read, ReadExact, Write, WriteAll};
use super::shared::unfinished::{Unfinished, adopt};
use super::shared::writer::Writer;
use crate::buf::{Chunk, IoBuf, IoBufMut};
use crate::driver::attach;
use crate::driver::operation::transfer::{Goal, Repeat};
use crate::op::catalogue::net::recv::Receiver;
use crate::op::catalogue::net::send::Sender;
use crate::op::object::endpoint_kind::EndpointKind;
use crate::op::object::endpoint_ref::EndpointRef;

/// Makes a pipe: bytes that are written to one end are read from the other.
///
/// # Errors
/// Those of pipe2(2).
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let (reader, writer) = proactor::io::pipe()?;
///     writer.write_all("through a pipe").await?;
///     drop(writer);
///     assert_eq!(reader.recv().await?.expect("the pipe has data"), *b"through a pipe");
///     assert_eq!(reader.recv().await?, None);
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[track_caller]
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = std::io::pipe()?;
    let (reader, writer) = (adopt(reader.into())?, adopt(writer.into())?);
    let reader = EndpointRef::of_pipe(attach(reader, "io::pipe"), EndpointKind::Pipe);
    let writer = EndpointRef::of_pipe(attach(writer, "io::pipe"), EndpointKind::Pipe);
    Ok((PipeReader::of(reader), PipeWriter::of(writer)))
}

/// The reading end of a pipe.
///
/// Dropping it closes it, after the operations of dropped futures have completed, and discards data that was read and
/// not yet taken. Until then nothing is lost, as with sockets ([`net`](crate::net)).
///
/// # Examples
/// See [`pipe`].
#[derive(Debug)]
pub struct PipeReader {
    endpoint: EndpointRef,
    /// The unfinished receive of `poll_recv`.
    polled: Unfinished<Recv>,
}

/// The writing end of a pipe.
///
/// Dropping it closes it, after the operations of dropped futures have completed.
///
/// A write to a pipe without a reading end fails with `BrokenPipe` and raises SIGPIPE, which programs with Rust's own
/// `main` ignore. For pipes the kernel has no flag that suppresses the signal, as it has for sockets.
///
/// # Examples
/// See [`pipe`].
#[derive(Debug)]
pub struct PipeWriter {
    endpoint: EndpointRef,
    writer: Writer,
}

#[track_caller]
fn pipe_end(fd: OwnedFd, what: &str) -> io::Result<EndpointRef> {
    let (fd, kind) = EndpointKind::of(fd)?;
    Ok(EndpointRef::of_pipe(attach(fd, what), kind))
}

impl PipeReader {
    /// Takes over the reading end of a pipe, or another descriptor that serves as standard input: a FIFO, a terminal, a
    /// socket, a device, or a file, which is read from its current position.
    ///
    /// Other processes may share its open file description, so O_NONBLOCK is neither set nor needed. Where the kernel
    /// cannot read such a file without waiting (pipes before Linux 6.4, terminals), the selector calls poll(2) before
    /// each read. If another process takes the bytes in between, the loop blocks until more arrive. The selector reads
    /// files on the loop's thread.
    ///
    /// # Errors
    /// Those of fstat(2).
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        pipe_end(fd, "PipeReader::from_fd").map(Self::of)
    }

    pub(super) fn of(endpoint: EndpointRef) -> Self {
        PipeReader { endpoint, polled: Unfinished::default() }
    }

    pub(super) fn endpoint(&self) -> &EndpointRef {
        &self.endpoint
    }

    /// Reads into the buffer: at least one byte, at most its capacity.
    ///
    /// The bytes are written from the buffer's start, and its length is set. Zero means the end: no writing end is open
    /// any more.
    ///
    /// # Errors
    /// Those of read(2); the buffer comes back.
    ///
    /// # Cancellation
    /// Dropping the future loses no byte: bytes that still arrive for it go to the next read.
    pub fn read<B: IoBufMut>(&self, buf: B) -> Read<B> {
        Read(Repeat::new(Receiver::new(&self.endpoint), buf, Goal::Once))
    }

    /// Reads until the buffer is full.
    ///
    /// # Errors
    /// Those of read(2), and `UnexpectedEof`; the buffer comes back with the bytes read so far. The length of a `Vec` is
    /// then their count; an array does not show it.
    ///
    /// # Cancellation
    /// Dropping it loses no byte.
    pub fn read_exact<B: IoBufMut>(&self, buf: B) -> ReadExact<B> {
        ReadExact(Repeat::new(Receiver::new(&self.endpoint), buf, Goal::All))
    }

    /// Reads at least one byte into memory of the runtime; `None` at the end. On the proactor it uses one multishot
    /// read ([`Feature::MultishotRead`](crate::Feature::MultishotRead)).
    ///
    /// # Errors
    /// Those of read(2).
    ///
    /// # Cancellation
    /// Dropping it loses no byte.
    pub fn recv(&self) -> Recv {
        Recv::of(&self.endpoint)
    }

    /// Polls for a chunk, as [`recv`](Self::recv) does; for adapters. After `Pending` it keeps its turn: other reads
    /// wait until it has returned `Ready`.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
        self.polled.poll(cx, || self.recv())
    }

    /// Returns the chunks as a stream of the `futures` crates.
    ///
    /// # Cancellation
    /// Dropping it loses no byte.
    pub fn chunks(&self) -> Chunks {
        Chunks::new(&self.endpoint)
    }

    /// Waits until no operation of this end is in flight. Data that was read stays in its queue.
    ///
    /// # Errors
    /// Only `ECANCELED`, after a cancel.
    ///
    /// # Cancellation
    /// Dropping the future is harmless.
    pub fn quiesce(&self) -> Quiesce {
        Quiesce::of(&self.endpoint)
    }

    /// Closes the end and waits until it is closed. A drop closes it as well, but reports no error.
    ///
    /// # Errors
    /// Those of close(2); `ResourceBusy` while futures of this end exist.
    pub fn close(self) -> Close {
        self.polled.end();
        Close::new(self.endpoint)
    }
}

impl PipeWriter {
    /// Takes over the writing end of a pipe, or another descriptor that serves as standard output: a FIFO, a terminal,
    /// a socket, a device, or a file, which is written from its current position.
    ///
    /// Other processes may share its open file description, so O_NONBLOCK is neither set nor needed. The selector
    /// writes to a terminal on the blocking pool: such a write waits as long as the terminal's output is stopped, and
    /// cannot be cancelled meanwhile. To a pipe that the kernel cannot write to without waiting (before Linux 6.4) the
    /// selector writes 4096 bytes at a time. It writes files on the loop's thread.
    ///
    /// # Errors
    /// Those of fstat(2).
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        pipe_end(fd, "PipeWriter::from_fd").map(Self::of)
    }

    pub(super) fn of(endpoint: EndpointRef) -> Self {
        PipeWriter { endpoint, writer: Writer::default() }
    }

    pub(super) fn endpoint(&self) -> &EndpointRef {
        &self.endpoint
    }

    /// Writes bytes from the buffer's start, and returns how many the kernel took.
    ///
    /// # Errors
    /// Those of write(2), `BrokenPipe` if no reading end is open; the buffer comes back.
    ///
    /// # Cancellation
    /// A dropped write may have been done, in full or in part; [`bytes_written`](Self::bytes_written) tells how much.
    /// Later writes wait until that is known.
    pub fn write<B: IoBuf>(&self, buf: B) -> Write<B> {
        Write(Repeat::new(Sender::new(&self.endpoint), buf, Goal::Once))
    }

    /// Writes all bytes of the buffer, with no bytes of another write of this end in between.
    ///
    /// # Errors
    /// Those of write(2), and `WriteZero`; the buffer comes back.
    ///
    /// # Cancellation
    /// As for [`write`](Self::write).
    pub fn write_all<B: IoBuf>(&self, buf: B) -> WriteAll<B> {
        WriteAll(Repeat::new(Sender::new(&self.endpoint), buf, Goal::All))
    }

    /// Writes some of the bytes at once, or fails with `WouldBlock` if the pipe has no room. The bytes are borrowed:
    /// the runtime copies nothing.
    ///
    /// It fails with `WouldBlock` as well while another write is in flight or waits for its turn, and for anything but
    /// a pipe or socket.
    ///
    /// # Errors
    /// Those of write(2), `WouldBlock`, and the error of bytes that [`poll_write`](Self::poll_write) had taken before.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.try_write(&self.endpoint, bytes)
    }

    /// Polls until bytes can be written, and returns how many were taken; for adapters. See
    /// [`TcpStream::poll_write`](crate::net::TcpStream::poll_write).
    ///
    /// # Errors
    /// Those of write(2). An error of bytes that were taken before is returned by the next poll.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writer.poll_write(&self.endpoint, cx, bytes)
    }

    /// Polls until the kernel has all bytes that [`poll_write`](Self::poll_write) has taken. (To end the pipe, drop its
    /// writing end.)
    ///
    /// # Errors
    /// The error of writing them.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_flush(cx)
    }

    /// Number of bytes that the kernel has taken since this end was made, including those of dropped and cancelled
    /// writes.
    pub fn bytes_written(&self) -> u64 {
        self.endpoint.sent()
    }

    /// Waits until no operation of this end is in flight.
    ///
    /// # Errors
    /// Only `ECANCELED`, after a cancel.
    ///
    /// # Cancellation
    /// Dropping the future is harmless.
    pub fn quiesce(&self) -> Quiesce {
        Quiesce::of(&self.endpoint)
    }

    /// Closes the end and waits until it is closed. A drop closes it as well, but reports no error. The bytes that
    /// [`poll_write`](Self::poll_write) has taken are written first.
    ///
    /// # Errors
    /// Those of close(2), and the error of bytes that `poll_write` had taken; `ResourceBusy` while futures of this end
    /// exist.
    pub fn close(self) -> Close {
        Close::new((self.endpoint, self.writer))
    }
}

crate::io::reads_owned!(PipeReader);

crate::io::writes_owned!(PipeWriter);

impl AsFd for PipeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.endpoint.descriptor.as_fd()
    }
}

impl AsRawFd for PipeReader {
    fn as_raw_fd(&self) -> RawFd {
        self.endpoint.descriptor.raw()
    }
}

impl AsFd for PipeWriter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.endpoint.descriptor.as_fd()
    }
}

impl AsRawFd for PipeWriter {
    fn as_raw_fd(&self) -> RawFd {
        self.endpoint.descriptor.raw()
    }
}
