//! `Chunk`: bytes that were received, in memory of the loop's pool.
//!
//! It knows the pool and the buffer traits, and not the operations that fill the memory.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, RangeBounds};
use std::ptr::NonNull;

use super::copying;
use super::pool::Lease;
use super::slice::bounds;
use super::{IoBuf, initialised};

/// Received bytes: a cheap, owned, read-only handle to pooled memory.
///
/// A `Chunk` value has 24 bytes. [`clone`](Clone::clone), [`slice`](Chunk::slice) and [`split_to`](Chunk::split_to)
/// copy no bytes, and it can be sent onward as it is: it is an [`IoBuf`]. The memory goes back to the runtime's pool
/// when the last handle to it is dropped, on any thread, and also after the runtime has been dropped.
///
/// # Memory
/// A chunk keeps the whole buffer that its bytes lie in
/// ([`Config::stream_buffer_size`](crate::Config::stream_buffer_size), 64 KiB by default; 68 KiB for a datagram). The
/// runtime limits this cost: it copies small chunks into memory of their own size. When chunks keep more than 1/16 of
/// its buffers (64 by default), it copies each further chunk smaller than 1/16 of a buffer (4 KiB). When they keep more
/// than half of the buffers, it copies each chunk smaller than half a buffer. When they keep all, it copies every
/// chunk.
///
/// A part of a chunk keeps the buffer as the whole does: to keep a small part for long,
/// [copy](Chunk::copy_from_slice) it.
///
/// # Examples
/// ```
/// use proactor::net::{TcpListener, TcpStream};
/// proactor::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, _) = listener.accept().await?;
///     client.write_all("head body").await?;
///     let mut chunk = server.recv().await?.expect("the client is still there");
///     let head = chunk.split_to(4);
///     assert_eq!((&head[..], &chunk[..]), (&b"head"[..], &b" body"[..]));
///     server.write_all(chunk).await?; // no copy
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[derive(Clone)]
pub struct Chunk {
    start: NonNull<u8>,
    len: usize,
    /// `None` for the empty chunk, which has no memory.
    lease: Option<Lease>,
}

// SAFETY: the bytes are never written to while a chunk shows them, and the lease may go anywhere.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

impl Chunk {
    /// Makes an empty chunk, without memory.
    ///
    /// ```
    /// assert!(proactor::buf::Chunk::new().is_empty());
    /// ```
    pub const fn new() -> Self {
        Chunk { start: NonNull::dangling(), len: 0, lease: None }
    }

