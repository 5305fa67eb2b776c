//! Queues with asyncio's behaviour: any number of tasks put and get items, and a task can wait until all items are
//! processed.
//!
//! ```
//! use proactor::sync::queue;
//!
//! proactor::run(async {
//!     let jobs = queue::bounded(10);
//!     let workers: Vec<_> = (0..3)
//!         .map(|_| {
//!             let jobs = jobs.clone();
//!             proactor::spawn(async move {
//!                 let mut done = 0;
//!                 while let Ok(job) = jobs.get().await { // until the queue is shut down and empty
//!                     done += job;
//!                     jobs.task_done().unwrap();
//!                 }
//!                 done
//!             })
//!         })
//!         .collect();
//!     for job in 1..=100 {
//!         jobs.put(job).await.unwrap(); // waits while ten are in the queue
//!     }
//!     jobs.join().await; // every job is done
//!     jobs.shutdown(false);
//!     let mut sum = 0;
//!     for worker in workers {
//!         sum += worker.await.unwrap();
//!     }
//!     assert_eq!(sum, 5050);
//! });
//! ```
//!
//! asyncio's `get_nowait` and `put_nowait` are [`try_get`](Queue::try_get) and [`try_put`](Queue::try_put), its `qsize`
//! is [`len`](Queue::len). Unlike in asyncio, no newcomer overtakes a waiter, not even with `try_get` or `try_put`. A
//! getter that was served is sure of an item but not of a particular one: until it runs, another getter may take the
//! first item if there are enough for both. The same holds for putters and places.
//!
//! | file | contents |
//! |---|---|
//! | `futures.rs` | the futures |
//! | `state.rs` | the items, the waiters, and their order of service |
//! | `order.rs` | the order of the items |
//! | `error.rs` | the errors |
#![forbid(unsafe_code)]

mod error;
mod futures;
mod order;
mod state;

use std::fmt;

pub use self::error::{QueueShutDown, TaskDoneError, TryGetError, TryPutError};
pub use self::futures::{Get, Join, Put};
pub use self::order::{Fifo, Lifo, Order, Priority};
use self::state::{Refused, State};
use super::core::blocking::{block_on, no_loop_here};
use super::core::flavor::{Flavor, Local, Threaded};
use super::core::waiting::{QueueStatus, wake_all};

/// A [`Queue`] that returns the smallest item first.
pub type PriorityQueue<T> = Queue<T, Priority>;
/// A [`Queue`] that returns the newest item first.
pub type LifoQueue<T> = Queue<T, Lifo>;

/// Creates a queue that holds up to `maxsize` items: asyncio's `Queue(maxsize)`.
///
/// # Panics
/// If `maxsize` is 0; use [`unbounded`] for a queue without a limit.
#[track_caller]
pub fn bounded<T>(maxsize: usize) -> Queue<T> {
    Queue::with_maxsize(limit(maxsize))
}

/// Creates a queue without a limit: asyncio's `Queue()`.
pub fn unbounded<T>() -> Queue<T> {
    Queue::with_maxsize(usize::MAX)
}

/// Creates a queue that returns the smallest item first: asyncio's `PriorityQueue(maxsize)`.
///
/// Equal items keep the order in which they were put. A `maxsize` of 0 means no limit.
///
/// Items are compared while the queue is locked, so a comparison must not use the queue. A panic of a comparison
/// surfaces from the `put` or `get`; no item is lost, but some may be out of order afterwards.
///
/// # Examples
/// ```
/// use proactor::sync::queue;
/// use std::cmp::Reverse;
///
/// let queue = queue::priority(0);
/// queue.try_put((2, "later")).unwrap();
/// queue.try_put((1, "first")).unwrap();
/// assert_eq!(queue.try_get(), Ok((1, "first")));
///
/// let greatest_first = queue::priority(0);
/// greatest_first.try_put(Reverse(1)).unwrap();
/// greatest_first.try_put(Reverse(2)).unwrap();
/// assert_eq!(greatest_first.try_get(), Ok(Reverse(2)));
/// ```
pub fn priority<T: Ord>(maxsize: usize) -> PriorityQueue<T> {
    Queue::with_maxsize(or_none(maxsize))
}

/// Creates a queue that returns the newest item first: asyncio's `LifoQueue(maxsize)`. A `maxsize` of 0 means no limit.
///
/// # Examples
/// ```
/// let stack = proactor::sync::queue::lifo(0);
/// stack.try_put("old").unwrap();
/// stack.try_put("new").unwrap();
/// assert_eq!(stack.try_get(), Ok("new"));
/// ```
pub fn lifo<T>(maxsize: usize) -> LifoQueue<T> {
    Queue::with_maxsize(or_none(maxsize))
}

#[track_caller]
pub(super) fn limit(maxsize: usize) -> usize {
    assert!(
        maxsize > 0,
        "a bounded queue needs a `maxsize` of at least one: for no limit use `queue::unbounded()`"
    );
    maxsize
}

pub(super) fn or_none(maxsize: usize) -> usize {
    if maxsize == 0 { usize::MAX } else { maxsize }
}

/// A handle to a queue. Clones are handles to the same queue.
///
/// # Examples
/// ```
/// use proactor::sync::queue;
///
/// proactor::run(async {
///     let queue = queue::unbounded();
///     let other = queue.clone();
///     let getter = proactor::spawn(async move { other.get().await });
///     queue.put("item").await.unwrap();
///     assert_eq!(getter.await.unwrap(), Ok("item"));
/// });
/// ```
pub struct Queue<T, O: Order<T> = Fifo, F: Flavor = Local> {
    state: F::Rc<F::Cell<State<T, O, F>>>,
}

