//! The host of descriptors, which is their runtime, and the slots of its table of direct descriptors.

use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::os::fd::RawFd;
use std::rc::{Rc, Weak};
use std::{fmt, io};

use io_uring::types::DestinationSlot;

use crate::op::object::source::{Buffers, MultishotKind};

/// The runtime of a descriptor, as the descriptor sees it.
pub(crate) trait Host {
    /// Removes the registration of a descriptor that is about to be closed or given away.
    fn deregister(&self, token: u64, fd: RawFd);

    /// Notes that a descriptor has been closed.
    fn descriptor_closed(&self);

    /// Returns true in the process in which the runtime was made, and false in a fork of it.
    fn is_here(&self) -> bool;

    /// Reserves a slot for a direct descriptor. Returns `None` if there is no table: then an ordinary descriptor is used.
    fn reserve_file_slot(&self) -> io::Result<Option<FixedFileSlot>>;

    /// Gives a slot of the ring's file table back. If it is `filled`, the direct descriptor in it is closed first.
    fn free_file_slot(&self, index: u32, filled: bool);

    /// Stops a multishot operation.
    fn stop_multishot(&self, token: NonZeroU64);

    /// Returns the memory for received data.
    fn buffers(&self, what: MultishotKind) -> Rc<dyn Buffers>;
}

/// A reserved slot in the ring's file table. A drop gives the slot back.
pub(crate) struct FixedFileSlot(TableSlot);

/// A direct descriptor. A drop closes it.
pub(crate) struct DirectFd(TableSlot);

struct TableSlot {
    index: u32,
    host: Weak<dyn Host>,
}

impl TableSlot {
    fn free_file_slot(&self, filled: bool) {
        // Without its runtime the whole table is gone.
        if let Some(host) = self.host.upgrade() {
            host.free_file_slot(self.index, filled);
        }
    }
}

impl FixedFileSlot {
    pub(crate) fn new(index: u32, host: Weak<dyn Host>) -> Self {
        FixedFileSlot(TableSlot { index, host })
    }

    /// Returns the slot as the destination of an entry that opens a file.
    pub(crate) fn destination(&self) -> DestinationSlot {
        DestinationSlot::try_from_slot_target(self.0.index)
            .expect("a table is smaller than 32 bits can count")
    }

    pub(crate) fn index(&self) -> u32 {
        self.0.index
    }

    /// Converts the slot into the direct descriptor that the kernel has put there.
    pub(crate) fn filled(self) -> DirectFd {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped and not used again.
        DirectFd(unsafe { std::ptr::read(&raw const this.0) })
    }
}

impl Drop for FixedFileSlot {
    fn drop(&mut self) {
        self.0.free_file_slot(false);
    }
}

impl DirectFd {
    pub(super) fn from_parts(index: u32, host: Weak<dyn Host>) -> Self {
        DirectFd(TableSlot { index, host })
    }

    /// Takes the descriptor apart without closing it.
    pub(super) fn into_parts(self) -> (u32, Weak<dyn Host>) {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped and not used again.
        let TableSlot { index, host } = unsafe { std::ptr::read(&raw const this.0) };
        (index, host)
    }

    /// Returns the address of the runtime that has the table.
    pub(crate) fn host(&self) -> *const () {
        self.0.host.as_ptr().cast()
    }

    pub(crate) fn index(&self) -> u32 {
        self.0.index
    }

    /// Gives the slot back after the descriptor has been closed.
    pub(crate) fn closed(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped and not used again.
        drop(FixedFileSlot(unsafe { std::ptr::read(&raw const this.0) }));
    }
}

impl Drop for DirectFd {
    fn drop(&mut self) {
        self.0.free_file_slot(true);
    }
}

impl fmt::Debug for DirectFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.index().fmt(f)
    }
}

impl fmt::Debug for FixedFileSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.index.fmt(f)
    }
}
