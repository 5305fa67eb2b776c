//! `promise`: a future whose result other code sets, for one waiter or for several; asyncio's `Future`.
#![forbid(unsafe_code)]

use std::cell::{Ref, RefCell};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::promise_error::{AlreadySettled, PromiseError};
use crate::sys::guarded::in_drop;
use crate::task::cell::done_callbacks::CallbackId;
use crate::task::cell::layout::{DoneCallbacks, Waiter};

/// Makes a future and the side that settles it once; asyncio's `loop.create_future()`.
///
/// For use between threads see [`sync::shared::oneshot`](crate::sync::shared::oneshot).
///
/// # Examples
/// ```
/// use proactor::task::promise;
/// proactor::run(async {
///     let (promise, future) = promise::<u32, String>();
///     proactor::spawn(async move { promise.set_result(42) });
///     assert_eq!(future.await, Ok(42));
/// });
/// ```
pub fn promise<T, E>() -> (Promise<T, E>, Promised<T, E>) {
    let state = Rc::new(State { outcome: RefCell::new(Outcome::Open), callbacks: DoneCallbacks::default() });
    (Promise { state: state.clone() }, Promised { state, key: None })
}

struct State<T, E> {
    /// The outcome. User code borrows it only after it was settled; from then on only its [`Promised`] changes it.
    outcome: RefCell<Outcome<T, E>>,
    /// Tasks and callbacks in one list, so that they are served in the order in which they came, as in asyncio.
    callbacks: DoneCallbacks<()>,
}

enum Outcome<T, E> {
    Open,
    /// Settled, and not taken.
    Settled(Result<T, PromiseError<E>>),
    Taken,
}

impl<T, E> State<T, E> {
    fn is_open(&self) -> bool {
        matches!(*self.outcome.borrow(), Outcome::Open)
    }

    fn is_cancelled(&self) -> bool {
        matches!(*self.outcome.borrow(), Outcome::Settled(Err(PromiseError::Cancelled)))
    }

    /// The outcome, if it is settled and was not taken.
    fn outcome(&self) -> Option<Ref<'_, Result<T, PromiseError<E>>>> {
        let outcome = Ref::filter_map(self.outcome.borrow(), |outcome| match outcome {
            Outcome::Settled(outcome) => Some(outcome),
            Outcome::Open | Outcome::Taken => None,
        });
        outcome.ok()
    }

    /// Settles the promise if it is open: wakes the waiters and schedules the callbacks.
    fn settle(&self, outcome: Result<T, PromiseError<E>>) -> Result<(), Result<T, PromiseError<E>>> {
        if !self.is_open() {
            return Err(outcome);
        }
        self.outcome.replace(Outcome::Settled(outcome));
        self.callbacks.notify_all(|| ());
        Ok(())
    }

    /// Takes the outcome. Returns `None` while the promise is open.
    fn take(&self) -> Option<Outcome<T, E>> {
        (!self.is_open()).then(|| self.outcome.replace(Outcome::Taken))
    }
}

/// The side that settles a [`promise`]. Dropping it before that cancels the promise.
///
/// # Examples
/// See [`promise`].
pub struct Promise<T, E> {
    state: Rc<State<T, E>>,
}

impl<T, E> Promise<T, E> {
    /// Sets the result.
    ///
    /// # Errors
    /// When the promise is settled or cancelled already; the error returns the result.
    pub fn set_result(&self, result: T) -> Result<(), AlreadySettled<T>> {
        self.state.settle(Ok(result)).map_err(|outcome| match outcome {
            Ok(result) => AlreadySettled(result),
            Err(_) => unreachable!("it was given a result"),
        })
    }

    /// Sets an error.
    ///
    /// # Errors
    /// When the promise is settled or cancelled already; the error returns it.
    pub fn set_error(&self, error: E) -> Result<(), AlreadySettled<E>> {
        self.state.settle(Err(PromiseError::Failed(error))).map_err(|outcome| match outcome {
            Err(PromiseError::Failed(error)) => AlreadySettled(error),
            _ => unreachable!("it was given an error"),
        })
    }

    /// Whether it is settled or cancelled.
    pub fn is_done(&self) -> bool {
        !self.state.is_open()
    }

