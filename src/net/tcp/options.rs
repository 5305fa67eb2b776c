//! Socket options of `TcpStream`: see tcp(7), ip(7), socket(7).
#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use socket2::SockRef;

use super::stream::TcpStream;

/// Socket options. Each method is one getsockopt(2) or setsockopt(2), and returns its errors.
impl TcpStream {
    /// Whether small segments are sent at once (TCP_NODELAY).
    pub fn nodelay(&self) -> io::Result<bool> {
        SockRef::from(&self.endpoint.descriptor).tcp_nodelay()
    }

    /// Sets whether small segments are sent at once (TCP_NODELAY).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        SockRef::from(&self.endpoint.descriptor).set_tcp_nodelay(nodelay)
    }

    /// How long a close waits for unsent data (SO_LINGER).
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(&self.endpoint.descriptor).linger()
    }

    /// Sets how long [`close`](Self::close) waits for the peer to acknowledge sent data (SO_LINGER); zero resets the
    /// connection instead.
    ///
    /// close(2) itself waits, so a thread of the blocking pool calls it, and the loop continues. The shutdown of the
    /// runtime waits for it until its deadline. Such closes have their own threads and delay no other job of the pool.
    /// There are [`pool_threads`](crate::Config::pool_threads) of these threads: while all of them wait, further closes
    /// that would wait leave their connections open until a thread is free.
    ///
    /// A drop does not wait. It turns the option off, for duplicates of the descriptor as well, and the kernel sends
    /// the rest in the background, as it does after the time has passed.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.endpoint.descriptor.note_lent();
        SockRef::from(&self.endpoint.descriptor).set_linger(linger)
    }

    /// The time-to-live of its packets.
    pub fn ttl(&self) -> io::Result<u32> {
        SockRef::from(&self.endpoint.descriptor).ttl_v4()
    }

    /// Sets the time-to-live of its packets.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        SockRef::from(&self.endpoint.descriptor).set_ttl_v4(ttl)
    }

    /// Size of the kernel's receive buffer in bytes (SO_RCVBUF).
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        SockRef::from(&self.endpoint.descriptor).recv_buffer_size()
    }

    /// Sets the size of the kernel's receive buffer in bytes (SO_RCVBUF); the kernel doubles it.
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        SockRef::from(&self.endpoint.descriptor).set_recv_buffer_size(bytes)
    }

    /// Size of the kernel's send buffer in bytes (SO_SNDBUF).
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        SockRef::from(&self.endpoint.descriptor).send_buffer_size()
    }

    /// Sets the size of the kernel's send buffer in bytes (SO_SNDBUF); the kernel doubles it.
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        SockRef::from(&self.endpoint.descriptor).set_send_buffer_size(bytes)
    }

    /// Takes the socket's pending error (SO_ERROR).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(&self.endpoint.descriptor).take_error()
    }
}
