//! The measured process: one program, one backend, one window.
//!
//! It gets a [`Spec`] on its command line and answers with [`Event`]s, one
//! JSON document a line, on its standard output.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use nix::sys::{
    prctl::set_pdeathsig,
    resource::{UsageWho, getrusage},
    signal::Signal,
    time::{TimeVal, TimeValLike},
};
use proactor::{Proactor, Runtime, Selector, time::sleep};
use serde::{Deserialize, Serialize};

use crate::{
    failure::Failure,
    machine,
    probe::Probe,
    programs::Program,
    stats::{Sample, Side},
};

/// What to measure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) side: Side,
    pub(crate) program: Program,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    /// The file of the read programs.
    pub(crate) file: Option<PathBuf>,
}

/// What the measured process tells its parent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    /// The server accepts connections on this port.
    Listening(u16),
    /// The window has ended. An echo server continues until its clients leave.
    Measured(Sample),
    /// The measurement failed.
    Failed(Failure),
}

/// The measured process's `main`.
pub(crate) fn main(spec: &str) -> ExitCode {
    // Never outlive the parent, whatever becomes of it.
    let _ = set_pdeathsig(Signal::SIGKILL);
    machine::allow_many_sockets();
    let outcome = match serde_json::from_str::<Spec>(spec) {
        Ok(spec) => match spec.side {
            Side::Proactor => measure::<Proactor>(&spec),
            Side::Selector => measure::<Selector>(&spec),
        },
        Err(error) => Err(Failure::broken(format!("--measured: {error}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&Event::Failed(failure));
            ExitCode::FAILURE
        }
    }
}

fn tell(event: &Event) {
    let mut out = io::stdout().lock();
    let line = serde_json::to_string(event).expect("an event is plain data");
    // Without a parent there is nobody to tell.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Runs the program on the backend `R`. This is the one place where the
/// backend matters, and it only picks the type.
fn measure<R: Runtime>(spec: &Spec) -> Result<(), Failure> {
    let runtime = R::new()?;
    runtime.block_on(async {
        let probe = Rc::new(Probe::new());
        let listening = |port| tell(&Event::Listening(port));
        let tasks = spec.program.start(probe.clone(), spec.file.clone(), listening).await?;

        sleep(spec.warm_up).await;
        probe.open();
        let begin = Mark::now(&runtime, &probe)?;
        sleep(spec.window).await;
        let end = Mark::now(&runtime, &probe)?;
        probe.close();

        tell(&Event::Measured(sample(spec, &probe, &begin, &end)));
        probe.end();
        for task in tasks {
            task.await??;
        }
        Ok(())
    })
}

/// Everything that is read at both ends of the window.
struct Mark {
    at: Instant,
    user: TimeVal,
    system: TimeVal,
    kernel_visits: u64,
    system_calls: u64,
    counted: u64,
}

impl Mark {
    fn now<R: Runtime>(runtime: &R, probe: &Probe) -> Result<Mark, Failure> {
        let usage = getrusage(UsageWho::RUSAGE_SELF).map_err(io::Error::from)?;
        let stats = runtime.report().stats;
        Ok(Mark {
            at: Instant::now(),
            user: usage.user_time(),
            system: usage.system_time(),
            kernel_visits: stats.kernel_visits,
            system_calls: stats.system_calls(),
            counted: probe.counted(),
        })
    }
}

fn sample(spec: &Spec, probe: &Probe, begin: &Mark, end: &Mark) -> Sample {
    let nanos = |from: TimeVal, to: TimeVal| (to - from).num_microseconds() as f64 * 1000.0;
    Sample {
        seconds: (end.at - begin.at).as_secs_f64(),
        operations: (end.counted - begin.counted) as f64 / spec.program.unit() as f64,
        user_ns: nanos(begin.user, end.user),
        system_ns: nanos(begin.system, end.system),
        kernel_visits: end.kernel_visits - begin.kernel_visits,
        system_calls: end.system_calls - begin.system_calls,
        p50_ns: probe.latency(0.5),
        p99_ns: probe.latency(0.99),
    }
}
