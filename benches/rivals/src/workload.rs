//! The work that every runtime is given: the rows of the tables.

use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Tasks spawned and joined, a thousand at a time.
    Spawn,
    /// A hundred tasks that yield.
    Yield,
    /// A timeout of ten seconds around a future that is ready.
    TimeoutReady,
    /// The same around one that is pending once, then dropped with it.
    TimeoutArmed,
    /// A million tasks asleep, for up to a second.
    Timers,
    /// Operations that do nothing, so many in flight.
    Nop { in_flight: usize },
    /// Blocks of 4 KiB from a file, so many in flight.
    Read { direct: bool, in_flight: usize },
    /// Blocks of 4 KiB into the page cache, one after the other.
    Write,
    /// Round trips of messages of so many bytes.
    Echo { bytes: usize, connections: usize },
    /// The same, with a new connection for each; so many at a time.
    Churn { bytes: usize, connections: usize },
    /// Connections that are being read, and nothing comes.
    Idle { connections: usize },
    /// A parked loop is woken by another thread, and answers.
    Wake,
}

/// Who is pinned where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Cores {
    /// Everything on one core: the least noise.
    Same,
    /// Load and server, or waker and loop, on one each.
    Two,
}

impl Workload {
    pub const ALL: [Workload; 23] = [
        Workload::Spawn,
        Workload::Yield,
        Workload::TimeoutReady,
        Workload::TimeoutArmed,
        Workload::Timers,
        Workload::Nop { in_flight: 1 },
        Workload::Nop { in_flight: 128 },
        Workload::Read { direct: false, in_flight: 1 },
        Workload::Read { direct: false, in_flight: 32 },
        Workload::Read { direct: true, in_flight: 32 },
        Workload::Read { direct: true, in_flight: 128 },
        Workload::Write,
        Workload::Echo { bytes: 64, connections: 1 },
        Workload::Echo { bytes: 64, connections: 64 },
        Workload::Echo { bytes: 64, connections: 1_000 },
        Workload::Echo { bytes: 4_096, connections: 64 },
        Workload::Echo { bytes: 4_096, connections: 1_000 },
        Workload::Echo { bytes: 65_536, connections: 64 },
        Workload::Echo { bytes: 65_536, connections: 1_000 },
        Workload::Churn { bytes: 64, connections: 1 },
        Workload::Churn { bytes: 64, connections: 64 },
        Workload::Idle { connections: 10_000 },
        Workload::Wake,
    ];

    /// As it is called on the command line and in the tables.
    pub fn name(self) -> String {
        match self {
            Workload::Spawn => "spawn".into(),
            Workload::Yield => "yield".into(),
            Workload::TimeoutReady => "timeout-ready".into(),
            Workload::TimeoutArmed => "timeout-armed".into(),
            Workload::Timers => "timers".into(),
            Workload::Nop { in_flight } => format!("nop-{in_flight}"),
            Workload::Read { direct: false, in_flight } => format!("read-{in_flight}"),
            Workload::Read { direct: true, in_flight } => format!("read-direct-{in_flight}"),
            Workload::Write => "write".into(),
            Workload::Echo { bytes, connections } if bytes >= 1_024 => {
                format!("echo-{}k-{connections}", bytes / 1_024)
            }
            Workload::Echo { bytes, connections } => format!("echo-{bytes}-{connections}"),
            Workload::Churn { bytes, connections } => format!("churn-{bytes}-{connections}"),
            Workload::Idle { connections } => format!("idle-{connections}"),
            Workload::Wake => "wake".into(),
        }
    }

    /// Whether it has this name, or belongs to the family of this name: `echo-64` is all messages of 64 bytes.
    pub fn is_called(self, name: &str) -> bool {
        let own = self.name();
        own.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// What one operation is.
    pub fn unit(self) -> &'static str {
        match self {
            Workload::Spawn => "task",
            Workload::Yield => "yield",
            Workload::TimeoutReady | Workload::TimeoutArmed => "timeout",
            Workload::Timers => "timer",
            Workload::Nop { .. } => "NOP",
            Workload::Read { .. } => "read",
            Workload::Write => "write",
            Workload::Echo { .. } => "round trip",
            Workload::Churn { .. } => "connection and round trip",
            Workload::Idle { .. } => "connection",
            Workload::Wake => "wake and answer",
        }
    }

    /// How it is measured with least noise, or as it makes sense at all.
    pub fn usual_cores(self) -> Cores {
        match self {
            Workload::Echo { connections: 1, .. } | Workload::Echo { bytes: 65_536, .. } | Workload::Wake => {
                Cores::Two
            }
            _ => Cores::Same,
        }
    }

    /// Whether its instructions are counted.
    pub fn is_counted(self) -> bool {
        matches!(
            self,
            Workload::Spawn
                | Workload::Yield
                | Workload::TimeoutReady
                | Workload::TimeoutArmed
                | Workload::Nop { .. }
                | Workload::Read { direct: false, .. }
                | Workload::Write
        )
    }
}
