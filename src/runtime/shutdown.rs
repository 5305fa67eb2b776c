//! How a runtime ends: tasks clean up, operations are reaped, and only then everything is closed.
#![forbid(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

use super::core::{Clock, Core, Limits, Until};
use super::leak::Leak;
use super::report::Shutdown;
use crate::driver::visit::Park;
use crate::sys::guarded::Guarded;
use crate::task::threads::pool::GRACE;
use crate::time::now;

/// How long a runtime's end waits for buffers of sends without a copy whose results have come: as long as the peer's
/// acknowledgement may take, but not for a peer that reads nothing.
const BUFFER_PATIENCE: Duration = Duration::from_secs(1);

impl Core {
    /// Cancels all tasks, and runs the loop until they have cleaned up; asyncio's `_cancel_all_tasks`. What they start
    /// meanwhile is cancelled when they have ended. Until the deadline.
    fn wind_down(&self, deadline: Option<Instant>, guarded: &mut Guarded) {
        let wait = deadline.map_or(Until::Event, Until::At);
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
                if !self.scheduler.has_doomed() {
                    break; // before the visit, which might wait for what no longer comes
                }
                guarded.run(|| visited = self.visit_at_end(limits));
            }
        }
        // Callbacks that are due, as those for the ends of tasks, still come.
        guarded.run(|| _ = self.run_generation(usize::MAX, &mut |_| false));
    }

    /// The rest of a turn of [`wind_down`](Self::wind_down).
    fn visit_at_end(&self, limits: Limits) -> io::Result<()> {
        self.driver.check_origin()?;
        if self.scheduler.is_ready() {
            self.visit(Park::No)
        } else {
            self.sleep(limits, &mut Clock::default())
        }
    }

    /// Ends everything: cancels tasks and lets them clean up, cancels operations one by one, reaps until nothing is in
    /// flight, and only then closes. At the deadline what is left is leaked. Panics of destructors and wakers keep
    /// nothing of that from being done; the first goes on at the end.
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
        self.wind_down(deadline, &mut guarded);
        let tasks_forced = self.scheduler.force_all();
        guarded.run(|| self.scheduler.run_cancelled());
        guarded.run(|| self.timers.close());
        // What the pool has not begun reports as cancelled; the reports come home through the inbox.
        guarded.run(|| self.scheduler.pool.close());
        let mut progress = true;
        let mut cancelled = None;
        let mut grace = None;
        let mut buffers_until = None;
        loop {
            guarded.run(|| self.scheduler.shared().deliver());
            guarded.run(|| self.scheduler.run_cancelled());
            // Once, and again when destructors have begun more: it looks at every operation.
            if cancelled.replace(self.driver.begun()) != Some(self.driver.begun()) {
                guarded.run(|| self.driver.cancel_all());
            }
            let before = self.driver.stats.completions.get();
            let mut visit = |park| {
                let mut visited = Ok(());
                guarded.run(|| visited = self.driver.visit(park));
                visited.is_ok()
            };
            if !visit(Park::Drain) {
                break;
            }
            let idle = !self.scheduler.is_ready()
                && !self.driver.is_behind()
                && cancelled == Some(self.driver.begun());
            if idle && self.driver.awaited() == 0 {
                // A task that is left waits for a result that nobody takes: its future was given away. An abandoned call
                // on the pool may never end.
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
                break; // what the kernel gives up at once is still taken
            }
            if idle && !time.is_zero() && self.scheduler.shared().park(false) {
                let waited = visit(Park::For(time.min(Duration::from_millis(100))));
                self.scheduler.shared().awake();
                if !waited {
                    break;
                }
            }
            progress = self.driver.stats.completions.get() > before;
        }
        // Before the wait for jobs: they may be waiting for this loop, and are told that it is gone.
        guarded.run(|| self.scheduler.shared().close());
        let jobs_leaked = self.scheduler.pool.wait_closed(left());
        leaks.warn(Leak::Jobs(jobs_leaked));
        guarded.run(|| self.driver.close());
        // After the close, which takes the operations that have completed by then.
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
