//! Files: opening, reading, writing, metadata.
//!
//! On the proactor, operations on files go to the ring. On the selector they go to the blocking pool, since the kernel
//! reports no readiness for files. Reads and writes are positional: the file's own offset is never used, and any number
//! of operations on one file may be in flight.
//!
//! A transfer moves at most 1 MiB at a time and continues by itself, so that a large one does not block the loop. An
//! append is one piece.
//!
//! Files that have no positions (FIFOs, terminals, the `/dev/stdin` of a pipeline) are read and written as by read(2)
//! and write(2). Operations on them wait for readiness and block neither the loop nor the pool.
//!
//! Do not pass an eventfd, a timerfd, a signalfd or an inotify descriptor to [`File::from_std`]: the kernel presents it
//! as a file with positions, and its reads fail with ESPIPE on the selector. Use [`AsyncFd`](crate::io::AsyncFd) for
//! all of them.
#![forbid(unsafe_code)]

mod any;
pub mod direct;
mod file;
mod metadata;
mod open_options;
mod opening;

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::buf::{BufError, BufResult, IoBuf};

pub use any::AnyFile;
pub use file::{
    File, FileMetadata, QuiesceFile, ReadAt, ReadExactAt, ReadVectoredAt, SetLen, SyncFile, WriteAllAt,
    WriteAt, WriteVectoredAt,
};
pub use metadata::{Metadata, PathMetadata, metadata};
pub use open_options::{Open, OpenOptions};

crate::io::shared::close::async_close!(File, direct::File);

/// Reads a whole file.
///
/// # Errors
/// Those of openat(2), statx(2) and pread(2); `OutOfMemory` when there is not enough memory for the contents.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let text = proactor::fs::read("/proc/self/comm").await.unwrap();
///     assert!(!text.is_empty());
/// });
/// ```
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let file = File::open(path).await?;
    let expected = usize::try_from(file.metadata().await?.len()).unwrap_or(usize::MAX);
    let mut contents = Vec::new();
    // One byte more, so that the end is found without a read into a larger buffer.
    reserve(&mut contents, expected.max(4_095).saturating_add(1))?;
    loop {
        let done = contents.len();
        let (count, window) = file.read_at(IoBuf::slice(contents, done..), done as u64).await?;
        contents = window.into_inner();
        if count == 0 {
            return Ok(contents);
        }
        if contents.len() == contents.capacity() {
            let more = contents.len();
            reserve(&mut contents, more)?;
        }
    }
}

/// Writes a whole file: creates it, or replaces its contents.
///
/// # Errors
/// Those of openat(2) and pwrite(2); the buffer comes back.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let path = std::env::temp_dir().join(format!("proactor-write-{}", std::process::id()));
///     proactor::fs::write(&path, "text").await?;
///     assert_eq!(proactor::fs::read(&path).await?, b"text");
///     std::fs::remove_file(&path)
/// }).unwrap();
/// ```
pub async fn write<B: IoBuf>(path: impl AsRef<Path>, buf: B) -> BufResult<usize, B> {
    match File::create(path).await {
        Ok(file) => file.write_all_at(buf, 0).await,
        Err(error) => Err(BufError::new(error, buf)),
    }
}

/// Makes room for `more` bytes. Their number comes from the file system, and may be any.
fn reserve(contents: &mut Vec<u8>, more: usize) -> io::Result<()> {
    contents.try_reserve_exact(more).map_err(|_| {
        let bytes = contents.len().saturating_add(more);
        io::Error::new(
            io::ErrorKind::OutOfMemory,
            format!(
                "there is not enough memory for a file of {bytes} bytes: read it in parts with File::read_at"
            ),
        )
    })
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the path contains a zero byte"))
}
