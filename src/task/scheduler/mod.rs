//! The scheduler: the table of tasks, and running the ready ones. `shutdown.rs` ends all tasks.
//!
//! It knows neither the kernel nor the clock. The loop in `runtime` decides when to run how many tasks.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, pending};
use std::io;
use std::ops::Deref;
use std::os::fd::RawFd;
use std::panic::Location;
use std::ptr;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use super::cell::error::TaskId;
use super::cell::layout::{ColdFields, Header, Identity, TaskInit, TaskRef};
use super::cell::loop_core::{self, LoopCore};
use super::cell::state::{Flags, RunOutcome};
use super::report::hooks::{Hooks, OnSpawn, Stopwatch};
use super::report::task_info::Task;
use super::report::unhandled::{Fallible, Opaque, ReportPolicy};
use super::threads::inbox::Shared;
use super::threads::pool::Pool;
use crate::sys::context::{self, Context, Entered, Part};
use crate::sys::guarded::contain;
use crate::sys::sync::thread_local;

mod shutdown;

thread_local! {
    static CURRENT: Context<Scheduler> = const { Context::new() };
}

/// The number of operations that one run of a task may complete on the spot before it has to let others run: calls of the
/// selector on ready descriptors, and receives of data that had arrived before.
const INLINE_OPERATIONS: u32 = 64;

pub(crate) struct Scheduler {
    core: LoopCore,
    tasks: RefCell<Slab<TaskRef>>,
    /// The cell for the future of `block_on`: it is woken like a task, but `block_on` itself polls the future.
    root: TaskRef,
    /// The owner of the pending cleanup, while `drop_and_track` drops a part of the current task.
    pub(super) tracked_drop: RefCell<Option<CleanupOwner>>,
    inline_left: Cell<u32>,
    closed: Cell<bool>,
    /// Whether cleanups are dropped instead of awaited.
    abandoned: Cell<bool>,
    /// Whether a destructor has spawned a task that is to be dropped as well, since the last check.
    spawned_in_drop: Cell<bool>,
    /// Whether destructors spawn tasks without end: the futures of further tasks are leaked instead of dropped.
    endless: Cell<bool>,
    /// The number of callbacks of the loop among the tasks.
    callbacks: Cell<usize>,
    next_id: Cell<u64>,
    /// The callbacks for ready descriptors: one for each key.
    watchers: RefCell<HashMap<WatchKey, TaskRef>>,
    pub(super) hooks: Hooks,
    pub(crate) pool: Pool,
}

/// The key of a watcher: a descriptor number and a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WatchKey {
    Read(RawFd),
    Write(RawFd),
}

/// Options of a spawn: name, flags, and whether the task is put into the ready queue.
#[derive(Debug)]
pub(super) struct SpawnOptions {
    pub(super) spawned_at: &'static Location<'static>,
    pub(super) name: Option<Rc<str>>,
    pub(super) flags: Flags,
    /// The task is not put into the ready queue: the caller polls it at once.
    pub(super) held_back: bool,
}

impl SpawnOptions {
    /// Options of an ordinary task that is spawned at the caller's location.
    #[track_caller]
    pub(super) fn here() -> Self {
        SpawnOptions { spawned_at: Location::caller(), name: None, flags: Flags::NONE, held_back: false }
    }
}

/// The result of one step of the ready queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The ready queue is empty.
    Empty,
    /// A task was run.
    Task,
    /// The root is next: poll it with [`Scheduler::run_root`].
    Root,
}

impl Scheduler {
    #[track_caller]
    pub(crate) fn new(pool_threads: usize, pool_keep_alive: Duration, hooks: Hooks) -> io::Result<Rc<Self>> {
        let core = LoopCore::new(Shared::new()?, hooks.on_unhandled.clone());
        let init = TaskInit {
            identity: Identity { id: TaskId(0) },
            flags: Flags::NONE,
            scheduled: false,
            cold: None,
            spawned_at: Location::caller(),
        };
        let root = TaskRef::new::<_, Opaque>(pending::<()>(), &core, init);
        Ok(Rc::new(Scheduler {
            pool: Pool::new(pool_threads, pool_keep_alive),
            core,
            tasks: RefCell::new(Slab::new()),
            root,
            tracked_drop: RefCell::new(None),
            inline_left: Cell::new(INLINE_OPERATIONS),
            closed: Cell::new(false),
            abandoned: Cell::new(false),
            spawned_in_drop: Cell::new(false),
            endless: Cell::new(false),
            callbacks: Cell::new(0),
            next_id: Cell::new(1),
            watchers: RefCell::default(),
            hooks,
        }))
    }

