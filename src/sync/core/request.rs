//! Requests for permits: the common part of the futures that lock, by a borrowed and by an owned reference.
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
