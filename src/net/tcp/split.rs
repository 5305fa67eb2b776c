//! Halves of a TCP stream, borrowed and owned.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::task::{Context, Poll};

use socket2::SockRef;

use crate::buf::{BufResult, IoBuf, IoBufMut, IoVec, IoVecMut};
use crate::io::{ReadOwned, WriteOwned};
use crate::net::{
    Chunks, Read, ReadExact, ReadVectored, Recv, TcpStream, Write, WriteAll, WriteAllVectored, WriteVectored,
};
use crate::task::cell::loop_core::is_running;
use crate::task::spawn;

/// The reading half of a borrowed stream: see [`TcpStream::split`].
///
/// # Examples
/// ```
/// use proactor::net::{TcpListener, TcpStream};
/// proactor::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, _) = listener.accept().await?;
///     let (reader, _) = server.split();
///     let (_, writer) = client.split();
///     writer.write_all("abc").await?;
///     assert_eq!(reader.read_exact([0; 3]).await?.1, *b"abc");
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ReadHalf<'a>(pub(in crate::net) &'a TcpStream);

/// The writing half of a borrowed stream: see [`TcpStream::split`], and [`ReadHalf`] for an example.
#[derive(Clone, Copy, Debug)]
pub struct WriteHalf<'a>(pub(in crate::net) &'a TcpStream);

/// The reading half of a stream: see [`TcpStream::into_split`].
///
/// # Examples
/// ```
/// use proactor::net::{TcpListener, TcpStream};
/// proactor::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, _) = listener.accept().await?;
///     let (reader, writer) = server.into_split();
///     drop(writer); // shuts its direction down: the client reads the end
///     assert_eq!(client.read(Vec::with_capacity(8)).await?.0, 0);
///     client.write_all("still open").await?;
///     assert_eq!(reader.read(Vec::with_capacity(64)).await?.1, b"still open");
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: TcpStream,
}

/// The writing half of a stream: see [`TcpStream::into_split`], and [`OwnedReadHalf`] for an example.
///
/// Dropping it shuts its direction down, as [`shutdown(Shutdown::Write)`](TcpStream::shutdown) does, behind writes that
/// have begun: the peer reads the end.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    /// `None` only after `forget` or `reunite`.
    stream: Option<TcpStream>,
}

pub(in crate::net) fn split(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let other = TcpStream::from_endpoint(stream.endpoint().clone());
    (OwnedReadHalf { stream }, OwnedWriteHalf { stream: Some(other) })
}

impl OwnedReadHalf {
    /// Joins the two halves of a stream again.
    ///
    /// # Errors
    /// Both halves, if they do not belong to the same stream.
    pub fn reunite(self, writer: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !self.stream.endpoint().is_same(writer.as_ref().endpoint()) {
            return Err(ReuniteError(self, writer));
        }
        writer.forget();
        Ok(self.stream)
    }
}

impl OwnedWriteHalf {
    /// Drops the half without shutting its direction down. The direction then ends with the stream.
    pub fn forget(mut self) {
        self.stream = None;
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            let endpoint = stream.endpoint();
            // The peer may be gone already; no later operation depends on this error.
            if endpoint.is_free_to_send() || !is_running() {
                let _ = SockRef::from(&endpoint.descriptor).shutdown(std::net::Shutdown::Write);
            } else {
                let end = stream.shutdown(std::net::Shutdown::Write);
                spawn(async move {
                    let _ = end.await;
                });
            }
        }
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        self.stream.as_ref().expect("it is there until the half is consumed")
    }
}

impl AsRef<TcpStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

/// Error of [`OwnedReadHalf::reunite`]: the halves belong to two streams. It contains both halves.
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves do not belong to the same stream")
    }
}

impl Error for ReuniteError {}

debug_as_display!(ReuniteError);

macro_rules! reading {
    ($($half:ty),*) => {$(
        impl $half {
            /// As [`TcpStream::read`].
            pub fn read<B: IoBufMut>(&self, buf: B) -> Read<B> {
                self.as_ref().read(buf)
            }

            /// As [`TcpStream::recv`].
            pub fn recv(&self) -> Recv {
                self.as_ref().recv()
            }

            /// As [`TcpStream::chunks`].
            pub fn chunks(&self) -> Chunks {
                self.as_ref().chunks()
            }

            /// As [`TcpStream::read_exact`].
            pub fn read_exact<B: IoBufMut>(&self, buf: B) -> ReadExact<B> {
                self.as_ref().read_exact(buf)
            }

            /// As [`TcpStream::read_vectored`].
            pub fn read_vectored<V: IoVecMut>(&self, bufs: V) -> ReadVectored<V> {
                self.as_ref().read_vectored(bufs)
            }
        }

        impl ReadOwned for $half {
            fn read<B: IoBufMut>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
                self.as_ref().read(buf)
            }
        }
    )*};
}
reading!(ReadHalf<'_>, OwnedReadHalf);

macro_rules! writing {
    ($($half:ty),*) => {$(
        impl $half {
            /// As [`TcpStream::write`].
            pub fn write<B: IoBuf>(&self, buf: B) -> Write<B> {
                self.as_ref().write(buf)
            }

            /// As [`TcpStream::write_all`].
            pub fn write_all<B: IoBuf>(&self, buf: B) -> WriteAll<B> {
                self.as_ref().write_all(buf)
            }

            /// As [`TcpStream::try_write`].
            pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                self.as_ref().try_write(bytes)
            }

            /// As [`TcpStream::poll_write`].
            pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                self.as_ref().poll_write(cx, bytes)
            }

            /// As [`TcpStream::poll_flush`].
            pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.as_ref().poll_flush(cx)
            }

            /// As [`TcpStream::poll_shutdown`].
            pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.as_ref().poll_shutdown(cx)
            }

            /// As [`TcpStream::write_vectored`].
            pub fn write_vectored<V: IoVec>(&self, bufs: V) -> WriteVectored<V> {
                self.as_ref().write_vectored(bufs)
            }

            /// As [`TcpStream::write_all_vectored`].
            pub fn write_all_vectored<V: IoVec>(&self, bufs: V) -> WriteAllVectored<V> {
                self.as_ref().write_all_vectored(bufs)
            }
        }

        impl WriteOwned for $half {
            fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
                self.as_ref().write(buf)
            }

            fn write_all<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> {
                self.as_ref().write_all(buf)
            }
        }
    )*};
}
writing!(WriteHalf<'_>, OwnedWriteHalf);
