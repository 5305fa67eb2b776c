//! A number of permits and the queue for them: what a mutex, a read-write lock and a semaphore have in common.
//!
//! It does not know what the permits are for. Without a wait, taking permits is one exchange of a word, and so is
//! giving them back. Only a task that waits or serves waiters touches the queue and the lock around it.
//!
//! The word holds the free permits and two flags. As long as a waiter is queued ([`QUEUED`]), free permits are meant
//! for the front of the queue: the word is changed under the lock alone, no newcomer takes any, and a release serves
//! the queue. A newcomer that finds none free sets that flag under the lock, by an exchange that fails if permits were
//! given back meanwhile; so none is overlooked. A served waiter is taken out of the queue with the permits in hand,
//! before it knows: if it is dropped then, it gives them back.
//!
//! The flag stays until each served waiter has been polled: the line counts those that have not. A newcomer queues
//! behind them even where enough permits are free. It is served and woken at once then, so it runs after them, and
//! waits for no other thread.
#![forbid(unsafe_code)]

use std::fmt;
use std::task::{Context, Poll};

use super::flavor::{Flavor, Word};
use super::waiters::Ticket;
use super::waiting::let_go;
use super::waking::{Line, Woken, still_waits, waking};
use crate::sys::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Closed: no permit can be acquired any more.
const CLOSED: usize = 1;
/// A waiter is in the queue, or was served and has not been polled since; and it is not closed.
const QUEUED: usize = 2;
/// One free permit.
const ONE: usize = 4;

/// So many permits can be free at once.
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
    line: F::Cell<Line<F, Waiting<F>, usize>>,
}

struct Waiting<F: Flavor> {
    count: usize,
    /// None once it has been told that there will be no permits.
    waiter: Option<F::Waiter>,
}

/// A wait for permits, from its beginning to its end. Its owner calls [`Permits::cancel`] before it drops one that has
/// not ended.
#[derive(Debug)]
pub(crate) struct Acquiring {
    count: usize,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    New,
    Queued(Ticket),
    Over,
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
    /// The caller sees to it that there are never more than [`MAX_PERMITS`].
    pub(crate) fn new(count: usize) -> Self {
        Permits { word: F::Word::new(count * ONE), line: Line::<F, _, _>::new(0) }
    }

