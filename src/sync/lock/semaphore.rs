//! `Semaphore`: a counting semaphore.
//!
//! The queue and the fast path are those of `permits.rs`. This file adds the count of all permits, free or not, by
//! which a bounded semaphore notices that too many are added.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::sync::core::flavor::{Flavor, Word};
use crate::sync::core::permits::{MAX_PERMITS, Permits, Refused};
use crate::sync::core::request::{HasPermits, Held, Request, debug_request};
use crate::sys::sync::atomic::Ordering::Relaxed;

/// A fair counting semaphore; asyncio's `Semaphore` and `BoundedSemaphore`.
///
/// A request for many permits at the front of the queue waits until enough are free; a later request for fewer permits
/// waits behind it. The order holds until the tasks run: a request that arrives after a release runs after the tasks
/// that the release has served.
///
/// The flavours are [`sync::Semaphore`](crate::sync::Semaphore), for the tasks of one loop, and
/// [`sync::shared::Semaphore`](crate::sync::shared::Semaphore), for any thread. Without contention, the latter costs
/// one atomic exchange to acquire a permit and one to release it.
///
/// # Examples
/// ```
/// use proactor::sync::Semaphore;
/// use std::rc::Rc;
/// proactor::run(async {
///     let few = Rc::new(Semaphore::new(2));
///     let tasks = [(); 10].map(|()| {
///         let few = few.clone();
///         proactor::spawn(async move {
///             let _permit = few.acquire().await.unwrap();
///             proactor::yield_now().await; // at most two are here
///         })
///     });
///     for task in tasks {
///         task.await.unwrap();
///     }
///     assert_eq!(few.available_permits(), 2);
/// });
/// ```
pub struct Semaphore<F: Flavor> {
    pub(in crate::sync) permits: Permits<F>,
    /// The number of all permits, free and acquired.
    existing: F::Word,
    limit: usize,
}

impl<F: Flavor> Semaphore<F> {
    /// The largest number of permits.
    pub const MAX_PERMITS: usize = MAX_PERMITS;

    /// Creates a semaphore with `permits` permits, to which more can be added.
    ///
    /// # Panics
    /// If `permits` is above [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[track_caller]
    pub fn new(permits: usize) -> Self {
        Semaphore::with_limit(permits, MAX_PERMITS)
    }

    /// Creates a semaphore that never has more than `permits` permits; asyncio's `BoundedSemaphore`.
    ///
    /// A permit that was [forgotten](Permit::forget) can be added again.
    ///
    /// # Panics
    /// If `permits` is above [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    /// ```should_panic
    /// let semaphore = proactor::sync::Semaphore::bounded(2);
    /// semaphore.try_acquire().unwrap().forget();
    /// semaphore.add_permits(1); // replaces the forgotten permit
    /// semaphore.add_permits(1); // one too many: panics
    /// ```
    #[track_caller]
    pub fn bounded(permits: usize) -> Self {
        Semaphore::with_limit(permits, permits)
    }

    #[track_caller]
    fn with_limit(permits: usize, limit: usize) -> Self {
        check_count(permits);
        Semaphore { permits: Permits::new(permits), existing: F::Word::new(permits), limit }
    }

    /// Acquires a permit; waits until one is free.
    ///
    /// # Errors
    /// [`AcquireError`] once the semaphore is closed.
    ///
    /// # Cancellation
    /// Dropping the future gives up its place in the queue. Permits that it had already been given go to the next
    /// waiter.
    pub fn acquire(&self) -> Acquire<'_, F> {
        self.acquire_many(1)
    }

    /// Acquires several permits at once; waits until `count` are free.
    ///
    /// # Errors
    /// [`AcquireError`] once the semaphore is closed.
    ///
    /// # Panics
    /// If `count` is above [`MAX_PERMITS`](Self::MAX_PERMITS): so many are never free.
    ///
    /// # Cancellation
    /// As for [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_many(&self, count: usize) -> Acquire<'_, F> {
        check_count(count);
        Acquire(Request::new(self, count))
    }

    /// Acquires a permit if one is free and no task waits. A task that was given a permit and has not run since counts
    /// as waiting.
    ///
    /// # Errors
    /// [`TryAcquireError`]: no permit is available, or the semaphore is closed.
    pub fn try_acquire(&self) -> Result<Permit<'_, F>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Acquires several permits at once if `count` are free and no task waits.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_many(&self, count: usize) -> Result<Permit<'_, F>, TryAcquireError> {
        self.permits.try_acquire(count)?;
        Ok(Permit(Held::new(self, count)))
    }

    /// Number of free permits. If tasks wait, these permits are reserved for them.
    pub fn available_permits(&self) -> usize {
        self.permits.available()
    }

    /// Adds permits; waiting tasks get them first. asyncio's `release`, for new permits and for
    /// [forgotten](Permit::forget) ones.
    ///
    /// # Panics
    /// If the semaphore would then have more permits than its [bound](Self::bounded), or more than
    /// [`MAX_PERMITS`](Self::MAX_PERMITS); it is unchanged then.
    #[doc(alias = "release")]
    #[track_caller]
    pub fn add_permits(&self, count: usize) {
        let within = |existing: usize| existing.checked_add(count).filter(|sum| *sum <= self.limit);
        if let Err(existing) = self.existing.update(Relaxed, within) {
            panic!(
                "the semaphore has {existing} of at most {} permits: {count} more are too many",
                self.limit
            );
        }
        self.permits.release(count);
    }

    /// Lowers the number of all permits by permits that are never released.
    pub(in crate::sync) fn forget(&self, count: usize) {
        let _ = self.existing.update(Relaxed, |existing| Some(existing - count));
    }

    /// Closes the semaphore: all waiting and later requests fail with [`AcquireError`]. Acquired permits can still be
    /// released.
    ///
    /// # Examples
    /// ```
    /// use proactor::sync::Semaphore;
    /// proactor::run(async {
    ///     let semaphore = Semaphore::new(1);
    ///     semaphore.close();
    ///     assert!(semaphore.acquire().await.is_err());
    /// });
    /// ```
    pub fn close(&self) {
        self.permits.close();
    }

    /// Whether the semaphore is closed.
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }
}

