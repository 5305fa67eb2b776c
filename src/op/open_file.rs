//! An open file: its descriptor, with what the operations on it share.
//!
//! Any number of them may be in flight; each holds a [`Use`] of the file, which counts from the moment when it begins, so
//! that somebody can wait until the kernel holds nothing of the file.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::fd::Descriptor;
use crate::task::waker::Waiter;

pub(crate) struct OpenFile {
    pub(crate) descriptor: Descriptor,
    /// Operations that have begun and are not over.
    busy: Cell<usize>,
    /// Who waits until there are none.
    waiting: RefCell<Vec<Waiter>>,
}

impl OpenFile {
    pub(crate) fn new(descriptor: Descriptor) -> Rc<Self> {
        Rc::new(OpenFile { descriptor, busy: Cell::new(0), waiting: RefCell::default() })
    }

    /// Ready when no operation on the file is with the kernel or the pool.
    pub(crate) fn poll_quiet(&self, cx: &Context<'_>) -> Poll<()> {
        if self.busy.get() == 0 {
            return Poll::Ready(());
        }
        let waits = self.waiting.borrow().iter().any(|waiter| waiter.will_wake(cx));
        if !waits {
            let waiter = Waiter::new(cx); // may be code of the user: not while the list is borrowed
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
pub(crate) struct Use {
    file: Rc<OpenFile>,
    begun: bool,
}

impl Use {
    pub(crate) fn new(file: &Rc<OpenFile>) -> Self {
        Use { file: file.clone(), begun: false }
    }

    pub(crate) fn descriptor(&self) -> &Descriptor {
        &self.file.descriptor
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

impl Drop for Use {
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
