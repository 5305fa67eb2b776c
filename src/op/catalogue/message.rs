//! Messages: recvmsg(2) and sendmsg(2), for datagrams with their addresses and for vectored socket I/O.
//!
//! The kernel reads and writes a `msghdr` with pointers to everything else; all of it lies in the operation
//! and is filled in only once the operation lies in its place.

use crate::op::abi::empty_header;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use io_uring::opcode;
use socket2::{SockAddr, SockAddrStorage};

use super::socket::{LARGE, NOT_RELEASED, Sender, release};
use crate::buf::{
    BufError, BufResult, Chunk, IoBuf, IoBufMut, IoVec, IoVecMut, IoVecs, fill, first, note_init,
    note_init_of_all,
};
use crate::op::completion::{Completion, Direction};
use crate::op::object::datagram::Datagram;
use crate::op::object::endpoint::{EndpointRef, Received, keep_error};
use crate::op::object::endpoint_kind::SEND_FLAGS;
use crate::op::object::fd::on_fd;
use crate::op::object::io_lock::Side;
use crate::op::object::io_turn::IoTurn;
use crate::op::transfer::Transfer;
use crate::op::{Entry, Kind, Op, Readiness};
use crate::sys::call::Call;

fn iovec(pointer: *mut u8, len: usize) -> libc::iovec {
    libc::iovec { iov_base: pointer.cast(), iov_len: len }
}

/// Receives one datagram and its sender's address.
pub(crate) struct RecvFrom<B> {
    turn: IoTurn,
    buf: B,
    sender: SockAddrStorage,
    /// Filled by `prepare` from what had arrived earlier.
    early: Option<Option<SocketAddr>>,
    header: libc::msghdr,
    iovec: libc::iovec,
}

impl<B: IoBufMut> RecvFrom<B> {
    pub(crate) fn new(endpoint: &EndpointRef, buf: B) -> Self {
        RecvFrom {
            turn: IoTurn::new(endpoint, Side::Receive),
            buf,
            sender: SockAddrStorage::zeroed(),
            early: None,
            header: empty_header(),
            iovec: iovec(std::ptr::null_mut(), 0),
        }
    }

    fn header(&mut self) -> *mut libc::msghdr {
        self.iovec = iovec(self.buf.write_ptr(), self.buf.total_len());
        self.header.msg_name = (&raw mut self.sender).cast();
        self.header.msg_namelen = self.sender.size_of();
        self.header.msg_iov = &raw mut self.iovec;
        self.header.msg_iovlen = 1;
        &raw mut self.header
    }

    fn finish(mut self, completion: Completion) -> (io::Result<(usize, Option<SockAddr>)>, B, IoTurn) {
        let result = completion.count().map(|count| {
            // SAFETY: the kernel, or `prepare`, has written `count` bytes from the start.
            unsafe { note_init(&mut self.buf, count) };
            let early = self.early.take().map(|sender| sender.map(SockAddr::from));
            let sender = early.unwrap_or_else(|| {
                let len = self.header.msg_namelen;
                // SAFETY: the kernel has written an address of `len` bytes into the storage.
                (len > 0).then(|| unsafe { SockAddr::new(self.sender, len) })
            });
            (count, sender)
        });
        (result, self.buf, self.turn)
    }
}

impl<B: IoBufMut> Op for RecvFrom<B> {
    /// The datagram's length and its sender; a longer one than the buffer was cut to it.
    type Output = BufResult<(usize, SocketAddr), B>;
    const NAME: &'static str = "recvmsg";
    const WAITS: bool = true;
    const OPCODE: u8 = opcode::RecvMsg::CODE;

    fn turn(&mut self) -> Option<&mut IoTurn> {
        Some(&mut self.turn)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        ready!(self.turn.poll_acquire(cx));
        let received = ready!(self.turn.endpoint().poll_received(cx, false));
        Poll::Ready(received.map(|received| match received {
            Received::Datagram(datagram) => {
                self.early = Some(datagram.sender());
                let take = |datagram: &Datagram| fill(&mut self.buf, 0, datagram.bytes());
                // A datagram has at most 64 KiB.
                self.turn.endpoint().take_datagram(datagram, take) as i32
            }
            Received::Error(errno) => -errno,
            other => unreachable!("a datagram socket received {other:?}"),
        }))
    }

