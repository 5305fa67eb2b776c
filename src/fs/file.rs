//! `File`: see openat(2), pread(2), pwrite(2), fsync(2), statx(2), ftruncate(2).
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::metadata::Query;
use super::opening::traits_of;
use super::{Metadata, Open, OpenOptions};
use crate::buf::{BufResult, IoBuf, IoBufMut, IoVec, IoVecMut};
use crate::driver::attach;
use crate::driver::operation::submission::Submission;
use crate::driver::operation::transfer::{Goal, Repeat};
use crate::io::Close;
use crate::op::catalogue::fs::metadata::{StatTarget, Statx, Sync, Truncate};
use crate::op::catalogue::fs::read_write::{ReadFrom, WriteTo};
use crate::op::catalogue::fs::vectored::{ReadVectoredFrom, WriteVectoredTo};
use crate::op::fd::descriptor::Opened;
use crate::op::fd::open_file::{FileRef, OpenFile, Traits};

/// An open file.
///
/// Dropping it closes it, after the operations of dropped futures have completed. Futures that still exist keep it
/// open. It can be shared with `Rc`, and any number of operations may be in flight. The kernel chooses their order,
/// unless one is awaited before the next starts.
///
/// # Examples
/// ```
/// use proactor::fs::File;
/// proactor::run(async {
///     let file = File::open("/proc/self/cmdline").await?;
///     let (count, buffer) = file.read_at(Vec::with_capacity(4096), 0).await?;
///     assert!(count > 0 && buffer.len() == count);
///     file.close().await
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct File {
    file: Rc<OpenFile>,
}

