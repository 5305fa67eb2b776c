//! Files whose descriptors belong to the ring.
//!
//! As for sockets ([`net::direct`](crate::net::direct)), the descriptor is an entry of the ring's table, and only
//! operations can name it. Where the ring has no direct descriptors, ordinary ones are used. (This is not `O_DIRECT`,
//! which bypasses the page cache; a file may use both.) Code that is generic over [`AnyFile`](super::AnyFile) runs on
//! both kinds.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::opening::Opening;
use super::{
    Metadata, OpenOptions, QuiesceFile, ReadAt, ReadExactAt, ReadVectoredAt, SetLen, SyncFile, WriteAllAt,
    WriteAt, WriteVectoredAt,
};
use crate::buf::{IoBuf, IoBufMut, IoVec, IoVecMut};
use crate::driver::operation::submission::Submission;
use crate::io::Close;
use crate::op::catalogue::direct::Install;
use crate::op::catalogue::fs::metadata::{StatTarget, Statx};
use crate::op::fd::open_file::{FileRef, Traits};

/// An open file whose descriptor belongs to the ring: see the module.
///
/// Dropping it closes it in the loop's next turn, after the operations of dropped futures have completed.
///
/// # Examples
/// ```
/// use proactor::fs::direct::File;
/// proactor::run(async {
///     let file = File::open("/proc/self/cmdline").await?;
///     let (count, buffer) = file.read_at(Vec::with_capacity(4096), 0).await?;
///     assert!(count > 0 && buffer.len() == count);
///     let file = file.install().await?; // an ordinary descriptor
///     file.close().await
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct File(super::File);

impl File {
    /// Opens a file for reading. For errors and cancellation see [`File::open_with`].
    pub fn open(path: impl AsRef<Path>) -> Open {
        Self::open_with(OpenOptions::new().read(true), path)
    }

    /// Opens a file for writing: creates it, or truncates it to zero bytes. For errors and cancellation see
    /// [`File::open_with`].
    pub fn create(path: impl AsRef<Path>) -> Open {
        Self::open_with(OpenOptions::new().write(true).create(true).truncate(true), path)
    }

    /// Opens a file, as [`OpenOptions::open_direct`] does.
    ///
    /// # Errors
    /// As [`OpenOptions::open`], and `QuotaExceeded` when the table is full.
    ///
    /// # Panics
    /// When polled outside a runtime.
    ///
    /// # Cancellation
    /// If the future is dropped, a file that was opened for it is closed.
    pub fn open_with(options: &OpenOptions, path: impl AsRef<Path>) -> Open {
        options.open_direct(path)
    }

    /// As [`File::read_at`](super::File::read_at).
    pub fn read_at<B: IoBufMut>(&self, buf: B, offset: u64) -> ReadAt<B> {
        self.0.read_at(buf, offset)
    }

    /// As [`File::read_exact_at`](super::File::read_exact_at).
    pub fn read_exact_at<B: IoBufMut>(&self, buf: B, offset: u64) -> ReadExactAt<B> {
        self.0.read_exact_at(buf, offset)
    }

    /// As [`File::read_vectored_at`](super::File::read_vectored_at).
    pub fn read_vectored_at<V: IoVecMut>(&self, bufs: V, offset: u64) -> ReadVectoredAt<V> {
        self.0.read_vectored_at(bufs, offset)
    }

    /// As [`File::write_at`](super::File::write_at).
    pub fn write_at<B: IoBuf>(&self, buf: B, offset: u64) -> WriteAt<B> {
        self.0.write_at(buf, offset)
    }

    /// As [`File::write_all_at`](super::File::write_all_at).
    pub fn write_all_at<B: IoBuf>(&self, buf: B, offset: u64) -> WriteAllAt<B> {
        self.0.write_all_at(buf, offset)
    }

    /// As [`File::write_vectored_at`](super::File::write_vectored_at).
    pub fn write_vectored_at<V: IoVec>(&self, bufs: V, offset: u64) -> WriteVectoredAt<V> {
        self.0.write_vectored_at(bufs, offset)
    }

