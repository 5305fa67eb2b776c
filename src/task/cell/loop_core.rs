//! The part of the running loop that task cells need: the ready queue, the free lists, the current task, and the hook for
//! unhandled errors. The rest is in the scheduler.

use std::cell::Cell;
use std::ptr;
use std::rc::Rc;

use super::layout::{Header, TaskRef, Values};
use crate::sys::context::{self, Context, Entered, Part};
use crate::sys::guarded::contain;
use crate::sys::sync::{Arc, thread_local};
use crate::task::free_lists::FreeLists;
use crate::task::ready::ReadyQueue;
use crate::task::report::unhandled::{OnUnhandled, Unhandled};
use crate::task::threads::inbox::Shared;

thread_local! {
    static CURRENT: Context<LoopCore, Part> = const { Context::new() };
}

/// The part of a loop that task cells need.
pub(crate) struct LoopCore {
    shared: Arc<Shared>,
    pub(in crate::task) ready: ReadyQueue<TaskRef>,
    pub(in crate::task) free_lists: FreeLists,
    current: Cell<*const Header>,
    /// The child of the current task whose task-locals are in use; null if those of the task are.
    child: Cell<*const Header>,
    on_unhandled: Option<OnUnhandled>,
}

impl LoopCore {
    pub(in crate::task) fn new(shared: Arc<Shared>, on_unhandled: Option<OnUnhandled>) -> Self {
        LoopCore {
            shared,
            ready: ReadyQueue::new(),
            free_lists: FreeLists::new(),
            current: Cell::new(ptr::null()),
            child: Cell::new(ptr::null()),
            on_unhandled,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The task-locals that a new task, child or callback inherits.
    #[inline]
    pub(in crate::task) fn locals(&self) -> Option<Rc<Values>> {
        // SAFETY: the guard that set the pointer borrows a reference to the task or child.
        let owner = unsafe { self.locals_owner_address().as_ref() }?;
        owner.cold()?.locals.borrow().clone()
    }

    /// The cell with the task-locals of the code that runs now: a child of the current task, or that task.
    #[inline]
    fn locals_owner_address(&self) -> *const Header {
        let child = self.child.get();
        if child.is_null() { self.current.get() } else { child }
    }

    /// The task or child with the task-locals of the code that runs now.
    pub(in crate::task) fn locals_owner(&self) -> Option<TaskRef> {
        // SAFETY: as for `locals`.
        unsafe { TaskRef::from_address(self.locals_owner_address()) }
    }

    /// Calls `f` with the task-locals of a child of the current task. They are restored afterwards, also after a panic.
    pub(in crate::task) fn with_locals_of<T>(&self, child: &TaskRef, f: impl FnOnce() -> T) -> T {
        struct Restore<'a>(&'a LoopCore, *const Header);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.child.set(self.1);
            }
        }
        let _restore = Restore(self, self.child.replace(child.address()));
        f()
    }

    /// Puts a task into the ready queue. The caller has marked it as scheduled.
    #[inline]
    pub(in crate::task) fn push(&self, task: TaskRef) {
        self.ready.push(task);
    }

    /// Makes `task` the current one until the guard is dropped.
    #[inline]
    pub(in crate::task) fn make_current<'a>(&'a self, task: &'a TaskRef) -> Current<'a> {
        let previous = self.current.replace(task.address());
        Current { core: self, previous, _task: task }
    }

    /// Whether this task is being polled.
    #[inline]
    pub(in crate::task) fn is_current(&self, task: &TaskRef) -> bool {
        ptr::eq(self.current.get(), task.address())
    }

    /// Whether this is the loop with this remote side.
    #[inline]
    pub(in crate::task) fn is_loop_of(&self, shared: *const Shared) -> bool {
        ptr::eq(Arc::as_ptr(&self.shared), shared)
    }

    /// The task that is being polled, or the root.
    pub(crate) fn current_task(&self) -> Option<TaskRef> {
        // SAFETY: as for `locals`.
        unsafe { TaskRef::from_address(self.current.get()) }
    }

    /// Replaces the child whose task-locals are in use, and returns the previous one.
    pub(in crate::task) fn replace_child(&self, child: *const Header) -> *const Header {
        self.child.replace(child)
    }
}

/// While it lives, a task is the current one. It borrows the reference by which the task stays alive.
pub(in crate::task) struct Current<'a> {
    core: &'a LoopCore,
    previous: *const Header,
    _task: &'a TaskRef,
}

impl Drop for Current<'_> {
    #[inline]
    fn drop(&mut self) {
        self.core.current.set(self.previous);
    }
}

/// Makes the core of a scheduler the current one of this thread.
pub(in crate::task) fn enter<S>(scheduler: Rc<S>, core: fn(&S) -> &LoopCore) -> Entered<LoopCore, S, Part> {
    context::enter_part(&CURRENT, scheduler, core)
}

/// Calls `f` with the loop of this remote side, if it runs on this thread now.
#[inline]
pub(in crate::task) fn with_loop_of<T>(shared: *const Shared, f: impl FnOnce(&LoopCore) -> T) -> Option<T> {
    context::with(&CURRENT, |current| {
        let core = current.filter(|core| core.is_loop_of(shared))?;
        Some(f(core))
    })
}

/// Calls `f` with the loop that runs on this thread, if one does.
#[inline]
pub(crate) fn with<T>(f: impl FnOnce(Option<&LoopCore>) -> T) -> T {
    context::with(&CURRENT, f)
}

/// Calls `f` with the loop that runs on this thread.
///
/// # Panics
/// When there is none; `what` needs it.
#[inline]
#[track_caller]
pub(in crate::task) fn expect<T>(what: &str, f: impl FnOnce(&LoopCore) -> T) -> T {
    match context::with(&CURRENT, |current| current.map(f)) {
        Some(made) => made,
        None => context::no_runtime(what),
    }
}

/// Whether a runtime runs on this thread.
pub(crate) fn is_running() -> bool {
    with(|current| current.is_some())
}

/// The task that is being polled, or the root.
pub(crate) fn current_task() -> Option<TaskRef> {
    with(|current| current?.current_task())
}

/// Reports an unhandled error to the hook of the loop with this remote side. Without a hook, and if that loop does not run on
/// this thread, the report goes to standard error.
pub(in crate::task) fn report(unhandled: &Unhandled, shared: *const Shared) {
    let hook = with_loop_of(shared, |core| core.on_unhandled.clone()).flatten();
    contain(|| match hook {
        Some(hook) => hook(unhandled),
        None => eprintln!("proactor: {unhandled}"),
    });
}