    /// Whether the promise was cancelled: its result is not needed any more.
    pub fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }
}

impl<T, E> Drop for Promise<T, E> {
    fn drop(&mut self) {
        in_drop(|| drop(self.state.settle(Err(PromiseError::Cancelled))));
    }
}

impl<T, E> fmt::Debug for Promise<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").field("is_done", &self.is_done()).finish()
    }
}

/// The waiting side of a [`promise`]: a future of the outcome, which it takes. For several waiters see
/// [`SharedPromised`].
///
/// Waiting tasks and callbacks are served in the order in which they came.
///
/// Dropping it drops a result that was not taken. The other side can still settle the promise; the result is dropped
/// with that side.
///
/// # Examples
/// Read the outcome without an await:
/// ```
/// use proactor::task::{PromiseError, promise};
/// let (promise, future) = promise::<u32, String>();
/// assert!(!future.is_done() && future.outcome().is_none());
/// promise.set_error("out of paper".into())?;
/// assert!(future.is_done() && !future.is_cancelled());
/// assert_eq!(future.outcome().as_deref(), Some(&Err(PromiseError::Failed("out of paper".into()))));
/// # Ok::<(), proactor::task::AlreadySettled<String>>(())
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Promised<T, E> {
    state: Rc<State<T, E>>,
    /// The key in the list of callbacks, after the first poll.
    key: Option<CallbackId>,
}

impl<T, E> Promised<T, E> {
    /// Whether it is settled or cancelled.
    pub fn is_done(&self) -> bool {
        !self.state.is_open()
    }

    /// Whether it was cancelled, or the other side was dropped before it settled.
    pub fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }

    /// The outcome by reference; asyncio's `result()` and `exception()`. `None` before it is settled.
    pub fn outcome(&self) -> Option<Ref<'_, Result<T, PromiseError<E>>>> {
        self.state.outcome()
    }

    /// Takes the outcome without waiting. `None` before it is settled, and after it was taken.
    pub fn try_take(&mut self) -> Option<Result<T, PromiseError<E>>> {
        match self.state.take()? {
            Outcome::Settled(outcome) => Some(outcome),
            Outcome::Open | Outcome::Taken => None,
        }
    }

    /// Cancels the promise. Returns false if it is settled already.
    pub fn cancel(&self) -> bool {
        self.state.settle(Err(PromiseError::Cancelled)).is_ok()
    }

    /// Schedules a callback for when this is settled or cancelled; asyncio's `add_done_callback`. The loop calls it in
    /// the next turn, never inside this call. It has the [task-locals](crate::task_local) of the moment when it was
    /// added.
    ///
    /// # Panics
    /// When it is settled, and there is no runtime.
    #[track_caller]
    pub fn on_done(&self, callback: impl FnOnce() + 'static) -> CallbackId {
        let (callbacks, call) = (&self.state.callbacks, Box::new(|()| callback()));
        if self.is_done() { callbacks.add_late((), call) } else { callbacks.add(call) }
    }

    /// Removes a callback of [`on_done`](Self::on_done); asyncio's `remove_done_callback`. Returns false if it was
    /// called or is about to be.
    pub fn remove_on_done(&self, id: CallbackId) -> bool {
        self.state.callbacks.remove(id)
    }

    /// Converts it into a future that several tasks can await, and more than once.
    pub fn shared(self) -> SharedPromised<T, E> {
        SharedPromised { promised: Rc::new(self), key: None }
    }

    /// Waits until the promise is settled. `key` identifies the waiter from its first poll on.
    fn poll_end(&self, key: &mut Option<CallbackId>, cx: &Context<'_>) -> Poll<()> {
        if self.is_done() {
            return Poll::Ready(());
        }
        let waiter = Waiter::new(cx); // may be user code
        self.state.callbacks.set_waiter(key, waiter);
        Poll::Pending
    }
}

impl<T, E> Drop for Promised<T, E> {
    fn drop(&mut self) {
        let outcome = self.state.take();
        in_drop(|| drop(outcome)); // user code
        self.key.take().into_iter().for_each(|key| in_drop(|| _ = self.state.callbacks.remove(key)));
    }
}

