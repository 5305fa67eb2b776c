//! The remains of a dropped future, and the tasks that wait for them.
//!
//! Rust drops a future at once; asyncio throws an exception into a coroutine, whose `finally` blocks may await. Here a
//! dropped future leaves *remains*: operations that are still with the kernel, tasks that it has cancelled, and
//! cleanups, futures that close what it had open ([`defer`]). One task is *responsible* for them. It is the task that
//! is being polled or dropped: if it was cancelled, it completes only after they have ended. Or it is the code that
//! disposes of a part of a task ([`dispose`]) and waits for just that part.
//!
//! The cleanups of one drop run one after the other in the order in which they were left, which is from the inside out,
//! in a separate task that is never cancelled. It begins when everything else that its responsible task waits for has
//! ended. A task that is not cancelled (as when a branch of a `select!` loses) does not wait for it.
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
use crate::task::cell::layout::{CleanUp, CleanUps, TaskRef};
use crate::task::cell::loop_core;
use crate::task::scheduler::{self, Heir, Scheduler};

/// Awaits `future` after the future that is being dropped now. Outside a runtime, and in one that has ended, it is
/// dropped. An error or a panic of it names `place`.
pub(crate) fn defer(
    place: &'static Location<'static>,
    future: impl Future<Output = io::Result<()>> + 'static,
) {
    let clean_up = CleanUp { future: Box::pin(future), place };
    scheduler::with(|current| match current.filter(|scheduler| !scheduler.is_abandoned()) {
        Some(scheduler) => queue_of(scheduler, place).borrow_mut().push_back(clean_up),
        None => drop(clean_up),
    });
}

/// The queue for the cleanups of the future that is being dropped now. `place` is that of the first.
fn queue_of(scheduler: &Scheduler, place: &'static Location<'static>) -> Rc<RefCell<VecDeque<CleanUp>>> {
    let parent = scheduler.responsible();
    let waiting = parent.as_ref().and_then(|parent| {
        let clean_ups = parent.header().extra_or_new().clean_ups.borrow();
        clean_ups.as_ref().map(|clean_ups| clean_ups.queue.clone())
    });
    waiting.unwrap_or_else(|| {
        let queue = Rc::<RefCell<VecDeque<CleanUp>>>::default();
        let cleaner = Cleaner { parent: parent.clone(), queue: queue.clone(), current: None };
        let task = scheduler.spawn_shielded(cleaner, "cleanup", place);
        if let Some(parent) = parent {
            parent.outlives(&task);
            let clean_ups = CleanUps { task, queue: queue.clone() };
            parent.header().extra_or_new().clean_ups.replace(Some(clean_ups));
        }
        queue
    })
}

/// The future of the task that runs cleanups.
struct Cleaner {
    parent: Option<TaskRef>,
    queue: Rc<RefCell<VecDeque<CleanUp>>>,
    current: Option<CleanUp>,
}

impl Future for Cleaner {
    /// Errors and panics are reported one by one, each with its place.
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(parent) = self.parent.take() {
            // It holds the parent's end up as well, hence 1. The parent wakes this when nothing else does any more.
            if parent.is_being_reaped() && parent.ops() > 1 {
                self.parent = Some(parent);
                return Poll::Pending;
            }
            let begun = parent.header().extra_or_new().clean_ups.take(); // what is left from now on is for another one
            drop(begun);
        }
        loop {
            if self.current.is_none() {
                let next = self.queue.borrow_mut().pop_front();
                self.current = next;
            }
            let Some(clean_up) = &mut self.current else { return Poll::Ready(Ok(())) };
            let place = clean_up.place;
            // One that fails or panics, in its drop even, must not keep the others from being done.
            match catch_unwind(AssertUnwindSafe(|| clean_up.future.as_mut().poll(cx))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Ok(()))) => {}
                Ok(Poll::Ready(Err(error))) => report(place, error.to_string(), false),
                Err(payload) => report_panic(place, payload),
            }
            let over = self.current.take();
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(over))) {
                report_panic(place, payload);
            }
        }
    }
}

fn report_panic(place: &'static Location<'static>, payload: Box<dyn Any + Send>) {
    let panic = Panic::new(payload);
    report(place, panic.message().to_owned(), true);
    contain(|| drop(panic)); // its payload is the user's
}

/// Reports to the hook that a cleanup of the task that is being polled has failed.
fn report(place: &'static Location<'static>, message: String, panicked: bool) {
    let told = scheduler::with(|current| {
        let scheduler = current?;
        let task = scheduler.current_task()?;
        let unhandled = task.header().unhandled(message, panicked).of_cleanup(place);
        Some((unhandled, Arc::as_ptr(scheduler.shared())))
    });
    if let Some((unhandled, shared)) = told {
        loop_core::report(&unhandled, shared);
    }
}

/// Drops a part of the running task's future, by `drop_it`. Returns its remains, to be awaited separately.
pub(crate) fn dispose(drop_it: impl FnOnce()) -> Remains {
    struct Restore(Option<Heir>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let heir = scheduler::with(|current| {
                current.and_then(|scheduler| scheduler.heir.replace(self.0.take()))
            });
            // After a panic it is still there: who goes on panicking waits for it.
            drop(Remains(heir.and_then(|heir| heir.0)));
        }
    }
    let before = scheduler::with(|current| current.map(|scheduler| scheduler.heir.replace(Some(Heir(None)))));
    let Some(before) = before else {
        drop_it();
        return Remains(None);
    };
    let restore = Restore(before);
    drop_it();
    let heir = scheduler::with(|current| current.and_then(|scheduler| scheduler.heir.borrow_mut().take()));
    drop(restore);
    Remains(heir.and_then(|heir| heir.0))
}

impl Heir {
    /// The task, a cancelled one without a future.
    fn task(&mut self, scheduler: &Scheduler) -> TaskRef {
        let heir = self.0.get_or_insert_with(|| {
            let heir = scheduler.spawn_empty();
            heir.request_cancel();
            heir
        });
        heir.clone()
    }
}

impl Scheduler {
    /// The task that waits for the remains of a future that is being dropped now.
    pub(crate) fn responsible(&self) -> Option<TaskRef> {
        match &mut *self.heir.borrow_mut() {
            Some(heir) => Some(heir.task(self)),
            None => self.current_task(),
        }
    }
}

/// The remains of a part of a task; ready when they have ended.
///
/// If it is dropped by a cancelled task, that task waits for the remains.
#[derive(Debug)]
pub(crate) struct Remains(Option<TaskRef>);

impl Future for Remains {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &self.0 {
            Some(heir) if !heir.is_complete() => {
                heir.check_joiner();
                heir.set_joiner(cx);
                Poll::Pending
            }
            _ => {
                self.0 = None;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|heir| wait_for_end(&heir));
    }
}

/// Makes the current cleanup owner wait for `task`, unless that would form a cycle.
pub(in crate::task) fn wait_for_end(task: &TaskRef) {
    scheduler::with(|current| {
        let Some(scheduler) = current else { return };
        if !scheduler.current_task().is_some_and(|running| task.waits_for(&running)) {
            scheduler.responsible().into_iter().for_each(|responsible| responsible.outlives(task));
        }
    });
}
