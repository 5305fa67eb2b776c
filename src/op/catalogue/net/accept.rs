//! Accepting a connection: accept4(2).
//!
//! Facts that shape this file: an accept requests the peer's address, because getpeername(2) has none for a connection that
//! was reset in the backlog. An accept never waits. One that waits would take the kernel's wake-up for a client, and the
//! client, although its loop may be busy elsewhere. The ring has a flag for that; accept4(2) has only O_NONBLOCK of the
//! listener, which other code may clear. A poll(2) before the call does not help: another loop may take the client in
//! between.

use super::socket::{ACCEPT_FLAGS, DIRECT_FLAGS};
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use io_uring::opcode;
use socket2::{SockAddr, SockAddrStorage};

use crate::op::completion::{Completion, Direction};
use crate::op::fd::descriptor::{Opened, on_fd};
use crate::op::fd::host::FixedFileSlot;
use crate::op::object::accepted::Accepted;
use crate::op::object::io_turn::IoTurn;
use crate::op::object::received::Received;
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

/// Accepts one connection from a listener's queue, without waiting: on the ring it completes at once.
pub(crate) struct Accept {
    turn: IoTurn,
    source: Source,
}

/// The destination of the connection, or its result if that is known before.
enum Source {
    /// A descriptor of the process.
    Process(Address),
    /// A direct descriptor, for which no slot has been reserved yet.
    Direct,
    Table(FixedFileSlot),
    /// A connection that was accepted for a future that was dropped.
    Early(Box<Accepted>),
    /// The error of a full table.
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

/// Memory for an Internet address, which accept(2) fills.
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
    /// Returns the address. `None` if it is no Internet address.
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

impl Op for Accept {
    /// The result, and the turn for the next accept.
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
        // A slot is reserved only now: an earlier connection has one, and an accept that waits for its turn needs none.
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

/// Makes an accept answer EAGAIN instead of waiting for a connection.
fn without_waiting(mut entry: Entry) -> Entry {
    const IOPRIO: usize = 2; // behind the opcode and the flags, a byte each
    // SAFETY: an entry is `struct io_uring_sqe` and nothing else, whose third and fourth byte are this field.
    unsafe { (&raw mut entry).cast::<u8>().add(IOPRIO).cast::<u16>().write(ACCEPT_DONTWAIT) };
    entry
}
