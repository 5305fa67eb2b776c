//! Lesson 9: `wait`: waits for tasks without taking their results.
//!
//! ```text
//! cargo run --example lesson_09_wait
//! ```
//!
//! You see the places of the tasks that are done and of those that are pending: after the first one is done, after one
//! has failed, and after a timeout. `wait` takes no result and cancels no task, and its timeout is no error.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use std::rc::Rc;

use lesson::seconds;
use proactor::combine::{ReturnWhen, wait_results};
use proactor::spawn;
use proactor::sync::Event;
use proactor::time::sleep;

async fn work(place: usize, go: Rc<Event>) -> Result<&'static str, &'static str> {
    sleep(seconds(1.0)).await;
    match place {
        0 => Ok("a page"),
        1 => {
            go.wait().await;
            Err("out of paper")
        }
        _ => std::future::pending().await,
    }
}

fn main() {
    proactor::run(async {
        let go = Rc::new(Event::new());
        let mut tasks = [0, 1, 2].map(|place| spawn(work(place, go.clone())));

        // `wait` is for tasks of any output; `wait_results` counts an `Err` as a failure.
        let waited = wait_results(&mut tasks).until(ReturnWhen::FirstCompleted).await;
        println!("first completed: done {:?}, pending {:?}", waited.done, waited.pending);

        go.set();
        let waited = wait_results(&mut tasks).until(ReturnWhen::FirstException).await;
        println!("first exception: done {:?}, pending {:?}", waited.done, waited.pending);

        let waited = wait_results(&mut tasks).timeout(seconds(1.0)).await;
        println!("timed out:       done {:?}, pending {:?}", waited.done, waited.pending);

        let [first, second, third] = tasks;
        println!("the results are still in the handles: {:?}, {:?}", first.await, second.await);
        println!("the third is cancelled: {:?}", third.cancel().await);
    });
}

// Output:
//
// first completed: done [0], pending [1, 2]
// first exception: done [0, 1], pending [2]
// timed out:       done [0, 1], pending [2]
// the results are still in the handles: Ok(Ok("a page")), Ok(Err("out of paper"))
// the third is cancelled: Err(the task was cancelled)
