//! The future of a transfer: one step after the other over one buffer, until its goal is reached.
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::submission::Submission;
use crate::buf::BufError;
pub(crate) use crate::op::transfer::Goal;
use crate::op::transfer::Transfer;

pub(crate) struct Repeat<B, T: Transfer<B>> {
    step: Submission<T::Op>,
    done: usize,
    goal: Goal,
    cancelled: bool,
}

impl<B, T: Transfer<B>> Repeat<B, T> {
    pub(crate) fn new(transfer: T, buf: B, goal: Goal) -> Self {
        // A transfer of zero bytes completes without the kernel, as in the standard library.
        let nothing = goal == Goal::All && T::total(&buf) == 0;
        let goal = transfer.goal(goal);
        let step = transfer.step(buf, 0);
        let step = if nothing { Submission::answered(step, 0) } else { Submission::new(step) };
        Repeat { step, done: 0, goal, cancelled: false }
    }

    pub(crate) fn request_cancel(&mut self) {
        self.cancelled = true;
        self.step.request_cancel();
    }

    /// Counts a step that has moved `count` bytes. Returns true if the transfer has reached its goal.
    fn is_over(&mut self, transfer: &T, buf: &mut B, count: usize) -> bool {
        let before = self.done;
        self.done += count;
        match self.goal {
            Goal::Once => true,
            Goal::All => self.done >= T::total(buf),
            Goal::UntilShort => self.done >= T::total(buf) || count < transfer.covers(buf, before),
            Goal::UntilNone => self.done >= T::total(buf) || count == 0,
        }
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
                    let over = self.is_over(&transfer, &mut buf, count);
                    if all && !over && count == 0 {
                        return Poll::Ready(Err(BufError::new(exhausted(T::EXHAUSTED), buf)));
                    }
                    over
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted && !self.cancelled => false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted && self.done == 0 => {
                    let cancelled = io::Error::from_raw_os_error(libc::ECANCELED);
                    return Poll::Ready(Err(BufError::new(cancelled, buf)));
                }
                // The result is the number of bytes moved before, as after a short step.
                Err(_) if self.done > 0 && !all => true,
                Err(error) => return Poll::Ready(Err(BufError::new(error, buf))),
            };
            if over {
                return Poll::Ready(Ok((self.done, buf)));
            }
            self.step = Submission::new(transfer.step(buf, self.done));
            if self.cancelled {
                self.step.request_cancel(); // a step that succeeded all the same is the last
            }
        }
    }
}

fn exhausted(kind: io::ErrorKind) -> io::Error {
    let message = match kind {
        io::ErrorKind::UnexpectedEof => "the stream or file ended before the buffer was full",
        _ => "the kernel stopped taking bytes before the whole buffer was written",
    };
    io::Error::new(kind, message)
}

/// Declares the named future of an I/O method: a wrapper around `$inner`, with `cancel`. One that takes a buffer is generic
/// over its type.
macro_rules! io_future {
    ($(#[$doc:meta])* $name:ident<> = $inner:ty => $output:ty) => {
        io_future! {
            @cancel "Cancels the operation and waits until it has completed. Returns the operation's own output, or \
                     an error of `ECANCELED`."
            $(#[$doc])* $name<> = $inner => $output
        }
    };
    ($(#[$doc:meta])* $name:ident<$($generic:ident: $bound:path),+> = $inner:ty => $output:ty) => {
        io_future! {
            @cancel "Cancels the operation and waits until it has completed. Returns the operation's own output, or \
                     an error of `ECANCELED`, with the buffer in either case."
            $(#[$doc])* $name<$($generic: $bound),+> = $inner => $output
        }
    };
    (
        @cancel $cancel:literal
        $(#[$doc:meta])* $name:ident<$($generic:ident: $bound:path),*> = $inner:ty => $output:ty
    ) => {
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

        impl<$($generic: $bound),*> $crate::driver::operation::submission::sealed::Sealed for $name<$($generic),*> {}

        impl<$($generic: $bound),*> $crate::driver::operation::submission::Cancellable for $name<$($generic),*> {
            fn request_cancel(&mut self) {
                self.0.request_cancel();
            }
        }

        impl<$($generic: $bound),*> $name<$($generic),*> {
            #[doc = $cancel]
            pub fn cancel(self) -> $crate::driver::operation::submission::Cancel<Self> {
                $crate::driver::operation::submission::Cancel::new(self)
            }
        }

        impl<$($generic: $bound),*> std::fmt::Debug for $name<$($generic),*> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
