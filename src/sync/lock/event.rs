//! `Event`: a flag that tasks can wait for.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::sync::core::flavor::{Flavor, Word};
use crate::sync::core::waiters::Ticket;
use crate::sync::core::waiting::{QueueStatus, leave, poll_queue_with};
use crate::sync::core::wake_list::{WaitQueue, lock_and_wake};
use crate::sys::sync::atomic::Ordering::{AcqRel, Acquire};

/// A flag that is set and cleared, and that any number of tasks can wait for; asyncio's `Event`.
///
/// Setting the event ends the wait of all tasks that wait at that moment, even if it is cleared before they run.
///
/// The flavours are [`sync::Event`](crate::sync::Event), for the tasks of one loop, and
/// [`sync::shared::Event`](crate::sync::shared::Event), for any thread.
///
/// # Examples
/// ```
/// use proactor::sync::Event;
/// use std::rc::Rc;
/// proactor::run(async {
///     let ready = Rc::new(Event::new());
///     let other = ready.clone();
///     let task = proactor::spawn(async move { other.wait().await });
///     proactor::yield_now().await;
///     ready.set();
///     ready.clear();
///     task.await.unwrap(); // it waited when the event was set
///     assert!(!ready.is_set());
/// });
/// ```
pub struct Event<F: Flavor> {
    /// 1 when it is set. Changed under the queue's lock only; when it is set, the queue has no waiter.
    set: F::Word,
    queue: F::Cell<WaitQueue<F, F::Waiter>>,
}

impl<F: Flavor> Event<F> {
    /// Creates an event that is not set.
    pub fn new() -> Self {
        Event { set: F::Word::new(0), queue: WaitQueue::<F, _, _>::new(()) }
    }

    /// Sets the event and ends the wait of all waiting tasks.
    ///
    /// Writes before this call are visible to a thread that sees the event set.
    pub fn set(&self) {
        // Written also if it is set already: the next `clear` synchronizes with this call.
        if self.set.update(AcqRel, |set| (set == 1).then_some(1)).is_ok() {
            return;
        }
        lock_and_wake::<F, _, _, _>(&self.queue, |queue, wakes| {
            self.put(1);
            queue.waiters.drain().for_each(|waiter| wakes.push(&mut queue.wake_buffer, waiter));
        });
    }

    /// Clears the event: later calls of [`wait`](Self::wait) wait again.
    pub fn clear(&self) {
        F::with(&self.queue, |_| self.put(0));
    }

    /// Changes the flag. The caller holds the lock.
    fn put(&self, value: usize) {
        let _ = self.set.update(AcqRel, |_| Some(value));
    }

    /// Whether the event is set.
    pub fn is_set(&self) -> bool {
        self.set.load(Acquire) == 1
    }

    /// Waits until the event is set; returns at once if it is set already.
    ///
    /// # Cancellation
    /// Dropping the future only ends the wait.
    pub fn wait(&self) -> EventWait<'_, F> {
        EventWait { event: self, ticket: None }
    }
}

impl<F: Flavor> Default for Event<F> {
    fn default() -> Self {
        Event::new()
    }
}

impl<F: Flavor> fmt::Debug for Event<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = F::with(&self.queue, |queue| queue.waiters.len());
        f.debug_struct("Event").field("set", &self.is_set()).field("waiting", &waiting).finish()
    }
}

/// The future of [`Event::wait`].
#[must_use = "futures do nothing unless awaited"]
pub struct EventWait<'a, F: Flavor> {
    event: &'a Event<F>,
    ticket: Option<Ticket>,
}

impl<F: Flavor> Future for EventWait<'_, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let EventWait { event, ticket } = self.get_mut();
        if event.is_set() {
            *ticket = None; // `set` has emptied the queue, or is about to
            return Poll::Ready(());
        }
        let waiter = ticket.is_none().then(|| F::waiter(cx));
        poll_queue_with::<F, _, _>(&event.queue, cx, ticket, waiter, WaitQueue::waiters, |_, status| {
            match status {
                QueueStatus::Served => Poll::Ready(()), // though it may be cleared again
                QueueStatus::New if event.is_set() => Poll::Ready(()),
                QueueStatus::New | QueueStatus::Waiting => Poll::Pending,
            }
        })
    }
}

impl<F: Flavor> Drop for EventWait<'_, F> {
    fn drop(&mut self) {
        leave::<F, _>(&self.event.queue, &mut self.ticket, WaitQueue::waiters);
    }
}

impl<F: Flavor> fmt::Debug for EventWait<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWait").field("waits", &self.ticket.is_some()).finish_non_exhaustive()
    }
}
