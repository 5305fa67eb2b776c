//! The phase of a task, and its properties.
#![forbid(unsafe_code)]

/// The phase of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits to be run.
    Idle,
    /// Is being polled.
    Running,
    /// The future was dropped, and its cleanup is pending: operations with the kernel, tasks that it cancelled, cleanups.
    Reaping,
    /// Its outcome is in the cell.
    Complete,
    /// It has ended, and nothing is in the cell any more.
    Empty,
}

/// The effect of dropping the join handle, and whether there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::task) enum Joining {
    /// The handle detaches the task.
    Detach,
    /// The handle cancels the task.
    Cancel,
    /// There is no handle any more: the outcome will not be taken.
    Gone,
}

/// How a poll has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::task) enum Polled {
    Pending,
    Ready,
    /// It is ready, with an output that counts as an error.
    Failed,
    Panicked,
}

/// How a run of a task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::task) enum Ran {
    /// The task waits, or its cleanup is pending.
    Pending,
    Ended,
}

/// Properties of a task, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::task) struct Flags(u8);

impl Flags {
    pub(in crate::task) const NONE: Flags = Flags(0);
    /// A cancellation has been asked for and not been delivered.
    pub(in crate::task) const PENDING: Flags = Flags(1);
    /// It is never cancelled: a cleanup.
    pub(in crate::task) const SHIELDED: Flags = Flags(2);
    /// The runtime that ends has asked it to end, or waits for it.
    pub(in crate::task) const DOOMED: Flags = Flags(4);
    /// A callback of the loop, which is not in the list of tasks.
    pub(in crate::task) const CALLBACK: Flags = Flags(8);
    /// One of a child set.
    pub(in crate::task) const CHILD: Flags = Flags(16);
    /// A cancellation that nothing catches: the runtime has waited long enough.
    pub(in crate::task) const FORCED: Flags = Flags(32);
    /// The pending cancellation is one that nothing catches.
    pub(in crate::task) const WHOLE: Flags = Flags(64);
    /// A child with the task-locals of the task that polls it: the body of a group.
    pub(in crate::task) const BODY: Flags = Flags(128);

    pub(in crate::task) const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    pub(in crate::task) const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Whether one of them is set.
    pub(in crate::task) const fn is(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }
}
