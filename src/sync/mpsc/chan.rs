//! The state that senders and receiver share: the queue, the places in it, and the waiters.
//!
//! The receiver takes the whole queue at once and serves itself from there, so that it locks once per batch and not
//! once per item. Items in its hands still have their places: it counts what it has taken in a number beside the lock,
//! and the senders subtract. The lowest bit of that number says that senders wait for room; since the receiver's count
//! and the senders' bit are one number, one of the two comes first, and either the sender sees the room or the receiver
//! sees the sender.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::mem;
use std::task::{Context, Poll};

use crate::sync::core::flavor::{Count, Flavor};
use crate::sync::core::waiters::{Ticket, Waiters};
use crate::sync::core::waiting::{self, QueueStatus};

/// In the count of items taken: senders wait.
const SENDERS_WAIT: usize = 1;
/// One item, in that count.
const ITEM: usize = 2;

pub(super) struct Chan<T, F: Flavor> {
    /// How many items it may hold; `usize::MAX` without a limit.
    capacity: usize,
    state: F::Cell<State<T, F>>,
    /// The number of items taken. Changed by the receiver alone, except the bit, which changes under the lock.
    taken: F::Count,
}

struct State<T, F: Flavor> {
    queue: VecDeque<T>,
    /// The number of items that were ever put into the queue.
    sent: usize,
    /// The number of these that had been taken when the count was last read.
    seen: usize,
    /// Places of [`Permit`](super::Permit)s.
    reserved: usize,
    /// Places of senders that were served and have not been polled since.
    granted: usize,
    senders: usize,
    /// Whether the channel is closed: only reserved places can be used.
    closed: bool,
    /// The receiver was dropped.
    abandoned: bool,
    receiver: Option<F::Waiter>,
    /// The senders that wait for places.
    waiting: Waiters<F::Waiter>,
    /// The senders that wait for the close.
    watching: Waiters<F::Waiter>,
}

/// The result of a receive under the lock.
pub(super) enum Found<T> {
    /// The next item. The receiver's batch has the items after it.
    Item(T),
    Nothing,
    /// The channel is empty and closed.
    End,
}

impl<T, F: Flavor> State<T, F> {
    fn used(&self) -> usize {
        self.sent - self.seen + self.reserved + self.granted
    }

    fn push(&mut self, item: T) -> Option<F::Waiter> {
        self.queue.push_back(item);
        self.sent += 1;
        self.receiver.take()
    }

    /// Takes the whole queue into `batch`, which is empty, and returns its first item.
    fn take(&mut self, batch: &mut VecDeque<T>) -> Found<T> {
        if let Some(item) = self.queue.pop_front() {
            if !self.queue.is_empty() {
                mem::swap(&mut self.queue, batch);
            }
            Found::Item(item)
        } else if self.senders == 0 || self.closed && self.reserved == 0 {
            // A place borrows its sender: without senders, those that are reserved are forgotten ones.
            Found::End
        } else {
            Found::Nothing
        }
    }
}

impl<T, F: Flavor> Chan<T, F> {
    /// Makes a channel with one sender.
    pub(super) fn new(capacity: usize) -> F::Rc<Self> {
        F::rc(Chan {
            capacity,
            state: F::cell(State {
                queue: VecDeque::new(),
                sent: 0,
                seen: 0,
                reserved: 0,
                granted: 0,
                senders: 1,
                closed: false,
                abandoned: false,
                receiver: None,
                waiting: Waiters::new(),
                watching: Waiters::new(),
            }),
            taken: F::Count::new(0),
        })
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        (self.capacity != usize::MAX).then_some(self.capacity)
    }

    pub(super) fn len(&self) -> usize {
        F::with(&self.state, |state| if state.abandoned { 0 } else { state.sent - self.taken() })
    }

    pub(super) fn is_closed(&self) -> bool {
        F::with(&self.state, |state| state.closed)
    }

    fn taken(&self) -> usize {
        self.taken.get() / ITEM
    }

    fn has_room(&self, state: &mut State<T, F>) -> bool {
        if state.used() < self.capacity {
            return true;
        }
        state.seen = self.taken();
        state.used() < self.capacity
    }

