//! Several owned buffers used as one, and the list of pointers the kernel wants for them.
//!
//! Knows the buffer traits and the layout of `iovec`, not the operations: those say how many bytes to skip
//! and how many to cover.

use std::ffi::c_void;
use std::ptr;

use super::{IoBuf, IoBufMut};

/// Several owned buffers read one after the other, as the source of a gathering write.
///
/// # Safety
///
/// Every run of bytes that `for_each_read` reports is initialised and readable, with a pointer that is not
/// null. The runs and their contents stay the same as long as the value is neither moved nor mutated. A move may
/// change their addresses; *it never changes their number and lengths*.
///
/// ```
/// use proactor::buf::IoVec;
///
/// assert_eq!(vec!["head", "body"].total_init(), 8);
/// assert_eq!([vec![1u8], vec![2, 3]].total_init(), 3);
/// assert_eq!(("head", vec![1u8, 2]).total_init(), 6);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the buffers of a vectored operation: an operation owns its buffers",
    label = "this is not a `Vec`, array or tuple of owned buffers",
    note = "pass the buffers themselves, as in `let (count, bufs) = stream.write_vectored((head, body)).await?`: they come back \
            with the result"
)]
pub unsafe trait IoVec: 'static {
    /// Returns how many bytes are initialised in all buffers together.
    ///
    /// ```
    /// use proactor::buf::IoVec;
    ///
    /// assert_eq!(["ab", "", "cde"].total_init(), 5);
    /// ```
    fn total_init(&self) -> usize;

    /// Reports address and initialised length of every buffer, front to back.
    ///
    /// ```
    /// use proactor::buf::IoVec;
    ///
    /// let mut lengths = Vec::new();
    /// ["ab", "", "cde"].for_each_read(&mut |_, len| lengths.push(len));
    /// assert_eq!(lengths, [2, 0, 3]);
    /// ```
    #[doc(hidden)]
    fn for_each_read(&self, f: &mut dyn FnMut(*const u8, usize));
}

/// Several owned buffers written one after the other, as the target of a scattering read.
///
/// # Safety
///
/// Every run of bytes that `for_each_write` reports belongs to this value alone and may be written; no two
/// overlap, and no pointer is null. The runs stay the same as long as the value is neither moved nor mutated;
/// writing through the pointers and [`set_init`](IoVecMut::set_init) do not change them. A move may change their
/// addresses; *it never changes their number and lengths*.
///
/// ```
/// use proactor::buf::IoVecMut;
///
/// assert_eq!(vec![[0u8; 16], [0; 16]].total_capacity(), 32);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the buffers that a vectored operation fills: an operation owns its buffers",
    label = "this is not a `Vec`, array or tuple of owned buffers that can be written",
    note = "pass the buffers themselves, as in `let (count, bufs) = stream.read_vectored((head, body)).await?`: they come back \
            with the result"
)]
pub unsafe trait IoVecMut: IoVec {
    /// Returns how many bytes may be written in all buffers together.
    ///
    /// ```
    /// use proactor::buf::IoVecMut;
    ///
    /// assert_eq!([[0u8; 4], [0; 4], [0; 4]].total_capacity(), 12);
    /// ```
    fn total_capacity(&self) -> usize;

    /// Reports address and writable length of every buffer, front to back.
    ///
    /// ```
    /// use proactor::buf::IoVecMut;
    ///
    /// let mut lengths = Vec::new();
    /// [[0u8; 4], [0; 4]].for_each_write(&mut |_, len| lengths.push(len));
    /// assert_eq!(lengths, [4, 4]);
    /// ```
    #[doc(hidden)]
    fn for_each_write(&mut self, f: &mut dyn FnMut(*mut u8, usize));

