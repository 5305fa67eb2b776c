//! Signals: waiting for those that are sent to the process. See signal(7) and sigaction(2).
//!
//! The crate changes no signal disposition before it is asked to. The first listener for a kind of signal replaces the
//! program's disposition by this crate's handler. Dropping the last listener restores the disposition, if the handler
//! is still in place. In between, the program's previous handler for that signal is not called.
//!
//! Each delivery is counted for each listener, in any runtime and thread. None is lost while no task waits or when a
//! future is dropped. The kernel may merge signals: a standard signal that is sent again while it is pending is one
//! delivery, and several children that end may be one [`Kind::CHILD`]. The signal handler only counts; code that
//! listens runs in its loop and has no restrictions.
//!
//! The kernel delivers a signal to some thread of the process that does not block it. A signal that all threads block
//! stays pending, and no listener gets it: see pthread_sigmask(3). (A thread starts with the signal mask of the thread
//! that created it.)
//!
//! A child of fork(2) does not listen. Its parent gets no signals that are sent to the child; in the child they find
//! the program's previous disposition, and so they do after execve(2).
//!
//! # Graceful shutdown
//!
//! Wait for the signal, accept no more connections, let the open ones end by themselves for a grace period, and then
//! cancel the rest. All connections share one grace period:
//!
//! ```
//! use std::{io, time::Duration};
//! use proactor::net::{TcpListener, TcpStream};
//! use proactor::task::TaskSet;
//! use proactor::{select, signal, time::timeout};
//!
//! async fn accept(listener: TcpListener, connections: &TaskSet<io::Result<()>>) -> io::Result<()> {
//!     loop {
//!         match listener.accept().await {
//!             Ok((stream, _peer)) => {
//!                 connections.try_spawn(serve(stream)); // the set forgets a connection that has ended
//!             }
//!             // Without a free descriptor the next accept pauses by itself.
//!             Err(error) => eprintln!("accept: {error}"),
//!         }
//!     }
//! }
//!
//! async fn serve(stream: TcpStream) -> io::Result<()> {
//!     while let Some(request) = stream.recv().await? {
//!         stream.write_all(request).await?;
//!     }
//!     Ok(())
//! }
//!
//! proactor::run(async {
//!     let mut stop = signal::stream(signal::Kind::TERMINATE)?;
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//! #   let client = TcpStream::connect(listener.local_addr()?).await?;
//! #   let idle = TcpStream::connect(listener.local_addr()?).await?;
//! #   let clients = proactor::spawn(async move {
//! #       for client in [&client, &idle] {
//! #           client.write_all("request").await?;
//! #           assert_eq!(&client.read_exact([0; 7]).await?.1, b"request");
//! #       }
//! #       drop(client);
//! #       nix::sys::signal::raise(nix::sys::signal::SIGTERM).unwrap();
//! #       io::Result::Ok(idle)
//! #   });
//!     let connections = TaskSet::without_results();
//!     // The losing branch is dropped, which closes the listener.
//!     select! {
//!         ended = accept(listener, &connections) => ended?,
//!         _ = stop.recv() => {}
//!     }
//!     drop(stop); // a second signal ends the process at once
//! #   let _idle = clients.await.unwrap()?;
//! #   assert!(!connections.is_empty());
//!     let grace = Duration::from_millis(20);
//!     if timeout(grace, connections.join_next()).await.is_err() {
//!         connections.shutdown(grace).await; // cancels all, with this time for their cleanups
//!     }
//! #   assert!(connections.is_empty());
//!     io::Result::Ok(())
//! }).unwrap();
//! ```
//!
//! A program whose cleanups are all it needs at the end can let the signal cancel its main future:
//! [`Runner::cancel_on_signals`](crate::Runner::cancel_on_signals).
//!
//! | file | contents |
//! |---|---|
//! | `mod.rs` | `stream` and `Signal`, `ctrl_c`, `is_interrupted`, `interrupted_by` |
//! | `kind.rs` | `Kind` |
//! | `handler.rs` | `on` and `Handler` |
//! | `sys/signal.rs` | the signal handler, and how it counts |
#![forbid(unsafe_code)]

mod handler;
mod kind;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::driver::operation::submission::Submission;
use super::driver::{attach, current, release_endpoint};
use super::op::catalogue::poll::PollReady;
use super::op::completion::Direction;
use super::op::object::endpoint_ref::EndpointRef;
use super::sys::signal::Listener;

pub use handler::{Handler, on};
pub use kind::Kind;

