//! The bare ring with multishot: one accept for all connections, and one receive for each, into buffers of one provided
//! ring. A buffer is sent back as it is, and then provided anew.
//!
//! Kernel facts that force its shape:
//! - Any multishot ends when the completion queue is full: a completion without `IORING_CQE_F_MORE` is its last, and
//!   it is begun anew. That of accept as well.
//! - A receive that finds no buffer ends with `ENOBUFS`. When its completion is seen there may be buffers again, so
//!   whether it is begun anew is asked after each batch of completions, not when a buffer comes back.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd};
use io_uring::{IoUring, cqueue, opcode};
use slab::Slab;

use super::ring::{check, push, ring};
use crate::wire::Tally;
use crate::workload::Service;

pub const SETTINGS: &str =
    "as bare-ring, with multishot accept and receives, from one ring of 512 provided buffers";

const BUFFERS: u16 = 512;

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
    /// How many are with the kernel, as far as completions have been seen.
    free: usize,
}

impl Provided {
    fn new(size: usize) -> Self {
        let layout = std::alloc::Layout::from_size_align(16 * usize::from(BUFFERS), 4_096).expect("a layout");
        // SAFETY: the layout has a size.
        let entries = unsafe { std::alloc::alloc_zeroed(layout) }.cast();
        let memory = vec![0; size * usize::from(BUFFERS)];
        Provided { entries, memory, size, tail: 0, free: 0 }
    }

    fn bytes(&mut self, id: u16) -> &mut [u8] {
        &mut self.memory[usize::from(id) * self.size..][..self.size]
    }

    fn provide(&mut self, id: u16) {
        let address = self.bytes(id).as_mut_ptr() as u64;
        let place = self.tail % BUFFERS;
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
    fd: RawFd,
    /// Parts that are still to be sent: buffer, start and end. The first is being sent.
    parts: VecDeque<(u16, usize, usize)>,
    tally: Tally,
    /// The other side sends no more, so the receive is not begun anew.
    ended: bool,
}

struct Server {
    ring: IoUring,
    service: Service,
    listener: RawFd,
    provided: Provided,
    connections: Slab<Connection>,
    /// Connections whose receive has found no buffer.
    starved: VecDeque<usize>,
}

/// Serves for ever.
pub fn serve(listener: std::net::TcpListener, service: Service, size: usize) -> io::Result<()> {
    let ring = ring()?;
    let mut provided = Provided::new(size.max(4_096));
    // SAFETY: the entries live as long as the process.
    unsafe { ring.submitter().register_buf_ring_with_flags(provided.entries as u64, BUFFERS, 0, 0)? };
    (0..BUFFERS).for_each(|id| provided.provide(id));
    let (listener, connections) = (listener.into_raw_fd(), Slab::new());
    let starved = VecDeque::new();
    Server { ring, service, listener, provided, connections, starved }.run()
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
        let accept = opcode::AcceptMulti::new(Fd(self.listener)).flags(libc::SOCK_CLOEXEC);
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
        let receive = opcode::RecvMulti::new(Fd(fd), 0).build();
        push(&mut self.ring, receive.user_data(index as u64))
    }

    fn received(&mut self, index: usize, result: i32, flags: u32) -> io::Result<()> {
        if result > 0 {
            let id = cqueue::buffer_select(flags).expect("a buffer");
            self.take(index, id, result as usize)?;
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
        let send = opcode::Send::new(Fd(connection.fd), part.as_ptr(), part.len() as u32);
        let send = send.flags(libc::MSG_NOSIGNAL).build();
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
        let close = opcode::Close::new(Fd(connection.fd));
        self.connections.remove(index);
        push(&mut self.ring, close.build().user_data(CLOSE))
    }
}
