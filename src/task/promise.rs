//! `promise`: a future whose result somebody sets; asyncio's `Future`.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::call_soon;
use super::waker::Waiter;
use crate::sys::guarded::in_drop;

/// A future and the one who settles it, once; asyncio's `loop.create_future()`.
///
/// Between threads see [`sync::shared::oneshot`](crate::sync::shared::oneshot).
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
    let shared = Rc::new(RefCell::new(State { outcome: Outcome::Open, waiter: None, callbacks: Vec::new() }));
    (Promise { shared: shared.clone() }, Promised { shared })
}

struct State<T, E> {
    outcome: Outcome<T, E>,
    waiter: Option<Waiter>,
    callbacks: Vec<Box<dyn FnOnce()>>,
}

enum Outcome<T, E> {
    Open,
    /// Until it is taken.
    Here(Result<T, PromiseError<E>>),
    Taken,
}

/// Why a promise has no result.
///
/// # Examples
/// ```
/// use proactor::task::{PromiseError, promise};
/// proactor::run(async {
///     let (promise, future) = promise::<(), &str>();
///     promise.set_error("out of paper").unwrap();
///     assert_eq!(future.await, Err(PromiseError::Failed("out of paper")));
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromiseError<E> {
    /// The error that was set.
    Failed(E),
    /// It was cancelled, or whoever should have settled it has gone.
    Cancelled,
}

impl<E: fmt::Display> fmt::Display for PromiseError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PromiseError::Failed(error) => error.fmt(f),
            PromiseError::Cancelled => {
                f.write_str("the promise was cancelled, or dropped before it was settled")
            }
        }
    }
}

impl<E: Error + 'static> Error for PromiseError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            PromiseError::Failed(error) => Some(error),
            PromiseError::Cancelled => None,
        }
    }
}

/// The promise has been settled or cancelled already; what was to be set comes back. asyncio's `InvalidStateError`.
///
/// # Examples
/// ```
/// use proactor::task::{AlreadySettled, promise};
/// let (promise, _future) = promise::<u32, ()>();
/// assert_eq!(promise.set_result(1), Ok(()));
/// assert_eq!(promise.set_result(2), Err(AlreadySettled(2)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadySettled<T>(pub T);

impl<T> fmt::Display for AlreadySettled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the promise has been settled already: a result is set once")
    }
}

impl<T: fmt::Debug> Error for AlreadySettled<T> {}

impl<T, E> State<T, E> {
    fn is_open(&self) -> bool {
        matches!(self.outcome, Outcome::Open)
    }
}

/// Settles the promise if it is open. Wakes, so nothing may be borrowed.
fn settle<T, E>(
    shared: &RefCell<State<T, E>>,
    outcome: Result<T, PromiseError<E>>,
) -> Result<(), Result<T, PromiseError<E>>> {
    let mut state = shared.borrow_mut();
    if !state.is_open() {
        return Err(outcome);
    }
    state.outcome = Outcome::Here(outcome);
    let (waiter, callbacks) = (state.waiter.take(), std::mem::take(&mut state.callbacks));
    drop(state);
    waiter.into_iter().for_each(Waiter::wake);
    call_all(callbacks);
    Ok(())
}

fn call_all(callbacks: Vec<Box<dyn FnOnce()>>) {
    // When the runtime has ended nobody is there to call them.
    if super::scheduler::with(|current| current.is_some()) {
        callbacks.into_iter().for_each(|callback| drop(call_soon(callback)));
    }
}

/// The side that settles a [`promise`]. Dropped before, it cancels.
///
/// # Examples
/// See [`promise`].
pub struct Promise<T, E> {
    shared: Rc<RefCell<State<T, E>>>,
}

impl<T, E> Promise<T, E> {
    /// Gives the result.
    ///
    /// # Errors
    /// When it is settled or cancelled already, with the result.
    pub fn set_result(&self, result: T) -> Result<(), AlreadySettled<T>> {
        settle(&self.shared, Ok(result)).map_err(|outcome| match outcome {
            Ok(result) => AlreadySettled(result),
            Err(_) => unreachable!("it was given a result"),
        })
    }

    /// Gives an error.
    ///
    /// # Errors
    /// When it is settled or cancelled already, with the error.
    pub fn set_error(&self, error: E) -> Result<(), AlreadySettled<E>> {
        settle(&self.shared, Err(PromiseError::Failed(error))).map_err(|outcome| match outcome {
            Err(PromiseError::Failed(error)) => AlreadySettled(error),
            _ => unreachable!("it was given an error"),
        })
    }

    /// Whether it is settled or cancelled.
    pub fn is_done(&self) -> bool {
        !self.shared.borrow().is_open()
    }
}

impl<T, E> Drop for Promise<T, E> {
    fn drop(&mut self) {
        in_drop(|| drop(settle(&self.shared, Err(PromiseError::Cancelled))));
    }
}

impl<T, E> fmt::Debug for Promise<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").field("is_done", &self.is_done()).finish()
    }
}

/// The side of a [`promise`] that waits.
///
/// Dropping it drops a result that nobody took; the other side can go on, and set what nobody sees, which goes with that
/// side.
///
/// # Examples
/// See [`promise`].
#[must_use = "futures do nothing unless awaited"]
pub struct Promised<T, E> {
    shared: Rc<RefCell<State<T, E>>>,
}

impl<T, E> Promised<T, E> {
    /// Whether it is settled or cancelled.
    pub fn is_done(&self) -> bool {
        !self.shared.borrow().is_open()
    }

    /// Cancels it. False when it is settled already.
    pub fn cancel(&self) -> bool {
        settle(&self.shared, Err(PromiseError::Cancelled)).is_ok()
    }

    /// Has the loop call `callback` when this is settled or cancelled: in the next turn, never at once.
    ///
    /// # Panics
    /// When it is settled, and there is no runtime.
    pub fn on_done(&self, callback: impl FnOnce() + 'static) {
        let mut state = self.shared.borrow_mut();
        if state.is_open() {
            return state.callbacks.push(Box::new(callback));
        }
        drop(state);
        drop(call_soon(callback));
    }
}

impl<T, E> Drop for Promised<T, E> {
    fn drop(&mut self) {
        let mut state = self.shared.borrow_mut();
        let waiter = state.waiter.take();
        let outcome =
            if state.is_open() { None } else { Some(std::mem::replace(&mut state.outcome, Outcome::Taken)) };
        drop(state);
        drop(waiter);
        in_drop(|| drop(outcome)); // code of the user
    }
}

impl<T, E> Future for Promised<T, E> {
    type Output = Result<T, PromiseError<E>>;

    /// # Panics
    /// If it is polled after it has given the result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waiter = Waiter::new(cx); // code of the user, perhaps: nothing is borrowed
        let mut state = self.shared.borrow_mut();
        if state.is_open() {
            let replaced = state.waiter.replace(waiter);
            drop(state);
            drop(replaced);
            return Poll::Pending;
        }
        match std::mem::replace(&mut state.outcome, Outcome::Taken) {
            Outcome::Here(outcome) => Poll::Ready(outcome),
            _ => panic!("a Promised was polled after it had given its result"),
        }
    }
}

impl<T, E> fmt::Debug for Promised<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promised").field("is_done", &self.is_done()).finish()
    }
}
