//! Waiting for a descriptor to become free.
//!
//! Where none is, accept(2) answers EMFILE at once and the client stays in the backlog, so that a server which
//! simply tries again would spin. It waits here instead: the close of any descriptor of the runtime is a
//! reason to look again. Descriptors that others close are not seen, so who waits sets a timer as well.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use slab::Slab;

use super::Driver;
use crate::task::cell::layout::Waiter;

/// The waiters for a free descriptor, and the number of descriptors closed so far.
#[derive(Debug, Default)]
pub(super) struct Shortage {
    closed: Cell<u64>,
    waiting: RefCell<Slab<Waiter>>,
}

impl Shortage {
    /// A descriptor has been closed. Wakes, so nothing may be borrowed; what had the descriptor may be half taken apart.
    pub(super) fn relieve(&self) {
        self.closed.set(self.closed.get() + 1);
        if self.waiting.borrow().is_empty() {
            return;
        }
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(|(_, waiter)| waiter.wake_contained());
    }
}

/// Ready once a descriptor of the runtime has been closed after this was made.
pub(crate) struct Relief {
    driver: Rc<Driver>,
    since: u64,
    place: Option<usize>,
}

impl Relief {
    pub(crate) fn new(driver: Rc<Driver>) -> Self {
        let since = driver.shortage.closed.get();
        Relief { driver, since, place: None }
    }

    /// Gives up waiting: who polls this is woken, to see so.
    pub(crate) fn withdraw(mut self) {
        if let Some(waiter) = self.leave() {
            waiter.wake_contained();
        }
    }

    fn leave(&mut self) -> Option<Waiter> {
        let shortage = &self.driver.shortage;
        // Once relieved, the place is no longer this one's.
        let place = self.place.take().filter(|_| shortage.closed.get() == self.since)?;
        shortage.waiting.borrow_mut().try_remove(place)
    }
}

impl Future for Relief {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.driver.shortage.closed.get() != self.since {
            return Poll::Ready(());
        }
        let waiter = Waiter::new(cx); // may be code of the user: not while the list is borrowed
        let replaced = self.leave();
        let place = self.driver.shortage.waiting.borrow_mut().insert(waiter);
        self.place = Some(place);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Relief {
    fn drop(&mut self) {
        drop(self.leave());
    }
}
