//! Cancellation requests: counted as asyncio counts them, delivered by a run of the task, and taken back.
//!
//! The scopes that catch a request are in `scopes.rs`. A request that no scope catches ends the task in `cell/run.rs`.
#![forbid(unsafe_code)]

use crate::task::cell::layout::TaskRef;
use crate::task::cell::state::{Flags, Phase};

impl TaskRef {
    /// Requests cancellation: counts the request, and schedules the task, whose next run delivers it. Returns false if the
    /// task has ended.
    pub(in crate::task) fn request_cancel(&self) -> bool {
        if self.is_complete() {
            return false;
        }
        self.count_request();
        self.deliver_cancel();
        true
    }

    /// Requests cancellation when no other request is being handled: at once, or when the last one has been handled. For
    /// code that ends all of its tasks and waits for them: it interrupts no task that is handling a request already.
    pub(in crate::task) fn request_graceful_cancel(&self) {
        let cold = self.header().cold();
        if !cold.is_some_and(|cold| cold.scopes.postpone()) {
            self.request_cancel();
        }
    }

    /// Counts a cancellation request, without delivering it.
    pub(in crate::task) fn count_request(&self) {
        let cancels = &self.header().cancels;
        cancels.set(cancels.get().saturating_add(1));
    }

    /// Requests a cancellation that no scope catches. Returns false if the task has ended.
    pub(in crate::task) fn request_unscoped_cancel(&self) -> bool {
        self.header().set(Flags::UNSCOPED);
        self.request_cancel()
    }

    /// Delivers a cancellation that no scope catches and that is not counted. It comes out of an await that is inside no scope
    /// that catches.
    pub(in crate::task) fn cancel_unscoped(&self) {
        self.header().set(Flags::UNSCOPED);
        self.deliver_cancel();
    }

    /// Counts the request of a time limit or group in this task. If this is the body of a group, the task that runs the group
    /// counts it as well, because the body is part of its code.
    pub(in crate::task) fn count_own_request(&self) {
        self.for_each_runner(TaskRef::count_request);
    }

    /// Takes back the count of [`count_own_request`](Self::count_own_request), when the time limit or the group has ended.
    pub(in crate::task) fn uncount_own_request(&self) {
        self.for_each_runner(|task| {
            let cancels = &task.header().cancels;
            cancels.set(cancels.get().saturating_sub(1));
        });
    }

    /// Calls `f` for this task or child; if it is the body of a group, also for the task or child that runs the group, and so
    /// on outward.
    pub(in crate::task) fn for_each_runner(&self, mut f: impl FnMut(&TaskRef)) {
        let mut task = Some(self.clone());
        while let Some(current) = task {
            f(&current);
            task = current.header().cold().and_then(|cold| cold.runner.borrow().clone());
        }
    }

    /// Schedules the delivery of a request by a run of the task. Does nothing if the task cannot be cancelled, is being reaped
    /// or has ended.
    pub(in crate::task) fn deliver_cancel(&self) {
        let header = self.header();
        if !header.has(Flags::UNCANCELLABLE) && !self.is_complete() && self.phase() != Phase::Reaping {
            header.set(Flags::CANCEL_PENDING);
            self.schedule();
        }
    }

    /// Takes one request back, and returns the number that remain.
    pub(in crate::task) fn uncancel(&self) -> u16 {
        let header = self.header();
        header.cancels.set(header.cancels.get().saturating_sub(1));
        if header.cancels.get() == 0 {
            header.unset(Flags::CANCEL_PENDING.with(Flags::UNSCOPED));
        }
        header.cancels.get()
    }

    /// Delivers the pending request to the scopes of the task. Returns true if there was one and no scope has caught it: the
    /// caller then drops the future.
    pub(in crate::task) fn take_request(&self) -> bool {
        let header = self.header();
        if !header.has(Flags::CANCEL_PENDING) {
            return false;
        }
        let unscoped = header.has(Flags::KILLED.with(Flags::UNSCOPED));
        header.unset(Flags::CANCEL_PENDING.with(Flags::UNSCOPED));
        unscoped || !header.cold().is_some_and(|cold| cold.scopes.deliver(self))
    }

    /// Whether the shutdown of the runtime has cancelled the task, and the request was not taken back.
    pub(in crate::task) fn is_cancelled_by_shutdown(&self) -> bool {
        self.header().has(Flags::SHUTTING_DOWN) && self.header().cancels.get() > 0
    }
}
