//! Lesson 10: a group of tasks, one of which fails.
//!
//! ```text
//! cargo run --example lesson_10_group
//! ```
//!
//! You see that the first error cancels the other tasks; that one of them cleans up first, and fails in its cleanup;
//! that the group waits for all of them; and that it then returns every error. No task is left behind. The children may
//! borrow from outside the group, as they borrow the page here.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use std::error::Error;
use std::future::pending;
use std::io;

use lesson::seconds;
use proactor::task::{GroupError, catch_cancel, task_group};
use proactor::time::sleep;

type Outcome<T> = Result<T, Box<dyn Error>>;

async fn print(page: &str) -> Outcome<usize> {
    sleep(seconds(1.0)).await;
    println!("{page} is printed");
    Ok(page.len())
}

async fn parse(text: &str) -> Outcome<i32> {
    sleep(seconds(1.0)).await;
    println!("{text} is parsed");
    Ok(text.parse::<i32>()?)
}

/// Waits forever, unless it is cancelled.
async fn save(page: &str) -> Outcome<()> {
    if let Err(cancelled) = catch_cancel(pending::<()>()).await {
        sleep(seconds(1.0)).await; // the group waits for this
        println!("{page} is half saved");
        drop(cancelled); // accepts the cancellation
        return Err(io::Error::other("the disk is full").into());
    }
    Ok(())
}

fn main() {
    let page = String::from("page 1");
    proactor::run(async {
        let ended: Result<(), GroupError> = task_group(async |g| {
            let printed = g.spawn(print(&page));
            g.spawn(save(&page));
            println!("{} bytes, says the first child", printed.await?);
            g.spawn(parse("number 7"));
            Ok(()) // the group now waits for the others
        })
        .await;

        let error = ended.unwrap_err();
        println!("{error}");
        let (numbers, rest) = error.downcast::<std::num::ParseIntError>(); // asyncio: `except* ValueError`
        println!("of numbers: {}, of others: {}", numbers.len(), rest.map_or(0, |rest| rest.len()));
    });
}

// The twin in Python differs: see the guide, "Groups".

// Output:
//
// page 1 is printed
// 6 bytes, says the first child
// number 7 is parsed
// page 1 is half saved
// 2 errors in a task group
// - invalid digit found in string
// - the disk is full
// of numbers: 1, of others: 1
