//! Counters of a runtime's work.
#![forbid(unsafe_code)]

use std::cell::Cell;

/// A number that only grows. It is not atomic.
#[derive(Debug, Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        self.0.set(self.0.get() + more);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// The driver's counters.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) kernel_visits: Counter,
    pub(crate) calls: Counter,
    pub(crate) submissions: Counter,
    pub(crate) completions: Counter,
    pub(crate) cancels: Counter,
    pub(crate) overflows: Counter,
    pub(crate) full_queues: Counter,
}
