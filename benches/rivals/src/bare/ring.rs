//! The io-uring crate, and nothing else: no tasks, no wakers, one slot per connection or buffer.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use io_uring::{IoUring, opcode, squeue, types};

use crate::peer::{Aligned, BLOCK, Blocks};
use crate::process::pin_waker;
use crate::workload::Cores;

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
    /// The part that is still to be sent.
    start: usize,
    end: usize,
}

const ACCEPT: u64 = u64::MAX;

/// Sends back what comes, for ever: a plain receive and a plain send at a time on each connection.
pub fn echo(listener: std::net::TcpListener, size: usize) -> io::Result<()> {
    let mut ring = ring()?;
    let listener = listener.into_raw_fd();
    let accept = || opcode::Accept::new(types::Fd(listener), std::ptr::null_mut(), std::ptr::null_mut());
    push(&mut ring, accept().flags(libc::SOCK_CLOEXEC).build().user_data(ACCEPT))?;
    let mut connections: Vec<Connection> = Vec::new();
    let mut done = Vec::with_capacity(4_096);
    loop {
        ring.submit_and_wait(1)?;
        reap(&mut ring, &mut done);
        for (index, result) in done.drain(..) {
            if index == ACCEPT {
                let fd = check(result)?;
                set_nodelay(fd)?;
                connections.push(Connection { fd, buffer: vec![0; size], start: 0, end: 0 });
                push(&mut ring, accept().flags(libc::SOCK_CLOEXEC).build().user_data(ACCEPT))?;
                let index = connections.len() - 1;
                push(&mut ring, receive(&mut connections[index], index))?;
                continue;
            }
            let index = index as usize;
            let connection = &mut connections[index];
            let count = check(result)? as usize;
            // What is to be sent is empty while the connection receives.
            if connection.start == connection.end {
                if count == 0 {
                    // SAFETY: the number is this connection's, and nothing of it is in flight.
                    unsafe { libc::close(connection.fd) };
                    continue;
                }
                (connection.start, connection.end) = (0, count);
            } else {
                connection.start += count;
            }
            let next = if connection.start < connection.end {
                let part = &connection.buffer[connection.start..connection.end];
                let send = opcode::Send::new(types::Fd(connection.fd), part.as_ptr(), part.len() as u32);
                send.flags(libc::MSG_NOSIGNAL).build().user_data(index as u64)
            } else {
                receive(connection, index)
            };
            push(&mut ring, next)?;
        }
    }
}

fn receive(connection: &mut Connection, index: usize) -> squeue::Entry {
    let buffer = &mut connection.buffer;
    let receive = opcode::Recv::new(types::Fd(connection.fd), buffer.as_mut_ptr(), buffer.len() as u32);
    receive.build().user_data(index as u64)
}

pub(super) fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
}

pub(super) fn set_nodelay(fd: RawFd) -> io::Result<()> {
    // SAFETY: the number is open, and the socket is forgotten before it would close it.
    let socket = unsafe { <socket2::Socket as std::os::fd::FromRawFd>::from_raw_fd(fd) };
    let result = socket.set_tcp_nodelay(true);
    let _ = socket.into_raw_fd();
    result
}
