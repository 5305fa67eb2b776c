//! Pipes whose descriptors belong to the ring: see [`net::direct`](crate::net::direct), which explains them for
//! sockets.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use super::shared::chunks::{Chunks, Recv};
use super::shared::close::Close;
use super::shared::install::Installing;
use super::shared::quiesce::Quiesce;
use super::shared::transfers::{Read, ReadExact, Write, WriteAll};
use crate::buf::{Chunk, IoBuf, IoBufMut};
use crate::driver::current;
use crate::op::object::endpoint_kind::EndpointKind;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::sys::context::expect_runtime;

/// Makes a pipe whose ends are direct descriptors, or ordinary ones where the ring has no direct ones.
///
/// # Errors
/// Those of pipe2(2), and `QuotaExceeded` when the ring's table is full.
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let (reader, writer) = proactor::io::direct::pipe()?;
///     writer.write_all("through a pipe").await?;
///     let writer = writer.install().await?; // an ordinary descriptor
///     drop(writer);
///     assert_eq!(reader.recv().await?.expect("the pipe has data"), *b"through a pipe");
///     assert_eq!(reader.recv().await?, None);
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[track_caller]
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let driver = expect_runtime(current(), "io::direct::pipe");
    let (reader, writer) = std::io::pipe()?;
    let pipe_end = |fd: OwnedFd| -> io::Result<EndpointRef> {
        let opened = driver.make_direct(super::shared::unfinished::adopt(fd)?)?;
        Ok(EndpointRef::of_pipe(driver.attach(opened), EndpointKind::Pipe))
    };
    let (reader, writer) = (pipe_end(reader.into())?, pipe_end(writer.into())?);
    Ok((PipeReader(super::PipeReader::of(reader)), PipeWriter(super::PipeWriter::of(writer))))
}

/// The reading end of a pipe, whose descriptor belongs to the ring.
///
/// # Examples
/// See [`pipe`].
#[derive(Debug)]
pub struct PipeReader(super::PipeReader);

/// The writing end of a pipe, whose descriptor belongs to the ring.
///
/// # Examples
/// See [`pipe`].
#[derive(Debug)]
pub struct PipeWriter(super::PipeWriter);

impl PipeReader {
    /// As [`PipeReader::read`](super::PipeReader::read).
    pub fn read<B: IoBufMut>(&self, buf: B) -> Read<B> {
        self.0.read(buf)
    }

    /// As [`PipeReader::read_exact`](super::PipeReader::read_exact).
    pub fn read_exact<B: IoBufMut>(&self, buf: B) -> ReadExact<B> {
        self.0.read_exact(buf)
    }

    /// As [`PipeReader::recv`](super::PipeReader::recv).
    pub fn recv(&self) -> Recv {
        self.0.recv()
    }

    /// As [`PipeReader::poll_recv`](super::PipeReader::poll_recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
        self.0.poll_recv(cx)
    }

    /// As [`PipeReader::chunks`](super::PipeReader::chunks).
    pub fn chunks(&self) -> Chunks {
        self.0.chunks()
    }

    /// As [`PipeReader::quiesce`](super::PipeReader::quiesce).
    pub fn quiesce(&self) -> Quiesce {
        self.0.quiesce()
    }

    /// Converts it into an ordinary end, which keeps the data that was read and not yet taken.
    ///
    /// # Errors
    /// `EMFILE` when the process has no free descriptor; `ResourceBusy` while other futures of this end exist. The end
    /// is then closed.
    ///
    /// # Cancellation
    /// Dropping the future closes the end.
    pub fn install(self) -> InstallReader {
        InstallReader(Installing::new(self.0.endpoint(), super::PipeReader::of))
    }

    /// Closes the end and waits until it is closed. A drop closes it as well, but reports no error.
    ///
    /// # Errors
    /// As [`PipeReader::close`](super::PipeReader::close) and [`PipeWriter::close`](super::PipeWriter::close).
    pub fn close(self) -> Close {
        self.0.close()
    }
}

impl PipeWriter {
    /// As [`PipeWriter::write`](super::PipeWriter::write).
    pub fn write<B: IoBuf>(&self, buf: B) -> Write<B> {
        self.0.write(buf)
    }

    /// As [`PipeWriter::write_all`](super::PipeWriter::write_all).
    pub fn write_all<B: IoBuf>(&self, buf: B) -> WriteAll<B> {
        self.0.write_all(buf)
    }

    /// As [`PipeWriter::poll_write`](super::PipeWriter::poll_write). No system call can name a direct descriptor, so
    /// all bytes are copied.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    /// As [`PipeWriter::poll_flush`](super::PipeWriter::poll_flush).
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    /// As [`PipeWriter::bytes_written`](super::PipeWriter::bytes_written).
    pub fn bytes_written(&self) -> u64 {
        self.0.bytes_written()
    }

    /// As [`PipeWriter::quiesce`](super::PipeWriter::quiesce).
    pub fn quiesce(&self) -> Quiesce {
        self.0.quiesce()
    }

    /// Converts it into an ordinary end.
    ///
    /// # Errors
    /// As [`PipeReader::install`].
    ///
    /// # Cancellation
    /// Dropping the future closes the end.
    pub fn install(self) -> InstallWriter {
        InstallWriter(Installing::new(self.0.endpoint(), super::PipeWriter::of))
    }

    /// Closes the end and waits until it is closed. A drop closes it as well, but reports no error.
    ///
    /// # Errors
    /// As [`PipeReader::close`](super::PipeReader::close) and [`PipeWriter::close`](super::PipeWriter::close).
    pub fn close(self) -> Close {
        self.0.close()
    }
}

crate::io::reads_owned!(PipeReader);

crate::io::writes_owned!(PipeWriter);

io_future! {
    /// The future of [`PipeReader::install`].
    InstallReader<> = Installing<super::PipeReader> => io::Result<super::PipeReader>
}
io_future! {
    /// The future of [`PipeWriter::install`].
    InstallWriter<> = Installing<super::PipeWriter> => io::Result<super::PipeWriter>
}
