//! Small states of a task cell: the phase, the flags, and the results of a poll and of a run.
#![forbid(unsafe_code)]

/// The phase of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The cell holds the future, which is not being polled.
    Idle,
    /// The future is being polled.
    Running,
    /// The future was dropped, and its cleanup is pending: operations with the kernel, tasks that it cancelled, cleanups.
    Reaping,
    /// The task has ended, and the cell holds its outcome.
    Complete,
    /// The task has ended, and its outcome was taken or dropped: the cell holds nothing.
    Empty,
}

/// The state of the join handle: what its drop does, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::task) enum JoinState {
    /// The drop of the handle detaches the task.
    Detach,
    /// The drop of the handle cancels the task.
    Cancel,
    /// The handle was dropped: the outcome will not be taken.
    Gone,
}

/// The result of one poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::task) enum Polled {
    /// The future waits.
    Pending,
    /// The future is ready.
    Ready,
    /// The future is ready with an output that counts as an error.
    Failed,
    /// The future, or its destructor, has panicked.
    Panicked,
}

/// The result of one run of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::task) enum RunOutcome {
    /// The task waits, or its cleanup is pending.
    Pending,
    /// The task has ended, and is to be completed.
    Ended,
}

/// Properties of a task, one bit each. `layout.rs` explains when each is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::task) struct Flags(u8);

impl Flags {
    pub(in crate::task) const NONE: Flags = Flags(0);
    /// Cancel pending: the next run of the task delivers a cancellation request.
    pub(in crate::task) const CANCEL_PENDING: Flags = Flags(1);
    /// The task is never cancelled: it runs cleanups, or waits for a task on behalf of another thread.
    pub(in crate::task) const UNCANCELLABLE: Flags = Flags(2);
    /// The shutdown of the runtime has cancelled the task, or waits for it.
    pub(in crate::task) const SHUTTING_DOWN: Flags = Flags(4);
    /// A callback of the loop. It is not in the list of tasks.
    pub(in crate::task) const CALLBACK: Flags = Flags(8);
    /// A future of a child set.
    pub(in crate::task) const CHILD: Flags = Flags(16);
    /// No scope catches a cancellation of this task any more: the shutdown's deadline has passed.
    pub(in crate::task) const KILLED: Flags = Flags(32);
    /// No scope catches the pending cancellation.
    pub(in crate::task) const UNSCOPED: Flags = Flags(64);
    /// The body of a group: a child with the task-locals of the task that polls it.
    pub(in crate::task) const BODY: Flags = Flags(128);

    pub(in crate::task) const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    pub(in crate::task) const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Whether at least one of these flags is set.
    pub(in crate::task) const fn is(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }
}
