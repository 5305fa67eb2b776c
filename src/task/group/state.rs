//! The state of a group, and the hooks that its children call: the same for scoped children and for tasks.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::resume_unwind;

use crate::sys::guarded::contain;
use crate::task::cancel::scopes::target;
use crate::task::cell::error::Panic;
use crate::task::cell::layout::TaskRef;
use crate::task::cell::loop_core;
use crate::task::handle::join::JoinHandle;

/// The errors and the panic of a group's children, whether the group is closed, and its owner.
#[derive(Debug)]
pub(in crate::task) struct GroupState<E> {
    errors: RefCell<Vec<E>>,
    /// The first panic of a child or of the body.
    panic: RefCell<Option<Panic>>,
    /// The group starts no more children: it has cancelled those that run, or it has ended.
    closed: Cell<bool>,
    /// The task, or the child of an outer group, whose code awaits this group.
    owner: RefCell<Option<TaskRef>>,
    /// The owner counts the end of this group as a cancellation request.
    is_counted: Cell<bool>,
}

impl<E> GroupState<E> {
    pub(in crate::task) fn new() -> Self {
        GroupState {
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

    /// Closes the group. Returns false if it was closed before.
    pub(in crate::task) fn close(&self) -> bool {
        !self.closed.replace(true)
    }

    /// Keeps the first panic, and drops later ones.
    pub(in crate::task) fn note_panic(&self, panic: Panic) {
        let first = self.panic.borrow().is_none();
        if first {
            self.panic.replace(Some(panic));
        }
    }

    /// Resumes the panic, if there is one. Drops it if the thread unwinds already.
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
    pub(in crate::task) fn resume_panic_and_report_errors(&self, errors: &[E])
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
    pub(in crate::task) fn mark_owner<T>(&self, body: &JoinHandle<T>) -> OwnerGuard<'_, E> {
        self.owner.replace(target());
        // The body's cell refers to the task whose future holds the body: a cycle until the body is dropped.
        body.task_ref().header().cold_or_new().runner.replace(target());
        OwnerGuard(self)
    }

    /// Closes the group because of a child or of a command. The owner then counts a cancellation request. Returns false if
    /// the group was closed before.
    pub(in crate::task) fn close_by_child(&self) -> bool {
        let first = self.close();
        if first && let Some(owner) = &*self.owner.borrow() {
            owner.count_own_request();
            self.is_counted.set(true);
        }
        first
    }
}

/// While it lives, the group has an owner. Its drop takes back the cancellation request that the group has counted.
pub(in crate::task) struct OwnerGuard<'a, E>(&'a GroupState<E>);

impl<E> Drop for OwnerGuard<'_, E> {
    fn drop(&mut self) {
        let owner = self.0.owner.take();
        if let Some(owner) = owner.filter(|_| self.0.is_counted.take()) {
            owner.uncount_own_request();
        }
    }
}

/// Reactions of a group to the ends of its children.
pub(in crate::task) trait GroupHooks<E> {
    fn state(&self) -> &GroupState<E>;

    /// Cancels all children; only the first call has an effect.
    fn abort(&self);

    /// Is called when the child of these hooks has run to its end, with a value or an error.
    fn ended(&self) {}

    /// Keeps the error of the child, and ends the group.
    fn failed(&self, error: E) {
        self.state().errors.borrow_mut().push(error);
        self.abort();
    }

    /// Keeps the panic of the child, and ends the group.
    fn panicked(&self, panic: Panic) {
        self.state().note_panic(panic);
        self.abort();
    }
}
