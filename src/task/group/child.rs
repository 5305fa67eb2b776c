//! The future of a group's child, and the failures of a group: the same for children that the group polls and for those
//! that are tasks.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::sys::guarded::contain;
use crate::task::cancel::cleanup::{Remains, dispose};
use crate::task::cancel::scopes::target;
use crate::task::cell::error::{JoinError, Panic};
use crate::task::cell::layout::TaskRef;
use crate::task::cell::loop_core;
use crate::task::handle::join::JoinHandle;

/// The failures of a group.
#[derive(Debug)]
pub(in crate::task) struct Failures<E> {
    errors: RefCell<Vec<E>>,
    /// The first.
    panic: RefCell<Option<Panic>>,
    /// No more children: all that are left have been told to end, or the group is over.
    closed: Cell<bool>,
    /// The task, or child of a group, that runs this one.
    owner: RefCell<Option<TaskRef>>,
    /// The owner counts the end of the group as a request.
    is_counted: Cell<bool>,
}

impl<E> Failures<E> {
    pub(in crate::task) fn new() -> Self {
        Failures {
            errors: RefCell::default(),
            panic: RefCell::default(),
            closed: Cell::new(false),
            owner: RefCell::default(),
            is_counted: Cell::new(false),
        }
    }

    pub(in crate::task) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// False when it was before.
    pub(in crate::task) fn close(&self) -> bool {
        !self.closed.replace(true)
    }

    /// Keeps it, if it is the first.
    pub(in crate::task) fn note_panic(&self, panic: Panic) {
        let first = self.panic.borrow().is_none();
        if first {
            self.panic.replace(Some(panic));
        }
    }

    pub(in crate::task) fn resume_panic(&self) {
        let panic = self.panic.take();
        let Some(panic) = panic else { return };
        if !std::thread::panicking() {
            resume_unwind(panic.into_payload());
        }
        contain(|| drop(panic)); // its payload is the user's
    }

    pub(in crate::task) fn take_errors(&self) -> Vec<E> {
        self.errors.take()
    }

    /// Resumes the panic, if there is one. The errors are then not returned, so they go to the hook for unhandled
    /// errors.
    pub(in crate::task) fn resume_panic_beside(&self, errors: &[E])
    where
        E: fmt::Debug,
    {
        if self.panic.borrow().is_some() {
            let task = loop_core::current_task();
            for (task, error) in task.iter().flat_map(|task| errors.iter().map(move |error| (task, error))) {
                let header = task.header();
                contain(|| {
                    let message = format!("{error:?}, in a group that panicked");
                    loop_core::report(&header.unhandled(message, false), header.shared)
                });
            }
            self.resume_panic();
        }
    }

    /// Marks the current poller as the one that runs this group and its body: a child that fails counts as a
    /// cancellation request of the poller until the returned value is dropped.
    pub(in crate::task) fn owned<T>(&self, body: &JoinHandle<T>) -> Owned<'_, E> {
        self.owner.replace(target());
        // It refers to what has the body in its future: a circle until the body has gone.
        body.task_ref().header().extra_or_new().runner.replace(target());
        Owned(self)
    }

    /// As [`close`](Self::close), by a child or by its command: for the body it is a request that is counted.
    pub(in crate::task) fn close_by_child(&self) -> bool {
        let first = self.close();
        if first && let Some(owner) = &*self.owner.borrow() {
            owner.count_own_request();
            self.is_counted.set(true);
        }
        first
    }
}

/// The time in which a group runs.
pub(in crate::task) struct Owned<'a, E>(&'a Failures<E>);

impl<E> Drop for Owned<'_, E> {
    fn drop(&mut self) {
        let owner = self.0.owner.take();
        if let Some(owner) = owner.filter(|_| self.0.is_counted.take()) {
            owner.uncount_own_request();
        }
    }
}

/// A group, as its children see it.
pub(in crate::task) trait Leader<E> {
    fn failures(&self) -> &Failures<E>;

    /// Tells all children to end; once.
    fn abort(&self);

    /// A child has run to its end: this one, if the leader knows it.
    fn ended(&self) {}

    fn failed(&self, error: E) {
        self.failures().errors.borrow_mut().push(error);
        self.abort();
    }

    fn panicked(&self, panic: Panic) {
        self.failures().note_panic(panic);
        self.abort();
    }
}

pin_project! {
    /// A child of a group. Gives its value, if it has one; an error or a panic is the leader's.
    pub(in crate::task) struct Member<F, L, T, E>
    where
        F: Future<Output = Result<T, E>>,
        L: Leader<E>,
    {
        #[pin]
        future: Option<F>,
        leader: L,
        // What is left of one that has panicked.
        remains: Option<Remains>,
    }

    impl<F, L, T, E> PinnedDrop for Member<F, L, T, E>
    where
        F: Future<Output = Result<T, E>>,
        L: Leader<E>,
    {
        fn drop(this: Pin<&mut Self>) {
            this.drop_future();
        }
    }
}

