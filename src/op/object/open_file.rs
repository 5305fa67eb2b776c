//! An open file: its descriptor, with what the operations on it share.
//!
//! Any number of them may be in flight; each holds a [`FileRef`] of the file, which counts from the moment when it begins, so
//! that somebody can wait until the kernel holds nothing of the file.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::fd::Descriptor;
use crate::op::Readiness;
use crate::op::completion::Direction;
use crate::sys::call::Call;
use crate::task::cell::layout::Waiter;

/// How the bytes of a file are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Access {
    /// At positions: a regular file, a directory, a disk.
    #[default]
    Positions,
    /// One after the other, by a description of its own with O_NONBLOCK. The selector waits until it is ready.
    Stream,
    /// One after the other, by a description without O_NONBLOCK that others may share. The selector reads when there is
    /// something, and writes on the pool.
    BlockingStream,
    /// One after the other, and the program has asked for O_NONBLOCK: an operation that would have to wait fails.
    NonblockingStream,
}

impl Access {
    pub(crate) fn is_stream(self) -> bool {
        self != Access::Positions
    }
}

/// Properties of a file that its operations depend on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traits {
    pub(crate) access: Access,
    /// O_APPEND: writes go to the end, each of them in one piece.
    pub(crate) appends: bool,
}

pub(crate) struct OpenFile {
    pub(crate) descriptor: Descriptor,
    traits: Traits,
    /// Operations that have begun and are not over.
    busy: Cell<usize>,
    /// The waiters for `busy` to be zero.
    waiting: RefCell<Vec<Waiter>>,
}

impl OpenFile {
    pub(crate) fn new(descriptor: Descriptor, traits: Traits) -> Rc<Self> {
        Rc::new(OpenFile { descriptor, traits, busy: Cell::new(0), waiting: RefCell::default() })
    }

    pub(crate) fn traits(&self) -> Traits {
        self.traits
    }

    /// Ready when no operation on the file is with the kernel or the pool.
    pub(crate) fn poll_quiet(&self, cx: &Context<'_>) -> Poll<()> {
        if self.busy.get() == 0 {
            return Poll::Ready(());
        }
        let waits = self.waiting.borrow().iter().any(|waiter| waiter.will_wake(cx));
        if !waits {
            let waiter = Waiter::new(cx); // may be user code: not while the list is borrowed
            self.waiting.borrow_mut().push(waiter);
        }
        Poll::Pending
    }

    /// Wakes who waits, to look again: all of them, whatever a waker does.
    pub(crate) fn wake(&self) {
        self.waiting.take().into_iter().for_each(Waiter::wake_contained);
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFile")
            .field("fd", &self.descriptor)
            .field("busy", &self.busy)
            .finish_non_exhaustive()
    }
}

/// One operation's share of a file, or that of several which follow each other.
#[derive(Debug)]
pub(crate) struct FileRef {
    file: Rc<OpenFile>,
    begun: bool,
}

impl FileRef {
    pub(crate) fn new(file: &Rc<OpenFile>) -> Self {
        FileRef { file: file.clone(), begun: false }
    }

    pub(crate) fn descriptor(&self) -> &Descriptor {
        &self.file.descriptor
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.file.traits.access.is_stream()
    }

    pub(crate) fn appends(&self) -> bool {
        self.file.traits.appends
    }

    /// Whether a call on it is made at once, by the ring's loop as well: on a non-blocking description the kernel's rings
    /// differ in whether they wait.
    pub(crate) fn never_waits(&self) -> bool {
        self.file.traits.access == Access::NonblockingStream && !self.file.descriptor.is_direct()
    }

    /// A call that reads from it, as the selector makes it.
    pub(crate) fn reading(&self, call: Call) -> Call {
        if self.file.traits.access == Access::BlockingStream { call.if_ready(libc::POLLIN) } else { call }
    }

    /// When the selector may make a call that transfers bytes.
    pub(crate) fn readiness(&self, direction: Direction) -> Readiness<'_> {
        match self.file.traits.access {
            Access::Positions => Readiness::OnPool,
            // However little room there is, write(2) does not return before it has written everything.
            Access::BlockingStream if direction == Direction::Write => Readiness::OnPool,
            Access::Stream | Access::BlockingStream => Readiness::When(&self.file.descriptor, direction),
            Access::NonblockingStream => Readiness::Immediate,
        }
    }

    /// From now on it counts, until it is dropped.
    #[inline]
    pub(crate) fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.file.busy.set(self.file.busy.get() + 1);
        }
    }
}

impl Drop for FileRef {
    #[inline]
    fn drop(&mut self) {
        if self.begun {
            self.file.busy.set(self.file.busy.get() - 1);
            if self.file.busy.get() == 0 {
                self.file.wake();
            }
        }
    }
}
