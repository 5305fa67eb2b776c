//! Lesson 1: a loop, made and ended by hand, and by `run`.
//!
//! ```text
//! cargo run --example lesson_01_run
//! ```
//!
//! You see that a task runs only while the loop does, that a loop can run one future after the other, and that its end
//! cancels what is left. `run` is all of that in one call.
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
    let runtime = Auto::new()?; // the proactor where the kernel lets it, otherwise the selector
    let task = runtime.spawn(async {
        println!("  the task runs");
        std::future::pending::<()>().await;
    });
    println!("  a loop is there, and a task, which has not begun");

    println!("  the answer is {}", runtime.block_on(answer()));
    println!("  between two futures the loop stands still, and the task waits: it has not ended");
    runtime.block_on(yield_now());
    assert!(!task.is_finished());

    let left = runtime.shutdown(Duration::from_secs(1));
    println!("  the loop has ended, and has cancelled {} task", left.tasks);
    Ok(())
}

fn main() -> io::Result<()> {
    println!("by hand");
    by_hand()?;

    println!("by run");
    // asyncio: `asyncio.run(answer())`. A loop is made, runs the future, and is ended whatever happens.
    println!("  the answer is {}", proactor::run(answer()));
    Ok(())
}

// Output:
//
// by hand
//   a loop is there, and a task, which has not begun
//   the task runs
//   the answer is 42
//   between two futures the loop stands still, and the task waits: it has not ended
//   the loop has ended, and has cancelled 1 task
// by run
//   the answer is 42
