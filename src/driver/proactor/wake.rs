//! The loop's own read of its event descriptor, which is in flight while the loop may sleep in the kernel.
//!
//! It is a read and not a poll: its completion has emptied the counter, so a wake-up costs the loop no further system call.
//! Only the proactor submits it; the selector watches the descriptor.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use io_uring::{opcode, types};

use crate::op::completion::Completion;
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;
use crate::task::threads::inbox::Shared;

#[derive(Debug)]
pub(crate) struct WakeRead {
    shared: Arc<Shared>,
    count: [u8; 8],
}

impl WakeRead {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        WakeRead { shared, count: [0; 8] }
    }
}

impl Op for WakeRead {
    type Output = ();
    const NAME: &'static str = "wake";
    const OPCODE: u8 = opcode::Read::CODE;

    fn entry(&mut self) -> Entry {
        let fd = types::Fd(self.shared.eventfd.as_raw_fd());
        opcode::Read::new(fd, self.count.as_mut_ptr(), self.count.len() as u32).build()
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Immediate
    }

    fn call(&mut self) -> Call {
        let (fd, pointer) = (self.shared.eventfd.as_raw_fd(), self.count.as_mut_ptr());
        // SAFETY: the bytes are part of this operation.
        unsafe { Call::new(libc::SYS_read, [fd as usize, pointer as usize, self.count.len()]) }
    }

    fn complete(self, _: Completion) {}
}
