//! Stream sockets: recv, send, socket, accept, connect, shutdown; and pipes, which are read and written instead. See
//! recv(2), send(2), socket(2), accept4(2), connect(2), shutdown(2), read(2), write(2).
//!
//! Facts that shape this file: sends carry MSG_NOSIGNAL, so that a closed peer is EPIPE and never SIGPIPE.
//! Accept asks for no address: multishot accept can't give one, and getpeername(2) does as well. A receive
//! of zero bytes is answered here, since the kernel would wait for data in some protocols.

use std::io;
use std::task::{Context, Poll, ready};

use io_uring::opcode;
use socket2::SockAddr;

use super::endpoint::{Arrival, Endpoint, Medium, Share};
use super::fd::{Descriptor, Opened, Vacancy, on_fd};
use super::gate::{Pass, Side};
use super::standing::Standing;
use super::transfer::{Transfer, Window};
use super::{Completion, Direction, Entry, Kind, Op, Wait};
use crate::buf::{Chunk, IoBuf, IoBufMut, fill, first, note_init};
use crate::sys::call::Call;

/// A read of so many bytes is rather made by the kernel than copied from what a standing receive brings.
pub(super) const LARGE: usize = 32 << 10;

/// A pipe has no positions.
pub(super) const NO_POSITION: u64 = u64::MAX;

/// The flags of calls that send: no signal, and no wait although another process may have made the socket blocking.
pub(super) const SEND_FLAGS: usize = (libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) as usize;

/// Receives into part of a buffer.
pub(crate) struct Recv<B> {
    pass: Pass,
    buf: B,
    window: Window,
}

impl<B: IoBufMut> Op for Recv<B> {
    type Output = (io::Result<usize>, B, Receiver);
    const NAME: &'static str = "recv";
    const OPCODE: u8 = opcode::Recv::CODE;

    fn pass(&mut self) -> Option<&mut Pass> {
        Some(&mut self.pass)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        ready!(self.pass.poll_enter(cx));
        if self.window.len == 0 {
            return Poll::Ready(Some(0));
        }
        let arrival = ready!(self.pass.endpoint().poll_arrival(cx, self.window.len >= LARGE));
        Poll::Ready(arrival.map(|arrival| match arrival {
            Arrival::Bytes(chunk) => {
                let (buf, window) = (&mut self.buf, self.window);
                let take = |bytes: &[u8]| fill(buf, window.start, &bytes[..bytes.len().min(window.len)]);
                // At most the window, which a 32-bit count holds.
                self.pass.endpoint().take_bytes(chunk, take) as i32
            }
            Arrival::End => 0,
            Arrival::Error(errno) => -errno,
            other => unreachable!("a stream received {other:?}"),
        }))
    }

    fn entry(&mut self) -> Entry {
        let pointer = self.window.target(&mut self.buf);
        let len = self.window.len32();
        let endpoint = self.pass.endpoint();
        on_fd!(endpoint.descriptor.fd(), |fd| match endpoint.medium {
            Medium::Socket => opcode::Recv::new(fd, pointer, len).build(),
            Medium::Pipe => opcode::Read::new(fd, pointer, len).offset(NO_POSITION).build(),
        })
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Ready(&self.pass.endpoint().descriptor, Direction::Read)
    }

    fn call(&mut self) -> Call {
        let pointer = self.window.target(&mut self.buf);
        let number = receive_call(self.pass.endpoint());
        let (fd, flags) = (self.pass.endpoint().descriptor.raw(), libc::MSG_DONTWAIT as usize);
        // SAFETY: the window lies within the buffer, which this operation owns. (read(2) takes three arguments.)
        unsafe { Call::new(number, [fd as usize, pointer as usize, self.window.len, flags, 0, 0]) }
    }

    /// Not of pipes: terminals and pipes of packets give less than there is.
    fn drained(&self, result: i32) -> bool {
        let is_socket = self.pass.endpoint().medium == Medium::Socket;
        is_socket && result > 0 && (result as usize) < self.window.len
    }

    fn complete(mut self, completion: Completion) -> Self::Output {
        let result = completion.count();
        if let Ok(count) = result {
            // SAFETY: the kernel has written `count` bytes from the window's start, and what lies before
            // the window was initialised by the steps before this one.
            unsafe { note_init(&mut self.buf, self.window.start + count) };
        }
        (result, self.buf, Receiver { pass: self.pass })
    }

