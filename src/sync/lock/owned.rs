//! Guards and permits that own a reference to their lock instead of borrowing it. They can outlive the frame that has
//! the lock: a permit that moves with a connection, a guard in a struct.
//!
//! Each corresponds to a borrowing guard, with an `Rc` of a local lock or an `Arc` of a shared one.

use std::convert::identity;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::mutex::Mutex;
use super::rwlock::{self, RwLock};
use super::semaphore::{self, AcquireError, Semaphore, TryAcquireError};
use crate::sync::core::flavor::{Flavor, Local, Threaded};
use crate::sync::core::request::{Held, Request, debug_request};
use crate::sys::sync;
use crate::sys::sync::lock_cell::{Exclusive, Shared};

/// Defines the methods, once for `Rc` and once for `Arc`; `kept` converts it into the reference that the guards own.
macro_rules! on_references {
    ($flavor:ident, $rc:ident, $kept:path) => {
        impl<T> Mutex<$flavor, T> {
            /// Like [`lock`](Self::lock), with a guard that owns a reference to the mutex.
            ///
            /// # Cancellation
            /// As for [`lock`](Self::lock).
            pub fn lock_owned(self: $rc<Self>) -> LockOwned<$flavor, T> {
                LockOwned(Request::new($kept(self), 1))
            }

            /// Like [`try_lock`](Self::try_lock), with a guard that owns a reference to the mutex.
            pub fn try_lock_owned(self: $rc<Self>) -> Option<OwnedMutexGuard<$flavor, T>> {
                self.permits.try_acquire(1).is_ok().then(|| OwnedMutexGuard::new($kept(self)))
            }
        }

        impl<T> RwLock<$flavor, T> {
            /// Like [`read`](Self::read), with a guard that owns a reference to the lock.
            ///
            /// # Cancellation
            /// As for [`read`](Self::read).
            pub fn read_owned(self: $rc<Self>) -> ReadOwned<$flavor, T> {
                ReadOwned(Request::new($kept(self), 1))
            }

            /// Like [`write`](Self::write), with a guard that owns a reference to the lock.
            ///
            /// # Cancellation
            /// As for [`read`](Self::read).
            pub fn write_owned(self: $rc<Self>) -> WriteOwned<$flavor, T> {
                WriteOwned(Request::new($kept(self), rwlock::ALL))
            }
        }

        impl Semaphore<$flavor> {
            /// Like [`acquire`](Self::acquire), with a permit that owns a reference to the semaphore.
            ///
            /// # Errors
            /// [`AcquireError`] once the semaphore is closed.
            ///
            /// # Cancellation
            /// As for [`acquire`](Self::acquire).
            pub fn acquire_owned(self: $rc<Self>) -> AcquireOwned<$flavor> {
                self.acquire_many_owned(1)
            }

            /// Like [`acquire_many`](Self::acquire_many), with a permit that owns a reference to the semaphore.
            ///
            /// # Errors
            /// [`AcquireError`] once the semaphore is closed.
            ///
            /// # Panics
            /// As [`acquire_many`](Self::acquire_many).
            ///
            /// # Cancellation
            /// As for [`acquire`](Self::acquire).
            #[track_caller]
            pub fn acquire_many_owned(self: $rc<Self>, count: usize) -> AcquireOwned<$flavor> {
                semaphore::check_count(count);
                AcquireOwned(Request::new($kept(self), count))
            }

            /// Like [`try_acquire`](Self::try_acquire), with a permit that owns a reference to the semaphore.
            ///
            /// # Errors
            /// As for [`try_acquire`](Self::try_acquire).
            pub fn try_acquire_owned(self: $rc<Self>) -> Result<OwnedPermit<$flavor>, TryAcquireError> {
                self.permits.try_acquire(1)?;
                Ok(OwnedPermit(Held::new($kept(self), 1)))
            }
        }
    };
}

on_references!(Local, Rc, identity);
on_references!(Threaded, Arc, sync::share);

