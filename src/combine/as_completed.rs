//! `as_completed`: outputs in the order of completion.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::gather::{child_set_of, output_of};
use crate::stream::{Next, Stream, StreamExt};
use crate::task::group::children::ChildSet;

/// Runs futures concurrently, and returns each output, with the index of its future, as soon as it is ready; asyncio's
/// `as_completed`.
///
/// The futures run inside the task that awaits this, and only while it awaits; they may borrow. Outputs of the same
/// turn come in the order in which the futures were woken.
///
/// # Panics
/// Outside a runtime, at the call. A panic of one of the futures propagates from the poll in which it happens.
///
/// # Cancellation
/// Dropping it drops the remaining futures. Dropping the future of [`next`](AsCompleted::next) loses nothing: put a
/// time limit around each, as here, or around all of them, by [`timeout_at`](crate::time::timeout_at).
///
/// # Examples
/// ```
/// use proactor::time::{sleep, timeout};
/// use std::time::Duration;
/// proactor::run(async {
///     let naps = [3, 1, 100_000].map(Duration::from_millis);
///     let mut awake = proactor::as_completed(naps.map(sleep));
///     assert_eq!(awake.next().await, Some((1, ())));
///     assert_eq!(awake.next().await, Some((0, ())));
///     assert!(timeout(Duration::from_millis(1), awake.next()).await.is_err());
///     assert_eq!(awake.len(), 1);
/// });
/// ```
#[track_caller]
pub fn as_completed<I>(futures: I) -> AsCompleted<I::Item>
where
    I: IntoIterator,
    I::Item: Future,
{
    AsCompleted { children: child_set_of(futures) }
}

/// The outputs of [`as_completed`](fn@as_completed): a [`Stream`] of indices and outputs.
#[must_use = "futures do nothing unless awaited"]
pub struct AsCompleted<F: Future> {
    children: ChildSet<F>,
}

impl<F: Future> AsCompleted<F> {
    /// The next output, and the index of its future among the arguments; `None` after the last one.
    ///
    /// # Cancellation
    /// Dropping the future loses no output.
    #[expect(clippy::should_implement_trait, reason = "it is that of streams, without an import")]
    pub fn next(&mut self) -> Next<'_, Self> {
        StreamExt::next(self)
    }

    /// The number of outputs still to come.
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether all outputs have been returned.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<F: Future> Unpin for AsCompleted<F> {}

impl<F: Future> Stream for AsCompleted<F> {
    type Item = (usize, F::Output);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.children.poll_next(cx);
        next.map(|next| next.map(|(key, ended)| (key, output_of(ended))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<F: Future> fmt::Debug for AsCompleted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("left", &self.len()).finish()
    }
}
