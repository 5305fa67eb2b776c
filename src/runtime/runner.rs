//! `Runner`: several main futures, one after the other, on one loop; asyncio's `Runner`.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::config::Config;
use super::local::LocalHandle;
use super::report::Shutdown;
use super::{Auto, Runtime};
use crate::signal::{self, Kind, Signal};
use crate::task::{Handle, JoinError, Task, current};

/// A runtime whose main futures can be cancelled, from inside and, on request, by Ctrl-C; asyncio's `Runner`.
///
/// Tasks that a main future has started continue with the next one. Closing the runner cancels the remaining tasks and
/// waits for their cleanups, until [`Config::shutdown_deadline`].
///
/// # Examples
/// ```
/// use proactor::{Runner, task};
/// let runner = Runner::new()?;
/// assert_eq!(runner.run(async { 42 }).unwrap(), 42);
///
/// let cancelled = runner.run(async {
///     task::current().request_cancel();
///     proactor::yield_now().await;
/// });
/// assert!(cancelled.unwrap_err().is_cancelled());
/// runner.close();
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Runner<R: Runtime = Auto> {
    runtime: R,
    interruptible: bool,
    /// SIGINT arrived while the main future that ran last did, and no other request had cancelled it.
    interrupted: Cell<bool>,
}

impl Runner {
    /// Makes a runner on a new [`Auto`] runtime.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    pub fn new() -> io::Result<Self> {
        Auto::new().map(Runner::on)
    }

    /// Makes a runner on a new [`Auto`] runtime with these settings.
    ///
    /// # Errors
    /// As [`Runtime::with_config`].
    pub fn with_config(config: &Config) -> io::Result<Self> {
        Auto::with_config(config).map(Runner::on)
    }
}

impl<R: Runtime> Runner<R> {
    /// Makes a runner on this runtime.
    pub fn on(runtime: R) -> Self {
        Runner { runtime, interruptible: false, interrupted: Cell::new(false) }
    }

    /// While a main future runs, lets the first SIGINT (Ctrl-C) cancel it, and the second end the process with status
    /// 130. Off by default: no signal handler is changed.
    ///
    /// [`run`](Self::run) listens before anything else runs: a SIGINT that arrives before the main future has begun
    /// cancels it too, and it does not begin. [`is_interrupted`](Self::is_interrupted) tells SIGINT from other reasons, and
    /// also tells a SIGINT that arrived when the main future was completing, too late to cancel it.
    ///
    /// The signal handler itself ends the process, with _exit(2): no exit handler or destructor runs. So a second Ctrl-C
    /// also ends a program that blocks the loop's thread. Between two runs SIGINT has its previous effect.
    pub fn cancel_on_ctrl_c(mut self, cancel: bool) -> Self {
        self.interruptible = cancel;
        self
    }

    /// Runs a future to completion, as the main task.
    ///
    /// # Errors
    /// [`JoinError::Cancelled`] when its cancellation was requested ([`task::current`](crate::task::current) gives the
    /// task for that); its operations have completed and its cleanups have run by then.
    /// [`is_interrupted`](Self::is_interrupted) tells whether SIGINT was the cause; asyncio raises `KeyboardInterrupt`
    /// then.
    ///
    /// # Panics
    /// As [`Runtime::block_on`]; when SIGINT is to be caught and no descriptor is free for that.
    #[track_caller]
    pub fn run<F: Future>(&self, future: F) -> Result<F::Output, JoinError> {
        let interrupts = self.interruptible.then(|| self.listen());
        signal::set_interrupted(false);
        let mut watcher = None;
        let output = self.runtime.core().block_on_cancellable(async {
            if let Some(interrupts) = &interrupts {
                let watch = interrupts.0.clone().watch(current());
                watcher = Some(crate::spawn(watch).cancel_on_drop());
                crate::yield_now().await; // what has arrived cancels the main future before it begins
            }
            future.await
        });
        let has_arrived = interrupts.is_some_and(|interrupts| interrupts.0.stop());
        if let Some(watcher) = watcher {
            let ended = self.runtime.block_on(watcher.cancel());
            if let Err(JoinError::Panicked(panic)) = ended {
                std::panic::resume_unwind(panic.into_payload());
            }
        }
        if has_arrived && output.is_some() {
            signal::set_interrupted(true); // it arrived, and has cancelled nothing
        }
        self.interrupted.set(signal::is_interrupted());
        output.ok_or(JoinError::Cancelled)
    }

    /// Catches SIGINT from now on.
    #[track_caller]
    fn listen(&self) -> Catching {
        let _entered = self.runtime.core().enter_alone("Runner::run");
        let signals = Signal::ending_process(Kind::INTERRUPT, "Runner::run").unwrap_or_else(|error| {
            panic!("Runner: SIGINT can't be caught, as cancel_on_ctrl_c asks for: {error}")
        });
        Catching(Rc::new(Interrupts { signals: RefCell::new(signals), has_arrived: Cell::new(false) }))
    }

    /// Whether SIGINT arrived while the main future that ran last did; asyncio's `run` raises `KeyboardInterrupt` then, and
    /// `CancelledError` for other requests. False if another request has cancelled it first. Inside the main future, see
    /// [`signal::is_interrupted`].
    ///
    /// No SIGINT is lost: one that arrives when the main future is completing, or while it blocks the thread for the last
    /// time, can't cancel it. [`run`](Self::run) returns `Ok` with its output then, and this is true. A loop of several runs
    /// checks both.
    ///
    /// # Examples
    /// ```
    /// use proactor::Runner;
    /// let runner = Runner::new()?.cancel_on_ctrl_c(true);
    /// let outcome = runner.run(async {
    ///     nix::sys::signal::raise(nix::sys::signal::SIGINT).unwrap(); // Ctrl-C
    ///     std::future::pending::<()>().await;
    /// });
    /// assert!(outcome.unwrap_err().is_cancelled());
    /// assert!(runner.is_interrupted());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.get()
    }

    /// The runtime.
    pub fn runtime(&self) -> &R {
        &self.runtime
    }

    /// A handle of the loop for other threads.
    pub fn handle(&self) -> Handle {
        self.runtime.handle()
    }

    /// A handle of the loop for its own thread.
    pub fn local(&self) -> LocalHandle {
        self.runtime.local()
    }

    /// Ends the runtime, and returns what was left. Dropping the runner does the same.
    pub fn close(self) -> Shutdown {
        let deadline = self.runtime.core().shutdown_deadline();
        self.runtime.shutdown(deadline)
    }

    /// Ends the runtime within the given time, and returns what was left.
    pub fn close_within(self, deadline: Duration) -> Shutdown {
        self.runtime.shutdown(deadline)
    }
}

/// Catches SIGINT until it is dropped, also by a panic of the main future.
struct Catching(Rc<Interrupts>);

impl Drop for Catching {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The SIGINTs of one run.
struct Interrupts {
    signals: RefCell<Signal>,
    has_arrived: Cell<bool>,
}

impl Interrupts {
    /// Cancels the main task at the first signal. (The second ends the process, in the signal handler.)
    async fn watch(self: Rc<Self>, main: Task) {
        if poll_fn(|cx| self.signals.borrow_mut().poll_recv(cx)).await.is_ok() {
            self.has_arrived.set(true);
            signal::set_interrupted(main.cancelling() == 0);
            main.request_cancel();
        }
    }

    /// Stops listening, and returns whether a signal arrived, seen by the loop or not.
    fn stop(&self) -> bool {
        self.signals.borrow_mut().stop() || self.has_arrived.get()
    }
}
