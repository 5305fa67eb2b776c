//! The errors of sending and receiving that the channels share.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;

/// Error of a send into a closed channel. It contains the value that was not sent.
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
        f.write_str("the channel is closed: it accepts no more values")
    }
}

impl<T> Error for SendError<T> {}

into_io_error!(SendError<T>: SendError(_) => BrokenPipe, SendError(()));

/// Error of a send that does not wait. It contains the value that was not sent.
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
    /// The channel is full, or its free room is reserved for waiting senders.
    Full(T),
    /// The receiver was dropped or has closed the channel.
    Closed(T),
}

impl<T> TrySendError<T> {
    /// Returns the value that was not sent.
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
            TrySendError::Closed(_) => "the channel is closed: it accepts no more values",
        })
    }
}

impl<T> Error for TrySendError<T> {}

into_io_error!(TrySendError<T>:
    TrySendError::Full(_) => WouldBlock, TrySendError::Full(());
    TrySendError::Closed(_) => BrokenPipe, TrySendError::Closed(()));

/// Error of a receive from a channel that is closed and empty.
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
        f.write_str("the channel is closed: no more values will come")
    }
}

impl Error for RecvError {}

into_io_error!(RecvError: RecvError => UnexpectedEof);

/// Error of a receive that does not wait.
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
    /// The channel is empty at the moment.
    Empty,
    /// The channel is closed and empty.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryRecvError::Empty => "the channel is empty",
            TryRecvError::Closed => "the channel is closed: no more values will come",
        })
    }
}

impl Error for TryRecvError {}

into_io_error!(TryRecvError: TryRecvError::Empty => WouldBlock, TryRecvError::Closed => UnexpectedEof);

debug_as_display!(SendError<T>, TrySendError<T>, RecvError, TryRecvError);
