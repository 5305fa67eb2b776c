//! Queues between tasks, as asyncio has them: any number of tasks put, any number get, and one can wait until all that
//! was put has been dealt with.
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
//! is [`len`](Queue::len). Other than there, nobody overtakes those who wait: neither who asks at once nor who has
//! just come. Who was served is sure of an item, or of a place, though not of which: another one that is there until it
//! goes on is for whoever comes, and may be the first.
//!
//! | file | what it holds |
//! |---|---|
//! | `state.rs` | what is in a queue, who waits, who is served |
//! | `order.rs` | which item is next |
//! | `error.rs` | the errors |
#![forbid(unsafe_code)]

mod error;
mod order;
mod state;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pub use self::error::{QueueShutDown, TaskDoneError, TryGetError, TryPutError};
pub use self::order::{Fifo, Lifo, Order, Priority};
use self::state::{Refused, State};
use super::blocking::{block_on, no_loop_here};
use super::flavor::{Flavor, Local, Threaded};
use super::waiters::Ticket;
use super::waiting::{self, Standing, poll_queue, wake_all};

/// A [`Queue`] that gives the least item first.
pub type PriorityQueue<T> = Queue<T, Priority>;
/// A [`Queue`] that gives the newest item first.
pub type LifoQueue<T> = Queue<T, Lifo>;

/// A queue that holds so many items: asyncio's `Queue(maxsize)`.
///
/// # Panics
/// If `maxsize` is 0; that would be [`unbounded`].
#[track_caller]
pub fn bounded<T>(maxsize: usize) -> Queue<T> {
    Queue::with_maxsize(limit(maxsize))
}

/// A queue without a limit: asyncio's `Queue()`.
pub fn unbounded<T>() -> Queue<T> {
    Queue::with_maxsize(usize::MAX)
}

/// A queue that gives the least item first, and equal ones in the order in which they were put: asyncio's
/// `PriorityQueue(maxsize)`. With a `maxsize` of 0 it has no limit.
///
/// Items are compared while the queue is locked: a comparison must not use the queue. One that panics surfaces from the
/// `put` or `get`; no item is lost by it, though some may then be out of their order.
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

/// A queue that gives the newest item first: asyncio's `LifoQueue(maxsize)`. With a `maxsize` of 0 it has no limit.
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
        "a queue without room could never be put into: for no limit use `queue::unbounded()`"
    );
    maxsize
}

pub(super) fn or_none(maxsize: usize) -> usize {
    if maxsize == 0 { usize::MAX } else { maxsize }
}

/// A queue, by any of its handles: clones are of the same queue.
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

    /// Puts an item once there is room and all who waited before have been served.
    ///
    /// # Errors
    /// [`QueueShutDown`] with the item when the queue was shut down, also while this waits.
    ///
    /// # Cancellation
    /// A future that is dropped before it is ready has put nothing, and drops the item; its place goes to the next.
    pub fn put(&self, item: T) -> Put<'_, T, O, F> {
        Put { state: &self.state, item: Some(item), ticket: None }
    }

    /// Puts an item if there is room now and nobody waits for it.
    ///
    /// # Errors
    /// [`TryPutError`], with the item.
    pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
        let mut item = Some(item);
        match F::with(&self.state, |state| state.put(&mut item, Standing::New)) {
            Ok(done) => {
                done.settle();
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

    /// Takes an item once there is one and all who waited before have been served.
    ///
    /// # Errors
    /// [`QueueShutDown`] when the queue was shut down and nothing is left in it.
    ///
    /// # Cancellation
    /// A future that is dropped has taken nothing, also when it had been served: the next in the queue is.
    pub fn get(&self) -> Get<'_, T, O, F> {
        Get { state: &self.state, ticket: None }
    }

    /// Takes an item if there is one now that is not for somebody who waited.
    ///
    /// # Errors
    /// [`TryGetError`].
    pub fn try_get(&self) -> Result<T, TryGetError> {
        match F::with(&self.state, |state| state.get(Standing::New)) {
            Ok(done) => Ok(done.settle()),
            Err(Refused::NotNow) => Err(TryGetError::Empty),
            Err(Refused::ShutDown) => Err(TryGetError::ShutDown),
        }
    }

    /// Says that an item that was got has been dealt with; see [`join`](Self::join).
    ///
    /// # Errors
    /// [`TaskDoneError`] when it is called more often than items were put.
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
    /// Nothing is lost.
    pub fn join(&self) -> Join<'_, T, O, F> {
        Join { state: &self.state, since: None, ticket: None }
    }

    /// Ends the queue: puts fail from now on, those that wait too. Gets fail once the queue is empty, and those that wait
    /// at once.
    ///
    /// With `immediate`, what is in the queue is dropped now and counts as done, so that [`join`](Self::join)
    /// waits for nothing but what is in the hands of getters.
    pub fn shutdown(&self, immediate: bool) {
        // Dropped last, without the lock: that is code of the user.
        let _left = F::with(&self.state, |state| state.shut_down(immediate));
        wake_all::<F, _>(&self.state, State::getters);
        wake_all::<F, _>(&self.state, State::putters);
        wake_all::<F, _>(&self.state, State::joiners); // they look whether all is done
    }

    /// Whether the queue was shut down.
    pub fn is_shut_down(&self) -> bool {
        F::with(&self.state, |state| state.is_shut_down())
    }

    /// How many items are in the queue.
    pub fn len(&self) -> usize {
        F::with(&self.state, |state| state.len())
    }

    /// Whether nothing is in the queue.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the queue holds as many items as it may.
    pub fn is_full(&self) -> bool {
        F::with(&self.state, |state| state.is_full())
    }

    /// How many items it may hold, if there is a limit.
    pub fn maxsize(&self) -> Option<usize> {
        F::with(&self.state, |state| state.maxsize())
    }
}

