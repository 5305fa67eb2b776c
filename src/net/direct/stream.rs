//! `TcpStream` with a direct descriptor.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;

use crate::buf::{Chunk, IoBuf, IoBufMut, IoVec, IoVecMut};
use crate::driver::operation::submission::Submission;
use crate::io::Close;
use crate::io::shared::chunks::{Chunks, Recv};
use crate::io::shared::install::Installing;
use crate::io::shared::quiesce::Quiesce;
use crate::io::shared::transfers::{
    Read, ReadExact, ReadVectored, Shutdown, Write, WriteAll, WriteAllVectored, WriteVectored,
};
use crate::net::addr::ToSocketAddrs;
use crate::net::internet;
use crate::net::tcp;
use crate::net::tcp::connect::ConnectTo;
use crate::op::catalogue::direct::{Install, SetOption};
use crate::op::object::endpoint_ref::EndpointRef;

/// A TCP connection whose descriptor belongs to the ring: see the module.
///
/// Dropping it closes the connection in the loop's next turn, after the operations of dropped futures have completed.
///
/// # Examples
/// ```
/// use proactor::net::direct::{TcpListener, TcpStream};
/// proactor::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let server = listener.accept().await?;
///     client.write_all("hello").await?;
///     assert_eq!(server.recv().await?.expect("the client is still there"), *b"hello");
///     // The other direction, through an ordinary descriptor of the same connection.
///     let server = server.install().await?;
///     server.set_nodelay(true)?;
///     server.write_all("hello").await?;
///     assert_eq!(client.read_exact([0; 5]).await?.1, *b"hello");
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpStream(pub(super) tcp::stream::TcpStream);

impl TcpStream {
    /// Connects to the first address that accepts; tries them in order.
    ///
    /// # Errors
    /// As [`TcpStream::connect`](crate::net::TcpStream::connect), and `QuotaExceeded` when the table is full.
    ///
    /// # Panics
    /// When polled outside a runtime.
    ///
    /// # Cancellation
    /// Dropping the future ends the attempt and closes its socket.
    pub fn connect(address: impl ToSocketAddrs) -> Connect {
        Connect(Connecting(ConnectTo::new(address, true)))
    }

    /// As [`TcpStream::read`](crate::net::TcpStream::read).
    pub fn read<B: IoBufMut>(&self, buf: B) -> Read<B> {
        self.0.read(buf)
    }

    /// As [`TcpStream::read_exact`](crate::net::TcpStream::read_exact).
    pub fn read_exact<B: IoBufMut>(&self, buf: B) -> ReadExact<B> {
        self.0.read_exact(buf)
    }

    /// As [`TcpStream::read_vectored`](crate::net::TcpStream::read_vectored).
    pub fn read_vectored<V: IoVecMut>(&self, bufs: V) -> ReadVectored<V> {
        self.0.read_vectored(bufs)
    }

    /// As [`TcpStream::recv`](crate::net::TcpStream::recv).
    pub fn recv(&self) -> Recv {
        self.0.recv()
    }