    /// Declares that the first `len` bytes, counted across the buffers, are initialised.
    ///
    /// The buffers at the front are full, at most one is partly filled, and those after it are empty.
    ///
    /// # Safety
    ///
    /// `len` is at most [`total_capacity`](IoVecMut::total_capacity), and the first `len` writable bytes are
    /// initialised.
    ///
    /// ```
    /// use proactor::buf::IoVecMut;
    ///
    /// let mut bufs = vec![vec![1u8, 2], vec![3, 4]];
    /// assert_eq!(bufs[0].capacity(), 2);
    /// // SAFETY: all four bytes are initialised.
    /// unsafe { bufs.set_init(3) };
    /// assert_eq!(bufs, [vec![1, 2], vec![3]]);
    /// ```
    unsafe fn set_init(&mut self, len: usize);
}

/// Implements both traits for a sequence of buffers.
macro_rules! sequence {
    ($([$($generics:tt)*] $bufs:ty;)*) => {$(
        // SAFETY: the runs are those of the buffers, which lie in this value or are owned by it, and move or
        // change only when it does.
        #[diagnostic::do_not_recommend]
        unsafe impl<B: IoBuf $($generics)*> IoVec for $bufs {
            fn total_init(&self) -> usize {
                self.iter().fold(0, |sum, buf| sum.saturating_add(buf.init_len()))
            }

            fn for_each_read(&self, f: &mut dyn FnMut(*const u8, usize)) {
                self.iter().for_each(|buf| f(buf.read_ptr(), buf.init_len()));
            }
        }

        // SAFETY: as above; each buffer owns its writable bytes alone, so no two of them share any.
        #[diagnostic::do_not_recommend]
        unsafe impl<B: IoBufMut $($generics)*> IoVecMut for $bufs {
            fn total_capacity(&self) -> usize {
                self.iter().fold(0, |sum, buf| sum.saturating_add(buf.total_len()))
            }

            fn for_each_write(&mut self, f: &mut dyn FnMut(*mut u8, usize)) {
                self.iter_mut().for_each(|buf| f(buf.write_ptr(), buf.total_len()));
            }

            unsafe fn set_init(&mut self, len: usize) {
                // SAFETY: passed on from the caller.
                unsafe { spread(self, len) }
            }
        }
    )*};
}

sequence! {
    [] Vec<B>;
    [, const N: usize] [B; N];
}

/// Implements both traits for a tuple of buffers, which may be of different types.
macro_rules! tuple {
    ($(($($buf:ident)+);)*) => {$(
        // SAFETY: the runs are those of the buffers, which lie in this value, and move or change only when it does.
        #[diagnostic::do_not_recommend]
        unsafe impl<$($buf: IoBuf),+> IoVec for ($($buf,)+) {
            #[expect(non_snake_case, reason = "named like their types")]
            fn total_init(&self) -> usize {
                let ($($buf,)+) = self;
                [$($buf.init_len()),+].into_iter().fold(0, usize::saturating_add)
            }

            #[expect(non_snake_case, reason = "named like their types")]
            fn for_each_read(&self, f: &mut dyn FnMut(*const u8, usize)) {
                let ($($buf,)+) = self;
                $(f($buf.read_ptr(), $buf.init_len());)+
            }
        }

        // SAFETY: as above; each buffer owns its writable bytes alone, so no two of them share any.
        #[diagnostic::do_not_recommend]
        unsafe impl<$($buf: IoBufMut),+> IoVecMut for ($($buf,)+) {
            #[expect(non_snake_case, reason = "named like their types")]
            fn total_capacity(&self) -> usize {
                let ($($buf,)+) = self;
                [$($buf.total_len()),+].into_iter().fold(0, usize::saturating_add)
            }

            #[expect(non_snake_case, reason = "named like their types")]
            fn for_each_write(&mut self, f: &mut dyn FnMut(*mut u8, usize)) {
                let ($($buf,)+) = self;
                $(f($buf.write_ptr(), $buf.total_len());)+
            }

            #[expect(non_snake_case, reason = "named like their types")]
            unsafe fn set_init(&mut self, len: usize) {
                let ($($buf,)+) = self;
                let mut left = len;
                $(
                    let here = left.min($buf.total_len());
                    // SAFETY: `here` fits into the buffer, and these bytes are among the first `len` of all.
                    unsafe { $buf.set_init(here) };
                    left -= here;
                )+
                debug_assert_eq!(left, 0, "{len} bytes do not fit into the buffers");
            }
        }
    )*};
}

