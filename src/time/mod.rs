//! Time: sleeping, timeouts, intervals.
//!
//! All timers of a runtime are in one timing wheel; the kernel has none. The loop asks the wheel for its next deadline,
//! waits for I/O no longer than that, and fires the timers that are due. A timer never fires early. How late it fires
//! depends on the loop's other work, on the wheel's tick of 16 µs, on the kernel's timer slack (on the selector: 50 µs
//! by default, see `PR_SET_TIMERSLACK` in prctl(2)), and on other timers: among timers that are due within 48 µs, the
//! first may wait for the last, so that a million timers do not cause a million wake-ups.
//!
//! A duration counts from the first poll of its future. [`sleep`] reads the clock there. Most time limits are set and
//! dropped again, and reading the clock would double their cost. So the durations of [`timeout`] and [`wait_for`] count
//! from the end of that poll of the task: there, the loop reads the clock once for all limits that the poll has set and
//! not dropped. Work of other tasks never delays a deadline, and no duration begins early.
//!
//! This module is the only place that reads the clock. The clock is that of [`Instant`]: monotonic, and stopped while
//! the machine is suspended.
//!
//! | file | contents |
//! |---|---|
//! | `wheel/` | the timing wheel, without a clock |
//! | `sleep.rs` | `sleep`, `sleep_until` |
//! | `timeout.rs` | `timeout`, `timeout_at`, `wait_for`, `Elapsed` |
//! | `scope.rs` | `timeout_scope`: a limit that can be moved |
//! | `limited.rs` | the cancellation request that `wait_for` and `timeout_scope` send to their future |
//! | `interval.rs` | `interval`, `MissedTick` |
#![forbid(unsafe_code)]

mod interval;
mod limited;
mod scope;
mod sleep;
mod timeout;
mod wheel;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::OnceLock;
use std::task::Context;
use std::time::{Duration, Instant};

pub use interval::{Interval, MissedTick, Tick, interval, interval_at};
pub use scope::{LimitHandle, TimeLimit, timeout_scope, timeout_scope_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, WaitFor, timeout, timeout_at, wait_for};

use super::sys::context::{self, Entered};
use super::sys::guarded::Guarded;
use super::task::cell::layout::Waiter;
use wheel::{TimerKey, Wheel};

thread_local! {
    static CURRENT: context::Context<Timers> = const { context::Context::new() };
}

/// Ticks of the wheel within which one wake-up serves all timers: 48 µs, as much as the kernel's own timer slack, which
/// waits on io_uring do not have.
const GATHER_TICKS: u64 = 3;

/// The time now.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Converts an instant to a time of CLOCK_MONOTONIC, for the kernel; some nanoseconds late, never early.
pub(crate) fn since_boot(instant: Instant) -> Duration {
    static BASE: OnceLock<(Instant, Duration)> = OnceLock::new();
    // The thread may be preempted between the reads, and then every timer would be late by that time.
    let read = || (crate::sys::monotonic(), now(), crate::sys::monotonic());
    let nearest = || (0..8).map(|_| read()).min_by_key(|(before, _, after)| after.saturating_sub(*before));
    let (base, since_boot) = *BASE.get_or_init(|| nearest().map(|(_, base, after)| (base, after)).unwrap());
    match instant.checked_duration_since(base) {
        Some(after) => since_boot.saturating_add(after),
        None => since_boot.saturating_sub(base - instant),
    }
}

/// The timers of one runtime.
pub(crate) struct Timers {
    epoch: Instant,
    wheel: RefCell<Wheel<Waiter>>,
    fired: RefCell<Vec<Waiter>>,
    /// Whether there may be relative timers: their durations count from the end of the current poll.
    has_relative_timers: Cell<bool>,
    closed: Cell<bool>,
}

