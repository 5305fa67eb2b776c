//! Files: pread(2) and pwrite(2), their vectored forms, fsync(2), statx(2), ftruncate(2). `open.rs` has openat(2).
//!
//! Facts that shape this file: epoll knows no readiness for regular files (EPERM), so the selector runs all
//! of these on the blocking pool. io_uring runs cached reads and buffered writes inside the submitting
//! call, where a large one holds up the loop; `fs` therefore cuts transfers into steps. All positions are
//! explicit: the file's own offset is never used, but for files that have none, which are read(2) and written
//! as streams. statx needs memory for its answer, and ftruncate a kernel of 6.9.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::task::{Context, Poll};

use io_uring::{opcode, squeue, types};

use crate::buf::{IoBuf, IoBufMut, IoVec, IoVecMut, IoVecs, Registration, note_init, note_init_of_all};
use crate::op::completion::{Completion, Direction};
use crate::op::object::fd::on_fd;
use crate::op::object::open_file::FileRef;
use crate::op::transfer::{Goal, Transfer};
use crate::op::window::Window;
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

/// Bytes of one step: io_uring does cached file I/O inside the submitting call, and a larger one would hold up the loop.
const FILE_STEP: usize = 1 << 20;

/// Reads into part of a buffer from a position of a file.
pub(crate) struct ReadAt<B> {
    at: ReadFrom,
    buf: B,
    window: Window,
}

/// A file, and where in it a buffer's first byte is read from.
#[derive(Debug)]
pub(crate) struct ReadFrom {
    pub(crate) file: FileRef,
    pub(crate) offset: u64,
}

/// The position of a step within a file; zero in one that has none, where the kernel ignores it.
fn position(file: &FileRef, offset: u64, done: usize) -> u64 {
    if file.is_stream() { 0 } else { offset.saturating_add(done as u64) }
}

/// Answers a step beyond the largest file with EINVAL. It must not reach the kernel: io_uring takes an
/// offset of -1 for the file's own position.
fn check_position(file: &FileRef, offset: u64, done: usize) -> Poll<Option<i32>> {
    let valid = i64::try_from(position(file, offset, done)).is_ok();
    Poll::Ready((!valid).then_some(-libc::EINVAL))
}

/// Returns the goal of a read: a read of a stream is one read(2), which takes as much as there is.
fn goal_of_read(file: &FileRef, asked: Goal) -> Goal {
    if asked == Goal::UntilShort && file.is_stream() { Goal::Once } else { asked }
}

/// Returns the goal of a write: a write to a stream writes everything, as a blocking write(2) does.
fn goal_of_write(file: &FileRef, asked: Goal) -> Goal {
    if asked == Goal::UntilShort && file.is_stream() { Goal::UntilNone } else { asked }
}

/// Bytes of one step of a write. Each append is one piece, whatever others append at the same time: the kernel must get
/// all of its bytes in one call.
fn write_limit(file: &FileRef) -> usize {
    if file.appends() { usize::MAX } else { FILE_STEP }
}

/// How the ring begins a write. An append goes to a worker at once: an attempt that must not wait may write a part, and
/// what others append may get between that and the rest. The worker does not hold up the loop, however long it takes.
fn write_flags(file: &FileRef) -> squeue::Flags {
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

/// A file, and where in it a buffer's first byte is written to.
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

/// Reads into several buffers from a position of a file.
pub(crate) struct ReadVectoredAt<V> {
    at: ReadFrom,
    bufs: V,
    start: usize,
    iovecs: IoVecs,
}

/// [`ReadFrom`] for groups of buffers.
#[derive(Debug)]
pub(crate) struct ReadVectoredFrom(pub(crate) ReadFrom);

impl<V: IoVecMut> Transfer<V> for ReadVectoredFrom {
    type Op = ReadVectoredAt<V>;
    const EXHAUSTED: io::ErrorKind = io::ErrorKind::UnexpectedEof;

    fn limit(&self) -> usize {
        FILE_STEP
    }

    fn goal(&self, asked: Goal) -> Goal {
        goal_of_read(&self.0.file, asked)
    }

    fn total(bufs: &V) -> usize {
        bufs.total_capacity()
    }

    fn covers(&self, bufs: &mut V, done: usize) -> usize {
        IoVecs::new().fill_write(bufs, done, FILE_STEP)
    }

    fn step(self, bufs: V, start: usize) -> ReadVectoredAt<V> {
        ReadVectoredAt { at: self.0, bufs, start, iovecs: IoVecs::new() }
    }
}

impl<V: IoVecMut> Op for ReadVectoredAt<V> {
    type Output = (io::Result<usize>, V, ReadVectoredFrom);
    const NAME: &'static str = "preadv";
    const OPCODE: u8 = opcode::Readv::CODE;

    fn bound_to(&self) -> Option<*const ()> {
        self.at.file.descriptor().bound_to()
    }

    fn prepare(&mut self, _: &mut Context<'_>) -> Poll<Option<i32>> {
        self.at.file.begin();
        if self.at.file.never_waits() {
            return Poll::Ready(Some(self.call().run_through_signals()));
        }
        check_position(&self.at.file, self.at.offset, self.start)
    }

    fn entry(&mut self) -> Entry {
        self.iovecs.fill_write(&mut self.bufs, self.start, FILE_STEP);
        let (pointer, len) = (self.iovecs.as_ptr(), self.iovecs.len() as u32);
        let offset = position(&self.at.file, self.at.offset, self.start);
        on_fd!(self.at.file.descriptor().fd(), |fd| opcode::Readv::new(fd, pointer, len)
            .offset(offset)
            .build())
    }

    fn readiness(&self) -> Readiness<'_> {
        self.at.file.readiness(Direction::Read)
    }

    fn call(&mut self) -> Call {
        self.iovecs.fill_write(&mut self.bufs, self.start, FILE_STEP);
        let (pointer, len) = (self.iovecs.as_ptr() as usize, self.iovecs.len());
        let (fd, offset) = (
            self.at.file.descriptor().raw() as usize,
            position(&self.at.file, self.at.offset, self.start) as usize,
        );
        // SAFETY: the list and the buffers in it are part of this operation. The last argument is the
        // offset's high half, which 64-bit machines ignore.
        unsafe {
            if self.at.file.is_stream() {
                self.at.file.reading(Call::new(libc::SYS_readv, [fd, pointer, len]))
            } else {
                Call::new(libc::SYS_preadv, [fd, pointer, len, offset, 0])
            }
        }
    }

    fn complete(mut self, completion: Completion) -> Self::Output {
        let result = completion.count();
        if let Ok(count) = result {
            // SAFETY: the kernel has written `count` bytes from `start` on, across the buffers.
            unsafe { note_init_of_all(&mut self.bufs, self.start + count) };
        }
        (result, self.bufs, ReadVectoredFrom(self.at))
    }
}

