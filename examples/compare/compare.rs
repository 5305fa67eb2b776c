//! The rounds: every program on one backend and then on the other.

use std::{
    env, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use proactor::{Proactor, Runtime, Selector};
use serde::Serialize;

use crate::{
    args::{Args, Choice},
    child::Spec,
    failure::Failure,
    load,
    machine::{self, Machine},
    measure::measure,
    programs::{Program, create_file},
    progress::Progress,
    stats::{Metrics, PerSide, Sample, Side, Spread, ratios, summary},
};

/// What starting and ending a measured process costs, at the least.
const OVERHEAD: Duration = Duration::from_millis(15);

/// Everything that a run found out; the JSON document is this.
#[derive(Serialize)]
pub(crate) struct Results {
    pub(crate) version: &'static str,
    pub(crate) command: String,
    pub(crate) started: String,
    pub(crate) seconds_asked: f64,
    pub(crate) seconds_taken: f64,
    pub(crate) rounds: u32,
    pub(crate) warm_up_seconds: f64,
    pub(crate) window_seconds: f64,
    pub(crate) client_threads: usize,
    pub(crate) machine: Machine,
    /// What each measured runtime says about itself.
    pub(crate) backends: PerSide<Option<Backend>>,
    /// Why the proactor was not measured although it was asked for.
    pub(crate) proactor_unavailable: Option<String>,
    pub(crate) programs: Vec<Measured>,
}

#[derive(Serialize)]
pub(crate) struct Backend {
    pub(crate) setup_flags: Vec<&'static str>,
    pub(crate) report: String,
}

/// One program with all its figures.
#[derive(Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) latency_of: &'static str,
    /// Each side over the rounds.
    pub(crate) figures: PerSide<Option<Metrics<Option<Spread>>>>,
    /// Proactor : selector, paired round by round.
    pub(crate) ratios: Option<Metrics<Option<Spread>>>,
    /// Why a side has no figures, or not of all rounds.
    pub(crate) failures: PerSide<Option<String>>,
    pub(crate) samples: Vec<PerSide<Option<Sample>>>,
}

impl Results {
    /// The sides that were measured.
    pub(crate) fn sides(&self) -> Vec<Side> {
        let measured = |side: &Side| self.backends.get(*side).is_some();
        Side::BOTH.into_iter().filter(measured).collect()
    }

    /// A line for everything that failed.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for program in &self.programs {
            for side in Side::BOTH {
                if let Some(why) = program.failures.get(side) {
                    lines.push(format!("{} on the {}: {why}", program.name, side.name()));
                }
            }
        }
        lines
    }
}

/// Runs all rounds. Only a failure that makes the whole run worthless is an error.
pub(crate) fn run(args: &Args) -> Result<Results, Failure> {
    let begun = Instant::now();
    let started = Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
    let (backends, proactor_unavailable) = available(args.backend)?;
    if let Some(reason) = &proactor_unavailable {
        eprintln!("note: only the selector is measured: {reason}");
    }
    let wanted = PerSide { proactor: backends.proactor.is_some(), selector: backends.selector.is_some() };
    let programs = args.programs();
    let (rounds, slot) = args.plan(programs.len(), &wanted);
    let slot = Duration::from_secs_f64(slot);
    let warm_up = slot.mul_f64(0.15);
    let window = slot - warm_up - OVERHEAD.min(slot.mul_f64(0.25));

    let file = file_to_read(&programs)?;
    let mut progress = Progress::new(args.json, args.seconds, programs.len(), &wanted, rounds);
    let mut samples = vec![vec![PerSide::default(); rounds as usize]; programs.len()];
    let mut failures: Vec<PerSide<Option<String>>> = vec![PerSide::default(); programs.len()];
    for round in 0..rounds {
        // The backends take turns at going first.
        let mut order = Side::BOTH;
        if round % 2 == 1 {
            order.reverse();
        }
        for (index, program) in programs.iter().enumerate() {
            for side in order.into_iter().filter(|side| *wanted.get(*side)) {
                progress.begin(round, &program.name(), side);
                let failure = failures[index].get_mut(side);
                // What failed once is not tried again: it may have hung.
                if failure.is_none() {
                    let spec = Spec { side, program: *program, warm_up, window, file: file.clone() };
                    match measure(&spec) {
                        Ok(sample) => *samples[index][round as usize].get_mut(side) = Some(sample),
                        Err(wrong @ Failure::Wrong(_)) => {
                            return Err(wrong.during(&program.name(), side));
                        }
                        Err(broken) => *failure = Some(broken.to_string()),
                    }
                }
                progress.end();
            }
        }
    }
    progress.finish();

    let clients = programs.iter().filter_map(|program| match program {
        Program::Echo { connections, .. } => Some(load::threads(*connections)),
        _ => None,
    });
    Ok(Results {
        version: env!("CARGO_PKG_VERSION"),
        command: command(),
        started,
        seconds_asked: args.seconds,
        seconds_taken: begun.elapsed().as_secs_f64(),
        rounds,
        warm_up_seconds: warm_up.as_secs_f64(),
        window_seconds: window.as_secs_f64(),
        client_threads: clients.max().unwrap_or(0),
        machine: Machine::look(),
        backends,
        proactor_unavailable,
        programs: programs
            .iter()
            .zip(samples)
            .zip(failures)
            .map(|((program, samples), failures)| digest(program, samples, failures))
            .collect(),
    })
}

