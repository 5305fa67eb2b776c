//! A port scanner: tries to connect to each port, many at a time, each for a limited time.
//!
//! ```text
//! cargo run --release --example scan
//! cargo run --release --example scan -- 127.0.0.1 1-65535 --timeout-ms 300 --parallel 500
//! ```
//!
//! You see the open ports in order, and a summary. Without arguments it looks at ports 1 to 1023 of this
//! machine. Look at others only if they are yours.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proactor::net::{TcpStream, lookup_host};
use proactor::{spawn, time::timeout};

#[derive(clap::Parser)]
struct Options {
    #[arg(default_value = "127.0.0.1")]
    host: String,
    #[arg(default_value = "1-1023", value_name = "FIRST-LAST", value_parser = ports)]
    ports: (u16, u16),
    /// How long each attempt may take
    #[arg(long, value_name = "N", default_value_t = 500)]
    timeout_ms: u64,
    /// How many attempts there are at a time
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,
}

fn ports(text: &str) -> Result<(u16, u16), Box<dyn Error + Send + Sync>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse()?, last.parse()?);
    if first <= last { Ok((first, last)) } else { Err("the first port is behind the last".into()) }
}

/// Connects, and closes at once; errors of kind `TimedOut` and `ConnectionRefused` are answers as well.
async fn attempt(target: SocketAddr, limit: Duration) -> io::Result<()> {
    // When the time is up the connect is dropped: the runtime ends the attempt and closes its socket.
    let stream = timeout(limit, TcpStream::connect(target)).await??;
    // On the loopback a connection can meet itself, if the kernel picks the port as its source.
    if stream.local_addr()? == target { Err(ErrorKind::ConnectionRefused.into()) } else { Ok(()) }
}

async fn scan(Options { host, ports, timeout_ms, parallel }: Options) -> Result<(), Box<dyn Error>> {
    let ip = lookup_host((host, 0)).await?[0].ip(); // never an empty list
    let limit = Duration::from_millis(timeout_ms);
    let (start, mut open, mut closed, mut silent) = (Instant::now(), Vec::new(), 0, 0);
    // A window of attempts moves over the ports: the oldest is awaited, a new one takes its place.
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
    if let Err(error) = proactor::run(scan(clap::Parser::parse())) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}
