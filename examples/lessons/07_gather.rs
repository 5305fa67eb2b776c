//! Lesson 7: `gather` and `try_gather`: all results, in the order of the arguments.
//!
//! ```text
//! cargo run --example lesson_07_gather
//! ```
//!
//! You see results in the order of the arguments, in whatever order the futures complete. With `gather` an error is a
//! result like others. `try_gather` returns the first error at once, and the other tasks *keep running*.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use std::rc::Rc;

use lesson::{Watch, seconds};
use proactor::combine::try_gather_tasks;
use proactor::sync::Event;
use proactor::time::sleep;
use proactor::{gather, spawn, try_gather};

async fn fetch(page: u32, delay: f64) -> Result<u32, String> {
    sleep(seconds(delay)).await;
    println!("  page {page} arrived");
    if page == 404 { Err(format!("page {page} was not found")) } else { Ok(page) }
}

/// Waits for paper, and prints.
async fn print(paper: Rc<Event>, printed: Rc<Event>) -> Result<u32, String> {
    paper.wait().await;
    println!("  page 0 is printed");
    printed.set();
    Ok(0)
}

fn main() {
    proactor::run(async {
        println!("gather");
        let watch = Watch::start();
        let pages = gather([fetch(1, 3.0), fetch(404, 1.0), fetch(3, 2.0)]).await;
        println!("  {pages:?} after {watch}");

        println!("try_gather, without an error");
        let pages = try_gather([fetch(1, 2.0), fetch(2, 1.0)]).await;
        println!("  {pages:?}");

        println!("try_gather, with an error");
        let watch = Watch::start();
        let (paper, printed) = (Rc::new(Event::new()), Rc::new(Event::new()));
        // Futures of different types cannot be in one array, but tasks with the same output can.
        let tasks = [spawn(print(paper.clone(), printed.clone())), spawn(fetch(404, 1.0))];
        let answer = try_gather_tasks(tasks).await;
        println!("  {answer:?} after {watch}");
        paper.set();
        printed.wait().await;
    });
}

// Output:
//
// gather
//   page 404 arrived
//   page 3 arrived
//   page 1 arrived
//   [Ok(1), Err("page 404 was not found"), Ok(3)] after 3 s
// try_gather, without an error
//   page 2 arrived
//   page 1 arrived
//   Ok([1, 2])
// try_gather, with an error
//   page 404 arrived
//   Err("page 404 was not found") after 1 s
//   page 0 is printed
