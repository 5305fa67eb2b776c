//! Lesson 12: `shield`: protects work from the cancellation of its caller.
//!
//! ```text
//! cargo run --example lesson_12_shield
//! ```
//!
//! You see a caller that gives up after a second. Without a shield, that ends the work. With a shield, the work
//! continues, because it is a separate task, and awaiting the shield again gives the result. Then the caller is
//! cancelled, and the work continues, too.
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
        println!("  {printed:?}; the print job was dropped");
        paper.set();
        yield_now().await;
        println!("  there is paper, but the print job is gone");

        println!("with a shield");
        paper.clear();
        let mut printing = shield(print(2, paper.clone()));
        let printed = timeout(seconds(1.0), &mut printing).await; // `&mut` keeps the shield
        println!("  {printed:?}, but the print job continues");
        paper.set();
        println!("  {}", printing.await);

        println!("the caller is cancelled");
        paper.clear();
        let shared = paper.clone();
        let caller = spawn(async move { shield(print(3, shared)).await });
        yield_now().await; // it starts
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
//   Err(the time limit was reached); the print job was dropped
//   there is paper, but the print job is gone
// with a shield
//   Err(the time limit was reached), but the print job continues
//   page 2 is printed
//   2
// the caller is cancelled
//   Err(the task was cancelled)
//   page 3 is printed
