//! Children of the harness: how they are told what to do, and what they answer, a JSON document a line.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::workload::{Cores, Traffic, Workload};

/// What a measured child is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub runtime: String,
    pub workload: Workload,
    /// Operations before the measurement, and in it. A server serves as many as come.
    pub warm: u64,
    pub ops: u64,
    pub cores: Cores,
    pub file: std::path::PathBuf,
}

/// What a load generator is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    pub port: u16,
    pub traffic: Traffic,
    pub bytes: usize,
    pub connections: usize,
    pub warm: u64,
    pub ops: u64,
    pub cores: Cores,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Used {
    pub wall_ns: u64,
    pub cpu_ns: u64,
    pub user_ns: u64,
    pub resident: u64,
    pub peak: u64,
    /// System calls, as the runtime counts them itself.
    pub calls: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Said {
    /// A server listens here.
    Listens(u16),
    Used(Used),
    /// The load is connected and warm.
    Warm,
    /// The load has done its operations; nanoseconds of a round trip at the median and at 99 %, where there are any.
    Done {
        wall_ns: u64,
        p50_ns: Option<u64>,
        p99_ns: Option<u64>,
    },
    Lacks,
    Failed(String),
}

pub fn say(said: &Said) {
    let mut out = io::stdout().lock();
    // A parent that has gone needs no answer.
    let _ = serde_json::to_writer(&mut out, said);
    let _ = out.write_all(b"\n");
    let _ = out.flush();
}

impl Used {
    pub fn now() -> Self {
        // SAFETY: the structure is plain numbers, and lives until the calls have returned.
        let (usage, clock) = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
            let mut clock: libc::timespec = std::mem::zeroed();
            libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut clock);
            (usage, clock)
        };
        let nanos = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        Used {
            wall_ns: clock.tv_sec as u64 * 1_000_000_000 + clock.tv_nsec as u64,
            cpu_ns: nanos(usage.ru_utime) + nanos(usage.ru_stime),
            user_ns: nanos(usage.ru_utime),
            resident: field("VmRSS:").unwrap_or(0) * 1_024,
            peak: field("VmHWM:").unwrap_or(0) * 1_024,
            calls: None,
        }
    }

    pub fn since(self, begin: Self) -> Self {
        Used {
            wall_ns: self.wall_ns - begin.wall_ns,
            cpu_ns: self.cpu_ns - begin.cpu_ns,
            user_ns: self.user_ns - begin.user_ns,
            resident: self.resident.saturating_sub(begin.resident),
            peak: self.peak,
            calls: self.calls.zip(begin.calls).map(|(now, then)| now - then),
        }
    }
}

/// No measurement takes so long.
const LIMIT: Duration = Duration::from_secs(120);

/// A child, which ends with this value, or when it takes too long.
pub struct Process {
    child: Child,
    /// Tells the watchdog that the child needs none any more.
    _watched: mpsc::Sender<()>,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this program anew. `wrap` goes before it: `strace`, `valgrind`.
    pub fn start(mode: &str, what: &impl Serialize, wrap: &[String]) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut command = match wrap {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.arg(mode).arg(serde_json::to_string(what)?);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (watched, watchdog) = mpsc::channel::<()>();
        let number = child.id() as libc::pid_t;
        std::thread::spawn(move || {
            if watchdog.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                // SAFETY: kill(2) takes no pointer; the child is not reaped before its `Process` is dropped.
                unsafe { libc::kill(number, libc::SIGKILL) };
            }
        });
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Ok(Process { child, _watched: watched, input, output })
    }

    pub fn tell(&mut self, line: &str) -> io::Result<()> {
        let input = self.input.as_mut().expect("not yet closed");
        writeln!(input, "{line}")?;
        input.flush()
    }

    pub fn hear(&mut self) -> io::Result<Said> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Ok(Said::Failed(format!("it ended: {}", self.child.wait()?)));
        }
        parse(&line)
    }

    /// How many descriptors it has open. None where that can't be read.
    pub fn descriptors(&self) -> Option<usize> {
        Some(std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).ok()?.count())
    }

    /// Ends it in good order: it sees the end of its input.
    pub fn finish(mut self) -> io::Result<()> {
        drop(self.input.take());
        self.child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse<T: DeserializeOwned>(line: &str) -> io::Result<T> {
    serde_json::from_str(line).map_err(io::Error::from)
}

/// Pins a thread that wakes a loop, which is on core 0.
pub fn pin_waker(cores: Cores) {
    pin(if cores == Cores::Same { 0 } else { 1 });
}

/// Pins this thread, and those that it starts: servers and what runs alone to core 0, a load to core 0 or 1.
pub fn pin(core: usize) {
    // SAFETY: the set is plain bits, and lives until the call has returned.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}
