//! `Runner`: several main futures, one after the other, on one loop; asyncio's `Runner`.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::config::Config;
use super::report::Shutdown;
use super::{Auto, Runtime};
use crate::signal::{self, Kind, Signal};
use crate::task::LocalHandle;
use crate::task::{Handle, JoinError, Task, current};

/// A runtime whose main futures can be cancelled, from inside and, on request, by signals such as SIGINT (Ctrl-C) and
/// SIGTERM; asyncio's `Runner`.
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
    /// The signals that cancel the main future.
    signals: Vec<Kind>,
    /// The signal that arrived while the main future that ran last did, if no other request had cancelled it.
    interrupted_by: Cell<Option<Kind>>,
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
        Runner { runtime, signals: Vec::new(), interrupted_by: Cell::new(None) }
    }

    /// While a main future runs, lets the first SIGINT (Ctrl-C) cancel it, and the second end the process with status
    /// 130. Off by default: no signal handler is changed. Services get SIGTERM instead: see
    /// [`cancel_on_signals`](Self::cancel_on_signals), of which this is a short form.
    pub fn cancel_on_ctrl_c(mut self, cancel: bool) -> Self {
        self.signals.retain(|kind| *kind != Kind::INTERRUPT);
        if cancel { self.cancel_on_signals([Kind::INTERRUPT]) } else { self }
    }

    /// While a main future runs, lets the first of these signals cancel it, and the second end the process. They are added
    /// to those of earlier calls. Service managers, containers and kill(1) send SIGTERM; a terminal sends SIGINT.
    ///
    /// [`run`](Self::run) listens before anything else runs: a signal that arrives before the main future has begun
    /// cancels it too, and it does not begin. [`interrupted_by`](Self::interrupted_by) tells signals from other reasons and
    /// from each other, and also tells a signal that arrived when the main future was completing, too late to cancel it.
    ///
    /// The second may be of another kind than the first. The signal handler itself ends the process, with _exit(2) and the
    /// status 128 + the signal's number: no exit handler or destructor runs. So a second signal also ends a program that
    /// blocks the loop's thread. Between two runs the signals have their previous effect.
    ///
    /// # Examples
    /// ```
    /// use proactor::{Runner, signal::Kind, time::sleep};
    /// use std::time::Duration;
    ///
    /// async fn serve() {
    ///     # nix::sys::signal::raise(nix::sys::signal::SIGTERM).unwrap();
    ///     sleep(Duration::from_secs(3_600)).await;
    /// }
    ///
    /// let runner = Runner::new()?.cancel_on_signals([Kind::INTERRUPT, Kind::TERMINATE]);
    /// let outcome = runner.run(serve());
    /// if runner.interrupted_by() == Some(Kind::TERMINATE) {
    ///     println!("stopped by the service manager");
    /// }
    /// # assert!(outcome.is_err() && runner.interrupted_by() == Some(Kind::TERMINATE));
    /// runner.close(); // cancels the other tasks, and waits for their cleanups
    /// # std::io::Result::Ok(())
    /// ```
    pub fn cancel_on_signals(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        for kind in kinds {
            if !self.signals.contains(&kind) {
                self.signals.push(kind);
            }
        }
        self
    }

    /// Runs a future to completion, as the main task.
    ///
    /// # Errors
    /// [`JoinError::Cancelled`] when its cancellation was requested ([`task::current`](crate::task::current) gives the
    /// task for that); its operations have completed and its cleanups have run by then.
    /// [`interrupted_by`](Self::interrupted_by) tells whether a signal was the cause; for SIGINT asyncio raises
    /// `KeyboardInterrupt` then.
    ///
    /// # Panics
    /// As [`Runtime::block_on`]; when a signal is to be caught and no descriptor is free for that, or it is one that can't
    /// be caught (see [`signal::stream`]).
    #[track_caller]
    pub fn run<F: Future>(&self, future: F) -> Result<F::Output, JoinError> {
        let interrupts = (!self.signals.is_empty()).then(|| self.listen());
        signal::set_interrupted(None);
        let mut watcher = None;
        let output = self.runtime.core().block_on_cancellable(async {
            if let Some(interrupts) = &interrupts {
                let watch = interrupts.0.clone().watch(current());
                watcher = Some(crate::spawn(watch).cancel_on_drop());
                crate::yield_now().await; // a signal that has arrived cancels the main future before it begins
            }
            future.await
        });
        let arrived = interrupts.and_then(|interrupts| interrupts.0.stop());
        if let Some(watcher) = watcher {
            let ended = self.runtime.block_on(watcher.cancel());
            if let Err(JoinError::Panicked(panic)) = ended {
                std::panic::resume_unwind(panic.into_payload());
            }
        }
        if arrived.is_some() && output.is_some() {
            signal::set_interrupted(arrived); // it arrived, and has cancelled nothing
        }
        self.interrupted_by.set(signal::interrupted_by());
        output.ok_or(JoinError::Cancelled)
    }

    /// Catches the signals from now on.
    #[track_caller]
    fn listen(&self) -> Catching {
        let _entered = self.runtime.core().enter_alone("Runner::run");
        let catching = Catching(Rc::new(Interrupts::default()));
        for kind in &self.signals {
            let mut signals = catching.0.signals.borrow_mut();
            let signal = Signal::ending_process(*kind, signals.first(), "Runner::run");
            signals.push(signal.unwrap_or_else(|error| {
                panic!("Runner: {kind} can't be caught, as cancel_on_signals or cancel_on_ctrl_c asks for: {error}")
            }));
        }
        catching
    }

    /// The signal that arrived while the main future that ran last did, of those in
    /// [`cancel_on_signals`](Self::cancel_on_signals); `None` where [`is_interrupted`](Self::is_interrupted) is false.
    /// Inside the main future, see [`signal::interrupted_by`].
    pub fn interrupted_by(&self) -> Option<Kind> {
        self.interrupted_by.get()
    }

    /// Whether SIGINT, or another signal that the runner catches, arrived while the main future that ran last did; asyncio's
    /// `run` raises `KeyboardInterrupt` then, and `CancelledError` for other requests. False if another request has
    /// cancelled it first. Inside the main future, see [`signal::is_interrupted`].
    ///
    /// No signal is lost: one that arrives when the main future is completing, or while it blocks the thread for the last
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
        self.interrupted_by().is_some()
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

