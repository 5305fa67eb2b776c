//! Callbacks of the loop: closures in the ready queue among the tasks, first come, first served.
//!
//! A callback has a cell like a task's, so that both are in one queue; it is not in the list of tasks. Its panic goes
//! to the hook for [unhandled](crate::task::Unhandled) errors, and the loop continues.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::time::Instant;

use super::task_local::Inherited;
use crate::task::cell::layout::TaskRef;
use crate::task::cell::state::Flags;
use crate::task::report::unhandled::{Fallible, Opaque};
use crate::task::scheduler::{self, SpawnOptions};

/// Schedules a callback for the loop's next turn, after the tasks that are ready already; asyncio's `call_soon`.
///
/// Callbacks that are added during a turn are called in the next one. A callback has the task-locals of the caller.
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// use std::{cell::Cell, rc::Rc};
/// proactor::run(async {
///     let called = Rc::new(Cell::new(false));
///     let flag = called.clone();
///     proactor::task::call_soon(move || flag.set(true));
///     assert!(!called.get());
///     proactor::yield_now().await;
///     assert!(called.get());
/// });
/// ```
#[track_caller]
pub fn call_soon(callback: impl FnOnce() + 'static) -> CallHandle {
    start_soon(SpawnOptions::here(), callback)
}

#[track_caller]
fn start_soon(options: SpawnOptions, callback: impl FnOnce() + 'static) -> CallHandle {
    let future = async move { callback() };
    let options = SpawnOptions { flags: Flags::CALLBACK, ..options };
    let task = scheduler::expect("a callback of the loop", |scheduler| {
        scheduler.spawn::<_, Opaque>(future, options)
    });
    CallHandle { task: task.detached(), when: None }
}

/// Schedules a callback that was added before, at `location` and with these task-locals.
pub(in crate::task) fn call_soon_with(
    values: Inherited,
    location: &'static Location<'static>,
    callback: impl FnOnce() + 'static,
) -> CallHandle {
    let call = start_soon(SpawnOptions { spawned_at: location, ..SpawnOptions::here() }, callback);
    values.give_to(&call.task);
    call
}

/// Schedules a callback for a point in time. `first` waits for that time. With `at_once` it is polled in this call, so that
/// its timer is set at once; that requires a runtime that is entered as a whole.
#[track_caller]
pub(crate) fn call_at(
    when: Instant,
    first: impl Future<Output = ()> + 'static,
    at_once: bool,
    callback: impl FnOnce() + 'static,
) -> CallHandle {
    let future = async move {
        first.await;
        callback();
    };
    let options = SpawnOptions { flags: Flags::CALLBACK, held_back: at_once, ..SpawnOptions::here() };
    let task = scheduler::expect("a callback of the loop", |scheduler| {
        let task = scheduler.spawn::<_, Opaque>(future, options).detached();
        if at_once {
            scheduler.run_eagerly(&task);
        }
        task
    });
    CallHandle { task, when: Some(when) }
}

/// Starts a watcher of a descriptor: a callback of the loop that is called again and again, until it fails.
#[track_caller]
pub(crate) fn watch(watcher: impl Future<Output = io::Result<()>> + 'static) -> CallHandle {
    let options = SpawnOptions { flags: Flags::CALLBACK, ..SpawnOptions::here() };
    let task = scheduler::expect("a watched descriptor", |scheduler| {
        scheduler.spawn::<_, Fallible>(watcher, options)
    });
    CallHandle { task: task.detached(), when: None }
}

/// The handle of a scheduled callback: it can cancel the call. Dropping it changes nothing.
///
/// # Examples
/// ```
/// proactor::run(async {
///     let call = proactor::task::call_soon(|| unreachable!());
///     call.cancel();
///     assert!(call.is_cancelled());
///     proactor::yield_now().await;
/// });
/// ```
pub struct CallHandle {
    task: TaskRef,
    when: Option<Instant>,
}

impl CallHandle {
    pub(crate) fn into_task(self) -> TaskRef {
        self.task
    }

    /// Cancels the callback. Returns false if it has been called already. Inside the callback it returns true; the
    /// callback of a watched descriptor is then not called again.
    pub fn cancel(&self) -> bool {
        self.task.request_cancel()
    }

    /// Whether the callback was cancelled before it was called.
    pub fn is_cancelled(&self) -> bool {
        self.task.header().cancels.get() > 0
    }

    /// The time of the call; `None` for "soon".
    pub fn when(&self) -> Option<Instant> {
        self.when
    }
}

impl fmt::Debug for CallHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHandle")
            .field("when", &self.when)
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}