    pub(crate) fn enter(self: Rc<Self>) -> EnteredScheduler {
        let core = loop_core::enter(self.clone(), |scheduler: &Scheduler| &scheduler.core);
        EnteredScheduler(context::enter(&CURRENT, self), core)
    }

    /// Starts a task: it is polled in the next turn.
    #[inline]
    pub(super) fn spawn<F, V>(&self, future: F, options: SpawnOptions) -> TaskRef
    where
        F: Future + 'static,
        F::Output: 'static,
        V: ReportPolicy<F::Output>,
    {
        let scheduled = !options.held_back;
        let init = TaskInit {
            identity: Identity { id: TaskId(self.next_number()) },
            flags: options.flags,
            scheduled,
            cold: ColdFields::new(options.name, self.locals()),
            spawned_at: options.spawned_at,
        };
        let closed = self.closed.get();
        let task = if closed && self.endless.get() {
            std::mem::forget(future); // its destructor would spawn the next one
            TaskRef::new::<_, V>(pending::<F::Output>(), self, init)
        } else {
            TaskRef::new::<_, V>(future, self, init)
        };
        if options.flags.is(Flags::CALLBACK) {
            self.callbacks.set(self.callbacks.get() + 1);
        }
        let index = self.tasks.borrow_mut().insert(task.clone());
        task.header().index.set(u32::try_from(index).expect("fewer than 2^32 tasks"));
        if closed {
            self.handle_late_spawn(&task, options.flags);
        }
        if let Some(hook) = &self.hooks.on_spawn {
            notify_spawn(hook, &task, options.flags);
        }
        if scheduled {
            self.push(task.clone());
        }
        task
    }

    /// Spawns a task that is never cancelled. The end of the runtime waits for it.
    pub(super) fn spawn_uncancellable(
        &self,
        future: impl Future<Output = io::Result<()>> + 'static,
        name: &str,
        spawned_at: &'static Location<'static>,
    ) -> TaskRef {
        let options = SpawnOptions {
            spawned_at,
            name: Some(name.into()),
            flags: Flags::UNCANCELLABLE,
            held_back: false,
        };
        self.spawn::<_, Fallible>(future, options).detached()
    }

    /// Spawns a task that does nothing until it is cancelled.
    pub(super) fn spawn_idle(&self) -> TaskRef {
        self.spawn::<_, Opaque>(
            pending::<()>(),
            SpawnOptions { flags: Flags::KILLED, ..SpawnOptions::here() },
        )
        .detached()
    }

