//! Waiting on a plain thread: the thread sleeps until its future is ready.
//!
//! A thread that runs a loop must not sleep here.
#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Wake, Waker};

use crate::sys::sync::{Condvar, Mutex};
use crate::task::scheduler;

/// A sleeping thread, as a waker. It is in the standard library's `Arc`, as `Wake` requires.
#[derive(Debug)]
struct Sleeper {
    woken: Mutex<bool>,
    wakes: Condvar,
}

impl Wake for Sleeper {
    fn wake(self: std::sync::Arc<Self>) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wakes.notify_one();
    }
}

impl Sleeper {
    fn sleep(&self) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        while !*woken {
            woken = self.wakes.wait(woken).unwrap_or_else(PoisonError::into_inner);
        }
        *woken = false;
    }
}

/// Panics on the thread of a running loop.
#[track_caller]
pub(crate) fn no_loop_here(what: &str, instead: &str) {
    assert!(
        scheduler::with(|current| current.is_none()),
        "{what} would block the loop that runs on this thread: use `{instead}.await` instead"
    );
}

/// Blocks this thread until the future is ready.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let sleeper = std::sync::Arc::new(Sleeper { woken: Mutex::new(false), wakes: Condvar::new() });
    let waker = Waker::from(sleeper.clone());
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => sleeper.sleep(),
        }
    }
}
