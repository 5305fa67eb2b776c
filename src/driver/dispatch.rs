//! How an operation begins, goes on and is given up.
//!
//! On the ring it is placed in its slot and its entry queued. Elsewhere its system call is made: at once where
//! it never waits, when the descriptor is ready, or on the blocking pool. The backend is borrowed only for
//! the moments in which it is asked, never while code of the user runs.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::poller::Poller;
use super::slot::{Action, Event, Life};
use super::slots::{Holder, Key, foreign_waker};
use super::{Driver, Machine, with};
use crate::op::{Completion, Op, Wait, would_block};
use crate::sys::call::Call;
use crate::task::inbox::{Delivery, Shared};

/// What became of an operation that was to begin.
pub(crate) enum Started<O: Op> {
    /// It is over already.
    Done(O::Output),
    /// It is in its slot.
    Pending(Key),
    /// It must wait before it may begin: poll again when woken.
    NotYet(O),
}

impl Driver {
    /// Begins an operation.
    pub(super) fn start<O: Op>(&self, mut op: O, cx: &mut Context<'_>) -> Started<O> {
        if self.scheduler.inline_exhausted() {
            cx.waker().wake_by_ref(); // let the others run first
            return Started::NotYet(op);
        }
        match op.prepare(cx) {
            Poll::Pending => return Started::NotYet(op),
            Poll::Ready(Some(result)) => {
                self.scheduler.count_inline();
                return Started::Done(op.complete(Completion::new(result)));
            }
            Poll::Ready(None) => {}
        }
        if let Wait::Ready(descriptor, _) = op.wait() {
            assert!(
                std::ptr::addr_eq(descriptor.home(), self),
                "{}: this object belongs to another runtime; use it in the runtime in which it was made",
                O::NAME
            );
        }
        match (self.machine(O::OPCODE), op.wait()) {
            (Machine::None, _) => Started::Done(op.complete(Completion::CANCELED)),
            (Machine::Ring, _) => Started::Pending(self.submit(op, cx)),
            // The selector, or an operation that this kernel's ring does not know.
            (Machine::Calls, Wait::Now) => {
                self.scheduler.count_inline();
                let result = self.call(&mut op);
                Started::Done(op.complete(Completion::new(result)))
            }
            (Machine::Calls, Wait::Pool) => {
                let key = self.place(op, cx);
                self.submit_job(key);
                Started::Pending(key)
            }
            (Machine::Calls, Wait::Ready(..)) => self.call_or_watch(op, cx),
        }
    }

    fn place<O: Op>(&self, op: O, cx: &Context<'_>) -> Key {
        let owner = self.scheduler.current_task();
        let waker = foreign_waker(owner.as_ref(), cx);
        self.slots.place(op, owner, waker)
    }

