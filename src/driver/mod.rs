//! The driver: operations in flight, on whichever machine there is.
//!
//! This file is the only place that matches on the backend. Everything above submits an [`Op`] through
//! [`submission::Submission`] and gets its output; everything below is one of two machines.
//!
//! | file | what it holds |
//! |---|---|
//! | `slot.rs` | the life of an operation, as a pure state machine |
//! | `slots.rs` | where operations lie |
//! | `ring.rs` | the proactor, over any `Kernel` |
//! | `kernel.rs` | the seam `Kernel`; the only file that calls io_uring |
//! | `setup.rs` | the ladder of setup flags, refusals |
//! | `poller.rs` | the selector; the only file that calls epoll |
//! | `submission.rs` | the future of an operation |
//! | `repeat.rs` | the future of several: read_exact, write_all |
//! | `feature.rs`, `stats.rs` | what a report says |
//!
//! No code of the user (wakers, destructors, `complete`) runs while the backend is borrowed: machines leave
//! that in [`Deferred`], and [`Driver::settle`] does it afterwards.

pub(crate) mod feature;
pub(crate) mod kernel;
#[macro_use]
pub(crate) mod repeat;
pub(crate) mod poller;
pub(crate) mod ring;
pub(crate) mod setup;
pub(crate) mod slot;
pub(crate) mod slots;
pub(crate) mod stats;
pub(crate) mod submission;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::op::fd::{Descriptor, Registry};
use crate::op::{Completion, Direction, Op, Wait, would_block};
use crate::sys::call::Call;
use crate::sys::context::{self, Entered};
use crate::sys::guarded::Guarded;
use crate::task::inbox::{Delivery, Shared};
use crate::task::scheduler::Scheduler;
use crate::task::waker::Waiter;
use kernel::{Granted, Uring};
use poller::Poller;
use ring::Ring;
use slot::{Action, Event, Life};
use slots::{Holder, Key, Slots, foreign_waker};
use stats::Stats;

thread_local! {
    static CURRENT: context::Context<Driver> = const { context::Context::new() };
}

/// Whether a visit to the kernel may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Park {
    No,
    For(Duration),
    Forever,
}

pub(crate) enum Backend {
    Ring(Box<Ring<Uring>>, Granted),
    Poller(Poller),
    /// The runtime has ended.
    Closed,
}

/// What a visit leaves to be done when the backend is free again: it may run code of the user.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    wake: Vec<Waiter>,
    reclaim: Vec<Key>,
}

impl Deferred {
    fn is_empty(&self) -> bool {
        self.wake.is_empty() && self.reclaim.is_empty()
    }
}

pub(crate) struct Driver {
    backend: RefCell<Backend>,
    slots: Slots,
    deferred: RefCell<Deferred>,
    scheduler: Rc<Scheduler>,
    me: Weak<Driver>,
    pub(crate) stats: Stats,
}

