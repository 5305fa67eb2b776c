//! Files: openat(2), pread(2) and pwrite(2), their vectored forms, fsync(2), statx(2), ftruncate(2).
//!
//! Facts that shape this file: epoll knows no readiness for regular files (EPERM), so the selector runs all
//! of these on the blocking pool. io_uring runs cached reads and buffered writes inside the submitting
//! call, where a large one holds up the loop; `fs` therefore cuts transfers into steps. All positions are
//! explicit: the file's own offset is never used. statx needs memory for its answer, ftruncate a kernel of
//! 6.9, and opening one for which a descriptor that comes too late is closed.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::task::{Context, Poll};

use io_uring::{opcode, types};

use super::fd::{Opened, Vacancy, on_fd};
use super::open_file::Use;
use super::transfer::{Transfer, Window};
use super::{Completion, Entry, Op, Wait};
use crate::buf::{IoBuf, IoBufMut, IoVec, IoVecMut, IoVecs, Registration, note_init, note_init_of_all};
use crate::sys::call::Call;

/// Bytes of one step: io_uring does cached file I/O inside the submitting call, and a larger one would hold up the loop.
const FILE_STEP: usize = 1 << 20;

/// Opens a file by path, relative to the working directory.
#[derive(Debug)]
pub(crate) struct Open {
    path: CString,
    flags: i32,
    mode: libc::mode_t,
    into: Option<Vacancy>,
}

impl Open {
    /// The descriptor is never inherited.
    pub(crate) fn new(path: CString, flags: i32, mode: libc::mode_t) -> Self {
        Open { path, flags: flags | libc::O_CLOEXEC, mode, into: None }
    }

    /// Opens it into a place of the ring's table.
    pub(crate) fn into(self, into: Vacancy) -> Self {
        // Nobody inherits a direct descriptor, and the kernel refuses to be told so.
        Open { flags: self.flags & !libc::O_CLOEXEC, into: Some(into), ..self }
    }
}

impl Op for Open {
    type Output = io::Result<Opened>;
    const NAME: &'static str = "openat";
    const OPCODE: u8 = opcode::OpenAt::CODE;

    fn entry(&mut self) -> Entry {
        opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), self.path.as_ptr())
            .flags(self.flags)
            .mode(self.mode)
            .file_index(self.into.as_ref().map(Vacancy::destination))
            .build()
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Pool
    }

    fn call(&mut self) -> Call {
        let path = self.path.as_ptr() as usize;
        // SAFETY: the path is part of this operation.
        unsafe {
            Call::new(
                libc::SYS_openat,
                [libc::AT_FDCWD as usize, path, self.flags as usize, self.mode as usize],
            )
        }
        .opening()
    }

    fn complete(self, completion: Completion) -> Self::Output {
        // SAFETY: a successful openat answers with a new descriptor. Dropping it closes it.
        unsafe { Opened::answer(completion, self.into) }
    }
}

/// Reads into part of a buffer from a position of a file.
pub(crate) struct ReadAt<B> {
    at: ReadFrom,
    buf: B,
    window: Window,
}

/// A file, and where in it a buffer's first byte is read from.
#[derive(Debug)]
pub(crate) struct ReadFrom {
    pub(crate) file: Use,
    pub(crate) offset: u64,
}

/// The position of a step within a file.
fn position(offset: u64, done: usize) -> u64 {
    offset.saturating_add(done as u64)
}

/// Answers a step beyond the largest file with EINVAL. It must not reach the kernel: io_uring takes an
/// offset of -1 for the file's own position.
fn check_position(offset: u64, done: usize) -> Poll<Option<i32>> {
    let valid = i64::try_from(position(offset, done)).is_ok();
    Poll::Ready((!valid).then_some(-libc::EINVAL))
}

impl<B: IoBufMut> Transfer<B> for ReadFrom {
    type Op = ReadAt<B>;
    const EXHAUSTED: io::ErrorKind = io::ErrorKind::UnexpectedEof;
    const STEP: usize = FILE_STEP;

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
        check_position(self.at.offset, self.window.start)
    }

    fn entry(&mut self) -> Entry {
        let pointer = self.window.target(&mut self.buf);
        let offset = position(self.at.offset, self.window.start);
        let (descriptor, len) = (self.at.file.descriptor(), self.window.len32());
        match self.buf.registration() {
            None => on_fd!(descriptor.fd(), |fd| opcode::Read::new(fd, pointer, len).offset(offset).build()),
            Some(Registration { place }) => on_fd!(descriptor.fd(), |fd| {
                opcode::ReadFixed::new(fd, pointer, len, place).offset(offset).build()
            }),
        }
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Pool
    }

    fn call(&mut self) -> Call {
        let pointer = self.window.target(&mut self.buf) as usize;
        let offset = position(self.at.offset, self.window.start) as usize;
        let fd = self.at.file.descriptor().raw() as usize;
        // SAFETY: the window lies within the buffer, which this operation owns.
        unsafe { Call::new(libc::SYS_pread64, [fd, pointer, self.window.len, offset]) }
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
    pub(crate) file: Use,
    pub(crate) offset: u64,
}

