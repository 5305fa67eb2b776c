//! The scheduler: which tasks there are, which can go on, and running one.
//!
//! It knows neither the kernel nor the clock; the loop in `runtime` decides when to run how many.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::ptr;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use super::cell::{Header, TaskRef};
use super::inbox::Shared;
use super::pool::Pool;
use super::ready::ReadyQueue;
use super::spare::Spares;
use super::{JoinHandle, TaskId};
use crate::sys::context::{self, Context, Entered};
use crate::sys::guarded::Guarded;
use crate::sys::sync::{Arc, thread_local};

thread_local! {
    static CURRENT: Context<Scheduler> = const { Context::new() };
}

/// Operations that one poll may complete on the spot before it has to let others run: calls of the selector
/// on descriptors that are ready, and what had arrived earlier.
const INLINE_OPERATIONS: u32 = 64;
/// Generations of tasks that destructors may spawn, each in the destructor of the one before, while all are
/// being cancelled.
const LAST_GENERATIONS: u32 = 100_000;

pub(crate) struct Scheduler {
    shared: Arc<Shared>,
    ready: ReadyQueue<TaskRef>,
    tasks: RefCell<Slab<TaskRef>>,
    /// Stands for the future of `block_on`: it is woken like a task, and polled by `block_on` itself.
    root: TaskRef,
    current: Cell<*const Header>,
    inline_left: Cell<u32>,
    pub(super) spares: Spares,
    closed: Cell<bool>,
    /// Destructors spawn without end: what they spawn is no longer dropped.
    endless: Cell<bool>,
    next_id: Cell<u64>,
    pub(crate) pool: Pool,
}

/// What one step of the ready queue was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Empty,
    Task,
    /// It is the root's turn: poll it with [`Scheduler::run_root`].
    Root,
}

impl Scheduler {
    pub(crate) fn new(pool_threads: usize, pool_keep_alive: Duration) -> io::Result<Rc<Self>> {
        let shared = Shared::new()?;
        let spares = Spares::new();
        let root = TaskRef::new(std::future::pending::<()>(), &shared, &spares, TaskId(0), None, false);
        Ok(Rc::new(Scheduler {
            pool: Pool::new(pool_threads, pool_keep_alive, shared.clone()),
            shared,
            spares,
            ready: ReadyQueue::new(),
            tasks: RefCell::new(Slab::new()),
            root,
            current: Cell::new(ptr::null()),
            inline_left: Cell::new(INLINE_OPERATIONS),
            closed: Cell::new(false),
            endless: Cell::new(false),
            next_id: Cell::new(1),
        }))
    }

    pub(crate) fn enter(self: Rc<Self>) -> Entered<Scheduler> {
        context::enter(&CURRENT, self)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn spawn<F>(&self, future: F, name: Option<Rc<str>>) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let id = TaskId(self.next_id.get());
        self.next_id.set(id.0 + 1);
        let task = if self.endless.get() {
            std::mem::forget(future); // dropping it would spawn the next
            TaskRef::new(std::future::pending::<F::Output>(), &self.shared, &self.spares, id, name, true)
        } else {
            TaskRef::new(future, &self.shared, &self.spares, id, name, true)
        };
        let index = self.tasks.borrow_mut().insert(task.clone());
        task.header().index.set(u32::try_from(index).expect("fewer than 2^32 tasks"));
        // While the runtime is being shut down the future is dropped unpolled, and the handle says so; not
        // here, inside the destructor that spawns, which may be one of a long chain.
        task.header().cancels.set(u32::from(self.closed.get()));
        self.push(task.clone());
        JoinHandle::new(task)
    }

    /// Puts a task into the ready queue; its caller has marked it as scheduled.
    #[inline]
    pub(super) fn push(&self, task: TaskRef) {
        self.ready.push(task);
    }

