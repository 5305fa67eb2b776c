//! The header of a task cell, the same for every type of future, and the phase of a task.
//!
//! It is small on purpose: a task of a small future fits into the 120 bytes up to which the C library's allocator is
//! quickest, and of a million tasks every line of the cache counts. Rarely used fields are in a separate box
//! (`extra.rs`).

use std::cell::{Cell, OnceCell};
use std::panic::Location;
use std::ptr::NonNull;

use super::TaskId;
use super::brood;
use super::extra::Extra;
use super::inbox::{Node, Shared};
use super::stage::Vtable;
use super::waker::Waiter;
use crate::sys::sync::atomic::{AtomicBool, AtomicU32};

/// The phase of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits to be run.
    Idle,
    /// Is being polled.
    Running,
    /// Its future is gone; its remains have not ended yet: operations with the kernel, tasks that it cancelled, its
    /// cleanup.
    Reaping,
    /// Its outcome is in the cell.
    Complete,
    /// It has ended, and nothing is in the cell any more.
    Empty,
}

/// The effect of dropping the join handle, and whether there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    /// The handle detaches the task.
    Detach,
    /// The handle cancels the task.
    Cancel,
    /// There is no handle any more: the outcome will not be taken.
    Gone,
}

/// The way a task has ended.
///
/// # Examples
/// See [`Task::state`](super::Task::state).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The task ran to its end.
    Finished,
    /// The task ran to its end and returned an error. Only tasks of [`try_spawn`](fn@super::try_spawn) and its methods end
    /// like this: of other tasks every output is [`Finished`](Self::Finished).
    Failed,
    /// The task was cancelled.
    Cancelled,
    /// The task panicked.
    Panicked,
}

/// Properties of a task, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const NONE: Flags = Flags(0);
    /// A cancellation has been asked for and not been delivered.
    pub(super) const PENDING: Flags = Flags(1);
    /// It is never cancelled: a cleanup.
    pub(super) const SHIELDED: Flags = Flags(2);
    /// The runtime that ends has asked it to end, or waits for it.
    pub(super) const DOOMED: Flags = Flags(4);
    /// A callback of the loop, which is not in the list of tasks.
    pub(super) const CALLBACK: Flags = Flags(8);
    /// One of a brood.
    pub(super) const CHILD: Flags = Flags(16);
    /// A cancellation that nothing catches: the runtime has waited long enough.
    pub(super) const FORCED: Flags = Flags(32);
    /// The pending cancellation is one that nothing catches.
    pub(super) const WHOLE: Flags = Flags(64);
    /// A child with the task-locals of the task that polls it: the body of a group.
    pub(super) const BODY: Flags = Flags(128);

    pub(super) const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether one of them is set.
    pub(super) const fn is(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }
}

/// Of a task its number; of a child its brood.
#[derive(Clone, Copy)]
pub(super) union Identity {
    pub(super) id: TaskId,
    pub(super) brood: NonNull<brood::Core>,
}

/// The initial values of a cell.
pub(super) struct Birth {
    pub(super) identity: Identity,
    pub(super) flags: Flags,
    /// It goes into the ready queue at once.
    pub(super) scheduled: bool,
    pub(super) extra: Option<Box<Extra>>,
    pub(super) place: &'static Location<'static>,
}

/// How a run of a task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// It continues, or its remains have not ended.
    Pending,
    Ended,
}

/// How a poll has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polled {
    Pending,
    Ready,
    /// It is ready, with an output that counts as an error.
    Failed,
    Panicked,
}

/// The part of a cell that is the same for every type of future.
#[repr(C)]
pub(crate) struct Header {
    /// First, because the inbox hands back a pointer to it. Its kind is the beginning of a [`Vtable`].
    pub(super) node: Node,
    pub(super) shared: *const Shared,
    pub(super) refs: AtomicU32,
    /// In the inbox already.
    pub(super) posted: AtomicBool,
    // From here on: for the home thread only.
    pub(super) scheduled: Cell<bool>,
    pub(super) phase: Cell<Phase>,
    pub(super) joining: Cell<Joining>,
    pub(super) home_refs: Cell<u32>,
    pub(super) flags: Cell<Flags>,
    /// The way the task ended, once it has: it stays when the outcome is taken or dropped. This byte would be padding. A task
    /// that finishes does not write it.
    pub(super) ended: Cell<Ended>,
    /// Cancellations asked for, counted as asyncio does.
    pub(super) cancels: Cell<u16>,
    /// The number of things that a cancelled task waits for before it ends: operations that the driver still holds,
    /// abandoned ones included, tasks that it has cancelled, its cleanup.
    pub(super) ops: Cell<u32>,
    /// Place in the scheduler's table.
    pub(super) index: Cell<u32>,
    pub(super) identity: Identity,
    /// Where it was spawned.
    pub(super) place: &'static Location<'static>,
    pub(super) extra: OnceCell<Box<Extra>>,
    pub(super) joiner: Cell<Option<Waiter>>,
    /// The next in the ready queue.
    pub(super) next_ready: Cell<Option<NonNull<Header>>>,
}

impl Header {
    #[inline]
    pub(super) fn vtable(&self) -> &'static Vtable {
        // SAFETY: `TaskRef::new` made the node of a vtable, from a pointer to all of it.
        unsafe { &*self.node.kind().cast::<Vtable>() }
    }

    #[inline]
    pub(super) fn has(&self, flags: Flags) -> bool {
        self.flags.get().is(flags)
    }

    pub(super) fn set(&self, flags: Flags) {
        self.flags.set(self.flags.get().with(flags));
    }

    pub(super) fn unset(&self, flags: Flags) {
        self.flags.set(Flags(self.flags.get().0 & !flags.0));
    }

    /// The number of a task.
    pub(super) fn id(&self) -> TaskId {
        assert!(!self.has(Flags::CHILD), "a child of a brood has no number");
        // SAFETY: only a child's identity is something else.
        unsafe { self.identity.id }
    }

    /// The brood of a child, which is alive while its children have not ended.
    #[inline]
    pub(super) fn brood(&self) -> Option<NonNull<brood::Core>> {
        if !self.has(Flags::CHILD) {
            return None;
        }
        // SAFETY: a child's identity is its brood.
        Some(unsafe { self.identity.brood })
    }

    pub(super) fn is_callback(&self) -> bool {
        self.has(Flags::CALLBACK)
    }

    /// The rarely used fields, if this task has any.
    #[inline]
    pub(super) fn extra(&self) -> Option<&Extra> {
        self.extra.get().map(|extra| &**extra)
    }

    /// The same, made if there is none yet.
    pub(super) fn extra_or_new(&self) -> &Extra {
        self.extra.get_or_init(Box::default)
    }
}
