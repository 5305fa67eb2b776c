//! Files.
//!
//! On the proactor, operations on files go to the ring; on the selector to the blocking pool, since the
//! kernel knows no readiness for files. Reading and writing are positional: the file's own offset is never
//! used, and any number of operations on one file may be in flight.
//!
//! One transfer moves 1 MiB at most at a time and goes on by itself, so that a large one does not hold up
//! the loop.
#![forbid(unsafe_code)]

pub mod direct;
mod file;
mod metadata;
mod open_options;

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::buf::{BufError, BufResult, IoBuf};

pub use file::{
    File, FileMetadata, QuiesceFile, ReadAt, ReadExactAt, ReadVectoredAt, SetLen, SyncFile, WriteAllAt,
    WriteAt, WriteVectoredAt,
};
pub use metadata::{Metadata, PathMetadata, metadata};
pub use open_options::{Open, OpenOptions};

/// Reads a whole file.
///
/// # Errors
/// Those of openat(2), statx(2) and pread(2).
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
    let expected = usize::try_from(file.metadata().await?.len()).unwrap_or(0);
    // One byte more, so that the end shows without another look at a larger buffer.
    let mut contents = Vec::with_capacity(expected.max(4_095) + 1);
    loop {
        let done = contents.len();
        let (count, window) = file.read_at(IoBuf::slice(contents, done..), done as u64).await?;
        contents = window.into_inner();
        if count == 0 {
            return Ok(contents);
        }
        if contents.len() == contents.capacity() {
            contents.reserve(contents.len());
        }
    }
}

/// Writes a whole file: creates it, or cuts it and writes it anew.
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

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the path contains a zero byte"))
}
