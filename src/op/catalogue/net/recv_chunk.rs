//! Receives into the runtime's own memory. An operation that waits holds no buffer.
//!
//! The selector receives when the descriptor is ready. The ring uses these operations if there is no multishot receive, or
//! if the group of buffers has run out: it polls, and the future then makes the same call as on the selector. A drop loses
//! nothing, because nothing is received before the future is polled. No call can name a direct descriptor, so the ring also
//! makes the receive on one.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use io_uring::opcode;

use crate::buf::Chunk;
use crate::buf::pool::Lease;
use crate::op::abi::{NO_POSITION, empty_header};
use crate::op::completion::{Completion, Direction};
use crate::op::fd::descriptor::on_fd;
use crate::op::object::datagram::Datagram;
use crate::op::object::endpoint::keep_error;
use crate::op::object::endpoint_kind::EndpointKind;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::io_turn::IoTurn;
use crate::op::object::received::Received;
use crate::op::object::source::{Buffers, MultishotKind};
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

/// The size from which on a piece keeps its buffer and is not copied.
const WORTH_KEEPING: usize = 4 << 10;

/// The outcome of an operation that receives.
pub(crate) enum ReceiveStep<T, O> {
    Item(io::Result<T>, IoTurn),
    /// The descriptor may be ready now: make the call.
    Ready(O),
}

/// An operation that receives into the runtime's memory.
pub(crate) trait Receive: Op<Output = ReceiveStep<Self::Item, Self>> {
    type Item;

    fn new(turn: IoTurn) -> Self;

    /// Converts the operation into a receive by the ring that does not wait, if no call can be made. Returns the operation as
    /// an error otherwise.
    fn asking(self) -> Result<Self, Self>;
}

/// Waits for bytes of a stream and receives them. The result is `None` at the end of the stream.
pub(crate) struct RecvChunk {
    turn: IoTurn,
    state: State,
}

enum State {
    New,
    /// The chunk was in the receive queue.
    Early(Chunk),
    /// A call has been made into this memory, with this number of bytes at most. The completion is its answer.
    ByCall(Rc<dyn Buffers>, u32),
    /// The ring receives into this memory.
    ByRing(Lease),
}

impl Receive for RecvChunk {
    type Item = Option<Chunk>;

    fn new(turn: IoTurn) -> Self {
        RecvChunk { turn, state: State::New }
    }

    fn asking(self) -> Result<Self, Self> {
        let descriptor = &self.turn.endpoint().descriptor;
        let by_ring = descriptor.is_direct() || self.turn.endpoint().kind() == EndpointKind::File;
        if !by_ring || descriptor.is_orphaned() {
            return Err(self);
        }
        let lease = descriptor.buffers(MultishotKind::Bytes).lease();
        Ok(RecvChunk { turn: self.turn, state: State::ByRing(lease) })
    }
}

impl Op for RecvChunk {
    type Output = ReceiveStep<Option<Chunk>, Self>;
    const NAME: &'static str = "recv";
    const OPCODE: u8 = opcode::PollAdd::CODE;

    fn turn(&mut self) -> Option<&mut IoTurn> {
        Some(&mut self.turn)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        ready!(self.turn.poll_acquire(cx));
        let received = ready!(self.turn.endpoint().poll_received(cx, false));
        Poll::Ready(received.map(|received| match received {
            Received::Bytes(chunk) => {
                let count = chunk.len() as i32; // a buffer's length at most
                self.state = State::Early(chunk);
                count
            }
            Received::End => 0,
            Received::Error(errno) => -errno,
            other => unreachable!("a stream received {other:?}"),
        }))
    }

    fn multishot(&self) -> Option<(&EndpointRef, MultishotKind)> {
        let endpoint = self.turn.endpoint();
        let what = match endpoint.kind() {
            EndpointKind::Socket => MultishotKind::Bytes,
            EndpointKind::Pipe => MultishotKind::Read,
            EndpointKind::Terminal | EndpointKind::File => return None,
        };
        matches!(self.state, State::New).then_some((endpoint, what))
    }

    fn entry(&mut self) -> Entry {
        let State::ByRing(lease) = &self.state else { return poll(&self.turn) };
        let (memory, len) = (lease.memory().as_ptr(), lease.len() as u32); // smaller than 4 GiB: see Config
        let endpoint = self.turn.endpoint();
        on_fd!(endpoint.descriptor.fd(), |fd| match endpoint.kind() {
            EndpointKind::Socket => opcode::Recv::new(fd, memory, len).flags(libc::MSG_DONTWAIT).build(),
            _ => opcode::Read::new(fd, memory, len).offset(NO_POSITION).build(),
        })
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::When(&self.turn.endpoint().descriptor, Direction::Read)
    }

    fn call(&mut self) -> Call {
        let descriptor = &self.turn.endpoint().descriptor;
        let buffers = descriptor.buffers(MultishotKind::Bytes);
        let (memory, len) = buffers.room();
        self.state = State::ByCall(buffers, len as u32); // buffers are smaller than 4 GiB: see Config
        // SAFETY: the room is the loop's memory, and nobody else's before the next call of `room`: the answer is
        // dealt with before that.
        unsafe { self.turn.endpoint().receive_call(memory.as_ptr(), len) }
    }

    fn otherwise(&mut self) -> bool {
        self.turn.endpoint().go_without_nowait()
    }

    fn drained(&self, result: i32) -> bool {
        let short = matches!(self.state, State::ByCall(_, room) if result > 0 && (result as u32) < room);
        short && self.turn.endpoint().is_drained_by_short_receives()
    }

