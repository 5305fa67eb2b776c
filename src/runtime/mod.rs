//! Runtimes: the trait [`Runtime`], its three implementations, and how to embed one in a foreign loop.
//!
//! | file | what it holds |
//! |---|---|
//! | `core.rs` | the loop: one turn |
//! | `end.rs` | how a runtime ends |
//! | `local.rs` | `LocalHandle`: callbacks, watched descriptors, the list of tasks |
//! | `runner.rs` | `Runner`: main futures that can be cancelled |
//! | `config.rs`, `report.rs`, `leak.rs` | settings, what a runtime says of itself, and of what was left |
//! | `rng.rs` | the runtime's random numbers |
#![forbid(unsafe_code)]

pub(crate) mod config;
mod core;
mod end;
pub(crate) mod leak;
pub(crate) mod local;
pub(crate) mod report;
pub(crate) mod required;
pub(crate) mod rng;
pub(crate) mod runner;
pub(crate) mod testing;

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use self::core::{Core, Limits, Until};
use crate::task::{Handle, JoinHandle};
use config::Config;
use local::LocalHandle;
use report::{Backend, Report, Shutdown};

mod sealed {
    #[expect(unnameable_types, reason = "it keeps the trait from being implemented elsewhere")]
    pub trait Sealed {
        fn core(&self) -> &super::Core;
    }
}
use sealed::Sealed;

/// A loop that runs futures and does their I/O, on this thread.
///
/// [`Proactor`], [`Selector`] and [`Auto`] implement it and have the same methods of their own, so that the
/// trait need be imported only by code that is generic over it.
///
/// A runtime does not leave the thread on which it was made; a [`Handle`] reaches it from others. Dropping it
/// shuts it down, within [`Config::shutdown_deadline`].
///
/// # Examples
/// ```
/// use proactor::{Proactor, Runtime, Selector};
///
/// fn answer<R: Runtime>() -> std::io::Result<i32> {
///     let runtime = R::new()?;
///     let task = runtime.spawn(async { 6 * 7 });
///     Ok(runtime.block_on(task).unwrap())
/// }
///
/// assert_eq!(answer::<Selector>()?, 42);
/// # if Proactor::new().is_ok() {
/// assert_eq!(answer::<Proactor>()?, 42);
/// # }
/// # std::io::Result::Ok(())
/// ```
///
/// ```compile_fail,E0277
/// let runtime = proactor::Auto::new().unwrap();
/// std::thread::spawn(move || runtime.block_on(async {}));
/// ```
pub trait Runtime: Sealed + Sized {
    /// What it is called: `proactor`, `selector` or `auto`.
    const NAME: &'static str;

    /// Makes one with the default settings.
    ///
    /// # Errors
    /// When the kernel refuses what it needs, with cause and cure.
    fn new() -> io::Result<Self> {
        Self::with_config(&Config::default())
    }

    /// Makes one. A backend that was named never gives way to another: it fails.
    ///
    /// # Errors
    /// When the kernel refuses what it needs, with cause and cure; `InvalidInput` for settings that make no
    /// sense.
    fn with_config(config: &Config) -> io::Result<Self>;

    /// The backend in use.
    fn backend(&self) -> Backend {
        self.core().backend()
    }

    /// Runs a future to its end, and the tasks beside it; asyncio's `run_until_complete`. Tasks that have
    /// not ended stay, and go on with the next call.
    ///
    /// # Panics
    /// When a runtime already runs on this thread; when the future panics; when the kernel fails the loop; when
    /// [`Handle::stop`] comes before the future has completed, where asyncio raises `RuntimeError`.
    #[track_caller]
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.core().block_on(future)
    }

    /// Runs tasks until [`Handle::stop`]; the turn in which that comes is finished.
    ///
    /// # Panics
    /// When a runtime already runs on this thread; when the kernel fails the loop.
    #[track_caller]
    fn run_forever(&self) {
        self.core().run_forever();
    }

    /// Starts a task, which runs whenever the loop does.
    #[track_caller]
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.core().spawn(future)
    }

    /// The runtime, for use from other threads.
    fn handle(&self) -> Handle {
        self.core().handle()
    }

    /// The runtime, for use on its own thread, also before it runs.
    fn local(&self) -> LocalHandle {
        self.core().local()
    }

    /// What it runs on, why, and what it has done.
    fn report(&self) -> Report {
        self.core().report()
    }

    /// Ends it: drops all tasks, cancels their operations, waits for the kernel and the pool to let go of
    /// everything, until the deadline; tells what was left. Dropping the runtime does the same with
    /// [`Config::shutdown_deadline`].
    fn shutdown(self, deadline: Duration) -> Shutdown {
        self.core().shutdown(deadline)
    }
}

