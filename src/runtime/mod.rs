//! Runtimes: the trait [`Runtime`], its three implementations, and embedding in a foreign loop.
//!
//! | file | contents |
//! |---|---|
//! | `core/` | the loop: one turn, `block_on`, the shutdown |
//! | `wait.rs` | `Wait`, `Budget` and `Turn`: the arguments and the result of one turn |
//! | `auto.rs` | the choice of a backend for `Auto` |
//! | `local_handle.rs` | `LocalHandle`: callbacks at a time, watched descriptors, the dump of all tasks |
//! | `runner.rs` | `Runner`: main futures that can be cancelled |
//! | `config/` | the settings, their checks, and the error for a required feature that is not in use |
//! | `backend.rs`, `report.rs`, `leak.rs` | the backend's name, the report, warnings about resources that were left |
//! | `rng.rs` | random numbers from the runtime's seed |
//! | `testing.rs` | tests that run on a runtime |
#![forbid(unsafe_code)]

mod auto;
pub(crate) mod backend;
pub(crate) mod config;
mod core;
pub(crate) mod leak;
mod local_handle;
pub(crate) mod report;
pub(crate) mod rng;
pub(crate) mod runner;
pub(crate) mod testing;
mod wait;

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use self::core::Core;
use self::core::turn::Limits;
use super::task::{Handle, JoinHandle, LocalHandle};
use crate::runtime::backend::Backend;
use config::Config;
use report::{Report, Shutdown};
pub use wait::{Budget, Turn, Wait};

mod sealed {
    #[expect(unnameable_types, reason = "it keeps the trait from being implemented elsewhere")]
    pub trait Sealed {
        fn core(&self) -> &super::Core;
    }
}
use sealed::Sealed;

/// A runtime: a loop that runs futures and does their I/O, on this thread.
///
/// [`Proactor`], [`Selector`] and [`Auto`] implement it, and have the same methods as inherent ones: only generic code
/// needs to import the trait.
///
/// A runtime does not leave its thread; a [`Handle`] reaches it from others. Dropping it shuts it down, within
/// [`Config::shutdown_deadline`].
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
    /// The name of the type: `proactor`, `selector` or `auto`.
    const NAME: &'static str;

    /// Makes a runtime with the default settings.
    ///
    /// # Errors
    /// When the kernel refuses what it needs, with cause and cure.
    fn new() -> io::Result<Self> {
        Self::with_config(&Config::default())
    }

    /// Makes a runtime with these settings. `Proactor` and `Selector` never fall back to the other backend: they fail.
    ///
    /// # Errors
    /// When the kernel refuses what it needs, with cause and cure; `InvalidInput` for settings that make no
    /// sense.
    fn with_config(config: &Config) -> io::Result<Self>;

    /// The backend in use.
    fn backend(&self) -> Backend {
        self.core().backend()
    }

    /// Runs a future to completion, and tasks meanwhile; asyncio's `run_until_complete`. Tasks that have not ended
    /// continue with the next call.
    ///
    /// # Panics
    /// When a runtime already runs on this thread; when the future panics; when a system call of the loop fails; when
    /// [`Handle::stop`] is called before the future has completed, where asyncio raises `RuntimeError`.
    #[track_caller]
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.core().block_on(future)
    }

    /// Runs tasks until [`Handle::stop`] is called; the current turn is finished.
    ///
    /// # Panics
    /// When a runtime already runs on this thread; when a system call of the loop fails.
    #[track_caller]
    fn run_forever(&self) {
        self.core().run_forever();
    }

    /// Starts a task. It runs while the loop runs.
    #[track_caller]
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.core().spawn(future)
    }

    /// A handle of the runtime for other threads.
    fn handle(&self) -> Handle {
        self.core().handle()
    }

    /// A handle of the runtime for its own thread, also before the loop runs.
    fn local(&self) -> LocalHandle {
        self.core().local()
    }

    /// The backend in use, the reason for it, and counters.
    fn report(&self) -> Report {
        self.core().report()
    }

    /// Ends the runtime: cancels all tasks and their operations, and waits until they have ended and the kernel and the
    /// pool have released everything, until the deadline. Returns what was left. Dropping the runtime does the same
    /// with [`Config::shutdown_deadline`].
    fn shutdown(self, deadline: Duration) -> Shutdown {
        self.core().shutdown(deadline)
    }
}

/// A runtime that a foreign loop can drive: poll its descriptor, until its deadline at most, then turn.
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
    /// Runs one turn: waits if no task is ready, and then runs the ready tasks. It may return early with nothing done,
    /// for example after a signal. When it returns, all operations have been submitted, and wake-ups from other threads
    /// make the descriptor readable.
    ///
    /// # Errors
    /// When a system call of the loop fails.
    ///
    /// # Panics
    /// When a runtime already runs on this thread.
    #[track_caller]
    fn turn(&self, wait: Wait, budget: Budget) -> io::Result<Turn> {
        let core = self.core();
        let polled = core.turn(Limits { wait, polls: budget.polls, stoppable: false })?;
        // A foreign loop sleeps from here on. If work has arrived meanwhile, it must turn again.
        let more = core.has_more()? || !core.shared().park(false);
        Ok(Turn { more, polled })
    }

    /// The latest time of the next turn: now, while tasks are ready or operations are to be submitted (as after a
    /// stream was dropped between turns); `None` while only events matter.
    fn next_deadline(&self) -> Option<Instant> {
        self.core().next_deadline()
    }
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
            /// The descriptor is readable when a turn has work. Use it in poll(2), epoll(7) and the like only. On the
            /// proactor it is an epoll set, made at the first call.
            fn as_fd(&self) -> BorrowedFd<'_> {
                crate::driver::borrow_fd(self.core.driver())
            }
        }

        /// The methods of [`Runtime`] and [`Embed`], usable without an import of the traits.
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
    /// It is made for Linux 6.1 and later, and also runs on 5.11 and later; [`Report`] lists the features in use.
    /// Making one fails, with cause and cure, where the kernel refuses io_uring.
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
    /// File operations go through the blocking pool, because the kernel reports no readiness for files.
    ///
    /// # Examples
    /// ```
    /// let runtime = proactor::Selector::new().unwrap();
    /// runtime.block_on(async { println!("readiness") });
    /// ```
    Selector, "selector", |config| Core::selector(config, None)
}

runtime! {
    /// The runtime that uses the proactor where io_uring works, and the selector elsewhere.
    ///
    /// It makes the ring that it will use, and does a round trip on it. If the kernel refuses, it uses the selector,
    /// and [`Report::reason`] has the reason. On kernels before 6.1 it uses the selector. The environment variable
    /// `PROACTOR_BACKEND` overrides this by `proactor` or `selector`; `auto` and an empty value change nothing, and any
    /// other value is an error.
    ///
    /// # Examples
    /// ```
    /// let runtime = proactor::Auto::new().unwrap();
    /// println!("{}", runtime.backend());
    /// ```
    Auto, "auto", auto::make
}

/// Runs a future on a new [`Auto`] runtime, and then ends the runtime; asyncio's `run`. The remaining tasks are
/// cancelled, and their operations complete first.
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
