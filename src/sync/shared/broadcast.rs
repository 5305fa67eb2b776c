//! A channel whose every receiver, on any thread, gets every value: [`sync::broadcast`](crate::sync::broadcast) between
//! threads.
//!
//! Values are cloned by several threads at once, without a lock: so they are `Send` and `Sync`.
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
use crate::sync::flavor::Threaded;

/// [`broadcast::Sender`] between threads.
pub type Sender<T> = broadcast::Sender<T, Threaded>;
/// [`broadcast::Receiver`] between threads.
pub type Receiver<T> = broadcast::Receiver<T, Threaded>;

/// A channel that keeps so many values.
///
/// # Panics
/// If `capacity` is 0.
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    broadcast::with_capacity(capacity)
}
