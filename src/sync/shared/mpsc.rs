//! Channels from many senders, on any thread, to one receiver, with a limit or without: [`sync::mpsc`](crate::sync::mpsc)
//! between threads.
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

use crate::sync::flavor::Threaded;
use crate::sync::mpsc;
pub use crate::sync::mpsc::{SendError, TryRecvError, TrySendError};

/// [`mpsc::Sender`] between threads.
pub type Sender<T> = mpsc::Sender<T, Threaded>;
/// [`mpsc::UnboundedSender`] between threads.
pub type UnboundedSender<T> = mpsc::UnboundedSender<T, Threaded>;
/// [`mpsc::Receiver`] between threads.
pub type Receiver<T> = mpsc::Receiver<T, Threaded>;
/// [`mpsc::Permit`] between threads.
pub type Permit<'a, T> = mpsc::Permit<'a, T, Threaded>;

/// A channel that holds so many items.
///
/// # Panics
/// If `capacity` is 0.
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    mpsc::bounded(capacity)
}

/// A channel without a limit: sending never waits.
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, Receiver<T>) {
    mpsc::unbounded()
}
