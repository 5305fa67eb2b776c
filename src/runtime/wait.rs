//! `Wait`, `Budget` and `Turn`: the arguments and the result of one turn.
#![forbid(unsafe_code)]

use std::time::Instant;

/// The time that a turn may wait when no task is ready.
///
/// # Examples
/// See [`Embed`](crate::Embed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// Not at all.
    Poll,
    /// Until a point in time.
    Until(Instant),
    /// Until there is work.
    Forever,
}

/// A limit for the work of one turn.
///
/// # Examples
/// ```
/// use proactor::Budget;
/// assert_eq!(Budget::polls(10), Budget::polls(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub(super) polls: usize,
}

impl Budget {
    /// A budget of this many task polls.
    pub fn polls(polls: usize) -> Self {
        Budget { polls }
    }
}

impl Default for Budget {
    /// Every task that is ready when the turn begins, each once.
    fn default() -> Self {
        Budget { polls: usize::MAX }
    }
}

/// The result of a turn.
///
/// # Examples
/// See [`Embed`](crate::Embed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// There is more work: turn again before waiting.
    pub more: bool,
    /// The number of tasks that were polled.
    pub polled: usize,
}
