//! `test`: runs the body of a test on both backends; asyncio's `IsolatedAsyncioTestCase`.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, Write};
use std::process::{ExitCode, Termination};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::config::Config;
use super::report::Backend;
use super::{Proactor, Runtime, Selector, wish};
use crate::time::timeout;

const TIME_LIMIT: Duration = Duration::from_secs(60);

/// If it is 1, a refused io_uring fails the tests of the proactor.
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
/// - a task panics and its result is not retrieved, so that an `assert!` in a spawned task counts (unless the
///   [`Config`] sets [`on_unhandled`](Config::on_unhandled)),
/// - it has not ended within the [time limit](Self::time_limit), or
/// - operations or jobs have not ended within that time either.
///
/// Tasks that have not ended when the body ends are cancelled, as by [`run`](fn@crate::run).
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
    /// thread is not interrupted.
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
        let only = wish().unwrap_or_else(|error| panic!("{error}"));
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
        let panics = Panics::default();
        let runtime = match R::with_config(&panics.collected(self.config.clone())) {
            Ok(runtime) => runtime,
            Err(refused) if is_refusal(&refused) && !uring_is_required() => return skip(R::NAME, &refused),
            Err(error) => panic!("the {} runtime could not be made: {error}", R::NAME),
        };
        let _name = NameOnPanic(R::NAME);
        let Ok(ended) = runtime.block_on(timeout(self.limit, body())) else {
            let dump = runtime.local().dump();
            panic!("the test did not complete within {:?}; its tasks are:\n{dump}", self.limit);
        };
        let left = runtime.shutdown(self.limit);
        assert!(ended.report() == ExitCode::SUCCESS, "the test returned an error, which is printed above");
        panics.check();
        let (ops, jobs) = (left.ops_leaked, left.jobs_leaked);
        assert!((ops, jobs) == (0, 0), "the test left {ops} operations and {jobs} jobs that did not end");
    }
}

/// The kernel has no io_uring for this process. (A shortage of memory or descriptors is no refusal.)
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
        && error.get_ref().is_some_and(|error| error.is::<crate::driver::setup::Refused>())
}

fn uring_is_required() -> bool {
    std::env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1")
}

/// Not by `eprintln!`, which a test runner captures.
fn skip(backend: &str, refused: &io::Error) {
    let test = std::thread::current();
    let name = test.name().unwrap_or("a test");
    let _ = writeln!(io::stderr(), "{name}: skipped on the {backend}: {refused}");
}

/// Panics of tasks that were not taken.
#[derive(Clone, Default)]
struct Panics(Arc<Mutex<Vec<String>>>);

impl Panics {
    /// Settings that collect them, unless they have a hook already.
    fn collected(&self, config: Config) -> Config {
        if config.has_on_unhandled() {
            return config;
        }
        let panics = self.clone();
        config.on_unhandled(move |unhandled| {
            eprintln!("{unhandled}");
            if unhandled.is_panic() {
                panics.0.lock().unwrap_or_else(PoisonError::into_inner).push(unhandled.to_string());
            }
        })
    }

    #[track_caller]
    fn check(&self) {
        let panics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(panics.is_empty(), "{}", panics.join("\n"));
    }
}

impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panics").finish_non_exhaustive()
    }
}

/// Prints the backend behind the message of a panic.
struct NameOnPanic(&'static str);

impl Drop for NameOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the failed test ran on the {}", self.0);
        }
    }
}
