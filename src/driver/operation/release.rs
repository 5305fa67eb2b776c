//! Drops outside the running loop: the descriptor closes at once, although the loop may not turn soon.
//!
//! The kernel keeps a file open while an operation on it is in flight. In a running loop the cancel is submitted when the
//! loop polls the kernel, which is soon. Outside the loop that time is unknown. So a drop outside submits its cancel itself,
//! takes the completion, and reclaims the operation. It runs no user code of other operations: their wakers and the
//! destructors of their buffers stay with the driver, and the loop runs them.

use std::time::Duration;

use crate::driver::Driver;
use crate::driver::poll_mode::{Deadline, Deferred, PollMode};
use crate::driver::slots::arena::Holder;
use crate::driver::slots::key::Key;
use crate::driver::slots::slot_ref::SlotRef;
use crate::op::fd::descriptor::Descriptor;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::sys::guarded::Guarded;

/// The number of polls without a completion after which a drop outside the loop gives up.
const VAIN_VISITS: u32 = 4;

/// The number and the length of the waits for a kernel thread to end the operation: the thread that polls the queue, or the
/// worker that carries out the operation. (Before Linux 6.4 a worker waits in a read or write of a pipe.)
const KERNEL_THREAD_WAITS: u32 = 100;
const KERNEL_THREAD_WAIT: Duration = Duration::from_millis(1);

impl Driver {
    /// Returns true if the loop of this driver runs on this thread now. Then it polls the kernel soon.
    fn is_running(&self) -> bool {
        crate::driver::with(|current| current.is_some_and(|driver| std::ptr::eq(driver, self)))
    }

    /// Submits the cancel or the close of a direct descriptor that a drop has queued, and takes its completion. Does nothing
    /// in the running loop.
    pub(in crate::driver) fn release_outside(&self, operation: Option<Key>) {
        if self.is_running() {
            return;
        }
        operation.and_then(|key| self.slots.find(key)).into_iter().for_each(SlotRef::release_at_once);
        // A destructor may drop the next object: the polls of the first drop serve both.
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

    /// Polls the kernel for a drop outside the loop. Returns true if there were completions.
    fn poll_outside(&self, mode: PollMode, guarded: &mut Guarded) -> bool {
        let before = self.stats.completions.get();
        let visited = self.poll_engine(mode);
        self.run_deferred_released(guarded);
        visited.is_ok() && self.stats.completions.get() > before
    }

    /// Reclaims operations that were dropped outside the loop, and those of endpoints, which run no user code. The rest waits
    /// for the loop.
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

    /// Releases everything but the buffers of operations that wait for a notification, so that their descriptors close. The
    /// engine is about to be closed, so no notification will come.
    pub(in crate::driver) fn release_notifying(&self) {
        let mut guarded = Guarded::default();
        for key in self.slots.keys() {
            guarded.run(|| self.slots.find(key).map_or((), SlotRef::release));
        }
        guarded.finish();
    }

    /// Makes the descriptor for a foreign loop readable if there is work left for the loop.
    fn tell_of_leftovers(&self) {
        let shared = self.scheduler.shared();
        let left = self.scheduler.is_ready() || self.has_deferred() || shared.has_arrivals(true);
        if left && self.origin.is_here() {
            shared.eventfd.signal();
        }
    }
}

/// Releases the endpoint of an object that is dropped or closed: stops its multishot operation, and has the kernel end the
/// operations of dropped futures. So a port is free at once.
pub(crate) fn release_endpoint(endpoint: &EndpointRef) {
    // The operations of dropped futures may release their references in the first round.
    for _ in 0..2 {
        if endpoint.is_only() {
            endpoint.disarm();
        }
        if endpoint.is_referenced_elsewhere() {
            flush_for(&endpoint.descriptor);
        }
    }
}

/// Has the kernel end the operations of dropped futures on a descriptor that is being closed, if its runtime is that of this
/// thread. A runtime that shuts down ends all operations together.
pub(crate) fn flush_for(descriptor: &Descriptor) {
    if let Some(driver) = crate::driver::current()
        && std::ptr::addr_eq(descriptor.host(), std::rc::Rc::as_ptr(&driver))
        && !driver.scheduler.is_closed()
    {
        driver.flush();
    }
}
