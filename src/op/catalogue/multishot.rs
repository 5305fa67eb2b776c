//! Standing operations: multishot receive, read, recvmsg and poll. Each belongs to its endpoint, not to a future, and fills
//! the endpoint's arrivals until it ends; nobody claims it. io_uring only: the selector asks when somebody waits.
//!
//! Facts that shape this file: any completion without F_MORE ends a multishot operation, whatever its result, which is
//! as good as any other. ENOBUFS says that the group had no buffer at that moment: it stands for neither data nor their
//! absence, and hides the end of a stream, so the kernel is asked anew. A completion may carry a buffer although it
//! failed.
//! `optlen` of a multishot recv (Linux 6.17) limits its bytes in all: the receive that reaches the limit is the last, and is
//! not cut. recvmsg and read have no such limit. recvmsg writes a header in front of each datagram: its own four numbers,
//! then as many bytes of address as were asked for.

use crate::op::object::datagram::{ADDRESS, Datagram, HEADER};
use crate::op::object::source::Buffers;
use std::rc::Rc;

use io_uring::{opcode, squeue};

use crate::op::abi::{NO_POSITION, events};
use crate::op::completion::{Completion, Direction};
use crate::op::object::endpoint::{Arrival, Endpoint};
use crate::op::object::fd::{Fd, on_fd};
use crate::op::object::medium::Medium;
use crate::op::{Each, Entry, Kind, Op, Wait};
use crate::sys::call::Call;

/// Bytes (of streams and datagrams) that are kept for a receiver who does not come, before its stream is left to the
/// kernel: each chunk counts for 256 bytes more than it has. What is under way by then comes on top.
const ENOUGH_BYTES: usize = 256 << 10;
/// Reports of readiness that nobody has come for.
const ENOUGH_REPORTS: usize = 8;

/// A multishot operation of an endpoint, which fills its arrivals.
pub(crate) struct Stand<B> {
    endpoint: Rc<Endpoint>,
    brings: B,
}

/// The variable part of a multishot operation: its entry, and the items that it delivers.
pub(crate) trait Brings: 'static {
    const NAME: &'static str;
    const OPCODE: u8;
    /// How much an endpoint may hold before the operation is to end.
    const ENOUGH: usize;

    fn entry(&mut self, fd: Fd) -> Entry;

    /// Queues the item of a completion with the endpoint.
    fn take(&mut self, endpoint: &Endpoint, completion: Completion);

    /// The operation has ended with this. True when the kernel cannot do such operations on this descriptor: from now on it
    /// is used in another way.
    fn unable(&self, endpoint: &Endpoint, completion: Completion) -> bool {
        let _ = (endpoint, completion);
        false
    }

    /// The operation has ended with this, which `take` has seen. True when that was for want of a buffer.
    fn ended(&self, endpoint: &Endpoint, completion: Completion) -> bool {
        let _ = (endpoint, completion);
        false
    }
}

impl<B: Brings> Stand<B> {
    pub(crate) fn new(endpoint: Rc<Endpoint>, brings: B) -> Self {
        Stand { endpoint, brings }
    }
}

impl<B: Brings> Op for Stand<B> {
    type Output = ();
    const NAME: &'static str = B::NAME;
    const KIND: Kind = Kind::Multishot;
    const OPCODE: u8 = B::OPCODE;

    fn entry(&mut self) -> Entry {
        self.brings.entry(self.endpoint.descriptor.fd())
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Now
    }

    fn call(&mut self) -> Call {
        unreachable!("only a ring has multishot operations")
    }

    fn each(&mut self, completion: Completion) -> Each {
        self.brings.take(&self.endpoint, completion);
        let enough = self.endpoint.is_large() || self.endpoint.holds() >= B::ENOUGH;
        Each { wake: self.endpoint.awaited(), enough }
    }

    fn complete(self, completion: Completion) {
        let starved = self.brings.ended(&self.endpoint, completion);
        // An error, unless it only says that the operation has ended.
        let says_more = !matches!(-completion.result, libc::ECANCELED | libc::EINTR | libc::EAGAIN);
        let unable = self.brings.unable(&self.endpoint, completion);
        if completion.result < 0 && !starved && says_more && !unable {
            self.endpoint.arrived(Arrival::Error(-completion.result));
        }
        self.endpoint.disarmed(starved);
    }
}

/// Bytes of a stream, by either operation.
pub(crate) struct Bytes {
    buffers: Rc<dyn Buffers>,
    medium: Medium,
    /// The kernel takes a limit for a socket's bytes.
    limited: bool,
}

