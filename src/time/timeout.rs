//! `timeout` and `timeout_at`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::{Due, Timer};

/// Gives a future a limited time.
///
/// The time runs from the end of the turn of the loop in which the future is first polled and not ready, so that
/// a future that is ready at once costs no timer, and none costs a look at the clock. When the time is up the future is polled once more, and a
/// result that is there then wins; otherwise it is dropped and the answer is [`Elapsed`], at once. What it
/// had in flight is cancelled and reaped behind the scenes; no buffer is freed before.
///
/// A duration of zero gives the future one turn of the loop; one that is too long for the clock never
/// elapses.
///
/// # Errors
/// [`Elapsed`]; it converts into an [`io::Error`] of kind `TimedOut`.
///
/// # Panics
/// When polled outside a runtime.
///
/// # Cancellation
/// Dropping it drops the future and takes the timer out.
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
    /// The result has been given.
    Over,
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
    /// If it is polled after it has given the result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let future = this.future.as_mut().as_pin_mut().expect("a Timeout was polled after its result");
        if let Poll::Ready(output) = future.poll(cx) {
            *this.limit = Limit::Over;
            this.future.set(None);
            return Poll::Ready(Ok(output));
        }
        match this.limit {
            // A deadline that has passed fires in the next turn.
            Limit::New(due) => *this.limit = Limit::Armed(Timer::new(*due, cx, "timeout")),
            Limit::Armed(timer) if timer.is_pending(cx) => {}
            Limit::Armed(_) | Limit::Over => {
                *this.limit = Limit::Over;
                this.future.set(None);
                return Poll::Ready(Err(Elapsed));
            }
        }
        Poll::Pending
    }
}

/// The time given to [`timeout`] or [`timeout_at`] is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit was reached")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
