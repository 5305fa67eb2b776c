//! `JoinHandle`: waiting for a task, and ending it.
//!
//! The type of the task's output is known here and nowhere below: the handle was made together with the
//! cell, and takes out of it what was put in.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::cell::{Joining, TaskRef};
use super::{JoinError, TaskId};

/// The owner's side of a task: a future of its result.
///
/// Dropping it detaches the task, which goes on by itself; see [`cancel_on_drop`](Self::cancel_on_drop).
/// It stays on its thread; a task started from elsewhere has a [`RemoteHandle`](super::RemoteHandle).
///
/// # Examples
/// ```
/// proactor::run(async {
///     let task = proactor::spawn(async { "done" });
///     assert!(!task.is_finished());
///     assert_eq!(task.await.unwrap(), "done");
/// });
/// ```
///
/// It can't leave its thread:
/// ```compile_fail,E0277
/// # let runtime = proactor::Auto::new().unwrap();
/// let task = runtime.spawn(async {});
/// std::thread::spawn(move || drop(task));
/// ```
pub struct JoinHandle<T> {
    task: TaskRef,
    output: PhantomData<T>,
}

impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// The caller has just made the task, with a future of output `T`.
    pub(super) fn new(task: TaskRef) -> Self {
        JoinHandle { task, output: PhantomData }
    }

    /// Makes the drop of this handle ask for the task's cancellation instead of detaching it.
    pub fn cancel_on_drop(self) -> Self {
        self.task.header().joining.set(Joining::Cancel);
        self
    }

    /// Whether the task has ended: its result is here, or was taken.
    pub fn is_finished(&self) -> bool {
        self.task.is_complete()
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.task.header().id
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.task.header().name.as_ref().map(|name| &***name)
    }

    /// Asks for the task's cancellation and returns at once: asyncio's `Task.cancel()`.
    ///
    /// The task's future is dropped at its next await; if it finishes before that, its result stands.
    /// Requests are counted. False when the task has already ended.
    pub fn request_cancel(&self) -> bool {
        if self.task.is_complete() {
            return false;
        }
        let cancels = &self.task.header().cancels;
        cancels.set(cancels.get().saturating_add(1));
        self.task.schedule();
        true
    }

    /// Ends the task and waits until it has: its future dropped, its operations reaped.
    ///
    /// The request is made by this call, not by the await. The answer tells what became of it: the result,
    /// if it finished first, or [`JoinError::Cancelled`].
    pub fn cancel(self) -> Cancel<T> {
        self.request_cancel();
        Cancel(self)
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// If it is polled after it has given the result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.task.is_complete() {
            self.task.set_joiner(cx);
            return Poll::Pending;
        }
        // SAFETY: the handle was made together with the task, for the output of its future.
        unsafe { self.task.take::<T>() }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if self.task.header().joining.replace(Joining::Gone) == Joining::Cancel {
            self.request_cancel();
        }
        if self.task.is_complete() {
            self.task.clear(); // nobody will ask for the outcome any more
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.task).finish()
    }
}

/// The future of [`JoinHandle::cancel`].
///
/// Dropping it leaves the request standing and detaches the task.
#[derive(Debug)]
#[must_use = "the request has been made; await this to know when the task has ended"]
pub struct Cancel<T>(JoinHandle<T>);

impl<T> Future for Cancel<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}
