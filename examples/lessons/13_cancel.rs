//! Lesson 13: cancellation.
//!
//! ```text
//! cargo run --example lesson_13_cancel
//! ```
//!
//! You see a task that is asked to end: its future is dropped where it awaits, and destructors run. Then one that catches
//! the request, as `except CancelledError` does, says goodbye, and lets the request stand; one that swallows it; one that is
//! cancelled before it has begun; and one that never awaits, and so has never been stopped. A time limit asks in the same
//! way: the last one is ended by `timeout_scope`, and says goodbye.
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
        println!("  asked to end, and saying goodbye first");
        sleep(seconds(1.0)).await; // awaits are possible for as long as `cancelled` is kept
        drop(cancelled); // the request stands: the next await is the last
        println!("  goodbye");
        yield_now().await;
        unreachable!();
    }
}

async fn stubborn() -> &'static str {
    if let Err(cancelled) = catch_cancel(work()).await {
        cancelled.uncancel(); // as if nobody had asked
    }
    sleep(seconds(1.0)).await;
    "finished all the same"
}

async fn busy() -> u64 {
    (1..=1_000_000).sum() // no await, no way to stop it
}

fn main() {
    proactor::run(async {
        println!("a task");
        let task = spawn(work());
        yield_now().await; // it begins
        println!("  {:?}", task.cancel().await); // asked at the call; awaited, it tells what became of it

        println!("one that catches the request");
        let task = spawn(polite());
        yield_now().await;
        println!("  {:?}", task.cancel().await);

        println!("one that swallows it");
        let task = spawn(stubborn());
        yield_now().await;
        println!("  {:?}", task.cancel().await);

        println!("one that has not begun");
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
//   asked to end, and saying goodbye first
//   goodbye
//   Err(the task was cancelled)
// one that swallows it
//   working
//   the hammer is put away
//   Ok("finished all the same")
// one that has not begun
//   Err(the task was cancelled)
// one that never awaits
//   Ok(500000500000)
// one with a time limit
//   working
//   the hammer is put away
//   asked to end, and saying goodbye first
//   goodbye
//   Err(the time limit was reached)