    /// Places an operation and queues its entry.
    fn submit<O: Op>(&self, op: O, cx: &Context<'_>) -> Key {
        /// A buffer of the user may panic when it is asked for its pointer.
        struct Unplace<'a>(&'a Driver, Key);
        impl Drop for Unplace<'_> {
            fn drop(&mut self) {
                self.0.abandon(self.1);
            }
        }
        let key = self.place(op, cx);
        let unplace = Unplace(self, key);
        // SAFETY: it was placed with this type two lines above, and nobody else refers to it.
        let entry = unsafe { self.slots.get::<O>(key).map(|mut op| op.as_mut().entry()) };
        std::mem::forget(unplace);
        if let Some(entry) = entry {
            self.with_ring(|ring| ring.submit(key, entry, &self.slots, &self.stats));
        }
        key
    }

    /// Makes the call if the descriptor may be ready; places the operation and has the descriptor watched
    /// if it is not.
    fn call_or_watch<O: Op>(&self, mut op: O, cx: &Context<'_>) -> Started<O> {
        if let Some(result) = self.try_call(&mut op) {
            return Started::Done(op.complete(Completion::new(result)));
        }
        let key = self.place(op, cx);
        // SAFETY: it was placed with this type in the line above, and nobody else refers to it.
        let watched = unsafe { self.slots.get::<O>(key).map(|op| self.watch(op.as_ref(), key)) };
        if let Some(Err(error)) = watched {
            self.finish_queued(key, -error.raw_os_error().unwrap_or(libc::EIO));
            // SAFETY: as above.
            if let Some((op, completion, _)) = unsafe { self.slots.claim::<O>(key) } {
                return Started::Done(op.complete(completion));
            }
        }
        Started::Pending(key)
    }

    /// The selector's call, if the descriptor may be ready and answers anything but "not yet".
    fn try_call<O: Op>(&self, op: &mut O) -> Option<i32> {
        if !self.with_poller(op, Poller::may_be_ready)? {
            return None;
        }
        let result = self.call(op);
        if would_block(result) {
            return None;
        }
        self.scheduler.count_inline();
        if op.drained(result) {
            self.with_poller(op, Poller::drained);
        }
        Some(result)
    }

    fn watch<O: Op>(&self, op: &O, key: Key) -> io::Result<()> {
        let watched = self.with_poller(op, |poller, descriptor, direction| {
            poller.watch(descriptor, direction, key, &self.slots, &self.stats)
        });
        watched.unwrap_or(Ok(()))
    }

    /// Goes on with an operation in its slot.
    pub(super) fn poll<O: Op>(&self, key: Key, cx: &mut Context<'_>) -> Poll<O::Output> {
        if self.slots.life(key) == Some(Life::Queued) {
            // It waits in the ring's backlog, or for readiness: then this makes the call if there may be some.
            // SAFETY: the future knows with which type it was placed; nobody else refers to it.
            let op = unsafe { self.slots.get::<O>(key).map(|mut op| op.as_mut()) };
            if let Some(op) = op
                && self.with_poller(op, Poller::may_be_ready) == Some(true)
            {
                if self.scheduler.inline_exhausted() {
                    cx.waker().wake_by_ref();
                } else if let Some(result) = self.try_call(op) {
                    self.finish_queued(key, result);
                } else if let Err(error) = self.watch(op, key) {
                    self.finish_queued(key, -error.raw_os_error().unwrap_or(libc::EIO));
                }
            }
        }
        // SAFETY: as above.
        if let Some((op, completion, _)) = unsafe { self.slots.claim::<O>(key) } {
            return Poll::Ready(op.complete(completion));
        }
        drop(self.slots.set_waker(key, cx));
        Poll::Pending
    }

    fn call<O: Op>(&self, op: &mut O) -> i32 {
        self.stats.calls.add(1);
        op.call().run_through_signals()
    }

    /// An operation that waited for readiness has its result.
    fn finish_queued(&self, key: Key, result: i32) {
        let _ = self.slots.apply(key, Event::Push);
        let _ = self.slots.apply(key, Event::Last);
        self.slots.keep(key, Completion::new(result));
    }

    /// Hands an operation's call to the pool; the report comes home through the inbox.
    fn submit_job(&self, key: Key) {
        let Some(call) = self.slots.call(key) else { return };
        self.slots.give_to_pool(key);
        let _ = self.slots.apply(key, Event::Push);
        self.stats.submissions.add(1);
        self.stats.calls.add(1);
        let pool = &self.scheduler.pool;
        let report = Report { shared: pool.shared(), key, call, result: -libc::ECANCELED };
        pool.submit(key.pack(), move || report.carry_out());
    }

    /// A job has reported.
    fn job_done(&self, key: Key, result: i32) {
        self.stats.completions.add(1);
        self.deferred.borrow_mut().deliver(key, Event::Last, Completion::new(result), &self.slots);
        self.settle();
    }

    /// Asks for an operation's end; its future goes on waiting for the result.
    pub(super) fn cancel(&self, key: Key) {
        match self.slots.apply(key, Event::Cancel) {
            Some(Action::SendCancel) => self.send_cancel(key),
            Some(Action::CancelledAndWake) => {
                self.slots.keep(key, Completion::CANCELED);
                if let Some(waiter) = self.slots.wake(key) {
                    waiter.wake();
                }
            }
            _ => {}
        }
    }

    /// An operation's future has gone.
    pub(super) fn abandon(&self, key: Key) {
        match self.slots.apply(key, Event::Abandon) {
            Some(Action::SendCancel) => self.send_cancel(key),
            Some(Action::ReclaimCancelled) => {
                self.slots.keep(key, Completion::CANCELED);
                self.slots.take_apart(key);
            }
            Some(Action::Reclaim) => self.slots.take_apart(key),
            _ => {}
        }
    }

    fn send_cancel(&self, key: Key) {
        if self.slots.holder(key) == Some(Holder::Pool) {
            // One that has not begun is dropped, and reports so; nothing can stop one that has.
            self.scheduler.pool.withdraw(key.pack());
        } else {
            self.with_ring(|ring| ring.cancel(key));
        }
    }
}

/// Carries a job's result home when it is dropped, so that a job which never ran reports as well.
struct Report {
    shared: Arc<Shared>,
    key: Key,
    call: Call,
    result: i32,
}

impl Report {
    fn carry_out(mut self) {
        self.result = self.call.run_through_signals();
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let (key, call, result) = (self.key, self.call, self.result);
        let report = move |delivery| match delivery {
            Delivery::Run => drop(with(|driver| driver.map(|driver| driver.job_done(key, result)))),
            // The slot has been given up as leaked.
            Delivery::Discard => call.discard(result),
        };
        if let Err(report) = self.shared.post(report) {
            report(Delivery::Discard); // the inbox is closed
        }
    }
}
