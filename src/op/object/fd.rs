//! Descriptors as operations name them, and the owner that keeps one open.
//!
//! There are two kinds: the process's, and *direct* ones, which lie in the ring's own table. Only operations can name
//! these: they are neither inherited nor seen by other system calls, and cost less to look up. Room in the table, a
//! [`FixedFileSlot`], is set aside before the operation that fills it, so that what the kernel has opened or accepted always
//! has a place.
//!
//! A [`Descriptor`] is part of an object that the operations on it share by `Rc`. So the number can't be
//! reused while an entry that names it has not been consumed, and closing happens when the last share goes:
//! at once when nothing is in flight, and at the terminal completion of the last abandoned operation else.
//!
//! It does not know the drivers; a selector that watches it is told through [`Host`] before the close.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};

use io_uring::types::DestinationSlot;
use socket2::SockRef;

use super::source::{Buffers, MultishotKind};
use crate::op::completion::Completion;
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
            $crate::op::object::fd::Fd::Raw(number) => {
                let $target = io_uring::types::Fd(number);
                $entry
            }
            $crate::op::object::fd::Fd::Direct(index) => {
                let $target = io_uring::types::Fixed(index);
                $entry
            }
        }
    };
}
pub(crate) use on_fd;

/// The runtime of a descriptor: it is told before the descriptor is closed, and tells one runtime from another.
pub(crate) trait Host {
    /// The descriptor with this token and number is about to be closed or given away.
    fn deregister(&self, token: u64, fd: RawFd);

    /// A descriptor has been closed: there is room for another.
    fn descriptor_closed(&self);

    /// Whether this is the process in which the runtime was made, and no fork of it.
    fn is_here(&self) -> bool;

    /// Room for a direct descriptor; none where an ordinary one takes its place.
    fn reserve_file_slot(&self) -> io::Result<Option<FixedFileSlot>>;

    /// A place in the ring's table is free again; `filled` says that a descriptor lies there, which is to be closed.
    fn free_file_slot(&self, index: u32, filled: bool);

    /// A multishot operation is to end.
    fn stop_multishot(&self, token: NonZeroU64);

    /// Memory for what is received.
    fn buffers(&self, what: MultishotKind) -> Rc<dyn Buffers>;
}

/// A place in the ring's table, set aside. Dropping it gives the place back.
pub(crate) struct FixedFileSlot(TableSlot);

/// A direct descriptor. Dropping it closes the descriptor.
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

    /// Where the kernel is to put what it opens.
    pub(crate) fn destination(&self) -> DestinationSlot {
        DestinationSlot::try_from_slot_target(self.0.index)
            .expect("a table is smaller than 32 bits can count")
    }

    pub(crate) fn index(&self) -> u32 {
        self.0.index
    }

    /// The descriptor that lies there now.
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
    /// The address of the registry of the runtime in whose table it lies.
    pub(crate) fn host(&self) -> *const () {
        self.0.host.as_ptr().cast()
    }

    pub(crate) fn index(&self) -> u32 {
        self.0.index
    }

    /// It has been closed.
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

/// A descriptor that an operation has made, or that a [`Descriptor`] was taken apart to: nobody's yet.
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
    /// Code outside this crate has had its number: its options and flags may be any.
    lent: Cell<bool>,
    /// Whether the ring can wait for it.
    waiting: Cell<Waiting>,
    /// O_NONBLOCK was set when the runtime took it over, and is cleared when it goes.
    made_nonblocking: Cell<bool>,
}

/// The way in which a proactor waits for a descriptor: see `driver/edges.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    ByRing,
    /// Code outside this crate has had it since somebody has looked.
    Unknown,
    ByEdges,
}

/// From how many bytes on a send does not copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ZeroCopy(u32);

impl ZeroCopy {
    /// All sends copy.
    pub(crate) const NEVER: ZeroCopy = ZeroCopy(u32::MAX);
    /// Those copy of which nobody says otherwise.
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
                let fd = ManuallyDrop::new(fd);
                // Its home is where the table is, whoever takes it over.
                // SAFETY: `fd` is never dropped, and its home not used again.
                (Fd::Direct(fd.index()), unsafe { std::ptr::read(&raw const fd.0.host) })
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

    /// Whether a send of so many bytes does without a copy.
    pub(crate) fn sends_without_copy(&self, len: usize, requested: bool) -> bool {
        let from = self.zero_copy.get();
        from != ZeroCopy::NEVER && (requested || (from != ZeroCopy::ON_REQUEST && len >= from.0 as usize))
    }

