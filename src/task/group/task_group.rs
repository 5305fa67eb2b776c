//! `TaskGroup`: a group whose children are tasks.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::rc::Rc;

use slab::Slab;

use super::child::{Child, ChildFuture};
use super::children::{ChildStart, ScopedChildren};
use super::error::GroupError;
use super::run_group::{GroupChildren, run_group};
use super::state::{GroupHooks, GroupState};
use crate::task::cancel::cleanup::wait_for_end;
use crate::task::cell::error::Panic;
use crate::task::cell::layout::TaskRef;
use crate::task::handle::join::JoinHandle;
use crate::task::handle::spawn::Builder;

/// Tasks that were cancelled one by one are looked for when there are so many in the list.
const FIRST_SWEEP: usize = 64;

/// A group of tasks, with the rules of [`task_group`](crate::task::task_group()): the first error cancels all, the
/// [`GroupError`] contains every error, and the group ends only after the operations of its tasks have completed and
/// their cleanups have run.
///
/// Its children are `'static`, are in the list of all tasks, and can be started through a [`GroupHandle`]. Await the
/// group by [`run`](Self::run), which has a body, or by [`join`](Self::join).
///
/// Dropping it cancels all tasks. A cancelled task that drops the group completes after them. The panic of a task
/// propagates from the drop; a later panic is reported like that of any task
/// ([`Config::on_unhandled`](crate::Config::on_unhandled)). Errors that were not retrieved are dropped.
///
/// # Examples
/// ```
/// use proactor::task::TaskGroup;
/// proactor::run(async {
///     let group = TaskGroup::new();
///     let child = group.spawn(async { "42".parse::<i32>() });
///     group.join().await.unwrap();
///     assert_eq!(child.await.unwrap(), 42);
/// });
/// ```
#[must_use = "dropping it cancels its tasks"]
pub struct TaskGroup<E> {
    handle: GroupHandle<E>,
}

impl<E: 'static> TaskGroup<E> {
    /// Makes a group without tasks.
    pub fn new() -> Self {
        TaskGroup { handle: GroupHandle(Rc::new(Shared::new())) }
    }

    /// Starts a task in the group. Its error becomes the group's.
    ///
    /// In a group that is ending or has ended, the future is dropped and the [`Child`] is cancelled from the beginning.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<C: 'static>(&self, future: impl Future<Output = Result<C, E>> + 'static) -> Child<C> {
        self.handle.spawn(future)
    }

    /// Starts a task with a name; otherwise as [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_named<C: 'static>(
        &self,
        name: impl Into<Rc<str>>,
        future: impl Future<Output = Result<C, E>> + 'static,
    ) -> Child<C> {
        self.handle.spawn_named(name, future)
    }

    /// Starts a task and polls it at once, inside this call, as [`spawn_eager`](crate::task::spawn_eager) does; otherwise as
    /// [`spawn`](Self::spawn). A task that fails in this call ends the group before the call returns.
    ///
    /// # Panics
    /// Outside a runtime.
    ///
    /// # Examples
    /// ```
    /// use proactor::task::TaskGroup;
    /// proactor::run(async {
    ///     let group = TaskGroup::<()>::new();
    ///     let child = group.spawn_eager(async { Ok(42) });
    ///     assert!(child.is_finished());
    ///     group.join().await.unwrap();
    /// });
    /// ```
    #[track_caller]
    pub fn spawn_eager<C: 'static>(&self, future: impl Future<Output = Result<C, E>> + 'static) -> Child<C> {
        self.handle.spawn_eager(future)
    }

    /// Cancels all tasks, and the body of [`run`](Self::run), without an error. The group takes no more tasks.
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// A handle that starts tasks in this group, also from inside them.
    pub fn handle(&self) -> GroupHandle<E> {
        self.handle.clone()
    }

    /// Waits until all tasks have ended.
    ///
    /// # Errors
    /// All that have occurred, in their order.
    ///
    /// # Panics
    /// With the panic of a task, after all have ended.
    ///
    /// # Cancellation
    /// When the awaiting task is cancelled, the group's tasks are cancelled and awaited first. Dropping the future
    /// drops the group.
    pub async fn join(self) -> Result<(), GroupError<E>>
    where
        E: fmt::Debug,
    {
        self.run(async |_| Ok(())).await.map(drop)
    }

    /// Runs `body`, which may start tasks, and waits until it and all tasks have ended. The first error cancels the body, too.
    ///
    /// It returns `None` if the group was ended by [`cancel`](Self::cancel) before the body returned a value.
    ///
    /// # Errors
    /// All errors that have occurred, in their order. The error can be empty, as that of
    /// [`task_group`](crate::task::task_group()).
    ///
    /// # Panics
    /// With the panic of the body or of a task, after all have ended.
    ///
    /// # Cancellation
    /// When the awaiting task is cancelled, the body is cancelled. When the body has ended, the group's tasks are
    /// cancelled and awaited, too. Dropping the future drops the group.
    ///
    /// # Examples
    /// ```
    /// use proactor::task::TaskGroup;
    /// proactor::run(async {
    ///     let ended = TaskGroup::new().run(async |group| {
    ///         group.spawn(async { Err::<(), _>("out of paper") });
    ///         std::future::pending::<Result<(), _>>().await
    ///     }).await;
    ///     assert!(ended.unwrap_err().iter().eq(&["out of paper"]));
    /// });
    /// ```
    pub async fn run<T>(
        self,
        body: impl AsyncFnOnce(&TaskGroup<E>) -> Result<T, E>,
    ) -> Result<Option<T>, GroupError<E>>
    where
        E: fmt::Debug,
    {
        let shared = &self.handle.0;
        let scoped = ScopedChildren::new();
        let body = scoped.push(ChildFuture::new(body(&self), Body(shared.clone())), ChildStart::body());
        shared.body.replace(Some(body.task_ref().clone()));
        if shared.state.is_closed() {
            body.task_ref().request_cancel(); // a task has failed before
        }
        let ended = run_group(&Running { shared, scoped }, &shared.state, body, || None).await;
        shared.body.take();
        ended
    }
}

