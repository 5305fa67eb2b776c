//! Queues between tasks of any loops and plain threads: see [`sync::queue`](crate::sync::queue).
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

use crate::sync::core::flavor::Threaded;
use crate::sync::queue::{self, limit, or_none};
pub use crate::sync::queue::{Fifo, Lifo, Priority, QueueShutDown, TaskDoneError, TryGetError, TryPutError};

/// The [`queue::Queue`] that works across threads.
pub type Queue<T> = queue::Queue<T, Fifo, Threaded>;
/// The [`queue::PriorityQueue`] that works across threads.
pub type PriorityQueue<T> = queue::Queue<T, Priority, Threaded>;
/// The [`queue::LifoQueue`] that works across threads.
pub type LifoQueue<T> = queue::Queue<T, Lifo, Threaded>;

/// Creates a queue that holds up to `maxsize` items: [`queue::bounded`].
///
/// # Panics
/// If `maxsize` is 0; use [`unbounded`] for a queue without a limit.
#[track_caller]
pub fn bounded<T>(maxsize: usize) -> Queue<T> {
    Queue::with_maxsize(limit(maxsize))
}

/// Creates a queue without a limit: [`queue::unbounded`].
pub fn unbounded<T>() -> Queue<T> {
    Queue::with_maxsize(usize::MAX)
}

/// Creates a queue that returns the smallest item first: [`queue::priority`].
pub fn priority<T: Ord>(maxsize: usize) -> PriorityQueue<T> {
    queue::Queue::with_maxsize(or_none(maxsize))
}

/// Creates a queue that returns the newest item first: [`queue::lifo`].
pub fn lifo<T>(maxsize: usize) -> LifoQueue<T> {
    queue::Queue::with_maxsize(or_none(maxsize))
}
