//! Pending cleanup of a dropped future, and the tasks that wait for it.
//!
//! Rust drops a future at once; asyncio throws an exception into a coroutine, whose `finally` blocks may await. Here a
//! dropped future leaves *pending cleanup*: operations that the kernel still has, tasks that it has cancelled, and
//! cleanups, which are futures that close what it had open ([`defer`]). One task is the *cleanup owner*. It is the task
//! that is being polled or dropped: if that was cancelled, it completes only after the pending cleanup. Code that drops
//! a part of a task by [`drop_and_track`] gets an owner for just that part, and waits for it.
//!
//! The cleanups of one drop run one after the other in the order in which they were registered, which is from the inside
//! out, in a separate task that is never cancelled. It starts when everything else that its owner waits for has ended. A
//! task that is not cancelled (as when a branch of a `select!` loses) does not wait for it.
#![forbid(unsafe_code)]

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::sys::guarded::contain;
use crate::sys::sync::Arc;
use crate::task::cell::error::Panic;
use crate::task::cell::layout::{Cleanup, CleanupQueue, TaskRef};
use crate::task::cell::loop_core;
use crate::task::scheduler::{self, CleanupOwner, Scheduler};

/// Registers a cleanup of the future that is being dropped now. Outside a runtime, and in one that has ended, the cleanup
/// is dropped. The report of its error or panic names `location`.
pub(crate) fn defer(
    location: &'static Location<'static>,
    future: impl Future<Output = io::Result<()>> + 'static,
) {
    let cleanup = Cleanup { future: Box::pin(future), registered_at: location };
    scheduler::with(|current| match current.filter(|scheduler| !scheduler.is_abandoned()) {
        Some(scheduler) => queue_of(scheduler, location).borrow_mut().push_back(cleanup),
        None => drop(cleanup),
    });
}

/// Returns the queue for cleanups of the future that is being dropped now. Starts the cleanup task if there is none yet;
/// `location` is that of the first cleanup.
fn queue_of(scheduler: &Scheduler, location: &'static Location<'static>) -> Rc<RefCell<VecDeque<Cleanup>>> {
    let parent = scheduler.cleanup_owner();
    let waiting = parent.as_ref().and_then(|parent| {
        let cleanups = parent.header().cold_or_new().cleanups.borrow();
        cleanups.as_ref().map(|cleanups| cleanups.queue.clone())
    });
    waiting.unwrap_or_else(|| {
        let queue = Rc::<RefCell<VecDeque<Cleanup>>>::default();
        let future = CleanupTask { parent: parent.clone(), queue: queue.clone(), current: None };
        let task = scheduler.spawn_uncancellable(future, "cleanup", location);
        if let Some(parent) = parent {
            parent.wait_for(&task);
            let cleanups = CleanupQueue { task, queue: queue.clone() };
            parent.header().cold_or_new().cleanups.replace(Some(cleanups));
        }
        queue
    })
}

/// The future of the task that runs cleanups.
struct CleanupTask {
    parent: Option<TaskRef>,
    queue: Rc<RefCell<VecDeque<Cleanup>>>,
    current: Option<Cleanup>,
}

impl Future for CleanupTask {
    /// Errors and panics are reported one by one, each with its location.
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(parent) = self.parent.take() {
            // The parent also waits for this task, which is 1. The parent wakes it when nothing else is left.
            if parent.is_being_reaped() && parent.pending() > 1 {
                self.parent = Some(parent);
                return Poll::Pending;
            }
            let begun = parent.header().cold_or_new().cleanups.take(); // cleanups that are registered later get another task
            drop(begun);
        }
        loop {
            if self.current.is_none() {
                let next = self.queue.borrow_mut().pop_front();
                self.current = next;
            }
            let Some(cleanup) = &mut self.current else { return Poll::Ready(Ok(())) };
            let location = cleanup.registered_at;
            // A cleanup that fails or panics, even in its destructor, must not stop those after it.
            match catch_unwind(AssertUnwindSafe(|| cleanup.future.as_mut().poll(cx))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Ok(()))) => {}
                Ok(Poll::Ready(Err(error))) => report(location, error.to_string(), false),
                Err(payload) => report_panic(location, payload),
            }
            let ended = self.current.take();
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(ended))) {
                report_panic(location, payload);
            }
        }
    }
}

