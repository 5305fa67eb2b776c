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
    /// The same, with a new connection for each, which both sides then close; so many at a time.
    Churn { bytes: usize, connections: usize },
    /// Messages of so many bytes one way, from the load to the server.
    Stream { bytes: usize, connections: usize },
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

/// What goes over the connections of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    Echo,
    Churn,
    Stream,
}

/// What a server does with what it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// It sends it back.
    Echo,
    /// It counts it, and answers at the end of a play: see [`Tally`](crate::wire::Tally).
    Sink,
}

/// Bytes of a message, in the rows of sockets.
const SIZES: [usize; 3] = [64, 4_096, 65_536];
/// Connections, in the same.
const CONNECTIONS: [usize; 3] = [1, 64, 1_000];

impl Workload {
    /// All of them, in the order of the tables.
    pub fn all() -> Vec<Workload> {
        let mut all = vec![
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
        ];
        let kinds: [fn(usize, usize) -> Workload; 3] = [
            |bytes, connections| Workload::Echo { bytes, connections },
            |bytes, connections| Workload::Churn { bytes, connections },
            |bytes, connections| Workload::Stream { bytes, connections },
        ];
        for kind in kinds {
            for bytes in SIZES {
                all.extend(CONNECTIONS.map(|connections| kind(bytes, connections)));
            }
        }
        all.extend([Workload::Idle { connections: 10_000 }, Workload::Wake]);
        all
    }

    /// Whether it is measured when nobody names workloads. The others are there to be named: all of them take an hour.
    pub fn is_usual(self) -> bool {
        match self {
            Workload::Echo { bytes, connections } => bytes == 64 || connections > 1,
            Workload::Churn { bytes, connections } => bytes == 64 && connections < 1_000,
            Workload::Stream { connections, .. } => connections == 64,
            _ => true,
        }
    }

    /// What a load generator is to do for it: the traffic, the bytes of a message, and the connections.
    pub fn load(self) -> Option<(Traffic, usize, usize)> {
        match self {
            Workload::Echo { bytes, connections } => Some((Traffic::Echo, bytes, connections)),
            Workload::Churn { bytes, connections } => Some((Traffic::Churn, bytes, connections)),
            Workload::Stream { bytes, connections } => Some((Traffic::Stream, bytes, connections)),
            Workload::Idle { connections } => Some((Traffic::Echo, 64, connections)),
            _ => None,
        }
    }

    /// What the server is to do for it, with receives of so many bytes at most.
    pub fn service(self) -> Option<(Service, usize)> {
        match self {
            Workload::Echo { bytes, .. } | Workload::Churn { bytes, .. } => Some((Service::Echo, bytes)),
            Workload::Stream { bytes, .. } => Some((Service::Sink, bytes.clamp(4_096, 65_536))),
            Workload::Idle { .. } => Some((Service::Echo, 4_096)),
            _ => None,
        }
    }

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
            Workload::Echo { bytes, connections } => format!("echo-{}-{connections}", size(bytes)),
            Workload::Churn { bytes, connections } => format!("churn-{}-{connections}", size(bytes)),
            Workload::Stream { bytes, connections } => format!("stream-{}-{connections}", size(bytes)),
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
            Workload::Stream { .. } => "message",
            Workload::Idle { .. } => "connection",
            Workload::Wake => "wake and answer",
        }
    }

    /// How it is measured with least noise, or as it makes sense at all.
    pub fn usual_cores(self) -> Cores {
        match self {
            Workload::Echo { connections: 1, .. } | Workload::Echo { bytes: 65_536, .. } => Cores::Two,
            Workload::Stream { connections: 1, .. } | Workload::Stream { bytes: 65_536, .. } => Cores::Two,
            Workload::Wake => Cores::Two,
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

/// `64`, `4k`.
fn size(bytes: usize) -> String {
    if bytes >= 1_024 { format!("{}k", bytes / 1_024) } else { bytes.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_one_row_and_a_family_of_several() {
        let all = Workload::all();
        for workload in &all {
            let name = workload.name();
            let called = all.iter().filter(|other| other.name() == name).count();
            assert_eq!(called, 1, "{name}");
        }
        let family = |name: &str| all.iter().filter(|workload| workload.is_called(name)).count();
        assert_eq!((family("stream"), family("churn-4k"), family("echo-64"), family("echo-6")), (9, 3, 3, 0));
    }

    #[test]
    fn what_has_a_load_has_a_server() {
        for workload in Workload::all() {
            assert_eq!(workload.load().is_some(), workload.service().is_some(), "{}", workload.name());
        }
    }
}
