//! A channel that carries one value from a sender to a receiver.
//!
//! ```
//! use proactor::sync::oneshot;
//!
//! proactor::run(async {
//!     let (sender, receiver) = oneshot::channel();
//!     proactor::spawn(async move { sender.send(6 * 7).unwrap() });
//!     assert_eq!(receiver.await, Ok(42));
//! });
//! ```
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pub use super::channel_error::{RecvError, TryRecvError};
use super::core::blocking::{block_on, no_loop_here};
use super::core::flavor::{Flavor, Local, Threaded};
use super::core::waiting::{drop_waiter, poll_slot, wake};
use crate::sys::guarded::in_drop;

/// Creates a channel for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    pair::<T, Local>()
}

pub(super) fn pair<T, F: Flavor>() -> (Sender<T, F>, Receiver<T, F>) {
    let state =
        F::rc(F::cell(State { value: None, sent: false, closed: false, sender: None, receiver: None }));
    (Sender { state: Some(state.clone()) }, Receiver { state, received: false })
}

type Shared<T, F> = <F as Flavor>::Rc<<F as Flavor>::Cell<State<T, F>>>;

struct State<T, F: Flavor> {
    value: Option<T>,
    /// Whether the sender has sent or was dropped: no value follows.
    sent: bool,
    /// Whether the receiver was dropped or has closed the channel: no value is accepted.
    closed: bool,
    /// The waiter for the value.
    receiver: Option<F::Waiter>,
    /// The waiter for the end of the receiver.
    sender: Option<F::Waiter>,
}

impl<T, F: Flavor> State<T, F> {
    fn look(&mut self) -> Result<T, TryRecvError> {
        match self.value.take() {
            Some(value) => Ok(value),
            None if self.sent || self.closed => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }
}

/// Sends the value. Dropping it ends the receiver's wait with [`RecvError`].
///
/// # Examples
/// ```
/// use proactor::sync::oneshot;
///
/// proactor::run(async {
///     let (mut sender, receiver) = oneshot::channel();
///     proactor::spawn(async move { drop(receiver) });
///     sender.closed().await; // the answer is no longer needed
///     assert_eq!(sender.send("answer"), Err("answer"));
/// });
/// ```
pub struct Sender<T, F: Flavor = Local> {
    /// `None` once it has sent.
    state: Option<Shared<T, F>>,
}

impl<T, F: Flavor> Sender<T, F> {
    fn state(&self) -> &F::Cell<State<T, F>> {
        self.state.as_deref().expect("it has not sent yet")
    }

    /// Sends the value, without waiting.
    ///
    /// # Errors
    /// The value, if the receiver was dropped or has closed the channel.
    pub fn send(mut self, value: T) -> Result<(), T> {
        let state = self.state.take().expect("it has not sent yet");
        let (receiver, sender) = F::with(&state, |state| {
            if state.closed {
                return Err(value);
            }
            state.value = Some(value);
            state.sent = true;
            Ok((state.receiver.take(), state.sender.take()))
        })?;
        wake::<F>(receiver);
        drop_waiter::<F>(sender);
        Ok(())
    }

    /// Waits until the receiver is dropped or closes the channel.
    ///
    /// # Cancellation
    /// Dropping the future only ends the wait.
    pub fn closed(&mut self) -> Closed<'_, T, F> {
        Closed { sender: self }
    }

    /// Polls for the end of the receiver: [`closed`](Self::closed) for futures written by hand.
    ///
    /// Only the task of the last call is woken.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        poll_slot::<F, _, _>(
            self.state(),
            cx,
            |state| &mut state.sender,
            |state| {
                if state.closed { Poll::Ready(()) } else { Poll::Pending }
            },
        )
    }

    /// Whether the receiver was dropped or has closed the channel.
    pub fn is_closed(&self) -> bool {
        F::with(self.state(), |state| state.closed)
    }
}

