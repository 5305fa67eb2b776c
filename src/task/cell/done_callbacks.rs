//! Done callbacks of a task or promise: callbacks to be scheduled, and waiters to be woken, at its end.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;

use super::layout::{DoneCallback, DoneCallbacks, Waiter};

/// Identifies a callback of a task or promise, for its removal.
///
/// # Examples
/// See [`JoinHandle::on_done`](crate::task::JoinHandle::on_done).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId(u64);

impl<A> Default for DoneCallbacks<A> {
    fn default() -> Self {
        DoneCallbacks { list: RefCell::default(), removed: Cell::new(0), next_id: Cell::new(0) }
    }
}

impl<A: 'static> DoneCallbacks<A> {
    pub(in crate::task) fn new_id(&self) -> CallbackId {
        CallbackId(self.next_id.replace(self.next_id.get() + 1))
    }

    pub(in crate::task) fn push(&self, callback: DoneCallback<A>) -> CallbackId {
        let id = self.new_id();
        self.list.borrow_mut().push((id.0, Some(callback)));
        id
    }

    /// Adds a waiter. With a `key` it replaces the earlier waiter of this key, and keeps its order in the list.
    pub(in crate::task) fn set_waiter(&self, key: &mut Option<CallbackId>, waiter: Waiter) {
        let Some(id) = *key else {
            *key = Some(self.push(DoneCallback::Wake(waiter)));
            return;
        };
        let mut list = self.list.borrow_mut();
        let index = list.binary_search_by_key(&id.0, |(id, _)| *id).expect("a waiter keeps its key");
        let replaced = list[index].1.replace(DoneCallback::Wake(waiter));
        drop(list);
        drop(replaced);
    }

    /// Removes a callback. Returns false if there is none with this id, or no longer.
    pub(in crate::task) fn remove(&self, id: CallbackId) -> bool {
        let removed = self.take(id);
        removed.is_some() // and is dropped here, which may run user code
    }

    fn take(&self, id: CallbackId) -> Option<DoneCallback<A>> {
        let mut list = self.list.borrow_mut();
        let index = list.binary_search_by_key(&id.0, |(id, _)| *id).ok()?;
        let removed = list[index].1.take()?;
        // Holes are removed all at once, so that a thousand removals cost a thousand steps and not a million.
        self.removed.set(self.removed.get() + 1);
        if self.removed.get() > list.len() / 2 {
            list.retain(|(_, callback)| callback.is_some());
            self.removed.set(0);
        }
        Some(removed)
    }

    /// Wakes all waiters and schedules all callbacks, in their order, at the end of the task or promise. It runs no user code
    /// except foreign wakers and the destructors of callbacks.
    pub(in crate::task) fn notify_all(&self, argument: impl Fn() -> A) {
        let list = self.list.take();
        self.removed.set(0);
        for callback in list.into_iter().filter_map(|(_, callback)| callback) {
            match callback {
                DoneCallback::Wake(waiter) => waiter.wake_contained(), // a panic must not stop the others
                DoneCallback::Call(schedule) => schedule(argument()),
            }
        }
    }
}

impl<A> fmt::Debug for DoneCallbacks<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.list.borrow().len() - self.removed.get();
        f.debug_tuple("DoneCallbacks").field(&count).finish()
    }
}