/// The backends to measure, and why the proactor is not among them although
/// both were asked for.
fn available(choice: Choice) -> Result<(PerSide<Option<Backend>>, Option<String>), Failure> {
    let mut backends = PerSide::default();
    let mut unavailable = None;
    if choice.includes(Side::Proactor) {
        match describe::<Proactor>() {
            Ok(backend) => backends.proactor = Some(backend),
            Err(error) if choice == Choice::Both => unavailable = Some(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    if choice.includes(Side::Selector) {
        backends.selector = Some(describe::<Selector>()?);
    }
    Ok((backends, unavailable))
}

fn describe<R: Runtime>() -> std::io::Result<Backend> {
    let report = R::new()?.report();
    Ok(Backend { setup_flags: report.setup_flags.clone(), report: report.to_string() })
}

/// The file for the read programs, if any of them runs.
fn file_to_read(programs: &[Program]) -> Result<Option<PathBuf>, Failure> {
    let reads = |program: &Program| matches!(program, Program::Read { .. });
    if !programs.iter().any(reads) {
        return Ok(None);
    }
    let path = machine::output_directory().join("blocks.bin");
    let failed = |error| Failure::Broken(format!("creating the file {} failed: {error}", path.display()));
    fs::create_dir_all(machine::output_directory()).map_err(failed)?;
    create_file(&path).map_err(failed)?;
    Ok(Some(path))
}

/// How to run this again, without the folder that it happened to run in.
fn command() -> String {
    let mut command = "cargo run --release --example compare".to_owned();
    for (index, argument) in env::args().skip(1).enumerate() {
        command += if index == 0 { " -- " } else { " " };
        command += &argument;
    }
    command
}

fn digest(
    program: &Program,
    samples: Vec<PerSide<Option<Sample>>>,
    failures: PerSide<Option<String>>,
) -> Measured {
    let metrics = |side: Side| -> Vec<_> {
        let of_side = samples.iter().filter_map(|round| *round.get(side));
        of_side.map(|sample| sample.metrics()).collect()
    };
    let figures = |side| {
        let metrics = metrics(side);
        (!metrics.is_empty()).then(|| summary(&metrics))
    };
    let pairs: Vec<_> = samples
        .iter()
        .filter_map(|round| {
            Some(PerSide { proactor: round.proactor?.metrics(), selector: round.selector?.metrics() })
        })
        .collect();
    Measured {
        name: program.name(),
        about: program.about(),
        latency_of: program.latency(),
        figures: PerSide { proactor: figures(Side::Proactor), selector: figures(Side::Selector) },
        ratios: (!pairs.is_empty()).then(|| ratios(&pairs)),
        failures,
        samples,
    }
}
