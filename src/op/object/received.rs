//! The receive queue of an endpoint.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use super::accepted::Accepted;
use super::datagram::Datagram;
use crate::buf::Chunk;

/// An item in an endpoint's receive queue.
#[derive(Debug)]
pub(crate) enum Received {
    Bytes(Chunk),
    /// The end of a stream.
    End,
    Datagram(Datagram),
    /// A connection of an accept that was dropped in flight.
    Connection(Box<Accepted>),
    /// A report of readiness: see `op/catalogue/poll.rs`.
    Ready,
    /// An error that the kernel reports only once, such as ECONNRESET.
    Error(i32),
}

impl Received {
    /// Returns the weight of the item in [`Endpoint::holds`].
    fn weight(&self) -> usize {
        match self {
            // A small chunk keeps memory as well.
            Received::Bytes(chunk) => chunk.len() + SMALL,
            Received::Datagram(datagram) => datagram.len() + SMALL,
            Received::Connection(_) | Received::Ready => 1,
            Received::End | Received::Error(_) => 0,
        }
    }

    /// Copies the item into memory of its own size if it keeps more than twice as much.
    #[cold]
    fn compacted(self) -> Self {
        match self {
            Received::Bytes(chunk) => Received::Bytes(chunk.compacted()),
            Received::Datagram(datagram) => Received::Datagram(datagram.compacted()),
            other => other,
        }
    }
}

/// The number of queued pieces that keep their buffers, whatever their size. Later pieces are copied if they keep more than
/// twice their size. So an endpoint without a receiver holds little memory beside the bytes.
const PIECES_IN_PLACE: usize = 16;

/// The capacity that an empty queue keeps.
const KEPT_PLACES: usize = 32;

/// The weight of a chunk in addition to its bytes.
const SMALL: usize = 256;

/// A queue that stores its first item inline. Most queues have no second item.
#[derive(Debug, Default)]
pub(super) struct ReceiveQueue {
    pub(super) first: Option<Received>,
    #[expect(clippy::box_collection, reason = "most queues have no rest, and a pointer is smaller")]
    rest: Option<Box<VecDeque<Received>>>,
    pub(super) weight: usize,
}

impl ReceiveQueue {
    pub(super) fn push(&mut self, received: Received) {
        self.weight += received.weight();
        match &mut self.first {
            None => self.first = Some(received),
            Some(_) => {
                let rest = self.rest.get_or_insert_default();
                rest.push_back(if rest.len() < PIECES_IN_PLACE { received } else { received.compacted() });
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<Received> {
        let next = self.rest.as_mut().and_then(|rest| rest.pop_front());
        if next.is_none() && self.rest.as_ref().is_some_and(|rest| rest.capacity() > KEPT_PLACES) {
            self.rest = None; // gives the memory of a burst back
        }
        let received = std::mem::replace(&mut self.first, next)?;
        self.weight -= received.weight();
        Some(received)
    }

    pub(super) fn put_back(&mut self, received: Received) {
        self.weight += received.weight();
        if let Some(second) = self.first.replace(received) {
            self.rest.get_or_insert_default().push_front(second);
        }
    }
}
