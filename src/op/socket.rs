//! Stream sockets: recv, send, accept, connect, shutdown. See recv(2), send(2), accept4(2), connect(2),
//! shutdown(2).
//!
//! Facts that shape this file: sends carry MSG_NOSIGNAL, so that a closed peer is EPIPE and never SIGPIPE.
//! Accept asks for no address: multishot accept can't give one, and getpeername(2) does as well. A receive
//! of zero bytes is answered here, since the kernel would wait for data in some protocols.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use io_uring::opcode;
use socket2::SockAddr;

use super::endpoint::{Arrival, Endpoint, Pass, Side};
use super::fd::{on_fd, received};
use super::transfer::{Transfer, Window};
use super::{Completion, Direction, Entry, Op, Wait};
use crate::buf::{IoBuf, IoBufMut, fill, initialised};
use crate::sys::call::Call;

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
        Poll::Ready(self.pass.endpoint().next_arrival().map(|arrival| match arrival {
            Arrival::Bytes(bytes, start) => {
                let wanted = &bytes[start..];
                let taken =
                    fill(&mut self.buf, self.window.start, &wanted[..wanted.len().min(self.window.len)]);
                if start + taken < bytes.len() {
                    self.pass.endpoint().put_back(Arrival::Bytes(bytes, start + taken));
                }
                taken as i32 // at most the window, which a 32-bit count holds
            }
            Arrival::Error(errno) => -errno,
            other => unreachable!("a stream received {other:?}"),
        }))
    }

    fn entry(&mut self) -> Entry {
        let pointer = self.buf.write_ptr().wrapping_add(self.window.start);
        let len = self.window.len32();
        on_fd!(self.pass.endpoint().descriptor.fd(), |fd| opcode::Recv::new(fd, pointer, len).build())
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Ready(&self.pass.endpoint().descriptor, Direction::Read)
    }

    fn call(&mut self) -> Call {
        let pointer = self.buf.write_ptr().wrapping_add(self.window.start);
        let fd = self.pass.endpoint().descriptor.raw();
        // SAFETY: the window lies within the buffer, which this operation owns.
        unsafe { Call::new(libc::SYS_recvfrom, [fd as usize, pointer as usize, self.window.len, 0, 0, 0]) }
    }

    fn drained(&self, result: i32) -> bool {
        result > 0 && (result as usize) < self.window.len
    }

    fn complete(mut self, completion: Completion) -> Self::Output {
        let result = completion.count();
        if let Ok(count) = result {
            // SAFETY: the kernel has written `count` bytes from the window's start, and what lies before
            // the window was initialised by the steps before this one.
            unsafe { self.buf.set_init(self.window.start + count) };
        }
        (result, self.buf, Receiver { pass: self.pass })
    }

    fn abandoned(self, completion: Completion) {
        let endpoint = self.pass.endpoint().clone();
        let start = self.window.start;
        // The place at the gate comes back with the result, and is given up after the bytes are stored.
        let (result, buf, _receiver) = self.complete(completion);
        match result {
            Ok(0) => {} // the end of the stream is reported again to the next one
            Ok(count) => {
                endpoint.arrived(Arrival::Bytes(initialised(&buf)[start..start + count].to_vec(), 0));
            }
            Err(error) => keep_error(&endpoint, &error),
        }
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
    pub(crate) fn new(endpoint: &Rc<Endpoint>) -> Self {
        Receiver { pass: Pass::new(endpoint, Side::Receive) }
    }
}

impl<B: IoBufMut> Transfer<B> for Receiver {
    type Op = Recv<B>;
    const EXHAUSTED: io::ErrorKind = io::ErrorKind::UnexpectedEof;

    fn total(buf: &B) -> usize {
        buf.total_len()
    }

    fn step(self, buf: B, done: usize, limit: usize) -> Recv<B> {
        let window = Window::new(buf.total_len(), done, limit);
        Recv { pass: self.pass, buf, window }
    }
}

/// Sends part of a buffer.
pub(crate) struct Send<B> {
    pass: Pass,
    buf: B,
    window: Window,
}

impl<B: IoBuf> Op for Send<B> {
    type Output = (io::Result<usize>, B, Sender);
    const NAME: &'static str = "send";
    const OPCODE: u8 = opcode::Send::CODE;

    fn pass(&mut self) -> Option<&mut Pass> {
        Some(&mut self.pass)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        self.pass.poll_enter(cx).map(|()| (self.window.len == 0).then_some(0))
    }

