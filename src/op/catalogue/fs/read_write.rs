//! Reads and writes of files: pread(2), pwrite(2).
//!
//! Facts that shape this file: epoll has no readiness for regular files (EPERM), so the selector runs these operations on
//! the blocking pool. io_uring runs cached reads and buffered writes inside the submitting call, where a large one delays
//! the loop; so a transfer is cut into steps. All positions are explicit, and the file's own offset is never used. Files
//! without positions are read and written as streams.

use std::io;
use std::task::{Context, Poll};

use io_uring::{opcode, squeue};

use crate::buf::{IoBuf, IoBufMut, Registration, note_init};
use crate::op::completion::{Completion, Direction};
use crate::op::fd::descriptor::on_fd;
use crate::op::fd::open_file::FileRef;
use crate::op::transfer::{Goal, Transfer};
use crate::op::window::Window;
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

/// The size of one step. io_uring does cached file I/O inside the submitting call, and a larger step would delay the loop.
pub(in crate::op) const FILE_STEP: usize = 1 << 20;

/// Reads into part of a buffer from a position of a file.
pub(crate) struct ReadAt<B> {
    at: ReadFrom,
    buf: B,
    window: Window,
}

/// A file and the position of a buffer's first byte, as a source of a transfer.
#[derive(Debug)]
pub(crate) struct ReadFrom {
    pub(crate) file: FileRef,
    pub(crate) offset: u64,
}

/// Returns the position of a step. It is zero for a file without positions, where the kernel ignores it.
pub(in crate::op) fn position(file: &FileRef, offset: u64, done: usize) -> u64 {
    if file.is_stream() { 0 } else { offset.saturating_add(done as u64) }
}

/// Answers a step beyond the largest file with EINVAL. It must not reach the kernel: io_uring takes an
/// offset of -1 for the file's own position.
pub(in crate::op) fn check_position(file: &FileRef, offset: u64, done: usize) -> Poll<Option<i32>> {
    let valid = i64::try_from(position(file, offset, done)).is_ok();
    Poll::Ready((!valid).then_some(-libc::EINVAL))
}

/// Returns the goal of a read: a read of a stream is one read(2), which takes as much as there is.
pub(in crate::op) fn goal_of_read(file: &FileRef, asked: Goal) -> Goal {
    if asked == Goal::UntilShort && file.is_stream() { Goal::Once } else { asked }
}

/// Returns the goal of a write: a write to a stream writes everything, as a blocking write(2) does.
pub(in crate::op) fn goal_of_write(file: &FileRef, asked: Goal) -> Goal {
    if asked == Goal::UntilShort && file.is_stream() { Goal::UntilNone } else { asked }
}

/// Returns the size of one step of a write. An append is a single step, because other processes may append at the same time:
/// the kernel must get all of its bytes in one call.
pub(in crate::op) fn write_limit(file: &FileRef) -> usize {
    if file.appends() { usize::MAX } else { FILE_STEP }
}

/// Returns the ring's flags for a write. An append goes to a worker of the kernel at once: a non-blocking attempt could write
/// a part, and other processes could append before the rest. The worker does not delay the loop.
pub(in crate::op) fn write_flags(file: &FileRef) -> squeue::Flags {
    if file.appends() && !file.is_stream() { squeue::Flags::ASYNC } else { squeue::Flags::empty() }
}

impl<B: IoBufMut> Transfer<B> for ReadFrom {
    type Op = ReadAt<B>;
    const EXHAUSTED: io::ErrorKind = io::ErrorKind::UnexpectedEof;

    fn limit(&self) -> usize {
        FILE_STEP
    }

    fn goal(&self, asked: Goal) -> Goal {
        goal_of_read(&self.file, asked)
    }

    fn total(buf: &B) -> usize {
        buf.total_len()
    }

    fn step(self, buf: B, done: usize) -> ReadAt<B> {
        let window = Window::new(buf.total_len(), done, FILE_STEP);
        ReadAt { at: self, buf, window }
    }
}

impl<B: IoBufMut> Op for ReadAt<B> {
    type Output = (io::Result<usize>, B, ReadFrom);
    const NAME: &'static str = "pread";
    const OPCODE: u8 = opcode::Read::CODE;

    fn bound_to(&self) -> Option<*const ()> {
        self.at.file.descriptor().bound_to()
    }

    fn prepare(&mut self, _: &mut Context<'_>) -> Poll<Option<i32>> {
        self.at.file.begin();
        if self.at.file.never_waits() {
            return Poll::Ready(Some(self.call().run_through_signals()));
        }
        check_position(&self.at.file, self.at.offset, self.window.start)
    }

