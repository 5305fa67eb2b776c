//! Constants and structures of the kernel's interface that several operations use.

use super::completion::Direction;
use std::mem::MaybeUninit;

/// Returns a `msghdr` of zeros: no address, no buffers, no control data.
pub(super) fn empty_header() -> libc::msghdr {
    // SAFETY: a C structure of integers and pointers, for which zero and null are what "none" means.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Returns the poll events of a direction. Errors and the end of the peer are always reported, out-of-band data is not.
pub(super) fn events(direction: Direction) -> i16 {
    match direction {
        Direction::Read => libc::POLLIN | libc::POLLRDHUP,
        Direction::Write => libc::POLLOUT,
    }
}

/// The offset of a read or write of a descriptor without positions, such as a pipe.
pub(super) const NO_POSITION: u64 = u64::MAX;
