//! Transfers: objects that move a buffer in steps, with one operation for each step.
#![forbid(unsafe_code)]

use std::io;

use super::Op;

/// The condition for the end of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// After one step.
    Once,
    /// After the whole buffer, or after a step that moved less than requested.
    UntilShort,
    /// After the whole buffer, or after a step that moved nothing.
    UntilNone,
    /// After the whole buffer. Anything less is an error.
    All,
}

/// A source or target of bytes: makes one operation after the other over a buffer `B`.
///
/// The object moves into each operation and comes back with the result. So it holds its resources, such as a turn, from the
/// first step to the last.
pub(crate) trait Transfer<B>: Sized + 'static {
    type Op: Op<Output = (io::Result<usize>, B, Self)>;

    /// The error if a step moves zero bytes although more were requested.
    const EXHAUSTED: io::ErrorKind;

    /// Returns the largest number of bytes of a step.
    fn limit(&self) -> usize {
        usize::MAX
    }

    /// Returns the actual goal of a transfer that was requested with the goal `asked`.
    fn goal(&self, asked: Goal) -> Goal {
        asked
    }

    /// Returns the total number of bytes to move, those of earlier steps included.
    fn total(buf: &B) -> usize;

    /// Returns the number of bytes that the step at byte `done` requests. It is below the limit if the buffer has no more, or
    /// has more parts than one call takes.
    fn covers(&self, buf: &mut B, done: usize) -> usize {
        Self::total(buf).saturating_sub(done).min(self.limit())
    }

    /// Creates the step that begins at byte `done` of the buffer.
    fn step(self, buf: B, done: usize) -> Self::Op;
}

#[cfg(test)]
mod tests {
    use crate::op::window::Window;

    #[test]
    fn t61_a_window_is_cut_to_what_the_kernel_takes() {
        let window = |total, done, limit| {
            (Window::new(total, done, limit).start, Window::new(total, done, limit).len32())
        };
        assert_eq!(window((4 << 30) + 1, 0, usize::MAX), (0, 0x7fff_f000));
        assert_eq!(window(1 << 40, 5 << 30, usize::MAX), (5 << 30, 0x7fff_f000));
        assert_eq!(window((4 << 30) + 1, 4 << 30, usize::MAX), (4 << 30, 1));
        assert_eq!(window(5 << 30, 3, 1 << 20), (3, 1 << 20));
        assert_eq!(window(7, 7, usize::MAX), (7, 0));
    }
}
