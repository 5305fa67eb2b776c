//! `block_on` and `run_forever`: turns until a future is complete, or until the loop is stopped.
#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use super::Core;
use crate::task::cancel::cleanup::drop_and_track;

impl Core {
    #[track_caller]
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _running = self.run_here();
        let mut future = pin!(future); // dropped while the runtime still runs here: its drop may start cleanups
        self.drive(|cx, _| future.as_mut().poll(cx))
    }

    /// Runs a future that can be cancelled, like a task. Returns `None` if it was, after its operations have completed and
    /// its cleanups have run.
    #[track_caller]
    pub(in crate::runtime) fn block_on_cancellable<F: Future>(&self, future: F) -> Option<F::Output> {
        let _running = self.run_here();
        let mut future = pin!(Some(future));
        let mut pending = None;
        self.drive(|cx, cancelled| {
            if cancelled && pending.is_none() {
                pending = Some(drop_and_track(|| future.set(None)));
            }
            match (&mut pending, future.as_mut().as_pin_mut()) {
                (None, Some(future)) => future.poll(cx).map(Some),
                (Some(pending), _) => Pin::new(pending).poll(cx).map(|()| None),
                (None, None) => unreachable!("the future is there until it is disposed of"),
            }
        })
    }

    /// Makes this the thread's runtime for one future.
    #[track_caller]
    fn run_here(&self) -> (Leave<'_>, impl Drop + use<>) {
        let entered = self.enter_alone("block_on");
        (Leave(self), entered)
    }

    /// Runs the loop until the root, which `poll` polls, is complete. The second argument of `poll` is true when the root
    /// is to be cancelled.
    ///
    /// # Panics
    /// When the loop is stopped before.
    #[track_caller]
    fn drive<T>(&self, mut poll: impl FnMut(&mut Context<'_>, bool) -> Poll<T>) -> T {
        let waker = self.scheduler.root_waker();
        let mut cx = Context::from_waker(&waker);
        self.scheduler.reset_root();
        let limits = self.limits(true);
        let mut output = None;
        loop {
            let turned = self.run_once(limits, &mut |cancelled| match poll(&mut cx, cancelled) {
                Poll::Ready(value) => {
                    output = Some(value);
                    true
                }
                Poll::Pending => false,
            });
            if let Err(error) = turned {
                panic!("{error}");
            }
            if let Some(output) = output.take() {
                return output;
            }
            assert!(
                !self.scheduler.shared().take_stop(),
                "Handle::stop was called before the future of block_on had completed: `stop` ends `run_forever`. To end a \
                 future from elsewhere, run it with `Runner::run` and request its task's cancellation"
            );
        }
    }

    #[track_caller]
    pub(crate) fn run_forever(&self) {
        let _entered = self.enter_alone("run_forever");
        let _leave = Leave(self);
        let limits = self.limits(true);
        loop {
            if let Err(error) = self.run_once(limits, &mut |_| false) {
                panic!("{error}");
            }
            if self.scheduler.shared().take_stop() {
                return;
            }
        }
    }
}

/// Prepares for a foreign loop when `block_on` returns or unwinds: submits every queued operation, and makes later work
/// turn the descriptor readable. Discards a stop request, which must not reach the next run.
struct Leave<'a>(&'a Core);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.driver.flush();
        self.0.timers.poll_ended();
        let shared = self.0.scheduler.shared();
        shared.take_stop();
        // (In a fork the descriptor is the parent's.)
        if shared.origin.is_here() && !shared.park(false) {
            shared.eventfd.signal(); // for what is in the inbox already
        }
    }
}
