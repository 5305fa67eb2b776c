//! A channel across threads that holds one changing value: see [`sync::watch`](crate::sync::watch).
//!
//! Several threads may read a value at once, without a lock, so it must be `Send` and `Sync`.
//!
//! ```
//! use proactor::sync::shared::watch;
//!
//! let (sender, mut receiver) = watch::channel(0);
//! std::thread::spawn(move || sender.send(7));
//! let seen = proactor::run(async move { receiver.wait_for(|number| *number == 7).await.map(|number| *number) });
//! assert_eq!(seen, Ok(7));
//! ```
#![forbid(unsafe_code)]

use crate::sync::core::flavor::Threaded;
use crate::sync::watch;
pub use crate::sync::watch::{RecvError, SendError};

/// The [`watch::Sender`] that works across threads.
pub type Sender<T> = watch::Sender<T, Threaded>;
/// The [`watch::Receiver`] that works across threads.
pub type Receiver<T> = watch::Receiver<T, Threaded>;
/// The [`watch::Ref`] that works across threads.
pub type Ref<T> = watch::Ref<T, Threaded>;

/// Creates a channel that holds `value`, which counts as seen by the receiver.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    watch::holding(value)
}
