//! The runtime's memory for chunks, which the kernel takes from a ring of provided buffers. The ring is refilled from the
//! pool before each poll of the kernel. On the selector, and on kernels without such rings, system calls receive into the
//! same pool.
//!
//! Few buffers lie in the ring, and the pool reuses the latest buffer first, so the same buffers circulate while they are in
//! the caches. After the kernel has found the ring empty, twice as many buffers are provided.
//!
//! *Incremental consumption* (Linux 6.12): a buffer takes one receive after the other until it is full, so one buffer of
//! 64 KiB serves a large message or many small ones. The ring's own reference to the buffer is handed to the chunk with its
//! last bytes. Without incremental consumption a buffer is one chunk, however small. Datagrams never share a buffer: the
//! kernel would truncate one at the end of the buffer.
//!
//! Chunks keep whole buffers. If they keep many, small chunks are copied (`buf/copying.rs`). If they keep all, system calls
//! receive into a spare buffer, from which every chunk is copied.
//!
//! Facts that shape this file: F_BUF_MORE says that the kernel continues with the buffer, at an offset that this file tracks.
//! A failed completion may carry a buffer. The ring's memory belongs to the process. The buffers in it belong to the kernel
//! until the ring is closed and nothing is in flight.

use super::buffer_ring::BufferRing;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::forget;
use std::ptr::NonNull;

use crate::buf::Chunk;
use crate::buf::copying::copied_below;
use crate::buf::pool::{Lease, Pool};
use crate::op::completion::Completion;
use crate::op::object::source::Buffers;
use crate::sys::lent;

const F_BUFFER: u32 = 1 << 0;
const F_BUF_MORE: u32 = 1 << 4;

/// The free size at the end of a buffer that is enough for another receive by a system call.
const WORTH_FILLING: usize = 4 << 10;

/// The largest number of buffers of a group. A completion has 16 bits for a buffer's number, and a ring takes half of them.
pub(crate) const MAX_BUFFERS: u32 = 32_768;

/// A pool of buffers of one size, and the ring by which the kernel gets some of them.
pub(crate) struct Memory {
    pool: Pool,
    /// Whether several receives may share a buffer.
    shared: bool,
    provided: RefCell<Option<Provided>>,
    /// Whether the kernel has used a buffer up or has found none.
    needs_refill: Cell<bool>,
    /// Chunks below this length are copied out of their buffer.
    copy_below: Cell<usize>,
    /// The buffer into which the next system call receives, and the number of its bytes that are filled. A buffer that is not
    /// the pool's is the spare one, which no chunk keeps.
    open: RefCell<Option<(Lease, usize)>>,
}

/// The buffers that the kernel has, and the ring through which it gets them.
struct Provided {
    ring: BufferRing,
    /// The number of filled bytes of each buffer of the pool that the kernel has.
    filled: Vec<Option<usize>>,
    /// For bundles, which name only their first buffer: the position of each buffer in the ring, and the buffer at each
    /// position.
    positions: Vec<u16>,
    order: Vec<u16>,
    bundles: bool,
    inside: usize,
    depth: usize,
}

impl Memory {
    /// Creates the memory for streams, whose receives may share buffers, or for datagrams.
    pub(crate) fn new(buffer_len: usize, max: usize, shared: bool, ring: Option<BufferRing>) -> Self {
        let provided = ring.map(|ring| Provided {
            depth: if ring.is_incremental() { 4 } else { 16 },
            filled: Vec::new(),
            positions: Vec::new(),
            order: vec![0; ring.entries()],
            bundles: false,
            ring,
            inside: 0,
        });
        Memory {
            pool: Pool::new(buffer_len, max),
            shared,
            provided: RefCell::new(provided),
            needs_refill: Cell::new(false),
            copy_below: Cell::new(0),
            open: RefCell::default(),
        }
    }

    /// Sets whether one receive may fill several buffers, in the order in which the kernel got them. Incremental consumption
    /// excludes this.
    pub(crate) fn with_bundles(self, bundles: bool) -> Self {
        if let Some(provided) = &mut *self.provided.borrow_mut() {
            provided.bundles = bundles && !provided.ring.is_incremental();
        }
        self
    }

