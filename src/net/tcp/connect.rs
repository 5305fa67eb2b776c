//! Connecting: one address after the other, each with a socket of its own.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, SockAddr, Type};

use super::stream::TcpStream;
use crate::driver::operation::submission::Submission;
use crate::driver::{attach, current};
use crate::net::addr::{LookupHost, ToSocketAddrs, lookup_host};
use crate::net::socket;
use crate::op::catalogue::net::socket::{Connect as ConnectSocket, OpenSocket};
use crate::op::object::endpoint_ref::EndpointRef;
use crate::sys::context::expect_runtime;

impl TcpStream {
    /// Connects to the first address that accepts; tries them in order.
    ///
    /// # Errors
    /// Those of the look-up, socket(2) and connect(2), with the address in the message; with several addresses, the
    /// error of the last.
    ///
    /// # Panics
    /// When polled outside a runtime.
    ///
    /// # Cancellation
    /// Dropping the future ends the attempt and closes its socket.
    pub fn connect(address: impl ToSocketAddrs) -> Connect {
        Connect(ConnectTo::new(address, false))
    }
}

io_future! {
    /// The future of [`TcpStream::connect`].
    Connect<> = ConnectTo => io::Result<TcpStream>
}

pub(crate) struct ConnectTo {
    lookup: Option<LookupHost>,
    untried: std::vec::IntoIter<SocketAddr>,
    current: Option<(SocketAddr, Attempt)>,
    /// Whether the sockets get direct descriptors.
    direct: bool,
    cancelled: bool,
}

enum Attempt {
    /// Its socket is being made.
    Opening(Submission<OpenSocket>),
    Connecting(Submission<ConnectSocket>),
}

impl Attempt {
    fn request_cancel(&mut self) {
        match self {
            Attempt::Opening(step) => step.request_cancel(),
            Attempt::Connecting(step) => step.request_cancel(),
        }
    }

    /// Polls the current step. Returns the next step, if there is one.
    fn poll(
        &mut self,
        address: &SocketAddr,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Result<EndpointRef, Attempt>>> {
        match self {
            Attempt::Opening(step) => {
                let opened = ready!(Pin::new(step).poll(cx))?;
                let endpoint = EndpointRef::new(attach(opened, "direct::TcpStream::connect"));
                Poll::Ready(Ok(Err(Attempt::connecting(endpoint, address))))
            }
            Attempt::Connecting(step) => Pin::new(step).poll(cx).map_ok(Ok),
        }
    }

    fn connecting(endpoint: EndpointRef, address: &SocketAddr) -> Self {
        Attempt::Connecting(Submission::new(ConnectSocket::new(endpoint, SockAddr::from(*address))))
    }
}

impl ConnectTo {
    pub(in crate::net) fn new(address: impl ToSocketAddrs, direct: bool) -> Self {
        let (lookup, untried) = (Some(lookup_host(address)), Vec::new().into_iter());
        ConnectTo { lookup, untried, current: None, direct, cancelled: false }
    }

    pub(in crate::net) fn request_cancel(&mut self) {
        self.cancelled = true;
        if let Some(lookup) = &mut self.lookup {
            lookup.request_cancel();
        }
        if let Some((_, attempt)) = &mut self.current {
            attempt.request_cancel();
        }
    }

    fn begin(&self, address: &SocketAddr) -> io::Result<Attempt> {
        if self.cancelled {
            return Err(crate::sys::cancelled());
        }
        let driver = self.direct.then(|| expect_runtime(current(), "direct::TcpStream::connect"));
        if let Some(driver) = driver.as_ref().filter(|driver| driver.carries_out::<OpenSocket>()) {
            let slot = driver.reserve_file_slot()?;
            let (domain, kind, protocol) = (Domain::for_address(*address), Type::STREAM, Protocol::TCP);
            let step = OpenSocket::new(domain.into(), kind.into(), protocol.into(), slot);
            return Ok(Attempt::Opening(Submission::new(step)));
        }
        let socket = socket(address, Type::STREAM, Protocol::TCP)?;
        let fd = std::os::fd::OwnedFd::from(socket);
        let opened = match driver {
            Some(driver) => driver.make_direct(fd)?,
            None => fd.into(),
        };
        let endpoint = EndpointRef::new(attach(opened, "TcpStream::connect"));
        Ok(Attempt::connecting(endpoint, address))
    }
}

impl Future for ConnectTo {
    type Output = io::Result<TcpStream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(lookup) = &mut self.lookup {
            let addresses = ready!(Pin::new(lookup).poll(cx))?;
            self.lookup = None;
            self.untried = addresses.into_iter();
        }
        let mut last = None;
        loop {
            if let Some((address, attempt)) = &mut self.current {
                let result = ready!(attempt.poll(address, cx));
                let address = *address;
                self.current = None;
                match result {
                    Ok(Ok(endpoint)) => return Poll::Ready(Ok(TcpStream::from_endpoint(endpoint))),
                    Ok(Err(_)) if self.cancelled => last = Some((address, crate::sys::cancelled())),
                    Ok(Err(next)) => {
                        self.current = Some((address, next));
                        continue;
                    }
                    Err(error) => last = Some((address, error)),
                }
            }
            // The error of the last address, or of a cancelled connect, is the result.
            if let Some((address, error)) = last.take()
                && (self.cancelled || self.untried.len() == 0)
            {
                return Poll::Ready(Err(crate::net::bind::naming(&address, error)));
            }
            let Some(address) = self.untried.next() else { panic!("a Connect was polled after its result") };
            match self.begin(&address) {
                Ok(attempt) => self.current = Some((address, attempt)),
                Err(error) => last = Some((address, error)),
            }
        }
    }
}