    fn abandoned(self, completion: Completion) {
        let endpoint = self.pass.endpoint().clone();
        let start = self.window.start;
        // The place at the gate comes back with the result, and is given up after the bytes are stored: those of the
        // earlier steps of a read_exact, too. (The end of the stream is reported again to the next one.)
        let (result, buf, _receiver) = self.complete(completion);
        if let Err(error) = &result {
            keep_error(&endpoint, error);
        }
        let received = start + result.unwrap_or(0);
        if received > 0 {
            endpoint.put_back(Arrival::Bytes(Chunk::from(first(&buf, received))));
        }
    }
}

/// The call that receives into one buffer.
pub(super) fn receive_call(endpoint: &Endpoint) -> libc::c_long {
    match endpoint.medium {
        Medium::Socket => libc::SYS_recvfrom,
        Medium::Pipe => libc::SYS_read,
    }
}

/// Keeps an error that the kernel won't report a second time.
pub(super) fn keep_error(endpoint: &Endpoint, error: &io::Error) {
    match error.raw_os_error() {
        None | Some(libc::ECANCELED | libc::EINTR | libc::EAGAIN) => {}
        Some(errno) => endpoint.arrived(Arrival::Error(errno)),
    }
}

/// The receiving side of an endpoint, as a source of steps.
#[derive(Debug)]
pub(crate) struct Receiver {
    pass: Pass,
}

