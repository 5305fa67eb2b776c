//! Lesson 4: coroutines that await each other, with random delays.
//!
//! ```text
//! cargo run --example lesson_04_chain
//! cargo run --example lesson_04_chain -- 7     # another seed, other delays
//! ```
//!
//! You see three chains of two steps each. Within a chain the second step starts when the first has returned; between
//! chains there is no such order, and all together take as long as the longest. `Config::seed` seeds the random numbers
//! of the loop, so every run with the same seed is the same.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use std::io;

use lesson::{Watch, seconds};
use proactor::time::sleep;
use proactor::{Auto, Config, gather, random};

/// From 0.5 to 3.0 seconds.
fn random_delay() -> f64 {
    0.5 + (random() % 26) as f64 / 10.0
}

async fn fetch(chain: u32, delay: f64) -> String {
    println!("{chain}: fetches for {delay:.1} s");
    sleep(seconds(delay)).await;
    format!("page {chain}")
}

async fn store(chain: u32, page: &str, delay: f64) -> usize {
    println!("{chain}: stores {page} for {delay:.1} s");
    sleep(seconds(delay)).await;
    page.len()
}

async fn chain(chain: u32) -> usize {
    let (first, second) = (random_delay(), random_delay());
    let page = fetch(chain, first).await;
    let stored = store(chain, &page, second).await;
    println!("{chain}: has stored {stored} bytes");
    stored
}

fn main() -> io::Result<()> {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let runtime = Auto::with_config(&Config::new().seed(seed))?;
    let watch = Watch::start();
    let stored = runtime.block_on(async { gather([1, 2, 3].map(chain)).await });
    println!("{} bytes in all, after {watch}", stored.iter().sum::<usize>());
    Ok(())
}

// Output, in any order:
//
// 1: fetches for 2.4 s
// 2: fetches for 1.9 s
// 3: fetches for 1.0 s
// 3: stores page 3 for 0.7 s
// 3: has stored 6 bytes
// 2: stores page 2 for 0.8 s
// 1: stores page 1 for 2.4 s
// 2: has stored 6 bytes
// 1: has stored 6 bytes
// 18 bytes in all, after 5 s
