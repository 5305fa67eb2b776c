//! Endpoints: a socket or pipe with the state that its operations share.
//!
//! Two [I/O locks](IoLock) admit one receive and one send at a time.
//!
//! The *receive queue* holds items that the kernel delivered and no future has taken yet. They come from a *multishot
//! operation*, which belongs to the endpoint and not to a future, and from operations whose futures were dropped. The next
//! receive or accept takes its result from the queue first, so dropping a future loses nothing.
//!
//! Users of the endpoint hold an [`EndpointRef`]. When the last one is dropped, the multishot operation is stopped. That
//! operation keeps the endpoint, and so the descriptor, until its last completion.
#![forbid(unsafe_code)]

use super::received::{ReceiveQueue, Received};
use std::cell::{Cell, OnceCell, RefCell};
use std::num::NonZeroU64;
use std::task::{Context, Poll};
use std::{fmt, io};

use super::datagram::Datagram;
use super::endpoint_kind::{EndpointKind, SendHeader};
use super::io_lock::{IoLock, Side};
use crate::buf::Chunk;
use crate::op::fd::descriptor::Descriptor;
use crate::task::cell::layout::Waiter;

pub(crate) struct Endpoint {
    pub(crate) descriptor: Descriptor,
    kind: Cell<EndpointKind>,
    /// Whether the kernel lacks RWF_NOWAIT for the descriptor: see `endpoint_kind.rs`.
    lacks_nowait: Cell<bool>,
    /// The message header for sends, made by the first send that needs one.
    send_header: OnceCell<Box<SendHeader>>,
    pub(in crate::op) receiving: IoLock,
    pub(in crate::op) sending: IoLock,
    received: RefCell<ReceiveQueue>,
    /// The token of the multishot operation in flight.
    multishot: Cell<Option<NonZeroU64>>,
    /// Whether the last multishot operation ended for lack of a buffer.
    starved: Cell<bool>,
    /// The number of small pieces in a row after which pieces no longer count as large: see [`Endpoint::note_size`].
    large: Cell<u8>,
    /// The waiter for a received item: an operation that holds the receive lock.
    pub(super) waiter: Cell<Option<Waiter>>,
    pub(super) sent: Cell<u64>,
    pub(super) references: Cell<u32>,
}

/// The size from which on a piece counts as large, and the size below which the next piece counts as small.
const LARGE_PIECE: usize = 16 << 10;
const SMALL_PIECE: usize = 4 << 10;
const SMALL_IN_A_ROW: u8 = 2;

impl Endpoint {
    /// Creates an endpoint with one counted reference.
    pub(super) fn new(descriptor: Descriptor, kind: EndpointKind) -> Self {
        Endpoint {
            descriptor,
            kind: Cell::new(kind),
            lacks_nowait: Cell::new(false),
            send_header: OnceCell::new(),
            receiving: IoLock::default(),
            sending: IoLock::default(),
            received: RefCell::default(),
            multishot: Cell::new(None),
            starved: Cell::new(false),
            large: Cell::new(0),
            waiter: Cell::new(None),
            sent: Cell::new(0),
            references: Cell::new(1),
        }
    }

    /// Returns the number of bytes that the kernel has accepted for sending.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    #[inline]
    pub(crate) fn kind(&self) -> EndpointKind {
        self.kind.get()
    }

    /// Returns the message header for the one send in flight.
    pub(in crate::op) fn send_header(&self) -> &SendHeader {
        self.send_header.get_or_init(Box::default)
    }

    /// Notes that the kernel has no readiness for the descriptor.
    pub(in crate::op) fn never_waits(&self) {
        self.kind.set(EndpointKind::File);
    }

    pub(in crate::op) fn lacks_nowait(&self) -> bool {
        self.lacks_nowait.get()
    }

    /// Handles EOPNOTSUPP of a call. Returns true if calls are made in another way from now on.
    pub(in crate::op) fn go_without_nowait(&self) -> bool {
        matches!(self.kind(), EndpointKind::Pipe | EndpointKind::Terminal) && !self.lacks_nowait.replace(true)
    }

    pub(crate) fn add_sent(&self, count: usize) {
        self.sent.set(self.sent.get() + count as u64);
    }

    pub(crate) fn push_received(&self, received: Received) {
        self.received.borrow_mut().push(received);
    }

    pub(crate) fn has_received(&self) -> bool {
        self.received.borrow().first.is_some()
    }

    pub(crate) fn next_received(&self) -> Option<Received> {
        self.received.borrow_mut().pop()
    }

    /// Puts an item back at the front of the receive queue.
    pub(crate) fn put_back(&self, received: Received) {
        self.received.borrow_mut().put_back(received);
    }