/// What carries an operation out.
enum Machine {
    /// The ring.
    Ring,
    /// System calls: at once, when the descriptor is ready, or on the pool.
    Calls,
    /// Nothing any more: the runtime has ended.
    None,
}

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
    pub(crate) fn new(backend: Backend, scheduler: Rc<Scheduler>) -> Rc<Self> {
        Rc::new_cyclic(|me| Driver {
            backend: RefCell::new(backend),
            slots: Slots::new(),
            deferred: RefCell::default(),
            scheduler,
            me: me.clone(),
            stats: Stats::default(),
        })
    }

    pub(crate) fn enter(self: Rc<Self>) -> Entered<Driver> {
        context::enter(&CURRENT, self)
    }

    /// Takes charge of a descriptor.
    pub(crate) fn attach(&self, fd: OwnedFd) -> Descriptor {
        Descriptor::new(fd, self.me.clone())
    }

    /// Begins an operation.
    fn start<O: Op>(&self, mut op: O, cx: &mut Context<'_>) -> Started<O> {
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
        let machine = match &*self.backend.borrow() {
            Backend::Ring(_, granted) if granted.has_opcode(O::OPCODE) => Machine::Ring,
            Backend::Ring(..) | Backend::Poller(_) => Machine::Calls,
            Backend::Closed => Machine::None,
        };
        match (machine, op.wait()) {
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
        if let Some(entry) = entry
            && let Backend::Ring(ring, _) = &mut *self.backend.borrow_mut()
        {
            ring.submit(key, entry, &self.slots, &self.stats);
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

    fn with_poller<O: Op, T>(
        &self,
        op: &O,
        f: impl FnOnce(&mut Poller, &Descriptor, Direction) -> T,
    ) -> Option<T> {
        match (&mut *self.backend.borrow_mut(), op.wait()) {
            (Backend::Poller(poller), Wait::Ready(descriptor, direction)) => {
                Some(f(poller, descriptor, direction))
            }
            _ => None,
        }
    }

    fn watch<O: Op>(&self, op: &O, key: Key) -> io::Result<()> {
        let watched = self.with_poller(op, |poller, descriptor, direction| {
            poller.watch(descriptor, direction, key, &self.slots, &self.stats)
        });
        watched.unwrap_or(Ok(()))
    }

    /// Goes on with an operation in its slot.
    fn poll<O: Op>(&self, key: Key, cx: &mut Context<'_>) -> Poll<O::Output> {
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
        let report = Report { shared: pool.shared(), key, result: -libc::ECANCELED };
        pool.submit(key.pack(), move || report.carry_out(call));
    }

    /// A job has reported.
    fn job_done(&self, key: Key, result: i32) {
        self.stats.completions.add(1);
        self.deferred.borrow_mut().deliver(key, Event::Last, Completion::new(result), &self.slots);
        self.settle();
    }

    /// Asks for an operation's end; its future goes on waiting for the result.
    fn cancel(&self, key: Key) {
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
    fn abandon(&self, key: Key) {
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
        } else if let Backend::Ring(ring, _) = &mut *self.backend.borrow_mut() {
            ring.cancel(key);
        }
    }

    /// One visit to the kernel, and everything that follows from it.
    pub(crate) fn visit(&self, park: Park) -> io::Result<()> {
        let visited = {
            let mut deferred = self.deferred.borrow_mut();
            match &mut *self.backend.borrow_mut() {
                Backend::Ring(ring, _) => ring.visit(park, &self.slots, &self.stats, &mut deferred),
                Backend::Poller(poller) => poller.visit(park, &self.slots, &self.stats, &mut deferred),
                Backend::Closed => Ok(()),
            }
        };
        self.settle();
        visited
    }

    /// Hands over what is queued, and takes what comes of it at once: the ends of cancelled operations, so
    /// that their descriptors close although the loop may not turn soon.
    pub(crate) fn flush(&self) {
        for _ in 0..4 {
            if !self.has_unsubmitted() || self.visit(Park::No).is_err() {
                return;
            }
        }
    }

    /// Whether a visit would bring something at once.
    pub(crate) fn has_work(&self) -> bool {
        match &mut *self.backend.borrow_mut() {
            Backend::Ring(ring, _) => ring.has_work(),
            Backend::Poller(_) | Backend::Closed => false,
        }
    }

    /// Whether something waits to be handed to the kernel.
    pub(crate) fn has_unsubmitted(&self) -> bool {
        match &mut *self.backend.borrow_mut() {
            Backend::Ring(ring, _) => ring.has_unsubmitted(),
            Backend::Poller(_) | Backend::Closed => false,
        }
    }

    /// Runs the code of the user that visits have left: wakers, and destructors of what was abandoned. A
    /// panic in one does not keep the others from running; it goes on when all have.
    fn settle(&self) {
        let mut guarded = Guarded::default();
        while !self.deferred.borrow().is_empty() {
            // What runs here may leave more.
            let Deferred { mut wake, mut reclaim } = self.deferred.take();
            wake.drain(..).for_each(|waiter| guarded.run(|| waiter.wake()));
            reclaim.drain(..).for_each(|key| guarded.run(|| self.slots.take_apart(key)));
            let mut deferred = self.deferred.borrow_mut();
            if deferred.is_empty() {
                *deferred = Deferred { wake, reclaim }; // keeps their memory
            }
        }
        guarded.finish();
    }

    /// The driver's own operation, if one is in flight.
    fn own(&self) -> Option<Key> {
        match &*self.backend.borrow() {
            Backend::Ring(ring, _) => ring.own_operation(),
            Backend::Poller(_) | Backend::Closed => None,
        }
    }

    /// Operations that occupy a slot, less the driver's own.
    pub(crate) fn live_operations(&self) -> usize {
        self.slots.live() - usize::from(self.own().is_some())
    }

    /// Asks for the end of everything that is in flight.
    pub(crate) fn cancel_all(&self) {
        let own = self.own();
        for key in self.slots.keys().into_iter().filter(|key| own != Some(*key)) {
            if matches!(self.slots.life(key), Some(Life::Queued | Life::InFlight)) {
                self.cancel(key);
            }
        }
    }

    /// Operations into which somebody else still has pointers, less the driver's own.
    pub(crate) fn in_flight(&self) -> usize {
        let own = self.own();
        let keys = self.slots.keys().into_iter().filter(|key| own != Some(*key));
        keys.filter(|key| self.slots.life(*key).is_some_and(Life::is_in_flight)).count()
    }

    /// Closes the backend. What is still in flight stays where it is for good.
    pub(crate) fn close(&self) {
        if let Backend::Ring(ring, _) = &mut *self.backend.borrow_mut() {
            ring.disarm_wake(&self.slots, &self.stats, &mut self.deferred.borrow_mut());
        }
        self.settle();
        let backend = std::mem::replace(&mut *self.backend.borrow_mut(), Backend::Closed);
        drop(backend);
    }

    /// What `f` makes of the backend.
    pub(crate) fn with_backend<T>(&self, f: impl FnOnce(&Backend) -> T) -> T {
        f(&self.backend.borrow())
    }

    /// The descriptor that a foreign loop polls: readable when a turn would do something.
    pub(crate) fn raw_fd(&self) -> Option<RawFd> {
        match &*self.backend.borrow() {
            Backend::Ring(ring, _) => Some(ring.kernel.as_raw_fd()),
            Backend::Poller(poller) => Some(poller.as_fd().as_raw_fd()),
            Backend::Closed => None,
        }
    }
}

impl Registry for Driver {
    fn forget(&self, token: u64, fd: RawFd) {
        if let Backend::Poller(poller) = &mut *self.backend.borrow_mut() {
            poller.forget(token, fd, &self.stats);
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("operations", &self.slots.live()).finish_non_exhaustive()
    }
}

/// Carries a job's result home when it is dropped, so that a job which never ran reports as well.
struct Report {
    shared: Arc<Shared>,
    key: Key,
    result: i32,
}

impl Report {
    fn carry_out(mut self, call: Call) {
        self.result = call.run_through_signals();
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let (key, result) = (self.key, self.result);
        // A closed inbox means that the slot has been given up as leaked.
        let _ = self.shared.post(move |delivery| {
            if delivery == Delivery::Run {
                with(|driver| driver.map(|driver| driver.job_done(key, result)));
            }
        });
    }
}

/// The driver of the loop that runs on this thread.
pub(crate) fn with<T>(f: impl FnOnce(Option<&Driver>) -> T) -> T {
    context::with(&CURRENT, f)
}

/// The same, shared.
pub(crate) fn current() -> Option<Rc<Driver>> {
    context::get(&CURRENT)
}

/// Takes charge of a descriptor, for the runtime of this thread.
///
/// # Panics
/// Outside a runtime; `what` names the method in the message.
#[track_caller]
pub(crate) fn attach(fd: OwnedFd, what: &str) -> Descriptor {
    let mut fd = Some(fd);
    let descriptor = with(|driver| driver.map(|driver| driver.attach(fd.take().expect("taken once"))));
    descriptor.unwrap_or_else(|| crate::task::no_runtime(what))
}

/// An object that holds a port or is being closed goes, while operations of dropped futures may still share
/// it: has the kernel end these now, if this is the thread's runtime.
pub(crate) fn flush_for<T>(shared: &Rc<T>, descriptor: &Descriptor) {
    if Rc::strong_count(shared) == 1 {
        return;
    }
    if let Some(driver) = current()
        && std::ptr::addr_eq(descriptor.home(), Rc::as_ptr(&driver))
    {
        driver.flush();
    }
}

/// Borrows the descriptor that a foreign loop polls.
pub(crate) fn borrow_fd(driver: &Driver) -> BorrowedFd<'_> {
    let fd = driver.raw_fd().expect("a runtime that can be borrowed is open");
    // SAFETY: the backend owns the descriptor and is closed only when the runtime is, which the borrow of
    // the driver by way of the runtime excludes.
    unsafe { BorrowedFd::borrow_raw(fd) }
}
