//! Task groups: children that end together; asyncio's `TaskGroup`.
//!
//! The children of [`task_group`](fn@task_group) are futures that the group's future polls, so that they may borrow
//! from around it, as threads of `std::thread::scope` do. The body is one of them: it is polled, cancelled and awaited
//! like the others. The children of a [`TaskGroup`](crate::task::TaskGroup) are tasks.
//!
//! # How children borrow without `unsafe`
//!
//! A child may refer to its [`Group`] (to spawn others). So the group is borrowed for as long as it lives, which the borrow
//! checker accepts only of a value without a destructor. Therefore the owner of the children lies in a `ManuallyDrop`, and
//! [`Close`], which borrows the group like a child, takes it out and drops it. Without that, children would be leaked, and
//! nothing worse.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::task::Poll;

use super::child::{Child, ChildFuture};
use super::children::{ChildOptions, ScopedChildren};
use super::error::GroupError;
use super::run_group::{GroupChildren, run_group};
use super::state::{GroupHooks, GroupState};
use crate::task::handle::join::JoinHandle;

/// Runs a body with a group in which it can start children, and waits until all of them have ended.
///
/// The children are polled by this future, in the task that awaits it, and may borrow from outside the call, but not
/// from the body itself. A child may start others through the `g` of the body.
///
/// - The first *error*, of a child or of the body, cancels all others and the body. When they have ended, their
///   operations have completed and their cleanups have run, the [`GroupError`] contains every error that has occurred.
/// - A *cancelled* child ([`Child::cancel`]) is no error, and the group continues.
/// - A *panic* cancels like an error, and propagates when all have ended. Each error that has occurred, too, is then
///   reported to [`Config::on_unhandled`](crate::Config::on_unhandled).
/// - A cancellation of the enclosing *task* reaches the body alone, which may catch it
///   ([`catch_cancel`](crate::task::catch_cancel())) and await its children. When the body has ended without suppressing the
///   request, or had ended before, the children are cancelled and awaited. Then the request continues outward; or, if
///   errors have occurred, the group returns them, and the next await ends the task. A body that suppresses the request
///   leaves the group running. In a group that is ending already, a further request reaches the children as well, also
///   those that are cleaning up; they are awaited all the same.
/// - While the group ends because of a child, this counts as a cancellation request of the task
///   ([`Task::cancelling`](crate::task::Task::cancelling)).
/// - [`Group::cancel`] and [`Group::finish`] end the group without an error.
/// - Groups nest; see [`GroupError::downcast`].
///
/// A child, like a task, can catch its cancellation ([`catch_cancel`](crate::task::catch_cancel())) and await before it ends.
///
/// # Errors
/// All errors that have occurred, in their order. The error is empty when a cancellation has ended the group and does
/// not end the task: it was taken back by [`Task::uncancel`](crate::task::Task::uncancel), or the group is in the future
/// given to `block_on`.
///
/// # Panics
/// Outside a runtime, and with the panic of the body or of a child.
///
/// # Cancellation
/// Dropping the future drops body and children. A task that is cancelled meanwhile completes only after their
/// operations have completed and their cleanups have run. Children that catch their cancellation are then not awaited
/// any further.
///
/// # Examples
/// ```
/// use proactor::task::{GroupError, task_group};
/// proactor::run(async {
///     let words = [String::from("a"), String::from("bcd")];
///     let longest = std::cell::Cell::new(0);
///     task_group(async |g| {
///         for word in &words {
///             g.spawn(async { Ok(longest.set(longest.get().max(word.len()))) });
///         }
///         Ok(())
///     }).await?;
///     assert_eq!(longest.get(), 3);
///     Ok::<(), GroupError>(())
/// }).unwrap();
/// ```
///
/// If the compiler rejects the body or a child, see [the compiler's messages and their
/// cures](crate::guide::basics#a-future-or-an-async-closure). A child can't borrow from the body:
/// ```compile_fail,E0597
/// # proactor::run(async {
/// let ended: Result<(), _> = proactor::task::task_group(async |g| {
///     let word = String::from("word");
///     let borrowed = &word;
///     g.spawn(async move { if borrowed.is_empty() { Err("empty") } else { Ok(()) } });
///     Ok(())
/// }).await;
/// # });
/// ```
pub async fn task_group<'env, T, E, F>(body: F) -> Result<T, GroupError<E>>
where
    T: 'env,
    E: fmt::Debug + 'env,
    F: for<'scope> AsyncFnOnce(&'scope Group<'scope, 'env, T, E>) -> Result<T, E>,
{
    let group = Group::new();
    let close = Close(&group); // first: making the body may start children, and panic
    group.run(close, body(&group)).await
}

