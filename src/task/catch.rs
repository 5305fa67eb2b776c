//! `catch_cancel`: a cancellation that ends a part of a task, and leaves the rest to say what follows.
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

use super::cleanup::{Remains, dispose};
use super::expect_runtime;
use super::scopes::{Entered, Request, Share, target};

/// Lets a cancellation of the task end `future` alone; asyncio's `try: … except CancelledError:`.
///
/// When the task is asked to end, `future` is dropped, and what it leaves is awaited: its operations reaped, its clean-up
/// done, the tasks that it cancels ended. Then the answer is [`Cancelled`], and the code around goes on and may await,
/// *for as long as it keeps that value*: it stands for the `except` block. Dropping it is the end of the block: the next
/// await outside ends the task (or what the next [`catch_cancel`] around has inside), and a task that awaits nothing any
/// more gives its result. [`Cancelled::uncancel`] swallows the request instead. The handle shows both: `cancel().await`
/// gives the result of a task that was not to be stopped.
///
/// A further request, while the first is being handled, is delivered to what is around. Futures side by side in a task may
/// catch the same request: then it goes on when the last of them is through. One whose `catch_cancel` is dropped before it
/// gave its answer is through at once.
///
/// The future that was given to `block_on` is no task that could be dropped: requests for it only reach its
/// `catch_cancel`s. That of a [`Runner`](crate::Runner) is.
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
///                 proactor::yield_now().await; // says goodbye
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
    /// The future has been dropped, and its remains are waited for. (None when the request has been given.)
    Caught(Option<Cancelled>, Remains),
    Over,
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
                    *this.state = State::New; // it has moved to another task
                }
                State::Inside(entered) if entered.is_triggered() => {
                    let State::Inside(entered) = std::mem::replace(this.state, State::Over) else {
                        unreachable!("it has just been seen")
                    };
                    let (caught, remains) = entered.end_by(|| dispose(|| this.future.set(None)));
                    *this.state = State::Caught(Some(Cancelled(caught)), remains);
                }
                State::Inside(entered) => {
                    let future = this.future.as_mut().as_pin_mut().expect("it is there while inside");
                    let output = ready!(entered.around(cx, |cx| future.poll(cx)));
                    *this.state = State::Over;
                    this.future.set(None);
                    return Poll::Ready(Ok(output));
                }
                State::Caught(cancelled, remains) => {
                    ready!(Pin::new(remains).poll(cx));
                    let cancelled = cancelled.take().expect("it is given once");
                    *this.state = State::Over;
                    return Poll::Ready(Err(cancelled));
                }
                State::Over => panic!("a CatchCancel was polled after its result"),
            }
        }
    }
}

/// A request for the task's cancellation that was caught, see [`catch_cancel`].
///
/// While it is kept the task may await. Dropped, the next await ends the task.
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
pub struct Cancelled(Option<Share>);

impl Cancelled {
    /// Swallows the request: the task goes on as if nobody had asked. Says how many requests are left.
    pub fn uncancel(mut self) -> usize {
        self.0.take().map_or(0, |share| share.swallow().into())
    }
}

/// Lets requests go on, and waits until all who have caught them are through. Who is asked to end is ended by the next
/// await, if somebody can end it.
pub(super) async fn pass_on(requests: Vec<Cancelled>) {
    let shared: Vec<Weak<Request>> =
        requests.iter().filter_map(|request| Some(Rc::downgrade(request.0.as_ref()?.request()))).collect();
    drop(requests);
    for request in shared {
        poll_fn(|cx| Request::poll_through(&request, cx)).await;
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was asked to end")
    }
}

impl Error for Cancelled {}

debug_as_display!(Cancelled);
