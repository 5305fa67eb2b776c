//! The io-uring crate, and nothing else: no tasks, no wakers, one slot per connection or buffer.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use io_uring::{IoUring, opcode, squeue, types};
use slab::Slab;

use crate::peer::{Aligned, BLOCK, Blocks};
use crate::process::pin_waker;
use crate::wire::Tally;
use crate::workload::{Cores, Service};

pub const SETTINGS: &str =
    "io-uring 0.7, 1,024 entries, SINGLE_ISSUER, DEFER_TASKRUN, COOP_TASKRUN, SUBMIT_ALL, one enter per turn";

pub(super) fn ring() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .setup_submit_all()
        .build(1_024)
}

/// Takes all completions that are there.
fn reap(ring: &mut IoUring, into: &mut Vec<(u64, i32)>) {
    into.clear();
    into.extend(ring.completion().map(|entry| (entry.user_data(), entry.result())));
}

pub(super) fn push(ring: &mut IoUring, entry: squeue::Entry) -> io::Result<()> {
    // SAFETY: the buffers that entries point to live as long as the loops below.
    while unsafe { ring.submission().push(&entry) }.is_err() {
        ring.submit()?;
    }
    Ok(())
}

pub fn nops(ops: u64, in_flight: usize) -> io::Result<()> {
    let mut ring = ring()?;
    let mut done = Vec::with_capacity(1_024);
    let (mut begun, mut ended) = (0, 0);
    while ended < ops {
        while begun < ops && begun - ended < in_flight as u64 {
            push(&mut ring, opcode::Nop::new().build().user_data(begun))?;
            begun += 1;
        }
        ring.submit_and_wait(1)?;
        reap(&mut ring, &mut done);
        ended += done.len() as u64;
    }
    Ok(())
}

pub fn blocks(ops: u64, what: Blocks, in_flight: usize, file: &Path) -> io::Result<()> {
    let file = what.options().open(file)?;
    let blocks = file.metadata()?.len() / BLOCK as u64;
    let mut ring = ring()?;
    let buffers: Vec<_> = (0..in_flight).map(|_| Aligned::new()).collect();
    let mut free: Vec<usize> = (0..in_flight).collect();
    let mut done = Vec::with_capacity(1_024);
    let (mut begun, mut ended) = (0, 0);
    while ended < ops {
        while begun < ops
            && let Some(index) = free.pop()
        {
            let position = begun.wrapping_mul(0x9e37_79b9_7f4a_7c15) % blocks * BLOCK as u64;
            let (fd, pointer) = (types::Fd(file.as_raw_fd()), buffers[index].pointer());
            let entry = match what {
                Blocks::Write => opcode::Write::new(fd, pointer, BLOCK as u32).offset(position).build(),
                _ => opcode::Read::new(fd, pointer, BLOCK as u32).offset(position).build(),
            };
            push(&mut ring, entry.user_data(index as u64))?;
            begun += 1;
        }
        ring.submit_and_wait(1)?;
        reap(&mut ring, &mut done);
        for (index, result) in &done {
            assert_eq!(*result, BLOCK as i32);
            free.push(*index as usize);
        }
        ended += done.len() as u64;
    }
    Ok(())
}

/// A thread sends the ring a message from a ring of its own, which is answered by unparking the thread.
pub fn wakes(ops: u64, cores: Cores) -> io::Result<()> {
    let mut parked = ring()?;
    let target = parked.as_raw_fd();
    let answered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| -> io::Result<()> {
            pin_waker(cores);
            let mut own = ring()?;
            for round in 1..=ops {
                let message = opcode::MsgRingData::new(types::Fd(target), 0, round, None).build();
                push(&mut own, message.flags(squeue::Flags::SKIP_SUCCESS))?;
                own.submit()?;
                while answered.load(Ordering::Acquire) < round {
                    std::thread::park();
                }
            }
            Ok(())
        });
        let mut done = Vec::new();
        for round in 1..=ops {
            while !done.contains(&(round, 0)) {
                parked.submit_and_wait(1)?;
                reap(&mut parked, &mut done);
            }
            answered.store(round, Ordering::Release);
            thread.thread().unpark();
        }
        thread.join().expect("it does not panic")
    })
}

struct Connection {
    fd: RawFd,
    buffer: Vec<u8>,
    /// The part that is still to be sent: empty while the connection receives.
    start: usize,
    end: usize,
    tally: Tally,
}

const ACCEPT: u64 = u64::MAX;
const CLOSE: u64 = u64::MAX - 1;

/// Serves for ever: a plain receive or a plain send at a time on each connection.
pub fn serve(listener: std::net::TcpListener, service: Service, size: usize) -> io::Result<()> {
    let mut ring = ring()?;
    let listener = listener.into_raw_fd();
    let accept = || {
        let accept = opcode::Accept::new(types::Fd(listener), std::ptr::null_mut(), std::ptr::null_mut());
        accept.flags(libc::SOCK_CLOEXEC).build().user_data(ACCEPT)
    };
    push(&mut ring, accept())?;
    let mut connections: Slab<Connection> = Slab::new();
    let mut done = Vec::with_capacity(4_096);
    loop {
        ring.submit_and_wait(1)?;
        reap(&mut ring, &mut done);
        for (data, result) in done.drain(..) {
            let count = check(result)?;
            if data == CLOSE {
                continue;
            }
            if data == ACCEPT {
                let (buffer, tally) = (vec![0; size], Tally::default());
                let index = connections.insert(Connection { fd: count, buffer, start: 0, end: 0, tally });
                push(&mut ring, accept())?;
                push(&mut ring, connections[index].next(index))?;
                continue;
            }
            let (index, count) = (data as usize, count as usize);
            let connection = &mut connections[index];
            if connection.start < connection.end {
                connection.start += count;
            } else if count == 0 {
                push(&mut ring, opcode::Close::new(types::Fd(connection.fd)).build().user_data(CLOSE))?;
                connections.remove(index);
                continue;
            } else {
                connection.received(service, count)?;
            }
            push(&mut ring, connections[index].next(index))?;
        }
    }
}

impl Connection {
    /// So many bytes are in the buffer.
    fn received(&mut self, service: Service, count: usize) -> io::Result<()> {
        match service {
            Service::Echo => (self.start, self.end) = (0, count),
            Service::Sink => {
                if let Some(answer) = self.tally.take(&self.buffer[..count])? {
                    self.buffer[..answer.len()].copy_from_slice(&answer);
                    (self.start, self.end) = (0, answer.len());
                }
            }
        }
        Ok(())
    }

    /// Sends the rest of what is to be sent, or receives.
    fn next(&mut self, index: usize) -> squeue::Entry {
        let fd = types::Fd(self.fd);
        let entry = if self.start < self.end {
            let part = &self.buffer[self.start..self.end];
            opcode::Send::new(fd, part.as_ptr(), part.len() as u32).flags(libc::MSG_NOSIGNAL).build()
        } else {
            opcode::Recv::new(fd, self.buffer.as_mut_ptr(), self.buffer.len() as u32).build()
        };
        entry.user_data(index as u64)
    }
}

pub(super) fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
}
