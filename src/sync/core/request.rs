//! Requests for permits, and held permits: the common part of the futures that lock and of the guards, with a borrowed
//! or an owned reference to the lock.
#![forbid(unsafe_code)]

use std::ops::Deref;
use std::task::{Context, Poll};

use super::flavor::Flavor;
use super::permits::{Acquiring, Permits, Refused};

/// A lock: it gives access to its permits.
pub(in crate::sync) trait HasPermits {
    type Flavor: Flavor;

    fn permits(&self) -> &Permits<Self::Flavor>;
}

/// A request for permits of the lock that `lock` refers to. Dropping it gives up its place in the queue.
pub(in crate::sync) struct Request<L: Deref<Target: HasPermits>> {
    lock: L,
    acquiring: Acquiring,
}

impl<L: Deref<Target: HasPermits>> Unpin for Request<L> {}

impl<L: Deref<Target: HasPermits>> Request<L> {
    #[inline]
    pub(in crate::sync) fn new(lock: L, count: usize) -> Self {
        Request { lock, acquiring: Acquiring::new(count) }
    }

    /// Takes the permits, or waits for them. Returns an error once the lock is closed.
    #[inline]
    pub(in crate::sync) fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), Refused>> {
        self.lock.permits().poll_acquire(&mut self.acquiring, cx)
    }

    #[inline]
    pub(in crate::sync) fn lock(&self) -> &L {
        &self.lock
    }

    #[inline]
    pub(in crate::sync) fn acquiring(&self) -> &Acquiring {
        &self.acquiring
    }
}

impl<L: Deref<Target: HasPermits>> Drop for Request<L> {
    #[inline]
    fn drop(&mut self) {
        self.lock.permits().cancel(&mut self.acquiring);
    }
}

/// Permits that are held, with the reference to their lock. Dropping it gives them back.
pub(in crate::sync) struct Held<L: Deref<Target: HasPermits>> {
    lock: L,
    count: usize,
}

impl<L: Deref<Target: HasPermits>> Held<L> {
    /// Takes charge of `count` permits, which the caller must hold.
    #[inline]
    pub(in crate::sync) fn new(lock: L, count: usize) -> Self {
        Held { lock, count }
    }

    #[inline]
    pub(in crate::sync) fn lock(&self) -> &L {
        &self.lock
    }

    #[inline]
    pub(in crate::sync) fn count(&self) -> usize {
        self.count
    }

    /// Gives back all permits except `count`.
    pub(in crate::sync) fn keep(&mut self, count: usize) {
        let rest = self.count - count;
        self.count = count;
        self.lock.permits().release(rest);
    }

    /// Drops the reference to the lock without giving the permits back. Returns their number.
    pub(in crate::sync) fn forget(mut self) -> usize {
        std::mem::take(&mut self.count)
    }
}

impl<L: Deref<Target: HasPermits>> Drop for Held<L> {
    #[inline]
    fn drop(&mut self) {
        self.lock.permits().release(self.count);
    }
}

/// Implements `Debug` for futures that consist of a request.
macro_rules! debug_request {
    ($([$($generics:tt)*] $future:ident [$($arguments:tt)*],)*) => {$(
        impl<$($generics)*> std::fmt::Debug for $future<$($arguments)*> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($future)).field("acquiring", self.0.acquiring()).finish_non_exhaustive()
            }
        }
    )*};
}
pub(in crate::sync) use debug_request;
