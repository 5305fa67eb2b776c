//! `Runner`: several main futures, one after the other, on one loop; asyncio's `Runner`.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::time::Duration;

use super::config::Config;
use super::local::LocalHandle;
use super::report::Shutdown;
use super::{Auto, Runtime};
use crate::signal::{self, Kind, Signal};
use crate::task::{Handle, JoinError, Task, current};

/// The exit status of a program that SIGINT has ended, by the custom of shells.
const INTERRUPTED: i32 = 130;

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
    /// The main future that ran last was asked to end by SIGINT.
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
    /// cancels it too, and it does not begin. [`is_interrupted`](Self::is_interrupted) tells SIGINT from other reasons.
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
        let signals = self.interruptible.then(|| self.listen());
        signal::set_interrupted(false);
        let mut watcher = None;
        let output = self.runtime.core().block_on_cancellable(async {
            if let Some(signals) = signals {
                watcher = Some(crate::spawn(interrupt(current(), signals)).cancel_on_drop());
                crate::yield_now().await; // what has arrived cancels the main future before it begins
            }
            future.await
        });
        self.interrupted.set(signal::is_interrupted());
        if let Some(watcher) = watcher {
            let ended = self.runtime.block_on(watcher.cancel());
            if let Err(JoinError::Panicked(panic)) = ended {
                std::panic::resume_unwind(panic.into_payload());
            }
        }
        output.ok_or(JoinError::Cancelled)
    }

    /// Catches SIGINT from now on.
    #[track_caller]
    fn listen(&self) -> Signal {
        let _entered = self.runtime.core().enter_alone("Runner::run");
        signal::stream(Kind::INTERRUPT).unwrap_or_else(|error| {
            panic!("Runner: SIGINT can't be caught, as cancel_on_ctrl_c asks for: {error}")
        })
    }

    /// Whether SIGINT has cancelled the main future that ran last; asyncio's `run` raises `KeyboardInterrupt` then, and
    /// `CancelledError` for other requests. False if another request came first. Inside the main future, see
    /// [`signal::is_interrupted`].
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

/// Cancels the main task at the first signal, and ends the process at the second.
async fn interrupt(main: Task, mut signals: Signal) {
    if signals.recv().await.is_ok() {
        signal::set_interrupted(main.cancelling() == 0);
        main.request_cancel();
        if signals.recv().await.is_ok() {
            std::process::exit(INTERRUPTED);
        }
    }
}