impl<B: IoBuf> Transfer<B> for WriteTo {
    type Op = WriteAt<B>;
    const EXHAUSTED: io::ErrorKind = io::ErrorKind::WriteZero;
    const STEP: usize = FILE_STEP;

    fn total(buf: &B) -> usize {
        buf.init_len()
    }

    fn step(self, buf: B, done: usize) -> WriteAt<B> {
        let window = Window::new(buf.init_len(), done, FILE_STEP);
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
        check_position(self.at.offset, self.window.start)
    }

    fn entry(&mut self) -> Entry {
        let pointer = self.window.source(&self.buf);
        let offset = position(self.at.offset, self.window.start);
        let (descriptor, len) = (self.at.file.descriptor(), self.window.len32());
        match self.buf.registration() {
            None => on_fd!(descriptor.fd(), |fd| opcode::Write::new(fd, pointer, len).offset(offset).build()),
            Some(Registration { place }) => on_fd!(descriptor.fd(), |fd| {
                opcode::WriteFixed::new(fd, pointer, len, place).offset(offset).build()
            }),
        }
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Pool
    }

    fn call(&mut self) -> Call {
        let pointer = self.window.source(&self.buf) as usize;
        let offset = position(self.at.offset, self.window.start) as usize;
        let fd = self.at.file.descriptor().raw() as usize;
        // SAFETY: the window lies within the buffer, which this operation owns.
        unsafe { Call::new(libc::SYS_pwrite64, [fd, pointer, self.window.len, offset]) }
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
    const STEP: usize = FILE_STEP;

    fn total(bufs: &V) -> usize {
        bufs.total_capacity()
    }

    fn covers(bufs: &mut V, done: usize) -> usize {
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
        check_position(self.at.offset, self.start)
    }

    fn entry(&mut self) -> Entry {
        self.iovecs.fill_write(&mut self.bufs, self.start, FILE_STEP);
        let (pointer, len) = (self.iovecs.as_ptr(), self.iovecs.len() as u32);
        let offset = position(self.at.offset, self.start);
        on_fd!(self.at.file.descriptor().fd(), |fd| opcode::Readv::new(fd, pointer, len)
            .offset(offset)
            .build())
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Pool
    }

    fn call(&mut self) -> Call {
        self.iovecs.fill_write(&mut self.bufs, self.start, FILE_STEP);
        let (pointer, len) = (self.iovecs.as_ptr() as usize, self.iovecs.len());
        let (fd, offset) =
            (self.at.file.descriptor().raw() as usize, position(self.at.offset, self.start) as usize);
        // SAFETY: the list and the buffers in it are part of this operation. The last argument is the
        // offset's high half, which 64-bit machines ignore.
        unsafe { Call::new(libc::SYS_preadv, [fd, pointer, len, offset, 0]) }
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
    const STEP: usize = FILE_STEP;

    fn total(bufs: &V) -> usize {
        bufs.total_init()
    }

    fn covers(bufs: &mut V, done: usize) -> usize {
        IoVecs::new().fill_read(bufs, done, FILE_STEP)
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
        check_position(self.at.offset, self.start)
    }

    fn entry(&mut self) -> Entry {
        self.iovecs.fill_read(&self.bufs, self.start, FILE_STEP);
        let (pointer, len) = (self.iovecs.as_ptr(), self.iovecs.len() as u32);
        let offset = position(self.at.offset, self.start);
        on_fd!(self.at.file.descriptor().fd(), |fd| opcode::Writev::new(fd, pointer, len)
            .offset(offset)
            .build())
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Pool
    }

    fn call(&mut self) -> Call {
        self.iovecs.fill_read(&self.bufs, self.start, FILE_STEP);
        let (pointer, len) = (self.iovecs.as_ptr() as usize, self.iovecs.len());
        let (fd, offset) =
            (self.at.file.descriptor().raw() as usize, position(self.at.offset, self.start) as usize);
        // SAFETY: as for preadv.
        unsafe { Call::new(libc::SYS_pwritev, [fd, pointer, len, offset, 0]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.bufs, WriteVectoredTo(self.at))
    }
}

/// Makes a file's data durable, or data and metadata.
#[derive(Debug)]
pub(crate) struct Sync {
    pub(crate) file: Use,
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

    fn wait(&self) -> Wait<'_> {
        Wait::Pool
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
    File(Use),
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

    fn wait(&self) -> Wait<'_> {
        Wait::Pool
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
    pub(crate) file: Use,
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

    fn wait(&self) -> Wait<'_> {
        Wait::Pool
    }

    fn call(&mut self) -> Call {
        // SAFETY: ftruncate(2) takes no pointer.
        unsafe { Call::new(libc::SYS_ftruncate, [self.file.descriptor().raw() as usize, self.len as usize]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
