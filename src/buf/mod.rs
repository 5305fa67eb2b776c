//! Owned buffers: memory that the kernel may read or write until the operation has completed.
//!
//! An operation takes its buffer by value and returns it when it completes, so the memory can be neither freed nor
//! accessed in between. This module defines such buffers. It knows nothing about operations, drivers or the kernel
//! beyond the layout of an I/O vector.
//!
//! A borrow is not an owned buffer. Pass the buffer itself, and take it back from the result:
//!
//! ```compile_fail,E0277
//! # async fn send(stream: proactor::net::TcpStream, data: Vec<u8>) -> std::io::Result<()> {
//! stream.write_all(&data).await?; // `&Vec<u8>` cannot be the buffer of an operation
//! # Ok(())
//! # }
//! ```
//! ```compile_fail,E0277
//! # async fn receive(stream: proactor::net::TcpStream) -> std::io::Result<()> {
//! let mut data = [0; 64];
//! stream.read(&mut data).await?; // nor can `&mut [u8; 64]`
//! # Ok(())
//! # }
//! ```
//! ```
//! # async fn both(stream: proactor::net::TcpStream, data: Vec<u8>) -> std::io::Result<()> {
//! let (_, data) = stream.write_all(data).await?;
//! let (count, data) = stream.read(data).await?;
//! # let _ = (count, data);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "bytes")]
mod bytes;
mod chunk;
pub(crate) mod copying;
mod error;
pub(crate) mod pool;
mod registered;
mod slice;
mod vectored;

use std::borrow::Cow;
use std::ops::RangeBounds;
use std::rc::Rc;
use std::sync::Arc;

pub use chunk::Chunk;
pub use error::{BufError, BufResult};
pub use registered::RegisteredBuf;
pub(crate) use registered::Registrar;
#[doc(hidden)]
pub use registered::Registration;
pub use slice::Slice;
pub(crate) use vectored::IoVecs;
pub use vectored::{IoVec, IoVecMut};

/// An owned buffer whose contents can be read, as the source of a write or a send.
///
/// # Safety
///
/// [`read_ptr`](IoBuf::read_ptr) is never null, and the first [`init_len`](IoBuf::init_len) bytes from there on are
/// initialised and readable. Both keep describing the same memory, with the same contents, as long as the value is
/// neither moved nor mutated. A move may change the address, since the bytes may lie in the value itself. *A move never
/// changes the length*, and it takes the bytes along: an operation is given its length before its buffer comes to the
/// place where the kernel finds it. (A buffer in the value that needs an alignment gets it from `#[repr(align)]`, and
/// not by skipping bytes up to an aligned address.)
///
/// ```
/// use proactor::buf::IoBuf;
///
/// assert_eq!("text".init_len(), 4);
/// assert_eq!(vec![1u8, 2, 3].init_len(), 3);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the buffer of an operation: an operation owns its buffer",
    label = "the kernel may still use the bytes after a borrow of them has ended",
    note = "pass the buffer itself, as in `let (count, buf) = stream.write(buf).await?`: it comes back with the result",
    note = "buffers are `Vec<u8>`, `Box<[u8]>`, `[u8; N]`, `String`, `&'static str`, `Rc<[u8]>`, `Chunk` and others"
)]
pub unsafe trait IoBuf: 'static {
    /// Returns the address of the first byte.
    ///
    /// ```
    /// use proactor::buf::IoBuf;
    ///
    /// let buf = vec![1u8, 2, 3];
    /// assert_eq!(buf.read_ptr(), buf.as_ptr());
    /// ```
    fn read_ptr(&self) -> *const u8;

    /// Returns how many bytes, counted from the first, are initialised.
    ///
    /// ```
    /// use proactor::buf::IoBuf;
    ///
    /// assert_eq!(Vec::<u8>::with_capacity(64).init_len(), 0);
    /// assert_eq!([0u8; 64].init_len(), 64);
    /// ```
    fn init_len(&self) -> usize;

    /// Returns where the buffer is registered with a ring. Only a [`RegisteredBuf`] and windows of it are registered.
    #[doc(hidden)]
    fn registration(&self) -> Option<Registration> {
        None
    }

    /// Narrows the buffer to a window.
    ///
    /// Positions are in bytes. A range without an end reaches to the end that the buffer has when the window is used.
    /// An end beyond that of the buffer is clamped to it.
    ///
    /// # Panics
    ///
    /// If the range begins after its own end, or after the initialised bytes.
    ///
    /// ```
    /// use proactor::buf::IoBuf;
    ///
    /// assert_eq!(&"message".slice(..4)[..], b"mess");
    /// ```
    #[track_caller]
    fn slice<R: RangeBounds<usize>>(self, range: R) -> Slice<Self>
    where
        Self: Sized,
    {
        Slice::new(self, range)
    }
}

