//! Open files: a descriptor with the state that its operations share.
//!
//! Any number of operations may be in flight. Each holds a [`FileRef`], which counts from the start of the operation. So a
//! task can wait until no operation on the file is in flight.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::descriptor::Descriptor;
use crate::op::Readiness;
use crate::op::completion::Direction;
use crate::sys::call::Call;
use crate::task::cell::layout::Waiter;

/// The way in which the bytes of a file are accessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Access {
    /// By position: a regular file, a directory, a disk.
    #[default]
    Positions,
    /// As a stream with an open file description of its own, which has O_NONBLOCK. The selector waits until it is ready.
    Stream,
    /// As a stream without O_NONBLOCK, whose open file description other processes may share. The selector reads when it is
    /// ready, and writes on the pool.
    BlockingStream,
    /// As a stream for which the program has requested O_NONBLOCK: an operation that would wait fails.
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
    /// The number of operations that have started and not ended.
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

    /// Polls for the moment when no operation on the file is in flight.
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

    /// Wakes all waiters. A panic of one waker does not keep the others from being woken.
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

/// A reference to a file for one operation, or for several operations in sequence.
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

    /// Returns true if calls are made at once, on the proactor too: kernels differ in whether a ring waits on a non-blocking
    /// open file description.
    pub(crate) fn never_waits(&self) -> bool {
        self.file.traits.access == Access::NonblockingStream && !self.file.descriptor.is_direct()
    }

    /// Adapts a call that reads from the file, for the selector.
    pub(crate) fn reading(&self, call: Call) -> Call {
        if self.file.traits.access == Access::BlockingStream { call.if_ready(libc::POLLIN) } else { call }
    }

    /// Returns the condition under which a call that transfers bytes can be made.
    pub(crate) fn readiness(&self, direction: Direction) -> Readiness<'_> {
        match self.file.traits.access {
            Access::Positions => Readiness::OnPool,
            // write(2) does not return before it has written everything, however little room there is.
            Access::BlockingStream if direction == Direction::Write => Readiness::OnPool,
            Access::Stream | Access::BlockingStream => Readiness::When(&self.file.descriptor, direction),
            Access::NonblockingStream => Readiness::Immediate,
        }
    }

    /// Counts this reference as an operation in flight, until it is dropped.
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
