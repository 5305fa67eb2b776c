//! `try_gather`: all values, or the first error.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::gather::child_set_of;
use crate::task::cancel::scopes::cancel_with;
use crate::task::group::children::ChildSet;
use crate::task::handle::join::End;
use crate::task::spawn;
use crate::task::{JoinError, JoinHandle};

/// Runs futures as tasks, and returns their values in the order of the futures, or the first error; asyncio's `gather`.
///
/// The first error is returned at once, and *the other tasks continue*, detached; their errors are dropped. To end them
/// at the first error, use [`task_group`](crate::task::task_group()). Without futures it is ready at once.
///
/// # Errors
/// The first error in time.
///
/// # Panics
/// Outside a runtime, at the call. The panic of a task propagates here. When other code cancels one of the tasks, the
/// waiter is cancelled with it, as by asyncio's `CancelledError`; the future given to `block_on` can't be cancelled,
/// and panics.
///
/// # Cancellation
/// Dropping it before it completes cancels all remaining tasks. A cancelled task that drops it completes after them.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let parsed = proactor::try_gather(["1", "2", "x"].map(async |text| text.parse::<i32>())).await;
///     assert_eq!(parsed.unwrap_err().to_string(), "invalid digit found in string");
///     let parsed = proactor::try_gather(["1", "2"].map(async |text| text.parse::<i32>())).await;
///     assert_eq!(parsed.unwrap(), [1, 2]);
/// });
/// ```
#[track_caller]
pub fn try_gather<T, E, I>(futures: I) -> TryGather<T, E>
where
    I: IntoIterator,
    I::Item: Future<Output = Result<T, E>> + 'static,
    T: 'static,
    E: 'static,
{
    let futures = futures.into_iter();
    let mut tasks = Vec::with_capacity(futures.size_hint().0);
    for future in futures {
        tasks.push(spawn(future)); // not in a closure: the tasks are spawned at the caller's location
    }
    try_gather_tasks(tasks)
}

/// [`try_gather`](fn@try_gather) for tasks that are spawned already: it takes their handles.
///
/// # Examples
/// ```
/// use proactor::{combine::try_gather_tasks, spawn};
/// proactor::run(async {
///     let tasks = [spawn(async { "1".parse::<i32>() }), spawn(async { "2".parse() })];
///     assert_eq!(try_gather_tasks(tasks).await.unwrap(), [1, 2]);
/// });
/// ```
#[track_caller]
pub fn try_gather_tasks<T, E>(tasks: impl IntoIterator<Item = JoinHandle<Result<T, E>>>) -> TryGather<T, E> {
    let places: Vec<_> = tasks.into_iter().map(Place::Running).collect();
    let ends = child_set_of(places.iter().map(|place| match place {
        Place::Running(task) => task.end(),
        Place::Value(_) => unreachable!("all are running"),
    }));
    TryGather { ends, places, state: State::Waiting }
}

#[derive(Debug)]
enum Place<T, E> {
    Running(JoinHandle<Result<T, E>>),
    Value(T),
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Waiting,
    /// Other code has cancelled one of the tasks, and the waiter was cancelled with it.
    Cancelled,
    Finished,
}

/// The future of [`try_gather`](fn@try_gather) and [`try_gather_tasks`].
#[must_use = "dropping it cancels the tasks"]
pub struct TryGather<T, E> {
    /// The ends of the tasks; their positions are the keys.
    ends: ChildSet<End>,
    places: Vec<Place<T, E>>,
    state: State,
}

impl<T, E> Unpin for TryGather<T, E> {}

impl<T, E> TryGather<T, E> {
    /// Handles the end of a task: keeps its value, or returns the error that ends this future.
    fn task_ended(&mut self, key: usize) -> Option<Result<E, JoinError>> {
        let Place::Running(task) = &mut self.places[key] else { unreachable!("a task ends once") };
        let answer = match task.try_take() {
            Some(Ok(Ok(value))) => {
                self.places[key] = Place::Value(value);
                return None;
            }
            Some(Ok(Err(error))) => Ok(error),
            Some(Err(error)) => Err(error),
            None => unreachable!("only this future has the handle"),
        };
        self.state = State::Finished;
        self.ends = ChildSet::new();
        self.places.clear(); // detaches the others, which continue
        Some(answer)
    }
}

impl<T, E> Future for TryGather<T, E> {
    type Output = Result<Vec<T>, E>;

    /// # Panics
    /// When polled after completion.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.state {
            State::Waiting => {}
            State::Cancelled => panic!(
                "a task of a try_gather was cancelled, and its waiter, the future given to block_on, can't be cancelled"
            ),
            State::Finished => panic!("a TryGather was polled after its result"),
        }
        let mut left = self.ends.generation();
        while let Some((key, _)) = self.ends.step(&mut left) {
            match self.task_ended(key) {
                None => {}
                Some(Ok(error)) => return Poll::Ready(Err(error)),
                Some(Err(JoinError::Panicked(panic))) => resume_unwind(panic.into_payload()),
                Some(Err(JoinError::Cancelled | JoinError::RuntimeGone)) => {
                    self.state = State::Cancelled;
                    return cancel_with(cx);
                }
            }
        }
        ready!(self.ends.poll_empty(cx));
        self.state = State::Finished;
        let value = |place| match place {
            Place::Value(value) => value,
            Place::Running(_) => unreachable!("all have ended"),
        };
        Poll::Ready(Ok(std::mem::take(&mut self.places).into_iter().map(value).collect()))
    }
}

impl<T, E> Drop for TryGather<T, E> {
    fn drop(&mut self) {
        for place in self.places.drain(..) {
            if let Place::Running(task) = place {
                drop(task.cancel_on_drop());
            }
        }
    }
}

impl<T, E> fmt::Debug for TryGather<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryGather").field("left", &self.ends.len()).field("of", &self.places.len()).finish()
    }
}
