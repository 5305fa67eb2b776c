//! Errors of promises: no result, and a second result.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;

/// Reason a promise has no result.
///
/// # Examples
/// ```
/// use proactor::task::{PromiseError, promise};
/// proactor::run(async {
///     let (promise, future) = promise::<(), &str>();
///     promise.set_error("out of paper").unwrap();
///     assert_eq!(future.await, Err(PromiseError::Failed("out of paper")));
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PromiseError<E> {
    /// The error that was set.
    Failed(E),
    /// The promise was cancelled, or its [`Promise`](crate::task::Promise) was dropped before it was settled.
    Cancelled,
}

impl<E: fmt::Display> fmt::Display for PromiseError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PromiseError::Failed(error) => error.fmt(f),
            PromiseError::Cancelled => {
                f.write_str("the promise was cancelled, or dropped before it was settled")
            }
        }
    }
}

/// Converts the error that was set; a cancelled promise becomes an error of kind `Other`.
impl<E: Into<io::Error>> From<PromiseError<E>> for io::Error {
    fn from(error: PromiseError<E>) -> Self {
        match error {
            PromiseError::Failed(error) => error.into(),
            PromiseError::Cancelled => io::Error::other(PromiseError::<Infallible>::Cancelled),
        }
    }
}

impl<E: Error + 'static> Error for PromiseError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            PromiseError::Failed(error) => Some(error),
            PromiseError::Cancelled => None,
        }
    }
}

/// Error: the promise has been settled or cancelled already. It returns the value that was to be set; asyncio's
/// `InvalidStateError`.
///
/// # Examples
/// ```
/// use proactor::task::{AlreadySettled, promise};
/// let (promise, _future) = promise::<u32, ()>();
/// assert_eq!(promise.set_result(1), Ok(()));
/// assert_eq!(promise.set_result(2), Err(AlreadySettled(2)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AlreadySettled<T>(pub T);

impl<T> fmt::Display for AlreadySettled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the promise is settled already: a result can be set only once")
    }
}

impl<T> Error for AlreadySettled<T> {}

into_io_error!(AlreadySettled<T>: AlreadySettled(_) => InvalidInput, AlreadySettled(()));

debug_as_display!(AlreadySettled<T>);
