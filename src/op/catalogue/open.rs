//! Opening a file: openat(2).
//!
//! open(2) of a FIFO waits for the other side. Nothing may wait there for long: a thread of the pool in open(2) can't be
//! stopped, and the ring has few workers for it. So a FIFO is opened with O_NONBLOCK, and `fs` does the waiting. The ring
//! opens every file so, since it can't tell what it will find; the pool looks first.
//!
//! A descriptor that comes too late is closed.

use std::ffi::CString;
use std::io;

use io_uring::{opcode, types};

use crate::op::completion::Completion;
use crate::op::object::fd::{FixedFileSlot, Opened};
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
    /// The descriptor is never inherited.
    pub(crate) fn new(path: CString, flags: i32, mode: libc::mode_t) -> Self {
        Open { path, flags: flags | libc::O_CLOEXEC, mode, into: None }
    }

    /// Opens it into a place of the ring's table.
    pub(crate) fn into(self, into: FixedFileSlot) -> Self {
        // Nobody inherits a direct descriptor, and the kernel refuses to be told so.
        Open { flags: self.flags & !libc::O_CLOEXEC, into: Some(into), ..self }
    }

    /// Whether open(2) with these flags may wait for the other side of a FIFO.
    pub(crate) fn may_wait(flags: i32) -> bool {
        flags & libc::O_ACCMODE != libc::O_RDWR && flags & (libc::O_NONBLOCK | libc::O_PATH) == 0
    }

    /// The ring's flags. One whose descriptor goes to its table keeps its own: nothing could take O_NONBLOCK away again.
    fn ring_flags(&self) -> i32 {
        let waits = self.into.is_none() && Open::may_wait(self.flags);
        if waits { self.flags | libc::O_NONBLOCK } else { self.flags }
    }
}

impl Op for Open {
    /// The path comes back.
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

/// Opens a file on the pool, whatever the ring can do: the call may wait, as long as another process keeps a lease on the
/// file.
#[derive(Debug)]
pub(crate) struct OpenOnPool(pub(crate) Open);

impl Op for OpenOnPool {
    type Output = (io::Result<Opened>, CString);
    const NAME: &'static str = Open::NAME;
    /// No kernel has it.
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
