//! An endpoint: a socket with what its operations share.
//!
//! Two [I/O locks](IoLock) admit one receive and one send at a time.
//!
//! *ReceiveQueue* are what the kernel delivered and nobody has taken yet: what a *multishot operation* (a multishot receive,
//! which belongs to the endpoint and not to a future) has brought, and what came for futures that had gone.
//! The next receive or accept is answered from here first, so that dropping a future loses nothing.
//!
//! Who uses the endpoint holds a [`Share`] of it. When the last one goes, the multishot operation is ended; it keeps the
//! endpoint itself, and so the descriptor, until the kernel has let go of it.
#![forbid(unsafe_code)]

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::accepted::Accepted;
use super::datagram::Datagram;
use super::fd::Descriptor;
use super::io_lock::{IoLock, Side};
use super::medium::{Medium, SendHeader};
use crate::buf::Chunk;
use crate::task::cell::layout::Waiter;

pub(crate) struct Endpoint {
    pub(crate) descriptor: Descriptor,
    medium: Cell<Medium>,
    /// The kernel has no RWF_NOWAIT for it: see `medium.rs`.
    lacks_nowait: Cell<bool>,
    /// For sends as messages, once there was one.
    send_header: OnceCell<Box<SendHeader>>,
    pub(in crate::op) receiving: IoLock,
    pub(in crate::op) sending: IoLock,
    received: RefCell<ReceiveQueue>,
    /// The operation that fills `arrivals`, while there is one.
    multishot: Cell<Option<NonZeroU64>>,
    /// The last one found no buffer.
    starved: Cell<bool>,
    /// Small pieces in a row after which what comes is no longer large: see [`Endpoint::note_size`].
    large: Cell<u8>,
    /// The waiter for an arrival: an operation that is through the gate.
    waiter: Cell<Option<Waiter>>,
    sent: Cell<u64>,
    shares: Cell<u32>,
}

/// Something that came and was not taken yet.
#[derive(Debug)]
pub(crate) enum Received {
    Bytes(Chunk),
    /// The end of a stream.
    End,
    Datagram(Datagram),
    /// An accept was dropped while it was in flight.
    Connection(Box<Accepted>),
    /// Something happened: see `op/catalogue/poll.rs`.
    Ready,
    /// An error that the kernel reports only once, such as ECONNRESET.
    Error(i32),
}

impl Received {
    /// Returns the size that it adds to [`Endpoint::holds`].
    fn weight(&self) -> usize {
        match self {
            // A small chunk keeps memory as well.
            Received::Bytes(chunk) => chunk.len() + SMALL,
            Received::Datagram(datagram) => datagram.len() + SMALL,
            Received::Connection(_) | Received::Ready => 1,
            Received::End | Received::Error(_) => 0,
        }
    }

    /// The same, in memory of its own size when it keeps more than twice as much.
    #[cold]
    fn compacted(self) -> Self {
        match self {
            Received::Bytes(chunk) => Received::Bytes(chunk.compacted()),
            Received::Datagram(datagram) => Received::Datagram(datagram.compacted()),
            other => other,
        }
    }
}

/// Bytes from which on a piece is large, and up to which the next is small again.
const LARGE_PIECE: usize = 16 << 10;
const SMALL_PIECE: usize = 4 << 10;
const SMALL_IN_A_ROW: u8 = 2;

/// Pieces that keep the buffers that they were received into, whatever their size; those that come behind them are
/// copied when they keep more than twice their size. A receiver who does not come so holds little beside the bytes.
const PIECES_IN_PLACE: usize = 16;

/// Places that an empty queue keeps.
const KEPT_PLACES: usize = 32;

/// The overhead that a chunk counts for, in addition to its bytes.
const SMALL: usize = 256;

/// A queue whose first place needs no memory of its own: most have no second.
#[derive(Debug, Default)]
struct ReceiveQueue {
    first: Option<Received>,
    #[expect(clippy::box_collection, reason = "a pointer's size where most have nothing")]
    rest: Option<Box<VecDeque<Received>>>,
    weight: usize,
}

