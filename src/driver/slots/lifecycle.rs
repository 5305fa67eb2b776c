//! The life of an in-flight operation, as a pure state machine.
//!
//! ```text
//!            place            push              last completion           claim
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
//! *Queued*: written into its slot, unknown to the kernel (the selector's operations that wait for readiness
//! are so all the time). *InFlight*: the kernel, or a thread of the pool, has pointers into the slot.
//! *Notifying*: the kernel has given the result of a send without a copy, and still uses the buffer. Without a future
//! the operation then lets go of all but the buffer, so that its descriptor can close and later writes go on.
//! *Orphan*: in flight, and the future that would take the result has gone. Only the last completion, one
//! without `F_MORE`, ends the time in flight: not a drop, not a cancel, not the cancel's own completion.
//!
//! It does not know where slots lie, what operations are, or that there is a kernel.
#![forbid(unsafe_code)]

use crate::op::Kind;

/// Where an operation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// No operation.
    Vacant,
    /// Written; nobody else knows of it.
    Queued,
    /// The kernel or the pool has it.
    InFlight,
    /// The same, and a cancel is on its way.
    Cancelling,
    /// Zero copy: the result is here, the buffer is still the kernel's.
    Notifying,
    /// The result waits to be claimed.
    Done,
    /// In flight without a future; a cancel is on its way.
    Orphan,
    /// `Notifying` without a future: the slot keeps the buffer alone.
    OrphanNotifying,
    /// Over without a future: its operation is being taken apart.
    Reclaiming,
}

/// An event in the life of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It was written into the slot.
    Place,
    /// It was handed to the kernel or the pool.
    Push,
    /// A completion with `F_MORE`.
    More,
    /// A completion without.
    Last,
    /// Its future asks for its end and waits for the result.
    Cancel,
    /// Its future has gone.
    Abandon,
    /// Its future takes the result.
    Claim,
    /// Its operation has been taken apart.
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
    /// The result was kept earlier; wake the future.
    Wake,
    /// Hand the completion to the operation.
    Item,
    /// Hand the completion to the operation, which is to end in any case.
    OrphanItem,
    /// Ask the kernel or the pool to end it.
    SendCancel,
    /// It never began: the result is "cancelled"; wake the future.
    CancelledAndWake,
    /// It never began, and its future has gone: take it apart as cancelled.
    ReclaimCancelled,
    /// Keep the completion and take the operation apart with it.
    KeepAndReclaim,
    /// Take the operation apart with the result that was kept.
    Reclaim,
    /// Let go of everything but the buffer.
    Release,
    /// Keep the completion, and let go of everything but the buffer.
    KeepAndRelease,
}

/// An event that can't happen in a state: a defect of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Impossible(pub(crate) Life, pub(crate) Event);

impl Life {
    /// The next state, and what is to be done.
    #[inline]
    pub(crate) fn on(self, event: Event, kind: Kind) -> Result<(Life, Action), Impossible> {
        use {Action as A, Event as E, Life as L};
        let multishot = kind == Kind::Multishot;
        let zero_copy = kind == Kind::ZeroCopy;
        Ok(match (self, event) {
            (L::Vacant, E::Place) => (L::Queued, A::Nothing),

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

            (L::Done, E::Claim) => (L::Vacant, A::Nothing),
            (L::Done, E::Abandon) => (L::Reclaiming, A::Reclaim),
            (L::Reclaiming, E::Reclaimed) => (L::Vacant, A::Nothing),
            (life, event) => return Err(Impossible(life, event)),
        })
    }

    /// Whether the result has come, and the kernel only keeps the buffer.
    pub(crate) fn is_notifying(self) -> bool {
        matches!(self, Life::Notifying | Life::OrphanNotifying)
    }

    /// Whether somebody else has pointers into the slot.
    pub(crate) fn is_in_flight(self) -> bool {
        matches!(
            self,
            Life::InFlight | Life::Cancelling | Life::Notifying | Life::Orphan | Life::OrphanNotifying
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVES: [Life; 9] = [
        Life::Vacant,
        Life::Queued,
        Life::InFlight,
        Life::Cancelling,
        Life::Notifying,
        Life::Done,
        Life::Orphan,
        Life::OrphanNotifying,
        Life::Reclaiming,
    ];
    const EVENTS: [Event; 8] = [
        Event::Place,
        Event::Push,
        Event::More,
        Event::Last,
        Event::Cancel,
        Event::Abandon,
        Event::Claim,
        Event::Reclaimed,
    ];

    /// The whole table for single-shot operations, written out: rows are states, columns events.
    #[test]
    fn every_state_meets_every_event() {
        use {Action as A, Life as L};
        let impossible = None;
        #[rustfmt::skip]
        let table: [[Option<(Life, Action)>; 8]; 9] = [
            // Place, Push, More, Last, Cancel, Abandon, Claim, Reclaimed
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
        for (life, row) in LIVES.into_iter().zip(table) {
            for (event, expected) in EVENTS.into_iter().zip(row) {
                assert_eq!(life.on(event, Kind::Single).ok(), expected, "{life:?} on {event:?}");
                if event != Event::More {
                    // The other kinds differ only in what F_MORE means.
                    assert_eq!(life.on(event, Kind::Multishot).ok(), expected, "{life:?} on {event:?}");
                    assert_eq!(life.on(event, Kind::ZeroCopy).ok(), expected, "{life:?} on {event:?}");
                }
            }
        }
    }

    #[test]
    fn more_means_an_item_or_a_notification_to_come() {
        for life in LIVES {
            let multishot = match life {
                Life::InFlight | Life::Cancelling => Some((life, Action::Item)),
                Life::Orphan => Some((life, Action::OrphanItem)),
                _ => None,
            };
            let zero_copy = match life {
                Life::InFlight | Life::Cancelling => Some((Life::Notifying, Action::Keep)),
                Life::Orphan => Some((Life::OrphanNotifying, Action::KeepAndRelease)),
                _ => None,
            };
            assert_eq!(life.on(Event::More, Kind::Multishot).ok(), multishot, "{life:?}");
            assert_eq!(life.on(Event::More, Kind::ZeroCopy).ok(), zero_copy, "{life:?}");
        }
    }

    #[test]
    fn nothing_in_flight_is_vacated_by_its_future() {
        for life in LIVES.into_iter().filter(|life| life.is_in_flight()) {
            for kind in [Kind::Single, Kind::Multishot, Kind::ZeroCopy] {
                for event in [Event::Cancel, Event::Abandon, Event::Claim] {
                    if let Ok((next, _)) = life.on(event, kind) {
                        assert!(next.is_in_flight(), "{life:?} on {event:?} gave {next:?}");
                    }
                }
            }
        }
    }
}
