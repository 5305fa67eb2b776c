//! `Semaphore`: permits to be had and given back, as many as it was made with.
//!
//! The queue and the fast path are those of `permits.rs`. What is here besides is the count of the permits that exist,
//! free or not, by which one that is bounded knows that too many are given back.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::flavor::{Flavor, Word};
use super::permits::{Acquiring, MAX_PERMITS, Permits, Refused};
use crate::sys::sync::atomic::Ordering::Relaxed;

/// A number of permits, to be had first come, first served; asyncio's `Semaphore` and `BoundedSemaphore`.
///
/// A request for many permits at the front of the queue waits until there are so many; a later request for few waits
/// behind it. The order holds until a task runs: a request that comes after a release runs after the tasks that this
/// release has served.
///
/// The flavours are [`sync::Semaphore`](crate::sync::Semaphore), for the tasks of one loop, and
/// [`sync::shared::Semaphore`](crate::sync::shared::Semaphore), for any thread. Without a wait, the latter costs one
/// atomic exchange to take a permit and one to give it back.
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
    pub(super) permits: Permits<F>,
    /// How many permits there are, those included that somebody has.
    existing: F::Word,
    limit: usize,
}

impl<F: Flavor> Semaphore<F> {
    /// The largest number of permits.
    pub const MAX_PERMITS: usize = MAX_PERMITS;

    /// One with so many permits, to which more can be added.
    ///
    /// # Panics
    /// Above [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[track_caller]
    pub fn new(permits: usize) -> Self {
        Semaphore::with_limit(permits, MAX_PERMITS)
    }

    /// One that never has more permits than at first; asyncio's `BoundedSemaphore`.
    ///
    /// A permit that was [forgotten](Permit::forget) can be added again.
    ///
    /// # Panics
    /// Above [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    /// ```should_panic
    /// let semaphore = proactor::sync::Semaphore::bounded(2);
    /// semaphore.try_acquire().unwrap().forget();
    /// semaphore.add_permits(1); // given back by hand
    /// semaphore.add_permits(1); // once too often: panics
    /// ```
    #[track_caller]
    pub fn bounded(permits: usize) -> Self {
        Semaphore::with_limit(permits, permits)
    }

    #[track_caller]
    fn with_limit(permits: usize, limit: usize) -> Self {
        assert!(permits <= MAX_PERMITS, "a semaphore has at most {MAX_PERMITS} permits, not {permits}");
        Semaphore { permits: Permits::new(permits), existing: F::Word::new(permits), limit }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// [`AcquireError`] once it is closed.
    ///
    /// # Cancellation
    /// Dropping the future gives up its place in the queue; what it had been given goes to the next.
    pub fn acquire(&self) -> Acquire<'_, F> {
        self.acquire_many(1)
    }

    /// Waits for several permits at once, for as long as there are not so many.
    ///
    /// # Errors
    /// [`AcquireError`] once it is closed.
    ///
    /// # Cancellation
    /// As for [`acquire`](Self::acquire).
    pub fn acquire_many(&self, count: usize) -> Acquire<'_, F> {
        Acquire { semaphore: self, acquiring: Acquiring::new(count) }
    }

    /// Takes a permit if there is one and no task waits. A task that was given a permit and has not run since counts
    /// as one that waits.
    ///
    /// # Errors
    /// [`TryAcquireError`]: none is to be had, or it is closed.
    pub fn try_acquire(&self) -> Result<Permit<'_, F>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes several permits if there are so many and no task waits.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_many(&self, count: usize) -> Result<Permit<'_, F>, TryAcquireError> {
        self.permits.try_acquire(count)?;
        Ok(self.permit(count))
    }

    /// For who has just got so many.
    #[inline]
    fn permit(&self, count: usize) -> Permit<'_, F> {
        Permit { semaphore: self, count }
    }

    /// How many permits are free. If somebody waits they are meant for it.
    pub fn available_permits(&self) -> usize {
        self.permits.available()
    }

    /// Adds permits, to those who wait first of all; asyncio's `release`, for permits that were
    /// [forgotten](Permit::forget) or that never were.
    ///
    /// # Panics
    /// If there were more than the [bound](Self::bounded) then, or more than [`MAX_PERMITS`](Self::MAX_PERMITS);
    /// nothing has changed then.
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

    /// They won't be given back.
    pub(super) fn forget(&self, count: usize) {
        let _ = self.existing.update(Relaxed, |existing| Some(existing - count));
    }

    /// Gives no permit from now on: who waits for one is told so, and who asks for one. Those that somebody has can be
    /// given back.
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

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }
}

impl<F: Flavor> fmt::Debug for Semaphore<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("permits", &self.permits).finish_non_exhaustive()
    }
}

/// The future of [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire<'a, F: Flavor> {
    semaphore: &'a Semaphore<F>,
    acquiring: Acquiring,
}

impl<'a, F: Flavor> Future for Acquire<'a, F> {
    type Output = Result<Permit<'a, F>, AcquireError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let semaphore = self.semaphore;
        let result = ready!(semaphore.permits.poll_acquire(&mut self.acquiring, cx));
        Poll::Ready(result.map(|()| semaphore.permit(self.acquiring.count())).map_err(|_| AcquireError(())))
    }
}

impl<F: Flavor> Drop for Acquire<'_, F> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.permits.cancel(&mut self.acquiring);
    }
}

impl<F: Flavor> fmt::Debug for Acquire<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("acquiring", &self.acquiring).finish_non_exhaustive()
    }
}

/// One or several permits of a [`Semaphore`]; dropping it gives them back.
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
#[must_use = "the permit is given back when it is dropped"]
pub struct Permit<'a, F: Flavor> {
    semaphore: &'a Semaphore<F>,
    count: usize,
}

impl<F: Flavor> Permit<'_, F> {
    /// How many it stands for.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Keeps them for good: the semaphore has so many less, until some are [added](Semaphore::add_permits).
    pub fn forget(self) {
        self.semaphore.forget(self.count);
        std::mem::forget(self);
    }
}

impl<F: Flavor> Drop for Permit<'_, F> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.permits.release(self.count);
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
pub struct AcquireError(pub(super) ());

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl Error for AcquireError {}

into_io_error!(AcquireError: AcquireError(()) => BrokenPipe);

/// Why no permit was to be had at once.
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
    /// Too few are free, or they are meant for somebody who waits.
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
            TryAcquireError::NoPermits => f.write_str("the semaphore has no permit free"),
            TryAcquireError::Closed => AcquireError(()).fmt(f),
        }
    }
}

impl Error for TryAcquireError {}

into_io_error!(TryAcquireError: TryAcquireError::NoPermits => WouldBlock, TryAcquireError::Closed => BrokenPipe);

debug_as_display!(AcquireError, TryAcquireError);
