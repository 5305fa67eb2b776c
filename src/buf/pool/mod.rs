//! The memory behind chunks: buffers of one size, counted, taken and given back last in, first out.
//!
//! A pool belongs to one loop. Its chunks may be dropped on any thread, and after the pool was dropped. So a buffer's
//! count is atomic, though a buffer with one owner, the common case, is given back after a mere load of it. On the
//! pool's own thread it goes back onto a plain stack; from other threads into a list under a lock, which the pool
//! empties when its stack is empty. When the pool is closed, it counts the buffers that are still out, and the last of
//! them to come back frees the memory.
//!
//! It grows block by block, on demand, up to a number of buffers; pages that were never written to cost nothing.
//! It knows neither kernel nor operations.

mod lease;
#[cfg(test)]
mod tests;

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::PoisonError;

use crate::sys::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use crate::sys::sync::{Mutex, MutexGuard, dealloc, thread_local};

use lease::Header;
pub(crate) use lease::Lease;

/// Buffers of a block.
const BLOCK: usize = 16;
/// Buffers begin where pages do.
const PAGE: usize = 4_096;

/// Buffers of one size, for one loop. Its methods are for the thread that made it.
pub(crate) struct Pool {
    shared: NonNull<Shared>,
    thread: PhantomData<*const ()>,
}

struct Shared {
    /// The number of the pool's thread; 0 when the pool has been closed.
    home: AtomicUsize,
    buffer_len: usize,
    max: usize,
    local: Local,
    /// The number of buffers in `away`, so that the lock is not taken if there are none.
    returned: AtomicUsize,
    away: Mutex<Away>,
    /// The number of references to this: one of the pool; one of each thread that returns a buffer, while it does; and one of
    /// each buffer that is out, once the pool has been closed. The last reference frees everything. A reference is dropped
    /// after the lock, so that the lock is unused by then.
    users: AtomicUsize,
}

/// State that only the pool's thread uses, and the last reference when it frees the pool.
struct Local {
    free: UnsafeCell<Vec<u32>>,
    blocks: UnsafeCell<Vec<Block>>,
    len: Cell<usize>,
}

/// Buffers that other threads have returned.
#[derive(Default)]
struct Away {
    returned: Vec<u32>,
    closed: bool,
}

struct Block {
    headers: NonNull<[Header; BLOCK]>,
    memory: NonNull<u8>,
}

impl Pool {
    /// Makes an empty pool that grows up to `max` buffers of `buffer_len` bytes.
    pub(crate) fn new(buffer_len: usize, max: usize) -> Self {
        let local = Local { free: UnsafeCell::default(), blocks: UnsafeCell::default(), len: Cell::new(0) };
        let shared = Box::new(Shared {
            home: AtomicUsize::new(here()),
            buffer_len,
            max,
            local,
            returned: AtomicUsize::new(0),
            away: Mutex::default(),
            users: AtomicUsize::new(1),
        });
        Pool { shared: NonNull::from(Box::leak(shared)), thread: PhantomData }
    }

    fn shared(&self) -> &Shared {
        // SAFETY: it is freed when the pool has been closed, at the earliest.
        unsafe { self.shared.as_ref() }
    }

    /// Returns the size of a buffer.
    pub(crate) fn buffer_len(&self) -> usize {
        self.shared().buffer_len
    }

    /// Returns the maximum number of buffers.
    pub(crate) fn max(&self) -> usize {
        self.shared().max
    }

    /// Returns the number of buffers that are not free, without the lock: a buffer that another thread is giving back may
    /// still count.
    #[inline]
    pub(crate) fn in_use(&self) -> usize {
        let shared = self.shared();
        // SAFETY: on the pool's thread, and nothing else borrows the stack.
        let free = unsafe { (*shared.local.free.get()).len() };
        shared.local.len.get() - free - shared.returned.load(Ordering::Relaxed)
    }

    /// Returns the number of buffers that are not free: chunks have them, or the kernel.
    pub(crate) fn out(&self) -> usize {
        self.out_beside(&self.shared().away())
    }

    fn out_beside(&self, away: &Away) -> usize {
        let local = &self.shared().local;
        // SAFETY: on the pool's thread, and nothing else borrows the stack.
        let free = unsafe { (*local.free.get()).len() };
        local.len.get() - free - away.returned.len()
    }

    /// Takes the free buffer that was given back last. Returns `None` if the maximum number of buffers is out.
    #[inline]
    pub(crate) fn take(&self) -> Option<Lease> {
        let shared = self.shared();
        // SAFETY: on the pool's thread, and nothing else borrows the stack.
        let index = match unsafe { (*shared.local.free.get()).pop() } {
            Some(index) => index,
            None => self.take_otherwise()?,
        };
        let header = shared.header(index);
        // SAFETY: it is free: there is no reference. The lock, or the thread, orders this after the last one's end.
        unsafe { header.as_ref() }.references.store(1, Ordering::Relaxed);
        Some(Lease(header))
    }

    /// Takes a buffer that came back from another thread, or one of a new block.
    #[cold]
    fn take_otherwise(&self) -> Option<u32> {
        let shared = self.shared();
        // SAFETY: on the pool's thread, and nothing else borrows the stack while this one runs.
        let free = unsafe { &mut *shared.local.free.get() };
        if shared.returned.load(Ordering::Relaxed) > 0 {
            let mut away = shared.away();
            free.append(&mut away.returned);
            shared.returned.store(0, Ordering::Relaxed);
        }
        if free.is_empty() {
            shared.grow(free, self.shared);
        }
        free.pop()
    }

