//! Callbacks for the end of something: of a task, of a promise. The loop calls them, in its next turn, in the order in
//! which they were added; never whoever ends it.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;

use super::cell::TaskRef;
use super::view::Task;
use super::{call_soon, scheduler};

/// Names a callback among those of one task, to take it back.
///
/// # Examples
/// See [`JoinHandle::on_done`](super::JoinHandle::on_done).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId(u64);

type Callback = Box<dyn FnOnce(Task)>;

/// Those of one task, which has not ended.
#[derive(Default)]
pub(super) struct Callbacks {
    waiting: RefCell<Vec<(CallbackId, Callback)>>,
    /// The task's own, since callbacks are added outside of a running loop as well.
    next_id: Cell<u64>,
}

impl Callbacks {
    /// For a task that has ended, the callback is called in the next turn.
    #[track_caller]
    pub(super) fn add(task: &TaskRef, callback: Callback) -> CallbackId {
        let callbacks = &task.header().extra_or_new().callbacks;
        let id = CallbackId(callbacks.next_id.replace(callbacks.next_id.get() + 1));
        if task.is_complete() {
            let task = Task::new(task.clone());
            drop(call_soon(move || callback(task)));
        } else {
            callbacks.waiting.borrow_mut().push((id, callback));
        }
        id
    }

    /// False when there is none of this name (any more).
    pub(super) fn remove(&self, id: CallbackId) -> bool {
        let mut callbacks = self.waiting.borrow_mut();
        let place = callbacks.iter().position(|(other, _)| *other == id);
        let callback = place.map(|place| callbacks.remove(place));
        drop(callbacks);
        callback.is_some() // and dropped here: code of the user
    }

    pub(super) fn call_soon(&self, task: &TaskRef) {
        self.waiting.take().into_iter().for_each(|(_, callback)| call_one(task, callback));
    }
}

/// For the end of a task.
fn call_one(task: &TaskRef, callback: Callback) {
    let task = Task::new(task.clone());
    // Outside a running loop, as when a runtime has ended, nobody is there to call it.
    if scheduler::with(|current| current.is_some()) {
        drop(call_soon(move || callback(task)));
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Callbacks").field(&self.waiting.borrow().len()).finish()
    }
}
