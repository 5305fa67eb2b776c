//! Descriptors as operations name them, and the owner that keeps one open.
//!
//! A [`Descriptor`] is part of an object that the operations on it share by `Rc`. So the number can't be
//! reused while an entry that names it has not been consumed, and closing happens when the last share goes:
//! at once when nothing is in flight, and at the terminal completion of the last abandoned operation else.
//!
//! It does not know the drivers; a selector that watches it is told through [`Registry`] before the close.

use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};

use super::standing::{Buffers, Standing};

/// What an entry names: a descriptor of the process, or a slot in the ring's own table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fd {
    Raw(RawFd),
    #[expect(
        dead_code,
        reason = "nothing opens ring-owned descriptors yet; every operation can already name one"
    )]
    Direct(u32),
}

/// Builds an entry for either kind of descriptor: the opcodes take different types for them.
macro_rules! on_fd {
    ($fd:expr, |$target:ident| $entry:expr) => {
        match $fd {
            $crate::op::fd::Fd::Raw(number) => {
                let $target = io_uring::types::Fd(number);
                $entry
            }
            $crate::op::fd::Fd::Direct(index) => {
                let $target = io_uring::types::Fixed(index);
                $entry
            }
        }
    };
}
pub(crate) use on_fd;

/// Who has to hear of a descriptor's end before it is closed, and tells one runtime from another.
pub(crate) trait Registry {
    /// The descriptor with this token and number is about to be closed or given away.
    fn forget(&self, token: u64, fd: RawFd);

    /// A descriptor has been closed: there is room for another.
    fn closed(&self);

    /// A standing operation is to end.
    fn end_standing(&self, token: NonZeroU64);

    /// Memory for what is received.
    fn buffers(&self, what: Standing) -> Rc<dyn Buffers>;
}

/// An open descriptor of one runtime. Dropping it closes the descriptor.
pub(crate) struct Descriptor {
    fd: ManuallyDrop<OwnedFd>,
    home: Weak<dyn Registry>,
    /// The selector's registration, once there is one.
    token: Cell<Option<NonZeroU64>>,
    zero_copy: Cell<ZeroCopy>,
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
    pub(crate) fn new(fd: OwnedFd, home: Weak<dyn Registry>, zero_copy: ZeroCopy) -> Self {
        let (fd, zero_copy) = (ManuallyDrop::new(fd), Cell::new(zero_copy));
        Descriptor { fd, home, token: Cell::new(None), zero_copy }
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

    pub(crate) fn fd(&self) -> Fd {
        Fd::Raw(self.raw())
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(crate) fn token(&self) -> Option<u64> {
        self.token.get().map(NonZeroU64::get)
    }

    /// Tokens are never zero.
    pub(crate) fn set_token(&self, token: u64) {
        self.token.set(NonZeroU64::new(token));
    }

    /// The address of the runtime's registry, to compare with that of the current one.
    pub(crate) fn home(&self) -> *const () {
        self.home.as_ptr().cast()
    }

    /// Asks for the end of a standing operation on it.
    pub(crate) fn end_standing(&self, token: NonZeroU64) {
        if let Some(home) = self.home.upgrade() {
            home.end_standing(token);
        }
    }

    /// Memory for what is received.
    ///
    /// # Panics
    /// When the runtime has ended.
    pub(crate) fn buffers(&self, what: Standing) -> Rc<dyn Buffers> {
        self.home.upgrade().expect("an operation is carried out by a runtime that is there").buffers(what)
    }

    /// Whether its runtime has gone.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.home.strong_count() == 0
    }

    /// Gives the descriptor away, no longer watched.
    pub(crate) fn into_owned(self) -> OwnedFd {
        let mut this = ManuallyDrop::new(self);
        this.unwatch();
        // SAFETY: `this` is never dropped and not used again: the descriptor and the weak reference are
        // each taken out once.
        unsafe {
            let fd = ManuallyDrop::take(&mut this.fd);
            std::ptr::drop_in_place(&raw mut this.home);
            fd
        }
    }

    fn unwatch(&self) {
        if let Some(token) = self.token.take()
            && let Some(registry) = self.home.upgrade()
        {
            registry.forget(token.get(), self.raw());
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.unwatch();
        // SAFETY: taken here only, and `self` ends.
        drop(unsafe { ManuallyDrop::take(&mut self.fd) });
        if let Some(registry) = self.home.upgrade() {
            registry.closed();
        }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw().fmt(f)
    }
}

/// The descriptor that a completion delivers, now owned.
///
/// # Safety
/// `number` is a descriptor that the kernel has just made for this operation.
pub(crate) unsafe fn received(number: u32) -> OwnedFd {
    // SAFETY: nobody else knows the number yet.
    unsafe { OwnedFd::from_raw_fd(number as RawFd) }
}

/// Leaves closing to somebody else: the close operation.
pub(crate) fn release(fd: OwnedFd) -> RawFd {
    fd.into_raw_fd()
}
