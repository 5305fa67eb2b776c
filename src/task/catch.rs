//! `catch_cancel`: a cancellation that ends a part of a task, and leaves the rest to say what follows.
//!
//! Each [`CatchCancel`] that has been polled is a *scope* of its task. Scopes nest as their futures do. A request is
//! delivered to the innermost ones (several, where a task polls several futures at a time); only a task without any
//! loses its whole future. A scope catches once.
//!
//! Those who have caught a request share it. When the last of them is through, it goes on to what is around, unless all
//! have swallowed it.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use slab::Slab;

use super::cell::TaskRef;
use super::cleanup::{Remains, dispose};
use super::waker::Waiter;
use super::{no_runtime, scheduler};
use crate::sys::guarded::contain;

/// The scopes of one task.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    all: RefCell<Slab<Rc<Scope>>>,
    /// The one whose future is being polled.
    current: RefCell<Option<Rc<Scope>>>,
    /// Of the children of groups in the task, the innermost that is being polled: it has scopes of its own.
    child: RefCell<Option<TaskRef>>,
    /// What is being dropped is what a request has ended: earlier ones, that were being handled in there, end with it.
    absorbs: RefCell<bool>,
}

/// To whom a request goes that is for what is being polled now: the task, or a child of a group in it.
fn target() -> Option<TaskRef> {
    let task = scheduler::with(|current| current?.current_task())?;
    let child = task.header().extra().and_then(|extra| extra.scopes.child.borrow().clone());
    Some(child.unwrap_or(task))
}

