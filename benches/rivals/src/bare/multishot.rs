//! The bare ring with multishot: one accept for all connections, and one receive for each, into buffers of one provided
//! ring. A buffer is sent back as it is, and then provided anew.
//!
//! Kernel facts that force its shape:
//! - Any multishot ends when the completion queue is full: a completion without `IORING_CQE_F_MORE` is its last, and
//!   it is begun anew. That of accept as well.
//! - A receive that finds no buffer ends with `ENOBUFS`. When its completion is seen there may be buffers again, so
//!   whether it is begun anew is asked after each batch of completions, not when a buffer comes back.
//! - A bundle is named by its first buffer. It goes on in the order in which buffers were provided, each of them full
//!   but the last.
//! - A direct descriptor is a place in the ring's own table of files, which the kernel picks, and which no operation
//!   but those of this ring knows.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd, Fixed};
use io_uring::{IoUring, cqueue, opcode, squeue};
use nix::sys::resource::{Resource, getrlimit};
use slab::Slab;

use super::ring::{check, push, ring};
use crate::wire::Tally;
use crate::workload::Service;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Plain,
    /// Connections are descriptors of the ring.
    Direct,
    /// A completion may cover several buffers.
    Bundle,
}

impl Mode {
    pub fn settings(self) -> &'static str {
        match self {
            Mode::Plain => {
                "as bare-ring, with multishot accept and receives, from one ring of 512 provided buffers"
            }
            Mode::Direct => "as bare-multishot, with direct descriptors",
            Mode::Bundle => "as bare-multishot, with bundles of buffers in receives; a send for each buffer",
        }
    }
}

const BUFFERS: u16 = 512;
/// Direct descriptors at most; the limit of open files holds for them as well.
const FILES: u64 = 16_384;

const ACCEPT: u64 = u64::MAX;
const CLOSE: u64 = u64::MAX - 1;
/// Together with the index of the connection.
const SEND: u64 = 1 << 32;

/// The buffers, and the ring by which the kernel is given them.
struct Provided {
    entries: *mut BufRingEntry,
    memory: Vec<u8>,
    size: usize,
    tail: u16,
    /// The buffer at each place of the ring, and the place of each buffer.
    order: [u16; BUFFERS as usize],
    places: [u16; BUFFERS as usize],
    /// How many are with the kernel, as far as completions have been seen.
    free: usize,
}

impl Provided {
    fn new(size: usize) -> Self {
        let layout = std::alloc::Layout::from_size_align(16 * usize::from(BUFFERS), 4_096).expect("a layout");
        // SAFETY: the layout has a size.
        let entries = unsafe { std::alloc::alloc_zeroed(layout) }.cast();
        let memory = vec![0; size * usize::from(BUFFERS)];
        let (order, places) = ([0; BUFFERS as usize], [0; BUFFERS as usize]);
        Provided { entries, memory, size, tail: 0, order, places, free: 0 }
    }

    fn bytes(&mut self, id: u16) -> &mut [u8] {
        &mut self.memory[usize::from(id) * self.size..][..self.size]
    }

    /// The buffer that was provided after this one.
    fn after(&self, id: u16) -> u16 {
        self.order[usize::from((self.places[usize::from(id)] + 1) % BUFFERS)]
    }

    fn provide(&mut self, id: u16) {
        let address = self.bytes(id).as_mut_ptr() as u64;
        let place = self.tail % BUFFERS;
        self.order[usize::from(place)] = id;
        self.places[usize::from(id)] = place;
        self.free += 1;
        // SAFETY: within the entries, which live as long as the process; the kernel looks there when told so.
        unsafe {
            let entry = &mut *self.entries.add(usize::from(place));
            entry.set_addr(address);
            entry.set_len(self.size as u32);
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            (*BufRingEntry::tail(self.entries).cast::<AtomicU16>()).store(self.tail, Ordering::Release);
        }
    }
}

struct Connection {
    /// Of the process, or of the ring.
    fd: RawFd,
    /// Parts that are still to be sent: buffer, start and end. The first is being sent.
    parts: VecDeque<(u16, usize, usize)>,
    tally: Tally,
    /// The other side sends no more, so the receive is not begun anew.
    ended: bool,
}

struct Server {
    ring: IoUring,
    mode: Mode,
    service: Service,
    listener: RawFd,
    provided: Provided,
    connections: Slab<Connection>,
    /// Connections whose receive has found no buffer.
    starved: VecDeque<usize>,
}

/// Serves for ever.
pub fn serve(listener: std::net::TcpListener, mode: Mode, service: Service, size: usize) -> io::Result<()> {
    let ring = ring()?;
    let mut provided = Provided::new(size.max(4_096));
    // SAFETY: the entries live as long as the process.
    unsafe { ring.submitter().register_buf_ring_with_flags(provided.entries as u64, BUFFERS, 0, 0)? };
    (0..BUFFERS).for_each(|id| provided.provide(id));
    if mode == Mode::Direct {
        let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
        ring.submitter().register_files_sparse(FILES.min(limit) as u32)?;
    }
    let (listener, connections) = (listener.into_raw_fd(), Slab::new());
    let starved = VecDeque::new();
    Server { ring, mode, service, listener, provided, connections, starved }.run()
}

