//! One trait over both kinds of TCP stream, and one over both kinds of listener.
#![forbid(unsafe_code)]

use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use super::addr::ToSocketAddrs;
use super::{
    Chunks, Quiesce, Read, ReadExact, ReadVectored, Recv, Shutdown, TcpListener, TcpStream, Write, WriteAll,
    WriteAllVectored, WriteVectored, direct,
};
use crate::buf::{Chunk, IoBuf, IoBufMut, IoVec, IoVecMut};
use crate::driver::operation::submission::sealed;
use crate::io::Close;

/// A TCP stream of either kind: [`TcpStream`] or [`direct::TcpStream`]. Code that is generic over it is written once
/// and chooses the kind in one place.
///
/// Each method does the same as the method of that name on the type. Where the types differ (one makes a system call,
/// the other submits an operation) it returns a future. A direct stream has no `try_write`, since no system call can name
/// its descriptor: use [`poll_write`](Self::poll_write). The trait is implemented in this crate only. For any source or
/// target of bytes see [`ReadOwned`](crate::io::ReadOwned) and [`WriteOwned`](crate::io::WriteOwned).
///
/// # Examples
/// ```
/// use proactor::net::{AnyTcpStream, TcpListener, TcpStream, direct};
///
/// async fn echo(stream: impl AnyTcpStream) -> std::io::Result<()> {
///     while let Some(chunk) = stream.recv().await? {
///         stream.write_all(chunk).await?;
///     }
///     Ok(())
/// }
///
/// async fn hello<S: AnyTcpStream>(listener: &TcpListener) -> std::io::Result<()> {
///     let stream = S::connect(listener.local_addr()?).await?;
///     stream.set_nodelay(true).await?;
///     let server = proactor::spawn(echo(listener.accept().await?.0));
///     stream.write_all("hello").await?;
///     assert_eq!(stream.read_exact([0; 5]).await?.1, *b"hello");
///     stream.close().await?;
///     server.await.expect("the server has not panicked")
/// }
///
/// proactor::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     hello::<TcpStream>(&listener).await?;
///     hello::<direct::TcpStream>(&listener).await
/// }).unwrap();
/// ```
pub trait AnyTcpStream: sealed::Sealed + Sized + 'static {
    /// As [`TcpStream::connect`].
    fn connect(address: impl ToSocketAddrs) -> impl Future<Output = io::Result<Self>>;
    /// As [`TcpStream::read`].
    fn read<B: IoBufMut>(&self, buf: B) -> Read<B>;
    /// As [`TcpStream::read_exact`].
    fn read_exact<B: IoBufMut>(&self, buf: B) -> ReadExact<B>;
    /// As [`TcpStream::read_vectored`].
    fn read_vectored<V: IoVecMut>(&self, bufs: V) -> ReadVectored<V>;
    /// As [`TcpStream::recv`].
    fn recv(&self) -> Recv;
    /// As [`TcpStream::poll_recv`].
    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>>;
    /// As [`TcpStream::chunks`].
    fn chunks(&self) -> Chunks;
    /// As [`TcpStream::write`].
    fn write<B: IoBuf>(&self, buf: B) -> Write<B>;
    /// As [`TcpStream::write_all`].
    fn write_all<B: IoBuf>(&self, buf: B) -> WriteAll<B>;
    /// As [`TcpStream::write_zerocopy`].
    fn write_zerocopy<B: IoBuf>(&self, buf: B) -> Write<B>;
    /// As [`TcpStream::write_all_zerocopy`].
    fn write_all_zerocopy<B: IoBuf>(&self, buf: B) -> WriteAll<B>;
    /// As [`TcpStream::write_vectored`].
    fn write_vectored<V: IoVec>(&self, bufs: V) -> WriteVectored<V>;
    /// As [`TcpStream::write_all_vectored`].
    fn write_all_vectored<V: IoVec>(&self, bufs: V) -> WriteAllVectored<V>;
    /// As [`TcpStream::write_all_vectored_zerocopy`].
    fn write_all_vectored_zerocopy<V: IoVec>(&self, bufs: V) -> WriteAllVectored<V>;
    /// As [`TcpStream::poll_write`].
    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;
    /// As [`TcpStream::poll_flush`].
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// As [`TcpStream::poll_shutdown`].
    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// As [`TcpStream::shutdown`].
    fn shutdown(&self, how: std::net::Shutdown) -> Shutdown;
    /// As [`TcpStream::bytes_sent`].
    fn bytes_sent(&self) -> u64;
    /// As [`TcpStream::set_nodelay`].
    fn set_nodelay(&self, nodelay: bool) -> impl Future<Output = io::Result<()>>;
    /// As [`TcpStream::set_recv_buffer_size`].
    fn set_recv_buffer_size(&self, bytes: usize) -> impl Future<Output = io::Result<()>>;
    /// As [`TcpStream::set_send_buffer_size`].
    fn set_send_buffer_size(&self, bytes: usize) -> impl Future<Output = io::Result<()>>;
    /// As [`TcpStream::local_addr`].
    fn local_addr(&self) -> impl Future<Output = io::Result<SocketAddr>>;
    /// As [`TcpStream::peer_addr`].
    fn peer_addr(&self) -> impl Future<Output = io::Result<SocketAddr>>;
    /// As [`TcpStream::quiesce`].
    fn quiesce(&self) -> Quiesce;
    /// As [`TcpStream::close`].
    fn close(self) -> Close;
}

