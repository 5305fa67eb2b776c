//! `RwLock`: a value for many readers or one writer. A reader holds one permit, a writer all of them.
//!
//! The queue, the fast path and the fairness are those of `permits.rs`: no reader overtakes a writer at the front of
//! the queue.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::sync::core::flavor::Flavor;
use crate::sync::core::permits::{MAX_PERMITS, Permits};
use crate::sync::core::request::{HasPermits, Held, Request, debug_request};
use crate::sys::sync::lock_cell::{Exclusive, LockCell, Shared};

/// The number of permits: a writer needs them all, a reader one.
pub(in crate::sync) const ALL: usize = MAX_PERMITS;

/// A fair read-write lock: many readers or one writer at a time.
///
/// Readers and writers wait in one queue, so neither can starve the other: a reader that arrives after a writer waits
/// for it. Do not read again in a task that holds a read guard: if a writer arrived in between, both wait for each
/// other forever. A panic while the lock is held releases it; there is no poisoning.
///
/// The flavours are [`sync::RwLock`](crate::sync::RwLock), for the tasks of one loop, and
/// [`sync::shared::RwLock`](crate::sync::shared::RwLock), for any thread.
///
/// # Examples
/// ```
/// use proactor::sync::RwLock;
/// proactor::run(async {
///     let lock = RwLock::new(1);
///     {
///         let (first, second) = (lock.read().await, lock.read().await);
///         assert_eq!(*first + *second, 2);
///         assert!(lock.try_write().is_none());
///     }
///     *lock.write().await += 1;
///     assert_eq!(*lock.read().await, 2);
/// });
/// ```
pub struct RwLock<F: Flavor, T: ?Sized> {
    pub(in crate::sync) permits: Permits<F>,
    value: LockCell<T, true>,
}

impl<F: Flavor, T> RwLock<F, T> {
    /// Creates an unlocked lock.
    pub fn new(value: T) -> Self {
        RwLock { permits: Permits::new(ALL), value: LockCell::new(value) }
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<F: Flavor, T: ?Sized> RwLock<F, T> {
    /// Locks for reading. Waits while a writer holds the lock, behind all earlier waiters.
    ///
    /// # Cancellation
    /// Dropping the future gives up its place in the queue. If it had already been given the lock, it releases the
    /// lock.
    pub fn read(&self) -> Read<'_, F, T> {
        Read(Request::new(self, 1))
    }

    /// Locks for writing. Waits while readers or a writer hold the lock, behind all earlier waiters.
    ///
    /// # Cancellation
    /// As for [`read`](Self::read).
    pub fn write(&self) -> Write<'_, F, T> {
        Write(Request::new(self, ALL))
    }

    /// Locks for reading if there is no writer and no waiter.
    pub fn try_read(&self) -> Option<ReadGuard<'_, F, T>> {
        self.permits.try_acquire(1).is_ok().then(|| ReadGuard::new(Held::new(self, 1)))
    }

    /// Locks for writing if there is no reader, no writer and no waiter.
    pub fn try_write(&self) -> Option<WriteGuard<'_, F, T>> {
        self.permits.try_acquire(ALL).is_ok().then(|| WriteGuard::new(Held::new(self, ALL)))
    }

    /// # Safety
    /// The caller has a permit, and keeps it, and the lock in its place, until the last use of the result.
    #[inline]
    pub(in crate::sync) unsafe fn shared(&self) -> Shared<T> {
        // SAFETY: the caller has a permit, and the value is changed only with all permits.
        unsafe { self.value.shared() }
    }

    /// # Safety
    /// The caller has all permits, and keeps them, and the lock in its place, until the last use of the result.
    #[inline]
    pub(in crate::sync) unsafe fn exclusive(&self) -> Exclusive<T> {
        // SAFETY: the caller has all permits, and the value is used only with a permit.
        unsafe { self.value.exclusive() }
    }

    /// Returns a mutable reference to the value, without locking: `&mut self` proves that there is no guard.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<F: Flavor, T: ?Sized> HasPermits for RwLock<F, T> {
    type Flavor = F;

    #[inline]
    fn permits(&self) -> &Permits<F> {
        &self.permits
    }
}

impl<F: Flavor, T: Default> Default for RwLock<F, T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<F: Flavor, T> From<T> for RwLock<F, T> {
    fn from(value: T) -> Self {
        RwLock::new(value)
    }
}

impl<F: Flavor, T: ?Sized + fmt::Debug> fmt::Debug for RwLock<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_read() {
            Some(guard) => f.debug_struct("RwLock").field("value", &&*guard).finish(),
            None => f.debug_struct("RwLock").field("value", &format_args!("(locked)")).finish(),
        }
    }
}

/// The future of [`RwLock::read`].
#[must_use = "futures do nothing unless awaited"]
pub struct Read<'a, F: Flavor, T: ?Sized>(Request<&'a RwLock<F, T>>);

impl<'a, F: Flavor, T: ?Sized> Future for Read<'a, F, T> {
    type Output = ReadGuard<'a, F, T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.0.poll(cx));
        debug_assert!(result.is_ok(), "a read-write lock is never closed");
        Poll::Ready(ReadGuard::new(Held::new(self.0.lock(), 1)))
    }
}

/// The future of [`RwLock::write`].
#[must_use = "futures do nothing unless awaited"]
pub struct Write<'a, F: Flavor, T: ?Sized>(Request<&'a RwLock<F, T>>);

