//! Runs the same programs on both backends and compares their cost.
//!
//! ```text
//! cargo run --release --example compare
//! cargo run --release --example compare -- --only echo --seconds 20
//! cargo run --release --example compare -- --json > compare.json
//! ```
//!
//! Every measurement is a separate child process (the same executable, started
//! with a hidden flag), so that its CPU time can be measured alone. The parent
//! only starts children, drives the echo clients and writes the report. The
//! modules:
//!
//! * [`programs`]: the programs themselves. They never name a backend.
//! * [`child`]: the measured process, generic over `R: Runtime`.
//! * [`load`]: the clients of the echo programs, in the parent.
//! * [`measure`]: one child from its start to its end, under a watchdog.
//! * [`compare`]: the rounds, and the evaluation of their figures.
//! * [`report`]: the table, the JSON document, the plots and the page.
#![forbid(unsafe_code)]

mod args;
mod child;
mod compare;
mod failure;
mod load;
mod machine;
mod measure;
mod probe;
mod programs;
mod progress;
mod report;
mod stats;

use std::process::ExitCode;

use crate::{args::Args, failure::Failure};

fn main() -> ExitCode {
    let args = Args::read();
    if let Some(spec) = &args.measured {
        return child::main(spec);
    }
    match run(&args) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The parent's side: measure, then write what was found.
fn run(args: &Args) -> Result<ExitCode, Failure> {
    if cfg!(debug_assertions) {
        eprintln!("warning: built without --release, so the figures are not meaningful");
    }
    machine::allow_many_sockets();
    report::prepare()?;
    let results = compare::run(args)?;
    // Printed first: a report that cannot be written does not cost the figures.
    if args.json {
        println!("{}", report::json(&results)?);
    } else {
        println!("{}", report::table(&results));
    }
    let broken = results.failures();
    for line in &broken {
        eprintln!("error: {line}");
    }
    let directory = report::write(&results)?;
    eprintln!("report: {}", directory.join("report.html").display());
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