    fn entry(&mut self) -> Entry {
        let pointer = self.window.target(&mut self.buf);
        let offset = position(&self.at.file, self.at.offset, self.window.start);
        let (descriptor, len) = (self.at.file.descriptor(), self.window.len32());
        match self.buf.registration() {
            None => on_fd!(descriptor.fd(), |fd| opcode::Read::new(fd, pointer, len).offset(offset).build()),
            Some(Registration { place }) => on_fd!(descriptor.fd(), |fd| {
                opcode::ReadFixed::new(fd, pointer, len, place).offset(offset).build()
            }),
        }
    }

    fn readiness(&self) -> Readiness<'_> {
        self.at.file.readiness(Direction::Read)
    }

    fn call(&mut self) -> Call {
        let pointer = self.window.target(&mut self.buf) as usize;
        let offset = position(&self.at.file, self.at.offset, self.window.start) as usize;
        let fd = self.at.file.descriptor().raw() as usize;
        // SAFETY: the window lies within the buffer, which this operation owns.
        unsafe {
            if self.at.file.is_stream() {
                self.at.file.reading(Call::new(libc::SYS_read, [fd, pointer, self.window.len]))
            } else {
                Call::new(libc::SYS_pread64, [fd, pointer, self.window.len, offset])
            }
        }
    }

    fn complete(mut self, completion: Completion) -> Self::Output {
        let result = completion.count();
        if let Ok(count) = result {
            // SAFETY: the kernel has written `count` bytes from the window's start, and what lies before
            // the window was initialised by the steps before this one.
            unsafe { note_init(&mut self.buf, self.window.start + count) };
        }
        (result, self.buf, self.at)
    }
}

/// Writes part of a buffer to a position of a file.
pub(crate) struct WriteAt<B> {
    at: WriteTo,
    buf: B,
    window: Window,
}

/// A file and the position of a buffer's first byte, as a target of a transfer.
#[derive(Debug)]
pub(crate) struct WriteTo {
    pub(crate) file: FileRef,
    pub(crate) offset: u64,
}

impl<B: IoBuf> Transfer<B> for WriteTo {
    type Op = WriteAt<B>;
    const EXHAUSTED: io::ErrorKind = io::ErrorKind::WriteZero;

    fn limit(&self) -> usize {
        write_limit(&self.file)
    }

    fn goal(&self, asked: Goal) -> Goal {
        goal_of_write(&self.file, asked)
    }

    fn total(buf: &B) -> usize {
        buf.init_len()
    }

    fn step(self, buf: B, done: usize) -> WriteAt<B> {
        let window = Window::new(buf.init_len(), done, write_limit(&self.file));
        WriteAt { at: self, buf, window }
    }
}

impl<B: IoBuf> Op for WriteAt<B> {
    type Output = (io::Result<usize>, B, WriteTo);
    const NAME: &'static str = "pwrite";
    const OPCODE: u8 = opcode::Write::CODE;

    fn bound_to(&self) -> Option<*const ()> {
        self.at.file.descriptor().bound_to()
    }

    fn prepare(&mut self, _: &mut Context<'_>) -> Poll<Option<i32>> {
        self.at.file.begin();
        if self.at.file.never_waits() {
            return Poll::Ready(Some(self.call().run_through_signals()));
        }
        check_position(&self.at.file, self.at.offset, self.window.start)
    }

    fn entry(&mut self) -> Entry {
        let pointer = self.window.source(&self.buf);
        let offset = position(&self.at.file, self.at.offset, self.window.start);
        let (descriptor, len) = (self.at.file.descriptor(), self.window.len32());
        let entry = match self.buf.registration() {
            None => on_fd!(descriptor.fd(), |fd| opcode::Write::new(fd, pointer, len).offset(offset).build()),
            Some(Registration { place }) => on_fd!(descriptor.fd(), |fd| {
                opcode::WriteFixed::new(fd, pointer, len, place).offset(offset).build()
            }),
        };
        entry.flags(write_flags(&self.at.file))
    }

    fn readiness(&self) -> Readiness<'_> {
        self.at.file.readiness(Direction::Write)
    }

    fn call(&mut self) -> Call {
        let pointer = self.window.source(&self.buf) as usize;
        let offset = position(&self.at.file, self.at.offset, self.window.start) as usize;
        let fd = self.at.file.descriptor().raw() as usize;
        // SAFETY: the window lies within the buffer, which this operation owns.
        unsafe {
            if self.at.file.is_stream() {
                Call::new(libc::SYS_write, [fd, pointer, self.window.len])
            } else {
                Call::new(libc::SYS_pwrite64, [fd, pointer, self.window.len, offset])
            }
        }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.buf, self.at)
    }
}