impl<'a, F: Flavor, T: ?Sized> Future for Write<'a, F, T> {
    type Output = WriteGuard<'a, F, T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.0.poll(cx));
        debug_assert!(result.is_ok(), "a read-write lock is never closed");
        Poll::Ready(WriteGuard::new(Held::new(self.0.lock(), ALL)))
    }
}

debug_request!(['a, F: Flavor, T: ?Sized] Read ['a, F, T], ['a, F: Flavor, T: ?Sized] Write ['a, F, T],);

/// A guard that gives read access to the value of an [`RwLock`]; dropping it releases the lock.
///
/// # Examples
/// ```
/// use proactor::sync::{ReadGuard, RwLock};
/// let lock = RwLock::new(1);
/// let guard: ReadGuard<'_, i32> = lock.try_read().unwrap();
/// assert!(lock.try_read().is_some() && lock.try_write().is_none());
/// assert_eq!(*guard, 1);
/// ```
#[must_use = "the lock is released when the guard is dropped"]
pub struct ReadGuard<'a, F: Flavor, T: ?Sized> {
    value: Shared<T>,
    _held: Held<&'a RwLock<F, T>>, // dropped last
}

impl<'a, F: Flavor, T: ?Sized> ReadGuard<'a, F, T> {
    /// Creates the guard. `held` must have one permit.
    #[inline]
    fn new(held: Held<&'a RwLock<F, T>>) -> Self {
        // SAFETY: a writer has all permits, so there is none until the guard gives this one back, after its last use of
        // the value, which it borrows.
        ReadGuard { value: unsafe { held.lock().shared() }, _held: held }
    }
}

/// A guard that gives write access to the value of an [`RwLock`]; dropping it releases the lock.
///
/// # Examples
/// ```
/// use proactor::sync::{RwLock, WriteGuard};
/// let lock = RwLock::new(1);
/// let mut guard: WriteGuard<'_, i32> = lock.try_write().unwrap();
/// *guard += 1;
/// assert!(lock.try_read().is_none());
/// ```
#[must_use = "the lock is released when the guard is dropped"]
pub struct WriteGuard<'a, F: Flavor, T: ?Sized> {
    value: Exclusive<T>,
    held: Held<&'a RwLock<F, T>>, // dropped last
}

impl<'a, F: Flavor, T: ?Sized> WriteGuard<'a, F, T> {
    /// Creates the guard. `held` must have all permits.
    #[inline]
    fn new(held: Held<&'a RwLock<F, T>>) -> Self {
        // SAFETY: no other guard has a permit until this one gives them back, after its last use of the value, which
        // it borrows.
        WriteGuard { value: unsafe { held.lock().exclusive() }, held }
    }

    /// Turns the write guard into a read guard; no writer gets the lock in between.
    ///
    /// Waiting readers get the lock too, up to the first waiting writer.
    ///
    /// # Examples
    /// ```
    /// let lock = proactor::sync::RwLock::new(1);
    /// let mut writer = lock.try_write().unwrap();
    /// *writer = 2;
    /// let reader = writer.downgrade();
    /// assert_eq!((*reader, *lock.try_read().unwrap()), (2, 2));
    /// ```
    pub fn downgrade(self) -> ReadGuard<'a, F, T> {
        let mut held = {
            let WriteGuard { value: _value, held } = self;
            held // the exclusive use of the value ends here
        };
        held.keep(1);
        ReadGuard::new(held)
    }
}

impl<F: Flavor, T: ?Sized> Deref for ReadGuard<'_, F, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<F: Flavor, T: ?Sized> Deref for WriteGuard<'_, F, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<F: Flavor, T: ?Sized> DerefMut for WriteGuard<'_, F, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<F: Flavor, T: ?Sized + fmt::Debug> fmt::Debug for ReadGuard<'_, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<F: Flavor, T: ?Sized + fmt::Debug> fmt::Debug for WriteGuard<'_, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::core::flavor::{Local, Threaded};
    use std::pin::pin;
    use std::task::Waker;

    /// Reuses the generations of a queue's entry; a ticket has three bits of them in tests: see `waiters.rs`.
    fn a_writer_whose_place_was_used_often_waits_for_the_reader<F: Flavor>() {
        for others in 0..20 {
            let lock = RwLock::<F, _>::new(0);
            let cx = &mut Context::from_waker(Waker::noop());
            let guard = lock.try_write().unwrap();
            let mut served = Box::pin(lock.read());
            assert!(served.as_mut().poll(cx).is_pending());
            drop(guard); // the reader has its permit and has not been polled since
            for _ in 0..others {
                assert!(pin!(lock.write()).poll(cx).is_pending());
            }
            let mut writer = pin!(lock.write());
            assert!(writer.as_mut().poll(cx).is_pending());
            drop(served);
            let Poll::Ready(mut value) = writer.as_mut().poll(cx) else { panic!("all readers are gone") };
            assert!(lock.try_read().is_none(), "a reader beside the writer, after {others} others");
            *value += 1;
            drop(value);
            assert_eq!(*lock.try_write().expect("all permits are back"), 1);
        }
    }

    #[test]
    fn t71_no_reader_beside_a_writer_after_all_generations_of_a_ticket() {
        a_writer_whose_place_was_used_often_waits_for_the_reader::<Local>();
        a_writer_whose_place_was_used_often_waits_for_the_reader::<Threaded>();
    }
}
