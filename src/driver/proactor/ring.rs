//! The proactor: operations go into the submission queue, completions come out of the completion queue.
//!
//! Entries without room wait in the *backlog*, and operations to be cancelled in `cancels`. Both lists are unbounded, and
//! are flushed into the queue before each enter.
//!
//! Facts that shape this file:
//!
//! - A full completion queue loses nothing (NODROP). But a wait returns at once while completions lie in the queue, so it is
//!   emptied before each wait. Further enters bring the overflowed completions.
//! - Without SUBMIT_ALL the kernel stops at an entry that it refuses, and leaves the later ones in the queue.
//! - A cancel answers 0, ENOENT or EALREADY, before or after the operation's own completion. The answer means nothing: only
//!   the operation's own completion counts.
//! - An enter that fails leaves its entries in the queue, and the memory of their operations in use.
//!
//! This file knows slots and the interface [`Kernel`]. It runs no user code: wakers, and slots to reclaim, are left in
//! [`Deferred`].

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

/// The mark in the `user_data` of entries without an operation: cancels, and closes of direct descriptors.
const NO_OPERATION: u64 = 1 << 63;

const F_MORE: u32 = 1 << 1;

/// The number of refusals in a row after which each enter is followed by a pause, to avoid a busy loop.
const FREE_REFUSALS: u32 = 16;
const REFUSAL_PAUSE: Duration = Duration::from_micros(100);

/// The amount that a poll with a full queue adds to the overflow score. A poll without one subtracts 1.
const OVERFLOW_STEP: u32 = 16;
/// The overflow score at which the ring grows.
const GROWTH_SCORE: u32 = 8 * OVERFLOW_STEP;

/// The longest wait of one poll for the end of the ring's own operation.
const PATIENCE: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Ring<K> {
    pub(crate) kernel: K,
    /// Entries that wait for room, with the keys of their operations.
    backlog: VecDeque<(Option<Key>, Entry)>,
    cancels: VecDeque<Key>,
    /// The key of the read of the event descriptor in flight.
    wake: Option<Key>,
    /// Whether the ring is being closed. Then the event descriptor is not read again.
    closing: bool,
    /// Whether a queue was full or has overflowed since the last poll.
    overflowed: bool,
    /// The recent frequency of full queues: see [`OVERFLOW_STEP`].
    overflow_score: u32,
    /// The number of enters in a row that the kernel has refused for lack of memory or room.
    refusals: u32,
    shared: Arc<Shared>,
    /// Whether successful cancels and closes post no completion.
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

    /// Releases the ring in a fork of the process.
    pub(crate) fn disown(self) {
        self.kernel.disown();
    }

    /// Returns the key of the ring's own operation, if it is in flight.
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
        // The first poll cancels the read; the bound is for a kernel that fails.
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

    /// Queues the entry of an operation in a slot. It goes into the backlog if there is no room even after an enter.
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

    /// Closes a direct descriptor. There is no completion unless it fails. Later entries may use the slot.
    pub(crate) fn close_direct(&mut self, index: u32, stats: &Stats) {
        let close = opcode::Close::new(types::Fixed(index)).build();
        let entry = close.user_data(NO_OPERATION).flags(self.quiet());
        if !self.backlog.is_empty() || !self.push_making_room(&entry, stats) {
            self.backlog.push_back((None, entry));
        }
    }

    /// Returns true if the kernel has taken all queued entries.
    pub(crate) fn is_all_taken(&mut self) -> bool {
        self.backlog.is_empty() && self.kernel.unsubmitted() == 0
    }

    /// Returns the flags of entries that post no completion on success.
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
        // An error is ignored: the next poll tries again, and reports it if it lasts.
        // SAFETY: as in `push_making_room`.
        self.kernel.submit().is_ok() && unsafe { self.kernel.push(entry) }
    }

    /// Queues the cancel of an operation in flight.
    pub(crate) fn cancel(&mut self, key: Key) {
        self.cancels.push_back(key);
    }

    /// Moves the backlog and the cancels into the queue, as far as there is room.
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
                let entry = cancel.user_data(NO_OPERATION | key.pack()).flags(self.quiet());
                if !self.push_making_room(&entry, stats) {
                    return;
                }
                stats.cancels.add(1);
            }
            self.cancels.pop_front();
        }
    }

    /// Submits a read of the event descriptor, by which other threads end a wait, if none is in flight.
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

    /// Polls the kernel once: submits queued entries, waits if `mode` allows it, and takes the completions.
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
        // Never waits while there is work.
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
        // Each round takes overflowed completions, makes room for waiting entries, and submits the entries behind one at which
        // the kernel has stopped.
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
                break; // the kernel takes nothing more for now: the next poll continues
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

    /// Takes all completions that the kernel has. An enter that wants none does twenty pieces of work. The number of rounds is
    /// bounded, so peers that send faster cannot keep the loop here.
    #[cold]
    fn drain(&mut self, slots: &Slots, stats: &Stats, deferred: &mut Deferred) -> io::Result<()> {
        for _ in 0..=slots.live() / 20 + 1 {
            if !self.kernel.has_work() {
                break;
            }
            self.enter(0, Deadline::Never, stats)?;
            if !self.take(slots, stats, deferred) {
                // There may be work that brings no completion, or none at all. An enter that wants as many completions as there
                // are operations does all work. It sets a timer, so this is the last resort.
                self.enter(slots.live() as u32, Deadline::Now, stats)?;
                self.take(slots, stats, deferred);
                break;
            }
        }
        Ok(())
    }

    /// Grows the ring if its queues are too small again and again.
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
            // Lack of memory or of room for completions: everything stays queued for the next poll.
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

    /// Returns true if polling the kernel may bring completions at once.
    pub(crate) fn has_work(&mut self) -> bool {
        self.kernel.has_work()
    }

    /// Returns true if entries wait to be submitted, or completions have overflowed.
    pub(crate) fn has_queued(&mut self) -> bool {
        let waiting = !self.backlog.is_empty() || !self.cancels.is_empty() || self.kernel.unsubmitted() > 0;
        waiting || self.kernel.overflowed()
    }

    /// Returns true if entries wait to be submitted, the ring's own read included, or completions have overflowed.
    pub(crate) fn is_behind(&mut self) -> bool {
        (self.wake.is_none() && !self.closing) || self.has_queued()
    }

    /// Takes the completions out of the queue. Returns true if there were any.
    fn take(&mut self, slots: &Slots, stats: &Stats, deferred: &mut Deferred) -> bool {
        let (mut count, wake) = (0, &mut self.wake);
        self.kernel.reap(|Reaped { user_data, completion }| {
            count += 1;
            if user_data & NO_OPERATION != 0 {
                return;
            }
            let key = Key::unpack(user_data);
            let Some(operation) = slots.find(key) else { return }; // it came late: the operation has ended
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