impl Bytes {
    pub(crate) fn new(buffers: Rc<dyn Buffers>, endpoint: &Endpoint, limited: bool) -> Self {
        Bytes { buffers, medium: endpoint.medium(), limited }
    }
}

impl Brings for Bytes {
    const NAME: &'static str = "recv";
    const OPCODE: u8 = opcode::RecvMulti::CODE;
    const ENOUGH: usize = ENOUGH_BYTES;

    fn entry(&mut self, fd: Fd) -> Entry {
        let (group, direct) = (self.buffers.group(), matches!(fd, Fd::Direct(_)));
        let entry = on_fd!(fd, |fd| match self.medium {
            Medium::Socket if self.buffers.bundles() => opcode::RecvMultiBundle::new(fd, group).build(),
            Medium::Socket => opcode::RecvMulti::new(fd, group).build(),
            _ => {
                let read = opcode::ReadMulti::new(fd, 0, group).offset(NO_POSITION).build();
                // The crate forgets it for this operation.
                if direct { read.flags(squeue::Flags::FIXED_FILE) } else { read }
            }
        });
        if self.limited && self.medium == Medium::Socket {
            limited(entry, ENOUGH_BYTES as u32)
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
                endpoint.arrived(Arrival::Bytes(chunk));
            }
        });
    }

    fn ended(&self, endpoint: &Endpoint, completion: Completion) -> bool {
        if completion.result == 0 {
            endpoint.arrived(Arrival::End);
        }
        is_starved(&*self.buffers, completion)
    }

    /// It cannot wait for the descriptor, or the descriptor has no readiness at all.
    fn unable(&self, endpoint: &Endpoint, completion: Completion) -> bool {
        let never_waits = completion.result == -libc::EBADFD && self.medium != Medium::Socket;
        if never_waits {
            endpoint.never_waits();
        }
        never_waits || cannot_wait(endpoint, completion)
    }
}

/// Datagrams and their senders' addresses.
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

impl Brings for Datagrams {
    const NAME: &'static str = "recvmsg";
    const OPCODE: u8 = opcode::RecvMsgMulti::CODE;
    const ENOUGH: usize = ENOUGH_BYTES;

    fn entry(&mut self, fd: Fd) -> Entry {
        let (header, group) = (&raw const self.header, self.buffers.group());
        on_fd!(fd, |fd| opcode::RecvMsgMulti::new(fd, header, group).build())
    }

    fn take(&mut self, endpoint: &Endpoint, completion: Completion) {
        self.buffers.received(completion, &mut |chunk| {
            if chunk.len() >= HEADER {
                endpoint.arrived(Arrival::Datagram(Datagram::of_chunk(chunk)));
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
pub(crate) struct Readiness(pub(crate) Direction);

impl Brings for Readiness {
    const NAME: &'static str = "poll";
    const OPCODE: u8 = opcode::PollAdd::CODE;
    const ENOUGH: usize = ENOUGH_REPORTS;

    fn entry(&mut self, fd: Fd) -> Entry {
        let events = events(self.0) as u32;
        on_fd!(fd, |fd| opcode::PollAdd::new(fd, events).multi(true).build())
    }

    fn take(&mut self, endpoint: &Endpoint, completion: Completion) {
        if completion.result > 0 {
            endpoint.arrived(Arrival::Ready);
        }
    }
}

/// Has the kernel end a multishot receive of a socket when it has brought so many bytes, with those of its last receive
/// on top. The io-uring crate has no name for this field.
pub(crate) fn limited(mut entry: Entry, bytes: u32) -> Entry {
    /// Where `optlen` lies in `struct io_uring_sqe`.
    const OPTLEN: usize = 44;
    const { assert!(size_of::<Entry>() == 64 && align_of::<Entry>() >= align_of::<u32>()) };
    // SAFETY: an entry is the kernel's structure of 64 bytes; a receive uses these four for nothing else.
    unsafe { (&raw mut entry).cast::<u8>().add(OPTLEN).cast::<u32>().write(bytes) };
    entry
}

/// Whether the kernel has given up waiting for the descriptor: see `driver/edges.rs`.
fn cannot_wait(endpoint: &Endpoint, completion: Completion) -> bool {
    completion.result == -libc::EAGAIN && endpoint.descriptor.needs_edges_from_now_on()
}

/// Whether a receive has ended for want of a buffer; then there are to be more of them.
fn is_starved(buffers: &dyn Buffers, completion: Completion) -> bool {
    let starved = completion.result == -libc::ENOBUFS;
    if starved {
        buffers.ran_out();
    }
    starved
}
