//! Guards the cost of operations in instructions, which do not depend on how busy the machine is.
//!
//! ```text
//! cargo bench --bench instructions            # counts, and compares with what is written down here
//! cargo bench --bench instructions -- nop     # one of them
//! ```
//!
//! Each kind of work runs in a process of its own that is stepped through, instruction by instruction: see
//! `PTRACE_SINGLESTEP` in ptrace(2). What is counted is user space alone: the crate, the C library, the work itself.
//! The figure for one operation is the difference of a long and a short run, over the difference of their
//! operations, so that turns of the loop are shared among the operations in flight, as they are in life.
//!
//! Operations that complete within the visit that submits them are stepped through; one that has to wait is not, since
//! the tracer's stops end its waits.
//!
//! It fails when an operation takes more than a tenth more instructions than it should. That tolerance covers
//! other compilers and C libraries; a change of the crate that costs more has to say why, and to change the figure.

use std::future::{Future, poll_fn};
use std::os::fd::FromRawFd;
use std::os::unix::process::CommandExt;
use std::pin::{Pin, pin};
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use proactor::fs::File;
use proactor::io::nop;
use proactor::net::{TcpListener, TcpStream};
use proactor::time::timeout;
use proactor::{Proactor, spawn, yield_now};

/// By how much an operation may exceed its figure: by this part of it, and by these few, since no two runs of a
/// process are the same to the last instruction.
const TOLERANCE: f64 = 0.10;
const CHANCE: f64 = 8.0;
/// Operations before the count, and of the short and of the long run.
const WARM_UP: u32 = 256;
const SHORT: u32 = 32;
const LONG: u32 = 96;
/// The long run of what takes few instructions, of which chance would be a larger part.
const LONG_OF_LITTLE: u32 = 416;
const LITTLE: f64 = 400.0;
/// Operations in flight, where they are not one after the other.
const IN_FLIGHT: u32 = 32;
const CONNECTIONS: u32 = 8;

/// Name, instructions of one operation (x86-64, Rust 1.95, release with link-time optimisation), and the work.
type Kind = (&'static str, f64, fn(u32) -> Pin<Box<dyn Future<Output = ()>>>);

const KINDS: &[Kind] = &[
    ("spawn and join", 378.0, |ops| Box::pin(spawns(ops))),
    ("yield", 154.0, |ops| Box::pin(yields(ops))),
    ("timeout, ready", 14.0, |ops| Box::pin(timeouts_ready(ops))),
    ("timeout, armed and dropped", 246.0, |ops| Box::pin(timeouts_armed(ops))),
    ("nop, one in flight", 1115.0, |ops| Box::pin(nops(ops, 1))),
    ("nop, 32 in flight", 554.0, |ops| Box::pin(nops(ops, IN_FLIGHT))),
    ("read_at, 32 in flight", 868.0, |ops| Box::pin(reads(ops))),
    ("write_at, one in flight", 1470.0, |ops| Box::pin(writes(ops))),
    ("echo of 64 bytes, both ends", 4211.0, |ops| Box::pin(echoes(ops))),
];

async fn spawns(ops: u32) {
    let mut tasks = Vec::with_capacity(IN_FLIGHT as usize);
    for _ in 0..ops / IN_FLIGHT {
        tasks.extend((0..IN_FLIGHT).map(|number| spawn(async move { std::hint::black_box(number) })));
        for task in tasks.drain(..) {
            task.await.expect("nobody cancels it");
        }
    }
}

/// The operations, shared by so many tasks.
async fn share<F: Future<Output = ()> + 'static>(ops: u32, tasks: u32, work: impl Fn(u32) -> F) {
    let tasks: Vec<_> = (0..tasks).map(|_| spawn(work(ops / tasks))).collect();
    for task in tasks {
        task.await.expect("nobody cancels it");
    }
}

async fn yields(ops: u32) {
    share(ops, IN_FLIGHT, |ops| async move {
        for _ in 0..ops {
            yield_now().await;
        }
    })
    .await;
}

const MINUTE: Duration = Duration::from_secs(60);

async fn timeouts_ready(ops: u32) {
    for _ in 0..ops {
        assert!(timeout(MINUTE, std::future::ready(())).await.is_ok());
    }
}

async fn timeouts_armed(ops: u32) {
    for _ in 0..ops {
        let mut limited = pin!(timeout(MINUTE, std::future::pending::<()>()));
        assert!(poll_fn(|cx| Poll::Ready(limited.as_mut().poll(cx).is_pending())).await);
    }
}

async fn nops(ops: u32, tasks: u32) {
    share(ops, tasks, |ops| async move {
        for _ in 0..ops {
            nop().await.expect("a NOP");
        }
    })
    .await;
}

