//! Channels from many senders to one receiver, bounded or unbounded.
//!
//! Senders wait while the channel is full, and get room in order of arrival. Items are received in the order in which
//! they were sent. After all senders are dropped, the receiver gets the remaining items and then `None`. Dropping the
//! receiver closes the channel at once.
//!
//! ```
//! use proactor::sync::mpsc;
//!
//! proactor::run(async {
//!     let (sender, mut receiver) = mpsc::channel(2);
//!     proactor::spawn(async move {
//!         for number in 0..5 {
//!             sender.send(number).await.unwrap(); // waits while two are in the channel
//!         }
//!     });
//!     let mut sum = 0;
//!     while let Some(number) = receiver.recv().await {
//!         sum += number;
//!     }
//!     assert_eq!(sum, 10);
//! });
//! ```
//!
//! Senders and receiver stay on their thread; those of [`shared::mpsc`](crate::sync::shared::mpsc) can move:
//! ```compile_fail,E0277
//! let (sender, receiver) = proactor::sync::mpsc::channel::<u32>(1);
//! std::thread::spawn(move || drop(sender));
//! ```
//!
//! | file | contents |
//! |---|---|
//! | `chan.rs` | the state that the two sides share |
//! | `sender.rs` | the senders, their futures, reserved places |
//! | `receiver.rs` | the receiver |
#![forbid(unsafe_code)]

mod chan;
mod receiver;
mod sender;

pub use self::receiver::{Receiver, Recv};
pub use self::sender::{Closed, Permit, Reserve, Send, Sender, UnboundedSender};
pub use super::channel_error::{SendError, TryRecvError, TrySendError};
use super::core::flavor::{Flavor, Local};
use chan::Chan;

/// Creates a channel that holds up to `capacity` items.
///
/// # Panics
/// If `capacity` is 0.
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    bounded::<T, Local>(capacity)
}

/// Creates an unbounded channel: sending never waits.
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, Receiver<T>) {
    unbounded::<T, Local>()
}

#[track_caller]
pub(super) fn bounded<T, F: Flavor>(capacity: usize) -> (Sender<T, F>, Receiver<T, F>) {
    assert!(capacity > 0, "a channel needs a capacity of at least one; for no limit use `unbounded_channel`");
    let chan = Chan::<T, F>::new(capacity);
    (Sender::new(chan.clone()), Receiver::new(chan))
}

pub(super) fn unbounded<T, F: Flavor>() -> (UnboundedSender<T, F>, Receiver<T, F>) {
    let chan = Chan::<T, F>::new(usize::MAX);
    (UnboundedSender::new(chan.clone()), Receiver::new(chan))
}
