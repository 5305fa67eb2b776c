//! Received datagrams, in the layout of a multishot recvmsg.

use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::ptr::NonNull;

use socket2::{SockAddr, SockAddrStorage};

use super::source::Buffers;
use crate::buf::Chunk;

/// A received datagram in the layout of a multishot recvmsg: header, address, payload.
#[derive(Debug)]
pub(crate) struct Datagram(Chunk);

/// The kernel's own part of the header, `struct io_uring_recvmsg_out`: lengths of address, control data and payload,
/// and flags.
const NUMBERS: usize = 16;

/// The size of an Internet address.
pub(in crate::op) const ADDRESS: usize = size_of::<libc::sockaddr_in6>();

pub(in crate::op) const HEADER: usize = NUMBERS + ADDRESS;

impl Datagram {
    /// The size of the largest datagram, with its header.
    pub(crate) const LARGEST: usize = HEADER + 65_535;

    /// Copies a datagram into memory of its own.
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

    /// Sets up recvmsg(2) to write a datagram into memory in the same layout as the ring.
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

    /// Returns the datagram that recvmsg(2) has written, with this number of bytes and of address bytes.
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

    /// Returns the datagram in a chunk that begins with its header.
    pub(crate) fn of_chunk(chunk: Chunk) -> Self {
        Datagram(chunk)
    }

    /// Returns the payload.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0[HEADER..]
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len() - HEADER
    }

    /// Copies the datagram into memory of its own size if it keeps more than twice as much.
    pub(in crate::op) fn compacted(self) -> Self {
        Datagram(self.0.compacted())
    }

    /// Returns the payload as a chunk.
    pub(crate) fn into_bytes(mut self) -> Chunk {
        self.0.advance(HEADER);
        self.0
    }

    /// Returns the sender's address. None if the datagram has no Internet address.
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