impl<T, O: Order<T>> Queue<T, O, Threaded> {
    /// Puts an item from a plain thread, which sleeps while there is no room.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    ///
    /// # Panics
    /// On the thread of a running loop, which would stand still.
    #[track_caller]
    pub fn blocking_put(&self, item: T) -> Result<(), QueueShutDown<T>> {
        no_loop_here("Queue::blocking_put", "put(item)");
        block_on(self.put(item))
    }

    /// Takes an item on a plain thread, which sleeps while there is none.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    ///
    /// # Panics
    /// On the thread of a running loop, which would stand still.
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

/// The future of [`Queue::put`].
#[must_use = "futures do nothing unless awaited"]
pub struct Put<'a, T, O: Order<T> = Fifo, F: Flavor = Local> {
    state: &'a F::Cell<State<T, O, F>>,
    item: Option<T>,
    ticket: Option<Ticket>,
}

impl<T, O: Order<T>, F: Flavor> Unpin for Put<'_, T, O, F> {}

impl<T, O: Order<T>, F: Flavor> Future for Put<'_, T, O, F> {
    type Output = Result<(), QueueShutDown<T>>;

    /// # Panics
    /// If it is polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Put { state, item, ticket } = self.get_mut();
        assert!(item.is_some(), "a `put` is polled after it was ready");
        let poll = poll_queue::<F, _, _>(state, cx, ticket, State::putters, |state, standing| {
            match state.put(item, standing) {
                Ok(done) => Poll::Ready(Some(done)),
                Err(Refused::NotNow) => Poll::Pending,
                Err(Refused::ShutDown) => Poll::Ready(None),
            }
        });
        poll.map(|done| match done {
            Some(done) => {
                done.settle();
                Ok(())
            }
            None => Err(QueueShutDown(item.take().expect("it was not put"))),
        })
    }
}

impl<T, O: Order<T>, F: Flavor> Drop for Put<'_, T, O, F> {
    fn drop(&mut self) {
        if waiting::leave::<F, _>(self.state, &mut self.ticket, State::putters) {
            waiting::wake::<F>(F::with(self.state, State::give_up_place));
        }
    }
}

impl<T, O: Order<T>, F: Flavor> fmt::Debug for Put<'_, T, O, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put").field("waits", &self.ticket.is_some()).finish_non_exhaustive()
    }
}

/// The future of [`Queue::get`].
#[must_use = "futures do nothing unless awaited"]
pub struct Get<'a, T, O: Order<T> = Fifo, F: Flavor = Local> {
    state: &'a F::Cell<State<T, O, F>>,
    ticket: Option<Ticket>,
}

impl<T, O: Order<T>, F: Flavor> Future for Get<'_, T, O, F> {
    type Output = Result<T, QueueShutDown>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let state = self.state;
        let poll =
            poll_queue::<F, _, _>(state, cx, &mut self.ticket, State::getters, |state, standing| match state
                .get(standing)
            {
                Ok(done) => Poll::Ready(Ok(done)),
                Err(Refused::NotNow) => Poll::Pending,
                Err(Refused::ShutDown) => Poll::Ready(Err(QueueShutDown(()))),
            });
        poll.map_ok(state::Done::settle)
    }
}

impl<T, O: Order<T>, F: Flavor> Drop for Get<'_, T, O, F> {
    fn drop(&mut self) {
        if waiting::leave::<F, _>(self.state, &mut self.ticket, State::getters) {
            waiting::wake::<F>(F::with(self.state, State::give_up_item));
        }
    }
}

impl<T, O: Order<T>, F: Flavor> fmt::Debug for Get<'_, T, O, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get").field("waits", &self.ticket.is_some()).finish_non_exhaustive()
    }
}

/// The future of [`Queue::join`].
#[must_use = "futures do nothing unless awaited"]
pub struct Join<'a, T, O: Order<T> = Fifo, F: Flavor = Local> {
    state: &'a F::Cell<State<T, O, F>>,
    /// How often all had been done when it began to wait.
    since: Option<u64>,
    ticket: Option<Ticket>,
}

impl<T, O: Order<T>, F: Flavor> Future for Join<'_, T, O, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Join { state, since, ticket } = self.get_mut();
        poll_queue::<F, _, _>(state, cx, ticket, State::joiners, |state, _| {
            if state.is_finished(since) { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

impl<T, O: Order<T>, F: Flavor> Drop for Join<'_, T, O, F> {
    fn drop(&mut self) {
        waiting::leave::<F, _>(self.state, &mut self.ticket, State::joiners);
    }
}

impl<T, O: Order<T>, F: Flavor> fmt::Debug for Join<'_, T, O, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("waits", &self.ticket.is_some()).finish_non_exhaustive()
    }
}