impl<T, F: Flavor> Drop for Sender<T, F> {
    fn drop(&mut self) {
        let Some(state) = &self.state else { return };
        let (receiver, sender) = F::with(state, |state| {
            state.sent = true;
            (state.receiver.take(), state.sender.take())
        });
        wake::<F>(receiver);
        drop_waiter::<F>(sender);
    }
}

impl<T, F: Flavor> fmt::Debug for Sender<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// The future of [`Sender::closed`].
#[must_use = "futures do nothing unless awaited"]
pub struct Closed<'a, T, F: Flavor = Local> {
    sender: &'a mut Sender<T, F>,
}

impl<T, F: Flavor> Future for Closed<'_, T, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.sender.poll_closed(cx)
    }
}

impl<T, F: Flavor> fmt::Debug for Closed<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").finish_non_exhaustive()
    }
}

/// Receives the value: a future that resolves to it.
///
/// It fails with [`RecvError`] if the sender was dropped without sending, if the channel was closed before a value
/// came, or if it is awaited again after it returned the value.
///
/// # Cancellation
/// Dropping the future drops the receiver; await `&mut receiver` to keep it.
///
/// # Examples
/// ```
/// use proactor::sync::oneshot;
///
/// let (sender, mut receiver) = oneshot::channel();
/// assert_eq!(receiver.try_recv(), Err(oneshot::TryRecvError::Empty));
/// sender.send(7).unwrap();
/// assert_eq!(receiver.try_recv(), Ok(7));
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Receiver<T, F: Flavor = Local> {
    state: Shared<T, F>,
    /// Whether the value was received: then the sender is gone, and no waiter is left.
    received: bool,
}

impl<T, F: Flavor> Unpin for Receiver<T, F> {}

impl<T, F: Flavor> Receiver<T, F> {
    /// Takes the value if it was sent.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let look = F::with(&self.state, State::look);
        self.received |= look.is_ok();
        look
    }

    /// Closes the channel: a value that was not sent yet is refused. A value that was sent can still be received.
    pub fn close(&mut self) {
        // The task that polled the receiver may be another than the one that closes it.
        let (sender, receiver) = F::with(&self.state, |state| {
            state.closed = true;
            (state.sender.take(), state.receiver.take())
        });
        wake::<F>(sender);
        wake::<F>(receiver);
    }
}

impl<T> Receiver<T, Threaded> {
    /// Receives the value on a plain thread, which blocks until the value comes.
    ///
    /// # Errors
    /// [`RecvError`] if the sender is dropped without sending, or the channel was closed.
    ///
    /// # Panics
    /// On the thread of a running loop, because it would block the loop.
    #[track_caller]
    pub fn blocking_recv(self) -> Result<T, RecvError> {
        no_loop_here("Receiver::blocking_recv", "receiver");
        block_on(self)
    }
}

impl<T, F: Flavor> Future for Receiver<T, F> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let poll = poll_slot::<F, _, _>(
            &self.state,
            cx,
            |state| &mut state.receiver,
            |state| match state.look() {
                Ok(value) => Poll::Ready(Ok(value)),
                Err(TryRecvError::Closed) => Poll::Ready(Err(RecvError)),
                Err(TryRecvError::Empty) => Poll::Pending,
            },
        );
        self.received |= matches!(poll, Poll::Ready(Ok(_)));
        poll
    }
}

impl<T, F: Flavor> Drop for Receiver<T, F> {
    fn drop(&mut self) {
        if self.received {
            return;
        }
        // The value and the waiters are dropped outside the lock: destructors are user code.
        let (value, receiver, sender) = F::with(&self.state, |state| {
            state.closed = true;
            (state.value.take(), state.receiver.take(), state.sender.take())
        });
        wake::<F>(sender);
        drop_waiter::<F>(receiver);
        in_drop(|| drop(value));
    }
}

impl<T, F: Flavor> fmt::Debug for Receiver<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
