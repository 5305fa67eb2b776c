//! Stream sockets: recv, send, socket, accept, connect, shutdown; and pipes, which are read and written instead. See
//! recv(2), send(2), socket(2), accept4(2), connect(2), shutdown(2), read(2), write(2).
//!
//! Facts that shape this file: sends carry MSG_NOSIGNAL, so that a closed peer is EPIPE and never SIGPIPE.
//! Accept asks for the peer's address: getpeername(2) has none of a connection that was reset in the backlog. An accept
//! never waits: one that does takes the kernel's wake-up for a client, and the client, although its loop may be away. The
//! ring has a flag for that, accept4(2) only O_NONBLOCK of the listener, which others may clear. To ask poll(2) first does
//! not help: another loop may take the client in between. A receive of zero bytes is answered here, since the kernel would
//! wait for data in some protocols.

use crate::op::abi::NO_POSITION;
use crate::op::object::accepted::Accepted;
use crate::op::object::endpoint::keep_error;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use io_uring::opcode;
use socket2::{SockAddr, SockAddrStorage};

use crate::buf::{Chunk, IoBuf, IoBufMut, fill, first, note_init};
use crate::op::completion::{Completion, Direction};
use crate::op::object::endpoint::{EndpointRef, Received};
use crate::op::object::endpoint_kind::EndpointKind;
use crate::op::object::fd::{Descriptor, FixedFileSlot, Opened, on_fd};
use crate::op::object::io_lock::Side;
use crate::op::object::io_turn::IoTurn;
use crate::op::transfer::Transfer;
use crate::op::window::Window;
use crate::op::{Entry, Kind, Op, Readiness};
use crate::sys::call::Call;

/// A read of so many bytes is rather made by the kernel than copied from what a multishot receive brings.
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
        // A read ends with EAGAIN where the kernel cannot wait, since O_NONBLOCK is set. A recv would block in a thread of
        // the kernel. The runtime's own sockets have no queue of errors before other code sets options.
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

/// The receiving side of an endpoint, as a source of steps.
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

/// Sends part of a buffer, and keeps that until the kernel has let go of it: with the result, or, where the send does
/// without a copy, with the notification.
pub(crate) struct Send<B> {
    /// None once the operation keeps the buffer alone.
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

/// A send's sender is there until the operation is released.
pub(in crate::op) const NOT_RELEASED: &str = "a send that was released is not carried out";

/// A send of `len` bytes has ended without its future: accounts for the result, and lets the next send go.
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
            // As a read in the place of a recv: where the kernel cannot wait, this one ends with EAGAIN.
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

    /// Not of pipes, to which less may be written than there is room for.
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

/// The sending side of an endpoint, as a target of steps.
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

    /// A send of so many bytes has ended. One without a copy for which the socket's family has no such thing, or the process no right to
    /// lock so much memory, is made anew as an ordinary one: it says that it was interrupted.
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

/// Takes one connection off a listener's queue, and does not wait for one: on the ring it completes at once.
pub(crate) struct Accept {
    turn: IoTurn,
    source: Source,
}

/// Where the connection goes, or comes from.
enum Source {
    /// Among the process's descriptors.
    Process(Address),
    /// Into the ring's table, in which no place has been set aside yet.
    Direct,
    Table(FixedFileSlot),
    /// It was accepted before, for a future that was dropped.
    Early(Box<Accepted>),
    /// The table had no place.
    Failed(io::Error),
}

impl Accept {
    /// Creates an accept. `turn` is one of the receiving side; `direct` requests a direct descriptor.
    pub(crate) fn new(turn: IoTurn, direct: bool) -> Self {
        let source = if direct { Source::Direct } else { Source::Process(Address::default()) };
        Accept { turn, source }
    }

