//! Cancelling an operation, and the drop of its future.
#![forbid(unsafe_code)]

use crate::driver::Driver;
use crate::driver::slots::arena::Holder;
use crate::driver::slots::key::Key;
use crate::driver::slots::lifecycle::{Action, Event, Lifecycle};
use crate::driver::slots::slot_ref::SlotRef;
use crate::op::completion::Completion;

impl Driver {
    /// Cancels an operation. Its future still waits for the result.
    pub(in crate::driver) fn cancel(&self, key: Key) {
        let Some(operation) = self.slots.find(key) else { return };
        if operation.lifecycle() == Lifecycle::Done && operation.kept().result == -libc::EAGAIN {
            operation.keep(Completion::CANCELED); // it would start again: see `selector/edges.rs`
        }
        match operation.apply(Event::Cancel) {
            Action::SendCancel => self.send_cancel(operation),
            Action::CancelledAndWake => {
                operation.keep(Completion::CANCELED);
                if let Some(waiter) = operation.wake() {
                    waiter.wake();
                }
            }
            _ => {}
        }
    }

    /// Handles the drop of an operation's future: cancels the operation, or reclaims its slot.
    pub(in crate::driver) fn abandon(&self, key: Key) {
        let Some(operation) = self.slots.find(key) else { return };
        if self.scheduler.is_tracking_drop() && operation.lifecycle().is_in_flight() {
            self.scheduler.cleanup_owner().into_iter().for_each(|owner| operation.reassign(owner));
        }
        match operation.apply(Event::Abandon) {
            Action::SendCancel => {
                self.send_cancel(operation);
                self.release_outside(Some(key));
            }
            Action::ReclaimCancelled => {
                operation.keep(Completion::CANCELED);
                operation.reclaim();
            }
            Action::Reclaim => operation.reclaim(),
            // It was cancelled before.
            Action::Nothing if operation.is_left() => self.send_cancel(operation),
            Action::Release => operation.release(),
            _ => {}
        }
    }

    fn send_cancel(&self, operation: SlotRef<'_>) {
        let key = operation.key();
        match operation.holder() {
            // A job that has not started is dropped, and its report says so. A started job cannot be stopped.
            Holder::Pool if operation.is_left() => self.scheduler.pool.abandon(key.pack()),
            Holder::Pool => drop(self.scheduler.pool.withdraw(key.pack())),
            // An operation that waits for an edge is never in flight.
            Holder::Kernel | Holder::Edges => {
                let asked = self.with_ring(|ring| ring.cancel(key));
                if asked.is_none() && operation.is_multishot() && !self.origin.is_here() {
                    // In a fork of the process: closes the fork's copy of the descriptor.
                    self.deferred.borrow_mut().deliver(operation, Event::Last, Completion::CANCELED);
                    self.run_deferred();
                }
            }
        }
    }
}