    fn entry(&mut self) -> Entry {
        let header = self.header();
        on_fd!(self.turn.endpoint().descriptor.fd(), |fd| opcode::RecvMsg::new(fd, header).build())
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::When(&self.turn.endpoint().descriptor, Direction::Read)
    }

    fn call(&mut self) -> Call {
        let (fd, header) = (self.turn.endpoint().descriptor.raw(), self.header());
        // SAFETY: the header and all that it points to are part of this operation.
        unsafe { Call::new(libc::SYS_recvmsg, [fd as usize, header as usize, libc::MSG_DONTWAIT as usize]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        let (result, buf, _pass) = self.finish(completion);
        let none =
            || io::Error::new(io::ErrorKind::InvalidData, "the sender's address is neither IPv4 nor IPv6");
        let result = result.and_then(|(count, sender)| {
            let sender = sender.as_ref().and_then(SockAddr::as_socket).ok_or_else(none)?;
            Ok((count, sender))
        });
        match result {
            Ok(received) => Ok((received, buf)),
            Err(error) => Err(BufError::new(error, buf)),
        }
    }

    fn abandoned(self, completion: Completion) {
        let endpoint = self.turn.endpoint().clone();
        // The turn comes back with the result, and is given up after the datagram is stored.
        let (result, buf, _pass) = self.finish(completion);
        match result {
            Ok((count, sender)) => {
                let datagram = Datagram::copy(first(&buf, count), sender.as_ref());
                endpoint.push_received(Received::Datagram(datagram));
            }
            Err(error) => keep_error(&endpoint, &error),
        }
    }
}

/// Sends one datagram.
pub(crate) struct SendTo<B> {
    turn: IoTurn,
    buf: B,
    target: Option<SockAddr>,
    header: libc::msghdr,
    iovec: libc::iovec,
}

impl<B: IoBuf> SendTo<B> {
    /// Without a target the socket must be connected.
    pub(crate) fn new(endpoint: &EndpointRef, buf: B, target: Option<SockAddr>) -> Self {
        SendTo {
            turn: IoTurn::new(endpoint, Side::Send),
            buf,
            target,
            header: empty_header(),
            iovec: iovec(std::ptr::null_mut(), 0),
        }
    }

    fn header(&mut self) -> *mut libc::msghdr {
        self.iovec = iovec(self.buf.read_ptr().cast_mut(), self.buf.init_len());
        if let Some(target) = &self.target {
            self.header.msg_name = target.as_ptr().cast_mut().cast();
            self.header.msg_namelen = target.len();
        }
        self.header.msg_iov = &raw mut self.iovec;
        self.header.msg_iovlen = 1;
        &raw mut self.header
    }
}

impl<B: IoBuf> Op for SendTo<B> {
    type Output = BufResult<usize, B>;
    const NAME: &'static str = "sendmsg";
    const WAITS: bool = true;
    const OPCODE: u8 = opcode::SendMsg::CODE;

    fn turn(&mut self) -> Option<&mut IoTurn> {
        Some(&mut self.turn)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        self.turn.poll_acquire(cx).map(|()| None)
    }

    fn entry(&mut self) -> Entry {
        let header = self.header();
        on_fd!(self.turn.endpoint().descriptor.fd(), |fd| {
            opcode::SendMsg::new(fd, header).flags(libc::MSG_NOSIGNAL as u32).build()
        })
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::When(&self.turn.endpoint().descriptor, Direction::Write)
    }

    fn call(&mut self) -> Call {
        let (fd, header) = (self.turn.endpoint().descriptor.raw(), self.header());
        // SAFETY: the header and all that it points to are part of this operation.
        unsafe { Call::new(libc::SYS_sendmsg, [fd as usize, header as usize, SEND_FLAGS]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        match completion.count() {
            Ok(count) => {
                self.turn.endpoint().add_sent(count);
                Ok((count, self.buf))
            }
            Err(error) => Err(BufError::new(error, self.buf)),
        }
    }
}

/// Receives into several buffers of a stream.
pub(crate) struct RecvVectored<V> {
    turn: IoTurn,
    bufs: V,
    start: usize,
    header: libc::msghdr,
    iovecs: IoVecs,
}

impl<V: IoVecMut> RecvVectored<V> {
    fn header(&mut self) -> *mut libc::msghdr {
        self.iovecs.fill_write(&mut self.bufs, self.start, usize::MAX);
        self.header.msg_iov = self.iovecs.as_ptr().cast_mut();
        self.header.msg_iovlen = self.iovecs.len() as _;
        &raw mut self.header
    }
}

impl<V: IoVecMut> Op for RecvVectored<V> {
    type Output = (io::Result<usize>, V, VectoredReceiver);
    const NAME: &'static str = "recvmsg";
    const WAITS: bool = true;
    const OPCODE: u8 = opcode::RecvMsg::CODE;

    fn turn(&mut self) -> Option<&mut IoTurn> {
        Some(&mut self.turn)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        ready!(self.turn.poll_acquire(cx));
        let room = self.bufs.total_capacity().saturating_sub(self.start);
        if room == 0 {
            return Poll::Ready(Some(0));
        }
        let received = ready!(self.turn.endpoint().poll_received(cx, room >= LARGE));
        Poll::Ready(received.map(|received| match received {
            Received::Bytes(chunk) => {
                let (bufs, start) = (&mut self.bufs, self.start);
                let take = |bytes: &[u8]| scatter(bufs, start, &bytes[..bytes.len().min(room)]);
                self.turn.endpoint().take_bytes(chunk, take) as i32 // what once came as one completion
            }
            Received::End => 0,
            Received::Error(errno) => -errno,
            other => unreachable!("a stream received {other:?}"),
        }))
    }

    fn entry(&mut self) -> Entry {
        let header = self.header();
        on_fd!(self.turn.endpoint().descriptor.fd(), |fd| opcode::RecvMsg::new(fd, header).build())
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::When(&self.turn.endpoint().descriptor, Direction::Read)
    }

    fn call(&mut self) -> Call {
        let (fd, header) = (self.turn.endpoint().descriptor.raw(), self.header());
        // SAFETY: the header and all that it points to are part of this operation.
        unsafe { Call::new(libc::SYS_recvmsg, [fd as usize, header as usize, libc::MSG_DONTWAIT as usize]) }
    }

    fn complete(mut self, completion: Completion) -> Self::Output {
        let result = completion.count();
        if let Ok(count) = result {
            // SAFETY: the kernel, or `prepare`, has written `count` bytes from `start` on, across the buffers.
            unsafe { note_init_of_all(&mut self.bufs, self.start + count) };
        }
        (result, self.bufs, VectoredReceiver { turn: self.turn })
    }

    fn abandoned(self, completion: Completion) {
        let endpoint = self.turn.endpoint().clone();
        let start = self.start;
        let (result, bufs, _receiver) = self.complete(completion);
        match result {
            Ok(0) => {}
            Ok(count) => {
                endpoint.push_received(Received::Bytes(Chunk::from(&gather(&bufs, start, count)[..])))
            }
            Err(error) => keep_error(&endpoint, &error),
        }
    }
}

/// Copies bytes into a group of buffers, from its byte `start` on.
fn scatter<V: IoVecMut>(bufs: &mut V, start: usize, bytes: &[u8]) -> usize {
    let (mut skip, mut taken) = (start, 0);
    bufs.for_each_write(&mut |pointer, len| {
        let from = skip.min(len);
        skip -= from;
        let part = (len - from).min(bytes.len() - taken);
        // SAFETY: `from + part` is within the buffer's `len` writable bytes, and `bytes` is another memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes[taken..].as_ptr(), pointer.add(from), part) };
        taken += part;
    });
    taken
}

/// Copies `count` bytes out of a group of buffers, from its byte `start` on.
fn gather<V: IoVec>(bufs: &V, start: usize, count: usize) -> Vec<u8> {
    let (mut skip, mut bytes) = (start, Vec::with_capacity(count));
    bufs.for_each_read(&mut |pointer, len| {
        let from = skip.min(len);
        skip -= from;
        let part = (len - from).min(count - bytes.len());
        // SAFETY: `from + part` is within the buffer's `len` initialised bytes.
        bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(pointer.add(from), part) });
    });
    bytes
}

/// The receiving side of an endpoint, for groups of buffers.
#[derive(Debug)]
pub(crate) struct VectoredReceiver {
    turn: IoTurn,
}

impl VectoredReceiver {
    pub(crate) fn new(endpoint: &EndpointRef) -> Self {
        VectoredReceiver { turn: IoTurn::new(endpoint, Side::Receive) }
    }
}

impl<V: IoVecMut> Transfer<V> for VectoredReceiver {
    type Op = RecvVectored<V>;
    const EXHAUSTED: io::ErrorKind = io::ErrorKind::UnexpectedEof;

    fn total(bufs: &V) -> usize {
        bufs.total_capacity()
    }

    fn covers(&self, bufs: &mut V, done: usize) -> usize {
        IoVecs::new().fill_write(bufs, done, usize::MAX)
    }

    fn step(self, bufs: V, start: usize) -> RecvVectored<V> {
        RecvVectored { turn: self.turn, bufs, start, header: empty_header(), iovecs: IoVecs::new() }
    }
}

/// Sends several buffers on a stream.
pub(crate) struct SendVectored<V> {
    /// None once the operation keeps the buffers alone.
    sender: Option<Sender>,
    bufs: V,
    start: usize,
    header: libc::msghdr,
    iovecs: IoVecs,
}

impl<V: IoVec> SendVectored<V> {
    fn sender(&self) -> &Sender {
        self.sender.as_ref().expect(NOT_RELEASED)
    }

    /// Bytes that it is about.
    fn len(&self) -> usize {
        self.bufs.total_init().saturating_sub(self.start)
    }

    fn header(&mut self) -> *mut libc::msghdr {
        self.iovecs.fill_read(&self.bufs, self.start, usize::MAX);
        self.header.msg_iov = self.iovecs.as_ptr().cast_mut();
        self.header.msg_iovlen = self.iovecs.len() as _;
        &raw mut self.header
    }
}

impl<V: IoVec> Op for SendVectored<V> {
    type Output = (io::Result<usize>, V, VectoredSender);
    const NAME: &'static str = "sendmsg";
    const KIND: Kind = Kind::ZeroCopy; // a plain one has a single completion
    const WAITS: bool = true;
    const OPCODE: u8 = opcode::SendMsg::CODE;

    fn turn(&mut self) -> Option<&mut IoTurn> {
        self.sender.as_mut().map(|sender| &mut sender.turn)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        let nothing = self.len() == 0;
        self.sender.as_mut().expect(NOT_RELEASED).turn.poll_acquire(cx).map(|()| nothing.then_some(0))
    }

    fn entry(&mut self) -> Entry {
        let (header, flags) = (self.header(), libc::MSG_NOSIGNAL as u32);
        let without_copy = self.sender().goes_without_copy(self.len());
        on_fd!(self.sender().descriptor().fd(), |fd| if without_copy {
            opcode::SendMsgZc::new(fd, header).flags(flags).build()
        } else {
            opcode::SendMsg::new(fd, header).flags(flags).build()
        })
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::When(self.sender().descriptor(), Direction::Write)
    }

    fn call(&mut self) -> Call {
        let (fd, header) = (self.sender().descriptor().raw(), self.header());
        // SAFETY: the header and all that it points to are part of this operation.
        unsafe { Call::new(libc::SYS_sendmsg, [fd as usize, header as usize, SEND_FLAGS]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        let len = self.len();
        let sender = self.sender.expect(NOT_RELEASED);
        let result = sender.sent(completion, len);
        (result, self.bufs, VectoredSender(sender))
    }

    fn release(&mut self, completion: Completion) {
        let len = self.len();
        release(&mut self.sender, completion, len);
    }

    fn abandoned(mut self, completion: Completion) {
        self.release(completion);
    }
}

/// The sending side of an endpoint, for groups of buffers.
#[derive(Debug)]
pub(crate) struct VectoredSender(pub(crate) Sender);

impl<V: IoVec> Transfer<V> for VectoredSender {
    type Op = SendVectored<V>;
    const EXHAUSTED: io::ErrorKind = io::ErrorKind::WriteZero;

    fn total(bufs: &V) -> usize {
        bufs.total_init()
    }

    fn covers(&self, bufs: &mut V, done: usize) -> usize {
        IoVecs::new().fill_read(bufs, done, usize::MAX)
    }

    fn step(self, bufs: V, start: usize) -> SendVectored<V> {
        SendVectored { sender: Some(self.0), bufs, start, header: empty_header(), iovecs: IoVecs::new() }
    }
}
