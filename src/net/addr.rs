//! Addresses and names. Names are looked up by getaddrinfo(3), which blocks, on the blocking pool.
#![forbid(unsafe_code)]

use crate::sys::cancelled;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::task::threads::blocking::Blocking;
use crate::task::threads::pool::Lane;

/// Types that resolve to socket addresses: an address, a host and port, or a string of both.
///
/// Addresses in strings are parsed at once; names are looked up on the blocking pool. The trait is implemented in this
/// crate only.
///
/// # Examples
/// ```
/// use proactor::net::lookup_host;
/// proactor::run(async {
///     let loopback: Vec<_> = lookup_host(("127.0.0.1", 80)).await.unwrap();
///     assert_eq!(loopback, ["127.0.0.1:80".parse().unwrap()]);
/// });
/// ```
pub trait ToSocketAddrs: sealed::Target {}

pub(super) mod sealed {
    #[expect(unnameable_types, reason = "it keeps the trait from being implemented elsewhere")]
    pub trait Target {
        /// Returns the addresses if no name has to be looked up; otherwise the name and the port.
        fn target(&self) -> Result<Vec<super::SocketAddr>, super::Name>;
    }
}
use sealed::Target;

/// A name to be resolved with getaddrinfo(3).
#[derive(Debug)]
#[expect(unnameable_types, reason = "part of a sealed trait")]
pub enum Name {
    Pair(String, u16),
    Text(String),
}

impl Name {
    fn resolve(self) -> io::Result<Vec<SocketAddr>> {
        let (shown, found) = match self {
            Name::Pair(host, port) => {
                let found =
                    std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), port)).map(Vec::from_iter);
                (format!("{host}:{port}"), found)
            }
            Name::Text(text) => {
                let found = std::net::ToSocketAddrs::to_socket_addrs(text.as_str()).map(Vec::from_iter);
                (text, found)
            }
        };
        match found {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => {
                Err(io::Error::new(io::ErrorKind::NotFound, format!("{shown}: the name has no address")))
            }
            Err(error) => Err(io::Error::new(error.kind(), format!("{shown}: {error}"))),
        }
    }
}

macro_rules! addresses {
    ($($type:ty),*) => {$(
        impl Target for $type {
            fn target(&self) -> Result<Vec<SocketAddr>, Name> {
                Ok(vec![SocketAddr::from(*self)])
            }
        }
        impl ToSocketAddrs for $type {}
    )*};
}
addresses!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl Target for (&str, u16) {
    fn target(&self) -> Result<Vec<SocketAddr>, Name> {
        match self.0.parse::<IpAddr>() {
            Ok(address) => Ok(vec![SocketAddr::new(address, self.1)]),
            Err(_) => Err(Name::Pair(self.0.to_owned(), self.1)),
        }
    }
}
impl ToSocketAddrs for (&str, u16) {}

impl Target for (String, u16) {
    fn target(&self) -> Result<Vec<SocketAddr>, Name> {
        (self.0.as_str(), self.1).target()
    }
}
impl ToSocketAddrs for (String, u16) {}

impl Target for str {
    fn target(&self) -> Result<Vec<SocketAddr>, Name> {
        self.parse().map(|address| vec![address]).map_err(|_| Name::Text(self.to_owned()))
    }
}
impl ToSocketAddrs for str {}

impl Target for String {
    fn target(&self) -> Result<Vec<SocketAddr>, Name> {
        self.as_str().target()
    }
}
impl ToSocketAddrs for String {}

impl Target for [SocketAddr] {
    fn target(&self) -> Result<Vec<SocketAddr>, Name> {
        Ok(self.to_vec())
    }
}
impl ToSocketAddrs for [SocketAddr] {}

impl<T: Target + ?Sized> Target for &T {
    fn target(&self) -> Result<Vec<SocketAddr>, Name> {
        (**self).target()
    }
}
impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {}

/// Resolves a host name; asyncio's `getaddrinfo`.
///
/// # Errors
/// Those of getaddrinfo(3), with the name in the message; the list is never empty. If no thread can be started for the
/// look-up, that of pthread_create(3).
///
/// # Panics
/// When polled outside a runtime, if a name has to be looked up.
///
/// # Examples
/// ```
/// proactor::run(async {
///     for address in proactor::net::lookup_host("localhost:80").await.unwrap() {
///         assert!(address.ip().is_loopback());
///     }
/// });
/// ```
pub fn lookup_host(host: impl ToSocketAddrs) -> LookupHost {
    LookupHost(match host.target() {
        Ok(addresses) => State::Known(Some(addresses)),
        Err(name) => State::Named(Some(name)),
    })
}

/// The future of [`lookup_host`].
///
/// # Cancellation
/// A look-up that has started runs to its end on its thread, also when the future is dropped. The shutdown of the
/// runtime does not wait for it.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct LookupHost(State);

#[derive(Debug)]
enum State {
    Known(Option<Vec<SocketAddr>>),
    Named(Option<Name>),
    Lookup(Blocking<io::Result<Vec<SocketAddr>>>),
}

impl LookupHost {
    /// Makes the next poll return the error of a cancellation.
    pub(super) fn request_cancel(&mut self) {
        match &mut self.0 {
            State::Named(_) | State::Lookup(_) => self.0 = State::Named(None),
            State::Known(_) => {}
        }
    }
}

impl Future for LookupHost {
    type Output = io::Result<Vec<SocketAddr>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.0 {
                State::Known(addresses) => {
                    let addresses = addresses.take().expect("a LookupHost was polled after its result");
                    return Poll::Ready(if addresses.is_empty() {
                        Err(io::Error::new(io::ErrorKind::InvalidInput, "the list of addresses is empty"))
                    } else {
                        Ok(addresses)
                    });
                }
                State::Named(Some(_)) => {
                    let State::Named(Some(name)) = std::mem::replace(&mut self.0, State::Named(None)) else {
                        unreachable!("matched in the line above")
                    };
                    let ask = move || name.resolve();
                    self.0 = State::Lookup(Blocking::begin("lookup_host", Lane::Lookup, ask));
                }
                State::Named(None) => return Poll::Ready(Err(cancelled())),
                State::Lookup(answer) => {
                    let answer = ready!(Pin::new(answer).poll(cx));
                    return Poll::Ready(answer.and_then(|found| found));
                }
            }
        }
    }
}