impl<F: Flavor> HasPermits for Semaphore<F> {
    type Flavor = F;

    #[inline]
    fn permits(&self) -> &Permits<F> {
        &self.permits
    }
}

impl<F: Flavor> fmt::Debug for Semaphore<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("permits", &self.permits).finish_non_exhaustive()
    }
}

/// # Panics
/// If no semaphore has so many permits.
#[inline]
#[track_caller]
pub(in crate::sync) fn check_count(permits: usize) {
    assert!(permits <= MAX_PERMITS, "a semaphore has at most {MAX_PERMITS} permits, not {permits}");
}

/// The future of [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire<'a, F: Flavor>(Request<&'a Semaphore<F>>);

impl<'a, F: Flavor> Future for Acquire<'a, F> {
    type Output = Result<Permit<'a, F>, AcquireError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.0.poll(cx));
        let permit = |()| Permit(Held::new(self.0.lock(), self.0.acquiring().count()));
        Poll::Ready(result.map(permit).map_err(|_| AcquireError(())))
    }
}

debug_request!(['a, F: Flavor] Acquire ['a, F],);

/// One or several permits of a [`Semaphore`]; dropping it releases them.
///
/// # Examples
/// ```
/// use proactor::sync::{Permit, Semaphore};
/// let semaphore = Semaphore::new(3);
/// let permit: Permit<'_> = semaphore.try_acquire_many(2).unwrap();
/// assert_eq!((permit.count(), semaphore.available_permits()), (2, 1));
/// drop(permit);
/// assert_eq!(semaphore.available_permits(), 3);
/// ```
#[must_use = "the permit is released when it is dropped"]
pub struct Permit<'a, F: Flavor>(Held<&'a Semaphore<F>>);

impl<F: Flavor> Permit<'_, F> {
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

impl<F: Flavor> fmt::Debug for Permit<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("count", &self.count()).finish_non_exhaustive()
    }
}

/// The semaphore is closed.
///
/// # Examples
/// ```
/// let semaphore = proactor::sync::Semaphore::new(1);
/// semaphore.close();
/// let error = proactor::run(async { semaphore.acquire().await.unwrap_err() });
/// assert_eq!(error.to_string(), "the semaphore is closed");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AcquireError(pub(in crate::sync) ());

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl Error for AcquireError {}

into_io_error!(AcquireError: AcquireError(()) => BrokenPipe);

/// Reason a permit could not be acquired without waiting.
///
/// # Examples
/// ```
/// use proactor::sync::{Semaphore, TryAcquireError};
/// let semaphore = Semaphore::new(0);
/// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
/// semaphore.close();
/// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryAcquireError {
    /// Too few permits are free, or the free ones are reserved for waiting tasks.
    NoPermits,
    /// The semaphore is closed.
    Closed,
}

impl From<Refused> for TryAcquireError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => TryAcquireError::NoPermits,
            Refused::Closed => TryAcquireError::Closed,
        }
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryAcquireError::NoPermits => f.write_str("the semaphore has no free permit"),
            TryAcquireError::Closed => AcquireError(()).fmt(f),
        }
    }
}

impl Error for TryAcquireError {}

into_io_error!(TryAcquireError: TryAcquireError::NoPermits => WouldBlock, TryAcquireError::Closed => BrokenPipe);

debug_as_display!(AcquireError, TryAcquireError);
