//! The futures that read from an endpoint, write to it, and shut a direction down.
#![forbid(unsafe_code)]

use std::io;

use crate::buf::{BufResult, IoBuf, IoBufMut, IoVec, IoVecMut};
use crate::driver::operation::submission::Submission;
use crate::driver::operation::transfer::Repeat;
use crate::op::catalogue::net::recv::Receiver;
use crate::op::catalogue::net::send::Sender;
use crate::op::catalogue::net::socket;
use crate::op::catalogue::net::vectored::{VectoredReceiver, VectoredSender};

io_future! {
    /// The future of [`TcpStream::read`](crate::net::TcpStream::read).
    Read<B: IoBufMut> = Repeat<B, Receiver> => BufResult<usize, B>
}
io_future! {
    /// The future of [`TcpStream::read_exact`](crate::net::TcpStream::read_exact).
    ReadExact<B: IoBufMut> = Repeat<B, Receiver> => BufResult<usize, B>
}
io_future! {
    /// The future of [`TcpStream::read_vectored`](crate::net::TcpStream::read_vectored).
    ReadVectored<V: IoVecMut> = Repeat<V, VectoredReceiver> => BufResult<usize, V>
}
io_future! {
    /// The future of [`TcpStream::write`](crate::net::TcpStream::write).
    Write<B: IoBuf> = Repeat<B, Sender> => BufResult<usize, B>
}
io_future! {
    /// The future of [`TcpStream::write_all`](crate::net::TcpStream::write_all).
    WriteAll<B: IoBuf> = Repeat<B, Sender> => BufResult<usize, B>
}
io_future! {
    /// The future of [`TcpStream::write_vectored`](crate::net::TcpStream::write_vectored).
    WriteVectored<V: IoVec> = Repeat<V, VectoredSender> => BufResult<usize, V>
}
io_future! {
    /// The future of [`TcpStream::write_all_vectored`](crate::net::TcpStream::write_all_vectored).
    WriteAllVectored<V: IoVec> = Repeat<V, VectoredSender> => BufResult<usize, V>
}
io_future! {
    /// The future of [`TcpStream::shutdown`](crate::net::TcpStream::shutdown).
    Shutdown<> = Submission<socket::Shutdown> => io::Result<()>
}
