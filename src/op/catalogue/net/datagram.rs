//! Datagrams with addresses: recvmsg(2), sendmsg(2).
//!
//! The kernel reads and writes a `msghdr` with pointers to the other parts. All parts lie in the operation, and the pointers
//! are set only after the operation has been inserted into its slot.

use crate::op::abi::empty_header;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use io_uring::opcode;
use socket2::{SockAddr, SockAddrStorage};

use crate::buf::{BufError, BufResult, IoBuf, IoBufMut, fill, first, note_init};
use crate::op::completion::{Completion, Direction};
use crate::op::fd::descriptor::on_fd;
use crate::op::object::datagram::Datagram;
use crate::op::object::endpoint::keep_error;
use crate::op::object::endpoint_kind::SEND_FLAGS;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::io_lock::Side;
use crate::op::object::io_turn::IoTurn;
use crate::op::object::received::Received;
use crate::op::{Entry, Op, Readiness};
use crate::sys::call::Call;

pub(in crate::op) fn iovec(pointer: *mut u8, len: usize) -> libc::iovec {
    libc::iovec { iov_base: pointer.cast(), iov_len: len }
}

/// Receives one datagram and its sender's address.
pub(crate) struct RecvFrom<B> {
    turn: IoTurn,
    buf: B,
    sender: SockAddrStorage,
    /// The datagram from the receive queue, filled by `prepare`.
    early: Option<Option<SocketAddr>>,
    header: libc::msghdr,
    iovec: libc::iovec,
}

impl<B: IoBufMut> RecvFrom<B> {
    pub(crate) fn new(endpoint: &EndpointRef, buf: B) -> Self {
        RecvFrom {
            turn: IoTurn::new(endpoint, Side::Receive),
            buf,
            sender: SockAddrStorage::zeroed(),
            early: None,
            header: empty_header(),
            iovec: iovec(std::ptr::null_mut(), 0),
        }
    }

    fn header(&mut self) -> *mut libc::msghdr {
        self.iovec = iovec(self.buf.write_ptr(), self.buf.total_len());
        self.header.msg_name = (&raw mut self.sender).cast();
        self.header.msg_namelen = self.sender.size_of();
        self.header.msg_iov = &raw mut self.iovec;
        self.header.msg_iovlen = 1;
        &raw mut self.header
    }

    fn finish(mut self, completion: Completion) -> (io::Result<(usize, Option<SockAddr>)>, B, IoTurn) {
        let result = completion.count().map(|count| {
            // SAFETY: the kernel, or `prepare`, has written `count` bytes from the start.
            unsafe { note_init(&mut self.buf, count) };
            let early = self.early.take().map(|sender| sender.map(SockAddr::from));
            let sender = early.unwrap_or_else(|| {
                let len = self.header.msg_namelen;
                // SAFETY: the kernel has written an address of `len` bytes into the storage.
                (len > 0).then(|| unsafe { SockAddr::new(self.sender, len) })
            });
            (count, sender)
        });
        (result, self.buf, self.turn)
    }
}

impl<B: IoBufMut> Op for RecvFrom<B> {
    /// The length of the datagram and its sender. A datagram longer than the buffer is truncated.
    type Output = BufResult<(usize, SocketAddr), B>;
    const NAME: &'static str = "recvmsg";
    const WAITS: bool = true;
    const OPCODE: u8 = opcode::RecvMsg::CODE;

    fn turn(&mut self) -> Option<&mut IoTurn> {
        Some(&mut self.turn)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        ready!(self.turn.poll_acquire(cx));
        let received = ready!(self.turn.endpoint().poll_received(cx, false));
        Poll::Ready(received.map(|received| match received {
            Received::Datagram(datagram) => {
                self.early = Some(datagram.sender());
                let take = |datagram: &Datagram| fill(&mut self.buf, 0, datagram.bytes());
                // A datagram has at most 64 KiB.
                self.turn.endpoint().take_datagram(datagram, take) as i32
            }
            Received::Error(errno) => -errno,
            other => unreachable!("a datagram socket received {other:?}"),
        }))
    }

