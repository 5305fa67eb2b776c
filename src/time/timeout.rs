//! `timeout`, `timeout_at` and `wait_for`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::limited::{Deadline, Limited};
use super::{Due, Timer};

/// Limits the time of a future, and drops it when the time has elapsed.
///
/// The duration counts from the end of the task's poll in which the future is first polled and not ready. So a future
/// that is ready at once needs no timer, and all limits that one poll sets share one reading of the clock. At the
/// deadline the future is polled once more. If it is ready, its output is the result; otherwise it is dropped and the
/// result is [`Elapsed`], at once. Its pending operations are cancelled and reaped in the background; no buffer is
/// freed before that. A [`catch_cancel`](crate::task::catch_cancel()) inside is dropped, too, and does not run; it does
/// with [`wait_for`] and [`timeout_scope`](super::timeout_scope).
///
/// A duration of zero gives the future one turn of the loop. A duration that exceeds the range of the clock never
/// elapses.
///
/// # Errors
/// [`Elapsed`]; it converts into an [`io::Error`] of kind `TimedOut`.
///
/// # Panics
/// When polled outside a runtime.
///
/// # Cancellation
/// Dropping it drops the future and removes the timer.
///
/// # Examples
/// ```
/// use proactor::time::timeout;
/// use std::time::Duration;
/// proactor::run(async {
///     assert_eq!(timeout(Duration::from_secs(9), async { 1 }).await, Ok(1));
///     assert!(timeout(Duration::from_millis(1), std::future::pending::<()>()).await.is_err());
/// });
/// ```
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout { future: Some(future), limit: Limit::New(Due::after(duration)) }
}

/// Gives a future until a point in time; otherwise as [`timeout`].
///
/// # Examples
/// ```
/// use std::time::Instant;
/// proactor::run(async {
///     let late = proactor::time::timeout_at(Instant::now(), std::future::pending::<()>());
///     assert!(late.await.is_err());
/// });
/// ```
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Timeout { future: Some(future), limit: Limit::New(Due::At(deadline)) }
}

#[derive(Debug)]
enum Limit {
    /// Not armed yet.
    New(Due),
    /// The timer is set, or has fired.
    Armed(Timer),
    /// The result has been returned.
    Done,
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: Option<F>,
        limit: Limit,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    /// # Panics
    /// If it is polled after its result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = poll_limited(this.future.as_mut(), this.limit, cx);
        if polled.is_ready() {
            this.future.set(None);
        }
        polled
    }
}