    /// Returns a new reference to the buffer with this number.
    pub(crate) fn share(&self, index: u32) -> Lease {
        let header = self.shared().header(index);
        // SAFETY: not dropped: the clone is the reference that is new.
        let lease = std::mem::ManuallyDrop::new(Lease(header));
        Lease::clone(&lease)
    }

    /// Takes over a reference that was given up by [`std::mem::forget`].
    ///
    /// # Safety
    /// A reference to this buffer was forgotten, and is taken over once.
    #[inline]
    pub(crate) unsafe fn adopt(&self, index: u32) -> Lease {
        Lease(self.shared().header(index))
    }
}

impl Drop for Pool {
    /// Frees the memory now, or when the last buffer comes back.
    fn drop(&mut self) {
        let shared = self.shared();
        shared.home.store(0, Ordering::Relaxed); // from here on this thread is like any other
        let mut away = shared.away();
        away.closed = true;
        shared.users.fetch_add(self.out_beside(&away), Ordering::Relaxed);
        drop(away);
        // SAFETY: the pool's own use ends.
        unsafe { Shared::release(self.shared) };
    }
}

impl Shared {
    fn away(&self) -> MutexGuard<'_, Away> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn header(&self, index: u32) -> NonNull<Header> {
        // SAFETY: on the pool's thread; nothing changes the blocks in this statement, and they never move.
        let block = unsafe { &(&*self.local.blocks.get())[index as usize / BLOCK] };
        // SAFETY: the remainder is within the block.
        unsafe { block.headers.cast::<Header>().add(index as usize % BLOCK) }
    }

    /// Allocates another block, unless the pool has the maximum number of buffers.
    fn grow(&self, free: &mut Vec<u32>, this: NonNull<Shared>) {
        let first = self.local.len.get();
        let more = BLOCK.min(self.max.saturating_sub(first));
        if more == 0 {
            return;
        }
        let layout = self.block_layout();
        // Zeroed, as the kernel does not write all bytes of a datagram's header. Fresh pages are zeros anyway.
        // SAFETY: buffers are not of size zero.
        let memory =
            NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        let headers = Box::new(std::array::from_fn(|i| Header {
            references: AtomicU32::new(0),
            index: (first + i) as u32, // fewer than `max`, which is a 32-bit number
            len: self.buffer_len,
            // SAFETY: within the block.
            memory: unsafe { memory.add(i * self.buffer_len) },
            pool: Some(this),
        }));
        // SAFETY: on the pool's thread, and nothing borrows the blocks.
        unsafe {
            (*self.local.blocks.get()).push(Block { headers: NonNull::from(Box::leak(headers)), memory })
        };
        self.local.len.set(first + more);
        free.extend((first..first + more).rev().map(|index| index as u32));
    }

    fn block_layout(&self) -> Layout {
        Layout::from_size_align(self.buffer_len * BLOCK, PAGE)
            .expect("a block is smaller than the address space")
    }

    /// # Safety
    /// `this` is alive, and the last reference to its buffer `index` has just gone.
    unsafe fn give_back(this: NonNull<Shared>, index: u32) {
        // SAFETY: the caller has promised that it is alive, as this buffer is out.
        let shared = unsafe { this.as_ref() };
        if shared.home.load(Ordering::Relaxed) == here() {
            // SAFETY: on the pool's thread, and nothing else borrows the stack.
            unsafe { (*shared.local.free.get()).push(index) };
            return;
        }
        shared.users.fetch_add(1, Ordering::Relaxed);
        let mut away = shared.away();
        let closed = away.closed;
        if !closed {
            away.returned.push(index);
            shared.returned.store(away.returned.len(), Ordering::Relaxed);
        }
        drop(away);
        // SAFETY: the buffer, which was counted when the pool was closed, is not out any more; nor is this call.
        unsafe {
            if closed {
                Shared::release(this);
            }
            Shared::release(this);
        }
    }

    /// Drops one of the references that `users` counts.
    ///
    /// # Safety
    /// It was counted.
    unsafe fn release(this: NonNull<Shared>) {
        // SAFETY: the caller has promised that it is alive. All uses of the memory happen before its end.
        if unsafe { this.as_ref() }.users.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: there is no reference to a buffer, and no use of the lock.
            unsafe { Shared::free(this) };
        }
    }

    /// # Safety
    /// The pool has been closed, and there is no reference to a buffer. Called once.
    unsafe fn free(this: NonNull<Shared>) {
        // SAFETY: the caller has promised that there is no other reference to it.
        let shared = unsafe { &mut *this.as_ptr() };
        let layout = shared.block_layout();
        for block in shared.local.blocks.get_mut().drain(..) {
            // SAFETY: both were made by `grow`, with this layout, and are taken back once.
            unsafe {
                drop(Box::from_raw(block.headers.as_ptr()));
                dealloc(block.memory.as_ptr(), layout);
            }
        }
        // SAFETY: `Pool::new` leaked a box, which is taken back here; the models check the release.
        unsafe {
            this.drop_in_place();
            dealloc(this.as_ptr().cast(), Layout::new::<Shared>());
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared();
        f.debug_struct("Pool")
            .field("buffer_len", &shared.buffer_len)
            .field("buffers", &shared.local.len.get())
            .field("max", &shared.max)
            .finish_non_exhaustive()
    }
}

/// Returns a number that identifies this thread among those that live.
fn here() -> usize {
    thread_local! { static HERE: u8 = const { 0 } }
    HERE.with(|here| std::ptr::from_ref(here).addr())
}