    fn finish(source: Source, completion: Completion) -> io::Result<Accepted> {
        let (into, address) = match source {
            Source::Early(accepted) => return Ok(*accepted),
            Source::Failed(error) => return Err(error),
            Source::Process(address) => (None, Some(address)),
            Source::Table(slot) => (Some(slot), None),
            Source::Direct => (None, None),
        };
        // SAFETY: a successful accept answers with a new descriptor; it is taken apart once.
        let connection = unsafe { Opened::answer(completion, into) }?;
        Ok(Accepted { connection, peer: address.and_then(Address::get) })
    }
}

/// Room for an Internet address, which accept(2) fills.
struct Address {
    bytes: MaybeUninit<libc::sockaddr_in6>,
    len: libc::socklen_t,
}

impl Default for Address {
    fn default() -> Self {
        Address { bytes: MaybeUninit::zeroed(), len: size_of::<libc::sockaddr_in6>() as libc::socklen_t }
    }
}

impl Address {
    /// None if it is no Internet address.
    fn get(self) -> Option<SocketAddr> {
        let len = (self.len as usize).min(size_of::<libc::sockaddr_in6>());
        let mut storage = MaybeUninit::<SockAddrStorage>::zeroed();
        // SAFETY: the storage is larger than any address, and zeros are one; the bytes are those of an address, or the
        // zeros from which this one was made.
        let address = unsafe {
            let bytes = self.bytes.as_ptr().cast::<u8>();
            storage.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(bytes, len);
            SockAddr::new(storage.assume_init(), len as libc::socklen_t)
        };
        address.as_socket()
    }
}

/// New sockets don't block: the selector needs it, and io_uring waits all the same.
pub(in crate::op) const ACCEPT_FLAGS: i32 = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
/// Nobody inherits a direct descriptor, and the kernel refuses to be told so.
const DIRECT_FLAGS: i32 = libc::SOCK_NONBLOCK;

impl Op for Accept {
    /// The turn comes back.
    type Output = (io::Result<Accepted>, IoTurn);
    const NAME: &'static str = "accept";
    const OPCODE: u8 = opcode::Accept::CODE;

    fn turn(&mut self) -> Option<&mut IoTurn> {
        Some(&mut self.turn)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        ready!(self.turn.poll_acquire(cx));
        if let Some(received) = ready!(self.turn.endpoint().poll_received(cx, false)) {
            let Received::Connection(accepted) = received else {
                unreachable!("a listener received {received:?}")
            };
            self.source = Source::Early(accepted);
            return Poll::Ready(Some(0));
        }
        // Not before: what was accepted before has a place, and an accept that waits for its turn needs none.
        if let Source::Direct = self.source {
            self.source = match self.turn.endpoint().descriptor.reserve_file_slot() {
                Ok(Some(slot)) => Source::Table(slot),
                Ok(None) => Source::Process(Address::default()),
                Err(error) => Source::Failed(error),
            };
        }
        Poll::Ready(matches!(self.source, Source::Failed(_)).then_some(-libc::ENFILE))
    }

    fn entry(&mut self) -> Entry {
        let fd = self.turn.endpoint().descriptor.fd();
        let null = std::ptr::null_mut::<libc::sockaddr>();
        let (address, len, into, flags) = match &mut self.source {
            Source::Process(address) => (
                address.bytes.as_mut_ptr().cast::<libc::sockaddr>(),
                &raw mut address.len,
                None,
                ACCEPT_FLAGS,
            ),
            Source::Table(slot) => (null, null.cast(), Some(slot.destination()), DIRECT_FLAGS),
            _ => (null, null.cast(), None, ACCEPT_FLAGS),
        };
        let entry =
            on_fd!(fd, |fd| opcode::Accept::new(fd, address, len).flags(flags).file_index(into).build());
        without_waiting(entry)
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::When(&self.turn.endpoint().descriptor, Direction::Read)
    }

    fn call(&mut self) -> Call {
        let fd = self.turn.endpoint().descriptor.raw();
        let (address, len) = match &mut self.source {
            Source::Process(address) => (address.bytes.as_mut_ptr() as usize, &raw mut address.len as usize),
            _ => (0, 0),
        };
        // SAFETY: the address and its length are part of this operation; or both pointers are null, and none is
        // asked for.
        let call =
            unsafe { Call::new(libc::SYS_accept4, [fd as usize, address, len, ACCEPT_FLAGS as usize]) };
        if self.turn.endpoint().descriptor.is_lent() { call.nonblocking() } else { call }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (Self::finish(self.source, completion), self.turn)
    }

