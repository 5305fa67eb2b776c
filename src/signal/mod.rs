//! Signals: waiting for those that are sent to the process, see signal(7) and sigaction(2).
//!
//! Nothing is touched before somebody asks. The first listener of a kind of signal puts this crate's handler in the place
//! of the program's disposition, and the last one to go puts that back, if the handler still is in place. In between, a
//! handler of the program's own for that signal is not called.
//!
//! Each delivery is counted for each listener, of whatever runtime and thread, and none is lost: not while nobody waits,
//! nor when a future is dropped. What the kernel delivers once comes once: a standard signal that is sent again while
//! it is still pending is one delivery, and many children that end may be one [`Kind::CHILD`]. In the context of the signal
//! there is only counting: code that listens runs in its loop, and may do what it likes.
//!
//! A signal goes to some thread of the process that does not block it. One that all threads block stays pending, and nobody
//! here hears of it: see pthread_sigmask(3). (A thread begins with the mask of the one that has made it.)
//!
//! A child of fork(2) does not listen: its parent hears nothing of signals to the child, and there they find the
//! program's own disposition, as they do in every program that is executed.
//!
//! # A shutdown in good order
//!
//! Wait for the signal, accept no more connections, let the open ones end by themselves for a grace period, and then cancel
//! the rest. The period is one for all connections together:
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
//!     // The branch that loses is dropped: the listener is closed.
//!     select! {
//!         ended = accept(listener, &connections) => ended?,
//!         _ = stop.recv() => {}
//!     }
//!     drop(stop); // a second signal ends the process at once
//! #   let _idle = clients.await.unwrap()?;
//! #   assert!(!connections.is_empty());
//!     let grace = Duration::from_millis(20);
//!     if timeout(grace, connections.join_next()).await.is_err() {
//!         connections.shutdown(grace).await; // cancels all, and gives their cleanups this time
//!     }
//! #   assert!(connections.is_empty());
//!     io::Result::Ok(())
//! }).unwrap();
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | `stream` and `Signal`, `ctrl_c`, `is_interrupted` |
//! | `kind.rs` | `Kind` |
//! | `handler.rs` | `on` and `Handler` |
//! | `sys/signal.rs` | the handler of the signal's own context, and how it counts |
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

use crate::driver::submission::Submission;
use crate::driver::{attach, current, let_go};
use crate::op::Direction;
use crate::op::endpoint::Share;
use crate::op::poll::PollReady;
use crate::sys::signal::Listener;

pub use handler::{Handler, on};
pub use kind::Kind;

/// Listens to a kind of signal, from this call on.
///
/// # Errors
/// `InvalidInput`, with the reason, for signals that can't be listened to: SIGKILL, SIGSTOP, those that report a fault of
/// the program (SIGSEGV, SIGBUS, SIGFPE, SIGILL), and numbers that are no signal's. `EMFILE` when no descriptor is free.
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

/// The deliveries of a kind of signal, also as a [`Stream`] that never ends: see [`stream`].
///
/// Dropping it ends the listening, and the last one of a kind puts the program's disposition back. What it has counted
/// and nobody has taken is gone then.
///
/// It waits with one descriptor; a second one, to which the handler counts, is kept for later listeners of the same
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
///         user.recv().await?; // each of them, although nobody was waiting
///     }
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[must_use = "dropping it ends the listening"]
pub struct Signal {
    kind: Kind,
    /// Taken from the counter, and not given yet.
    counted: u64,
    /// Until there is something in the counter. It stays when a future is dropped: the next one goes on with it.
    waiting: Option<Submission<PollReady>>,
    /// A duplicate of the counter's descriptor, to wait with.
    share: Share,
    listener: Listener,
}

impl Signal {
    #[track_caller]
    fn new(kind: Kind, what: &str) -> io::Result<Self> {
        let listener = Listener::new(kind.as_raw())?;
        let twin = listener.as_fd().try_clone_to_owned()?;
        let share = Share::new(attach(twin, what));
        Ok(Signal { kind, counted: 0, waiting: None, share, listener })
    }

    /// Waits for the next delivery: ready once for each.
    ///
    /// # Errors
    /// When the kernel can't wait for the descriptor, as for want of memory, and `ECANCELED` in a fork of the process. No
    /// delivery is lost by it.
    ///
    /// # Panics
    /// Outside a runtime, and in another one than where it was made.
    ///
    /// # Cancellation
    /// Dropping it loses nothing: a delivery that comes is the next one's.
    pub fn recv(&mut self) -> Recv<'_> {
        Recv(self)
    }

    /// Polls for the next delivery, as [`recv`](Self::recv) does, for adapters.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.counted > 0 {
                // Many in a row must not keep the others from running.
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
                self.waiting = Some(Submission::new(PollReady::level(&self.share, Direction::Read)));
            }
        }
    }

    /// What it listens to.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.waiting = None;
        let_go(&self.share);
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
    /// SIGINT has requested the end of the main future that runs on this thread, or ran last.
    static INTERRUPTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether SIGINT has requested the end of the main future that a [`Runner`](crate::Runner) runs on this thread, or ran
/// last: code that catches a cancellation finds its reason here, in the main future, its tasks and their clean-ups.
///
/// False where another request came first, and for a runner that does not catch SIGINT
/// ([`cancel_on_ctrl_c`](crate::Runner::cancel_on_ctrl_c)). asyncio has `KeyboardInterrupt` for this, which only the caller
/// of `run` sees.
///
/// # Examples
/// ```
/// use proactor::{Runner, signal, task::catch_cancel};
/// let runner = Runner::new()?.cancel_on_ctrl_c(true);
/// let outcome = runner.run(async {
///     nix::sys::signal::raise(nix::sys::signal::SIGINT).unwrap(); // Ctrl-C
///     if let Err(cancelled) = catch_cancel(std::future::pending::<()>()).await {
///         assert!(signal::is_interrupted()); // saves its work, and ends
///         drop(cancelled);
///     }
/// });
/// assert!(outcome.is_ok());
/// # std::io::Result::Ok(())
/// ```
pub fn is_interrupted() -> bool {
    INTERRUPTED.get()
}

pub(crate) fn set_interrupted(interrupted: bool) {
    INTERRUPTED.set(interrupted);
}

/// Waits for SIGINT, which Ctrl-C at the terminal sends. It listens from this call until the future is dropped or has given
/// its result: after that Ctrl-C does what it did before, in most programs end them.
///
/// # Errors
/// As for [`stream`] and [`Signal::recv`].
///
/// # Panics
/// Outside a runtime.
///
/// # Cancellation
/// Dropping it ends the listening. Whoever waits again and again uses a [`stream`], which loses nothing in between.
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
    /// If it is polled after it has given the result.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match self.0.as_mut().expect("a CtrlC was polled after its result") {
            Ok(signal) => ready!(signal.poll_recv(cx)),
            Err(_) => Ok(()),
        };
        Poll::Ready(self.0.take().expect("it was so a moment ago").and(result))
    }
}
