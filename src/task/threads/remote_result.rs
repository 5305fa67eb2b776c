//! A result that crosses threads once: from the pool to a task, from a task to another thread.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::sys::guarded::in_drop;
use crate::sys::sync::{Arc, Condvar, Mutex, MutexGuard};
use crate::task::cell::error::JoinError;

/// The place that both sides share.
pub(crate) struct Outcome<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

struct State<T> {
    result: Option<Result<T, JoinError>>,
    /// It was here.
    taken: bool,
    waiter: Option<Waker>,
}

impl<T> State<T> {
    fn take(&mut self) -> Option<Result<T, JoinError>> {
        assert!(!self.taken, "a RemoteHandle was used after it had given its result");
        let result = self.result.take();
        self.taken = result.is_some();
        result
    }
}

impl<T> Outcome<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Outcome {
            state: Mutex::new(State { result: None, taken: false, waiter: None }),
            arrived: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No user code runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Result<T, JoinError>> {
        let waker = cx.waker().clone(); // user code: not under the lock
        let mut state = self.lock();
        if let Some(result) = state.take() {
            return Poll::Ready(result);
        }
        let replaced = state.waiter.replace(waker);
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    pub(crate) fn wait(&self) -> Result<T, JoinError> {
        let mut state = self.lock();
        loop {
            match state.take() {
                Some(result) => return result,
                None => state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// None when the time is up.
    pub(crate) fn wait_for(&self, limit: Duration) -> Option<Result<T, JoinError>> {
        let waits = |state: &mut State<T>| state.result.is_none() && !state.taken;
        let waited = self.arrived.wait_timeout_while(self.lock(), limit, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }

    pub(crate) fn is_here(&self) -> bool {
        self.lock().result.is_some()
    }
}

impl<T> fmt::Debug for Outcome<T> {
    /// Without the result, whose `Debug` is user code: not under the lock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome").field("is_here", &self.is_here()).finish_non_exhaustive()
    }
}

/// The side that gives the result. Dropped before, it gives what it was made with.
#[derive(Debug)]
pub(crate) struct Giver<T> {
    outcome: Arc<Outcome<T>>,
    otherwise: Option<JoinError>,
}

impl<T> Giver<T> {
    pub(crate) fn new(outcome: Arc<Outcome<T>>, otherwise: JoinError) -> Self {
        Giver { outcome, otherwise: Some(otherwise) }
    }

    pub(crate) fn give(mut self, result: Result<T, JoinError>) {
        self.otherwise = None;
        self.put(result);
    }

    /// Changes what a drop gives.
    pub(crate) fn otherwise(&mut self, error: JoinError) {
        self.otherwise = Some(error);
    }

    fn put(&self, result: Result<T, JoinError>) {
        let mut state = self.outcome.lock();
        state.result = Some(result);
        let waiter = state.waiter.take();
        drop(state);
        self.outcome.arrived.notify_all();
        if let Some(waiter) = waiter {
            in_drop(|| waiter.wake());
        }
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        if let Some(error) = self.otherwise.take() {
            self.put(Err(error));
        }
    }
}