/// Implements the trait for one kind. `$at_once` converts a method that returns at once into a future.
macro_rules! any_tcp_stream {
    ($stream:ty, $at_once:path) => {
        impl sealed::Sealed for $stream {}

        impl AnyTcpStream for $stream {
            fn connect(address: impl ToSocketAddrs) -> impl Future<Output = io::Result<Self>> {
                <$stream>::connect(address)
            }

            fn read<B: IoBufMut>(&self, buf: B) -> Read<B> {
                <$stream>::read(self, buf)
            }

            fn read_exact<B: IoBufMut>(&self, buf: B) -> ReadExact<B> {
                <$stream>::read_exact(self, buf)
            }

            fn read_vectored<V: IoVecMut>(&self, bufs: V) -> ReadVectored<V> {
                <$stream>::read_vectored(self, bufs)
            }

            fn recv(&self) -> Recv {
                <$stream>::recv(self)
            }

            fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
                <$stream>::poll_recv(self, cx)
            }

            fn chunks(&self) -> Chunks {
                <$stream>::chunks(self)
            }

            fn write<B: IoBuf>(&self, buf: B) -> Write<B> {
                <$stream>::write(self, buf)
            }

            fn write_all<B: IoBuf>(&self, buf: B) -> WriteAll<B> {
                <$stream>::write_all(self, buf)
            }

            fn write_zerocopy<B: IoBuf>(&self, buf: B) -> Write<B> {
                <$stream>::write_zerocopy(self, buf)
            }

            fn write_all_zerocopy<B: IoBuf>(&self, buf: B) -> WriteAll<B> {
                <$stream>::write_all_zerocopy(self, buf)
            }

            fn write_vectored<V: IoVec>(&self, bufs: V) -> WriteVectored<V> {
                <$stream>::write_vectored(self, bufs)
            }

            fn write_all_vectored<V: IoVec>(&self, bufs: V) -> WriteAllVectored<V> {
                <$stream>::write_all_vectored(self, bufs)
            }

            fn write_all_vectored_zerocopy<V: IoVec>(&self, bufs: V) -> WriteAllVectored<V> {
                <$stream>::write_all_vectored_zerocopy(self, bufs)
            }

            fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                <$stream>::poll_write(self, cx, bytes)
            }

            fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                <$stream>::poll_flush(self, cx)
            }

            fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                <$stream>::poll_shutdown(self, cx)
            }

            fn shutdown(&self, how: std::net::Shutdown) -> Shutdown {
                <$stream>::shutdown(self, how)
            }

            fn bytes_sent(&self) -> u64 {
                <$stream>::bytes_sent(self)
            }

            fn set_nodelay(&self, nodelay: bool) -> impl Future<Output = io::Result<()>> {
                $at_once(<$stream>::set_nodelay(self, nodelay))
            }

            fn set_recv_buffer_size(&self, bytes: usize) -> impl Future<Output = io::Result<()>> {
                $at_once(<$stream>::set_recv_buffer_size(self, bytes))
            }

            fn set_send_buffer_size(&self, bytes: usize) -> impl Future<Output = io::Result<()>> {
                $at_once(<$stream>::set_send_buffer_size(self, bytes))
            }

            fn local_addr(&self) -> impl Future<Output = io::Result<SocketAddr>> {
                $at_once(<$stream>::local_addr(self))
            }

            fn peer_addr(&self) -> impl Future<Output = io::Result<SocketAddr>> {
                $at_once(<$stream>::peer_addr(self))
            }

            fn quiesce(&self) -> Quiesce {
                <$stream>::quiesce(self)
            }

            fn close(self) -> Close {
                <$stream>::close(self)
            }
        }
    };
}