    fn entry(&mut self) -> Entry {
        let pointer = self.buf.read_ptr().wrapping_add(self.window.start);
        let len = self.window.len32();
        on_fd!(self.pass.endpoint().descriptor.fd(), |fd| {
            opcode::Send::new(fd, pointer, len).flags(libc::MSG_NOSIGNAL).build()
        })
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Ready(&self.pass.endpoint().descriptor, Direction::Write)
    }

    fn call(&mut self) -> Call {
        let pointer = self.buf.read_ptr().wrapping_add(self.window.start);
        let fd = self.pass.endpoint().descriptor.raw();
        let flags = libc::MSG_NOSIGNAL as usize;
        // SAFETY: the window lies within the buffer, which this operation owns.
        unsafe { Call::new(libc::SYS_sendto, [fd as usize, pointer as usize, self.window.len, flags, 0, 0]) }
    }

    fn drained(&self, result: i32) -> bool {
        result > 0 && (result as usize) < self.window.len
    }

    fn complete(self, completion: Completion) -> Self::Output {
        let result = completion.count();
        if let Ok(count) = result {
            self.pass.endpoint().add_sent(count);
        }
        (result, self.buf, Sender { pass: self.pass })
    }
}

/// The sending side of an endpoint, as a target of steps.
#[derive(Debug)]
pub(crate) struct Sender {
    pass: Pass,
}

impl Sender {
    pub(crate) fn new(endpoint: &Rc<Endpoint>) -> Self {
        Sender { pass: Pass::new(endpoint, Side::Send) }
    }
}

impl<B: IoBuf> Transfer<B> for Sender {
    type Op = Send<B>;
    const EXHAUSTED: io::ErrorKind = io::ErrorKind::WriteZero;

    fn total(buf: &B) -> usize {
        buf.init_len()
    }

    fn step(self, buf: B, done: usize, limit: usize) -> Send<B> {
        let window = Window::new(buf.init_len(), done, limit);
        Send { pass: self.pass, buf, window }
    }
}

/// Takes one connection off a listener's queue.
pub(crate) struct Accept {
    pass: Pass,
}

impl Accept {
    pub(crate) fn new(endpoint: &Rc<Endpoint>) -> Self {
        Accept { pass: Pass::new(endpoint, Side::Receive) }
    }
}

/// New sockets don't block: the selector needs it, and io_uring waits all the same.
const ACCEPT_FLAGS: i32 = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;

impl Op for Accept {
    type Output = io::Result<OwnedFd>;
    const NAME: &'static str = "accept";
    const OPCODE: u8 = opcode::Accept::CODE;

    fn pass(&mut self) -> Option<&mut Pass> {
        Some(&mut self.pass)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        ready!(self.pass.poll_enter(cx));
        Poll::Ready(self.pass.endpoint().next_arrival().map(|arrival| match arrival {
            Arrival::Connection(fd) => super::fd::release(fd),
            Arrival::Error(errno) => -errno,
            other => unreachable!("a listener received {other:?}"),
        }))
    }

    fn entry(&mut self) -> Entry {
        on_fd!(self.pass.endpoint().descriptor.fd(), |fd| {
            opcode::Accept::new(fd, std::ptr::null_mut(), std::ptr::null_mut()).flags(ACCEPT_FLAGS).build()
        })
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Ready(&self.pass.endpoint().descriptor, Direction::Read)
    }

    fn call(&mut self) -> Call {
        let fd = self.pass.endpoint().descriptor.raw();
        // SAFETY: both pointers are null: no address is asked for.
        unsafe { Call::new(libc::SYS_accept4, [fd as usize, 0, 0, ACCEPT_FLAGS as usize]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        // SAFETY: a successful accept answers with a new descriptor.
        completion.into_result().map(|number| unsafe { received(number) })
    }

    fn abandoned(self, completion: Completion) {
        let endpoint = self.pass.endpoint().clone();
        // SAFETY: as above. The connection waits for the next accept, or is closed with the listener.
        if let Ok(fd) = completion.into_result().map(|number| unsafe { received(number) }) {
            endpoint.arrived(Arrival::Connection(fd));
        }
        drop(self); // the place at the gate, after the connection has been stored
    }
}

/// Connects a socket.
pub(crate) struct Connect {
    endpoint: Rc<Endpoint>,
    address: SockAddr,
}

impl Connect {
    pub(crate) fn new(endpoint: Rc<Endpoint>, address: SockAddr) -> Self {
        Connect { endpoint, address }
    }
}

impl Op for Connect {
    type Output = io::Result<Rc<Endpoint>>;
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
    endpoint: Rc<Endpoint>,
    how: i32,
}

impl Shutdown {
    pub(crate) fn new(endpoint: Rc<Endpoint>, how: std::net::Shutdown) -> Self {
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
