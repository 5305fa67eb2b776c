//! `interval`: ticks at a fixed pace.
#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::{Sleep, now, sleep_until};

/// Creates an interval that ticks every `period`; the first tick comes at once.
///
/// # Panics
/// If the period is zero.
///
/// # Examples
/// ```
/// use std::time::{Duration, Instant};
/// proactor::run(async {
///     let start = Instant::now();
///     let mut interval = proactor::time::interval(Duration::from_millis(2));
///     for _ in 0..3 {
///         interval.tick().await;
///     }
///     assert!(start.elapsed() >= Duration::from_millis(4));
/// });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(now(), period)
}

/// Creates an interval that ticks every `period`; the first tick comes at `start`.
///
/// # Panics
/// If the period is zero.
///
/// # Examples
/// ```
/// use std::time::{Duration, Instant};
/// proactor::run(async {
///     let start = Instant::now() + Duration::from_millis(3);
///     let mut interval = proactor::time::interval_at(start, Duration::from_secs(1));
///     assert_eq!(interval.tick().await, start);
/// });
/// ```
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(
        !period.is_zero(),
        "an interval needs a period above zero; to run in every turn of the loop, use `yield_now`"
    );
    Interval { next: start, period, missed: MissedTick::default(), sleep: None }
}

/// Policy of an [`Interval`] for ticks that were not awaited in time.
///
/// # Examples
/// ```
/// use proactor::time::{MissedTick, interval};
/// let mut interval = interval(std::time::Duration::from_secs(1));
/// interval.set_missed_tick(MissedTick::Skip);
/// assert_eq!(interval.missed_tick(), MissedTick::Skip);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissedTick {
    /// Ticks without a pause until all missed ticks are made up for.
    #[default]
    Burst,
    /// Ticks at once, and then every period from that moment.
    Delay,
    /// Ticks at once, skips the other missed ticks, and continues at the next multiple of the period.
    Skip,
}

/// Ticks at a fixed pace: see [`interval`].
///
/// Only a tick that was awaited to its end counts: dropping the future of [`tick`](Self::tick) loses no tick.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let mut interval = proactor::time::interval(std::time::Duration::from_millis(1));
///     let first = interval.tick().await;
///     assert!(interval.tick().await > first);
/// });
/// ```
#[derive(Debug)]
pub struct Interval {
    next: Instant,
    period: Duration,
    missed: MissedTick,
    sleep: Option<Sleep>,
}

impl Interval {
    /// Waits for the next tick and returns the time at which it was due.
    pub fn tick(&mut self) -> Tick<'_> {
        Tick(self)
    }

    /// Returns the period.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Returns the policy for ticks that were not awaited in time.
    pub fn missed_tick(&self) -> MissedTick {
        self.missed
    }

    /// Sets the policy for ticks that were not awaited in time.
    pub fn set_missed_tick(&mut self, missed: MissedTick) {
        self.missed = missed;
    }

    /// Restarts the interval: the next tick comes one period from now.
    pub fn reset(&mut self) {
        self.next = after(now(), self.period);
        self.sleep = None;
    }

    fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        let next = self.next;
        let sleep = self.sleep.get_or_insert_with(|| sleep_until(next));
        ready!(Pin::new(sleep).poll(cx));
        self.sleep = None;
        self.next = following(next, self.period, self.missed, now());
        Poll::Ready(next)
    }
}

/// Returns the time of the tick after the one that was due at `due` and came at `now`.
fn following(due: Instant, period: Duration, missed: MissedTick, now: Instant) -> Instant {
    let late = now.saturating_duration_since(due);
    if late < period {
        return after(due, period);
    }
    match missed {
        MissedTick::Burst => after(due, period),
        MissedTick::Delay => after(now, period),
        MissedTick::Skip => {
            let into = late.as_nanos() % period.as_nanos();
            // Less than the period, so it fits wherever the period does.
            let into = Duration::new((into / 1_000_000_000) as u64, (into % 1_000_000_000) as u32);
            after(now, period - into)
        }
    }
}

/// Adds a period to an instant. A sum beyond the clock's range becomes 30 years, longer than any timer needs.
fn after(instant: Instant, period: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
    instant.checked_add(period).unwrap_or_else(|| instant + FAR)
}

/// The future of [`Interval::tick`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Tick<'a>(&'a mut Interval);

impl Future for Tick<'_> {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        self.0.poll_tick(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_tick_follows_the_policy() {
        let start = now();
        let at = |millis| start + Duration::from_millis(millis);
        let period = Duration::from_millis(10);
        for policy in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
            assert_eq!(following(at(0), period, policy, at(3)), at(10), "in time: {policy:?}");
        }
        assert_eq!(following(at(0), period, MissedTick::Burst, at(34)), at(10));
        assert_eq!(following(at(0), period, MissedTick::Delay, at(34)), at(44));
        assert_eq!(following(at(0), period, MissedTick::Skip, at(34)), at(40));
        assert_eq!(following(at(0), period, MissedTick::Skip, at(30)), at(40));
    }

    #[test]
    fn a_period_beyond_the_clock_is_far_away() {
        let start = now();
        assert!(following(start, Duration::MAX, MissedTick::Burst, start) > start);
    }
}
