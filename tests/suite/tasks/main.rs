//! Tasks: starting and joining them, groups, combinators, callbacks, and what they meet at: locks, channels, queues.
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

mod callbacks;
mod channels;
mod combine;
mod cpython;
mod eager;
mod events_conditions_barriers;
mod generators;
mod group_edges;
mod groups;
mod hooks;
mod locks;
mod permits;
mod promises;
mod queues;
mod task_context;
mod task_sets;
mod tasks;
mod values;

fn main() -> std::process::ExitCode {
    kit::main()
}
