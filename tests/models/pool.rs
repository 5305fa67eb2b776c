//! The blocking pool: each job is begun or withdrawn, never both and never neither, and no thread sleeps while a job waits.
//!
//! loom has no time: a thread of the pool waits for its next job until the pool is closed.

use std::time::Duration;

use crate::kit::Model;
use crate::sys::sync::atomic::{AtomicBool, Ordering};
use crate::sys::sync::{Arc, Condvar, Mutex};
use crate::task::threads::pool::{Lane, Pool};

pub(crate) fn models() -> Vec<Model> {
    vec![
        ("pool_withdraw_against_begin", withdraw_against_begin),
        ("pool_jobs_in_a_row", jobs_in_a_row),
        ("pool_jobs_that_need_each_other", jobs_that_need_each_other),
        ("pool_close_against_jobs", close_against_jobs),
        ("pool_abandon_against_jobs", abandon_against_jobs),
    ]
}

fn pool(threads: usize) -> Pool {
    Pool::new(threads, Duration::MAX)
}

fn withdraw_against_begin() {
    let pool = pool(1);
    let begun: [Arc<AtomicBool>; 2] = Default::default();
    for (tag, begun) in begun.iter().cloned().enumerate() {
        pool.submit(Lane::Call, tag as u64, move |_| {
            assert!(!begun.swap(true, Ordering::Relaxed), "begun twice")
        });
    }
    let withdrawn = [0, 1].map(|tag| pool.withdraw(tag));
    for (withdrawn, begun) in withdrawn.into_iter().zip(&begun) {
        // A job that was not withdrawn begins, now or later.
        while !withdrawn && !begun.load(Ordering::Relaxed) {
            loom::thread::yield_now();
        }
        assert_ne!(withdrawn, begun.load(Ordering::Relaxed));
    }
    assert!(!pool.withdraw(0) && !pool.withdraw(1), "there is nothing left to withdraw");
    pool.close();
}

/// The number of finished jobs, for a thread that waits for them.
#[derive(Default)]
struct Done {
    count: Mutex<usize>,
    more: Condvar,
}

impl Done {
    fn one(&self) {
        *self.count.lock().unwrap() += 1;
        self.more.notify_all();
    }

    fn wait_for(&self, target: usize) {
        let mut count = self.count.lock().unwrap();
        while *count < target {
            count = self.more.wait(count).unwrap();
        }
    }
}

/// The second job finds the thread idle, or busy, or about to be idle.
fn jobs_in_a_row() {
    let pool = pool(1);
    let done = Arc::new(Done::default());
    for job in 1..=2 {
        let done_here = done.clone();
        pool.submit(Lane::Call, job, move |_| done_here.one());
        done.wait_for(job as usize);
    }
    let done_here = done.clone();
    pool.submit(Lane::Call, 3, move |_| done_here.one());
    let done_here = done.clone();
    pool.submit(Lane::Call, 4, move |_| done_here.one());
    done.wait_for(4);
    pool.close();
}

/// An idle thread counts for one job only: the other gets a thread of its own.
fn jobs_that_need_each_other() {
    let pool = pool(2);
    let done = Arc::new(Done::default());
    for job in 1..=3 {
        let done = done.clone();
        pool.submit(Lane::Call, job, move |_| {
            if job == 2 {
                done.wait_for(2); // by the first and the third
            }
            done.one();
        });
    }
    done.wait_for(3);
    pool.close();
}

/// A job is run or dropped, and the threads end.
fn close_against_jobs() {
    let pool = pool(2);
    let done = Arc::new(Done::default());
    for job in 0..2 {
        let done = done.clone();
        pool.submit(Lane::Call, job, move |_| done.one());
    }
    pool.close();
    pool.submit(Lane::Call, 2, |_| unreachable!("the pool is closed"));
}

/// A job that is abandoned, before it begins or while it runs, does not keep the next one from a thread.
fn abandon_against_jobs() {
    let pool = pool(1);
    let done = Arc::new(Done::default());
    let first = done.clone();
    // If the first job has begun, it waits for the second.
    pool.submit(Lane::Call, 1, move |_| first.wait_for(1));
    let second = done.clone();
    pool.submit(Lane::Call, 2, move |_| second.one());
    pool.abandon(1);
    done.wait_for(1);
    pool.close();
}
