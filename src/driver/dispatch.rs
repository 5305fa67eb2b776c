//! How an operation begins, goes on and is given up.
//!
//! On the ring it is inserted in its slot and its entry queued. Elsewhere its system call is made: at once where
//! it never waits, when the descriptor is ready, or on the blocking pool. The backend is borrowed only for
//! the moments in which it is asked, never while user code runs.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::poller::Poller;
use super::slots::arena::{Holder, SlotRef, foreign_waker};
use super::slots::key::Key;
use super::slots::lifecycle::{Action, Event, Lifecycle};
use super::{Driver, Route, with};
use crate::op::completion::Completion;
use crate::op::{Op, Readiness};
use crate::sys::call::Call;
use crate::sys::guarded::contain;
use crate::task::cell::layout::Waiter;
use crate::task::threads::inbox::{Delivery, Shared};
use crate::task::threads::pool::{Lane, Launch};

/// Whether an operation may begin.
pub(super) enum Admitted {
    Yes,
    /// It need not: this is its result.
    Answered(i32),
    /// It must wait before it may: poll again when woken.
    NotYet,
}

/// The state of an operation after its start.
pub(super) enum Started<O: Op> {
    /// It is over already.
    Done(O::Output),
    /// It is in its slot.
    Pending(Key),
}

impl Driver {
    /// Whether an operation may begin. It stays where it is: what it needs is asked for as often as it is polled, and
    /// an operation is too large to be moved about for that.
    #[inline]
    pub(super) fn admit<O: Op>(&self, op: &mut O, cx: &mut Context<'_>) -> Admitted {
        // (Who has just found nothing there is watched at once: what comes meanwhile would not be told.)
        if self.scheduler.inline_exhausted() && !op.waits_first() {
            cx.waker().wake_by_ref(); // let the others run first
            return Admitted::NotYet;
        }
        match op.prepare(cx) {
            Poll::Pending => Admitted::NotYet,
            Poll::Ready(Some(result)) => {
                self.scheduler.count_inline();
                Admitted::Answered(result)
            }
            Poll::Ready(None) => match op.multishot() {
                Some((endpoint, what)) if self.arm(endpoint, what) => {
                    endpoint.wait(cx);
                    Admitted::NotYet
                }
                _ => Admitted::Yes,
            },
        }
    }

    /// Whether something may be tried that is no operation: it counts as one that is answered at once.
    pub(crate) fn poll_attempt(&self, cx: &Context<'_>) -> Poll<()> {
        if self.scheduler.inline_exhausted() {
            cx.waker().wake_by_ref(); // let the others run first
            return Poll::Pending;
        }
        self.scheduler.count_inline();
        Poll::Ready(())
    }

    /// Begins an operation that has been admitted.
    #[inline(always)] // an operation is large, and begins again in a place of its own
    pub(super) fn start<O: Op>(&self, mut op: O, cx: &mut Context<'_>) -> Started<O> {
        if let Readiness::When(descriptor, _) = op.readiness() {
            self.check_host(descriptor.host(), O::NAME);
        } else if let Some(host) = op.bound_to() {
            self.check_host(host, O::NAME);
        }
        let route = self.route(O::OPCODE);
        let on_ring = matches!(route, Route::Ring);
        let over = on_ring && op.turn().is_some_and(|turn| self.needs_edges(&turn.endpoint().descriptor));
        match (route, op.readiness()) {
            (Route::None, _) => Started::Done(op.complete(Completion::CANCELED)),
            (Route::Ring, _) if !over => self.submit(op, cx),
            (Route::Ring, Readiness::When(..)) => self.start_by_edges(op, cx),
            // The selector, or an operation that this kernel's ring does not know.
            (Route::Calls | Route::Ring, Readiness::Immediate) => {
                self.scheduler.count_inline();
                let result = self.call(&mut op);
                Started::Done(op.complete(Completion::new(result)))
            }
            (Route::Calls | Route::Ring, Readiness::OnPool) => {
                let inserted = self.insert(op, cx);
                self.submit_job(inserted, O::LANE);
                Started::Pending(inserted.key())
            }
            (Route::Calls, Readiness::When(..)) => self.call_or_watch(op, cx),
        }
    }

