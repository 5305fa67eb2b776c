//! Polling the kernel, and running the deferred user code.
#![forbid(unsafe_code)]

use std::io;

use super::Driver;
use super::engine::Engine;
use super::poll_mode::{Deferred, PollMode};
use super::slots::slot_ref::SlotRef;
use crate::sys::guarded::Guarded;

impl Driver {
    /// Polls the kernel once, and runs the deferred work.
    pub(crate) fn poll_kernel(&self, mode: PollMode) -> io::Result<()> {
        let visited = self.poll_engine(mode);
        self.run_deferred();
        visited
    }

    /// Polls the kernel once. Wakers and destructors are left in `deferred`.
    pub(in crate::driver) fn poll_engine(&self, mode: PollMode) -> io::Result<()> {
        self.check_origin()?;
        self.streams.refill_if_needed();
        if let Some(datagrams) = self.datagrams.get() {
            datagrams.refill_if_needed();
        }
        let visited = {
            let mut deferred = self.deferred.borrow_mut();
            // Work that a drop outside the loop has deferred must not wait.
            let mode = if deferred.is_empty() { mode } else { mode.without_waiting() };
            match &mut *self.engine() {
                Engine::Ring(ring, _) => ring.poll_kernel(mode, &self.slots, &self.stats, &mut deferred),
                Engine::Poller(poller) => poller.poll_kernel(mode, &self.slots, &self.stats, &mut deferred),
                Engine::Closed => Ok(()),
            }
        };
        self.reclaim_file_slots();
        visited.and_then(|()| self.take_edges())
    }

    /// Submits queued entries and takes the completions that follow at once. So the descriptors of cancelled operations close
    /// although the loop may not turn soon.
    pub(crate) fn flush(&self) {
        for _ in 0..4 {
            if !self.is_behind() || self.poll_kernel(PollMode::Drain).is_err() {
                return;
            }
        }
    }

    /// Returns true if polling the kernel may bring completions at once. The kernel's flag may stay up longer than that.
    pub(crate) fn has_work(&self) -> bool {
        match &mut *self.engine() {
            Engine::Ring(ring, _) => ring.has_work(),
            Engine::Poller(_) | Engine::Closed => false,
        }
    }

    /// Returns true if entries wait to be submitted, or completions have overflowed in the kernel.
    pub(crate) fn is_behind(&self) -> bool {
        match &mut *self.engine() {
            Engine::Ring(ring, _) => ring.is_behind(),
            Engine::Poller(_) | Engine::Closed => false,
        }
    }

    /// Returns true if entries wait to be submitted (without the ring's own read), completions have overflowed, or deferred work
    /// waits to run.
    pub(crate) fn has_queued(&self) -> bool {
        let queued = match &mut *self.engine() {
            Engine::Ring(ring, _) => ring.has_queued(),
            Engine::Poller(_) | Engine::Closed => false,
        };
        queued || self.has_deferred()
    }

    /// Returns true if deferred work waits to run.
    pub(in crate::driver) fn has_deferred(&self) -> bool {
        !self.deferred.borrow().is_empty()
    }

    /// Runs the deferred user code: wakers, and destructors of abandoned operations. A panic in one does not keep the others
    /// from running; it continues after all have run.
    pub(in crate::driver) fn run_deferred(&self) {
        let mut guarded = Guarded::default();
        while !self.deferred.borrow().is_empty() {
            // This code may defer more work.
            let Deferred { mut wake, mut release, mut reclaim, mut stop } = self.deferred.take();
            stop.drain(..).for_each(|key| guarded.run(|| self.stop_operation(key)));
            wake.drain(..).for_each(|waiter| guarded.run(|| waiter.wake()));
            release
                .drain(..)
                .for_each(|key| guarded.run(|| self.slots.find(key).map_or((), SlotRef::release)));
            reclaim
                .drain(..)
                .for_each(|key| guarded.run(|| self.slots.find(key).map_or((), SlotRef::reclaim)));
            let mut deferred = self.deferred.borrow_mut();
            if deferred.is_empty() {
                *deferred = Deferred { wake, release, reclaim, stop }; // keeps their memory
            }
        }
        guarded.finish();
    }
}