/// Listens for a kind of signal, from this call on.
///
/// # Errors
/// `InvalidInput`, with the reason, for signals that cannot be listened for: SIGKILL, SIGSTOP, those that report a
/// fault of the program (SIGSEGV, SIGBUS, SIGFPE, SIGILL), and invalid signal numbers. `EMFILE` if no descriptor is
/// free.
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// use proactor::signal;
/// proactor::run(async {
///     let mut reload = signal::stream(signal::Kind::HANGUP)?;
///     proactor::spawn(async { nix::sys::signal::raise(nix::sys::signal::SIGHUP) });
///     reload.recv().await?;
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[track_caller]
pub fn stream(kind: Kind) -> io::Result<Signal> {
    Signal::new(kind, "signal::stream")
}

/// A listener for a kind of signal, also a [`Stream`] that never ends: see [`stream`].
///
/// Dropping it stops listening; dropping the last listener of a kind restores the program's disposition. Deliveries
/// that were counted and not received are discarded.
///
/// It uses one descriptor to wait. A second one, on which the handler counts, is kept for later listeners of the same
/// kind.
///
/// # Examples
/// ```
/// use proactor::signal;
/// proactor::run(async {
///     let mut user = signal::stream(signal::Kind::USER1)?;
///     for _ in 0..3 {
///         nix::sys::signal::raise(nix::sys::signal::SIGUSR1).unwrap();
///     }
///     for _ in 0..3 {
///         user.recv().await?; // returns three times, although no task was waiting
///     }
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[must_use = "dropping it stops listening"]
pub struct Signal {
    kind: Kind,
    /// Deliveries that were taken from the counter and not returned yet.
    counted: u64,
    /// The wait for the counter. It stays when a future is dropped: the next one continues it.
    waiting: Option<Submission<PollReady>>,
    /// A duplicate of the counter's descriptor, to wait with.
    endpoint: EndpointRef,
    listener: Listener,
}

impl Signal {
    #[track_caller]
    fn new(kind: Kind, what: &str) -> io::Result<Self> {
        Self::of(Listener::new(kind.as_raw())?, kind, what)
    }

    /// Makes a listener whose second delivery ends the process. The signal handler does that, because the loop may be
    /// blocked. Deliveries for `first` count as well; it must be dropped after this.
    #[track_caller]
    pub(crate) fn ending_process(kind: Kind, first: Option<&Signal>, what: &str) -> io::Result<Self> {
        let first = first.map(|first| &first.listener);
        Self::of(Listener::ending(kind.as_raw(), first)?, kind, what)
    }

    #[track_caller]
    fn of(listener: Listener, kind: Kind, what: &str) -> io::Result<Self> {
        let twin = listener.as_fd().try_clone_to_owned()?;
        let endpoint = EndpointRef::new(attach(twin, what));
        Ok(Signal { kind, counted: 0, waiting: None, endpoint, listener })
    }

    /// Waits for the next delivery; returns once for each.
    ///
    /// # Errors
    /// If the kernel cannot wait for the descriptor, for example for lack of memory; `ECANCELED` in a fork of the
    /// process. An error loses no delivery.
    ///
    /// # Panics
    /// Outside a runtime, and in a runtime other than the one in which it was created.
    ///
    /// # Cancellation
    /// Dropping the future loses no delivery: the next call returns it.
    pub fn recv(&mut self) -> Recv<'_> {
        Recv(self)
    }

    /// Polls for the next delivery: [`recv`](Self::recv) for futures written by hand.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.counted > 0 {
                // Many deliveries in a row must not keep other tasks from running.
                ready!(current().map_or(Poll::Ready(()), |driver| driver.poll_attempt(cx)));
                self.counted -= 1;
                return Poll::Ready(Ok(()));
            }
            if let Some(waiting) = &mut self.waiting {
                let (result, _) = ready!(Pin::new(waiting).poll(cx));
                self.waiting = None;
                if let Err(error) = result {
                    return Poll::Ready(Err(error));
                }
            }
            self.counted = self.listener.take();
            if self.counted == 0 {
                self.waiting = Some(Submission::new(PollReady::level(&self.endpoint, Direction::Read)));
            }
        }
    }

    /// Stops listening. Returns whether deliveries were counted that [`recv`](Self::recv) has not returned.
    pub(crate) fn stop(&mut self) -> bool {
        self.waiting = None; // the task that began its operation could not complete otherwise
        self.counted += self.listener.stop();
        std::mem::take(&mut self.counted) > 0
    }

    /// Returns the kind of signal that it listens for.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.waiting = None;
        release_endpoint(&self.endpoint);
    }
}

