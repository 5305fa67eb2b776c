//! Round trips: a message, and its reply. With churn each has a connection of its own, from connecting to the end that
//! both sides have seen.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use hdrhistogram::Histogram;

use super::{Epoll, Play, hung_up};
use crate::process::Load;
use crate::wire::{PERIOD, pattern};
use crate::workload::Traffic;

struct Client {
    /// None between the connections of churn.
    stream: Option<TcpStream>,
    number: u64,
    /// Of the message in flight: bytes sent, and bytes that came back.
    sent: usize,
    received: usize,
    begun: Instant,
}

pub struct Trips {
    epoll: Epoll,
    port: u16,
    churn: bool,
    clients: Vec<Client>,
    /// Those that have a message in flight.
    busy: Vec<bool>,
    bytes: usize,
    /// Message `n` of client `c` begins at `(c * 31 + n * 7) % PERIOD` of this.
    pattern: Vec<u8>,
    buffer: Vec<u8>,
    times: Histogram<u64>,
}

/// Round trips of one play.
struct Done {
    begun: u64,
    ended: u64,
    wanted: u64,
}

impl Done {
    /// Counts one more as begun, unless all are.
    fn may_begin(&mut self) -> bool {
        let more = self.begun < self.wanted;
        self.begun += u64::from(more);
        more
    }
}

impl Play for Trips {
    fn connect(load: &Load) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let churn = load.traffic == Traffic::Churn;
        let mut clients = Vec::with_capacity(load.connections);
        for index in 0..load.connections {
            let stream = if churn { None } else { Some(epoll.connect(load.port, index, 0)?) };
            clients.push(Client { stream, number: 0, sent: 0, received: 0, begun: Instant::now() });
        }
        Ok(Trips {
            epoll,
            port: load.port,
            churn,
            busy: vec![false; clients.len()],
            clients,
            bytes: load.bytes,
            pattern: pattern(load.bytes),
            buffer: vec![0; load.bytes],
            times: Histogram::new_with_max(60_000_000_000, 3).expect("a minute, to three digits"),
        })
    }

    fn play(&mut self, ops: u64) -> io::Result<()> {
        let mut done = Done { begun: 0, ended: 0, wanted: ops };
        for index in 0..self.clients.len() {
            if done.may_begin() {
                self.begin(index)?;
                self.go_on(index, &mut done)?; // the reply may be there as soon as the message has been sent
            }
        }
        let mut ready = Vec::new();
        while done.ended < ops {
            self.epoll.wait(true, &mut ready)?;
            for index in ready.drain(..) {
                self.go_on(index, &mut done)?;
            }
        }
        Ok(())
    }

    fn times(&mut self) -> Option<&mut Histogram<u64>> {
        Some(&mut self.times)
    }
}

impl Trips {
    /// Goes on with a connection as far as that is possible now, message after message.
    fn go_on(&mut self, index: usize, done: &mut Done) -> io::Result<()> {
        while self.busy[index] && self.pump(index)? {
            self.busy[index] = false;
            self.times.saturating_record(self.clients[index].begun.elapsed().as_nanos() as u64);
            done.ended += 1;
            if !done.may_begin() {
                break;
            }
            self.begin(index)?;
        }
        Ok(())
    }

    fn begin(&mut self, index: usize) -> io::Result<()> {
        let client = &mut self.clients[index];
        client.begun = Instant::now();
        if client.stream.is_none() {
            client.stream = Some(self.epoll.connect(self.port, index, client.number)?);
        }
        (client.sent, client.received) = (0, 0);
        client.number += 1;
        self.busy[index] = true;
        Ok(())
    }

    /// Sends and receives what can be. True when the round trip has ended.
    fn pump(&mut self, index: usize) -> io::Result<bool> {
        let client = &mut self.clients[index];
        let Some(stream) = &mut client.stream else { return Ok(false) };
        let start = (index * 31 + client.number as usize * 7) % PERIOD;
        let message = &self.pattern[start..start + self.bytes];
        while client.sent < message.len() {
            match stream.write(&message[client.sent..]) {
                Ok(count) => client.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        while client.received < message.len() {
            let room = message.len() - client.received;
            match stream.read(&mut self.buffer[..room]) {
                Ok(0) => return Err(hung_up()),
                Ok(count) => {
                    let expected = &message[client.received..client.received + count];
                    if self.buffer[..count] != *expected {
                        return Err(io::Error::new(ErrorKind::InvalidData, "a byte came back changed"));
                    }
                    client.received += count;
                    if client.received == message.len() && self.churn {
                        stream.shutdown(Shutdown::Write)?;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        if !self.churn {
            return Ok(true);
        }
        // The server has to close its side as well.
        match stream.read(&mut self.buffer) {
            Ok(0) => {
                client.stream = None;
                Ok(true)
            }
            Ok(_) => Err(io::Error::new(ErrorKind::InvalidData, "more came back than was sent")),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}
