//! The future of an open.
//!
//! open(2) of a FIFO waits until its other side is opened. The kernel has no event that could be waited for instead: it
//! reports bytes to a reader, but no writer, and gives a writer no descriptor before there is a reader. A thread that
//! waits in open(2) can't be stopped. So an open that has to wait is tried again after a pause, which grows to
//! [`LONGEST`]:
//! - for reading, the FIFO is opened without waiting, which lets writers in, and checked until there is one;
//! - for writing, the open fails with ENXIO while there is no reader, and is repeated.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use super::{File, Metadata};
use crate::driver::operation::submission::Submission;
use crate::driver::{Driver, current};
use crate::op::catalogue::fs::metadata::{StatTarget, Statx};
use crate::op::catalogue::fs::open::{Open, OpenOnPool};
use crate::op::catalogue::fs::read_write::ReadAt;
use crate::op::fd::descriptor::Opened;
use crate::op::fd::open_file::{Access, Traits};
use crate::sys::context::expect_runtime;
use crate::sys::file::{FileKind, has_had_writer, set_status_flags, status_flags};
use crate::sys::guarded::contain;
use crate::time::{Sleep, sleep};

/// The first pause before a FIFO is checked again.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_millis(32);

pub(crate) struct Opening {
    flags: i32,
    mode: libc::mode_t,
    /// Whether the file gets a direct descriptor.
    direct: bool,
    pause: Duration,
    state: State,
    /// Whether cancellation was requested: no new step is begun then.
    cancelled: bool,
    /// The waker of the polling task, during a pause.
    waker: Option<Waker>,
}

enum State {
    New(CString),
    /// The options are invalid.
    Failed(io::Error),
    Open(Submission<Open>),
    /// The file is being opened by a call on the pool, which may wait: another process has a lease on the file.
    OpeningOnPool(Submission<OpenOnPool>),
    /// There may be a FIFO without a reader at the path.
    Statx(CString, Box<Submission<Statx>>),
    /// The pause before the next attempt.
    Pausing(CString, Sleep),
    /// A FIFO is open for reading, and has no writer.
    NoWriter(OwnedFd, Sleep),
    Done,
}

impl Opening {
    pub(super) fn new(prepared: io::Result<(i32, CString)>, mode: libc::mode_t, direct: bool) -> Self {
        let (flags, state) = match prepared {
            Ok((flags, path)) => (flags, State::New(path)),
            Err(error) => (0, State::Failed(error)),
        };
        Opening { flags, mode, direct, pause: SHORTEST, state, cancelled: false, waker: None }
    }

    pub(super) fn request_cancel(&mut self) {
        self.cancelled = true;
        match &mut self.state {
            State::Open(step) => step.request_cancel(),
            State::OpeningOnPool(step) => step.request_cancel(),
            State::Statx(_, step) => step.request_cancel(),
            State::Failed(_) | State::Done => {}
            State::New(_) | State::Pausing(..) | State::NoWriter(..) => {
                self.state = State::Failed(cancelled());
                if let Some(waker) = self.waker.take() {
                    contain(|| waker.wake());
                }
            }
        }
    }

    fn driver(&self) -> Rc<Driver> {
        expect_runtime(current(), "File::open")
    }

