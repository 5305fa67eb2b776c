//! `Metadata`: see statx(2).
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::c_path;
use crate::driver::operation::submission::Submission;
use crate::op::catalogue::fs::metadata::{StatTarget, Statx};

/// Metadata of a file.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let metadata = proactor::fs::metadata("/").await.unwrap();
///     assert!(metadata.is_dir() && !metadata.is_file());
/// });
/// ```
#[derive(Clone, Copy)]
pub struct Metadata(libc::statx);

impl Metadata {
    pub(super) fn new(statx: libc::statx) -> Self {
        Metadata(statx)
    }

    fn kind(&self) -> u32 {
        u32::from(self.0.stx_mode) & libc::S_IFMT
    }

    /// Size of the file in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a size, not a collection")]
    pub fn len(&self) -> u64 {
        self.0.stx_size
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind() == libc::S_IFREG
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }

    /// Whether it is a FIFO.
    pub fn is_fifo(&self) -> bool {
        self.kind() == libc::S_IFIFO
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.kind() == libc::S_IFLNK
    }

    /// Its type and permissions, as `st_mode`.
    pub fn mode(&self) -> u32 {
        u32::from(self.0.stx_mode)
    }

    /// The user that owns it.
    pub fn uid(&self) -> u32 {
        self.0.stx_uid
    }

    /// The group that owns it.
    pub fn gid(&self) -> u32 {
        self.0.stx_gid
    }

    /// Its inode number.
    pub fn ino(&self) -> u64 {
        self.0.stx_ino
    }

    /// Number of hard links.
    pub fn nlink(&self) -> u32 {
        self.0.stx_nlink
    }

    /// Preferred block size for I/O, in bytes.
    pub fn block_size(&self) -> u32 {
        self.0.stx_blksize
    }

    /// Number of 512-byte blocks that it occupies.
    pub fn blocks(&self) -> u64 {
        self.0.stx_blocks
    }

    /// Time of the last change of its contents.
    pub fn modified(&self) -> SystemTime {
        time(self.0.stx_mtime)
    }

    /// Time of the last read.
    pub fn accessed(&self) -> SystemTime {
        time(self.0.stx_atime)
    }

    /// Time of its creation, if the file system records it.
    pub fn created(&self) -> Option<SystemTime> {
        (self.0.stx_mask & libc::STATX_BTIME != 0).then(|| time(self.0.stx_btime))
    }
}

fn time(stamp: libc::statx_timestamp) -> SystemTime {
    let seconds = Duration::from_secs(stamp.tv_sec.unsigned_abs());
    let whole = if stamp.tv_sec < 0 { UNIX_EPOCH - seconds } else { UNIX_EPOCH + seconds };
    whole + Duration::from_nanos(stamp.tv_nsec.into())
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("len", &self.len())
            .field("mode", &format_args!("{:o}", self.mode()))
            .field("modified", &self.modified())
            .finish_non_exhaustive()
    }
}

/// Returns the metadata of the file at a path; follows symbolic links.
///
/// # Errors
/// Those of statx(2); `InvalidInput` for a path with a zero byte.
///
/// # Panics
/// When polled outside a runtime.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let error = proactor::fs::metadata("/no such file").await.unwrap_err();
///     assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// });
/// ```
pub fn metadata(path: impl AsRef<Path>) -> PathMetadata {
    PathMetadata(Query(match c_path(path.as_ref()) {
        Ok(path) => Ok(Submission::new(Statx::new(StatTarget::Path(path)))),
        Err(error) => Err(Some(error)),
    }))
}

io_future! {
    /// The future of [`metadata`].
    PathMetadata<> = Query => io::Result<Metadata>
}

pub(crate) struct Query(pub(super) Result<Submission<Statx>, Option<io::Error>>);

impl Query {
    pub(super) fn request_cancel(&mut self) {
        if let Ok(step) = &mut self.0 {
            step.request_cancel();
        }
    }
}

impl Future for Query {
    type Output = io::Result<Metadata>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(step) => Pin::new(step).poll(cx).map(|answer| answer.map(Metadata::new)),
            Err(error) => Poll::Ready(Err(error.take().expect("`metadata` was polled after its result"))),
        }
    }
}