/// Asks for the end of what is being polled now: it waits for something that was cancelled, and is cancelled with it.
/// Polled again, nobody has heard: the future given to `block_on` can't be cancelled.
pub(crate) fn cancel_with<T>(cx: &Context<'_>) -> Poll<T> {
    if let Some(target) = target() {
        let around = target.header().extra().and_then(|extra| extra.scopes.current.borrow().clone());
        match around {
            // Not whatever is innermost in the task: that may be beside this.
            Some(scope) => {
                target.count_request();
                if !scope.triggered.get() {
                    scope.mark(&Request::new(&target));
                    scope.wake();
                }
            }
            None => {
                target.request_whole_cancel();
            }
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Calls `poll`, which polls this child of a group in the current task.
pub(super) fn inside<T>(child: &TaskRef, poll: impl FnOnce() -> T) -> T {
    let Some(task) = scheduler::with(|current| current?.current_task()) else { return poll() };
    during(&task.header().extra_or_new().scopes.child, Some(child.clone()), poll)
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

/// A request that was caught, once or several times.
struct Request {
    task: TaskRef,
    /// One who has caught it has not swallowed it.
    goes_on: Cell<bool>,
    /// Who waits until all are through.
    waiting: RefCell<Vec<Waiter>>,
}

impl Request {
    fn new(task: &TaskRef) -> Rc<Self> {
        Rc::new(Request { task: task.clone(), goes_on: Cell::new(false), waiting: RefCell::default() })
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let header = self.task.header();
        let is_absorbed = header.extra().is_some_and(|extra| *extra.scopes.absorbs.borrow());
        if self.goes_on.get() && header.cancels.get() > 0 && !is_absorbed {
            self.task.deliver_cancel();
        }
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(|waiter| contain(|| waiter.wake()));
    }
}

/// The share of one who has caught a request; dropped, it lets the request go on.
struct Share {
    request: Rc<Request>,
    swallowed: bool,
}

impl Share {
    /// It need not go on for this one.
    fn swallow(mut self) -> TaskRef {
        self.swallowed = true;
        self.request.task.clone()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if !self.swallowed {
            self.request.goes_on.set(true);
        }
    }
}

struct Scope {
    /// The scope around this one.
    parent: Option<Rc<Scope>>,
    /// Scopes directly inside that a request would reach.
    inner: Cell<usize>,
    /// It has caught a request, and has it until its owner takes it.
    triggered: Cell<bool>,
    caught: Cell<Option<Share>>,
    waiter: Cell<Option<Waiter>>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("triggered", &self.triggered).finish_non_exhaustive()
    }
}

impl Scopes {
    /// Hands a request to the innermost scopes that have not got one. False when there is none.
    pub(super) fn deliver(&self, task: &TaskRef) -> bool {
        let innermost = |scope: &&Rc<Scope>| scope.inner.get() == 0 && !scope.triggered.get();
        let scopes: Vec<_> =
            self.all.borrow().iter().map(|(_, scope)| scope).filter(innermost).cloned().collect();
        if scopes.is_empty() {
            return false;
        }
        let request = Request::new(task);
        scopes.iter().for_each(|scope| scope.mark(&request));
        scopes.iter().for_each(|scope| scope.wake());
        true
    }
}

impl Scope {
    /// A request is for this scope, whatever is inside.
    fn mark(&self, request: &Rc<Request>) {
        self.leave(); // the next request is for what is around
        self.triggered.set(true);
        self.caught.set(Some(Share { request: request.clone(), swallowed: false }));
    }

    /// Calls code of the user, perhaps, whose panic keeps the request from nobody.
    fn wake(&self) {
        let waiter = self.waiter.take();
        waiter.into_iter().for_each(|waiter| contain(|| waiter.wake()));
    }

    /// No request reaches it any more.
    fn leave(&self) {
        if let Some(parent) = self.parent.as_ref().filter(|_| !self.triggered.get()) {
            parent.inner.set(parent.inner.get() - 1);
        }
    }
}

/// A scope in the list of its task; dropped, it leaves.
#[derive(Debug)]
struct Entered {
    task: TaskRef,
    scope: Rc<Scope>,
    place: usize,
}

impl Entered {
    fn new(task: TaskRef) -> Self {
        let scopes = &task.header().extra_or_new().scopes;
        let parent = scopes.current.borrow().clone();
        parent.iter().for_each(|parent| parent.inner.set(parent.inner.get() + 1));
        let scope = Rc::new(Scope {
            parent,
            inner: Cell::new(0),
            triggered: Cell::new(false),
            caught: Cell::new(None),
            waiter: Cell::new(None),
        });
        let place = scopes.all.borrow_mut().insert(scope.clone());
        Entered { task, scope, place }
    }

    fn scopes(&self) -> &Scopes {
        &self.task.header().extra_or_new().scopes
    }

    /// Calls `poll` with this scope around whatever it polls.
    fn around<T>(&self, poll: impl FnOnce() -> T) -> T {
        during(&self.scopes().current, Some(self.scope.clone()), poll)
    }

    fn watch(&self, cx: &Context<'_>) {
        let waiter = match self.scope.waiter.take() {
            Some(waiter) if waiter.will_wake(cx) => waiter,
            _ => Waiter::new(cx),
        };
        self.scope.waiter.set(Some(waiter));
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = self.scopes().all.borrow_mut().try_remove(self.place);
        self.scope.leave();
        let waiter = self.scope.waiter.take();
        drop((left, waiter)); // a waker is code of the user
        drop(self.scope.caught.take()); // nobody has come for it: it goes on
    }
}

/// Lets a cancellation of the task end `future` alone; asyncio's `try: … except CancelledError:`.
///
/// When the task is asked to end, `future` is dropped, and what it leaves is awaited: its operations reaped, its clean-up
/// done, the tasks that it cancels ended. Then the answer is [`Cancelled`], and the code around goes on and may await,
/// *for as long as it keeps that value*: it stands for the `except` block. Dropping it is the end of the block: the next
/// await outside ends the task (or what the next [`catch_cancel`] around has inside), and a task that awaits nothing any
/// more gives its result. [`Cancelled::uncancel`] swallows the request instead. The handle shows both: `cancel().await`
/// gives the result of a task that was not to be stopped.
///
/// A further request, while the first is being handled, is delivered to what is around. Futures side by side in a task may
/// catch the same request: then it goes on when the last of them is through. One whose `catch_cancel` is dropped before it
/// gave its answer is through at once.
///
/// The future that was given to `block_on` is no task that could be dropped: requests for it only reach its
/// `catch_cancel`s. That of a [`Runner`](crate::Runner) is.
///
/// # Panics
/// When polled outside a runtime.
///
/// # Cancellation
/// Dropping it drops `future`.
///
/// # Examples
/// ```
/// use proactor::task::catch_cancel;
/// proactor::run(async {
///     let task = proactor::spawn(async {
///         match catch_cancel(std::future::pending::<()>()).await {
///             Ok(()) => "finished",
///             Err(cancelled) => {
///                 proactor::yield_now().await; // says goodbye
///                 drop(cancelled); // the next await ends the task
///                 proactor::yield_now().await;
///                 unreachable!()
///             }
///         }
///     });
///     proactor::yield_now().await;
///     assert!(task.cancel().await.unwrap_err().is_cancelled());
/// });
/// ```
pub fn catch_cancel<F: Future>(future: F) -> CatchCancel<F> {
    CatchCancel { future: Some(future), state: State::New }
}

pin_project! {
    /// The future of [`catch_cancel`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct CatchCancel<F> {
        #[pin]
        future: Option<F>,
        state: State,
    }
}

#[derive(Debug)]
enum State {
    New,
    Inside(Entered),
    /// The future has been dropped, and its remains are waited for. (None when the request has been given.)
    Caught(Option<Cancelled>, Remains),
    Over,
}

impl<F: Future> Future for CatchCancel<F> {
    type Output = Result<F::Output, Cancelled>;

    /// # Panics
    /// If it is polled after it has given the result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state {
                State::New => {
                    let task = target().unwrap_or_else(|| no_runtime("catch_cancel"));
                    *this.state = State::Inside(Entered::new(task));
                }
                State::Inside(entered) if !target().is_some_and(|task| task.same(&entered.task)) => {
                    *this.state = State::New; // it has moved to another task
                }
                State::Inside(entered) if entered.scope.triggered.get() => {
                    let cancelled = Cancelled(entered.scope.caught.take());
                    let task = entered.task.clone();
                    *this.state = State::Over; // out of the list: what follows is for those around
                    let absorbs = &task.header().extra_or_new().scopes.absorbs;
                    let remains = dispose(|| during(absorbs, true, || this.future.set(None)));
                    *this.state = State::Caught(Some(cancelled), remains);
                }
                State::Inside(entered) => {
                    entered.watch(cx);
                    let future = this.future.as_mut().as_pin_mut().expect("it is there while inside");
                    let output = ready!(entered.around(|| future.poll(cx)));
                    *this.state = State::Over;
                    this.future.set(None);
                    return Poll::Ready(Ok(output));
                }
                State::Caught(cancelled, remains) => {
                    ready!(Pin::new(remains).poll(cx));
                    let cancelled = cancelled.take().expect("it is given once");
                    *this.state = State::Over;
                    return Poll::Ready(Err(cancelled));
                }
                State::Over => panic!("a CatchCancel was polled after its result"),
            }
        }
    }
}

