//! `gather`: all outputs, in the order of the futures.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::task::JoinError;
use crate::task::group::children::ChildSet;

/// Runs futures concurrently until all have completed, and returns their outputs in the order of the futures; asyncio's
/// `gather(…, return_exceptions=True)`.
///
/// The futures run inside the task that awaits this: they may borrow, and `Result`s are outputs like others. To return
/// at the first error, use [`try_gather`](super::try_gather()); to end the other futures at the first error, use a
/// [`task_group`](crate::task::task_group()).
///
/// # Panics
/// Outside a runtime, at the call; when awaited after that runtime has ended. A panic of one of the futures propagates
/// from the poll in which it happens; the others are dropped with the [`Gather`].
///
/// # Cancellation
/// Dropping it drops the futures.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let words = [String::from("a"), String::from("bcd")];
///     let lengths = proactor::gather(words.iter().map(async |word| word.len())).await;
///     assert_eq!(lengths, [1, 3]);
/// });
/// ```
#[track_caller]
pub fn gather<I>(futures: I) -> Gather<I::Item>
where
    I: IntoIterator,
    I::Item: Future,
{
    let children = child_set_of(futures);
    let outputs = std::iter::repeat_with(|| None).take(children.len()).collect();
    Gather { children, outputs: Some(outputs) }
}

/// Makes a child set of futures; their positions are the keys.
#[track_caller]
pub(super) fn child_set_of<I>(futures: I) -> ChildSet<I::Item>
where
    I: IntoIterator,
    I::Item: Future,
{
    let futures = futures.into_iter();
    let mut child_set = ChildSet::with_capacity(futures.size_hint().0);
    for future in futures {
        child_set.push(future);
    }
    child_set
}

/// Returns the output of a future, or resumes its panic.
pub(super) fn output_of<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

/// The future of [`gather`](fn@gather).
#[must_use = "futures do nothing unless awaited"]
pub struct Gather<F: Future> {
    children: ChildSet<F>,
    /// The outputs, by the keys of the children; `None` after they were returned.
    outputs: Option<Vec<Option<F::Output>>>,
}

impl<F: Future> Unpin for Gather<F> {}

impl<F: Future> Future for Gather<F> {
    type Output = Vec<F::Output>;

    /// # Panics
    /// When polled after completion.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Gather { children, outputs } = &mut *self;
        let places = outputs.as_mut().expect("a Gather was polled after its result");
        let mut left = children.generation();
        while let Some((key, ended)) = children.step(&mut left) {
            places[key] = Some(output_of(ended));
        }
        ready!(children.poll_empty(cx));
        let outputs = outputs.take().into_iter().flatten();
        Poll::Ready(outputs.map(|output| output.expect("all have ended")).collect())
    }
}

impl<F: Future> fmt::Debug for Gather<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").field("left", &self.children.len()).finish()
    }
}
