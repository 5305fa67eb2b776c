//! The blocking pool: its limits, its lanes, jobs that are withdrawn or abandoned.

use super::*;
use std::sync::mpsc;

use Lane::{Call, Close, Closure, Lookup};

fn pool(threads: usize) -> Pool {
    Pool::new(threads, Duration::from_secs(10))
}

#[test]
fn jobs_run_and_threads_are_bounded() {
    let pool = pool(2);
    let (send, receive) = mpsc::channel();
    let (open, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    for i in 0..6 {
        let (send, gate) = (send.clone(), gate.clone());
        pool.submit(Call, i, move |_| {
            send.send(i).unwrap();
            let _ = gate.lock().unwrap().recv();
        });
    }
    receive.recv().unwrap();
    receive.recv().unwrap();
    assert_eq!(pool.inner.lock().threads, 2);
    assert_eq!(pool.inner.lock().running.len(), 2);
    assert!(pool.withdraw(5), "it has not begun");
    assert!(!pool.withdraw(0) && !pool.withdraw(5));
    drop(open);
    assert_eq!(receive.iter().take(3).count(), 3);
}

#[test]
fn closing_drops_what_has_not_begun() {
    let pool = pool(1);
    let (send, receive) = mpsc::channel::<()>();
    let (open, gate) = mpsc::channel::<()>();
    let (began, begun) = mpsc::channel();
    pool.submit(Call, 0, move |_| {
        began.send(()).unwrap();
        let _ = gate.recv();
    });
    begun.recv().unwrap();
    pool.submit(Call, 1, move |_| drop(send));
    pool.close();
    assert!(receive.recv().is_err(), "the job was dropped, and what it held with it");
    drop(open);
}

#[test]
fn a_panicking_job_costs_no_thread() {
    let pool = pool(1);
    let (send, receive) = mpsc::channel();
    pool.submit(Call, 0, |_| std::panic::resume_unwind(Box::new("expected")));
    pool.submit(Call, 1, move |_| send.send(()).unwrap());
    receive.recv().unwrap();
}

/// A job that says when it has begun and waits for the gate.
fn held(pool: &Pool, lane: Lane, tag: u64) -> mpsc::Sender<()> {
    let (open, gate) = mpsc::channel::<()>();
    let (began, begun) = mpsc::channel();
    pool.submit(lane, tag, move |_| {
        began.send(()).unwrap();
        let _ = gate.recv();
    });
    begun.recv().unwrap();
    open
}

#[test]
fn t184_no_lane_waits_for_another() {
    let pool = pool(2);
    let mut gates = Vec::new();
    for (number, lane) in [Closure, Lookup, Close, Call].into_iter().enumerate() {
        for place in 0..2 {
            gates.push(held(&pool, lane, number as u64 * 10 + place));
        }
    }
    let state = pool.inner.lock();
    assert_eq!((state.threads, state.busy), (8, [2; 4]));
}

#[test]
fn t184_an_abandoned_job_gives_its_place_to_the_next() {
    let pool = pool(1);
    let mut gates = Vec::new();
    for tag in 0..10 {
        gates.push(held(&pool, Call, tag)); // begins although the ones before still run
        pool.abandon(tag);
    }
    assert_eq!(pool.inner.lock().busy, [0; 4]);
    pool.close();
    assert_eq!(pool.wait_closed(Duration::from_secs(3_600)), 10, "nobody waits long for them");
    drop(gates);
    while pool.inner.lock().threads > 0 {
        std::thread::yield_now();
    }
    assert_eq!(pool.inner.lock().busy, [0; 4]);
}

#[test]
fn t184_an_abandoned_job_that_is_queued_never_runs() {
    let pool = pool(1);
    let gate = held(&pool, Call, 0);
    let (send, receive) = mpsc::channel::<()>();
    pool.submit(Call, 1, move |_| send.send(()).unwrap());
    pool.abandon(1);
    assert!(receive.recv().is_err());
    drop(gate);
}

#[test]
#[cfg_attr(miri, ignore = "it starts hundreds of threads")]
fn t184_abandoned_jobs_are_limited() {
    let pool = pool(1);
    let gates: Vec<_> = (0..MOST_ABANDONED as u64)
        .map(|tag| {
            let gate = held(&pool, Call, tag);
            pool.abandon(tag);
            gate
        })
        .collect();
    let last = held(&pool, Call, 1_000);
    pool.abandon(1_000);
    assert_eq!(pool.inner.lock().busy[Call as usize], 1, "this one keeps its place");
    drop((gates, last));
}
