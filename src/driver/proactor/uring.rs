//! The kernel's ring behind the [`Kernel`] interface. With `open.rs` and `resize.rs` the only file that calls io_uring.
//!
//! Facts that shape this file:
//!
//! - With DEFER_TASKRUN no completion arrives unless an enter asks for events, so every enter does.
//! - A failing enter does not take published entries back.
//! - The kernel swallows EINTR and ETIME if anything was submitted. So neither is reported, and the loop reads the clock.
//! - The wait has its timeout in the call (EXT_ARG); there is no timer in the kernel.
//!
//! See io_uring_setup(2), io_uring_enter(2), io_uring_register(2).

use super::kernel::{Fault, Kernel, Reaped};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use io_uring::IoUring;

use crate::driver::memory::buffer_ring::BufferRing;
use crate::driver::poll_mode::Deadline;
use crate::op::Entry;
use crate::op::completion::Completion;

/// A ring of the kernel.
pub(crate) struct Uring {
    pub(in crate::driver) ring: IoUring,
    /// Index of the ring among the descriptors that the thread has registered.
    pub(in crate::driver) registered: Option<u32>,
    pub(in crate::driver) fault: Option<(Fault, u32)>,
    pub(in crate::driver) batch: Option<(u32, u32)>,
    /// Whether a kernel thread takes the submissions.
    pub(in crate::driver) polled: bool,
    /// Whether the queues may grow.
    pub(in crate::driver) grows: bool,
    /// Whether forks inherit the mapping of the queues: see `resize.rs`.
    pub(in crate::driver) inherited: bool,
}

/// The longest relative wait. A kernel may add it to the present time without a check for overflow.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// `struct io_uring_getevents_arg`.
#[repr(C)]
struct GetEvents {
    sigmask: u64,
    sigmask_size: u32,
    min_wait_us: u32,
    timespec: u64,
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// `struct io_uring_rsrc_update`.
#[repr(C)]
struct ResourceUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// The buffer group for streams, and the one for datagrams.
pub(in crate::driver) const STREAMS: u16 = 0;
pub(crate) const DATAGRAMS: u16 = 1;

const ENTER_GETEVENTS: u32 = 1;
const ENTER_SQ_WAKEUP: u32 = 1 << 1;
const ENTER_SQ_WAIT: u32 = 1 << 2;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_ABS_TIMER: u32 = 1 << 5;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const REGISTER_EVENTFD: u32 = 4;
pub(in crate::driver) const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;

impl Uring {
    /// Registers a ring of buffers, with incremental consumption if requested.
    pub(crate) fn register_buffers(&self, group: u16, incremental: bool) -> io::Result<BufferRing> {
        const INCREMENTAL: u16 = 2; // IOU_PBUF_RING_INC
        let ring = BufferRing::new(group, incremental);
        let (address, entries) = (ring.address(), BufferRing::ENTRIES);
        let flags = if incremental { INCREMENTAL } else { 0 };
        // SAFETY: the memory has room for as many entries; the kernel takes hold of its pages.
        unsafe {
            self.ring.submitter().register_buf_ring_with_flags(address, entries, group, flags)?;
        }
        Ok(ring)
    }

    /// Registers an empty table of descriptors.
    pub(crate) fn register_table(&self, places: u32) -> io::Result<()> {
        self.ring.submitter().register_files_sparse(places)
    }

    /// Checks whether a direct descriptor closes when its slot is emptied. Before Linux 6.13 the kernel frees the files of a
    /// table in the order in which operations started: a waiting receive keeps every descriptor open that is closed later.
    ///
    /// There is no query for this change. It came with a registration whose presence shows in the error for an invalid
    /// argument. (Accepts that do not wait, which direct descriptors need as well, came in Linux 6.10.)
    pub(crate) fn closes_direct_at_once(&self) -> bool {
        const REGISTER_MEM_REGION: u32 = 34;
        let nowhere = std::ptr::without_provenance::<u8>(1);
        // SAFETY: the kernel answers EFAULT, or EINVAL where it does not know the call.
        let answer = unsafe {
            libc::syscall(libc::SYS_io_uring_register, self.as_raw_fd(), REGISTER_MEM_REGION, nowhere, 1u32)
        };
        answer < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
    }

