//! Why something could not be sent or received: the errors that the channels share.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;

/// Nobody will receive what was to be sent; it comes back.
///
/// # Examples
/// ```
/// use proactor::sync::mpsc::{SendError, unbounded_channel};
///
/// let (sender, receiver) = unbounded_channel();
/// drop(receiver);
/// assert_eq!(sender.send(7), Err(SendError(7)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel is closed: nobody receives from it any more")
    }
}

impl<T> Error for SendError<T> {}

into_io_error!(SendError<T>: SendError(_) => BrokenPipe, SendError(()));

/// Why nothing could be sent at once; what was to be sent comes back.
///
/// # Examples
/// ```
/// use proactor::sync::mpsc::{TrySendError, channel};
///
/// let (sender, receiver) = channel(1);
/// sender.try_send(1).unwrap();
/// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
/// drop(receiver);
/// assert_eq!(sender.try_send(3), Err(TrySendError::Closed(3)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// There is no room, or others wait for it.
    Full(T),
    /// Nobody receives any more.
    Closed(T),
}

impl<T> TrySendError<T> {
    /// What was to be sent.
    pub fn into_inner(self) -> T {
        match self {
            TrySendError::Full(value) | TrySendError::Closed(value) => value,
        }
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "the channel is full",
            TrySendError::Closed(_) => "the channel is closed: nobody receives from it any more",
        })
    }
}

impl<T> Error for TrySendError<T> {}

into_io_error!(TrySendError<T>:
    TrySendError::Full(_) => WouldBlock, TrySendError::Full(());
    TrySendError::Closed(_) => BrokenPipe, TrySendError::Closed(()));

/// All senders are gone, and what they had sent has been received.
///
/// # Examples
/// ```
/// use proactor::sync::oneshot::{RecvError, channel};
///
/// proactor::run(async {
///     let (sender, receiver) = channel::<u32>();
///     drop(sender);
///     assert_eq!(receiver.await, Err(RecvError));
/// });
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel is closed: nobody sends to it any more")
    }
}

impl Error for RecvError {}

into_io_error!(RecvError: RecvError => UnexpectedEof);

/// Why nothing could be received at once.
///
/// # Examples
/// ```
/// use proactor::sync::mpsc::{TryRecvError, channel};
///
/// let (sender, mut receiver) = channel::<u32>(1);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// drop(sender);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is nothing yet.
    Empty,
    /// There is nothing, and nothing can come any more.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryRecvError::Empty => "the channel is empty",
            TryRecvError::Closed => "the channel is closed: nobody sends to it any more",
        })
    }
}

impl Error for TryRecvError {}

into_io_error!(TryRecvError: TryRecvError::Empty => WouldBlock, TryRecvError::Closed => UnexpectedEof);

debug_as_display!(SendError<T>, TrySendError<T>, RecvError, TryRecvError);