impl ReceiveQueue {
    fn push(&mut self, received: Received) {
        self.weight += received.weight();
        match &mut self.first {
            None => self.first = Some(received),
            Some(_) => {
                let rest = self.rest.get_or_insert_default();
                rest.push_back(if rest.len() < PIECES_IN_PLACE { received } else { received.compacted() });
            }
        }
    }

    fn pop(&mut self) -> Option<Received> {
        let next = self.rest.as_mut().and_then(|rest| rest.pop_front());
        if next.is_none() && self.rest.as_ref().is_some_and(|rest| rest.capacity() > KEPT_PLACES) {
            self.rest = None; // a burst is over
        }
        let received = std::mem::replace(&mut self.first, next)?;
        self.weight -= received.weight();
        Some(received)
    }

    fn put_back(&mut self, received: Received) {
        self.weight += received.weight();
        if let Some(second) = self.first.replace(received) {
            self.rest.get_or_insert_default().push_front(second);
        }
    }
}

impl Endpoint {
    /// Bytes that the kernel took for sending so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    #[inline]
    pub(crate) fn medium(&self) -> Medium {
        self.medium.get()
    }

    /// The header for the one send that is in flight.
    pub(in crate::op) fn send_header(&self) -> &SendHeader {
        self.send_header.get_or_init(Box::default)
    }

    /// The kernel has no readiness for it.
    pub(in crate::op) fn never_waits(&self) {
        self.medium.set(Medium::File);
    }

    pub(in crate::op) fn lacks_nowait(&self) -> bool {
        self.lacks_nowait.get()
    }

