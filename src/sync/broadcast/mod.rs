//! A channel in which each receiver gets every value that is sent after it subscribed.
//!
//! The channel keeps a limited number of values, and senders never wait. A receiver that lags further behind gets an
//! error with the number of values that it missed, and continues with the oldest value that is left.
//!
//! ```
//! use proactor::sync::broadcast::{self, RecvError};
//!
//! proactor::run(async {
//!     let (sender, mut receiver) = broadcast::channel(2);
//!     let mut other = sender.subscribe();
//!     for number in 1..=3 {
//!         assert_eq!(sender.send(number), Ok(2)); // receivers
//!     }
//!     assert_eq!(receiver.recv().await, Err(RecvError::Lagged(1)));
//!     assert_eq!(receiver.recv().await, Ok(2));
//!     assert_eq!(receiver.recv().await, Ok(3));
//!     assert_eq!(other.recv().await, Err(RecvError::Lagged(1)));
//! });
//! ```
//!
//! A value is cloned for each receiver except the last one, from a reference-counted copy, outside the lock. A slot
//! that all receivers have read keeps its memory for the next value.
#![forbid(unsafe_code)]

mod error;

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

pub use self::error::{RecvError, TryRecvError};
pub use super::channel_error::SendError;
use super::core::fanout::{Channel, ChannelRef, SenderRef};
use super::core::flavor::{Flavor, Local};
use super::core::waiters::Ticket;
use super::core::waiting::{leave, poll_queue};
use crate::sys::guarded::in_drop;

/// Creates a channel that keeps up to `capacity` values.
///
/// # Panics
/// If `capacity` is 0.
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    with_capacity::<T, Local>(capacity)
}

#[track_caller]
pub(super) fn with_capacity<T, F: Flavor>(capacity: usize) -> (Sender<T, F>, Receiver<T, F>) {
    assert!(capacity > 0, "a broadcast channel needs a capacity of at least one");
    let channel = Channel::<_, F>::new(Values { capacity, slots: Vec::new(), end: 0 });
    (Sender { channel: SenderRef::new(channel.clone()) }, Receiver { channel, next: 0 })
}

/// The latest values of the channel, numbered from zero.
struct Values<T, F: Flavor> {
    capacity: usize,
    /// The slots of the values: number `n` is at `n % capacity`.
    slots: Vec<Slot<T, F>>,
    /// The number of the next value.
    end: u64,
}

struct Slot<T, F: Flavor> {
    /// The value. Receivers that clone it right now may hold references to it.
    value: Option<F::Rc<Option<T>>>,
    /// The number of receivers that have not received it.
    unseen: usize,
}

/// A value that a receiver has taken under the lock.
enum Taken<T, F: Flavor> {
    /// The value itself, for the last receiver.
    Value(T),
    /// A reference to the value, to be cloned.
    Ref(F::Rc<Option<T>>),
}

impl<T, F: Flavor> Values<T, F> {
    fn slot(&mut self, number: u64) -> &mut Slot<T, F> {
        let index = number % self.capacity as u64;
        &mut self.slots[usize::try_from(index).expect("below the capacity")]
    }

    fn oldest(&self) -> u64 {
        self.end.saturating_sub(self.capacity as u64)
    }

    /// Appends a value for this number of receivers. The caller drops the value that it replaces.
    fn push(&mut self, value: T, unseen: usize) -> (Option<T>, Option<F::Rc<Option<T>>>) {
        if self.slots.len() < self.capacity && self.slots.len() as u64 == self.end {
            self.slots.push(Slot { value: None, unseen: 0 });
        }
        let end = self.end;
        self.end += 1;
        let slot = self.slot(end);
        slot.unseen = unseen;
        match slot.value.as_mut().and_then(F::unique) {
            Some(place) => (place.replace(value), None),
            None => (None, slot.value.replace(F::rc(Some(value)))),
        }
    }

    /// Takes the value with this number for one receiver.
    fn take(&mut self, number: u64) -> Taken<T, F> {
        let slot = self.slot(number);
        slot.unseen -= 1;
        let last = slot.unseen == 0;
        let shared = slot.value.as_mut().expect("a value that is unseen is kept");
        if last && let Some(place) = F::unique(shared) {
            return Taken::Value(place.take().expect("a value that is unseen is kept"));
        }
        // The last receiver empties the slot, even if another one is cloning the value right now.
        Taken::Ref(if last { slot.value.take().expect("it is there") } else { shared.clone() })
    }

    /// Takes the value with the number `next` for one receiver, and advances `next`.
    fn try_recv(&mut self, next: &mut u64, is_closed: bool) -> Result<Taken<T, F>, TryRecvError> {
        let oldest = self.oldest();
        if *next < oldest {
            return Err(TryRecvError::Lagged(oldest - mem::replace(next, oldest)));
        }
        if *next < self.end {
            *next += 1;
            return Ok(self.take(*next - 1));
        }
        Err(if is_closed { TryRecvError::Closed } else { TryRecvError::Empty })
    }
}

/// Sends to all receivers. Clones send into the same channel.
///
/// # Examples
/// ```
/// use proactor::sync::broadcast;
///
/// proactor::run(async {
///     let (sender, receiver) = broadcast::channel(16);
///     drop(receiver);
///     assert!(sender.send("to none").is_err());
///     let mut receiver = sender.subscribe();
///     sender.send("to one").unwrap();
///     assert_eq!(receiver.recv().await, Ok("to one"));
/// });
/// ```
pub struct Sender<T, F: Flavor = Local> {
    channel: SenderRef<Values<T, F>, F>,
}

