//! Lesson 12: `shield`: what has to be finished although nobody waits any more.
//!
//! ```text
//! cargo run --example lesson_12_shield
//! ```
//!
//! You see a caller that gives up after a second. Without a shield that is the end of the work. With one the work goes on,
//! because it is a task of its own, and a shield that was kept gives the result later. Then the caller is cancelled, and the
//! work goes on once more.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use std::rc::Rc;

use lesson::seconds;
use proactor::sync::Event;
use proactor::time::timeout;
use proactor::{shield, spawn, yield_now};

/// Waits for paper, and prints.
async fn print(page: u32, paper: Rc<Event>) -> u32 {
    paper.wait().await;
    println!("  page {page} is printed");
    page
}

fn main() {
    proactor::run(async {
        let paper = Rc::new(Event::new());

        println!("without a shield");
        let printed = timeout(seconds(1.0), print(1, paper.clone())).await;
        println!("  {printed:?}, and it was dropped");
        paper.set();
        yield_now().await;
        println!("  there is paper, but nobody prints");

        println!("with a shield");
        paper.clear();
        let mut printing = shield(print(2, paper.clone()));
        let printed = timeout(seconds(1.0), &mut printing).await; // `&mut`: the shield is not given away
        println!("  {printed:?}, but it goes on");
        paper.set();
        println!("  {}", printing.await);

        println!("the caller is cancelled");
        paper.clear();
        let shared = paper.clone();
        let caller = spawn(async move { shield(print(3, shared)).await });
        yield_now().await; // it begins
        println!("  {:?}", caller.cancel().await);
        paper.set();
        yield_now().await;
        yield_now().await;
    });
}

// The twin in Python differs: see the guide, "Shields".

// Output:
//
// without a shield
//   Err(the time limit was reached), and it was dropped
//   there is paper, but nobody prints
// with a shield
//   Err(the time limit was reached), but it goes on
//   page 2 is printed
//   2
// the caller is cancelled
//   Err(the task was cancelled)
//   page 3 is printed
