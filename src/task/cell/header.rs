//! Access to the header of a task cell, and to its rarely used fields.

use std::cell::RefCell;
use std::fmt;
use std::ptr::NonNull;
use std::rc::Rc;

use super::error::TaskId;
use super::layout::{ChildSetCore, ColdFields, Header, TaskRef, Values, Vtable, Waiter};
use super::state::Flags;
use crate::sys::guarded::contain;
use crate::sys::sync::dealloc;
use crate::task::free_lists;
use crate::task::report::unhandled::Unhandled;

impl Header {
    #[inline]
    pub(in crate::task) fn vtable(&self) -> &'static Vtable {
        // SAFETY: `TaskRef::new` made the node of a vtable, from a pointer to all of it.
        unsafe { &*self.node.kind().cast::<Vtable>() }
    }

    #[inline]
    pub(in crate::task) fn has(&self, flags: Flags) -> bool {
        self.flags.get().is(flags)
    }

    pub(in crate::task) fn set(&self, flags: Flags) {
        self.flags.set(self.flags.get().with(flags));
    }

    pub(in crate::task) fn unset(&self, flags: Flags) {
        self.flags.set(self.flags.get().without(flags));
    }

    /// The number of a task.
    pub(in crate::task) fn id(&self) -> TaskId {
        assert!(!self.has(Flags::CHILD), "a child of a child set has no number");
        // SAFETY: only a child's identity is something else.
        unsafe { self.identity.id }
    }

    /// The child set of a child; `None` for a task. The set is alive until its children have ended.
    #[inline]
    pub(in crate::task) fn child_set(&self) -> Option<NonNull<ChildSetCore>> {
        if !self.has(Flags::CHILD) {
            return None;
        }
        // SAFETY: a child's identity is its child set.
        Some(unsafe { self.identity.child_set })
    }

    /// Makes the report of a failure of this task, for the hook.
    pub(in crate::task) fn unhandled(&self, message: String, panicked: bool) -> Unhandled {
        let name = self.cold().and_then(|cold| cold.name().cloned());
        Unhandled::new(self.id(), name, self.spawned_at, message, panicked, self.is_callback())
    }

    pub(in crate::task) fn is_callback(&self) -> bool {
        self.has(Flags::CALLBACK)
    }

    /// The rarely used fields, if they were allocated.
    #[inline]
    pub(in crate::task) fn cold(&self) -> Option<&ColdFields> {
        self.cold.get().map(|cold| &**cold)
    }

    /// The rarely used fields; allocates them if there are none yet.
    pub(in crate::task) fn cold_or_new(&self) -> &ColdFields {
        self.cold.get_or_init(Box::default)
    }
}

impl ColdFields {
    /// The rarely used fields of a new task. `None` if it has neither a name nor task-locals.
    #[inline]
    pub(in crate::task) fn new(name: Option<Rc<str>>, locals: Option<Rc<Values>>) -> Option<Box<Self>> {
        if name.is_none() && locals.is_none() {
            return None;
        }
        Some(Box::new(ColdFields { name, locals: RefCell::new(locals), ..ColdFields::default() }))
    }

    pub(in crate::task) fn name(&self) -> Option<&Rc<str>> {
        self.name.as_ref()
    }

    /// Schedules the cleanup task of a task that is being reaped; it starts if the task waits for nothing else.
    pub(in crate::task) fn resume_cleanup(&self) {
        let cleanup = self.cleanups.borrow().as_ref().map(|cleanups| cleanups.task.clone());
        cleanup.into_iter().for_each(|task| task.schedule());
    }

    /// Tells the end of the task to its callbacks, end waiters, group and set, and drops its task-locals.
    pub(in crate::task) fn task_ended(&self, task: &TaskRef) {
        self.callbacks.notify_all(|| task.clone());
        let end_waiters = self.end_waiters.take();
        end_waiters.iter().for_each(TaskRef::remove_pending);
        let group = self.group.take();
        contain(|| group.into_iter().for_each(Waiter::wake)); // may be user code
        // Their values may refer to the task itself, and would keep it forever.
        let locals = self.locals.take();
        contain(|| drop(locals)); // user code
        let at_end = self.at_end.take();
        at_end.into_iter().for_each(|at_end| at_end());
    }
}

impl fmt::Debug for ColdFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColdFields").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Frees the memory of a cell.
///
/// # Safety
/// There is no reference to the cell, and its stage and joiner have been cleared.
pub(in crate::task) unsafe fn free(task: NonNull<Header>) {
    // SAFETY: the cell was allocated with this layout. What is left of the header has no destructor: the
    // last local reference dropped the joiner and the name.
    unsafe { dealloc(task.as_ptr().cast(), free_lists::whole(task.as_ref().vtable().layout)) };
}