/// Writes several buffers to a position of a file.
pub(crate) struct WriteVectoredAt<V> {
    at: WriteTo,
    bufs: V,
    start: usize,
    iovecs: IoVecs,
}

/// [`WriteTo`] for groups of buffers.
#[derive(Debug)]
pub(crate) struct WriteVectoredTo(pub(crate) WriteTo);

impl<V: IoVec> Transfer<V> for WriteVectoredTo {
    type Op = WriteVectoredAt<V>;
    const EXHAUSTED: io::ErrorKind = io::ErrorKind::WriteZero;

    fn limit(&self) -> usize {
        write_limit(&self.0.file)
    }

    fn goal(&self, asked: Goal) -> Goal {
        goal_of_write(&self.0.file, asked)
    }

    fn total(bufs: &V) -> usize {
        bufs.total_init()
    }

    fn covers(&self, bufs: &mut V, done: usize) -> usize {
        IoVecs::new().fill_read(bufs, done, write_limit(&self.0.file))
    }

    fn step(self, bufs: V, start: usize) -> WriteVectoredAt<V> {
        WriteVectoredAt { at: self.0, bufs, start, iovecs: IoVecs::new() }
    }
}

impl<V: IoVec> Op for WriteVectoredAt<V> {
    type Output = (io::Result<usize>, V, WriteVectoredTo);
    const NAME: &'static str = "pwritev";
    const OPCODE: u8 = opcode::Writev::CODE;

    fn bound_to(&self) -> Option<*const ()> {
        self.at.file.descriptor().bound_to()
    }

    fn prepare(&mut self, _: &mut Context<'_>) -> Poll<Option<i32>> {
        self.at.file.begin();
        if self.at.file.never_waits() {
            return Poll::Ready(Some(self.call().run_through_signals()));
        }
        check_position(&self.at.file, self.at.offset, self.start)
    }

    fn entry(&mut self) -> Entry {
        self.iovecs.fill_read(&self.bufs, self.start, write_limit(&self.at.file));
        let (pointer, len) = (self.iovecs.as_ptr(), self.iovecs.len() as u32);
        let offset = position(&self.at.file, self.at.offset, self.start);
        let entry = on_fd!(self.at.file.descriptor().fd(), |fd| opcode::Writev::new(fd, pointer, len)
            .offset(offset)
            .build());
        entry.flags(write_flags(&self.at.file))
    }

    fn readiness(&self) -> Readiness<'_> {
        self.at.file.readiness(Direction::Write)
    }

    fn call(&mut self) -> Call {
        self.iovecs.fill_read(&self.bufs, self.start, write_limit(&self.at.file));
        let (pointer, len) = (self.iovecs.as_ptr() as usize, self.iovecs.len());
        let (fd, offset) = (
            self.at.file.descriptor().raw() as usize,
            position(&self.at.file, self.at.offset, self.start) as usize,
        );
        // SAFETY: as for preadv.
        unsafe {
            if self.at.file.is_stream() {
                Call::new(libc::SYS_writev, [fd, pointer, len])
            } else {
                Call::new(libc::SYS_pwritev, [fd, pointer, len, offset, 0])
            }
        }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.bufs, WriteVectoredTo(self.at))
    }
}

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

/// Asks for a file's metadata, by descriptor or by path.
pub(crate) struct Statx {
    target: StatTarget,
    answer: MaybeUninit<libc::statx>,
}

#[derive(Debug)]
pub(crate) enum StatTarget {
    File(FileRef),
    /// An ordinary descriptor of a file whose own is a direct one.
    Installed(OwnedFd),
    /// Follows symbolic links.
    Path(CString),
}

impl Statx {
    pub(crate) fn new(target: StatTarget) -> Self {
        Statx { target, answer: MaybeUninit::zeroed() }
    }

    /// Descriptor, path and flags, as both readings name the target.
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