    fn complete(self, completion: Completion) -> Self::Output {
        let received = match self.state {
            State::Early(chunk) => Ok(Some(chunk)),
            State::ByCall(buffers, _) => completion.count().map(|count| {
                self.turn.endpoint().note_size(count);
                // SAFETY: the call has just written so many bytes into the room that it was given.
                (count > 0).then(|| unsafe { buffers.filled(count) })
            }),
            State::ByRing(lease) => completion.count().map(|count| {
                self.turn.endpoint().note_size(count);
                // SAFETY: the kernel has written so many bytes from the start, and nobody else knows of the memory.
                let chunk = (count > 0).then(|| unsafe { Chunk::of(lease, 0, count) });
                // A few bytes don't keep a whole buffer.
                let buffers = self.turn.endpoint().descriptor.buffers(MultishotKind::Bytes);
                chunk.map(|chunk| buffers.kept(chunk.copied_below(WORTH_KEEPING)))
            }),
            // The events of a poll; without a call zero is the end that had arrived before.
            State::New if completion.result > 0 => return ReceiveStep::Ready(RecvChunk::new(self.turn)),
            State::New => completion.count().map(|_| None),
        };
        ReceiveStep::Item(received, self.turn)
    }

    fn abandoned(self, completion: Completion) {
        let endpoint = self.turn.endpoint().clone();
        // The turn comes back with the result, and is given up after the bytes are stored.
        match self.complete(completion) {
            ReceiveStep::Item(Ok(Some(chunk)), _pass) => endpoint.put_back(Received::Bytes(chunk)),
            ReceiveStep::Item(Err(error), _pass) => keep_error(&endpoint, &error),
            // The end is reported again.
            ReceiveStep::Item(Ok(None), _) | ReceiveStep::Ready(_) => {}
        }
    }
}

/// Waits for a datagram and receives it with the address of its sender.
pub(crate) struct RecvDatagram {
    turn: IoTurn,
    early: Option<Datagram>,
    called: Option<Rc<dyn Buffers>>,
    header: libc::msghdr,
    iovec: libc::iovec,
}

impl Receive for RecvDatagram {
    type Item = Datagram;

    fn new(turn: IoTurn) -> Self {
        let iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        RecvDatagram { turn, early: None, called: None, header: empty_header(), iovec }
    }

    fn asking(self) -> Result<Self, Self> {
        Err(self) // there are no direct datagram sockets
    }
}

impl Op for RecvDatagram {
    type Output = ReceiveStep<Datagram, Self>;
    const NAME: &'static str = "recvmsg";
    const OPCODE: u8 = opcode::PollAdd::CODE;

    fn turn(&mut self) -> Option<&mut IoTurn> {
        Some(&mut self.turn)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        ready!(self.turn.poll_acquire(cx));
        let received = ready!(self.turn.endpoint().poll_received(cx, false));
        Poll::Ready(received.map(|received| match received {
            Received::Datagram(datagram) => {
                self.early = Some(datagram);
                0
            }
            Received::Error(errno) => -errno,
            other => unreachable!("a datagram socket received {other:?}"),
        }))
    }

    fn multishot(&self) -> Option<(&EndpointRef, MultishotKind)> {
        Some((self.turn.endpoint(), MultishotKind::Datagrams))
    }

    fn entry(&mut self) -> Entry {
        poll(&self.turn)
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::When(&self.turn.endpoint().descriptor, Direction::Read)
    }

    fn call(&mut self) -> Call {
        let descriptor = &self.turn.endpoint().descriptor;
        let buffers = descriptor.buffers(MultishotKind::Datagrams);
        let (memory, len) = buffers.room();
        // SAFETY: the room is the loop's memory, and nobody else's before the next call of `room`.
        unsafe { Datagram::describe(memory, len, &mut self.header, &mut self.iovec) };
        self.header.msg_iov = &raw mut self.iovec;
        self.called = Some(buffers);
        let (fd, header, flags) = (descriptor.raw(), &raw mut self.header, libc::MSG_DONTWAIT as usize);
        // SAFETY: the header is part of this operation, and the answer is dealt with before the room is another's.
        unsafe { Call::new(libc::SYS_recvmsg, [fd as usize, header as usize, flags]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        let received = match (self.early, self.called) {
            (Some(datagram), _) => Ok(datagram),
            (None, Some(buffers)) => completion.count().map(|count| {
                // SAFETY: the call has just written so many bytes, and this header, as `describe` said.
                unsafe { Datagram::of(&*buffers, count, self.header.msg_namelen) }
            }),
            (None, None) if completion.result > 0 => return ReceiveStep::Ready(RecvDatagram::new(self.turn)),
            (None, None) => {
                Err(completion.count().err().unwrap_or_else(|| io::Error::from_raw_os_error(libc::EIO)))
            }
        };
        ReceiveStep::Item(received, self.turn)
    }

    fn abandoned(self, completion: Completion) {
        let endpoint = self.turn.endpoint().clone();
        if let ReceiveStep::Item(Ok(datagram), _pass) = self.complete(completion) {
            endpoint.put_back(Received::Datagram(datagram));
        }
    }
}

/// Builds the poll with which the proactor waits for bytes or a datagram.
fn poll(turn: &IoTurn) -> Entry {
    let events = libc::POLLIN as u32;
    on_fd!(turn.endpoint().descriptor.fd(), |fd| opcode::PollAdd::new(fd, events).build())
}
