//! The end of a runtime: tasks clean up, operations are reaped, and only then everything is closed.
#![forbid(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

use super::Core;
use super::turn::{Clock, Limits};
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
        let mut visited = Ok(());
        while self.scheduler.cancel_all() {
            loop {
                self.turns.add(1);
                guarded.run(|| self.begin(&mut Clock::default()));
                guarded.run(|| self.scheduler.run_once());
                if visited.is_err() || !has_time() {
                    return;
                }
                if !self.scheduler.has_tasks_shutting_down() {
                    break; // before the kernel is entered, where the loop might wait for ever
                }
                guarded.run(|| visited = self.finish_turn(limits));
            }
        }
        // Callbacks that are due still run, such as those for the ends of tasks.
        guarded.run(|| _ = self.run_generation(usize::MAX, &mut |_| false));
    }

    /// The rest of a turn of [`cancel_all_tasks`](Self::cancel_all_tasks).
    fn finish_turn(&self, limits: Limits) -> io::Result<()> {
        self.driver.check_origin()?;
        if self.scheduler.is_ready() {
            self.visit(PollMode::NoWait)
        } else {
            self.sleep(limits, &mut Clock::default())
        }
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
        let mut progress = true;
        let mut cancelled = None;
        let mut grace = None;
        let mut buffers_until = None;
        loop {
            guarded.run(|| self.scheduler.shared().deliver());
            guarded.run(|| self.scheduler.run_cancelled());
            // Only when destructors have begun more since the last time: `cancel_all` goes through all operations.
            if cancelled.replace(self.driver.begun()) != Some(self.driver.begun()) {
                guarded.run(|| self.driver.cancel_all());
            }
            let before = self.driver.stats.completions.get();
            let mut visit = |mode| {
                let mut visited = Ok(());
                guarded.run(|| visited = self.driver.poll_kernel(mode));
                visited.is_ok()
            };
            if !visit(PollMode::Drain) {
                break;
            }
            let idle = !self.scheduler.is_ready()
                && !self.driver.is_behind()
                && cancelled == Some(self.driver.begun());
            if idle && self.driver.awaited() == 0 {
                // A remaining task waits for a result that is never taken, because its future was moved away. An
                // abandoned call on the pool may never end.
                let patience = grace.get_or_insert_with(|| now() + GRACE);
                if self.driver.in_flight() == 0 || now() >= *patience {
                    break;
                }
            }
            let mut time = left();
            if idle && self.driver.awaited() == self.driver.notifying() && self.driver.awaited() > 0 {
                let until = *buffers_until.get_or_insert_with(|| now() + BUFFER_PATIENCE);
                time = time.min(until.saturating_duration_since(now()));
            }
            if time.is_zero() && !progress {
                break; // (operations that the kernel cancels at once are still reaped)
            }
            if idle && !time.is_zero() && self.scheduler.shared().park(false) {
                let waited = visit(PollMode::Wait(Deadline::After(time.min(Duration::from_millis(100)))));
                self.scheduler.shared().awake();
                if !waited {
                    break;
                }
            }
            progress = self.driver.stats.completions.get() > before;
        }
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

impl Drop for Core {
    fn drop(&mut self) {
        self.shutdown(self.config.shutdown_deadline);
    }
}
