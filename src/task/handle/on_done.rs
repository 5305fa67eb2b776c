//! Callbacks for the end of a task or promise. The loop calls them in its next turn, in the order in which they were added.
//! The code that ends the task or promise never calls them.
#![forbid(unsafe_code)]

use std::panic::Location;

use super::call_soon::{call_soon, call_soon_with};
use super::task_local::Inherited;
use crate::task::cell::done_callbacks::CallbackId;
use crate::task::cell::layout::{DoneCallback, DoneCallbacks, TaskRef};
use crate::task::cell::loop_core;
use crate::task::report::task_info::Task;

impl<A: 'static> DoneCallbacks<A> {
    /// Adds a callback. The loop that runs at the end calls it; if none runs, the callback is dropped.
    #[track_caller]
    pub(in crate::task) fn add(&self, call: impl FnOnce(A) + 'static) -> CallbackId {
        let (location, values) = (Location::caller(), Inherited::now());
        self.push(DoneCallback::Call(Box::new(move |argument| {
            if loop_core::is_running() {
                drop(call_soon_with(values, location, move || call(argument)));
            }
        })))
    }

    /// Schedules a callback at once, because the end was before it was added.
    #[track_caller]
    pub(in crate::task) fn add_late(&self, argument: A, call: impl FnOnce(A) + 'static) -> CallbackId {
        drop(call_soon(move || call(argument)));
        self.new_id()
    }
}

impl DoneCallbacks<TaskRef> {
    /// Adds a callback for the end of a task. If it has ended, the callback is called in the next turn.
    #[track_caller]
    pub(in crate::task) fn add_to(task: &TaskRef, call: impl FnOnce(Task) + 'static) -> CallbackId {
        let callbacks = &task.header().cold_or_new().callbacks;
        let call = |task| call(Task::new(task));
        if task.is_complete() { callbacks.add_late(task.clone(), call) } else { callbacks.add(call) }
    }
}