/// The future of `lock_owned` of a [`Mutex`].
#[must_use = "futures do nothing unless awaited"]
pub struct LockOwned<F: Flavor, T>(Request<F::Rc<Mutex<F, T>>>);

impl<F: Flavor, T> Future for LockOwned<F, T> {
    type Output = OwnedMutexGuard<F, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.0.poll(cx));
        debug_assert!(result.is_ok(), "this lock is never closed");
        Poll::Ready(OwnedMutexGuard::new(self.0.lock().clone()))
    }
}

/// A guard of a [`Mutex`] that owns a reference to the mutex; dropping it unlocks the mutex.
///
/// # Examples
/// ```
/// use proactor::sync::{Mutex, OwnedMutexGuard};
/// use std::rc::Rc;
/// proactor::run(async {
///     let mutex = Rc::new(Mutex::new(1));
///     let guard: OwnedMutexGuard<i32> = mutex.clone().lock_owned().await;
///     let task = proactor::spawn(async move { *guard + 1 });
///     assert_eq!(task.await.unwrap(), 2);
///     assert!(!mutex.is_locked());
/// });
/// ```
#[must_use = "the mutex is unlocked when the guard is dropped"]
pub struct OwnedMutexGuard<F: Flavor, T> {
    value: Exclusive<T>,
    _held: Held<F::Rc<Mutex<F, T>>>, // dropped last
}

impl<F: Flavor, T> OwnedMutexGuard<F, T> {
    /// Creates the guard. The caller must hold the permit.
    fn new(mutex: F::Rc<Mutex<F, T>>) -> Self {
        // SAFETY: the permit is the only one. The guard gives it back when it is dropped, and until then its
        // reference keeps the mutex in its place.
        let value = unsafe { mutex.exclusive() };
        OwnedMutexGuard { value, _held: Held::new(mutex, 1) }
    }
}

/// The future of `read_owned` of an [`RwLock`].
#[must_use = "futures do nothing unless awaited"]
pub struct ReadOwned<F: Flavor, T>(Request<F::Rc<RwLock<F, T>>>);

impl<F: Flavor, T> Future for ReadOwned<F, T> {
    type Output = OwnedReadGuard<F, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.0.poll(cx));
        debug_assert!(result.is_ok(), "this lock is never closed");
        Poll::Ready(OwnedReadGuard::new(self.0.lock().clone()))
    }
}

/// A read guard of an [`RwLock`] that owns a reference to the lock; dropping it releases the lock.
///
/// # Examples
/// ```
/// use proactor::sync::{OwnedReadGuard, RwLock};
/// use std::rc::Rc;
/// proactor::run(async {
///     let guard: OwnedReadGuard<i32> = Rc::new(RwLock::new(1)).read_owned().await;
///     assert_eq!(*guard, 1); // the guard keeps the lock alive
/// });
/// ```
#[must_use = "the lock is released when the guard is dropped"]
pub struct OwnedReadGuard<F: Flavor, T> {
    value: Shared<T>,
    _held: Held<F::Rc<RwLock<F, T>>>, // dropped last
}

impl<F: Flavor, T> OwnedReadGuard<F, T> {
    /// Creates the guard. The caller must hold one permit.
    fn new(lock: F::Rc<RwLock<F, T>>) -> Self {
        // SAFETY: a writer has all permits. The guard gives this one back when it is dropped, and until then its
        // reference keeps the lock in its place.
        let value = unsafe { lock.shared() };
        OwnedReadGuard { value, _held: Held::new(lock, 1) }
    }
}

/// The future of `write_owned` of an [`RwLock`].
#[must_use = "futures do nothing unless awaited"]
pub struct WriteOwned<F: Flavor, T>(Request<F::Rc<RwLock<F, T>>>);

impl<F: Flavor, T> Future for WriteOwned<F, T> {
    type Output = OwnedWriteGuard<F, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.0.poll(cx));
        debug_assert!(result.is_ok(), "this lock is never closed");
        Poll::Ready(OwnedWriteGuard::new(self.0.lock().clone()))
    }
}