    /// Makes a chunk with its own copy of `bytes`.
    ///
    /// ```
    /// use proactor::buf::Chunk;
    ///
    /// assert_eq!(Chunk::copy_from_slice(b"abc"), *b"abc");
    /// ```
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Chunk::new();
        }
        let lease = Lease::alone(bytes.len());
        // SAFETY: the new buffer has this size, and there is no other reference to it.
        unsafe {
            lease.memory().copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            Chunk::of(lease, 0, bytes.len())
        }
    }

    /// Makes a chunk of `len` bytes of a buffer, from byte `start` on.
    ///
    /// # Safety
    /// The `len` bytes are within the buffer, initialised, and not written to as long as there are references.
    pub(crate) unsafe fn of(lease: Lease, start: usize, len: usize) -> Self {
        debug_assert!(start + len <= lease.len(), "a chunk lies within its buffer");
        // SAFETY: the caller has promised that it is within the buffer.
        Chunk { start: unsafe { lease.memory().add(start) }, len, lease: Some(lease) }
    }

    /// Returns the chunk itself, or a copy in memory of its own size if it has less than `len` bytes.
    #[inline]
    pub(crate) fn copied_below(self, len: usize) -> Self {
        if self.len < len { self.copied() } else { self }
    }

    /// Returns the chunk itself, or a copy in memory of its own size if it keeps more than twice as much of a pool's buffer.
    pub(crate) fn compacted(self) -> Self {
        let pooled = self.lease.as_ref().filter(|lease| lease.is_pooled());
        let wastes = pooled.is_some_and(|lease| copying::wastes(self.len, lease.len()));
        if wastes { self.copied() } else { self }
    }

    /// Whether its memory belongs to a pool.
    pub(crate) fn is_pooled(&self) -> bool {
        self.lease.as_ref().is_some_and(Lease::is_pooled)
    }

    #[cold]
    fn copied(self) -> Self {
        Chunk::copy_from_slice(&self)
    }

    /// Returns the bytes.
    pub fn as_slice(&self) -> &[u8] {
        initialised(self)
    }

    /// Narrows the chunk to the part in `range`, without a copy; positions are in bytes. Clone the chunk first to keep
    /// the whole.
    ///
    /// # Panics
    /// When the range does not lie within the chunk.
    ///
    /// ```
    /// use proactor::buf::Chunk;
    ///
    /// assert_eq!(Chunk::copy_from_slice(b"abcd").slice(1..3), *b"bc");
    /// ```
    #[track_caller]
    pub fn slice(mut self, range: impl RangeBounds<usize>) -> Chunk {
        let (begin, end) = match bounds(&range) {
            (begin, usize::MAX) => (begin, self.len),
            bounds => bounds,
        };
        assert!(
            begin <= end && end <= self.len,
            "range {begin}..{end} is not within a chunk of {} bytes",
            self.len
        );
        self.truncate(end);
        self.advance(begin);
        self
    }

    /// Splits off and returns the first `at` bytes; the rest stays.
    ///
    /// # Panics
    /// When the chunk has fewer bytes.
    ///
    /// ```
    /// let mut rest = proactor::buf::Chunk::copy_from_slice(b"abcd");
    /// assert_eq!((rest.split_to(1), rest), (b"a"[..].into(), b"bcd"[..].into()));
    /// ```
    #[track_caller]
    pub fn split_to(&mut self, at: usize) -> Chunk {
        let head = self.clone().slice(..at);
        self.advance(at);
        head
    }

    /// Splits off and returns the bytes after the first `at`; those stay.
    ///
    /// # Panics
    /// When the chunk has fewer bytes.
    ///
    /// ```
    /// let mut head = proactor::buf::Chunk::copy_from_slice(b"abcd");
    /// assert_eq!((head.split_off(1), head), (b"bcd"[..].into(), b"a"[..].into()));
    /// ```
    #[track_caller]
    pub fn split_off(&mut self, at: usize) -> Chunk {
        let tail = self.clone().slice(at..);
        self.truncate(at);
        tail
    }

    /// Drops the first `count` bytes.
    ///
    /// # Panics
    /// When the chunk has fewer bytes.
    ///
    /// ```
    /// let mut chunk = proactor::buf::Chunk::copy_from_slice(b"abcd");
    /// chunk.advance(3);
    /// assert_eq!(chunk, *b"d");
    /// ```
    #[track_caller]
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len, "cannot advance {count} bytes in a chunk of {}", self.len);
        // SAFETY: still within the chunk, or right behind it.
        self.start = unsafe { self.start.add(count) };
        self.len -= count;
    }

    /// Shortens the chunk to its first `len` bytes; a shorter chunk stays as it is.
    ///
    /// ```
    /// let mut chunk = proactor::buf::Chunk::copy_from_slice(b"abcd");
    /// chunk.truncate(2);
    /// assert_eq!(chunk, *b"ab");
    /// ```
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

// SAFETY: the lease keeps the memory where it is, wherever the chunk moves, and the bytes in it as they are.
#[diagnostic::do_not_recommend]
unsafe impl IoBuf for Chunk {
    fn read_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    fn init_len(&self) -> usize {
        self.len
    }
}

