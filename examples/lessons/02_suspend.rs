//! Lesson 2: a future does nothing until it is awaited, and other tasks run only while it waits.
//!
//! ```text
//! cargo run --example lesson_02_suspend
//! ```
//!
//! You see that calling an async function prints nothing; that another task runs while the greeting sleeps; and that no
//! other task runs when a future that is ready is awaited, unlike with `yield_now`.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use lesson::seconds;
use proactor::time::sleep;
use proactor::{spawn, yield_now};

async fn greet() {
    println!("hello ...");
    sleep(seconds(1.0)).await; // suspended here; other tasks may run
    println!("... world");
}

/// Async, but it never waits: it is ready at its first poll.
async fn add(a: u32, b: u32) -> u32 {
    a + b
}

fn main() {
    proactor::run(async {
        let greeting = greet(); // a value of a type that implements `Future`; none of its code has run
        println!("greet() was called");
        let other = spawn(async { println!("(another task, while the greeting sleeps)") });
        greeting.await;
        other.await.unwrap();

        let other = spawn(async { println!("(another task)") });
        let mut sum = 0;
        for number in 1..=3 {
            sum = add(sum, number).await;
            println!("awaited a sum that was ready: {sum}");
        }
        println!("now yield_now, which is never ready at once");
        yield_now().await;
        println!("back again");
        other.await.unwrap();
    });
}

// Output:
//
// greet() was called
// hello ...
// (another task, while the greeting sleeps)
// ... world
// awaited a sum that was ready: 1
// awaited a sum that was ready: 3
// awaited a sum that was ready: 6
// now yield_now, which is never ready at once
// (another task)
// back again
