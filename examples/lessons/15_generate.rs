//! Lesson 15: an async generator, and the loop over it.
//!
//! ```text
//! cargo run --example lesson_15_generate
//! ```
//!
//! You see that the generator resumes only when the next value is requested; that a loop may stop early and then closes
//! it; and that two loops over two generators run concurrently, like any two coroutines.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use lesson::{Watch, seconds};
use proactor::join;
use proactor::stream::{Generator, StreamExt, generate};
use proactor::time::sleep;

/// Yields `count` numbers, one per second.
fn ticks(count: u32) -> Generator<u32> {
    generate(async move |yields| {
        println!("  (begins)");
        for tick in 1..=count {
            sleep(seconds(1.0)).await;
            yields.give(tick).await; // asyncio: `yield tick`
        }
        println!("  (ends)");
    })
}

/// asyncio: `[tick async for tick in ticks]`.
async fn collect(mut ticks: Generator<u32>) -> Vec<u32> {
    let mut all = Vec::new();
    while let Some(tick) = ticks.next().await {
        all.push(tick);
    }
    all
}

fn main() {
    proactor::run(async {
        println!("to its end");
        let mut numbers = ticks(2);
        println!("  no value was requested yet");
        while let Some(tick) = numbers.next().await {
            println!("  {tick}");
        }

        println!("left early");
        let mut numbers = ticks(1_000_000);
        while let Some(tick) = numbers.next().await {
            println!("  {tick}");
            if tick == 2 {
                break;
            }
        }
        numbers.close().await; // asyncio: `aclose`. A drop also closes it, but cannot wait for its end.
        println!("  closed");

        println!("two at once");
        let watch = Watch::start();
        let (some, others) = join!(collect(ticks(3)), collect(ticks(3)));
        println!("  {some:?} and {others:?} after {watch}");
    });
}

// Output:
//
// to its end
//   no value was requested yet
//   (begins)
//   1
//   2
//   (ends)
// left early
//   (begins)
//   1
//   2
//   closed
// two at once
//   (begins)
//   (begins)
//   (ends)
//   (ends)
//   [1, 2, 3] and [1, 2, 3] after 3 s
