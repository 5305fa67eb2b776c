//! Unhandled errors: failures of tasks whose results were never retrieved. They go to a hook
//! ([`Config::on_unhandled`](crate::Config::on_unhandled)), or to standard error.
#![forbid(unsafe_code)]

use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use std::sync::Arc;

use crate::task::cell::error::TaskId;

/// A hook for unhandled errors.
pub(crate) type OnUnhandled = Arc<dyn Fn(&Unhandled) + Send + Sync>;

/// Decides which outputs of a task count as errors, and gives their messages.
pub(in crate::task) trait ReportPolicy<T> {
    /// Whether this output counts as an error.
    fn is_error(output: &T) -> bool;
    /// The message of the error, if this output counts as one.
    fn error(output: &T) -> Option<String>;
}

/// The policy of [`spawn`](fn@crate::spawn): no output counts as an error.
pub(in crate::task) enum Opaque {}

impl<T> ReportPolicy<T> for Opaque {
    fn is_error(_: &T) -> bool {
        false
    }

    fn error(_: &T) -> Option<String> {
        None
    }
}

/// The policy of [`try_spawn`](fn@crate::task::try_spawn): the output is a `Result`, and `Err` counts as an error.
pub(in crate::task) enum Fallible {}

impl<T, E: fmt::Display> ReportPolicy<Result<T, E>> for Fallible {
    fn is_error(output: &Result<T, E>) -> bool {
        output.is_err()
    }

    fn error(output: &Result<T, E>) -> Option<String> {
        output.as_ref().err().map(ToString::to_string)
    }
}

/// A failure of a task that was never retrieved: a panic, or an error of a task that was started by
/// [`try_spawn`](crate::task::try_spawn).
///
/// # Examples
/// ```
/// use proactor::{Auto, Config};
/// use std::sync::{Arc, Mutex};
/// let seen = Arc::new(Mutex::new(Vec::new()));
/// let log = seen.clone();
/// let config = Config::new().on_unhandled(move |unhandled| log.lock().unwrap().push(unhandled.to_string()));
/// Auto::with_config(&config).unwrap().block_on(async {
///     drop(proactor::task::try_spawn(async { Err::<(), _>("out of paper") }));
///     proactor::yield_now().await;
/// });
/// assert!(seen.lock().unwrap()[0].ends_with("failed, and its result was never retrieved: out of paper"));
/// ```
#[derive(Clone)]
pub struct Unhandled {
    id: TaskId,
    name: Option<Rc<str>>,
    spawned_at: &'static Location<'static>,
    message: String,
    panicked: bool,
    callback: bool,
}

impl Unhandled {
    /// Makes the report of a failure of the task or callback `id`, or of a cleanup that was registered at `spawned_at`.
    pub(in crate::task) fn new(
        id: TaskId,
        name: Option<Rc<str>>,
        spawned_at: &'static Location<'static>,
        message: String,
        panicked: bool,
        callback: bool,
    ) -> Self {
        Unhandled { id, name, spawned_at, message, panicked, callback }
    }

    /// Turns it into the failure of a cleanup that was registered at `location`.
    pub(in crate::task) fn of_cleanup(self, location: &'static Location<'static>) -> Self {
        Unhandled { spawned_at: location, ..self }
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The task's name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The place where the task was spawned, or the callback scheduled; for a cleanup the place where it was
    /// registered: the call of [`using`](crate::scope::using), [`ExitStack::enter`](crate::scope::ExitStack::enter) or
    /// [`ExitStack::defer`](crate::scope::ExitStack::defer).
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }

    /// The message of the panic or of the error.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether it is a panic; otherwise it is an error.
    pub fn is_panic(&self) -> bool {
        self.panicked
    }

    /// Whether it was a callback of the loop, not a task.
    pub fn is_callback(&self) -> bool {
        self.callback
    }
}

impl fmt::Display for Unhandled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unhandled { id, name, spawned_at, message, panicked, callback } = self;
        match (name, callback) {
            (Some(name), _) => write!(f, "task {id} ({name:?}), spawned at {spawned_at}, ")?,
            (None, false) => write!(f, "task {id}, spawned at {spawned_at}, ")?,
            (None, true) => write!(f, "a callback, scheduled at {spawned_at}, ")?,
        }
        match panicked {
            true => write!(f, "panicked, and its result was never retrieved: {message}"),
            false => write!(f, "failed, and its result was never retrieved: {message}"),
        }
    }
}

impl fmt::Debug for Unhandled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unhandled").field(&self.to_string()).finish()
    }
}
