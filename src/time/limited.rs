//! The cancellation of a future at its deadline, as by asyncio's `timeout`: shared by `wait_for` and `timeout_scope`.
//!
//! At the deadline the future is polled once more; if it is ready, its output is the result. Then the limit sends a
//! request to the scopes in it ([`catch_cancel`](crate::task::catch_cancel()), groups, limits), which may await before
//! they pass it on. The future is dropped when no scope in it has caught the request, or all have passed it on; its
//! operations and cleanups are awaited. A value that it returns before is the result. A cancellation of the task takes
//! precedence over the limit.
#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::Elapsed;
use crate::task::cancel::cleanup::{PendingCleanup, drop_and_track};
use crate::task::cancel::limit_scope::LimitScope;

/// The deadline of a limit.
pub(super) trait Deadline {
    /// Whether the deadline has passed. Returns false if no deadline was set, or if it was moved since.
    fn has_passed(&mut self, cx: &mut Context<'_>) -> bool;

    /// Sets the timer after a poll that was not ready. Returns true if that poll has moved the deadline.
    fn set(&mut self, cx: &mut Context<'_>) -> bool;

    /// Notes that the limit has expired: the deadline can't be moved any more.
    fn expire(&mut self);
}

/// The state of a limit.
#[derive(Debug, Default)]
pub(super) struct Limited {
    scope: LimitScope,
    /// The operations and cleanups that the dropped future left pending.
    pending: Option<PendingCleanup>,
    /// Whether another request was given a turn to end this await.
    has_waited: bool,
}

impl Limited {
    /// Polls `future` within its limit. `future` is `None` when this is ready.
    pub(super) fn poll<F: Future>(
        &mut self,
        mut future: Pin<&mut Option<F>>,
        deadline: &mut impl Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<F::Output, Elapsed>> {
        if self.pending.is_none() {
            if let Poll::Ready(output) = self.poll_inside(future.as_mut(), deadline, cx) {
                self.scope = LimitScope::default(); // first: it withdraws the requests of this limit
                future.set(None);
                return Poll::Ready(Ok(output));
            }
            if !self.scope.is_to_be_dropped() {
                return Poll::Pending;
            }
            self.pending = Some(drop_and_track(|| future.set(None)));
        }
        let pending = self.pending.as_mut().expect("the future has been dropped");
        ready!(Pin::new(pending).poll(cx));
        // The other request drops this await, unless that is in the future of `block_on`, which continues.
        if self.scope.is_overtaken() && !std::mem::replace(&mut self.has_waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        *self = Limited::default();
        Poll::Ready(Err(Elapsed))
    }

    fn poll_inside<F: Future>(
        &mut self,
        future: Pin<&mut Option<F>>,
        deadline: &mut impl Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        if self.scope.is_to_be_dropped() {
            return Poll::Pending;
        }
        if !self.scope.has_requested() && deadline.has_passed(cx) {
            self.scope.expire();
        }
        let future = future.as_pin_mut().expect("a future with a time limit was polled after its result");
        let output = self.scope.around(cx, |cx| future.poll(cx));
        if output.is_pending() && !self.scope.has_requested() && deadline.set(cx) {
            self.scope.retract();
        }
        if output.is_pending() && self.scope.request_if_due() {
            deadline.expire();
        }
        output
    }
}
