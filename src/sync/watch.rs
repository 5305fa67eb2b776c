//! A channel that holds one changing value; receivers see the latest value, not each one.
//!
//! A receiver gets a reference-counted snapshot of the value and holds no lock. It can keep the snapshot for any time,
//! also across an await; newer values do not change it.
//!
//! ```
//! use proactor::sync::watch;
//!
//! proactor::run(async {
//!     let (sender, mut receiver) = watch::channel("starting");
//!     proactor::spawn(async move {
//!         sender.send("running").unwrap();
//!         sender.send("stopping").unwrap();
//!     });
//!     receiver.changed().await.unwrap();
//!     assert_eq!(*receiver.borrow_and_update(), "stopping");
//!     assert!(receiver.changed().await.is_err()); // the sender has gone
//! });
//! ```
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::mem;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

pub use super::channel_error::{RecvError, SendError};
use super::core::fanout::{Channel, ChannelRef, SenderRef};
use super::core::flavor::{Flavor, Local};
use super::core::waiters::Ticket;
use super::core::waiting::{leave, poll_queue};

/// Creates a channel that holds `value`, which counts as seen by the receiver.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    holding::<T, Local>(value)
}

pub(super) fn holding<T, F: Flavor>(value: T) -> (Sender<T, F>, Receiver<T, F>) {
    let channel = Channel::<_, F>::new(Current { value: F::rc(value), version: 0 });
    (Sender { channel: SenderRef::new(channel.clone()) }, Receiver { channel, seen: 0 })
}

/// The current value of the channel.
struct Current<T, F: Flavor> {
    value: F::Rc<T>,
    /// The number of changes.
    version: u64,
}

impl<T, F: Flavor> Current<T, F> {
    fn snapshot(&self) -> (F::Rc<T>, u64) {
        (self.value.clone(), self.version)
    }

    /// Replaces the value. The caller drops the old one.
    fn replace(&mut self, value: T) -> (Option<T>, Option<F::Rc<T>>) {
        self.version += 1;
        match F::unique(&mut self.value) {
            Some(place) => (Some(mem::replace(place, value)), None),
            None => (None, Some(mem::replace(&mut self.value, F::rc(value)))),
        }
    }
}

/// A reference-counted snapshot of the value.
///
/// # Examples
/// ```
/// use proactor::sync::watch;
///
/// let (sender, receiver) = watch::channel(1);
/// let seen = receiver.borrow();
/// sender.send(2).unwrap();
/// assert_eq!((*seen, *receiver.borrow()), (1, 2));
/// ```
pub struct Ref<T, F: Flavor = Local> {
    value: F::Rc<T>,
}

impl<T, F: Flavor> Deref for Ref<T, F> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T, F: Flavor> Clone for Ref<T, F> {
    fn clone(&self) -> Self {
        Ref { value: self.value.clone() }
    }
}

impl<T: fmt::Debug, F: Flavor> fmt::Debug for Ref<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Changes the value. Clones change the same value.
///
/// # Examples
/// ```
/// use proactor::sync::watch;
///
/// let (sender, receiver) = watch::channel(vec![1]);
/// sender.send_modify(|list| list.push(2));
/// assert_eq!(*receiver.borrow(), [1, 2]);
///
/// let notified = sender.send_if_modified(|list| {
///     list.retain(|number| *number < 10);
///     false // no receiver is notified, and the list does not change
/// });
/// assert!(!notified);
/// ```
pub struct Sender<T, F: Flavor = Local> {
    channel: SenderRef<Current<T, F>, F>,
}

