//! The tasks of a `TaskSet`: those that run, the results of those that have ended, and the futures that wait for them.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::Context;

use slab::Slab;

use crate::task::cell::error::JoinError;
use crate::task::cell::layout::{TaskRef, Waiter};
use crate::task::cell::loop_core;
use crate::task::handle::join::JoinHandle;

/// The part of a [`TaskSet`](super::task_set::TaskSet) to which its tasks refer.
pub(super) struct Shared<T> {
    pub(super) keeps_results: bool,
    /// The number of shutdowns that wait: while there is one, new tasks are cancelled.
    pub(super) closing: Cell<u32>,
    /// The number of shutdowns whose grace has passed: while there is one, new tasks are cancelled at once and are not in the
    /// set.
    pub(super) refusing: Cell<u32>,
    /// Tasks that have not ended.
    pub(super) running: RefCell<Slab<Running<T>>>,
    /// Tasks whose results were not taken, in the order in which they ended.
    pub(super) ended: RefCell<VecDeque<JoinHandle<T>>>,
    /// The waiters of futures that wait for the end of a task.
    waiting: RefCell<Slab<Option<Waiter>>>,
}

/// A task of the set that has not ended.
pub(super) enum Running<T> {
    Kept(JoinHandle<T>),
    Detached(TaskRef),
}

impl<T> Running<T> {
    fn task(&self) -> &TaskRef {
        match self {
            Running::Kept(handle) => handle.task_ref(),
            Running::Detached(task) => task,
        }
    }
}

impl<T> Shared<T> {
    pub(super) fn new(keeps_results: bool) -> Self {
        Shared {
            keeps_results,
            closing: Cell::new(0),
            refusing: Cell::new(0),
            running: RefCell::default(),
            ended: RefCell::default(),
            waiting: RefCell::default(),
        }
    }

    /// The address by which tasks of the set are recognised.
    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Panics if the current task is of the set and was not cancelled: it would wait for its own end.
    pub(super) fn check_waiting(&self) {
        let task = loop_core::current_task();
        if task.is_some_and(|task| task.is_of_set(self.address()) && task.header().cancels.get() == 0) {
            panic!(
                "a task of a TaskSet without results awaits the end of all tasks of the set, and so its own: the await \
                 would never end. Let a task outside the set await it"
            );
        }
    }

    pub(super) fn running(&self) -> Vec<TaskRef> {
        self.running.borrow().iter().map(|(_, running)| running.task().clone()).collect()
    }

    /// Keeps the handle of a task that has ended, if the set keeps results.
    pub(super) fn keep(&self, handle: JoinHandle<T>) {
        if self.keeps_results {
            self.ended.borrow_mut().push_back(handle);
            self.wake();
        }
    }

    /// Moves a task that has ended out of the running ones.
    pub(super) fn task_ended(&self, key: usize) {
        // `None` if the set was dropped.
        let running = self.running.borrow_mut().try_remove(key);
        match running {
            Some(Running::Kept(handle)) => self.keep(handle),
            Some(Running::Detached(_)) | None => {}
        }
        if self.running.borrow().is_empty() {
            self.wake();
        }
    }

    fn wake(&self) {
        let waiting: Vec<Waiter> =
            self.waiting.borrow_mut().iter_mut().filter_map(|(_, waiter)| waiter.take()).collect();
        waiting.into_iter().for_each(Waiter::wake_contained);
    }

    pub(super) fn next_result(&self) -> Option<Result<T, JoinError>> {
        let handle = self.ended.borrow_mut().pop_front();
        handle.and_then(|mut handle| handle.try_take())
    }

    /// Keeps the waker of a future that waits for the end of a task. `key` identifies the future from its first wait on.
    pub(super) fn wait(&self, key: &mut Option<usize>, cx: &Context<'_>) {
        let waiter = Waiter::new(cx); // may be user code: not while the list is borrowed
        let replaced = {
            let mut waiting = self.waiting.borrow_mut();
            let key = *key.get_or_insert_with(|| waiting.insert(None));
            waiting[key].replace(waiter)
        };
        drop(replaced);
    }

    /// Removes the future with this key from those that wait.
    pub(super) fn leave(&self, key: &mut Option<usize>) {
        let waiter = key.take().map(|key| self.waiting.borrow_mut().remove(key));
        drop(waiter);
    }
}

/// While it lives, new tasks of the set are cancelled.
pub(crate) struct Closing<'a, T>(pub(super) &'a Shared<T>);

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.0.closing.set(self.0.closing.get() - 1);
    }
}

/// While it lives, new tasks are cancelled at once and are not in the set.
pub(crate) struct Refusing<'a, T>(pub(super) &'a Shared<T>);

impl<T> Drop for Refusing<'_, T> {
    fn drop(&mut self) {
        self.0.refusing.set(self.0.refusing.get() - 1);
    }
}