impl Server {
    fn run(&mut self) -> io::Result<()> {
        self.accept()?;
        let mut done: Vec<cqueue::Entry> = Vec::with_capacity(4_096);
        loop {
            self.ring.submit_and_wait(1)?;
            done.clear();
            done.extend(self.ring.completion());
            for entry in &done {
                let (data, result, flags) = (entry.user_data(), entry.result(), entry.flags());
                match data {
                    ACCEPT => self.accepted(check(result)?, flags)?,
                    CLOSE => drop(check(result)?),
                    _ if data & SEND != 0 => self.sent(data as u32 as usize, check(result)? as usize)?,
                    _ => self.received(data as usize, result, flags)?,
                }
            }
            for _ in 0..self.starved.len().min(self.provided.free) {
                if let Some(index) = self.starved.pop_front() {
                    self.receive(index)?;
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let accept = opcode::AcceptMulti::new(Fd(self.listener));
        let accept = match self.mode {
            Mode::Direct => accept.allocate_file_index(true),
            Mode::Plain | Mode::Bundle => accept.flags(libc::SOCK_CLOEXEC),
        };
        push(&mut self.ring, accept.build().user_data(ACCEPT))
    }

    fn accepted(&mut self, fd: RawFd, flags: u32) -> io::Result<()> {
        let (parts, tally) = (VecDeque::new(), Tally::default());
        let index = self.connections.insert(Connection { fd, parts, tally, ended: false });
        if !cqueue::more(flags) {
            self.accept()?;
        }
        self.receive(index)
    }

    fn receive(&mut self, index: usize) -> io::Result<()> {
        let fd = self.connections[index].fd;
        let receive = match self.mode {
            Mode::Plain => opcode::RecvMulti::new(Fd(fd), 0).build(),
            Mode::Direct => opcode::RecvMulti::new(Fixed(fd as u32), 0).build(),
            Mode::Bundle => opcode::RecvMultiBundle::new(Fd(fd), 0).build(),
        };
        push(&mut self.ring, receive.user_data(index as u64))
    }

    fn received(&mut self, index: usize, result: i32, flags: u32) -> io::Result<()> {
        if result > 0 {
            let mut id = cqueue::buffer_select(flags).expect("a buffer");
            let mut left = result as usize;
            while left > 0 {
                let (count, next) = (left.min(self.provided.size), self.provided.after(id));
                self.take(index, id, count)?;
                left -= count;
                id = next;
            }
        }
        if cqueue::more(flags) {
            return Ok(());
        }
        match result {
            0 => {
                self.connections[index].ended = true;
                self.close_if_done(index)
            }
            1.. => self.receive(index),
            _ if result == -libc::ENOBUFS => {
                self.starved.push_back(index);
                Ok(())
            }
            _ => check(result).map(drop),
        }
    }

    /// So many bytes are in this buffer.
    fn take(&mut self, index: usize, id: u16, mut count: usize) -> io::Result<()> {
        self.provided.free -= 1;
        let connection = &mut self.connections[index];
        if self.service == Service::Sink {
            let bytes = self.provided.bytes(id);
            let Some(answer) = connection.tally.take(&bytes[..count])? else {
                self.provided.provide(id);
                return Ok(());
            };
            count = answer.len();
            bytes[..count].copy_from_slice(&answer);
        }
        connection.parts.push_back((id, 0, count));
        if connection.parts.len() == 1 { self.send(index) } else { Ok(()) }
    }

    /// Sends the first part.
    fn send(&mut self, index: usize) -> io::Result<()> {
        let connection = &self.connections[index];
        let (id, start, end) = connection.parts[0];
        let part = &self.provided.bytes(id)[start..end];
        let (pointer, length) = (part.as_ptr(), part.len() as u32);
        let send: squeue::Entry = match self.mode {
            Mode::Direct => {
                let send = opcode::Send::new(Fixed(connection.fd as u32), pointer, length);
                send.flags(libc::MSG_NOSIGNAL).build()
            }
            Mode::Plain | Mode::Bundle => {
                opcode::Send::new(Fd(connection.fd), pointer, length).flags(libc::MSG_NOSIGNAL).build()
            }
        };
        push(&mut self.ring, send.user_data(SEND | index as u64))
    }

    fn sent(&mut self, index: usize, count: usize) -> io::Result<()> {
        let parts = &mut self.connections[index].parts;
        let (id, start, end) = parts[0];
        if start + count < end {
            parts[0].1 += count;
            return self.send(index);
        }
        parts.pop_front();
        let more = !parts.is_empty();
        self.provided.provide(id);
        if more { self.send(index) } else { self.close_if_done(index) }
    }

    /// Frees the place of a connection that has ended, when nothing of it is in flight.
    fn close_if_done(&mut self, index: usize) -> io::Result<()> {
        let connection = &self.connections[index];
        if !connection.ended || !connection.parts.is_empty() {
            return Ok(());
        }
        let close = match self.mode {
            Mode::Direct => opcode::Close::new(Fixed(connection.fd as u32)),
            Mode::Plain | Mode::Bundle => opcode::Close::new(Fd(connection.fd)),
        };
        self.connections.remove(index);
        push(&mut self.ring, close.build().user_data(CLOSE))
    }
}