/// A runtime that a foreign loop can drive: poll its descriptor, wait no longer than its deadline, turn.
///
/// # Examples
/// ```
/// use proactor::{Auto, Budget, Embed, Runtime, Wait};
/// let runtime = Auto::new().unwrap();
/// let task = runtime.spawn(async { proactor::yield_now().await });
/// while !task.is_finished() {
///     // A foreign loop would poll `runtime.as_fd()` until `runtime.next_deadline()` here.
///     runtime.turn(Wait::Poll, Budget::default()).unwrap();
/// }
/// ```
pub trait Embed: Runtime + AsFd {
    /// Runs one turn: waits, if nothing can go on, and then runs what can. It may return early with nothing
    /// done, as after a signal. Nothing is left unsubmitted when it returns, and from then on wake-ups from other
    /// threads make the descriptor readable.
    ///
    /// # Errors
    /// When the kernel fails the loop.
    ///
    /// # Panics
    /// When a runtime already runs on this thread.
    #[track_caller]
    fn turn(&self, wait: Wait, budget: Budget) -> io::Result<Turn> {
        let core = self.core();
        let until = match wait {
            Wait::Poll => Until::Now,
            Wait::Until(limit) => Until::At(limit),
            Wait::Forever => Until::Event,
        };
        let polled = core.turn(Limits { wait: until, polls: budget.polls, stoppable: false })?;
        // A foreign loop sleeps from here on. If something has come meanwhile, it must turn again.
        let more = core.has_more()? || !core.shared().park(false);
        Ok(Turn { more, polled })
    }

    /// When the loop has to turn at the latest: now, while tasks can go on or something is to be handed to the kernel
    /// (as when a stream was dropped between turns); `None` while only events count.
    fn next_deadline(&self) -> Option<Instant> {
        self.core().next_deadline()
    }
}

/// How long a turn may wait when nothing can go on.
///
/// # Examples
/// See [`Embed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// Not at all.
    Poll,
    /// Until a point in time.
    Until(Instant),
    /// Until there is something to do.
    Forever,
}

/// How much a turn may do.
///
/// # Examples
/// ```
/// use proactor::Budget;
/// assert_eq!(Budget::polls(10), Budget::polls(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    polls: usize,
}

impl Budget {
    /// Polls this many tasks at most.
    pub fn polls(polls: usize) -> Self {
        Budget { polls }
    }
}

impl Default for Budget {
    /// Everything that can go on when the turn begins, each once.
    fn default() -> Self {
        Budget { polls: usize::MAX }
    }
}

/// What a turn has done.
///
/// # Examples
/// See [`Embed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// There is more to do at once: turn again before waiting.
    pub more: bool,
    /// Tasks that were polled.
    pub polled: usize,
}

macro_rules! runtime {
    ($(#[$doc:meta])* $name:ident, $label:literal, $make:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            core: Core,
        }

        impl Sealed for $name {
            fn core(&self) -> &Core {
                &self.core
            }
        }

        impl Runtime for $name {
            const NAME: &'static str = $label;

            fn with_config(config: &Config) -> io::Result<Self> {
                let make: fn(&Config) -> io::Result<Core> = $make;
                make(config).map(|core| $name { core })
            }
        }

        impl Embed for $name {}

        impl AsFd for $name {
            /// Readable when a turn would do something: for poll(2) and its kin, and to look at only. On the
            /// proactor it is an epoll set, made the first time that it is asked for.
            fn as_fd(&self) -> BorrowedFd<'_> {
                crate::driver::borrow_fd(self.core.driver())
            }
        }

        /// The methods of [`Runtime`] and [`Embed`], so that no trait need be imported.
        impl $name {
            /// As [`Runtime::new`].
            pub fn new() -> io::Result<Self> {
                <Self as Runtime>::new()
            }

            /// As [`Runtime::with_config`].
            pub fn with_config(config: &Config) -> io::Result<Self> {
                <Self as Runtime>::with_config(config)
            }

            /// As [`Runtime::backend`].
            pub fn backend(&self) -> Backend {
                Runtime::backend(self)
            }

            /// As [`Runtime::block_on`].
            #[track_caller]
            pub fn block_on<F: Future>(&self, future: F) -> F::Output {
                Runtime::block_on(self, future)
            }

            /// As [`Runtime::run_forever`].
            #[track_caller]
            pub fn run_forever(&self) {
                Runtime::run_forever(self);
            }

            /// As [`Runtime::spawn`].
            #[track_caller]
            pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
            where
                F: Future + 'static,
                F::Output: 'static,
            {
                Runtime::spawn(self, future)
            }

            /// As [`Runtime::handle`].
            pub fn handle(&self) -> Handle {
                Runtime::handle(self)
            }

            /// As [`Runtime::local`].
            pub fn local(&self) -> LocalHandle {
                Runtime::local(self)
            }

            /// As [`Runtime::report`].
            pub fn report(&self) -> Report {
                Runtime::report(self)
            }

            /// As [`Runtime::shutdown`].
            pub fn shutdown(self, deadline: Duration) -> Shutdown {
                Runtime::shutdown(self, deadline)
            }

            /// As [`Embed::turn`].
            #[track_caller]
            pub fn turn(&self, wait: Wait, budget: Budget) -> io::Result<Turn> {
                Embed::turn(self, wait, budget)
            }

            /// As [`Embed::next_deadline`].
            pub fn next_deadline(&self) -> Option<Instant> {
                Embed::next_deadline(self)
            }
        }
    };
}

