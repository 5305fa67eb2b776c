//! `shield`: a future that continues when its waiter is dropped.
#![forbid(unsafe_code)]

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::task::cancel::scopes::cancel_with;
use crate::task::spawn;
use crate::task::{JoinError, JoinHandle};

/// Runs a future as a task, which continues when the shield is dropped; asyncio's `shield`.
///
/// The future may be a [`JoinHandle`], whose task then continues even if the handle is one that cancels on drop. The
/// task belongs to the runtime, whose shutdown cancels it like any task. To await it later, keep the `Shield` and pass
/// `&mut shield` to code that may drop its future: a time limit, or a `select!`.
///
/// # Panics
/// Outside a runtime, at the call. A panic of the future propagates here. When other code cancels the task, the waiter
/// is cancelled with it; the future given to `block_on` can't be cancelled, and panics.
///
/// # Cancellation
/// Dropping it detaches the task, which continues. If the future panics after that,
/// [`Config::on_unhandled`](crate::Config::on_unhandled) is called. It is not called for the task of a `JoinHandle` that was
/// given as the future, neither for a panic nor for an error of [`try_spawn`](crate::task::try_spawn): the shield's own
/// task takes that result, which so counts as retrieved. asyncio reports it ("Task exception was never retrieved"), but for
/// a task that has failed in the turn in which the shield is cancelled. To have it reported, await `&mut handle` in place of
/// a shield: dropping the reference does not affect the task, and dropping the handle leaves the report to the hook.
///
/// # Examples
/// ```
/// use proactor::{shield, time::{sleep, timeout}};
/// use std::time::Duration;
/// proactor::run(async {
///     let mut saved = shield(async {
///         sleep(Duration::from_millis(5)).await;
///         "saved"
///     });
///     assert!(timeout(Duration::from_millis(1), &mut saved).await.is_err());
///     assert_eq!(saved.await, "saved");
/// });
/// ```
#[track_caller]
pub fn shield<F>(future: F) -> Shield<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    Shield { task: spawn(future), cancelled: false }
}

/// The future of [`shield`](fn@shield).
#[derive(Debug)]
#[must_use = "the future has been started; await this to know when it has ended"]
pub struct Shield<T> {
    task: JoinHandle<T>,
    /// The task was cancelled by other code, and the waiter with it.
    cancelled: bool,
}

impl<T> Shield<T> {
    /// Whether the future has ended.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl<T> Future for Shield<T> {
    type Output = T;

    /// # Panics
    /// When polled after completion.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        assert!(
            !self.cancelled,
            "the task of a shield was cancelled, and its waiter, the future given to block_on, can't be cancelled"
        );
        match Pin::new(&mut self.task).poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(output)) => Poll::Ready(output),
            Poll::Ready(Err(JoinError::Panicked(panic))) => resume_unwind(panic.into_payload()),
            Poll::Ready(Err(JoinError::Cancelled | JoinError::RuntimeGone)) => {
                self.cancelled = true;
                cancel_with(cx)
            }
        }
    }
}
