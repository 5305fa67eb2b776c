//! The proactor: operations go into the submission queue, completions come out of the other.
//!
//! What waits for room waits in two lists that can't overflow: entries in the *backlog*, and the operations
//! to be cancelled in `cancels`. Both are fed into the queue before each enter.
//!
//! Facts that shape this file: a full completion queue loses nothing (NODROP), but waiting while completions
//! lie in it is a busy loop, so it is emptied before each wait; what overflowed is brought by further
//! enters. Without SUBMIT_ALL the kernel stops at an entry that it refuses, and leaves those behind it in the
//! queue. A cancel answers 0, ENOENT or EALREADY, before or after the operation's own completion, and its
//! answer means nothing: only the operation's own completion counts. An enter that fails leaves its entries
//! in the queue, and what they point to in use.
//!
//! It knows slots and the seam [`Kernel`]; it runs no user code: whom to wake and what to take apart
//! it leaves in [`Deferred`].

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use io_uring::{opcode, squeue, types};

use super::kernel::{Kernel, Reaped};
use super::wake::WakeRead;
use crate::driver::poll_mode::{Deadline, Deferred, PollMode};
use crate::driver::slots::arena::Slots;
use crate::driver::slots::key::Key;
use crate::driver::slots::lifecycle::{Action, Event, Lifecycle};
use crate::driver::slots::slot_ref::SlotRef;
use crate::driver::stats::Stats;
use crate::op::{Entry, Op};
use crate::task::threads::inbox::Shared;

/// Marks the `user_data` of what is nobody's operation: cancels, and closes of direct descriptors.
const NOBODY: u64 = 1 << 63;

const F_MORE: u32 = 1 << 1;

/// After so many refusals in a row a pause goes before the next enter, instead of a busy loop.
const FREE_REFUSALS: u32 = 16;
const REFUSAL_PAUSE: Duration = Duration::from_micros(100);

/// The amount that a visit with a full queue adds to the overflow_score; a visit without one takes 1 away.
const OVERFLOW_STEP: u32 = 16;
/// The overflow_score at which a ring is too small.
const GROWTH_SCORE: u32 = 8 * OVERFLOW_STEP;

/// The longest wait, in one visit, for the end of the ring's own operation.
const PATIENCE: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Ring<K> {
    pub(crate) kernel: K,
    /// Entries of operations, and of nobody.
    backlog: VecDeque<(Option<Key>, Entry)>,
    cancels: VecDeque<Key>,
    /// The read of the event descriptor, while it is in flight.
    wake: Option<Key>,
    /// The ring is being closed: no more reads of the event descriptor.
    closing: bool,
    /// A queue was full, or overflowed, since the last visit.
    overflowed: bool,
    /// How often, of late.
    overflow_score: u32,
    /// Enters in a row that the kernel has refused for want of memory or room.
    refusals: u32,
    shared: Arc<Shared>,
    /// Ask for no completion of a cancel that worked.
    skip_success: bool,
}

impl<K: Kernel> Ring<K> {
    pub(crate) fn new(kernel: K, shared: Arc<Shared>, skip_success: bool) -> Self {
        Ring {
            kernel,
            backlog: VecDeque::new(),
            cancels: VecDeque::new(),
            wake: None,
            closing: false,
            overflowed: false,
            overflow_score: 0,
            refusals: 0,
            shared,
            skip_success,
        }
    }

    /// In a fork of the process: lets go of the ring, which is the parent's.
    pub(crate) fn disown(self) {
        self.kernel.disown();
    }

    /// The ring's own operation, while it is in flight.
    pub(crate) fn own_operation(&self) -> Option<Key> {
        self.wake
    }

    /// Ends the ring's own operation, so that nothing is in flight any more.
    pub(crate) fn disarm_wake(&mut self, slots: &Slots, stats: &Stats, deferred: &mut Deferred) {
        self.closing = true;
        if let Some(read) = self.wake.and_then(|key| slots.find(key)) {
            if read.apply(Event::Cancel) == Action::SendCancel {
                self.cancel(read.key());
            } else {
                self.wake = None; // it never left the backlog
                // SAFETY: the wake read was inserted with this type.
                drop(unsafe { read.take::<WakeRead>() });
            }
        }
        // The read is cancelled in the visit that asks for it; the bound is for a kernel that fails.
        for _ in 0..64 {
            if self.wake.is_none()
                || self
                    .poll_kernel(PollMode::Wait(Deadline::After(PATIENCE)), slots, stats, deferred)
                    .is_err()
            {
                return;
            }
        }
    }

