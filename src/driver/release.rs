//! Letting go of descriptors: what the drop of an object or of a future does at once, so that the descriptor closes
//! although the loop may not turn soon.
//!
//! The kernel keeps a file open while an operation is on it. In a running loop the cancel goes with the next visit, which
//! is near; outside of it, nobody knows when that will be. So a drop outside hands its cancel over by itself, takes the
//! completion, and takes the operation apart. It runs no code of other users' operations: their wakers, and the
//! destructors of their buffers, stay with the driver and are run by the loop.

use std::time::Duration;

use super::Driver;
use super::poll_mode::{Deadline, Deferred, PollMode};
use super::slots::arena::{Holder, SlotRef};
use super::slots::key::Key;
use crate::op::object::endpoint::EndpointRef;
use crate::op::object::fd::Descriptor;
use crate::sys::guarded::Guarded;

/// Visits without a completion after which a drop outside of the loop gives up: the kernel takes nothing for now.
const VAIN_VISITS: u32 = 4;

/// How often, and for how long, such a drop waits for a thread of the kernel to end its operation: the one that polls the
/// queue, or the worker that is in the operation. (Before Linux 6.4 a worker waits in a read or write of a pipe.)
const KERNEL_THREAD_WAITS: u32 = 100;
const KERNEL_THREAD_WAIT: Duration = Duration::from_millis(1);

impl Driver {
    /// Whether its loop runs on this thread now: then it visits the kernel soon.
    fn is_running(&self) -> bool {
        super::with(|current| current.is_some_and(|driver| std::ptr::eq(driver, self)))
    }

    /// A cancel, or the close of a direct descriptor, has been queued by a drop. Outside of the running loop this hands it
    /// over, and takes what comes of it.
    pub(super) fn release_outside(&self, operation: Option<Key>) {
        if self.is_running() {
            return;
        }
        operation.and_then(|key| self.slots.find(key)).into_iter().for_each(SlotRef::release_at_once);
        // A destructor may drop the next object: the visits of the first drop serve both.
        if self.releasing.replace(true) {
            return;
        }
        let mut guarded = Guarded::default();
        let mut vain = 0;
        while vain < VAIN_VISITS && self.is_behind() {
            vain = if self.poll_outside(PollMode::Drain, &mut guarded) { 0 } else { vain + 1 };
        }
        let is_with_kernel = |key| {
            self.slots.find(key).is_some_and(|operation| {
                let lifecycle = operation.lifecycle();
                operation.holder() == Holder::Kernel && lifecycle.is_in_flight() && !lifecycle.is_notifying()
            })
        };
        for _ in (0..KERNEL_THREAD_WAITS).take_while(|_| operation.is_some_and(is_with_kernel)) {
            self.poll_outside(PollMode::Wait(Deadline::After(KERNEL_THREAD_WAIT)), &mut guarded);
        }
        self.releasing.set(false);
        self.tell_of_leftovers();
        guarded.finish();
    }

    /// One visit of a drop outside of the loop. True if there were completions.
    fn poll_outside(&self, mode: PollMode, guarded: &mut Guarded) -> bool {
        let before = self.stats.completions.get();
        let visited = self.poll_engine(mode);
        self.run_deferred_released(guarded);
        visited.is_ok() && self.stats.completions.get() > before
    }

    /// Takes apart what was dropped outside of the loop, and what belongs to endpoints, which runs no code of users. The
    /// rest waits for the loop.
    fn run_deferred_released(&self, guarded: &mut Guarded) {
        let is_released = |key: &Key| self.slots.find(*key).is_none_or(SlotRef::is_released_at_once);
        loop {
            let Deferred { wake, release, reclaim, stop } = self.deferred.take();
            let (release, release_later): (Vec<_>, Vec<_>) = release.into_iter().partition(is_released);
            let (reclaim, reclaim_later): (Vec<_>, Vec<_>) = reclaim.into_iter().partition(is_released);
            let nothing = release.is_empty() && reclaim.is_empty() && stop.is_empty();
            {
                let mut deferred = self.deferred.borrow_mut();
                deferred.wake.extend(wake);
                deferred.release.extend(release_later);
                deferred.reclaim.extend(reclaim_later);
            }
            if nothing {
                return;
            }
            stop.into_iter().for_each(|key| guarded.run(|| self.stop_operation(key)));
            for key in release {
                guarded.run(|| self.slots.find(key).map_or((), SlotRef::release));
            }
            for key in reclaim {
                guarded.run(|| self.slots.find(key).map_or((), SlotRef::reclaim));
            }
        }
    }

    /// The backend is about to be closed: no notification will come, and the buffers are left to the kernel. All else is
    /// let go of, so that the descriptors close.
    pub(super) fn release_notifying(&self) {
        let mut guarded = Guarded::default();
        for key in self.slots.keys() {
            guarded.run(|| self.slots.find(key).map_or((), SlotRef::release));
        }
        guarded.finish();
    }

    /// A foreign loop that waits for this one's descriptor has to turn it, if there is something for it.
    fn tell_of_leftovers(&self) {
        let shared = self.scheduler.shared();
        let left = self.scheduler.is_ready() || self.has_deferred() || shared.has_arrivals(true);
        if left && self.origin.is_here() {
            shared.eventfd.signal();
        }
    }
}

/// An object that holds a port or is being closed goes: ends its own operation, and has the kernel end those of dropped
/// futures.
pub(crate) fn let_go(endpoint: &EndpointRef) {
    // A second time when the operations of dropped futures have let go of it.
    for _ in 0..2 {
        if endpoint.is_only() {
            endpoint.disarm();
        }
        if endpoint.is_referenced_elsewhere() {
            flush_for(&endpoint.descriptor);
        }
    }
}

/// An object that is being closed may share its descriptor with operations of dropped futures: has the kernel end these
/// now, if this is the thread's runtime. One that is being shut down ends all of them together.
pub(crate) fn flush_for(descriptor: &Descriptor) {
    if let Some(driver) = super::current()
        && std::ptr::addr_eq(descriptor.host(), std::rc::Rc::as_ptr(&driver))
        && !driver.scheduler.is_closed()
    {
        driver.flush();
    }
}
