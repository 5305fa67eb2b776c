//! Closing a descriptor and hearing of the error: close(2).
//!
//! Dropping an object closes its descriptor as well, at once, but tells nobody what became of it.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};

use io_uring::{opcode, types};

use super::fd::Opened;
use super::{Completion, Entry, Op, Wait};
use crate::sys::call::Call;

#[derive(Debug)]
pub(crate) struct Close {
    fd: Opened,
}

impl Close {
    pub(crate) fn new(fd: Opened) -> Self {
        Close { fd }
    }
}

impl Op for Close {
    type Output = io::Result<()>;
    const NAME: &'static str = "close";
    const OPCODE: u8 = opcode::Close::CODE;

    fn bound_to(&self) -> Option<*const ()> {
        match &self.fd {
            Opened::Raw(_) => None,
            Opened::Direct(fd) => Some(fd.home()),
        }
    }

    fn entry(&mut self) -> Entry {
        match &self.fd {
            Opened::Raw(fd) => opcode::Close::new(types::Fd(fd.as_raw_fd())).build(),
            Opened::Direct(fd) => opcode::Close::new(types::Fixed(fd.index())).build(),
        }
    }

    fn wait(&self) -> Wait<'_> {
        Wait::Now
    }

    fn call(&mut self) -> Call {
        let Opened::Raw(fd) = &self.fd else { unreachable!("only a ring has direct descriptors") };
        // SAFETY: close(2) takes no pointer, and the descriptor is this operation's own.
        unsafe { Call::new(libc::SYS_close, [fd.as_raw_fd() as usize]) }.once()
    }

    fn complete(self, completion: Completion) -> Self::Output {
        // An interrupted close has closed.
        let result = match completion.result {
            interrupted if interrupted == -libc::EINTR => Ok(()),
            _ => completion.unit(),
        };
        // Linux frees the number whatever it answers, unless the operation never ran.
        if completion != Completion::CANCELED {
            match self.fd {
                Opened::Raw(fd) => drop(fd.into_raw_fd()),
                Opened::Direct(fd) => fd.closed(),
            }
        }
        result
    }
}
