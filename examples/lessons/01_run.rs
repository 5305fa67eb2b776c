//! Lesson 1: a loop, created and closed by hand, and by `run`.
//!
//! ```text
//! cargo run --example lesson_01_run
//! ```
//!
//! You see that a task runs only while the loop runs, that a loop can run one future after another, and that closing it
//! cancels the tasks that are left. `run` does all of that in one call.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use std::io;
use std::time::Duration;

use lesson::seconds;
use proactor::time::sleep;
use proactor::{Auto, yield_now};

async fn answer() -> u32 {
    sleep(seconds(1.0)).await;
    42
}

/// asyncio: `new_event_loop`, `run_until_complete`, `close`.
fn by_hand() -> io::Result<()> {
    let runtime = Auto::new()?; // the proactor if the kernel allows it, otherwise the selector
    let task = runtime.spawn(async {
        println!("  the task runs");
        std::future::pending::<()>().await;
    });
    println!("  the loop and the task exist; the task has not started");

    println!("  the answer is {}", runtime.block_on(answer()));
    println!("  between two futures the loop does not run; the task is suspended");
    runtime.block_on(yield_now());
    assert!(!task.is_finished());

    let left = runtime.shutdown(Duration::from_secs(1));
    println!("  the loop is closed and has cancelled {} task", left.tasks);
    Ok(())
}

fn main() -> io::Result<()> {
    println!("by hand");
    by_hand()?;

    println!("by run");
    // asyncio: `asyncio.run(answer())`. It creates a loop, runs the future, and closes the loop in any case.
    println!("  the answer is {}", proactor::run(answer()));
    Ok(())
}

// Output:
//
// by hand
//   the loop and the task exist; the task has not started
//   the task runs
//   the answer is 42
//   between two futures the loop does not run; the task is suspended
//   the loop is closed and has cancelled 1 task
// by run
//   the answer is 42
