//! A ring of provided buffers, which the process shares with the kernel.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

/// A ring of buffers from which the kernel takes one when data arrives: see io_uring_register(2),
/// IORING_REGISTER_PBUF_RING. Its memory belongs to the process; the kernel holds its own reference to the pages.
#[derive(Debug)]
pub(crate) struct BufferRing {
    entries: NonNull<BufRingEntry>,
    group: u16,
    tail: u16,
    incremental: bool,
}

impl BufferRing {
    /// The capacity: one page of entries.
    pub(in crate::driver) const ENTRIES: u16 = 256;

    fn layout() -> Layout {
        Layout::from_size_align(size_of::<BufRingEntry>() * usize::from(Self::ENTRIES), 4_096)
            .expect("a page is a layout")
    }

    pub(in crate::driver) fn new(group: u16, incremental: bool) -> Self {
        let layout = Self::layout();
        // SAFETY: the layout is not of size zero.
        let memory = unsafe { alloc_zeroed(layout) };
        let entries = NonNull::new(memory.cast()).unwrap_or_else(|| handle_alloc_error(layout));
        BufferRing { entries, group, tail: 0, incremental }
    }

    /// Returns the address of the ring, for the kernel.
    pub(in crate::driver) fn address(&self) -> u64 {
        self.entries.as_ptr().expose_provenance() as u64
    }

    pub(super) fn group(&self) -> u16 {
        self.group
    }

    pub(super) fn entries(&self) -> usize {
        usize::from(Self::ENTRIES)
    }

    /// Returns true if one buffer takes several receives.
    pub(in crate::driver) fn is_incremental(&self) -> bool {
        self.incremental
    }

    /// Returns the position of the next buffer.
    pub(super) fn next_position(&self) -> u16 {
        self.tail % Self::ENTRIES
    }

    /// Adds a buffer. The caller ensures that there is room. The kernel sees the buffer after `publish`.
    pub(super) fn push(&mut self, memory: NonNull<u8>, len: usize, id: u16) {
        // SAFETY: within the entries; the kernel does not look there before the tail says so. The tail itself lies in
        // a part of the first entry that the setters leave alone.
        let entry = unsafe { self.entries.add(usize::from(self.next_position())).as_mut() };
        entry.set_addr(memory.as_ptr().expose_provenance() as u64);
        entry.set_len(len as u32); // buffers are smaller than 4 GiB: see Config
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Publishes the added buffers to the kernel.
    pub(super) fn publish(&mut self) {
        // SAFETY: the tail lies in the first entry, is aligned, and the kernel only reads it.
        let tail = unsafe { &*BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        // SAFETY: `new` made it with this layout. The kernel has the pages for itself, as long as it wants them.
        unsafe { dealloc(self.entries.as_ptr().cast(), Self::layout()) };
    }
}
