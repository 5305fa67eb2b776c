//! Closing a descriptor and hearing of the error: close(2).
//!
//! Dropping an object closes its descriptor as well, at once, but tells nobody what became of it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::{opcode, types};

use super::{Completion, Entry, Op, Wait};
use crate::sys::call::Call;

#[derive(Debug)]
pub(crate) struct Close {
    fd: Option<OwnedFd>,
}

impl Close {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Close { fd: Some(fd) }
    }

    fn number(&self) -> i32 {
        self.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }
}

impl Op for Close {
    type Output = io::Result<()>;
    const NAME: &'static str = "close";
    const OPCODE: u8 = opcode::Close::CODE;

    fn entry(&mut self) -> Entry {
        opcode::Close::new(types::Fd(self.number())).build()
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Now
    }

    fn call(&mut self) -> Call {
        // SAFETY: close(2) takes no pointer, and the descriptor is this operation's own.
        unsafe { Call::new(libc::SYS_close, [self.number() as usize]) }.once()
    }

    fn complete(mut self, completion: Completion) -> Self::Output {
        // An interrupted close has closed.
        let result = match completion.result {
            interrupted if interrupted == -libc::EINTR => Ok(()),
            _ => completion.unit(),
        };
        // Linux frees the number whatever it answers, unless the operation never ran.
        if completion != Completion::CANCELED
            && let Some(fd) = self.fd.take()
        {
            super::fd::release(fd);
        }
        result
    }
}
