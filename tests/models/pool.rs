//! The blocking pool: a job is begun or withdrawn, never both and never neither, and no thread sleeps past one.
//!
//! loom has no time: a thread of the pool waits for its next job until the pool is closed.

use std::time::Duration;

use crate::kit::Model;
use crate::sys::sync::atomic::{AtomicUsize, Ordering};
use crate::sys::sync::{Arc, Condvar, Mutex};
use crate::task::inbox::Shared;
use crate::task::pool::Pool;

pub(crate) fn models() -> Vec<Model> {
    vec![
        ("pool_withdraw_against_begin", withdraw_against_begin),
        ("pool_jobs_in_a_row", jobs_in_a_row),
        ("pool_close_against_jobs", close_against_jobs),
    ]
}

fn pool(threads: usize) -> Pool {
    Pool::new(threads, Duration::MAX, Shared::new().unwrap())
}

fn withdraw_against_begin() {
    let pool = pool(1);
    let begun = Arc::new(AtomicUsize::new(0));
    for tag in 0..2 {
        let begun = begun.clone();
        pool.submit(tag, move || {
            begun.fetch_add(1, Ordering::Relaxed);
        });
    }
    let withdrawn = usize::from(pool.withdraw(1)) + usize::from(pool.withdraw(0));
    // What was not withdrawn is begun; wait for it as a loop does, for its report.
    while begun.load(Ordering::Relaxed) + withdrawn < 2 {
        loom::thread::yield_now();
    }
    assert!(!pool.withdraw(0) && !pool.withdraw(1));
    pool.close();
    assert_eq!(begun.load(Ordering::Relaxed) + withdrawn, 2);
}

/// Jobs done, for a thread that waits for them.
#[derive(Default)]
struct Done {
    count: Mutex<usize>,
    more: Condvar,
}

impl Done {
    fn one(&self) {
        *self.count.lock().unwrap() += 1;
        self.more.notify_one();
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
        pool.submit(job, move || done_here.one());
        done.wait_for(job as usize);
    }
    let done_here = done.clone();
    pool.submit(3, move || done_here.one());
    let done_here = done.clone();
    pool.submit(4, move || done_here.one());
    done.wait_for(4);
    pool.close();
}

/// A job is run or dropped, and the threads end.
fn close_against_jobs() {
    let pool = pool(2);
    let done = Arc::new(Done::default());
    for job in 0..2 {
        let done = done.clone();
        pool.submit(job, move || done.one());
    }
    pool.close();
    pool.submit(2, || unreachable!("the pool is closed"));
}
