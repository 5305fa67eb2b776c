//! The loop: its turns, its clock, its start and end, its limits; signals, threads, rings, and the harness itself.
//!
//! `kit/` explains how tests are written and run.

#![allow(
    clippy::extra_unused_type_parameters,
    reason = "every test is generic, so that its name says the backend"
)]
#![allow(clippy::map_identity, reason = "it names the type of a result that never comes")]
#![allow(clippy::waker_clone_wake, reason = "the counts of clones are what is tested")]
#![allow(clippy::await_holding_lock, reason = "jobs of the pool are held up by a lock on purpose")]

#[macro_use]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each program of the suite uses a part of the kit"
)]
#[path = "../kit/mod.rs"]
mod kit;

mod counters;
mod embed;
mod harness;
mod lifetimes;
mod limits;
mod misuse;
mod pool;
mod required;
mod rings;
mod runtime;
mod selector;
mod shutdown;
mod signals;
mod soundness;
mod testing;
mod time;
mod wakes;

fn main() -> std::process::ExitCode {
    kit::main()
}
