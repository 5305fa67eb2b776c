//! One turn of the loop.
//!
//! A turn takes the inbox, fires timers, runs one generation of the ready queue, and polls the kernel. It waits
//! there only if no task is ready. It enters the kernel without waiting after enough task polls or time, or if the
//! ring's flags report work. It knows the scheduler, the timers and the driver, which do not know each other's insides;
//! it matches on no backend.
#![forbid(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

use super::Core;
use crate::driver::poll_mode::{Deadline, PollMode};
use crate::runtime::wait::Wait;
use crate::task::scheduler::Step;
use crate::time::{now, since_boot};

/// Time in ready tasks after which the kernel is entered, whatever the budget allows.
const KERNEL_INTERVAL: Duration = Duration::from_micros(200);

/// Maximum number of task polls between two clock reads while tasks are ready.
const POLLS_PER_CLOCK_READ: u32 = 16;

/// Checks of the inbox and the ring between two clock reads while the loop spins.
const SPINS_PER_CLOCK_READ: u32 = 64;

/// The limits of a turn: the time to wait, and the number of tasks to poll.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) struct Limits {
    pub(in crate::runtime) wait: Wait,
    pub(in crate::runtime) polls: usize,
    /// Whether `Handle::stop` ends the wait.
    pub(in crate::runtime) stoppable: bool,
}

/// Caches the current time for one turn. Turns without timers never read the clock.
#[derive(Debug, Default)]
pub(super) struct Clock(Option<Instant>);

impl Clock {
    fn read(&mut self) -> Instant {
        *self.0.get_or_insert_with(now)
    }
}

impl Core {
    /// The limits of the turns of `block_on` and `run_forever`.
    pub(super) fn limits(&self, stoppable: bool) -> Limits {
        Limits { wait: Wait::Forever, polls: self.config.turn_budget as usize, stoppable }
    }

    /// One turn for a foreign loop, which wants control back as soon as a task was polled: waits first, if no task is
    /// ready, and then runs the ready tasks. Returns the number of polls.
    #[track_caller]
    pub(in crate::runtime) fn turn(&self, limits: Limits) -> io::Result<usize> {
        let _entered = self.enter_alone("turn");
        let _flush = Flush(self);
        self.driver.check_origin()?;
        self.turns.add(1);
        self.begin(&mut Clock::default());
        if self.scheduler.is_ready() {
            self.driver.poll_kernel(PollMode::NoWait)?;
        } else {
            self.sleep(limits, &mut Clock::default())?;
            self.begin(&mut Clock::default());
        }
        Ok(self.run_generation(limits.polls, &mut |_| false).0)
    }

    /// One turn of `block_on` and `run_forever`: runs the ready tasks, and then polls the kernel. `root` polls the future
    /// of `block_on`, and returns true when that is complete.
    pub(super) fn run_once(&self, limits: Limits, root: &mut dyn FnMut(bool) -> bool) -> io::Result<()> {
        self.driver.check_origin()?;
        self.turns.add(1);
        let mut clock = Clock::default();
        // The inbox and the timers make tasks ready.
        self.begin(&mut clock);
        // The ready queue: one generation.
        let (polled, complete) = self.run_generation(limits.polls, root);
        if complete {
            return Ok(());
        }
        // Tasks are ready: enter the kernel only if that is due, and do not wait there.
        if self.scheduler.is_ready() {
            let due = self.polls_since_io.get() >= self.config.turn_budget
                || self.is_kernel_check_due(&mut clock)
                || self.driver.has_work();
            return if due { self.poll_kernel(PollMode::NoWait) } else { Ok(()) };
        }
        // No task is ready: wait in the kernel.
        if polled > 0 {
            clock = Clock::default(); // time has passed
        }
        self.sleep(limits, &mut clock)
    }

    /// The beginning of a turn: takes the inbox and fires timers.
    #[inline(always)] // this and `sleep`: 64 instructions in each turn, of 1,083 for one with a NOP
    pub(super) fn begin(&self, clock: &mut Clock) {
        self.scheduler.shared().deliver();
        if self.timers.live() > 0 {
            self.timers.fire(clock.read());
        }
    }

    /// Whether tasks have kept the loop from the kernel for [`KERNEL_INTERVAL`].
    ///
    /// Reads the clock only when there have been twice as many polls as at the last read: a turn may be a single short
    /// poll, and cost less than the read. So the kernel is entered late by the time of as many polls again, at most.
    fn is_kernel_check_due(&self, clock: &mut Clock) -> bool {
        let polls = self.polls_since_io.get();
        if polls < self.next_clock_check.get() {
            return false;
        }
        self.next_clock_check.set(polls + polls.min(POLLS_PER_CLOCK_READ));
        let now = clock.read();
        match self.busy_since.get() {
            Some(since) => now.saturating_duration_since(since) >= KERNEL_INTERVAL,
            None => {
                self.busy_since.set(Some(now));
                false
            }
        }
    }

