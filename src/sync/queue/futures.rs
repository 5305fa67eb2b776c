//! The futures of `put`, `get` and `join`.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::error::QueueShutDown;
use super::order::{Fifo, Order};
use super::state::{Done, Refused, State};
use crate::sync::core::flavor::{Flavor, Local};
use crate::sync::core::waiters::Ticket;
use crate::sync::core::waiting::{self, poll_queue};

/// The future of [`Queue::put`](super::Queue::put).
#[must_use = "futures do nothing unless awaited"]
pub struct Put<'a, T, O: Order<T> = Fifo, F: Flavor = Local> {
    pub(super) state: &'a F::Cell<State<T, O, F>>,
    pub(super) item: Option<T>,
    pub(super) ticket: Option<Ticket>,
}

impl<T, O: Order<T>, F: Flavor> Unpin for Put<'_, T, O, F> {}

impl<T, O: Order<T>, F: Flavor> Future for Put<'_, T, O, F> {
    type Output = Result<(), QueueShutDown<T>>;

    /// # Panics
    /// If it is polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Put { state, item, ticket } = self.get_mut();
        assert!(item.is_some(), "a `put` was polled after its result");
        let poll = poll_queue::<F, _, _>(state, cx, ticket, State::putters, |state, status| {
            match state.put(item, status) {
                Ok(done) => Poll::Ready(Some(done)),
                Err(Refused::NotNow) => Poll::Pending,
                Err(Refused::ShutDown) => Poll::Ready(None),
            }
        });
        poll.map(|done| match done {
            Some(done) => {
                done.finish();
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

/// The future of [`Queue::get`](super::Queue::get).
#[must_use = "futures do nothing unless awaited"]
pub struct Get<'a, T, O: Order<T> = Fifo, F: Flavor = Local> {
    pub(super) state: &'a F::Cell<State<T, O, F>>,
    pub(super) ticket: Option<Ticket>,
}

impl<T, O: Order<T>, F: Flavor> Future for Get<'_, T, O, F> {
    type Output = Result<T, QueueShutDown>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let state = self.state;
        let poll = poll_queue::<F, _, _>(state, cx, &mut self.ticket, State::getters, |state, status| {
            match state.get(status) {
                Ok(done) => Poll::Ready(Ok(done)),
                Err(Refused::NotNow) => Poll::Pending,
                Err(Refused::ShutDown) => Poll::Ready(Err(QueueShutDown(()))),
            }
        });
        poll.map_ok(Done::finish)
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

/// The future of [`Queue::join`](super::Queue::join).
#[must_use = "futures do nothing unless awaited"]
pub struct Join<'a, T, O: Order<T> = Fifo, F: Flavor = Local> {
    pub(super) state: &'a F::Cell<State<T, O, F>>,
    /// The value of `finishes` when the wait began.
    pub(super) since: Option<u64>,
    pub(super) ticket: Option<Ticket>,
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