    /// As [`File::sync_all`](super::File::sync_all).
    pub fn sync_all(&self) -> SyncFile {
        self.0.sync_all()
    }

    /// As [`File::sync_data`](super::File::sync_data).
    pub fn sync_data(&self) -> SyncFile {
        self.0.sync_data()
    }

    /// As [`File::set_len`](super::File::set_len).
    pub fn set_len(&self, len: u64) -> SetLen {
        self.0.set_len(len)
    }

    /// As [`File::quiesce`](super::File::quiesce).
    pub fn quiesce(&self) -> QuiesceFile {
        self.0.quiesce()
    }

    /// Returns the file's metadata, through a temporary ordinary descriptor.
    ///
    /// # Errors
    /// Those of statx(2), and `EMFILE`.
    pub fn metadata(&self) -> DirectMetadata {
        DirectMetadata(Query::Installing(self.installing()))
    }

    /// Converts it into an ordinary file. Operations in flight continue with the direct descriptor.
    ///
    /// # Errors
    /// `EMFILE` when the process has no free descriptor; the file is then closed.
    ///
    /// # Cancellation
    /// Dropping the future closes the file.
    pub fn install(self) -> InstallFile {
        InstallFile(Installing(self.installing(), self.0.shared().traits()))
    }

    fn installing(&self) -> Submission<Install<FileRef>> {
        Submission::new(Install(FileRef::new(self.0.shared())))
    }

    /// Closes the file and waits until it is closed. A drop closes it as well, but reports no error.
    ///
    /// Network file systems report errors when an ordinary descriptor is closed. Here they do not: use
    /// [`sync_all`](Self::sync_all) to get them.
    ///
    /// # Errors
    /// Those of close(2); `ResourceBusy` while futures of this file exist.
    pub fn close(self) -> Close {
        self.0.close()
    }
}

io_future! {
    /// The future of [`OpenOptions::open_direct`], [`File::open_with`], [`File::open`] and [`File::create`].
    Open<> = OpenInto => io::Result<File>
}
io_future! {
    /// The future of [`File::metadata`].
    DirectMetadata<> = Query => io::Result<Metadata>
}
io_future! {
    /// The future of [`File::install`].
    InstallFile<> = Installing => io::Result<super::File>
}

impl Open {
    pub(super) fn new(opening: Opening) -> Self {
        Open(OpenInto(opening))
    }
}

pub(crate) struct OpenInto(Opening);

impl OpenInto {
    fn request_cancel(&mut self) {
        self.0.request_cancel();
    }
}

impl Future for OpenInto {
    type Output = io::Result<File>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_ok(File)
    }
}

/// Queries the metadata of the file, by an ordinary descriptor of the same file.
pub(crate) enum Query {
    Installing(Submission<Install<FileRef>>),
    Query(Box<Submission<Statx>>),
}

impl Query {
    fn request_cancel(&mut self) {
        match self {
            Query::Installing(step) => step.request_cancel(),
            Query::Query(step) => step.request_cancel(),
        }
    }
}

impl Future for Query {
    type Output = io::Result<Metadata>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Query::Installing(step) = &mut *self {
            let fd = ready!(Pin::new(step).poll(cx))?;
            let step = Submission::new(Statx::new(StatTarget::Installed(fd)));
            *self = Query::Query(Box::new(step));
        }
        let Query::Query(step) = &mut *self else { unreachable!("the stage before is over") };
        Pin::new(step).poll(cx).map_ok(Metadata::new)
    }
}

pub(crate) struct Installing(Submission<Install<FileRef>>, Traits);

impl Installing {
    fn request_cancel(&mut self) {
        self.0.request_cancel();
    }
}

impl Future for Installing {
    type Output = io::Result<super::File>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let installed = Pin::new(&mut self.0).poll(cx);
        installed.map_ok(|fd| super::File::from_opened(fd.into(), self.1, "direct::File::install"))
    }
}
