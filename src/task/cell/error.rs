//! The number of a task, the way it has ended, and the reason that it has no result.
#![forbid(unsafe_code)]

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// The number of a task. A runtime never uses it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub(crate) u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reason a task has no result.
///
/// `?` turns it into an [`io::Error`](std::io::Error) that contains it, of kind `NotConnected` when the runtime has
/// ended, and of kind `Other` otherwise.
///
/// # Examples
/// ```
/// use proactor::task::JoinError;
/// proactor::run(async {
///     let task = proactor::spawn(std::future::pending::<()>());
///     assert!(matches!(task.cancel().await, Err(JoinError::Cancelled)));
/// });
/// ```
#[non_exhaustive]
pub enum JoinError {
    /// The task was cancelled, or its runtime was shut down, before it finished.
    Cancelled,
    /// The task panicked, or its destructor did.
    Panicked(Panic),
    /// The task was sent to a runtime that had already ended.
    RuntimeGone,
}

impl JoinError {
    /// Whether the task was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, JoinError::Cancelled)
    }

    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self, JoinError::Panicked(_))
    }

    /// The payload of the panic, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    /// If the task did not panic.
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self {
            JoinError::Panicked(panic) => panic.into_payload(),
            other => panic!("into_panic on a task that did not panic: {other}"),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Cancelled => f.write_str("the task was cancelled"),
            JoinError::Panicked(panic) => write!(f, "the task panicked: {}", panic.message()),
            JoinError::RuntimeGone => RuntimeGone.fmt(f),
        }
    }
}

impl Error for JoinError {}

into_io_error!(JoinError:
    JoinError::Cancelled | JoinError::Panicked(_) => Other,
    JoinError::RuntimeGone => NotConnected);

debug_as_display!(JoinError);

/// The panic of a task: its payload and message.
///
/// # Examples
/// ```
/// use proactor::task::JoinError;
/// # std::panic::set_hook(Box::new(|_| ()));
/// proactor::run(async {
///     match proactor::spawn(async { panic!("on fire") }).await {
///         Err(JoinError::Panicked(panic)) => assert_eq!(panic.message(), "on fire"),
///         other => unreachable!("{other:?}"),
///     }
/// });
/// ```
pub struct Panic(Box<Panicked>); // a box: every task has room for an outcome, and few panic

struct Panicked {
    message: String,
    /// Never locked: it makes the error `Sync`, so that it goes into `io::Error` and `dyn Error + Sync`.
    payload: Mutex<Box<dyn Any + Send + 'static>>,
}

impl Panic {
    pub(crate) fn new(payload: Box<dyn Any + Send + 'static>) -> Self {
        let message = if let Some(message) = payload.downcast_ref::<&'static str>() {
            (*message).to_owned()
        } else if let Some(message) = payload.downcast_ref::<String>() {
            message.clone()
        } else {
            "(the payload is not a string)".to_owned()
        };
        Panic(Box::new(Panicked { message, payload: Mutex::new(payload) }))
    }

    /// The message if the payload is a string, else a placeholder.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The payload, for [`std::panic::resume_unwind`].
    pub fn into_payload(self) -> Box<dyn Any + Send + 'static> {
        self.0.payload.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.message()).finish()
    }
}

/// The way a task has ended.
///
/// # Examples
/// See [`Task::state`](crate::task::Task::state).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The task ran to its end.
    Finished,
    /// The task ran to its end and returned an error. Only tasks of [`try_spawn`](fn@crate::task::try_spawn) and its methods end
    /// like this: of other tasks every output is [`Finished`](Self::Finished).
    Failed,
    /// The task was cancelled.
    Cancelled,
    /// The task panicked.
    Panicked,
}

/// Error: the runtime that a handle belongs to has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RuntimeGone;

impl fmt::Display for RuntimeGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime that this handle belongs to has ended; keep the runtime alive for as long as its handles are used")
    }
}

impl Error for RuntimeGone {}

into_io_error!(RuntimeGone: RuntimeGone => NotConnected);

debug_as_display!(RuntimeGone);