/// A request for the task's cancellation that was caught, see [`catch_cancel`].
///
/// While it is kept the task may await. Dropped, the next await ends the task.
///
/// # Examples
/// ```
/// use proactor::task::catch_cancel;
/// proactor::run(async {
///     let task = proactor::spawn(async {
///         if let Err(cancelled) = catch_cancel(std::future::pending::<()>()).await {
///             cancelled.uncancel();
///         }
///         proactor::yield_now().await;
///         "not to be stopped"
///     });
///     proactor::yield_now().await;
///     assert_eq!(task.cancel().await.unwrap(), "not to be stopped");
/// });
/// ```
#[must_use = "dropping it lets the next await end the task: keep it, or call `uncancel`"]
pub struct Cancelled(Option<Share>);

impl Cancelled {
    /// Swallows the request: the task goes on as if nobody had asked. Says how many requests are left.
    pub fn uncancel(mut self) -> usize {
        self.0.take().map_or(0, |share| share.swallow().uncancel().into())
    }
}

/// Lets requests go on, and waits until all who have caught them are through. Who is asked to end is ended by the next
/// await, if somebody can end it.
pub(super) async fn pass_on(requests: Vec<Cancelled>) {
    let shared: Vec<Weak<Request>> =
        requests.iter().filter_map(|request| Some(Rc::downgrade(&request.0.as_ref()?.request))).collect();
    drop(requests);
    for request in shared {
        poll_fn(|cx| {
            let waiter = Waiter::new(cx); // code of the user, perhaps: nothing is borrowed
            let Some(request) = request.upgrade() else { return Poll::Ready(()) };
            let mut waiting = request.waiting.borrow_mut();
            if !waiting.iter().any(|known| known.will_wake(cx)) {
                waiting.push(waiter);
            }
            Poll::Pending
        })
        .await;
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled").finish_non_exhaustive()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was asked to end")
    }
}

impl Error for Cancelled {}
