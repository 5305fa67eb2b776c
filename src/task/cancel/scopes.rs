//! The scopes of a task: where cancellation requests are caught, and the insides of time limits.
//!
//! Each [`CatchCancel`](crate::task::CatchCancel) that has been polled is a scope of its task, and so is the inside of each
//! time limit. Scopes nest as their futures do. A request for the task is delivered to the innermost scopes that catch
//! (several, if the task polls several futures at a time); a task without any loses its whole future. The request of a
//! time limit is delivered in the same way to the scopes inside the limit; without any, the limit drops its future.
//! A scope catches once.
//!
//! All scopes that have caught a request share it. When the last of them has handled it, the request continues to the
//! enclosing scope, unless it was suppressed. A future that is dropped because of one request may contain scopes that
//! handle another: that one is merged into the first.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::sys::guarded::contain;
use crate::task::cell::layout::{CaughtRequest, Limit, Origin, Request, Scope, Scopes, TaskRef, Waiter};
use crate::task::cell::loop_core;

/// The receiver of requests for the code that is being polled now: the current task, or the child of a group in it.
pub(in crate::task) fn target() -> Option<TaskRef> {
    let task = loop_core::current_task()?;
    let child = task.header().cold().and_then(|cold| cold.scopes.child.borrow().clone());
    Some(child.unwrap_or(task))
}

/// Cancels the code that is being polled now, because it waits for something that was cancelled. Like asyncio's
/// `CancelledError` that comes out of an await, this is not counted as a request. If the caller is polled again, the code
/// could not be cancelled: it is the future given to `block_on`.
pub(crate) fn cancel_with<T>(cx: &Context<'_>) -> Poll<T> {
    if let Some(target) = target() {
        let mut around = target.header().cold().and_then(|cold| cold.scopes.current.borrow().clone());
        while let Some(limit) = around.take_if(|scope| scope.limit.is_some()) {
            around = limit.parent.clone();
        }
        match around {
            // Not the innermost scopes of the task: they may be in a future beside this one.
            Some(scope) if scope.triggered.get() => {}
            Some(scope) => {
                scope.mark(&Request::new(&target, Origin::Task { counted: false }));
                scope.wake();
            }
            None => target.cancel_unscoped(),
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Calls `poll`, which polls this child of a group, as a part of the current task.
pub(in crate::task) fn inside<T>(child: &TaskRef, poll: impl FnOnce() -> T) -> T {
    let Some(task) = loop_core::current_task() else { return poll() };
    during(&task.header().cold_or_new().scopes.child, Some(child.clone()), poll)
}

/// Calls `f` while `place` holds `value`, and then restores what it held before.
fn during<V, T>(place: &RefCell<V>, value: V, f: impl FnOnce() -> T) -> T {
    struct Restore<'a, V>(&'a RefCell<V>, Option<V>);
    impl<V> Drop for Restore<'_, V> {
        fn drop(&mut self) {
            self.1.take().into_iter().for_each(|before| drop(self.0.replace(before)));
        }
    }
    let _restore = Restore(place, Some(place.replace(value)));
    f()
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("limit", &self.limit)
            .field("triggered", &self.triggered)
            .finish_non_exhaustive()
    }
}

impl Scopes {
    /// Delivers a request for the task to the innermost scopes that have not caught one. Returns false if there are none.
    pub(in crate::task) fn deliver(&self, task: &TaskRef) -> bool {
        // The pending request may have come out of an await; then it is not counted.
        let counted = task.header().cancels.get() > 0;
        self.hand_over(task, &Origin::Task { counted })
    }

    /// Postpones a request for the task until no request is being handled. Returns false if none is being handled.
    pub(in crate::task) fn postpone(&self) -> bool {
        let is_handling = self.handled.get() > 0;
        self.is_postponed.set(is_handling);
        is_handling
    }

    /// Makes the innermost scopes that catch, inside the limit if it is one's request, catch a request. Returns false if there
    /// are none.
    pub(super) fn hand_over(&self, task: &TaskRef, origin: &Origin) -> bool {
        let limit = match origin {
            Origin::Task { .. } => None,
            Origin::Limit(limit) => Some(limit),
        };
        let innermost = |scope: &&Rc<Scope>| {
            let catches = scope.limit.is_none() && !scope.triggered.get();
            catches && scope.inner.get() == 0 && scope.is_inside(limit)
        };
        let scopes: Vec<_> =
            self.all.borrow().iter().map(|(_, scope)| scope).filter(innermost).cloned().collect();
        if scopes.is_empty() {
            return false;
        }
        let request = Request::new(task, origin.clone());
        scopes.iter().for_each(|scope| scope.mark(&request));
        scopes.iter().for_each(|scope| scope.wake());
        true
    }
}

impl Scope {
    /// The scopes around this one, from the inside.
    fn around(&self) -> impl Iterator<Item = &Rc<Scope>> {
        std::iter::successors(self.parent.as_ref(), |scope| scope.parent.as_ref())
    }

    /// Whether it is inside `limit` (any scope is, without one), and in no scope whose future is about to be dropped.
    fn is_inside(&self, limit: Option<&Rc<Scope>>) -> bool {
        let is_limit = |scope: &&Rc<Scope>| limit.is_some_and(|limit| Rc::ptr_eq(limit, scope));
        let end = self.around().find(|scope| is_limit(scope) || scope.triggered.get());
        end.as_ref().map_or(limit.is_none(), is_limit)
    }

