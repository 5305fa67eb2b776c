//! Delivery of a completion to its operation.
#![forbid(unsafe_code)]

use crate::driver::poll_mode::Deferred;
use crate::driver::slots::lifecycle::{Action, Event, Lifecycle};
use crate::driver::slots::slot_ref::SlotRef;
use crate::op::MultishotStep;
use crate::op::completion::Completion;

impl Deferred {
    /// Delivers a completion to its operation. Work that may run user code is deferred.
    #[inline]
    pub(in crate::driver) fn deliver(
        &mut self,
        operation: SlotRef<'_>,
        event: Event,
        completion: Completion,
    ) {
        let completion = match -completion.result {
            libc::EAGAIN | libc::ECANCELED => meaning(operation, completion),
            _ => completion,
        };
        if event == Event::Last && operation.is_multishot() {
            // The item of the last completion is queued in the order of arrival, like the earlier items.
            self.wake.extend(operation.multishot_step(completion).wake);
        }
        match operation.apply(event) {
            Action::KeepAndWake => {
                operation.keep(completion);
                if operation.is_multishot() {
                    operation.apply(Event::Abandon); // it has no future
                    self.reclaim.push(operation.key());
                } else {
                    self.wake(operation);
                }
            }
            Action::Keep => operation.keep(completion),
            Action::Wake => self.wake(operation),
            Action::Item => {
                let MultishotStep { wake, stop } = operation.multishot_step(completion);
                self.wake.extend(wake);
                if stop {
                    self.stop.push(operation.key());
                }
            }
            Action::OrphanItem => self.wake.extend(operation.multishot_step(completion).wake),
            Action::KeepAndReclaim => {
                operation.keep(completion);
                self.reclaim.push(operation.key());
            }
            Action::Reclaim => self.reclaim.push(operation.key()),
            Action::KeepAndRelease => {
                operation.keep(completion);
                self.release.push(operation.key());
            }
            Action::Release
            | Action::Nothing
            | Action::SendCancel
            | Action::CancelledAndWake
            | Action::ReclaimCancelled => {}
        }
    }

    #[inline]
    fn wake(&mut self, operation: SlotRef<'_>) {
        if let Some(waiter) = operation.wake() {
            self.wake.push(waiter);
        }
    }
}

/// Translates a result by whether the operation was asked to end. A multishot operation that was not asked ends with
/// ECANCELED when the kernel gives up waiting; others end with EAGAIN then. An operation that was asked to end does not
/// begin again.
#[cold]
fn meaning(operation: SlotRef<'_>, completion: Completion) -> Completion {
    match (operation.lifecycle(), -completion.result) {
        (Lifecycle::InFlight, libc::ECANCELED) if operation.is_multishot() => Completion::new(-libc::EAGAIN),
        (Lifecycle::Cancelling, libc::EAGAIN) if !operation.is_multishot() => Completion::CANCELED,
        _ => completion,
    }
}
