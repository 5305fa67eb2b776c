//! Standing operations: how an endpoint's own operation begins, in the place of one for each future, and how it ends.
//!
//! It is begun by whoever would wait (`dispatch.rs` asks), where the kernel has such operations and buffers for them.
//! Nobody claims it: its completions go to the endpoint, and at its end it is taken apart.

use std::num::NonZeroU64;
use std::rc::Rc;

use super::Driver;
use super::feature::Feature;
use super::memory::buffers::Memory;
use super::proactor::kernel::DATAGRAMS;
use super::slots::arena::Occupied;
use super::slots::key::Key;
use super::slots::lifecycle::Life;
use crate::op::Op;
use crate::op::catalogue::multishot::{Bytes, Datagrams, Readiness, Stand};
use crate::op::object::datagram::Datagram;
use crate::op::object::endpoint::Share;
use crate::op::object::source::Standing;

/// Bytes of a buffer for a datagram, which has one of its own. Pages that are not written to cost nothing.
const DATAGRAM_BUFFER: usize = Datagram::LARGEST.next_multiple_of(4_096);

impl Driver {
    /// Has an operation fill the endpoint's arrivals, if this machine can: then somebody who waits for an arrival is
    /// woken, or for its end. False where it can't, or not now.
    pub(super) fn arm(&self, endpoint: &Share, what: Standing) -> bool {
        self.check_home(endpoint.descriptor.home(), "a receive");
        let feature = match what {
            Standing::Bytes | Standing::Datagrams => Feature::MultishotRecv,
            Standing::Read => Feature::MultishotRead,
            Standing::Readiness(_) => Feature::MultishotPoll,
        };
        let streams = matches!(what, Standing::Bytes | Standing::Read);
        let polls = endpoint.was_starved() || (streams && endpoint.is_large());
        if !self.features.has(feature) || polls || self.needs_edges(&endpoint.descriptor) {
            return false;
        }
        let shared = endpoint.endpoint().clone();
        let key = match what {
            Standing::Readiness(direction) => self.stand(Stand::new(shared, Readiness(direction))),
            Standing::Bytes | Standing::Read if self.streams.top_up() => {
                let limited = self.features.has(Feature::RecvLimit);
                let bytes = Bytes::new(self.streams.clone(), endpoint, limited);
                self.stand(Stand::new(shared, bytes))
            }
            Standing::Datagrams if self.datagrams().top_up() => {
                self.stand(Stand::new(shared, Datagrams::new(self.datagrams().clone())))
            }
            Standing::Bytes | Standing::Read | Standing::Datagrams => None,
        };
        // A key is never zero: generations begin with 1.
        if let Some(token) = key.and_then(|key| NonZeroU64::new(key.pack())) {
            endpoint.armed(token);
        }
        key.is_some()
    }

    /// Begins an operation that belongs to no future. None when the ring has gone.
    pub(super) fn stand<O: Op<Output = ()>>(&self, op: O) -> Option<Key> {
        let placed = self.slots.place(op, None, None);
        // SAFETY: it was placed with this type in the line above, and nobody else refers to it.
        let entry = unsafe { placed.get::<O>().as_mut() }.entry();
        let submitted = self.with_ring(|ring| ring.submit(placed, entry, &self.stats));
        if submitted.is_none() {
            self.abandon(placed.key());
        }
        submitted.map(|()| placed.key())
    }

    /// Ends an operation that belongs to no future, unless it is ending.
    pub(super) fn end_standing_operation(&self, key: Key) {
        let life = self.slots.find(key).map(Occupied::life);
        if matches!(life, Some(Life::Queued | Life::InFlight | Life::Cancelling)) {
            self.abandon(key);
        }
    }

    /// Memory for datagrams, which have a group of their own: no two share a buffer.
    pub(super) fn datagrams(&self) -> &Rc<Memory> {
        self.datagrams.get_or_init(|| {
            let ring = self.features.has(Feature::MultishotRecv).then(|| {
                self.with_ring(|ring| ring.kernel.register_buffers(DATAGRAMS, false).ok()).flatten()
            });
            let max = self.resources.datagram_buffers as usize;
            Rc::new(Memory::new(DATAGRAM_BUFFER, max, false, ring.flatten()))
        })
    }

    /// Buffers of the loop's memory that chunks have.
    pub(crate) fn chunk_buffers(&self) -> usize {
        self.streams.out() + self.datagrams.get().map_or(0, |memory| memory.out())
    }
}
