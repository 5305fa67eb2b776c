//! `Condition`: waits for a change of the value in a mutex, which is unlocked meanwhile.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::mutex::{Lock, Mutex, MutexGuard};
use crate::sync::core::flavor::Flavor;
use crate::sync::core::waiters::Ticket;
use crate::sync::core::waiting::drop_waiter;
use crate::sync::core::wake_list::{WaitQueue, lock_and_wake, still_waits};

/// A condition variable, used with a [`Mutex`]; asyncio's `Condition`.
///
/// Waiting takes the mutex's guard and returns a new one. A task that changes the value notifies one, several or all
/// waiting tasks, while it holds the mutex or after. A notified task resumes once it has locked the mutex again. It
/// should check its condition then, because another task may have been faster; [`wait_for`](Self::wait_for) does that.
///
/// The flavours are [`sync::Condition`](crate::sync::Condition), for the tasks of one loop, and
/// [`sync::shared::Condition`](crate::sync::shared::Condition), for any thread.
///
/// # Examples
/// ```
/// use proactor::sync::{Condition, Mutex};
/// use std::rc::Rc;
/// proactor::run(async {
///     let shop = Rc::new((Mutex::new(0), Condition::new()));
///     let other = shop.clone();
///     let customer = proactor::spawn(async move {
///         let (stock, arrived) = &*other;
///         let mut stock = arrived.wait_for(stock.lock().await, |stock| *stock >= 2).await;
///         *stock -= 2;
///     });
///     let (stock, arrived) = &*shop;
///     for _ in 0..3 {
///         *stock.lock().await += 1;
///         arrived.notify(1);
///         proactor::yield_now().await;
///     }
///     customer.await.unwrap();
///     assert_eq!(*stock.lock().await, 1);
/// });
/// ```
pub struct Condition<F: Flavor> {
    queue: F::Cell<WaitQueue<F, F::Waiter>>,
}

impl<F: Flavor> Condition<F> {
    /// Creates a condition without waiters.
    pub fn new() -> Self {
        Condition { queue: WaitQueue::<F, _, _>::new(()) }
    }

    /// Unlocks the mutex, waits for a notification, and locks the mutex again.
    ///
    /// A notification that comes after the mutex was unlocked is not missed. The wait may end spuriously, if a
    /// cancelled waiter passes its notification on.
    ///
    /// # Cancellation
    /// Dropping the future leaves the mutex unlocked, or gives up its place in the mutex's queue. If it had been
    /// notified and had not returned, another waiter is notified instead.
    pub fn wait<'a, T: ?Sized>(&'a self, guard: MutexGuard<'a, F, T>) -> ConditionWait<'a, F, T> {
        ConditionWait { condition: self, mutex: guard.mutex(), state: State::Holds(guard) }
    }

    /// Waits until `predicate` is true for the value in the mutex.
    ///
    /// The predicate is called at once, and again after each notification. The mutex is locked when it is called and
    /// when this returns.
    ///
    /// # Cancellation
    /// As for [`wait`](Self::wait).
    pub fn wait_for<'a, T: ?Sized, P>(
        &'a self,
        guard: MutexGuard<'a, F, T>,
        predicate: P,
    ) -> WaitFor<'a, F, T, P>
    where
        P: FnMut(&mut T) -> bool,
    {
        WaitFor { wait: self.wait(guard), predicate }
    }

    /// Notifies `count` waiters, in order of arrival; or all, if there are fewer.
    pub fn notify(&self, count: usize) {
        lock_and_wake::<F, _, _, _>(&self.queue, |queue, wakes| {
            let first = std::iter::from_fn(|| queue.waiters.pop_front()).take(count);
            first.for_each(|waiter| wakes.push(&mut queue.wake_buffer, waiter));
        });
    }

    /// Notifies all waiters.
    pub fn notify_all(&self) {
        self.notify(usize::MAX);
    }
}

impl<F: Flavor> Default for Condition<F> {
    fn default() -> Self {
        Condition::new()
    }
}

