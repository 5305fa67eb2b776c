//! The senders: sending, waiting for room, and places that are reserved in advance.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::chan::{Chan, Refused};
use super::{SendError, TrySendError};
use crate::sync::core::blocking::{block_on, no_loop_here};
use crate::sync::core::flavor::{Flavor, Local, Threaded};
use crate::sync::core::waiters::Ticket;

/// Sends into a bounded channel. Clones send into the same channel.
///
/// # Examples
/// ```
/// use proactor::sync::mpsc;
///
/// proactor::run(async {
///     let (sender, mut receiver) = mpsc::channel(1);
///     let other = sender.clone();
///     sender.send("first").await.unwrap();
///     proactor::spawn(async move { other.send("second").await }); // waits until there is room
///     drop(sender);
///     assert_eq!(receiver.recv().await, Some("first"));
///     assert_eq!(receiver.recv().await, Some("second"));
///     assert_eq!(receiver.recv().await, None);
/// });
/// ```
pub struct Sender<T, F: Flavor = Local> {
    chan: F::Rc<Chan<T, F>>,
}

impl<T, F: Flavor> Sender<T, F> {
    pub(super) fn new(chan: F::Rc<Chan<T, F>>) -> Self {
        Sender { chan }
    }

    /// Sends a value. Waits while the channel is full, behind all earlier senders.
    ///
    /// # Errors
    /// [`SendError`] with the value if the receiver was dropped or has closed the channel, before or during the wait.
    ///
    /// # Cancellation
    /// Dropping the future before it is ready sends nothing, drops the value, and gives up its place in the queue. To
    /// keep the value, [`reserve`](Self::reserve) a place first.
    pub fn send(&self, value: T) -> Send<'_, T, F> {
        Send { chan: &self.chan, value: Some(value), ticket: None }
    }

    /// Sends a value if there is room and no sender waits.
    ///
    /// # Errors
    /// [`TrySendError`] with the value.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut value = Some(value);
        self.chan.try_send(&mut value).map_err(|refused| {
            let value = value.expect("it was not sent");
            match refused {
                Refused::Full => TrySendError::Full(value),
                Refused::Closed => TrySendError::Closed(value),
            }
        })
    }

    /// Reserves a place for one value; waits until there is room.
    ///
    /// # Errors
    /// [`SendError`] if the receiver was dropped or has closed the channel.
    ///
    /// # Cancellation
    /// Dropping the future gives up its place in the queue. A place that it had already been given goes to the next
    /// waiting sender.
    pub fn reserve(&self) -> Reserve<'_, T, F> {
        Reserve { chan: &self.chan, ticket: None }
    }

    /// Reserves a place for one value if there is room and no sender waits.
    ///
    /// # Errors
    /// [`TrySendError`] without a value.
    pub fn try_reserve(&self) -> Result<Permit<'_, T, F>, TrySendError<()>> {
        match self.chan.try_reserve() {
            Ok(()) => Ok(Permit { chan: &self.chan }),
            Err(Refused::Full) => Err(TrySendError::Full(())),
            Err(Refused::Closed) => Err(TrySendError::Closed(())),
        }
    }

    /// Number of items in the channel.
    pub fn len(&self) -> usize {
        self.chan.len()
    }

    /// Whether the channel is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Maximum number of items in the channel.
    pub fn capacity(&self) -> usize {
        self.chan.capacity().unwrap_or(usize::MAX) // a limit that large is none
    }

    /// Whether the receiver was dropped or has closed the channel.
    pub fn is_closed(&self) -> bool {
        self.chan.is_closed()
    }

    /// Waits until the receiver is dropped or closes the channel.
    ///
    /// # Cancellation
    /// Dropping the future only ends the wait.
    pub fn closed(&self) -> Closed<'_, T, F> {
        Closed { chan: &self.chan, ticket: None }
    }
}

impl<T> Sender<T, Threaded> {
    /// Sends from a plain thread, which blocks while the channel is full.
    ///
    /// # Errors
    /// [`SendError`] with the value if the receiver was dropped or has closed the channel.
    ///
    /// # Panics
    /// On the thread of a running loop, because it would block the loop.
    #[track_caller]
    pub fn blocking_send(&self, value: T) -> Result<(), SendError<T>> {
        no_loop_here("Sender::blocking_send", "send(value)");
        match self.try_send(value) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(value)) => Err(SendError(value)),
            Err(TrySendError::Full(value)) => block_on(self.send(value)),
        }
    }
}

impl<T, F: Flavor> Clone for Sender<T, F> {
    fn clone(&self) -> Self {
        self.chan.add_sender();
        Sender { chan: self.chan.clone() }
    }
}

impl<T, F: Flavor> Drop for Sender<T, F> {
    fn drop(&mut self) {
        self.chan.remove_sender();
    }
}

impl<T, F: Flavor> fmt::Debug for Sender<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("len", &self.len()).field("capacity", &self.capacity()).finish()
    }
}

/// Sends into an unbounded channel. Clones send into the same channel.
///
/// # Examples
/// ```
/// use proactor::sync::mpsc;
///
/// proactor::run(async {
///     let (sender, mut receiver) = mpsc::unbounded_channel();
///     sender.send(1).unwrap(); // does not wait
///     sender.send(2).unwrap();
///     assert_eq!(sender.len(), 2);
///     assert_eq!(receiver.recv().await, Some(1));
/// });
/// ```
pub struct UnboundedSender<T, F: Flavor = Local> {
    chan: F::Rc<Chan<T, F>>,
}

