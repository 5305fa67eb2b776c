//! Futures that methods with `poll_` in their names keep from one call to the next.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fmt, io};

use socket2::Socket;

/// The pending future of a method with `poll_` in its name. Its memory is kept for the next future.
pub(crate) struct Unfinished<T>(Cell<Option<Box<Option<T>>>>);

impl<T: Future + Unpin> Unfinished<T> {
    pub(crate) fn poll(&self, cx: &mut Context<'_>, begin: impl FnOnce() -> T) -> Poll<T::Output> {
        let mut place = self.0.take().unwrap_or_default();
        let output = Pin::new(place.get_or_insert_with(begin)).poll(cx);
        if output.is_ready() {
            *place = None; // with its reference to the object
        }
        self.0.set(Some(place));
        output
    }

    /// Drops the pending future, if any.
    pub(crate) fn end(&self) {
        self.0.set(None);
    }
}

impl<T> Default for Unfinished<T> {
    fn default() -> Self {
        Unfinished(Cell::new(None))
    }
}

impl<T> fmt::Debug for Unfinished<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unfinished").finish_non_exhaustive()
    }
}

/// Sets O_NONBLOCK on an unshared descriptor, or on a listener: accept4(2) has no flag that keeps it from blocking.
pub(crate) fn adopt(fd: OwnedFd) -> io::Result<OwnedFd> {
    let socket = Socket::from(fd);
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
