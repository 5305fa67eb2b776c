//! The measured programs.
//!
//! None of them names a backend: each is an ordinary `async fn` over sockets,
//! files, tasks and timers, and the runtime that polls it decides how they
//! reach the kernel. Each sets itself up, spawns its tasks and returns their
//! handles; the tasks work until the [`Probe`] ends the measurement, and check
//! everything that they receive.

mod echo;
mod read;
mod tasks;
mod timers;

use std::{path::PathBuf, rc::Rc};

use proactor::task::JoinHandle;
use serde::{Deserialize, Serialize};

use crate::{failure::Failure, probe::Probe};

pub(crate) use read::create as create_file;

/// The tasks of a program that runs.
pub(crate) type Running = Vec<JoinHandle<Result<(), Failure>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Program {
    /// A TCP server that sends back what it gets.
    Echo { connections: usize, bytes: usize },
    /// Random 4 KiB reads of a file.
    Read { in_flight: usize },
    /// Spawn a task and await its result.
    SpawnJoin,
    /// Yield to the loop, without other tasks.
    Yield,
    /// Tasks that sleep for random times.
    Timers,
}

impl Program {
    /// Every program, in the order in which a round runs them.
    pub(crate) const ALL: [Program; 11] = [
        Program::Echo { connections: 1, bytes: 64 },
        Program::Echo { connections: 1, bytes: 4096 },
        Program::Echo { connections: 64, bytes: 64 },
        Program::Echo { connections: 64, bytes: 4096 },
        Program::Echo { connections: 512, bytes: 64 },
        Program::Echo { connections: 512, bytes: 4096 },
        Program::Read { in_flight: 1 },
        Program::Read { in_flight: 32 },
        Program::SpawnJoin,
        Program::Yield,
        Program::Timers,
    ];

    /// The name on the command line and in the reports.
    pub(crate) fn name(&self) -> String {
        match self {
            Program::Echo { connections, bytes } => format!("echo-{connections}-{}", size(*bytes)),
            Program::Read { in_flight } => format!("read-{in_flight}"),
            Program::SpawnJoin => "spawn-join".to_owned(),
            Program::Yield => "yield".to_owned(),
            Program::Timers => "timers".to_owned(),
        }
    }

    /// A description in one line.
    pub(crate) fn about(&self) -> String {
        match self {
            Program::Echo { connections, bytes } => format!(
                "TCP echo server, {connections} loopback connection{}, {} messages, one in flight each",
                if *connections == 1 { "" } else { "s" },
                size(*bytes),
            ),
            Program::Read { in_flight } => format!(
                "random 4 KiB reads of a {} MiB file in the page cache, {in_flight} in flight",
                read::FILE_BYTES >> 20,
            ),
            Program::SpawnJoin => "spawn a task and await its result, one after the other".to_owned(),
            Program::Yield => "one task that yields in a loop".to_owned(),
            Program::Timers => format!(
                "{} tasks that sleep for random times up to {} ms",
                timers::TASKS,
                timers::LONGEST.as_millis(),
            ),
        }
    }

    /// The operation whose latency is measured.
    pub(crate) fn latency(&self) -> &'static str {
        match self {
            Program::Echo { .. } => "round trip, as the client sees it",
            Program::Read { .. } => "one read",
            Program::SpawnJoin => "one spawn and join (mean of a batch)",
            Program::Yield => "one yield (mean of a batch)",
            Program::Timers => "lateness of the wake-up",
        }
    }

    /// How much of what the program counts makes up one operation.
    pub(crate) fn unit(&self) -> u64 {
        match self {
            Program::Echo { bytes, .. } => *bytes as u64,
            _ => 1,
        }
    }

    /// Sets the program up and starts its tasks. `listening` is called with
    /// the port as soon as a server can be connected to.
    pub(crate) async fn start(
        self,
        probe: Rc<Probe>,
        file: Option<PathBuf>,
        listening: impl FnOnce(u16),
    ) -> Result<Running, Failure> {
        match self {
            Program::Echo { connections, bytes } => echo::start(probe, connections, bytes, listening).await,
            Program::Read { in_flight } => {
                let file = file.ok_or_else(|| Failure::broken("no file to read was named"))?;
                read::start(probe, file, in_flight).await
            }
            Program::SpawnJoin => Ok(tasks::spawn_join(probe)),
            Program::Yield => Ok(tasks::yields(probe)),
            Program::Timers => Ok(timers::start(probe)),
        }
    }
}

/// A message size in the unit that suits it.
fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(1024) { format!("{}KiB", bytes / 1024) } else { format!("{bytes}B") }
}