/// A file without a name, in memory.
fn file() -> File {
    // SAFETY: memfd_create(2) answers with a descriptor that nobody else owns; the name is a C string.
    let file = unsafe {
        let number = libc::memfd_create(c"instructions".as_ptr(), libc::MFD_CLOEXEC);
        assert!(number >= 0, "{}", std::io::Error::last_os_error());
        std::fs::File::from_raw_fd(number)
    };
    file.set_len(4_096).expect("a small file");
    File::from_std(file)
}

async fn reads(ops: u32) {
    let file = Rc::new(file());
    share(ops, IN_FLIGHT, |ops| {
        let file = file.clone();
        async move {
            let mut buffer = Vec::with_capacity(4_096);
            for _ in 0..ops {
                buffer = file.read_at(buffer, 0).await.expect("a read").1;
            }
        }
    })
    .await;
}

async fn writes(ops: u32) {
    let (file, mut buffer) = (file(), vec![7; 4_096]);
    for _ in 0..ops {
        buffer = file.write_at(buffer, 0).await.expect("a write").1;
    }
}

/// Round trips of some connections, client and server in this loop.
async fn echoes(ops: u32) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = TcpStream::connect(address).await.expect("a connection");
        connections.push((client, listener.accept().await.expect("the same").0));
    }
    let tasks = connections.into_iter().flat_map(|(client, server)| {
        let serving = spawn(async move {
            while let Some(message) = server.recv().await.expect("a message") {
                server.write_all(message).await.expect("a send");
            }
        });
        let asking = spawn(async move {
            let mut message = vec![7; 64];
            for _ in 0..ops / CONNECTIONS {
                message = client.write_all(message).await.expect("a send").1;
                let answer = client.recv().await.expect("an answer");
                assert_eq!(answer.map(|answer| answer.len()), Some(64));
            }
        });
        [serving, asking]
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("nobody cancels it");
    }
}

/// The process that is counted. What is the same for a short and a long run cancels out.
fn child(kind: &Kind, ops: u32) {
    let runtime = Proactor::new().unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on((kind.2)(WARM_UP));
    raise(Signal::SIGSTOP).expect("a process may stop itself");
    runtime.block_on((kind.2)(ops));
    raise(Signal::SIGSTOP).expect("a process may stop itself");
}

/// Instructions of the child between its two stops.
#[expect(clippy::zombie_processes, reason = "it is waited for by its number")]
fn count(name: &str, ops: u32) -> nix::Result<u64> {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([CHILD, name, &ops.to_string()]);
    // SAFETY: ptrace(2) is a plain system call.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
    let child = command.spawn().expect("this program, again");
    let child = Pid::from_raw(child.id() as i32);
    let stopped_by = |signal| matches!(signal, WaitStatus::Stopped(_, Signal::SIGSTOP));
    let mut status = waitpid(child, None)?; // it has executed the program
    while !stopped_by(status) {
        if !matches!(status, WaitStatus::Stopped(..)) {
            return Err(nix::Error::ECHILD); // it ended
        }
        ptrace::cont(child, None)?;
        status = waitpid(child, None)?;
    }
    let mut count = 0;
    loop {
        ptrace::step(child, None)?;
        status = waitpid(child, None)?;
        if stopped_by(status) {
            break;
        }
        if !matches!(status, WaitStatus::Stopped(..)) {
            return Err(nix::Error::ECHILD);
        }
        count += 1;
    }
    ptrace::kill(child)?;
    waitpid(child, None)?;
    Ok(count)
}

const CHILD: &str = "--child";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [mode, name, ops] = &*arguments
        && mode == CHILD
    {
        let kind = KINDS.iter().find(|kind| kind.0 == name).expect("a kind of that name");
        child(kind, ops.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    if cfg!(not(target_arch = "x86_64")) || cfg!(debug_assertions) {
        println!("the figures are those of an optimised build for x86-64: nothing is compared");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = Proactor::new() {
        println!("no proactor, nothing to count: {error}");
        return ExitCode::SUCCESS;
    }
    let mut worse = false;
    for (name, expected, _) in KINDS.iter().filter(|kind| arguments.iter().all(|part| kind.0.contains(part)))
    {
        let long_run = if *expected < LITTLE { LONG_OF_LITTLE } else { LONG };
        let counts = count(name, SHORT).and_then(|short| Ok((short, count(name, long_run)?)));
        let (short, long) = match counts {
            Ok(counts) => counts,
            Err(error) => {
                println!("{name}: the process can't be stepped through: {error}");
                return ExitCode::FAILURE;
            }
        };
        let each = (long as f64 - short as f64) / f64::from(long_run - SHORT);
        let room = expected * TOLERANCE + CHANCE;
        let verdict = match each - expected {
            over if over > room => "TOO MANY",
            over if over < -room => "fewer: write the new figure down",
            _ => "as expected",
        };
        worse |= each > expected + room;
        println!("{name:30} {each:7.0} instructions, {expected:5.0} expected: {verdict}");
    }
    if worse {
        println!("an operation may take {:.0} % and {CHANCE} more than its figure", TOLERANCE * 100.0);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