    /// How many are free.
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
        waking::<F, _, _, _>(&self.line, |line, woken| {
            self.change(|word| word + count * ONE);
            self.serve(line, woken);
        });
    }

    /// Under the lock.
    fn change(&self, f: impl Fn(usize) -> usize) {
        let changed = self.word.update(AcqRel, |word| Some(f(word)));
        debug_assert!(changed.is_ok());
    }

    /// Gives free permits to the queue, as far as they suffice for the waiter at its front.
    fn serve(&self, line: &mut Line<F, Waiting<F>, usize>, woken: &mut Woken<F>) {
        loop {
            let word = self.word.load(Relaxed);
            if word & QUEUED == 0 {
                return; // or closed: then those in the queue have been told so
            }
            let Some(front) = line.queue.front() else {
                self.end_queue(line);
                return;
            };
            let count = front.count;
            if word / ONE < count {
                return;
            }
            self.change(|word| word - count * ONE);
            line.state += 1;
            let waiter = line.queue.pop_front().and_then(|served| served.waiter);
            waiter.into_iter().for_each(|waiter| woken.push(&mut line.room, waiter));
        }
    }

    /// Lets newcomers take permits again, if no waiter is queued and every served one knows.
    fn end_queue(&self, line: &Line<F, Waiting<F>, usize>) {
        if line.state == 0 && line.queue.is_empty() {
            self.change(|word| word & !QUEUED);
        }
    }

    /// Takes the permits, or waits for its turn; `Err` once they are closed.
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
            State::Over => panic!("a future of a lock was polled after its result"),
        };
        if result.is_ready() {
            acquiring.state = State::Over;
        }
        result
    }

    #[cold]
    fn enqueue(&self, acquiring: &mut Acquiring, cx: &Context<'_>) -> Poll<Result<(), Refused>> {
        let count = acquiring.count;
        let mut waiter = Some(F::waiter(cx));
        let poll = waking::<F, _, _, _>(&self.line, |line, woken| {
            loop {
                match self.try_acquire(count) {
                    Err(Refused::Busy) => {}
                    result => return Poll::Ready(result),
                }
                // Not if permits have come: they would lie there unseen.
                let too_few = |word| (word & QUEUED != 0 || word / ONE < count).then_some(word | QUEUED);
                if self.word.update(AcqRel, too_few).is_ok() {
                    let ticket = line.queue.push_back(Waiting { count, waiter: waiter.take() });
                    acquiring.state = State::Queued(ticket);
                    self.serve(line, woken); // where it only has to run after those that were served before
                    return Poll::Pending;
                }
            }
        });
        let_go::<F>(waiter);
        poll
    }

    #[cold]
    fn poll_queued(&self, ticket: Ticket, cx: &Context<'_>) -> Poll<Result<(), Refused>> {
        let waits = still_waits::<F, _>(&self.line, cx, |line| {
            if line.queue.get_mut(ticket).is_none() {
                line.state -= 1; // it was served, and knows now: this is the last look
                self.end_queue(line);
            }
            line.queue.get_mut(ticket)?.waiter.as_mut()
        });
        if waits {
            return Poll::Pending;
        }
        if !self.is_closed() {
            return Poll::Ready(Ok(()));
        }
        // Who was served is not in the queue any more; who was told of the close still is.
        let told = F::with(&self.line, |line| line.queue.remove(ticket));
        Poll::Ready(if told.is_none() { Ok(()) } else { Err(Refused::Closed) })
    }

    /// Leaves the queue. What it was served without knowing goes to the next.
    #[inline]
    pub(crate) fn cancel(&self, acquiring: &mut Acquiring) {
        if let State::Queued(ticket) = std::mem::replace(&mut acquiring.state, State::Over) {
            self.leave(ticket, acquiring.count);
        }
    }

    #[cold]
    fn leave(&self, ticket: Ticket, count: usize) {
        let left = waking::<F, _, _, _>(&self.line, |line, woken| {
            let left = line.queue.remove(ticket);
            if left.is_none() {
                line.state -= 1;
                self.change(|word| word + count * ONE);
            }
            self.serve(line, woken); // it may also have stood before others who want less
            left
        });
        let_go::<F>(left.and_then(|left| left.waiter));
    }

    /// Ends the wait of all, and refuses all to come. Permits can be given back.
    pub(crate) fn close(&self) {
        waking::<F, _, _, _>(&self.line, |line, woken| {
            self.change(|word| (word | CLOSED) & !QUEUED);
            line.queue.for_each(|waiting| {
                let waiter = waiting.waiter.take();
                waiter.into_iter().for_each(|waiter| woken.push(&mut line.room, waiter));
            });
        });
    }

    fn waiting(&self) -> usize {
        F::with(&self.line, |line| line.queue.len())
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

/// Acquired permits; dropping it gives them back.
pub(crate) struct Held<'a, F: Flavor> {
    permits: &'a Permits<F>,
    count: usize,
}

impl<'a, F: Flavor> Held<'a, F> {
    /// Creates the guard. The caller must hold `count` permits.
    #[inline]
    pub(crate) fn new(permits: &'a Permits<F>, count: usize) -> Self {
        Held { permits, count }
    }

    /// Gives back all but so many.
    pub(crate) fn keep(&mut self, count: usize) {
        let rest = self.count - count;
        self.count = count;
        self.permits.release(rest);
    }
}

