//! What tasks meet at: locks, events, channels and queues, with asyncio's behaviour.
//!
//! Each comes in two flavours that behave alike. Those of this module are *local*: for the tasks of one loop, without
//! atomics, and they do not leave their thread. Those of [`shared`] cross threads. [`base`] has what both are: the types
//! that they are names of, with their methods and their futures.
//!
//! All are fair: who waited first is served first, and nobody overtakes. A future of theirs can be dropped at any
//! time, also after it was served and before it was polled again: no permit and no item is lost by it, and the next in
//! the queue gets what it leaves. (One that is forgotten keeps its place.)
//!
//! `?` turns their errors into an [`io::Error`](std::io::Error): of kind `BrokenPipe` where nothing can be sent, put or
//! acquired any more, `UnexpectedEof` where nothing will be received, `WouldBlock` where only now there is no place or no
//! value.
//!
//! ```
//! async fn first(mut lines: proactor::sync::mpsc::Receiver<String>) -> std::io::Result<String> {
//!     Ok(lines.recv().await.unwrap_or_default())
//! }
//! async fn pass_on(lines: proactor::sync::mpsc::Sender<String>) -> std::io::Result<()> {
//!     Ok(lines.send("hello".to_owned()).await?)
//! }
//! proactor::run(async {
//!     let (sender, receiver) = proactor::sync::mpsc::channel(1);
//!     pass_on(sender.clone()).await.unwrap();
//!     assert_eq!(first(receiver).await.unwrap(), "hello");
//!     assert_eq!(pass_on(sender).await.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
//! });
//! ```
//!
//! What is local does not compile on another thread:
//!
//! ```compile_fail,E0277
//! fn must_be_send<T: Send>() {}
//! must_be_send::<proactor::sync::Mutex<()>>();
//! ```
//! ```
//! fn must_be_send<T: Send + Sync>() {}
//! must_be_send::<proactor::sync::shared::Mutex<()>>();
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `oneshot.rs` | a channel for one value |
//! | `mpsc/` | channels from many senders to one receiver |
//! | `broadcast.rs` | a channel whose every receiver gets every value |
//! | `watch.rs` | a value that changes, and those who watch it |
//! | `queue/` | asyncio's queues |
//! | `channel_error.rs` | the errors that channels share |
//! | `shared/` | the names of all these between threads |
//! | `blocking.rs` | waiting on a plain thread |
//! | `waiting.rs` | how a future waits: look, and look again with a waiter |
//! | `flavor.rs` | local and threaded: how a state is shared, and what wakes a waiter |
//! | `waiters.rs` | the queue of those who wait |
//! | `waking.rs` | those who are woken: out of the lock, in order, by the waker that they have now |
//! | `permits.rs` | permits and the queue for them: mutex, read-write lock and semaphore in one |
//! | `mutex.rs`, `rwlock.rs`, `semaphore.rs` | the three |
//! | `owned.rs` | their guards and permits over an `Rc` or `Arc` |
//! | `event.rs`, `condition.rs`, `barrier.rs` | `Event`, `Condition`, `Barrier` |

mod barrier;
mod blocking;
pub mod broadcast;
mod channel_error;
mod condition;
mod event;
mod flavor;
pub mod mpsc;
mod mutex;
pub mod oneshot;
mod owned;
mod permits;
pub mod queue;
mod rwlock;
mod semaphore;
mod waiters;
mod waiting;
mod waking;
pub mod watch;

pub use barrier::BrokenBarrier;
pub use flavor::{Flavor, Local, Threaded};
pub use semaphore::{AcquireError, TryAcquireError};

pub mod base {
    //! The primitives, generically over their flavour: [`Local`](super::Local) or [`Threaded`](super::Threaded).
    //!
    //! For use they have names in [`sync`](super) and [`sync::shared`](super::shared), by which the flavour need not be
    //! said.
    pub use super::barrier::{Barrier, BarrierWait};
    pub use super::condition::{Condition, ConditionWait, WaitFor};
    pub use super::event::{Event, EventWait};
    pub use super::mutex::{Lock, Mutex, MutexGuard};
    pub use super::owned::{
        AcquireOwned, LockOwned, OwnedMutexGuard, OwnedPermit, OwnedReadGuard, OwnedWriteGuard, ReadOwned,
        WriteOwned,
    };
    pub use super::rwlock::{Read, ReadGuard, RwLock, Write, WriteGuard};
    pub use super::semaphore::{Acquire, Permit, Semaphore};
}

/// The names of one flavour.
macro_rules! names {
    ($flavor:ty) => {
        /// A value for one at a time: see [`base::Mutex`].
        pub type Mutex<T> = base::Mutex<$flavor, T>;
        /// The right to use the value of a [`Mutex`]: see [`base::MutexGuard`].
        pub type MutexGuard<'a, T> = base::MutexGuard<'a, $flavor, T>;
        /// The same with a share of the mutex: see [`base::OwnedMutexGuard`].
        pub type OwnedMutexGuard<T> = base::OwnedMutexGuard<$flavor, T>;
        /// A value for several who read it or one who changes it: see [`base::RwLock`].
        pub type RwLock<T> = base::RwLock<$flavor, T>;
        /// The right to read the value of an [`RwLock`]: see [`base::ReadGuard`].
        pub type ReadGuard<'a, T> = base::ReadGuard<'a, $flavor, T>;
        /// The right to change the value of an [`RwLock`]: see [`base::WriteGuard`].
        pub type WriteGuard<'a, T> = base::WriteGuard<'a, $flavor, T>;
        /// The right to read with a share of the lock: see [`base::OwnedReadGuard`].
        pub type OwnedReadGuard<T> = base::OwnedReadGuard<$flavor, T>;
        /// The right to change with a share of the lock: see [`base::OwnedWriteGuard`].
        pub type OwnedWriteGuard<T> = base::OwnedWriteGuard<$flavor, T>;
        /// A number of permits: see [`base::Semaphore`].
        pub type Semaphore = base::Semaphore<$flavor>;
        /// Permits of a [`Semaphore`]: see [`base::Permit`].
        pub type Permit<'a> = base::Permit<'a, $flavor>;
        /// Permits with a share of the semaphore: see [`base::OwnedPermit`].
        pub type OwnedPermit = base::OwnedPermit<$flavor>;
        /// A flag that can be waited for: see [`base::Event`].
        pub type Event = base::Event<$flavor>;
        /// Tells those who wait with a [`Mutex`] of a change: see [`base::Condition`].
        pub type Condition = base::Condition<$flavor>;
        /// Where several wait for each other: see [`base::Barrier`].
        pub type Barrier = base::Barrier<$flavor>;
    };
}

names!(Local);

pub mod shared {
    //! The same between threads: each is `Send` and `Sync` where what it holds allows it.
    use super::{Threaded, base};

    names!(Threaded);

    pub mod broadcast;
    pub mod mpsc;
    pub mod oneshot;
    pub mod queue;
    pub mod watch;
}
