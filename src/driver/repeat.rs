//! The future of a transfer: one step after the other over one buffer, as often as its goal asks.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::submission::Submission;
use crate::buf::BufError;
use crate::op::transfer::Transfer;

/// When a transfer is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// After one step.
    Once,
    /// When the buffer is done, or a step moved less than it was asked for.
    UntilShort,
    /// When the buffer is done; an error if that can't be.
    All,
}

/// Bytes of one step on a file: io_uring does cached file I/O inside the submitting call, and a larger one
/// would hold up the loop.
const FILE_STEP: usize = 1 << 20;

pub(crate) struct Repeat<B, T: Transfer<B>> {
    step: Submission<T::Op>,
    goal: Goal,
    limit: usize,
    done: usize,
    /// Bytes that the step in flight is about.
    asked: usize,
    total: usize,
    cancelled: bool,
}

impl<B, T: Transfer<B>> Repeat<B, T> {
    /// A transfer on a socket, where a step may be as large as the buffer.
    pub(crate) fn socket(transfer: T, buf: B, goal: Goal) -> Self {
        Self::new(transfer, buf, goal, usize::MAX)
    }

    /// A transfer on a file, in steps that don't hold up the loop.
    pub(crate) fn file(transfer: T, buf: B, goal: Goal) -> Self {
        Self::new(transfer, buf, goal, FILE_STEP)
    }

    fn new(transfer: T, mut buf: B, goal: Goal, limit: usize) -> Self {
        let total = T::total(&buf);
        let asked = T::covers(&mut buf, 0, limit);
        let step = transfer.step(buf, 0, limit);
        // All of nothing is there already: as in the standard library, the kernel is not asked.
        let nothing = goal == Goal::All && total == 0;
        let step = if nothing { Submission::settled(step, 0) } else { Submission::new(step) };
        Repeat { step, goal, limit, done: 0, asked, total, cancelled: false }
    }

    pub(crate) fn request_cancel(&mut self) {
        self.cancelled = true;
        self.step.request_cancel();
    }
}

impl<B, T: Transfer<B>> Unpin for Repeat<B, T> {}

impl<B, T: Transfer<B>> Future for Repeat<B, T> {
    /// The bytes moved, and the buffer.
    type Output = Result<(usize, B), BufError<B>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let (result, mut buf, transfer) = ready!(Pin::new(&mut self.step).poll(cx));
            let all = self.goal == Goal::All;
            let over = match result {
                Ok(count) => {
                    self.done += count;
                    let complete = self.done == self.total;
                    if all && !complete && count == 0 {
                        return Poll::Ready(Err(BufError::new(exhausted(T::EXHAUSTED), buf)));
                    }
                    complete || self.goal == Goal::Once || (!all && count < self.asked)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted && !self.cancelled => false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted && self.done == 0 => {
                    let cancelled = io::Error::from_raw_os_error(libc::ECANCELED);
                    return Poll::Ready(Err(BufError::new(cancelled, buf)));
                }
                // What was moved before is the result, as if the step had been a short one.
                Err(_) if self.done > 0 && !all => true,
                Err(error) => return Poll::Ready(Err(BufError::new(error, buf))),
            };
            if over {
                return Poll::Ready(Ok((self.done, buf)));
            }
            let (done, limit) = (self.done, self.limit);
            self.asked = T::covers(&mut buf, done, limit);
            self.step = Submission::new(transfer.step(buf, done, limit));
            if self.cancelled {
                self.step.request_cancel(); // a step that succeeded all the same is the last
            }
        }
    }
}

fn exhausted(kind: io::ErrorKind) -> io::Error {
    let message = match kind {
        io::ErrorKind::UnexpectedEof => "the stream or file ended before the buffer was full",
        _ => "the kernel took no more bytes before the buffer was written",
    };
    io::Error::new(kind, message)
}

/// Declares the named future of an I/O method: a wrapper around `$inner`, with `cancel`.
macro_rules! io_future {
    ($(#[$doc:meta])* $name:ident<$($generic:ident: $bound:path),*> = $inner:ty => $output:ty) => {
        $(#[$doc])*
        #[must_use = "futures do nothing unless awaited"]
        pub struct $name<$($generic: $bound),*>(pub(crate) $inner);

        impl<$($generic: $bound),*> Unpin for $name<$($generic),*> {}

        impl<$($generic: $bound),*> std::future::Future for $name<$($generic),*> {
            type Output = $output;

            fn poll(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Self::Output> {
                std::pin::Pin::new(&mut self.0).poll(cx)
            }
        }

        impl<$($generic: $bound),*> $crate::driver::submission::sealed::Sealed for $name<$($generic),*> {}

        impl<$($generic: $bound),*> $crate::io::Cancellable for $name<$($generic),*> {
            fn request_cancel(&mut self) {
                self.0.request_cancel();
            }
        }

        impl<$($generic: $bound),*> $name<$($generic),*> {
            /// Asks for the operation's end and waits for it: gives the operation's own output, or an
            /// error of `ECANCELED`, with the buffer if there is one.
            pub fn cancel(self) -> $crate::io::Cancel<Self> {
                $crate::io::Cancel::new(self)
            }
        }

        impl<$($generic: $bound),*> std::fmt::Debug for $name<$($generic),*> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