    /// Makes a pause, longer than the previous one.
    fn pause(&mut self) -> Sleep {
        let pause = sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST);
        pause
    }

    fn ask(&self, path: CString) -> io::Result<State> {
        let driver = self.driver();
        let open = Open::new(path, self.flags, self.mode);
        let slot =
            if self.direct && driver.carries_out::<Open>() { driver.reserve_file_slot()? } else { None };
        Ok(State::Open(Submission::new(match slot {
            Some(slot) => open.into(slot),
            None => open,
        })))
    }

    /// Returns the step that follows from the answer of an open.
    fn answered(&mut self, answer: io::Result<Opened>, path: CString, on_pool: bool) -> io::Result<Step> {
        let may_wait = Open::may_wait(self.flags);
        let access = self.flags & libc::O_ACCMODE;
        let fd = match answer {
            Ok(Opened::Raw(fd)) => fd,
            Ok(direct) => {
                return Ok(Step::File(File::from_opened(
                    direct,
                    self.traits(Access::Positions),
                    "File::open",
                )));
            }
            Err(error) if !may_wait => return Err(error),
            Err(error) => {
                return match error.raw_os_error() {
                    Some(libc::ENXIO) if access == libc::O_WRONLY => {
                        let look = Statx::new(StatTarget::Path(path.clone()));
                        Ok(Step::Next(State::Statx(path, Box::new(Submission::new(look)))))
                    }
                    Some(libc::EAGAIN) if !on_pool => {
                        let open = OpenOnPool(Open::new(path, self.flags, self.mode));
                        Ok(Step::Next(State::OpeningOnPool(Submission::new(open))))
                    }
                    _ => Err(error),
                };
            }
        };
        let kind = FileKind::of(fd.as_fd());
        if may_wait && access == libc::O_RDONLY && kind == FileKind::Fifo && !has_had_writer(fd.as_fd()) {
            return Ok(Step::Next(State::NoWriter(fd, self.pause())));
        }
        self.opened(fd, kind, on_pool).map(Step::File)
    }

    fn traits(&self, access: Access) -> Traits {
        Traits { access, appends: self.flags & libc::O_APPEND != 0 }
    }

    /// Clears O_NONBLOCK if it was only for the open, and sets it if the selector needs it.
    fn opened(&self, fd: OwnedFd, kind: FileKind, on_pool: bool) -> io::Result<File> {
        /// The flags that F_SETFL sets.
        const STATUS: i32 =
            libc::O_APPEND | libc::O_ASYNC | libc::O_DIRECT | libc::O_NOATIME | libc::O_NONBLOCK;
        let driver = self.driver();
        let access = match kind {
            FileKind::Positioned => Access::Positions,
            _ if self.flags & libc::O_NONBLOCK != 0 => Access::NonblockingStream,
            _ if driver.carries_out::<ReadAt<Vec<u8>>>() => Access::BlockingStream,
            _ => Access::Stream,
        };
        let by_ring = !on_pool && driver.carries_out::<Open>() && Open::may_wait(self.flags);
        let by_pool = access.is_stream() && self.flags & libc::O_NONBLOCK == 0;
        if by_ring || by_pool {
            let nonblocking = if access == Access::Stream { libc::O_NONBLOCK } else { 0 };
            set_status_flags(fd.as_fd(), self.flags & STATUS | nonblocking)?;
        }
        let opened = if self.direct { driver.make_direct(fd)? } else { fd.into() };
        Ok(File::from_opened(opened, self.traits(access), "File::open"))
    }
}

fn cancelled() -> io::Error {
    io::Error::from_raw_os_error(libc::ECANCELED)
}

/// The next state of an open, or its file.
enum Step {
    Next(State),
    File(File),
}

impl Future for Opening {
    type Output = io::Result<File>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            // Poll the operation or the pause of this state.
            let (mut answer, mut found) = (None, None);
            match &mut this.state {
                State::Open(step) => answer = Some((ready!(Pin::new(step).poll(cx)), false)),
                State::OpeningOnPool(step) => answer = Some((ready!(Pin::new(step).poll(cx)), true)),
                State::Statx(_, step) => found = Some(ready!(Pin::new(&mut **step).poll(cx))),
                State::Pausing(_, pause) | State::NoWriter(_, pause) => {
                    if Pin::new(pause).poll(cx).is_pending() {
                        this.waker = Some(cx.waker().clone()); // a cancel ends the pause
                        return Poll::Pending;
                    }
                }
                State::New(_) | State::Failed(_) | State::Done => {}
            }
            let step = match std::mem::replace(&mut this.state, State::Done) {
                State::New(path) | State::Pausing(path, _) => Step::Next(this.ask(path)?),
                State::Failed(error) => return Poll::Ready(Err(error)),
                State::Open(_) | State::OpeningOnPool(_) => {
                    let ((answer, path), on_pool) = answer.expect("it was polled above");
                    this.answered(answer, path, on_pool)?
                }
                State::Statx(path, _) => match found.expect("it was polled above").map(Metadata::new) {
                    Ok(metadata) if metadata.is_fifo() => Step::Next(State::Pausing(path, this.pause())),
                    Ok(_) => return Poll::Ready(Err(io::Error::from_raw_os_error(libc::ENXIO))),
                    Err(error) => return Poll::Ready(Err(error)),
                },
                State::NoWriter(fd, _) if has_had_writer(fd.as_fd()) => {
                    Step::File(this.opened(fd, FileKind::Fifo, false)?)
                }
                State::NoWriter(fd, _) => Step::Next(State::NoWriter(fd, this.pause())),
                State::Done => panic!("an Open was polled after its result"),
            };
            match step {
                Step::Next(_) if this.cancelled => return Poll::Ready(Err(cancelled())),
                Step::Next(state) => this.state = state,
                Step::File(file) => return Poll::Ready(Ok(file)),
            }
        }
    }
}

/// Returns the traits of a file that was opened elsewhere. Its description may be shared, and is left as it is.
pub(super) fn traits_of(fd: &impl AsFd) -> Traits {
    let flags = status_flags(fd.as_fd()).unwrap_or_default();
    let access = match FileKind::of(fd.as_fd()) {
        FileKind::Positioned => Access::Positions,
        FileKind::Fifo | FileKind::Stream if flags & libc::O_NONBLOCK != 0 => Access::NonblockingStream,
        FileKind::Fifo | FileKind::Stream => Access::BlockingStream,
    };
    Traits { access, appends: flags & libc::O_APPEND != 0 }
}