impl<T, F: Flavor> Sender<T, F> {
    /// Replaces the value, without waiting.
    ///
    /// # Errors
    /// [`SendError`] with the new value if there is no receiver; the old value stays.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let _replaced = F::with(&self.channel, |channel| match channel.receivers {
            0 => Err(SendError(value)),
            _ => Ok(channel.values.replace(value)),
        })?;
        self.channel.notify();
        Ok(())
    }

    /// Replaces the value, also if there is no receiver. Returns the old one.
    ///
    /// ```
    /// use proactor::sync::watch;
    ///
    /// struct State(u32); // no `Clone`
    /// let (sender, receiver) = watch::channel(State(1));
    /// drop(receiver);
    /// assert_eq!(sender.send_replace(State(2)).0, 1);
    /// assert_eq!(sender.borrow().0, 2);
    /// ```
    pub fn send_replace(&self, value: T) -> Ref<T, F> {
        let value = F::rc(value);
        let value = F::with(&self.channel, |channel| {
            channel.values.version += 1;
            mem::replace(&mut channel.values.value, value)
        });
        self.channel.notify();
        Ref { value }
    }

    /// Modifies a copy of the value and stores that, also if there is no receiver.
    ///
    /// No lock is held while the closure runs. If another sender changes the value meanwhile, the closure is called
    /// again with a copy of the newer value. So the closure must not send on this channel: it would be called again for
    /// ever. If it panics, the value does not change.
    pub fn send_modify(&self, mut modify: impl FnMut(&mut T))
    where
        T: Clone,
    {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// Like [`send_modify`](Self::send_modify), if the closure returns true. Returns what the closure returned.
    ///
    /// If the closure returns false, its copy is dropped, the value does not change, and no receiver is notified.
    pub fn send_if_modified(&self, mut modify: impl FnMut(&mut T) -> bool) -> bool
    where
        T: Clone,
    {
        loop {
            let (snapshot, version) = F::with(&self.channel, |channel| channel.values.snapshot());
            let mut copy = T::clone(&snapshot);
            drop(snapshot); // so that its memory can be used again
            if !modify(&mut copy) {
                return false;
            }
            let replaced = F::with(&self.channel, |channel| {
                let current = &mut channel.values;
                if current.version == version { Ok(current.replace(copy)) } else { Err(copy) }
            });
            // Dropped last, because a destructor is user code.
            if let Ok(_replaced) = replaced {
                self.channel.notify();
                return true;
            }
        }
    }

    /// Returns a snapshot of the current value.
    pub fn borrow(&self) -> Ref<T, F> {
        Ref { value: F::with(&self.channel, |channel| channel.values.value.clone()) }
    }

    /// Creates a receiver; the current value counts as seen.
    pub fn subscribe(&self) -> Receiver<T, F> {
        let (channel, seen) = self.channel.subscribe(|current| current.version);
        Receiver { channel, seen }
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

impl<T: fmt::Debug, F: Flavor> fmt::Debug for Sender<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("value", &self.borrow()).finish_non_exhaustive()
    }
}

/// Watches the value. A clone has seen the same values as the original.
///
/// # Examples
/// ```
/// use proactor::sync::watch;
///
/// proactor::run(async {
///     let (sender, mut receiver) = watch::channel(0);
///     proactor::spawn(async move {
///         for number in 1..=10 {
///             let _ = sender.send(number);
///             proactor::yield_now().await;
///         }
///     });
///     let large = receiver.wait_for(|number| *number > 5).await.unwrap();
///     assert!(*large > 5);
/// });
/// ```
pub struct Receiver<T, F: Flavor = Local> {
    channel: ChannelRef<Current<T, F>, F>,
    /// The latest version that this receiver has seen.
    seen: u64,
}

impl<T, F: Flavor> Receiver<T, F> {
    /// Returns a snapshot of the current value, which does not count as seen.
    pub fn borrow(&self) -> Ref<T, F> {
        Ref { value: F::with(&self.channel, |channel| channel.values.value.clone()) }
    }

    /// Returns a snapshot of the current value and marks it as seen.
    pub fn borrow_and_update(&mut self) -> Ref<T, F> {
        let (value, version) = F::with(&self.channel, |channel| channel.values.snapshot());
        self.seen = version;
        Ref { value }
    }

    /// Whether this receiver has not seen the current value.
    pub fn has_changed(&self) -> bool {
        F::with(&self.channel, |channel| channel.values.version) != self.seen
    }