/// A write guard of an [`RwLock`] that owns a reference to the lock; dropping it releases the lock.
///
/// # Examples
/// ```
/// use proactor::sync::shared::{OwnedWriteGuard, RwLock};
/// use std::sync::Arc;
/// proactor::run(async {
///     let lock = Arc::new(RwLock::new(1));
///     let mut guard: OwnedWriteGuard<i32> = lock.clone().write_owned().await;
///     std::thread::spawn(move || *guard = 2).join().unwrap(); // that thread releases the lock
///     assert_eq!(*lock.read().await, 2);
/// });
/// ```
#[must_use = "the lock is released when the guard is dropped"]
pub struct OwnedWriteGuard<F: Flavor, T> {
    value: Exclusive<T>,
    _held: Held<F::Rc<RwLock<F, T>>>, // dropped last
}

impl<F: Flavor, T> OwnedWriteGuard<F, T> {
    /// Creates the guard. The caller must hold all permits.
    fn new(lock: F::Rc<RwLock<F, T>>) -> Self {
        // SAFETY: no other guard has a permit. The guard gives them back when it is dropped, and until then its
        // reference keeps the lock in its place.
        let value = unsafe { lock.exclusive() };
        OwnedWriteGuard { value, _held: Held::new(lock, rwlock::ALL) }
    }
}

/// The future of `acquire_owned` and `acquire_many_owned` of a [`Semaphore`].
#[must_use = "futures do nothing unless awaited"]
pub struct AcquireOwned<F: Flavor>(Request<F::Rc<Semaphore<F>>>);

impl<F: Flavor> Future for AcquireOwned<F> {
    type Output = Result<OwnedPermit<F>, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.0.poll(cx));
        let permit = |()| OwnedPermit(Held::new(self.0.lock().clone(), self.0.acquiring().count()));
        Poll::Ready(result.map(permit).map_err(|_| AcquireError(())))
    }
}

/// One or several permits of a [`Semaphore`], with a reference to it; dropping it releases them.
///
/// # Examples
/// ```
/// use proactor::sync::Semaphore;
/// use std::rc::Rc;
/// proactor::run(async {
///     let connections = Rc::new(Semaphore::new(100));
///     let permit = connections.clone().acquire_owned().await.unwrap();
///     proactor::spawn(async move {
///         let _permit = permit; // released when the connection ends
///     });
/// });
/// ```
#[must_use = "the permit is released when it is dropped"]
pub struct OwnedPermit<F: Flavor>(Held<F::Rc<Semaphore<F>>>);

impl<F: Flavor> OwnedPermit<F> {
    /// Number of permits that this value holds.
    pub fn count(&self) -> usize {
        self.0.count()
    }

    /// Removes these permits from the semaphore, until new ones are [added](Semaphore::add_permits).
    pub fn forget(self) {
        self.0.lock().forget(self.0.count());
        self.0.forget();
    }
}

/// Makes guards dereference to their values.
macro_rules! derefs {
    ($($guard:ident)*) => {$(
        impl<F: Flavor, T> Deref for $guard<F, T> {
            type Target = T;

            #[inline]
            fn deref(&self) -> &T {
                &self.value
            }
        }

        impl<F: Flavor, T: fmt::Debug> fmt::Debug for $guard<F, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    )*};
}

derefs!(OwnedMutexGuard OwnedReadGuard OwnedWriteGuard);

impl<F: Flavor, T> DerefMut for OwnedMutexGuard<F, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<F: Flavor, T> DerefMut for OwnedWriteGuard<F, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

debug_request!(
    [F: Flavor, T] LockOwned [F, T],
    [F: Flavor, T] ReadOwned [F, T],
    [F: Flavor, T] WriteOwned [F, T],
    [F: Flavor] AcquireOwned [F],
);

impl<F: Flavor> fmt::Debug for OwnedPermit<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("count", &self.count()).finish_non_exhaustive()
    }
}