    fn abandoned(self, completion: Completion) {
        // The connection waits for the next accept, or is closed with the listener. The turn is given up
        // after it has been stored.
        let (accepted, turn) = self.complete(completion);
        if let Ok(accepted) = accepted {
            turn.endpoint().push_received(Received::Connection(Box::new(accepted)));
        }
    }
}

/// `IORING_ACCEPT_DONTWAIT`, among the flags of an accept in an entry's `ioprio`.
const ACCEPT_DONTWAIT: u16 = 1 << 1;

/// Has an accept answer EAGAIN where it would wait for a connection.
fn without_waiting(mut entry: Entry) -> Entry {
    const IOPRIO: usize = 2; // behind the opcode and the flags, a byte each
    // SAFETY: an entry is `struct io_uring_sqe` and nothing else, whose third and fourth byte are this field.
    unsafe { (&raw mut entry).cast::<u8>().add(IOPRIO).cast::<u16>().write(ACCEPT_DONTWAIT) };
    entry
}

/// Makes a socket.
pub(crate) struct OpenSocket {
    domain: i32,
    kind: i32,
    protocol: i32,
    into: Option<FixedFileSlot>,
}

impl OpenSocket {
    /// A socket that does not block, in the process or in a place of the ring's table.
    pub(crate) fn new(domain: i32, kind: i32, protocol: i32, into: Option<FixedFileSlot>) -> Self {
        let flags = if into.is_some() { DIRECT_FLAGS } else { ACCEPT_FLAGS };
        OpenSocket { domain, kind: kind | flags, protocol, into }
    }
}

impl Op for OpenSocket {
    type Output = io::Result<Opened>;
    const NAME: &'static str = "socket";
    const OPCODE: u8 = opcode::Socket::CODE;

    fn entry(&mut self) -> Entry {
        let into = self.into.as_ref().map(FixedFileSlot::destination);
        opcode::Socket::new(self.domain, self.kind, self.protocol).file_index(into).build()
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Immediate
    }

    fn call(&mut self) -> Call {
        let arguments = [self.domain as usize, self.kind as usize, self.protocol as usize];
        // SAFETY: socket(2) takes no pointer.
        unsafe { Call::new(libc::SYS_socket, arguments) }.opening()
    }

    fn complete(self, completion: Completion) -> Self::Output {
        // SAFETY: a successful socket(2) answers with a new descriptor. Dropping it closes it.
        unsafe { Opened::answer(completion, self.into) }
    }
}

/// Connects a socket.
pub(crate) struct Connect {
    endpoint: EndpointRef,
    address: SockAddr,
}

impl Connect {
    pub(crate) fn new(endpoint: EndpointRef, address: SockAddr) -> Self {
        Connect { endpoint, address }
    }
}

impl Op for Connect {
    type Output = io::Result<EndpointRef>;
    const NAME: &'static str = "connect";
    const OPCODE: u8 = opcode::Connect::CODE;

    fn entry(&mut self) -> Entry {
        let (pointer, len) = (self.address.as_ptr(), self.address.len());
        on_fd!(self.endpoint.descriptor.fd(), |fd| opcode::Connect::new(fd, pointer.cast(), len).build())
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::When(&self.endpoint.descriptor, Direction::Write)
    }

    fn call(&mut self) -> Call {
        let fd = self.endpoint.descriptor.raw() as usize;
        // SAFETY: the address is part of this operation.
        unsafe {
            Call::new(libc::SYS_connect, [fd, self.address.as_ptr() as usize, self.address.len() as usize])
        }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit().map(|()| self.endpoint)
    }
}

/// Ends one or both directions of a connection. The writing direction ends behind the writes that came before.
pub(crate) struct Shutdown {
    /// Entered unless only the reading direction ends.
    turn: IoTurn,
    how: i32,
}

impl Shutdown {
    pub(crate) fn new(endpoint: &EndpointRef, how: std::net::Shutdown) -> Self {
        let how = match how {
            std::net::Shutdown::Read => libc::SHUT_RD,
            std::net::Shutdown::Write => libc::SHUT_WR,
            std::net::Shutdown::Both => libc::SHUT_RDWR,
        };
        Shutdown { turn: IoTurn::new(endpoint, Side::Send), how }
    }
}

impl Op for Shutdown {
    type Output = io::Result<()>;
    const NAME: &'static str = "shutdown";
    const OPCODE: u8 = opcode::Shutdown::CODE;

    fn turn(&mut self) -> Option<&mut IoTurn> {
        Some(&mut self.turn)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        if self.how == libc::SHUT_RD {
            return Poll::Ready(None);
        }
        self.turn.poll_acquire(cx).map(|()| None)
    }

    fn bound_to(&self) -> Option<*const ()> {
        self.turn.endpoint().descriptor.bound_to()
    }

    fn entry(&mut self) -> Entry {
        on_fd!(self.turn.endpoint().descriptor.fd(), |fd| opcode::Shutdown::new(fd, self.how).build())
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Immediate
    }

    fn call(&mut self) -> Call {
        let fd = self.turn.endpoint().descriptor.raw();
        // SAFETY: shutdown(2) takes no pointer.
        unsafe { Call::new(libc::SYS_shutdown, [fd as usize, self.how as usize]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