    /// As [`TcpStream::poll_recv`](crate::net::TcpStream::poll_recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
        self.0.poll_recv(cx)
    }

    /// As [`TcpStream::chunks`](crate::net::TcpStream::chunks).
    pub fn chunks(&self) -> Chunks {
        self.0.chunks()
    }

    /// As [`TcpStream::write`](crate::net::TcpStream::write).
    pub fn write<B: IoBuf>(&self, buf: B) -> Write<B> {
        self.0.write(buf)
    }

    /// As [`TcpStream::write_all`](crate::net::TcpStream::write_all).
    pub fn write_all<B: IoBuf>(&self, buf: B) -> WriteAll<B> {
        self.0.write_all(buf)
    }

    /// As [`TcpStream::write_zerocopy`](crate::net::TcpStream::write_zerocopy).
    pub fn write_zerocopy<B: IoBuf>(&self, buf: B) -> Write<B> {
        self.0.write_zerocopy(buf)
    }

    /// As [`TcpStream::write_all_zerocopy`](crate::net::TcpStream::write_all_zerocopy).
    pub fn write_all_zerocopy<B: IoBuf>(&self, buf: B) -> WriteAll<B> {
        self.0.write_all_zerocopy(buf)
    }

    /// As [`TcpStream::poll_write`](crate::net::TcpStream::poll_write). No system call can name a direct descriptor, so all
    /// bytes are copied.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    /// As [`TcpStream::poll_flush`](crate::net::TcpStream::poll_flush).
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    /// As [`TcpStream::poll_shutdown`](crate::net::TcpStream::poll_shutdown).
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }

    /// As [`TcpStream::write_vectored`](crate::net::TcpStream::write_vectored).
    pub fn write_vectored<V: IoVec>(&self, bufs: V) -> WriteVectored<V> {
        self.0.write_vectored(bufs)
    }

    /// As [`TcpStream::write_all_vectored`](crate::net::TcpStream::write_all_vectored).
    pub fn write_all_vectored<V: IoVec>(&self, bufs: V) -> WriteAllVectored<V> {
        self.0.write_all_vectored(bufs)
    }

    /// As [`TcpStream::write_all_vectored_zerocopy`](crate::net::TcpStream::write_all_vectored_zerocopy).
    pub fn write_all_vectored_zerocopy<V: IoVec>(&self, bufs: V) -> WriteAllVectored<V> {
        self.0.write_all_vectored_zerocopy(bufs)
    }

    /// As [`TcpStream::shutdown`](crate::net::TcpStream::shutdown).
    pub fn shutdown(&self, how: std::net::Shutdown) -> Shutdown {
        self.0.shutdown(how)
    }

    /// As [`TcpStream::bytes_sent`](crate::net::TcpStream::bytes_sent).
    pub fn bytes_sent(&self) -> u64 {
        self.0.bytes_sent()
    }

    /// As [`TcpStream::quiesce`](crate::net::TcpStream::quiesce).
    pub fn quiesce(&self) -> Quiesce {
        self.0.quiesce()
    }

    /// Sets whether small segments are sent at once (TCP_NODELAY). An accepted stream inherits the option of its
    /// listener.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_nodelay(&self, nodelay: bool) -> SetSocketOption {
        self.set(libc::IPPROTO_TCP, libc::TCP_NODELAY, nodelay.into())
    }

    /// Sets the size of the kernel's receive buffer in bytes (SO_RCVBUF); the kernel doubles it.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_recv_buffer_size(&self, bytes: usize) -> SetSocketOption {
        self.set(libc::SOL_SOCKET, libc::SO_RCVBUF, bytes.try_into().unwrap_or(i32::MAX))
    }

    /// Sets the size of the kernel's send buffer in bytes (SO_SNDBUF); the kernel doubles it.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn set_send_buffer_size(&self, bytes: usize) -> SetSocketOption {
        self.set(libc::SOL_SOCKET, libc::SO_SNDBUF, bytes.try_into().unwrap_or(i32::MAX))
    }

    fn set(&self, level: i32, name: i32, value: i32) -> SetSocketOption {
        SetSocketOption(Submission::new(SetOption::new(self.0.endpoint(), level, name, value)))
    }

    /// The local address, through a temporary ordinary descriptor.
    ///
    /// # Errors
    /// Those of getsockname(2), and `EMFILE`.
    pub fn local_addr(&self) -> Address {
        self.address(|socket| internet(socket.local_addr()))
    }

    /// The peer's address, through a temporary ordinary descriptor.
    ///
    /// # Errors
    /// Those of getpeername(2), and `EMFILE`.
    pub fn peer_addr(&self) -> Address {
        self.address(|socket| internet(socket.peer_addr()))
    }

    fn address(&self, ask: fn(SockRef<'_>) -> io::Result<SocketAddr>) -> Address {
        Address(Query { step: Submission::new(Install(self.0.endpoint().clone())), ask })
    }

    /// Converts it into an ordinary stream, which keeps the data that was received and not yet taken.
    ///
    /// # Errors
    /// `EMFILE` when the process has no free descriptor; `ResourceBusy` while other futures of this stream exist. The
    /// connection is then closed.
    ///
    /// # Cancellation
    /// Dropping the future closes the connection.
    pub fn install(self) -> InstallStream {
        InstallStream(Installing::new(self.0.endpoint(), tcp::stream::TcpStream::from_endpoint))
    }

    /// Closes the connection and waits until it is closed. A drop closes it as well, but reports no error.
    ///
    /// # Errors
    /// Those of close(2), and the error of bytes that `poll_write` had taken; `ResourceBusy` while futures of this
    /// stream exist.
    pub fn close(self) -> Close {
        self.0.close()
    }
}

crate::io::reads_owned!(TcpStream);

crate::io::writes_owned!(TcpStream);

io_future! {
    /// The future of [`TcpStream::connect`].
    Connect<> = Connecting => io::Result<TcpStream>
}
io_future! {
    /// The future of [`TcpStream::set_nodelay`] and the other options.
    SetSocketOption<> = Submission<SetOption> => io::Result<()>
}
io_future! {
    /// The future of [`TcpStream::local_addr`] and [`TcpStream::peer_addr`].
    Address<> = Query => io::Result<SocketAddr>
}
io_future! {
    /// The future of [`TcpStream::install`].
    InstallStream<> = Installing<tcp::stream::TcpStream> => io::Result<tcp::stream::TcpStream>
}

pub(crate) struct Connecting(ConnectTo);

impl Connecting {
    fn request_cancel(&mut self) {
        self.0.request_cancel();
    }
}

impl Future for Connecting {
    type Output = io::Result<TcpStream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_ok(TcpStream)
    }
}

/// Queries an address of the socket, by an ordinary descriptor of the same socket.
pub(crate) struct Query {
    step: Submission<Install<EndpointRef>>,
    ask: fn(SockRef<'_>) -> io::Result<SocketAddr>,
}

impl Query {
    fn request_cancel(&mut self) {
        self.step.request_cancel();
    }
}

impl Future for Query {
    type Output = io::Result<SocketAddr>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let installed = ready!(Pin::new(&mut self.step).poll(cx));
        Poll::Ready(installed.and_then(|fd| (self.ask)(SockRef::from(&fd))))
    }
}
