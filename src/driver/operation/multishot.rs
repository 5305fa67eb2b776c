//! Start and stop of multishot operations, which belong to endpoints.
//!
//! `dispatch.rs` starts one when a future would have to wait, if the kernel has such operations and buffers for them. Its
//! completions go to the endpoint. Its slot is reclaimed when it ends.

use std::num::NonZeroU64;
use std::rc::Rc;

use crate::driver::Driver;
use crate::driver::feature::Feature;
use crate::driver::memory::buffers::Memory;
use crate::driver::proactor::uring::DATAGRAMS;
use crate::driver::slots::key::Key;
use crate::driver::slots::lifecycle::Lifecycle;
use crate::driver::slots::slot_ref::SlotRef;
use crate::op::Op;
use crate::op::catalogue::net::multishot::{Bytes, Datagrams, Multishot, PollEvents};
use crate::op::object::datagram::Datagram;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::op::object::source::MultishotKind;

/// Bytes of a buffer for datagrams. Each datagram has a buffer of its own; pages that are not written to cost nothing.
const DATAGRAM_BUFFER: usize = Datagram::LARGEST.next_multiple_of(4_096);

impl Driver {
    /// Starts a multishot operation that fills the endpoint's receive queue. Each item and the end of the operation wake the
    /// endpoint's waiter. Returns false if the backend cannot do that, or not now.
    pub(in crate::driver) fn arm(&self, endpoint: &EndpointRef, what: MultishotKind) -> bool {
        self.check_host(endpoint.descriptor.host(), "a receive");
        let feature = match what {
            MultishotKind::Bytes | MultishotKind::Datagrams => Feature::MultishotRecv,
            MultishotKind::Read => Feature::MultishotRead,
            MultishotKind::Poll(_) => Feature::MultishotPoll,
        };
        let streams = matches!(what, MultishotKind::Bytes | MultishotKind::Read);
        let polls = endpoint.was_starved() || (streams && endpoint.is_large());
        if !self.features.has(feature) || polls || self.needs_edges(&endpoint.descriptor) {
            return false;
        }
        let shared = endpoint.endpoint().clone();
        let key = match what {
            MultishotKind::Poll(direction) => {
                self.start_multishot(Multishot::new(shared, PollEvents(direction)))
            }
            MultishotKind::Bytes | MultishotKind::Read if self.streams.refill() => {
                let limited = self.features.has(Feature::RecvLimit);
                let bytes = Bytes::new(self.streams.clone(), endpoint, limited);
                self.start_multishot(Multishot::new(shared, bytes))
            }
            MultishotKind::Datagrams if self.datagrams().refill() => {
                self.start_multishot(Multishot::new(shared, Datagrams::new(self.datagrams().clone())))
            }
            MultishotKind::Bytes | MultishotKind::Read | MultishotKind::Datagrams => None,
        };
        // A key is never zero: generations begin with 1.
        if let Some(token) = key.and_then(|key| NonZeroU64::new(key.pack())) {
            endpoint.armed(token);
        }
        key.is_some()
    }

    /// Submits a multishot operation, which has no future. Returns `None` if there is no ring.
    pub(in crate::driver) fn start_multishot<O: Op<Output = ()>>(&self, op: O) -> Option<Key> {
        let inserted = self.slots.insert(op, None, None);
        // SAFETY: it was inserted with this type in the line above, and nobody else refers to it.
        let entry = unsafe { inserted.get::<O>().as_mut() }.entry();
        let submitted = self.with_ring(|ring| ring.submit(inserted, entry, &self.stats));
        if submitted.is_none() {
            self.abandon(inserted.key());
        }
        submitted.map(|()| inserted.key())
    }

    /// Cancels a multishot operation, unless it is ending already.
    pub(in crate::driver) fn stop_operation(&self, key: Key) {
        let lifecycle = self.slots.find(key).map(SlotRef::lifecycle);
        if matches!(lifecycle, Some(Lifecycle::Queued | Lifecycle::InFlight | Lifecycle::Cancelling)) {
            self.abandon(key);
        }
    }

    /// Returns the memory for datagrams. They have a buffer group of their own, because no two share a buffer.
    pub(in crate::driver) fn datagrams(&self) -> &Rc<Memory> {
        self.datagrams.get_or_init(|| {
            let ring = self.features.has(Feature::MultishotRecv).then(|| {
                self.with_ring(|ring| ring.kernel.register_buffers(DATAGRAMS, false).ok()).flatten()
            });
            let max = self.resources.datagram_buffers as usize;
            Rc::new(Memory::new(DATAGRAM_BUFFER, max, false, ring.flatten()))
        })
    }

    /// Counts the buffers of the runtime's memory that chunks hold.
    pub(crate) fn chunk_buffers(&self) -> usize {
        self.streams.out() + self.datagrams.get().map_or(0, |memory| memory.out())
    }
}