impl File {
    /// Opens a file for reading. For errors and cancellation see [`OpenOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Open {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file for writing: creates it, or truncates it to zero bytes. For errors and cancellation see
    /// [`OpenOptions::open`].
    pub fn create(path: impl AsRef<Path>) -> Open {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Takes over a file of the standard library.
    ///
    /// Other processes may share the open file description, so its flags are not changed. As a consequence, on the
    /// selector a write to a FIFO or terminal that was opened elsewhere occupies a thread of the blocking pool while it
    /// waits, and a read may block the loop if another program takes the bytes that were reported. A FIFO or terminal
    /// that is opened by its path only waits for readiness, and so do [`PipeReader`](crate::io::PipeReader) and
    /// [`PipeWriter`](crate::io::PipeWriter).
    ///
    /// Do not pass an eventfd, a timerfd, a signalfd or an inotify descriptor: see [`fs`](crate::fs).
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn from_std(file: std::fs::File) -> Self {
        let traits = traits_of(&file);
        Self::from_opened(OwnedFd::from(file).into(), traits, "File::from_std")
    }

    #[track_caller]
    pub(super) fn from_opened(opened: Opened, traits: Traits, what: &str) -> Self {
        File { file: OpenFile::new(attach(opened, what), traits) }
    }

    pub(super) fn shared(&self) -> &Rc<OpenFile> {
        &self.file
    }

    /// Makes a reference for an operation on the file.
    fn used(&self) -> FileRef {
        FileRef::new(&self.file)
    }

    fn from(&self, offset: u64) -> ReadFrom {
        ReadFrom { file: self.used(), offset }
    }

    fn to(&self, offset: u64) -> WriteTo {
        WriteTo { file: self.used(), offset }
    }

    /// Reads from a position into the buffer, up to its capacity, and sets its length.
    ///
    /// As pread(2), it reads fewer bytes at the end of the file, before an error that the next read will return, and
    /// where the kernel returns fewer at a time, as for files in /proc. Zero means the end.
    /// [`read_exact_at`](Self::read_exact_at) fills the buffer.
    ///
    /// A file without positions (a FIFO, a terminal) is read as by read(2): the position is ignored, and the read waits
    /// for at least one byte.
    ///
    /// # Errors
    /// Those of pread(2); the buffer comes back.
    ///
    /// # Cancellation
    /// The buffer of a dropped read is freed when the kernel no longer uses it. A dropped read of a FIFO or terminal
    /// may have consumed bytes; [`PipeReader`](crate::io::PipeReader) loses none.
    pub fn read_at<B: IoBufMut>(&self, buf: B, offset: u64) -> ReadAt<B> {
        ReadAt(Repeat::new(self.from(offset), buf, Goal::UntilShort))
    }

    /// Reads from a position until the buffer is full.
    ///
    /// # Errors
    /// Those of pread(2), and `UnexpectedEof`; the buffer comes back with the bytes read so far.
    pub fn read_exact_at<B: IoBufMut>(&self, buf: B, offset: u64) -> ReadExactAt<B> {
        ReadExactAt(Repeat::new(self.from(offset), buf, Goal::All))
    }

    /// Reads from a position into several buffers, in order.
    ///
    /// # Errors
    /// Those of preadv(2); the buffers come back.
    pub fn read_vectored_at<V: IoVecMut>(&self, bufs: V, offset: u64) -> ReadVectoredAt<V> {
        ReadVectoredAt(Repeat::new(ReadVectoredFrom(self.from(offset)), bufs, Goal::UntilShort))
    }

    /// Writes the buffer's bytes to a position, and returns how many were written.
    ///
    /// It writes fewer than all only when the disk is full or a limit is reached; the next write then returns the
    /// error.
    ///
    /// In a file that was opened for appending, the bytes go to the end, and the position is ignored. They stay
    /// together, up to 2 GiB (the limit of one system call), whatever else is appended at the same time. A file without
    /// positions is written as by write(2).
    ///
    /// # Errors
    /// Those of pwrite(2); the buffer comes back.
    ///
    /// # Cancellation
    /// A dropped write may have been done, in full or in part.
    pub fn write_at<B: IoBuf>(&self, buf: B, offset: u64) -> WriteAt<B> {
        WriteAt(Repeat::new(self.to(offset), buf, Goal::UntilShort))
    }

    /// Writes all of the buffer's bytes to a position.
    ///
    /// # Errors
    /// Those of pwrite(2), and `WriteZero`; the buffer comes back.
    pub fn write_all_at<B: IoBuf>(&self, buf: B, offset: u64) -> WriteAllAt<B> {
        WriteAllAt(Repeat::new(self.to(offset), buf, Goal::All))
    }

    /// Writes several buffers to a position, in order.
    ///
    /// # Errors
    /// Those of pwritev(2); the buffers come back.
    pub fn write_vectored_at<V: IoVec>(&self, bufs: V, offset: u64) -> WriteVectoredAt<V> {
        WriteVectoredAt(Repeat::new(WriteVectoredTo(self.to(offset)), bufs, Goal::UntilShort))
    }

    /// Makes everything that was written durable, contents and metadata.
    ///
    /// # Errors
    /// Those of fsync(2).
    pub fn sync_all(&self) -> SyncFile {
        SyncFile(Submission::new(Sync { file: self.used(), data_only: false }))
    }

    /// Makes the contents durable, and no more metadata than reading them needs.
    ///
    /// # Errors
    /// Those of fdatasync(2).
    pub fn sync_data(&self) -> SyncFile {
        SyncFile(Submission::new(Sync { file: self.used(), data_only: true }))
    }

    /// Returns the file's metadata.
    ///
    /// # Errors
    /// Those of statx(2).
    pub fn metadata(&self) -> FileMetadata {
        FileMetadata(Query(Ok(Submission::new(Statx::new(StatTarget::File(self.used()))))))
    }

    /// Truncates the file to a length, or extends it with zeros.
    ///
    /// # Errors
    /// Those of ftruncate(2).
    pub fn set_len(&self, len: u64) -> SetLen {
        SetLen(Submission::new(Truncate { file: self.used(), len }))
    }

    /// Waits until no operation of the file is in flight, in the kernel or on the blocking pool.
    ///
    /// It waits for the operations of futures that exist, and for those of dropped ones, which have been cancelled. An
    /// operation that can't be cancelled runs to its end.
    ///
    /// # Errors
    /// Only `ECANCELED`, after a cancel.
    ///
    /// # Cancellation
    /// Dropping the future is harmless.
    pub fn quiesce(&self) -> QuiesceFile {
        QuiesceFile(Quiescing { file: self.file.clone(), cancelled: false })
    }

    /// Closes the file and waits until it is closed. A drop closes it as well, but reports no error.
    ///
    /// # Errors
    /// Those of close(2); `ResourceBusy` while futures of this file exist.
    pub fn close(self) -> Close {
        Close::new(self.file)
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.descriptor.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.file.descriptor.raw()
    }
}

io_future! {
    /// The future of [`File::read_at`].
    ReadAt<B: IoBufMut> = Repeat<B, ReadFrom> => BufResult<usize, B>
}
io_future! {
    /// The future of [`File::read_exact_at`].
    ReadExactAt<B: IoBufMut> = Repeat<B, ReadFrom> => BufResult<usize, B>
}
io_future! {
    /// The future of [`File::read_vectored_at`].
    ReadVectoredAt<V: IoVecMut> = Repeat<V, ReadVectoredFrom> => BufResult<usize, V>
}
io_future! {
    /// The future of [`File::write_at`].
    WriteAt<B: IoBuf> = Repeat<B, WriteTo> => BufResult<usize, B>
}
io_future! {
    /// The future of [`File::write_all_at`].
    WriteAllAt<B: IoBuf> = Repeat<B, WriteTo> => BufResult<usize, B>
}
io_future! {
    /// The future of [`File::write_vectored_at`].
    WriteVectoredAt<V: IoVec> = Repeat<V, WriteVectoredTo> => BufResult<usize, V>
}
io_future! {
    /// The future of [`File::sync_all`] and [`File::sync_data`].
    SyncFile<> = Submission<Sync> => io::Result<()>
}
io_future! {
    /// The future of [`File::metadata`].
    FileMetadata<> = Query => io::Result<Metadata>
}
io_future! {
    /// The future of [`File::quiesce`].
    QuiesceFile<> = Quiescing => io::Result<()>
}
io_future! {
    /// The future of [`File::set_len`].
    SetLen<> = Submission<Truncate> => io::Result<()>
}

pub(crate) struct Quiescing {
    file: Rc<OpenFile>,
    cancelled: bool,
}

impl Quiescing {
    fn request_cancel(&mut self) {
        self.cancelled = true;
        self.file.wake();
    }
}

impl Future for Quiescing {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.cancelled {
            return Poll::Ready(Err(io::Error::from_raw_os_error(libc::ECANCELED)));
        }
        self.file.poll_quiet(cx).map(Ok)
    }
}
