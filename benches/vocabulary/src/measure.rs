//! One measurement: so much work, on one loop or between two, and what it cost.

use std::ops::AsyncFn;
use std::sync::{Arc, Barrier};
use std::time::Instant;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::loops::Loop;

/// What some operations cost, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// CPU time of the thread, or of the whole process where there are two.
    pub cpu: f64,
    pub wall: f64,
    /// How often a thread of the process has gone to sleep.
    pub sleeps: f64,
}

struct Start {
    clock: ClockId,
    cpu: f64,
    wall: Instant,
    sleeps: f64,
}

impl Start {
    fn now(clock: ClockId) -> Self {
        Start { clock, sleeps: sleeps(), cpu: read(clock), wall: Instant::now() }
    }

    fn cost(&self) -> Cost {
        let cpu = read(self.clock) - self.cpu;
        Cost { cpu, wall: self.wall.elapsed().as_nanos() as f64, sleeps: sleeps() - self.sleeps }
    }
}

fn read(clock: ClockId) -> f64 {
    let time = clock_gettime(clock).expect("this clock exists");
    time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64
}

fn sleeps() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask what it has used");
    usage.voluntary_context_switches() as f64
}

/// How much is done before, for caches, allocators and arenas.
fn warm(ops: u64) -> u64 {
    (ops / 10).next_multiple_of(1_000)
}

/// `work` does as many operations as it is told, in a task of a loop of its own.
pub fn here<L: Loop>(ops: u64, work: impl AsyncFn(u64) + 'static) -> Cost {
    L::block_on(async move {
        work(warm(ops)).await;
        let start = Start::now(ClockId::CLOCK_THREAD_CPUTIME_ID);
        work(ops).await;
        start.cost()
    })
}

/// Two sides of the same, each in a task of a loop on a thread and a processor of its own.
pub fn across<L: Loop, A: Send + 'static, B: Send + 'static>(
    ops: u64,
    (mut a, mut b): (A, B),
    work_a: impl AsyncFn(&mut A, u64) + Send + 'static,
    work_b: impl AsyncFn(&mut B, u64) + Send + 'static,
) -> Cost {
    let meet = Arc::new(Barrier::new(2));
    let other = meet.clone();
    let side_b = std::thread::spawn(move || {
        pin(1);
        L::block_on(async move {
            work_b(&mut b, warm(ops)).await;
            other.wait();
            other.wait();
            work_b(&mut b, ops).await;
            other.wait();
        });
    });
    let side_a = std::thread::spawn(move || {
        pin(0);
        L::block_on(async move {
            work_a(&mut a, warm(ops)).await;
            meet.wait();
            let start = Start::now(ClockId::CLOCK_PROCESS_CPUTIME_ID);
            meet.wait();
            work_a(&mut a, ops).await;
            meet.wait();
            start.cost()
        })
    });
    side_b.join().expect("side b ends well");
    side_a.join().expect("side a ends well")
}

/// Keeps this thread on one of the processors, if there is more than one.
fn pin(number: usize) {
    let here = Pid::from_raw(0);
    let allowed = sched_getaffinity(here).expect("a thread may ask where it may run");
    let ours: Vec<_> = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
    let mut one = CpuSet::new();
    one.set(ours[number % ours.len()]).expect("it is in the set");
    let _ = sched_setaffinity(here, &one); // else it runs where it runs
}
