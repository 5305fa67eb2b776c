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
//! A value is cloned for each receiver except the last one, from a reference-counted copy, outside of the lock. A slot
//! that all receivers have read keeps its memory for the next value.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

pub use super::channel_error::SendError;
use super::core::flavor::{Flavor, Local};
use super::core::waiters::{Ticket, Waiters};
use super::core::waiting::{leave, poll_queue, wake_all};
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
    let state = F::rc(F::cell(State {
        capacity,
        slots: Vec::new(),
        end: 0,
        senders: 1,
        receivers: 1,
        waiting: Waiters::new(),
    }));
    (Sender { state: state.clone() }, Receiver { state, next: 0 })
}

struct State<T, F: Flavor> {
    capacity: usize,
    /// The value with number `n` is at `n % capacity`.
    slots: Vec<Slot<T, F>>,
    /// The number of the next value.
    end: u64,
    senders: usize,
    receivers: usize,
    waiting: Waiters<F::Waiter>,
}

struct Slot<T, F: Flavor> {
    /// Receivers that clone the value right now may hold references to it.
    value: Option<F::Rc<Option<T>>>,
    /// How many receivers have not seen it yet.
    unseen: usize,
}

/// A value that a receiver has taken under the lock.
enum Taken<T, F: Flavor> {
    /// The value itself, for the last receiver.
    Whole(T),
    Share(F::Rc<Option<T>>),
}

impl<T, F: Flavor> State<T, F> {
    fn slot(&mut self, number: u64) -> &mut Slot<T, F> {
        let index = number % self.capacity as u64;
        &mut self.slots[usize::try_from(index).expect("below the capacity")]
    }

    fn oldest(&self) -> u64 {
        self.end.saturating_sub(self.capacity as u64)
    }

    /// Appends a value. The caller drops the value that it replaces.
    fn push(&mut self, value: T) -> (Option<T>, Option<F::Rc<Option<T>>>) {
        let unseen = self.receivers;
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
        let share = slot.value.as_mut().expect("a value that is unseen is kept");
        if last && let Some(place) = F::unique(share) {
            return Taken::Whole(place.take().expect("a value that is unseen is kept"));
        }
        // The last one leaves nothing, though somebody is cloning it right now.
        Taken::Share(if last { slot.value.take().expect("it is there") } else { share.clone() })
    }

    fn look(&mut self, next: &mut u64) -> Result<Taken<T, F>, TryRecvError> {
        let oldest = self.oldest();
        if *next < oldest {
            return Err(TryRecvError::Lagged(oldest - mem::replace(next, oldest)));
        }
        if *next < self.end {
            *next += 1;
            return Ok(self.take(*next - 1));
        }
        Err(if self.senders == 0 { TryRecvError::Closed } else { TryRecvError::Empty })
    }

    fn waiting(&mut self) -> &mut Waiters<F::Waiter> {
        &mut self.waiting
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
    state: F::Rc<F::Cell<State<T, F>>>,
}

impl<T, F: Flavor> Sender<T, F> {
    /// Sends a value, without waiting. Returns the number of receivers.
    ///
    /// If the channel is full, the value replaces the oldest one.
    ///
    /// # Errors
    /// [`SendError`] with the value if there is no receiver.
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let (receivers, _replaced) = F::with(&self.state, |state| match state.receivers {
            0 => Err(SendError(value)),
            receivers => Ok((receivers, state.push(value))),
        })?;
        wake_all::<F, _>(&self.state, State::waiting);
        Ok(receivers)
    }

    /// Creates a receiver of the values that are sent from now on.
    pub fn subscribe(&self) -> Receiver<T, F> {
        let next = F::with(&self.state, |state| {
            state.receivers += 1;
            state.end
        });
        Receiver { state: self.state.clone(), next }
    }

    /// Number of receivers.
    pub fn receiver_count(&self) -> usize {
        F::with(&self.state, |state| state.receivers)
    }
}

impl<T, F: Flavor> Clone for Sender<T, F> {
    fn clone(&self) -> Self {
        F::with(&self.state, |state| state.senders += 1);
        Sender { state: self.state.clone() }
    }
}

