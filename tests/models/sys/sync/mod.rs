//! The names of `src/sys/sync/`, with loom behind them.

pub(crate) mod lock_cell;

use std::sync::LockResult;
use std::time::Duration;

pub(crate) use loom::sync::{Arc, Mutex, MutexGuard, atomic};
pub(crate) use loom::thread::{Builder as ThreadBuilder, LocalKey};

pub(crate) use super::memory::dealloc;

/// loom's, which does not take a `const` block as it stands.
macro_rules! local {
    ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr $(;)?) => {
        loom::thread_local! { $(#[$attribute])* static $name: $type = $value }
    };
}
pub(crate) use local as thread_local;

/// Every release is to be seen.
pub(crate) const KEEPS_FREE_LISTS: bool = false;

pub(crate) fn share<T>(arc: std::sync::Arc<T>) -> Arc<T> {
    Arc::from_std(arc)
}

/// loom's, with the one method that it lacks. No time passes in a model: a wait ends when it is notified.
#[derive(Debug, Default)]
pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Condvar(loom::sync::Condvar::new())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.0.wait(guard)
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, loom::sync::WaitTimeoutResult)> {
        self.0.wait_timeout(guard, time)
    }

    pub(crate) fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        _: Duration,
        mut holds: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, ())> {
        while holds(&mut guard) {
            guard = self.0.wait(guard).expect("no model panics under a lock");
        }
        Ok((guard, ()))
    }
}