impl Timers {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Timers {
            epoch: now(),
            wheel: RefCell::new(Wheel::new()),
            fired: RefCell::default(),
            has_relative_timers: Cell::new(false),
            closed: Cell::new(false),
        })
    }

    pub(crate) fn enter(self: Rc<Self>) -> Entered<Timers> {
        context::enter(&CURRENT, self)
    }

    /// Converts an instant to the wheel's unit: nanoseconds since the epoch, for 584 years.
    fn nanoseconds(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Fires the timers that are due at `now`. Runs wakers, so nothing may be borrowed.
    pub(crate) fn fire(&self, now: Instant) {
        if self.wheel.borrow().is_empty() {
            return;
        }
        let mut fired = self.fired.take();
        self.wheel.borrow_mut().advance(self.nanoseconds(now), &mut fired);
        let mut guarded = Guarded::default();
        fired.drain(..).for_each(|waiter| guarded.run(|| waiter.wake()));
        self.fired.replace(fired); // keeps its memory
        guarded.finish();
    }

    /// Returns the time at which the first timer may be due; `None` while no timer is set. Relative timers do not count.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.instant(self.wheel.borrow().next_expiry(0)?)
    }

    /// Returns the time at which a sleeping loop must wake: late enough to fire timers that follow soon together.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.instant(self.wheel.borrow().next_expiry(GATHER_TICKS)?)
    }

    fn instant(&self, nanoseconds: u64) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(nanoseconds))
    }

    /// Resolves relative timers at the end of a poll: the durations of limits that were not dropped count from now.
    #[inline]
    pub(crate) fn poll_ended(&self) {
        if self.has_relative_timers.get() {
            self.resolve_relative();
        }
    }

    #[inline(never)]
    fn resolve_relative(&self) {
        self.has_relative_timers.set(false);
        let mut wheel = self.wheel.borrow_mut();
        if wheel.has_relative() {
            wheel.resolve_relative(self.nanoseconds(now()));
        }
    }

    pub(crate) fn live(&self) -> usize {
        self.wheel.borrow().len()
    }

    /// Drops all timers, at the end of the runtime.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        let waiters = self.wheel.borrow_mut().clear();
        drop(waiters); // outside the borrow: wakers are user code
    }
}

impl std::fmt::Debug for Timers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timers").field("live", &self.live()).finish_non_exhaustive()
    }
}

/// The deadline of a timer.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// Nanoseconds after the end of the poll; `u64::MAX` is never reached.
    After(u64),
    At(Instant),
}

impl Due {
    fn after(duration: Duration) -> Self {
        Due::After(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Makes a duration count from now.
    fn starting_now(self) -> Self {
        match self {
            Due::After(nanoseconds) => Due::At(now() + Duration::from_nanos(nanoseconds)), // 584 years at most
            at @ Due::At(_) => at,
        }
    }
}

/// A timer in the wheel; its drop removes it.
#[derive(Debug)]
struct Timer {
    timers: Rc<Timers>,
    key: TimerKey,
}

impl Timer {
    /// Sets the timer.
    #[inline]
    fn new(due: Due, cx: &Context<'_>, what: &str) -> Self {
        let Some(timers) = context::get(&CURRENT) else { crate::sys::context::no_runtime(what) };
        let waiter = Waiter::new(cx); // may be user code: not while the wheel is borrowed
        let key = match due {
            Due::After(duration) => {
                timers.has_relative_timers.set(true);
                timers.wheel.borrow_mut().insert_after(duration, waiter)
            }
            Due::At(deadline) => timers.wheel.borrow_mut().insert(timers.nanoseconds(deadline), waiter),
        };
        Timer { timers, key }
    }

    /// Whether the timer has not fired. If so, it wakes the task of `cx`.
    fn is_pending(&self, cx: &Context<'_>) -> bool {
        let Timer { timers, key } = self;
        assert!(
            !timers.closed.get(),
            "this timer belongs to a runtime that has ended: create the timer in the runtime that polls it"
        );
        let mut wheel = timers.wheel.borrow_mut();
        let Some(waiter) = wheel.get_mut(*key) else { return false };
        if waiter.will_wake(cx) {
            return true;
        }
        drop(wheel);
        let waiter = Waiter::new(cx); // may be user code: not while the wheel is borrowed
        let replaced = timers.wheel.borrow_mut().get_mut(*key).map(|old| std::mem::replace(old, waiter));
        drop(replaced);
        true
    }
}

impl Drop for Timer {
    #[inline]
    fn drop(&mut self) {
        let waiter = self.timers.wheel.borrow_mut().remove(self.key);
        drop(waiter); // outside the borrow: a waker is user code
    }
}
