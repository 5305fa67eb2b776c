//! Closing a descriptor with a result: close(2).
//!
//! The drop of an object closes its descriptor as well, at once, but ignores errors.

use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};

use io_uring::{opcode, types};

use crate::op::completion::Completion;
use crate::op::fd::descriptor::{Opened, stop_lingering};
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;
use crate::task::threads::pool::Lane;

/// Closes a descriptor. `LINGERS`: the close waits for the peer, so a thread of the pool makes the call, in a lane of its own.
/// (A ring would make it on the thread of the loop.)
#[derive(Debug)]
pub(crate) struct Close<const LINGERS: bool> {
    fd: Opened,
}

impl<const LINGERS: bool> Close<LINGERS> {
    pub(crate) fn new(fd: Opened) -> Self {
        Close { fd }
    }
}

/// An opcode that no ring has.
const NO_OPCODE: u8 = u8::MAX;

impl<const LINGERS: bool> Op for Close<LINGERS> {
    type Output = io::Result<()>;
    const NAME: &'static str = "close";
    const OPCODE: u8 = if LINGERS { NO_OPCODE } else { opcode::Close::CODE };
    const LANE: Lane = Lane::Close;

    fn bound_to(&self) -> Option<*const ()> {
        match &self.fd {
            Opened::Raw(_) => None,
            Opened::Direct(fd) => Some(fd.host()),
        }
    }

    fn entry(&mut self) -> Entry {
        match &self.fd {
            Opened::Raw(fd) => opcode::Close::new(types::Fd(fd.as_raw_fd())).build(),
            Opened::Direct(fd) => opcode::Close::new(types::Fixed(fd.index())).build(),
        }
    }

    fn readiness(&self) -> Readiness<'_> {
        if LINGERS { Readiness::OnPool } else { Readiness::Immediate }
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
        // Linux frees the number also if close(2) fails, unless the operation never ran.
        match self.fd {
            Opened::Raw(fd) if completion == Completion::CANCELED => {
                if LINGERS {
                    stop_lingering(fd.as_fd());
                }
            }
            Opened::Direct(_) if completion == Completion::CANCELED => {}
            Opened::Raw(fd) => drop(fd.into_raw_fd()),
            Opened::Direct(fd) => fd.closed(),
        }
        result
    }
}
