//! Sockets, files, pipes, descriptors and the memory for them.
//!
//! `kit/` explains how tests are written and run.

#![allow(
    clippy::extra_unused_type_parameters,
    reason = "every test is generic, so that its name says the backend"
)]
#![allow(clippy::map_identity, reason = "it names the type of a result that never comes")]

#[macro_use]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each program of the suite uses a part of the kit"
)]
#[path = "../kit/mod.rs"]
mod kit;

mod buffers;
mod cancel;
mod credentials;
mod data;
mod descriptors;
mod differential;
mod direct;
mod endurance;
mod files;
mod lingering;
mod listeners;
mod memory;
mod pipes;
mod polled_writes;
mod recv_cancel;
mod registered;
mod sending;
mod shared_descriptors;
mod special_files;
mod tcp;
mod twins;
mod udp;
mod waiting;
mod zerocopy;

fn main() -> std::process::ExitCode {
    kit::main()
}
