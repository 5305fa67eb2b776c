//! Queues between tasks of any loops and plain threads: [`sync::queue`](crate::sync::queue) between threads.
//!
//! ```
//! use proactor::sync::shared::queue;
//!
//! let queue = queue::bounded(4);
//! let worker = std::thread::spawn({
//!     let queue = queue.clone();
//!     move || {
//!         let mut sum = 0;
//!         while let Ok(number) = queue.blocking_get() {
//!             sum += number;
//!         }
//!         sum
//!     }
//! });
//! proactor::run(async {
//!     for number in 0..100 {
//!         queue.put(number).await.unwrap();
//!     }
//! });
//! queue.shutdown(false);
//! assert_eq!(worker.join().unwrap(), 4950);
//! ```
#![forbid(unsafe_code)]

use crate::sync::flavor::Threaded;
use crate::sync::queue::{self, limit, or_none};
pub use crate::sync::queue::{Fifo, Lifo, Priority, QueueShutDown, TaskDoneError, TryGetError, TryPutError};

/// [`queue::Queue`] between threads.
pub type Queue<T> = queue::Queue<T, Fifo, Threaded>;
/// [`queue::PriorityQueue`] between threads.
pub type PriorityQueue<T> = queue::Queue<T, Priority, Threaded>;
/// [`queue::LifoQueue`] between threads.
pub type LifoQueue<T> = queue::Queue<T, Lifo, Threaded>;

/// A queue that holds so many items: [`queue::bounded`].
///
/// # Panics
/// If `maxsize` is 0; that would be [`unbounded`].
#[track_caller]
pub fn bounded<T>(maxsize: usize) -> Queue<T> {
    Queue::with_maxsize(limit(maxsize))
}

/// A queue without a limit: [`queue::unbounded`].
pub fn unbounded<T>() -> Queue<T> {
    Queue::with_maxsize(usize::MAX)
}

/// A queue that gives the least item first: [`queue::priority`].
pub fn priority<T: Ord>(maxsize: usize) -> PriorityQueue<T> {
    queue::Queue::with_maxsize(or_none(maxsize))
}

/// A queue that gives the newest item first: [`queue::lifo`].
pub fn lifo<T>(maxsize: usize) -> LifoQueue<T> {
    queue::Queue::with_maxsize(or_none(maxsize))
}
