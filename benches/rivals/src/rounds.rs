//! The measuring itself: every runtime once per round, round after round.

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::counts::Counter;
use crate::process::{Job, Load, Process, Said, Used};
use crate::workload::{Cores, Traffic, Workload};

/// What one measurement gave.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Sample {
    pub ops: u64,
    pub used: Used,
    /// Of a round trip, as the load saw it.
    pub p50_ns: Option<u64>,
    pub p99_ns: Option<u64>,
}

/// One runtime in one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    pub runtime: String,
    pub ops: u64,
    /// One for each round.
    pub samples: Vec<Option<Sample>>,
    pub system_calls: Option<f64>,
    pub instructions: Option<f64>,
    /// Why there are no figures.
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub workload: Workload,
    pub cores: Cores,
    pub cells: Vec<Cell>,
}

pub struct Plan<'a> {
    pub runtimes: Vec<String>,
    pub rounds: usize,
    /// How long one measurement should take.
    pub seconds: f64,
    /// The same for all rows, or each row's own.
    pub cores: Option<Cores>,
    pub file: &'a Path,
    pub counters: Vec<Counter>,
}

impl Plan<'_> {
    fn cores(&self, workload: Workload) -> Cores {
        self.cores.unwrap_or(workload.usual_cores())
    }
}

/// All rounds of one workload: A B C A B C …
pub fn row(plan: &Plan<'_>, workload: Workload, mut progress: impl FnMut(&str)) -> Row {
    let mut cells: Vec<Cell> = Vec::new();
    for runtime in &plan.runtimes {
        progress(&format!("{}: {runtime}: how many operations fit in the time", workload.name()));
        let (ops, reason) = match calibrate(plan, workload, runtime) {
            Ok(Some(ops)) => (ops, None),
            Ok(None) => (0, Some("it has no such operation".to_owned())),
            Err(error) => (0, Some(error.to_string())),
        };
        let (runtime, samples) = (runtime.clone(), Vec::new());
        cells.push(Cell { runtime, ops, samples, system_calls: None, instructions: None, reason });
    }
    for round in 0..plan.rounds {
        for cell in cells.iter_mut().filter(|cell| cell.reason.is_none()) {
            progress(&format!(
                "{}: {}: round {} of {}",
                workload.name(),
                cell.runtime,
                round + 1,
                plan.rounds
            ));
            match measure(plan, workload, &cell.runtime, cell.ops, &[]) {
                Ok(sample) => cell.samples.push(sample),
                Err(error) => cell.reason = Some(error.to_string()),
            }
        }
    }
    for counter in plan.counters.iter().filter(|counter| counter.counts(workload)) {
        for cell in cells.iter_mut().filter(|cell| cell.reason.is_none()) {
            progress(&format!("{}: {}: {}", workload.name(), cell.runtime, counter.program()));
            // Some programs can't be watched; their other figures stand.
            let count = counter.per_operation(plan, workload, &cell.runtime).ok().flatten();
            match counter {
                Counter::SystemCalls => cell.system_calls = count,
                Counter::Instructions => cell.instructions = count,
            }
        }
    }
    Row { workload, cores: plan.cores(workload), cells }
}

/// How many operations take the time of one measurement.
fn calibrate(plan: &Plan<'_>, workload: Workload, runtime: &str) -> io::Result<Option<u64>> {
    match workload {
        Workload::Timers => return Ok(Some(1_000_000)),
        Workload::Idle { connections } => return Ok(Some(connections as u64)),
        _ => {}
    }
    let mut ops = 2_000;
    loop {
        let Some(sample) = measure(plan, workload, runtime, ops, &[])? else { return Ok(None) };
        let seconds = sample.used.wall_ns as f64 / 1e9;
        if seconds > plan.seconds / 4.0 {
            let ops = ops as f64 * plan.seconds / seconds;
            return Ok(Some((ops / 1_000.0).ceil() as u64 * 1_000));
        }
        ops *= if seconds < plan.seconds / 40.0 { 10 } else { 4 };
    }
}

/// One measurement, in a process that is started by way of `wrap`. `None` when the runtime lacks the operation.
pub fn measure(
    plan: &Plan<'_>,
    workload: Workload,
    runtime: &str,
    ops: u64,
    wrap: &[String],
) -> io::Result<Option<Sample>> {
    let warm = match workload {
        Workload::Timers => ops / 100,
        _ if wrap.is_empty() => (ops / 10).max(1_000),
        _ => 1_000, // the same for runs of any length, whose difference is taken
    };
    let cores = plan.cores(workload);
    let job = Job { runtime: runtime.to_owned(), workload, warm, ops, cores, file: plan.file.to_owned() };
    let mut child = Process::start("--measured", &job, wrap)?;
    let Some((traffic, bytes, connections)) = workload.load() else {
        let sample = match child.hear()? {
            Said::Used(used) => Some(Sample { ops, used, ..Sample::default() }),
            Said::Lacks => None,
            said => return Err(unexpected(said)),
        };
        child.finish()?;
        return Ok(sample);
    };
    let idle = matches!(workload, Workload::Idle { .. });
    let ops = if idle { 0 } else { ops };
    let port = match child.hear()? {
        Said::Listens(port) => port,
        said => return Err(unexpected(said)),
    };
    let before = ask(&mut child)?;
    let load = Load { port, traffic, bytes, connections, warm, ops, cores };
    let mut load = Process::start("--load", &load, &[])?;
    match load.hear()? {
        Said::Warm => {}
        said => return Err(unexpected(said)),
    }
    let begin = if idle { before } else { ask(&mut child)? };
    let open = child.descriptors();
    load.tell("go")?;
    let (p50_ns, p99_ns) = match load.hear()? {
        Said::Done { p50_ns, p99_ns, .. } => (p50_ns, p99_ns),
        said => return Err(unexpected(said)),
    };
    let used = ask(&mut child)?.since(begin);
    if let (Some(before), Some(after)) = (open, child.descriptors())
        && traffic == Traffic::Churn
        && after > before + connections + 16
    {
        let leak = format!("it leaks descriptors: {before} before {ops} connections, {after} after");
        return Err(io::Error::other(leak));
    }
    load.tell("end")?;
    load.finish()?;
    child.finish()?;
    Ok(Some(Sample { ops: if idle { connections as u64 } else { ops }, used, p50_ns, p99_ns }))
}

fn ask(child: &mut Process) -> io::Result<Used> {
    child.tell("used")?;
    match child.hear()? {
        Said::Used(used) => Ok(used),
        said => Err(unexpected(said)),
    }
}

fn unexpected(said: Said) -> io::Error {
    match said {
        Said::Failed(reason) => io::Error::other(reason),
        said => io::Error::other(format!("it said {said:?} at the wrong time")),
    }
}
