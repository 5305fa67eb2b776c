//! The errors of the queues.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;

/// Error of a put into a queue that was shut down, with the item, or of a get from one that is also empty.
///
/// # Examples
/// ```
/// use proactor::sync::queue::{self, QueueShutDown};
///
/// proactor::run(async {
///     let queue = queue::bounded(4);
///     queue.shutdown(false);
///     assert_eq!(queue.put(7).await, Err(QueueShutDown(7)));
///     assert_eq!(queue.get().await, Err(QueueShutDown(())));
/// });
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QueueShutDown<T = ()>(pub T);

impl<T> fmt::Display for QueueShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue was shut down")
    }
}

impl<T> Error for QueueShutDown<T> {}

into_io_error!(QueueShutDown<T>: QueueShutDown(_) => BrokenPipe, QueueShutDown(()));

/// Error of a put that does not wait. It contains the item that was not put.
///
/// # Examples
/// ```
/// use proactor::sync::queue::{self, TryPutError};
///
/// let queue = queue::bounded(1);
/// queue.try_put(1).unwrap();
/// assert_eq!(queue.try_put(2), Err(TryPutError::Full(2)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryPutError<T> {
    /// The queue is full, or its free room is reserved for waiting putters.
    Full(T),
    /// The queue was shut down.
    ShutDown(T),
}

impl<T> TryPutError<T> {
    /// Returns the item that was not put.
    pub fn into_inner(self) -> T {
        match self {
            TryPutError::Full(item) | TryPutError::ShutDown(item) => item,
        }
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryPutError::Full(_) => f.write_str("the queue is full"),
            TryPutError::ShutDown(_) => QueueShutDown(()).fmt(f),
        }
    }
}

impl<T> Error for TryPutError<T> {}

into_io_error!(TryPutError<T>:
    TryPutError::Full(_) => WouldBlock, TryPutError::Full(());
    TryPutError::ShutDown(_) => BrokenPipe, TryPutError::ShutDown(()));

/// Error of a get that does not wait.
///
/// # Examples
/// ```
/// use proactor::sync::queue::{self, TryGetError};
///
/// let queue = queue::unbounded::<u32>();
/// assert_eq!(queue.try_get(), Err(TryGetError::Empty));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryGetError {
    /// The queue is empty, or its items are reserved for waiting getters.
    Empty,
    /// The queue is empty and was shut down.
    ShutDown,
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryGetError::Empty => f.write_str("the queue is empty"),
            TryGetError::ShutDown => QueueShutDown(()).fmt(f),
        }
    }
}

impl Error for TryGetError {}

into_io_error!(TryGetError: TryGetError::Empty => WouldBlock, TryGetError::ShutDown => BrokenPipe);

/// `task_done` was called more often than there were items.
///
/// # Examples
/// ```
/// let queue = proactor::sync::queue::unbounded::<u32>();
/// assert!(queue.task_done().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TaskDoneError;

impl fmt::Display for TaskDoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "task_done was called more often than items were put: call it once for each item from `get`",
        )
    }
}

impl Error for TaskDoneError {}

into_io_error!(TaskDoneError: TaskDoneError => InvalidInput);

debug_as_display!(QueueShutDown<T>, TryPutError<T>, TryGetError, TaskDoneError);