impl<F, L, T, E> Member<F, L, T, E>
where
    F: Future<Output = Result<T, E>>,
    L: Leader<E>,
{
    pub(in crate::task) fn new(future: F, leader: L) -> Self {
        Member { future: Some(future), leader, remains: None }
    }

    /// A panic of its destructor is the leader's.
    fn drop_future(self: Pin<&mut Self>) {
        let mut this = self.project();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| this.future.set(None))) {
            this.leader.panicked(Panic::new(panic));
        }
    }
}

impl<F, L, T, E> Future for Member<F, L, T, E>
where
    F: Future<Output = Result<T, E>>,
    L: Leader<E>,
{
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.as_mut().project();
        if let Some(future) = this.future.as_pin_mut() {
            match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                Ok(polled) => {
                    let result = ready!(polled);
                    self.as_mut().drop_future();
                    self.leader.ended();
                    return Poll::Ready(result.map_err(|error| self.leader.failed(error)).ok());
                }
                Err(panic) => {
                    this.leader.panicked(Panic::new(panic));
                    *self.as_mut().project().remains = Some(dispose(|| self.as_mut().drop_future()));
                }
            }
        }
        let remains = self.project().remains.as_mut().expect("it has not given its end");
        Pin::new(remains).poll(cx).map(|()| None)
    }
}

/// A child of a group: a future of its result.
///
/// A child that has failed or panicked has no result: the group has the error, and it cancels the children and the body
/// that wait for this one. Dropping a `Child` changes nothing.
///
/// # Examples
/// ```
/// use proactor::task::task_group;
/// proactor::run(async {
///     let sum = task_group(async |g| {
///         let one = g.spawn(async { "1".parse::<i32>() });
///         let two = g.spawn(async { "2".parse::<i32>() });
///         Ok(one.await.unwrap() + two.await.unwrap())
///     }).await;
///     assert_eq!(sum.unwrap(), 3);
/// });
/// ```
#[derive(Debug)]
pub struct Child<T>(Start<T>);

#[derive(Debug)]
enum Start<T> {
    Begun(JoinHandle<Option<T>>),
    /// The group took it no more.
    Refused {
        /// Its result.
        taken: bool,
    },
}

impl<T> Child<T> {
    pub(in crate::task) fn new(handle: JoinHandle<Option<T>>) -> Self {
        Child(Start::Begun(handle))
    }

    /// One that has never begun.
    pub(in crate::task) fn refused() -> Self {
        Child(Start::Refused { taken: false })
    }

    fn handle(&self) -> Option<&JoinHandle<Option<T>>> {
        match &self.0 {
            Start::Begun(handle) => Some(handle),
            Start::Refused { .. } => None,
        }
    }

    /// Whether the child has ended.
    pub fn is_finished(&self) -> bool {
        self.handle().is_none_or(JoinHandle::is_finished)
    }

    /// The child's name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.handle()?.name()
    }

    /// Requests cancellation of the child and returns at once, as [`JoinHandle::request_cancel`] does. The group
    /// continues: a cancelled child has not failed. Returns false if the child has already ended.
    pub fn request_cancel(&self) -> bool {
        self.handle().is_some_and(JoinHandle::request_cancel)
    }

    /// Requests cancellation of the child. Awaited, it returns the outcome, after the child's operations have completed
    /// and its cleanups have run.
    ///
    /// # Examples
    /// ```
    /// use proactor::task::task_group;
    /// proactor::run(async {
    ///     let ended = task_group(async |g| {
    ///         let child = g.spawn(std::future::pending::<Result<(), ()>>());
    ///         assert!(child.cancel().await.unwrap_err().is_cancelled());
    ///         Ok(())
    ///     }).await;
    ///     assert_eq!(ended, Ok(()));
    /// });
    /// ```
    pub fn cancel(self) -> Self {
        self.request_cancel();
        self
    }

    /// The result, if the child has ended and it was not taken.
    pub fn try_take(&mut self) -> Option<Result<T, JoinError>> {
        match &mut self.0 {
            Start::Begun(handle) => handle.try_take().map(result),
            Start::Refused { taken } => {
                (!std::mem::replace(taken, true)).then_some(Err(JoinError::Cancelled))
            }
        }
    }
}

fn result<T>(outcome: Result<Option<T>, JoinError>) -> Result<T, JoinError> {
    outcome?.ok_or(JoinError::Cancelled)
}

impl<T> Future for Child<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// If it is polled after it has given the result.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Start::Begun(handle) => Pin::new(handle).poll(cx).map(result),
            Start::Refused { .. } => Poll::Ready(Err(JoinError::Cancelled)),
        }
    }
}
