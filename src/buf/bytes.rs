//! With the feature `bytes`: the types of that crate as buffers, and chunks as its `Bytes`.

use bytes::{Bytes, BytesMut};

use super::{Chunk, IoBuf, IoBufMut};

/// Where this trait is in scope `bytes.slice(..)` is [`IoBuf::slice`], by value; `Bytes::slice(&bytes, ..)` names the other.
// SAFETY: the bytes are initialised, lie outside of the value, and no handle to them can change them.
#[diagnostic::do_not_recommend]
unsafe impl IoBuf for Bytes {
    fn read_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn init_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: the bytes are initialised, lie outside of the value, and belong to it alone.
#[diagnostic::do_not_recommend]
unsafe impl IoBuf for BytesMut {
    fn read_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn init_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: it owns `capacity` bytes alone, never fewer than its length: parts that were split off have other bytes. Setting
// the length moves nothing.
#[diagnostic::do_not_recommend]
unsafe impl IoBufMut for BytesMut {
    fn write_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn total_len(&self) -> usize {
        self.capacity()
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= self.capacity(), "{len} bytes do not fit into the buffer");
        // SAFETY: the caller vouches for `len` initialised bytes within the capacity.
        unsafe { self.set_len(len) }
    }
}

/// With the feature `bytes`.
impl Chunk {
    /// Converts it into a `bytes::Bytes` over the same memory, without a copy. The memory goes back to the pool when
    /// the last handle to it is dropped.
    ///
    /// ```
    /// assert_eq!(&proactor::buf::Chunk::copy_from_slice(b"abc").freeze()[..], b"abc");
    /// ```
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl From<Chunk> for Bytes {
    fn from(chunk: Chunk) -> Self {
        chunk.freeze()
    }
}

impl bytes::Buf for Chunk {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        self
    }

    fn advance(&mut self, count: usize) {
        Chunk::advance(self, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::{fill, initialised};

    #[test]
    fn they_are_buffers() {
        assert_eq!(initialised(&Bytes::from_static(b"abc")), b"abc");
        assert_eq!(initialised(&Bytes::slice(&Bytes::from(b"abc".to_vec()), 1..)), b"bc");
        let mut whole = BytesMut::with_capacity(8);
        whole.extend_from_slice(b"abcd");
        let mut head = whole.split_to(2);
        assert_eq!((initialised(&head), head.total_len()), (&b"ab"[..], 2), "the rest is not its own");
        assert_eq!(fill(&mut head, 1, b"XYZ"), 1);
        let room = whole.total_len();
        assert_eq!(fill(&mut whole, 2, &[b'x'; 99]), room - 2);
        assert_eq!((&head[..], &whole[..2], whole.len()), (&b"aX"[..], &b"cd"[..], room));
        assert_eq!(fill(&mut whole, 0, b"y"), 1);
        assert_eq!(&whole[..], b"y");
    }
}
