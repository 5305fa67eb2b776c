//! Running a task: a poll, or the step that its phase requires instead; and the end of a task.

use std::task::Context;

use super::error::Ended;
use super::layout::{ColdFields, TaskRef};
use super::state::{Flags, JoinState, Phase, Polled, RunOutcome};

impl TaskRef {
    /// Runs the task once: polls it, or takes the step that its phase or a pending cancellation requires.
    #[inline]
    pub(in crate::task) fn run(&self) -> RunOutcome {
        let header = self.header();
        header.scheduled.set(false);
        if (header.phase.get() != Phase::Idle || header.has(Flags::CANCEL_PENDING))
            && let Some(outcome) = self.run_other_step()
        {
            return outcome;
        }
        match self.poll() {
            Polled::Pending if header.has(Flags::CANCEL_PENDING) => {
                self.schedule(); // it requested its own cancellation while it ran
                RunOutcome::Pending
            }
            Polled::Pending => RunOutcome::Pending,
            Polled::Ready => RunOutcome::Ended,
            Polled::Failed => {
                header.ended.set(Ended::Failed);
                RunOutcome::Ended
            }
            Polled::Panicked => {
                header.ended.set(Ended::Panicked);
                self.begin_reaping()
            }
        }
    }

    /// Polls the future of an idle task or child.
    #[inline]
    pub(in crate::task) fn poll(&self) -> Polled {
        let header = self.header();
        header.phase.set(Phase::Running);
        let waker = self.borrowed_waker();
        // SAFETY: on the owner thread, not being polled, and the stage holds the future; the borrowed waker does
        // not outlive `self`.
        let polled = unsafe { (header.vtable().poll)(self.0, &mut Context::from_waker(&waker)) };
        header.phase.set(Phase::Idle);
        polled
    }

    /// Takes a step other than a poll. Returns `None` if the task is to be polled after all.
    #[cold]
    fn run_other_step(&self) -> Option<RunOutcome> {
        let header = self.header();
        match header.phase.get() {
            Phase::Idle => {
                if !self.take_request() {
                    return None;
                }
                self.drop_future();
                Some(self.begin_reaping())
            }
            Phase::Reaping if header.pending.get() == 0 => Some(RunOutcome::Ended),
            Phase::Reaping => {
                header.cold().into_iter().for_each(ColdFields::resume_cleanup);
                Some(RunOutcome::Pending)
            }
            Phase::Running | Phase::Complete | Phase::Empty => Some(RunOutcome::Pending),
        }
    }

    /// Drops the future of an idle task or child in place, and replaces it by the outcome.
    pub(in crate::task) fn drop_future(&self) {
        self.header().phase.set(Phase::Reaping);
        // SAFETY: on the owner thread, not being polled, and the stage holds the future.
        let ended = unsafe { (self.header().vtable().cancel)(self.0) };
        self.header().ended.set(ended);
    }

    /// Starts waiting for the pending cleanup, after the future was replaced by its outcome.
    fn begin_reaping(&self) -> RunOutcome {
        self.header().phase.set(Phase::Reaping);
        if self.header().pending.get() == 0 { RunOutcome::Ended } else { RunOutcome::Pending }
    }

    /// Completes a task that has ended: tells its callbacks and waiters, and drops the outcome if there is no handle.
    #[inline]
    pub(in crate::task) fn complete(&self) {
        let header = self.header();
        header.phase.set(Phase::Complete);
        if header.cold.get().is_some() {
            self.notify_end();
        }
        if header.join_state.get() == JoinState::Gone {
            self.clear();
        }
        if let Some(joiner) = header.joiner.take() {
            joiner.wake();
        }
    }

    #[cold]
    fn notify_end(&self) {
        self.header().cold().into_iter().for_each(|cold| cold.task_ended(self));
    }
}
