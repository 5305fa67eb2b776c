//! A TCP server that sends back every byte it receives.

use std::rc::Rc;

use proactor::net::{TcpListener, TcpStream};

use super::Running;
use crate::{failure::Failure, probe::Probe};

/// Accepts exactly `connections` clients and serves each in a task.
pub(crate) async fn start(
    probe: Rc<Probe>,
    connections: usize,
    bytes: usize,
    listening: impl FnOnce(u16),
) -> Result<Running, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    listening(listener.local_addr()?.port());
    let mut running = Running::new();
    for _ in 0..connections {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        running.push(proactor::spawn(serve(stream, bytes, probe.clone())));
    }
    Ok(running)
}

/// Serves one client until it closes its side. The one buffer goes into every
/// operation by value and comes back with its result.
async fn serve(stream: TcpStream, bytes: usize, probe: Rc<Probe>) -> Result<(), Failure> {
    // Larger than a message, as a server's buffer is: a read that leaves room tells the selector that
    // nothing is left, and saves it the call that would find that out.
    let mut buffer = Vec::with_capacity(2 * bytes);
    loop {
        let (received, filled) = stream.read(buffer).await?;
        if received == 0 {
            return Ok(());
        }
        (_, buffer) = stream.write_all(filled).await?;
        probe.count(received as u64);
    }
}
