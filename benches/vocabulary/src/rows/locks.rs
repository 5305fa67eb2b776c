//! Locks, semaphores, and what is waited for by several.

use std::cell::Cell;
use std::future::Future;
use std::ops::DerefMut;
use std::rc::Rc;
use std::sync::Arc;

use super::{Row, row};
use crate::loops::{Loop, Ours, Tokio, TokioLocal, TokioWithoutIo, turn};
use crate::measure::{Cost, across, here};

/// Something that one, or a few, can have at a time.
trait Lock: 'static {
    fn new() -> Self;
    /// Waits for it; what comes back gives it back when it is dropped.
    fn lock(&self) -> impl Future<Output = impl Sized + '_> + '_;
}

/// What a lock protects here.
fn count(mut number: impl DerefMut<Target = u64>) -> impl Sized {
    *number += 1;
    number
}

macro_rules! mutex {
    ($name:ident: $mutex:ty) => {
        struct $name($mutex);

        impl Lock for $name {
            fn new() -> Self {
                $name(<$mutex>::new(0))
            }

            #[inline]
            async fn lock(&self) -> impl Sized + '_ {
                count(self.0.lock().await)
            }
        }
    };
}

macro_rules! semaphore {
    ($name:ident: $semaphore:ty, |$permit:ident| $unwrap:expr) => {
        struct $name($semaphore);

        impl Lock for $name {
            fn new() -> Self {
                $name(<$semaphore>::new(2))
            }

            #[inline]
            async fn lock(&self) -> impl Sized + '_ {
                let $permit = self.0.acquire().await;
                $unwrap
            }
        }
    };
}

mutex!(LocalMutex: proactor::sync::Mutex<u64>);
mutex!(SharedMutex: proactor::sync::shared::Mutex<u64>);
mutex!(MutexOfTokio: tokio::sync::Mutex<u64>);
mutex!(MutexOfFutures: futures::lock::Mutex<u64>);
mutex!(MutexOfAsyncLock: async_lock::Mutex<u64>);

semaphore!(LocalSemaphore: proactor::sync::Semaphore, |permit| permit.expect("it is open"));
semaphore!(SharedSemaphore: proactor::sync::shared::Semaphore, |permit| permit.expect("it is open"));
semaphore!(SemaphoreOfTokio: tokio::sync::Semaphore, |permit| permit.expect("it is open"));
semaphore!(SemaphoreOfLocalSync: local_sync::semaphore::Semaphore, |permit| permit.expect("it is open"));
semaphore!(SemaphoreOfAsyncLock: async_lock::Semaphore, |permit| permit);

/// Nobody else wants it.
fn free<L: Loop, K: Lock>(ops: u64) -> Cost {
    here::<L>(ops, async |ops| {
        let lock = K::new();
        for _ in 0..ops {
            drop(lock.lock().await);
        }
    })
}

/// Eight tasks want it, and keep it while the others get a turn.
fn contended<L: Loop, K: Lock>(ops: u64) -> Cost {
    here::<L>(ops, async |ops| {
        let (lock, left) = (Rc::new(K::new()), Rc::new(Cell::new(ops)));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (lock, left) = (lock.clone(), left.clone());
                L::spawn(async move {
                    while left.get() > 0 {
                        let guard = lock.lock().await;
                        left.set(left.get().saturating_sub(1));
                        turn().await;
                        drop(guard);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
    })
}

/// A task on each of two threads wants it, over and over.
fn contended_across<L: Loop, K: Lock + Send + Sync>(ops: u64) -> Cost {
    let lock = Arc::new(K::new());
    async fn half<K: Lock>(lock: &mut Arc<K>, ops: u64) {
        for _ in 0..ops / 2 {
            drop(lock.lock().await);
        }
    }
    across::<L, _, _>(ops, (lock.clone(), lock), half::<K>, half::<K>)
}

/// What many can wait for, and be woken from at once, again and again.
trait Signal: 'static {
    fn new() -> Self;
    fn wait(&self) -> impl Future<Output = ()> + '_;
    /// Wakes all who wait now.
    fn pulse(&self);
}

impl Signal for proactor::sync::Event {
    fn new() -> Self {
        proactor::sync::Event::new()
    }

    fn wait(&self) -> impl Future<Output = ()> + '_ {
        self.wait()
    }

    fn pulse(&self) {
        self.set();
        self.clear();
    }
}

impl Signal for proactor::sync::shared::Event {
    fn new() -> Self {
        proactor::sync::shared::Event::new()
    }

    fn wait(&self) -> impl Future<Output = ()> + '_ {
        self.wait()
    }

    fn pulse(&self) {
        self.set();
        self.clear();
    }
}