impl<T, F: Flavor> UnboundedSender<T, F> {
    pub(super) fn new(chan: F::Rc<Chan<T, F>>) -> Self {
        UnboundedSender { chan }
    }

    /// Sends a value, without waiting.
    ///
    /// # Errors
    /// [`SendError`] with the value if the receiver was dropped or has closed the channel.
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.chan.send(value).map_err(SendError)
    }

    /// Number of items in the channel.
    pub fn len(&self) -> usize {
        self.chan.len()
    }

    /// Whether the channel is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the receiver was dropped or has closed the channel.
    pub fn is_closed(&self) -> bool {
        self.chan.is_closed()
    }

    /// Waits until the receiver is dropped or closes the channel.
    ///
    /// # Cancellation
    /// Dropping the future only ends the wait.
    pub fn closed(&self) -> Closed<'_, T, F> {
        Closed { chan: &self.chan, ticket: None }
    }
}

impl<T, F: Flavor> Clone for UnboundedSender<T, F> {
    fn clone(&self) -> Self {
        self.chan.add_sender();
        UnboundedSender { chan: self.chan.clone() }
    }
}

impl<T, F: Flavor> Drop for UnboundedSender<T, F> {
    fn drop(&mut self) {
        self.chan.remove_sender();
    }
}

impl<T, F: Flavor> fmt::Debug for UnboundedSender<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnboundedSender").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The future of [`Sender::send`].
#[must_use = "futures do nothing unless awaited"]
pub struct Send<'a, T, F: Flavor = Local> {
    chan: &'a Chan<T, F>,
    value: Option<T>,
    ticket: Option<Ticket>,
}

impl<T, F: Flavor> Unpin for Send<'_, T, F> {}

impl<T, F: Flavor> Future for Send<'_, T, F> {
    type Output = Result<(), SendError<T>>;

    /// # Panics
    /// If it is polled again after it was ready.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        assert!(this.value.is_some(), "a `send` was polled after its result");
        let poll = this.chan.poll_send(cx, &mut this.ticket, &mut this.value);
        poll.map_err(|_| SendError(this.value.take().expect("it was not sent")))
    }
}

impl<T, F: Flavor> Drop for Send<'_, T, F> {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.chan.leave(&mut self.ticket);
        }
    }
}

impl<T, F: Flavor> fmt::Debug for Send<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send").field("waits", &self.ticket.is_some()).finish_non_exhaustive()
    }
}

/// The future of [`Sender::reserve`].
#[must_use = "futures do nothing unless awaited"]
pub struct Reserve<'a, T, F: Flavor = Local> {
    chan: &'a Chan<T, F>,
    ticket: Option<Ticket>,
}

impl<'a, T, F: Flavor> Future for Reserve<'a, T, F> {
    type Output = Result<Permit<'a, T, F>, SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let chan = self.chan;
        let poll = chan.poll_reserve(cx, &mut self.ticket);
        poll.map(|result| result.map(|()| Permit { chan }).map_err(|_| SendError(())))
    }
}

impl<T, F: Flavor> Drop for Reserve<'_, T, F> {
    fn drop(&mut self) {
        self.chan.leave(&mut self.ticket);
    }
}

impl<T, F: Flavor> fmt::Debug for Reserve<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve").field("waits", &self.ticket.is_some()).finish_non_exhaustive()
    }
}

/// The future of [`Sender::closed`] and [`UnboundedSender::closed`].
#[must_use = "futures do nothing unless awaited"]
pub struct Closed<'a, T, F: Flavor = Local> {
    chan: &'a Chan<T, F>,
    ticket: Option<Ticket>,
}

impl<T, F: Flavor> Future for Closed<'_, T, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let chan = self.chan;
        chan.poll_closed(cx, &mut self.ticket)
    }
}

impl<T, F: Flavor> Drop for Closed<'_, T, F> {
    fn drop(&mut self) {
        self.chan.stop_watching(&mut self.ticket);
    }
}

impl<T, F: Flavor> fmt::Debug for Closed<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").field("waits", &self.ticket.is_some()).finish_non_exhaustive()
    }
}

/// A reserved place in a channel, for one value; dropping it gives the place back.
///
/// # Examples
/// ```
/// use proactor::sync::mpsc;
///
/// proactor::run(async {
///     let (sender, mut receiver) = mpsc::channel(1);
///     let permit = sender.reserve().await.unwrap();
///     assert!(sender.try_send("no room").is_err());
///     permit.send("value").unwrap(); // does not wait
///     assert_eq!(receiver.recv().await, Some("value"));
/// });
/// ```
#[must_use = "the place is given back when the permit is dropped"]
pub struct Permit<'a, T, F: Flavor = Local> {
    chan: &'a Chan<T, F>,
}

impl<T, F: Flavor> Permit<'_, T, F> {
    /// Sends a value, without waiting, also if the receiver has closed the channel meanwhile.
    ///
    /// # Errors
    /// [`SendError`] with the value if the receiver was dropped.
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        let chan = self.chan;
        mem::forget(self); // the place is used, and the value owns nothing else
        chan.send_reserved(value).map_err(SendError)
    }
}

impl<T, F: Flavor> Drop for Permit<'_, T, F> {
    fn drop(&mut self) {
        self.chan.unreserve();
    }
}

impl<T, F: Flavor> fmt::Debug for Permit<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
