//! The keys and the entries of the wheel's arena.
#![forbid(unsafe_code)]

use std::num::NonZeroU32;

/// Names one armed timer. A key outlives its timer harmlessly: once the timer
/// has fired or was removed, the key finds nothing.
///
/// (Generations repeat after 2^32 insertions. A stale key then finds a timer
/// only if the very insertion that repeats its generation lands on its index.)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimerKey {
    pub(super) index: u32,
    /// Non-zero so that an `Option<TimerKey>` is no larger than a key.
    pub(super) generation: NonZeroU32,
}

pub(super) struct Entry<W> {
    pub(super) deadline_ns: u64,
    pub(super) prev: u32,
    pub(super) next: u32,
    /// The niche in here also makes an `Option<Entry>` no larger than an entry.
    pub(super) generation: NonZeroU32,
    /// Index into `Wheel::heads`. Sits in what would be padding otherwise.
    pub(super) slot: u16,
    pub(super) payload: W,
}
