//! Multishot operations: receive, read, recvmsg and poll.
//!
//! A multishot operation belongs to its endpoint and not to a future. It fills the endpoint's receive queue until it ends.
//! Only io_uring has such operations; the selector makes a call when a task waits.
//!
//! Facts that shape this file:
//!
//! - Any completion without F_MORE ends a multishot operation, whatever its result. The result itself is an item like any
//!   other.
//! - ENOBUFS means that the group had no buffer at that moment. It says nothing about data, and it hides the end of a
//!   stream, so the operation is started again.
//! - A completion may carry a buffer although it failed.
//! - `optlen` of a multishot recv (Linux 6.17) limits the sum of its bytes. The receive that reaches the limit is the last
//!   one, and is not cut. recvmsg and read have no such limit.
//! - recvmsg writes a header in front of each datagram: four numbers of its own, then as many bytes of address as were
//!   requested.

use crate::op::object::datagram::{ADDRESS, Datagram, HEADER};
use crate::op::object::source::Buffers;
use std::rc::Rc;

use io_uring::{opcode, squeue};

use crate::op::abi::{NO_POSITION, events};
use crate::op::completion::{Completion, Direction};
use crate::op::fd::descriptor::{Fd, on_fd};
use crate::op::object::endpoint::Endpoint;
use crate::op::object::endpoint_kind::EndpointKind;
use crate::op::object::received::Received;
use crate::op::{Entry, Kind, MultishotStep, Op, Readiness};
use crate::sys::call::Call;

/// Bytes of a stream or of datagrams in an endpoint's receive queue at which its operation is stopped. Each chunk counts
/// for 256 bytes more than it has. Bytes that are in flight by then are added to the queue as well.
const HELD_BYTES: usize = 256 << 10;
/// Reports of readiness in an endpoint's receive queue at which its operation is stopped.
const HELD_REPORTS: usize = 8;

/// A multishot operation that fills the receive queue of its endpoint.
pub(crate) struct Multishot<B> {
    endpoint: Rc<Endpoint>,
    items: B,
}

/// The variable part of a multishot operation: its entry, and how its items are queued.
pub(crate) trait MultishotItems: 'static {
    const NAME: &'static str;
    const OPCODE: u8;
    /// The weight of the endpoint's receive queue at which the operation is stopped.
    const HELD_LIMIT: usize;

    fn entry(&mut self, fd: Fd) -> Entry;

    /// Queues the item of a completion with the endpoint.
    fn take(&mut self, endpoint: &Endpoint, completion: Completion);

    /// Checks the last completion for an error of a kernel that cannot do such operations on this descriptor. Returns true
    /// after it has switched the endpoint to another way of receiving.
    fn unable(&self, endpoint: &Endpoint, completion: Completion) -> bool {
        let _ = (endpoint, completion);
        false
    }

    /// Handles the end of the operation; `take` has seen the last completion. Returns true if it ended for lack of a
    /// buffer.
    fn ended(&self, endpoint: &Endpoint, completion: Completion) -> bool {
        let _ = (endpoint, completion);
        false
    }
}

impl<B: MultishotItems> Multishot<B> {
    pub(crate) fn new(endpoint: Rc<Endpoint>, items: B) -> Self {
        Multishot { endpoint, items }
    }
}

impl<B: MultishotItems> Op for Multishot<B> {
    type Output = ();
    const NAME: &'static str = B::NAME;
    const KIND: Kind = Kind::Multishot;
    const OPCODE: u8 = B::OPCODE;

    fn entry(&mut self) -> Entry {
        self.items.entry(self.endpoint.descriptor.fd())
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Immediate
    }

    fn call(&mut self) -> Call {
        unreachable!("only a ring has multishot operations")
    }

    fn multishot_step(&mut self, completion: Completion) -> MultishotStep {
        self.items.take(&self.endpoint, completion);
        let stop = self.endpoint.is_large() || self.endpoint.holds() >= B::HELD_LIMIT;
        MultishotStep { wake: self.endpoint.awaited(), stop }
    }

    fn complete(self, completion: Completion) {
        let starved = self.items.ended(&self.endpoint, completion);
        // These errors only say that the operation has ended.
        let says_more = !matches!(-completion.result, libc::ECANCELED | libc::EINTR | libc::EAGAIN);
        let unable = self.items.unable(&self.endpoint, completion);
        if completion.result < 0 && !starved && says_more && !unable {
            self.endpoint.push_received(Received::Error(-completion.result));
        }
        self.endpoint.disarmed(starved);
    }
}

/// Bytes of a stream, received from a socket or read from a pipe.
pub(crate) struct Bytes {
    buffers: Rc<dyn Buffers>,
    kind: EndpointKind,
    /// Whether the kernel accepts a limit for a socket's bytes.
    limited: bool,
}

impl Bytes {
    pub(crate) fn new(buffers: Rc<dyn Buffers>, endpoint: &Endpoint, limited: bool) -> Self {
        Bytes { buffers, kind: endpoint.kind(), limited }
    }
}

impl MultishotItems for Bytes {
    const NAME: &'static str = "recv";
    const OPCODE: u8 = opcode::RecvMulti::CODE;
    const HELD_LIMIT: usize = HELD_BYTES;