impl<T, E> Future for Promised<T, E> {
    type Output = Result<T, PromiseError<E>>;

    /// # Panics
    /// If it is polled after it has given the result.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut key = self.key.take();
        let polled = self.poll_end(&mut key, cx);
        self.key = key;
        ready!(polled);
        let outcome = self.try_take().expect("a Promised was polled after it had given its result");
        Poll::Ready(outcome)
    }
}

impl<T, E> fmt::Debug for Promised<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promised").field("is_done", &self.is_done()).finish()
    }
}

/// A [`Promised`] for several waiters, made by [`Promised::shared`]: each clone is a future of a clone of the outcome.
///
/// The outcome is not taken. `(&shared).await` awaits it by reference, any number of times. Dropping a clone leaves the
/// others; dropping the last one drops the [`Promised`].
///
/// # Examples
/// ```
/// use proactor::task::promise;
/// proactor::run(async {
///     let (promise, future) = promise::<u32, String>();
///     let answer = future.shared();
///     let tasks = [1, 2, 3].map(|factor| {
///         let answer = answer.clone();
///         proactor::spawn(async move { answer.await.map(|answer| factor * answer) })
///     });
///     promise.set_result(14).unwrap();
///     for (task, expected) in tasks.into_iter().zip([14, 28, 42]) {
///         assert_eq!(task.await.unwrap(), Ok(expected));
///     }
///     assert_eq!((&answer).await, Ok(14));
///     assert_eq!((&answer).await, Ok(14)); // once more
/// });
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct SharedPromised<T, E> {
    promised: Rc<Promised<T, E>>,
    /// The key of this clone in the list of callbacks, after the first poll.
    key: Option<CallbackId>,
}

impl<T, E> SharedPromised<T, E> {
    /// Whether it is settled or cancelled.
    pub fn is_done(&self) -> bool {
        self.promised.is_done()
    }

    /// Whether it was cancelled, or the other side was dropped before it settled.
    pub fn is_cancelled(&self) -> bool {
        self.promised.is_cancelled()
    }

    /// The outcome by reference; asyncio's `result()` and `exception()`. `None` before it is settled.
    pub fn outcome(&self) -> Option<Ref<'_, Result<T, PromiseError<E>>>> {
        self.promised.outcome()
    }

    /// Cancels the promise for all waiters. Returns false if it is settled already.
    pub fn cancel(&self) -> bool {
        self.promised.cancel()
    }

    /// Schedules a callback for when this is settled or cancelled, as [`Promised::on_done`] does.
    ///
    /// # Panics
    /// When it is settled, and there is no runtime.
    #[track_caller]
    pub fn on_done(&self, callback: impl FnOnce() + 'static) -> CallbackId {
        self.promised.on_done(callback)
    }

    /// Removes a callback that was added to any of the clones. Returns false if it was called or is about to be.
    pub fn remove_on_done(&self, id: CallbackId) -> bool {
        self.promised.remove_on_done(id)
    }
}

impl<T, E> Clone for SharedPromised<T, E> {
    fn clone(&self) -> Self {
        SharedPromised { promised: self.promised.clone(), key: None }
    }
}

impl<T, E> Drop for SharedPromised<T, E> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            in_drop(|| _ = self.promised.remove_on_done(key));
        }
    }
}

impl<T: Clone, E: Clone> Future for SharedPromised<T, E> {
    type Output = Result<T, PromiseError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut key = self.key.take();
        let polled = self.promised.poll_end(&mut key, cx);
        self.key = key;
        ready!(polled);
        let outcome = self.outcome().expect("only a Promised takes its outcome");
        Poll::Ready(Clone::clone(&*outcome))
    }
}

impl<T: Clone, E: Clone> IntoFuture for &SharedPromised<T, E> {
    type Output = Result<T, PromiseError<E>>;
    type IntoFuture = SharedPromised<T, E>;

    fn into_future(self) -> Self::IntoFuture {
        self.clone()
    }
}

impl<T, E> fmt::Debug for SharedPromised<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPromised").field("is_done", &self.is_done()).finish()
    }
}
