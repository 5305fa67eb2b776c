//! A channel across threads in which each receiver gets every value: see [`sync::broadcast`](crate::sync::broadcast).
//!
//! Several threads may clone a value at once, without a lock, so values must be `Send` and `Sync`.
//!
//! ```
//! use proactor::sync::shared::broadcast;
//!
//! let (sender, mut receiver) = broadcast::channel(16);
//! std::thread::spawn(move || sender.send("news"));
//! assert_eq!(proactor::run(async move { receiver.recv().await }), Ok("news"));
//! ```
#![forbid(unsafe_code)]

use crate::sync::broadcast;
pub use crate::sync::broadcast::{RecvError, SendError, TryRecvError};
use crate::sync::core::flavor::Threaded;

/// The [`broadcast::Sender`] that works across threads.
pub type Sender<T> = broadcast::Sender<T, Threaded>;
/// The [`broadcast::Receiver`] that works across threads.
pub type Receiver<T> = broadcast::Receiver<T, Threaded>;

/// Creates a channel that keeps up to `capacity` values.
///
/// # Panics
/// If `capacity` is 0.
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    broadcast::with_capacity(capacity)
}
