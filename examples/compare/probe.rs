//! What the programs report to while they run.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use hdrhistogram::Histogram;

/// Counts operations and collects latencies. Tasks share it by `Rc`.
pub(crate) struct Probe {
    running: Cell<bool>,
    recording: Cell<bool>,
    count: Cell<u64>,
    latency: RefCell<Histogram<u64>>,
}

/// A histogram of nanoseconds, up to a minute, with three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order")
}

/// A duration as the histograms count it.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Probe {
    pub(crate) fn new() -> Probe {
        Probe {
            running: Cell::new(true),
            recording: Cell::new(false),
            count: Cell::new(0),
            latency: RefCell::new(histogram()),
        }
    }

    /// Whether the programs should continue. They ask before every operation.
    pub(crate) fn running(&self) -> bool {
        self.running.get()
    }

    /// Counts `n` of whatever the program counts.
    pub(crate) fn count(&self, n: u64) {
        self.count.set(self.count.get() + n);
    }

    /// Counts `operations` that took `together`, and notes how long each took
    /// on the average. Operations of a few nanoseconds come in batches, since
    /// reading the clock costs more than they do.
    pub(crate) fn record(&self, together: Duration, operations: u64) {
        self.count(operations);
        if self.recording.get() {
            let each = (nanos(together) / operations).max(1);
            self.latency.borrow_mut().saturating_record_n(each, operations);
        }
    }

    /// What was counted up to now.
    pub(crate) fn counted(&self) -> u64 {
        self.count.get()
    }

    /// Ends the warm-up: latencies are recorded from now on.
    pub(crate) fn open(&self) {
        self.recording.set(true);
    }

    /// Ends the window: latencies are no longer recorded.
    pub(crate) fn close(&self) {
        self.recording.set(false);
    }

    /// Asks the programs to end.
    pub(crate) fn end(&self) {
        self.running.set(false);
    }

    /// The latency in nanoseconds that the share `quantile` of the recorded
    /// operations did not exceed, if any was recorded.
    pub(crate) fn latency(&self, quantile: f64) -> Option<f64> {
        let latency = self.latency.borrow();
        (!latency.is_empty()).then(|| latency.value_at_quantile(quantile) as f64)
    }
}