    /// Polls a task that was held back; from then on it is like any other. Does nothing if the task was cancelled meanwhile:
    /// then it is in the ready queue, and its run drops it.
    pub(super) fn run_eagerly(&self, task: &TaskRef) {
        if task.header().scheduled.get() {
            return;
        }
        struct Restore<'a>(&'a Scheduler, Option<CleanupOwner>, u32, *const Header);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.inline_left.set(self.2);
                self.0.replace_child(self.3);
                let left = self.0.tracked_drop.replace(self.1.take());
                debug_assert!(left.is_none(), "drop_and_track takes its cleanup owner");
            }
        }
        // The task has its own pending cleanup, and its own task-locals.
        let child = self.replace_child(ptr::null());
        let _restore = Restore(self, self.tracked_drop.take(), self.inline_left.get(), child);
        self.run(task);
    }

    /// Returns the next task number. None is used twice.
    pub(super) fn next_number(&self) -> u64 {
        self.next_id.replace(self.next_id.get() + 1)
    }

    /// The size of the generation that begins now: the number of tasks in the ready queue.
    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Runs the next ready task, unless it is the root.
    pub(crate) fn step(&self) -> Step {
        let Some(task) = self.ready.pop() else { return Step::Empty };
        if task.same(&self.root) {
            return Step::Root;
        }
        match &self.hooks.stopwatch {
            None => self.run(&task),
            Some(stopwatch) => self.run_watched(&task, stopwatch),
        }
        Step::Task
    }

    #[cold]
    fn run_watched(&self, task: &TaskRef, stopwatch: &Stopwatch) {
        let is_callback = task.header().is_callback();
        stopwatch.watch(Task::new(task.clone()), is_callback, || self.run(task));
    }

    #[inline]
    fn run(&self, task: &TaskRef) {
        self.inline_left.set(INLINE_OPERATIONS);
        let current = self.make_current(task);
        let outcome = task.run();
        drop(current);
        if outcome == RunOutcome::Pending {
            return;
        }
        let key = task.header().index.get() as usize;
        let listed = self.tasks.borrow_mut().try_remove(key);
        drop(listed);
        if task.header().is_callback() {
            self.callbacks.set(self.callbacks.get() - 1);
        }
        task.complete();
    }

    /// Calls `poll` with the root as the current task. Its argument is true if the root's cancellation was requested and no
    /// scope in the root catches the request.
    pub(crate) fn run_root<T>(&self, poll: impl FnOnce(bool) -> T) -> T {
        self.root.mark_polled();
        self.inline_left.set(INLINE_OPERATIONS);
        let _current = self.make_current(&self.root);
        poll(self.root.take_request())
    }

    /// Resets the root for another future: withdraws the cancellation requests for the previous one.
    pub(crate) fn reset_root(&self) {
        while self.root.header().cancels.get() > 0 {
            self.root.uncancel();
        }
        self.root.schedule();
    }

    pub(crate) fn root_waker(&self) -> Waker {
        self.root.waker()
    }

    /// Keeps a watcher until it is removed. It replaces, and cancels, an earlier one with the same key.
    pub(crate) fn watch(&self, key: WatchKey, watcher: TaskRef) {
        let replaced = self.watchers.borrow_mut().insert(key, watcher);
        if let Some(replaced) = replaced {
            replaced.request_cancel();
        }
    }

    /// Removes and cancels a watcher. Returns false if there is none, or if it has ended.
    pub(crate) fn unwatch(&self, key: WatchKey) -> bool {
        let watcher = self.watchers.borrow_mut().remove(&key);
        watcher.is_some_and(|watcher| watcher.request_cancel())
    }

    /// The number of tasks that have not ended, without callbacks.
    pub(crate) fn live_tasks(&self) -> usize {
        self.tasks.borrow().len() - self.callbacks.get()
    }

    /// All tasks that have not ended, without callbacks, in no order.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        let tasks = self.tasks.borrow();
        let visible = tasks.iter().filter(|(_, task)| !task.header().is_callback());
        visible.map(|(_, task)| Task::new(task.clone())).collect()
    }

    /// Whether [`drop_and_track`](super::cancel::cleanup::drop_and_track) is dropping a part of a task.
    #[inline]
    pub(crate) fn is_tracking_drop(&self) -> bool {
        self.tracked_drop.borrow().is_some()
    }

    /// Whether the current task has completed so many operations on the spot that it has to let other tasks run.
    pub(crate) fn inline_exhausted(&self) -> bool {
        self.inline_left.get() == 0
    }

    /// Counts an operation that the current task completes on the spot.
    pub(crate) fn count_inline(&self) {
        self.inline_left.set(self.inline_left.get().saturating_sub(1));
    }
}

impl Deref for Scheduler {
    type Target = LoopCore;

    #[inline]
    fn deref(&self) -> &LoopCore {
        &self.core
    }
}

/// While it lives, the scheduler is the current one of its thread. The fields are dropped in this order.
pub(crate) struct EnteredScheduler(
    #[expect(dead_code, reason = "dropped")] Entered<Scheduler>,
    #[expect(dead_code, reason = "dropped")] Entered<LoopCore, Scheduler, Part>,
);

/// The task that waits for the cleanup of a dropped part of a task. It is spawned when there is cleanup to wait for.
#[derive(Debug)]
pub(super) struct CleanupOwner(pub(super) Option<TaskRef>);

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler")
            .field("tasks", &self.live_tasks())
            .field("ready", &self.ready_len())
            .finish_non_exhaustive()
    }
}

/// Calls the hook for new tasks, unless the task is a callback or one of the runtime's own.
#[cold]
fn notify_spawn(hook: &OnSpawn, task: &TaskRef, flags: Flags) {
    if flags == Flags::NONE {
        contain(|| hook(&Task::new(task.clone())));
    }
}

/// Calls `f` with the scheduler of the loop that runs on this thread, if one does.
pub(crate) fn with<T>(f: impl FnOnce(Option<&Scheduler>) -> T) -> T {
    context::with(&CURRENT, f)
}

/// Calls `f` with the scheduler of the loop that runs on this thread.
///
/// # Panics
/// When there is none. The message names `what`, which needs it.
#[inline]
#[track_caller]
pub(super) fn expect<T>(what: &str, f: impl FnOnce(&Scheduler) -> T) -> T {
    match context::with(&CURRENT, |current| current.map(f)) {
        Some(made) => made,
        None => crate::sys::context::no_runtime(what),
    }
}

/// The scheduler of the loop that runs on this thread.
pub(crate) fn current() -> Option<Rc<Scheduler>> {
    context::get(&CURRENT)
}
