//! `test`: runs the body of a test on both backends; asyncio's `IsolatedAsyncioTestCase`.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::io::{self, Write};
use std::process::{ExitCode, Termination};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::auto::requested_backend;
use super::backend::Backend;
use super::config::Config;
use super::report::Shutdown;
use super::{Proactor, Runtime, Selector};
use crate::time::timeout;

const TIME_LIMIT: Duration = Duration::from_secs(60);

/// The environment variable with which, if it is 1, a refused io_uring fails the tests of the proactor.
const REQUIRE_VARIABLE: &str = "PROACTOR_REQUIRE_URING";

/// Runs the body of a test on each backend, with a time limit of a minute. [`Tester`] has settings, and documents the
/// ways a test fails.
///
/// # Panics
/// When the test fails.
///
/// # Examples
/// ```
/// # use std::io;
/// // #[test]
/// fn a_message_arrives() {
///     proactor::test(async || {
///         let socket = proactor::net::UdpSocket::bind("127.0.0.1:0").await?;
///         socket.send_to("hello", socket.local_addr()?).await?;
///         let ((count, _peer), message) = socket.recv_from([0; 16]).await?;
///         assert_eq!(&message[..count], b"hello");
///         io::Result::Ok(())
///     });
/// }
/// # a_message_arrives();
/// ```
#[track_caller]
pub fn test<T: Termination>(body: impl AsyncFn() -> T) {
    Tester::new().run(body);
}

/// Runs the bodies of tests, each on a new runtime.
///
/// A test fails when
/// - its body panics or returns an error,
/// - a task panics and its result is not retrieved, so that an `assert!` in a spawned task counts, or a task of
///   [`try_spawn`](fn@crate::task::try_spawn) returns an error and its result is not retrieved (unless the [`Config`] sets
///   [`on_unhandled`](Config::on_unhandled)),
/// - it has not ended within the [time limit](Self::time_limit), or
/// - tasks, operations or jobs have not ended within that time either.
///
/// Tasks that have not ended when the body ends are cancelled, as by [`run`](fn@crate::run). A task that catches its
/// cancellation and then waits for ever fails the test. A failed test prints its backend, and the seed of its random
/// numbers for [`Config::seed`].
///
/// Where the kernel refuses io_uring, the proactor is skipped, and a line on standard error gives the reason; with
/// `PROACTOR_REQUIRE_URING=1` the test fails instead. `PROACTOR_BACKEND=proactor` or `=selector` runs tests only on
/// that backend.
///
/// # Examples
/// ```
/// use proactor::{Config, Tester, time::sleep};
/// use std::time::Duration;
/// let tester = Tester::new().time_limit(Duration::from_secs(5)).config(Config::new().seed(1));
/// tester.run(async || sleep(Duration::from_millis(1)).await);
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `run` is called"]
pub struct Tester {
    limit: Duration,
    config: Config,
}

impl Default for Tester {
    fn default() -> Self {
        Self::new()
    }
}

impl Tester {
    /// Makes a tester with the defaults.
    pub fn new() -> Self {
        Tester { limit: TIME_LIMIT, config: Config::new() }
    }

    /// Sets the time after which a body is dropped, and its test fails; a minute by default. A body that blocks its
    /// thread is not interrupted: if it returns after the limit without another await, its test passes.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets the configuration of the runtimes.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Runs `body` on each backend.
    ///
    /// # Panics
    /// When the test fails.
    #[track_caller]
    pub fn run<T: Termination>(&self, body: impl AsyncFn() -> T) {
        let only = requested_backend().unwrap_or_else(|error| panic!("{error}"));
        if only != Some(Backend::Selector) {
            self.run_on::<Proactor, _>(&body);
        }
        if only != Some(Backend::Proactor) {
            self.run_on::<Selector, _>(&body);
        }
    }

    /// Runs `body` on one backend.
    ///
    /// # Panics
    /// When the test fails.
    ///
    /// # Examples
    /// ```
    /// use proactor::{Selector, Tester};
    /// Tester::new().run_on::<Selector, _>(async || proactor::yield_now().await);
    /// ```
    #[track_caller]
    pub fn run_on<R: Runtime, T: Termination>(&self, body: impl AsyncFn() -> T) {
        let failures = Failures::default();
        let runtime = match R::with_config(&failures.collected(self.config.clone())) {
            Ok(runtime) => runtime,
            Err(refused) if is_refusal(&refused) && !uring_is_required() => return skip(R::NAME, &refused),
            Err(error) => panic!("the {} runtime could not be made: {error}", R::NAME),
        };
        let _name = NameOnPanic::new(R::NAME, runtime.report().seed);
        let Ok(ended) = runtime.block_on(timeout(self.limit, body())) else {
            let (limit, local) = (self.limit, runtime.local());
            let others = match local.tasks().is_empty() {
                true => "there are no other tasks".to_owned(),
                false => format!("the other tasks are:\n{}", local.dump()),
            };
            panic!("the test did not complete within {limit:?}: its body waits; {others}");
        };
        let left = runtime.shutdown(self.limit);
        assert!(ended.report() == ExitCode::SUCCESS, "the test returned an error, which is printed above");
        failures.check();
        let left = left_behind(&left);
        assert!(left.is_empty(), "the test left {left}, which did not end within {:?}", self.limit);
    }
}

/// Describes the tasks, operations and jobs that did not end before the deadline; an empty string if all did.
fn left_behind(left: &Shutdown) -> String {
    let counts = [(left.tasks_forced, "task"), (left.ops_leaked, "operation"), (left.jobs_leaked, "job")];
    let some = counts.iter().filter(|(count, _)| *count > 0);
    let named = some.map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }));
    named.collect::<Vec<_>>().join(" and ")
}

/// Whether the kernel refuses io_uring to this process. (A shortage of memory or descriptors is no refusal.)
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
        && error.get_ref().is_some_and(|error| error.is::<crate::driver::proactor::setup::Refused>())
}

fn uring_is_required() -> bool {
    std::env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1")
}

/// Prints that a test is skipped. Not by `eprintln!`, which a test runner captures.
fn skip(backend: &str, refused: &io::Error) {
    let test = std::thread::current();
    let name = test.name().unwrap_or("a test");
    let _ = writeln!(io::stderr(), "{name}: skipped on the {backend}: {refused}");
}

/// The panics and errors of tasks whose results were not retrieved.
#[derive(Clone, Default)]
struct Failures(Arc<Mutex<Vec<String>>>);

impl Failures {
    /// Returns settings whose hook collects them, unless the settings have a hook already.
    fn collected(&self, config: Config) -> Config {
        if config.has_on_unhandled() {
            return config;
        }
        let failures = self.clone();
        config.on_unhandled(move |unhandled| {
            eprintln!("{unhandled}");
            failures.0.lock().unwrap_or_else(PoisonError::into_inner).push(unhandled.to_string());
        })
    }

    #[track_caller]
    fn check(&self) {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failures").finish_non_exhaustive()
    }
}

thread_local! {
    /// The number of tests that run on this thread, one inside the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Prints the backend and the seed behind the message of a panic, once if tests are nested.
struct NameOnPanic {
    backend: &'static str,
    seed: u64,
}

impl NameOnPanic {
    fn new(backend: &'static str, seed: u64) -> Self {
        DEPTH.set(DEPTH.get() + 1);
        NameOnPanic { backend, seed }
    }
}

impl Drop for NameOnPanic {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if std::thread::panicking() && DEPTH.get() == 0 {
            eprintln!("the failed test ran on the {}, with the seed {}", self.backend, self.seed);
        }
    }
}
