//! `on`: a closure that is called for each delivery of a signal.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::{Kind, Signal};
use crate::task::Builder;
use crate::task::JoinHandle;

/// Calls `f` in the loop for each delivery of a signal, until the [`Handler`] is dropped; asyncio's
/// `add_signal_handler`.
///
/// A separate task calls `f`. If there are several handlers for a kind of signal, all are called. If `f` panics, the
/// task ends, and the handler with it, as if it were dropped.
///
/// # Errors
/// As for [`stream`](super::stream).
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// use proactor::signal;
/// use std::{cell::Cell, rc::Rc};
/// proactor::run(async {
///     let reloads = Rc::new(Cell::new(0));
///     let counting = reloads.clone();
///     let handler = signal::on(signal::Kind::HANGUP, move || counting.set(counting.get() + 1))?;
///     nix::sys::signal::raise(nix::sys::signal::SIGHUP).unwrap();
///     while reloads.get() < 1 {
///         proactor::yield_now().await;
///     }
///     handler.remove();
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[track_caller]
pub fn on(kind: Kind, f: impl FnMut() + 'static) -> io::Result<Handler> {
    let signal = Rc::new(Cell::new(Some(Signal::new(kind, "signal::on")?)));
    let calls = Calls { kind, signal: signal.clone(), f };
    let task = Builder::new().name(kind.to_string()).spawn(calls).cancel_on_drop();
    Ok(Handler { kind, signal, task })
}

/// The registration of a closure for a kind of signal: see [`on`].
///
/// Dropping it stops listening at once: the closure is not called any more, even if deliveries were counted for it. The
/// closure itself is dropped in the loop's next turn.
///
/// # Examples
/// See [`on`].
#[must_use = "dropping it removes the handler"]
pub struct Handler {
    kind: Kind,
    signal: Rc<Cell<Option<Signal>>>,
    task: JoinHandle<()>,
}

impl Handler {
    /// Removes the handler, like dropping it; asyncio's `remove_signal_handler`.
    pub fn remove(self) {}

    /// Returns the kind of signal that this handler is registered for.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        drop(self.signal.take());
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler").field("kind", &self.kind).field("task", &self.task).finish()
    }
}

/// The task of a [`Handler`]. The two share the signal, so that either can stop listening.
struct Calls<F> {
    kind: Kind,
    signal: Rc<Cell<Option<Signal>>>,
    f: F,
}

impl<F> Unpin for Calls<F> {}

impl<F: FnMut()> Future for Calls<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(mut signal) = self.signal.take() else { return Poll::Ready(()) };
            let arrived = signal.poll_recv(cx);
            self.signal.set(Some(signal)); // before the call, which may remove the handler
            match ready!(arrived) {
                Ok(()) => (self.f)(),
                Err(error) => panic!("cannot wait for {} any more: {error}", self.kind),
            }
        }
    }
}

impl<F> Drop for Calls<F> {
    fn drop(&mut self) {
        drop(self.signal.take());
    }
}
