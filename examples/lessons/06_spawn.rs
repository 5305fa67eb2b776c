//! Lesson 6: awaiting a future, awaiting a task, and the order of awaits.
//!
//! ```text
//! cargo run --example lesson_06_spawn
//! ```
//!
//! You see that two futures that are awaited one after the other take as long as both: the second does not start before
//! it is awaited. Two spawned tasks run concurrently, and awaiting only collects their results. The order of the awaits
//! then decides when a result is *seen*, not when it is ready.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use lesson::{Watch, seconds};
use proactor::spawn;
use proactor::task::JoinError;
use proactor::time::sleep;

async fn after(delay: f64, what: &'static str) -> &'static str {
    sleep(seconds(delay)).await;
    what
}

async fn show() -> Result<(), JoinError> {
    println!("two futures");
    let watch = Watch::start();
    let (hello, world) = (after(1.0, "hello"), after(2.0, "world"));
    println!("  {} after {watch}", hello.await);
    println!("  {} after {watch}", world.await); // starts here

    println!("two tasks");
    let watch = Watch::start();
    let (hello, world) = (spawn(after(1.0, "hello")), spawn(after(2.0, "world")));
    println!("  {} after {watch}", hello.await?);
    println!("  {} after {watch}", world.await?); // has been running since it was spawned

    println!("the slowest task is awaited first");
    let watch = Watch::start();
    let (slow, quick) = (spawn(after(3.0, "slow")), spawn(after(1.0, "quick")));
    println!("  {} after {watch}", slow.await?);
    println!("  {} after {watch}", quick.await?); // was ready two seconds ago

    println!("a task is spawned, but a future is awaited first");
    let watch = Watch::start();
    let task = spawn(after(2.0, "task"));
    println!("  {} after {watch}", after(1.0, "future").await);
    println!("  {} after {watch}", task.await?);
    Ok(())
}

fn main() -> Result<(), JoinError> {
    proactor::run(show())
}

// Output:
//
// two futures
//   hello after 1 s
//   world after 3 s
// two tasks
//   hello after 1 s
//   world after 2 s
// the slowest task is awaited first
//   slow after 3 s
//   quick after 3 s
// a task is spawned, but a future is awaited first
//   future after 1 s
//   task after 2 s
