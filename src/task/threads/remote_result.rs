//! `RemoteResult`: a result that crosses threads once, from the pool to a task or from a task to another thread.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::sys::guarded::in_drop;
use crate::sys::sync::{Arc, Condvar, Mutex, MutexGuard};
use crate::task::cell::error::JoinError;

/// The state that the sender and the receiver of a result share.
pub(crate) struct RemoteResult<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
}

struct State<T> {
    result: Option<Result<T, JoinError>>,
    /// The result was taken.
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

impl<T> RemoteResult<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(RemoteResult {
            state: Mutex::new(State { result: None, taken: false, waiter: None }),
            ready: Condvar::new(),
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

    /// Blocks until the result is there.
    pub(crate) fn wait(&self) -> Result<T, JoinError> {
        let mut state = self.lock();
        loop {
            match state.take() {
                Some(result) => return result,
                None => state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Blocks until the result is there, or returns `None` when `limit` has passed.
    pub(crate) fn wait_for(&self, limit: Duration) -> Option<Result<T, JoinError>> {
        let waits = |state: &mut State<T>| state.result.is_none() && !state.taken;
        let waited = self.ready.wait_timeout_while(self.lock(), limit, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.lock().result.is_some()
    }
}

impl<T> fmt::Debug for RemoteResult<T> {
    /// Omits the result: its `Debug` is user code, which must not run under the lock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteResult").field("is_ready", &self.is_ready()).finish_non_exhaustive()
    }
}

/// The sender of a [`RemoteResult`]. If it is dropped before it has sent a result, it sends an error.
#[derive(Debug)]
pub(crate) struct ResultSender<T> {
    result: Arc<RemoteResult<T>>,
    error_on_drop: Option<JoinError>,
}

impl<T> ResultSender<T> {
    pub(crate) fn new(result: Arc<RemoteResult<T>>, error_on_drop: JoinError) -> Self {
        ResultSender { result, error_on_drop: Some(error_on_drop) }
    }

    pub(crate) fn send(mut self, result: Result<T, JoinError>) {
        self.error_on_drop = None;
        self.put(result);
    }

    /// Sets the error that a drop sends.
    pub(crate) fn set_error_on_drop(&mut self, error: JoinError) {
        self.error_on_drop = Some(error);
    }

    fn put(&self, result: Result<T, JoinError>) {
        let mut state = self.result.lock();
        state.result = Some(result);
        let waiter = state.waiter.take();
        drop(state);
        self.result.ready.notify_all();
        if let Some(waiter) = waiter {
            in_drop(|| waiter.wake());
        }
    }
}

impl<T> Drop for ResultSender<T> {
    fn drop(&mut self) {
        if let Some(error) = self.error_on_drop.take() {
            self.put(Err(error));
        }
    }
}
