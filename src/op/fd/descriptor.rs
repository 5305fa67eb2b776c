//! Open descriptors, as operations name them.
//!
//! There are two kinds: those of the process, and *direct* ones, which lie in the ring's own file table. Only operations can
//! name direct descriptors: they are neither inherited nor visible to other system calls, and cost less to look up. A
//! [`FixedFileSlot`] of the table is reserved before the operation that fills it, so a file that the kernel has opened or
//! accepted always has a slot.
//!
//! A [`Descriptor`] is part of an object that its operations share by `Rc`. So the number is not reused while an entry that
//! names it may be consumed. The descriptor closes with the last reference: at once if no operation is in flight, and at the
//! last completion of the last abandoned operation otherwise.
//!
//! This file does not know the drivers. A selector that watches a descriptor learns of the close through [`Host`].

use super::host::{DirectFd, FixedFileSlot, Host};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};
use std::{fmt, io};

use socket2::SockRef;

use crate::op::completion::Completion;
use crate::op::object::source::{Buffers, MultishotKind};
use crate::sys::{set_nonblock, set_status_flags, status_flags};

/// The target of an entry: a descriptor of the process, or a slot in the ring's own table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fd {
    Raw(RawFd),
    Direct(u32),
}

/// Builds an entry for either kind of descriptor: the opcodes take different types for them.
macro_rules! on_fd {
    ($fd:expr, |$target:ident| $entry:expr) => {
        match $fd {
            $crate::op::fd::descriptor::Fd::Raw(number) => {
                let $target = io_uring::types::Fd(number);
                $entry
            }
            $crate::op::fd::descriptor::Fd::Direct(index) => {
                let $target = io_uring::types::Fixed(index);
                $entry
            }
        }
    };
}
pub(crate) use on_fd;

/// A descriptor that does not belong to a runtime object: a new one, or one that was taken out of a [`Descriptor`].
#[derive(Debug)]
pub(crate) enum Opened {
    Raw(OwnedFd),
    Direct(DirectFd),
}

impl Opened {
    /// Takes the answer of an operation that opens a descriptor, in the process or in a place of the ring's table.
    ///
    /// # Safety
    /// The answer is that of such an operation, and has not been taken before.
    pub(crate) unsafe fn answer(completion: Completion, into: Option<FixedFileSlot>) -> io::Result<Opened> {
        let number = completion.into_result()?;
        Ok(match into {
            Some(slot) => Opened::Direct(slot.filled()),
            // SAFETY: by the caller's word nobody else knows the number yet.
            None => Opened::Raw(unsafe { OwnedFd::from_raw_fd(number as RawFd) }),
        })
    }
}

impl From<OwnedFd> for Opened {
    fn from(fd: OwnedFd) -> Self {
        Opened::Raw(fd)
    }
}

/// An open descriptor of one runtime. Dropping it closes the descriptor.
pub(crate) struct Descriptor {
    fd: Fd,
    host: Weak<dyn Host>,
    /// The selector's registration, once there is one.
    token: Cell<Option<NonZeroU64>>,
    zero_copy: Cell<ZeroCopy>,
    /// Whether code outside this crate has had the number and may have changed options and flags.
    lent: Cell<bool>,
    /// Whether the ring can wait for it.
    waiting: Cell<Waiting>,
    /// O_NONBLOCK was set when the runtime took it over, and is cleared when it goes.
    made_nonblocking: Cell<bool>,
}

/// The way in which a proactor waits for a descriptor: see `driver/selector/edges.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    ByRing,
    /// Code outside this crate has had the descriptor since the last check for errors.
    Unknown,
    ByEdges,
}

/// The size from which on a send does without a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ZeroCopy(u32);

impl ZeroCopy {
    /// All sends copy.
    pub(crate) const NEVER: ZeroCopy = ZeroCopy(u32::MAX);
    /// Sends copy unless the method requests otherwise.
    pub(crate) const ON_REQUEST: ZeroCopy = ZeroCopy(u32::MAX - 1);

    pub(crate) fn from(bytes: usize) -> Self {
        ZeroCopy(u32::try_from(bytes).unwrap_or(u32::MAX).min(Self::ON_REQUEST.0))
    }
}