impl Stream for Signal {
    type Item = io::Result<()>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx).map(Some)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The future of [`Signal::recv`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Recv<'a>(&'a mut Signal);

impl Future for Recv<'_> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_recv(cx)
    }
}

thread_local! {
    /// The signal that has cancelled the main future that runs on this thread, or that ran last.
    static INTERRUPTED_BY: Cell<Option<Kind>> = const { Cell::new(None) };
}

/// Returns true if a signal has cancelled the main future of the [`Runner`](crate::Runner) on this thread, now or in its
/// last run, or arrived too late to cancel it.
///
/// Code that catches a cancellation, in the main future, its tasks and their cleanups, can ask for the reason here.
/// False if another request came first, and for a runner that catches no signal: see
/// [`cancel_on_ctrl_c`](crate::Runner::cancel_on_ctrl_c) and
/// [`cancel_on_signals`](crate::Runner::cancel_on_signals). [`interrupted_by`] tells which signal it was. asyncio has
/// `KeyboardInterrupt` for this, which only the caller of `run` sees.
///
/// # Examples
/// ```
/// use proactor::{Runner, signal, task::catch_cancel};
/// let runner = Runner::new()?.cancel_on_ctrl_c(true);
/// let outcome = runner.run(async {
///     nix::sys::signal::raise(nix::sys::signal::SIGINT).unwrap(); // Ctrl-C
///     if let Err(cancelled) = catch_cancel(std::future::pending::<()>()).await {
///         assert!(signal::is_interrupted()); // save work here
///         drop(cancelled);
///     }
/// });
/// assert!(outcome.is_ok());
/// # std::io::Result::Ok(())
/// ```
pub fn is_interrupted() -> bool {
    interrupted_by().is_some()
}

/// The signal that has cancelled the main future of the [`Runner`](crate::Runner) on this thread, or arrived too late to
/// cancel it; `None` where [`is_interrupted`] is false.
///
/// # Examples
/// ```
/// use proactor::{Runner, signal::{self, Kind}, task::catch_cancel};
/// let runner = Runner::new()?.cancel_on_signals([Kind::INTERRUPT, Kind::TERMINATE]);
/// let outcome = runner.run(async {
///     nix::sys::signal::raise(nix::sys::signal::SIGTERM).unwrap(); // `kill`, or a service manager
///     if let Err(cancelled) = catch_cancel(std::future::pending::<()>()).await {
///         assert_eq!(signal::interrupted_by(), Some(Kind::TERMINATE));
///         drop(cancelled);
///     }
/// });
/// assert!(outcome.is_ok());
/// # std::io::Result::Ok(())
/// ```
pub fn interrupted_by() -> Option<Kind> {
    INTERRUPTED_BY.get()
}

pub(crate) fn set_interrupted(by: Option<Kind>) {
    INTERRUPTED_BY.set(by);
}

/// Waits for SIGINT, which Ctrl-C at the terminal sends.
///
/// It listens from this call until the future is dropped or returns. After that, Ctrl-C has its previous effect: it
/// ends most programs.
///
/// # Errors
/// As for [`stream`] and [`Signal::recv`].
///
/// # Panics
/// Outside a runtime.
///
/// # Cancellation
/// Dropping the future stops listening. To wait repeatedly use a [`stream`], which loses no signal between two waits.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let interrupted = proactor::signal::ctrl_c();
///     nix::sys::signal::raise(nix::sys::signal::SIGINT).unwrap(); // as the terminal does
///     interrupted.await
/// }).unwrap();
/// ```
#[track_caller]
pub fn ctrl_c() -> CtrlC {
    CtrlC(Some(Signal::new(Kind::INTERRUPT, "signal::ctrl_c")))
}

/// The future of [`ctrl_c`].
#[derive(Debug)]
#[must_use = "Ctrl-C is caught until this is dropped: await it"]
pub struct CtrlC(Option<io::Result<Signal>>);

impl Future for CtrlC {
    type Output = io::Result<()>;

    /// # Panics
    /// If it is polled after its result.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match self.0.as_mut().expect("a CtrlC was polled after its result") {
            Ok(signal) => ready!(signal.poll_recv(cx)),
            Err(_) => Ok(()),
        };
        Poll::Ready(self.0.take().expect("it was so a moment ago").and(result))
    }
}
