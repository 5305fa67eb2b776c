//! The memory behind chunks: buffers of one size, counted, taken and given back last in, first out.
//!
//! A pool belongs to one loop, and its chunks to anybody: they may be dropped on any thread, and after the pool has
//! gone. So a buffer's count is atomic, though a buffer with one owner, the common case, is given back after a mere
//! look at it. On the pool's own thread it goes back onto a plain stack; from elsewhere into a list under a lock,
//! which the pool empties when its stack has run out. When the pool is closed, the list counts what is still out,
//! and the last buffer to come back frees the memory.
//!
//! It grows block by block, on demand, up to a number of buffers; pages that were never written to cost nothing.
//! It knows neither kernel nor operations.

use std::alloc::{Layout, alloc, alloc_zeroed, handle_alloc_error};
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::PoisonError;

use crate::sys::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};
use crate::sys::sync::{Mutex, MutexGuard, dealloc, thread_local};

/// Buffers of a block.
const BLOCK: usize = 16;
/// Buffers begin where pages do.
const PAGE: usize = 4_096;

/// A buffer's count, and where it lies.
#[derive(Debug)]
struct Header {
    references: AtomicU32,
    index: u32,
    len: usize,
    memory: NonNull<u8>,
    /// None for a buffer that belongs to no pool.
    pool: Option<NonNull<Shared>>,
}

/// A counted reference to a buffer. The last one to go gives the buffer back, on whatever thread.
pub(crate) struct Lease(NonNull<Header>);

// SAFETY: the count is atomic, what a lease gives access to are raw pointers, and giving back asks for the thread.
unsafe impl Send for Lease {}
// SAFETY: as above.
unsafe impl Sync for Lease {}

impl Lease {
    /// A buffer that belongs to no pool, of exactly `len` bytes.
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

    /// Where the buffer begins.
    pub(crate) fn memory(&self) -> NonNull<u8> {
        self.header().memory
    }

    /// Its size in bytes.
    pub(crate) fn len(&self) -> usize {
        self.header().len
    }

    /// Its number within its pool.
    pub(crate) fn index(&self) -> u32 {
        self.header().index
    }

    /// How many references there are, this one included.
    pub(crate) fn references(&self) -> u32 {
        self.header().references.load(Ordering::Relaxed)
    }

    /// Whether it belongs to a pool.
    pub(crate) fn is_pooled(&self) -> bool {
        self.header().pool.is_some()
    }

