//! The load of the echo rows: one thread over epoll, in a process of its own, the same for every runtime. It knows
//! each message in advance, and checks every byte that comes back.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::process::{Load, Said, pin, say};
use crate::workload::Cores;

struct Client {
    stream: TcpStream,
    number: u64,
    /// Of the message in flight: bytes sent, and bytes that came back.
    sent: usize,
    received: usize,
    begun: Instant,
    busy: bool,
}

pub fn main(load: &Load) -> io::Result<()> {
    pin(if load.cores == Cores::Same { 0 } else { 1 });
    let mut generator = Generator::connect(load)?;
    generator.play(load.warm.max(load.connections as u64))?;
    say(&Said::Warm);
    wait_for_a_line()?;
    generator.times.reset();
    let begin = Instant::now();
    generator.play(load.ops)?;
    let wall_ns = begin.elapsed().as_nanos() as u64;
    let times = &generator.times;
    let (p50_ns, p99_ns) = (times.value_at_quantile(0.5), times.value_at_quantile(0.99));
    say(&Said::Done { wall_ns, p50_ns, p99_ns });
    wait_for_a_line()
}

fn wait_for_a_line() -> io::Result<()> {
    io::stdin().read_line(&mut String::new()).map(drop)
}

struct Generator {
    epoll: OwnedFd,
    port: u16,
    churn: bool,
    clients: Vec<Client>,
    bytes: usize,
    /// The bytes of message `n` of client `c` begin at `(c * 31 + n * 7) % PERIOD` of this.
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

/// A prime, so that neighbouring messages share nothing at the same place.
const PERIOD: usize = 65_521;

/// A new connection, watched in the set. Each comes from one of many addresses of loopback: the port of a connection that
/// was closed is not free again for a minute.
fn connect(epoll: RawFd, port: u16, index: usize, number: u64) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM.nonblocking(), None)?;
    let source = (index as u64).wrapping_add(number);
    let host = [127, 1 + (source / 250 % 250) as u8, 1 + (source % 250) as u8, 1];
    socket.bind(&std::net::SocketAddr::from((host, 0)).into())?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let stream = TcpStream::from(socket);
    let events = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET) as u32;
    let mut event = libc::epoll_event { events, u64: index as u64 };
    // SAFETY: the event lives until the call has returned.
    let answer = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, stream.as_raw_fd(), &raw mut event) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(stream) }
}

impl Generator {
    fn connect(load: &Load) -> io::Result<Self> {
        // SAFETY: epoll_create1(2) takes no pointer and answers with a descriptor that nobody else owns.
        let epoll = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let mut clients = Vec::with_capacity(load.connections);
        for index in 0..load.connections {
            let stream = connect(epoll.as_raw_fd(), load.port, index, 0)?;
            let begun = Instant::now();
            clients.push(Client { stream, number: 0, sent: 0, received: 0, begun, busy: false });
        }
        let pattern = (0..PERIOD + load.bytes).map(|at| ((at % PERIOD * 2_654_435_761) >> 13) as u8).collect();
        let times = Histogram::new_with_max(60_000_000_000, 3).expect("a minute, to three digits");
        let (port, churn, bytes) = (load.port, load.churn, load.bytes);
        Ok(Generator { epoll, port, churn, clients, bytes, pattern, buffer: vec![0; bytes], times })
    }

    /// So many round trips, over all connections at once.
    fn play(&mut self, ops: u64) -> io::Result<()> {
        let mut done = Done { begun: 0, ended: 0, wanted: ops };
        for index in 0..self.clients.len() {
            if done.may_begin() {
                self.begin(index)?;
                self.go_on(index, &mut done)?; // the reply may be there as soon as the message has been sent
            }
        }
        let mut events: Vec<libc::epoll_event> = Vec::with_capacity(1_024);
        while done.ended < ops {
            let count = self.wait(&mut events)?;
            for event in &events[..count] {
                self.go_on(event.u64 as usize, &mut done)?;
            }
        }
        Ok(())
    }

    /// Goes on with a connection as far as that is possible now, message after message.
    fn go_on(&mut self, index: usize, done: &mut Done) -> io::Result<()> {
        while self.pump(index)? {
            done.ended += 1;
            if !done.may_begin() {
                break;
            }
            self.begin(index)?;
        }
        Ok(())
    }

    fn wait(&self, events: &mut Vec<libc::epoll_event>) -> io::Result<usize> {
        let epoll: RawFd = self.epoll.as_raw_fd();
        loop {
            // SAFETY: there is room for so many events.
            let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), 1_024, 20_000) };
            match count {
                0 => return Err(io::Error::new(ErrorKind::TimedOut, "no reply for 20 s")),
                1.. => {
                    // SAFETY: the kernel has written that many.
                    unsafe { events.set_len(count as usize) };
                    return Ok(count as usize);
                }
                _ => {
                    let error = io::Error::last_os_error();
                    if error.kind() != ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn begin(&mut self, index: usize) -> io::Result<()> {
        let client = &mut self.clients[index];
        if self.churn && client.number > 0 {
            client.stream = connect(self.epoll.as_raw_fd(), self.port, index, client.number)?;
        }
        (client.sent, client.received, client.busy) = (0, 0, true);
        client.number += 1;
        client.begun = Instant::now();
        Ok(())
    }

    /// Sends and receives what can be. True when the reply is there as a whole.
    fn pump(&mut self, index: usize) -> io::Result<bool> {
        let client = &mut self.clients[index];
        if !client.busy {
            return Ok(false);
        }
        let start = (index * 31 + client.number as usize * 7) % PERIOD;
        let message = &self.pattern[start..start + self.bytes];
        while client.sent < message.len() {
            match client.stream.write(&message[client.sent..]) {
                Ok(count) => client.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        while client.received < message.len() {
            let room = message.len() - client.received;
            match client.stream.read(&mut self.buffer[..room]) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server has hung up")),
                Ok(count) => {
                    let expected = &message[client.received..client.received + count];
                    if self.buffer[..count] != *expected {
                        return Err(io::Error::new(ErrorKind::InvalidData, "a byte came back changed"));
                    }
                    client.received += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let whole = client.received == message.len();
        if whole {
            client.busy = false;
            self.times.saturating_record(client.begun.elapsed().as_nanos() as u64);
        }
        Ok(whole)
    }
}
