//! The empty operation: a round trip to the kernel. It proves that a ring works, and measures the overhead of an operation.

use std::io;

use io_uring::opcode;

use crate::op::completion::Completion;
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

#[derive(Debug)]
pub(crate) struct Nop;

impl Op for Nop {
    type Output = io::Result<()>;
    const NAME: &'static str = "nop";
    const OPCODE: u8 = opcode::Nop::CODE;

    fn entry(&mut self) -> Entry {
        opcode::Nop::new().build()
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Immediate
    }

    fn call(&mut self) -> Call {
        // The cheapest system call there is: enter the kernel, do nothing, leave.
        // SAFETY: getppid(2) takes no argument.
        unsafe { Call::new(libc::SYS_getppid, []) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
