//! One visit to the kernel: whether it may wait, and what it leaves to be done.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::feature::{Feature, FeatureSet};
use super::slots::key::Key;
use crate::task::cell::layout::Waiter;

/// Whether a visit to the kernel may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Park {
    No,
    /// No, but everything that is there for the loop is brought, however much it is.
    Drain,
    For(Duration),
    /// Until a time of the machine's monotonic clock, where the backend [takes such](Driver::takes_deadlines).
    Until(Duration),
    Forever,
}

impl Park {
    /// The same visit without the wait.
    pub(super) fn without_waiting(self) -> Self {
        if self == Park::Drain { self } else { Park::No }
    }
}

/// The description of a backend, for reports.
#[derive(Debug, Default)]
pub(crate) struct Machinery {
    pub(crate) features: FeatureSet,
    pub(crate) refused: Vec<(Feature, i32)>,
    pub(crate) ring_entries: u32,
    pub(crate) setup_flags: Vec<&'static str>,
}

/// Work that a visit leaves until the backend is no longer borrowed, because it may run user code.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    pub(super) wake: Vec<Waiter>,
    /// Operations without a future that keep their buffers alone from now on.
    pub(super) release: Vec<Key>,
    pub(super) reclaim: Vec<Key>,
    /// Multishot operations to stop: their endpoints hold enough.
    pub(super) stop: Vec<Key>,
}

impl Deferred {
    pub(super) fn is_empty(&self) -> bool {
        self.wake.is_empty() && self.release.is_empty() && self.reclaim.is_empty() && self.stop.is_empty()
    }
}
