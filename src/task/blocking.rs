//! `spawn_blocking`: a closure on the pool, as a task.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::outcome::{Giver, Outcome};
use super::{JoinError, JoinHandle, Panic, no_runtime, scheduler, spawn};
use crate::sys::sync::thread_local;

thread_local! {
    static NEXT_TAG: Cell<u64> = const { Cell::new(0) };
}

/// Tags of closures have the top bit; tags of operations have not.
fn next_tag() -> u64 {
    NEXT_TAG.with(|next| {
        next.set(next.get() + 1);
        next.get() | 1 << 63
    })
}

/// Runs `work` on the blocking pool; asyncio's `to_thread`.
///
/// For calls that would hold up the loop: long computations, libraries that block. A panic of `work` is the
/// task's. Cancelling the task withdraws the closure if no thread has begun it; once begun it runs to its
/// end, and its result is dropped.
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
    let outcome = Outcome::new();
    let giver = Giver::new(outcome.clone(), JoinError::Cancelled);
    let tag = next_tag();
    let job = move || {
        giver.give(catch_unwind(AssertUnwindSafe(work)).map_err(|p| JoinError::Panicked(Panic::new(p))));
    };
    let submitted = scheduler::with(|current| current.map(|scheduler| scheduler.pool.submit(tag, job)));
    if submitted.is_none() {
        no_runtime("spawn_blocking");
    }
    let withdraw = Withdraw(tag); // made here, so that a task that never runs takes the job back as well
    spawn(async move {
        let _withdraw = withdraw;
        match poll_fn(|cx| outcome.poll(cx)).await {
            Ok(value) => value,
            Err(JoinError::Panicked(panic)) => resume_unwind(panic.into_payload()),
            // The pool was closed before the job began, or no thread could be started for it.
            Err(_) => panic!("the blocking pool could not run the closure: no thread could be started"),
        }
    })
}

/// Takes the job back, if it has not begun, when its task is dropped.
struct Withdraw(u64);

impl Drop for Withdraw {
    fn drop(&mut self) {
        scheduler::with(|current| current.map(|scheduler| scheduler.pool.withdraw(self.0)));
    }
}
