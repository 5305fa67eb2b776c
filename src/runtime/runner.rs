//! `Runner`: several main futures, one after the other, on one loop; asyncio's `Runner`.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::time::Duration;

use super::config::Config;
use super::local::LocalHandle;
use super::report::Shutdown;
use super::{Auto, Runtime};
use crate::signal::{self, Kind};
use crate::task::{Handle, JoinError, Task, current};

/// The exit status of a program that SIGINT has ended, by the custom of shells.
const INTERRUPTED: i32 = 130;

/// A runtime whose main futures can be cancelled, from inside and, on request, from the keyboard; asyncio's `Runner`.
///
/// Tasks that a main future has started go on with the next one. The end cancels what is left, lets it clean up, and
/// waits for that until [`Config::shutdown_deadline`].
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
}

impl Runner {
    /// One on a new [`Auto`] runtime.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    pub fn new() -> io::Result<Self> {
        Auto::new().map(Runner::on)
    }

    /// One on a new [`Auto`] runtime with these settings.
    ///
    /// # Errors
    /// As [`Runtime::with_config`].
    pub fn with_config(config: &Config) -> io::Result<Self> {
        Auto::with_config(config).map(Runner::on)
    }
}

impl<R: Runtime> Runner<R> {
    /// One on this runtime.
    pub fn on(runtime: R) -> Self {
        Runner { runtime, interruptible: false }
    }

    /// While a main future runs, lets the first SIGINT (Ctrl-C) cancel it, and the second end the process with status 130.
    /// Off by default: no signal handler is touched.
    pub fn cancel_on_ctrl_c(mut self, cancel: bool) -> Self {
        self.interruptible = cancel;
        self
    }

    /// Runs a future to its end, as the main task.
    ///
    /// # Errors
    /// [`JoinError::Cancelled`] when somebody asked for its cancellation ([`task::current`](crate::task::current) gives
    /// it to those who want to), and what it has left is over.
    ///
    /// # Panics
    /// As [`Runtime::block_on`]; when SIGINT is to be caught and there is no descriptor free for that.
    #[track_caller]
    pub fn run<F: Future>(&self, future: F) -> Result<F::Output, JoinError> {
        let mut watcher = None;
        let output = self.runtime.core().block_on_cancellable(async {
            if self.interruptible {
                watcher = Some(crate::spawn(interrupt(current())).cancel_on_drop());
                crate::yield_now().await; // it listens from here on
            }
            future.await
        });
        if let Some(watcher) = watcher {
            let ended = self.runtime.block_on(watcher.cancel());
            if let Err(JoinError::Panicked(panic)) = ended {
                std::panic::resume_unwind(panic.into_payload());
            }
        }
        output.ok_or(JoinError::Cancelled)
    }

    /// The runtime.
    pub fn runtime(&self) -> &R {
        &self.runtime
    }

    /// The loop, for use from other threads.
    pub fn handle(&self) -> Handle {
        self.runtime.handle()
    }

    /// The loop, for use on its own thread.
    pub fn local(&self) -> LocalHandle {
        self.runtime.local()
    }

    /// Ends the runtime, and tells what was left. Dropping the runner does the same.
    pub fn close(self) -> Shutdown {
        let deadline = self.runtime.core().shutdown_deadline();
        self.runtime.shutdown(deadline)
    }

    /// The same, within so much time.
    pub fn close_within(self, deadline: Duration) -> Shutdown {
        self.runtime.shutdown(deadline)
    }
}

/// Cancels the main task at the first signal, and ends the process at the second.
async fn interrupt(main: Task) {
    let mut signals = signal::stream(Kind::INTERRUPT).unwrap_or_else(|error| {
        panic!("Runner: SIGINT can't be caught, as cancel_on_ctrl_c asks for: {error}")
    });
    if signals.recv().await.is_ok() {
        main.request_cancel();
        if signals.recv().await.is_ok() {
            std::process::exit(INTERRUPTED);
        }
    }
}
