//! A port scanner: tries to connect to each port, many at a time, with a time limit for each.
//!
//! ```text
//! cargo run --release --example scan
//! cargo run --release --example scan -- 127.0.0.1 1-65535 300 500
//! ```
//!
//! The arguments are HOST, FIRST-LAST, the milliseconds for each attempt, and the number of attempts at a time. You see
//! the open ports in order, and a summary. Without arguments it scans ports 1 to 1023 of this machine. Scan other
//! machines only if they are yours.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proactor::net::{TcpStream, lookup_host};
use proactor::{spawn, time::timeout};

struct Options {
    host: String,
    ports: (u16, u16),
    /// For each attempt.
    limit: Duration,
    /// Attempts at a time.
    parallel: u16,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut next = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
        let (host, ports, limit, parallel) = (next("127.0.0.1"), next("1-1023"), next("500"), next("200"));
        let (first, last) = ports.split_once('-').unwrap_or((&ports, &ports));
        let ports = (first.parse()?, last.parse()?);
        let parallel = parallel.parse::<std::num::NonZero<u16>>()?.get();
        Ok(Options { host, ports, limit: Duration::from_millis(limit.parse()?), parallel })
    }
}

/// Connects and closes at once. Errors of kind `TimedOut` and `ConnectionRefused` are results of the scan, too.
async fn attempt(target: SocketAddr, limit: Duration) -> io::Result<()> {
    // At the limit the connect is dropped: the runtime cancels the attempt and closes its socket.
    let stream = timeout(limit, TcpStream::connect(target)).await??;
    // On the loopback a socket can connect to itself, if the kernel picks the target port as its source port.
    if stream.local_addr()? == target { Err(ErrorKind::ConnectionRefused.into()) } else { Ok(()) }
}

async fn scan(Options { host, ports, limit, parallel }: Options) -> Result<(), Box<dyn Error>> {
    let ip = lookup_host((host, 0)).await?[0].ip(); // never an empty list
    let (start, mut open, mut closed, mut silent) = (Instant::now(), Vec::new(), 0, 0);
    // A window of attempts moves over the ports: when the oldest has completed, a new one takes its place.
    let (mut ports, mut window) = (ports.0..=ports.1, VecDeque::new());
    loop {
        while window.len() < parallel.into()
            && let Some(port) = ports.next()
        {
            window.push_back((port, spawn(attempt(SocketAddr::new(ip, port), limit))));
        }
        let Some((port, task)) = window.pop_front() else { break };
        match task.await? {
            Ok(()) => open.push(port),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => closed += 1,
            Err(error) if error.kind() == ErrorKind::TimedOut => silent += 1,
            Err(error) => return Err(error.into()),
        }
    }
    open.iter().for_each(|port| println!("{ip} port {port} is open"));
    let (open, ms) = (open.len(), start.elapsed().as_millis());
    println!("{open} open, {closed} closed, {silent} silent, in {ms} ms");
    Ok(())
}

fn main() {
    let options = Options::parse(std::env::args().skip(1)).unwrap_or_else(|error| {
        eprintln!("{error}\nusage: scan [HOST [FIRST-LAST [MILLISECONDS [PARALLEL]]]]");
        std::process::exit(2);
    });
    if let Err(error) = proactor::run(scan(options)) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}
