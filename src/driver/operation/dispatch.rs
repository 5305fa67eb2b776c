//! Start and poll of an operation.
//!
//! On the ring an operation is inserted into its slot and its entry is queued. Otherwise its system call is made: at once if
//! it never waits, when the descriptor is ready, or on the blocking pool. The engine is borrowed only for short moments,
//! never while user code runs.

use std::io;
use std::task::{Context, Poll};

use crate::driver::selector::poller::Poller;
use crate::driver::slots::arena::Holder;
use crate::driver::slots::key::Key;
use crate::driver::slots::lifecycle::{Event, Lifecycle};
use crate::driver::slots::slot_ref::{SlotRef, foreign_waker};
use crate::driver::{Driver, Route};
use crate::op::completion::Completion;
use crate::op::{Op, Readiness};
use crate::sys::guarded::contain;
use crate::task::cell::layout::Waiter;

/// The answer to whether an operation may start.
pub(in crate::driver) enum Admitted {
    Yes,
    /// It need not start: this is its result.
    Answered(i32),
    /// It must wait: poll again after the wake.
    NotYet,
}

/// The state of an operation after its start.
pub(in crate::driver) enum Started<O: Op> {
    /// It has completed.
    Done(O::Output),
    /// It is in a slot.
    Pending(Key),
}

impl Driver {
    /// Checks whether an operation may start. The operation is not moved: it is large, and this check runs at every poll.
    #[inline]
    pub(in crate::driver) fn admit<O: Op>(&self, op: &mut O, cx: &mut Context<'_>) -> Admitted {
        // (An edge wait starts at once: an event in the meantime would not be reported.)
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

    /// Polls whether an attempt without an operation may be made. It counts as an operation that completes at once.
    pub(crate) fn poll_attempt(&self, cx: &Context<'_>) -> Poll<()> {
        if self.scheduler.inline_exhausted() {
            cx.waker().wake_by_ref(); // let the others run first
            return Poll::Pending;
        }
        self.scheduler.count_inline();
        Poll::Ready(())
    }

    /// Starts an operation that has been admitted.
    #[inline(always)] // an operation is large; a restart has a function of its own
    pub(in crate::driver) fn start<O: Op>(&self, mut op: O, cx: &mut Context<'_>) -> Started<O> {
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

    /// Starts an operation on a descriptor for which the ring cannot wait.
    #[cold]
    #[inline(never)]
    fn start_by_edges<O: Op>(&self, op: O, cx: &mut Context<'_>) -> Started<O> {
        match self.open_edges() {
            Ok(()) => self.call_or_watch(op, cx),
            Err(error) => Started::Done(op.complete(Completion::new(-errno_of(&error)))),
        }
    }

    /// # Panics
    /// If the object belongs to another runtime.
    #[inline]
    pub(crate) fn check_host(&self, host: *const (), what: &str) {
        assert!(
            std::ptr::addr_eq(host, self),
            "{what}: this object belongs to another runtime; use it in the runtime in which it was made"
        );
    }

    /// Makes the call of an operation whose descriptor is ready. The result is ECANCELED if its runtime has ended.
    ///
    /// # Panics
    /// If the descriptor belongs to another runtime.
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

    /// Inserts an operation into a slot and queues its entry.
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

    /// Calls `ask`, which reads the buffers of an operation that has just been inserted and whose key no future has yet. A
    /// user's buffer may panic when it returns its address: then the operation is removed from its slot.
    #[inline(always)]
    pub(in crate::driver) fn removing_on_unwind<T>(
        &self,
        inserted: SlotRef<'_>,
        ask: impl FnOnce() -> T,
    ) -> T {
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

    /// Completes an operation that has just been inserted.
    #[cold]
    fn end<O: Op>(&self, inserted: SlotRef<'_>, result: i32) -> Started<O> {
        finish_queued(inserted, result);
        // SAFETY: the callers have inserted it with this type.
        let (op, completion, _) = unsafe { inserted.take::<O>() }.expect("it is done");
        Started::Done(op.complete(completion))
    }

    /// Makes the call if the descriptor may be ready. Otherwise inserts the operation into a slot and watches the descriptor.
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

    /// Makes the call if the descriptor may be ready. Returns `None` if it is not ready.
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

    /// Polls an operation in its slot. Moves a completed one out, with its result. The caller must drop the key before it calls
    /// `complete`, which may run user code.
    #[inline(always)] // the result is large, and destructured at once
    pub(in crate::driver) fn poll<O: Op>(
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

    /// Makes the call of an operation that waits for readiness, if its descriptor may be ready.
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
                // Another operation was faster and has taken everything.
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
}

pub(in crate::driver) fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// Completes an operation that waited for readiness.
fn finish_queued(operation: SlotRef<'_>, result: i32) {
    operation.apply(Event::Push);
    operation.apply(Event::Last);
    operation.keep(Completion::new(result));
}
