//! `timeout_scope`: a time limit that its body can move.
#![forbid(unsafe_code)]

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Context;
use std::time::{Duration, Instant};

use super::limited::{Deadline, Limited};
use super::{Elapsed, Sleep, now, sleep_until};
use crate::task::cell::layout::Waiter;

/// Runs a block of code with a deadline that the block can read and move; asyncio's `timeout()`.
///
/// The duration counts from the first poll; `None` means no limit. At the deadline the block is polled once more. If it
/// is not ready then, it is cancelled, as by [`wait_for`](super::wait_for): each
/// [`catch_cancel`](crate::task::catch_cancel()) and each group in the block gets the request and may await; if the
/// block returns a value nevertheless, that is the result; otherwise the block is dropped, and the call returns when
/// its operations and cleanups have completed. Limits nest: the limit that expires first ends only its own block. If
/// two expire at the same moment, the outer one ends both blocks.
///
/// The block is an async closure, `async |limit| { .. }`: for other forms see [the compiler's messages and their
/// cures](crate::guide::basics#a-future-or-an-async-closure).
///
/// # Errors
/// [`Elapsed`].
///
/// # Panics
/// When polled outside a runtime.
///
/// # Cancellation
/// Dropping the future drops the block.
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
///             limit.reset(Instant::now() + Duration::from_secs(5)); // allow time for the next line
///         }
///         lines
///     });
///     assert_eq!(lines.await, Ok(10));
/// });
/// ```
///
/// A block that saves its work when it is cancelled:
/// ```
/// use proactor::task::catch_cancel;
/// use proactor::time::{Elapsed, timeout_scope};
/// use std::{cell::Cell, future::pending, time::Duration};
/// proactor::run(async {
///     let saved = Cell::new(false);
///     let limited = timeout_scope(Duration::from_millis(1), async |_| {
///         if let Err(cancelled) = catch_cancel(pending::<()>()).await {
///             proactor::yield_now().await; // saves its work
///             saved.set(true);
///             drop(cancelled); // the next await ends the block
///             pending().await
///         }
///     });
///     assert_eq!(limited.await, Err(Elapsed));
///     assert!(saved.get());
/// });
/// ```
pub async fn timeout_scope<T, F>(duration: impl Into<Option<Duration>>, body: F) -> Result<T, Elapsed>
where
    F: AsyncFnOnce(&TimeLimit) -> T,
{
    let duration = duration.into();
    timeout_scope_at(duration.and_then(|duration| now().checked_add(duration)), body).await
}

/// Like [`timeout_scope`], with an absolute deadline; asyncio's `timeout_at()`.
///
/// # Errors
/// As for [`timeout_scope`]; panics and cancellation, too.
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
    let limit = TimeLimit {
        deadline: Cell::new(deadline.into()),
        moved: Cell::new(true),
        expired: Cell::new(false),
        remote: OnceCell::new(),
    };
    let mut body = pin!(Some(body(&limit)));
    let mut timer = Moving { limit: &limit, sleep: None };
    let mut limited = Limited::default(); // dropped before the body, which withdraws the requests of this limit
    poll_fn(|cx| limited.poll(body.as_mut(), &mut timer, cx)).await
}

/// A deadline that the body moves.
struct Moving<'a> {
    limit: &'a TimeLimit,
    sleep: Option<Sleep>,
}

impl Deadline for Moving<'_> {
    fn has_passed(&mut self, cx: &mut Context<'_>) -> bool {
        self.limit.take_remote_move();
        let sleep = self.sleep.as_mut().filter(|_| !self.limit.moved.get());
        sleep.is_some_and(|sleep| Pin::new(sleep).poll(cx).is_ready())
    }

    fn set(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(remote) = self.limit.remote.get() {
            self.limit.take_remote_move();
            let replaced = remote.waiter.replace(Some(Waiter::new(cx)));
            drop(replaced);
        }
        if !self.limit.moved.take() {
            return false;
        }
        self.sleep = self.limit.deadline.get().map(sleep_until);
        if let Some(sleep) = &mut self.sleep {
            let _ = Pin::new(sleep).poll(cx); // pending for one turn even if the deadline has passed
        }
        true
    }

    fn expire(&mut self) {
        self.limit.expired.set(true);
        self.limit.end_remote();
    }
}