    /// Whether a request would reach it or a scope inside; then its parent counts it.
    fn is_reached(&self) -> bool {
        !self.triggered.get() && (self.limit.is_none() || self.inner.get() > 0)
    }

    /// Changes the number of scopes inside `scope` by one, and where that matters the numbers of those around it.
    fn change_inner(mut scope: Option<&Rc<Scope>>, by: isize) {
        while let Some(changed) = scope {
            let before = changed.is_reached();
            changed.inner.set(changed.inner.get().checked_add_signed(by).expect("it was counted"));
            scope = changed.parent.as_ref().filter(|_| before != changed.is_reached());
        }
    }

    /// Makes this scope catch a request.
    fn mark(&self, request: &Rc<Request>) {
        self.leave(); // the next request goes to the scopes around
        self.caught.set(Some(CaughtRequest { request: request.clone(), suppressed: false }));
    }

    /// Wakes the poller of this scope. That may call user code; a panic there does not stop the delivery to other scopes.
    pub(super) fn wake(&self) {
        let waiter = self.waiter.take();
        waiter.into_iter().for_each(|waiter| contain(|| waiter.wake()));
    }

    /// Ends the scope for requests: none reaches it any more.
    pub(super) fn leave(&self) {
        if self.is_reached() {
            Scope::change_inner(self.parent.as_ref(), -1);
        }
        self.triggered.set(true);
    }

    /// Whether this is a time limit whose request the task counts.
    pub(super) fn is_counted(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| limit.counted.get())
    }

    /// Takes the request of this time limit back from the task's count. Returns the number of requests that remain.
    pub(super) fn uncount(&self, task: &TaskRef) -> u16 {
        if self.limit.as_ref().is_some_and(|limit| limit.counted.take()) {
            task.uncount_own_request();
        }
        task.header().cancels.get()
    }
}

/// A scope in the list of its task. Its drop removes it from the list.
#[derive(Debug)]
pub(in crate::task) struct Entered {
    pub(super) task: TaskRef,
    pub(super) scope: Rc<Scope>,
    /// The key in the list.
    key: usize,
}

impl Entered {
    /// Enters a scope that catches, inside the scope of this task that is being polled.
    pub(in crate::task) fn new(task: TaskRef) -> Self {
        Self::with(task, None)
    }

    /// Enters a scope; with a `limit`, that of a time limit.
    pub(super) fn with(task: TaskRef, limit: Option<Limit>) -> Self {
        let scopes = &task.header().cold_or_new().scopes;
        let scope = Rc::new(Scope {
            parent: scopes.current.borrow().clone(),
            limit,
            inner: Cell::new(0),
            triggered: Cell::new(false),
            caught: Cell::new(None),
            waiter: Cell::new(None),
        });
        if scope.is_reached() {
            Scope::change_inner(scope.parent.as_ref(), 1);
        }
        let key = scopes.all.borrow_mut().insert(scope.clone());
        Entered { task, scope, key }
    }

    /// Looks for a limit around this one that expires at the same moment, and leaves the request to it. Returns false if there
    /// is none. Limits around a group are around its body, because the body is part of the code of the task that runs it.
    pub(super) fn joins_limit_around(&self) -> bool {
        let (mut task, mut innermost) = (self.task.clone(), self.scope.parent.clone());
        loop {
            let around = innermost.iter().chain(innermost.iter().flat_map(|scope| scope.around()));
            let is_last_poll = |limit: &&Limit| limit.last_poll.get();
            if let Some(limit) = around.filter_map(|scope| scope.limit.as_ref()).find(is_last_poll) {
                limit.has_joined.set(true);
                return true;
            }
            let Some(runner) = task.header().cold().and_then(|cold| cold.runner.borrow().clone()) else {
                return false;
            };
            innermost = runner.header().cold().and_then(|cold| cold.scopes.current.borrow().clone());
            task = runner;
        }
    }

    fn scopes(&self) -> &Scopes {
        &self.task.header().cold_or_new().scopes
    }

    pub(in crate::task) fn is_of(&self, task: &TaskRef) -> bool {
        self.task.same(task)
    }

    /// Whether a request ends the future inside, or the scope has ended. No further request reaches it.
    pub(in crate::task) fn is_triggered(&self) -> bool {
        self.scope.triggered.get()
    }

    /// Leaves the list, and drops the future inside by `drop_it`, because of the request that the scope has caught.
    pub(in crate::task) fn drop_inside<T>(self, drop_it: impl FnOnce() -> T) -> (Option<CaughtRequest>, T) {
        let caught = self.scope.caught.take();
        let task = self.task.clone();
        drop(self); // later requests are for the scopes around
        let dropped_by = caught.as_ref().map(|caught| caught.request.clone());
        let dropped = during(&task.header().cold_or_new().scopes.dropped_by, dropped_by, drop_it);
        (caught, dropped)
    }

    /// Calls `poll` with this scope as the current one. A request for the scope then wakes the poller.
    pub(in crate::task) fn around<T>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> T,
    ) -> T {
        let waiter = match self.scope.waiter.take() {
            Some(waiter) if waiter.will_wake(cx) => waiter,
            _ => Waiter::new(cx),
        };
        self.scope.waiter.set(Some(waiter));
        during(&self.scopes().current, Some(self.scope.clone()), || poll(cx))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = self.scopes().all.borrow_mut().try_remove(self.key);
        self.scope.leave();
        self.scope.uncount(&self.task);
        let waiter = self.scope.waiter.take();
        drop((left, waiter)); // a waker may be user code
        drop(self.scope.caught.take()); // not taken by the owner: the request continues
    }
}
