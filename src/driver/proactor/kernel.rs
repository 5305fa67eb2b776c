//! The interface between the proactor and a ring.
//!
//! [`Kernel`] has what the proactor needs of a ring: push an entry, enter, reap. `uring.rs` implements it for the kernel's
//! ring, and the driver's tests for a scripted one.

use std::io;

use crate::driver::feature::FeatureSet;
use crate::driver::poll_mode::Deadline;
use crate::op::Entry;
use crate::op::completion::Completion;

/// A ring, as the proactor uses it.
pub(crate) trait Kernel {
    /// Queues an entry for the next enter. Returns false if the queue is full.
    ///
    /// # Safety
    /// All that the entry points to stays valid until its last completion has been reaped.
    #[must_use]
    unsafe fn push(&mut self, entry: &Entry) -> bool;

    /// Returns the number of entries that the kernel has not consumed yet.
    fn unsubmitted(&mut self) -> usize;

    /// Submits the queued entries without asking for completions.
    fn submit(&mut self) -> io::Result<()>;

    /// Submits the queued entries, and waits until there are `want` completions or the deadline has passed. An interruption
    /// and a passed deadline are no errors.
    fn enter(&mut self, want: u32, deadline: Deadline) -> io::Result<()>;

    /// Takes the completions out of their queue.
    fn reap(&mut self, take: impl FnMut(Reaped));

    /// Returns true if an enter may bring completions at once: some have overflowed, or wait to be posted. The kernel raises
    /// the flag for such work after it has added the work, and the loop may have done the work by then. Then the flag stays
    /// up without work until more comes.
    fn has_work(&mut self) -> bool;

    /// Returns true if completions have overflowed their queue and are kept by the kernel.
    fn overflowed(&mut self) -> bool;

    /// Makes the queues larger. Returns false if that is impossible.
    fn grow(&mut self) -> bool {
        false
    }

    /// Releases the ring in a fork of the process, without an effect on the parent's ring.
    fn disown(self);
}

/// The settings requested for a ring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RingConfig {
    pub(crate) entries: u32,
    /// Whether the ring may grow.
    pub(crate) grows: bool,
    pub(crate) masked: FeatureSet,
    pub(crate) fault: Option<Fault>,
    /// The number of completions that a wait collects, and the microseconds that it waits for them.
    pub(crate) batch: Option<(u32, u32)>,
    /// The milliseconds after which the kernel's polling thread sleeps.
    pub(crate) sqpoll_idle_ms: Option<u32>,
    /// Microseconds.
    pub(crate) napi_busy_poll: Option<u32>,
}

/// A completion queue entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reaped {
    pub(crate) user_data: u64,
    pub(crate) completion: Completion,
}

/// A fault of the kernel, for tests.
///
/// Not part of the documented interface.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An io_uring_enter fails.
    Enter {
        /// Every how many-th.
        every: u32,
        /// With this `errno`.
        errno: i32,
        /// After it has submitted what was queued, instead of before.
        after_submission: bool,
    },
    /// The flag for work that waits for an enter stays up, with or without work.
    RaisedFlag,
}