fn report_panic(location: &'static Location<'static>, payload: Box<dyn Any + Send>) {
    let panic = Panic::new(payload);
    report(location, panic.message().to_owned(), true);
    contain(|| drop(panic)); // its payload is the user's
}

/// Reports to the hook that a cleanup of the task that is being polled has failed.
fn report(location: &'static Location<'static>, message: String, panicked: bool) {
    let report = scheduler::with(|current| {
        let scheduler = current?;
        let task = scheduler.current_task()?;
        let unhandled = task.header().unhandled(message, panicked).of_cleanup(location);
        Some((unhandled, Arc::as_ptr(scheduler.shared())))
    });
    if let Some((unhandled, shared)) = report {
        loop_core::report(&unhandled, shared);
    }
}

/// Drops a part of the running task's future, by `drop_it`. Returns the pending cleanup of that part, to be awaited.
pub(crate) fn drop_and_track(drop_it: impl FnOnce()) -> PendingCleanup {
    struct Restore(Option<CleanupOwner>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let owner = scheduler::with(|current| {
                current.and_then(|scheduler| scheduler.tracked_drop.replace(self.0.take()))
            });
            // After a panic of `drop_it` the owner is still there: the unwinding task waits for it.
            drop(PendingCleanup(owner.and_then(|owner| owner.0)));
        }
    }
    let before = scheduler::with(|current| {
        current.map(|scheduler| scheduler.tracked_drop.replace(Some(CleanupOwner(None))))
    });
    let Some(before) = before else {
        drop_it();
        return PendingCleanup(None);
    };
    let restore = Restore(before);
    drop_it();
    let owner =
        scheduler::with(|current| current.and_then(|scheduler| scheduler.tracked_drop.borrow_mut().take()));
    drop(restore);
    PendingCleanup(owner.and_then(|owner| owner.0))
}

impl CleanupOwner {
    /// Returns the task that waits for the cleanup. The first call spawns it, cancelled and with a future that never ends.
    fn task(&mut self, scheduler: &Scheduler) -> TaskRef {
        let task = self.0.get_or_insert_with(|| {
            let task = scheduler.spawn_idle();
            task.request_cancel();
            task
        });
        task.clone()
    }
}

impl Scheduler {
    /// The task that waits for the pending cleanup of a future that is being dropped now.
    pub(crate) fn cleanup_owner(&self) -> Option<TaskRef> {
        match &mut *self.tracked_drop.borrow_mut() {
            Some(owner) => Some(owner.task(self)),
            None => self.current_task(),
        }
    }
}

/// Future of the end of all cleanup that a dropped part of a task has left.
///
/// If a cancelled task drops it, the task waits for that cleanup.
#[derive(Debug)]
pub(crate) struct PendingCleanup(Option<TaskRef>);

impl Future for PendingCleanup {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &self.0 {
            Some(owner) if !owner.is_complete() => {
                owner.check_joiner();
                owner.set_joiner(cx);
                Poll::Pending
            }
            _ => {
                self.0 = None;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for PendingCleanup {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|owner| wait_for_end(&owner));
    }
}

/// Makes the current cleanup owner wait for `task`, unless that would form a cycle.
pub(in crate::task) fn wait_for_end(task: &TaskRef) {
    scheduler::with(|current| {
        let Some(scheduler) = current else { return };
        if !scheduler.current_task().is_some_and(|running| task.waits_for(&running)) {
            scheduler.cleanup_owner().into_iter().for_each(|cleanup_owner| cleanup_owner.wait_for(task));
        }
    });
}
