//! `Task`: information about a task, returned by `current`, the list of all tasks, and callbacks.
#![forbid(unsafe_code)]

use std::fmt;
use std::panic::Location;

use crate::sys::context::expect_runtime;
use crate::task::cell::error::{Ended, TaskId};
use crate::task::cell::layout::TaskRef;
use crate::task::cell::loop_core;
use crate::task::cell::state::{Flags, Phase};

/// The state of a task.
///
/// # Examples
/// See [`Task::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// The task is being polled now.
    Running,
    /// The task is ready to run, and will run in one of the next turns.
    Ready,
    /// The task waits for something.
    Waiting,
    /// The task was cancelled or has panicked; its operations and cleanups have not completed yet.
    Ending,
    /// The task has ended, in this way. The state stays the same when the result is taken, or dropped with the handle.
    Done(Ended),
}

/// A reference to a task: it gives information and can cancel the task, but its result belongs to the handle.
///
/// A `Task` that outlives its runtime keeps one descriptor of the runtime open (an eventfd), as a
/// [`JoinHandle`](crate::task::JoinHandle) does.
///
/// # Examples
/// ```
/// use proactor::task;
/// proactor::run(async {
///     let handle = task::Builder::new().name("answer").spawn(async { task::current().name() });
///     assert_eq!(handle.await.unwrap().as_deref(), Some("answer"));
/// });
/// ```
#[derive(Clone)]
pub struct Task(TaskRef);

impl Task {
    pub(crate) fn new(task: TaskRef) -> Self {
        Task(task)
    }

    pub(crate) fn reference(&self) -> &TaskRef {
        &self.0
    }

    /// The task's number. The future given to `block_on` has number 0.
    pub fn id(&self) -> TaskId {
        self.0.header().id()
    }

    /// The task's name, if it has one.
    pub fn name(&self) -> Option<String> {
        self.0.header().cold()?.name().map(|name| (**name).to_owned())
    }

    /// The place where the task was spawned.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.0.header().spawned_at
    }

    /// The state of the task.
    ///
    /// # Examples
    /// ```
    /// use proactor::task::{self, TaskState};
    /// proactor::run(async {
    ///     let task = proactor::spawn(std::future::pending::<()>());
    ///     assert_eq!(task.task().state(), TaskState::Ready);
    ///     assert_eq!(task::current().state(), TaskState::Running);
    /// });
    /// ```
    pub fn state(&self) -> TaskState {
        let header = self.0.header();
        match header.phase.get() {
            Phase::Idle if header.scheduled.get() => TaskState::Ready,
            // `block_on` polls its future itself; the cell of the root stays idle.
            Phase::Idle if self.id() == TaskId(0) && current_is(&self.0) => TaskState::Running,
            Phase::Idle => TaskState::Waiting,
            Phase::Running => TaskState::Running,
            Phase::Reaping => TaskState::Ending,
            Phase::Complete | Phase::Empty => TaskState::Done(header.ended.get()),
        }
    }

    /// The task that awaits the handle of this one, if there is one.
    pub fn awaited_by(&self) -> Option<Task> {
        let waiting = self.0.joined_by()?;
        Some(Task(waiting))
    }

    /// Requests cancellation of the task and returns at once: see
    /// [`JoinHandle::request_cancel`](crate::task::JoinHandle::request_cancel).
    pub fn request_cancel(&self) -> bool {
        self.0.request_cancel()
    }

    /// The number of cancellation requests that were not taken back; asyncio's `cancelling`.
    pub fn cancelling(&self) -> usize {
        self.0.header().cancels.get().into()
    }

    /// Takes one cancellation request back, and returns the number that remain; asyncio's `uncancel`. Taking the last
    /// one back also drops a request that has not been delivered.
    pub fn uncancel(&self) -> usize {
        self.0.uncancel().into()
    }
}

fn current_is(task: &TaskRef) -> bool {
    loop_core::current_task().is_some_and(|current| current.same(task))
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        self.0.same(&other.0)
    }
}

impl Eq for Task {}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("state", &self.state())
            .field("spawned_at", &format_args!("{}", self.spawned_at()))
            .finish()
    }
}

/// The task that is being polled; asyncio's `current_task`.
///
/// # Panics
/// Outside a task: outside a runtime, or in a callback of the loop. See [`try_current`].
#[track_caller]
pub fn current() -> Task {
    expect_runtime(try_current(), "task::current")
}

/// The task that is being polled, if there is one.
///
/// # Examples
/// ```
/// assert!(proactor::task::try_current().is_none());
/// ```
pub fn try_current() -> Option<Task> {
    let task = loop_core::current_task()?;
    (!task.header().has(Flags::CALLBACK)).then(|| Task(task))
}