    /// A call was answered with EOPNOTSUPP. True if calls are made in another way from now on.
    pub(in crate::op) fn go_without_nowait(&self) -> bool {
        matches!(self.medium(), Medium::Pipe | Medium::Terminal) && !self.lacks_nowait.replace(true)
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

    /// Puts back what the receiver had no room for.
    pub(crate) fn put_back(&self, received: Received) {
        self.received.borrow_mut().put_back(received);
    }

    /// Has bytes taken out of a chunk that has arrived, and gives how many. The rest is put back: all of it when `take`
    /// panics, as a buffer of the user may.
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

    /// The same of a datagram, of which nothing is put back unless `take` panics.
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

    /// How much has arrived and was not taken: bytes, with a surcharge for each chunk.
    pub(crate) fn holds(&self) -> usize {
        self.received.borrow().weight
    }

    /// Polls for the first arrival. `Pending` while nothing has arrived and a multishot operation is in flight; `None` if
    /// there is no such operation. With `ends` the receiver asks the kernel itself, and waits for that operation's end.
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

    /// Keeps the waker of who waits for an arrival, or for the multishot operation's end.
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

    /// Takes the waiter for an arrival, to be woken.
    #[inline]
    pub(in crate::op) fn awaited(&self) -> Option<Waiter> {
        self.waiter.take()
    }

    /// Takes the waiter of the operation that holds the I/O lock of this side.
    pub(in crate::op) fn take_waiter(&self, side: Side) -> Option<Waiter> {
        if side == Side::Receive { self.awaited() } else { None }
    }

    /// Whether a multishot operation is with the kernel.
    pub(crate) fn is_armed(&self) -> bool {
        self.multishot.get().is_some()
    }

    /// An operation has begun that fills the arrivals.
    pub(crate) fn armed(&self, token: NonZeroU64) {
        self.multishot.set(Some(token));
    }

    /// Asks for the multishot operation's end; who waits is woken when it has come.
    pub(crate) fn disarm(&self) {
        if let Some(token) = self.multishot.get() {
            self.descriptor.stop_multishot(token);
        }
    }

    /// The multishot operation is over. Wakes, so nothing may be borrowed.
    pub(in crate::op) fn disarmed(&self, starved: bool) {
        self.multishot.set(None);
        self.starved.set(starved);
        if let Some(waiter) = self.awaited() {
            waiter.wake();
        }
    }

    /// Notes how much came at once. Large pieces are better received when somebody is there to take them, into a buffer
    /// that is still in the caches, than by a multishot operation, into as many buffers as there are streams. One small piece
    /// may be the rest of a large message.
    pub(in crate::op) fn note_size(&self, count: usize) {
        if count >= LARGE_PIECE {
            self.large.set(SMALL_IN_A_ROW);
        } else if count < SMALL_PIECE {
            self.large.set(self.large.get().saturating_sub(1));
        }
    }

    /// Whether the pieces that come are large.
    pub(crate) fn is_large(&self) -> bool {
        self.large.get() > 0
    }

    /// Whether the last multishot operation found no buffer, and nothing was received since; asked once.
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

    /// Whether no send is in flight, and none waits for its turn.
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

/// A share of an endpoint. Operations of futures hold one, as do streams and listeners; multishot operations don't.
#[derive(Debug)]
pub(crate) struct Share(Rc<Endpoint>);

impl Share {
    /// The first share of a new endpoint.
    pub(crate) fn new(descriptor: Descriptor) -> Self {
        Self::of(descriptor, Medium::Socket)
    }

    /// The first share of a new endpoint on one end of a pipe, or on what was given as one.
    pub(crate) fn of_pipe(descriptor: Descriptor, medium: Medium) -> Self {
        descriptor.note_lent();
        Self::of(descriptor, medium)
    }

    fn of(descriptor: Descriptor, medium: Medium) -> Self {
        if medium != Medium::Socket {
            descriptor.always_copy(); // only sockets can do without
        }
        Share(Rc::new(Endpoint {
            descriptor,
            medium: Cell::new(medium),
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
            shares: Cell::new(1),
        }))
    }

    /// The endpoint for its multishot operation, which does not keep it in use.
    pub(crate) fn endpoint(&self) -> &Rc<Endpoint> {
        &self.0
    }

    pub(crate) fn is_same(&self, other: &Share) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Whether nobody else uses the endpoint.
    pub(crate) fn is_only(&self) -> bool {
        self.shares.get() == 1
    }

    /// The first share of an endpoint that goes on where this one has ended, with another descriptor of the same file.
    pub(crate) fn continued(&self, descriptor: Descriptor) -> Self {
        let share = Self::of(descriptor, self.medium());
        std::iter::from_fn(|| self.next_received()).for_each(|received| share.push_received(received));
        share.sent.set(self.sent.get());
        share
    }

    /// Whether so many shares are all that is left of it.
    pub(crate) fn is_shared_by(&self, shares: usize) -> bool {
        Rc::strong_count(&self.0) == shares
    }

    /// Whether an operation of nobody, or others' shares, are still there.
    pub(crate) fn is_held(&self) -> bool {
        !self.is_shared_by(1)
    }

    /// The endpoint, if this is all that is left of it.
    pub(crate) fn into_inner(self) -> Option<Endpoint> {
        if self.is_held() {
            return None;
        }
        let mut endpoint = Some(self.0.clone());
        drop(self);
        endpoint.take().and_then(Rc::into_inner)
    }
}

impl Clone for Share {
    fn clone(&self) -> Self {
        self.shares.set(self.shares.get() + 1);
        Share(self.0.clone())
    }
}

impl Deref for Share {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.0
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shares.set(self.shares.get() - 1);
        if self.shares.get() == 0 && self.is_armed() {
            drop(self.waiter.take());
            self.disarm();
        }
    }
}

/// Keeps an error that the kernel won't report a second time.
pub(in crate::op) fn keep_error(endpoint: &Endpoint, error: &io::Error) {
    match error.raw_os_error() {
        None | Some(libc::ECANCELED | libc::EINTR | libc::EAGAIN) => {}
        Some(errno) => endpoint.push_received(Received::Error(errno)),
    }
}
