//! Opening a file: openat(2).
//!
//! open(2) of a FIFO waits for the peer. Such a wait must be short: a thread of the pool in open(2) cannot be stopped, and the
//! ring has few workers for it. So a FIFO is opened with O_NONBLOCK, and `fs` waits. The ring opens every file with
//! O_NONBLOCK, because it does not know the kind of the file; the pool checks the kind first.
//!
//! A descriptor of a dropped future is closed.

use std::ffi::CString;
use std::io;

use io_uring::{opcode, types};

use crate::op::completion::Completion;
use crate::op::fd::descriptor::Opened;
use crate::op::fd::host::FixedFileSlot;
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

/// Opens a file by path, relative to the working directory.
#[derive(Debug)]
pub(crate) struct Open {
    path: CString,
    flags: i32,
    mode: libc::mode_t,
    into: Option<FixedFileSlot>,
}

impl Open {
    /// Creates the operation. The descriptor is never inherited.
    pub(crate) fn new(path: CString, flags: i32, mode: libc::mode_t) -> Self {
        Open { path, flags: flags | libc::O_CLOEXEC, mode, into: None }
    }

    /// Makes the operation fill a slot of the ring's file table.
    pub(crate) fn into(self, into: FixedFileSlot) -> Self {
        // A direct descriptor is never inherited, and the kernel refuses O_CLOEXEC for it.
        Open { flags: self.flags & !libc::O_CLOEXEC, into: Some(into), ..self }
    }

    /// Returns true if open(2) with these flags may wait for the peer of a FIFO.
    pub(crate) fn may_wait(flags: i32) -> bool {
        flags & libc::O_ACCMODE != libc::O_RDWR && flags & (libc::O_NONBLOCK | libc::O_PATH) == 0
    }

    /// Returns the flags for the ring. Those of a direct descriptor are not changed: O_NONBLOCK could not be cleared again.
    fn ring_flags(&self) -> i32 {
        let waits = self.into.is_none() && Open::may_wait(self.flags);
        if waits { self.flags | libc::O_NONBLOCK } else { self.flags }
    }
}

impl Op for Open {
    /// The result, and the path.
    type Output = (io::Result<Opened>, CString);
    const NAME: &'static str = "openat";
    const OPCODE: u8 = opcode::OpenAt::CODE;
    const MAY_BE_LEFT: bool = true;

    fn entry(&mut self) -> Entry {
        opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), self.path.as_ptr())
            .flags(self.ring_flags())
            .mode(self.mode)
            .file_index(self.into.as_ref().map(FixedFileSlot::destination))
            .build()
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::OnPool
    }

    fn call(&mut self) -> Call {
        // SAFETY: the path is part of this operation.
        let call = unsafe { Call::open(&self.path, self.flags, self.mode) };
        if Open::may_wait(self.flags) { call.without_waiting_for_fifos() } else { call }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        // SAFETY: a successful openat answers with a new descriptor. Dropping it closes it.
        (unsafe { Opened::answer(completion, self.into) }, self.path)
    }
}

/// Opens a file on the pool on both backends. The call may wait as long as another process keeps a lease on the file.
#[derive(Debug)]
pub(crate) struct OpenOnPool(pub(crate) Open);

impl Op for OpenOnPool {
    type Output = (io::Result<Opened>, CString);
    const NAME: &'static str = Open::NAME;
    /// An opcode that no kernel has.
    const OPCODE: u8 = u8::MAX;
    const MAY_BE_LEFT: bool = true;

    fn entry(&mut self) -> Entry {
        unreachable!("no ring knows the opcode")
    }

    fn readiness(&self) -> Readiness<'_> {
        self.0.readiness()
    }

    fn call(&mut self) -> Call {
        self.0.call()
    }

    fn complete(self, completion: Completion) -> Self::Output {
        self.0.complete(completion)
    }
}
