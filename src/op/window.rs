//! The part of a buffer that one step of a transfer moves.
#![forbid(unsafe_code)]

use crate::buf::{IoBuf, IoBufMut};

/// The part of a buffer that one step moves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

impl Window {
    /// The kernel's limit for one transfer: the whole pages that a 32-bit length can count.
    const KERNEL_LIMIT: usize = 0x7fff_f000;

    pub(crate) fn new(total: usize, done: usize, limit: usize) -> Self {
        Window { start: done, len: total.saturating_sub(done).min(limit).min(Self::KERNEL_LIMIT) }
    }

    /// Returns the start of the window in a buffer to read from, and cuts the window to the buffer's present size. The window
    /// may have been made before the buffer moved.
    #[inline]
    pub(crate) fn source(&mut self, buf: &impl IoBuf) -> *const u8 {
        self.cut(buf.init_len());
        buf.read_ptr().wrapping_add(self.start)
    }

    /// Returns the start of the window in a buffer to write into, and cuts the window to the buffer's present size.
    #[inline]
    pub(crate) fn target(&mut self, buf: &mut impl IoBufMut) -> *mut u8 {
        self.cut(buf.total_len());
        buf.write_ptr().wrapping_add(self.start)
    }

    #[inline]
    fn cut(&mut self, total: usize) {
        self.len = self.len.min(total.saturating_sub(self.start));
    }

    /// Returns the length for an entry of the queue.
    pub(crate) fn len32(self) -> u32 {
        self.len as u32 // `new` limits it
    }
}
