//! The future of one operation, and `cancel` for every future of an operation.
//!
//! Before the first poll the operation lies in the future. After it, the operation lies in its slot, and the future has only
//! its key. A drop of the future moves and frees nothing that the kernel may use.
#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::dispatch::{Admitted, Started};
use crate::driver::slots::key::Key;
use crate::driver::{Driver, current};
use crate::op::Op;
use crate::op::completion::Completion;
use crate::sys::context::expect_runtime;
use crate::sys::guarded::contain;

pub(crate) struct Submission<O: Op> {
    state: State<O>,
}

enum State<O> {
    /// Not started.
    Here(O),
    /// Not started, because the result is known.
    Answered(O, Completion),
    /// In its slot.
    InSlot(Key, Rc<Driver>),
    /// Completed, or being polled.
    Over,
}

// Nothing in here is pinned: an operation that the kernel knows lies in its slot.
impl<O: Op> Unpin for Submission<O> {}

impl<O: Op> Submission<O> {
    pub(crate) fn new(op: O) -> Self {
        Submission { state: State::Here(op) }
    }

    /// Creates the future of an operation whose result is known, without the kernel.
    pub(crate) fn answered(op: O, result: i32) -> Self {
        Submission { state: State::Answered(op, Completion::new(result)) }
    }

    /// Requests the cancellation of the operation. The future still returns its result.
    pub(crate) fn request_cancel(&mut self) {
        match &mut self.state {
            State::Here(op) => {
                if let Some(turn) = op.turn() {
                    turn.withdraw(); // wakes the waiter of this future
                }
            }
            // It wakes, and a foreign waker may panic: the future keeps its key meanwhile.
            State::InSlot(key, driver) => return driver.cancel(*key),
            State::Answered(..) | State::Over => return,
        }
        if let State::Here(op) = std::mem::replace(&mut self.state, State::Over) {
            self.state = State::Answered(op, Completion::CANCELED);
        }
    }
}

impl<O: Op> Future for Submission<O> {
    type Output = O::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O::Output> {
        if let State::InSlot(key, driver) = &self.state {
            let Some((mut op, completion, waker)) = driver.poll::<O>(*key, cx) else { return Poll::Pending };
            let again = driver.goes_over(&mut op, completion).then(|| driver.clone());
            // The key is dropped first: `complete` may panic, and the slot belongs to another operation from now on.
            self.state = State::Over;
            drop(waker);
            if let Some(driver) = again {
                return self.begin_again(op, driver, cx);
            }
            return Poll::Ready(op.complete(completion));
        }
        if let State::Here(op) = &mut self.state {
            let driver = expect_runtime(current(), O::NAME);
            let admitted = driver.admit(op, cx);
            if matches!(admitted, Admitted::NotYet) {
                return Poll::Pending;
            }
            let State::Here(op) = std::mem::replace(&mut self.state, State::Over) else { unreachable!() };
            if let Admitted::Answered(result) = admitted {
                return Poll::Ready(op.complete(Completion::new(result)));
            }
            return self.begin(op, driver, cx);
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Answered(op, completion) => Poll::Ready(op.complete(completion)),
            _ => panic!("{}: polled after its result", O::NAME),
        }
    }
}

impl<O: Op> Drop for Submission<O> {
    #[inline]
    fn drop(&mut self) {
        // A completed one, the usual case, has nothing to move out.
        if !matches!(self.state, State::Over) {
            self.give_up();
        }
    }
}

impl<O: Op> Submission<O> {
    /// Starts an operation that has been admitted.
    #[inline(always)] // an operation is large
    fn begin(&mut self, op: O, driver: Rc<Driver>, cx: &mut Context<'_>) -> Poll<O::Output> {
        match driver.start(op, cx) {
            Started::Done(output) => Poll::Ready(output),
            Started::Pending(key) => {
                self.state = State::InSlot(key, driver);
                Poll::Pending
            }
        }
    }

    /// Starts an operation again that the ring has given up.
    #[cold]
    #[inline(never)]
    fn begin_again(&mut self, op: O, driver: Rc<Driver>, cx: &mut Context<'_>) -> Poll<O::Output> {
        self.begin(op, driver, cx)
    }

    #[cold]
    fn give_up(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Over);
        let end = || match state {
            State::InSlot(key, driver) => driver.abandon(key),
            State::Here(op) => op.abandoned(Completion::CANCELED),
            State::Answered(op, completion) => op.abandoned(completion),
            State::Over => {}
        };
        // A buffer may panic; a second panic would abort the process.
        if std::thread::panicking() { contain(end) } else { end() }
    }
}

/// An I/O future that can be cancelled.
///
/// Every I/O method returns one. The trait is implemented in this crate only.
pub trait Cancellable: Future + Unpin + sealed::Sealed {
    /// Requests the cancellation of the operation, and returns at once. The future then completes with the operation's
    /// outcome.
    fn request_cancel(&mut self);
}

pub(crate) mod sealed {
    #[expect(unnameable_types, reason = "it keeps the trait from being implemented elsewhere")]
    pub trait Sealed {}
}

/// The future of `cancel()` on an I/O future: waits until the operation has completed, and returns its outcome.
///
/// Its output is that of the operation: the result, if it completed first, or an error of `ECANCELED`. An operation
/// that took a buffer returns it either way. A cancel that comes too late has no effect.
///
/// # Examples
/// ```
/// use proactor::net::{TcpListener, TcpStream};
/// proactor::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let stream = TcpStream::connect(listener.local_addr()?).await?;
///     let error = stream.read(Vec::with_capacity(16)).cancel().await.unwrap_err();
///     let (error, buffer) = error.into_parts();
///     assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
///     assert_eq!(buffer.capacity(), 16);
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "await it to learn the outcome of the operation"]
pub struct Cancel<F> {
    future: F,
}

impl<F: Cancellable> Cancel<F> {
    pub(crate) fn new(mut future: F) -> Self {
        future.request_cancel();
        Cancel { future }
    }
}

impl<F: Cancellable> Future for Cancel<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(&mut self.future).poll(cx)
    }
}
