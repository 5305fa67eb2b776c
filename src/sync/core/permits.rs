//! A number of permits and the queue for them: the common part of the mutex, the read-write lock and the semaphore.
//!
//! It does not know the purpose of the permits. Without a wait, taking permits is one exchange of a word, and so is
//! giving them back. Only a task that waits or serves waiters touches the queue and the lock around it.
//!
//! The word holds the free permits and two flags. As long as a waiter is queued ([`QUEUED`]), free permits are meant
//! for the front of the queue: the word is changed under the lock alone, no newcomer takes any, and a release serves
//! the queue. A newcomer that finds none free sets that flag under the lock, by an exchange that fails if permits were
//! given back meanwhile; so none is overlooked. A served waiter is taken out of the queue and owns the permits before
//! its task runs: if it is dropped then, it gives them back.
//!
//! The flag stays until each served waiter has been polled: the queue's state counts those that have not. A newcomer
//! queues behind them even where enough permits are free. It is served and woken at once then, so it runs after them,
//! and waits for no other thread.
#![forbid(unsafe_code)]

use std::fmt;
use std::task::{Context, Poll};

use super::flavor::{Flavor, Word};
use super::waiters::Ticket;
use super::waiting::drop_waiter;
use super::wake_list::{WaitQueue, WakeList, lock_and_wake, still_waits};
use crate::sys::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Flag: closed, no permit can be acquired any more.
const CLOSED: usize = 1;
/// Flag: not closed, and a waiter is in the queue, or was served and has not been polled since.
const QUEUED: usize = 2;
/// One free permit.
const ONE: usize = 4;

/// The maximum number of permits.
pub(crate) const MAX_PERMITS: usize = usize::MAX / ONE;

/// Reason a permit was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too few are free, or the free ones are reserved for waiters.
    Busy,
    Closed,
}

pub(crate) struct Permits<F: Flavor> {
    word: F::Word,
    /// Its state counts the waiters that were served and have not been polled since.
    queue: F::Cell<WaitQueue<F, Waiting<F>, usize>>,
}

struct Waiting<F: Flavor> {
    count: usize,
    /// `None` after it was woken because the permits were closed.
    waiter: Option<F::Waiter>,
}

/// The state of one request for permits. Its owner calls [`Permits::cancel`] before it drops a request that has not
/// completed.
#[derive(Debug)]
pub(crate) struct Acquiring {
    count: usize,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    New,
    Queued(Ticket),
    Done,
}