    /// How many entries of the ready queue belong to the generation that begins now.
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
        self.run(&task);
        Step::Task
    }

    fn run(&self, task: &TaskRef) {
        self.inline_left.set(INLINE_OPERATIONS);
        let previous = self.current.replace(task.address());
        let ended = task.run();
        self.current.set(previous);
        if ended {
            let place = task.header().index.get() as usize;
            let listed = self.tasks.borrow_mut().try_remove(place);
            drop(listed);
            task.complete();
        }
    }

    /// Calls `poll` as the root: what it submits and waits for is the root's.
    pub(crate) fn run_root<T>(&self, poll: impl FnOnce() -> T) -> T {
        struct Restore<'a>(&'a Scheduler, *const Header);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.current.set(self.1);
            }
        }
        self.root.mark_polled();
        self.inline_left.set(INLINE_OPERATIONS);
        let _restore = Restore(self, self.current.replace(self.root.address()));
        poll()
    }

    pub(crate) fn schedule_root(&self) {
        self.root.schedule();
    }

    pub(crate) fn root_waker(&self) -> Waker {
        self.root.waker()
    }

    pub(crate) fn live_tasks(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Cancels every task, and from now on every new one. They end in [`run_cancelled`](Self::run_cancelled).
    pub(crate) fn cancel_all(&self) {
        self.closed.set(true);
        let tasks: Vec<TaskRef> = self.tasks.borrow().iter().map(|(_, task)| task.clone()).collect();
        for task in tasks {
            let cancels = &task.header().cancels;
            cancels.set(cancels.get().max(1));
            task.schedule();
        }
    }

    /// Runs tasks that have been cancelled, and those that they spawn: destructors of futures run in here. Call
    /// it again after visits to the kernel: tasks end when their operations are reaped.
    pub(crate) fn run_cancelled(&self) {
        let mut generations = 0;
        while self.is_ready() {
            for _ in 0..self.ready_len() {
                self.step();
            }
            generations += 1;
            self.endless.set(self.endless.get() || generations == LAST_GENERATIONS);
        }
    }

    /// After the last visit to the kernel: tasks whose operations were never reaped end all the same.
    pub(crate) fn abandon_all(&self) {
        let mut guarded = Guarded::default(); // who waits for them may be woken by code of the user
        loop {
            while self.is_ready() {
                guarded.run(|| self.run_cancelled()); // what has been spawned since
            }
            let tasks: Vec<TaskRef> = self.tasks.borrow_mut().drain().collect();
            if tasks.is_empty() {
                break;
            }
            tasks.iter().for_each(|task| guarded.run(|| task.complete()));
        }
        self.root.complete();
        guarded.finish();
    }

    /// Whether the runtime is being shut down, or has been.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// The task that is being polled, or the root.
    pub(crate) fn current_task(&self) -> Option<TaskRef> {
        // SAFETY: `run` and `run_root` set the pointer for the time in which they hold a reference.
        unsafe { TaskRef::from_address(self.current.get()) }
    }

    /// Whether the task that is being polled has completed so many operations on the spot that it has to
    /// let the others run.
    pub(crate) fn inline_exhausted(&self) -> bool {
        self.inline_left.get() == 0
    }

    /// It completes one more.
    pub(crate) fn count_inline(&self) {
        self.inline_left.set(self.inline_left.get().saturating_sub(1));
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler")
            .field("tasks", &self.live_tasks())
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}

/// What `f` makes of the loop with this remote side, if it runs on this thread now.
#[inline]
pub(super) fn at_home<T>(shared: *const Shared, f: impl FnOnce(&Scheduler) -> T) -> Option<T> {
    context::with(&CURRENT, |current| {
        let scheduler = current.filter(|scheduler| ptr::eq(Arc::as_ptr(&scheduler.shared), shared))?;
        Some(f(scheduler))
    })
}

/// The scheduler of the loop that runs on this thread.
pub(crate) fn with<T>(f: impl FnOnce(Option<&Scheduler>) -> T) -> T {
    context::with(&CURRENT, f)
}
