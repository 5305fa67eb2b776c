//! The end of a runtime: tasks clean up, operations are reaped, and only then everything is closed.
#![forbid(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

use super::Core;
use super::turn::{Clock, Limits};
use crate::driver::Driver;
use crate::driver::poll_mode::{Deadline, PollMode};
use crate::runtime::leak::Leak;
use crate::runtime::report::Shutdown;
use crate::runtime::wait::Wait;
use crate::sys::guarded::Guarded;
use crate::task::threads::pool::GRACE;
use crate::time::now;

/// Maximum time that a shutdown waits for the buffers of zero-copy sends whose results have arrived: long enough for the
/// peer's acknowledgement, but not for a peer that reads nothing.
const BUFFER_PATIENCE: Duration = Duration::from_secs(1);

impl Core {
    /// Cancels all tasks, and runs the loop until they have cleaned up, or until the deadline; asyncio's
    /// `_cancel_all_tasks`. Tasks that they start meanwhile are cancelled when they have ended.
    fn cancel_all_tasks(&self, deadline: Option<Instant>, guarded: &mut Guarded) {
        let wait = deadline.map_or(Wait::Forever, Wait::Until);
        let limits = Limits { wait, ..self.limits(false) };
        let has_time = || deadline.is_none_or(|deadline| now() < deadline);
        let mut polled = Ok(());
        while self.scheduler.cancel_all() {
            loop {
                self.turns.add(1);
                guarded.run(|| self.begin(&mut Clock::default()));
                guarded.run(|| self.scheduler.run_once());
                if polled.is_err() || !has_time() {
                    return;
                }
                if !self.scheduler.has_tasks_shutting_down() {
                    break; // before the kernel is entered, where the loop might wait for ever
                }
                guarded.run(|| polled = self.finish_turn(limits));
            }
        }
        // Callbacks that are due still run, such as those for the ends of tasks.
        guarded.run(|| _ = self.run_generation(usize::MAX, &mut |_| false));
    }

    /// The rest of a turn of [`cancel_all_tasks`](Self::cancel_all_tasks).
    fn finish_turn(&self, limits: Limits) -> io::Result<()> {
        self.driver.check_origin()?;
        if self.scheduler.is_ready() {
            self.poll_kernel(PollMode::NoWait)
        } else {
            self.sleep(limits, &mut Clock::default())
        }
    }

    /// Cancels the operations that are in flight, and reaps until none is left, or until no time is `left`.
    fn reap_operations(&self, left: impl Fn() -> Duration, guarded: &mut Guarded) {
        let mut reaping = Reaping::default();
        let mut progress = true;
        loop {
            guarded.run(|| self.scheduler.shared().deliver());
            guarded.run(|| self.scheduler.run_cancelled());
            reaping.cancel_operations(&self.driver, guarded);
            let before = self.driver.stats.completions.get();
            if !self.poll_guarded(PollMode::Drain, guarded) {
                return;
            }
            let mut time = left();
            let idle = !self.scheduler.is_ready()
                && !self.driver.is_behind()
                && reaping.cancelled == Some(self.driver.begun());
            if idle {
                if reaping.is_done(&self.driver) {
                    return;
                }
                time = time.min(reaping.buffer_patience(&self.driver));
            }
            if time.is_zero() && !progress {
                return; // (operations that the kernel cancels at once are still reaped)
            }
            if idle && !time.is_zero() && self.scheduler.shared().park(false) {
                let time = time.min(Duration::from_millis(100));
                let polled = self.poll_guarded(PollMode::Wait(Deadline::After(time)), guarded);
                self.scheduler.shared().awake();
                if !polled {
                    return;
                }
            }
            progress = self.driver.stats.completions.get() > before;
        }
    }

    /// Polls the kernel. Returns false if that fails; a panic is kept in `guarded`.
    fn poll_guarded(&self, mode: PollMode, guarded: &mut Guarded) -> bool {
        let mut polled = Ok(());
        guarded.run(|| polled = self.driver.poll_kernel(mode));
        polled.is_ok()
    }

    /// Ends the runtime: cancels tasks and lets them clean up, cancels operations one by one, reaps until none is in
    /// flight, and only then closes. Operations that are left at the deadline are leaked. A panic of a destructor or a
    /// waker does not interrupt this; the first one is resumed at the end.
    pub(crate) fn shutdown(&self, deadline: Duration) -> Shutdown {
        if self.ended.replace(true) {
            return Shutdown::default();
        }
        let _entered = self.enter();
        let mut guarded = Guarded::default();
        let deadline = now().checked_add(deadline);
        let left = || deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now()));
        let tasks = self.scheduler.live_tasks();
        let leaks = self.config.leaks();
        leaks.warn_of(|| self.scheduler.tasks().into_iter().map(Leak::Task));
        leaks.warn(Leak::DirectDescriptors(self.driver.direct_descriptors()));
        self.cancel_all_tasks(deadline, &mut guarded);
        let tasks_forced = self.scheduler.kill_all();
        guarded.run(|| self.scheduler.run_cancelled());
        guarded.run(|| self.timers.close());
        // Jobs that the pool has not begun are cancelled; their results arrive through the inbox.
        guarded.run(|| self.scheduler.pool.close());
        self.reap_operations(left, &mut guarded);
        // Before the wait for jobs: they may wait for this loop, and get `RuntimeGone` from here on.
        guarded.run(|| self.scheduler.shared().close());
        let jobs_leaked = self.scheduler.pool.wait_closed(left());
        leaks.warn(Leak::Jobs(jobs_leaked));
        guarded.run(|| self.driver.close());
        // After the close, which reaps the operations that have completed by then.
        let ops_leaked = self.driver.in_flight();
        leaks.warn(Leak::Operations(ops_leaked));
        guarded.run(|| self.scheduler.abandon_all());
        guarded.run(|| self.driver.disown_leaked());
        guarded.finish();
        Shutdown { tasks, tasks_forced, ops_leaked, jobs_leaked, stats: self.stats() }
    }
}

/// The state of a shutdown that reaps operations.
#[derive(Default)]
struct Reaping {
    /// The number of operations that had been begun when all were last cancelled.
    cancelled: Option<u64>,
    /// The end of the wait for operations that nothing awaits.
    grace_until: Option<Instant>,
    /// The end of the wait for the buffers of zero-copy sends.
    buffers_until: Option<Instant>,
}

impl Reaping {
    /// Cancels all operations, if destructors have begun more since the last time: this goes through all operations.
    fn cancel_operations(&mut self, driver: &Driver, guarded: &mut Guarded) {
        if self.cancelled.replace(driver.begun()) != Some(driver.begun()) {
            guarded.run(|| driver.cancel_all());
        }
    }

    /// Whether no operation is awaited any more, and the others have completed or had their time.
    fn is_done(&mut self, driver: &Driver) -> bool {
        if driver.awaited() > 0 {
            return false;
        }
        // A remaining task waits for a result that is never taken, because its future was moved away. An abandoned call on
        // the pool may never end.
        let until = *self.grace_until.get_or_insert_with(|| now() + GRACE);
        driver.in_flight() == 0 || now() >= until
    }

    /// Returns the time that is left to wait, if only buffers of zero-copy sends are awaited; otherwise no limit.
    fn buffer_patience(&mut self, driver: &Driver) -> Duration {
        if driver.awaited() == 0 || driver.awaited() != driver.notifying() {
            return Duration::MAX;
        }
        let until = *self.buffers_until.get_or_insert_with(|| now() + BUFFER_PATIENCE);
        until.saturating_duration_since(now())
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.shutdown(self.config.shutdown_deadline);
    }
}
