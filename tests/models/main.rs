//! Models of the parts that several threads use: the inbox, parking, wakers, results that cross threads, locks, channels
//! and queues, and the pool of buffers behind chunks.
//!
//! Each model is a short program on the crate's own source: `src/task/`, `src/sync/` and `src/buf/pool/` are compiled again
//! here, word for word, on top of [loom](https://docs.rs/loom)'s atomics, locks and threads instead of the standard library's (the
//! seam is `src/sys/sync/`). loom runs the program once for every order in which its threads can meet, with
//! up to three preemptions, and for every value that a weakly ordered load may see. A model fails when an
//! assertion does in one of these runs, when all threads wait (a lost wake-up), when something is left over, or
//! when memory is released before its last use.
//!
//! Two limits: loom takes a sequentially consistent access for an acquire or release one, and knows the memory of
//! a task only at its release (see `sys/memory.rs`).
//!
//! A model runs in a process of its own, which ends at the first panic: the values of a failed run can't be dropped any
//! more. With `--nocapture` each model prints the number of its runs.

#![allow(
    dead_code,
    unused_imports,
    reason = "the crate's modules are used in part; their unit tests not at all"
)]
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, reason = "this is no library")]

#[macro_use]
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/buf/pool/mod.rs"]
mod buffer_pool;
mod buffers;
mod channels;
mod inbox;
mod join;
mod kit;
mod locks;
mod park;
mod pool;
mod queues;
#[path = "../../src/sync/mod.rs"]
mod sync;
mod sys;
#[path = "../../src/task/mod.rs"]
mod task;
mod wake;

use std::process::{Command, ExitCode};

use kit::Model;
use libtest_mimic::{Arguments, Failed, Trial};

/// The first argument of a process that runs one model.
const ALONE: &str = "alone";

fn main() -> ExitCode {
    let models = [
        inbox::models(),
        park::models(),
        wake::models(),
        join::models(),
        pool::models(),
        buffers::models(),
        locks::models(),
        channels::models(),
        queues::models(),
    ]
    .concat();
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(ALONE) {
        let name = arguments.next().unwrap_or_default();
        let model = models.iter().find(|model| model.0 == name).expect("a model of that name");
        std::panic::set_hook(Box::new(|panic| {
            eprintln!("{panic}");
            std::process::exit(1);
        }));
        kit::check(*model);
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::from_args();
    let chatty = arguments.nocapture;
    let trials = models.into_iter().map(|model| {
        Trial::test(format!("models::{}", model.0), move || run_alone(model, chatty).map_err(Failed::from))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Runs one model in a process of its own. The output of the process is the failure.
fn run_alone(model: Model, chatty: bool) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program).args([ALONE, model.0]).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{said}({})", output.status));
    }
    if chatty {
        eprint!("{said}");
    }
    Ok(())
}
