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

use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::ptr::NonNull;
use std::rc::Rc;

use io_uring::{opcode, squeue};
use socket2::{SockAddr, SockAddrStorage};

use super::endpoint::{Arrival, Endpoint};
use super::fd::{Fd, on_fd};
use super::medium::Medium;
use super::poll::events;
use super::socket::NO_POSITION;
use super::{Completion, Direction, Each, Entry, Kind, Op, Wait};
use crate::buf::Chunk;
use crate::buf::pool::Lease;
use crate::sys::call::Call;

/// Bytes (of streams and datagrams) that are kept for a receiver who does not come, before its stream is left to the
/// kernel: each chunk counts for 256 bytes more than it has. What is under way by then comes on top.
const ENOUGH_BYTES: usize = 256 << 10;
/// Reports of readiness that nobody has come for.
const ENOUGH_REPORTS: usize = 8;

/// What a standing operation brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Bytes of a socket.
    Bytes,
    /// Bytes of a pipe.
    Read,
    Datagrams,
    /// That something has happened.
    Readiness(Direction),
}

/// Where received bytes lie: the memory for chunks of one loop.
pub(crate) trait Buffers {
    /// The group from which the kernel takes buffers.
    fn group(&self) -> u16;

    /// Gives the bytes that a completion brings in buffers of the group; none when it brings no buffer.
    fn received(&self, completion: Completion, take: &mut dyn FnMut(Chunk));

    /// Whether one receive may fill several buffers.
    fn bundles(&self) -> bool;

    /// The kernel has found no buffer.
    fn ran_out(&self);

    /// A buffer for one receive alone.
    fn lease(&self) -> Lease;

    /// The chunk that such a receive has brought, or a copy of it when few buffers are left for others.
    fn kept(&self, chunk: Chunk) -> Chunk;

    /// Where the next bytes may be received by a system call, and how many.
    fn room(&self) -> (NonNull<u8>, usize);

    /// So many bytes were.
    ///
    /// # Safety
    /// They have been written where the last `room` said.
    unsafe fn filled(&self, count: usize) -> Chunk;
}

/// A multishot operation of an endpoint, which fills its arrivals.
pub(crate) struct Stand<B> {
    endpoint: Rc<Endpoint>,
    brings: B,
}

/// What one brings, and how.
pub(crate) trait Brings: 'static {
    const NAME: &'static str;
    const OPCODE: u8;
    /// How much an endpoint may hold before the operation is to end.
    const ENOUGH: usize;

    fn entry(&mut self, fd: Fd) -> Entry;

    /// What a completion has brought goes to the endpoint.
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
        let mut header = super::message::empty_header();
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
                endpoint.arrived(Arrival::Datagram(Datagram(chunk)));
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

/// A datagram as recvmsg leaves it in a buffer: header, address, and then the bytes.
#[derive(Debug)]
pub(crate) struct Datagram(Chunk);

/// The kernel's own part of the header, `struct io_uring_recvmsg_out`: lengths of address, control data and payload,
/// and flags.
const NUMBERS: usize = 16;
/// Room for an Internet address.
const ADDRESS: usize = size_of::<libc::sockaddr_in6>();
const HEADER: usize = NUMBERS + ADDRESS;

impl Datagram {
    /// The largest datagram that there is, with its header.
    pub(crate) const LARGEST: usize = HEADER + 65_535;

    /// One of its own memory.
    pub(crate) fn copy(bytes: &[u8], sender: Option<&SockAddr>) -> Self {
        let mut whole = vec![0; HEADER];
        if let Some(sender) = sender {
            let len = (sender.len() as usize).min(ADDRESS);
            whole[..4].copy_from_slice(&(len as u32).to_ne_bytes());
            // SAFETY: an address has as many bytes as it says, and is initialised.
            let address = unsafe { std::slice::from_raw_parts(sender.as_ptr().cast::<u8>(), len) };
            whole[NUMBERS..NUMBERS + len].copy_from_slice(address);
        }
        whole.extend_from_slice(bytes);
        Datagram(Chunk::copy_from_slice(&whole))
    }

    /// Has recvmsg(2) write a datagram into memory, as it lies there when the ring has received it.
    ///
    /// # Safety
    /// The memory has `len` bytes, and is larger than a header; header and buffer are used while it is there.
    pub(crate) unsafe fn describe(
        memory: NonNull<u8>,
        len: usize,
        header: &mut libc::msghdr,
        iovec: &mut libc::iovec,
    ) {
        // SAFETY: by the caller's word, within the memory.
        let (name, bytes) = unsafe { (memory.add(NUMBERS), memory.add(HEADER)) };
        header.msg_name = name.as_ptr().cast();
        header.msg_namelen = ADDRESS as u32;
        *iovec = libc::iovec { iov_base: bytes.as_ptr().cast(), iov_len: len - HEADER };
        header.msg_iovlen = 1;
    }

    /// The datagram that recvmsg(2) has written so: so many bytes, and so many of the sender's address.
    ///
    /// # Safety
    /// It has, where the last `room` of these buffers said.
    pub(crate) unsafe fn of(buffers: &dyn Buffers, count: usize, address: u32) -> Self {
        let (memory, _) = buffers.room();
        // SAFETY: nobody has been told of this memory yet; the address was written as far as it goes, the bytes too.
        unsafe {
            memory.write_bytes(0, NUMBERS);
            memory.cast::<u32>().write_unaligned(address);
            let written = (address as usize).min(ADDRESS);
            memory.add(NUMBERS + written).write_bytes(0, ADDRESS - written);
            Datagram(buffers.filled(HEADER + count))
        }
    }

    /// The datagram that lies in a chunk, which begins with its header.
    #[cfg(test)]
    pub(crate) fn of_chunk(chunk: Chunk) -> Self {
        Datagram(chunk)
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0[HEADER..]
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len() - HEADER
    }

    /// The same, in memory of its own size when it keeps more than twice as much.
    pub(super) fn compacted(self) -> Self {
        Datagram(self.0.compacted())
    }

    /// Its bytes alone.
    pub(crate) fn into_bytes(mut self) -> Chunk {
        self.0.advance(HEADER);
        self.0
    }

    /// Who sent it; none when it came without an Internet address.
    pub(crate) fn sender(&self) -> Option<SocketAddr> {
        let len = u32::from_ne_bytes(self.0[..4].try_into().expect("four bytes")) as usize;
        let address = &self.0[NUMBERS..NUMBERS + len.min(ADDRESS)];
        let mut storage = MaybeUninit::<SockAddrStorage>::zeroed();
        // SAFETY: the storage is larger than any address, and zeros are one; the bytes are those of an address.
        let address = unsafe {
            storage.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(address.as_ptr(), address.len());
            SockAddr::new(storage.assume_init(), address.len() as u32)
        };
        address.as_socket()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_carries_its_sender() {
        for sender in ["127.0.0.1:80", "[::1]:65535"] {
            let sender: SocketAddr = sender.parse().unwrap();
            let datagram = Datagram::copy(b"abc", Some(&sender.into()));
            assert_eq!((datagram.bytes(), datagram.len(), datagram.sender()), (&b"abc"[..], 3, Some(sender)));
            assert_eq!(datagram.into_bytes(), *b"abc");
        }
        let empty = Datagram::copy(b"", None);
        assert_eq!((empty.len(), empty.sender()), (0, None));
    }
}
