//! Binding to a name: the look-up, and the first address that works.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::addr::{LookupHost, ToSocketAddrs, lookup_host};

/// A future that looks names up, and then makes an object of the first address that works.
pub(crate) struct Binding<T> {
    lookup: LookupHost,
    make: fn(&SocketAddr) -> io::Result<T>,
}

impl<T> Binding<T> {
    pub(super) fn new(address: impl ToSocketAddrs, make: fn(&SocketAddr) -> io::Result<T>) -> Self {
        Binding { lookup: lookup_host(address), make }
    }

    pub(super) fn request_cancel(&mut self) {
        self.lookup.request_cancel();
    }
}

impl<T> Future for Binding<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let addresses = ready!(Pin::new(&mut self.lookup).poll(cx))?;
        Poll::Ready(first_that_works(&addresses, self.make))
    }
}

/// Calls `make` with one address after the other until it succeeds. Returns the last error, with its address, if it
/// never does.
pub(super) fn first_that_works<T>(
    addresses: &[SocketAddr],
    make: impl Fn(&SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for address in addresses {
        match make(address) {
            Ok(made) => return Ok(made),
            Err(error) => last = Some(naming(address, error)),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::InvalidInput)))
}

/// Adds an address to an error; a cancellation stays as it is.
pub(super) fn naming(address: &SocketAddr, error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ECANCELED) => error,
        _ => io::Error::new(error.kind(), format!("{address}: {error}")),
    }
}