impl<T, O: Order<T>, F: Flavor> Queue<T, O, F> {
    pub(super) fn with_maxsize(maxsize: usize) -> Self {
        Queue { state: F::rc(F::cell(State::new(maxsize))) }
    }

    /// Puts an item. Waits while the queue is full, behind all earlier putters.
    ///
    /// # Errors
    /// [`QueueShutDown`] with the item if the queue was shut down, before or during the wait.
    ///
    /// # Cancellation
    /// Dropping the future before it is ready puts nothing and drops the item. A place that it had already been given
    /// goes to the next waiter.
    pub fn put(&self, item: T) -> Put<'_, T, O, F> {
        Put { state: &self.state, item: Some(item), ticket: None }
    }

    /// Puts an item if there is room and no putter waits.
    ///
    /// # Errors
    /// [`TryPutError`] with the item.
    pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
        let mut item = Some(item);
        match F::with(&self.state, |state| state.put(&mut item, QueueStatus::New)) {
            Ok(done) => {
                done.finish();
                Ok(())
            }
            Err(refused) => {
                let item = item.expect("it was not put");
                Err(match refused {
                    Refused::NotNow => TryPutError::Full(item),
                    Refused::ShutDown => TryPutError::ShutDown(item),
                })
            }
        }
    }

    /// Removes and returns the next item. Waits while the queue is empty, behind all earlier getters.
    ///
    /// # Errors
    /// [`QueueShutDown`] if the queue was shut down and is empty.
    ///
    /// # Cancellation
    /// Dropping the future takes no item. If it had already been served, the next waiter gets the item.
    pub fn get(&self) -> Get<'_, T, O, F> {
        Get { state: &self.state, ticket: None }
    }

    /// Removes and returns the next item if there is one that is not reserved for a waiting getter.
    ///
    /// # Errors
    /// [`TryGetError`].
    pub fn try_get(&self) -> Result<T, TryGetError> {
        match F::with(&self.state, |state| state.get(QueueStatus::New)) {
            Ok(done) => Ok(done.finish()),
            Err(Refused::NotNow) => Err(TryGetError::Empty),
            Err(Refused::ShutDown) => Err(TryGetError::ShutDown),
        }
    }

    /// Reports that an item from [`get`](Self::get) was processed; see [`join`](Self::join).
    ///
    /// # Errors
    /// [`TaskDoneError`] if it is called more often than items were put.
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        let last = F::with(&self.state, |state| state.task_done()).ok_or(TaskDoneError)?;
        if last {
            wake_all::<F, _>(&self.state, State::joiners);
        }
        Ok(())
    }

    /// Waits until [`task_done`](Self::task_done) has been called for every item that was put.
    ///
    /// # Cancellation
    /// Dropping the future only ends the wait.
    pub fn join(&self) -> Join<'_, T, O, F> {
        Join { state: &self.state, since: None, ticket: None }
    }

    /// Shuts the queue down: waiting and later puts fail. Waiting gets fail at once, later ones once the queue is
    /// empty.
    ///
    /// With `immediate`, the items in the queue are dropped at once and count as done, so that [`join`](Self::join)
    /// waits only for the items that getters have taken.
    pub fn shutdown(&self, immediate: bool) {
        // Dropped last, outside the lock: destructors are user code.
        let _left = F::with(&self.state, |state| state.shut_down(immediate));
        wake_all::<F, _>(&self.state, State::getters);
        wake_all::<F, _>(&self.state, State::putters);
        wake_all::<F, _>(&self.state, State::joiners); // they check whether all items are done
    }

    /// Whether the queue was shut down.
    pub fn is_shut_down(&self) -> bool {
        F::with(&self.state, |state| state.is_shut_down())
    }

    /// Number of items in the queue.
    pub fn len(&self) -> usize {
        F::with(&self.state, |state| state.len())
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the queue holds the maximum number of items.
    pub fn is_full(&self) -> bool {
        F::with(&self.state, |state| state.is_full())
    }

    /// Maximum number of items in the queue; `None` without a limit.
    pub fn maxsize(&self) -> Option<usize> {
        F::with(&self.state, |state| state.maxsize())
    }
}

impl<T, O: Order<T>> Queue<T, O, Threaded> {
    /// Puts an item from a plain thread, which blocks while the queue is full.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    ///
    /// # Panics
    /// On the thread of a running loop, because it would block the loop.
    #[track_caller]
    pub fn blocking_put(&self, item: T) -> Result<(), QueueShutDown<T>> {
        no_loop_here("Queue::blocking_put", "put(item)");
        block_on(self.put(item))
    }

    /// Removes and returns the next item on a plain thread, which blocks while the queue is empty.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    ///
    /// # Panics
    /// On the thread of a running loop, because it would block the loop.
    #[track_caller]
    pub fn blocking_get(&self) -> Result<T, QueueShutDown> {
        no_loop_here("Queue::blocking_get", "get()");
        block_on(self.get())
    }
}

impl<T, O: Order<T>, F: Flavor> Clone for Queue<T, O, F> {
    fn clone(&self) -> Self {
        Queue { state: self.state.clone() }
    }
}

impl<T, O: Order<T>, F: Flavor> fmt::Debug for Queue<T, O, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("len", &self.len()).field("maxsize", &self.maxsize()).finish()
    }
}