/// Polls the future, and then its limit.
fn poll_limited<F: Future>(
    future: Pin<&mut Option<F>>,
    limit: &mut Limit,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, Elapsed>> {
    let future = future.as_pin_mut().expect("a future with a time limit was polled after its result");
    if let Poll::Ready(output) = future.poll(cx) {
        *limit = Limit::Done;
        return Poll::Ready(Ok(output));
    }
    match limit {
        // A deadline that has passed fires in the next turn.
        Limit::New(due) => *limit = Limit::Armed(Timer::new(*due, cx, "timeout")),
        Limit::Armed(timer) if timer.is_pending(cx) => {}
        Limit::Armed(_) | Limit::Done => {
            *limit = Limit::Done;
            return Poll::Ready(Err(Elapsed));
        }
    }
    Poll::Pending
}

/// Limits the time of a future, and waits until its cancellation is complete; asyncio's `wait_for`.
///
/// It differs from [`timeout`] at the deadline: it sends a cancellation request to the future and waits for its end.
/// The request reaches each [`catch_cancel`](crate::task::catch_cancel()) and each group inside, as a cancellation of
/// the task would. They may await before they pass the request on. If the future returns a value or an error meanwhile,
/// that is the result. Otherwise the future is dropped, and this returns when the cancellation is complete: its
/// operations are reaped, its cleanups ([`scope`](crate::scope)) have run, and the tasks that it cancelled
/// ([`cancel_on_drop`], groups) have ended. It does not wait for jobs on the blocking pool, because nothing can stop
/// them.
///
/// Until then the task counts the request ([`Task::cancelling`](crate::task::Task::cancelling)). If two nested limits
/// expire at the same moment, the outer one ends both, and the code after the inner one does not run. A cancellation of
/// the task takes precedence over the limit.
///
/// # Errors
/// [`Elapsed`].
///
/// # Panics
/// When polled outside a runtime.
///
/// # Cancellation
/// Dropping it drops the inner future.
///
/// # Examples
/// ```
/// use proactor::net::UdpSocket;
/// use proactor::time::wait_for;
/// use std::time::Duration;
/// proactor::run(async {
///     let socket = UdpSocket::bind("127.0.0.1:0").await?;
///     let received = wait_for(Duration::from_millis(1), socket.recv_from(vec![0; 100])).await;
///     assert!(received.is_err()); // and the kernel no longer uses the buffer
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
///
/// A future that saves its work when it is cancelled:
/// ```
/// use proactor::task::catch_cancel;
/// use proactor::time::wait_for;
/// use proactor::yield_now;
/// use std::time::Duration;
/// proactor::run(async {
///     let limited = wait_for(Duration::from_millis(1), async {
///         match catch_cancel(std::future::pending::<()>()).await {
///             Ok(()) => "complete",
///             Err(_cancelled) => {
///                 yield_now().await; // saves its work
///                 "half of it"
///             }
///         }
///     });
///     assert_eq!(limited.await, Ok("half of it"));
/// });
/// ```
///
/// The result of a task. At the deadline a handle is dropped like any future, and what the task returns while it is being
/// cancelled is lost. To have it, cancel the task when the request comes, and await its end:
/// ```
/// use proactor::task::catch_cancel;
/// use proactor::time::wait_for;
/// use std::time::Duration;
/// proactor::run(async {
///     let mut task = proactor::spawn(async {
///         match catch_cancel(std::future::pending::<()>()).await {
///             Ok(()) => Ok("complete"),
///             Err(_cancelled) => Err("disk full"), // while it saves
///         }
///     });
///     let limited = wait_for(Duration::from_millis(1), async {
///         match catch_cancel(&mut task).await {
///             Ok(result) => result,
///             Err(_cancelled) => task.cancel().await,
///         }
///     });
///     assert_eq!(limited.await.unwrap().unwrap(), Err("disk full"));
/// });
/// ```
///
/// [`cancel_on_drop`]: crate::task::JoinHandle::cancel_on_drop
pub fn wait_for<F: Future>(duration: Duration, future: F) -> WaitFor<F> {
    WaitFor { limited: Limited::default(), limit: Limit::New(Due::after(duration)), future: Some(future) }
}

pin_project! {
    /// The future of [`wait_for`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct WaitFor<F> {
        // Dropped before the future, which withdraws the requests of this limit.
        limited: Limited,
        limit: Limit,
        #[pin]
        future: Option<F>,
    }
}

impl<F: Future> Future for WaitFor<F> {
    type Output = Result<F::Output, Elapsed>;

    /// # Panics
    /// If it is polled after its result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = this.limited.poll(this.future, this.limit, cx);
        if polled.is_ready() {
            *this.limit = Limit::Done;
        }
        polled
    }
}

impl Deadline for Limit {
    fn has_passed(&mut self, cx: &mut Context<'_>) -> bool {
        matches!(self, Limit::Armed(timer) if !timer.is_pending(cx))
    }

    fn set(&mut self, cx: &mut Context<'_>) -> bool {
        if let Limit::New(due) = self {
            *self = Limit::Armed(Timer::new(*due, cx, "wait_for"));
        }
        false
    }

    fn expire(&mut self) {}
}

/// Error of [`timeout`], [`wait_for`] and [`timeout_scope`](super::timeout_scope): the time limit was reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit was reached")
    }
}

impl Error for Elapsed {}

debug_as_display!(Elapsed);

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
