//! Lesson 8: `as_completed`: each result as soon as it is ready.
//!
//! ```text
//! cargo run --example lesson_08_as_completed
//! ```
//!
//! You see results in the order of completion, each with the place of its future among the arguments. A time limit
//! around one step loses no result, and dropping the stream drops the futures that are left.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use lesson::{Watch, seconds};
use proactor::as_completed;
use proactor::time::{sleep, timeout};

async fn nap(delay: f64) -> String {
    sleep(seconds(delay)).await;
    format!("slept for {delay} s")
}

fn main() {
    proactor::run(async {
        let watch = Watch::start();
        let mut naps = as_completed([3.0, 1.0, 2.0].map(nap));
        while let Some((place, nap)) = naps.next().await {
            println!("place {place}: {nap}, arrived after {watch}");
        }

        let mut naps = as_completed([1_000_000.0, 1.0].map(nap));
        loop {
            match timeout(seconds(3.0), naps.next()).await {
                Ok(Some((place, nap))) => println!("place {place}: {nap}"),
                Ok(None) => break println!("that was all"),
                Err(elapsed) => break println!("{elapsed}; {} is left", naps.len()),
            }
        }
    });
}

// The twin in Python differs: see the guide, "Several at once".

// Output:
//
// place 1: slept for 1 s, arrived after 1 s
// place 2: slept for 2 s, arrived after 2 s
// place 0: slept for 3 s, arrived after 3 s
// place 1: slept for 1 s
// the time limit was reached; 1 is left