impl Receiver {
    pub(crate) fn new(endpoint: &Share) -> Self {
        Receiver { pass: Pass::new(endpoint, Side::Receive) }
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
        Recv { pass: self.pass, buf, window }
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
pub(super) const NOT_RELEASED: &str = "a send that was released is not carried out";

/// A send of `len` bytes has ended without its future: accounts for the result, and lets the next send go.
pub(super) fn release(sender: &mut Option<Sender>, completion: Completion, len: usize) {
    if let Some(sender) = sender.take() {
        let _ = sender.sent(completion, len);
    }
}

impl<B: IoBuf> Op for Send<B> {
    type Output = (io::Result<usize>, B, Sender);
    const NAME: &'static str = "send";
    const KIND: Kind = Kind::ZeroCopy; // a plain one has a single completion
    const OPCODE: u8 = opcode::Send::CODE;

    fn pass(&mut self) -> Option<&mut Pass> {
        self.sender.as_mut().map(|sender| &mut sender.pass)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        self.sender_mut().pass.poll_enter(cx).map(|()| (self.window.len == 0).then_some(0))
    }

    fn entry(&mut self) -> Entry {
        let pointer = self.window.source(&self.buf);
        let len = self.window.len32();
        let without_copy = self.sender().goes_without_copy(self.window.len);
        let place =
            if without_copy { self.buf.registration().map(|registration| registration.place) } else { None };
        on_fd!(self.sender().descriptor().fd(), |fd| if without_copy {
            opcode::SendZc::new(fd, pointer, len).buf_index(place).flags(libc::MSG_NOSIGNAL).build()
        } else if self.sender().pass.endpoint().medium == Medium::Pipe {
            opcode::Write::new(fd, pointer, len).offset(NO_POSITION).build()
        } else {
            opcode::Send::new(fd, pointer, len).flags(libc::MSG_NOSIGNAL).build()
        })
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Ready(self.sender().descriptor(), Direction::Write)
    }

    fn call(&mut self) -> Call {
        let pointer = self.window.source(&self.buf);
        let fd = self.sender().descriptor().raw();
        let (number, flags) = match self.sender().pass.endpoint().medium {
            Medium::Socket => (libc::SYS_sendto, SEND_FLAGS),
            Medium::Pipe => (libc::SYS_write, 0),
        };
        // SAFETY: the window lies within the buffer, which this operation owns. (write(2) takes three arguments.)
        unsafe { Call::new(number, [fd as usize, pointer as usize, self.window.len, flags, 0, 0]) }
    }

    fn drained(&self, result: i32) -> bool {
        result > 0 && (result as usize) < self.window.len
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
    pub(super) pass: Pass,
}

impl Sender {
    pub(crate) fn new(endpoint: &Share) -> Self {
        Sender { pass: Pass::new(endpoint, Side::Send) }
    }

    pub(crate) fn without_copy(endpoint: &Share) -> Self {
        Sender { pass: Pass::new(endpoint, Side::SendWithoutCopy) }
    }

    pub(super) fn descriptor(&self) -> &Descriptor {
        &self.pass.endpoint().descriptor
    }

    pub(super) fn goes_without_copy(&self, len: usize) -> bool {
        self.descriptor().sends_without_copy(len, self.pass.side() == Side::SendWithoutCopy)
    }

    /// A send of so many bytes has ended. One without a copy for which the socket's family has no such thing, or the process no right to
    /// lock so much memory, is made anew as an ordinary one: it says that it was interrupted.
    pub(super) fn sent(&self, completion: Completion, len: usize) -> io::Result<usize> {
        let unable = |errno| matches!(errno, libc::EOPNOTSUPP | libc::ENOMEM | libc::EINVAL);
        if unable(-completion.result) && self.goes_without_copy(len) {
            self.descriptor().always_copy();
            return Err(io::ErrorKind::Interrupted.into());
        }
        let sent = completion.count();
        if let Ok(count) = sent {
            self.pass.endpoint().add_sent(count);
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

/// Takes one connection off a listener's queue.
pub(crate) struct Accept {
    pass: Pass,
    connection: Connection,
}

/// Where the connection goes, or comes from.
enum Connection {
    /// Among the process's descriptors.
    Raw,
    /// Into the ring's table, in which no place has been set aside yet.
    Direct,
    Into(Vacancy),
    /// It had arrived before.
    Early(Opened),
    /// There was no place.
    Failed(io::Error),
}

impl Accept {
    pub(crate) fn new(endpoint: &Share, direct: bool) -> Self {
        let connection = if direct { Connection::Direct } else { Connection::Raw };
        Accept { pass: Pass::new(endpoint, Side::Receive), connection }
    }
}

impl Connection {
    fn finish(self, completion: Completion) -> io::Result<Opened> {
        let into = match self {
            Connection::Early(opened) => return Ok(opened),
            Connection::Failed(error) => return Err(error),
            Connection::Raw | Connection::Direct => None,
            Connection::Into(vacancy) => Some(vacancy),
        };
        // SAFETY: a successful accept answers with a new descriptor; it is taken apart once.
        unsafe { Opened::answer(completion, into) }
    }
}

/// New sockets don't block: the selector needs it, and io_uring waits all the same.
pub(super) const ACCEPT_FLAGS: i32 = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
/// Nobody inherits a direct descriptor, and the kernel refuses to be told so.
const DIRECT_FLAGS: i32 = libc::SOCK_NONBLOCK;

impl Op for Accept {
    type Output = io::Result<Opened>;
    const NAME: &'static str = "accept";
    const OPCODE: u8 = opcode::Accept::CODE;

    fn pass(&mut self) -> Option<&mut Pass> {
        Some(&mut self.pass)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        ready!(self.pass.poll_enter(cx));
        if let Some(arrival) = ready!(self.pass.endpoint().poll_arrival(cx, false)) {
            return Poll::Ready(Some(match arrival {
                Arrival::Connection(connection) => {
                    self.connection = Connection::Early(connection);
                    0
                }
                Arrival::Error(errno) => -errno,
                other => unreachable!("a listener received {other:?}"),
            }));
        }
        // Not before: what has arrived has a place, and who waits for its turn needs none.
        if let Connection::Direct = self.connection {
            self.connection = match self.pass.endpoint().descriptor.vacancy() {
                Ok(Some(vacancy)) => Connection::Into(vacancy),
                Ok(None) => Connection::Raw,
                Err(error) => Connection::Failed(error),
            };
        }
        Poll::Ready(matches!(self.connection, Connection::Failed(_)).then_some(-libc::ENFILE))
    }

    /// A connection for which the ring's table has no place would be lost, so only one is accepted for each place.
    fn standing(&self) -> Option<(&Share, Standing)> {
        matches!(self.connection, Connection::Raw).then(|| (self.pass.endpoint(), Standing::Connections))
    }

    fn entry(&mut self) -> Entry {
        let (into, flags) = match &self.connection {
            Connection::Into(vacancy) => (Some(vacancy.destination()), DIRECT_FLAGS),
            _ => (None, ACCEPT_FLAGS),
        };
        on_fd!(self.pass.endpoint().descriptor.fd(), |fd| {
            opcode::Accept::new(fd, std::ptr::null_mut(), std::ptr::null_mut())
                .flags(flags)
                .file_index(into)
                .build()
        })
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Ready(&self.pass.endpoint().descriptor, Direction::Read)
    }

    fn call(&mut self) -> Call {
        let fd = self.pass.endpoint().descriptor.raw();
        // SAFETY: both pointers are null: no address is asked for.
        let call = unsafe { Call::new(libc::SYS_accept4, [fd as usize, 0, 0, ACCEPT_FLAGS as usize]) };
        // No flag keeps accept4(2) from waiting on a listener that has been made blocking.
        if self.pass.endpoint().descriptor.is_lent() { call.if_ready(libc::POLLIN) } else { call }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        self.connection.finish(completion)
    }

    fn abandoned(self, completion: Completion) {
        // The connection waits for the next accept, or is closed with the listener. The place at the gate is given up
        // after it has been stored.
        if let Ok(connection) = self.connection.finish(completion) {
            self.pass.endpoint().arrived(Arrival::Connection(connection));
        }
    }
}

/// Makes a socket.
pub(crate) struct OpenSocket {
    domain: i32,
    kind: i32,
    protocol: i32,
    into: Option<Vacancy>,
}

impl OpenSocket {
    /// A socket that does not block, in the process or in a place of the ring's table.
    pub(crate) fn new(domain: i32, kind: i32, protocol: i32, into: Option<Vacancy>) -> Self {
        let flags = if into.is_some() { DIRECT_FLAGS } else { ACCEPT_FLAGS };
        OpenSocket { domain, kind: kind | flags, protocol, into }
    }
}

impl Op for OpenSocket {
    type Output = io::Result<Opened>;
    const NAME: &'static str = "socket";
    const OPCODE: u8 = opcode::Socket::CODE;

    fn entry(&mut self) -> Entry {
        let into = self.into.as_ref().map(Vacancy::destination);
        opcode::Socket::new(self.domain, self.kind, self.protocol).file_index(into).build()
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Now
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
    endpoint: Share,
    address: SockAddr,
}

impl Connect {
    pub(crate) fn new(endpoint: Share, address: SockAddr) -> Self {
        Connect { endpoint, address }
    }
}

impl Op for Connect {
    type Output = io::Result<Share>;
    const NAME: &'static str = "connect";
    const OPCODE: u8 = opcode::Connect::CODE;

    fn entry(&mut self) -> Entry {
        let (pointer, len) = (self.address.as_ptr(), self.address.len());
        on_fd!(self.endpoint.descriptor.fd(), |fd| opcode::Connect::new(fd, pointer.cast(), len).build())
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Ready(&self.endpoint.descriptor, Direction::Write)
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

/// Ends one or both directions of a connection.
pub(crate) struct Shutdown {
    endpoint: Share,
    how: i32,
}

impl Shutdown {
    pub(crate) fn new(endpoint: Share, how: std::net::Shutdown) -> Self {
        let how = match how {
            std::net::Shutdown::Read => libc::SHUT_RD,
            std::net::Shutdown::Write => libc::SHUT_WR,
            std::net::Shutdown::Both => libc::SHUT_RDWR,
        };
        Shutdown { endpoint, how }
    }
}

impl Op for Shutdown {
    type Output = io::Result<()>;
    const NAME: &'static str = "shutdown";
    const OPCODE: u8 = opcode::Shutdown::CODE;

    fn bound_to(&self) -> Option<*const ()> {
        self.endpoint.descriptor.bound_to()
    }

    fn entry(&mut self) -> Entry {
        on_fd!(self.endpoint.descriptor.fd(), |fd| opcode::Shutdown::new(fd, self.how).build())
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Now
    }

    fn call(&mut self) -> Call {
        let fd = self.endpoint.descriptor.raw();
        // SAFETY: shutdown(2) takes no pointer.
        unsafe { Call::new(libc::SYS_shutdown, [fd as usize, self.how as usize]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
