//! Vectored reads and writes of files: preadv(2), pwritev2(2).

use super::read_write::{
    FILE_STEP, ReadFrom, WriteTo, check_position, goal_of_read, goal_of_write, position, write_flags,
    write_limit,
};
use std::io;
use std::task::{Context, Poll};

use io_uring::opcode;

use crate::buf::{IoVec, IoVecMut, IoVecs, note_init_of_all};
use crate::op::completion::{Completion, Direction};
use crate::op::fd::descriptor::on_fd;
use crate::op::transfer::{Goal, Transfer};
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

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
