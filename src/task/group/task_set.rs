//! `TaskSet`: independent tasks, as a server has them, with one common end.
//!
//! `shutdown`, which needs a clock, is in `combine/shutdown.rs`.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::set_tasks::{Closing, Refusing, Running, Shared};
use crate::task::cancel::cleanup::wait_for_end;
use crate::task::cell::error::JoinError;
use crate::task::cell::layout::TaskRef;
use crate::task::handle::join::JoinHandle;
use crate::task::handle::spawn::Builder;
use crate::task::report::task_info::Task;

/// A set of tasks that are independent of each other: the connections of a server, say.
///
/// A task that panics, fails or is cancelled ends no other task. There are two kinds of set:
///
/// | | [`TaskSet::new`] | [`TaskSet::without_results`] |
/// |---|---|---|
/// | for | jobs whose results matter | connections of a server |
/// | a task that has ended | keeps its result until [`join_next`](Self::join_next) takes it | leaves nothing behind |
/// | a panic | is in its result | goes to [`Config::on_unhandled`](crate::Config::on_unhandled) |
/// | `join_next` | gives one result, then the next | waits until all tasks have ended |
///
/// [`shutdown`](Self::shutdown) cancels all tasks, waits for them together for a limited time, and then forces their end.
/// Dropping the set cancels its tasks; a task that is cancelled and drops the set ends after them. Results that were not
/// taken are then dropped; panics among them are reported as unhandled.
///
/// For tasks of which the first failure ends all others, see [`TaskGroup`](crate::task::TaskGroup).
///
/// # Examples
/// A server that cancels its connections at the end, and gives all of them together five seconds to clean up:
/// ```
/// use proactor::net::{TcpListener, TcpStream};
/// use proactor::task::TaskSet;
/// use std::time::Duration;
///
/// async fn echo(stream: TcpStream) -> std::io::Result<()> {
///     while let Some(chunk) = stream.recv().await? {
///         stream.write_all(chunk).await?;
///     }
///     Ok(())
/// }
///
/// async fn serve(listener: TcpListener, stop: impl Future<Output = ()>) -> std::io::Result<()> {
///     let connections = TaskSet::without_results();
///     let accept = async {
///         loop {
///             let (stream, _peer) = listener.accept().await?;
///             connections.try_spawn(echo(stream)); // an error goes to `Config::on_unhandled`
///         }
///     };
///     let ended = proactor::select! {
///         failed = accept => failed,
///         () = stop => Ok(()),
///     };
///     drop(listener);
///     let forced = connections.shutdown(Duration::from_secs(5)).await;
///     assert_eq!((forced, connections.len()), (0, 0));
///     ended
/// }
///
/// proactor::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let address = listener.local_addr()?;
///     let client = async {
///         let stream = TcpStream::connect(address).await.unwrap();
///         stream.write_all("hello").await.unwrap();
///         assert_eq!(stream.read_exact([0; 5]).await.unwrap().1, *b"hello");
///     };
///     serve(listener, client).await
/// }).unwrap();
/// ```
#[must_use = "dropping it cancels its tasks"]
pub struct TaskSet<T> {
    shared: Rc<Shared<T>>,
}

impl<T: 'static> TaskSet<T> {
    /// An empty set that keeps the results of its tasks until [`join_next`](Self::join_next) takes them.
    pub fn new() -> Self {
        Self::of(true)
    }

    /// An empty set that drops the result of a task when the task ends.
    pub fn without_results() -> Self {
        Self::of(false)
    }

    fn of(keeps_results: bool) -> Self {
        TaskSet { shared: Rc::new(Shared::new(keeps_results)) }
    }

    /// Starts a task in the set.
    ///
    /// While a [`shutdown`](Self::shutdown) waits, a new task is cancelled from the beginning. After the grace of the
    /// shutdown the new task does not belong to the set any more.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn(&self, future: impl Future<Output = T> + 'static) -> Task {
        self.spawn_with(Builder::new(), future)
    }

    /// Starts a task with the settings of a builder: a name, eagerness. Otherwise as [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// Outside a runtime.
    ///
    /// # Examples
    /// ```
    /// use proactor::task::{Builder, TaskSet};
    /// proactor::run(async {
    ///     let set = TaskSet::new();
    ///     let task = set.spawn_with(Builder::new().name("answer"), async { 42 });
    ///     assert_eq!(task.name().as_deref(), Some("answer"));
    ///     assert!(matches!(set.join_next().await, Some(Ok(42))));
    /// });
    /// ```
    #[track_caller]
    pub fn spawn_with(&self, builder: Builder, future: impl Future<Output = T> + 'static) -> Task {
        self.add(builder.spawn(future))
    }

    #[track_caller]
    fn add(&self, handle: JoinHandle<T>) -> Task {
        let shared = &self.shared;
        let task = handle.task_ref().clone();
        if task.is_complete() {
            shared.keep(handle); // it was started eagerly
        } else if shared.refusing.get() > 0 {
            task.request_unscoped_cancel();
        } else {
            let entry = if shared.keeps_results {
                Running::Kept(handle)
            } else {
                Running::Detached(handle.into_task())
            };
            let key = shared.running.borrow_mut().insert(entry);
            let set = shared.clone();
            task.at_end(shared.address(), move || set.task_ended(key));
            if shared.closing.get() > 0 {
                task.request_graceful_cancel();
            }
        }
        Task::new(task)
    }

    /// The next result of a task that has ended, in the order of their ends; `None` when no task runs and every result
    /// was taken. In a set [without results](Self::without_results) it waits until no task runs.
    ///
    /// A task of a set that keeps results may take those of the others. While it runs there is always one more to come: it
    /// gets no `None`.
    ///
    /// # Errors
    /// The [`JoinError`] of a task that panicked or was cancelled.
    ///
    /// # Panics
    /// In a task of the set, if the set keeps no results: the task would wait for its own end.
    ///
    /// # Cancellation
    /// Dropping it loses no result. Several futures may wait; each result goes to one of them.
    ///
    /// # Examples
    /// ```
    /// use proactor::task::TaskSet;
    /// proactor::run(async {
    ///     let set = TaskSet::new();
    ///     for number in 0..3 {
    ///         set.spawn(async move { number * 10 });
    ///     }
    ///     let mut sum = 0;
    ///     while let Some(result) = set.join_next().await {
    ///         sum += result.unwrap();
    ///     }
    ///     assert_eq!(sum, 30);
    /// });
    /// ```
    pub fn join_next(&self) -> JoinNext<'_, T> {
        JoinNext { shared: &self.shared, key: None }
    }

    /// The next result, if a task has ended and its result was not taken.
    pub fn try_join_next(&self) -> Option<Result<T, JoinError>> {
        self.shared.next_result()
    }
}

