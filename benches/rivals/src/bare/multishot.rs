//! The bare ring's other mode: one multishot receive for each connection, into buffers of one provided ring that are
//! sent back as they are, and then provided anew.

use std::io;
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use io_uring::{cqueue, opcode, types};

use super::ring::{check, push, ring, set_nodelay};

pub const SETTINGS: &str = "as bare-ring, with multishot receives from one ring of 512 provided buffers";

const BUFFERS: u16 = 512;
const ACCEPT: u64 = u64::MAX;
const SEND: u64 = 1 << 32;

struct Provided {
    entries: *mut BufRingEntry,
    memory: Vec<u8>,
    size: usize,
    tail: u16,
}

impl Provided {
    fn new(size: usize) -> Self {
        let layout = std::alloc::Layout::from_size_align(16 * usize::from(BUFFERS), 4_096).expect("a layout");
        // SAFETY: the layout has a size.
        let entries = unsafe { std::alloc::alloc_zeroed(layout) }.cast();
        Provided { entries, memory: vec![0; size * usize::from(BUFFERS)], size, tail: 0 }
    }

    fn bytes(&mut self, id: u16) -> *mut u8 {
        &raw mut self.memory[usize::from(id) * self.size]
    }

    fn provide(&mut self, id: u16) {
        let address = self.bytes(id) as u64;
        // SAFETY: within the entries, which live as long as the process; the kernel looks there when told so.
        unsafe {
            let entry = &mut *self.entries.add(usize::from(self.tail % BUFFERS));
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
    /// Parts that are still to be sent: buffer, start and end.
    parts: std::collections::VecDeque<(u16, usize, usize)>,
}

pub fn echo(listener: std::net::TcpListener, size: usize) -> io::Result<()> {
    let mut ring = ring()?;
    let mut provided = Provided::new(size.max(4_096));
    // SAFETY: the entries live as long as the process.
    unsafe { ring.submitter().register_buf_ring_with_flags(provided.entries as u64, BUFFERS, 0, 0)? };
    (0..BUFFERS).for_each(|id| provided.provide(id));
    let listener = listener.into_raw_fd();
    push(&mut ring, opcode::AcceptMulti::new(types::Fd(listener)).build().user_data(ACCEPT))?;
    let mut connections: Vec<Connection> = Vec::new();
    let mut starved: Vec<usize> = Vec::new();
    let mut done: Vec<cqueue::Entry> = Vec::with_capacity(4_096);
    loop {
        ring.submit_and_wait(1)?;
        done.clear();
        done.extend(ring.completion());
        for entry in &done {
            let (data, result, flags) = (entry.user_data(), entry.result(), entry.flags());
            if data == ACCEPT {
                let fd = check(result)?;
                set_nodelay(fd)?;
                let index = connections.len();
                connections.push(Connection { fd, parts: Default::default() });
                push(&mut ring, opcode::RecvMulti::new(types::Fd(fd), 0).build().user_data(index as u64))?;
                continue;
            }
            let index = data as u32 as usize;
            if data & SEND != 0 {
                let count = check(result)? as usize;
                let (id, start, end) = connections[index].parts[0];
                if start + count == end {
                    connections[index].parts.pop_front();
                    provided.provide(id);
                    if let Some(other) = starved.pop() {
                        arm(&mut ring, &connections[other], other)?;
                    }
                } else {
                    connections[index].parts[0].1 += count;
                }
                send(&mut ring, &connections[index], index, &mut provided)?;
                continue;
            }
            if !cqueue::more(flags) {
                if result == -libc::ENOBUFS {
                    starved.push(index);
                } else if result == 0 {
                    // SAFETY: the number is this connection's, and nothing of it is in flight.
                    unsafe { libc::close(connections[index].fd) };
                } else {
                    arm(&mut ring, &connections[index], index)?;
                }
            }
            if result > 0 {
                let id = cqueue::buffer_select(flags).expect("a buffer");
                let first = connections[index].parts.is_empty();
                connections[index].parts.push_back((id, 0, result as usize));
                if first {
                    send(&mut ring, &connections[index], index, &mut provided)?;
                }
            }
        }
    }
}

fn arm(ring: &mut io_uring::IoUring, connection: &Connection, index: usize) -> io::Result<()> {
    push(ring, opcode::RecvMulti::new(types::Fd(connection.fd), 0).build().user_data(index as u64))
}

/// Sends the first part, if there is one.
fn send(
    ring: &mut io_uring::IoUring,
    connection: &Connection,
    index: usize,
    provided: &mut Provided,
) -> io::Result<()> {
    let Some(&(id, start, end)) = connection.parts.front() else { return Ok(()) };
    let pointer = provided.bytes(id).wrapping_add(start).cast_const();
    let send = opcode::Send::new(types::Fd(connection.fd), pointer, (end - start) as u32);
    push(ring, send.flags(libc::MSG_NOSIGNAL).build().user_data(SEND | index as u64))
}
