//! A channel for one value, between threads: [`sync::oneshot`](crate::sync::oneshot), whose sender and receiver may be on any.
//!
//! ```
//! use proactor::sync::shared::oneshot;
//!
//! let (sender, receiver) = oneshot::channel();
//! std::thread::spawn(move || sender.send(6 * 7));
//! assert_eq!(proactor::run(receiver), Ok(42));
//! ```
#![forbid(unsafe_code)]

use crate::sync::flavor::Threaded;
use crate::sync::oneshot;
pub use crate::sync::oneshot::{RecvError, TryRecvError};

/// [`oneshot::Sender`] between threads.
pub type Sender<T> = oneshot::Sender<T, Threaded>;
/// [`oneshot::Receiver`] between threads.
pub type Receiver<T> = oneshot::Receiver<T, Threaded>;

/// A channel for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    oneshot::pair()
}