    /// Begins an operation on a descriptor for which the ring cannot wait.
    #[cold]
    #[inline(never)]
    fn start_by_edges<O: Op>(&self, op: O, cx: &mut Context<'_>) -> Started<O> {
        match self.open_edges() {
            Ok(()) => self.call_or_watch(op, cx),
            Err(error) => Started::Done(op.complete(Completion::new(-errno_of(&error)))),
        }
    }

    /// # Panics
    /// When the object belongs to another runtime.
    #[inline]
    pub(crate) fn check_host(&self, host: *const (), what: &str) {
        assert!(
            std::ptr::addr_eq(host, self),
            "{what}: this object belongs to another runtime; use it in the runtime in which it was made"
        );
    }

    /// Makes an operation's call, for which its descriptor is ready; it ends as cancelled when its runtime has gone.
    ///
    /// # Panics
    /// When the descriptor belongs to another runtime.
    pub(crate) fn call_now<O: Op>(&self, mut op: O) -> O::Output {
        if let Readiness::When(descriptor, _) = op.readiness() {
            if descriptor.is_orphaned() {
                return op.complete(Completion::CANCELED);
            }
            self.check_host(descriptor.host(), O::NAME);
        }
        let result = self.call(&mut op);
        op.complete(Completion::new(result))
    }

