//! One system call as plain data: its number and up to six arguments.
//!
//! An operation describes itself twice, as a submission queue entry for io_uring and as a [`Call`] for
//! everything else. Being plain data, a call can be made at once, after epoll has reported readiness, or
//! on a thread of the blocking pool, which so gets a descriptor, a pointer and a length, and never the
//! operation or its buffer.
//!
//! It does not know the meaning of its arguments: the code that builds a call vouches for its pointers.

use std::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use libc::{c_int, c_long};

use super::set_nonblock;

/// A system call, ready to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    number: c_long,
    arguments: [usize; 6],
    /// Whether the call may be made again when a signal has interrupted it.
    repeatable: bool,
    /// Whether the answer is a descriptor, which then belongs to the code that made the call.
    opens: bool,
    /// Events of poll(2), of which one must be there: otherwise the call is not made. Zero asks for none.
    needs: i16,
    /// Whether O_NONBLOCK is set first on its descriptor, where it is not.
    sets_nonblock: bool,
    /// It is openat(2), and is made with O_NONBLOCK if it finds a FIFO.
    looks_for_fifo: bool,
    how: How,
}

/// The way in which a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    AsItIs,
    /// read(2) or write(2), as preadv2(2) or pwritev2(2) with RWF_NOWAIT.
    NoWait,
    /// Again and again until it answers something else than EAGAIN; in between poll(2) waits for these events.
    Waiting(i16),
}

// SAFETY: a call is only data. Making it elsewhere is sound if the memory that its pointers refer to stays alive and
// untouched until it has answered: for operations the slot ensures that, until the pool's job has reported back.
unsafe impl Send for Call {}

impl Call {
    /// System call `number` with `arguments`; those that the call does not take are zero.
    ///
    /// # Safety
    /// Every pointer among the arguments is valid for what the call does with it, from now until it has
    /// been made or discarded.
    pub(crate) unsafe fn new<const N: usize>(number: c_long, arguments: [usize; N]) -> Self {
        const { assert!(N <= 6, "a system call takes six arguments at most") };
        let mut all = [0; 6];
        all[..N].copy_from_slice(&arguments);
        Call {
            number,
            arguments: all,
            repeatable: true,
            opens: false,
            needs: 0,
            sets_nonblock: false,
            looks_for_fifo: false,
            how: How::AsItIs,
        }
    }

    /// The same call, made only if poll(2) reports one of these events for the descriptor in its first argument. Else it
    /// answers EAGAIN. For calls that no flag keeps from waiting on a blocking descriptor.
    pub(crate) fn if_ready(self, events: i16) -> Self {
        Call { needs: events, ..self }
    }

    /// The same call, made when O_NONBLOCK is set for the descriptor in its first argument; where it is not, it is set
    /// first. For accept4(2): no flag keeps that from waiting, and what poll(2) reports may be gone by then.
    pub(crate) fn nonblocking(self) -> Self {
        Call { sets_nonblock: true, ..self }
    }

    /// The same read(2) or write(2), which answers EAGAIN in the place of waiting, whatever the flags of the open file
    /// description are; and EOPNOTSUPP where the kernel can't do so for the file.
    pub(crate) fn without_waiting(self) -> Self {
        debug_assert!([libc::SYS_read, libc::SYS_write].contains(&self.number));
        Call { how: How::NoWait, ..self }
    }

    /// The same call, which waits for one of these events of poll(2) in the place of answering EAGAIN. For other threads
    /// than the loop's.
    pub(crate) fn waiting(self, events: i16) -> Self {
        Call { how: How::Waiting(events), ..self }
    }

    /// Whether its descriptor has one of these events of poll(2), within so many milliseconds; -1 waits for ever.
    fn is_ready(self, events: i16, timeout: c_int) -> bool {
        let mut pollfd = libc::pollfd { fd: self.arguments[0] as c_int, events, revents: 0 };
        // SAFETY: the one structure lives until the call has returned.
        unsafe { libc::poll(&raw mut pollfd, 1, timeout) > 0 }
    }

