//! Resources that stay registered with the ring: direct descriptors and registered buffers, each in a table.
//!
//! Both tables are registered when the ring is made, so a report is correct from the beginning. If the kernel has no such
//! tables or refuses them, ordinary descriptors and buffers are used.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use super::table::{Filler, Full};
use crate::buf::{IoBuf, RegisteredBuf, Registrar};
use crate::driver::Driver;
use crate::driver::feature::Feature;
use crate::driver::operation::dispatch::errno_of;
use crate::driver::poll_mode::BackendInfo;
use crate::op::fd::descriptor::Opened;
use crate::op::fd::host::FixedFileSlot;

/// The largest number of registered buffers.
pub(in crate::driver) const REGISTERED_BUFFERS: u32 = 1_024;

impl Driver {
    /// Registers the tables that this kernel has and the configuration does not mask.
    pub(in crate::driver) fn register_tables(&self) {
        self.with_ring(|ring| {
            if self.features.has(Feature::DirectDescriptors) {
                self.descriptors.register(|places| ring.kernel.register_table(places));
            }
            if self.features.has(Feature::RegisteredBuffers) {
                self.registered.register(|places| ring.kernel.register_buffer_table(places));
            }
        });
    }

    /// Reserves a slot for a direct descriptor. Returns `None` if there is no table: then an ordinary descriptor is used.
    ///
    /// # Errors
    /// When the table is full.
    pub(crate) fn reserve_file_slot(&self) -> io::Result<Option<FixedFileSlot>> {
        self.reserve_file_slot_for(Filler::Entry)
    }

    fn reserve_file_slot_for(&self, by: Filler) -> io::Result<Option<FixedFileSlot>> {
        match self.descriptors.take(by) {
            Ok(place) => Ok(place.map(|index| FixedFileSlot::new(index, self.me.clone()))),
            Err(Full { places }) => Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!(
                    "the ring's table of {places} direct descriptors is full: close some, use some ordinary ones, \
                     or raise Config::direct_descriptors"
                ),
            )),
        }
    }

    /// Converts a descriptor into a direct one of the same file. Returns the descriptor itself if there is no table.
    ///
    /// # Errors
    /// When the table is full, and those of io_uring_register(2).
    pub(crate) fn make_direct(&self, fd: OwnedFd) -> io::Result<Opened> {
        if self.descriptors.waits() {
            self.flush(); // hands over the entries that empty places
        }
        let Some(slot) = self.reserve_file_slot_for(Filler::Call)? else { return Ok(fd.into()) };
        let place = slot.index();
        match self.with_ring(|ring| ring.kernel.update_file(place, fd.as_fd())) {
            Some(updated) => updated.map(|()| Opened::Direct(slot.filled())),
            None => Ok(fd.into()), // this process is a fork, and has just found out
        }
    }

    /// Gives a slot for a direct descriptor back. If it is `filled`, the descriptor is closed first.
    pub(in crate::driver) fn give_back_file_slot(&self, index: u32, filled: bool) {
        if filled {
            self.with_ring(|ring| ring.close_direct(index, &self.stats));
        }
        // This holds for an empty slot too: the entry that has emptied it before may still be queued.
        self.descriptors.leave(index);
        if filled {
            self.release_outside(None);
        }
        self.descriptor_limit.descriptor_freed();
    }

    /// Frees slots for calls after a poll, if the kernel has taken the entries that empty them.
    #[inline]
    pub(in crate::driver) fn reclaim_file_slots(&self) {
        if self.descriptors.waits() && self.with_ring(|ring| ring.is_all_taken()) == Some(true) {
            self.descriptors.all_taken();
        }
    }

    /// Returns the number of slots of direct descriptors in use.
    pub(crate) fn direct_descriptors(&self) -> usize {
        self.descriptors.taken()
    }

    /// Registers a buffer with the ring.
    ///
    /// # Errors
    /// The cause and the remedy.
    pub(crate) fn register_buffer(&self, buffer: &mut RegisteredBuf) -> io::Result<()> {
        let len = buffer.init_len();
        let fail = |kind, message: String| Err(io::Error::new(kind, message));
        if len == 0 {
            return fail(io::ErrorKind::InvalidInput, "an empty buffer can't be registered".into());
        }
        let place = match self.registered.take(Filler::Call) {
            Ok(Some(place)) => place,
            Ok(None) => {
                return fail(
                    io::ErrorKind::Unsupported,
                    "this runtime has no registered buffers: see its report for the cause \
                     (with Config::require(Feature::RegisteredBuffers) such a runtime is not made at all)"
                        .into(),
                );
            }
            Err(Full { places }) => {
                let message =
                    format!("all {places} places for registered buffers are taken: drop some first");
                return fail(io::ErrorKind::QuotaExceeded, message);
            }
        };
        let memory = NonNull::new(buffer.read_ptr().cast_mut()).map(|memory| (memory, len));
        // SAFETY: the place is emptied before the buffer's memory is freed.
        let update = self.with_ring(|ring| unsafe { ring.kernel.update_buffer(place, memory) });
        match update {
            Some(Ok(())) => {
                buffer.registered(place as u16, self.me.clone()); // there are 1,024 places
                Ok(())
            }
            refused => {
                self.registered.give_back(place);
                let error = refused.and_then(Result::err).map_or(libc::ECANCELED, |error| errno_of(&error));
                let error = io::Error::from_raw_os_error(error);
                fail(
                    error.kind(),
                    format!(
                        "the kernel refused to register a buffer of {len} bytes ({error}): on ENOMEM raise \
                         RLIMIT_MEMLOCK, or register fewer bytes"
                    ),
                )
            }
        }
    }

    /// Adds the refused tables to the description of the backend.
    pub(in crate::driver) fn say_refused(&self, info: &mut BackendInfo) {
        for (feature, table) in
            [(Feature::DirectDescriptors, &self.descriptors), (Feature::RegisteredBuffers, &self.registered)]
        {
            if let Some(errno) = table.refused() {
                info.features = info.features.without(feature);
                info.refused.push((feature, errno));
            }
        }
    }
}

