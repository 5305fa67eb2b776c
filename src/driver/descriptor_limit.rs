//! Waiting at the limit of descriptors until one has been freed.
//!
//! At the limit accept(2) answers EMFILE at once and the client stays in the backlog, so a server that simply tries again
//! would spin. It waits here instead, until the runtime closes a descriptor. Descriptors that other code closes are not
//! seen, so the server sets a timer as well.
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
pub(super) struct DescriptorLimit {
    closed: Cell<u64>,
    waiting: RefCell<Slab<Waiter>>,
}

impl DescriptorLimit {
    /// Notes that a descriptor has been closed, and wakes the waiters. Nothing may be borrowed meanwhile. Panics of wakers are
    /// contained: the caller may be a half-dropped object.
    pub(super) fn descriptor_freed(&self) {
        self.closed.set(self.closed.get() + 1);
        if self.waiting.borrow().is_empty() {
            return;
        }
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(|(_, waiter)| waiter.wake_contained());
    }
}

/// A future that is ready once the runtime has closed a descriptor after the creation of the future.
pub(crate) struct DescriptorFreed {
    driver: Rc<Driver>,
    since: u64,
    key: Option<usize>,
}

impl DescriptorFreed {
    pub(crate) fn new(driver: Rc<Driver>) -> Self {
        let since = driver.descriptor_limit.closed.get();
        DescriptorFreed { driver, since, key: None }
    }

    /// Ends the wait, and wakes the waiter.
    pub(crate) fn withdraw(mut self) {
        if let Some(waiter) = self.leave() {
            waiter.wake_contained();
        }
    }

    fn leave(&mut self) -> Option<Waiter> {
        let descriptor_limit = &self.driver.descriptor_limit;
        // After a wake the key belongs to another waiter.
        let key = self.key.take().filter(|_| descriptor_limit.closed.get() == self.since)?;
        descriptor_limit.waiting.borrow_mut().try_remove(key)
    }
}

impl Future for DescriptorFreed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.driver.descriptor_limit.closed.get() != self.since {
            return Poll::Ready(());
        }
        let waiter = Waiter::new(cx); // may run user code: not while the list is borrowed
        let replaced = self.leave();
        let key = self.driver.descriptor_limit.waiting.borrow_mut().insert(waiter);
        self.key = Some(key);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for DescriptorFreed {
    fn drop(&mut self) {
        drop(self.leave());
    }
}
