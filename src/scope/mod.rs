//! Cleanups that may await: a resource is closed at the end of its block, however the block ends; asyncio's `async
//! with` and `AsyncExitStack`.
//!
//! Rust drops at once, and a destructor can't await. So a resource whose close awaits ([`AsyncClose`]) is lent to a
//! block: [`using`] closes it when the block has ended, and an [`ExitStack`] closes all that it holds, in reverse
//! order. The block may be dropped instead, because its task is cancelled or panics, or because another branch of a
//! `select!` wins. Then closing becomes a *cleanup* of that task: cleanups run afterwards, one after the other from the
//! inside out, and a cancelled task completes only after them. A cleanup is never cancelled; a runtime that ends waits
//! for it until its deadline.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | `AsyncClose`, `using` |
//! | `exit_stack.rs` | `ExitStack`, `exit_stack` |
#![forbid(unsafe_code)]

mod exit_stack;

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

pub use exit_stack::{ExitStack, exit_stack};

use crate::task::cancel::cleanup::defer;

/// A resource whose close may await and may fail; asyncio's `aclose` and `__aexit__`.
///
/// # Examples
/// ```
/// use proactor::scope::{AsyncClose, using};
/// use std::io;
///
/// struct Session;
///
/// impl AsyncClose for Session {
///     async fn close(self) -> io::Result<()> {
///         proactor::yield_now().await; // logs out
///         Ok(())
///     }
/// }
///
/// proactor::run(async {
///     let answer = using(Session, async |_session| io::Result::Ok(42)).await?;
///     assert_eq!(answer, 42); // and the session has been closed
///     io::Result::Ok(())
/// }).unwrap();
/// ```
pub trait AsyncClose {
    /// Closes the resource.
    ///
    /// # Errors
    /// When the close could not finish its work. The resource is closed all the same.
    fn close(self) -> impl Future<Output = io::Result<()>>;
}

/// Lends a resource to a block of code, and closes it at the end of the block; asyncio's `async with`.
///
/// # Errors
/// The error of the body, else that of the close.
///
/// # Cancellation
/// When it is dropped in the body or during the close, a cleanup of the task closes the resource or finishes the close.
/// An error of the cleanup goes to [`Config::on_unhandled`](crate::Config::on_unhandled). Outside a runtime, or after
/// its deadline, the resource is just dropped.
///
/// # Examples
/// ```
/// use proactor::net::{TcpListener, TcpStream};
/// use proactor::scope::using;
/// proactor::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let stream = TcpStream::connect(listener.local_addr()?).await?;
///     using(stream, async |stream| {
///         stream.write_all("hello").await?;
///         std::io::Result::Ok(())
///     }).await
/// }).unwrap();
/// ```
#[track_caller]
pub fn using<R, T, E, F>(resource: R, body: F) -> impl Future<Output = Result<T, E>>
where
    R: AsyncClose + 'static,
    F: AsyncFnOnce(&mut R) -> Result<T, E>,
    E: From<io::Error>,
{
    let location = Location::caller(); // an `async fn` would not see the caller
    async move {
        let mut open = Open { resource: Some(resource), location };
        let result = body(open.resource.as_mut().expect("it is open")).await;
        let closed = open.close().await;
        let value = result?;
        closed?;
        Ok(value)
    }
}

/// Closes its resource as a cleanup when it is dropped.
struct Open<R: AsyncClose + 'static> {
    resource: Option<R>,
    location: &'static Location<'static>,
}

impl<R: AsyncClose + 'static> Open<R> {
    fn close(mut self) -> Closing {
        let close = self.resource.take().expect("it is closed once").close();
        Closing { close: Some(Box::pin(close)), location: self.location }
    }
}

impl<R: AsyncClose + 'static> Drop for Open<R> {
    fn drop(&mut self) {
        if let Some(resource) = self.resource.take() {
            // `close` is called in the cleanup: it may panic, and a panic may be unwinding here.
            defer(self.location, async move { resource.close().await });
        }
    }
}

/// The future of a close. If it is dropped before its end, the close continues as a cleanup; therefore it is in a box.
struct Closing {
    close: Option<Pin<Box<dyn Future<Output = io::Result<()>>>>>,
    location: &'static Location<'static>,
}

impl Future for Closing {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Taken out, because it must not be polled again after a panic.
        let mut close = self.close.take().expect("a Closing was polled after its result");
        let closed = close.as_mut().poll(cx);
        if closed.is_pending() {
            self.close = Some(close);
        }
        closed
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(close) = self.close.take() {
            defer(self.location, close);
        }
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closing").finish_non_exhaustive()
    }
}
