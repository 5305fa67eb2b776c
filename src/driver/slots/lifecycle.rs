//! The lifecycle of an operation, as a pure state machine.
//!
//! ```text
//!            insert           push              last completion           take
//! Vacant ----------> Queued ---------> InFlight ----------------> Done ----------> Vacant
//!                      |                 |  |                      |
//!               drop   |          cancel |  | F_MORE, zero copy    | drop
//!                      v                 |  v                      v
//!                  Reclaim               |  Notifying --F_NOTIF--> (Done)
//!                      ^                 v
//!                      |            Cancelling --last completion--> Done
//!                      |
//!                      +---last completion--- Orphan, OrphanNotifying <---drop--- (any state in flight)
//! ```
//!
//! - *Queued*: the operation is in its slot, and the kernel does not know it. On the selector an operation that waits for
//!   readiness stays in this state.
//! - *InFlight*: the kernel or a thread of the pool has pointers into the slot.
//! - *Notifying*: the kernel has returned the result of a zero-copy send and still uses the buffer. If the future is
//!   dropped now, the operation releases everything but the buffer. So its descriptor can close, and later writes continue.
//! - *Orphan*: the operation is in flight, and its future has been dropped.
//!
//! An operation stays in flight until its last completion, the one without `F_MORE`. A drop does not end that time, nor
//! does a cancel or the cancel's own completion.
//!
//! This file does not know where slots are, what operations are, or that there is a kernel.
#![forbid(unsafe_code)]

use crate::op::Kind;

/// The state of an operation in its lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    /// No operation.
    Vacant,
    /// Inserted into the slot, and not yet handed to the kernel or the pool.
    Queued,
    /// The kernel or the pool holds pointers into the slot.
    InFlight,
    /// In flight, with a cancel request on its way.
    Cancelling,
    /// The result of a zero-copy send has come; the kernel still uses the buffer.
    Notifying,
    /// The result waits to be taken.
    Done,
    /// In flight without a future, with a cancel request on its way.
    Orphan,
    /// [`Notifying`](Self::Notifying) without a future: the slot keeps only the buffer.
    OrphanNotifying,
    /// Completed without a future: the slot is being reclaimed.
    Reclaiming,
}

/// An event in the lifecycle of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The operation was inserted into the slot.
    Insert,
    /// The operation was handed to the kernel or the pool.
    Push,
    /// A completion with `F_MORE` has come.
    More,
    /// A completion without `F_MORE` has come.
    Last,
    /// The future requests a cancellation and still waits for the result.
    Cancel,
    /// The future has been dropped.
    Abandon,
    /// The future takes the result.
    Take,
    /// The operation has been moved out of the slot and dropped.
    Reclaimed,
}

/// The action that follows from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Nothing,
    /// Keep the completion as the result.
    Keep,
    /// Keep the completion as the result, and wake the future.
    KeepAndWake,
    /// Wake the future; the result was kept earlier.
    Wake,
    /// Hand the completion to the operation.
    Item,
    /// Hand the completion to the operation, which is being cancelled already.
    OrphanItem,
    /// Ask the kernel or the pool to cancel the operation.
    SendCancel,
    /// Wake the future with ECANCELED: the operation never started.
    CancelledAndWake,
    /// Reclaim the slot with ECANCELED: the operation never started, and its future has been dropped.
    ReclaimCancelled,
    /// Keep the completion as the result, and reclaim the slot.
    KeepAndReclaim,
    /// Reclaim the slot with the result that was kept earlier.
    Reclaim,
    /// Release everything but the buffer.
    Release,
    /// Keep the completion as the result, and release everything but the buffer.
    KeepAndRelease,
}

/// An event that cannot happen in a state. It shows a defect of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Impossible(pub(crate) Lifecycle, pub(crate) Event);

impl Lifecycle {
    /// Returns the next state and the action to take.
    #[inline]
    pub(crate) fn on(self, event: Event, kind: Kind) -> Result<(Lifecycle, Action), Impossible> {
        use {Action as A, Event as E, Lifecycle as L};
        let multishot = kind == Kind::Multishot;
        let zero_copy = kind == Kind::ZeroCopy;
        Ok(match (self, event) {
            (L::Vacant, E::Insert) => (L::Queued, A::Nothing),

            (L::Queued, E::Push) => (L::InFlight, A::Nothing),
            (L::Queued, E::Cancel) => (L::Done, A::CancelledAndWake),
            (L::Queued, E::Abandon) => (L::Reclaiming, A::ReclaimCancelled),

            (L::InFlight, E::Cancel) => (L::Cancelling, A::SendCancel),
            (L::InFlight, E::Abandon) => (L::Orphan, A::SendCancel),
            (L::Cancelling, E::Abandon) => (L::Orphan, A::Nothing),
            (L::Cancelling | L::Notifying | L::Done, E::Cancel) => (self, A::Nothing),
            (L::Notifying, E::Abandon) => (L::OrphanNotifying, A::Release),

            (L::InFlight | L::Cancelling, E::More) if multishot => (self, A::Item),
            (L::Orphan, E::More) if multishot => (self, A::OrphanItem),
            (L::InFlight | L::Cancelling, E::More) if zero_copy => (L::Notifying, A::Keep),
            (L::Orphan, E::More) if zero_copy => (L::OrphanNotifying, A::KeepAndRelease),

            (L::InFlight | L::Cancelling, E::Last) => (L::Done, A::KeepAndWake),
            (L::Notifying, E::Last) => (L::Done, A::Wake),
            (L::Orphan, E::Last) => (L::Reclaiming, A::KeepAndReclaim),
            (L::OrphanNotifying, E::Last) => (L::Reclaiming, A::Reclaim),

            (L::Done, E::Take) => (L::Vacant, A::Nothing),
            (L::Done, E::Abandon) => (L::Reclaiming, A::Reclaim),
            (L::Reclaiming, E::Reclaimed) => (L::Vacant, A::Nothing),
            (lifecycle, event) => return Err(Impossible(lifecycle, event)),
        })
    }