    /// Provides buffers if the kernel has used some up.
    #[inline]
    pub(crate) fn refill_if_needed(&self) {
        if self.needs_refill.get() {
            self.refill();
        }
    }

    /// Provides buffers. Returns false if the kernel has none and the pool has none.
    pub(crate) fn refill(&self) -> bool {
        self.needs_refill.set(false);
        let mut provided = self.provided.borrow_mut();
        provided.as_mut().is_some_and(|provided| provided.refill(&self.pool))
    }

    /// Returns the number of buffers that chunks hold.
    pub(crate) fn out(&self) -> usize {
        let unused = |index: usize| self.pool.share(index as u32).references() == 2;
        let provided = self.provided.borrow().as_ref().map_or(0, |provided| {
            let inside = provided.filled.iter().enumerate().filter(|(_, filled)| filled.is_some());
            inside.filter(|(index, _)| unused(*index)).count()
        });
        let open = self.open.borrow().as_ref().is_some_and(|(lease, _)| lease.is_only() && lease.is_pooled());
        self.pool.out() - provided - usize::from(open)
    }

    /// Sets the length below which chunks are copied, by the number of buffers that chunks hold now.
    fn assess(&self, inside: usize) {
        let open = self.open.borrow().as_ref().is_some_and(|(lease, _)| lease.is_pooled());
        let held = self.pool.in_use().saturating_sub(inside + usize::from(open));
        self.copy_below.set(copied_below(held, self.pool.max(), self.pool.buffer_len()));
    }

    /// Returns the number of buffers that the kernel has.
    fn inside(&self) -> usize {
        self.provided.borrow().as_ref().map_or(0, |provided| provided.inside)
    }

    /// Takes the buffers back after the ring has been closed with nothing in flight.
    pub(crate) fn withdraw(&self) {
        if let Some(provided) = self.provided.take() {
            for (index, _) in provided.filled.iter().enumerate().filter(|(_, filled)| filled.is_some()) {
                // SAFETY: the reference was forgotten when the buffer was put into the ring, and it still lay there.
                let lease = unsafe { self.pool.adopt(index as u32) };
                lent::take_back(lease.memory().as_ptr(), lease.len());
            }
        }
    }
}

impl Drop for Memory {
    /// Leaks the buffers that were not withdrawn: a leaked operation may yet use a buffer, or note in the ring how much of
    /// it is left.
    fn drop(&mut self) {
        forget(self.provided.take());
    }
}

impl Provided {
    fn refill(&mut self, pool: &Pool) -> bool {
        if self.inside < self.depth {
            while self.inside < self.depth
                && let Some(lease) = pool.take()
            {
                let index = lease.index() as usize;
                if self.filled.len() <= index {
                    self.filled.resize(index + 1, None);
                    self.positions.resize(index + 1, 0);
                }
                self.filled[index] = Some(0);
                self.positions[index] = self.ring.next_position();
                self.order[usize::from(self.ring.next_position())] = index as u16;
                self.inside += 1;
                // The number is less than the pool's limit, which 16 bits hold.
                self.ring.push(lease.memory(), lease.len(), index as u16);
                lent::lend(lease.memory().as_ptr(), lease.len());
                forget(lease); // the kernel's, until `received` or `withdraw`
            }
            self.ring.publish();
        }
        self.inside > 0
    }

    /// Passes the buffers that a completion has filled to `take`, one after the other.
    fn received(&mut self, pool: &Pool, completion: Completion, mut take: impl FnMut(Chunk)) {
        let (mut index, mut more) = (completion.flags >> 16, completion.flags & F_BUF_MORE != 0);
        let mut left = usize::try_from(completion.result).unwrap_or(0);
        loop {
            let count = if self.bundles { left.min(pool.buffer_len()) } else { left };
            left -= count;
            let position = self.positions[index as usize] + 1;
            take(self.part(pool, index, count, more));
            if left == 0 {
                return;
            }
            index = u32::from(self.order[usize::from(position) % self.order.len()]);
            more = false;
        }
    }

    /// Passes the chunks of a completion to `take`, with small chunks copied.
    #[cold]
    fn received_copied(
        &mut self,
        pool: &Pool,
        completion: Completion,
        below: usize,
        take: &mut dyn FnMut(Chunk),
    ) {
        self.received(pool, completion, |chunk| take(chunk.copied_below(below)));
    }