    /// Whether this is the only reference, so that nobody else looks at the memory any more.
    pub(crate) fn is_only(&self) -> bool {
        // Acquire: what the others did with the memory before they let go lies before what happens now.
        self.header().references.load(Ordering::Acquire) == 1
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        // Relaxed: whoever has a reference may make another, as with `Arc`.
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
        // The only owner needs no read-modify-write: nobody else can make another reference.
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

/// The layout of a buffer of its own, header first, and where its bytes begin.
fn alone(len: usize) -> (Layout, usize) {
    let bytes = Layout::array::<u8>(len).expect("a buffer is smaller than the address space");
    Layout::new::<Header>().extend(bytes).expect("a buffer is smaller than the address space")
}

/// Buffers of one size, for one loop. Its methods are for the thread that made it.
pub(crate) struct Pool {
    shared: NonNull<Shared>,
    thread: PhantomData<*const ()>,
}

struct Shared {
    /// Names the pool's thread; 0 when the pool has been closed.
    home: AtomicUsize,
    buffer_len: usize,
    max: usize,
    local: Local,
    /// Buffers in `away`: a look suffices where there are none.
    returned: AtomicUsize,
    away: Mutex<Away>,
    /// Counts the references to this: one of the pool; one of each thread that returns a buffer, while it does; and one of
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
    /// A pool that grows up to `max` buffers of `buffer_len` bytes; it has none yet.
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

    /// The size of its buffers.
    pub(crate) fn buffer_len(&self) -> usize {
        self.shared().buffer_len
    }

    /// The most buffers that it has.
    pub(crate) fn max(&self) -> usize {
        self.shared().max
    }

    /// Buffers that are not free, counted without the lock: one that another thread gives back just now may still count.
    #[inline]
    pub(crate) fn in_use(&self) -> usize {
        let shared = self.shared();
        // SAFETY: on the pool's thread, and nothing else borrows the stack.
        let free = unsafe { (*shared.local.free.get()).len() };
        shared.local.len.get() - free - shared.returned.load(Ordering::Relaxed)
    }

    /// Buffers that are not free: chunks have them, or the kernel.
    pub(crate) fn out(&self) -> usize {
        self.out_beside(&self.shared().away())
    }

    fn out_beside(&self, away: &Away) -> usize {
        let local = &self.shared().local;
        // SAFETY: on the pool's thread, and nothing else borrows the stack.
        let free = unsafe { (*local.free.get()).len() };
        local.len.get() - free - away.returned.len()
    }

    /// A free buffer: the one that was given back last. None when all are out and there may not be more.
    #[inline]
    pub(crate) fn take(&self) -> Option<Lease> {
        let shared = self.shared();
        // SAFETY: on the pool's thread, and nothing else borrows the stack.
        let index = match unsafe { (*shared.local.free.get()).pop() } {
            Some(index) => index,
            None => self.take_otherwise()?,
        };
        let header = shared.header(index);
        // SAFETY: it is free: nobody has a reference. The lock, or the thread, orders this after the last one's end.
        unsafe { header.as_ref() }.references.store(1, Ordering::Relaxed);
        Some(Lease(header))
    }

    /// From what came back from other threads, or from a new block.
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

    /// The buffer with this number, with one reference more.
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
        unsafe { Shared::let_go(self.shared) };
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

    /// Another block, unless there are as many buffers as there may be.
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
        // SAFETY: by the caller's word: this buffer is out.
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
                Shared::let_go(this);
            }
            Shared::let_go(this);
        }
    }

    /// One of the users ends.
    ///
    /// # Safety
    /// It was counted.
    unsafe fn let_go(this: NonNull<Shared>) {
        // SAFETY: by the caller's word, it is alive. What the others did with the memory lies before its end.
        if unsafe { this.as_ref() }.users.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: nobody has a reference to a buffer, or uses the lock.
            unsafe { Shared::free(this) };
        }
    }

    /// # Safety
    /// The pool has been closed, and nobody has a reference to a buffer. Once.
    unsafe fn free(this: NonNull<Shared>) {
        // SAFETY: by the caller's word, nobody else refers to it.
        let shared = unsafe { &mut *this.as_ptr() };
        let layout = shared.block_layout();
        for block in shared.local.blocks.get_mut().drain(..) {
            // SAFETY: both were made by `grow`, with this layout, and are taken back once.
            unsafe {
                drop(Box::from_raw(block.headers.as_ptr()));
                dealloc(block.memory.as_ptr(), layout);
            }
        }
        // SAFETY: `Pool::new` leaked a box, which is taken back here; the models look at the release.
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

/// A number that names this thread among those that live.
fn here() -> usize {
    thread_local! { static HERE: u8 = const { 0 } }
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_buffer_in_is_the_first_out() {
        let pool = Pool::new(8_192, 20);
        let (a, b) = (pool.take().unwrap(), pool.take().unwrap());
        let (first, second) = (a.index(), b.index());
        assert_ne!(a.memory(), b.memory());
        drop(a);
        drop(b);
        assert_eq!(pool.take().unwrap().index(), second);
        let again = pool.take().unwrap();
        assert_eq!(again.index(), second, "the hottest one");
        assert_eq!(pool.take().unwrap().index(), first);
    }

    #[test]
    fn it_grows_up_to_its_limit() {
        let pool = Pool::new(4_096, 20);
        let all: Vec<Lease> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!((all.len(), pool.out()), (20, 20));
        assert!(pool.take().is_none());
        let mut places: Vec<_> = all.iter().map(Lease::memory).collect();
        places.sort();
        assert!(places.windows(2).all(|pair| pair[1].addr().get() - pair[0].addr().get() >= 4_096));
        drop(all);
        assert_eq!(pool.out(), 0);
    }

    #[test]
    fn a_buffer_is_back_when_its_last_reference_goes() {
        let pool = Pool::new(4_096, 1);
        let lease = pool.take().unwrap();
        let other = lease.clone();
        assert!(!lease.is_only());
        drop(lease);
        assert!(pool.take().is_none());
        assert!(other.is_only());
        drop(other);
        assert!(pool.take().is_some());
    }

    #[test]
    fn buffers_come_back_from_other_threads() {
        let pool = Pool::new(4_096, 64);
        for _ in 0..if cfg!(miri) { 2 } else { 100 } {
            let out: Vec<Lease> = std::iter::from_fn(|| pool.take()).collect();
            assert_eq!(out.len(), 64);
            std::thread::scope(|scope| {
                let mut out = out.into_iter();
                for _ in 0..4 {
                    let part: Vec<Lease> = out.by_ref().take(16).collect();
                    scope.spawn(move || drop(part));
                }
            });
            assert_eq!(pool.out(), 0);
        }
    }

    #[test]
    fn t46_memory_outlives_the_pool_while_somebody_has_it() {
        for others in [0, 1, 3] {
            let pool = Pool::new(4_096, 64);
            let mut out: Vec<Lease> = (0..others + 1).map(|_| pool.take().unwrap()).collect();
            drop(pool);
            let here = out.pop();
            std::thread::scope(|scope| {
                for lease in out {
                    scope.spawn(move || {
                        // SAFETY: nobody else has this buffer.
                        unsafe { lease.memory().write_bytes(7, lease.len()) };
                    });
                }
            });
            drop(here);
        }
    }

    #[test]
    fn the_last_one_frees_whichever_thread_it_is() {
        for _ in 0..if cfg!(miri) { 5 } else { 200 } {
            let pool = Pool::new(4_096, 16);
            let out: Vec<Lease> = std::iter::from_fn(|| pool.take()).collect();
            std::thread::scope(|scope| {
                for lease in out {
                    scope.spawn(move || drop(lease));
                }
                drop(pool); // while they come back
            });
        }
    }

    #[test]
    fn a_buffer_of_its_own_needs_no_pool() {
        let lease = Lease::alone(5);
        // SAFETY: nobody else has this buffer.
        unsafe { lease.memory().write_bytes(1, 5) };
        let other = lease.clone();
        drop(lease);
        assert_eq!(other.len(), 5);
        drop(Lease::alone(0));
    }
}
