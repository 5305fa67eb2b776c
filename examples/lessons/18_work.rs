//! Lesson 18: tasks, threads and processes, for waiting and for computing.
//!
//! ```text
//! cargo run --release --example lesson_18_work
//! ```
//!
//! You see four pieces of work of each kind, done by tasks, by threads and by processes. For waiting, tasks do as well
//! as the others, at a fraction of the cost: one thread waits for all. For computing, tasks gain nothing, because they
//! share one thread; threads and processes scale with the number of free processors. (In Python, threads gain nothing
//! here, unless it was built without its global lock. Rust has no such lock.)
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use std::io;
use std::process::Command;
use std::time::Instant;

use lesson::{seconds, speed};
use proactor::task::JoinHandle;
use proactor::time::sleep;
use proactor::{gather, spawn, spawn_blocking};

const PIECES: usize = 4;

/// Counts primes.
fn compute() -> u32 {
    let to = (3_000_000.0 / speed()) as u32;
    (2..to).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count() as u32
}

fn wait() -> u32 {
    std::thread::sleep(seconds(1.0));
    1
}

/// Does the work in a child process: this program, with an argument.
fn process(work: &'static str) -> io::Result<u32> {
    let output = Command::new(std::env::current_exe()?).arg(work).output()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(io::Error::other)
}

/// Starts the pieces of work one after another, waits for all, and prints how long it took.
async fn measure(name: &str, start: impl Fn() -> JoinHandle<u32>) {
    let begun = Instant::now();
    let results = gather((0..PIECES).map(|_| start())).await;
    let results = results.into_iter().collect::<Result<Vec<_>, _>>().expect("no piece panics");
    assert!(results.windows(2).all(|two| two[0] == two[1]));
    println!("  {name:<20} {:>5} ms", begun.elapsed().as_millis());
}

async fn async_wait() -> u32 {
    sleep(seconds(1.0)).await;
    1
}

async fn compare() {
    println!("waiting, {PIECES} times a second");
    measure("tasks", || spawn(async_wait())).await;
    measure("threads", || spawn_blocking(wait)).await;
    measure("processes", || spawn_blocking(|| process("wait").expect("a process starts"))).await;

    println!("computing");
    let begun = Instant::now();
    compute();
    println!("  {:<20} {:>5} ms", "one piece", begun.elapsed().as_millis());
    println!("computing, {PIECES} times");
    measure("tasks", || spawn(async { compute() })).await;
    measure("threads", || spawn_blocking(compute)).await;
    measure("processes", || spawn_blocking(|| process("compute").expect("a process starts"))).await;
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("wait") => println!("{}", wait()),
        Some("compute") => println!("{}", compute()),
        _ => proactor::run(compare()),
    }
}

// The twin in Python differs: see the guide, "Tasks, threads, processes".

// Output, but for the figures (of a machine with two processors):
//
// waiting, 4 times a second
//   tasks                 1000 ms
//   threads               1000 ms
//   processes             1007 ms
// computing
//   one piece              687 ms
// computing, 4 times
//   tasks                 2490 ms
//   threads               1310 ms
//   processes             1265 ms
