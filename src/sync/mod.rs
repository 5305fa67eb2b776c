//! Synchronization primitives with asyncio's behaviour: locks, events, channels and queues.
//!
//! Each primitive comes in two flavours that behave alike. Those of this module are *local*: they serve the tasks of
//! one loop, use no atomics, and stay on their thread. Those of [`shared`] work across threads. Both are type aliases;
//! the generic types, with their methods and futures, are in [`base`].
//!
//! All are fair: waiters are served in order of arrival, and no newcomer overtakes a waiter. Their futures can be
//! dropped at any time, also after they were served and before they were polled again: no permit and no item is lost,
//! and the next waiter gets it. (A future that is forgotten keeps its place in the queue.)
//!
//! `?` turns their errors into an [`io::Error`](std::io::Error). Its kind is `BrokenPipe` if nothing can be sent, put
//! or acquired any more, `UnexpectedEof` if nothing more will be received, and `WouldBlock` if there is no room or no
//! value at the moment.
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
//! A local primitive cannot move to another thread; that does not compile:
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
//! | file | contents |
//! |---|---|
//! | `oneshot.rs` | a channel for one value |
//! | `mpsc/` | channels from many senders to one receiver |
//! | `broadcast/` | a channel in which each receiver gets every value |
//! | `watch.rs` | a value that changes, and its watchers |
//! | `queue/` | asyncio's queues |
//! | `channel_error.rs` | the errors that channels share |
//! | `shared/` | the names of the flavour that works across threads |
//! | `core/blocking.rs` | waiting on a plain thread |
//! | `core/waiting.rs` | the wait of a future: check, and check again with a waiter |
//! | `core/flavor.rs` | local and threaded: how a state is shared, and what wakes a waiter |
//! | `core/waiters.rs` | the queue of waiters |
//! | `core/wake_list.rs` | wakes waiters: outside the lock, in order, by their current waker |
//! | `core/fanout.rs` | the common part of `broadcast` and `watch` |
//! | `core/request.rs` | the common part of the futures that lock, and of the guards |
//! | `core/permits.rs` | permits and the queue for them: the common part of mutex, read-write lock and semaphore |
//! | `lock/`: `mutex.rs`, `rwlock.rs`, `semaphore.rs` | `Mutex`, `RwLock`, `Semaphore` |
//! | `lock/owned.rs` | guards and permits that own a reference to their lock |
//! | `lock/`: `event.rs`, `condition.rs`, `barrier.rs` | `Event`, `Condition`, `Barrier` |

pub mod broadcast;
mod channel_error;
pub(crate) mod core;
pub(crate) mod lock;
pub mod mpsc;
pub mod oneshot;
pub mod queue;
pub mod watch;

pub use core::flavor::{Flavor, Local, Threaded};
pub use lock::barrier::BrokenBarrier;
pub use lock::semaphore::{AcquireError, TryAcquireError};

pub mod base {
    //! The primitives, generic over their flavour: [`Local`](super::Local) or [`Threaded`](super::Threaded).
    //!
    //! [`sync`](super) and [`sync::shared`](super::shared) have an alias of each for one flavour.
    pub use super::lock::barrier::{Barrier, BarrierWait};
    pub use super::lock::condition::{Condition, ConditionWait, WaitFor};
    pub use super::lock::event::{Event, EventWait};
    pub use super::lock::mutex::{Lock, Mutex, MutexGuard};
    pub use super::lock::owned::{
        AcquireOwned, LockOwned, OwnedMutexGuard, OwnedPermit, OwnedReadGuard, OwnedWriteGuard, ReadOwned,
        WriteOwned,
    };
    pub use super::lock::rwlock::{Read, ReadGuard, RwLock, Write, WriteGuard};
    pub use super::lock::semaphore::{Acquire, Permit, Semaphore};
}

/// The names of one flavour.
macro_rules! names {
    ($flavor:ty) => {
        /// A mutual exclusion lock around a value: see [`base::Mutex`].
        pub type Mutex<T> = base::Mutex<$flavor, T>;
        /// A guard that gives access to the value of a [`Mutex`]: see [`base::MutexGuard`].
        pub type MutexGuard<'a, T> = base::MutexGuard<'a, $flavor, T>;
        /// A mutex guard that owns a reference to its mutex: see [`base::OwnedMutexGuard`].
        pub type OwnedMutexGuard<T> = base::OwnedMutexGuard<$flavor, T>;
        /// A read-write lock: many readers or one writer. See [`base::RwLock`].
        pub type RwLock<T> = base::RwLock<$flavor, T>;
        /// A guard that gives read access to the value of an [`RwLock`]: see [`base::ReadGuard`].
        pub type ReadGuard<'a, T> = base::ReadGuard<'a, $flavor, T>;
        /// A guard that gives write access to the value of an [`RwLock`]: see [`base::WriteGuard`].
        pub type WriteGuard<'a, T> = base::WriteGuard<'a, $flavor, T>;
        /// A read guard that owns a reference to its lock: see [`base::OwnedReadGuard`].
        pub type OwnedReadGuard<T> = base::OwnedReadGuard<$flavor, T>;
        /// A write guard that owns a reference to its lock: see [`base::OwnedWriteGuard`].
        pub type OwnedWriteGuard<T> = base::OwnedWriteGuard<$flavor, T>;
        /// A counting semaphore: see [`base::Semaphore`].
        pub type Semaphore = base::Semaphore<$flavor>;
        /// Permits of a [`Semaphore`]: see [`base::Permit`].
        pub type Permit<'a> = base::Permit<'a, $flavor>;
        /// Permits that own a reference to their semaphore: see [`base::OwnedPermit`].
        pub type OwnedPermit = base::OwnedPermit<$flavor>;
        /// A flag that tasks can wait for: see [`base::Event`].
        pub type Event = base::Event<$flavor>;
        /// A condition variable, used with a [`Mutex`]: see [`base::Condition`].
        pub type Condition = base::Condition<$flavor>;
        /// A point at which several tasks wait for each other: see [`base::Barrier`].
        pub type Barrier = base::Barrier<$flavor>;
    };
}

names!(Local);

pub mod shared {
    //! The same primitives across threads: each is `Send` and `Sync` if the values in it allow it.
    use super::{Threaded, base};

    names!(Threaded);

    pub mod broadcast;
    pub mod mpsc;
    pub mod oneshot;
    pub mod queue;
    pub mod watch;
}
