//! Running a group to its end: its body, its children, and requests for the task around.
//!
//! As in asyncio, a cancellation request reaches only the body while it runs, so that the body may still await its
//! children before the request continues. When the body has ended without suppressing the request, the group ends: the
//! children are cancelled and awaited, and the request continues outward. A body that has suppressed it leaves the group
//! running.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::error::GroupError;
use super::state::GroupState;
use crate::task::cancel::catch::{Cancelled, catch_cancel, pass_on};
use crate::task::cancel::scopes::cancel_with;
use crate::task::handle::join::JoinHandle;
use crate::task::handle::yield_now::yield_now;

/// Operations of a group's future on the children and the body.
pub(in crate::task) trait GroupChildren {
    /// Waits until the body and all children have ended.
    async fn ended(&self);

    /// Closes the group and cancels its body and children; only the first call has an effect.
    fn end(&self);

    /// Cancels once more the body, and those children that only the group can cancel.
    fn cancel_again(&self);
}

/// Runs a group to its end, and returns the value of the body, or else that of `otherwise`. Returns `None` if the group was
/// ended without a value.
pub(in crate::task) async fn run_group<T, E: Debug>(
    children: &impl GroupChildren,
    state: &GroupState<E>,
    body: JoinHandle<Option<T>>,
    otherwise: impl FnOnce() -> Option<T>,
) -> Result<Option<T>, GroupError<E>> {
    let owner = state.mark_owner(&body);
    let body = Body { handle: RefCell::new(body), outcome: Cell::new(None) };
    let requests = RefCell::new(Vec::new());
    let mut was_cancelled = false;
    loop {
        let ended = async {
            let mut ended = pin!(children.ended());
            poll_fn(|cx| {
                let polled = ended.as_mut().poll(cx);
                was_cancelled |= body.check_ended(children, state, &requests);
                polled
            })
            .await;
        };
        let Err(request) = catch_cancel(ended).await else { break };
        let is_first = requests.borrow().is_empty();
        requests.borrow_mut().push(request);
        if state.is_closed() && !is_first {
            children.cancel_again();
        } else if !body.handle.borrow().request_cancel() {
            children.end();
        }
    }
    drop(owner);
    let value = body.outcome.take().flatten().or_else(otherwise);
    result_of_group(state, requests.take(), was_cancelled, value).await
}

/// The body of a group.
struct Body<T> {
    handle: RefCell<JoinHandle<Option<T>>>,
    /// The outcome, after the body has ended.
    outcome: Cell<Option<Option<T>>>,
}

impl<T> Body<T> {
    /// Handles the end of the body, once: suppresses requests that the body has suppressed, and ends the group if the body was
    /// cancelled or a request remains. Returns true if the body was cancelled, but not by a request for the group's future.
    fn check_ended<E>(
        &self,
        children: &impl GroupChildren,
        state: &GroupState<E>,
        requests: &RefCell<Vec<Cancelled>>,
    ) -> bool {
        let Some(outcome) = self.handle.borrow_mut().try_take() else { return false };
        let was_cancelled = outcome.is_err();
        self.outcome.set(Some(outcome.unwrap_or(None)));
        if state.is_closed() {
            return false;
        }
        let standing = if was_cancelled { usize::MAX } else { self.handle.borrow().cancelling() };
        let suppressed = requests.borrow().len().saturating_sub(standing);
        let suppressed: Vec<_> = requests.borrow_mut().drain(..suppressed).collect();
        suppressed.into_iter().for_each(|request| _ = request.uncancel());
        let is_asked = !requests.borrow().is_empty();
        if was_cancelled || is_asked {
            children.end();
        }
        was_cancelled && !is_asked
    }
}

/// The result of a group whose children have ended: a panic wins, then the errors, then cancellations, then the value.
async fn result_of_group<T, E: Debug>(
    state: &GroupState<E>,
    requests: Vec<Cancelled>,
    was_cancelled: bool,
    value: Option<T>,
) -> Result<Option<T>, GroupError<E>> {
    state.close();
    let errors = state.take_errors();
    state.resume_panic_and_report_errors(&errors);
    if !errors.is_empty() {
        return Err(GroupError::new(errors)); // if the task was cancelled, its next await ends it
    }
    if !requests.is_empty() {
        pass_on(requests).await;
        yield_now().await; // ends the task or child, if it can be cancelled
    } else if was_cancelled {
        let mut polled_before = false;
        poll_fn(
            |cx| if std::mem::replace(&mut polled_before, true) { Poll::Ready(()) } else { cancel_with(cx) },
        )
        .await;
    } else {
        return Ok(value);
    }
    value.map(Some).ok_or_else(|| GroupError::new(Vec::new()))
}
