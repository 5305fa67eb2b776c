//! Opening, connecting and shutting down a socket: socket(2), connect(2), shutdown(2).

use std::io;
use std::task::{Context, Poll};

use io_uring::opcode;
use socket2::SockAddr;

use crate::op::completion::{Completion, Direction};
use crate::op::fd::descriptor::{Opened, on_fd};
use crate::op::fd::host::FixedFileSlot;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::io_lock::Side;
use crate::op::object::io_turn::IoTurn;
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

/// The flags of new sockets. They are non-blocking for the selector; io_uring waits on them all the same.
pub(in crate::op) const ACCEPT_FLAGS: i32 = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
/// The flags of new direct sockets. They are never inherited, and the kernel refuses SOCK_CLOEXEC for them.
pub(in crate::op) const DIRECT_FLAGS: i32 = libc::SOCK_NONBLOCK;

/// Opens a socket.
pub(crate) struct OpenSocket {
    domain: i32,
    kind: i32,
    protocol: i32,
    into: Option<FixedFileSlot>,
}

impl OpenSocket {
    /// Creates the operation for a non-blocking socket, among the process's descriptors or in a slot of the ring's table.
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

/// Shuts down one or both directions of a connection. The writing direction is shut down after the earlier writes.
pub(crate) struct Shutdown {
    /// The turn at the send lock, taken unless only the reading direction is shut down.
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