    /// Queues a inserted operation's entry; into the backlog when there is no room, even after an enter.
    #[inline]
    pub(crate) fn submit(&mut self, inserted: SlotRef<'_>, entry: Entry, stats: &Stats) {
        stats.submissions.add(1);
        let entry = entry.user_data(inserted.key().pack());
        if self.backlog.is_empty() && self.push_making_room(&entry, stats) {
            inserted.apply(Event::Push);
            inserted.lend_to_ring(&entry);
        } else {
            self.backlog.push_back((Some(inserted.key()), entry));
        }
    }

    /// Closes a direct descriptor: nobody waits for that, so there is no completion unless it fails. Entries that are
    /// queued after this may use the place.
    pub(crate) fn close_direct(&mut self, index: u32, stats: &Stats) {
        let close = opcode::Close::new(types::Fixed(index)).build();
        let entry = close.user_data(NOBODY).flags(self.quiet());
        if !self.backlog.is_empty() || !self.push_making_room(&entry, stats) {
            self.backlog.push_back((None, entry));
        }
    }

    /// Whether the kernel has taken everything that was queued.
    pub(crate) fn is_all_taken(&mut self) -> bool {
        self.backlog.is_empty() && self.kernel.unsubmitted() == 0
    }

    /// For entries whose success nobody wants to hear of.
    fn quiet(&self) -> squeue::Flags {
        if self.skip_success { squeue::Flags::SKIP_SUCCESS } else { squeue::Flags::empty() }
    }

    #[inline]
    fn push_making_room(&mut self, entry: &Entry, stats: &Stats) -> bool {
        // SAFETY: entries of operations point into their slots, which keep them until the last completion;
        // a cancel's entry points to nothing.
        let pushed = unsafe { self.kernel.push(entry) };
        pushed || self.push_after_submitting(entry, stats)
    }

    #[cold]
    fn push_after_submitting(&mut self, entry: &Entry, stats: &Stats) -> bool {
        self.overflowed = true;
        stats.full_queues.add(1);
        stats.kernel_visits.add(1);
        // An error is no matter: the next visit tries again, and reports it if it lasts.
        // SAFETY: as in `push_making_room`.
        self.kernel.submit().is_ok() && unsafe { self.kernel.push(entry) }
    }

    /// Asks the kernel to end an operation that is in flight.
    pub(crate) fn cancel(&mut self, key: Key) {
        self.cancels.push_back(key);
    }

    /// Moves backlog and cancels into the queue, as far as there is room.
    fn flush_backlog(&mut self, slots: &Slots, stats: &Stats) {
        while let Some((key, entry)) = self.backlog.front().cloned() {
            let waits =
                key.and_then(|key| slots.find(key)).filter(|queued| queued.lifecycle() == Lifecycle::Queued);
            let wanted = waits.is_some() || key.is_none();
            if wanted && !self.push_making_room(&entry, stats) {
                return;
            }
            self.backlog.pop_front();
            if let Some(queued) = waits {
                queued.apply(Event::Push);
                queued.lend_to_ring(&entry);
            }
        }
        while let Some(key) = self.cancels.front().copied() {
            if slots.find(key).is_some_and(|operation| operation.lifecycle().is_in_flight()) {
                let cancel = opcode::AsyncCancel::new(key.pack()).build();
                let entry = cancel.user_data(NOBODY | key.pack()).flags(self.quiet());
                if !self.push_making_room(&entry, stats) {
                    return;
                }
                stats.cancels.add(1);
            }
            self.cancels.pop_front();
        }
    }

    /// HasDescriptor a read of the event descriptor in flight, by which other threads end a wait.
    fn arm_wake(&mut self, slots: &Slots, stats: &Stats) {
        if self.wake.is_some() || self.closing {
            return;
        }
        let read = slots.insert(WakeRead::new(self.shared.clone()), None, None);
        // SAFETY: it was inserted with this type in the line above, and nobody else has a reference to it.
        let entry = unsafe { read.get::<WakeRead>().as_mut() }.entry();
        self.submit(read, entry, stats);
        self.wake = Some(read.key());
    }

