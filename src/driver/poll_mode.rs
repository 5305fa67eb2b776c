//! The ways to poll the kernel, the deferred work, and the backend's description.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::feature::{Feature, FeatureSet};
use super::slots::key::Key;
use crate::task::cell::layout::Waiter;

/// The way to poll the kernel: whether it may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollMode {
    /// Does not wait.
    NoWait,
    /// Does not wait, and takes all completions that the kernel has, however many they are.
    Drain,
    /// Waits for a completion or an event.
    Wait(Deadline),
}

impl PollMode {
    /// Returns the mode without the wait.
    pub(super) fn without_waiting(self) -> Self {
        if self == PollMode::Drain { self } else { PollMode::NoWait }
    }
}

/// The end of a wait in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// The wait ends at once, with the completions that are there.
    Now,
    /// The wait ends after this duration.
    After(Duration),
    /// The wait ends at this time since the start of the machine's monotonic clock, if the backend
    /// [takes deadlines](super::Driver::takes_deadlines).
    At(Duration),
    /// The wait has no limit.
    Never,
}

/// The description of a backend, for reports.
#[derive(Debug, Default)]
pub(crate) struct BackendInfo {
    pub(crate) features: FeatureSet,
    pub(crate) refused: Vec<(Feature, i32)>,
    pub(crate) ring_entries: u32,
    pub(crate) setup_flags: Vec<&'static str>,
}

/// Work that is deferred until the engine is no longer borrowed, because it may run user code.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    pub(super) wake: Vec<Waiter>,
    /// Operations without a future that keep only their buffers from now on.
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
