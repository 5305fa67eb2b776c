//! epoll(7), edge triggered, and one hot buffer for all connections.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use slab::Slab;

use crate::wire::Tally;
use crate::workload::Service;

pub const SETTINGS: &str = "epoll_wait, edge triggered, 256 events a visit, one buffer for all connections";

fn add(epoll: RawFd, fd: RawFd, token: u64, events: i32) -> io::Result<()> {
    let mut event = libc::epoll_event { events: events as u32, u64: token };
    // SAFETY: the event lives until the call has returned.
    let answer = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

struct Connection {
    stream: TcpStream,
    /// What the socket did not take, which is sent before anything else is read.
    unsent: Vec<u8>,
    tally: Tally,
}

impl Connection {
    /// Reads, and sends what is to be sent, until nothing is left. False at the end.
    fn pump(&mut self, service: Service, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            while !self.unsent.is_empty() {
                match self.stream.write(&self.unsent) {
                    Ok(count) => drop(self.unsent.drain(..count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                    Err(error) => return Err(error),
                }
            }
            let count = match self.stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            };
            let answer;
            let mut part = match service {
                Service::Echo => &buffer[..count],
                Service::Sink => {
                    answer = self.tally.take(&buffer[..count])?;
                    answer.as_ref().map_or(&[][..], |answer| &answer[..])
                }
            };
            while !part.is_empty() {
                match self.stream.write(part) {
                    Ok(written) => part = &part[written..],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.unsent.extend_from_slice(part);
                        return Ok(true);
                    }
                    Err(error) => return Err(error),
                }
            }
            if count < buffer.len() {
                return Ok(true); // an edge comes with more
            }
        }
    }
}

/// Serves for ever.
pub fn serve(listener: TcpListener, service: Service, size: usize) -> io::Result<()> {
    // SAFETY: epoll_create1(2) takes no pointer and answers with a descriptor that nobody else owns.
    let epoll =
        unsafe { OwnedFd::from_raw_fd(super::ring::check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
    let epoll = epoll.as_raw_fd();
    listener.set_nonblocking(true)?;
    add(epoll, listener.as_raw_fd(), u64::MAX, libc::EPOLLIN | libc::EPOLLET)?;
    let mut connections: Slab<Connection> = Slab::new();
    let mut buffer = vec![0; size];
    let mut events: Vec<libc::epoll_event> = Vec::with_capacity(256);
    loop {
        // SAFETY: there is room for so many events.
        let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), 256, -1) };
        if count < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        // SAFETY: the kernel has written that many.
        unsafe { events.set_len(count as usize) };
        for event in &events {
            let token = event.u64;
            if token == u64::MAX {
                loop {
                    match listener.accept() {
                        Ok((stream, _)) => {
                            stream.set_nonblocking(true)?;
                            let edges = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
                            let place = connections.vacant_entry();
                            add(epoll, stream.as_raw_fd(), place.key() as u64, edges)?;
                            place.insert(Connection { stream, unsent: Vec::new(), tally: Tally::default() });
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    }
                }
                continue;
            }
            // Each descriptor has one event in a visit, so that none is left of a connection that has ended.
            let index = token as usize;
            if !connections[index].pump(service, &mut buffer)? {
                connections.remove(index);
            }
        }
    }
}