    /// Runs the tasks that are ready now, `limit` at most. Returns the number of polls, and whether the root is complete.
    pub(super) fn run_generation(&self, limit: usize, root: &mut dyn FnMut(bool) -> bool) -> (usize, bool) {
        let generation = self.scheduler.ready_len().min(limit);
        let mut complete = false;
        for _ in 0..generation {
            match self.scheduler.step() {
                Step::Empty => break,
                Step::Task => {}
                Step::Root => complete |= self.scheduler.run_root(&mut *root),
            }
            self.timers.poll_ended();
            self.polls.add(1);
        }
        self.polls_since_io.set(self.polls_since_io.get().saturating_add(generation as u32));
        (generation, complete)
    }

    /// Waits in the kernel for the first of an event, a timer and the caller's limit, because no task is ready.
    #[inline(always)]
    pub(super) fn sleep(&self, limits: Limits, clock: &mut Clock) -> io::Result<()> {
        let limit = match limits.wait {
            Wait::Poll => return self.poll_kernel(PollMode::NoWait),
            Wait::Until(limit) => Some(limit),
            Wait::Forever => None,
        };
        self.timers.poll_ended(); // for limits that were set outside the generation, by an eager task for example
        let until = match (self.timers.next_wake(), limit) {
            (Some(timer), Some(limit)) => Some(timer.min(limit)),
            (timer, limit) => timer.or(limit),
        };
        if let Some(spin) = self.config.spin {
            if self.spin_for_work(spin, until, limits.stoppable)? {
                return self.poll_kernel(PollMode::NoWait);
            }
            *clock = Clock::default(); // time has passed
        }
        let mode = match until {
            None => PollMode::Wait(Deadline::Never),
            Some(until) if self.driver.takes_deadlines() => PollMode::Wait(Deadline::At(since_boot(until))),
            Some(until) => match until.saturating_duration_since(clock.read()) {
                Duration::ZERO => PollMode::NoWait,
                time => PollMode::Wait(Deadline::After(time)),
            },
        };
        if mode == PollMode::NoWait || !self.scheduler.shared().park(limits.stoppable) {
            return self.poll_kernel(PollMode::NoWait);
        }
        let polled = self.poll_kernel(mode);
        self.scheduler.shared().awake();
        polled
    }

    /// Spins for a while before the loop sleeps, so that other threads need no system call to wake it. Returns true if
    /// work has arrived.
    fn spin_for_work(&self, spin: Duration, until: Option<Instant>, stoppable: bool) -> io::Result<bool> {
        let shared = self.scheduler.shared();
        let begin = now();
        let end = match (begin.checked_add(spin), until) {
            (Some(end), Some(until)) => Some(end.min(until)),
            (end, until) => end.or(until),
        };
        self.poll_kernel(PollMode::NoWait)?;
        let mut spins = 0_u32;
        loop {
            if self.driver.has_work() {
                self.poll_kernel(PollMode::NoWait)?;
            }
            if self.scheduler.is_ready() || shared.has_arrivals(stoppable) {
                return Ok(true);
            }
            spins += 1;
            if spins.is_multiple_of(SPINS_PER_CLOCK_READ) {
                if end.is_some_and(|end| now() >= end) {
                    return Ok(false);
                }
                self.poll_kernel(PollMode::NoWait)?; // the selector, and a ring whose flags do not report work, must ask the kernel
            }
            std::hint::spin_loop();
        }
    }

    /// Polls the kernel, and starts the counts that make the next poll due anew.
    pub(super) fn poll_kernel(&self, mode: PollMode) -> io::Result<()> {
        self.polls_since_io.set(0);
        self.busy_since.set(None);
        self.next_clock_check.set(0);
        self.driver.poll_kernel(mode)
    }

    /// The latest time of the next turn, for a foreign loop; `None` while only events matter.
    pub(in crate::runtime) fn next_deadline(&self) -> Option<Instant> {
        if self.scheduler.is_ready() || self.driver.has_queued() {
            return Some(now());
        }
        self.timers.poll_ended();
        self.timers.next_expiry()
    }

    /// Whether another turn has work at once. Work that arrives after this call makes the descriptor readable.
    pub(in crate::runtime) fn has_more(&self) -> io::Result<bool> {
        self.driver.acknowledge();
        if !self.scheduler.is_ready() && self.driver.has_work() {
            // The flags may still report work that is done. This takes what is left, and resets them.
            let _entered = self.enter_alone("turn");
            self.driver.poll_kernel(PollMode::Drain)?;
        }
        Ok(self.scheduler.is_ready() || self.driver.is_behind())
    }
}

/// Submits every queued operation when a turn returns or unwinds.
struct Flush<'a>(&'a Core);

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        self.0.driver.flush();
    }
}