    /// Waits for a value that this receiver has not seen, and marks it as seen.
    ///
    /// # Errors
    /// [`RecvError`] if all senders are gone and the last value has been seen.
    ///
    /// # Cancellation
    /// Dropping the future marks nothing as seen.
    pub fn changed(&mut self) -> Changed<'_, T, F> {
        Changed { receiver: self, ticket: None }
    }

    /// Waits until the current value or a later one satisfies `predicate`, and marks it as seen.
    ///
    /// No lock is held while `predicate` runs.
    ///
    /// # Errors
    /// [`RecvError`] if all senders are gone and the last value does not satisfy `predicate`.
    ///
    /// # Cancellation
    /// Dropping the future marks nothing as seen.
    pub fn wait_for<P: FnMut(&T) -> bool>(&mut self, predicate: P) -> WaitFor<'_, T, P, F> {
        WaitFor { receiver: self, predicate, refused: None, ticket: None }
    }
}

impl<T, F: Flavor> Clone for Receiver<T, F> {
    fn clone(&self) -> Self {
        F::with(&self.channel, |channel| channel.receivers += 1);
        Receiver { channel: self.channel.clone(), seen: self.seen }
    }
}

impl<T, F: Flavor> Drop for Receiver<T, F> {
    fn drop(&mut self) {
        F::with(&self.channel, |channel| channel.receivers -= 1);
    }
}

impl<T: fmt::Debug, F: Flavor> fmt::Debug for Receiver<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("value", &self.borrow()).finish_non_exhaustive()
    }
}

/// The future of [`Receiver::changed`].
#[must_use = "futures do nothing unless awaited"]
pub struct Changed<'a, T, F: Flavor = Local> {
    receiver: &'a mut Receiver<T, F>,
    ticket: Option<Ticket>,
}

impl<T, F: Flavor> Future for Changed<'_, T, F> {
    type Output = Result<(), RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Receiver { channel, seen } = &mut *this.receiver;
        poll_queue::<F, _, _>(channel, cx, &mut this.ticket, Channel::waiting, |channel, _| {
            if channel.values.version != *seen {
                *seen = channel.values.version;
                return Poll::Ready(Ok(()));
            }
            if channel.is_closed() { Poll::Ready(Err(RecvError)) } else { Poll::Pending }
        })
    }
}

impl<T, F: Flavor> Drop for Changed<'_, T, F> {
    fn drop(&mut self) {
        leave::<F, _>(&self.receiver.channel, &mut self.ticket, Channel::waiting);
    }
}

impl<T, F: Flavor> fmt::Debug for Changed<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed").finish_non_exhaustive()
    }
}

/// The future of [`Receiver::wait_for`].
#[must_use = "futures do nothing unless awaited"]
pub struct WaitFor<'a, T, P, F: Flavor = Local> {
    receiver: &'a mut Receiver<T, F>,
    predicate: P,
    /// The last version that did not satisfy the predicate.
    refused: Option<u64>,
    ticket: Option<Ticket>,
}

impl<T, P, F: Flavor> Unpin for WaitFor<'_, T, P, F> {}

impl<T, P: FnMut(&T) -> bool, F: Flavor> Future for WaitFor<'_, T, P, F> {
    type Output = Result<Ref<T, F>, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Receiver { channel, seen } = &mut *this.receiver;
        loop {
            let refused = this.refused;
            let poll =
                poll_queue::<F, _, _>(channel, cx, &mut this.ticket, Channel::waiting, |channel, _| {
                    if refused != Some(channel.values.version) {
                        return Poll::Ready(Some(channel.values.snapshot()));
                    }
                    if channel.is_closed() { Poll::Ready(None) } else { Poll::Pending }
                });
            match poll {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Err(RecvError)),
                Poll::Ready(Some((value, version))) => {
                    if (this.predicate)(&value) {
                        *seen = version;
                        return Poll::Ready(Ok(Ref { value }));
                    }
                    this.refused = Some(version);
                }
            }
        }
    }
}

impl<T, P, F: Flavor> Drop for WaitFor<'_, T, P, F> {
    fn drop(&mut self) {
        leave::<F, _>(&self.receiver.channel, &mut self.ticket, Channel::waiting);
    }
}

impl<T, P, F: Flavor> fmt::Debug for WaitFor<'_, T, P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitFor").finish_non_exhaustive()
    }
}