impl<F: Flavor> Drop for Held<'_, F> {
    #[inline]
    fn drop(&mut self) {
        self.permits.release(self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::super::flavor::{Local, Threaded};
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Noted(AtomicBool);

    impl Wake for Noted {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// The state of a request, as the caller sees it.
    #[derive(Debug, PartialEq)]
    enum Fate {
        Waits,
        /// And does not know.
        Served,
        Has,
        Gone,
    }

    /// The same with a plain queue.
    struct Model {
        free: usize,
        queue: VecDeque<usize>,
        asked: Vec<(usize, Fate)>,
    }

    impl Model {
        fn serve(&mut self) {
            while let Some(front) = self.queue.front().copied().filter(|id| self.asked[*id].0 <= self.free) {
                self.queue.pop_front();
                self.free -= self.asked[front].0;
                self.asked[front].1 = Fate::Served;
            }
        }

        /// Whether permits are free for a newcomer: nobody waits, and all who were served know.
        fn free_for_all(&self, count: usize) -> bool {
            count <= self.free
                && !self.asked.iter().any(|(_, fate)| matches!(fate, Fate::Waits | Fate::Served))
        }

        fn ask(&mut self, count: usize) {
            if self.free_for_all(count) {
                self.free -= count;
                self.asked.push((count, Fate::Has));
            } else {
                self.asked.push((count, Fate::Waits));
                self.queue.push_back(self.asked.len() - 1);
                self.serve();
            }
        }

        fn go(&mut self, id: usize) {
            match std::mem::replace(&mut self.asked[id].1, Fate::Gone) {
                Fate::Waits => self.queue.retain(|other| *other != id),
                Fate::Served | Fate::Has => self.free += self.asked[id].0,
                Fate::Gone => {}
            }
            self.serve();
        }
    }

    fn it_is_a_queue_for_permits<F: Flavor>(
        steps: Vec<(u8, usize, prop::sample::Index)>,
    ) -> Result<(), TestCaseError> {
        let permits = Permits::<F>::new(4);
        let mut model = Model { free: 4, queue: VecDeque::new(), asked: Vec::new() };
        let mut real: Vec<(Acquiring, Arc<Noted>)> = Vec::new();
        for (step, count, pick) in steps {
            let id = (step > 1 && !real.is_empty()).then(|| pick.index(real.len()));
            match (step, id) {
                (2 | 3, Some(id)) if matches!(model.asked[id].1, Fate::Waits | Fate::Served) => {
                    let (acquiring, noted) = &mut real[id];
                    *noted = Arc::default(); // another waker
                    let waker = Waker::from(noted.clone());
                    let result = permits.poll_acquire(acquiring, &Context::from_waker(&waker));
                    prop_assert_eq!(result.is_ready(), model.asked[id].1 == Fate::Served);
                    if result.is_ready() {
                        model.asked[id].1 = Fate::Has;
                    }
                }
                (_, Some(id)) => {
                    if model.asked[id].1 == Fate::Has {
                        permits.release(model.asked[id].0);
                    } else {
                        permits.cancel(&mut real[id].0);
                    }
                    model.go(id);
                }
                (1, None) => {
                    let free = model.free_for_all(count);
                    prop_assert_eq!(permits.try_acquire(count).is_ok(), free);
                    if free {
                        permits.release(count);
                    }
                }
                _ => {
                    let noted = Arc::new(Noted::default());
                    let mut acquiring = Acquiring::new(count);
                    let waker = Waker::from(noted.clone());
                    let result = permits.poll_acquire(&mut acquiring, &Context::from_waker(&waker));
                    real.push((acquiring, noted));
                    model.ask(count);
                    prop_assert_eq!(result.is_ready(), model.asked.last().unwrap().1 == Fate::Has);
                }
            }
            prop_assert_eq!(permits.available(), model.free);
            prop_assert_eq!(permits.waiting(), model.queue.len());
            for ((_, noted), (_, fate)) in real.iter().zip(&model.asked) {
                let woken = noted.0.load(Ordering::Relaxed);
                match fate {
                    Fate::Waits => prop_assert!(!woken),
                    Fate::Served => prop_assert!(woken),
                    Fate::Has | Fate::Gone => {}
                }
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn local_ones(steps in prop::collection::vec((0..6_u8, 0..5_usize, any::<prop::sample::Index>()), 1..100)) {
            it_is_a_queue_for_permits::<Local>(steps)?;
        }

        #[test]
        fn threaded_ones(steps in prop::collection::vec((0..6_u8, 0..5_usize, any::<prop::sample::Index>()), 1..100)) {
            it_is_a_queue_for_permits::<Threaded>(steps)?;
        }
    }
}
