//! Streams of values, and async generators that make them; asyncio's `async for` and async generators.
//!
//! A stream is a type that implements `Stream` of the crate `futures-core`, so that it works with other libraries.
//! asyncio's `async for x in xs: …` is
//!
//! ```
//! use proactor::stream::{StreamExt, generate};
//! # proactor::run(async {
//! let mut xs = generate(async |yields| {
//!     for number in 0..3 {
//!         yields.give(number).await;
//!     }
//! });
//! while let Some(x) = xs.next().await {
//!     println!("{x}");
//! }
//! # });
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | `StreamExt::next` |
//! | `generate.rs` | `generate`: an async generator |
#![forbid(unsafe_code)]

mod generate;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pub use futures_core::Stream;
pub use generate::{Generator, Give, Yielder, generate};

/// Adds `next` to every stream. The crate `futures-util` has more combinators.
pub trait StreamExt: Stream {
    /// Waits for the next value; `None` at the end of the stream.
    ///
    /// # Cancellation
    /// Dropping the future loses no value if the stream is one of this crate.
    ///
    /// # Examples
    /// See the [module](self).
    fn next(&mut self) -> Next<'_, Self>
    where
        Self: Unpin,
    {
        Next(self)
    }
}

impl<S: Stream + ?Sized> StreamExt for S {}

/// The future of [`StreamExt::next`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Next<'a, S: ?Sized>(&'a mut S);

impl<S: Stream + Unpin + ?Sized> Future for Next<'_, S> {
    type Output = Option<S::Item>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut *self.0).poll_next(cx)
    }
}