    /// Whether a newcomer may have a place. If not, this sets the bit that tells the receiver about a waiting sender.
    fn admits(&self, state: &mut State<T, F>) -> bool {
        if !state.waiting.is_empty() {
            return false;
        }
        if self.has_room(state) {
            return true;
        }
        state.seen = self.taken.set(SENDERS_WAIT) / ITEM;
        state.used() < self.capacity
    }

    /// Sends without a limit.
    #[inline]
    pub(super) fn send(&self, item: T) -> Result<(), T> {
        let receiver =
            F::with(&self.state, |state| if state.closed { Err(item) } else { Ok(state.push(item)) })?;
        waiting::wake::<F>(receiver);
        Ok(())
    }

    /// Sends the item without waiting, or leaves it in `item`.
    pub(super) fn try_send(&self, item: &mut Option<T>) -> Result<(), Refused> {
        let receiver = self.try_admit(|state| item.take().and_then(|item| state.push(item)))?;
        waiting::wake::<F>(receiver);
        Ok(())
    }

    pub(super) fn try_reserve(&self) -> Result<(), Refused> {
        self.try_admit(|state| state.reserved += 1)
    }

    /// Room alone is not enough: it belongs to the waiters until the receiver, which has counted it, serves them.
    fn try_admit<R>(&self, then: impl FnOnce(&mut State<T, F>) -> R) -> Result<R, Refused> {
        F::with(&self.state, |state| {
            if state.closed {
                Err(Refused::Closed)
            } else if !state.waiting.is_empty() || !self.has_room(state) {
                Err(Refused::Full)
            } else {
                Ok(then(state))
            }
        })
    }

    /// Waits for a place for the item and puts it there.
    #[inline]
    pub(super) fn poll_send(
        &self,
        cx: &Context<'_>,
        ticket: &mut Option<Ticket>,
        item: &mut Option<T>,
    ) -> Poll<Result<(), Refused>> {
        let poll = self.poll_admit(cx, ticket, |state| item.take().and_then(|item| state.push(item)));
        poll.map_ok(|receiver| waiting::wake::<F>(receiver))
    }

    pub(super) fn poll_reserve(
        &self,
        cx: &Context<'_>,
        ticket: &mut Option<Ticket>,
    ) -> Poll<Result<(), Refused>> {
        self.poll_admit(cx, ticket, |state| state.reserved += 1)
    }

    #[inline]
    fn poll_admit<R>(
        &self,
        cx: &Context<'_>,
        ticket: &mut Option<Ticket>,
        mut then: impl FnMut(&mut State<T, F>) -> R,
    ) -> Poll<Result<R, Refused>> {
        if ticket.is_none() {
            // Mostly there is room: a short way, of which little is left when it is inlined.
            let admitted = F::with(&self.state, |state| {
                let at_once = !state.closed && state.waiting.is_empty() && self.has_room(state);
                at_once.then(|| then(state))
            });
            if let Some(result) = admitted {
                return Poll::Ready(Ok(result));
            }
        }
        self.poll_queue(cx, ticket, then)
    }

    #[cold]
    fn poll_queue<R>(
        &self,
        cx: &Context<'_>,
        ticket: &mut Option<Ticket>,
        mut then: impl FnMut(&mut State<T, F>) -> R,
    ) -> Poll<Result<R, Refused>> {
        waiting::poll_queue::<F, _, _>(&self.state, cx, ticket, State::waiting, |state, status| {
            if state.closed {
                return Poll::Ready(Err(Refused::Closed)); // a granted place is void
            }
            match status {
                QueueStatus::Served => state.granted -= 1,
                QueueStatus::New if self.admits(state) => {}
                QueueStatus::New | QueueStatus::Waiting => return Poll::Pending,
            }
            Poll::Ready(Ok(then(state)))
        })
    }

    /// Removes a dropped send: if it had been granted a place, the next waiter gets that.
    pub(super) fn leave(&self, ticket: &mut Option<Ticket>) {
        if waiting::leave::<F, _>(&self.state, ticket, State::waiting) {
            self.serve(|state| {
                if !state.closed {
                    state.granted -= 1;
                }
            });
        }
    }

    /// Sends into a reserved place.
    pub(super) fn send_reserved(&self, item: T) -> Result<(), T> {
        let receiver = F::with(&self.state, |state| {
            state.reserved -= 1;
            if state.abandoned { Err(item) } else { Ok(state.push(item)) }
        })?;
        waiting::wake::<F>(receiver);
        Ok(())
    }

