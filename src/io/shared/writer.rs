//! The polled writes of adapters, whose bytes are borrowed.
//!
//! The caller lends bytes for the length of the call, and the kernel gets them at once, by a call that does not wait. The
//! rest is copied, one piece at a time, and a task sends it: in order, and even if the caller never polls again. The piece
//! goes through the I/O lock of the endpoint, as every write does. The next poll waits for the end of the task, and reports
//! its error.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::driver::current;
use crate::driver::operation::submission::Submission;
use crate::driver::operation::transfer::{Goal, Repeat};
use crate::op;
use crate::op::catalogue::net::send::Sender;
use crate::op::object::endpoint_ref::EndpointRef;
use crate::sys::cancelled;
use crate::sys::context::expect_runtime;
use crate::task::{Builder, JoinError, JoinHandle};

/// Bytes that are copied at a time.
const PIECE: usize = 64 << 10;

/// The operation in flight that polled writes of an object have started, if any.
#[derive(Default)]
pub(crate) struct Writer(Cell<Option<Box<Work>>>); // in a box, as most objects have none

enum Work {
    /// A piece that was copied is being sent.
    Sending(JoinHandle<io::Result<()>>),
    ShuttingDown(Submission<op::catalogue::net::socket::Shutdown>),
}

impl Work {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Work::Sending(task) => Pin::new(task).poll(cx).map(outcome),
            Work::ShuttingDown(step) => Pin::new(step).poll(cx).map(|result| match result {
                // Both directions have ended before.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                result => result,
            }),
        }
    }
}

/// The result of a task that sends.
fn outcome(ended: Result<io::Result<()>, JoinError>) -> io::Result<()> {
    match ended {
        Ok(result) => result,
        Err(JoinError::Panicked(panic)) => resume_unwind(panic.into_payload()),
        Err(_) => Err(cancelled()), // by the runtime's shutdown
    }
}

impl Writer {
    /// Waits until the operation in flight has completed, and returns its error.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(mut work) = self.0.take() else { return Poll::Ready(Ok(())) };
        let result = work.poll(cx);
        if result.is_pending() {
            self.0.set(Some(work));
        }
        result
    }

    /// Writes bytes at once if the kernel takes some; otherwise gives a copy of them to a task.
    pub(crate) fn poll_write(
        &self,
        endpoint: &EndpointRef,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let driver = expect_runtime(current(), "poll_write");
        driver.check_host(endpoint.descriptor.host(), "poll_write");
        // A loop of writes that succeed must not keep other tasks from running.
        ready!(driver.poll_attempt(cx));
        driver.stats.calls.add(1);
        if let Some(sent) = endpoint.send_now(bytes) {
            return Poll::Ready(sent);
        }
        let piece = bytes[..bytes.len().min(PIECE)].to_vec();
        let len = piece.len();
        let write = Repeat::new(Sender::new(endpoint), piece, Goal::All);
        // It enters the I/O lock here, before any write that comes later.
        let mut task = Builder::new().name("poll_write").eager(true).spawn(async move {
            write.await?;
            Ok(())
        });
        match task.try_take() {
            Some(ended) => outcome(ended)?,
            None => self.0.set(Some(Box::new(Work::Sending(task)))),
        }
        Poll::Ready(Ok(len))
    }

    /// Writes bytes at once, if the kernel takes some.
    pub(crate) fn try_write(&self, endpoint: &EndpointRef, bytes: &[u8]) -> io::Result<usize> {
        if let Some(mut work) = self.0.take() {
            let ended = match &mut *work {
                Work::Sending(task) => task.try_take(),
                Work::ShuttingDown(_) => None,
            };
            match ended {
                Some(ended) => outcome(ended)?,
                None => {
                    self.0.set(Some(work));
                    return Err(io::ErrorKind::WouldBlock.into());
                }
            }
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        current().into_iter().for_each(|driver| driver.stats.calls.add(1));
        endpoint.send_now(bytes).unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    /// Waits until the operation in flight has completed, and then shuts the direction down.
    pub(crate) fn poll_shutdown(&self, endpoint: &EndpointRef, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let work = self.0.take();
        let is_last = matches!(work.as_deref(), Some(Work::ShuttingDown(_)));
        self.0.set(work);
        if !is_last {
            ready!(self.poll_flush(cx))?;
            let step = op::catalogue::net::socket::Shutdown::new(endpoint, std::net::Shutdown::Write);
            self.0.set(Some(Box::new(Work::ShuttingDown(Submission::new(step)))));
        }
        self.poll_flush(cx)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