    /// One visit to the kernel: hands over what is queued, waits if it may, and takes what has arrived.
    pub(crate) fn poll_kernel(
        &mut self,
        mode: PollMode,
        slots: &Slots,
        stats: &Stats,
        deferred: &mut Deferred,
    ) -> io::Result<()> {
        self.arm_wake(slots, stats);
        self.flush_backlog(slots, stats);
        let arrived = self.take(slots, stats, deferred);
        let is_flushed = |ring: &Self| ring.backlog.is_empty() && ring.cancels.is_empty();
        // Never wait while there is something to do.
        let waits = !matches!(mode, PollMode::NoWait | PollMode::Drain);
        let mode = if waits && (arrived || !is_flushed(self)) { PollMode::NoWait } else { mode };
        let (want, deadline) = match mode {
            PollMode::NoWait | PollMode::Drain => (0, Deadline::Never),
            PollMode::Wait(deadline) => (1, deadline),
        };
        if want > 0 || self.kernel.unsubmitted() > 0 || self.kernel.has_work() {
            self.enter(want, deadline, stats)?;
            self.take(slots, stats, deferred);
        }
        // Bring what overflowed, make room for what waits, and go on behind an entry at which the kernel has
        // stopped; each round moves some of it.
        while self.kernel.overflowed() || !is_flushed(self) || self.kernel.unsubmitted() > 0 {
            if self.kernel.overflowed() {
                self.overflowed = true;
                stats.overflows.add(1);
            }
            self.flush_backlog(slots, stats);
            let before = self.kernel.unsubmitted();
            self.enter(0, Deadline::Never, stats)?;
            let arrived = self.take(slots, stats, deferred);
            if !arrived && self.kernel.unsubmitted() >= before {
                break; // the kernel takes nothing more for now: the next visit goes on
            }
        }
        if mode == PollMode::Drain {
            self.drain(slots, stats, deferred)?;
        }
        if self.overflowed || self.overflow_score > 0 {
            self.grow_if_overflowing();
        }
        Ok(())
    }

    /// Takes what the kernel has for the loop: an enter that wants nothing does twenty pieces of work. Peers that send
    /// faster than that can't keep it here.
    #[cold]
    fn drain(&mut self, slots: &Slots, stats: &Stats, deferred: &mut Deferred) -> io::Result<()> {
        for _ in 0..=slots.live() / 20 + 1 {
            if !self.kernel.has_work() {
                break;
            }
            self.enter(0, Deadline::Never, stats)?;
            if !self.take(slots, stats, deferred) {
                // There may be work that brings no completion, or none: who wants as many as there can be has it all
                // done. It sets a timer, so this is the last resort.
                self.enter(slots.live() as u32, Deadline::Now, stats)?;
                self.take(slots, stats, deferred);
                break;
            }
        }
        Ok(())
    }

    /// A larger ring, if its queues keep being too small.
    #[cold]
    fn grow_if_overflowing(&mut self) {
        if !std::mem::take(&mut self.overflowed) {
            self.overflow_score -= 1;
            return;
        }
        self.overflow_score += OVERFLOW_STEP;
        if self.overflow_score >= GROWTH_SCORE {
            self.overflow_score = 0;
            self.kernel.grow();
        }
    }

    fn enter(&mut self, want: u32, deadline: Deadline, stats: &Stats) -> io::Result<()> {
        stats.kernel_visits.add(1);
        match self.kernel.enter(want, deadline) {
            // Short of memory or of room for completions: everything stays queued for the next visit.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY | libc::ENOMEM)) => {
                self.refusals += 1;
                if self.refusals > FREE_REFUSALS {
                    crate::sys::pause(REFUSAL_PAUSE);
                }
                Ok(())
            }
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("io_uring_enter failed, so the loop cannot continue: {error}"),
            )),
            Ok(()) => {
                self.refusals = 0;
                Ok(())
            }
        }
    }

    /// Whether a visit may bring something at once.
    pub(crate) fn has_work(&mut self) -> bool {
        self.kernel.has_work()
    }

    /// Whether something waits to be handed over, or overflowed.
    pub(crate) fn has_queued(&mut self) -> bool {
        let waiting = !self.backlog.is_empty() || !self.cancels.is_empty() || self.kernel.unsubmitted() > 0;
        waiting || self.kernel.overflowed()
    }

    /// The same, or the ring's own read is to be handed over.
    pub(crate) fn is_behind(&mut self) -> bool {
        (self.wake.is_none() && !self.closing) || self.has_queued()
    }

    /// Takes the completions that have arrived. True if there were any.
    fn take(&mut self, slots: &Slots, stats: &Stats, deferred: &mut Deferred) -> bool {
        let (mut count, wake) = (0, &mut self.wake);
        self.kernel.reap(|Reaped { user_data, completion }| {
            count += 1;
            if user_data & NOBODY != 0 {
                return;
            }
            let key = Key::unpack(user_data);
            let Some(operation) = slots.find(key) else { return }; // it came late, and concerns nobody
            if completion.flags & F_MORE == 0 {
                deferred.deliver(operation, Event::Last, completion);
            } else {
                deferred.deliver(operation, Event::More, completion);
            }
            if *wake == Some(key) {
                *wake = None;
                // SAFETY: the wake read was inserted with this type, and its completion was its last.
                drop(unsafe { operation.take::<WakeRead>() });
            }
        });
        stats.completions.add(count);
        count > 0
    }
}
