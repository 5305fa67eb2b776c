//! The first program: two tasks that run side by side on one thread.
//!
//! ```text
//! cargo run --example hello
//! PROACTOR_BACKEND=selector cargo run --example hello
//! ```
//!
//! You see what the loop runs on, then two greetings in turns: each task gives way to the other while it
//! sleeps. The whole takes as long as the slower task, not as long as both.
#![forbid(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

use proactor::{Auto, spawn, time::sleep};

/// Greets three times, with a pause after each, and gives the number of greetings.
async fn greet(name: &str, pause: Duration) -> u32 {
    for count in 1..=3 {
        println!("{name}: hello {count}");
        sleep(pause).await;
    }
    3
}

fn main() -> io::Result<()> {
    // `run` makes an `Auto` runtime. Another one tells what that is on this machine, and why.
    println!("{}\n", Auto::new()?.report());

    let start = Instant::now();
    let greetings = proactor::run(async {
        // Both tasks go on as soon as this one waits; nothing happens at `spawn` itself.
        let quick = spawn(greet("quick", Duration::from_millis(100)));
        let slow = spawn(greet("slow", Duration::from_millis(150)));

        // A handle gives the task's result, or an error if the task panicked or was cancelled.
        Ok::<u32, proactor::task::JoinError>(quick.await? + slow.await?)
    });

    match greetings {
        Ok(count) => println!("{count} greetings in {} ms", start.elapsed().as_millis()),
        Err(error) => println!("a task failed: {error}"),
    }
    Ok(())
}