/// A group that is awaited.
struct Running<'a, E> {
    shared: &'a Shared<E>,
    /// The body alone.
    scoped: ScopedChildren<'a>,
}

impl<E> GroupChildren for Running<'_, E> {
    async fn ended(&self) {
        poll_fn(|cx| self.scoped.poll(cx)).await;
        self.shared.tasks_ended().await;
    }

    fn end(&self) {
        self.shared.end(false);
    }

    fn cancel_again(&self) {
        self.scoped.cancel_all(); // tasks can be cancelled by others
    }
}

impl<E: 'static> Default for TaskGroup<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Drop for TaskGroup<E> {
    fn drop(&mut self) {
        let shared = &self.handle.0;
        shared.end(false);
        shared.all_tasks().iter().for_each(wait_for_end);
        shared.gone.set(true);
        shared.state.resume_panic(); // which nobody has awaited
    }
}

impl<E> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("tasks", &self.handle.0.tasks.borrow().len())
            .finish_non_exhaustive()
    }
}

/// Starts tasks in a [`TaskGroup`], from anywhere on its thread.
///
/// # Examples
/// ```
/// use proactor::task::TaskGroup;
/// proactor::run(async {
///     let group = TaskGroup::<()>::new();
///     let handle = group.handle();
///     group.spawn(async move {
///         handle.spawn(async { Ok(()) });
///         Ok(())
///     });
///     group.join().await.unwrap();
/// });
/// ```
pub struct GroupHandle<E>(Rc<Shared<E>>);

impl<E: 'static> GroupHandle<E> {
    /// Starts a task in the group, as [`TaskGroup::spawn`] does.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<C: 'static>(&self, future: impl Future<Output = Result<C, E>> + 'static) -> Child<C> {
        self.start(Builder::new(), future)
    }

    /// Starts a task with a name; otherwise as [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_named<C: 'static>(
        &self,
        name: impl Into<Rc<str>>,
        future: impl Future<Output = Result<C, E>> + 'static,
    ) -> Child<C> {
        self.start(Builder::new().name(name), future)
    }

    /// Starts a task and polls it at once, as [`TaskGroup::spawn_eager`] does.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_eager<C: 'static>(&self, future: impl Future<Output = Result<C, E>> + 'static) -> Child<C> {
        self.start(Builder::new().eager(true), future)
    }

    #[track_caller]
    fn start<C: 'static>(
        &self,
        builder: Builder,
        future: impl Future<Output = Result<C, E>> + 'static,
    ) -> Child<C> {
        let GroupHandle(shared) = self;
        if shared.state.is_closed() {
            return Child::refused();
        }
        let key = shared.new_place();
        let hooks = Task { shared: shared.clone(), key };
        let handle = builder.spawn_then(ChildFuture::new(future, hooks), |handle| {
            shared.put(key, handle);
            if shared.state.is_closed() {
                handle.request_cancel(); // by a hook that was told of the task
            }
        });
        Child::new(handle)
    }

    /// Ends the group without an error, as [`TaskGroup::cancel`] does.
    pub fn cancel(&self) {
        self.0.end(true);
    }
}

