//! Counting and cancelling the operations in flight, and closing the engine at a shutdown.
#![forbid(unsafe_code)]

use super::Driver;
use super::engine::Engine;
use super::proactor::open::Opcodes;
use super::slots::key::Key;
use super::slots::lifecycle::Lifecycle;
use super::slots::slot_ref::SlotRef;
use crate::sys::guarded::Guarded;

impl Driver {
    /// Returns the key of the driver's own operation, if one is in flight.
    pub(in crate::driver) fn own(&self) -> Option<Key> {
        match &*self.engine() {
            Engine::Ring(ring, _) => ring.own_operation(),
            Engine::Poller(_) | Engine::Closed => None,
        }
    }

    /// Counts the operations of futures in slots, those of dropped futures included.
    pub(crate) fn live_operations(&self) -> usize {
        self.slots.live() - self.slots.multishot() - usize::from(self.own().is_some())
    }

    /// Counts the multishot operations of endpoints.
    pub(crate) fn multishot_operations(&self) -> usize {
        self.slots.multishot() - usize::from(self.edges.is_polled())
    }

    /// Counts the operations that have started since the runtime was made, the driver's own included.
    pub(crate) fn begun(&self) -> u64 {
        self.slots.inserted()
    }

    /// Cancels every operation in flight. Operations that end at once wake their waiters, which may run user code.
    pub(crate) fn cancel_all(&self) {
        let own = self.own();
        let mut guarded = Guarded::default();
        for key in self.slots.keys().into_iter().filter(|key| own != Some(*key)) {
            let lifecycle = self.slots.find(key).map(SlotRef::lifecycle);
            if matches!(lifecycle, Some(Lifecycle::Queued | Lifecycle::InFlight)) {
                guarded.run(|| match self.slots.find(key) {
                    Some(operation) if operation.is_multishot() => self.abandon(key),
                    _ => self.cancel(key),
                });
            }
        }
        guarded.finish();
    }

    /// Counts the operations into which the kernel or the pool has pointers, without the driver's own.
    pub(crate) fn in_flight(&self) -> usize {
        self.count(Lifecycle::is_in_flight)
    }

    /// Counts the operations in flight whose result has come. The kernel only reads their buffers, until a peer has taken the
    /// bytes.
    pub(crate) fn notifying(&self) -> usize {
        self.count(Lifecycle::is_notifying)
    }

    pub(in crate::driver) fn count(&self, is_counted: impl Fn(Lifecycle) -> bool) -> usize {
        let own = self.own();
        let keys = self.slots.keys().into_iter().filter(|key| own != Some(*key));
        keys.filter_map(|key| self.slots.find(key))
            .filter(|operation| is_counted(operation.lifecycle()))
            .count()
    }

    /// Counts the operations in flight, without calls on the pool that need not be awaited: see [`Op::MAY_BE_LEFT`].
    pub(crate) fn awaited(&self) -> usize {
        let keys = self.slots.keys().into_iter();
        let left = keys.filter_map(|key| self.slots.find(key)).filter(|operation| operation.is_left());
        self.in_flight() - left.count()
    }

    /// Closes the engine. Operations that are still in flight stay in their slots for good.
    pub(crate) fn close(&self) {
        if let Engine::Ring(ring, _) = &mut *self.engine() {
            ring.disarm_wake(&self.slots, &self.stats, &mut self.deferred.borrow_mut());
        }
        self.run_deferred();
        self.release_notifying();
        self.native.set(Opcodes::default());
        let engine = std::mem::replace(&mut *self.engine(), Engine::Closed);
        drop(engine);
        self.edges.close();
        // An operation in flight may yet take a buffer, unless it is notifying: then the kernel keeps all buffers.
        if self.awaited() == self.notifying() {
            self.streams.withdraw();
            self.datagrams.get().iter().for_each(|memory| memory.withdraw());
        }
    }

    /// Detaches leaked operations from their tasks, as the last step of a shutdown. A leaked operation keeps its memory and
    /// its descriptor; its task would keep the loop's inbox and event descriptor as well.
    pub(crate) fn disown_leaked(&self) {
        let mut guarded = Guarded::default();
        for key in self.slots.keys() {
            guarded.run(|| drop(self.slots.find(key).map(SlotRef::disown)));
        }
        guarded.finish();
    }
}
