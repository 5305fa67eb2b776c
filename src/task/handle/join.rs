//! `JoinHandle`: waiting for a task, and cancelling it.
//!
//! The handle knows the type of the task's output, which the files below do not: it is made together with the cell.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::task::cancel::cleanup::wait_for_end;
use crate::task::cell::done_callbacks::CallbackId;
use crate::task::cell::error::{JoinError, TaskId};
use crate::task::cell::layout::{DoneCallbacks, TaskRef};
use crate::task::cell::state::{JoinState, Phase};
use crate::task::report::task_info::Task;

/// The owner's handle of a task: a future of its result.
///
/// Dropping it detaches the task, which continues to run; see [`cancel_on_drop`](Self::cancel_on_drop). A handle that
/// outlives its runtime keeps one descriptor open, an eventfd that all handles of that runtime share. It stays on its
/// thread, and another task of the same loop awaits it. A task that was started from another thread has a
/// [`RemoteHandle`](crate::task::RemoteHandle).
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
    /// Makes the handle of a task that the caller has just made, with a future of output `T`.
    pub(in crate::task) fn new(task: TaskRef) -> Self {
        JoinHandle { task, output: PhantomData }
    }

    pub(in crate::task) fn task_ref(&self) -> &TaskRef {
        &self.task
    }

    /// Detaches the task, and returns a reference to it.
    pub(in crate::task) fn into_task(self) -> TaskRef {
        self.task.clone()
    }

    /// The [`Task`] of this handle, for information about it.
    pub fn task(&self) -> Task {
        Task::new(self.task.clone())
    }

    /// Makes the drop of this handle cancel the task instead of detaching it. If the task is handling a request at that
    /// moment, it is cancelled when it has handled that.
    pub fn cancel_on_drop(self) -> Self {
        self.task.header().join_state.set(JoinState::Cancel);
        self
    }

    /// Whether the task has ended: its result can be taken, or was taken.
    pub fn is_finished(&self) -> bool {
        self.task.is_complete()
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.task.header().id()
    }

    /// The task's name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.task.header().cold()?.name().map(|name| &**name)
    }

    /// The result, if the task has ended and it was not taken; asyncio's `result()` and `exception()`.
    ///
    /// # Examples
    /// ```
    /// proactor::run(async {
    ///     let mut task = proactor::spawn(async { 42 });
    ///     assert!(task.try_take().is_none());
    ///     proactor::yield_now().await;
    ///     assert!(matches!(task.try_take(), Some(Ok(42))));
    ///     assert!(task.try_take().is_none(), "it has been taken");
    /// });
    /// ```
    pub fn try_take(&mut self) -> Option<Result<T, JoinError>> {
        if self.task.phase() != Phase::Complete {
            return None;
        }
        // SAFETY: the handle was made together with the task, for the output of its future.
        match unsafe { self.task.take::<T>() } {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    /// Requests cancellation of the task and returns at once; asyncio's `Task.cancel()`.
    ///
    /// At its next await the task's future is dropped, or the future inside its innermost
    /// [`catch_cancel`](crate::task::catch_cancel). If the task finishes before that, its result stands. Requests are
    /// counted. Returns false if the task has already ended.
    pub fn request_cancel(&self) -> bool {
        self.task.request_cancel()
    }

    /// The number of cancellation requests that were not taken back; asyncio's `cancelling`.
    pub fn cancelling(&self) -> usize {
        self.task.header().cancels.get().into()
    }

    /// Schedules a callback for the end of the task; asyncio's `add_done_callback`. The loop calls it in the turn after
    /// the end, never inside this call. Callbacks are called in the order in which they were added. They are not called
    /// if the runtime ends first. A callback has the [task-locals](crate::task_local) of the moment when it was added.
    ///
    /// # Panics
    /// When the task has ended, and no runtime runs on this thread to call the callback.
    ///
    /// # Examples
    /// ```
    /// use proactor::task::{Ended, TaskState};
    /// use std::{cell::Cell, rc::Rc};
    /// proactor::run(async {
    ///     let state = Rc::new(Cell::new(None));
    ///     let seen = state.clone();
    ///     let task = proactor::spawn(async {});
    ///     task.on_done(move |task| seen.set(Some(task.state())));
    ///     let other = task.on_done(|_| unreachable!());
    ///     assert!(task.remove_on_done(other));
    ///     for _ in 0..2 {
    ///         assert_eq!(state.get(), None);
    ///         proactor::yield_now().await;
    ///     }
    ///     assert_eq!(state.get(), Some(TaskState::Done(Ended::Finished)));
    /// });
    /// ```
    #[track_caller]
    pub fn on_done(&self, callback: impl FnOnce(Task) + 'static) -> CallbackId {
        DoneCallbacks::add_to(&self.task, Box::new(callback))
    }

    /// Removes a callback of [`on_done`](Self::on_done). Returns false if it was called or is about to be.
    pub fn remove_on_done(&self, id: CallbackId) -> bool {
        self.task.header().cold().is_some_and(|cold| cold.callbacks.remove(id))
    }

    /// Cancels the task and waits for its end: its future dropped, its operations completed.
    ///
    /// The request is made by this call, not by the await. The future returns the result if the task finished first, or
    /// [`JoinError::Cancelled`].
    pub fn cancel(self) -> Cancel<T> {
        self.request_cancel();
        Cancel(self)
    }
}

impl<T> JoinHandle<T> {
    /// A future of the task's end, for a caller that keeps the handle and does not poll it meanwhile.
    ///
    /// # Panics
    /// When the handle's own poll would panic.
    pub(crate) fn end(&self) -> End {
        if !self.task.is_complete() {
            self.task.check_joiner();
        }
        End::new(self.task.clone())
    }

    /// Whether the task has ended by a panic or a cancellation, or with an error that is to be reported.
    pub(crate) fn has_failed(&self) -> bool {
        self.task.has_failed()
    }
}

impl<T, E> JoinHandle<Result<T, E>> {
    /// Whether the task has ended without a value.
    pub(crate) fn has_no_value(&self) -> bool {
        // SAFETY: the handle was made together with the task, for the output of its future.
        let outcome = unsafe { self.task.outcome::<Result<T, E>>() };
        outcome.is_some_and(|outcome| !matches!(outcome, Ok(Ok(_))))
    }
}

/// Future of the end of a task, for the owner of its handle. It takes no result.
#[derive(Debug)]
pub(crate) struct End(TaskRef);

impl End {
    fn new(task: TaskRef) -> Self {
        End(task)
    }
}

impl Future for End {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.is_complete() {
            return Poll::Ready(());
        }
        self.0.set_joiner(cx);
        Poll::Pending
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// If it is polled after it has given the result; in the task itself, and in another loop on the same thread, while
    /// the task has not ended: the wait would never end.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.task.is_complete() {
            self.task.check_joiner();
            self.task.set_joiner(cx);
            return Poll::Pending;
        }
        // SAFETY: the handle was made together with the task, for the output of its future.
        unsafe { self.task.take::<T>() }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if self.task.header().join_state.replace(JoinState::Gone) == JoinState::Cancel && !self.is_finished()
        {
            if !self.task.is_cancelled_by_shutdown() {
                self.task.request_graceful_cancel();
            }
            wait_for_end(&self.task);
        }
        if self.task.is_complete() {
            self.task.clear(); // the outcome will not be taken any more
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