impl<T, F: Flavor> Drop for Sender<T, F> {
    fn drop(&mut self) {
        let last = F::with(&self.state, |state| {
            state.senders -= 1;
            state.senders == 0
        });
        if last {
            wake_all::<F, _>(&self.state, State::waiting);
        }
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
    state: F::Rc<F::Cell<State<T, F>>>,
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
        let taken = F::with(&self.state, |state| state.look(&mut self.next))?;
        Ok(whole::<T, F>(taken))
    }

    /// Creates another receiver of this channel, for the values that are sent from now on.
    pub fn resubscribe(&self) -> Self {
        let next = F::with(&self.state, |state| {
            state.receivers += 1;
            state.end
        });
        Receiver { state: self.state.clone(), next }
    }

    /// Number of values that this receiver has not received, including those that it missed.
    pub fn len(&self) -> usize {
        F::with(&self.state, |state| usize::try_from(state.end - self.next).unwrap_or(usize::MAX))
    }

    /// Whether this receiver has received all values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The value itself, or a clone of it. Cloning is user code and runs outside of the lock.
fn whole<T: Clone, F: Flavor>(taken: Taken<T, F>) -> T {
    match taken {
        Taken::Whole(value) => value,
        Taken::Share(share) => share.as_ref().expect("a shared value stays").clone(),
    }
}

impl<T, F: Flavor> Drop for Receiver<T, F> {
    fn drop(&mut self) {
        let unseen = F::with(&self.state, |state| {
            state.receivers -= 1;
            let first = self.next.max(state.oldest());
            let mut unseen = Vec::new();
            for number in first..state.end {
                let slot = state.slot(number);
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
        let Receiver { state, next } = &mut *this.receiver;
        let poll = poll_queue::<F, _, _>(state, cx, &mut this.ticket, State::waiting, |state, _| match state
            .look(next)
        {
            Ok(taken) => Poll::Ready(Ok(taken)),
            Err(TryRecvError::Empty) => Poll::Pending,
            Err(TryRecvError::Closed) => Poll::Ready(Err(RecvError::Closed)),
            Err(TryRecvError::Lagged(missed)) => Poll::Ready(Err(RecvError::Lagged(missed))),
        });
        poll.map_ok(whole::<T, F>)
    }
}

impl<T, F: Flavor> Drop for Recv<'_, T, F> {
    fn drop(&mut self) {
        leave::<F, _>(&self.receiver.state, &mut self.ticket, State::waiting);
    }
}

impl<T, F: Flavor> fmt::Debug for Recv<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").finish_non_exhaustive()
    }
}

/// Error of [`Receiver::recv`].
///
/// # Examples
/// ```
/// use proactor::sync::broadcast::{self, RecvError};
///
/// proactor::run(async {
///     let (sender, mut receiver) = broadcast::channel(1);
///     sender.send(1).unwrap();
///     sender.send(2).unwrap();
///     drop(sender);
///     assert_eq!(receiver.recv().await, Err(RecvError::Lagged(1)));
///     assert_eq!(receiver.recv().await, Ok(2));
///     assert_eq!(receiver.recv().await, Err(RecvError::Closed));
/// });
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RecvError {
    /// The receiver missed this number of values: newer ones replaced them.
    Lagged(u64),
    /// All senders are gone, and this receiver has received everything.
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Lagged(missed) => {
                write!(f, "the receiver was too slow and missed {missed} values")
            }
            RecvError::Closed => f.write_str("the channel is closed: no more values will come"),
        }
    }
}

impl Error for RecvError {}

into_io_error!(RecvError: RecvError::Lagged(_) => Other, RecvError::Closed => UnexpectedEof);

/// Error of [`Receiver::try_recv`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is none yet.
    Empty,
    /// The receiver missed this number of values: newer ones replaced them.
    Lagged(u64),
    /// All senders are gone, and this receiver has received everything.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryRecvError::Empty => f.write_str("there is no value yet"),
            TryRecvError::Lagged(missed) => RecvError::Lagged(*missed).fmt(f),
            TryRecvError::Closed => RecvError::Closed.fmt(f),
        }
    }
}

impl Error for TryRecvError {}

into_io_error!(TryRecvError:
    TryRecvError::Empty => WouldBlock,
    TryRecvError::Lagged(_) => Other,
    TryRecvError::Closed => UnexpectedEof);

debug_as_display!(RecvError, TryRecvError);
