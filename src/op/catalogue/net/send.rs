//! Sending from a buffer: send(2), and write(2) to pipes.
//!
//! Sends have MSG_NOSIGNAL: a closed peer is EPIPE and never SIGPIPE.

use std::io;
use std::task::{Context, Poll};

use io_uring::opcode;

use crate::buf::IoBuf;
use crate::op::abi::NO_POSITION;
use crate::op::completion::{Completion, Direction};
use crate::op::fd::descriptor::{Descriptor, on_fd};
use crate::op::object::endpoint_kind::EndpointKind;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::io_lock::Side;
use crate::op::object::io_turn::IoTurn;
use crate::op::transfer::Transfer;
use crate::op::window::Window;
use crate::op::{Entry, Kind, Op, Readiness};
use crate::sys::call::Call;

/// Sends part of a buffer, and keeps the buffer while the kernel uses it: until the result, or until the notification of a
/// send without a copy.
pub(crate) struct Send<B> {
    /// `None` once the operation has been released and keeps only the buffer.
    sender: Option<Sender>,
    buf: B,
    window: Window,
}

impl<B> Send<B> {
    #[inline]
    fn sender(&self) -> &Sender {
        self.sender.as_ref().expect(NOT_RELEASED)
    }

    #[inline]
    fn sender_mut(&mut self) -> &mut Sender {
        self.sender.as_mut().expect(NOT_RELEASED)
    }
}

/// The message of `expect` for a send's sender, which exists until the operation is released.
pub(in crate::op) const NOT_RELEASED: &str = "a send that was released is not carried out";

/// Accounts for the result of a send of `len` bytes whose future was dropped, and releases its turn.
pub(in crate::op) fn release(sender: &mut Option<Sender>, completion: Completion, len: usize) {
    if let Some(sender) = sender.take() {
        let _ = sender.sent(completion, len);
    }
}

impl<B: IoBuf> Op for Send<B> {
    type Output = (io::Result<usize>, B, Sender);
    const NAME: &'static str = "send";
    const KIND: Kind = Kind::ZeroCopy; // a plain one has a single completion
    const WAITS: bool = true;
    const OPCODE: u8 = opcode::Send::CODE;

    fn turn(&mut self) -> Option<&mut IoTurn> {
        self.sender.as_mut().map(|sender| &mut sender.turn)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        self.sender_mut().turn.poll_acquire(cx).map(|()| (self.window.len == 0).then_some(0))
    }

    fn entry(&mut self) -> Entry {
        let pointer = self.window.source(&self.buf);
        let len = self.window.len32();
        let without_copy = self.sender().goes_without_copy(self.window.len);
        let place =
            if without_copy { self.buf.registration().map(|registration| registration.place) } else { None };
        let endpoint = self.sender().turn.endpoint();
        on_fd!(endpoint.descriptor.fd(), |fd| if without_copy {
            opcode::SendZc::new(fd, pointer, len).buf_index(place).flags(libc::MSG_NOSIGNAL).build()
        } else if endpoint.kind() != EndpointKind::Socket {
            opcode::Write::new(fd, pointer, len).offset(NO_POSITION).build()
        } else if endpoint.descriptor.is_lent() {
            // This one ends with EAGAIN if the kernel cannot wait, like a read instead of a recv.
            let header = endpoint.send_header().describe(pointer, self.window.len);
            opcode::SendMsg::new(fd, header).flags(libc::MSG_NOSIGNAL as u32).build()
        } else {
            opcode::Send::new(fd, pointer, len).flags(libc::MSG_NOSIGNAL).build()
        })
    }

    fn readiness(&self) -> Readiness<'_> {
        match self.sender().turn.endpoint().kind() {
            EndpointKind::Terminal => Readiness::OnPool,
            _ => Readiness::When(self.sender().descriptor(), Direction::Write),
        }
    }

    fn call(&mut self) -> Call {
        let pointer = self.window.source(&self.buf);
        // SAFETY: the window lies within the buffer, which this operation owns.
        unsafe { self.sender().turn.endpoint().send_call(pointer, self.window.len) }
    }

    fn otherwise(&mut self) -> bool {
        self.sender().turn.endpoint().go_without_nowait()
    }

    /// Returns false for pipes: a write may move less than there is room for.
    fn drained(&self, result: i32) -> bool {
        let is_socket = self.sender().turn.endpoint().kind() == EndpointKind::Socket;
        is_socket && result > 0 && (result as usize) < self.window.len
    }

    fn complete(self, completion: Completion) -> Self::Output {
        let sender = self.sender.expect(NOT_RELEASED);
        let result = sender.sent(completion, self.window.len);
        (result, self.buf, sender)
    }

    fn release(&mut self, completion: Completion) {
        release(&mut self.sender, completion, self.window.len);
    }

    fn abandoned(mut self, completion: Completion) {
        self.release(completion);
    }
}

/// The sending side of an endpoint, as a transfer.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(in crate::op) turn: IoTurn,
}

impl Sender {
    pub(crate) fn new(endpoint: &EndpointRef) -> Self {
        Sender { turn: IoTurn::new(endpoint, Side::Send) }
    }

    pub(crate) fn without_copy(endpoint: &EndpointRef) -> Self {
        Sender { turn: IoTurn::new(endpoint, Side::SendWithoutCopy) }
    }

    pub(in crate::op) fn descriptor(&self) -> &Descriptor {
        &self.turn.endpoint().descriptor
    }

    pub(in crate::op) fn goes_without_copy(&self, len: usize) -> bool {
        self.descriptor().sends_without_copy(len, self.turn.side() == Side::SendWithoutCopy)
    }

    /// Accounts for the result of a send of `len` bytes. A send without a copy fails if the socket's family has no such sends,
    /// or if the process may not lock that much memory. It is repeated as an ordinary send: this returns `Interrupted`.
    pub(in crate::op) fn sent(&self, completion: Completion, len: usize) -> io::Result<usize> {
        let unable = |errno| matches!(errno, libc::EOPNOTSUPP | libc::ENOMEM | libc::EINVAL);
        if unable(-completion.result) && self.goes_without_copy(len) {
            self.descriptor().always_copy();
            return Err(io::ErrorKind::Interrupted.into());
        }
        let sent = completion.count();
        if let Ok(count) = sent {
            self.turn.endpoint().add_sent(count);
        }
        sent
    }
}

impl<B: IoBuf> Transfer<B> for Sender {
    type Op = Send<B>;
    const EXHAUSTED: io::ErrorKind = io::ErrorKind::WriteZero;

    fn total(buf: &B) -> usize {
        buf.init_len()
    }

    fn step(self, buf: B, done: usize) -> Send<B> {
        let window = Window::new(buf.init_len(), done, usize::MAX);
        Send { sender: Some(self), buf, window }
    }
}
