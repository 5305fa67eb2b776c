//! Replacing a ring whose queues keep overflowing by a larger one (IORING_REGISTER_RESIZE_RINGS, Linux 6.13). Operations in
//! flight, registrations and the descriptor's file stay. The queues move with their entries, and are mapped again.
//!
//! The io-uring crate has no such call. It can map the queues of a descriptor with given parameters. So the ring gets a
//! second descriptor, from which the new queues are mapped, and the old one is closed with the old mapping. The crate omits
//! two things for such a mapping:
//!
//! - It does not fill the array of the submission queue. So only rings without one grow.
//! - It does not exclude the mapping from forks, and does not return its address. The address cannot be found otherwise,
//!   because other threads map and unmap meanwhile. So a fork inherits the mapping of a ring that has grown, as it inherits
//!   the descriptor, and releases both in `Uring::disown`.

use std::io;
use std::mem::transmute_copy;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};

use io_uring::{IoUring, Parameters};

use super::setup::MAX_ENTRIES;
use super::uring::Uring;

const REGISTER_RESIZE_RINGS: u32 = 33;
const SETUP_CQSIZE: u32 = 1 << 3;
const SETUP_CLAMP: u32 = 1 << 4;

/// `struct io_uring_params`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    rest: [u32; 7],
    sq_offsets: [u32; 10],
    cq_offsets: [u32; 10],
}

const _: () = assert!(size_of::<Params>() == size_of::<Parameters>());

/// The ratio of the sizes of the completion queue and the submission queue.
pub(in crate::driver) const COMPLETIONS: u32 = 4;

impl Uring {
    /// Checks whether the kernel knows the call for rings like this one, by its error for an invalid argument.
    pub(in crate::driver) fn can_resize(&self) -> bool {
        let nowhere = std::ptr::without_provenance_mut(1);
        // SAFETY: the kernel answers EFAULT, or EINVAL where it does not know the call.
        let answer = unsafe { self.resize(nowhere) };
        answer.is_err_and(|error| error.raw_os_error() == Some(libc::EFAULT))
    }

    /// Doubles the queues.
    pub(in crate::driver) fn double(&mut self) -> io::Result<()> {
        let entries = self.entries() * 2;
        if entries > MAX_ENTRIES {
            return Err(io::Error::from_raw_os_error(libc::EOVERFLOW));
        }
        // Everything that can fail is done before the call: the queues cannot be moved back.
        let twin = self.ring_fd().try_clone_to_owned()?;
        let room = Room::reserve(entries)?;
        let mut wanted = Params {
            sq_entries: entries,
            cq_entries: entries * COMPLETIONS,
            flags: SETUP_CQSIZE | SETUP_CLAMP,
            ..Params::default()
        };
        // SAFETY: the parameters live until the call has returned.
        unsafe { self.resize(&raw mut wanted) }?;
        // SAFETY: both are `struct io_uring_params`, plain numbers.
        let before: Params = unsafe { transmute_copy(self.ring.params()) };
        let (sq_entries, cq_entries) = (wanted.sq_entries, wanted.cq_entries);
        let (sq_offsets, cq_offsets) = (wanted.sq_offsets, wanted.cq_offsets);
        let now = Params { sq_entries, cq_entries, sq_offsets, cq_offsets, ..before };
        drop(room);
        // SAFETY: the descriptor is this ring's and nobody else's, the parameters those of its new queues.
        self.ring = unsafe { IoUring::from_fd(twin.into_raw_fd(), transmute_copy(&now)) }
            .expect("there was room for the queues of a ring that has grown a moment ago");
        self.inherited = true;
        Ok(())
    }

    /// # Safety
    /// The parameters are there until the call has returned, or nowhere.
    unsafe fn resize(&self, params: *mut Params) -> io::Result<()> {
        // SAFETY: by the caller's word.
        let answer = unsafe {
            libc::syscall(libc::SYS_io_uring_register, self.as_raw_fd(), REGISTER_RESIZE_RINGS, params, 1u32)
        };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Returns the number of entries of the submission queue.
    pub(crate) fn entries(&self) -> u32 {
        self.ring.params().sq_entries()
    }

    fn ring_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring is open as long as `self` is there.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

/// Reserved address space for the mappings of a ring.
struct Room([(*mut libc::c_void, usize); 2]);

impl Room {
    fn reserve(entries: u32) -> io::Result<Self> {
        let entries = entries as usize;
        let (submissions, completions) = (entries * 64, entries * COMPLETIONS as usize * 16);
        let mut room = Room([(libc::MAP_FAILED, 0); 2]);
        for (place, len) in room.0.iter_mut().zip([submissions, completions + 65_536]) {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            // SAFETY: a mapping of nothing, at a place that the kernel chooses.
            let address = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
            if address == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            *place = (address, len);
        }
        Ok(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for (address, len) in self.0.into_iter().filter(|(address, _)| *address != libc::MAP_FAILED) {
            // SAFETY: `reserve` mapped it, and nobody knows of it.
            unsafe { libc::munmap(address, len) };
        }
    }
}
