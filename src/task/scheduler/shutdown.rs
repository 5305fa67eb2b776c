//! The end of all tasks of a scheduler: cancelling them, killing those that remain, and tasks that are spawned meanwhile.
#![forbid(unsafe_code)]

use super::Scheduler;
use crate::sys::guarded::Guarded;
use crate::task::cell::layout::TaskRef;
use crate::task::cell::state::{Flags, Phase};

/// The number of generations of tasks that destructors may spawn, each in a destructor of the one before, while all tasks
/// are being cancelled.
const LAST_GENERATIONS: u32 = 100_000;

impl Scheduler {
    /// Cancels every task that an earlier call has not cancelled, and from now on every new task, except those that tasks
    /// start while they clean up. The tasks end in [`run_once`](Self::run_once) and the turns after it. Returns false if there
    /// was none to cancel.
    pub(crate) fn cancel_all(&self) -> bool {
        self.closed.set(true);
        let new = |task: &&TaskRef| !task.header().has(Flags::SHUTTING_DOWN.with(Flags::CALLBACK));
        let tasks: Vec<TaskRef> =
            self.tasks.borrow().iter().map(|(_, task)| task).filter(new).cloned().collect();
        for task in &tasks {
            task.header().set(Flags::SHUTTING_DOWN);
            task.request_graceful_cancel();
        }
        !tasks.is_empty()
    }

    /// Whether a task that [`cancel_all`](Self::cancel_all) has cancelled still has a future: it cleans up.
    pub(crate) fn has_tasks_shutting_down(&self) -> bool {
        let shutting_down =
            |task: &TaskRef| task.header().has(Flags::SHUTTING_DOWN) && !task.is_being_reaped();
        self.tasks.borrow().iter().any(|(_, task)| shutting_down(task))
    }

    /// Cancels all remaining tasks, cleanups included, by requests that no scope catches. Returns the number of tasks that
    /// still had a future.
    pub(crate) fn kill_all(&self) -> usize {
        self.closed.set(true);
        self.abandoned.set(true);
        let tasks: Vec<TaskRef> = self.tasks.borrow().iter().map(|(_, task)| task.clone()).collect();
        let mut killed = 0;
        for task in tasks.iter().filter(|task| !task.is_being_reaped()) {
            killed += usize::from(!task.header().is_callback());
            task.header().unset(Flags::UNCANCELLABLE);
            task.header().set(Flags::KILLED);
            task.request_cancel();
        }
        killed
    }

    /// Whether cleanups are dropped instead of awaited.
    pub(in crate::task) fn is_abandoned(&self) -> bool {
        self.abandoned.get()
    }

    /// Runs the tasks that are ready now, and further generations while destructors spawn tasks. It does not wait until no task
    /// is ready, which might never happen.
    pub(crate) fn run_once(&self) {
        for generation in 1.. {
            self.spawned_in_drop.set(false);
            for _ in 0..self.ready_len() {
                self.step();
            }
            if !self.spawned_in_drop.get() {
                return;
            }
            self.endless.set(self.endless.get() || generation == LAST_GENERATIONS);
        }
    }

    /// Runs cancelled tasks, and those that they spawn, until none is ready. It drops their futures. Call it again after each
    /// poll of the driver: tasks end when their operations are reaped.
    pub(crate) fn run_cancelled(&self) {
        let mut generations = 0;
        while self.is_ready() {
            for _ in 0..self.ready_len() {
                self.step();
            }
            generations += 1;
            self.endless.set(self.endless.get() || generations == LAST_GENERATIONS);
        }
    }

    /// Completes all remaining tasks, after the last poll of the driver: their operations will not be reaped any more.
    pub(crate) fn abandon_all(&self) {
        let mut guarded = Guarded::default(); // the wakers of their waiters may be user code
        loop {
            while self.is_ready() {
                guarded.run(|| self.run_cancelled()); // tasks that were spawned meanwhile
            }
            let tasks: Vec<TaskRef> = self.tasks.borrow_mut().drain().collect();
            self.callbacks.set(0);
            if tasks.is_empty() {
                break;
            }
            tasks.iter().for_each(|task| guarded.run(|| task.complete()));
        }
        self.root.complete();
        guarded.finish();
    }

    /// Whether the runtime is shutting down, or was shut down.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Handles a task that is spawned while the runtime shuts down. A task that a destructor spawns is cancelled before its
    /// first poll, in its own run: dropping its future here would recurse if its destructor spawns again. A task that is being
    /// polled, to clean up, may spawn.
    #[cold]
    pub(super) fn handle_late_spawn(&self, task: &TaskRef, flags: Flags) {
        let killing = self.abandoned.get();
        if !killing && flags.is(Flags::UNCANCELLABLE) {
            task.header().set(Flags::SHUTTING_DOWN); // the shutdown waits for it
        } else if killing || !(flags.is(Flags::CALLBACK) || self.is_polling()) {
            task.header().set(Flags::SHUTTING_DOWN.with(Flags::KILLED));
            task.request_cancel();
            self.spawned_in_drop.set(true);
        }
    }

    /// Whether the current task is being polled. If not, a destructor is running.
    fn is_polling(&self) -> bool {
        self.current_task().is_some_and(|task| task.phase() == Phase::Running)
    }
}
