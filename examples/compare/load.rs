//! The clients of the echo programs.
//!
//! They run in the parent, in plain threads over non-blocking sockets, and
//! know nothing of the runtime that they put to work. Every connection has one
//! message in flight. What a message holds follows from its connection and its
//! number, so that no reply can pass for another, and every byte is compared.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown},
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use crate::{
    failure::Failure,
    machine,
    probe::{histogram, nanos},
};

/// How long no reply at all may come before the server counts as stuck.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a client without anything to do looks whether to stop.
const GLANCE: Duration = Duration::from_millis(20);

/// What the clients shall do.
pub(crate) struct Load<'a> {
    pub(crate) port: u16,
    pub(crate) connections: usize,
    pub(crate) bytes: usize,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    /// Raised when the server has measured enough.
    pub(crate) stop: &'a AtomicBool,
}

/// The threads that `connections` clients are spread over: the machine's cores
/// but the one for the server, and no more than three.
pub(crate) fn threads(connections: usize) -> usize {
    machine::cores().saturating_sub(1).clamp(1, 3).min(connections)
}

impl Load<'_> {
    /// Connects, talks until told to stop, waits for what is under way, leaves.
    pub(crate) fn run(&self) -> Result<Histogram<u64>, Failure> {
        let threads = threads(self.connections);
        // Everybody talks only once everybody is connected.
        let connected = Barrier::new(threads);
        thread::scope(|scope| {
            let connected = &connected;
            let workers: Vec<_> =
                (0..threads).map(|index| scope.spawn(move || self.work(index, threads, connected))).collect();
            let mut latency = histogram();
            for worker in workers {
                let part = worker.join().map_err(|_| Failure::broken("a client thread panicked"))??;
                latency.add(part).map_err(Failure::broken)?;
            }
            Ok(latency)
        })
    }

    /// One thread with every `threads`-th connection.
    fn work(&self, index: usize, threads: usize, connected: &Barrier) -> Result<Histogram<u64>, Failure> {
        let mut poll = Poll::new()?;
        let clients = self.connect(&poll, index, threads);
        connected.wait();
        let mut clients = clients?;

        let begun = Instant::now();
        let record_from = begun + self.warm_up;
        let record_until = record_from + self.window;
        let mut latency = histogram();
        for client in &mut clients {
            client.send_next()?;
        }

        let mut events = Events::with_capacity(1024);
        let mut busy = clients.len();
        let mut last_reply = begun;
        while busy > 0 {
            match poll.poll(&mut events, Some(GLANCE)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            let stopping = self.stop.load(Ordering::Relaxed);
            for event in &events {
                let client = &mut clients[event.token().0];
                if client.idle {
                    continue;
                }
                client.flush()?;
                let Some(now) = client.receive()? else {
                    continue;
                };
                last_reply = now;
                if (record_from..record_until).contains(&now) {
                    latency.saturating_record(nanos(now - client.sent_at).max(1));
                }
                if stopping {
                    client.leave();
                    busy -= 1;
                } else {
                    client.send_next()?;
                }
            }
            if last_reply.elapsed() > PATIENCE {
                return Err(Failure::Broken(format!(
                    "the server sent nothing for {PATIENCE:?}; {busy} clients wait"
                )));
            }
        }
        Ok(latency)
    }

    fn connect(&self, poll: &Poll, index: usize, threads: usize) -> io::Result<Vec<Client>> {
        let mut clients = Vec::new();
        for connection in (index..self.connections).step_by(threads) {
            let stream = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(
                &mut stream,
                Token(clients.len()),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            clients.push(Client::new(stream, connection as u64, self.bytes));
        }
        Ok(clients)
    }
}

/// One connection with one message in flight.
struct Client {
    stream: TcpStream,
    connection: u64,
    number: u64,
    message: Vec<u8>,
    written: usize,
    reply: Vec<u8>,
    read: usize,
    sent_at: Instant,
    idle: bool,
}

impl Client {
    fn new(stream: TcpStream, connection: u64, bytes: usize) -> Client {
        Client {
            stream,
            connection,
            number: 0,
            message: vec![0; bytes],
            written: 0,
            reply: vec![0; bytes],
            read: 0,
            sent_at: Instant::now(),
            idle: false,
        }
    }

    /// Fills the next message and sends as much of it as goes out now.
    fn send_next(&mut self) -> io::Result<()> {
        self.number += 1;
        fill(&mut self.message, self.connection, self.number);
        (self.written, self.read) = (0, 0);
        self.sent_at = Instant::now();
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.message.len() {
            match self.stream.write(&self.message[self.written..]) {
                Ok(n) => self.written += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what has come. A complete reply is compared with the message, and
    /// the answer is when it was complete.
    fn receive(&mut self) -> Result<Option<Instant>, Failure> {
        while self.read < self.reply.len() {
            match self.stream.read(&mut self.reply[self.read..]) {
                Ok(0) => return Err(Failure::broken("the server closed a connection")),
                Ok(n) => self.read += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let complete = Instant::now();
        if self.reply == self.message {
            return Ok(Some(complete));
        }
        let at = (0..self.reply.len()).find(|&at| self.reply[at] != self.message[at]);
        Err(Failure::Wrong(format!(
            "connection {}, message {}: byte {} was echoed wrong",
            self.connection,
            self.number,
            at.unwrap_or_default(),
        )))
    }

    fn leave(&mut self) {
        self.idle = true;
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Fills a message with bytes that no other message has.
fn fill(message: &mut [u8], connection: u64, number: u64) {
    let mut word = (connection << 40 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for bytes in message.chunks_mut(8) {
        bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
        word = word.wrapping_add(0xd1b5_4a32_d192_ed03);
    }
}
