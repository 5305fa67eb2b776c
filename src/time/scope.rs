//! `timeout_scope`: a time limit that its body can move.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::{Elapsed, now, sleep_until};
use crate::task::cleanup::dispose;

/// Runs a block of code until a deadline that the block can look at and move; asyncio's `timeout()`.
///
/// The time counts from the first poll; `None` is no limit. When it is up the block is polled once more, and dropped if
/// it is not ready then; what it leaves is awaited, as [`wait_for`](super::wait_for) does. Limits nest: the one that comes
/// first ends its own block.
///
/// # Errors
/// [`Elapsed`].
///
/// # Panics
/// When polled outside a runtime.
///
/// # Cancellation
/// Dropping it drops the block.
///
/// # Examples
/// ```
/// use proactor::time::{sleep, timeout_scope};
/// use std::time::{Duration, Instant};
/// proactor::run(async {
///     let lines = timeout_scope(Duration::from_millis(5), async |limit| {
///         let mut lines = 0;
///         while lines < 10 {
///             sleep(Duration::from_millis(1)).await; // a line arrives
///             lines += 1;
///             limit.reset(Instant::now() + Duration::from_secs(5)); // so there may be another
///         }
///         lines
///     });
///     assert_eq!(lines.await, Ok(10));
/// });
/// ```
pub async fn timeout_scope<T, F>(duration: impl Into<Option<Duration>>, body: F) -> Result<T, Elapsed>
where
    F: AsyncFnOnce(&TimeLimit) -> T,
{
    let duration = duration.into();
    timeout_scope_at(duration.and_then(|duration| now().checked_add(duration)), body).await
}

/// The same, until a point in time; asyncio's `timeout_at()`.
///
/// # Errors
/// As [`timeout_scope`], and so are panics and cancellation.
///
/// # Examples
/// ```
/// use proactor::time::{Elapsed, sleep, timeout_scope_at};
/// use std::time::{Duration, Instant};
/// proactor::run(async {
///     let late = timeout_scope_at(Instant::now(), async |_| sleep(Duration::from_secs(60)).await);
///     assert_eq!(late.await, Err(Elapsed));
/// });
/// ```
pub async fn timeout_scope_at<T, F>(deadline: impl Into<Option<Instant>>, body: F) -> Result<T, Elapsed>
where
    F: AsyncFnOnce(&TimeLimit) -> T,
{
    let limit = TimeLimit { deadline: Cell::new(deadline.into()), moved: Cell::new(true) };
    let mut body = pin!(Some(body(&limit)));
    let mut sleep = None;
    let result = poll_fn(|cx| {
        let running = body.as_mut().as_pin_mut().expect("it is there until the time is up");
        if let Poll::Ready(output) = running.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if limit.moved.take() {
            sleep = limit.deadline.get().map(sleep_until);
        }
        match sleep.as_mut().map(|sleep| Pin::new(sleep).poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Err(Elapsed)),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    });
    let result = result.await;
    if result.is_err() {
        dispose(|| body.set(None)).await;
    }
    result
}

/// The limit of a [`timeout_scope`], for its body.
///
/// # Examples
/// ```
/// use proactor::time::timeout_scope;
/// proactor::run(async {
///     let unlimited = timeout_scope(None, async |limit| limit.deadline());
///     assert_eq!(unlimited.await, Ok(None));
/// });
/// ```
#[derive(Debug)]
pub struct TimeLimit {
    deadline: Cell<Option<Instant>>,
    /// Since the timer was set.
    moved: Cell<bool>,
}

impl TimeLimit {
    /// Moves the deadline, forth or back; `None` is no limit. One that has passed ends the body when it
    /// still waits a turn later; asyncio's `reschedule`.
    pub fn reset(&self, deadline: impl Into<Option<Instant>>) {
        self.deadline.set(deadline.into());
        self.moved.set(true);
    }

    /// The deadline; asyncio's `when`.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.get()
    }

    /// Whether the deadline has passed: the body, if it awaits now, ends; asyncio's `expired`.
    pub fn is_expired(&self) -> bool {
        self.deadline.get().is_some_and(|deadline| deadline <= now())
    }
}