impl Descriptor {
    pub(crate) fn new(fd: Opened, host: Weak<dyn Host>, zero_copy: ZeroCopy) -> Self {
        let (fd, host) = match fd {
            Opened::Raw(fd) => (Fd::Raw(fd.into_raw_fd()), host),
            Opened::Direct(fd) => {
                // The host is the runtime that has the table, whichever runtime takes the descriptor over.
                let (index, host) = fd.into_parts();
                (Fd::Direct(index), host)
            }
        };
        Descriptor {
            fd,
            host,
            token: Cell::new(None),
            zero_copy: Cell::new(zero_copy),
            lent: Cell::new(false),
            waiting: Cell::new(Waiting::ByRing),
            made_nonblocking: Cell::new(false),
        }
    }

    /// Returns true if a send of `len` bytes does without a copy.
    pub(crate) fn sends_without_copy(&self, len: usize, requested: bool) -> bool {
        let from = self.zero_copy.get();
        from != ZeroCopy::NEVER && (requested || (from != ZeroCopy::ON_REQUEST && len >= from.0 as usize))
    }

    /// Notes that the kernel cannot send without a copy here.
    pub(crate) fn always_copy(&self) {
        self.zero_copy.set(ZeroCopy::NEVER);
    }

    #[inline]
    pub(crate) fn fd(&self) -> Fd {
        self.fd
    }

    /// Returns the number, for system calls.
    #[inline]
    pub(crate) fn raw(&self) -> RawFd {
        match self.fd {
            Fd::Raw(number) => number,
            Fd::Direct(_) => {
                unreachable!("only a ring that carries out every operation has direct descriptors")
            }
        }
    }

