//! The count of what a task waits for before it completes: its operations, and other tasks.
#![forbid(unsafe_code)]

use crate::task::cell::layout::TaskRef;
use crate::task::cell::state::Phase;

impl TaskRef {
    /// Counts an operation or another task that this task waits for.
    #[inline]
    pub(crate) fn add_pending(&self) {
        let pending = &self.header().pending;
        pending.set(pending.get() + 1);
    }

    /// Uncounts an operation, or another task, that has ended. A task that is being reaped is scheduled when at most one is
    /// left: with none it completes, and if the last one is its cleanup task, that starts.
    #[inline]
    pub(crate) fn remove_pending(&self) {
        let header = self.header();
        header.pending.set(header.pending.get() - 1);
        if header.pending.get() <= 1 && header.phase.get() == Phase::Reaping {
            self.schedule();
        }
    }

    /// The number of operations and tasks that this task waits for.
    pub(in crate::task) fn pending(&self) -> u32 {
        self.header().pending.get()
    }

    /// Makes this task complete only after the other, if it is cancelled or panics. Does nothing if the other waits for this
    /// one.
    pub(in crate::task) fn wait_for(&self, other: &TaskRef) {
        if !other.is_complete() && !other.waits_for(self) {
            self.add_pending();
            other.header().cold_or_new().end_waiters.borrow_mut().push(self.clone());
        }
    }

    /// Whether this task waits for the other before it completes, directly or through other tasks, or is the same task.
    pub(in crate::task) fn waits_for(&self, other: &TaskRef) -> bool {
        // Most tasks wait for nothing. They need not search what may be a long chain of waiters of the other.
        if self.same(other) || self.pending() == 0 {
            return self.same(other);
        }
        let mut waiting = vec![other.clone()];
        let mut next = 0;
        while let Some(task) = waiting.get(next).cloned() {
            for waiter in task.header().cold().iter().flat_map(|cold| cold.end_waiters.borrow().clone()) {
                if waiter.same(self) {
                    return true;
                }
                if !waiting.iter().any(|task| task.same(&waiter)) {
                    waiting.push(waiter);
                }
            }
            next += 1;
        }
        false
    }
}
