//! `TaskGroup`: a group whose children are tasks.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::{Future, poll_fn};
use std::rc::Rc;

use super::child::{Child, ChildFuture};
use super::children::{ChildOptions, ScopedChildren};
use super::error::GroupError;
use super::group_tasks::{BodyHooks, Shared, TaskHooks};
use super::run_group::{GroupChildren, run_group};
use crate::task::cancel::cleanup::wait_for_end;
use crate::task::handle::spawn::Builder;

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
        let body =
            scoped.push(ChildFuture::new(body(&self), BodyHooks(shared.clone())), ChildOptions::body());
        shared.body.replace(Some(body.task_ref().clone()));
        if shared.state.is_closed() {
            body.task_ref().request_cancel(); // a task has failed before
        }
        let ended = run_group(&Running { shared, body: scoped }, &shared.state, body, || None).await;
        shared.body.take();
        ended
    }
}

/// A group whose end is awaited.
struct Running<'a, E> {
    shared: &'a Shared<E>,
    /// The set of the body, which is its only child.
    body: ScopedChildren<'a>,
}

impl<E> GroupChildren for Running<'_, E> {
    async fn ended(&self) {
        poll_fn(|cx| self.body.poll(cx)).await;
        self.shared.tasks_ended().await;
    }

    fn end(&self) {
        self.shared.end(false);
    }

    fn cancel_again(&self) {
        self.body.cancel_all(); // tasks can be cancelled by others
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
        shared.dropped.set(true);
        shared.state.resume_panic(); // no await has resumed it
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
        let key = shared.reserve();
        let hooks = TaskHooks { shared: shared.clone(), key };
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