    /// Returns the number for code outside this crate, which may set flags and options.
    pub(crate) fn lend(&self) -> BorrowedFd<'_> {
        self.note_lent();
        self.as_fd()
    }

    /// Notes that code outside this crate has or had the number.
    pub(crate) fn note_lent(&self) {
        self.lent.set(true);
        if self.waiting.get() == Waiting::ByRing {
            self.waiting.set(Waiting::Unknown);
        }
    }

    /// Returns true if code outside this crate may have changed flags and options.
    pub(crate) fn is_lent(&self) -> bool {
        self.lent.get()
    }

    /// Checks whether close(2) would wait for the peer (SO_LINGER with a time). Makes no call for a descriptor that was never
    /// lent.
    pub(crate) fn lingers(&self) -> bool {
        !self.is_direct() && self.lent.get() && lingers(self.as_fd())
    }

    /// Returns true if the ring cannot wait for the descriptor: see `driver/selector/edges.rs`.
    #[inline]
    pub(crate) fn needs_edges(&self) -> bool {
        self.waiting.get() == Waiting::ByEdges
    }

    /// Returns the known way to wait for the descriptor. It is unknown for one that was lent since the last check for errors.
    #[inline]
    pub(crate) fn waiting(&self) -> Waiting {
        self.waiting.get()
    }

    /// Notes that a check has found no error.
    pub(crate) fn has_no_error(&self) {
        self.waiting.set(Waiting::ByRing);
    }

    /// Notes that the ring has given up waiting for the descriptor. Returns false for a direct one, for which only the ring can
    /// wait.
    pub(crate) fn needs_edges_from_now_on(&self) -> bool {
        if !self.is_direct() {
            self.waiting.set(Waiting::ByEdges);
        }
        self.needs_edges()
    }

    /// Sets O_NONBLOCK for as long as the runtime has it. The flag belongs to the open file description, which other
    /// descriptors may share, of this process and of others.
    pub(crate) fn make_nonblocking(&self) -> io::Result<()> {
        if set_nonblock(self.raw())? {
            self.made_nonblocking.set(true);
        }
        Ok(())
    }

    /// Clears O_NONBLOCK if it was set for the runtime.
    fn put_flags_back(&self) {
        if self.made_nonblocking.take()
            && let Ok(flags) = status_flags(self.raw())
        {
            let _ = set_status_flags(self.raw(), flags & !libc::O_NONBLOCK);
        }
    }

    /// Makes later closes not wait for the peer: see [`stop_lingering`]. Makes no call for a descriptor that was never lent.
    pub(crate) fn stop_lingering(&self) {
        if !self.is_direct() && self.lent.get() {
            stop_lingering(self.as_fd());
        }
    }

    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.fd, Fd::Direct(_))
    }

    /// Returns the address of the only runtime that can carry out operations on a direct descriptor. `None` for others.
    #[inline]
    pub(crate) fn bound_to(&self) -> Option<*const ()> {
        self.is_direct().then(|| self.host())
    }

    /// Reserves a slot for a direct descriptor in its runtime's table. Returns `None` if there is no table.
    pub(crate) fn reserve_file_slot(&self) -> io::Result<Option<FixedFileSlot>> {
        self.host.upgrade().map_or(Ok(None), |host| host.reserve_file_slot())
    }

    pub(crate) fn token(&self) -> Option<u64> {
        self.token.get().map(NonZeroU64::get)
    }

    /// Tokens are never zero.
    pub(crate) fn set_token(&self, token: u64) {
        self.token.set(NonZeroU64::new(token));
    }

    /// Returns the address of the host, to compare it with the current runtime.
    pub(crate) fn host(&self) -> *const () {
        self.host.as_ptr().cast()
    }

    /// Stops a multishot operation on the descriptor.
    pub(crate) fn stop_multishot(&self, token: NonZeroU64) {
        if let Some(host) = self.host.upgrade() {
            host.stop_multishot(token);
        }
    }

    /// Returns the memory for received data.
    ///
    /// # Panics
    /// If the runtime has ended.
    pub(crate) fn buffers(&self, what: MultishotKind) -> Rc<dyn Buffers> {
        self.host.upgrade().expect("an operation is carried out by a runtime that is there").buffers(what)
    }

    /// Returns true if its runtime has ended.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.host.strong_count() == 0
    }

    /// Takes the open descriptor out of its runtime.
    pub(crate) fn into_opened(self) -> Opened {
        let this = ManuallyDrop::new(self);
        this.unwatch();
        this.put_flags_back();
        // SAFETY: `this` is never dropped and not used again: the weak reference is taken out once.
        let host = unsafe { std::ptr::read(&raw const this.host) };
        match this.fd {
            // SAFETY: as above; `new` took it from its owner.
            Fd::Raw(number) => Opened::Raw(unsafe { OwnedFd::from_raw_fd(number) }),
            Fd::Direct(index) => Opened::Direct(DirectFd::from_parts(index, host)),
        }
    }

    fn unwatch(&self) {
        if let Some(token) = self.token.take()
            && let Some(host) = self.host.upgrade()
        {
            host.deregister(token.get(), self.raw());
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.unwatch();
        self.put_flags_back();
        let host = self.host.upgrade();
        match (self.fd, host) {
            (Fd::Raw(number), host) => {
                // (In a fork the socket is the parent's, which may want to wait, and this close is not the last.)
                if host.as_ref().is_none_or(|host| host.is_here()) {
                    self.stop_lingering();
                }
                // SAFETY: `new` took it from its owner, and `self` ends.
                drop(unsafe { OwnedFd::from_raw_fd(number) });
                if let Some(host) = host {
                    host.descriptor_closed();
                }
            }
            (Fd::Direct(index), Some(host)) => host.free_file_slot(index, true),
            (Fd::Direct(_), None) => {} // the whole table is gone
        }
    }
}

/// Checks whether close(2) of this socket waits, with a time limit, until the peer has received everything.
fn lingers(fd: BorrowedFd<'_>) -> bool {
    matches!(SockRef::from(&fd).linger(), Ok(Some(time)) if !time.is_zero())
}

/// Turns off the wait of close(2) for the peer. Linux still sends in the background, as it does after the time limit. (A limit
/// of zero, which means a reset, stays.)
pub(in crate::op) fn stop_lingering(fd: BorrowedFd<'_>) {
    if lingers(fd) {
        let _ = SockRef::from(&fd).set_linger(None);
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: it is open as long as `self` is there.
        unsafe { BorrowedFd::borrow_raw(self.raw()) }
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fd.fmt(f)
    }
}