    /// Puts a file into a slot of the file table.
    pub(crate) fn update_file(&self, place: u32, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.ring.submitter().register_files_update(place, &[fd.as_raw_fd()]).map(drop)
    }

    /// Registers an empty table of buffers.
    pub(crate) fn register_buffer_table(&self, places: u32) -> io::Result<()> {
        self.ring.submitter().register_buffers_sparse(places)
    }

    /// Puts memory into a slot of the buffer table. `None` empties the slot.
    ///
    /// # Safety
    /// The memory is there until the slot has been emptied.
    pub(crate) unsafe fn update_buffer(
        &self,
        place: u32,
        memory: Option<(NonNull<u8>, usize)>,
    ) -> io::Result<()> {
        let (base, len) = memory.map_or((std::ptr::null_mut(), 0), |(memory, len)| (memory.as_ptr(), len));
        let iovec = libc::iovec { iov_base: base.cast(), iov_len: len };
        // SAFETY: by the caller's word; the tag of zero requests no completion.
        unsafe { self.ring.submitter().register_buffers_update(place, &[iovec], Some(&[0])) }
    }

    /// Makes the kernel signal `eventfd` whenever the ring has work: see eventfd in io_uring_register(2).
    pub(crate) fn register_eventfd(&self, eventfd: RawFd) -> io::Result<()> {
        // SAFETY: the number lives until the call has returned; the ring takes a reference of its own.
        let answer = unsafe {
            let number = &raw const eventfd;
            libc::syscall(libc::SYS_io_uring_register, self.as_raw_fd(), REGISTER_EVENTFD, number, 1u32)
        };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn call(&mut self, want: u32, mut flags: u32, argument: Option<&GetEvents>) -> io::Result<()> {
        let queued = self.unsubmitted() as u32;
        if self.polled {
            if self.ring.submission().need_wakeup() {
                flags |= ENTER_SQ_WAKEUP;
            } else if want == 0 && flags & ENTER_SQ_WAIT == 0 && !self.overflowed() {
                return Ok(()); // the kernel's thread is at work
            }
        }
        if let Some((Fault::Enter { every, errno, after_submission }, count)) = &mut self.fault {
            *count += 1;
            if count.is_multiple_of((*every).max(1)) {
                let (errno, after_submission) = (*errno, *after_submission);
                if after_submission {
                    let _ = self.system_call(queued, 0, 0, None);
                }
                return Err(io::Error::from_raw_os_error(errno));
            }
        }
        self.system_call(queued, want, flags, argument)
    }

    /// Makes the system call itself: the io-uring crate has no ring that stays registered.
    fn system_call(
        &self,
        queued: u32,
        want: u32,
        flags: u32,
        argument: Option<&GetEvents>,
    ) -> io::Result<()> {
        let (fd, flags) = match self.registered {
            Some(index) => (index as RawFd, flags | ENTER_REGISTERED_RING),
            None => (self.as_raw_fd(), flags),
        };
        let (pointer, size) = match argument {
            Some(argument) => (std::ptr::from_ref(argument), size_of::<GetEvents>()),
            None => (std::ptr::null(), 0),
        };
        // SAFETY: the argument, if there is one, is what EXT_ARG announces, and lives until the call has
        // returned; `push`'s callers vouch for the entries.
        let answer =
            unsafe { libc::syscall(libc::SYS_io_uring_enter, fd, queued, want, flags, pointer, size) };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Registers the ring's descriptor with the thread (`u32::MAX`: any free index), or unregisters it (the descriptor must be
    /// zero).
    pub(in crate::driver) fn register_descriptor(
        &self,
        operation: u32,
        index: u32,
        descriptor: u64,
    ) -> io::Result<u32> {
        let mut update = ResourceUpdate { offset: index, reserved: 0, data: descriptor };
        // SAFETY: the update lives until the call has returned.
        let answer = unsafe {
            libc::syscall(libc::SYS_io_uring_register, self.as_raw_fd(), operation, &raw mut update, 1u32)
        };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(update.offset) }
    }
}

/// Whether this process has closed a ring. The kernel frees the memory of a closed ring late.
pub(in crate::driver) static CLOSED: AtomicBool = AtomicBool::new(false);

impl Drop for Uring {
    fn drop(&mut self) {
        CLOSED.store(true, Ordering::Relaxed);
        if let Some(index) = self.registered {
            // The registration would keep the ring and its memory until the thread ends.
            let _ = self.register_descriptor(UNREGISTER_RING_FDS, index, 0);
        }
    }
}

impl Kernel for Uring {
    unsafe fn push(&mut self, entry: &Entry) -> bool {
        // SAFETY: the caller vouches for what the entry points to.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }

    fn unsubmitted(&mut self) -> usize {
        self.ring.submission().len()
    }

    fn submit(&mut self) -> io::Result<()> {
        // Waits for the polling thread until there is room.
        self.call(0, if self.polled { ENTER_SQ_WAIT } else { 0 }, None)
    }

    fn enter(&mut self, want: u32, deadline: Deadline) -> io::Result<()> {
        let (want, min_wait_us) = match self.batch {
            Some((batch, microseconds)) if want > 0 && deadline != Deadline::Now => {
                // The kernel would wait so long for a batch past the end of the time.
                let left = match deadline {
                    Deadline::Now | Deadline::Never => Duration::MAX,
                    Deadline::After(time) => time,
                    Deadline::At(time) => time.saturating_sub(crate::sys::monotonic()),
                };
                (want.max(batch), left.as_micros().min(microseconds.into()) as u32)
            }
            _ => (want, 0),
        };
        let (timeout, absolute) = match deadline {
            Deadline::Now => (Some(Duration::ZERO), 0),
            // The end of the wait for a batch would otherwise be the end of all waiting.
            Deadline::Never if min_wait_us > 0 => (Some(LONGEST), 0),
            Deadline::Never => (None, 0),
            Deadline::After(time) => (Some(time.min(LONGEST)), 0),
            Deadline::At(time) => (Some(time), ENTER_ABS_TIMER),
        };
        let timespec = timeout.map(|time| Timespec {
            seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: i64::from(time.subsec_nanos()),
        });
        let answer = if timespec.is_none() && min_wait_us == 0 {
            self.call(want, ENTER_GETEVENTS, None)
        } else {
            let timespec = timespec.as_ref().map_or(0, |timespec| std::ptr::from_ref(timespec) as u64);
            let argument = GetEvents { sigmask: 0, sigmask_size: 0, min_wait_us, timespec };
            self.call(want, ENTER_GETEVENTS | ENTER_EXT_ARG | absolute, Some(&argument))
        };
        match answer {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::ETIME)) => Ok(()),
            answer => answer,
        }
    }