    fn entry(&mut self, fd: Fd) -> Entry {
        let (group, direct) = (self.buffers.group(), matches!(fd, Fd::Direct(_)));
        let entry = on_fd!(fd, |fd| match self.kind {
            EndpointKind::Socket if self.buffers.bundles() => opcode::RecvMultiBundle::new(fd, group).build(),
            EndpointKind::Socket => opcode::RecvMulti::new(fd, group).build(),
            _ => {
                let read = opcode::ReadMulti::new(fd, 0, group).offset(NO_POSITION).build();
                // The crate forgets it for this operation.
                if direct { read.flags(squeue::Flags::FIXED_FILE) } else { read }
            }
        });
        if self.limited && self.kind == EndpointKind::Socket {
            limited(entry, HELD_BYTES as u32)
        } else {
            entry
        }
    }

    fn take(&mut self, endpoint: &Endpoint, completion: Completion) {
        if completion.result > 0 {
            endpoint.note_size(completion.result as usize);
        }
        self.buffers.received(completion, &mut |chunk| {
            if !chunk.is_empty() {
                endpoint.push_received(Received::Bytes(chunk));
            }
        });
    }

    fn ended(&self, endpoint: &Endpoint, completion: Completion) -> bool {
        if completion.result == 0 {
            endpoint.push_received(Received::End);
        }
        is_starved(&*self.buffers, completion)
    }

    /// Handles a ring that cannot wait for the descriptor, and a descriptor without readiness.
    fn unable(&self, endpoint: &Endpoint, completion: Completion) -> bool {
        let never_waits = completion.result == -libc::EBADFD && self.kind != EndpointKind::Socket;
        if never_waits {
            endpoint.never_waits();
        }
        never_waits || cannot_wait(endpoint, completion)
    }
}

/// Datagrams with the addresses of their senders.
pub(crate) struct Datagrams {
    buffers: Rc<dyn Buffers>,
    header: libc::msghdr,
}

impl Datagrams {
    pub(crate) fn new(buffers: Rc<dyn Buffers>) -> Self {
        let mut header = crate::op::abi::empty_header();
        header.msg_namelen = ADDRESS as u32;
        Datagrams { buffers, header }
    }
}

impl MultishotItems for Datagrams {
    const NAME: &'static str = "recvmsg";
    const OPCODE: u8 = opcode::RecvMsgMulti::CODE;
    const HELD_LIMIT: usize = HELD_BYTES;

    fn entry(&mut self, fd: Fd) -> Entry {
        let (header, group) = (&raw const self.header, self.buffers.group());
        on_fd!(fd, |fd| opcode::RecvMsgMulti::new(fd, header, group).build())
    }

    fn take(&mut self, endpoint: &Endpoint, completion: Completion) {
        self.buffers.received(completion, &mut |chunk| {
            if chunk.len() >= HEADER {
                endpoint.push_received(Received::Datagram(Datagram::of_chunk(chunk)));
            }
        });
    }

    fn ended(&self, _: &Endpoint, completion: Completion) -> bool {
        is_starved(&*self.buffers, completion)
    }

    fn unable(&self, endpoint: &Endpoint, completion: Completion) -> bool {
        cannot_wait(endpoint, completion)
    }
}

/// Reports of readiness.
pub(crate) struct PollEvents(pub(crate) Direction);

impl MultishotItems for PollEvents {
    const NAME: &'static str = "poll";
    const OPCODE: u8 = opcode::PollAdd::CODE;
    const HELD_LIMIT: usize = HELD_REPORTS;

    fn entry(&mut self, fd: Fd) -> Entry {
        let events = events(self.0) as u32;
        on_fd!(fd, |fd| opcode::PollAdd::new(fd, events).multi(true).build())
    }

    fn take(&mut self, endpoint: &Endpoint, completion: Completion) {
        if completion.result > 0 {
            endpoint.push_received(Received::Ready);
        }
    }
}

/// Limits a multishot receive of a socket: the kernel ends it with the receive that reaches this number of bytes. The
/// io-uring crate has no name for this field.
pub(crate) fn limited(mut entry: Entry, bytes: u32) -> Entry {
    /// Where `optlen` lies in `struct io_uring_sqe`.
    const OPTLEN: usize = 44;
    const { assert!(size_of::<Entry>() == 64 && align_of::<Entry>() >= align_of::<u32>()) };
    // SAFETY: an entry is the kernel's structure of 64 bytes; a receive uses these four for nothing else.
    unsafe { (&raw mut entry).cast::<u8>().add(OPTLEN).cast::<u32>().write(bytes) };
    entry
}

/// Checks whether the kernel has given up waiting for the descriptor. Then the endpoint uses edges: see `driver/selector/edges.rs`.
fn cannot_wait(endpoint: &Endpoint, completion: Completion) -> bool {
    completion.result == -libc::EAGAIN && endpoint.descriptor.needs_edges_from_now_on()
}

/// Checks whether a receive has ended for lack of a buffer. Then more buffers are provided from now on.
fn is_starved(buffers: &dyn Buffers, completion: Completion) -> bool {
    let starved = completion.result == -libc::ENOBUFS;
    if starved {
        buffers.ran_out();
    }
    starved
}
