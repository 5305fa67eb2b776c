//! The names of `src/sys/sync.rs`, with loom behind them.

pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};
pub(crate) use loom::thread::{Builder as ThreadBuilder, LocalKey};

pub(crate) use super::memory::dealloc;

/// loom's, which does not take a `const` block as it stands.
macro_rules! local {
    ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr $(;)?) => {
        loom::thread_local! { $(#[$attribute])* static $name: $type = $value }
    };
}
pub(crate) use local as thread_local;
