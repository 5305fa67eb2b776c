//! The driver of the loop that runs on this thread.

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use super::Driver;
use super::selector::poller;
use crate::op::fd::descriptor::{Descriptor, Opened};
use crate::op::fd::host::Host;
use crate::sys::context::{self, Entered};
use crate::task::cell::layout::TaskRef;

thread_local! {
    static CURRENT: context::Context<Driver> = const { context::Context::new() };
}

impl Driver {
    pub(crate) fn enter(self: Rc<Self>) -> Entered<Driver> {
        context::enter(&CURRENT, self)
    }
}

/// Calls `f` with the driver of the loop that runs on this thread.
pub(crate) fn with<T>(f: impl FnOnce(Option<&Driver>) -> T) -> T {
    context::with(&CURRENT, f)
}

/// Returns the driver of the loop that runs on this thread.
pub(crate) fn current() -> Option<Rc<Driver>> {
    context::get(&CURRENT)
}

/// Returns the names of the operations that a task of this thread's loop has in flight.
pub(crate) fn operations_of(task: &TaskRef) -> Vec<&'static str> {
    current().map_or_else(Vec::new, |driver| driver.slots.names_of(task))
}

/// Wraps a descriptor for the runtime of this thread.
///
/// # Panics
/// Outside a runtime; `what` names the method in the message.
#[track_caller]
pub(crate) fn attach(fd: impl Into<Opened>, what: &str) -> Descriptor {
    let mut fd = Some(fd.into());
    let descriptor = with(|driver| driver.map(|driver| driver.attach(fd.take().expect("taken once"))));
    crate::sys::context::expect_runtime(descriptor, what)
}

/// Notes that a descriptor has been closed by other means than the drop of its owner.
pub(crate) fn descriptor_closed() {
    with(|driver| driver.map(Host::descriptor_closed));
}

/// Checks that a loop can wait for the descriptor. Returns `EPERM` for a file that is always ready, on which a poll of the
/// ring would end at once again and again.
pub(crate) fn check_waitable(fd: BorrowedFd<'_>) -> io::Result<()> {
    poller::set_of([fd]).map(drop)
}

/// Borrows the descriptor that a foreign loop polls.
pub(crate) fn borrow_fd(driver: &Driver) -> BorrowedFd<'_> {
    // SAFETY: the driver owns the descriptor and closes it only when the runtime is closed, which the borrow
    // of the driver by way of the runtime excludes.
    unsafe { BorrowedFd::borrow_raw(driver.foreign_fd()) }
}
