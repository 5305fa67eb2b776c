//! A window onto an owned buffer, which is itself an owned buffer.
//!
//! Knows only the buffer traits: not what the buffer is, and not which operation uses the window.

use std::ops::{Bound, Deref, RangeBounds};

use super::{IoBuf, IoBufMut, Registration, initialised};

/// A part of an owned buffer, given to an operation in place of the whole.
///
/// Made by [`IoBuf::slice`]. All positions are in bytes from the start of the buffer inside. The end may lie beyond the
/// end of that buffer: it is clamped whenever the window is used. The window dereferences to the initialised bytes in
/// it.
///
/// Reading `n` bytes into the window leaves exactly `begin + n` bytes initialised in the buffer inside, so a `Vec`
/// loses the bytes that followed.
///
/// ```
/// use proactor::buf::IoBuf;
///
/// let window = b"hello, world".to_vec().slice(7..);
/// assert_eq!(&window[..], b"world");
/// assert_eq!(window.into_inner(), b"hello, world");
/// ```
#[derive(Debug, Clone)]
pub struct Slice<T> {
    inner: T,
    begin: usize,
    /// First position behind the window; `usize::MAX` for an open end.
    end: usize,
}

/// Returns the start of a range, and the position behind it: `usize::MAX` for an open end.
pub(super) fn bounds(range: &impl RangeBounds<usize>) -> (usize, usize) {
    let begin = match range.start_bound() {
        Bound::Included(&at) => at,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&at) => at,
        Bound::Unbounded => usize::MAX,
    };
    (begin, end)
}

impl<T: IoBuf> Slice<T> {
    /// Checks `range` against `inner` and makes the window.
    #[track_caller]
    pub(super) fn new<R: RangeBounds<usize>>(inner: T, range: R) -> Self {
        let (begin, end) = bounds(&range);
        assert!(begin <= end, "slice begins at byte {begin}, after its end at byte {end}");
        let init = inner.init_len();
        assert!(begin <= init, "slice begins at byte {begin}, but only {init} bytes are initialised");
        Self { inner, begin, end }
    }
}

impl<T> Slice<T> {
    /// Returns the position where the window begins, in bytes.
    ///
    /// ```
    /// use proactor::buf::IoBuf;
    ///
    /// assert_eq!([0u8; 8].slice(2..5).begin(), 2);
    /// ```
    pub fn begin(&self) -> usize {
        self.begin
    }

    /// Returns the position after the window, in bytes, as it was requested.
    ///
    /// It is `usize::MAX` for a window with an open end, and may be more than the buffer holds.
    ///
    /// ```
    /// use proactor::buf::IoBuf;
    ///
    /// assert_eq!([0u8; 8].slice(2..5).end(), 5);
    /// assert_eq!([0u8; 8].slice(2..).end(), usize::MAX);
    /// ```
    pub fn end(&self) -> usize {
        self.end
    }

    /// Returns the whole buffer.
    ///
    /// ```
    /// use proactor::buf::IoBuf;
    ///
    /// assert_eq!([1u8, 2, 3].slice(1..2).into_inner(), [1, 2, 3]);
    /// ```
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Returns a reference to the whole buffer.
    ///
    /// ```
    /// use proactor::buf::IoBuf;
    ///
    /// assert_eq!([1u8, 2, 3].slice(1..2).get_ref(), &[1, 2, 3]);
    /// ```
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns a mutable reference to the whole buffer.
    ///
    /// A buffer that is left with fewer initialised bytes than [`begin`](Slice::begin) makes the window
    /// empty, for reading and for writing, until it has grown again.
    ///
    /// ```
    /// use proactor::buf::IoBuf;
    ///
    /// let mut window = vec![1u8, 2, 3].slice(1..);
    /// window.get_mut().push(4);
    /// assert_eq!(&window[..], [2, 3, 4]);
    /// window.get_mut().clear();
    /// assert!(window.is_empty());
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: IoBuf> Deref for Slice<T> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        initialised(self)
    }
}

// SAFETY: the window lies inside the initialised bytes of `inner`, as `begin` and `end` are both cut to them
// here, and `inner` keeps those in place while neither it nor the slice around it moves or changes.
#[diagnostic::do_not_recommend]
unsafe impl<T: IoBuf> IoBuf for Slice<T> {
    fn read_ptr(&self) -> *const u8 {
        let begin = self.begin.min(self.inner.init_len());
        // SAFETY: at most `init_len` bytes further, so within the buffer or right behind it.
        unsafe { self.inner.read_ptr().add(begin) }
    }

    fn registration(&self) -> Option<Registration> {
        self.inner.registration()
    }

    fn init_len(&self) -> usize {
        self.end.min(self.inner.init_len()).saturating_sub(self.begin)
    }
}

// SAFETY: as above with the writable bytes of `inner`, which begin where its initialised ones do. A window
// whose first byte is no longer behind initialised ones counts as empty, so `set_init` never leaves a gap.
#[diagnostic::do_not_recommend]
unsafe impl<T: IoBufMut> IoBufMut for Slice<T> {
    fn write_ptr(&mut self) -> *mut u8 {
        let begin = self.begin.min(self.inner.init_len());
        // SAFETY: at most `init_len` bytes further, which is no more than `total_len`.
        unsafe { self.inner.write_ptr().add(begin) }
    }

