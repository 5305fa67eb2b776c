//! The command line.

use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind};

use crate::{
    programs::Program,
    stats::{PerSide, Side},
};

/// The shortest time a single measurement may be given, in seconds.
const SHORTEST_SLOT: f64 = 0.05;
/// A slot that gives steady figures: rounds are dropped before it shrinks.
const GOOD_SLOT: f64 = 0.25;
/// How many rounds a run has when there is time for them.
const USUAL_ROUNDS: u32 = 9;

/// Run the same programs on the io_uring backend and on the epoll backend, and
/// compare their throughput, latency, CPU time and system calls.
///
/// Prints a table and writes one page with plots, report.html, into
/// target/compare/ (next to it: the plots as SVG files, and report.json).
/// Every measurement is a separate process. The backends take turns in each
/// round, so that other load on the machine affects both alike.
#[derive(Parser, Debug)]
#[command(
    name = "compare",
    version,
    verbatim_doc_comment,
    after_help = concat!(
        "Programs:\n",
        "  echo-1-64B echo-1-4KiB echo-64-64B echo-64-4KiB echo-512-64B echo-512-4KiB\n",
        "                TCP echo over loopback: connections, message size\n",
        "  read-1 read-32\n",
        "                random 4 KiB reads of a file: reads in flight\n",
        "  spawn-join    spawn a task and await it\n",
        "  yield         one task that yields to the loop\n",
        "  timers        many tasks that sleep\n\n",
        "Exit status: 0 when everything was measured, 1 when something failed (a wrong\n",
        "byte ends the run at once), 2 for a wrong command line.",
    )
)]
pub(crate) struct Args {
    /// Total time to take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) seconds: f64,

    /// Rounds to run; each measures every program once on each backend
    /// [default: 9, or fewer when the time is short]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,

    /// Only the programs whose names contain one of these, such as `echo` or
    /// `read-32,yield`; may be repeated
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = programs)]
    only: Vec<Programs>,

    /// Print one JSON document on standard output instead of the table
    #[arg(long)]
    pub(crate) json: bool,

    /// Which backend to measure
    #[arg(long, value_enum, default_value_t = Choice::Both)]
    pub(crate) backend: Choice,

    /// Run as the measured process (the program starts itself with this).
    #[arg(long, hide = true, value_name = "SPEC")]
    pub(crate) measured: Option<String>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Only the io_uring backend
    Proactor,
    /// Only the epoll backend
    Selector,
    /// Both, in turns
    Both,
}

impl Choice {
    /// Whether `side` was asked for.
    pub(crate) fn includes(self, side: Side) -> bool {
        match self {
            Choice::Both => true,
            Choice::Proactor => side == Side::Proactor,
            Choice::Selector => side == Side::Selector,
        }
    }
}

/// The programs that one `--only` name stands for.
#[derive(Clone, Debug)]
struct Programs(Vec<Program>);

impl Args {
    /// Reads the command line, or ends the process with a message.
    pub(crate) fn read() -> Args {
        Args::parse()
    }

    /// The chosen programs, in the order of the catalogue.
    pub(crate) fn programs(&self) -> Vec<Program> {
        let chosen =
            |program: &Program| self.only.is_empty() || self.only.iter().any(|some| some.0.contains(program));
        Program::ALL.into_iter().filter(chosen).collect()
    }

    /// The number of rounds, and the seconds that each measurement may take.
    /// Ends the process when the asked time is too short to measure anything.
    pub(crate) fn plan(&self, programs: usize, sides: &PerSide<bool>) -> (u32, f64) {
        let sides = usize::from(sides.proactor) + usize::from(sides.selector);
        let per_round = (programs * sides) as f64;
        let affordable = (self.seconds / (per_round * GOOD_SLOT)) as u32;
        let rounds = self.rounds.unwrap_or(affordable.clamp(1, USUAL_ROUNDS));
        let slot = self.seconds / (per_round * f64::from(rounds));
        if slot < SHORTEST_SLOT {
            let needed = per_round * f64::from(rounds) * SHORTEST_SLOT;
            let message = format!(
                "--seconds {} is too short for {programs} programs, {sides} backends and \
                 {rounds} rounds: give at least {:.1}, or fewer --rounds, or --only some programs",
                self.seconds,
                (needed * 10.0).ceil() / 10.0,
            );
            Args::command().error(ErrorKind::ValueValidation, message).exit();
        }
        (rounds, slot)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 86_400.0 => Ok(value),
        _ => Err("expected a number of seconds above 0 and up to 86400".to_owned()),
    }
}

fn programs(text: &str) -> Result<Programs, String> {
    let wanted = text.trim().to_ascii_lowercase();
    let named = |program: &Program| program.name().to_ascii_lowercase();
    let exact = Program::ALL.into_iter().find(|some| named(some) == wanted);
    let found: Vec<Program> = match exact {
        Some(program) => vec![program],
        None => Program::ALL
            .into_iter()
            .filter(|some| !wanted.is_empty() && named(some).contains(&wanted))
            .collect(),
    };
    if found.is_empty() {
        let names: Vec<String> = Program::ALL.iter().map(Program::name).collect();
        return Err(format!("no program has this name; the programs are {}", names.join(", ")));
    }
    Ok(Programs(found))
}
