//! `Mutex`: mutual exclusion around a value. The holder of its one permit may access the value.
//!
//! The queue and the fast path are those of `permits.rs`; this file only ties the permit to the value.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::sync::core::flavor::Flavor;
use crate::sync::core::permits::Permits;
use crate::sync::core::request::{HasPermits, Request, debug_request};
use crate::sys::sync::lock_cell::{Exclusive, LockCell};

/// A fair mutual exclusion lock around a value; asyncio's `Lock`, with the value inside.
///
/// Unlocking passes the lock to the waiter that has waited longest, so no later caller takes it first. There is no
/// poisoning: a panic while the lock is held drops the guard, which releases the lock and leaves the value as it was at
/// that moment.
///
/// The flavours are [`sync::Mutex`](crate::sync::Mutex), for the tasks of one loop, and
/// [`sync::shared::Mutex`](crate::sync::shared::Mutex), for any thread. Without contention, the latter costs one atomic
/// exchange to lock and one to unlock.
///
/// # Examples
/// ```
/// use proactor::sync::Mutex;
/// use std::rc::Rc;
/// proactor::run(async {
///     let log = Rc::new(Mutex::new(Vec::new()));
///     let other = log.clone();
///     let task = proactor::spawn(async move {
///         let mut log = other.lock().await;
///         log.push("begins");
///         proactor::yield_now().await; // no other task gets the lock here
///         log.push("ends");
///     });
///     proactor::yield_now().await;
///     assert_eq!(*log.lock().await, ["begins", "ends"]);
///     task.await.unwrap();
/// });
/// ```
pub struct Mutex<F: Flavor, T: ?Sized> {
    pub(in crate::sync) permits: Permits<F>,
    value: LockCell<T, false>,
}

impl<F: Flavor, T> Mutex<F, T> {
    /// Creates an unlocked mutex.
    pub fn new(value: T) -> Self {
        Mutex { permits: Permits::new(1), value: LockCell::new(value) }
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<F: Flavor, T: ?Sized> Mutex<F, T> {
    /// Locks the mutex. Waits while it is locked, behind all earlier waiters.
    ///
    /// # Cancellation
    /// Dropping the future gives up its place in the queue. If it had already been given the lock, the next waiter gets
    /// it.
    pub fn lock(&self) -> Lock<'_, F, T> {
        Lock(Request::new(self, 1))
    }

    /// Locks the mutex if it is unlocked and has no waiters.
    ///
    /// # Examples
    /// ```
    /// let mutex = proactor::sync::Mutex::new(1);
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(mutex.try_lock().is_none());
    /// drop(guard);
    /// assert!(mutex.try_lock().is_some());
    /// ```
    pub fn try_lock(&self) -> Option<MutexGuard<'_, F, T>> {
        self.permits.try_acquire(1).is_ok().then(|| self.guard())
    }

    /// Creates the guard. The caller must hold the permit.
    #[inline]
    fn guard(&self) -> MutexGuard<'_, F, T> {
        // SAFETY: the permit is the only one, and the guard gives it back after its last use of the value, which
        // it borrows.
        MutexGuard { value: unsafe { self.exclusive() }, lock: Locked(self) }
    }

    /// # Safety
    /// The caller has the permit, and keeps it, and the mutex in its place, until the last use of the result.
    #[inline]
    pub(in crate::sync) unsafe fn exclusive(&self) -> Exclusive<T> {
        // SAFETY: the caller has the permit, and the value is used only with it.
        unsafe { self.value.exclusive() }
    }

    /// Whether the mutex is locked, or was passed to a waiter that has not run since.
    pub fn is_locked(&self) -> bool {
        self.permits.available() == 0
    }

    /// Returns a mutable reference to the value, without locking: `&mut self` proves that there is no guard.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<F: Flavor, T: ?Sized> HasPermits for Mutex<F, T> {
    type Flavor = F;

    #[inline]
    fn permits(&self) -> &Permits<F> {
        &self.permits
    }
}

impl<F: Flavor, T: Default> Default for Mutex<F, T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<F: Flavor, T> From<T> for Mutex<F, T> {
    fn from(value: T) -> Self {
        Mutex::new(value)
    }
}

impl<F: Flavor, T: ?Sized + fmt::Debug> fmt::Debug for Mutex<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_struct("Mutex").field("value", &&*guard).finish(),
            None => f.debug_struct("Mutex").field("value", &format_args!("(locked)")).finish(),
        }
    }
}

/// The future of [`Mutex::lock`].
#[must_use = "futures do nothing unless awaited"]
pub struct Lock<'a, F: Flavor, T: ?Sized>(Request<&'a Mutex<F, T>>);

impl<'a, F: Flavor, T: ?Sized> Future for Lock<'a, F, T> {
    type Output = MutexGuard<'a, F, T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.0.poll(cx));
        debug_assert!(result.is_ok(), "a mutex is never closed");
        Poll::Ready(self.0.lock().guard())
    }
}

debug_request!(['a, F: Flavor, T: ?Sized] Lock ['a, F, T],);

/// A guard that gives access to the value of a [`Mutex`]; dropping it unlocks the mutex.
///
/// # Examples
/// ```
/// use proactor::sync::{Mutex, MutexGuard};
/// let mutex = Mutex::new(1);
/// let mut guard: MutexGuard<'_, i32> = mutex.try_lock().unwrap();
/// *guard += 1;
/// drop(guard);
/// assert_eq!(mutex.into_inner(), 2);
/// ```
#[must_use = "the mutex is unlocked when the guard is dropped"]
pub struct MutexGuard<'a, F: Flavor, T: ?Sized> {
    value: Exclusive<T>,
    lock: Locked<'a, F, T>, // dropped last
}

/// Unlocks when dropped.
struct Locked<'a, F: Flavor, T: ?Sized>(&'a Mutex<F, T>);

impl<F: Flavor, T: ?Sized> Drop for Locked<'_, F, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.permits.release(1);
    }
}

impl<'a, F: Flavor, T: ?Sized> MutexGuard<'a, F, T> {
    /// Returns the mutex that the guard locks.
    pub(in crate::sync) fn mutex(&self) -> &'a Mutex<F, T> {
        self.lock.0
    }
}

impl<F: Flavor, T: ?Sized> Deref for MutexGuard<'_, F, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<F: Flavor, T: ?Sized> DerefMut for MutexGuard<'_, F, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<F: Flavor, T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<F: Flavor, T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
