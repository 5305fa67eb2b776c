//! Measures proactor's vocabulary (channels, locks, groups, `select!` and the rest) beside what people would use instead, on
//! the same work.
//!
//! ```text
//! cargo run --release                                  # all rows; about five minutes
//! cargo run --release -- --only bounded-across,mutex --rounds 31
//! cargo run --release -- --list
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `rows/` | what is measured, once for all who can do it |
//! | `loops.rs` | the executors |
//! | `measure.rs` | one measurement: the clocks, and the two threads where there are two |
//! | `rounds.rs`, `stats.rs` | the measuring in turns, medians and paired ratios |
//! | `report.rs` | the tables |

mod loops;
mod measure;
mod report;
mod rounds;
mod rows;
mod stats;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use proactor::Backend;

/// Compares what tasks meet at, and what combines them, with its rivals.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rows by name, or by the beginning of it.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Contenders by name. All without it.
    #[arg(long, value_delimiter = ';')]
    who: Vec<String>,
    /// The backend of our loops. Without it the proactor, or where the kernel refuses it the selector.
    #[arg(long)]
    backend: Option<OurBackend>,
    /// How often everybody is measured.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 0.03)]
    seconds: f64,
    /// Operations of one measurement, instead of a time: for profilers.
    #[arg(long)]
    ops: Option<u64>,
    /// Say what can be measured, and end.
    #[arg(long)]
    list: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OurBackend {
    Proactor,
    Selector,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.backend {
        Some(OurBackend::Proactor) => loops::choose(Backend::Proactor),
        Some(OurBackend::Selector) => loops::choose(Backend::Selector),
        None => {}
    }
    let mut rows = rows::all();
    if !arguments.only.is_empty() {
        // The name itself goes before what begins like it.
        let named = |row: &rows::Row| arguments.only.iter().any(|only| row.name == only);
        let begins = |row: &rows::Row| arguments.only.iter().any(|only| row.name.starts_with(only.as_str()));
        let exact = arguments.only.iter().all(|only| rows.iter().any(|row| row.name == only));
        rows.retain(|row| if exact { named(row) } else { begins(row) });
    }
    if rows.is_empty() || arguments.list {
        for row in rows::all() {
            println!("{}: {}", row.name, row.about);
        }
        return if arguments.list { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let wanted = |contender: &rows::Contender| {
        arguments.who.is_empty() || arguments.who.iter().any(|who| who == contender.name)
    };
    for row in &rows {
        let measured = rounds::row(row, wanted, arguments.rounds.max(1), arguments.seconds, arguments.ops);
        println!("{}", report::table(row, &measured));
    }
    ExitCode::SUCCESS
}
