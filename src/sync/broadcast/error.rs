//! The errors of receiving from a broadcast channel.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;

/// Error of [`Receiver::recv`](super::Receiver::recv).
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

/// Error of [`Receiver::try_recv`](super::Receiver::try_recv).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is no value yet.
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