impl Registrar for Driver {
    fn is_current(&self) -> bool {
        crate::driver::with(|driver| driver.is_some_and(|driver| std::ptr::eq(driver, self)))
    }

    fn unregister(&self, place: u16) {
        let place = u32::from(place);
        // SAFETY: this takes memory out.
        let emptied = self.with_ring(|ring| unsafe { ring.kernel.update_buffer(place, None) });
        // A slot that could not be emptied is not used again.
        if emptied.is_none_or(|emptied| emptied.is_ok()) {
            self.registered.give_back(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::{Rc, Weak};

    use super::*;
    use crate::op::catalogue::fs::read_write::{ReadFrom, WriteTo};
    use crate::op::catalogue::net::send::Sender;
    use crate::op::fd::descriptor::{Descriptor, ZeroCopy};
    use crate::op::fd::open_file::{FileRef, OpenFile, Traits};
    use crate::op::object::endpoint_ref::EndpointRef;
    use crate::op::transfer::Transfer;
    use crate::op::{Entry, Op};

    /// A registrar of buffers that is current or not, as the test wants.
    struct Ring {
        current: bool,
    }

    impl Registrar for Ring {
        fn is_current(&self) -> bool {
            self.current
        }

        fn unregister(&self, _: u16) {}
    }

    /// A descriptor of no runtime.
    fn descriptor() -> Descriptor {
        let (one, _) = std::os::unix::net::UnixStream::pair().unwrap();
        Descriptor::new(std::os::fd::OwnedFd::from(one).into(), Weak::<Driver>::new(), ZeroCopy::ON_REQUEST)
    }

    fn opcode(entry: Entry) -> u8 {
        // SAFETY: an entry begins with its opcode: see io_uring_enter(2).
        unsafe { (&raw const entry).cast::<u8>().read() }
    }

    /// The opcodes of read, write and send without a copy.
    fn opcodes(buf: impl Fn() -> RegisteredBuf, of: fn(RegisteredBuf) -> Slice) -> [u8; 2] {
        let file = OpenFile::new(descriptor(), Traits::default());
        let read = ReadFrom { file: FileRef::new(&file), offset: 0 };
        let write = WriteTo { file: FileRef::new(&file), offset: 0 };
        [opcode(read.step(of(buf()), 0).entry()), opcode(write.step(of(buf()), 0).entry())]
    }

    type Slice = crate::buf::Slice<RegisteredBuf>;

    #[test]
    fn operations_on_a_registered_buffer_name_its_place() {
        use io_uring::opcode::{Read, ReadFixed, Write, WriteFixed};
        let (here, elsewhere) = (Rc::new(Ring { current: true }), Rc::new(Ring { current: false }));
        let registered_with = |ring: &Rc<Ring>| {
            let mut buf = RegisteredBuf::unregistered(64);
            let ring: Rc<dyn Registrar> = ring.clone();
            buf.registered(3, Rc::downgrade(&ring));
            buf
        };
        let registered = || registered_with(&here);
        assert_eq!(opcodes(registered, |buf| buf.slice(..)), [ReadFixed::CODE, WriteFixed::CODE]);
        assert_eq!(opcodes(registered, |buf| buf.slice(8..16)), [ReadFixed::CODE, WriteFixed::CODE]);
        // Nowhere, with another ring than that which carries the operation out, or with one that has gone.
        let other = || registered_with(&elsewhere);
        assert_eq!(opcodes(other, |buf| buf.slice(..)), [Read::CODE, Write::CODE]);
        let gone = || registered_with(&Rc::new(Ring { current: true }));
        assert_eq!(opcodes(gone, |buf| buf.slice(..)), [Read::CODE, Write::CODE]);
        let plain = || RegisteredBuf::unregistered(64);
        assert_eq!(opcodes(plain, |buf| buf.slice(..)), [Read::CODE, Write::CODE]);
        // A send says so in its flags.
        let flags = |buf: RegisteredBuf| {
            let entry = Sender::without_copy(&EndpointRef::new(descriptor())).step(buf, 0).entry();
            // SAFETY: the opcode's own flags are the third and fourth byte.
            unsafe { (&raw const entry).cast::<u16>().add(1).read() }
        };
        const FIXED_BUF: u16 = 1 << 2; // IORING_RECVSEND_FIXED_BUF
        assert_eq!((flags(registered()) & FIXED_BUF, flags(plain()) & FIXED_BUF), (FIXED_BUF, 0));
    }
}
