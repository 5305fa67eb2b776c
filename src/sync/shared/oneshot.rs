//! A channel across threads that carries one value: see [`sync::oneshot`](crate::sync::oneshot).
//!
//! ```
//! use proactor::sync::shared::oneshot;
//!
//! let (sender, receiver) = oneshot::channel();
//! std::thread::spawn(move || sender.send(6 * 7));
//! assert_eq!(proactor::run(receiver), Ok(42));
//! ```
#![forbid(unsafe_code)]

use crate::sync::core::flavor::Threaded;
use crate::sync::oneshot;
pub use crate::sync::oneshot::{RecvError, TryRecvError};

/// The [`oneshot::Sender`] that works across threads.
pub type Sender<T> = oneshot::Sender<T, Threaded>;
/// The [`oneshot::Receiver`] that works across threads.
pub type Receiver<T> = oneshot::Receiver<T, Threaded>;

/// Creates a channel for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    oneshot::pair()
}