    #[inline]
    fn reap(&mut self, mut take: impl FnMut(Reaped)) {
        for entry in self.ring.completion() {
            let completion = Completion { result: entry.result(), flags: entry.flags() };
            take(Reaped { user_data: entry.user_data(), completion });
        }
    }

    fn has_work(&mut self) -> bool {
        let submission = self.ring.submission();
        let flagged = submission.taskrun() || submission.cq_overflow();
        drop(submission);
        flagged
            || self.fault.is_some_and(|(fault, _)| fault == Fault::RaisedFlag)
            || !self.ring.completion().is_empty()
    }

    fn overflowed(&mut self) -> bool {
        self.ring.submission().cq_overflow()
    }

    fn grow(&mut self) -> bool {
        if !self.grows {
            return false;
        }
        // Other errors are those of the moment: want of memory, of a descriptor.
        let grown = self.double();
        let never = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOVERFLOW));
        self.grows = !grown.as_ref().is_err_and(never);
        grown.is_ok()
    }

    fn disown(self) {
        // The registration is that of the parent's thread, so the destructor is not to take it back.
        let this = ManuallyDrop::new(self);
        if this.inherited {
            // SAFETY: `this` is never dropped and not used again. Descriptor and mapping are this process's copies.
            return drop(unsafe { std::ptr::read(&raw const this.ring) });
        }
        // The queues' memory was not inherited, and something else may lie at their addresses: what the ring's
        // destructor would unmap is not its own.
        // SAFETY: the descriptor is this process's copy, and its owner is forgotten.
        drop(unsafe { OwnedFd::from_raw_fd(this.as_raw_fd()) });
    }
}

impl AsRawFd for Uring {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

impl std::fmt::Debug for Uring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uring").field("fd", &self.as_raw_fd()).finish_non_exhaustive()
    }
}