/// The time limit of a [`timeout_scope`], as its block sees it.
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
    /// Whether the deadline was moved since the timer was set.
    moved: Cell<bool>,
    /// Whether the limit has expired and the body was asked to end.
    expired: Cell<bool>,
    /// The state that handles in other tasks share, made with the first handle.
    remote: OnceCell<Rc<Remote>>,
}

/// The part of a limit that its handles in other tasks share.
#[derive(Default)]
struct Remote {
    /// The last move that the limit has not seen.
    moved: Cell<Option<Option<Instant>>>,
    /// The block's task.
    waiter: Cell<Option<Waiter>>,
    ended: Cell<bool>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("moved", &self.moved)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl TimeLimit {
    /// Returns a handle by which other tasks of the loop can move this limit.
    pub fn handle(&self) -> LimitHandle {
        let remote = self.remote.get_or_init(Rc::default);
        remote.ended.set(self.expired.get());
        LimitHandle(remote.clone())
    }

    fn take_remote_move(&self) {
        let moved = self.remote.get().and_then(|remote| remote.moved.take());
        if let Some(deadline) = moved {
            self.reset(deadline);
        }
    }

    fn end_remote(&self) {
        if let Some(remote) = self.remote.get() {
            remote.ended.set(true);
            drop(remote.waiter.take());
        }
    }

    /// Moves the deadline, forward or back; asyncio's `reschedule`.
    ///
    /// `None` means no limit. A deadline that has passed cancels the block if it still waits one turn later. Once the
    /// block has been cancelled, this has no effect (in asyncio it is an error).
    pub fn reset(&self, deadline: impl Into<Option<Instant>>) {
        if let Some(remote) = self.remote.get() {
            remote.moved.take(); // this move is the later one
        }
        if !self.expired.get() {
            self.deadline.set(deadline.into());
            self.moved.set(true);
        }
    }

    /// Returns the deadline; asyncio's `when`.
    pub fn deadline(&self) -> Option<Instant> {
        self.take_remote_move();
        self.deadline.get()
    }

    /// Whether the deadline has passed, so that the block is cancelled if it awaits; asyncio's `expired`.
    pub fn is_expired(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now())
    }
}

impl Drop for TimeLimit {
    fn drop(&mut self) {
        self.end_remote();
    }
}

/// A handle to the limit of a [`timeout_scope`], for other tasks of its loop.
///
/// # Examples
/// ```
/// use proactor::time::{Elapsed, timeout_scope};
/// use std::time::Instant;
/// proactor::run(async {
///     let limited = timeout_scope(None, async |limit| {
///         let handle = limit.handle();
///         proactor::spawn(async move { handle.reset(Instant::now()) }); // ends the wait
///         std::future::pending::<()>().await
///     });
///     assert_eq!(limited.await, Err(Elapsed));
/// });
/// ```
#[derive(Clone, Debug)]
pub struct LimitHandle(Rc<Remote>);

impl LimitHandle {
    /// Moves the deadline, like [`TimeLimit::reset`], and wakes the block's task.
    ///
    /// `None` means no limit. Returns false, without an effect, if the block has ended or has been cancelled (in
    /// asyncio that is an error).
    pub fn reset(&self, deadline: impl Into<Option<Instant>>) -> bool {
        if self.0.ended.get() {
            return false;
        }
        self.0.moved.set(Some(deadline.into()));
        if let Some(waiter) = self.0.waiter.take() {
            waiter.wake();
        }
        true
    }
}
