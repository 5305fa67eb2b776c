//! `spawn_blocking`: a closure on a pool of threads, as a task; pools of one's own.
#![forbid(unsafe_code)]

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use super::outcome::{Giver, Outcome};
use super::pool::Pool;
use super::scheduler::{self, Start};
use super::unhandled::Opaque;
use super::{JoinError, JoinHandle, Panic, start};

/// Runs `work` on the blocking pool; asyncio's `to_thread`.
///
/// For calls that would hold up the loop: long computations, libraries that block. A panic of `work` is the
/// task's. Cancelling the task withdraws the closure if no thread has begun it; once begun it runs to its
/// end, and its result is dropped. [Task-locals](crate::task_local) do not follow to the other thread.
///
/// The pool is the runtime's own, or that of [`Config::blocking_pool`](crate::Config::blocking_pool).
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
    let here = Start::here();
    let pool = scheduler::expect("spawn_blocking", |scheduler| match &scheduler.hooks.blocking_pool {
        Some(pool) => pool.pool.clone(),
        None => scheduler.pool.clone(),
    });
    run_on(pool, work, here)
}

/// Runs `work` on a pool of one's own; asyncio's `run_in_executor`. Otherwise as [`spawn_blocking`].
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
    run_on(pool.pool.clone(), work, Start::here())
}

#[track_caller]
fn run_on<F, T>(pool: Pool, work: F, here: Start) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    scheduler::expect("spawn_blocking", |_| ()); // before the pool has the work
    let outcome = Outcome::new();
    let giver = Giver::new(outcome.clone(), JoinError::Cancelled);
    let tag = pool.submit_closure(move || {
        giver.give(catch_unwind(AssertUnwindSafe(work)).map_err(|p| JoinError::Panicked(Panic::new(p))));
    });
    let withdraw = Withdraw { pool, tag }; // made here, so that a task that never runs takes the job back as well
    let waits = async move {
        let _withdraw = withdraw;
        match poll_fn(|cx| outcome.poll(cx)).await {
            Ok(value) => value,
            Err(JoinError::Panicked(panic)) => resume_unwind(panic.into_payload()),
            // The pool was closed before the job began, or no thread could be started for it.
            Err(_) => panic!(
                "the blocking pool could not run the closure: it is closed, or no thread could be started"
            ),
        }
    };
    start::<_, Opaque>(waits, here)
}

/// Takes the job back, if it has not begun, when its task is dropped.
struct Withdraw {
    pool: Pool,
    tag: u64,
}

impl Drop for Withdraw {
    fn drop(&mut self) {
        self.pool.withdraw(self.tag);
    }
}

/// A pool of threads for work that blocks, apart from those of the runtimes; asyncio's executors.
///
/// It may be used by several runtimes. Clones are the same pool. No thread is started before the first job, and one that
/// has had nothing to do for ten seconds ends. When the last clone goes, jobs that have begun go on; those that have not are
/// run as well.
///
/// # Examples
/// See [`spawn_blocking_on`].
#[derive(Clone, Debug)]
pub struct BlockingPool {
    pool: Pool,
}

impl BlockingPool {
    /// One of at most so many threads.
    ///
    /// # Panics
    /// When that is zero.
    pub fn new(max_threads: usize) -> Self {
        assert!(max_threads > 0, "a pool without threads would never run a job: choose 1 or more");
        BlockingPool { pool: Pool::new(max_threads, Duration::from_secs(10)) }
    }

    /// Ends it: drops the jobs that have not begun, refuses new ones, and waits for those that have begun, so long at most;
    /// says how many have not ended. It blocks the thread; asyncio's `shutdown_default_executor`.
    pub fn shutdown(&self, timeout: Duration) -> usize {
        self.pool.close();
        self.pool.wait_closed(timeout)
    }
}
