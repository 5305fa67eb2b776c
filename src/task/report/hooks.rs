//! Hooks of a loop: for new tasks, unhandled errors and slow polls; a custom blocking pool.
#![forbid(unsafe_code)]

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::task_info::Task;
use super::unhandled::OnUnhandled;
use crate::sys::guarded::contain;
use crate::task::threads::pool::BlockingPool;

pub(crate) type OnSpawn = Arc<dyn Fn(&Task) + Send + Sync>;
pub(crate) type OnSlowPoll = Arc<dyn Fn(&SlowPoll) + Send + Sync>;

/// The hooks of one loop.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) on_unhandled: Option<OnUnhandled>,
    pub(crate) on_spawn: Option<OnSpawn>,
    pub(crate) stopwatch: Option<Stopwatch>,
    /// The pool for closures of `spawn_blocking`, instead of the loop's own.
    pub(crate) blocking_pool: Option<BlockingPool>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("on_unhandled", &self.on_unhandled.is_some())
            .field("on_spawn", &self.on_spawn.is_some())
            .field("slow_poll", &self.stopwatch.as_ref().map(|stopwatch| stopwatch.limit))
            .finish()
    }
}

/// Measures the duration of each poll. The clock is a parameter, because this folder does not know it.
#[derive(Clone)]
pub(crate) struct Stopwatch {
    pub(crate) clock: fn() -> Instant,
    pub(crate) limit: Duration,
    pub(crate) on_slow_poll: Option<OnSlowPoll>,
}

impl Stopwatch {
    /// Calls `run`, which runs a task once, and reports it if that took too long.
    pub(in crate::task) fn watch(&self, task: Task, is_callback: bool, run: impl FnOnce()) {
        let begin = (self.clock)();
        run();
        let duration = (self.clock)().saturating_duration_since(begin);
        if duration >= self.limit {
            let slow = SlowPoll { task, duration, is_callback };
            contain(|| match &self.on_slow_poll {
                Some(hook) => hook(&slow),
                None => eprintln!("proactor: {slow}"),
            });
        }
    }
}

/// A poll that blocked the loop for a long time: see [`Config::slow_poll`](crate::Config::slow_poll).
///
/// # Examples
/// ```
/// use proactor::{Auto, Config};
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// let seen = Arc::new(Mutex::new(Vec::new()));
/// let log = seen.clone();
/// let config = Config::new()
///     .slow_poll(Duration::from_millis(1))
///     .on_slow_poll(move |slow| log.lock().unwrap().push(slow.name()));
/// Auto::with_config(&config).unwrap().block_on(async {
///     let busy = proactor::task::Builder::new().name("busy");
///     busy.spawn(async { std::thread::sleep(Duration::from_millis(5)) }).await.unwrap();
/// });
/// assert!(seen.lock().unwrap().contains(&Some("busy".into())));
/// ```
#[derive(Clone, Debug)]
pub struct SlowPoll {
    task: Task,
    duration: Duration,
    is_callback: bool,
}

impl SlowPoll {
    /// The task's name, if it has one.
    pub fn name(&self) -> Option<String> {
        self.task.name()
    }

    /// The place where the task was spawned, or the callback scheduled.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.task.spawned_at()
    }

    /// The duration of the poll.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Whether it was a callback of the loop, not a task.
    pub fn is_callback(&self) -> bool {
        self.is_callback
    }
}

impl fmt::Display for SlowPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what =
            if self.is_callback { "a callback".to_owned() } else { format!("task {}", self.task.id()) };
        let name = self.name().map(|name| format!(" ({name:?})")).unwrap_or_default();
        let (place, duration) = (self.spawned_at(), self.duration);
        write!(f, "{what}{name}, from {place}, blocked the loop for {duration:?}")
    }
}