/// An owned buffer that can be written into, as the target of a read or a receive.
///
/// # Safety
///
/// [`write_ptr`](IoBufMut::write_ptr) is the address that [`read_ptr`](IoBuf::read_ptr) gives, and the
/// [`total_len`](IoBufMut::total_len) bytes from there on, never fewer than [`init_len`](IoBuf::init_len), belong to
/// this value alone and may be written. Both stay the same as long as the value is neither moved nor mutated; writing
/// through the pointer and [`set_init`](IoBufMut::set_init) do not change them. *A move never changes the length*, as
/// for [`IoBuf`].
///
/// ```
/// use proactor::buf::IoBufMut;
///
/// assert!(Vec::<u8>::with_capacity(64).total_len() >= 64);
/// assert_eq!([0u8; 16].total_len(), 16);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the buffer that an operation fills: an operation owns its buffer",
    label = "the kernel may still write into it after a borrow of it has ended",
    note = "pass the buffer itself, as in `let (count, buf) = stream.read(buf).await?`: it comes back with the result",
    note = "such buffers are `Vec<u8>`, which is filled up to its capacity, `Box<[u8]>`, `[u8; N]` and a `slice` of them"
)]
pub unsafe trait IoBufMut: IoBuf {
    /// Returns the address of the first byte, for writing.
    ///
    /// ```
    /// use proactor::buf::{IoBuf, IoBufMut};
    ///
    /// let mut buf = vec![0u8; 4];
    /// assert_eq!(buf.write_ptr().cast_const(), buf.read_ptr());
    /// ```
    fn write_ptr(&mut self) -> *mut u8;

    /// Returns how many bytes may be written, counted from the first.
    ///
    /// For a `Vec` that is its capacity, for arrays and boxes their length.
    ///
    /// ```
    /// use proactor::buf::{IoBuf, IoBufMut};
    ///
    /// assert_eq!([0u8; 16].slice(4..10).total_len(), 6);
    /// ```
    fn total_len(&self) -> usize;

    /// Declares that the first `len` bytes are initialised.
    ///
    /// A `Vec` gets exactly this length, longer or shorter than before. Arrays and boxes are always initialised as a
    /// whole and do nothing.
    ///
    /// # Safety
    ///
    /// `len` is at most [`total_len`](IoBufMut::total_len), and the first `len` bytes are initialised.
    ///
    /// ```
    /// use proactor::buf::IoBufMut;
    ///
    /// let mut buf = Vec::with_capacity(8);
    /// // SAFETY: two of eight bytes are written, and then declared.
    /// unsafe {
    ///     buf.write_ptr().copy_from(b"ok".as_ptr(), 2);
    ///     buf.set_init(2);
    /// }
    /// assert_eq!(buf, b"ok");
    /// ```
    unsafe fn set_init(&mut self, len: usize);
}

/// Returns the initialised bytes of a buffer.
pub(crate) fn initialised(buf: &impl IoBuf) -> &[u8] {
    // SAFETY: that many bytes are initialised and stay as they are while the value is borrowed, by contract.
    unsafe { std::slice::from_raw_parts(buf.read_ptr(), buf.init_len()) }
}

/// Returns the first `len` bytes of a buffer, as far as they are initialised.
pub(crate) fn first(buf: &impl IoBuf, len: usize) -> &[u8] {
    let bytes = initialised(buf);
    &bytes[..len.min(bytes.len())]
}

/// Notes that the first `len` bytes of a buffer are initialised, or all of them if it has fewer.
///
/// # Safety
/// These bytes are initialised.
pub(crate) unsafe fn note_init(buf: &mut impl IoBufMut, len: usize) {
    let len = len.min(buf.total_len());
    // SAFETY: at most `total_len`, and the caller has promised that they are initialised.
    unsafe { buf.set_init(len) };
}

/// Notes that the first bytes of several buffers are initialised.
///
/// # Safety
/// The first `len` writable bytes, counted across the buffers, are initialised.
pub(crate) unsafe fn note_init_of_all(bufs: &mut impl IoVecMut, len: usize) {
    let len = len.min(bufs.total_capacity());
    // SAFETY: at most `total_capacity`, and the caller has promised that they are initialised.
    unsafe { bufs.set_init(len) };
}

/// Copies as many of `bytes` as fit to position `start` of a buffer, whose initialised bytes then end behind them.
///
/// Returns the number of bytes copied. Panics if `start` lies behind the initialised bytes.
pub(crate) fn fill(buf: &mut impl IoBufMut, start: usize, bytes: &[u8]) -> usize {
    let init = buf.init_len();
    assert!(start <= init, "cannot fill from byte {start}: only {init} bytes are initialised");
    let n = bytes.len().min(buf.total_len() - start);
    // SAFETY: `start + n` is at most `total_len`; the memory belongs to `buf` alone, so `bytes` lies
    // elsewhere; what is in front of `start` was initialised before, the rest is now.
    unsafe {
        buf.write_ptr().add(start).copy_from_nonoverlapping(bytes.as_ptr(), n);
        buf.set_init(start + n);
    }
    n
}

