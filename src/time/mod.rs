//! Time: sleeping, timeouts, intervals.
//!
//! All timers of a runtime are in one timing wheel; the kernel has none. The loop asks the wheel when to
//! look next, waits for I/O no longer than that, and fires what is due. A timer never fires early; how late
//! it is depends on what else the loop has to do, on the wheel's tick of 16 µs and on the kernel's own slack
//! (50 µs by default, see `PR_SET_TIMERSLACK` in prctl(2)).
//!
//! This module is the only place that reads the clock, which is [`Instant`]'s: monotonic, and it stands
//! still while the machine is suspended.
//!
//! | file | what it holds |
//! |---|---|
//! | `wheel.rs` | the timing wheel, without a clock |
//! | `sleep.rs` | `sleep`, `sleep_until` |
//! | `timeout.rs` | `timeout`, `timeout_at`, `Elapsed` |
//! | `interval.rs` | `interval`, `MissedTick` |
#![forbid(unsafe_code)]

mod interval;
mod sleep;
mod timeout;
mod wheel;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Context;
use std::time::{Duration, Instant};

pub use interval::{Interval, MissedTick, Tick, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};

use crate::sys::context::{self, Entered};
use crate::sys::guarded::Guarded;
use crate::task::waker::Waiter;
use wheel::{TimerKey, Wheel};

thread_local! {
    static CURRENT: context::Context<Timers> = const { context::Context::new() };
}

/// The time now.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The timers of one runtime.
pub(crate) struct Timers {
    epoch: Instant,
    wheel: RefCell<Wheel<Waiter>>,
    fired: RefCell<Vec<Waiter>>,
    closed: Cell<bool>,
}

impl Timers {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Timers {
            epoch: now(),
            wheel: RefCell::new(Wheel::new()),
            fired: RefCell::default(),
            closed: Cell::new(false),
        })
    }

    pub(crate) fn enter(self: Rc<Self>) -> Entered<Timers> {
        context::enter(&CURRENT, self)
    }

    /// Nanoseconds since the epoch; the wheel's unit. 584 years hold.
    fn nanoseconds(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Fires what is due at `now`. Wakes, so nothing may be borrowed.
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

    /// When the loop has to look again; `None` while no timer is set.
    pub(crate) fn next_visit(&self) -> Option<Instant> {
        let visit = self.wheel.borrow().next_visit()?;
        self.epoch.checked_add(Duration::from_nanos(visit))
    }

    pub(crate) fn live(&self) -> usize {
        self.wheel.borrow().len()
    }

    /// The runtime ends: drops all timers.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        let waiters = self.wheel.borrow_mut().clear();
        drop(waiters); // outside the borrow: wakers are code of the user
    }
}

impl std::fmt::Debug for Timers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timers").field("live", &self.live()).finish_non_exhaustive()
    }
}

/// A timer that is set, or not yet; dropping it takes it out of the wheel.
#[derive(Debug, Default)]
struct Timer {
    armed: Option<(Rc<Timers>, TimerKey)>,
}

impl Timer {
    /// Sets the timer; a deadline of `None` is never reached.
    fn arm(&mut self, deadline: Option<Instant>, cx: &Context<'_>, what: &str) {
        self.disarm();
        let Some(timers) = context::get(&CURRENT) else { crate::task::no_runtime(what) };
        if let Some(deadline) = deadline {
            let nanoseconds = timers.nanoseconds(deadline);
            let waiter = Waiter::new(cx); // may be code of the user: not while the wheel is borrowed
            let key = timers.wheel.borrow_mut().insert(nanoseconds, waiter);
            self.armed = Some((timers, key));
        }
    }

    /// Whether it was set and has not fired; changes who is woken.
    fn is_pending(&self, cx: &Context<'_>) -> bool {
        let Some((timers, key)) = &self.armed else { return false };
        assert!(
            !timers.closed.get(),
            "the runtime in which this timer was set has ended: make a new one in the runtime that polls it"
        );
        let mut wheel = timers.wheel.borrow_mut();
        let Some(waiter) = wheel.get_mut(*key) else { return false };
        if waiter.will_wake(cx) {
            return true;
        }
        drop(wheel);
        let waiter = Waiter::new(cx); // may be code of the user: not while the wheel is borrowed
        let replaced = timers.wheel.borrow_mut().get_mut(*key).map(|old| std::mem::replace(old, waiter));
        drop(replaced);
        true
    }

    fn disarm(&mut self) {
        if let Some((timers, key)) = self.armed.take() {
            let waiter = timers.wheel.borrow_mut().remove(key);
            drop(waiter);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.disarm();
    }
}