any_tcp_stream!(TcpStream, ready);
any_tcp_stream!(direct::TcpStream, std::convert::identity);

/// A TCP listener of either kind: [`TcpListener`] or [`direct::TcpListener`]. With [`AnyTcpStream`] a server is written
/// once, and chooses the kind in one place.
///
/// Each method does the same as the method of that name on the type. [`accept`](Self::accept) returns the stream alone:
/// the peer's address is a further system call for direct descriptors ([`AnyTcpStream::peer_addr`]). The trait is
/// implemented in this crate only.
///
/// # Examples
/// ```
/// use proactor::net::{AnyTcpListener, AnyTcpStream, TcpListener, TcpStream, direct};
/// use proactor::task::TaskSet;
/// use std::{io, net::SocketAddr};
///
/// async fn echo(stream: impl AnyTcpStream) -> io::Result<()> {
///     while let Some(chunk) = stream.recv().await? {
///         stream.write_all(chunk).await?;
///     }
///     Ok(())
/// }
///
/// async fn serve(listener: impl AnyTcpListener) -> io::Result<()> {
///     let connections = TaskSet::without_results();
///     loop {
///         connections.try_spawn(echo(listener.accept().await?));
///     }
/// }
///
/// async fn hello<L: AnyTcpListener>() -> io::Result<()> {
///     let listener = L::bind("127.0.0.1:0").await?;
///     let address: SocketAddr = listener.local_addr()?;
///     let server = proactor::spawn(serve(listener));
///     let client = TcpStream::connect(address).await?;
///     client.write_all("hello").await?;
///     assert_eq!(client.read_exact([0; 5]).await?.1, *b"hello");
///     server.cancel().await.unwrap_err();
///     Ok(())
/// }
///
/// proactor::run(async {
///     hello::<TcpListener>().await?;
///     hello::<direct::TcpListener>().await
/// }).unwrap();
/// ```
pub trait AnyTcpListener: sealed::Sealed + Sized + 'static {
    /// The kind of stream that it accepts.
    type Stream: AnyTcpStream;

    /// As [`TcpListener::bind`].
    fn bind(address: impl ToSocketAddrs) -> impl Future<Output = io::Result<Self>>;
    /// As [`TcpListener::from_std`].
    #[track_caller]
    fn from_std(listener: std::net::TcpListener) -> io::Result<Self>;
    /// As [`TcpListener::accept`], without the peer's address.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>>;
    /// As [`TcpListener::poll_accept`], without the peer's address.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Stream>>;
    /// As [`TcpListener::local_addr`].
    fn local_addr(&self) -> io::Result<SocketAddr>;
    /// As [`TcpListener::close`].
    fn close(self) -> Close;
}

/// Implements the trait for one kind. `$stream` takes the stream out of an accepted value.
macro_rules! any_tcp_listener {
    ($listener:ty, $of:ty, $stream:expr) => {
        impl sealed::Sealed for $listener {}

        impl AnyTcpListener for $listener {
            type Stream = $of;

            fn bind(address: impl ToSocketAddrs) -> impl Future<Output = io::Result<Self>> {
                <$listener>::bind(address)
            }

            #[track_caller]
            fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
                <$listener>::from_std(listener)
            }

            async fn accept(&self) -> io::Result<Self::Stream> {
                <$listener>::accept(self).await.map($stream)
            }

            fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Stream>> {
                <$listener>::poll_accept(self, cx).map_ok($stream)
            }

            fn local_addr(&self) -> io::Result<SocketAddr> {
                <$listener>::local_addr(self)
            }

            fn close(self) -> Close {
                <$listener>::close(self)
            }
        }
    };
}

any_tcp_listener!(TcpListener, TcpStream, |(stream, _peer)| stream);
any_tcp_listener!(direct::TcpListener, direct::TcpStream, std::convert::identity);
