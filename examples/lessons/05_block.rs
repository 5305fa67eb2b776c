//! Lesson 5: a sleep that blocks, and one that is awaited.
//!
//! ```text
//! cargo run --example lesson_05_block
//! ```
//!
//! You see two naps of a second. Awaited together, they take one second. With `std::thread::sleep` they take two,
//! although they are awaited together: a blocking call stops the thread, and with it the loop and every other task.
//! Blocking calls belong on the blocking pool, whose threads may block.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use lesson::{Watch, seconds};
use proactor::time::sleep;
use proactor::{gather, spawn_blocking};

async fn await_nap(name: char) {
    println!("  {name} begins");
    sleep(seconds(1.0)).await;
    println!("  {name} ends");
}

/// Async in name only.
async fn blocking_nap(name: char) {
    println!("  {name} begins");
    std::thread::sleep(seconds(1.0)); // no other task runs meanwhile
    println!("  {name} ends");
}

async fn pooled_nap(name: char) -> char {
    println!("  {name} begins");
    let slept = spawn_blocking(|| std::thread::sleep(seconds(1.0)));
    slept.await.expect("a sleep does not panic");
    name
}

fn main() {
    proactor::run(async {
        println!("sleep(..).await");
        let watch = Watch::start();
        gather(['a', 'b'].map(await_nap)).await;
        println!("  after {watch}");

        println!("std::thread::sleep(..)");
        let watch = Watch::start();
        gather(['a', 'b'].map(blocking_nap)).await;
        println!("  after {watch}");

        println!("spawn_blocking(|| std::thread::sleep(..)).await");
        let watch = Watch::start();
        let names = gather(['a', 'b'].map(pooled_nap)).await;
        println!("  {names:?} have ended after {watch}");
    });
}

// Output:
//
// sleep(..).await
//   a begins
//   b begins
//   a ends
//   b ends
//   after 1 s
// std::thread::sleep(..)
//   a begins
//   a ends
//   b begins
//   b ends
//   after 2 s
// spawn_blocking(|| std::thread::sleep(..)).await
//   a begins
//   b begins
//   ['a', 'b'] have ended after 1 s