    /// Returns the filled part of a buffer as a chunk. The last part takes the ring's own reference.
    fn part(&mut self, pool: &Pool, index: u32, count: usize, more: bool) -> Chunk {
        let filled = &mut self.filled[index as usize];
        let start = filled.expect("the kernel uses buffers that it has");
        let lease = if !more {
            *filled = None;
            self.inside -= 1;
            // SAFETY: the reference was forgotten when the buffer was put into the ring, and it lies there no more.
            let lease = unsafe { pool.adopt(index) };
            lent::take_back(lease.memory().as_ptr(), lease.len());
            lease
        } else {
            *filled = Some(start + count);
            let lease = pool.share(index);
            lent::take_back_around(lease.memory().as_ptr().wrapping_add(start), count);
            lease
        };
        if count == 0 {
            return Chunk::new();
        }
        // SAFETY: the kernel has written these bytes, but for gaps in the header of a datagram, where what the pool's
        // memory held before lies: all of it is initialised. The kernel continues behind them.
        unsafe { Chunk::of(lease, start, count) }
    }
}

impl Buffers for Memory {
    fn group(&self) -> u16 {
        self.provided.borrow().as_ref().map_or(0, |provided| provided.ring.group())
    }

    fn received(&self, completion: Completion, take: &mut dyn FnMut(Chunk)) {
        if completion.flags & F_BUFFER != 0
            && let Some(provided) = &mut *self.provided.borrow_mut()
        {
            let used_up = completion.flags & F_BUF_MORE == 0;
            self.needs_refill.set(self.needs_refill.get() || used_up);
            let below = self.copy_below.get();
            if below == 0 {
                provided.received(&self.pool, completion, take);
            } else {
                provided.received_copied(&self.pool, completion, below, take);
            }
            if used_up || below > 0 {
                self.assess(provided.inside);
            }
        }
    }

    fn bundles(&self) -> bool {
        self.provided.borrow().as_ref().is_some_and(|provided| provided.bundles)
    }

    fn ran_out(&self) {
        self.needs_refill.set(true);
        if let Some(provided) = &mut *self.provided.borrow_mut() {
            provided.depth = (provided.depth * 2).min(provided.ring.entries());
        }
    }

    fn lease(&self) -> Lease {
        self.pool.take().unwrap_or_else(|| Lease::alone(self.pool.buffer_len()))
    }

    fn kept(&self, chunk: Chunk) -> Chunk {
        self.assess(self.inside());
        let below = if chunk.is_pooled() { self.copy_below.get() } else { usize::MAX };
        chunk.copied_below(below)
    }

    fn room(&self) -> (NonNull<u8>, usize) {
        let mut open = self.open.borrow_mut();
        let mut used_up = false;
        let (lease, filled) = match open.take() {
            // The spare buffer is used until the pool has a buffer.
            Some((lease, _)) if !lease.is_pooled() => (self.pool.take().unwrap_or(lease), 0),
            // No chunk holds the buffer any more: it is used from its start again.
            Some((lease, _)) if lease.is_only() => (lease, 0),
            Some((lease, filled)) if self.shared && lease.len() - filled >= WORTH_FILLING => (lease, filled),
            _ => {
                used_up = true;
                (self.lease(), 0)
            }
        };
        // SAFETY: at most the buffer's length.
        let room = (unsafe { lease.memory().add(filled) }, lease.len() - filled);
        *open = Some((lease, filled));
        drop(open);
        if used_up {
            self.assess(self.inside());
        }
        room
    }

    unsafe fn filled(&self, count: usize) -> Chunk {
        let mut open = self.open.borrow_mut();
        let (lease, filled) = open.as_mut().expect("`room` has just been asked for");
        // SAFETY: by the caller's word these bytes have been written. The next go behind them, unless the chunk is gone
        // by then.
        let chunk = unsafe { Chunk::of(lease.clone(), *filled, count) };
        let below = if lease.is_pooled() { self.copy_below.get() } else { usize::MAX };
        if count >= below {
            *filled += count;
            return chunk;
        }
        let chunk = chunk.copied_below(below);
        drop(open);
        self.assess(self.inside());
        chunk
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("pool", &self.pool).field("out", &self.out()).finish_non_exhaustive()
    }
}
