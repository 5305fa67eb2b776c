//! The load of the socket rows: one thread over epoll, in a process of its own, the same for every runtime. It knows
//! each message in advance, and checks every byte that comes back.

mod streams;
mod trips;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::process::{Load, Said, pin, say};
use crate::workload::{Cores, Traffic};

/// One kind of load. A play is so many operations, over all connections at once.
trait Play: Sized {
    fn connect(load: &Load) -> io::Result<Self>;
    fn play(&mut self, ops: u64) -> io::Result<()>;
    /// How long each operation took, where that can be said.
    fn times(&mut self) -> Option<&mut Histogram<u64>>;
}

pub fn main(load: &Load) -> io::Result<()> {
    pin(if load.cores == Cores::Same { 0 } else { 1 });
    match load.traffic {
        Traffic::Echo | Traffic::Churn => run::<trips::Trips>(load),
        Traffic::Stream => run::<streams::Streams>(load),
    }
}

fn run<P: Play>(load: &Load) -> io::Result<()> {
    let mut generator = P::connect(load)?;
    generator.play(load.warm.max(load.connections as u64))?;
    say(&Said::Warm);
    wait_for_a_line()?;
    if let Some(times) = generator.times() {
        times.reset();
    }
    let begin = Instant::now();
    generator.play(load.ops)?;
    let wall_ns = begin.elapsed().as_nanos() as u64;
    let times = generator.times().filter(|times| !times.is_empty());
    let at = |quantile| times.as_ref().map(|times| times.value_at_quantile(quantile));
    say(&Said::Done { wall_ns, p50_ns: at(0.5), p99_ns: at(0.99) });
    wait_for_a_line()
}

fn wait_for_a_line() -> io::Result<()> {
    io::stdin().read_line(&mut String::new()).map(drop)
}

fn hung_up() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the server has hung up")
}

/// The connections, each with its index.
struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// Events of one visit.
const EVENTS: usize = 1_024;
/// Nothing takes so long.
const LIMIT_MS: i32 = 20_000;

impl Epoll {
    fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1(2) takes no pointer and answers with a descriptor that nobody else owns.
        let fd = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Epoll { fd, events: Vec::with_capacity(EVENTS) })
    }

    /// A new connection, edge triggered. `number` says which one of this index it is: each comes from one of many
    /// addresses of loopback, since the port of a connection that was closed is not free again for a minute.
    fn connect(&self, port: u16, index: usize, number: u64) -> io::Result<TcpStream> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM.nonblocking(), None)?;
        let source = (index as u64).wrapping_add(number);
        let host = [127, 1 + (source / 250 % 250) as u8, 1 + (source % 250) as u8, 1];
        socket.bind(&SocketAddr::from((host, 0)).into())?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let stream = TcpStream::from(socket);
        let events = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
        let mut event = libc::epoll_event { events, u64: index as u64 };
        // SAFETY: the event lives until the call has returned.
        let answer = unsafe {
            libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, stream.as_raw_fd(), &raw mut event)
        };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(stream) }
    }

    /// Puts the indexes of connections that something has happened to in `ready`. Waits for one when told so.
    fn wait(&mut self, block: bool, ready: &mut Vec<usize>) -> io::Result<()> {
        let timeout = if block { LIMIT_MS } else { 0 };
        loop {
            // SAFETY: there is room for so many events.
            let count = unsafe {
                libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), EVENTS as i32, timeout)
            };
            match count {
                0 if block => return Err(io::Error::new(ErrorKind::TimedOut, "no reply for 20 s")),
                0.. => {
                    // SAFETY: the kernel has written that many.
                    unsafe { self.events.set_len(count as usize) };
                    ready.extend(self.events.iter().map(|event| event.u64 as usize));
                    return Ok(());
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
}
