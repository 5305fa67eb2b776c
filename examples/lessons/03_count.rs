//! Lesson 3: three counters, one after another and concurrently.
//!
//! ```text
//! cargo run --example lesson_03_count
//! ```
//!
//! You see that three counters of a second each take three seconds if each is awaited before the next starts, and one
//! second if all are awaited together. There is one thread in both cases: the waits overlap.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use lesson::{Watch, seconds};
use proactor::gather;
use proactor::time::sleep;

async fn count(name: char) {
    println!("  {name}: one");
    sleep(seconds(1.0)).await;
    println!("  {name}: two");
}

fn main() {
    proactor::run(async {
        println!("one after the other");
        let watch = Watch::start();
        for name in ['a', 'b', 'c'] {
            count(name).await;
        }
        println!("  after {watch}");

        println!("at once");
        let watch = Watch::start();
        gather(['a', 'b', 'c'].map(count)).await;
        println!("  after {watch}");
    });
}

// Output:
//
// one after the other
//   a: one
//   a: two
//   b: one
//   b: two
//   c: one
//   c: two
//   after 3 s
// at once
//   a: one
//   b: one
//   c: one
//   a: two
//   b: two
//   c: two
//   after 1 s
