//! The tasks of a `TaskGroup`: the list that its handles share, and the hooks of its tasks and of its body.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::rc::Rc;

use slab::Slab;

use super::state::{GroupHooks, GroupState};
use crate::task::cell::error::Panic;
use crate::task::cell::layout::TaskRef;
use crate::task::handle::join::JoinHandle;

/// The shortest list from which completed tasks are removed.
const FIRST_SWEEP: usize = 64;

/// The part of a [`TaskGroup`](super::task_group::TaskGroup) that its handles and tasks share.
pub(super) struct Shared<E> {
    pub(super) state: GroupState<E>,
    /// The `TaskGroup` was dropped. A panic of a task is then reported like that of any task.
    pub(super) dropped: Cell<bool>,
    /// The tasks that have not run to their ends. `None` while a task is being spawned.
    pub(super) tasks: RefCell<Slab<Option<TaskRef>>>,
    /// The length of the list at which completed tasks are removed from it.
    sweep_at: Cell<usize>,
    /// The child that runs the body of [`TaskGroup::run`](super::task_group::TaskGroup::run), while it runs.
    pub(super) body: RefCell<Option<TaskRef>>,
}

impl<E> Shared<E> {
    pub(super) fn new() -> Self {
        Shared {
            state: GroupState::new(),
            dropped: Cell::new(false),
            tasks: RefCell::default(),
            sweep_at: Cell::new(FIRST_SWEEP),
            body: RefCell::default(),
        }
    }

    /// Reserves an entry for a task that is about to be spawned, and returns its key.
    pub(super) fn reserve(&self) -> usize {
        let mut tasks = self.tasks.borrow_mut();
        if tasks.len() >= self.sweep_at.get() {
            tasks.retain(|_, task| task.as_ref().is_none_or(|task| !task.is_complete()));
            self.sweep_at.set(FIRST_SWEEP.max(2 * tasks.len()));
        }
        tasks.insert(None)
    }

    /// Puts a task into its entry.
    pub(super) fn put<T>(&self, key: usize, task: &JoinHandle<T>) {
        self.tasks.borrow_mut()[key] = Some(task.task_ref().clone());
    }

    pub(super) fn all_tasks(&self) -> Vec<TaskRef> {
        self.tasks.borrow().iter().filter_map(|(_, task)| task.clone()).collect()
    }

    /// Closes the group, and cancels the body and all tasks; only the first call has an effect. With `by_child`, because of
    /// a child or of a command, the group's owner counts a cancellation request.
    pub(super) fn end(&self, by_child: bool) {
        let first = if by_child { self.state.close_by_child() } else { self.state.close() };
        if first {
            let body = self.body.borrow().clone();
            self.all_tasks().iter().chain(&body).for_each(|task| {
                task.request_cancel();
            });
        }
    }

    /// Waits until all tasks have ended, for one after the other.
    pub(super) async fn tasks_ended(&self) {
        while let tasks = self.all_tasks()
            && !tasks.is_empty()
        {
            for task in tasks {
                poll_fn(|cx| task.poll_end(cx)).await; // not the waiter of its handle, which may be in use
            }
            self.tasks.borrow_mut().retain(|_, task| task.as_ref().is_none_or(|task| !task.is_complete()));
        }
    }
}

/// The hooks of one task of the group.
pub(super) struct TaskHooks<E> {
    pub(super) shared: Rc<Shared<E>>,
    pub(super) key: usize,
}

impl<E> GroupHooks<E> for TaskHooks<E> {
    fn state(&self) -> &GroupState<E> {
        &self.shared.state
    }

    fn abort(&self) {
        self.shared.end(true);
    }

    fn panicked(&self, panic: Panic) {
        if self.shared.dropped.get() {
            resume_unwind(panic.into_payload()); // it stays the task's panic, which is reported
        }
        self.shared.state.note_panic(panic);
        self.abort();
    }

    fn ended(&self) {
        let removed = self.shared.tasks.borrow_mut().try_remove(self.key);
        drop(removed);
    }
}

/// The hooks of the group's body.
pub(super) struct BodyHooks<E>(pub(super) Rc<Shared<E>>);

impl<E> GroupHooks<E> for BodyHooks<E> {
    fn state(&self) -> &GroupState<E> {
        &self.0.state
    }

    fn abort(&self) {
        self.0.end(false);
    }
}
