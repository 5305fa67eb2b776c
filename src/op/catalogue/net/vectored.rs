//! Vectored receives and sends of streams: recvmsg(2), sendmsg(2).

use std::io;
use std::task::{Context, Poll, ready};

use io_uring::opcode;

use super::recv::LARGE;
use super::send::{NOT_RELEASED, Sender, release};
use crate::buf::{Chunk, IoVec, IoVecMut, IoVecs, note_init_of_all};
use crate::op::abi::empty_header;
use crate::op::completion::{Completion, Direction};
use crate::op::fd::descriptor::on_fd;
use crate::op::object::endpoint::keep_error;
use crate::op::object::endpoint_kind::SEND_FLAGS;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::io_lock::Side;
use crate::op::object::io_turn::IoTurn;
use crate::op::object::received::Received;
use crate::op::transfer::Transfer;
use crate::op::{Entry, Kind, Op, Readiness};
use crate::sys::call::Call;

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

/// The receiving side of an endpoint, as a transfer over groups of buffers.
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
    /// `None` once the operation has been released and keeps only the buffers.
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

    /// The number of bytes to send.
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

/// The sending side of an endpoint, as a transfer over groups of buffers.
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
