//! `generate`: a stream written as a block of code that yields values; asyncio's async generator.
//!
//! The block is a task that is in step with the reader of the stream: it starts when the first value is requested, and
//! resumes after a value when the next one is requested. So it may hold resources, and is closed like any task: it is
//! cancelled, and then runs its cleanups.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::scope::AsyncClose;
use crate::task::cell::layout::Waiter;
use crate::task::spawn;
use crate::task::{JoinError, JoinHandle};

/// The state that the block and its reader share: the value that is handed over, and their waiters.
struct Handoff<T> {
    value: Option<T>,
    /// Whether the reader has requested a value and not received one.
    wanted: bool,
    /// The waiters of the block, each with the number of its [`Give`]: the block may give several values concurrently, each
    /// with a waker of its own.
    block: Vec<(u64, Waiter)>,
    /// The number of the next [`Give`].
    next_give: u64,
    /// The waiter of the reader, while it waits for a value.
    reader: Option<Waiter>,
}

impl<T> Handoff<T> {
    /// Keeps the waiter of a [`Give`] that waits for a request. Returns its earlier waiter, because dropping that may run user
    /// code.
    fn watch(&mut self, give: u64, waiter: Waiter) -> Option<Waiter> {
        match self.block.iter_mut().find(|(other, _)| *other == give) {
            Some((_, place)) => Some(std::mem::replace(place, waiter)),
            None => {
                self.block.push((give, waiter));
                None
            }
        }
    }
}

/// Wakes all waiters of the block, while nothing is borrowed.
fn wake_block<T>(shared: &RefCell<Handoff<T>>) {
    let mut block = std::mem::take(&mut shared.borrow_mut().block);
    block.drain(..).for_each(|(_, waiter)| waiter.wake());
    let mut handoff = shared.borrow_mut();
    if handoff.block.is_empty() {
        handoff.block = block; // keeps its memory
    }
}

type Shared<T> = Rc<RefCell<Handoff<T>>>;

/// Creates a stream of the values that `block` yields; asyncio's async generator.
///
/// The block gets a [`Yielder`] and runs as a task, but never ahead of the reader: it starts when the first value is
/// requested, and resumes after a value when the next one is requested. It must be `'static`, like any task.
///
/// # Examples
/// ```
/// use proactor::stream::{StreamExt, generate};
/// use proactor::time::sleep;
/// use std::time::Duration;
/// proactor::run(async {
///     let mut squares = generate(async |yields| {
///         for number in 1_u32.. {
///             sleep(Duration::from_millis(1)).await;
///             yields.give(number * number).await;
///         }
///     });
///     let mut sum = 0;
///     while let Some(square) = squares.next().await {
///         sum += square;
///         if square >= 9 {
///             break; // the block waits after its third value, and is cancelled with the stream
///         }
///     }
///     assert_eq!(sum, 1 + 4 + 9);
/// });
/// ```
pub fn generate<T, F>(block: F) -> Generator<T>
where
    T: 'static,
    F: AsyncFnOnce(Yielder<T>) + 'static,
{
    let handoff = Handoff { value: None, wanted: false, block: Vec::new(), next_give: 0, reader: None };
    let shared = Rc::new(RefCell::new(handoff));
    let yielder = Yielder { shared: shared.clone() };
    let block: Block = Box::pin(async move { block(yielder).await });
    Generator { shared, state: State::New(block) }
}

type Block = Pin<Box<dyn Future<Output = ()>>>;

/// A stream that is written as a block of code: see [`generate`].
///
/// A panic of the block surfaces where the stream is read. Dropping the stream cancels the block, and its cleanups
/// ([`scope`](crate::scope)) run concurrently with other tasks; [`close`](Self::close) cancels it and waits for them.
/// If a cancelled task drops the stream, the task completes only after the block has ended. When the runtime ends, it
/// cancels the blocks of open streams, like any task.
///
/// # Examples
/// ```
/// use proactor::scope::using;
/// use proactor::stream::{StreamExt, generate};
/// proactor::run(async {
///     let numbers = generate(async |yields| {
///         for number in 0.. {
///             yields.give(number).await;
///         }
///     });
///     let third = using(numbers, async |numbers| {
///         numbers.next().await;
///         numbers.next().await;
///         std::io::Result::Ok(numbers.next().await)
///     }).await.unwrap();
///     assert_eq!(third, Some(2)); // the block has ended here
/// });
/// ```
pub struct Generator<T> {
    shared: Shared<T>,
    state: State,
}

enum State {
    /// No value was requested yet.
    New(Block),
    Begun(JoinHandle<()>),
    Finished,
}

