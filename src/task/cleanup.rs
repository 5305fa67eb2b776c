//! What a future leaves when it is dropped, and who waits for that.
//!
//! Rust drops a future at once; asyncio throws an exception into a coroutine, whose `finally` blocks may await. Here
//! a dropped future leaves *remains*: operations that are still with the kernel, tasks that it has cancelled, and
//! clean-ups, futures that close what it had open ([`defer`]). Somebody is *responsible* for them: the task that is being
//! polled or dropped, which, if it was cancelled, ends when they are over; or whoever disposes of a part of a task
//! ([`dispose`]) and wants to wait for just that part.
//!
//! The clean-ups of one drop run one after the other in the order in which they were left, which is from the inside out,
//! in a task of their own that nobody cancels. It begins when everything else that its responsible task waits for is
//! over. A task that is not cancelled (as when a branch of a `select!` loses) does not wait for it.
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

use super::cell::TaskRef;
use super::scheduler::{self, Scheduler};
use super::unhandled::Unhandled;
use super::{JoinHandle, Panic};
use crate::sys::guarded::contain;
use crate::sys::sync::Arc;

struct CleanUp {
    future: Pin<Box<dyn Future<Output = io::Result<()>>>>,
    /// Where the user registered it: a failure names this line.
    place: &'static Location<'static>,
}

/// Clean-ups that have not begun, and the task that will do them.
#[derive(Clone)]
pub(super) struct CleanUps {
    pub(super) task: TaskRef,
    queue: Rc<RefCell<VecDeque<CleanUp>>>,
}

/// Has `future` awaited after the future that is being dropped now. Outside a runtime, and in one that has ended, it is
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

/// Where the clean-ups of what is being dropped now go. `place` is that of the first.
fn queue_of(scheduler: &Scheduler, place: &'static Location<'static>) -> Rc<RefCell<VecDeque<CleanUp>>> {
    let parent = scheduler.responsible();
    let waiting = parent.as_ref().and_then(|parent| {
        let clean_ups = parent.header().extra_or_new().clean_ups.borrow();
        clean_ups.as_ref().map(|clean_ups| clean_ups.queue.clone())
    });
    waiting.unwrap_or_else(|| {
        let queue = Rc::<RefCell<VecDeque<CleanUp>>>::default();
        let cleaner = Cleaner { parent: parent.clone(), queue: queue.clone(), current: None };
        let task = scheduler.spawn_shielded(cleaner, "clean-up", place);
        if let Some(parent) = parent {
            parent.outlives(&task);
            let clean_ups = CleanUps { task, queue: queue.clone() };
            parent.header().extra_or_new().clean_ups.replace(Some(clean_ups));
        }
        queue
    })
}

/// The future of the task that does clean-ups.
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

/// Tells the hook that a clean-up of the task that is being polled has failed.
fn report(place: &'static Location<'static>, message: String, panicked: bool) {
    let told = scheduler::with(|current| {
        let scheduler = current?;
        let task = scheduler.current_task()?;
        let unhandled = Unhandled::clean_up(task.header(), place, message, panicked);
        Some((unhandled, Arc::as_ptr(scheduler.shared())))
    });
    if let Some((unhandled, shared)) = told {
        unhandled.report(shared);
    }
}

/// Drops a part of the running task's future, by `drop_it`. What that leaves is to be waited for by itself.
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

/// A task without a future that has been cancelled: it ends when what it is responsible for is over. Made when there is
/// something.
pub(super) struct Heir(Option<JoinHandle<()>>);

impl Heir {
    pub(super) fn task(&mut self, scheduler: &Scheduler) -> TaskRef {
        let heir = self.0.get_or_insert_with(|| {
            let heir = scheduler.spawn_empty();
            heir.request_cancel();
            heir
        });
        heir.task_ref().clone()
    }
}

/// What a part of a task has left; ready when it is over.
///
/// Dropped, it is waited for by the task that drops it, if that is cancelled.
#[derive(Debug)]
pub(crate) struct Remains(Option<JoinHandle<()>>);

impl Future for Remains {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(heir) => Pin::new(heir).poll(cx).map(|_| self.0 = None),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|heir| wait_for_end(heir.task_ref()));
    }
}

/// Who is responsible for what is dropped now ends no earlier than `task`; unless that waits for the task that runs.
pub(super) fn wait_for_end(task: &TaskRef) {
    scheduler::with(|current| {
        let Some(scheduler) = current else { return };
        if !scheduler.current_task().is_some_and(|running| task.waits_for(&running)) {
            scheduler.responsible().into_iter().for_each(|responsible| responsible.outlives(task));
        }
    });
}
