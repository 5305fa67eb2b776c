//! `Handle`: access to a loop from other threads.
//!
//! All of it goes through the inbox: a closure is posted, and runs on the loop's thread in its next turn.
#![forbid(unsafe_code)]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::inbox::{Delivery, Shared};
use super::remote_result::{RemoteResult, ResultSender};
use crate::sys::context::expect_runtime;
use crate::sys::sync::atomic::{AtomicBool, Ordering};
use crate::sys::sync::{Arc, Mutex};
use crate::task::cell::error::{JoinError, RuntimeGone};
use crate::task::cell::state::Flags;
use crate::task::handle::join::JoinHandle;
use crate::task::handle::spawn::{spawn, spawn_task};
use crate::task::report::unhandled::Opaque;
use crate::task::scheduler::{self, SpawnOptions};

/// A handle of a runtime for any thread: it spawns tasks, runs closures in the loop, and stops it.
///
/// # Examples
/// ```
/// let runtime = proactor::Auto::new().unwrap();
/// let handle = runtime.handle();
/// let other = std::thread::spawn(move || {
///     let task = handle.spawn(|| async { 6 * 7 });
///     let answer = task.join().unwrap();
///     handle.stop();
///     answer
/// });
/// runtime.run_forever();
/// assert_eq!(other.join().unwrap(), 42);
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Handle { shared }
    }

    /// The handle of the runtime that runs on this thread.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn current() -> Handle {
        expect_runtime(Self::try_current(), "Handle::current")
    }

    /// The handle of the runtime that runs on this thread, if one does.
    pub fn try_current() -> Option<Handle> {
        scheduler::with(|current| current.map(|scheduler| Handle::new(scheduler.shared().clone())))
    }

    /// Calls `make` on the runtime's thread and spawns the future that it returns there; asyncio's
    /// `run_coroutine_threadsafe`.
    ///
    /// The closure is [`Send`], the future need not be. If the runtime has ended already, the handle returns
    /// [`JoinError::RuntimeGone`]; if it ends before the task does, [`JoinError::Cancelled`].
    pub fn spawn<M, F>(&self, make: M) -> RemoteHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let result = RemoteResult::new();
        let cancel = Arc::new(CancelRequest::default());
        let mut sender = ResultSender::new(result.clone(), JoinError::RuntimeGone);
        let request = cancel.clone();
        let posted = self.shared.post(move |delivery| {
            if runs(delivery) {
                sender.set_error_on_drop(JoinError::Cancelled);
                // Inside a task, so that a panic of `make` is the task's, like one of its future.
                let mut task = spawn(async move { make().await }).cancel_on_drop();
                spawn_uncancellable(async move {
                    let result = poll_fn(|cx| {
                        if request.poll(cx) {
                            task.request_cancel();
                        }
                        Pin::new(&mut task).poll(cx)
                    });
                    sender.send(result.await);
                });
            }
        });
        drop(posted); // a closure that was refused gives `RuntimeGone` when dropped
        RemoteHandle { result, cancel, shared: self.shared.clone() }
    }

    /// Runs `closure` on the runtime's thread in one of its next turns; asyncio's `call_soon_threadsafe`.
    ///
    /// A panic of `closure` propagates from `block_on`, `run_forever` or `turn`.
    ///
    /// # Errors
    /// [`RuntimeGone`] when the runtime has ended. A runtime that ends before the closure's turn drops the closure.
    pub fn call_soon(&self, closure: impl FnOnce() + Send + 'static) -> Result<(), RuntimeGone> {
        let posted = self.shared.post(move |delivery| {
            if runs(delivery) {
                closure();
            }
        });
        posted.map_err(|_| RuntimeGone)
    }

    /// Stops the loop after its current turn; asyncio's `stop`.
    ///
    /// [`run_forever`](crate::Runtime::run_forever) returns. [`block_on`](crate::Runtime::block_on) panics, unless its
    /// future has completed in that turn. If the loop does not run, its next run ends after the first turn. A stop ends
    /// one run: all stops before and during a run end with it. A turn of a foreign loop ([`Embed`](crate::Embed)) is
    /// not a run.
    pub fn stop(&self) {
        self.shared.request_stop();
    }

    /// Whether the runtime has ended.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }
}

