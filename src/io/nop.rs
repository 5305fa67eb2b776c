//! `nop`: the empty operation.
#![forbid(unsafe_code)]

use std::io;

use crate::driver::operation::submission::Submission;
use crate::op;

/// A round trip to the kernel that does nothing: `IORING_OP_NOP` on the proactor, getppid(2) on the selector.
///
/// It measures the overhead that a runtime adds to an operation.
///
/// # Errors
/// None from a working kernel.
///
/// # Panics
/// When polled outside a runtime.
///
/// # Examples
/// ```
/// proactor::run(async { proactor::io::nop().await }).unwrap();
/// ```
pub fn nop() -> Nop {
    Nop(Submission::new(op::catalogue::nop::Nop))
}

io_future! {
    /// The future of [`nop`].
    Nop<> = Submission<op::catalogue::nop::Nop> => io::Result<()>
}