    #[inline(always)] // an operation is moved once: from its future into its slot
    fn insert<O: Op>(&self, op: O, cx: &Context<'_>) -> SlotRef<'_> {
        let owner = self.scheduler.current_task();
        let waker = foreign_waker(owner.as_ref(), cx);
        self.slots.insert(op, owner, waker)
    }

    /// Places an operation and queues its entry.
    #[inline]
    fn submit<O: Op>(&self, op: O, cx: &Context<'_>) -> Started<O> {
        let inserted = self.insert(op, cx);
        // SAFETY: it was inserted with this type in the line above, and nobody else refers to it.
        let entry = self.removing_on_unwind(inserted, || unsafe { inserted.get::<O>().as_mut() }.entry());
        match self.with_ring(|ring| ring.submit(inserted, entry, &self.stats)) {
            Some(()) => Started::Pending(inserted.key()),
            // This process is a fork, and has just found out that the ring is not its own.
            None => self.end(inserted, -libc::ECANCELED),
        }
    }

    /// Asks an operation that has just been inserted, and that no future has the key of yet, for what the kernel needs. A
    /// buffer of the user may panic when it is asked for its address: then the operation is taken out again.
    #[inline(always)]
    fn removing_on_unwind<T>(&self, inserted: SlotRef<'_>, ask: impl FnOnce() -> T) -> T {
        struct RemoveOnUnwind<'a>(&'a Driver, Key);
        impl Drop for RemoveOnUnwind<'_> {
            fn drop(&mut self) {
                contain(|| self.0.abandon(self.1)); // it is unwinding, and the buffer may panic again
            }
        }
        let guard = RemoveOnUnwind(self, inserted.key());
        let answer = ask();
        std::mem::forget(guard);
        answer
    }

    /// Ends an operation that has just been inserted.
    #[cold]
    fn end<O: Op>(&self, inserted: SlotRef<'_>, result: i32) -> Started<O> {
        finish_queued(inserted, result);
        // SAFETY: the callers have inserted it with this type.
        let (op, completion, _) = unsafe { inserted.take::<O>() }.expect("it is done");
        Started::Done(op.complete(completion))
    }

    /// Makes the call if the descriptor may be ready; places the operation and has the descriptor watched
    /// if it is not.
    fn call_or_watch<O: Op>(&self, mut op: O, cx: &Context<'_>) -> Started<O> {
        if !op.waits_first()
            && let Some(result) = self.try_call(&mut op)
        {
            return Started::Done(op.complete(Completion::new(result)));
        }
        let inserted = self.insert(op, cx);
        // SAFETY: it was inserted with this type in the line above, and nobody else refers to it.
        let watched = self.watch(unsafe { inserted.get::<O>().as_ref() }, inserted.key());
        match watched {
            Ok(()) => Started::Pending(inserted.key()),
            Err(error) => self.end(inserted, -errno_of(&error)),
        }
    }

    /// The selector's call, if the descriptor may be ready and answers anything but "not yet".
    fn try_call<O: Op>(&self, op: &mut O) -> Option<i32> {
        if !self.with_poller(op, Poller::may_be_ready)? {
            return None;
        }
        let result = self.call(op);
        if op.not_yet(result) {
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
        if self.edges.with(|_| ()).is_some() {
            self.slots.find(key).into_iter().for_each(SlotRef::leave_to_edges);
            self.arm_edges();
        }
        watched.unwrap_or(Ok(()))
    }

    /// Goes on with an operation in its slot. One that is over comes out of it, with its result: the caller forgets the
    /// key before it has the operation complete, which may run user code.
    #[inline(always)] // what comes back is large, and taken apart at once
    pub(super) fn poll<O: Op>(
        &self,
        key: Key,
        cx: &mut Context<'_>,
    ) -> Option<(O, Completion, Option<Waiter>)> {
        let operation = self.slots.find(key)?; // its future keeps it
        if operation.lifecycle() == Lifecycle::Queued {
            self.poll_queued::<O>(operation, cx);
        }
        if operation.lifecycle() != Lifecycle::Done {
            drop(operation.set_waker(cx));
            return None;
        }
        // SAFETY: the future knows with which type it was inserted.
        unsafe { operation.take::<O>() }
    }

    /// It waits in the ring's backlog, or for readiness: then this makes the call if there may be some.
    fn poll_queued<O: Op>(&self, operation: SlotRef<'_>, cx: &mut Context<'_>) {
        if self.native.get().has(O::OPCODE) && operation.holder() != Holder::Edges {
            return; // an entry in the backlog points into it
        }
        // SAFETY: the future knows with which type it was inserted. It waits for readiness, so neither the kernel nor the pool
        // knows of it, and the slot gives out no other reference while its future is polled.
        let op = unsafe { operation.get::<O>().as_mut() };
        match self.with_poller(op, Poller::may_be_ready) {
            Some(true) => {}
            Some(false) => {
                // Another waiter was faster, and has found out that there is nothing more.
                let _ = self.watch(op, operation.key());
                return;
            }
            None => return,
        }
        if self.scheduler.inline_exhausted() {
            cx.waker().wake_by_ref();
        } else if let Some(result) = self.try_call(op) {
            finish_queued(operation, result);
        } else if let Err(error) = self.watch(op, operation.key()) {
            finish_queued(operation, -errno_of(&error));
        }
    }

    fn call<O: Op>(&self, op: &mut O) -> i32 {
        loop {
            self.stats.calls.add(1);
            let result = op.call().run_through_signals();
            if result != -libc::EOPNOTSUPP || !op.otherwise() {
                return result;
            }
        }
    }

    /// Hands an operation's call to the pool; the report comes home through the inbox.
    fn submit_job(&self, inserted: SlotRef<'_>, lane: Lane) {
        let (key, call) = (inserted.key(), self.removing_on_unwind(inserted, || inserted.call()));
        inserted.give_to_pool();
        inserted.apply(Event::Push);
        inserted.lend_to_pool(call);
        self.stats.submissions.add(1);
        self.stats.calls.add(1);
        let pool = &self.scheduler.pool;
        let shared = self.scheduler.shared().clone();
        let report = Report { shared, key, call, completion: Completion::CANCELED };
        pool.submit(lane, key.pack(), move |launch| report.carry_out(launch));
    }

    /// A job has reported.
    fn job_done(&self, key: Key, completion: Completion) {
        self.stats.completions.add(1);
        if let Some(operation) = self.slots.find(key) {
            self.deferred.borrow_mut().deliver(operation, Event::Last, completion);
        }
        self.run_deferred();
    }

    /// Asks for an operation's end; its future goes on waiting for the result.
    pub(super) fn cancel(&self, key: Key) {
        let Some(operation) = self.slots.find(key) else { return };
        if operation.lifecycle() == Lifecycle::Done && operation.kept().result == -libc::EAGAIN {
            operation.keep(Completion::CANCELED); // it would begin again: see `edges.rs`
        }
        match operation.apply(Event::Cancel) {
            Action::SendCancel => self.send_cancel(operation),
            Action::CancelledAndWake => {
                operation.keep(Completion::CANCELED);
                if let Some(waiter) = operation.wake() {
                    waiter.wake();
                }
            }
            _ => {}
        }
    }

    /// An operation's future has gone.
    pub(super) fn abandon(&self, key: Key) {
        let Some(operation) = self.slots.find(key) else { return };
        if self.scheduler.is_tracking_drop() && operation.lifecycle().is_in_flight() {
            self.scheduler.cleanup_owner().into_iter().for_each(|owner| operation.reassign(owner));
        }
        match operation.apply(Event::Abandon) {
            Action::SendCancel => {
                self.send_cancel(operation);
                self.release_outside(Some(key));
            }
            Action::ReclaimCancelled => {
                operation.keep(Completion::CANCELED);
                operation.reclaim();
            }
            Action::Reclaim => operation.reclaim(),
            // It was asked to end before.
            Action::Nothing if operation.is_left() => self.send_cancel(operation),
            Action::Release => operation.release(),
            _ => {}
        }
    }

    fn send_cancel(&self, operation: SlotRef<'_>) {
        let key = operation.key();
        match operation.holder() {
            // One that has not begun is dropped, and reports so; nothing can stop one that has.
            Holder::Pool if operation.is_left() => self.scheduler.pool.abandon(key.pack()),
            Holder::Pool => drop(self.scheduler.pool.withdraw(key.pack())),
            // One that waits for an edge is never in flight.
            Holder::Kernel | Holder::Edges => {
                let asked = self.with_ring(|ring| ring.cancel(key));
                if asked.is_none() && operation.is_multishot() && !self.origin.is_here() {
                    // In a fork of the process: its copy of the descriptor is closed, which nobody else can do.
                    self.deferred.borrow_mut().deliver(operation, Event::Last, Completion::CANCELED);
                    self.run_deferred();
                }
            }
        }
    }
}

pub(super) fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// An operation that waited for readiness has its result.
fn finish_queued(operation: SlotRef<'_>, result: i32) {
    operation.apply(Event::Push);
    operation.apply(Event::Last);
    operation.keep(Completion::new(result));
}

/// Carries a job's result home when it is dropped, so that a job which never ran reports as well.
struct Report {
    shared: Arc<Shared>,
    key: Key,
    call: Call,
    completion: Completion,
}

impl Report {
    fn carry_out(mut self, launch: Launch) {
        self.completion = match launch {
            Launch::Run => Completion::new(self.call.run_through_signals()),
            Launch::NoThread(errno) => Completion::no_thread(errno),
        };
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let (key, call, completion) = (self.key, self.call, self.completion);
        let report = move |delivery| match delivery {
            Delivery::Run => drop(with(|driver| driver.map(|driver| driver.job_done(key, completion)))),
            // The slot has been given up as leaked.
            Delivery::Discard => call.discard(completion.result),
        };
        if let Err(report) = self.shared.post(report) {
            report(Delivery::Discard); // the inbox is closed
        }
    }
}
