//! Rarely used task fields: a name, task-locals, callbacks for the end, scopes that catch a cancellation, a cleanup.
//!
//! They are in a separate box, allocated on first use, so that the header of a task stays small.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::cell::TaskRef;
use super::cleanup::CleanUps;
use super::done::Watchers;
use super::local::Values;
use super::scopes::Scopes;
use super::view::Task;
use super::waker::Waiter;
use crate::sys::guarded::contain;

#[derive(Default)]
pub(super) struct Extra {
    name: Option<Rc<str>>,
    /// Its task-locals, shared with tasks that it spawned until one of them sets another value.
    pub(super) locals: RefCell<Option<Rc<Values>>>,
    /// Callbacks for its end.
    pub(super) callbacks: Watchers<Task>,
    /// Where a cancellation is caught, in the order in which they began.
    pub(super) scopes: Scopes,
    /// Cleanups that are to run before it ends, and have not begun.
    pub(super) clean_ups: RefCell<Option<CleanUps>>,
    /// Tasks that end no earlier than this one.
    pub(super) mourners: RefCell<Vec<TaskRef>>,
    /// Of the body of a group: the task, or child of a group, that runs it.
    pub(super) runner: RefCell<Option<TaskRef>>,
    /// Its group, which waits for its end beside the waiter of its handle.
    pub(super) group: Cell<Option<Waiter>>,
    /// The address of its set, until it has ended; 0 without one.
    pub(super) set: Cell<usize>,
    /// Its set, to be told of its end at once.
    pub(super) at_end: Cell<Option<Box<dyn FnOnce()>>>,
}

impl Extra {
    /// That of a new task; none if it has nothing.
    #[inline]
    pub(super) fn new(name: Option<Rc<str>>, locals: Option<Rc<Values>>) -> Option<Box<Self>> {
        if name.is_none() && locals.is_none() {
            return None;
        }
        Some(Box::new(Extra { name, locals: RefCell::new(locals), ..Extra::default() }))
    }

    pub(super) fn name(&self) -> Option<&Rc<str>> {
        self.name.as_ref()
    }

    /// The task is being reaped: starts its cleanup if nothing else is left.
    pub(super) fn go_on_cleaning(&self) {
        let clean_up = self.clean_ups.borrow().as_ref().map(|clean_ups| clean_ups.task.clone());
        clean_up.into_iter().for_each(|task| task.schedule());
    }

    /// The task has ended.
    pub(super) fn task_ended(&self, task: &TaskRef) {
        self.callbacks.tell_all(|| Task::new(task.clone()));
        let mourners = self.mourners.take();
        mourners.iter().for_each(TaskRef::op_ended);
        let group = self.group.take();
        contain(|| group.into_iter().for_each(Waiter::wake)); // user code, perhaps
        // They may refer to the task itself, and would keep it for ever.
        let locals = self.locals.take();
        contain(|| drop(locals)); // user code
        let at_end = self.at_end.take();
        at_end.into_iter().for_each(|at_end| at_end());
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extra").field("name", &self.name).finish_non_exhaustive()
    }
}