    fn total_len(&self) -> usize {
        if self.begin > self.inner.init_len() {
            return 0;
        }
        self.end.min(self.inner.total_len()).saturating_sub(self.begin)
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= self.total_len(), "{len} bytes do not fit into the window");
        let begin = self.begin.min(self.inner.init_len());
        // SAFETY: the bytes in front of the window are initialised already, the caller vouches for `len`.
        unsafe { self.inner.set_init(begin + len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::fill;
    use proptest::prelude::*;

    fn with_capacity(bytes: &[u8], spare: usize) -> Vec<u8> {
        let mut buf = Vec::with_capacity(bytes.len() + spare);
        buf.extend_from_slice(bytes);
        buf
    }

    #[test]
    fn all_kinds_of_range() {
        let window = |range: (Bound<usize>, Bound<usize>)| b"abcdef".to_vec().slice(range).to_vec();
        assert_eq!(window((Bound::Unbounded, Bound::Unbounded)), b"abcdef");
        assert_eq!(window((Bound::Excluded(1), Bound::Excluded(4))), b"cd");
        assert_eq!(window((Bound::Included(1), Bound::Included(4))), b"bcde");
        assert_eq!(window((Bound::Included(6), Bound::Included(usize::MAX))), b"");
    }

    #[test]
    #[should_panic(expected = "slice begins at byte 4, after its end at byte 2")]
    fn begin_behind_end() {
        let (begin, end) = (4, 2);
        let _ = [0u8; 8].slice(begin..end);
    }

    #[test]
    #[should_panic(expected = "slice begins at byte 3, but only 2 bytes are initialised")]
    fn begin_behind_initialised() {
        let _ = with_capacity(b"ab", 8).slice(3..);
    }

    #[test]
    #[should_panic(expected = "slice begins at byte 18446744073709551615")]
    #[cfg(target_pointer_width = "64")]
    fn begin_does_not_wrap() {
        let _ = [0u8; 2].slice((Bound::Excluded(usize::MAX), Bound::Unbounded));
    }

    #[test]
    fn appends_behind_initialised() {
        let mut window = with_capacity(b"ab", 8).slice(2..);
        let room = window.total_len();
        assert!(window.init_len() == 0 && room >= 8);
        assert_eq!(fill(&mut window, 0, b"cde"), 3);
        assert_eq!(window.into_inner(), b"abcde");
    }

    #[test]
    fn shortened_inner_leaves_an_empty_window() {
        let mut window = with_capacity(b"abcdef", 8).slice(4..);
        *window.get_mut() = with_capacity(b"x", 100);
        assert_eq!((window.init_len(), window.total_len()), (0, 0));
        assert_eq!(fill(&mut window, 0, b"yz"), 0);
        assert_eq!(window.into_inner(), b"x");
    }

    proptest! {
        /// A window in a window shows what plain slices of the same bytes show.
        #[test]
        fn window_in_window(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            a in 0usize..50, b in 0usize..50, c in 0usize..50, d in 0usize..50, open in any::<(bool, bool)>(),
        ) {
            let a = a.min(bytes.len());
            let outer_end = if open.0 { usize::MAX } else { a + b };
            let outer_model = &bytes[a..outer_end.min(bytes.len())];
            let outer = bytes.clone().slice(a..outer_end);
            prop_assert_eq!(&outer[..], outer_model);
            prop_assert_eq!((outer.begin(), outer.end()), (a, outer_end));

            let c = c.min(outer_model.len());
            let inner_end = if open.1 { usize::MAX } else { c + d };
            let inner = outer.slice(c..inner_end);
            prop_assert_eq!(&inner[..], &outer_model[c..inner_end.min(outer_model.len())]);
            prop_assert_eq!(inner.into_inner().into_inner(), bytes);
        }

        /// Filling a window in a window touches only bytes in both, and sets the length of the `Vec` inside.
        #[test]
        fn filling(
            bytes in prop::collection::vec(any::<u8>(), 0..40), spare in 0usize..40,
            a in 0usize..50, b in 0usize..90, c in 0usize..50, d in 0usize..90,
            new in prop::collection::vec(any::<u8>(), 0..90),
        ) {
            let buf = with_capacity(&bytes, spare);
            let capacity = buf.capacity();
            let a = a.min(bytes.len());
            let outer = buf.slice(a..a + b);
            let c = c.min(outer.init_len());
            let mut inner = outer.slice(c..c + d);

            let room = (a + b).min(a + c + d).min(capacity) - (a + c);
            prop_assert_eq!(inner.total_len(), room);
            prop_assert!(inner.init_len() <= room);

            let n = fill(&mut inner, 0, &new);
            prop_assert_eq!(n, new.len().min(room));
            prop_assert_eq!(&inner[..], &new[..n]);
            let mut model = bytes[..a + c].to_vec();
            model.extend_from_slice(&new[..n]);
            prop_assert_eq!(inner.into_inner().into_inner(), model);
        }

        /// An array keeps what lies behind the bytes filled in.
        #[test]
        fn filling_an_array(a in 0usize..=16, b in 0usize..20, new in prop::collection::vec(1u8.., 0..20)) {
            let mut window = [0u8; 16].slice(a..a + b);
            prop_assert_eq!(window.total_len(), window.init_len());
            let n = fill(&mut window, 0, &new);
            prop_assert_eq!(n, new.len().min(b).min(16 - a));
            let mut model = [0u8; 16];
            model[a..a + n].copy_from_slice(&new[..n]);
            prop_assert_eq!(window.into_inner(), model);
        }
    }
}