impl Signal for tokio::sync::Notify {
    fn new() -> Self {
        tokio::sync::Notify::new()
    }

    fn wait(&self) -> impl Future<Output = ()> + '_ {
        self.notified()
    }

    fn pulse(&self) {
        self.notify_waiters();
    }
}

impl Signal for event_listener::Event {
    fn new() -> Self {
        event_listener::Event::new()
    }

    fn wait(&self) -> impl Future<Output = ()> + '_ {
        self.listen()
    }

    fn pulse(&self) {
        self.notify(usize::MAX);
    }
}

/// Eight tasks wait, a ninth wakes them all when all of them wait.
fn pulses<L: Loop, S: Signal>(ops: u64) -> Cost {
    here::<L>(ops, async |ops| {
        let rounds = ops / 8;
        let (signal, waiting) = (Rc::new(S::new()), Rc::new(Cell::new(0)));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (signal, waiting) = (signal.clone(), waiting.clone());
                L::spawn(async move {
                    for _ in 0..rounds {
                        waiting.set(waiting.get() + 1);
                        signal.wait().await;
                    }
                })
            })
            .collect();
        for _ in 0..rounds {
            while waiting.get() < 8 {
                turn().await;
            }
            waiting.set(0);
            signal.pulse();
        }
        for task in tasks {
            task.await;
        }
    })
}

pub fn rows() -> Vec<Row> {
    vec![
        row!("mutex", "a mutex that is free locked, a number changed, and unlocked";
            "proactor": free::<Ours, LocalMutex>,
            "proactor shared": free::<Ours, SharedMutex>,
            "tokio": free::<Tokio, MutexOfTokio>,
            "futures": free::<Tokio, MutexOfFutures>,
            "async-lock": free::<Tokio, MutexOfAsyncLock>,
        ),
        row!("mutex-contended", "a mutex had in turn by eight tasks, each for a turn of the loop";
            "proactor": contended::<Ours, LocalMutex>,
            "proactor shared": contended::<Ours, SharedMutex>,
            "tokio": contended::<Tokio, MutexOfTokio>,
            "futures (not fair)": contended::<Tokio, MutexOfFutures>,
            "async-lock (not fair)": contended::<Tokio, MutexOfAsyncLock>,
            "tokio, on proactor": contended::<Ours, MutexOfTokio>,
        ),
        row!("mutex-across", "a mutex locked and unlocked, over and over by each of two threads";
            "proactor": contended_across::<Ours, SharedMutex>,
            "tokio": contended_across::<Tokio, MutexOfTokio>,
            "tokio without I/O": contended_across::<TokioWithoutIo, MutexOfTokio>,
            "futures (not fair)": contended_across::<Tokio, MutexOfFutures>,
            "async-lock (not fair)": contended_across::<Tokio, MutexOfAsyncLock>,
            "tokio, on proactor": contended_across::<Ours, MutexOfTokio>,
        ),
        row!("semaphore", "a permit of a semaphore of two, taken and given back";
            "proactor": free::<Ours, LocalSemaphore>,
            "proactor shared": free::<Ours, SharedSemaphore>,
            "tokio": free::<Tokio, SemaphoreOfTokio>,
            "async-lock": free::<Tokio, SemaphoreOfAsyncLock>,
            "local-sync": free::<TokioLocal, SemaphoreOfLocalSync>,
        ),
        row!("semaphore-contended", "a permit of two had in turn by eight tasks, each for a turn of the loop";
            "proactor": contended::<Ours, LocalSemaphore>,
            "proactor shared": contended::<Ours, SharedSemaphore>,
            "tokio": contended::<Tokio, SemaphoreOfTokio>,
            "async-lock (not fair)": contended::<Tokio, SemaphoreOfAsyncLock>,
            "local-sync": contended::<TokioLocal, SemaphoreOfLocalSync>,
            "tokio, on proactor": contended::<Ours, SemaphoreOfTokio>,
            "local-sync, on proactor": contended::<Ours, SemaphoreOfLocalSync>,
        ),
        row!("event", "one of eight tasks that wait woken by an event for all";
            "proactor": pulses::<Ours, proactor::sync::Event>,
            "proactor shared": pulses::<Ours, proactor::sync::shared::Event>,
            "tokio": pulses::<Tokio, tokio::sync::Notify>,
            "event-listener": pulses::<Tokio, event_listener::Event>,
            "tokio, on proactor": pulses::<Ours, tokio::sync::Notify>,
        ),
    ]
}
