//! The scopes of a task: where a request for its end is caught, and the parts that a time limit ends by themselves.
//!
//! Each [`CatchCancel`](crate::task::CatchCancel) that has been polled is a scope of its task, and so is the inside of each
//! limit. Scopes nest as their futures do. A request for the task is delivered to the innermost scopes that catch
//! (several, where a task polls several futures at a time); only a task without any loses its whole future. The request
//! of a limit is delivered in the same way to those inside the limit; without any, the limit drops its future.
//! A scope catches once.
//!
//! All scopes that have caught a request share it. When the last of them has handled it, the request continues to the
//! enclosing scope, unless it was suppressed. A request that is being handled in a future that another request ends is
//! merged into that one.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::sys::context::expect_runtime;
use crate::sys::guarded::contain;
use crate::task::cell::layout::{Handling, Limit, Origin, Request, Scope, Scopes, Share, TaskRef, Waiter};
use crate::task::cell::loop_core;

/// The receiver of a request that is for what is being polled now: the task, or a child of a group in it.
pub(in crate::task) fn target() -> Option<TaskRef> {
    let task = loop_core::current_task()?;
    let child = task.header().cold().and_then(|cold| cold.scopes.child.borrow().clone());
    Some(child.unwrap_or(task))
}

/// Ends what is being polled now: it waits for something that was cancelled, and is cancelled with it. As asyncio's
/// `CancelledError` that comes out of an await, this counts as no request. A second poll means that nothing could be
/// ended: the future given to `block_on` can't be cancelled.
pub(crate) fn cancel_with<T>(cx: &Context<'_>) -> Poll<T> {
    if let Some(target) = target() {
        let mut around = target.header().cold().and_then(|cold| cold.scopes.current.borrow().clone());
        while let Some(limit) = around.take_if(|scope| scope.limit.is_some()) {
            around = limit.parent.clone();
        }
        match around {
            // Not whatever is innermost in the task: that may be beside this.
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

/// Calls `poll`, which polls this child of a group in the current task.
pub(in crate::task) fn inside<T>(child: &TaskRef, poll: impl FnOnce() -> T) -> T {
    let Some(task) = loop_core::current_task() else { return poll() };
    during(&task.header().cold_or_new().scopes.child, Some(child.clone()), poll)
}

/// Calls `f` while `value` is in this place.
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

impl Origin {
    /// Delivers the request, at first or because what has caught it is through with it.
    fn deliver(&self, task: &TaskRef) {
        match self {
            Origin::Task { counted } => {
                if !counted || task.header().cancels.get() > 0 {
                    task.deliver_cancel();
                }
            }
            Origin::Limit(limit) if limit.triggered.get() || !limit.is_counted() => {} // over, or swallowed
            Origin::Limit(limit) => {
                if !task.header().cold_or_new().scopes.hand_over(task, self) {
                    limit.leave();
                    limit.wake();
                }
            }
        }
    }
}

impl Handling {
    fn new(task: &TaskRef) -> Self {
        let mut tasks = Vec::new();
        task.each_runner(|task| {
            let handled = &task.header().cold_or_new().scopes.handled;
            handled.set(handled.get() + 1);
            tasks.push(task.clone());
        });
        Handling(tasks)
    }
}

impl Drop for Handling {
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
    fn new(task: &TaskRef, origin: Origin) -> Rc<Self> {
        Rc::new(Request {
            task: task.clone(),
            origin,
            merged: RefCell::default(),
            goes_on: Cell::new(false),
            waiting: RefCell::default(),
            _handling: Handling::new(task),
        })
    }

    /// Ready when no scope has the request any more; see [`Weak`](std::rc::Weak).
    pub(in crate::task) fn poll_through(request: &std::rc::Weak<Self>, cx: &Context<'_>) -> Poll<()> {
        let waiter = Waiter::new(cx); // user code, perhaps: nothing is borrowed
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
        f.debug_struct("Request").field("goes_on", &self.goes_on).finish_non_exhaustive()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.goes_on.get() {
            let ends = self.task.header().cold().and_then(|cold| cold.scopes.ends.borrow().clone());
            let origins = std::iter::once(self.origin.clone()).chain(self.merged.take());
            match ends {
                Some(request) => request.merged.borrow_mut().extend(origins),
                None => origins.for_each(|origin| origin.deliver(&self.task)),
            }
        }
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(|waiter| contain(|| waiter.wake()));
    }
}

impl Share {
    pub(in crate::task) fn request(&self) -> &Rc<Request> {
        &self.request
    }

    /// Suppresses the request for this scope. Returns the number of requests that remain.
    pub(in crate::task) fn swallow(mut self) -> u16 {
        self.swallowed = true;
        let task = &self.request.task;
        match &self.request.origin {
            Origin::Task { counted: true } => task.uncancel(),
            Origin::Task { counted: false } => task.header().cancels.get(),
            Origin::Limit(limit) => limit.uncount(task),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if !self.swallowed {
            self.request.goes_on.set(true);
        }
    }
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
    /// Hands a request for the task to the innermost scopes that have not got one. False when there is none.
    pub(in crate::task) fn deliver(&self, task: &TaskRef) -> bool {
        // What is pending may have come out of an await, uncounted.
        let counted = task.header().cancels.get() > 0;
        self.hand_over(task, &Origin::Task { counted })
    }

    /// Puts a request for the task off until no request is being handled. False when none is.
    pub(in crate::task) fn postpone(&self) -> bool {
        let is_handling = self.handled.get() > 0;
        self.is_postponed.set(is_handling);
        is_handling
    }

    fn hand_over(&self, task: &TaskRef, origin: &Origin) -> bool {
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

    /// Whether it is inside this limit, or of a task's scopes any, and in nothing that is about to be dropped.
    fn is_inside(&self, limit: Option<&Rc<Scope>>) -> bool {
        let is_limit = |scope: &&Rc<Scope>| limit.is_some_and(|limit| Rc::ptr_eq(limit, scope));
        let end = self.around().find(|scope| is_limit(scope) || scope.triggered.get());
        end.as_ref().map_or(limit.is_none(), is_limit)
    }

    /// Whether its parent counts it.
    fn is_reached(&self) -> bool {
        !self.triggered.get() && (self.limit.is_none() || self.inner.get() > 0)
    }

    /// The number of scopes inside changes by one.
    fn change_inner(mut scope: Option<&Rc<Scope>>, by: isize) {
        while let Some(changed) = scope {
            let before = changed.is_reached();
            changed.inner.set(changed.inner.get().checked_add_signed(by).expect("it was counted"));
            scope = changed.parent.as_ref().filter(|_| before != changed.is_reached());
        }
    }

    /// A request is for this scope, whatever is inside.
    fn mark(&self, request: &Rc<Request>) {
        self.leave(); // the next request is for what is around
        self.caught.set(Some(Share { request: request.clone(), swallowed: false }));
    }

    /// May call user code. A panic there does not stop the delivery to other scopes.
    fn wake(&self) {
        let waiter = self.waiter.take();
        waiter.into_iter().for_each(|waiter| contain(|| waiter.wake()));
    }

    /// No request reaches it any more.
    fn leave(&self) {
        if self.is_reached() {
            Scope::change_inner(self.parent.as_ref(), -1);
        }
        self.triggered.set(true);
    }

    fn is_counted(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| limit.counted.get())
    }

    /// The task counts the request of this limit no longer. Gives the number of requests that are left.
    fn uncount(&self, task: &TaskRef) -> u16 {
        if self.limit.as_ref().is_some_and(|limit| limit.counted.take()) {
            task.uncount_own_request();
        }
        task.header().cancels.get()
    }
}

/// A scope in the list of its task; dropped, it leaves.
#[derive(Debug)]
pub(in crate::task) struct Entered {
    task: TaskRef,
    scope: Rc<Scope>,
    place: usize,
}

impl Entered {
    /// A scope that catches, of this task, in what is being polled.
    pub(in crate::task) fn new(task: TaskRef) -> Self {
        Self::with(task, None)
    }

    fn with(task: TaskRef, limit: Option<Limit>) -> Self {
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
        let place = scopes.all.borrow_mut().insert(scope.clone());
        Entered { task, scope, place }
    }

    /// Leaves the rest to a limit around that is up at the same moment, if there is one. The body of a group is code of the
    /// task that runs it: limits around the group are around the body.
    fn joins_limit_around(&self) -> bool {
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

    /// Whether it has a request.
    pub(in crate::task) fn is_triggered(&self) -> bool {
        self.scope.triggered.get()
    }

    /// Leaves the list, and drops what is inside by `drop_it`: the request that it has caught ends that.
    pub(in crate::task) fn end_by<T>(self, drop_it: impl FnOnce() -> T) -> (Option<Share>, T) {
        let caught = self.scope.caught.take();
        let task = self.task.clone();
        drop(self); // what follows is for those around
        let ends = caught.as_ref().map(|share| share.request.clone());
        let dropped = during(&task.header().cold_or_new().scopes.ends, ends, drop_it);
        (caught, dropped)
    }

    /// Calls `poll` with this scope around whatever it polls, and has a request wake the poller.
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
        let left = self.scopes().all.borrow_mut().try_remove(self.place);
        self.scope.leave();
        self.scope.uncount(&self.task);
        let waiter = self.scope.waiter.take();
        drop((left, waiter)); // a waker is user code
        drop(self.scope.caught.take()); // nobody has come for it: it goes on
    }
}

/// The inside of a time limit, as the limit sees it: what it can ask to end.
#[derive(Debug, Default)]
pub(crate) struct Region {
    entered: Option<Entered>,
    /// Requests that the task had when the limit began. Later ones are for what is around, too.
    before: u16,
    /// The time is up, and those inside have been told, or are by a limit around.
    told: bool,
}

impl Region {
    /// Calls `poll` for what is inside, in the task that polls now.
    ///
    /// # Panics
    /// Outside a runtime.
    pub(crate) fn around<T>(&mut self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        self.entered().around(cx, poll)
    }

    /// The scope, which is another one in another task.
    fn entered(&mut self) -> &Entered {
        let task = expect_runtime(target(), "a time limit");
        if !self.entered.as_ref().is_some_and(|entered| entered.is_of(&task)) {
            *self = Region { before: task.header().cancels.get(), ..Region::default() };
        }
        self.entered.get_or_insert_with(|| Entered::with(task, Some(Limit::default())))
    }

    /// Whether the limit has asked what is inside to end, in the task that polls now.
    pub(crate) fn is_told(&mut self) -> bool {
        self.entered();
        self.told
    }

    /// The time is up: what is inside is polled once more, and told to end then by [`tell`](Self::tell).
    pub(crate) fn expire(&mut self) {
        let entered = self.entered();
        let joins = entered.joins_limit_around();
        if let Some(limit) = &entered.scope.limit
            && !limit.counted.replace(true)
        {
            limit.last_poll.set(true);
            entered.task.count_own_request();
        }
        self.told = joins;
    }

    /// The last poll has moved the deadline: all is as before, unless a limit inside relies on this one's request.
    pub(crate) fn retract(&mut self) {
        if let Some(entered) = &self.entered
            && let Some(limit) = &entered.scope.limit
            && limit.last_poll.get()
            && !limit.has_joined.get()
        {
            limit.last_poll.set(false);
            entered.scope.uncount(&entered.task);
            self.told = false;
        }
    }

    /// After a poll that was not ready: asks what is inside to end, if the time is up. True when it has just done so.
    pub(crate) fn tell(&mut self) -> bool {
        let Some(entered) = &self.entered else { return false };
        if !entered.scope.limit.as_ref().is_some_and(|limit| limit.last_poll.take()) {
            return false;
        }
        if !self.told {
            Origin::Limit(entered.scope.clone()).deliver(&entered.task);
        }
        self.told = true;
        true
    }

    /// Whether what is inside is to be dropped: nothing in there catches the request, or it was let go.
    pub(crate) fn is_to_be_dropped(&self) -> bool {
        self.entered.as_ref().is_some_and(Entered::is_triggered)
    }

    /// Whether a later request than the limit's beginning is for what is around, and so ends this await as well.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.entered.as_ref().is_some_and(|entered| {
            let own = u16::from(entered.scope.is_counted());
            entered.task.header().cancels.get().saturating_sub(own) > self.before
        })
    }
}
