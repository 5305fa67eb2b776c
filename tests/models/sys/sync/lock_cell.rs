//! The cell of `src/sys/sync/lock_cell.rs`, which tells loom of each use of the value. Two concurrent uses fail the model, and
//! so do two uses in a row of which the second is not ordered after the first.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};

use loom::cell::{ConstPtr, MutPtr};

pub(crate) struct LockCell<T: ?Sized, const SHARES: bool> {
    used: loom::cell::UnsafeCell<()>,
    value: UnsafeCell<T>,
}

// SAFETY: as for the real one; loom looks after the rest.
unsafe impl<T: ?Sized + Send> Sync for LockCell<T, false> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for LockCell<T, true> {}

impl<T, const SHARES: bool> LockCell<T, SHARES> {
    pub(crate) fn new(value: T) -> Self {
        LockCell { used: loom::cell::UnsafeCell::new(()), value: UnsafeCell::new(value) }
    }

    pub(crate) fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized, const SHARES: bool> LockCell<T, SHARES> {
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    pub(crate) unsafe fn exclusive(&self) -> Exclusive<T> {
        Exclusive { _use: self.used.get_mut(), value: self.value.get() }
    }
}

impl<T: ?Sized> LockCell<T, true> {
    pub(crate) unsafe fn shared(&self) -> Shared<T> {
        Shared { _use: self.used.get(), value: self.value.get() }
    }
}

pub(crate) struct Exclusive<T: ?Sized> {
    _use: MutPtr<()>,
    value: *mut T,
}

pub(crate) struct Shared<T: ?Sized> {
    _use: ConstPtr<()>,
    value: *const T,
}

impl<T: ?Sized> Deref for Exclusive<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: as for the real one.
        unsafe { &*self.value }
    }
}

impl<T: ?Sized> DerefMut for Exclusive<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for the real one.
        unsafe { &mut *self.value }
    }
}

impl<T: ?Sized> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: as for the real one.
        unsafe { &*self.value }
    }
}
