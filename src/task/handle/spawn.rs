//! Starting tasks: `spawn`, `try_spawn`, `spawn_eager`, `Builder`.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::rc::Rc;

use super::join::JoinHandle;
use crate::task::report::unhandled::{Fallible, Opaque, ReportPolicy};
use crate::task::scheduler::{self, SpawnOptions};

/// Starts a task on the runtime of this thread.
///
/// The task is first polled in the next turn of the loop, never inside this call. It continues when the handle is
/// dropped: the statement `spawn(future);` starts a task whose result is not needed.
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let task = proactor::spawn(async { 6 * 7 });
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn_task::<_, Opaque>(future, SpawnOptions::here())
}

/// Starts a task whose error is reported if it is not retrieved: it goes to
/// [`Config::on_unhandled`](crate::Config::on_unhandled), as a panic does; asyncio's "Task exception was never
/// retrieved".
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let task = proactor::task::try_spawn(async { "7".parse::<i32>() });
///     assert_eq!(task.await.unwrap(), Ok(7)); // an error would be ours to handle
/// });
/// ```
#[track_caller]
pub fn try_spawn<T, E, F>(future: F) -> JoinHandle<Result<T, E>>
where
    F: Future<Output = Result<T, E>> + 'static,
    T: 'static,
    E: fmt::Display + 'static,
{
    spawn_task::<_, Fallible>(future, SpawnOptions::here())
}

/// Starts a task and polls it at once, inside this call; asyncio's eager tasks. A task that completes in this poll
/// never enters a queue.
///
/// The caller continues when the task first waits. The caller must not hold a borrow that the task needs, of a
/// `RefCell` for example.
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let task = proactor::task::spawn_eager(async { 42 });
///     assert!(task.is_finished());
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
#[track_caller]
pub fn spawn_eager<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn_task_eagerly::<_, Opaque>(future, SpawnOptions::here(), |_| ())
}

/// Starts a task with options, and a policy for the report of its error.
#[inline]
#[track_caller]
pub(in crate::task) fn spawn_task<F, V>(future: F, options: SpawnOptions) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
    V: ReportPolicy<F::Output>,
{
    JoinHandle::new(scheduler::expect("spawn", |scheduler| scheduler.spawn::<F, V>(future, options)))
}

/// Starts a task, calls `made` with its handle, and polls the task in this call.
#[track_caller]
fn spawn_task_eagerly<F, V>(
    future: F,
    options: SpawnOptions,
    made: impl FnOnce(&JoinHandle<F::Output>),
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
    V: ReportPolicy<F::Output>,
{
    scheduler::expect("spawn", |scheduler| {
        let task =
            JoinHandle::new(scheduler.spawn::<F, V>(future, SpawnOptions { held_back: true, ..options }));
        made(&task);
        scheduler.run_eagerly(task.task_ref());
        task
    })
}

/// Starts tasks with a name, or eagerly.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let task = proactor::task::Builder::new().name("answer").spawn(async { 42 });
///     assert_eq!(task.name(), Some("answer"));
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `spawn` is called"]
pub struct Builder {
    name: Option<Rc<str>>,
    eager: bool,
}

impl Builder {
    /// Makes a builder for a task without a name.
    pub fn new() -> Self {
        Builder::default()
    }

    /// Gives the task a name, for debugging.
    pub fn name(mut self, name: impl Into<Rc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets whether the task is polled at once, as by [`spawn_eager`].
    pub fn eager(mut self, eager: bool) -> Self {
        self.eager = eager;
        self
    }

    /// Starts the task, as [`spawn`](fn@spawn) does.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.start::<_, Opaque>(future)
    }

    /// Starts the task, as [`try_spawn`](fn@try_spawn) does.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn try_spawn<T, E, F>(self, future: F) -> JoinHandle<Result<T, E>>
    where
        F: Future<Output = Result<T, E>> + 'static,
        T: 'static,
        E: fmt::Display + 'static,
    {
        self.start::<_, Fallible>(future)
    }

    #[track_caller]
    fn start<F, V>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
        V: ReportPolicy<F::Output>,
    {
        let options = SpawnOptions { name: self.name, ..SpawnOptions::here() };
        if self.eager {
            spawn_task_eagerly::<_, V>(future, options, |_| ())
        } else {
            spawn_task::<_, V>(future, options)
        }
    }

    /// Starts the task, and calls `made` with its handle before the task is polled.
    #[track_caller]
    pub(in crate::task) fn spawn_then<F>(
        self,
        future: F,
        made: impl FnOnce(&JoinHandle<F::Output>),
    ) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let options = SpawnOptions { name: self.name, ..SpawnOptions::here() };
        if self.eager {
            return spawn_task_eagerly::<_, Opaque>(future, options, made);
        }
        let task = spawn_task::<_, Opaque>(future, options);
        made(&task);
        task
    }
}