impl Default for Chunk {
    fn default() -> Self {
        Chunk::new()
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Chunk {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for Chunk {
    fn from(bytes: &[u8]) -> Self {
        Chunk::copy_from_slice(bytes)
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Chunk {
    fn eq(&self, other: &T) -> bool {
        self[..] == *other.as_ref()
    }
}

impl Eq for Chunk {}

impl Hash for Chunk {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self[..].hash(state); // as its bytes do: see `Borrow`
    }
}

impl fmt::Debug for Chunk {
    /// Writes the bytes as a byte string.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::super::pool::Pool;
    use super::*;

    fn pooled(pool: &Pool, bytes: &[u8]) -> Chunk {
        let lease = pool.take().unwrap();
        // SAFETY: there is no other reference to this buffer, and it is large enough.
        unsafe {
            lease.memory().copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            Chunk::of(lease, 0, bytes.len())
        }
    }

    #[test]
    fn parts_share_the_memory_and_give_it_back_together() {
        let pool = Pool::new(4_096, 1);
        let mut chunk = pooled(&pool, b"0123456789");
        let head = chunk.split_to(3);
        let tail = chunk.split_off(4);
        let inner = tail.clone().slice(1..=1);
        assert_eq!((head, &chunk[..], tail), (b"012"[..].into(), &b"3456"[..], b"789"[..].into()));
        drop(chunk);
        assert_eq!(pool.out(), 1);
        assert_eq!(inner, *b"8");
        drop(inner);
        assert_eq!(pool.out(), 0);
    }

    #[test]
    fn empty_chunks_hold_no_memory() {
        let chunk = Chunk::copy_from_slice(b"");
        assert!(chunk.is_empty());
        assert_eq!(chunk.clone().slice(..), chunk);
        assert!(!chunk.read_ptr().is_null());
    }

    #[test]
    #[should_panic(expected = "range 2..5 is not within a chunk of 4 bytes")]
    fn a_slice_lies_within() {
        drop(Chunk::copy_from_slice(b"abcd").slice(2..5));
    }

    #[test]
    fn it_looks_like_its_bytes() {
        let chunk = Chunk::copy_from_slice(b"a\n\xff");
        assert_eq!(format!("{chunk:?}"), r#"b"a\n\xff""#);
        let set = std::collections::HashSet::from([chunk]);
        assert!(set.contains(&b"a\n\xff"[..]));
    }

    #[cfg(feature = "bytes")]
    #[test]
    fn frozen_it_is_the_same_memory() {
        use bytes::Buf;

        let pool = Pool::new(4_096, 1);
        let mut chunk = pooled(&pool, b"0123");
        let place = chunk.as_ptr();
        Buf::advance(&mut chunk, 1);
        assert_eq!((chunk.remaining(), chunk.chunk()), (3, &b"123"[..]));
        let bytes = chunk.freeze();
        assert_eq!(bytes.as_ptr(), place.wrapping_add(1));
        let part = bytes::Bytes::slice(&bytes, 1..);
        drop(bytes);
        assert_eq!((&part[..], pool.out()), (&b"23"[..], 1));
        drop(part);
        assert_eq!(pool.out(), 0);
    }

    #[test]
    fn a_small_part_of_a_buffer_is_copied_out() {
        let pool = Pool::new(4_096, 1);
        let small = pooled(&pool, b"0123").compacted();
        assert_eq!((&small[..], small.is_pooled(), pool.out()), (&b"0123"[..], false, 0));
        let small = small.compacted().copied_below(4);
        assert_eq!((&small[..], small.is_pooled()), (&b"0123"[..], false));
        let large = pooled(&pool, &[7; 2_048]).compacted().copied_below(2_048);
        assert_eq!((&large[..], large.is_pooled(), pool.out()), (&[7; 2_048][..], true, 1));
        assert!(!large.copied_below(2_049).is_pooled());
        assert_eq!(pool.out(), 0);
    }

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<Option<Chunk>>(), 24);
    }
}
