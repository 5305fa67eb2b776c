//! Metadata and size of files: fsync(2), statx(2), ftruncate(2). The ring has ftruncate from Linux 6.9 on.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::task::{Context, Poll};

use io_uring::{opcode, types};

use crate::op::completion::Completion;
use crate::op::fd::descriptor::on_fd;
use crate::op::fd::open_file::FileRef;
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

/// Makes a file's data durable, or data and metadata.
#[derive(Debug)]
pub(crate) struct Sync {
    pub(crate) file: FileRef,
    pub(crate) data_only: bool,
}

impl Op for Sync {
    type Output = io::Result<()>;
    const NAME: &'static str = "fsync";
    const OPCODE: u8 = opcode::Fsync::CODE;

    fn bound_to(&self) -> Option<*const ()> {
        self.file.descriptor().bound_to()
    }

    fn prepare(&mut self, _: &mut Context<'_>) -> Poll<Option<i32>> {
        self.file.begin();
        Poll::Ready(None)
    }

    fn entry(&mut self) -> Entry {
        let flags = if self.data_only { types::FsyncFlags::DATASYNC } else { types::FsyncFlags::empty() };
        on_fd!(self.file.descriptor().fd(), |fd| opcode::Fsync::new(fd).flags(flags).build())
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::OnPool
    }

    fn call(&mut self) -> Call {
        let number = if self.data_only { libc::SYS_fdatasync } else { libc::SYS_fsync };
        // SAFETY: neither call takes a pointer.
        unsafe { Call::new(number, [self.file.descriptor().raw() as usize]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}

/// Reads a file's metadata, by descriptor or by path.
pub(crate) struct Statx {
    target: StatTarget,
    answer: MaybeUninit<libc::statx>,
}

#[derive(Debug)]
pub(crate) enum StatTarget {
    File(FileRef),
    /// An ordinary descriptor, made for a file with a direct descriptor.
    Installed(OwnedFd),
    /// Follows symbolic links.
    Path(CString),
}

impl Statx {
    pub(crate) fn new(target: StatTarget) -> Self {
        Statx { target, answer: MaybeUninit::zeroed() }
    }

    /// Returns the descriptor, path and flags that name the target.
    fn names(&self) -> (i32, *const libc::c_char, i32) {
        match &self.target {
            StatTarget::File(file) => (file.descriptor().raw(), c"".as_ptr(), libc::AT_EMPTY_PATH),
            StatTarget::Installed(fd) => (fd.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH),
            StatTarget::Path(path) => (libc::AT_FDCWD, path.as_ptr(), 0),
        }
    }
}

const STATX_MASK: u32 = libc::STATX_BASIC_STATS | libc::STATX_BTIME;

impl Op for Statx {
    type Output = io::Result<libc::statx>;
    const NAME: &'static str = "statx";
    const OPCODE: u8 = opcode::Statx::CODE;
    const MAY_BE_LEFT: bool = true;

    fn prepare(&mut self, _: &mut Context<'_>) -> Poll<Option<i32>> {
        if let StatTarget::File(file) = &mut self.target {
            file.begin();
        }
        Poll::Ready(None)
    }

    fn entry(&mut self) -> Entry {
        let (fd, path, flags) = self.names();
        opcode::Statx::new(types::Fd(fd), path, self.answer.as_mut_ptr().cast())
            .flags(flags)
            .mask(STATX_MASK)
            .build()
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::OnPool
    }

    fn call(&mut self) -> Call {
        let (fd, path, flags) = self.names();
        let answer = self.answer.as_mut_ptr() as usize;
        // SAFETY: the path and the answer's memory are part of this operation.
        unsafe {
            Call::new(
                libc::SYS_statx,
                [fd as usize, path as usize, flags as usize, STATX_MASK as usize, answer],
            )
        }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        // SAFETY: zeroed at first, and filled in by the kernel on success: plain numbers either way.
        completion.unit().map(|()| unsafe { self.answer.assume_init() })
    }
}

/// Sets a file's length.
#[derive(Debug)]
pub(crate) struct Truncate {
    pub(crate) file: FileRef,
    pub(crate) len: u64,
}

impl Op for Truncate {
    type Output = io::Result<()>;
    const NAME: &'static str = "ftruncate";
    const OPCODE: u8 = opcode::Ftruncate::CODE;

    fn bound_to(&self) -> Option<*const ()> {
        self.file.descriptor().bound_to()
    }

    fn prepare(&mut self, _: &mut Context<'_>) -> Poll<Option<i32>> {
        self.file.begin();
        Poll::Ready(None)
    }

    fn entry(&mut self) -> Entry {
        on_fd!(self.file.descriptor().fd(), |fd| opcode::Ftruncate::new(fd, self.len).build())
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::OnPool
    }

    fn call(&mut self) -> Call {
        // SAFETY: ftruncate(2) takes no pointer.
        unsafe { Call::new(libc::SYS_ftruncate, [self.file.descriptor().raw() as usize, self.len as usize]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