impl<T, F: Flavor> Sender<T, F> {
    /// Sends a value, without waiting. Returns the number of receivers.
    ///
    /// If the channel is full, the value replaces the oldest one.
    ///
    /// # Errors
    /// [`SendError`] with the value if there is no receiver.
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let (receivers, _replaced) = F::with(&self.channel, |channel| match channel.receivers {
            0 => Err(SendError(value)),
            receivers => Ok((receivers, channel.values.push(value, receivers))),
        })?;
        self.channel.notify();
        Ok(receivers)
    }

    /// Creates a receiver of the values that are sent from now on.
    pub fn subscribe(&self) -> Receiver<T, F> {
        let (channel, next) = self.channel.subscribe(|values| values.end);
        Receiver { channel, next }
    }

    /// Number of receivers.
    pub fn receiver_count(&self) -> usize {
        self.channel.receivers()
    }
}

impl<T, F: Flavor> Clone for Sender<T, F> {
    fn clone(&self) -> Self {
        Sender { channel: self.channel.clone() }
    }
}

impl<T, F: Flavor> fmt::Debug for Sender<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("receivers", &self.receiver_count()).finish_non_exhaustive()
    }
}

/// Receives every value that is sent after it was created.
///
/// # Examples
/// ```
/// use proactor::sync::broadcast::{self, TryRecvError};
///
/// let (sender, mut receiver) = broadcast::channel(16);
/// sender.send('a').unwrap();
/// let mut late = receiver.resubscribe();
/// assert_eq!(receiver.try_recv(), Ok('a'));
/// assert_eq!(late.try_recv(), Err(TryRecvError::Empty));
/// drop(sender);
/// assert_eq!(late.try_recv(), Err(TryRecvError::Closed));
/// ```
pub struct Receiver<T, F: Flavor = Local> {
    channel: ChannelRef<Values<T, F>, F>,
    /// The number of the value that it receives next.
    next: u64,
}

impl<T, F: Flavor> Receiver<T, F> {
    /// Receives the next value; waits until there is one.
    ///
    /// # Errors
    /// [`RecvError::Lagged`] with the number of values that this receiver missed; the next call returns the oldest
    /// value that is left. [`RecvError::Closed`] if all senders are gone and this receiver has received everything.
    ///
    /// # Cancellation
    /// Dropping the future loses no value: the next call returns it.
    pub fn recv(&mut self) -> Recv<'_, T, F>
    where
        T: Clone,
    {
        Recv { receiver: self, ticket: None }
    }

    /// Receives the next value if there is one.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError>
    where
        T: Clone,
    {
        let taken = F::with(&self.channel, |channel| try_recv(channel, &mut self.next))?;
        Ok(into_value::<T, F>(taken))
    }

    /// Creates another receiver of this channel, for the values that are sent from now on.
    pub fn resubscribe(&self) -> Self {
        let next = F::with(&self.channel, |channel| {
            channel.receivers += 1;
            channel.values.end
        });
        Receiver { channel: self.channel.clone(), next }
    }

    /// Number of values that this receiver has not received, including those that it missed.
    pub fn len(&self) -> usize {
        let len = F::with(&self.channel, |channel| channel.values.end - self.next);
        usize::try_from(len).unwrap_or(usize::MAX)
    }

    /// Whether this receiver has received all values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn try_recv<T, F: Flavor>(
    channel: &mut Channel<Values<T, F>, F>,
    next: &mut u64,
) -> Result<Taken<T, F>, TryRecvError> {
    let is_closed = channel.is_closed();
    channel.values.try_recv(next, is_closed)
}

/// Returns the value itself, or a clone of it. Cloning is user code and runs outside the lock.
fn into_value<T: Clone, F: Flavor>(taken: Taken<T, F>) -> T {
    match taken {
        Taken::Value(value) => value,
        Taken::Ref(shared) => shared.as_ref().expect("a shared value stays").clone(),
    }
}

impl<T, F: Flavor> Drop for Receiver<T, F> {
    fn drop(&mut self) {
        let unseen = F::with(&self.channel, |channel| {
            channel.receivers -= 1;
            let values = &mut channel.values;
            let first = self.next.max(values.oldest());
            let mut unseen = Vec::new();
            for number in first..values.end {
                let slot = values.slot(number);
                slot.unseen -= 1;
                if slot.unseen == 0 {
                    unseen.extend(slot.value.take());
                }
            }
            unseen
        });
        in_drop(|| drop(unseen)); // user code
    }
}

impl<T, F: Flavor> fmt::Debug for Receiver<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The future of [`Receiver::recv`].
#[must_use = "futures do nothing unless awaited"]
pub struct Recv<'a, T, F: Flavor = Local> {
    receiver: &'a mut Receiver<T, F>,
    ticket: Option<Ticket>,
}

impl<T: Clone, F: Flavor> Future for Recv<'_, T, F> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Receiver { channel, next } = &mut *this.receiver;
        let poll =
            poll_queue::<F, _, _>(
                channel,
                cx,
                &mut this.ticket,
                Channel::waiting,
                |channel, _| match try_recv(channel, next) {
                    Ok(taken) => Poll::Ready(Ok(taken)),
                    Err(TryRecvError::Empty) => Poll::Pending,
                    Err(TryRecvError::Closed) => Poll::Ready(Err(RecvError::Closed)),
                    Err(TryRecvError::Lagged(missed)) => Poll::Ready(Err(RecvError::Lagged(missed))),
                },
            );
        poll.map_ok(into_value::<T, F>)
    }
}

impl<T, F: Flavor> Drop for Recv<'_, T, F> {
    fn drop(&mut self) {
        leave::<F, _>(&self.receiver.channel, &mut self.ticket, Channel::waiting);
    }
}

impl<T, F: Flavor> fmt::Debug for Recv<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").finish_non_exhaustive()
    }
}
