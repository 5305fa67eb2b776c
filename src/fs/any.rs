//! One trait over both kinds of file.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::path::Path;

use super::{
    File, Metadata, OpenOptions, QuiesceFile, ReadAt, ReadExactAt, ReadVectoredAt, SetLen, SyncFile,
    WriteAllAt, WriteAt, WriteVectoredAt, direct,
};
use crate::buf::{IoBuf, IoBufMut, IoVec, IoVecMut};
use crate::driver::operation::submission::sealed;
use crate::io::Close;

/// An open file of either kind: [`File`] or [`direct::File`]. Code that is generic over it is written once and chooses
/// the kind in one place.
///
/// Each method does the same as the method of that name on the type. The trait is implemented in this crate only.
///
/// # Examples
/// ```
/// use proactor::fs::{AnyFile, File, OpenOptions, direct};
///
/// async fn size<F: AnyFile>(path: &str) -> std::io::Result<usize> {
///     let file = F::open_with(OpenOptions::new().read(true), path).await?;
///     let (mut size, mut buffer) = (0, Vec::with_capacity(4096));
///     loop {
///         let (count, filled) = file.read_at(buffer, size as u64).await?;
///         if count == 0 {
///             return Ok(size);
///         }
///         (size, buffer) = (size + count, filled);
///     }
/// }
///
/// proactor::run(async {
///     let path = "/proc/self/cmdline";
///     assert_eq!(size::<File>(path).await?, size::<direct::File>(path).await?);
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
pub trait AnyFile: sealed::Sealed + Sized + 'static {
    /// Opens a file, as [`OpenOptions::open`] or [`OpenOptions::open_direct`] does.
    fn open_with(options: &OpenOptions, path: impl AsRef<Path>) -> impl Future<Output = io::Result<Self>>;
    /// As [`File::read_at`].
    fn read_at<B: IoBufMut>(&self, buf: B, offset: u64) -> ReadAt<B>;
    /// As [`File::read_exact_at`].
    fn read_exact_at<B: IoBufMut>(&self, buf: B, offset: u64) -> ReadExactAt<B>;
    /// As [`File::read_vectored_at`].
    fn read_vectored_at<V: IoVecMut>(&self, bufs: V, offset: u64) -> ReadVectoredAt<V>;
    /// As [`File::write_at`].
    fn write_at<B: IoBuf>(&self, buf: B, offset: u64) -> WriteAt<B>;
    /// As [`File::write_all_at`].
    fn write_all_at<B: IoBuf>(&self, buf: B, offset: u64) -> WriteAllAt<B>;
    /// As [`File::write_vectored_at`].
    fn write_vectored_at<V: IoVec>(&self, bufs: V, offset: u64) -> WriteVectoredAt<V>;
    /// As [`File::sync_all`].
    fn sync_all(&self) -> SyncFile;
    /// As [`File::sync_data`].
    fn sync_data(&self) -> SyncFile;
    /// As [`File::set_len`].
    fn set_len(&self, len: u64) -> SetLen;
    /// As [`File::metadata`].
    fn metadata(&self) -> impl Future<Output = io::Result<Metadata>>;
    /// As [`File::quiesce`].
    fn quiesce(&self) -> QuiesceFile;
    /// As [`File::close`].
    fn close(self) -> Close;
}

/// Implements the trait for one kind, which `$open` opens.
macro_rules! any_file {
    ($file:ty, $open:path) => {
        impl sealed::Sealed for $file {}

        impl AnyFile for $file {
            fn open_with(
                options: &OpenOptions,
                path: impl AsRef<Path>,
            ) -> impl Future<Output = io::Result<Self>> {
                $open(options, path)
            }

            fn read_at<B: IoBufMut>(&self, buf: B, offset: u64) -> ReadAt<B> {
                <$file>::read_at(self, buf, offset)
            }

            fn read_exact_at<B: IoBufMut>(&self, buf: B, offset: u64) -> ReadExactAt<B> {
                <$file>::read_exact_at(self, buf, offset)
            }

            fn read_vectored_at<V: IoVecMut>(&self, bufs: V, offset: u64) -> ReadVectoredAt<V> {
                <$file>::read_vectored_at(self, bufs, offset)
            }

            fn write_at<B: IoBuf>(&self, buf: B, offset: u64) -> WriteAt<B> {
                <$file>::write_at(self, buf, offset)
            }

            fn write_all_at<B: IoBuf>(&self, buf: B, offset: u64) -> WriteAllAt<B> {
                <$file>::write_all_at(self, buf, offset)
            }

            fn write_vectored_at<V: IoVec>(&self, bufs: V, offset: u64) -> WriteVectoredAt<V> {
                <$file>::write_vectored_at(self, bufs, offset)
            }

            fn sync_all(&self) -> SyncFile {
                <$file>::sync_all(self)
            }

            fn sync_data(&self) -> SyncFile {
                <$file>::sync_data(self)
            }

            fn set_len(&self, len: u64) -> SetLen {
                <$file>::set_len(self, len)
            }

            fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> {
                <$file>::metadata(self)
            }

            fn quiesce(&self) -> QuiesceFile {
                <$file>::quiesce(self)
            }

            fn close(self) -> Close {
                <$file>::close(self)
            }
        }
    };
}

any_file!(File, OpenOptions::open);
any_file!(direct::File, OpenOptions::open_direct);
