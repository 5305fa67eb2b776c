//! The first program: two tasks that run concurrently on one thread.
//!
//! ```text
//! cargo run --example hello
//! PROACTOR_BACKEND=selector cargo run --example hello
//! ```
//!
//! You see a report about the runtime, then greetings of two tasks, interleaved: while one task sleeps, the other runs.
//! The program takes as long as the slower task, not as long as both together.
#![forbid(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

use proactor::{Auto, spawn, time::sleep};

/// Greets three times, with a pause after each greeting. Returns the number of greetings.
async fn greet(name: &str, pause: Duration) -> u32 {
    for count in 1..=3 {
        println!("{name}: hello {count}");
        sleep(pause).await;
    }
    3
}

fn main() -> io::Result<()> {
    // `run` creates an `Auto` runtime. The report of another one shows which backend that is on this machine, and why.
    println!("{}\n", Auto::new()?.report());

    let start = Instant::now();
    let greetings = proactor::run(async {
        // `spawn` itself runs nothing: both tasks start when this future waits.
        let quick = spawn(greet("quick", Duration::from_millis(100)));
        let slow = spawn(greet("slow", Duration::from_millis(150)));

        // Awaiting a handle returns the task's result, or an error if the task panicked or was cancelled.
        Ok::<u32, proactor::task::JoinError>(quick.await? + slow.await?)
    });

    match greetings {
        Ok(count) => println!("{count} greetings in {} ms", start.elapsed().as_millis()),
        Err(error) => println!("a task failed: {error}"),
    }
    Ok(())
}
