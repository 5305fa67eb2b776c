//! `catch_cancel`: limits a cancellation to a part of a task, and lets the rest of the task handle it.
//!
//! The scopes of a task, and how a request reaches them, are in `scopes.rs`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::cleanup::{PendingCleanup, drop_and_track};
use super::scopes::{Entered, target};
use crate::sys::context::expect_runtime;
use crate::task::cell::layout::{CaughtRequest, Request};

/// Catches a cancellation of the task: only `future` ends; asyncio's `try: … except CancelledError:`.
///
/// When cancellation of the task is requested, `future` is dropped. Then this waits until its operations have
/// completed, its cleanups have run, and the tasks that it cancels have ended. It returns [`Cancelled`], and the code
/// after it continues and may await *while it holds that value*: this corresponds to the `except` block. Dropping the
/// value ends the block: the next await outside ends the task (or the inside of the next enclosing [`catch_cancel`]). A
/// task that awaits nothing more returns its result. [`Cancelled::uncancel`] suppresses the request instead: then
/// `cancel().await` of the handle returns the result of the task.
///
/// A further request that arrives while the first is being handled is delivered to the enclosing scope: it interrupts the
/// handler at its await. Ends of everything do not interrupt it: [`TaskSet::shutdown`](crate::task::TaskSet::shutdown), the end of
/// a runtime, the drop of a [`TaskSet`](crate::task::TaskSet) or of a handle made by
/// [`cancel_on_drop`](crate::task::JoinHandle::cancel_on_drop). They make their request when the first has been handled; the
/// first two force the end at their deadline.
///
/// Several concurrent futures of a task may catch the same request: it continues outward when the last of them has
/// handled it. A `catch_cancel` that is dropped before it completed counts as having handled it.
///
/// A request is being handled for as long as [`Cancelled`] lives. In `match catch_cancel(f).await { Err(_) => .., .. }` that
/// is until the end of the `match`: an arm that awaits `pending()` there keeps the task from ending.
///
/// The future given to `block_on` can't be dropped: requests for it only reach its `catch_cancel`s. The main future of
/// a [`Runner`](crate::Runner) can.
///
/// # Panics
/// When polled outside a runtime.
///
/// # Cancellation
/// Dropping it drops `future`.
///
/// # Examples
/// ```
/// use proactor::task::catch_cancel;
/// proactor::run(async {
///     let task = proactor::spawn(async {
///         match catch_cancel(std::future::pending::<()>()).await {
///             Ok(()) => "finished",
///             Err(cancelled) => {
///                 proactor::yield_now().await; // cleans up
///                 drop(cancelled); // the next await ends the task
///                 proactor::yield_now().await;
///                 unreachable!()
///             }
///         }
///     });
///     proactor::yield_now().await;
///     assert!(task.cancel().await.unwrap_err().is_cancelled());
/// });
/// ```
pub fn catch_cancel<F: Future>(future: F) -> CatchCancel<F> {
    CatchCancel { future: Some(future), state: State::New }
}

pin_project! {
    /// The future of [`catch_cancel`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct CatchCancel<F> {
        #[pin]
        future: Option<F>,
        state: State,
    }
}

#[derive(Debug)]
enum State {
    New,
    Inside(Entered),
    /// The future was dropped, and its cleanup is pending. `None` after the request was returned.
    Caught(Option<Cancelled>, PendingCleanup),
    Finished,
}

impl<F: Future> Future for CatchCancel<F> {
    type Output = Result<F::Output, Cancelled>;

    /// # Panics
    /// If it is polled after it has given the result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state {
                State::New => {
                    let task = expect_runtime(target(), "catch_cancel");
                    *this.state = State::Inside(Entered::new(task));
                }
                State::Inside(entered) if !target().is_some_and(|task| entered.is_of(&task)) => {
                    *this.state = State::New; // another task polls it
                }
                State::Inside(entered) if entered.is_triggered() => {
                    let State::Inside(entered) = std::mem::replace(this.state, State::Finished) else {
                        unreachable!("the state was matched above")
                    };
                    let (caught, pending) = entered.drop_inside(|| drop_and_track(|| this.future.set(None)));
                    *this.state = State::Caught(Some(Cancelled(caught)), pending);
                }
                State::Inside(entered) => {
                    let future = this.future.as_mut().as_pin_mut().expect("it is there while inside");
                    let output = ready!(entered.around(cx, |cx| future.poll(cx)));
                    *this.state = State::Finished;
                    this.future.set(None);
                    return Poll::Ready(Ok(output));
                }
                State::Caught(cancelled, pending) => {
                    ready!(Pin::new(pending).poll(cx));
                    let cancelled = cancelled.take().expect("it is given once");
                    *this.state = State::Finished;
                    return Poll::Ready(Err(cancelled));
                }
                State::Finished => panic!("a CatchCancel was polled after its result"),
            }
        }
    }
}

/// A caught request for the task's cancellation, see [`catch_cancel`].
///
/// While the task holds it, the task may await. After it is dropped, the next await ends the task.
/// [`mem::forget`](std::mem::forget) suppresses the request without taking it back: the task continues, and what waits until
/// the request has been handled waits until its deadline, or forever.
///
/// # Examples
/// ```
/// use proactor::task::catch_cancel;
/// proactor::run(async {
///     let task = proactor::spawn(async {
///         if let Err(cancelled) = catch_cancel(std::future::pending::<()>()).await {
///             cancelled.uncancel();
///         }
///         proactor::yield_now().await;
///         "not to be stopped"
///     });
///     proactor::yield_now().await;
///     assert_eq!(task.cancel().await.unwrap(), "not to be stopped");
/// });
/// ```
#[must_use = "dropping it lets the next await end the task: keep it, or call `uncancel`"]
pub struct Cancelled(Option<CaughtRequest>);

impl Cancelled {
    /// Suppresses the request: the task continues as if there had been none. Returns the number of requests that
    /// remain.
    pub fn uncancel(mut self) -> usize {
        self.0.take().map_or(0, |caught| caught.suppress().into())
    }
}

/// Passes requests on to the enclosing scopes, and waits until all scopes that have caught them have handled them. Then the
/// next await ends the task or child that receives a request, if it can be cancelled.
pub(in crate::task) async fn pass_on(requests: Vec<Cancelled>) {
    let shared: Vec<Weak<Request>> =
        requests.iter().filter_map(|request| Some(Rc::downgrade(request.0.as_ref()?.request()))).collect();
    drop(requests);
    for request in shared {
        poll_fn(|cx| Request::poll_handled(&request, cx)).await;
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancellation of the task was requested")
    }
}

impl Error for Cancelled {}

debug_as_display!(Cancelled);