    /// Returns true if the result has come and the kernel keeps only the buffer.
    pub(crate) fn is_notifying(self) -> bool {
        matches!(self, Lifecycle::Notifying | Lifecycle::OrphanNotifying)
    }

    /// Returns true while the kernel or the pool has pointers into the slot.
    pub(crate) fn is_in_flight(self) -> bool {
        matches!(
            self,
            Lifecycle::InFlight
                | Lifecycle::Cancelling
                | Lifecycle::Notifying
                | Lifecycle::Orphan
                | Lifecycle::OrphanNotifying
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [Lifecycle; 9] = [
        Lifecycle::Vacant,
        Lifecycle::Queued,
        Lifecycle::InFlight,
        Lifecycle::Cancelling,
        Lifecycle::Notifying,
        Lifecycle::Done,
        Lifecycle::Orphan,
        Lifecycle::OrphanNotifying,
        Lifecycle::Reclaiming,
    ];
    const EVENTS: [Event; 8] = [
        Event::Insert,
        Event::Push,
        Event::More,
        Event::Last,
        Event::Cancel,
        Event::Abandon,
        Event::Take,
        Event::Reclaimed,
    ];

    /// Compares the whole table for single-shot operations: rows are states, columns are events.
    #[test]
    fn every_state_meets_every_event() {
        use {Action as A, Lifecycle as L};
        let impossible = None;
        #[rustfmt::skip]
        let table: [[Option<(Lifecycle, Action)>; 8]; 9] = [
            // Insert, Push, More, Last, Cancel, Abandon, Take, Reclaimed
            [Some((L::Queued, A::Nothing)), impossible, impossible, impossible, impossible, impossible, impossible, impossible],
            [impossible, Some((L::InFlight, A::Nothing)), impossible, impossible, Some((L::Done, A::CancelledAndWake)), Some((L::Reclaiming, A::ReclaimCancelled)), impossible, impossible],
            [impossible, impossible, impossible, Some((L::Done, A::KeepAndWake)), Some((L::Cancelling, A::SendCancel)), Some((L::Orphan, A::SendCancel)), impossible, impossible],
            [impossible, impossible, impossible, Some((L::Done, A::KeepAndWake)), Some((L::Cancelling, A::Nothing)), Some((L::Orphan, A::Nothing)), impossible, impossible],
            [impossible, impossible, impossible, Some((L::Done, A::Wake)), Some((L::Notifying, A::Nothing)), Some((L::OrphanNotifying, A::Release)), impossible, impossible],
            [impossible, impossible, impossible, impossible, Some((L::Done, A::Nothing)), Some((L::Reclaiming, A::Reclaim)), Some((L::Vacant, A::Nothing)), impossible],
            [impossible, impossible, impossible, Some((L::Reclaiming, A::KeepAndReclaim)), impossible, impossible, impossible, impossible],
            [impossible, impossible, impossible, Some((L::Reclaiming, A::Reclaim)), impossible, impossible, impossible, impossible],
            [impossible, impossible, impossible, impossible, impossible, impossible, impossible, Some((L::Vacant, A::Nothing))],
        ];
        for (lifecycle, row) in STATES.into_iter().zip(table) {
            for (event, expected) in EVENTS.into_iter().zip(row) {
                assert_eq!(lifecycle.on(event, Kind::Single).ok(), expected, "{lifecycle:?} on {event:?}");
                if event != Event::More {
                    // The other kinds differ only in the meaning of F_MORE.
                    assert_eq!(
                        lifecycle.on(event, Kind::Multishot).ok(),
                        expected,
                        "{lifecycle:?} on {event:?}"
                    );
                    assert_eq!(
                        lifecycle.on(event, Kind::ZeroCopy).ok(),
                        expected,
                        "{lifecycle:?} on {event:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn more_means_an_item_or_a_notification_to_come() {
        for lifecycle in STATES {
            let multishot = match lifecycle {
                Lifecycle::InFlight | Lifecycle::Cancelling => Some((lifecycle, Action::Item)),
                Lifecycle::Orphan => Some((lifecycle, Action::OrphanItem)),
                _ => None,
            };
            let zero_copy = match lifecycle {
                Lifecycle::InFlight | Lifecycle::Cancelling => Some((Lifecycle::Notifying, Action::Keep)),
                Lifecycle::Orphan => Some((Lifecycle::OrphanNotifying, Action::KeepAndRelease)),
                _ => None,
            };
            assert_eq!(lifecycle.on(Event::More, Kind::Multishot).ok(), multishot, "{lifecycle:?}");
            assert_eq!(lifecycle.on(Event::More, Kind::ZeroCopy).ok(), zero_copy, "{lifecycle:?}");
        }
    }

    #[test]
    fn nothing_in_flight_is_vacated_by_its_future() {
        for lifecycle in STATES.into_iter().filter(|lifecycle| lifecycle.is_in_flight()) {
            for kind in [Kind::Single, Kind::Multishot, Kind::ZeroCopy] {
                for event in [Event::Cancel, Event::Abandon, Event::Take] {
                    if let Ok((next, _)) = lifecycle.on(event, kind) {
                        assert!(next.is_in_flight(), "{lifecycle:?} on {event:?} gave {next:?}");
                    }
                }
            }
        }
    }
}
