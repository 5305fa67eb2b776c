//! The cell of a value that a lock protects, and the right to use the value, as a value of its own.
//!
//! It knows no lock. The code that makes an [`Exclusive`] or a [`Shared`] asserts by it that the lock is held; from then
//! on their use is safe, and costs a load. The models replace this cell by one that reports each use of the value to
//! their checker.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A value that a lock protects. `SHARES` is true for locks that can have several holders at once.
pub(crate) struct LockCell<T: ?Sized, const SHARES: bool>(UnsafeCell<T>);

// SAFETY: only the holder of the lock uses the value: one thread after the other, as if it were sent.
unsafe impl<T: ?Sized + Send> Sync for LockCell<T, false> {}
// SAFETY: as above, or by several threads at once, by shared references.
unsafe impl<T: ?Sized + Send + Sync> Sync for LockCell<T, true> {}

impl<T, const SHARES: bool> LockCell<T, SHARES> {
    pub(crate) const fn new(value: T) -> Self {
        LockCell(UnsafeCell::new(value))
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized, const SHARES: bool> LockCell<T, SHARES> {
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    /// # Safety
    /// Until the last use of the result the cell lives and does not move, and nothing else uses its value.
    #[inline]
    pub(crate) unsafe fn exclusive(&self) -> Exclusive<T> {
        Exclusive { value: pointer(&self.0), invariant: PhantomData }
    }
}

impl<T: ?Sized> LockCell<T, true> {
    /// # Safety
    /// Until the last use of the result the cell lives and does not move, and no [`Exclusive`] of it is used.
    #[inline]
    pub(crate) unsafe fn shared(&self) -> Shared<T> {
        Shared(pointer(&self.0))
    }
}

#[inline]
fn pointer<T: ?Sized>(cell: &UnsafeCell<T>) -> NonNull<T> {
    // SAFETY: the pointer to a cell's value is not null.
    unsafe { NonNull::new_unchecked(cell.get()) }
}

/// The value of a cell, for the only holder of the lock.
///
/// A pointer and not a reference: a guard releases the lock before this field is dropped, though not used any more.
pub(crate) struct Exclusive<T: ?Sized> {
    value: NonNull<T>,
    /// Makes the type invariant in `T`, as an exclusive reference is: otherwise a `&'a str` could be written into a cell of
    /// a `&'static str`.
    invariant: PhantomData<*mut T>,
}

/// The value of a cell, for one of several holders of the lock.
pub(crate) struct Shared<T: ?Sized>(NonNull<T>);

// SAFETY: it is what an exclusive reference is.
unsafe impl<T: ?Sized + Send> Send for Exclusive<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for Exclusive<T> {}
// SAFETY: it is what a shared reference is.
unsafe impl<T: ?Sized + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for Shared<T> {}

impl<T: ?Sized> Deref for Exclusive<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: its maker has promised that the value lives and that nothing else uses it.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for Exclusive<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for `deref`.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: its maker has promised that the value lives and that nothing changes it.
        unsafe { self.0.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_used_in_place() {
        let mut cell = LockCell::<_, true>::new(vec![1]);
        {
            // SAFETY: nothing else uses the cell.
            let mut exclusive = unsafe { cell.exclusive() };
            exclusive.push(2);
        }
        {
            // SAFETY: nothing changes the value.
            let (first, second) = unsafe { (cell.shared(), cell.shared()) };
            assert_eq!((first.len(), second.len()), (2, 2));
        }
        cell.get_mut().push(3);
        assert_eq!(cell.into_inner(), [1, 2, 3]);
    }
}
