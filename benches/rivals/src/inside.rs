//! The workloads that need nobody outside the process, written once for every runtime.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::peer::{BLOCK, Blocks, Peer};
use crate::process::{Job, pin_waker};
use crate::workload::{Cores, Workload};

/// Does so many operations of a workload that needs no load from outside. `None` when the runtime lacks it.
pub async fn run<P: Peer>(job: &Job, ops: u64) -> Option<()> {
    let (file, cores) = (&*job.file, job.cores);
    match job.workload {
        Workload::Spawn => spawn::<P>(ops).await,
        Workload::Yield => yields::<P>(ops).await,
        Workload::TimeoutReady => timeout_ready::<P>(ops).await,
        Workload::TimeoutArmed => timeout_armed::<P>(ops).await,
        Workload::Timers => timers::<P>(ops).await,
        Workload::Nop { in_flight } => return nops::<P>(ops, in_flight).await,
        Workload::Read { direct: false, in_flight } => blocks::<P>(ops, Blocks::Read, in_flight, file).await,
        Workload::Read { direct: true, in_flight } => {
            blocks::<P>(ops, Blocks::ReadDirect, in_flight, file).await
        }
        Workload::Write => blocks::<P>(ops, Blocks::Write, 1, file).await,
        Workload::Wake => wakes::<P>(ops, cores).await,
        Workload::Echo { .. } | Workload::Churn { .. } | Workload::Stream { .. } | Workload::Idle { .. } => {
            unreachable!("it has its load outside")
        }
    }
    Some(())
}

async fn spawn<P: Peer>(ops: u64) {
    let mut joins = Vec::with_capacity(1_000);
    let mut left = ops;
    while left > 0 {
        let batch = left.min(1_000);
        joins.extend((0..batch).map(|number| P::spawn(async move { std::hint::black_box(number) })));
        for join in joins.drain(..) {
            join.await;
        }
        left -= batch;
    }
}

async fn yields<P: Peer>(ops: u64) {
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            P::spawn(async move {
                for _ in 0..ops / 100 {
                    P::yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
}

const TEN_SECONDS: Duration = Duration::from_secs(10);

async fn timeout_ready<P: Peer>(ops: u64) {
    for _ in 0..ops {
        assert!(P::timeout(TEN_SECONDS, std::future::ready(())).await);
    }
}

/// Each is polled once, which arms it, and dropped.
async fn timeout_armed<P: Peer>(ops: u64) {
    for _ in 0..ops {
        let mut timeout = pin!(P::timeout(TEN_SECONDS, std::future::pending::<()>()));
        let armed = poll_fn(|cx| Poll::Ready(timeout.as_mut().poll(cx).is_pending())).await;
        assert!(armed);
    }
}

/// One task each; all are asleep at once, for times that lie evenly in a second.
async fn timers<P: Peer>(ops: u64) {
    let tasks: Vec<_> = (0..ops)
        .map(|number| {
            let micros = number.wrapping_mul(7_919) % 1_000_000;
            P::spawn(P::sleep(Duration::from_micros(micros)))
        })
        .collect();
    for task in tasks {
        task.await;
    }
}

async fn nops<P: Peer>(ops: u64, in_flight: usize) -> Option<()> {
    drop(P::nop()?); // whether there is one
    let left = Rc::new(Cell::new(ops));
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let left = left.clone();
            P::spawn(async move {
                while left.get() > 0 {
                    left.set(left.get() - 1);
                    if let Some(nop) = P::nop() {
                        nop.await;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await;
    }
    Some(())
}

async fn blocks<P: Peer>(ops: u64, what: Blocks, in_flight: usize, file: &Path) {
    let blocks = std::fs::metadata(file).expect("the file is there").len() / BLOCK as u64;
    let left = Rc::new(Cell::new(ops));
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let left = left.clone();
            P::spawn(P::move_blocks(file, what, move || {
                let number = left.get().checked_sub(1)?;
                left.set(number);
                Some(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % blocks * BLOCK as u64)
            }))
        })
        .collect();
    for task in tasks {
        task.await.expect("the file can be read and written");
    }
}

/// A thread wakes the loop, the loop unparks the thread, over and over.
async fn wakes<P: Peer>(ops: u64, cores: Cores) {
    struct Meeting {
        asked: AtomicU64,
        waker: Mutex<Option<Waker>>,
    }
    let meeting = Arc::new(Meeting { asked: AtomicU64::new(0), waker: Mutex::new(None) });
    let answered = Arc::new(AtomicU64::new(0));
    let thread = std::thread::spawn({
        let (meeting, answered) = (meeting.clone(), answered.clone());
        move || {
            pin_waker(cores);
            for round in 1..=ops {
                meeting.asked.store(round, Ordering::Release);
                if let Some(waker) = meeting.waker.lock().unwrap().as_ref() {
                    waker.wake_by_ref();
                }
                while answered.load(Ordering::Acquire) < round {
                    std::thread::park();
                }
            }
        }
    });
    for round in 1..=ops {
        poll_fn(|cx| {
            let mut waker = meeting.waker.lock().unwrap();
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            drop(waker);
            if meeting.asked.load(Ordering::Acquire) >= round { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        answered.store(round, Ordering::Release);
        thread.thread().unpark();
    }
    thread.join().unwrap();
}