/// The group of [`task_group`](fn@task_group), for its body and its children.
///
/// `'scope` is the lifetime of the group, `'env` that of the children's borrows and of the group's result.
///
/// # Examples
/// See [`task_group`](fn@task_group).
// `T` and `E` outlive `'env`: if they were only known to outlive `'scope`, as `&'scope Group` implies, the borrow checker
// would require that what a child borrows lives as long as they may: forever, if `E` is a `Box<dyn Error>`.
pub struct Group<'scope, 'env: 'scope, T: 'env, E: 'env> {
    /// The children, until the group has ended.
    children: ManuallyDrop<RefCell<Option<Rc<ScopedChildren<'scope>>>>>,
    state: GroupState<E>,
    /// The value of [`finish`](Self::finish).
    value: RefCell<Option<T>>,
    /// Makes `'env` invariant.
    env: PhantomData<Cell<&'env ()>>,
}

impl<'scope, 'env, T: 'env, E: 'env> Group<'scope, 'env, T, E> {
    fn new() -> Self {
        Group {
            children: ManuallyDrop::new(RefCell::new(Some(Rc::new(ScopedChildren::new())))),
            state: GroupState::new(),
            value: RefCell::new(None),
            env: PhantomData,
        }
    }

    /// Starts a child; it is first polled after this call. Its error becomes the group's.
    ///
    /// In a group that is ending or has ended, the future is dropped and the [`Child`] is cancelled from the beginning.
    #[track_caller]
    pub fn spawn<C, F>(&'scope self, future: F) -> Child<C>
    where
        F: Future<Output = Result<C, E>> + 'scope,
        C: 'scope,
    {
        self.start(future, ChildOptions::new(None, false)).map_or_else(Child::refused, Child::new)
    }

    /// Starts a child with a name, for debugging; otherwise as [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_named<C, F>(&'scope self, name: impl Into<Rc<str>>, future: F) -> Child<C>
    where
        F: Future<Output = Result<C, E>> + 'scope,
        C: 'scope,
    {
        self.start(future, ChildOptions::new(Some(name.into()), false))
            .map_or_else(Child::refused, Child::new)
    }

    /// Starts a child and polls it at once, inside this call, as [`spawn_eager`](crate::task::spawn_eager) does with a task;
    /// otherwise as [`spawn`](Self::spawn). A child that fails in this call ends the group before the call returns.
    ///
    /// # Examples
    /// ```
    /// use proactor::task::{GroupError, task_group};
    /// proactor::run(async {
    ///     let ended: Result<(), GroupError> = task_group(async |g| {
    ///         let child = g.spawn_eager(async { Ok(42) });
    ///         assert!(child.is_finished()); // without a turn of the loop
    ///         assert_eq!(child.await.unwrap(), 42);
    ///         Ok(())
    ///     }).await;
    ///     ended.unwrap();
    /// });
    /// ```
    #[track_caller]
    pub fn spawn_eager<C, F>(&'scope self, future: F) -> Child<C>
    where
        F: Future<Output = Result<C, E>> + 'scope,
        C: 'scope,
    {
        self.start(future, ChildOptions::new(None, true)).map_or_else(Child::refused, Child::new)
    }

    #[track_caller]
    fn start<C, F>(&'scope self, future: F, options: ChildOptions) -> Option<JoinHandle<Option<C>>>
    where
        F: Future<Output = Result<C, E>> + 'scope,
        C: 'scope,
    {
        let children = self.children().filter(|_| !self.state.is_closed())?;
        Some(children.push(ChildFuture::new(future, self), options))
    }

    /// Ends the group without an error: children and body are cancelled, and `value` is the group's result, unless the
    /// body still returns one. Errors that have occurred, or occur meanwhile, take precedence.
    pub fn finish(&self, value: T) {
        let replaced = self.value.replace(Some(value));
        drop(replaced);
        self.end_by_child();
    }

    /// Whether the group is ending or has ended: it takes no more children.
    pub fn is_closed(&self) -> bool {
        self.state.is_closed()
    }

    fn children(&self) -> Option<Rc<ScopedChildren<'scope>>> {
        self.children.borrow().clone()
    }

    /// Closes the group because of a child or of a command, and cancels all children. Only the first call has an effect; the
    /// group's owner then counts a cancellation request.
    fn end_by_child(&self) {
        if self.state.close_by_child() {
            self.cancel_children();
        }
    }

    fn cancel_children(&self) {
        self.children().into_iter().for_each(|children| children.cancel_all());
    }

    async fn run(
        &'scope self,
        close: Close<'scope, 'env, T, E>,
        body: impl Future<Output = Result<T, E>> + 'scope,
    ) -> Result<T, GroupError<E>>
    where
        E: fmt::Debug,
    {
        let children = self.children().filter(|_| !self.state.is_closed());
        let children = children.expect("the group has just begun");
        let body = children.push(ChildFuture::new(body, BodyHooks(self)), ChildOptions::body());
        drop(children);
        let ended = run_group(self, &self.state, body, || self.value.take()).await;
        drop(close);
        ended?.ok_or_else(|| GroupError::new(Vec::new()))
    }
}

impl<'env, T: 'env, E: 'env> GroupChildren for Group<'_, 'env, T, E> {
    async fn ended(&self) {
        poll_fn(|cx| self.children().map_or(Poll::Ready(()), |children| children.poll(cx))).await;
    }

    fn end(&self) {
        if self.state.close() {
            self.cancel_children();
        }
    }

    fn cancel_again(&self) {
        self.cancel_children();
    }
}

impl<'env, E: 'env> Group<'_, 'env, (), E> {
    /// Ends the group without an error: children and body are cancelled; asyncio's `TaskGroup.cancel`. For groups that
    /// return a value there is [`finish`](Self::finish).
    ///
    /// # Examples
    /// ```
    /// use proactor::task::{GroupError, task_group};
    /// use std::future::pending;
    /// proactor::run(async {
    ///     let ended: Result<(), GroupError> = task_group(async |g| {
    ///         g.spawn(pending::<Result<(), _>>());
    ///         g.spawn(async { Ok(g.cancel()) });
    ///         pending().await
    ///     }).await;
    ///     assert!(ended.is_ok());
    /// });
    /// ```
    pub fn cancel(&self) {
        self.finish(());
    }
}

impl<'scope, 'env, T: 'env, E: 'env> GroupHooks<E> for &'scope Group<'scope, 'env, T, E> {
    fn state(&self) -> &GroupState<E> {
        &self.state
    }

    fn abort(&self) {
        self.end_by_child();
    }
}

/// The hooks of the group's body.
struct BodyHooks<'scope, 'env, T, E>(&'scope Group<'scope, 'env, T, E>);

impl<'env, T: 'env, E: 'env> GroupHooks<E> for BodyHooks<'_, 'env, T, E> {
    fn state(&self) -> &GroupState<E> {
        &self.0.state
    }

    fn abort(&self) {
        self.0.end();
    }
}

impl<'env, T: 'env, E: 'env> fmt::Debug for Group<'_, 'env, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("children", &self.children)
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

/// Closes a group when it is dropped, and drops the remaining children.
struct Close<'scope, 'env, T, E>(&'scope Group<'scope, 'env, T, E>);

impl<'env, T: 'env, E: 'env> Drop for Close<'_, 'env, T, E> {
    fn drop(&mut self) {
        self.0.state.close();
        let children = self.0.children.take();
        drop(children);
        self.0.state.resume_panic(); // of the destructor of a child
    }
}