    /// Takes bytes out of a received chunk and returns their number. The rest goes back to the queue; if `take` panics, as
    /// a user's buffer may, the whole chunk does.
    pub(in crate::op) fn take_bytes(&self, chunk: Chunk, take: impl FnOnce(&[u8]) -> usize) -> usize {
        struct Rest<'a>(&'a Endpoint, Chunk);
        impl Drop for Rest<'_> {
            fn drop(&mut self) {
                let rest = std::mem::take(&mut self.1);
                if !rest.is_empty() {
                    self.0.put_back(Received::Bytes(rest));
                }
            }
        }
        let mut rest = Rest(self, chunk);
        let taken = take(&rest.1);
        rest.1.advance(taken);
        taken
    }

    /// Takes bytes out of a received datagram and returns their number. The datagram goes back to the queue only if `take`
    /// panics.
    pub(in crate::op) fn take_datagram(
        &self,
        datagram: Datagram,
        take: impl FnOnce(&Datagram) -> usize,
    ) -> usize {
        struct Whole<'a>(&'a Endpoint, Option<Datagram>);
        impl Drop for Whole<'_> {
            fn drop(&mut self) {
                let whole = self.1.take();
                whole.into_iter().for_each(|datagram| self.0.put_back(Received::Datagram(datagram)));
            }
        }
        let mut whole = Whole(self, Some(datagram));
        let taken = whole.1.as_ref().map_or(0, take);
        whole.1 = None;
        taken
    }

    /// Returns the weight of the receive queue: its bytes, and a surcharge for each chunk.
    pub(crate) fn holds(&self) -> usize {
        self.received.borrow().weight
    }

    /// Polls for the first item of the receive queue. Returns `Pending` while the queue is empty and a multishot operation is
    /// in flight, and `None` if there is no such operation. With `ends` the caller will receive by itself: the multishot
    /// operation is stopped first.
    #[inline]
    pub(crate) fn poll_received(&self, cx: &Context<'_>, ends: bool) -> Poll<Option<Received>> {
        if let Some(received) = self.next_received() {
            return Poll::Ready(Some(received));
        }
        if self.multishot.get().is_none() {
            return Poll::Ready(None);
        }
        if ends {
            self.disarm();
            if self.multishot.get().is_none() {
                return Poll::Ready(self.next_received());
            }
        }
        self.wait(cx);
        Poll::Pending
    }

    /// Stores the waiter for the next item or the end of the multishot operation.
    #[inline]
    pub(crate) fn wait(&self, cx: &Context<'_>) {
        let waiter = self.waiter.take();
        let keep = waiter.as_ref().is_some_and(|waiter| waiter.will_wake(cx));
        self.waiter.set(waiter);
        if !keep {
            let waiter = Waiter::new(cx); // may panic: the one before stays until then
            drop(self.waiter.replace(Some(waiter)));
        }
    }

    /// Takes the waiter for a received item, to be woken.
    #[inline]
    pub(in crate::op) fn awaited(&self) -> Option<Waiter> {
        self.waiter.take()
    }

    /// Takes the waiter of the operation that holds the I/O lock of this side.
    pub(in crate::op) fn take_waiter(&self, side: Side) -> Option<Waiter> {
        if side == Side::Receive { self.awaited() } else { None }
    }

    /// Returns true while a multishot operation is in flight.
    pub(crate) fn is_armed(&self) -> bool {
        self.multishot.get().is_some()
    }

    /// Notes that a multishot operation has been started.
    pub(crate) fn armed(&self, token: NonZeroU64) {
        self.multishot.set(Some(token));
    }

    /// Stops the multishot operation. Its end wakes the endpoint's waiter.
    pub(crate) fn disarm(&self) {
        if let Some(token) = self.multishot.get() {
            self.descriptor.stop_multishot(token);
        }
    }

    /// Notes that the multishot operation has ended, and wakes the waiter. Nothing may be borrowed meanwhile.
    pub(in crate::op) fn disarmed(&self, starved: bool) {
        self.multishot.set(None);
        self.starved.set(starved);
        if let Some(waiter) = self.awaited() {
            waiter.wake();
        }
    }

    /// Notes the size of a received piece. Large pieces are better received when a task waits for them, into a buffer that is
    /// still in the caches, than by a multishot operation, into as many buffers as there are streams. One small piece may be
    /// the rest of a large message.
    pub(in crate::op) fn note_size(&self, count: usize) {
        if count >= LARGE_PIECE {
            self.large.set(SMALL_IN_A_ROW);
        } else if count < SMALL_PIECE {
            self.large.set(self.large.get().saturating_sub(1));
        }
    }

    /// Returns true if the received pieces are large.
    pub(crate) fn is_large(&self) -> bool {
        self.large.get() > 0
    }

    /// Returns true once after a multishot operation has ended for lack of a buffer.
    pub(crate) fn was_starved(&self) -> bool {
        self.starved.take()
    }
}

impl Endpoint {
    pub(in crate::op) fn lock(&self, side: Side) -> &IoLock {
        match side {
            Side::Receive => &self.receiving,
            Side::Send | Side::SendWithoutCopy => &self.sending,
        }
    }

    /// Returns true if no send is in flight and none waits.
    pub(crate) fn is_free_to_send(&self) -> bool {
        !self.sending.locked.get() && self.sending.has_no_waiters()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let armed = self.is_armed();
        f.debug_struct("Endpoint")
            .field("fd", &self.descriptor)
            .field("armed", &armed)
            .finish_non_exhaustive()
    }
}

/// Queues an error that the kernel will not report a second time.
pub(in crate::op) fn keep_error(endpoint: &Endpoint, error: &io::Error) {
    match error.raw_os_error() {
        None | Some(libc::ECANCELED | libc::EINTR | libc::EAGAIN) => {}
        Some(errno) => endpoint.push_received(Received::Error(errno)),
    }
}
