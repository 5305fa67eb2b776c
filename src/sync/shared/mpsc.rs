//! Channels across threads from many senders to one receiver: see [`sync::mpsc`](crate::sync::mpsc).
//!
//! ```
//! use proactor::sync::shared::mpsc;
//!
//! let (sender, mut receiver) = mpsc::channel(16);
//! let thread = std::thread::spawn(move || (0..100).try_for_each(|number| sender.blocking_send(number)));
//! proactor::run(async {
//!     let mut sum = 0;
//!     while let Some(number) = receiver.recv().await {
//!         sum += number;
//!     }
//!     assert_eq!(sum, 4950);
//! });
//! thread.join().unwrap().unwrap();
//! ```
#![forbid(unsafe_code)]

use crate::sync::core::flavor::Threaded;
use crate::sync::mpsc;
pub use crate::sync::mpsc::{SendError, TryRecvError, TrySendError};

/// The [`mpsc::Sender`] that works across threads.
pub type Sender<T> = mpsc::Sender<T, Threaded>;
/// The [`mpsc::UnboundedSender`] that works across threads.
pub type UnboundedSender<T> = mpsc::UnboundedSender<T, Threaded>;
/// The [`mpsc::Receiver`] that works across threads.
pub type Receiver<T> = mpsc::Receiver<T, Threaded>;
/// The [`mpsc::Permit`] that works across threads.
pub type Permit<'a, T> = mpsc::Permit<'a, T, Threaded>;

/// Creates a channel that holds up to `capacity` items.
///
/// # Panics
/// If `capacity` is 0.
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    mpsc::bounded(capacity)
}

/// Creates an unbounded channel: sending never waits.
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, Receiver<T>) {
    mpsc::unbounded()
}
