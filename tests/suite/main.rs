//! The behaviour of the crate, on every backend in one run.
//!
//! A test is a function that is generic over the runtime; it is registered once per backend, as
//! `proactor::tcp::…` and `selector::tcp::…`. Tests use loopback and temporary folders only, wait for
//! events and never for time to pass, and are ended by a watchdog if they hang.
//!
//! Where the kernel refuses io_uring, the proactor's tests are reported as ignored, with the reason; with
//! `PROACTOR_REQUIRE_URING=1` they run, and fail with it. A test that needs a feature which this kernel lacks is
//! reported as ignored, with that feature's name (`kit/needs.rs`).

#![allow(
    clippy::extra_unused_type_parameters,
    reason = "every test is generic, so that its name says the backend"
)]
#![allow(clippy::map_identity, reason = "it names the type of a result that never comes")]
#![allow(clippy::waker_clone_wake, reason = "the counts of clones are what is tested")]
#![allow(clippy::await_holding_lock, reason = "jobs of the pool are held up by a lock on purpose")]

#[macro_use]
mod kit;

mod buffers;
mod callbacks;
mod cancel;
mod cancellation;
mod channels;
mod combine;
mod completions;
mod contexts;
mod counters;
mod cpython;
mod credentials;
mod data;
mod descriptors;
mod destructors;
mod differential;
mod direct;
mod drops;
mod eager;
mod embed;
mod endurance;
mod expiry;
mod files;
mod generators;
mod graceful;
mod group_cancellation;
mod group_edges;
mod groups;
mod harness;
mod hooks;
mod interrupts;
mod lifetimes;
mod limits;
mod lingering;
mod listeners;
mod locks;
mod meetings;
mod memory;
mod misuse;
mod outside;
mod panics;
mod permits;
mod pipes;
mod polled_writes;
mod pool;
mod programs;
mod promises;
mod queues;
mod received;
mod registered;
mod remains;
mod required;
mod rings;
mod runtime;
mod scopes;
mod selector;
mod sending;
mod shared_descriptors;
mod shutdown;
mod signals;
mod soundness;
mod special_files;
mod stacks;
mod storm;
mod task_sets;
mod tasks;
mod tcp;
mod testing;
mod time;
mod timeouts;
mod twins;
mod udp;
mod unwinding;
mod values;
mod waiting;
mod wakes;
mod winding;
mod zerocopy;

use std::process::ExitCode;

use kit::Test;
use libtest_mimic::{Arguments, Failed, Trial};
use proactor::Proactor;

/// What the suite takes in a debug build, to be told at its start.
const MINUTES: u32 = 3;

/// All tests, of all files.
fn tests() -> Vec<Test> {
    [
        runtime::tests(),
        task_sets::tests(),
        tasks::tests(),
        combine::tests(),
        graceful::tests(),
        group_cancellation::tests(),
        group_edges::tests(),
        groups::tests(),
        contexts::tests(),
        callbacks::tests(),
        values::tests(),
        cpython::tests(),
        promises::tests(),
        eager::tests(),
        hooks::tests(),
        interrupts::tests(),
        testing::tests(),
        time::tests(),
        tcp::tests(),
        twins::tests(),
        udp::tests(),
        files::tests(),
        special_files::tests(),
        credentials::tests(),
        buffers::tests(),
        pipes::tests(),
        polled_writes::tests(),
        pool::tests(),
        programs::tests(),
        cancel::tests(),
        cancellation::tests(),
        remains::tests(),
        scopes::tests(),
        stacks::tests(),
        generators::tests(),
        expiry::tests(),
        timeouts::tests(),
        winding::tests(),
        unwinding::tests(),
        drops::tests(),
        completions::tests(),
        received::tests(),
        registered::tests(),
        sending::tests(),
        zerocopy::tests(),
        storm::tests(),
        soundness::tests(),
        descriptors::tests(),
        destructors::tests(),
        direct::tests(),
        shared_descriptors::tests(),
        shutdown::tests(),
        signals::tests(),
        lifetimes::tests(),
        outside::tests(),
        panics::tests(),
        embed::tests(),
        endurance::tests(),
        misuse::tests(),
        limits::tests(),
        lingering::tests(),
        listeners::tests(),
        data::tests(),
        differential::tests(),
        wakes::tests(),
        waiting::tests(),
        required::tests(),
        rings::tests(),
        selector::tests(),
        counters::tests(),
        locks::tests(),
        permits::tests(),
        meetings::tests(),
        memory::tests(),
        channels::tests(),
        queues::tests(),
        harness::tests(),
    ]
    .concat()
}

fn main() -> ExitCode {
    kit::prepare_process();
    let tests = tests();
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(kit::ALONE) {
        kit::run_alone(&tests, &arguments.next().unwrap_or_default());
        return ExitCode::SUCCESS;
    }
    let refused = Proactor::new().err().map(|error| error.to_string());
    let required = std::env::var_os("PROACTOR_REQUIRE_URING").is_some_and(|value| value == "1");
    if let (Some(reason), false) = (&refused, required) {
        eprintln!("the proactor's tests are ignored: {reason}");
    }
    let arguments = Arguments::from_args();
    if arguments.filter.is_none() && !arguments.list {
        eprintln!(
            "the whole suite takes some {MINUTES} minutes of processor time; a test that hangs is ended"
        );
    }
    let watchdog = kit::Watchdog::start();
    let trials = tests.iter().flat_map(|test| test.each_backend()).map(|(name, kind, body)| {
        let refused = refused.clone().filter(|_| kind == "proactor");
        let ignored = match &refused {
            Some(_) => (!required).then(|| "io_uring refused".to_owned()),
            None => kit::lacks(&name).map(|lack| format!("needs {lack}")),
        };
        let watchdog = watchdog.clone();
        let trial = Trial::test(name.clone(), move || match refused {
            Some(reason) => Err(Failed::from(reason)),
            None => {
                watchdog.watch(&name, body);
                Ok(())
            }
        });
        trial.with_ignored_flag(ignored.is_some()).with_kind(ignored.unwrap_or_default())
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