    /// The answer of the system call.
    fn ask(self) -> c_long {
        let [a, b, mut c, d, e, f] = self.arguments;
        if self.looks_for_fifo && self.finds_fifo() {
            c |= libc::O_NONBLOCK as usize;
        }
        if self.how != How::NoWait {
            // SAFETY: `new`'s caller vouched for the arguments.
            return unsafe { libc::syscall(self.number, a, b, c, d, e, f) };
        }
        let number = if self.number == libc::SYS_read { libc::SYS_preadv2 } else { libc::SYS_pwritev2 };
        let iovec = libc::iovec { iov_base: std::ptr::with_exposed_provenance_mut(b), iov_len: c };
        let (here, flags) = (usize::MAX, libc::RWF_NOWAIT);
        // SAFETY: `new`'s caller vouched for the memory, which the vector describes. It lives until the call has returned.
        unsafe { libc::syscall(number, a, &raw const iovec, 1usize, here, 0usize, flags) }
    }

    /// openat(2), relative to the working directory.
    ///
    /// # Safety
    /// The path is valid from now until the call has been made or discarded.
    pub(crate) unsafe fn open(path: &CStr, flags: c_int, mode: libc::mode_t) -> Self {
        let arguments = [libc::AT_FDCWD as usize, path.as_ptr() as usize, flags as usize, mode as usize];
        // SAFETY: the one pointer is the path, for which the caller vouches.
        unsafe { Call::new(libc::SYS_openat, arguments) }.opening()
    }

    /// An [`open`](Self::open) that does not wait for the other side of a FIFO: that is opened with O_NONBLOCK.
    pub(crate) fn without_waiting_for_fifos(self) -> Self {
        debug_assert_eq!(self.number, libc::SYS_openat);
        Call { looks_for_fifo: true, ..self }
    }

    /// Whether an openat(2) finds a FIFO at its path.
    fn finds_fifo(&self) -> bool {
        let path = self.arguments[1] as *const libc::c_char;
        // SAFETY: `open`'s caller vouched for the path; the answer lives until the call has returned, and is plain numbers.
        unsafe {
            let mut answer: libc::stat = std::mem::zeroed();
            libc::fstatat(libc::AT_FDCWD, path, &raw mut answer, 0) == 0
                && answer.st_mode & libc::S_IFMT == libc::S_IFIFO
        }
    }

    /// Returns the number and the arguments.
    #[cfg(proactor_asan)]
    pub(crate) fn parts(self) -> (c_long, [usize; 6]) {
        (self.number, self.arguments)
    }

    /// Makes the call; a failure is the negated `errno`, as in a completion of io_uring.
    pub(crate) fn run(self) -> i32 {
        if self.needs != 0 && !self.is_ready(self.needs, 0) {
            return -libc::EAGAIN;
        }
        if self.sets_nonblock
            && let Err(error) = set_nonblock(self.arguments[0] as RawFd)
        {
            return -error.raw_os_error().unwrap_or(libc::EIO);
        }
        let answer = self.ask();
        if answer < 0 {
            -errno()
        } else {
            // The calls made here answer with a descriptor or with a count that the kernel caps at 2 GiB.
            answer as i32
        }
    }

    /// Keeps the call from being repeated when a signal has interrupted it: close(2) frees the number all the same.
    pub(crate) fn once(self) -> Self {
        Call { repeatable: false, ..self }
    }

    /// Notes that the call answers with a new descriptor.
    pub(crate) fn opening(self) -> Self {
        Call { opens: true, ..self }
    }

    /// Closes the descriptor that the call has answered with, if any: no caller is left to take it.
    pub(crate) fn discard(self, result: i32) {
        if self.opens && result >= 0 {
            // SAFETY: the call has just made the descriptor, and no other code knows its number.
            drop(unsafe { OwnedFd::from_raw_fd(result) });
        }
    }

    /// Makes the call, and repeats it while signals interrupt it.
    pub(crate) fn run_through_signals(self) -> i32 {
        loop {
            let result = self.run();
            match self.how {
                How::Waiting(events) if result == -libc::EAGAIN => drop(self.is_ready(events, -1)),
                _ if result != -libc::EINTR || !self.repeatable => return result,
                _ => {}
            }
        }
    }
}

/// The calling thread's `errno`.
pub(crate) fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}
