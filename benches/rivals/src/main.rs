//! Measures proactor, on both of its backends, beside other runtimes and loops written by hand, on the same work.
//!
//! ```text
//! cargo run --release                                   # the usual rows; about 25 minutes
//! cargo run --release -- --only echo-64-64 --runtimes proactor,tokio,bare-ring --rounds 9
//! cargo run --release -- --list                         # workloads, and runtimes with their settings
//! ```
//!
//! Each measurement is a process of its own, pinned to a core: the measured side, and for the rows of sockets a load
//! generator that checks every byte that comes back. Rounds are interleaved (A B C A B C …), so that a machine that
//! changes its speed changes it for all; ratios are taken within a round. CPU time is that of the measured process,
//! its threads and the kernel's work for it included.
//!
//! | file | what it holds |
//! |---|---|
//! | `workload.rs` | the rows |
//! | `peer.rs`, `peers/` | what a runtime must bring, and each of them at its best settings |
//! | `bare/` | loops written by hand: the limits |
//! | `inside.rs` | workloads that need nobody outside the process, once for all runtimes |
//! | `load/`, `wire.rs` | the load generator, and what it agrees on with the servers |
//! | `child.rs`, `process.rs` | the measured process, and how it is spoken to |
//! | `rounds.rs`, `stats.rs` | the measuring, medians and paired ratios |
//! | `counts.rs` | system calls and instructions, counted by strace and callgrind |
//! | `report/` | tables, Markdown, JSON, the page with plots |

mod bare;
mod child;
mod counts;
mod inside;
mod load;
mod peer;
mod peers;
mod process;
mod report;
mod rounds;
mod stats;
mod wire;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use counts::Counter;
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use process::{Said, say};
use workload::{Cores, Workload};

/// Compares runtimes on the same work.
#[derive(Debug, Parser)]
struct Arguments {
    /// Workloads, by name or family: `echo-64-64`, `echo`, or `all`. The usual ones without it.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Runtimes, and modes of them. All runtimes without it, each in the mode that its documents advise.
    #[arg(long, value_delimiter = ',')]
    runtimes: Vec<String>,
    /// How often every runtime is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Everything on one core (the least noise), or load and server on one each. Without it, as suits the row.
    #[arg(long)]
    cores: Option<Cores>,
    /// Count no system calls and no instructions, which takes strace, valgrind and time.
    #[arg(long)]
    no_counts: bool,
    /// Where the reports go.
    #[arg(long, default_value = "target/rivals")]
    out: PathBuf,
    /// Say what can be measured, and end.
    #[arg(long)]
    list: bool,
    /// A job of a measured process.
    #[arg(long, hide = true)]
    measured: Option<String>,
    /// A job of a load generator.
    #[arg(long, hide = true)]
    load: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let child = match (&arguments.measured, &arguments.load) {
        (Some(job), _) => {
            Some(serde_json::from_str(job).map_err(Into::into).and_then(|job| child::main(&job)))
        }
        (_, Some(load)) => {
            Some(serde_json::from_str(load).map_err(Into::into).and_then(|load| load::main(&load)))
        }
        (None, None) => None,
    };
    match child {
        None => match parent(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            say(&Said::Failed(error.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn parent(arguments: &Arguments) -> std::io::Result<()> {
    let known = child::runtimes();
    if arguments.list {
        let mark = |usual| if usual { "*" } else { " " };
        println!("What is measured when nobody names it is marked with an asterisk.\n");
        for workload in Workload::all() {
            println!("{} {}", mark(workload.is_usual()), workload.name());
        }
        println!();
        for (name, settings) in &known {
            println!("{} {name}: {settings}", mark(child::is_usual(name)));
        }
        return Ok(());
    }
    let names = |all: Vec<String>| all.join(", ");
    let runtimes: Vec<_> = known.iter().map(|(name, _)| (*name).to_owned()).collect();
    if let Some(wrong) = arguments.runtimes.iter().find(|name| !runtimes.contains(name)) {
        return Err(std::io::Error::other(format!(
            "there is no runtime {wrong}; there are {}",
            names(runtimes)
        )));
    }
    let is_wanted = |workload: &Workload| {
        let mut named = arguments.only.iter();
        (arguments.only.is_empty() && workload.is_usual())
            || named.any(|only| only == "all" || workload.is_called(only))
    };
    let workloads: Vec<_> = Workload::all().into_iter().filter(is_wanted).collect();
    if workloads.is_empty() {
        let all = names(Workload::all().iter().map(|workload| workload.name()).collect());
        return Err(std::io::Error::other(format!("there is no such workload; there are {all}")));
    }
    // Ten thousand connections take as many descriptors on each side.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let mut counters = vec![Counter::SystemCalls, Counter::Instructions];
    counters.retain(|counter| {
        let used = !arguments.no_counts && counter.is_there();
        if !used && !arguments.no_counts {
            eprintln!("{} is missing: its counts are left out", counter.program());
        }
        used
    });
    let file = report::file_to_read()?;
    let chosen = |name: &String| match arguments.runtimes.is_empty() {
        true => child::is_usual(name),
        false => arguments.runtimes.contains(name),
    };
    let plan = rounds::Plan {
        runtimes: runtimes.into_iter().filter(chosen).collect(),
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        cores: arguments.cores,
        file: &file,
        counters,
    };
    let mut report = report::Report {
        machine: machine(),
        runtimes: &known,
        rounds: plan.rounds,
        seconds: plan.seconds,
        rows: Vec::new(),
    };
    let bar = ProgressBar::new(workloads.len() as u64);
    bar.set_style(ProgressStyle::with_template("[{elapsed_precise}] {pos}/{len} {msg}").expect("a template"));
    for workload in workloads {
        let row = rounds::row(&plan, workload, |what| bar.set_message(what.to_owned()));
        bar.suspend(|| println!("{}\n", report::table(&row)));
        bar.inc(1);
        report.rows.push(row);
        report.write(&arguments.out)?; // also what there is when somebody loses patience
    }
    bar.finish_and_clear();
    println!("{}\n\n{}", report.validity(), arguments.out.join("report.html").display());
    Ok(())
}

/// The machine, in a line.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(':').nth(1))
        .unwrap_or("?")
        .trim();
    let cores = std::thread::available_parallelism().map_or(0, |count| count.get());
    format!("{model}, {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}