    /// Gives a reserved place back.
    pub(super) fn unreserve(&self) {
        let receiver = self.serve(|state| {
            state.reserved -= 1;
            // The receiver of a closed channel may have waited for this place.
            if state.closed && state.reserved == 0 { state.receiver.take() } else { None }
        });
        waiting::wake::<F>(receiver);
    }

    /// Counts an item that the receiver has received.
    #[inline]
    pub(super) fn count_taken(&self) {
        if self.capacity == usize::MAX {
            self.taken.add_alone(ITEM);
        } else if self.taken.add(ITEM) & SENDERS_WAIT != 0 {
            self.serve(|_| ());
        }
    }

    /// Gives a free place, if there is one after `change`, to the waiter that has waited longest.
    fn serve<R>(&self, change: impl FnOnce(&mut State<T, F>) -> R) -> R {
        let (result, sender) = F::with(&self.state, |state| {
            let result = change(state);
            let sender = if state.closed || state.waiting.is_empty() || !self.has_room(state) {
                None
            } else {
                state.granted += 1;
                state.waiting.pop_front()
            };
            if state.waiting.is_empty() {
                self.taken.clear(SENDERS_WAIT);
            }
            (result, sender)
        });
        waiting::wake::<F>(sender);
        result
    }

    pub(super) fn poll_take(&self, cx: &Context<'_>, batch: &mut VecDeque<T>) -> Poll<Option<T>> {
        waiting::poll_slot::<F, _, _>(
            &self.state,
            cx,
            |state| &mut state.receiver,
            |state| match state.take(batch) {
                Found::Item(item) => Poll::Ready(Some(item)),
                Found::End => Poll::Ready(None),
                Found::Nothing => Poll::Pending,
            },
        )
    }

    pub(super) fn take(&self, batch: &mut VecDeque<T>) -> Found<T> {
        F::with(&self.state, |state| state.take(batch))
    }

    /// Closes the channel: all waiting sends fail; reserved places can still be used.
    pub(super) fn close(&self) {
        // The task that polled the receiver may be another than the one that closes it.
        let receiver = F::with(&self.state, |state| {
            state.closed = true;
            state.granted = 0;
            state.receiver.take()
        });
        waiting::wake::<F>(receiver);
        self.wake_senders();
    }

    /// Closes the channel when the receiver is dropped. Returns the items that will not be received.
    pub(super) fn abandon(&self) -> VecDeque<T> {
        let (left, receiver) = F::with(&self.state, |state| {
            state.closed = true;
            state.abandoned = true;
            state.granted = 0;
            (mem::take(&mut state.queue), state.receiver.take())
        });
        waiting::drop_waiter::<F>(receiver);
        self.wake_senders();
        left
    }

    /// Wakes all senders, after the channel was closed.
    fn wake_senders(&self) {
        waiting::wake_all::<F, _>(&self.state, State::waiting);
        waiting::wake_all::<F, _>(&self.state, State::watching);
    }

    /// Waits until the channel is closed.
    pub(super) fn poll_closed(&self, cx: &Context<'_>, ticket: &mut Option<Ticket>) -> Poll<()> {
        waiting::poll_queue::<F, _, _>(&self.state, cx, ticket, State::watching, |state, _| {
            if state.closed { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    pub(super) fn stop_watching(&self, ticket: &mut Option<Ticket>) {
        waiting::leave::<F, _>(&self.state, ticket, State::watching);
    }

    pub(super) fn add_sender(&self) {
        F::with(&self.state, |state| state.senders += 1);
    }

    pub(super) fn remove_sender(&self) {
        let receiver = F::with(&self.state, |state| {
            state.senders -= 1;
            if state.senders == 0 { state.receiver.take() } else { None }
        });
        waiting::wake::<F>(receiver);
    }
}

/// Reason a send was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

impl<T, F: Flavor> State<T, F> {
    fn waiting(&mut self) -> &mut Waiters<F::Waiter> {
        &mut self.waiting
    }

    fn watching(&mut self) -> &mut Waiters<F::Waiter> {
        &mut self.watching
    }
}
