//! Lesson 17: producers and consumers, with a queue between them.
//!
//! ```text
//! cargo run --example lesson_17_queue
//! ```
//!
//! You see two producers that make items at random times, and three consumers that take the next item. `join` waits
//! until every item is processed, and the shutdown of the queue ends the consumers.
#![forbid(unsafe_code)]

#[path = "lesson.rs"]
mod lesson;

use std::io;

use lesson::{Watch, seconds};
use proactor::sync::queue::{self, Queue};
use proactor::time::sleep;
use proactor::{Auto, Config, random, spawn};

struct Item {
    name: String,
    made: Watch,
}

async fn produce(producer: char, items: Queue<Item>) {
    let delays = [random(), random(), random()].map(|number| (number % 20) as f64 / 10.0);
    for (number, delay) in delays.into_iter().enumerate() {
        sleep(seconds(delay)).await;
        let name = format!("{producer}{number}");
        println!("{name} is made");
        // Waits while the queue is full: slow consumers slow the producers down.
        items.put(Item { name, made: Watch::start() }).await.expect("the queue is open");
    }
}

/// Returns the number of items that it has consumed.
async fn consume(items: Queue<Item>) -> usize {
    let mut count = 0;
    while let Ok(item) = items.get().await {
        sleep(seconds(1.0)).await;
        println!("{} is consumed, {} old", item.name, item.made);
        items.task_done().expect("it was got");
        count += 1;
    }
    count // the queue was shut down and is empty
}

fn main() -> io::Result<()> {
    let runtime = Auto::with_config(&Config::new().seed(1))?;
    runtime.block_on(async {
        let items = queue::bounded(2);
        let producers = ['a', 'b'].map(|producer| spawn(produce(producer, items.clone())));
        let consumers = [(); 3].map(|()| spawn(consume(items.clone())));
        for producer in producers {
            producer.await.expect("producers do not panic");
        }
        items.join().await;
        items.shutdown(false);

        let mut consumed = 0;
        for consumer in consumers {
            consumed += consumer.await.expect("consumers do not panic");
        }
        println!("{consumed} items in all");
        Ok(())
    })
}

// Output, in any order:
//
// a0 is made
// b0 is made
// a0 is consumed, 1 s old
// b1 is made
// b2 is made
// a1 is made
// b0 is consumed, 1 s old
// b1 is consumed, 1 s old
// b2 is consumed, 1 s old
// a2 is made
// a1 is consumed, 1 s old
// a2 is consumed, 1 s old
// 6 items in all
