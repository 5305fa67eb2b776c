//! The items of a queue, its waiters, and the order in which they are served.
//!
//! A waiter is served by a promise: a getter of one item, a putter of one place. The item stays in the queue until the
//! getter takes it. So a getter that is dropped takes no item with it; its promise goes to the next waiter.
//!
//! A shutdown voids all promises, and their counts are not used any more: from then on no task waits, and the first
//! getter to run takes the next item.
#![forbid(unsafe_code)]

use std::mem;
use std::panic::resume_unwind;
use std::thread;

use super::order::{Items, Order};
use crate::sync::core::flavor::Flavor;
use crate::sync::core::waiters::Waiters;
use crate::sync::core::waiting::{QueueStatus, wake};

pub(super) struct State<T, O: Order<T>, F: Flavor> {
    items: O::Items,
    /// `usize::MAX` without a limit.
    maxsize: usize,
    /// Items promised to getters that have not run since.
    promised: usize,
    /// Places promised to putters that have not run since.
    granted: usize,
    /// Items that were put and not yet reported done.
    unfinished: usize,
    /// The number of times that the last unfinished item was reported done.
    finishes: u64,
    shut_down: bool,
    getters: Waiters<F::Waiter>,
    putters: Waiters<F::Waiter>,
    joiners: Waiters<F::Waiter>,
}

/// The result of a change, with the work that is left for after the lock: a waiter to wake, or a panic to resume.
#[must_use]
pub(super) struct Done<R, F: Flavor> {
    result: thread::Result<R>,
    wake: Option<F::Waiter>,
}

impl<R, F: Flavor> Done<R, F> {
    /// Does the work that is left, and returns the result. The caller does not hold the lock.
    #[inline]
    pub(super) fn finish(self) -> R {
        wake::<F>(self.wake);
        self.result.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// The reason for which a put or a get was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The queue is full, or empty.
    NotNow,
    ShutDown,
}

impl<T, O: Order<T>, F: Flavor> State<T, O, F> {
    pub(super) fn new(maxsize: usize) -> Self {
        State {
            items: O::Items::default(),
            maxsize,
            promised: 0,
            granted: 0,
            unfinished: 0,
            finishes: 0,
            shut_down: false,
            getters: Waiters::new(),
            putters: Waiters::new(),
            joiners: Waiters::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn maxsize(&self) -> Option<usize> {
        (self.maxsize != usize::MAX).then_some(self.maxsize)
    }

    pub(super) fn is_full(&self) -> bool {
        self.items.len() >= self.maxsize
    }

    pub(super) fn getters(&mut self) -> &mut Waiters<F::Waiter> {
        &mut self.getters
    }

    pub(super) fn putters(&mut self) -> &mut Waiters<F::Waiter> {
        &mut self.putters
    }

    pub(super) fn joiners(&mut self) -> &mut Waiters<F::Waiter> {
        &mut self.joiners
    }

    fn has_room(&self) -> bool {
        self.items.len() + self.granted < self.maxsize
    }

    fn has_item(&self) -> bool {
        self.items.len() > self.promised
    }

    /// Puts the item, if a putter with this status may.
    #[inline]
    pub(super) fn put(&mut self, item: &mut Option<T>, status: QueueStatus) -> Result<Done<(), F>, Refused> {
        if self.shut_down {
            return Err(Refused::ShutDown);
        }
        match status {
            QueueStatus::Served => self.granted -= 1,
            QueueStatus::New if self.putters.is_empty() && self.has_room() => {}
            QueueStatus::New | QueueStatus::Waiting => return Err(Refused::NotNow),
        }
        self.unfinished += 1;
        let result = self.items.push(item.take().expect("it was not put yet"));
        Ok(Done { result, wake: self.serve_getter() })
    }

    /// Takes an item, if there is one for a getter with this status.
    #[inline]
    pub(super) fn get(&mut self, status: QueueStatus) -> Result<Done<T, F>, Refused> {
        match status {
            _ if self.shut_down => {}
            QueueStatus::Served => self.promised -= 1,
            QueueStatus::New if self.has_item() => {}
            QueueStatus::New | QueueStatus::Waiting => return Err(Refused::NotNow),
        }
        match self.items.pop() {
            Ok(Some(item)) => Ok(Done { result: Ok(item), wake: self.serve_putter() }),
            Ok(None) => Err(Refused::ShutDown),
            // The item is still in the queue.
            Err(panic) => Ok(Done { result: Err(panic), wake: self.serve_getter() }),
        }
    }

    fn serve_getter(&mut self) -> Option<F::Waiter> {
        if self.shut_down || !self.has_item() {
            return None;
        }
        let getter = self.getters.pop_front()?;
        self.promised += 1;
        Some(getter)
    }

    fn serve_putter(&mut self) -> Option<F::Waiter> {
        if self.shut_down || !self.has_room() {
            return None;
        }
        let putter = self.putters.pop_front()?;
        self.granted += 1;
        Some(putter)
    }

    /// Passes the promise of a dropped getter on. Returns the next getter, if one is served.
    pub(super) fn give_up_item(&mut self) -> Option<F::Waiter> {
        if !self.shut_down {
            self.promised -= 1;
        }
        self.serve_getter()
    }

    /// Passes the place of a dropped putter on. Returns the next putter, if one is served.
    pub(super) fn give_up_place(&mut self) -> Option<F::Waiter> {
        if !self.shut_down {
            self.granted -= 1;
        }
        self.serve_putter()
    }

    /// Notes that an item is done. Returns whether it was the last; `None` if there was none.
    pub(super) fn task_done(&mut self) -> Option<bool> {
        self.unfinished = self.unfinished.checked_sub(1)?;
        Some(self.finish())
    }

    fn finish(&mut self) -> bool {
        let finished = self.unfinished == 0;
        self.finishes += u64::from(finished);
        finished
    }

    /// Whether all items were done at some time since `finishes` had the value in `since`.
    pub(super) fn is_finished(&self, since: &mut Option<u64>) -> bool {
        self.unfinished == 0 || *since.get_or_insert(self.finishes) != self.finishes
    }

    /// Refuses later puts. If `immediate`, returns the items that are left and counts them as done.
    pub(super) fn shut_down(&mut self, immediate: bool) -> Option<O::Items> {
        self.shut_down = true;
        immediate.then(|| {
            let left = mem::take(&mut self.items);
            self.unfinished = self.unfinished.saturating_sub(left.len());
            self.finish();
            left
        })
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.shut_down
    }
}
