//! The part of a buffer that one step of a transfer moves.
#![forbid(unsafe_code)]

use crate::buf::{IoBuf, IoBufMut};

/// The part of a buffer that a step is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

impl Window {
    /// At most what a 32-bit length field takes, in whole pages: the kernel's own limit for one transfer.
    const KERNEL_LIMIT: usize = 0x7fff_f000;

    pub(crate) fn new(total: usize, done: usize, limit: usize) -> Self {
        Window { start: done, len: total.saturating_sub(done).min(limit).min(Self::KERNEL_LIMIT) }
    }

    /// Where the window begins in a buffer that is to be read. It is cut to what the buffer has where it lies now: the
    /// window may have been made before the buffer moved.
    #[inline]
    pub(crate) fn source(&mut self, buf: &impl IoBuf) -> *const u8 {
        self.cut(buf.init_len());
        buf.read_ptr().wrapping_add(self.start)
    }

    /// The same of a buffer that is to be written into.
    #[inline]
    pub(crate) fn target(&mut self, buf: &mut impl IoBufMut) -> *mut u8 {
        self.cut(buf.total_len());
        buf.write_ptr().wrapping_add(self.start)
    }

    #[inline]
    fn cut(&mut self, total: usize) {
        self.len = self.len.min(total.saturating_sub(self.start));
    }

    /// The length for a field of the queue entry.
    pub(crate) fn len32(self) -> u32 {
        self.len as u32 // `new` limits it
    }
}
