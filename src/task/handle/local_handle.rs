//! `LocalHandle`: the handle of a loop on its own thread. Its timed callbacks and watched descriptors are in
//! `runtime/local_handle.rs`.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::rc::Rc;

use super::call_soon::{CallHandle, call_soon};
use super::join::JoinHandle;
use super::spawn::spawn;
use crate::sys::context::expect_runtime;
use crate::task::report::task_info::Task;
use crate::task::scheduler::{self, Scheduler};

/// A handle of a runtime for its own thread: callbacks, watched descriptors, the list of tasks; asyncio's `loop`.
///
/// Get it before the loop runs ([`Runtime::local`](crate::Runtime::local)) or inside the loop
/// ([`current`](Self::current)). Tasks and callbacks share one queue, first come, first served; those added during a
/// turn run in the next one. For other threads see [`Handle`](crate::task::Handle).
///
/// # Examples
/// ```
/// use proactor::task::LocalHandle;
/// use std::{cell::RefCell, rc::Rc, time::Duration};
/// proactor::run(async {
///     let local = LocalHandle::current();
///     let log = Rc::new(RefCell::new(Vec::new()));
///     let note = |what: &'static str| {
///         let log = log.clone();
///         move || log.borrow_mut().push(what)
///     };
///     local.call_later(Duration::from_millis(2), note("later"));
///     local.call_soon(note("soon"));
///     local.call_soon(note("unheard")).cancel();
///     proactor::time::sleep(Duration::from_millis(5)).await;
///     assert_eq!(*log.borrow(), ["soon", "later"]);
/// });
/// ```
///
/// ```compile_fail,E0277
/// let local = proactor::Auto::new().unwrap().local();
/// std::thread::spawn(move || local.call_soon(|| ()));
/// ```
#[derive(Clone)]
pub struct LocalHandle {
    scheduler: Rc<Scheduler>,
}

impl LocalHandle {
    pub(crate) fn new(scheduler: Rc<Scheduler>) -> Self {
        LocalHandle { scheduler }
    }

    /// The handle of the runtime that runs on this thread; asyncio's `get_running_loop`.
    ///
    /// # Panics
    /// Outside a runtime.
    #[track_caller]
    pub fn current() -> Self {
        expect_runtime(Self::try_current(), "LocalHandle::current")
    }

    /// The handle of the runtime that runs on this thread, if there is one.
    pub fn try_current() -> Option<Self> {
        scheduler::current().map(LocalHandle::new)
    }

    /// Starts a task, as [`spawn`](crate::spawn) does.
    ///
    /// # Panics
    /// When another runtime runs on this thread.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let _entered = self.scheduler.clone().enter();
        spawn(future)
    }

    /// Schedules a callback for the loop's next turn, after the tasks that are ready already.
    #[track_caller]
    pub fn call_soon(&self, callback: impl FnOnce() + 'static) -> CallHandle {
        let _entered = self.scheduler.clone().enter();
        call_soon(callback)
    }

    /// All tasks that have not ended, in no order; asyncio's `all_tasks`. The future given to `block_on` is not among
    /// them.
    ///
    /// # Examples
    /// ```
    /// use proactor::task::LocalHandle;
    /// proactor::run(async {
    ///     let _task = proactor::task::Builder::new().name("waits").spawn(std::future::pending::<()>());
    ///     let names: Vec<_> = LocalHandle::current().tasks().iter().map(|task| task.name()).collect();
    ///     assert_eq!(names, [Some("waits".to_owned())]);
    /// });
    /// ```
    pub fn tasks(&self) -> Vec<Task> {
        self.scheduler.tasks()
    }

    /// The scheduler of the loop.
    pub(crate) fn scheduler(&self) -> &Rc<Scheduler> {
        &self.scheduler
    }
}

impl fmt::Debug for LocalHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHandle").field("scheduler", &self.scheduler).finish()
    }
}
