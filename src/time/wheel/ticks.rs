//! Ticks of the wheel, read as base-256 digits: one level for each digit.
#![forbid(unsafe_code)]

/// A tick is 2^14 ns = 16.4 µs: finer than the kernel's own timer slack
/// (50 µs), and coarse enough that a slot gathers timers worth one wakeup.
pub(super) const TICK_BITS: u32 = 14;
pub(super) const TICK_NS: u64 = 1 << TICK_BITS;

pub(super) const DIGIT_BITS: u32 = 8;
pub(super) const SLOTS_PER_LEVEL: usize = 1 << DIGIT_BITS;
pub(super) const LEVELS: usize = 7;

/// The tick that the latest deadline, `u64::MAX`, rounds up to.
pub(super) const LAST_TICK: u64 = 1 << (u64::BITS - TICK_BITS);
/// The top level stops at the largest digit that a tick can have there.
pub(super) const SLOTS: usize =
    (LEVELS - 1) * SLOTS_PER_LEVEL + (LAST_TICK >> ((LEVELS - 1) as u32 * DIGIT_BITS)) as usize + 1;

/// The level of the highest digit that is not zero.
#[inline]
pub(super) fn level_of(difference: u64) -> usize {
    ((difference | 1).ilog2() / DIGIT_BITS) as usize
}

#[inline]
pub(super) fn digit(tick: u64, level: usize) -> usize {
    (tick >> (level as u32 * DIGIT_BITS)) as usize % SLOTS_PER_LEVEL
}

#[inline]
pub(super) fn tick_at_or_after(ns: u64) -> u64 {
    ns.div_ceil(TICK_NS)
}

/// The last instant counts as the tick that ends there: no `u64` is larger, so
/// the timers that round up to `LAST_TICK` would never fire otherwise.
#[inline]
pub(super) fn tick_at_or_before(ns: u64) -> u64 {
    if ns == u64::MAX { LAST_TICK } else { ns / TICK_NS }
}