tuple! {
    (A B);
    (A B C);
    (A B C D);
}

/// Spreads `len` initialised bytes over the buffers, front to back.
///
/// # Safety
///
/// The first `len` writable bytes of the buffers, counted across them, exist and are initialised.
unsafe fn spread<B: IoBufMut>(bufs: &mut [B], len: usize) {
    let mut left = len;
    for buf in bufs {
        let here = left.min(buf.total_len());
        // SAFETY: `here` fits into the buffer, and these bytes are among the first `len` of all.
        unsafe { buf.set_init(here) };
        left -= here;
    }
    debug_assert_eq!(left, 0, "{len} bytes do not fit into the buffers");
}

/// The number of entries that need no allocation.
const INLINE: usize = 8;

/// The maximum number of entries that the kernel takes at once (`IOV_MAX`).
const MOST: usize = 1024;

const NOTHING: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };

/// The list of pointers and lengths the kernel takes for several buffers.
///
/// The pointers are good only while the buffers they were taken from stay in place and unchanged, and
/// [`as_ptr`](IoVecs::as_ptr) only while this list does: both are to be placed before the list is filled.
pub(crate) struct IoVecs {
    inline: [libc::iovec; INLINE],
    /// All entries, if they do not fit inline; otherwise empty.
    heap: Vec<libc::iovec>,
    len: usize,
}

impl IoVecs {
    /// Makes an empty list.
    pub(crate) fn new() -> Self {
        Self { inline: [NOTHING; INLINE], heap: Vec::new(), len: 0 }
    }

    /// Rebuilds the list from the initialised bytes of `bufs`, without the first `skip`, up to `limit`.
    ///
    /// Returns how many bytes the list covers: fewer than `limit` where the buffers end or the list is full.
    pub(crate) fn fill_read<V: IoVec>(&mut self, bufs: &V, skip: usize, limit: usize) -> usize {
        let mut filling = Filling::new(self, skip, limit);
        bufs.for_each_read(&mut |ptr, len| filling.add(ptr.cast_mut(), len));
        filling.covered
    }

    /// Rebuilds the list from the writable bytes of `bufs`, without the first `skip`, up to `limit`.
    ///
    /// Returns how many bytes the list covers: fewer than `limit` where the buffers end or the list is full.
    pub(crate) fn fill_write<V: IoVecMut>(&mut self, bufs: &mut V, skip: usize, limit: usize) -> usize {
        let mut filling = Filling::new(self, skip, limit);
        bufs.for_each_write(&mut |ptr, len| filling.add(ptr, len));
        filling.covered
    }

    /// Returns the address of the first entry.
    pub(crate) fn as_ptr(&self) -> *const libc::iovec {
        if self.heap.is_empty() { self.inline.as_ptr() } else { self.heap.as_ptr() }
    }

    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn push(&mut self, entry: libc::iovec) {
        if self.len < INLINE {
            self.inline[self.len] = entry;
        } else {
            if self.len == INLINE {
                self.heap.extend_from_slice(&self.inline);
            }
            self.heap.push(entry);
        }
        self.len += 1;
    }
}

/// The state of a list that is being rebuilt.
struct Filling<'a> {
    list: &'a mut IoVecs,
    skip: usize,
    left: usize,
    covered: usize,
}

impl<'a> Filling<'a> {
    fn new(list: &'a mut IoVecs, skip: usize, limit: usize) -> Self {
        list.len = 0;
        list.heap.clear();
        Self { list, skip, left: limit, covered: 0 }
    }

    fn add(&mut self, ptr: *mut u8, len: usize) {
        let skipped = self.skip.min(len);
        self.skip -= skipped;
        let len = (len - skipped).min(self.left);
        if len == 0 || self.list.len == MOST {
            return;
        }
        self.left -= len;
        self.covered += len;
        // Lies within the run, as `skipped` is less than its length.
        let base = ptr.wrapping_add(skipped).cast::<c_void>();
        self.list.push(libc::iovec { iov_base: base, iov_len: len });
    }
}

#[cfg(test)]
#[path = "vectored_tests.rs"]
mod tests;
