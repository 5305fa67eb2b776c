//! Receiving into a buffer: recv(2), and read(2) of pipes.
//!
//! A receive of zero bytes completes without the kernel, which would wait for data in some protocols.

use std::io;
use std::task::{Context, Poll, ready};

use io_uring::opcode;

use crate::buf::{Chunk, IoBufMut, fill, first, note_init};
use crate::op::abi::NO_POSITION;
use crate::op::completion::{Completion, Direction};
use crate::op::fd::descriptor::on_fd;
use crate::op::object::endpoint::keep_error;
use crate::op::object::endpoint_kind::EndpointKind;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::io_lock::Side;
use crate::op::object::io_turn::IoTurn;
use crate::op::object::received::Received;
use crate::op::transfer::Transfer;
use crate::op::window::Window;
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

/// The size from which on a read goes to the kernel instead of copying the chunks of a multishot receive.
pub(in crate::op) const LARGE: usize = 32 << 10;

/// Receives into part of a buffer.
pub(crate) struct Recv<B> {
    turn: IoTurn,
    buf: B,
    window: Window,
}

impl<B: IoBufMut> Op for Recv<B> {
    type Output = (io::Result<usize>, B, Receiver);
    const NAME: &'static str = "recv";
    const WAITS: bool = true;
    const OPCODE: u8 = opcode::Recv::CODE;

    fn turn(&mut self) -> Option<&mut IoTurn> {
        Some(&mut self.turn)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        ready!(self.turn.poll_acquire(cx));
        if self.window.len == 0 {
            return Poll::Ready(Some(0));
        }
        let received = ready!(self.turn.endpoint().poll_received(cx, self.window.len >= LARGE));
        Poll::Ready(received.map(|received| match received {
            Received::Bytes(chunk) => {
                let (buf, window) = (&mut self.buf, self.window);
                let take = |bytes: &[u8]| fill(buf, window.start, &bytes[..bytes.len().min(window.len)]);
                // At most the window, which a 32-bit count holds.
                self.turn.endpoint().take_bytes(chunk, take) as i32
            }
            Received::End => 0,
            Received::Error(errno) => -errno,
            other => unreachable!("a stream received {other:?}"),
        }))
    }

    fn entry(&mut self) -> Entry {
        let pointer = self.window.target(&mut self.buf);
        let len = self.window.len32();
        let endpoint = self.turn.endpoint();
        // A read ends with EAGAIN if the kernel cannot wait, since O_NONBLOCK is set. A recv would block in a kernel thread.
        // The runtime's own sockets have no queue of errors before other code sets options.
        let reads = endpoint.kind() != EndpointKind::Socket || endpoint.descriptor.is_lent();
        on_fd!(endpoint.descriptor.fd(), |fd| if reads {
            opcode::Read::new(fd, pointer, len).offset(NO_POSITION).build()
        } else {
            opcode::Recv::new(fd, pointer, len).build()
        })
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::When(&self.turn.endpoint().descriptor, Direction::Read)
    }

    fn call(&mut self) -> Call {
        let pointer = self.window.target(&mut self.buf);
        // SAFETY: the window lies within the buffer, which this operation owns.
        unsafe { self.turn.endpoint().receive_call(pointer, self.window.len) }
    }

    fn otherwise(&mut self) -> bool {
        self.turn.endpoint().go_without_nowait()
    }

    fn drained(&self, result: i32) -> bool {
        let short = result > 0 && (result as usize) < self.window.len;
        short && self.turn.endpoint().is_drained_by_short_receives()
    }

    fn complete(mut self, completion: Completion) -> Self::Output {
        let result = completion.count();
        if let Ok(count) = result {
            // SAFETY: the kernel has written `count` bytes from the window's start, and what lies before
            // the window was initialised by the steps before this one.
            unsafe { note_init(&mut self.buf, self.window.start + count) };
        }
        (result, self.buf, Receiver { turn: self.turn })
    }

    fn abandoned(self, completion: Completion) {
        let endpoint = self.turn.endpoint().clone();
        let start = self.window.start;
        // The turn comes back with the result, and is given up after the bytes are stored: those of the
        // earlier steps of a read_exact, too. (The end of the stream is reported again to the next one.)
        let (result, buf, _receiver) = self.complete(completion);
        if let Err(error) = &result {
            keep_error(&endpoint, error);
        }
        let received = start + result.unwrap_or(0);
        if received > 0 {
            endpoint.put_back(Received::Bytes(Chunk::from(first(&buf, received))));
        }
    }
}

/// The receiving side of an endpoint, as a transfer.
#[derive(Debug)]
pub(crate) struct Receiver {
    turn: IoTurn,
}

impl Receiver {
    pub(crate) fn new(endpoint: &EndpointRef) -> Self {
        Receiver { turn: IoTurn::new(endpoint, Side::Receive) }
    }
}

impl<B: IoBufMut> Transfer<B> for Receiver {
    type Op = Recv<B>;
    const EXHAUSTED: io::ErrorKind = io::ErrorKind::UnexpectedEof;

    fn total(buf: &B) -> usize {
        buf.total_len()
    }

    fn step(self, buf: B, done: usize) -> Recv<B> {
        let window = Window::new(buf.total_len(), done, usize::MAX);
        Recv { turn: self.turn, buf, window }
    }
}