/// Catches the signals until it is dropped, also by a panic of the main future.
struct Catching(Rc<Interrupts>);

impl Drop for Catching {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The signals of one run.
#[derive(Default)]
struct Interrupts {
    signals: RefCell<Vec<Signal>>,
    /// The first signal that the loop has received.
    arrived: Cell<Option<Kind>>,
}

impl Interrupts {
    /// Cancels the main task at the first signal. (The second ends the process, in the signal handler.)
    async fn watch(self: Rc<Self>, main: Task) {
        if let Ok(kind) = poll_fn(|cx| self.poll_recv(cx)).await {
            self.arrived.set(Some(kind));
            signal::set_interrupted(Some(kind).filter(|_| main.cancelling() == 0));
            main.request_cancel();
        }
    }

    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<Kind>> {
        let mut signals = self.signals.borrow_mut();
        let mut polled = signals.iter_mut().map(|signal| signal.poll_recv(cx).map_ok(|()| signal.kind()));
        polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
    }

    /// Stops listening, and returns the first signal that arrived, seen by the loop or not.
    fn stop(&self) -> Option<Kind> {
        let mut unseen = None;
        for signal in self.signals.borrow_mut().iter_mut().rev() {
            if signal.stop() {
                unseen = Some(signal.kind());
            }
        }
        self.arrived.get().or(unseen)
    }
}