impl<F: Flavor> fmt::Debug for Condition<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = F::with(&self.queue, |queue| queue.waiters.len());
        f.debug_struct("Condition").field("waiting", &waiting).finish()
    }
}

/// The future of [`Condition::wait`].
#[must_use = "futures do nothing unless awaited"]
pub struct ConditionWait<'a, F: Flavor, T: ?Sized> {
    condition: &'a Condition<F>,
    mutex: &'a Mutex<F, T>,
    state: State<'a, F, T>,
}

enum State<'a, F: Flavor, T: ?Sized> {
    /// Not polled yet.
    Holds(MutexGuard<'a, F, T>),
    Waits(Ticket),
    /// Notified.
    Locks(Lock<'a, F, T>),
    Done,
}

impl<'a, F: Flavor, T: ?Sized> Future for ConditionWait<'a, F, T> {
    type Output = MutexGuard<'a, F, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (condition, mutex) = (self.condition, self.mutex);
        loop {
            match &mut self.state {
                State::Holds(_) => {
                    let waiter = F::waiter(cx);
                    let ticket = F::with(&condition.queue, |queue| queue.waiters.push_back(waiter));
                    // In the queue first: the task that gets the mutex now may notify.
                    let guard = mem::replace(&mut self.state, State::Waits(ticket));
                    drop(guard);
                    return Poll::Pending;
                }
                State::Waits(ticket) => {
                    let ticket = *ticket;
                    if still_waits::<F, _>(&condition.queue, cx, |queue| queue.waiters.get_mut(ticket)) {
                        return Poll::Pending;
                    }
                    self.state = State::Locks(mutex.lock());
                }
                State::Locks(lock) => {
                    let guard = ready!(Pin::new(lock).poll(cx));
                    self.state = State::Done;
                    return Poll::Ready(guard);
                }
                State::Done => panic!("a wait for a condition was polled after its result"),
            }
        }
    }
}

impl<F: Flavor, T: ?Sized> Drop for ConditionWait<'_, F, T> {
    fn drop(&mut self) {
        let notified = match self.state {
            State::Waits(ticket) => {
                let waiter = F::with(&self.condition.queue, |queue| queue.waiters.remove(ticket));
                let notified = waiter.is_none();
                drop_waiter::<F>(waiter);
                notified
            }
            State::Locks(_) => true,
            State::Holds(_) | State::Done => false,
        };
        if notified {
            self.condition.notify(1);
        }
    }
}

impl<F: Flavor, T: ?Sized> fmt::Debug for ConditionWait<'_, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Holds(_) => "new",
            State::Waits(_) => "waits for a notification",
            State::Locks(_) => "waits for the mutex",
            State::Done => "finished",
        };
        f.debug_struct("ConditionWait").field("state", &state).finish_non_exhaustive()
    }
}

/// The future of [`Condition::wait_for`].
#[must_use = "futures do nothing unless awaited"]
pub struct WaitFor<'a, F: Flavor, T: ?Sized, P> {
    wait: ConditionWait<'a, F, T>,
    predicate: P,
}

impl<F: Flavor, T: ?Sized, P> Unpin for WaitFor<'_, F, T, P> {} // the predicate is never pinned

impl<'a, F: Flavor, T: ?Sized, P: FnMut(&mut T) -> bool> Future for WaitFor<'a, F, T, P> {
    type Output = MutexGuard<'a, F, T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut guard = match mem::replace(&mut this.wait.state, State::Done) {
            State::Holds(guard) => guard, // asked before it waits at all
            state => {
                this.wait.state = state;
                ready!(Pin::new(&mut this.wait).poll(cx))
            }
        };
        if (this.predicate)(&mut guard) {
            return Poll::Ready(guard);
        }
        this.wait.state = State::Holds(guard);
        let waits = Pin::new(&mut this.wait).poll(cx).is_pending();
        debug_assert!(waits, "a wait begins with waiting");
        Poll::Pending
    }
}

impl<F: Flavor, T: ?Sized, P> fmt::Debug for WaitFor<'_, F, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitFor").field("wait", &self.wait).finish_non_exhaustive()
    }
}
