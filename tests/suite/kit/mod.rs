//! What the tests share.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | the registry: a test is a function, once per backend that it names |
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
        pub(crate) fn tests() -> Vec<$crate::kit::Test> {
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
