//! A value that changes, and those on any thread who watch it: [`sync::watch`](crate::sync::watch) between threads.
//!
//! Several threads may look at a value at once, without a lock: so it is `Send` and `Sync`.
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

use crate::sync::flavor::Threaded;
use crate::sync::watch;
pub use crate::sync::watch::{RecvError, SendError};

/// [`watch::Sender`] between threads.
pub type Sender<T> = watch::Sender<T, Threaded>;
/// [`watch::Receiver`] between threads.
pub type Receiver<T> = watch::Receiver<T, Threaded>;
/// [`watch::Ref`] between threads.
pub type Ref<T> = watch::Ref<T, Threaded>;

/// A value to be watched. The receiver has seen it.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    watch::holding(value)
}