impl Acquiring {
    #[inline]
    pub(crate) fn new(count: usize) -> Self {
        Acquiring { count, state: State::New }
    }

    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl<F: Flavor> Permits<F> {
    /// Makes free permits. The caller ensures that there are never more than [`MAX_PERMITS`].
    pub(crate) fn new(count: usize) -> Self {
        Permits { word: F::Word::new(count * ONE), queue: WaitQueue::<F, _, _>::new(0) }
    }

    /// Returns the number of free permits.
    pub(crate) fn available(&self) -> usize {
        self.word.load(Acquire) / ONE
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.word.load(Acquire) & CLOSED != 0
    }

    #[inline]
    pub(crate) fn try_acquire(&self, count: usize) -> Result<(), Refused> {
        let taken = self.word.update(Acquire, |word| {
            let free = word & (CLOSED | QUEUED) == 0 && word / ONE >= count;
            free.then(|| word - count * ONE)
        });
        taken.map_err(|word| if word & CLOSED == 0 { Refused::Busy } else { Refused::Closed })
    }

    /// Gives permits back; waiters get them first.
    #[inline]
    pub(crate) fn release(&self, count: usize) {
        let given = self.word.update(Release, |word| (word & QUEUED == 0).then_some(word + count * ONE));
        if given.is_err() {
            self.release_to_queue(count);
        }
    }

    #[cold]
    fn release_to_queue(&self, count: usize) {
        lock_and_wake::<F, _, _, _>(&self.queue, |queue, wakes| {
            self.change(|word| word + count * ONE);
            self.serve(queue, wakes);
        });
    }

    /// Changes the word. The caller holds the lock.
    fn change(&self, f: impl Fn(usize) -> usize) {
        let changed = self.word.update(AcqRel, |word| Some(f(word)));
        debug_assert!(changed.is_ok());
    }

    /// Gives free permits to the queue, as far as they suffice for the waiter at its front.
    fn serve(&self, queue: &mut WaitQueue<F, Waiting<F>, usize>, wakes: &mut WakeList<F>) {
        loop {
            let word = self.word.load(Relaxed);
            if word & QUEUED == 0 {
                return; // no waiter, or closed: then all waiters have been woken
            }
            let Some(front) = queue.waiters.front() else {
                self.end_queue(queue);
                return;
            };
            let count = front.count;
            if word / ONE < count {
                return;
            }
            self.change(|word| word - count * ONE);
            queue.state += 1;
            let waiter = queue.waiters.pop_front().and_then(|served| served.waiter);
            waiter.into_iter().for_each(|waiter| wakes.push(&mut queue.wake_buffer, waiter));
        }
    }

    /// Lets newcomers take permits again if no waiter is queued and every served one has been polled.
    fn end_queue(&self, queue: &WaitQueue<F, Waiting<F>, usize>) {
        if queue.state == 0 && queue.waiters.is_empty() {
            self.change(|word| word & !QUEUED);
        }
    }

    /// Takes the permits, or waits for them in the queue. Returns an error once they are closed.
    ///
    /// # Panics
    /// If it is polled after its result.
    #[inline]
    pub(crate) fn poll_acquire(
        &self,
        acquiring: &mut Acquiring,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Refused>> {
        let result = match acquiring.state {
            State::New => match self.try_acquire(acquiring.count) {
                Err(Refused::Busy) => self.enqueue(acquiring, cx),
                result => Poll::Ready(result),
            },
            State::Queued(ticket) => self.poll_queued(ticket, cx),
            State::Done => panic!("a future of a lock was polled after its result"),
        };
        if result.is_ready() {
            acquiring.state = State::Done;
        }
        result
    }

    #[cold]
    fn enqueue(&self, acquiring: &mut Acquiring, cx: &Context<'_>) -> Poll<Result<(), Refused>> {
        let count = acquiring.count;
        let mut waiter = Some(F::waiter(cx));
        let poll = lock_and_wake::<F, _, _, _>(&self.queue, |queue, wakes| {
            loop {
                match self.try_acquire(count) {
                    Err(Refused::Busy) => {}
                    result => return Poll::Ready(result),
                }
                // Fails if enough permits were given back meanwhile: no release would serve this waiter.
                let too_few = |word| (word & QUEUED != 0 || word / ONE < count).then_some(word | QUEUED);
                if self.word.update(AcqRel, too_few).is_ok() {
                    let ticket = queue.waiters.push_back(Waiting { count, waiter: waiter.take() });
                    acquiring.state = State::Queued(ticket);
                    self.serve(queue, wakes); // enough permits are free if it only has to run after served waiters
                    return Poll::Pending;
                }
            }
        });
        drop_waiter::<F>(waiter);
        poll
    }

    #[cold]
    fn poll_queued(&self, ticket: Ticket, cx: &Context<'_>) -> Poll<Result<(), Refused>> {
        let waits = still_waits::<F, _>(&self.queue, cx, |queue| {
            if queue.waiters.get_mut(ticket).is_none() {
                queue.state -= 1; // it was served, and this is its last poll
                self.end_queue(queue);
            }
            queue.waiters.get_mut(ticket)?.waiter.as_mut()
        });
        if waits {
            return Poll::Pending;
        }
        if !self.is_closed() {
            return Poll::Ready(Ok(()));
        }
        // A served waiter is not in the queue any more; one that the close has woken still is.
        let told = F::with(&self.queue, |queue| queue.waiters.remove(ticket));
        Poll::Ready(if told.is_none() { Ok(()) } else { Err(Refused::Closed) })
    }

    /// Leaves the queue. Permits that it was served since its last poll go to the next waiter.
    #[inline]
    pub(crate) fn cancel(&self, acquiring: &mut Acquiring) {
        if let State::Queued(ticket) = std::mem::replace(&mut acquiring.state, State::Done) {
            self.leave(ticket, acquiring.count);
        }
    }

    #[cold]
    fn leave(&self, ticket: Ticket, count: usize) {
        let left = lock_and_wake::<F, _, _, _>(&self.queue, |queue, wakes| {
            let left = queue.waiters.remove(ticket);
            if left.is_none() {
                queue.state -= 1;
                self.change(|word| word + count * ONE);
            }
            self.serve(queue, wakes); // it may have stood before waiters that need fewer permits
            left
        });
        drop_waiter::<F>(left.and_then(|left| left.waiter));
    }

    /// Ends all waits, and refuses later requests. Permits can still be given back.
    pub(crate) fn close(&self) {
        lock_and_wake::<F, _, _, _>(&self.queue, |queue, wakes| {
            self.change(|word| (word | CLOSED) & !QUEUED);
            queue.waiters.for_each(|waiting| {
                let waiter = waiting.waiter.take();
                waiter.into_iter().for_each(|waiter| wakes.push(&mut queue.wake_buffer, waiter));
            });
        });
    }

    fn waiting(&self) -> usize {
        F::with(&self.queue, |queue| queue.waiters.len())
    }
}

impl<F: Flavor> fmt::Debug for Permits<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits")
            .field("available", &self.available())
            .field("waiting", &self.waiting())
            .field("closed", &self.is_closed())
            .finish()
    }
}

#[cfg(test)]
#[path = "permits_tests.rs"]
mod tests;