runtime! {
    /// The runtime that submits operations to io_uring and resumes tasks on completions.
    ///
    /// It wants Linux 6.1 and makes do with 5.11; [`Report`] tells what the kernel gave. Making one fails,
    /// with cause and cure, where the kernel refuses io_uring.
    ///
    /// # Examples
    /// ```
    /// match proactor::Proactor::new() {
    ///     Ok(runtime) => runtime.block_on(async { println!("completions") }),
    ///     Err(refused) => println!("{refused}"),
    /// }
    /// ```
    Proactor, "proactor", Core::proactor
}

runtime! {
    /// The runtime that waits for readiness with epoll and then makes the system call.
    ///
    /// Files, for which the kernel knows no readiness, go through the blocking pool.
    ///
    /// # Examples
    /// ```
    /// let runtime = proactor::Selector::new().unwrap();
    /// runtime.block_on(async { println!("readiness") });
    /// ```
    Selector, "selector", |config| Core::selector(config, None)
}

runtime! {
    /// The proactor where the kernel has a ring that works, the selector elsewhere.
    ///
    /// It builds the very ring that it will use, and does a round trip on it; if that is refused it takes the
    /// selector, and keeps the reason for [`Report::reason`]. The environment variable `PROACTOR_BACKEND`
    /// (`proactor`, `selector` or `auto`) decides instead; a value other than these is an error. Kernels before 6.1
    /// get the selector unless the variable asks for the proactor.
    ///
    /// # Examples
    /// ```
    /// let runtime = proactor::Auto::new().unwrap();
    /// println!("{}", runtime.backend());
    /// ```
    Auto, "auto", automatic
}

/// The variable by which the user of a program decides for [`Auto`].
const VARIABLE: &str = "PROACTOR_BACKEND";

/// The backend that the variable asks for.
fn wish() -> io::Result<Option<Backend>> {
    let wish = std::env::var_os(VARIABLE).unwrap_or_default();
    match wish.to_str() {
        Some("" | "auto") => Ok(None),
        Some("proactor") => Ok(Some(Backend::Proactor)),
        Some("selector") => Ok(Some(Backend::Selector)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{VARIABLE} is {wish:?}: the right values are \"proactor\", \"selector\" and \"auto\", or unset it"
            ),
        )),
    }
}

fn automatic(config: &Config) -> io::Result<Core> {
    match wish()? {
        None => {}
        Some(Backend::Proactor) => return Core::proactor(config),
        Some(Backend::Selector) => {
            return Core::selector(config, Some(format!("{VARIABLE}=selector asks for it")));
        }
    }
    config.check()?;
    let release = crate::sys::kernel_release();
    if crate::sys::kernel_version(&release).is_some_and(|version| version < (6, 1)) {
        let reason = format!(
            "Linux {release} is older than 6.1, for which the proactor is made; {VARIABLE}=proactor asks for it all the same"
        );
        return Core::selector(config, Some(reason));
    }
    match Core::proactor(config) {
        Ok(core) => Ok(core),
        Err(missing) if required::is_missing(&missing) => Err(missing),
        Err(refused) => Core::selector(config, Some(refused.to_string())),
    }
}

/// Runs a future on a new [`Auto`] runtime and ends it: asyncio's `run`. Tasks that are left are cancelled,
/// and their operations reaped.
///
/// # Panics
/// When no runtime can be made, with the reason; when one already runs on this thread; when the future
/// panics.
///
/// # Examples
/// ```
/// let sum = proactor::run(async {
///     let a = proactor::spawn(async { 1 });
///     let b = proactor::spawn(async { 2 });
///     a.await.unwrap() + b.await.unwrap()
/// });
/// assert_eq!(sum, 3);
/// ```
#[track_caller]
pub fn run<F: Future>(future: F) -> F::Output {
    match Auto::new() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("proactor::run: no runtime can be made: {error}"),
    }
}
