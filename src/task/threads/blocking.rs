//! `spawn_blocking`: a closure on a pool of threads, as a task; custom pools.
#![forbid(unsafe_code)]

use super::pool::BlockingPool;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::pool::{Lane, Launch, Pool, no_thread};
use super::remote_result::{RemoteResult, ResultSender};
use crate::sys::sync::Arc;
use crate::task::cell::error::{JoinError, Panic};
use crate::task::handle::join::JoinHandle;
use crate::task::handle::spawn::spawn_task;
use crate::task::report::unhandled::Opaque;
use crate::task::scheduler::{self, SpawnOptions};

/// Runs a closure on the blocking pool, as a task; asyncio's `to_thread`.
///
/// Use it for calls that would block the loop: long computations, blocking libraries. A panic of `work` becomes the
/// panic of the task. Cancelling the task withdraws the closure if no thread has begun it. A closure that has begun
/// runs to its end, and its result is dropped; the runtime's shutdown waits for it. [Task-locals](crate::task_local)
/// are not available on the other thread.
///
/// The pool is the runtime's, or that of [`Config::blocking_pool`](crate::Config::blocking_pool). Closures have
/// separate threads there: they never delay file operations and name look-ups.
///
/// The task panics if no thread can be started for the closure; the message names the cause.
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let sum = proactor::spawn_blocking(|| (1..=100).sum::<u32>()).await.unwrap();
///     assert_eq!(sum, 5050);
/// });
/// ```
#[track_caller]
pub fn spawn_blocking<F, T>(work: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let options = SpawnOptions::here();
    let pool = scheduler::expect("spawn_blocking", |scheduler| match &scheduler.hooks.blocking_pool {
        Some(pool) => pool.pool.clone(),
        None => scheduler.pool.clone(),
    });
    run_on(pool, work, options)
}

/// Runs a closure on the given pool, as a task; asyncio's `run_in_executor`. Otherwise as [`spawn_blocking`].
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// use proactor::task::{BlockingPool, spawn_blocking_on};
/// let pool = BlockingPool::new(2);
/// proactor::run(async {
///     let answer = spawn_blocking_on(&pool, || 6 * 7);
///     assert_eq!(answer.await.unwrap(), 42);
/// });
/// ```
#[track_caller]
pub fn spawn_blocking_on<F, T>(pool: &BlockingPool, work: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    run_on(pool.pool.clone(), work, SpawnOptions::here())
}

#[track_caller]
fn run_on<F, T>(pool: Pool, work: F, options: SpawnOptions) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    scheduler::expect("spawn_blocking", |_| ()); // before the pool has the work
    let result = RemoteResult::new();
    let sender = ResultSender::new(result.clone(), JoinError::Cancelled);
    let tag = pool.submit_closure(Lane::Closure, |launch| run(work, launch, sender));
    let withdraw = Withdraw { pool, tag }; // made here, so that a task that never runs withdraws the job as well
    let waits = async move {
        let _withdraw = withdraw;
        match poll_fn(|cx| result.poll(cx)).await {
            Ok(Ok(value)) => value,
            Ok(Err(errno)) => panic!("spawn_blocking: {}", no_thread(errno)),
            Err(JoinError::Panicked(panic)) => resume_unwind(panic.into_payload()),
            Err(_) => panic!("spawn_blocking: the pool was closed before the closure began"),
        }
    };
    spawn_task::<_, Opaque>(waits, options)
}

/// Runs a job and sends its result; without a thread, sends the `errno` of the failed start.
fn run<T>(work: impl FnOnce() -> T, launch: Launch, sender: ResultSender<Result<T, i32>>) {
    sender.send(match launch {
        Launch::Run => {
            catch_unwind(AssertUnwindSafe(|| Ok(work()))).map_err(|p| JoinError::Panicked(Panic::new(p)))
        }
        Launch::NoThread(errno) => Ok(Err(errno)),
    });
}

/// A blocking call of this crate, on the pool of the runtime. Dropping it abandons the call, which runs to its end; the
/// result is dropped.
#[derive(Debug)]
pub(crate) struct Blocking<T> {
    result: Arc<RemoteResult<Result<T, i32>>>,
    pool: Pool,
    tag: u64,
}

impl<T: Send + 'static> Blocking<T> {
    /// Starts the call.
    ///
    /// # Panics
    /// Outside a runtime; `what` names the method in the message.
    #[track_caller]
    pub(crate) fn begin(what: &str, lane: Lane, work: impl FnOnce() -> T + Send + 'static) -> Self {
        let pool = scheduler::expect(what, |scheduler| scheduler.pool.clone());
        let result = RemoteResult::new();
        let sender = ResultSender::new(result.clone(), JoinError::Cancelled);
        let tag = pool.submit_closure(lane, |launch| run(work, launch, sender));
        Blocking { result, pool, tag }
    }
}

impl<T> Future for Blocking<T> {
    /// `ECANCELED` when the runtime ends before the call has begun.
    type Output = io::Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        Poll::Ready(match ready!(self.result.poll(cx)) {
            Ok(done) => done.map_err(no_thread),
            Err(JoinError::Panicked(panic)) => resume_unwind(panic.into_payload()),
            Err(_) => Err(io::Error::from_raw_os_error(libc::ECANCELED)),
        })
    }
}

impl<T> Drop for Blocking<T> {
    fn drop(&mut self) {
        self.pool.abandon(self.tag);
    }
}

/// Withdraws the job, if it has not begun, when its task is dropped.
struct Withdraw {
    pool: Pool,
    tag: u64,
}

impl Drop for Withdraw {
    fn drop(&mut self) {
        self.pool.withdraw(self.tag);
    }
}
