//! Cancellation: requests, time limits, cleanups, panics; and the operations that a dropped future leaves.
//!
//! `kit/` explains how tests are written and run.

#![allow(
    clippy::extra_unused_type_parameters,
    reason = "every test is generic, so that its name says the backend"
)]
#![allow(clippy::map_identity, reason = "it names the type of a result that never comes")]
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

mod cancel_cleanup;
mod cancellation;
mod completions;
mod destructors;
mod drops;
mod exit_stack;
mod graceful;
mod graceful_shutdown;
mod group_cancellation;
mod interrupts;
mod outside;
mod panics;
mod random_programs;
mod scopes;
mod storm;
mod timeout_expiry;
mod timeouts;
mod unwinding;

fn main() -> std::process::ExitCode {
    kit::main()
}
