//! `Lease`: a counted reference to a buffer.

use std::alloc::{Layout, alloc, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;

use super::Shared;
use crate::sys::sync::atomic::{AtomicU32, Ordering, fence};
use crate::sys::sync::dealloc;

/// The header of a buffer: its count, and its address.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) references: AtomicU32,
    pub(super) index: u32,
    pub(super) len: usize,
    pub(super) memory: NonNull<u8>,
    /// None for a buffer that belongs to no pool.
    pub(super) pool: Option<NonNull<Shared>>,
}

/// A counted reference to a buffer. The drop of the last one gives the buffer back, on any thread.
pub(crate) struct Lease(pub(super) NonNull<Header>);

// SAFETY: the count is atomic, what a lease gives access to are raw pointers, and giving back asks for the thread.
unsafe impl Send for Lease {}
// SAFETY: as above.
unsafe impl Sync for Lease {}

impl Lease {
    /// Allocates a buffer that belongs to no pool, of exactly `len` bytes.
    pub(crate) fn alone(len: usize) -> Self {
        let (layout, offset) = alone(len);
        // SAFETY: the layout has the header's size at least, which is not zero.
        let memory = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        let header = memory.cast::<Header>();
        // SAFETY: the allocation begins with room for a header, and `offset` lies within it or right behind.
        unsafe {
            let data = memory.add(offset);
            header.write(Header { references: AtomicU32::new(1), index: 0, len, memory: data, pool: None });
        }
        Lease(header)
    }

    fn header(&self) -> &Header {
        // SAFETY: a header lives as long as there are references to its buffer.
        unsafe { self.0.as_ref() }
    }

    /// Returns the address of the buffer.
    pub(crate) fn memory(&self) -> NonNull<u8> {
        self.header().memory
    }

    /// Returns the size of the buffer in bytes.
    pub(crate) fn len(&self) -> usize {
        self.header().len
    }

    /// Returns the number of the buffer within its pool.
    pub(crate) fn index(&self) -> u32 {
        self.header().index
    }

    /// Returns the number of references, this one included.
    pub(crate) fn references(&self) -> u32 {
        self.header().references.load(Ordering::Relaxed)
    }

    /// Whether the buffer belongs to a pool.
    pub(crate) fn is_pooled(&self) -> bool {
        self.header().pool.is_some()
    }

    /// Whether this is the only reference, so that no other thread reads the memory any more.
    pub(crate) fn is_only(&self) -> bool {
        // Acquire: all uses of the memory by references that were dropped happen before this.
        self.header().references.load(Ordering::Acquire) == 1
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        // Relaxed: the owner of a reference may make another, as with `Arc`.
        let before = self.header().references.fetch_add(1, Ordering::Relaxed);
        if before > i32::MAX as u32 {
            std::process::abort(); // a leak in a loop: the count would overflow, as in `Arc`
        }
        Lease(self.0)
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        // The only owner needs no read-modify-write: no other reference exists from which one could be made.
        if !self.is_only() {
            if self.header().references.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence(Ordering::Acquire); // see `is_only`
        }
        let header = self.header();
        match header.pool {
            // SAFETY: a pool's shared part lives as long as one of its buffers is out.
            Some(pool) => unsafe { Shared::give_back(pool, header.index) },
            None => {
                let (layout, _) = alone(header.len);
                // SAFETY: `alone` made it with this layout, and this was the last reference.
                unsafe { dealloc(self.0.as_ptr().cast(), layout) };
            }
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.header().fmt(f)
    }
}

/// Returns the layout of a buffer without a pool, header first, and the offset of its bytes.
fn alone(len: usize) -> (Layout, usize) {
    let bytes = Layout::array::<u8>(len).expect("a buffer is smaller than the address space");
    Layout::new::<Header>().extend(bytes).expect("a buffer is smaller than the address space")
}
