//! Lesson 13: cancellation.
//!
//! ```text
//! cargo run --example lesson_13_cancel
//! ```
//!
//! You see a task that is cancelled: its future is dropped where it awaits, and destructors run. Then one that catches
//! the request, as `except CancelledError` does, says goodbye, and accepts the cancellation; one that swallows it; one
//! that is cancelled before it has started; and one that never awaits, so that it cannot be cancelled. A time limit
//! cancels in the same way: `timeout_scope` ends the last one, which says goodbye.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use std::future::pending;

use lesson::seconds;
use proactor::task::catch_cancel;
use proactor::time::{sleep, timeout_scope};
use proactor::{spawn, yield_now};

struct Tool(&'static str);

impl Drop for Tool {
    fn drop(&mut self) {
        println!("  {} is put away", self.0);
    }
}

async fn work() {
    let _tool = Tool("the hammer");
    println!("  working");
    pending().await
}

async fn polite() {
    if let Err(cancelled) = catch_cancel(work()).await {
        println!("  cancelled; says goodbye first");
        sleep(seconds(1.0)).await; // it can await as long as it keeps `cancelled`
        drop(cancelled); // accepts the cancellation: the task ends at its next await
        println!("  goodbye");
        yield_now().await;
        unreachable!();
    }
}

async fn stubborn() -> &'static str {
    if let Err(cancelled) = catch_cancel(work()).await {
        cancelled.uncancel(); // as if there had been no request
    }
    sleep(seconds(1.0)).await;
    "finished nevertheless"
}

async fn busy() -> u64 {
    (1..=1_000_000).sum() // without an await it cannot be stopped
}

fn main() {
    proactor::run(async {
        println!("a task");
        let task = spawn(work());
        yield_now().await; // it starts
        println!("  {:?}", task.cancel().await); // the call sends the request; the await returns the task's result

        println!("one that catches the request");
        let task = spawn(polite());
        yield_now().await;
        println!("  {:?}", task.cancel().await);

        println!("one that swallows it");
        let task = spawn(stubborn());
        yield_now().await;
        println!("  {:?}", task.cancel().await);

        println!("one that has not started");
        println!("  {:?}", spawn(work()).cancel().await);

        println!("one that never awaits");
        let task = spawn(busy());
        yield_now().await;
        println!("  {:?}", task.cancel().await);

        println!("one with a time limit");
        println!("  {:?}", timeout_scope(seconds(1.0), async |_| polite().await).await);
    });
}

// Output:
//
// a task
//   working
//   the hammer is put away
//   Err(the task was cancelled)
// one that catches the request
//   working
//   the hammer is put away
//   cancelled; says goodbye first
//   goodbye
//   Err(the task was cancelled)
// one that swallows it
//   working
//   the hammer is put away
//   Ok("finished nevertheless")
// one that has not started
//   Err(the task was cancelled)
// one that never awaits
//   Ok(500000500000)
// one with a time limit
//   working
//   the hammer is put away
//   cancelled; says goodbye first
//   goodbye
//   Err(the time limit was reached)