impl<T> Unpin for Generator<T> {}

impl<T> Generator<T> {
    /// Cancels the block and waits until it has ended, including its cleanups; asyncio's `aclose`.
    ///
    /// A value that was not read is dropped.
    ///
    /// # Panics
    /// If the block panics.
    pub async fn close(mut self) {
        if let State::Begun(task) = std::mem::replace(&mut self.state, State::Finished) {
            task.request_cancel();
            surface(task.await);
        }
    }
}

impl<T> AsyncClose for Generator<T> {
    async fn close(self) -> io::Result<()> {
        Generator::close(self).await;
        Ok(())
    }
}

/// Resumes a panic of the block in the reader.
fn surface(outcome: Result<(), JoinError>) {
    if let Err(JoinError::Panicked(panic)) = outcome {
        resume_unwind(panic.into_payload());
    }
}

impl<T: 'static> Stream for Generator<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        if let State::New(_) = this.state {
            let State::New(block) = std::mem::replace(&mut this.state, State::Finished) else {
                unreachable!()
            };
            this.state = State::Begun(spawn(block).cancel_on_drop());
        }
        let State::Begun(task) = &mut this.state else { return Poll::Ready(None) };
        let waiter = Waiter::new(cx); // may be user code: nothing is borrowed
        let mut handoff = this.shared.borrow_mut();
        if let Some(value) = handoff.value.take() {
            handoff.wanted = false;
            return Poll::Ready(Some(value));
        }
        handoff.wanted = true;
        let replaced = handoff.reader.replace(waiter);
        drop(handoff);
        drop(replaced);
        wake_block(&this.shared);
        let outcome = ready!(Pin::new(task).poll(cx));
        this.state = State::Finished;
        surface(outcome);
        // No value is left: the block continues after a value only when that was taken.
        Poll::Ready(None)
    }
}

impl<T> fmt::Debug for Generator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::New(_) => "new",
            State::Begun(_) => "started",
            State::Finished => "finished",
        };
        f.debug_struct("Generator").field("state", &state).finish_non_exhaustive()
    }
}

/// Yields the values of a [`generate`] block.
///
/// It belongs to the block. If it is moved to another task and outlives the block, [`give`](Self::give) waits forever.
///
/// # Examples
/// See [`generate`].
pub struct Yielder<T> {
    shared: Shared<T>,
}

impl<T> Yielder<T> {
    /// Yields a value to the reader, and waits until the next one is requested; Python's `yield`.
    ///
    /// # Cancellation
    /// If the future is dropped before the value was handed over, because it was not polled or an earlier value was not
    /// read yet, the value is dropped too. Later, the value stays until it is read or the stream ends.
    pub fn give(&self, value: T) -> Give<'_, T> {
        let mut handoff = self.shared.borrow_mut();
        handoff.next_give += 1;
        Give { yielder: self, number: handoff.next_give, value: Some(value) }
    }
}

impl<T> fmt::Debug for Yielder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").finish_non_exhaustive()
    }
}

/// The future of [`Yielder::give`].
#[must_use = "futures do nothing unless awaited"]
pub struct Give<'a, T> {
    yielder: &'a Yielder<T>,
    number: u64,
    value: Option<T>,
}

impl<T> Unpin for Give<'_, T> {}

impl<T> Future for Give<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waiter = Waiter::new(cx); // may be user code: nothing is borrowed
        let mut handoff = self.yielder.shared.borrow_mut();
        // Several `Give`s of one block take turns: a value stays here until it is taken.
        if handoff.value.is_none() {
            let Some(value) = self.value.take() else {
                // The value was taken. The block continues when the next one is requested.
                if handoff.wanted {
                    return Poll::Ready(());
                }
                let replaced = handoff.watch(self.number, waiter);
                drop(handoff);
                drop(replaced);
                return Poll::Pending;
            };
            handoff.value = Some(value);
        }
        let replaced = handoff.watch(self.number, waiter);
        let reader = handoff.reader.take();
        drop(handoff);
        drop(replaced);
        reader.into_iter().for_each(Waiter::wake);
        Poll::Pending
    }
}

impl<T> Drop for Give<'_, T> {
    fn drop(&mut self) {
        let mut handoff = self.yielder.shared.borrow_mut();
        let place = handoff.block.iter().position(|(give, _)| *give == self.number);
        let waiter = place.map(|place| handoff.block.remove(place));
        drop(handoff);
        drop(waiter); // may run user code
    }
}

impl<T> fmt::Debug for Give<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Give").field("given", &self.value.is_none()).finish_non_exhaustive()
    }
}
