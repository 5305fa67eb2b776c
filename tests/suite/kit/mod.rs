//! The behaviour of the crate, on every backend in one run: what the tests of the suite share.
//!
//! A test is a function that is generic over the runtime; it is registered once per backend, as
//! `proactor::tcp::…` and `selector::tcp::…`. Tests use loopback and temporary folders only, wait for
//! events and never for time to pass, and are ended by a watchdog if they hang. The suite has four programs, so that a
//! change to a test builds a part of it: `tasks`, `cancellation`, `io` and `runtime`.
//!
//! Where the kernel refuses io_uring, the proactor's tests are reported as ignored, with the reason; with
//! `PROACTOR_REQUIRE_URING=1` they run, and fail with it. A test that needs a feature which this kernel lacks is
//! reported as ignored, with that feature's name (`needs.rs`).
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | the registry: a test is a function, once per backend that it names |
//! | `main.rs` | the main function of the programs |
//! | `masked.rs` | a part of a program once more, without features |
//! | `listed.rs` | the tests of all programs, by their sources |
//! | `running.rs` | futures on runtimes, side by side, beside threads |
//! | `queued.rs` | those who wait, polled by hand; each flavour of what they wait for |
//! | `peers.rs` | sockets, bytes and files to talk to |
//! | `receives.rs` | receives of every kind, on sockets with a peer of the standard library |
//! | `buffers.rs` | tombstones, canaries, and buffers that act when they are dropped |
//! | `closing.rs` | resources that are closed, and notes of the order of things |
//! | `census.rs` | what a process has open, and what a runtime keeps alive |
//! | `needs.rs` | tests that need more of the kernel than Linux 6.1 has |
//! | `process.rs` | processes of their own: under limits, as another user, behind a filter of system calls |
//! | `signals.rs` | signals that interrupt a thread all the time |
//! | `watchdog.rs` | ends a test that hangs, and says what its loop was doing |

mod buffers;
mod census;
mod closing;
mod listed;
mod main;
mod masked;
mod needs;
mod peers;
mod process;
#[macro_use]
mod queued;
mod receives;
mod running;
mod signals;
mod watchdog;

pub(crate) use buffers::*;
pub(crate) use census::*;
pub(crate) use closing::*;
pub(crate) use listed::{Listed, listed};
pub(crate) use main::{Registered, main};
pub(crate) use masked::{features, suite_without};
pub(crate) use needs::{NEEDS, lacks};
pub(crate) use peers::*;
pub(crate) use process::*;
pub(crate) use queued::*;
pub(crate) use receives::*;
pub(crate) use running::*;
pub(crate) use signals::*;
pub(crate) use watchdog::{LIMIT_VARIABLE, Watchdog, counted, slowness};

/// A behaviour, for each backend that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Test {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) proactor: Option<fn()>,
    pub(crate) selector: Option<fn()>,
}

/// Lists a file's tests; one that is missing here is dead code, which the compiler reports. What only one
/// backend can show stands behind that backend's name.
macro_rules! tests {
    ($($both:ident),* $(,)? $(; proactor: $($proactor:ident),* $(,)?)? $(; selector: $($selector:ident),* $(,)?)?) => {
        fn tests() -> Vec<$crate::kit::Test> {
            let module = module_path!();
            vec![
                $($crate::kit::Test {
                    module,
                    name: stringify!($both),
                    proactor: Some($both::<proactor::Proactor>),
                    selector: Some($both::<proactor::Selector>),
                },)*
                $($($crate::kit::Test {
                    module,
                    name: stringify!($proactor),
                    proactor: Some($proactor::<proactor::Proactor>),
                    selector: None,
                },)*)?
                $($($crate::kit::Test {
                    module,
                    name: stringify!($selector),
                    proactor: None,
                    selector: Some($selector::<proactor::Selector>),
                },)*)?
            ]
        }

        inventory::submit! { $crate::kit::Registered(tests) }
    };
}

impl Test {
    pub(crate) fn each_backend(&self) -> impl Iterator<Item = (String, &'static str, fn())> + use<> {
        let module = self.module.rsplit("::").next().unwrap_or_default();
        let name = self.name;
        [("proactor", self.proactor), ("selector", self.selector)]
            .into_iter()
            .filter_map(|(backend, body)| Some((backend, body?)))
            .map(move |(backend, body)| (format!("{backend}::{module}::{name}"), backend, body))
    }
}

/// Whether the long forms of the tests run: millions of races and minutes of storm, by `PROACTOR_LONG=1`.
pub(crate) fn is_long() -> bool {
    std::env::var_os("PROACTOR_LONG").is_some_and(|value| value == "1")
}

/// How often to do something: the first number, or the second in the long forms.
pub(crate) fn rounds(short: usize, long: usize) -> usize {
    if is_long() { long } else { short }
}