    fn entry(&mut self) -> Entry {
        let header = self.header();
        on_fd!(self.turn.endpoint().descriptor.fd(), |fd| opcode::RecvMsg::new(fd, header).build())
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::When(&self.turn.endpoint().descriptor, Direction::Read)
    }

    fn call(&mut self) -> Call {
        let (fd, header) = (self.turn.endpoint().descriptor.raw(), self.header());
        // SAFETY: the header and all that it points to are part of this operation.
        unsafe { Call::new(libc::SYS_recvmsg, [fd as usize, header as usize, libc::MSG_DONTWAIT as usize]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        let (result, buf, _pass) = self.finish(completion);
        let none =
            || io::Error::new(io::ErrorKind::InvalidData, "the sender's address is neither IPv4 nor IPv6");
        let result = result.and_then(|(count, sender)| {
            let sender = sender.as_ref().and_then(SockAddr::as_socket).ok_or_else(none)?;
            Ok((count, sender))
        });
        match result {
            Ok(received) => Ok((received, buf)),
            Err(error) => Err(BufError::new(error, buf)),
        }
    }

    fn abandoned(self, completion: Completion) {
        let endpoint = self.turn.endpoint().clone();
        // The turn comes back with the result, and is given up after the datagram is stored.
        let (result, buf, _pass) = self.finish(completion);
        match result {
            Ok((count, sender)) => {
                let datagram = Datagram::copy(first(&buf, count), sender.as_ref());
                endpoint.push_received(Received::Datagram(datagram));
            }
            Err(error) => keep_error(&endpoint, &error),
        }
    }
}

/// Sends one datagram.
pub(crate) struct SendTo<B> {
    turn: IoTurn,
    buf: B,
    target: Option<SockAddr>,
    header: libc::msghdr,
    iovec: libc::iovec,
}

impl<B: IoBuf> SendTo<B> {
    /// Creates the operation. Without a target the socket must be connected.
    pub(crate) fn new(endpoint: &EndpointRef, buf: B, target: Option<SockAddr>) -> Self {
        SendTo {
            turn: IoTurn::new(endpoint, Side::Send),
            buf,
            target,
            header: empty_header(),
            iovec: iovec(std::ptr::null_mut(), 0),
        }
    }

    fn header(&mut self) -> *mut libc::msghdr {
        self.iovec = iovec(self.buf.read_ptr().cast_mut(), self.buf.init_len());
        if let Some(target) = &self.target {
            self.header.msg_name = target.as_ptr().cast_mut().cast();
            self.header.msg_namelen = target.len();
        }
        self.header.msg_iov = &raw mut self.iovec;
        self.header.msg_iovlen = 1;
        &raw mut self.header
    }
}

impl<B: IoBuf> Op for SendTo<B> {
    type Output = BufResult<usize, B>;
    const NAME: &'static str = "sendmsg";
    const WAITS: bool = true;
    const OPCODE: u8 = opcode::SendMsg::CODE;

    fn turn(&mut self) -> Option<&mut IoTurn> {
        Some(&mut self.turn)
    }

    fn prepare(&mut self, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        self.turn.poll_acquire(cx).map(|()| None)
    }

    fn entry(&mut self) -> Entry {
        let header = self.header();
        on_fd!(self.turn.endpoint().descriptor.fd(), |fd| {
            opcode::SendMsg::new(fd, header).flags(libc::MSG_NOSIGNAL as u32).build()
        })
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::When(&self.turn.endpoint().descriptor, Direction::Write)
    }

    fn call(&mut self) -> Call {
        let (fd, header) = (self.turn.endpoint().descriptor.raw(), self.header());
        // SAFETY: the header and all that it points to are part of this operation.
        unsafe { Call::new(libc::SYS_sendmsg, [fd as usize, header as usize, SEND_FLAGS]) }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        match completion.count() {
            Ok(count) => {
                self.turn.endpoint().add_sent(count);
                Ok((count, self.buf))
            }
            Err(error) => Err(BufError::new(error, self.buf)),
        }
    }
}
