//! The future of a group's child, and the public handle of a child.
#![forbid(unsafe_code)]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::state::GroupHooks;
use crate::task::cancel::cleanup::{PendingCleanup, drop_and_track};
use crate::task::cell::error::{JoinError, Panic};
use crate::task::handle::join::JoinHandle;

pin_project! {
    /// The future of a group's child, or of its body. Returns the value; gives an error or a panic to the group's hooks.
    pub(in crate::task) struct ChildFuture<F, L, T, E>
    where
        F: Future<Output = Result<T, E>>,
        L: GroupHooks<E>,
    {
        #[pin]
        future: Option<F>,
        hooks: L,
        // The pending cleanup of a future that has panicked.
        pending: Option<PendingCleanup>,
    }

    impl<F, L, T, E> PinnedDrop for ChildFuture<F, L, T, E>
    where
        F: Future<Output = Result<T, E>>,
        L: GroupHooks<E>,
    {
        fn drop(this: Pin<&mut Self>) {
            this.drop_future();
        }
    }
}

impl<F, L, T, E> ChildFuture<F, L, T, E>
where
    F: Future<Output = Result<T, E>>,
    L: GroupHooks<E>,
{
    pub(in crate::task) fn new(future: F, hooks: L) -> Self {
        ChildFuture { future: Some(future), hooks, pending: None }
    }

    /// Drops the future, and gives a panic of its destructor to the group's hooks.
    fn drop_future(self: Pin<&mut Self>) {
        let mut this = self.project();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| this.future.set(None))) {
            this.hooks.panicked(Panic::new(panic));
        }
    }
}

impl<F, L, T, E> Future for ChildFuture<F, L, T, E>
where
    F: Future<Output = Result<T, E>>,
    L: GroupHooks<E>,
{
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.as_mut().project();
        if let Some(future) = this.future.as_pin_mut() {
            match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                Ok(polled) => {
                    let result = ready!(polled);
                    self.as_mut().drop_future();
                    self.hooks.ended();
                    return Poll::Ready(result.map_err(|error| self.hooks.failed(error)).ok());
                }
                Err(panic) => {
                    this.hooks.panicked(Panic::new(panic));
                    *self.as_mut().project().pending = Some(drop_and_track(|| self.as_mut().drop_future()));
                }
            }
        }
        let pending =
            self.project().pending.as_mut().expect("a future that has panicked leaves its pending cleanup");
        Pin::new(pending).poll(cx).map(|()| None)
    }
}

/// A child of a group: a future of its result.
///
/// A child that has failed or panicked has no result: the group has the error, and it cancels the children and the body
/// that wait for this one. Dropping a `Child` changes nothing.
///
/// # Examples
/// ```
/// use proactor::task::task_group;
/// proactor::run(async {
///     let sum = task_group(async |g| {
///         let one = g.spawn(async { "1".parse::<i32>() });
///         let two = g.spawn(async { "2".parse::<i32>() });
///         Ok(one.await.unwrap() + two.await.unwrap())
///     }).await;
///     assert_eq!(sum.unwrap(), 3);
/// });
/// ```
#[derive(Debug)]
pub struct Child<T>(State<T>);

#[derive(Debug)]
enum State<T> {
    Started(JoinHandle<Option<T>>),
    /// The group was closed when the child was to be started.
    Refused {
        /// The result, which is `Cancelled`, was taken.
        taken: bool,
    },
}

impl<T> Child<T> {
    pub(in crate::task) fn new(handle: JoinHandle<Option<T>>) -> Self {
        Child(State::Started(handle))
    }

    /// A child that was never started, because its group was closed.
    pub(in crate::task) fn refused() -> Self {
        Child(State::Refused { taken: false })
    }

    fn handle(&self) -> Option<&JoinHandle<Option<T>>> {
        match &self.0 {
            State::Started(handle) => Some(handle),
            State::Refused { .. } => None,
        }
    }

    /// Whether the child has ended.
    pub fn is_finished(&self) -> bool {
        self.handle().is_none_or(JoinHandle::is_finished)
    }

    /// The child's name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.handle()?.name()
    }

    /// Requests cancellation of the child and returns at once, as [`JoinHandle::request_cancel`] does. The group
    /// continues: a cancelled child has not failed. Returns false if the child has already ended.
    pub fn request_cancel(&self) -> bool {
        self.handle().is_some_and(JoinHandle::request_cancel)
    }

    /// Requests cancellation of the child. Awaited, it returns the outcome, after the child's operations have completed
    /// and its cleanups have run.
    ///
    /// # Examples
    /// ```
    /// use proactor::task::task_group;
    /// proactor::run(async {
    ///     let ended = task_group(async |g| {
    ///         let child = g.spawn(std::future::pending::<Result<(), ()>>());
    ///         assert!(child.cancel().await.unwrap_err().is_cancelled());
    ///         Ok(())
    ///     }).await;
    ///     assert_eq!(ended, Ok(()));
    /// });
    /// ```
    pub fn cancel(self) -> Self {
        self.request_cancel();
        self
    }

    /// The result, if the child has ended and it was not taken.
    pub fn try_take(&mut self) -> Option<Result<T, JoinError>> {
        match &mut self.0 {
            State::Started(handle) => handle.try_take().map(result),
            State::Refused { taken } => {
                (!std::mem::replace(taken, true)).then_some(Err(JoinError::Cancelled))
            }
        }
    }
}

fn result<T>(outcome: Result<Option<T>, JoinError>) -> Result<T, JoinError> {
    outcome?.ok_or(JoinError::Cancelled)
}

impl<T> Future for Child<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// If it is polled after it has given the result.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Started(handle) => Pin::new(handle).poll(cx).map(result),
            State::Refused { .. } => Poll::Ready(Err(JoinError::Cancelled)),
        }
    }
}