impl<E> Clone for GroupHandle<E> {
    fn clone(&self) -> Self {
        GroupHandle(self.0.clone())
    }
}

impl<E> fmt::Debug for GroupHandle<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupHandle").field("tasks", &self.0.tasks.borrow().len()).finish()
    }
}

struct Shared<E> {
    state: GroupState<E>,
    /// There is no [`TaskGroup`] any more, whose affair a panic would be.
    gone: Cell<bool>,
    /// Those that have not run to their ends. None between the two halves of a spawn.
    tasks: RefCell<Slab<Option<TaskRef>>>,
    /// When there are so many in the list, those that were cancelled are taken out.
    sweep_at: Cell<usize>,
    /// The child that is the body, while there is one.
    body: RefCell<Option<TaskRef>>,
}

impl<E> Shared<E> {
    fn new() -> Self {
        Shared {
            state: GroupState::new(),
            gone: Cell::new(false),
            tasks: RefCell::default(),
            sweep_at: Cell::new(FIRST_SWEEP),
            body: RefCell::default(),
        }
    }

    fn new_place(&self) -> usize {
        let mut tasks = self.tasks.borrow_mut();
        if tasks.len() >= self.sweep_at.get() {
            tasks.retain(|_, task| task.as_ref().is_none_or(|task| !task.is_complete()));
            self.sweep_at.set(FIRST_SWEEP.max(2 * tasks.len()));
        }
        tasks.insert(None)
    }

    fn put<T>(&self, key: usize, task: &JoinHandle<T>) {
        self.tasks.borrow_mut()[key] = Some(task.task_ref().clone());
    }

    fn all_tasks(&self) -> Vec<TaskRef> {
        self.tasks.borrow().iter().filter_map(|(_, task)| task.clone()).collect()
    }

    /// Tells all to end; once. By a child or a command it counts as a request for the body's end.
    fn end(&self, by_child: bool) {
        let first = if by_child { self.state.close_by_child() } else { self.state.close() };
        if first {
            let body = self.body.borrow().clone();
            self.all_tasks().iter().chain(&body).for_each(|task| {
                task.request_cancel();
            });
        }
    }

    /// Waits for one task after the other: all are to end.
    async fn tasks_ended(&self) {
        while let tasks = self.all_tasks()
            && !tasks.is_empty()
        {
            for task in tasks {
                poll_fn(|cx| task.poll_end(cx)).await; // its handle may have somebody else waiting
            }
            self.tasks.borrow_mut().retain(|_, task| task.as_ref().is_none_or(|task| !task.is_complete()));
        }
    }
}

/// The group, as one of its tasks sees it.
struct Task<E> {
    shared: Rc<Shared<E>>,
    key: usize,
}

impl<E> GroupHooks<E> for Task<E> {
    fn state(&self) -> &GroupState<E> {
        &self.shared.state
    }

    fn abort(&self) {
        self.shared.end(true);
    }

    fn panicked(&self, panic: Panic) {
        if self.shared.gone.get() {
            resume_unwind(panic.into_payload()); // the task's own: it is reported
        }
        self.shared.state.note_panic(panic);
        self.abort();
    }

    fn ended(&self) {
        let removed = self.shared.tasks.borrow_mut().try_remove(self.key);
        drop(removed);
    }
}

/// The group, as its body sees it.
struct Body<E>(Rc<Shared<E>>);

impl<E> GroupHooks<E> for Body<E> {
    fn state(&self) -> &GroupState<E> {
        &self.0.state
    }

    fn abort(&self) {
        self.0.end(false);
    }
}
