//! One-way streams: a write for each message, as fast as the socket takes them, and an answer at the end of a play; see
//! `wire.rs`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use hdrhistogram::Histogram;

use super::{Epoll, Play, hung_up};
use crate::process::Load;
use crate::wire::{PERIOD, pattern};

/// Messages, and bytes, that go over one connection before it is the turn of the next: otherwise one connection would
/// have the server for itself as long as that keeps up.
const TURN_MESSAGES: usize = 64;
const TURN_BYTES: usize = 256 << 10;

struct Client {
    stream: TcpStream,
    /// Of this play: its bytes without the header, and what was sent of them and of the header.
    length: u64,
    sent: u64,
    answer: [u8; 8],
    answered: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has nothing to do in this play.
    Ended,
    /// The socket has no room, or the answer is not there.
    Blocked,
    /// It is in the list of those that may go on.
    Ready,
}

pub struct Streams {
    epoll: Epoll,
    clients: Vec<Client>,
    bytes: usize,
    pattern: Vec<u8>,
}

impl Play for Streams {
    fn connect(load: &Load) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let mut clients = Vec::with_capacity(load.connections);
        for index in 0..load.connections {
            let stream = epoll.connect(load.port, index, 0)?;
            let (answer, state) = ([0; 8], State::Ended);
            clients.push(Client { stream, length: 0, sent: 0, answer, answered: 0, state });
        }
        Ok(Streams { epoll, clients, bytes: load.bytes, pattern: pattern(load.bytes) })
    }

    fn play(&mut self, ops: u64) -> io::Result<()> {
        let count = self.clients.len() as u64;
        let (mut ready, mut seen) = (Vec::new(), Vec::new());
        for (index, client) in self.clients.iter_mut().enumerate() {
            let messages = ops / count + u64::from((index as u64) < ops % count);
            if messages > 0 {
                client.length = messages * self.bytes as u64;
                (client.sent, client.answered, client.state) = (0, 0, State::Ready);
                ready.push(index);
            }
        }
        let mut left = ready.len();
        while left > 0 {
            for index in std::mem::take(&mut ready) {
                let client = &mut self.clients[index];
                client.state = client.turn(&self.pattern, self.bytes)?;
                match client.state {
                    State::Ready => ready.push(index),
                    State::Ended => left -= 1,
                    State::Blocked => {}
                }
            }
            if left > 0 {
                self.epoll.wait(ready.is_empty(), &mut seen)?;
            }
            for index in seen.drain(..) {
                if self.clients[index].state == State::Blocked {
                    self.clients[index].state = State::Ready;
                    ready.push(index);
                }
            }
        }
        Ok(())
    }

    /// A message has no reply.
    fn times(&mut self) -> Option<&mut Histogram<u64>> {
        None
    }
}

impl Client {
    /// Sends what one turn allows, and when all is sent takes the answer.
    fn turn(&mut self, pattern: &[u8], bytes: usize) -> io::Result<State> {
        let header = self.length.to_le_bytes();
        let all = header.len() as u64 + self.length;
        let turn = TURN_MESSAGES.min(TURN_BYTES / bytes);
        for _ in 0..turn {
            if self.sent == all {
                break;
            }
            let part = match self.sent.checked_sub(header.len() as u64) {
                None => &header[self.sent as usize..],
                Some(position) => {
                    let within = position % bytes as u64;
                    let start = (position % PERIOD as u64) as usize;
                    &pattern[start..start + bytes - within as usize]
                }
            };
            match self.stream.write(part) {
                Ok(count) => self.sent += count as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(State::Blocked),
                Err(error) => return Err(error),
            }
        }
        if self.sent < all {
            return Ok(State::Ready);
        }
        while self.answered < self.answer.len() {
            match self.stream.read(&mut self.answer[self.answered..]) {
                Ok(0) => return Err(hung_up()),
                Ok(count) => self.answered += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(State::Blocked),
                Err(error) => return Err(error),
            }
        }
        if self.answer != header {
            return Err(io::Error::new(ErrorKind::InvalidData, "the server has counted something else"));
        }
        Ok(State::Ended)
    }
}
