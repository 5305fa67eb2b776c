//! Operations that move part of a buffer: one step of reading or writing, and the object that goes on
//! with the next.
#![forbid(unsafe_code)]

use std::io;

use super::Op;

/// When a transfer is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// After one step.
    Once,
    /// When the buffer is done, or a step moved less than it was asked for.
    UntilShort,
    /// When the buffer is done, or a step moved nothing.
    UntilNone,
    /// When the buffer is done; an error if that can't be.
    All,
}

/// Where bytes come from or go to: makes one operation after the other over a buffer `B`.
///
/// It moves into each operation and comes back with its result, and whatever it holds (a turn)
/// is held from the first step to the last.
pub(crate) trait Transfer<B>: Sized + 'static {
    type Op: Op<Output = (io::Result<usize>, B, Self)>;

    /// The error if a step moves zero bytes although more were asked for.
    const EXHAUSTED: io::ErrorKind;

    /// Bytes of a step, at most.
    fn limit(&self) -> usize {
        usize::MAX
    }

    /// When the transfer is over, if it was asked for with this goal.
    fn goal(&self, asked: Goal) -> Goal {
        asked
    }

    /// Bytes that the buffer has to move, those that were moved included.
    fn total(buf: &B) -> usize;

    /// Bytes that the step at byte `done` is about: fewer than a step may have when the buffer has no more, or consists
    /// of more parts than one call takes.
    fn covers(&self, buf: &mut B, done: usize) -> usize {
        Self::total(buf).saturating_sub(done).min(self.limit())
    }

    /// The step that begins at byte `done` of the buffer.
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
