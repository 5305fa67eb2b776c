//! Pipes, descriptors of other libraries, traits for sources and targets of bytes, and the cancellation of I/O futures.
//!
//! | | for |
//! |---|---|
//! | [`pipe`], [`direct::pipe`] | bytes from one task, thread or process to another |
//! | [`AsyncFd`] | waiting for readiness of another library's descriptor |
//! | [`ReadOwned`], [`WriteOwned`], [`copy`] | code for any source and target of bytes |
//! | [`Cancellable`], [`Cancel`] | cancelling an operation and waiting for its outcome |
//! | [`nop`] | a round trip to the kernel |
#![forbid(unsafe_code)]

mod async_fd;
mod copy;
pub mod direct;
mod nop;
mod pipe;
mod registered;
pub(crate) mod shared;

use std::future::Future;

use super::buf::{BufResult, IoBuf, IoBufMut};

pub use super::driver::operation::submission::{Cancel, Cancellable};
pub use async_fd::{AsyncFd, Ready, With};
pub use copy::copy;
pub use nop::{Nop, nop};
pub use pipe::{PipeReader, PipeWriter, pipe};

shared::close::async_close!(PipeReader, PipeWriter, direct::PipeReader, direct::PipeWriter);
pub use shared::close::Close;
pub(crate) use shared::close::busy;

/// A source of bytes, which reads into owned buffers.
///
/// # Examples
/// ```
/// use proactor::io::ReadOwned;
/// async fn first_byte(source: &impl ReadOwned) -> std::io::Result<u8> {
///     let (_, buffer) = source.read([0u8; 1]).await?;
///     Ok(buffer[0])
/// }
/// ```
pub trait ReadOwned {
    /// Reads into the buffer, from its start up to its capacity, and sets its length. Zero means the end.
    ///
    /// # Errors
    /// Those of the object; the buffer comes back.
    fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>>;
}

/// A target of bytes, which writes from owned buffers.
///
/// # Examples
/// ```
/// use proactor::io::WriteOwned;
/// async fn hello(target: &impl WriteOwned) -> std::io::Result<()> {
///     target.write_all("hello").await?;
///     Ok(())
/// }
/// ```
pub trait WriteOwned {
    /// Writes initialised bytes from the buffer's start, and returns how many were written.
    ///
    /// # Errors
    /// Those of the object; the buffer comes back.
    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>>;

    /// Writes all initialised bytes of the buffer.
    ///
    /// # Errors
    /// Those of the object, and `WriteZero`; the buffer comes back.
    fn write_all<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>>;
}

/// Implements [`ReadOwned`] by the method of the same name.
macro_rules! reads_owned {
    ($type:ident) => {
        impl $crate::io::ReadOwned for $type {
            fn read<B: $crate::buf::IoBufMut>(
                &self,
                buf: B,
            ) -> impl std::future::Future<Output = $crate::buf::BufResult<usize, B>> {
                $type::read(self, buf)
            }
        }
    };
}
pub(crate) use reads_owned;

/// Implements [`WriteOwned`] by the methods of the same names.
macro_rules! writes_owned {
    ($type:ident) => {
        impl $crate::io::WriteOwned for $type {
            fn write<B: $crate::buf::IoBuf>(
                &self,
                buf: B,
            ) -> impl std::future::Future<Output = $crate::buf::BufResult<usize, B>> {
                $type::write(self, buf)
            }

            fn write_all<B: $crate::buf::IoBuf>(
                &self,
                buf: B,
            ) -> impl std::future::Future<Output = $crate::buf::BufResult<usize, B>> {
                $type::write_all(self, buf)
            }
        }
    };
}
pub(crate) use writes_owned;
