//! `TaskSet`: independent tasks, as a server has them, with one common end.
//!
//! `shutdown`, which needs a clock, is in `combine/shutdown.rs`.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use slab::Slab;

use crate::task::cancel::cleanup::wait_for_end;
use crate::task::cell::error::JoinError;
use crate::task::cell::layout::{TaskRef, Waiter};
use crate::task::cell::loop_core;
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

struct Shared<T> {
    keeps_results: bool,
    /// A shutdown is under way: new tasks are cancelled.
    closing: Cell<u32>,
    /// The grace of a shutdown has passed: new tasks are cancelled at once, and are not in the set.
    refusing: Cell<u32>,
    /// Tasks that have not ended.
    running: RefCell<Slab<Running<T>>>,
    /// Tasks whose results were not taken, in the order in which they ended.
    ended: RefCell<VecDeque<JoinHandle<T>>>,
    /// Futures that wait for an end.
    waiting: RefCell<Slab<Option<Waiter>>>,
}

enum Running<T> {
    Kept(JoinHandle<T>),
    Detached(TaskRef),
}

impl<T> Running<T> {
    fn task(&self) -> &TaskRef {
        match self {
            Running::Kept(handle) => handle.task_ref(),
            Running::Detached(task) => task,
        }
    }
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
        TaskSet {
            shared: Rc::new(Shared {
                keeps_results,
                closing: Cell::new(0),
                refusing: Cell::new(0),
                running: RefCell::default(),
                ended: RefCell::default(),
                waiting: RefCell::default(),
            }),
        }
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
            let at_end = shared.clone();
            task.at_end(shared.address(), move || at_end.task_ended(key));
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

    /// Asks for the end of all tasks, also of those that catch their cancellation, and tells how many there were.
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

/// New tasks of the set are cancelled as long as this is there.
pub(crate) struct Closing<'a, T>(&'a Shared<T>);

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.0.closing.set(self.0.closing.get() - 1);
    }
}

/// New tasks are not in the set as long as this is there.
pub(crate) struct Refusing<'a, T>(&'a Shared<T>);

impl<T> Drop for Refusing<'_, T> {
    fn drop(&mut self) {
        self.0.refusing.set(self.0.refusing.get() - 1);
    }
}

impl<T> Shared<T> {
    /// By which its tasks know it.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Panics in a task of the set that has not been asked to end: it would wait for itself.
    fn check_waiting(&self) {
        let task = loop_core::current_task();
        if task.is_some_and(|task| task.is_of_set(self.address()) && task.header().cancels.get() == 0) {
            panic!(
                "a task of a TaskSet without results awaits the end of all tasks of the set, and so its own: the await \
                 would never end. Let a task outside the set await it"
            );
        }
    }

    fn running(&self) -> Vec<TaskRef> {
        self.running.borrow().iter().map(|(_, running)| running.task().clone()).collect()
    }

    /// The result of a task that has ended is there to be taken, if the set keeps results.
    fn keep(&self, handle: JoinHandle<T>) {
        if self.keeps_results {
            self.ended.borrow_mut().push_back(handle);
            self.wake();
        }
    }

    fn task_ended(&self, key: usize) {
        // None when the set was dropped.
        let running = self.running.borrow_mut().try_remove(key);
        match running {
            Some(Running::Kept(handle)) => self.keep(handle),
            Some(Running::Detached(_)) | None => {}
        }
        if self.running.borrow().is_empty() {
            self.wake();
        }
    }

    fn wake(&self) {
        let waiting: Vec<Waiter> =
            self.waiting.borrow_mut().iter_mut().filter_map(|(_, waiter)| waiter.take()).collect();
        waiting.into_iter().for_each(Waiter::wake_contained);
    }

    fn next_result(&self) -> Option<Result<T, JoinError>> {
        let handle = self.ended.borrow_mut().pop_front();
        handle.and_then(|mut handle| handle.try_take())
    }

    /// Keeps the waker of a future that waits for an end.
    fn wait(&self, key: &mut Option<usize>, cx: &Context<'_>) {
        let waiter = Waiter::new(cx); // may be user code: not while the list is borrowed
        let replaced = {
            let mut waiting = self.waiting.borrow_mut();
            let key = *key.get_or_insert_with(|| waiting.insert(None));
            waiting[key].replace(waiter)
        };
        drop(replaced);
    }

    fn leave(&self, key: &mut Option<usize>) {
        let waiter = key.take().map(|key| self.waiting.borrow_mut().remove(key));
        drop(waiter);
    }
}

/// The future of [`TaskSet::join_next`].
#[must_use = "futures do nothing unless awaited"]
pub struct JoinNext<'a, T> {
    shared: &'a Shared<T>,
    /// Its key in the list of those that wait.
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

/// Waits until no task of the set runs, and takes no result.
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
        // Dropping a handle runs user code: not while a list is borrowed.
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