/// Spawns a task that is never cancelled. The shutdown of the runtime waits for it.
fn spawn_uncancellable(future: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    spawn_task::<_, Opaque>(future, SpawnOptions { flags: Flags::UNCANCELLABLE, ..SpawnOptions::here() })
}

/// Whether a closure of user code may be called. It may not while the runtime shuts down.
fn runs(delivery: Delivery) -> bool {
    delivery == Delivery::Run && scheduler::with(|current| current.is_some_and(|s| !s.is_closed()))
}

/// A cancellation request from another thread, and the task to wake for it.
#[derive(Debug, Default)]
struct CancelRequest {
    asked: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl CancelRequest {
    /// Makes a request, and wakes the task.
    fn ask(&self) {
        // An exchange, as in `poll`: the two come one after the other.
        self.asked.swap(true, Ordering::AcqRel);
        let waker = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the request, if one was made, and keeps the waker for the next.
    fn poll(&self, cx: &Context<'_>) -> bool {
        // The waker first: a request after this wakes the task, one before is seen below.
        let waker = cx.waker().clone();
        let replaced = self.task.lock().unwrap_or_else(PoisonError::into_inner).replace(waker);
        drop(replaced);
        self.asked.swap(false, Ordering::AcqRel)
    }
}

/// The handle of a task on another thread: await it in any runtime, or block on [`join`](Self::join).
///
/// Dropping it detaches the task.
///
/// # Examples
/// ```
/// let runtime = proactor::Auto::new().unwrap();
/// let task = runtime.handle().spawn(|| async { "hello" });
/// assert_eq!(runtime.block_on(task).unwrap(), "hello");
/// ```
#[derive(Debug)]
pub struct RemoteHandle<T> {
    result: Arc<RemoteResult<T>>,
    cancel: Arc<CancelRequest>,
    shared: Arc<Shared>,
}

impl<T> RemoteHandle<T> {
    /// Blocks this thread until the task has ended.
    ///
    /// # Errors
    /// As for [`JoinHandle`](crate::task::JoinHandle), and [`JoinError::RuntimeGone`].
    ///
    /// # Panics
    /// On the thread of the task's runtime while that runs: it would wait for itself. When an await of `&mut handle`
    /// has taken the result.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        self.assert_other_thread("join");
        self.result.wait()
    }

    /// Blocks this thread until the task has ended, for `limit` at most; asyncio's `future.result(timeout)`. Returns
    /// `None` when the time has passed; the task continues, and the handle can be used as before.
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    ///
    /// # Panics
    /// As for [`join`](Self::join); and when an earlier call has returned the result.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// let runtime = proactor::Auto::new().unwrap();
    /// let handle = runtime.handle();
    /// let other = std::thread::spawn(move || {
    ///     let mut task = handle.spawn(|| std::future::pending::<()>());
    ///     assert!(task.join_timeout(Duration::from_millis(1)).is_none());
    ///     task.request_cancel();
    ///     assert!(task.join().unwrap_err().is_cancelled());
    ///     handle.stop();
    /// });
    /// runtime.run_forever();
    /// other.join().unwrap();
    /// ```
    #[track_caller]
    pub fn join_timeout(&mut self, limit: Duration) -> Option<Result<T, JoinError>> {
        self.assert_other_thread("join_timeout");
        self.result.wait_for(limit)
    }

    #[track_caller]
    fn assert_other_thread(&self, what: &str) {
        let own = scheduler::with(|current| {
            current.is_some_and(|scheduler| Arc::ptr_eq(scheduler.shared(), &self.shared))
        });
        assert!(
            !own,
            "RemoteHandle::{what} blocks the thread that would have to run the task: `.await` the handle instead"
        );
    }

    /// Requests cancellation of the task and returns at once.
    pub fn request_cancel(&self) {
        self.cancel.ask();
    }

    /// Whether the task has ended and its result can be taken.
    pub fn is_finished(&self) -> bool {
        self.result.is_ready()
    }
}

impl<T> Future for RemoteHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// If it is polled after it has given the result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.result.poll(cx)
    }
}
