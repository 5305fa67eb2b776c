//! Warnings of a runtime that ends in debug mode: forgotten tasks, operations and descriptors.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use crate::sys::guarded::contain;
use crate::task::Task;

/// A resource that was left when a runtime ended, see [`Config::debug`](crate::Config::debug); asyncio's
/// `ResourceWarning`, and "Task was destroyed but it is pending".
///
/// # Examples
/// ```
/// use proactor::{Auto, Config, Leak};
/// use std::sync::{Arc, Mutex};
/// let seen = Arc::new(Mutex::new(Vec::new()));
/// let log = seen.clone();
/// let config = Config::new().debug(true).on_leak(move |leak| log.lock().unwrap().push(leak.to_string()));
/// Auto::with_config(&config).unwrap().block_on(async {
///     drop(proactor::task::Builder::new().name("forgotten").spawn(std::future::pending::<()>()));
/// });
/// assert!(seen.lock().unwrap()[0].contains("forgotten"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Leak {
    /// A task that had not ended and is cancelled.
    Task(Task),
    /// The number of direct descriptors that were open.
    DirectDescriptors(usize),
    /// The number of operations that did not end in time and are leaked: see
    /// [`Shutdown::ops_leaked`](crate::Shutdown::ops_leaked).
    Operations(usize),
    /// The number of jobs of the blocking pool that did not end in time: see
    /// [`Shutdown::jobs_leaked`](crate::Shutdown::jobs_leaked).
    Jobs(usize),
}

impl Leak {
    fn is_none(&self) -> bool {
        matches!(self, Leak::DirectDescriptors(0) | Leak::Operations(0) | Leak::Jobs(0))
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leak::Task(task) => {
                let name = task.name().map(|name| format!(" ({name:?})")).unwrap_or_default();
                let (id, place) = (task.id(), task.spawned_at());
                write!(f, "task {id}{name}, spawned at {place}, is cancelled: the runtime ended before it")
            }
            Leak::DirectDescriptors(count) => {
                write!(f, "the runtime ended with {count} open direct descriptors")
            }
            Leak::Operations(count) => write!(f, "{count} operations did not end in time, and are leaked"),
            Leak::Jobs(count) => write!(f, "{count} jobs of the blocking pool did not end in time"),
        }
    }
}

pub(crate) type OnLeak = Arc<dyn Fn(&Leak) + Send + Sync>;

/// The receiver of the warnings: the hook, or standard error.
pub(super) struct Leaks {
    pub(super) hook: Option<OnLeak>,
    pub(super) on: bool,
}

impl Leaks {
    pub(super) fn warn(&self, leak: Leak) {
        self.warn_of(|| [leak]);
    }

    pub(super) fn warn_of<I: IntoIterator<Item = Leak>>(&self, leaks: impl FnOnce() -> I) {
        if !self.on {
            return;
        }
        for leak in leaks().into_iter().filter(|leak| !leak.is_none()) {
            contain(|| match &self.hook {
                Some(hook) => hook(&leak),
                None => eprintln!("proactor: {leak}"),
            });
        }
    }
}
