//! The common part of the channels whose values go to every receiver: the counts of both sides, the waiting receivers,
//! and a sender's reference.
#![forbid(unsafe_code)]

use std::ops::Deref;

use super::flavor::Flavor;
use super::waiters::Waiters;
use super::waiting::wake_all;

/// The state of a channel: its values, the number of senders and receivers, and the receivers that wait.
pub(in crate::sync) struct Channel<V, F: Flavor> {
    pub(in crate::sync) values: V,
    pub(in crate::sync) receivers: usize,
    senders: usize,
    waiting: Waiters<F::Waiter>,
}

impl<V, F: Flavor> Channel<V, F> {
    /// Makes the state of a channel with one sender and one receiver.
    pub(in crate::sync) fn new(values: V) -> ChannelRef<V, F> {
        F::rc(F::cell(Channel { values, receivers: 1, senders: 1, waiting: Waiters::new() }))
    }

    /// Whether all senders were dropped.
    pub(in crate::sync) fn is_closed(&self) -> bool {
        self.senders == 0
    }

    pub(in crate::sync) fn waiting(&mut self) -> &mut Waiters<F::Waiter> {
        &mut self.waiting
    }
}

/// A reference to a channel.
pub(in crate::sync) type ChannelRef<V, F> = <F as Flavor>::Rc<<F as Flavor>::Cell<Channel<V, F>>>;

/// A sender's reference to the channel. The drop of the last one closes the channel and wakes all receivers.
pub(in crate::sync) struct SenderRef<V, F: Flavor>(ChannelRef<V, F>);

impl<V, F: Flavor> SenderRef<V, F> {
    /// Makes the reference of a sender that is counted already.
    pub(in crate::sync) fn new(channel: ChannelRef<V, F>) -> Self {
        SenderRef(channel)
    }

    /// Wakes all receivers that wait.
    pub(in crate::sync) fn notify(&self) {
        wake_all::<F, _>(&self.0, Channel::waiting);
    }

    pub(in crate::sync) fn receivers(&self) -> usize {
        F::with(&self.0, |channel| channel.receivers)
    }

    /// Adds a receiver. Returns its reference to the channel, and the result of `position`.
    pub(in crate::sync) fn subscribe(&self, position: impl FnOnce(&V) -> u64) -> (ChannelRef<V, F>, u64) {
        let position = F::with(&self.0, |channel| {
            channel.receivers += 1;
            position(&channel.values)
        });
        (self.0.clone(), position)
    }
}

impl<V, F: Flavor> Deref for SenderRef<V, F> {
    type Target = F::Cell<Channel<V, F>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<V, F: Flavor> Clone for SenderRef<V, F> {
    fn clone(&self) -> Self {
        F::with(&self.0, |channel| channel.senders += 1);
        SenderRef(self.0.clone())
    }
}

impl<V, F: Flavor> Drop for SenderRef<V, F> {
    fn drop(&mut self) {
        let last = F::with(&self.0, |channel| {
            channel.senders -= 1;
            channel.senders == 0
        });
        if last {
            self.notify();
        }
    }
}
