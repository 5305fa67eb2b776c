//! The receiver of a channel.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::TryRecvError;
use super::chan::{Chan, Found};
use crate::sync::core::blocking::{block_on, no_loop_here};
use crate::sync::core::flavor::{Flavor, Local, Threaded};
use crate::sys::guarded::in_drop;

/// Receives from a channel. It is also a [`Stream`].
///
/// # Examples
/// ```
/// use proactor::sync::mpsc;
///
/// proactor::run(async {
///     let (sender, mut receiver) = mpsc::unbounded_channel();
///     sender.send('a').unwrap();
///     sender.send('b').unwrap();
///     receiver.close(); // the items in the channel can still be received
///     assert!(sender.send('c').is_err());
///     assert_eq!(receiver.recv().await, Some('a'));
///     assert_eq!(receiver.try_recv(), Ok('b'));
///     assert_eq!(receiver.recv().await, None);
/// });
/// ```
pub struct Receiver<T, F: Flavor = Local> {
    /// Items that were taken from the channel's queue and not received yet.
    batch: VecDeque<T>,
    /// Whether the queue had items when it was last taken.
    streams: bool,
    chan: F::Rc<Chan<T, F>>,
}

impl<T, F: Flavor> Unpin for Receiver<T, F> {}

impl<T, F: Flavor> Receiver<T, F> {
    pub(super) fn new(chan: F::Rc<Chan<T, F>>) -> Self {
        Receiver { batch: VecDeque::new(), streams: false, chan }
    }

    /// Receives the next item; waits until there is one. Returns `None` once the channel is closed, or all senders are
    /// gone, and everything has been received.
    ///
    /// # Cancellation
    /// Dropping the future loses no item: the next call returns it.
    pub fn recv(&mut self) -> Recv<'_, T, F> {
        Recv { receiver: self }
    }

    /// Receives the next item if there is one.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        if let Some(item) = self.next_of_batch() {
            return Ok(item);
        }
        match self.chan.take(&mut self.batch) {
            Found::Item(item) => {
                self.chan.count_taken();
                Ok(item)
            }
            Found::Nothing => Err(TryRecvError::Empty),
            Found::End => Err(TryRecvError::Closed),
        }
    }

    /// Polls for the next item: [`recv`](Self::recv) for futures written by hand.
    ///
    /// Only the task of the last call is woken.
    #[inline]
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(item) = self.next_of_batch() {
            return Poll::Ready(Some(item));
        }
        let streams = F::CROSSES_THREADS && mem::take(&mut self.streams);
        let poll = if streams { self.poll_once_more(cx) } else { self.chan.poll_take(cx, &mut self.batch) };
        if let Poll::Ready(Some(_)) = poll {
            self.streams = true;
            self.chan.count_taken();
        }
        poll
    }

    /// Schedules another poll in the next turn, instead of waiting for a sender's wake-up. A sender on another thread may be
    /// about to send the next item: it need not wake a receiver that is scheduled, and a wake-up takes much longer than the
    /// turn.
    fn poll_once_more(&mut self, cx: &Context<'_>) -> Poll<Option<T>> {
        match self.chan.take(&mut self.batch) {
            Found::Item(item) => Poll::Ready(Some(item)),
            Found::End => Poll::Ready(None),
            Found::Nothing => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    #[inline]
    fn next_of_batch(&mut self) -> Option<T> {
        let item = self.batch.pop_front()?;
        self.chan.count_taken();
        Some(item)
    }

    /// Closes the channel: waiting and later sends fail. Items that were sent, and those that a
    /// [`Permit`](super::Permit) sends, can still be received.
    pub fn close(&mut self) {
        self.chan.close();
    }

    /// Number of items in the channel.
    pub fn len(&self) -> usize {
        self.chan.len()
    }

    /// Whether the channel is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Maximum number of items in the channel; `None` if it is unbounded.
    pub fn capacity(&self) -> Option<usize> {
        self.chan.capacity()
    }
}

impl<T> Receiver<T, Threaded> {
    /// Receives on a plain thread, which blocks until there is an item.
    ///
    /// # Panics
    /// On the thread of a running loop, because it would block the loop.
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Option<T> {
        no_loop_here("Receiver::blocking_recv", "recv()");
        match self.try_recv() {
            Ok(item) => Some(item),
            Err(TryRecvError::Closed) => None,
            Err(TryRecvError::Empty) => block_on(self.recv()),
        }
    }
}

impl<T, F: Flavor> Stream for Receiver<T, F> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().poll_recv(cx)
    }
}

impl<T, F: Flavor> Drop for Receiver<T, F> {
    fn drop(&mut self) {
        let left = self.chan.abandon();
        in_drop(|| drop(left)); // without the lock: that is user code
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
}

impl<T, F: Flavor> Future for Recv<'_, T, F> {
    type Output = Option<T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.receiver.poll_recv(cx)
    }
}

impl<T, F: Flavor> fmt::Debug for Recv<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").finish_non_exhaustive()
    }
}