/// Implements `IoBuf` for a type with `as_ptr` and `len` for its bytes, all of them initialised.
macro_rules! readable {
    ($([$($generics:tt)*] $buf:ty;)*) => {$(
        // SAFETY: pointer and length are those of one live run of bytes, owned by the value, shared with
        // owners that can only read, or static. It is initialised and never null, and stays until a change.
        #[diagnostic::do_not_recommend]
        unsafe impl<$($generics)*> IoBuf for $buf {
            fn read_ptr(&self) -> *const u8 {
                self.as_ptr()
            }

            fn init_len(&self) -> usize {
                self.len()
            }
        }
    )*};
}

readable! {
    [] Vec<u8>;
    [] Box<[u8]>;
    [const N: usize] [u8; N];
    [] String;
    [] &'static [u8];
    [] &'static str;
}

/// Implements `IoBuf` for types that share their bytes with other owners, or may only borrow them.
macro_rules! shared {
    ($($buf:ty),*) => {$(
        // SAFETY: the bytes are initialised, lie outside of the value, and live as long as any owner. They cannot change
        // while there are two owners, and the only owner can change them only by mutating this value.
        #[diagnostic::do_not_recommend]
        unsafe impl IoBuf for $buf {
            fn read_ptr(&self) -> *const u8 {
                (**self).as_ptr()
            }

            fn init_len(&self) -> usize {
                (**self).len()
            }
        }
    )*};
}

shared!(Rc<[u8]>, Arc<[u8]>, Rc<str>, Arc<str>, Cow<'static, [u8]>, Cow<'static, str>);

// SAFETY: a `Vec` owns `capacity` bytes alone, never fewer than its length; setting the length moves nothing.
#[diagnostic::do_not_recommend]
unsafe impl IoBufMut for Vec<u8> {
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

// SAFETY: a box owns its bytes alone, and they are as many as can be read.
#[diagnostic::do_not_recommend]
unsafe impl IoBufMut for Box<[u8]> {
    fn write_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn total_len(&self) -> usize {
        self.len()
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= self.len(), "{len} bytes do not fit into the buffer");
    }
}

// SAFETY: an array is its bytes, and they are as many as can be read.
#[diagnostic::do_not_recommend]
unsafe impl<const N: usize> IoBufMut for [u8; N] {
    fn write_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn total_len(&self) -> usize {
        N
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= N, "{len} bytes do not fit into the buffer");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_readable_buffer_shows_its_bytes() {
        assert_eq!(initialised(&b"abc".to_vec()), b"abc");
        assert_eq!(initialised(&Box::<[u8]>::from(*b"abc")), b"abc");
        assert_eq!(initialised(b"abc"), b"abc");
        assert_eq!(initialised(&"abc".to_string()), b"abc");
        assert_eq!(initialised(&&b"abc"[..]), b"abc");
        assert_eq!(initialised(&"abc"), b"abc");
        assert_eq!(initialised(&Rc::<[u8]>::from(*b"abc")), b"abc");
        assert_eq!(initialised(&Arc::<[u8]>::from(*b"abc")), b"abc");
        assert_eq!(initialised(&Rc::<str>::from("abc")), b"abc");
        assert_eq!(initialised(&Arc::<str>::from("abc")), b"abc");
        assert_eq!(initialised(&Cow::Borrowed(&b"abc"[..])), b"abc");
        assert_eq!(initialised(&Cow::<[u8]>::Owned(b"abc".to_vec())), b"abc");
        assert_eq!(initialised(&Cow::Borrowed("abc")), b"abc");
        assert_eq!(initialised(&"abc".slice(1..)), b"bc");
    }

    #[test]
    fn empty_buffers_have_a_pointer() {
        assert!(!Vec::<u8>::new().read_ptr().is_null());
        assert_eq!(initialised(&Vec::new()), b"");
        assert_eq!(initialised(&[0u8; 0]), b"");
        assert_eq!(fill(&mut Vec::new(), 0, b"abc"), 0);
    }

    #[test]
    fn fill_sets_the_length_of_a_vec() {
        let mut buf = Vec::with_capacity(6);
        let room = buf.capacity();
        assert_eq!(fill(&mut buf, 0, b"abcd"), 4);
        assert_eq!(fill(&mut buf, 4, &[b'x'; 99]), room - 4);
        assert_eq!(buf.len(), room);
        assert_eq!(fill(&mut buf, 1, b"yz"), 2);
        assert_eq!(buf, b"ayz");
        assert_eq!(fill(&mut buf, 0, b""), 0);
        assert!(buf.is_empty());
    }

    #[test]
    fn fill_keeps_the_rest_of_arrays_and_boxes() {
        let mut array = *b"abcdef";
        assert_eq!(fill(&mut array, 1, b"XY"), 2);
        assert_eq!(&array, b"aXYdef");
        let mut boxed = Box::<[u8]>::from(*b"abcdef");
        assert_eq!(fill(&mut boxed, 4, b"XYZ"), 2);
        assert_eq!(&boxed[..], b"abcdXY");
        assert_eq!(fill(&mut boxed, 6, b"XYZ"), 0);
    }

    #[test]
    #[should_panic(expected = "cannot fill from byte 1: only 0 bytes are initialised")]
    fn fill_leaves_no_gap() {
        fill(&mut Vec::with_capacity(8), 1, b"abc");
    }
}
