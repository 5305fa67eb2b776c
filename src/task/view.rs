//! A task seen from beside: what `current`, the list of all tasks, and callbacks give.
#![forbid(unsafe_code)]

use std::fmt;
use std::panic::Location;

use super::cell::{Flags, Phase, TaskRef};
use super::{TaskId, expect_runtime, scheduler};

/// How a task has ended.
///
/// # Examples
/// See [`Task::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It ran to its end.
    Finished,
    /// It was cancelled.
    Cancelled,
    /// It panicked.
    Panicked,
}

/// Where a task is in its life.
///
/// # Examples
/// See [`Task::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// It is being polled now.
    Running,
    /// It can go on, and will in one of the next turns.
    Ready,
    /// It waits for something.
    Waiting,
    /// It was cancelled or has panicked; what it has left is being awaited.
    Ending,
    /// It has ended, like this while its result is there to be taken.
    Done(Option<Ended>),
}

/// A task, seen from beside: it tells about itself and can be asked to end, but its result is its handle's.
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

    /// The task's number. That of the future given to `block_on` is 0.
    pub fn id(&self) -> TaskId {
        self.0.header().id()
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<String> {
        self.0.header().extra()?.name().map(|name| (**name).to_owned())
    }

    /// Where it was spawned.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.0.header().place
    }

    /// Where it is in its life.
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
            // The future of `block_on` is polled by its owner, under a cell that stays idle.
            Phase::Idle if self.id() == TaskId(0) && current_is(&self.0) => TaskState::Running,
            Phase::Idle => TaskState::Waiting,
            Phase::Running => TaskState::Running,
            Phase::Reaping => TaskState::Ending,
            Phase::Complete => TaskState::Done(Some(self.0.end())),
            Phase::Empty => TaskState::Done(None),
        }
    }

    /// The task that awaits its handle, if one does.
    pub fn awaited_by(&self) -> Option<Task> {
        let waiting = self.0.joined_by()?;
        Some(Task(waiting))
    }

    /// Asks for its cancellation and returns at once: see [`JoinHandle::request_cancel`](super::JoinHandle::request_cancel).
    pub fn request_cancel(&self) -> bool {
        self.0.request_cancel()
    }

    /// How many requests for its cancellation there have been that were not taken back; asyncio's `cancelling`.
    pub fn cancelling(&self) -> usize {
        self.0.header().cancels.get().into()
    }

    /// Takes one request back, and says how many are left; asyncio's `uncancel`. With the last one goes what has not been
    /// delivered.
    pub fn uncancel(&self) -> usize {
        self.0.uncancel().into()
    }
}

fn current_is(task: &TaskRef) -> bool {
    scheduler::with(|current| current?.current_task()).is_some_and(|current| current.same(task))
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

/// The task that is being polled, if one is.
///
/// # Examples
/// ```
/// assert!(proactor::task::try_current().is_none());
/// ```
pub fn try_current() -> Option<Task> {
    let task = scheduler::with(|current| current?.current_task())?;
    (!task.header().has(Flags::CALLBACK)).then(|| Task(task))
}
