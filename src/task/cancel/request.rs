//! Requests for a task's end: counted as asyncio counts them, delivered by a run of the task, and taken back.
//!
//! The scopes that catch a request are in `scopes.rs`, what follows from one that nothing catches in `cell/run.rs`.
#![forbid(unsafe_code)]

use crate::task::cell::layout::TaskRef;
use crate::task::cell::state::{Flags, Phase};

impl TaskRef {
    /// Asks for the end of the task's future: counted, and delivered when the task is run next.
    pub(in crate::task) fn request_cancel(&self) -> bool {
        if self.is_complete() {
            return false;
        }
        self.count_request();
        self.deliver_cancel();
        true
    }

    /// Asks for the end of the task, of which it is told once: what ends all of its tasks, and waits for them, cuts off none
    /// that is handling a request already. The request is made when that has been handled.
    pub(in crate::task) fn ask_to_end(&self) {
        let extra = self.header().extra();
        if !extra.is_some_and(|extra| extra.scopes.put_off()) {
            self.request_cancel();
        }
    }

    pub(in crate::task) fn count_request(&self) {
        let cancels = &self.header().cancels;
        cancels.set(cancels.get().saturating_add(1));
    }

    /// Asks for the end of all of the future, which nothing catches.
    pub(in crate::task) fn request_whole_cancel(&self) -> bool {
        self.header().set(Flags::WHOLE);
        self.request_cancel()
    }

    /// Ends all of the future, without a request that counts: what catches cancellations in it is not where this one
    /// comes from.
    pub(in crate::task) fn cancel_whole(&self) {
        self.header().set(Flags::WHOLE);
        self.deliver_cancel();
    }

    /// Counts a request that a limit or a group in this task makes. That in a body is one of the task around as well, whose
    /// code the body is.
    pub(in crate::task) fn count_own_request(&self) {
        self.each_runner(TaskRef::count_request);
    }

    /// The same, when the limit or the group has ended.
    pub(in crate::task) fn uncount_own_request(&self) {
        self.each_runner(|task| {
            let cancels = &task.header().cancels;
            cancels.set(cancels.get().saturating_sub(1));
        });
    }

    /// Calls `f` for this task or child, and where it is a body for those that run it.
    pub(in crate::task) fn each_runner(&self, mut f: impl FnMut(&TaskRef)) {
        let mut task = Some(self.clone());
        while let Some(current) = task {
            f(&current);
            task = current.header().extra().and_then(|extra| extra.runner.borrow().clone());
        }
    }

    /// A request is to be delivered, by a run of the task. One that is being reaped has had its own.
    pub(in crate::task) fn deliver_cancel(&self) {
        let header = self.header();
        if !header.has(Flags::SHIELDED) && !self.is_complete() && self.phase() != Phase::Reaping {
            header.set(Flags::PENDING);
            self.schedule();
        }
    }

    /// Takes a request back; says how many are left.
    pub(in crate::task) fn uncancel(&self) -> u16 {
        let header = self.header();
        header.cancels.set(header.cancels.get().saturating_sub(1));
        if header.cancels.get() == 0 {
            header.unset(Flags::PENDING.with(Flags::WHOLE));
        }
        header.cancels.get()
    }

    /// Whether a cancellation has been asked for, and is not caught: see `scopes.rs`.
    pub(in crate::task) fn take_request(&self) -> bool {
        let header = self.header();
        if !header.has(Flags::PENDING) {
            return false;
        }
        let uncaught = header.has(Flags::FORCED.with(Flags::WHOLE));
        header.unset(Flags::PENDING.with(Flags::WHOLE));
        uncaught || !header.extra().is_some_and(|extra| extra.scopes.deliver(self))
    }

    /// Whether the end of the runtime has asked it to end, and it has not taken that back.
    pub(in crate::task) fn is_asked_by_the_end(&self) -> bool {
        self.header().has(Flags::DOOMED) && self.header().cancels.get() > 0
    }
}
