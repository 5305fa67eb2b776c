//! Requests that scopes have caught: delivery, suppression, and continuing to the enclosing scope.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use crate::sys::guarded::contain;
use crate::task::cell::layout::{CaughtRequest, HandlingGuard, Origin, Request, TaskRef, Waiter};

impl Origin {
    /// Delivers the request: for the first time, or to the enclosing scope when the scopes that had caught it have handled it.
    pub(super) fn deliver(&self, task: &TaskRef) {
        match self {
            Origin::Task { counted } => {
                if !counted || task.header().cancels.get() > 0 {
                    task.deliver_cancel();
                }
            }
            Origin::Limit(limit) if limit.triggered.get() || !limit.is_counted() => {} // the limit has ended, or the request was suppressed
            Origin::Limit(limit) => {
                if !task.header().cold_or_new().scopes.hand_over(task, self) {
                    limit.leave();
                    limit.wake();
                }
            }
        }
    }
}

impl HandlingGuard {
    /// Marks the task as handling a request, and also the tasks around it if it is the body of a group.
    fn new(task: &TaskRef) -> Self {
        let mut tasks = Vec::new();
        task.for_each_runner(|task| {
            let handled = &task.header().cold_or_new().scopes.handled;
            handled.set(handled.get() + 1);
            tasks.push(task.clone());
        });
        HandlingGuard(tasks)
    }
}

impl Drop for HandlingGuard {
    fn drop(&mut self) {
        for task in &self.0 {
            let scopes = &task.header().cold_or_new().scopes;
            scopes.handled.set(scopes.handled.get() - 1);
            if scopes.handled.get() == 0 && scopes.is_postponed.take() {
                task.request_cancel();
            }
        }
    }
}

impl Request {
    /// Makes a request that scopes of `task` are about to catch.
    pub(super) fn new(task: &TaskRef, origin: Origin) -> Rc<Self> {
        Rc::new(Request {
            task: task.clone(),
            origin,
            merged: RefCell::default(),
            continues: Cell::new(false),
            waiting: RefCell::default(),
            _handling: HandlingGuard::new(task),
        })
    }

    /// Waits until all scopes that have caught the request have handled it. The caller holds a [`Weak`] reference, because each
    /// of them holds a strong one.
    pub(in crate::task) fn poll_handled(request: &Weak<Self>, cx: &Context<'_>) -> Poll<()> {
        let waiter = Waiter::new(cx); // may be user code: nothing is borrowed
        let Some(request) = request.upgrade() else { return Poll::Ready(()) };
        let mut waiting = request.waiting.borrow_mut();
        if !waiting.iter().any(|known| known.will_wake(cx)) {
            waiting.push(waiter);
        }
        Poll::Pending
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("continues", &self.continues).finish_non_exhaustive()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.continues.get() {
            let dropped_by =
                self.task.header().cold().and_then(|cold| cold.scopes.dropped_by.borrow().clone());
            let origins = std::iter::once(self.origin.clone()).chain(self.merged.take());
            match dropped_by {
                Some(request) => request.merged.borrow_mut().extend(origins),
                None => origins.for_each(|origin| origin.deliver(&self.task)),
            }
        }
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(|waiter| contain(|| waiter.wake()));
    }
}

impl CaughtRequest {
    pub(in crate::task) fn request(&self) -> &Rc<Request> {
        &self.request
    }

    /// Suppresses the request for this scope. Returns the number of requests that remain.
    pub(in crate::task) fn suppress(mut self) -> u16 {
        self.suppressed = true;
        let task = &self.request.task;
        match &self.request.origin {
            Origin::Task { counted: true } => task.uncancel(),
            Origin::Task { counted: false } => task.header().cancels.get(),
            Origin::Limit(limit) => limit.uncount(task),
        }
    }
}

impl Drop for CaughtRequest {
    fn drop(&mut self) {
        if !self.suppressed {
            self.request.continues.set(true);
        }
    }
}
