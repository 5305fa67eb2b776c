//! `wait`: waits for several tasks, and tells which have ended.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::task::JoinHandle;
use crate::task::group::children::ChildSet;
use crate::task::handle::join::End;
use crate::time::{Sleep, sleep};

/// The condition that completes a [`wait`](fn@wait).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnWhen {
    /// When one of the tasks has ended.
    FirstCompleted,
    /// When one of the tasks has failed; when all have ended, if none fails.
    FirstException,
    /// When all tasks have ended.
    #[default]
    AllCompleted,
}

/// The result of [`wait`](fn@wait): indices of tasks among its arguments, in rising order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    /// The tasks that have ended.
    pub done: Vec<usize>,
    /// The tasks that have not ended.
    pub pending: Vec<usize>,
}

/// Waits for tasks and returns which of them have ended; asyncio's `wait`.
///
/// It cancels nothing and takes no result: the results remain in the handles, which can be awaited afterwards. It waits
/// until all have ended; [`until`](WaitTasks::until) and [`timeout`](WaitTasks::timeout) change this. Without tasks it
/// is ready at once.
///
/// A task has *failed* if it panicked, was cancelled, or was started by [`try_spawn`](crate::task::try_spawn()) and
/// returned an error. To count the errors of all tasks, use [`wait_results`].
///
/// # Panics
/// When polled outside a runtime.
///
/// # Cancellation
/// Dropping it leaves the tasks alone.
///
/// # Examples
/// ```
/// use proactor::{combine::ReturnWhen, spawn, wait};
/// use std::{future::pending, time::Duration};
/// proactor::run(async {
///     let mut tasks = [spawn(pending()), spawn(async { 42 })];
///     let first = wait(&mut tasks).until(ReturnWhen::FirstCompleted).await;
///     assert_eq!((first.done, first.pending), (vec![1], vec![0]));
///     let all = wait(&mut tasks).timeout(Duration::from_millis(1)).await;
///     assert_eq!(all.pending, [0]);
///     let [_, finished] = tasks;
///     assert_eq!(finished.await.unwrap(), 42);
/// });
/// ```
pub fn wait<'a, T>(tasks: impl IntoIterator<Item = &'a mut JoinHandle<T>>) -> WaitTasks<'a, T> {
    WaitTasks::new(tasks, JoinHandle::has_failed)
}

/// [`wait`](fn@wait) for tasks whose `Err` is a failure as well.
///
/// # Examples
/// ```
/// use proactor::{combine::{ReturnWhen, wait_results}, spawn};
/// proactor::run(async {
///     let mut tasks = [spawn(async { Ok(()) }), spawn(async { Err("out of paper") }), spawn(std::future::pending())];
///     let waited = wait_results(&mut tasks).until(ReturnWhen::FirstException).await;
///     assert_eq!((waited.done, waited.pending), (vec![0, 1], vec![2]));
/// });
/// ```
pub fn wait_results<'a, T: 'a, E: 'a>(
    tasks: impl IntoIterator<Item = &'a mut JoinHandle<Result<T, E>>>,
) -> WaitTasks<'a, Result<T, E>> {
    WaitTasks::new(tasks, JoinHandle::has_no_value)
}

/// The future of [`wait`](fn@wait) and [`wait_results`].
#[must_use = "futures do nothing unless awaited"]
pub struct WaitTasks<'a, T> {
    tasks: Vec<&'a mut JoinHandle<T>>,
    has_failed: fn(&JoinHandle<T>) -> bool,
    when: ReturnWhen,
    limit: Option<Sleep>,
    /// The ends of the tasks that had not ended at the first poll, and the positions of these tasks, by the keys.
    ends: Option<(ChildSet<End>, Vec<usize>)>,
}

impl<'a, T> WaitTasks<'a, T> {
    fn new(
        tasks: impl IntoIterator<Item = &'a mut JoinHandle<T>>,
        has_failed: fn(&JoinHandle<T>) -> bool,
    ) -> Self {
        let tasks = tasks.into_iter().collect();
        WaitTasks { tasks, has_failed, when: ReturnWhen::default(), limit: None, ends: None }
    }

    /// Sets the condition that completes the wait.
    pub fn until(mut self, when: ReturnWhen) -> Self {
        self.when = when;
        self
    }

    /// Sets a time limit, which counts from the first poll. Reaching it is not an error.
    pub fn timeout(mut self, duration: Duration) -> Self {
        self.limit = Some(sleep(duration));
        self
    }

    /// Whether the end of this task completes the wait, although others may still run.
    fn suffices(&self, place: usize) -> bool {
        match self.when {
            ReturnWhen::FirstCompleted => true,
            ReturnWhen::FirstException => (self.has_failed)(self.tasks[place]),
            ReturnWhen::AllCompleted => false,
        }
    }

    fn poll_ends(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some((mut ends, places)) = self.ends.take() else { return self.begin(cx) };
        let mut left = ends.generation();
        let mut ended = false;
        while let Some((key, _)) = ends.step(&mut left) {
            ended |= self.suffices(places[key]);
        }
        let all = ends.poll_empty(cx);
        self.ends = Some((ends, places));
        if ended { Poll::Ready(()) } else { all }
    }

    /// Starts to wait for the tasks that have not ended, at the first poll.
    fn begin(&mut self, cx: &Context<'_>) -> Poll<()> {
        let (done, pending) = self.split();
        if done.into_iter().any(|place| self.suffices(place)) || pending.is_empty() {
            return Poll::Ready(());
        }
        let mut ends = ChildSet::with_capacity(pending.len());
        for place in &pending {
            ends.push(self.tasks[*place].end());
        }
        self.ends = Some((ends, pending));
        self.poll_ends(cx)
    }

    fn split(&self) -> (Vec<usize>, Vec<usize>) {
        (0..self.tasks.len()).partition(|place| self.tasks[*place].is_finished())
    }
}

impl<T> Unpin for WaitTasks<'_, T> {}

impl<T> Future for WaitTasks<'_, T> {
    type Output = Waited;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Waited> {
        let ended = self.poll_ends(cx).is_ready();
        let limit = self.limit.as_mut();
        if ended || limit.is_some_and(|limit| Pin::new(limit).poll(cx).is_ready()) {
            let (done, pending) = self.split();
            return Poll::Ready(Waited { done, pending });
        }
        Poll::Pending
    }
}

impl<T> fmt::Debug for WaitTasks<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitTasks")
            .field("tasks", &self.tasks)
            .field("until", &self.when)
            .finish_non_exhaustive()
    }
}
