//! Waiting for the end of something: of a task, of a promise. Callbacks are called by the loop, in its next turn, in the
//! order in which they were added; never by the code that ends it.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;

use super::callback::call_soon_with;
use super::cell::TaskRef;
use super::local::Inherited;
use super::view::Task;
use super::waker::Waiter;
use super::{call_soon, scheduler};

/// Identifies a callback of a task or promise, for its removal.
///
/// # Examples
/// See [`JoinHandle::on_done`](super::JoinHandle::on_done).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId(u64);

enum Watcher<A> {
    /// A callback, the place that added it, and the task-locals of that moment.
    Call {
        call: Box<dyn FnOnce(A)>,
        place: &'static Location<'static>,
        values: Inherited,
    },
    Wake(Waiter),
}

/// Callbacks and waiting tasks of something that has not ended, in one order.
pub(super) struct Watchers<A> {
    /// With rising numbers. None where one was taken back.
    list: RefCell<Vec<(u64, Option<Watcher<A>>)>>,
    taken_back: Cell<usize>,
    next_id: Cell<u64>,
}

impl<A> Default for Watchers<A> {
    fn default() -> Self {
        Watchers { list: RefCell::default(), taken_back: Cell::new(0), next_id: Cell::new(0) }
    }
}

impl<A: 'static> Watchers<A> {
    fn new_id(&self) -> CallbackId {
        CallbackId(self.next_id.replace(self.next_id.get() + 1))
    }

    fn push(&self, watcher: Watcher<A>) -> CallbackId {
        let id = self.new_id();
        self.list.borrow_mut().push((id.0, Some(watcher)));
        id
    }

    /// Adds a callback.
    #[track_caller]
    pub(super) fn add(&self, call: Box<dyn FnOnce(A)>) -> CallbackId {
        self.push(Watcher::Call { call, place: Location::caller(), values: Inherited::now() })
    }

    /// Calls a callback soon: the end was before it could be added.
    #[track_caller]
    pub(super) fn add_late(&self, argument: A, call: Box<dyn FnOnce(A)>) -> CallbackId {
        drop(call_soon(move || call(argument)));
        self.new_id()
    }

    /// Has the end wake a waiter, in the place that it has had since its first poll.
    pub(super) fn wake(&self, place: &mut Option<CallbackId>, waiter: Waiter) {
        let Some(id) = *place else {
            *place = Some(self.push(Watcher::Wake(waiter)));
            return;
        };
        let mut list = self.list.borrow_mut();
        let index = list.binary_search_by_key(&id.0, |(id, _)| *id).expect("a waiter keeps its place");
        let replaced = list[index].1.replace(Watcher::Wake(waiter));
        drop(list);
        drop(replaced);
    }

    /// False when there is none of this name (any more).
    pub(super) fn remove(&self, id: CallbackId) -> bool {
        let removed = self.take_back(id);
        removed.is_some() // and dropped here: user code
    }

    fn take_back(&self, id: CallbackId) -> Option<Watcher<A>> {
        let mut list = self.list.borrow_mut();
        let index = list.binary_search_by_key(&id.0, |(id, _)| *id).ok()?;
        let removed = list[index].1.take()?;
        // Holes go all at once, so that a thousand waiters that give up cost a thousand steps and not a million.
        self.taken_back.set(self.taken_back.get() + 1);
        if self.taken_back.get() > list.len() / 2 {
            list.retain(|(_, watcher)| watcher.is_some());
            self.taken_back.set(0);
        }
        Some(removed)
    }

    /// It has ended: wakes and calls all, in their order. Outside a running loop, as when a runtime has ended, callbacks
    /// are dropped.
    pub(super) fn tell_all(&self, argument: impl Fn() -> A) {
        let list = self.list.take();
        self.taken_back.set(0);
        for watcher in list.into_iter().filter_map(|(_, watcher)| watcher) {
            match watcher {
                Watcher::Wake(waiter) => waiter.wake_contained(), // others are to be told as well
                Watcher::Call { call, place, values } => {
                    if scheduler::with(|current| current.is_some()) {
                        let argument = argument();
                        drop(call_soon_with(values, place, move || call(argument)));
                    }
                }
            }
        }
    }
}

impl Watchers<Task> {
    /// Adds a callback for the end of a task. If it has ended, the callback is called in the next turn.
    #[track_caller]
    pub(super) fn add_to(task: &TaskRef, call: Box<dyn FnOnce(Task)>) -> CallbackId {
        let callbacks = &task.header().extra_or_new().callbacks;
        if task.is_complete() {
            callbacks.add_late(Task::new(task.clone()), call)
        } else {
            callbacks.add(call)
        }
    }
}

impl<A> fmt::Debug for Watchers<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.list.borrow().len() - self.taken_back.get();
        f.debug_tuple("Watchers").field(&count).finish()
    }
}