impl<T: 'static, E: fmt::Display + 'static> TaskSet<Result<T, E>> {
    /// Starts a task whose error goes to [`Config::on_unhandled`](crate::Config::on_unhandled) when its result is not
    /// taken, as [`try_spawn`](crate::task::try_spawn) does. Otherwise as [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn try_spawn(&self, future: impl Future<Output = Result<T, E>> + 'static) -> Task {
        self.try_spawn_with(Builder::new(), future)
    }

    /// Starts a task with the settings of a builder. Otherwise as [`try_spawn`](Self::try_spawn).
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn try_spawn_with(
        &self,
        builder: Builder,
        future: impl Future<Output = Result<T, E>> + 'static,
    ) -> Task {
        self.add(builder.try_spawn(future))
    }
}

impl<T> TaskSet<T> {
    /// The number of tasks that have not ended.
    pub fn len(&self) -> usize {
        self.shared.running.borrow().len()
    }

    /// Whether all tasks have ended. [`join_next`](Self::join_next) may still have results.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Requests cancellation of all tasks and returns at once. The set takes new tasks as before.
    ///
    /// Each call is a request of its own, like one of [`JoinHandle::request_cancel`]: a second call interrupts a task that is
    /// handling the first. [`shutdown`](Self::shutdown) does not.
    pub fn request_cancel(&self) {
        self.shared.running().iter().for_each(|task| {
            task.request_cancel();
        });
    }

    /// Cancels all tasks by requests that no scope catches, and returns their number.
    ///
    /// New tasks are not in the set while the guard lives: destructors may start them without end.
    pub(crate) fn force(&self) -> (usize, Refusing<'_, T>) {
        self.shared.refusing.set(self.shared.refusing.get() + 1);
        let running = self.shared.running();
        let forced = running.into_iter().filter(TaskRef::request_unscoped_cancel).count();
        (forced, Refusing(&self.shared))
    }

    /// Cancels all tasks, and every new one while the guard lives.
    pub(crate) fn close(&self) -> Closing<'_, T> {
        self.shared.closing.set(self.shared.closing.get() + 1);
        self.shared.running().iter().for_each(TaskRef::request_graceful_cancel);
        Closing(&self.shared)
    }

    /// Waits until no task runs.
    pub(crate) fn ended(&self) -> Empty<'_, T> {
        Empty(JoinNext { shared: &self.shared, key: None })
    }
}

/// The future of [`TaskSet::join_next`].
#[must_use = "futures do nothing unless awaited"]
pub struct JoinNext<'a, T> {
    shared: &'a Shared<T>,
    /// The key among the futures that wait, after the first wait.
    key: Option<usize>,
}

impl<T> Future for JoinNext<'_, T> {
    type Output = Option<Result<T, JoinError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let JoinNext { shared, key } = &mut *self;
        let result = shared.next_result();
        if result.is_none() && !shared.running.borrow().is_empty() {
            if !shared.keeps_results {
                shared.check_waiting();
            }
            shared.wait(key, cx);
            return Poll::Pending;
        }
        shared.leave(key);
        Poll::Ready(result)
    }
}

impl<T> Drop for JoinNext<'_, T> {
    fn drop(&mut self) {
        self.shared.leave(&mut self.key);
    }
}

impl<T> fmt::Debug for JoinNext<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinNext").finish_non_exhaustive()
    }
}

/// Future that waits until no task of the set runs, and takes no result.
pub(crate) struct Empty<'a, T>(JoinNext<'a, T>);

impl<T> Future for Empty<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let JoinNext { shared, key } = &mut self.0;
        if !shared.running.borrow().is_empty() {
            shared.wait(key, cx);
            return Poll::Pending;
        }
        shared.leave(key);
        Poll::Ready(())
    }
}

impl<T: 'static> Default for TaskSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for TaskSet<T> {
    fn drop(&mut self) {
        let shared = &self.shared;
        let tasks = shared.running();
        tasks.iter().for_each(TaskRef::request_graceful_cancel);
        tasks.iter().for_each(wait_for_end);
        // Dropping a handle may run user code: no list is borrowed here.
        let running = shared.running.take();
        let ended = shared.ended.take();
        drop((running, ended));
    }
}

impl<T> fmt::Debug for TaskSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSet")
            .field("running", &self.len())
            .field("results", &self.shared.ended.borrow().len())
            .finish_non_exhaustive()
    }
}
