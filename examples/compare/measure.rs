//! One measurement, from the start of its process to its end.

use std::{
    env,
    io::{self, BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    child::{Event, Spec},
    failure::Failure,
    load::Load,
    machine,
    probe::histogram,
    programs::Program,
    stats::Sample,
};

/// What a process may take on top of its warm-up and its window, at its start
/// and again at its end, before it counts as hung.
const GRACE: Duration = Duration::from_secs(5);

/// Descriptors that each process needs beside those of its connections.
const OTHER_DESCRIPTORS: u64 = 32;

/// Fails if the clients of so many connections, or their server, would run out of descriptors.
fn check_descriptors(connections: usize) -> Result<(), Failure> {
    let (needed, limit) = (connections as u64 + OTHER_DESCRIPTORS, machine::descriptor_limit());
    if limit >= needed {
        return Ok(());
    }
    Err(Failure::Broken(format!(
        "{connections} connections need {needed} descriptors, and the limit is {limit}: raise it with `ulimit -n {}`",
        needed.next_power_of_two(),
    )))
}

/// Starts the process that `spec` describes, puts load on it if it is a
/// server, and returns what it measured.
pub(crate) fn measure(spec: &Spec) -> Result<Sample, Failure> {
    if let Program::Echo { connections, .. } = spec.program {
        check_descriptors(connections)?;
    }
    let mut process = Process::start(spec)?;
    let measured = match spec.program {
        Program::Echo { connections, bytes } => serve_load(&mut process, spec, connections, bytes),
        _ => process.sample(spec),
    };
    // Of two failures the first says more.
    let ended = process.end();
    let sample = measured?;
    ended?;
    Ok(sample)
}

/// Drives the clients of an echo server while it measures itself.
fn serve_load(
    process: &mut Process,
    spec: &Spec,
    connections: usize,
    bytes: usize,
) -> Result<Sample, Failure> {
    let port = match process.next(Instant::now() + GRACE)? {
        Event::Listening(port) => port,
        other => return Err(unexpected(other)),
    };
    let stop = AtomicBool::new(false);
    let load = Load { port, connections, bytes, warm_up: spec.warm_up, window: spec.window, stop: &stop };
    thread::scope(|scope| {
        let clients = scope.spawn(|| load.run());
        let sample = process.sample(spec);
        stop.store(true, Ordering::Relaxed);
        // Clients that failed first are why the server seems to hang.
        let clients_failed = sample.is_err() && clients.is_finished();
        if sample.is_err() {
            // A server that hangs would keep its clients waiting.
            process.kill();
        }
        let latency = clients.join().unwrap_or_else(|_| Err(Failure::broken("the clients panicked")));
        // A wrong byte outweighs whatever else went wrong.
        let latency = match (&sample, latency) {
            (_, Err(wrong @ Failure::Wrong(_))) => return Err(wrong),
            (Err(_), Err(failure)) if clients_failed => return Err(failure),
            (Err(_), _) => histogram(),
            (Ok(_), latency) => latency?,
        };
        let quantile = |q| (!latency.is_empty()).then(|| latency.value_at_quantile(q) as f64);
        Ok(Sample { p50_ns: quantile(0.5), p99_ns: quantile(0.99), ..sample? })
    })
}

fn unexpected(event: Event) -> Failure {
    match event {
        Event::Failed(failure) => failure,
        other => Failure::Broken(format!("unexpected event from the measured process: {other:?}")),
    }
}

/// The measured process as seen from outside.
struct Process {
    child: Child,
    events: Receiver<Result<Event, Failure>>,
    complaints: Option<JoinHandle<String>>,
    killed: bool,
}

impl Process {
    fn start(spec: &Spec) -> Result<Process, Failure> {
        let mut child = Command::new(env::current_exe()?)
            .arg("--measured")
            .arg(serde_json::to_string(spec)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (sender, events) = mpsc::channel();
        let out = child.stdout.take().expect("it is a pipe");
        thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let event = line.map_err(Failure::from).and_then(|line| Ok(serde_json::from_str(&line)?));
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        let mut errors = child.stderr.take().expect("it is a pipe");
        let complaints = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).trim().to_owned()
        });
        Ok(Process { child, events, complaints: Some(complaints), killed: false })
    }

    /// The next event. The watchdog: a process that says nothing until
    /// `deadline` is killed.
    fn next(&mut self, deadline: Instant) -> Result<Event, Failure> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.events.recv_timeout(left) {
            Ok(event) => event,
            Err(RecvTimeoutError::Disconnected) => {
                let complaints = self.complaints();
                let status = self.child.wait()?;
                Err(Failure::Broken(format!("the measured process ended early ({status}): {complaints}")))
            }
            Err(RecvTimeoutError::Timeout) => {
                self.kill();
                Err(Failure::broken("hung: killed by the watchdog"))
            }
        }
    }

    /// The event that ends the window.
    fn sample(&mut self, spec: &Spec) -> Result<Sample, Failure> {
        match self.next(Instant::now() + spec.warm_up + spec.window + GRACE)? {
            Event::Measured(sample) => Ok(sample),
            other => Err(unexpected(other)),
        }
    }

    /// Waits for the end of the process: it has to be a good one, in time.
    fn end(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + GRACE;
        let last = match self.events.recv_timeout(GRACE) {
            Ok(event) => Err(unexpected(event?)),
            Err(RecvTimeoutError::Disconnected) => Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                self.kill();
                Err(Failure::broken("hung after its window: killed by the watchdog"))
            }
        };
        let status = self.wait(deadline)?;
        last?;
        if status {
            return Ok(());
        }
        let complaints = self.complaints();
        Err(Failure::Broken(format!("the measured process failed after its window: {complaints}")))
    }

    /// Whether the process ended well, once it has; killed at `deadline`.
    fn wait(&mut self, deadline: Instant) -> io::Result<bool> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success());
            }
            if Instant::now() > deadline {
                self.kill();
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn kill(&mut self) {
        if !self.killed {
            self.killed = true;
            let _ = self.child.kill();
        }
    }

    /// The end of what the process wrote to its standard error.
    fn complaints(&mut self) -> String {
        let text = match self.complaints.take().map(JoinHandle::join) {
            Some(Ok(text)) if !text.is_empty() => text,
            _ => return "it left no message".to_owned(),
        };
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(6)..].join(" / ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}