    /// The kernel can't do so here.
    pub(crate) fn always_copy(&self) {
        self.zero_copy.set(ZeroCopy::NEVER);
    }

    #[inline]
    pub(crate) fn fd(&self) -> Fd {
        self.fd
    }

    /// Its number, for system calls.
    #[inline]
    pub(crate) fn raw(&self) -> RawFd {
        match self.fd {
            Fd::Raw(number) => number,
            Fd::Direct(_) => {
                unreachable!("only a ring that carries out every operation has direct descriptors")
            }
        }
    }

    /// Its number, for code outside this crate, which may set flags and options.
    pub(crate) fn lend(&self) -> BorrowedFd<'_> {
        self.note_lent();
        self.as_fd()
    }

    /// Code outside this crate has or had its number.
    pub(crate) fn note_lent(&self) {
        self.lent.set(true);
        if self.waiting.get() == Waiting::ByRing {
            self.waiting.set(Waiting::Unknown);
        }
    }

    /// Whether code outside this crate may have changed its flags and options.
    pub(crate) fn is_lent(&self) -> bool {
        self.lent.get()
    }

    /// Whether close(2) would wait for the peer (SO_LINGER with a time). Only one that was lent can: others cost no call.
    pub(crate) fn lingers(&self) -> bool {
        !self.is_direct() && self.lent.get() && lingers(self.as_fd())
    }

    /// Whether the ring cannot wait for it: see `driver/edges.rs`.
    #[inline]
    pub(crate) fn needs_edges(&self) -> bool {
        self.waiting.get() == Waiting::ByEdges
    }

    /// Whether the ring can wait for it, as far as anybody knows. Nobody knows of one that was lent before somebody has
    /// looked for errors.
    #[inline]
    pub(crate) fn waiting(&self) -> Waiting {
        self.waiting.get()
    }

    /// Somebody has looked, and found no error.
    pub(crate) fn has_no_error(&self) {
        self.waiting.set(Waiting::ByRing);
    }

    /// The ring has given up waiting for it. False where nothing else can wait: for a direct one.
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

    /// No close waits for the peer from now on: see [`stop_lingering`]. It costs no call where other code has not had it.
    pub(crate) fn stop_lingering(&self) {
        if !self.is_direct() && self.lent.get() {
            stop_lingering(self.as_fd());
        }
    }

    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.fd, Fd::Direct(_))
    }

    /// The only runtime that can carry operations on it out, if there is one: its table is where a direct one lies.
    #[inline]
    pub(crate) fn bound_to(&self) -> Option<*const ()> {
        self.is_direct().then(|| self.host())
    }

    /// Room for a direct descriptor in its runtime's ring; none where an ordinary one takes its place.
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

    /// The address of the runtime's registry, to compare with that of the current one.
    pub(crate) fn host(&self) -> *const () {
        self.host.as_ptr().cast()
    }

    /// Asks for the end of a multishot operation on it.
    pub(crate) fn stop_multishot(&self, token: NonZeroU64) {
        if let Some(host) = self.host.upgrade() {
            host.stop_multishot(token);
        }
    }

    /// Memory for what is received.
    ///
    /// # Panics
    /// When the runtime has ended.
    pub(crate) fn buffers(&self, what: MultishotKind) -> Rc<dyn Buffers> {
        self.host.upgrade().expect("an operation is carried out by a runtime that is there").buffers(what)
    }

    /// Whether its runtime has gone.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.host.strong_count() == 0
    }

    /// Gives the descriptor away, no longer watched.
    pub(crate) fn into_opened(self) -> Opened {
        let this = ManuallyDrop::new(self);
        this.unwatch();
        this.put_flags_back();
        // SAFETY: `this` is never dropped and not used again: the weak reference is taken out once.
        let host = unsafe { std::ptr::read(&raw const this.host) };
        match this.fd {
            // SAFETY: as above; `new` took it from its owner.
            Fd::Raw(number) => Opened::Raw(unsafe { OwnedFd::from_raw_fd(number) }),
            Fd::Direct(index) => Opened::Direct(DirectFd(TableSlot { index, host })),
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

/// Whether close(2) of this socket waits until the peer has everything, for some time at most.
fn lingers(fd: BorrowedFd<'_>) -> bool {
    matches!(SockRef::from(&fd).linger(), Ok(Some(time)) if !time.is_zero())
}

/// Nobody is to wait for the close: turns the wait off. That changes nothing else, since Linux goes on sending in the
/// background after the time as well. (Zero, which means a reset, stays.)
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
