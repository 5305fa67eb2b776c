//! A runtime for async programs on Linux whose loop *submits operations to io_uring and resumes tasks on
//! completions* (a proactor), next to a loop that *waits for readiness with epoll* (a selector), both behind
//! one trait, [`Runtime`]. The same program runs on either.
//!
//! ```
//! use proactor::net::{TcpListener, TcpStream};
//!
//! proactor::run(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!
//!     let server = proactor::spawn(async move {
//!         let (stream, _peer) = listener.accept().await?;
//!         while let Some(message) = stream.recv().await? {
//!             stream.write_all(message).await?;
//!         }
//!         std::io::Result::Ok(())
//!     });
//!
//!     let client = TcpStream::connect(address).await?;
//!     client.write_all("hello").await?;
//!     let (_count, echo) = client.read_exact([0; 5]).await?;
//!     assert_eq!(echo, *b"hello");
//!     drop(client); // the server's `recv` gives `None`
//!     server.await.expect("the server has not panicked")
//! }).unwrap();
//! ```
//!
//! Buffers are *owned*: an operation takes one and gives it back with its result, also on error, because
//! with completions it is the kernel that writes into it, at a time of its choosing.
//!
//! # The map
//!
//! | module | what it is |
//! |---|---|
//! | [`Runtime`], [`Embed`], [`Runner`], [`Config`], [`Report`] | `runtime/`: the loop, its settings, what it says of itself |
//! | [`task`] | tasks, groups, cancellation, handles, wakers, ways in from other threads, the blocking pool |
//! | [`gather`], [`as_completed`], [`wait`], [`select!`] ... | `combine/`: several futures at once |
//! | [`time`] | sleep, timeout, interval; the timing wheel |
//! | [`scope`], [`stream`] | ends that may await; streams written as blocks of code |
//! | [`sync`] | locks, events, channels and queues, for one loop and between threads |
//! | [`net`], [`fs`], [`io`] | thin public types: one operation for each method |
//! | [`signal`] | signals, counted for each who listens |
//! | [`buf`] | owned buffers: the traits, windows, groups, errors that give them back; chunks and their pool |
//! | [`guide`] | coming from asyncio: the lessons, the differences, its names one by one |
//! | `op/` | the operations: each with its io_uring entry and its system call next to each other |
//! | `driver/` | operations in flight: slots, the ring, the poller |
//! | `sys/` | a system call as a value, eventfd, signals, thread-local context, forks |
//!
//! Arrows point one way: `sys, buf ← op ← driver ← net, fs, io, signal`, `driver, task, time ← runtime`, and
//! `task ← combine, scope, stream, sync`.
//!
//! Where to begin reading: `runtime/core.rs` is the loop, `op/mod.rs` says what an operation is,
//! `driver/slot.rs` what becomes of it, and `driver/mod.rs` is the only place where the two backends part.
//! *One new operation is three edits*: its struct and `impl Op` in `op/`, one public method, one generic test.
//!
//! # One turn
//!
//! ```text
//!          ┌────────────────────────────────────────────────────────────────────────────┐
//!          │  inbox         wake-ups and closures from other threads, in arrival order  │
//!          │    ↓                                                                       │
//!          │  timers        what is due becomes ready; no timer, no look at the clock   │
//!          │    ↓                                                                       │
//!          │  ready queue   one generation: what was ready when the turn began          │
//!          │    ↓                                                                       │
//!          │  something ready?                                                          │
//!          │    yes → visit the kernel only if 256 polls or 200 µs have passed, or if   │
//!          │          the ring's flags say that there is work; do not wait there        │
//!          │    no  → visit the kernel and wait there: until a completion or an event,  │
//!          │          the next timer, or a wake-up from another thread                  │
//!          │    ↓                                                                       │
//!          │  settle        wake tasks, take abandoned operations apart                 │
//!          └────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A visit is one system call: `io_uring_enter` submits, waits and reaps at once; `epoll_pwait2` waits.
//!
//! # The life of one read
//!
//! `stream.read(buf).await`, when nothing has arrived yet:
//!
//! | | proactor | selector |
//! |---|---|---|
//! | first poll | The operation (buffer and a share of the socket) is written into its *slot*, and an entry with the buffer's address into the submission queue. No system call. | `recv` is called: EAGAIN. The operation is written into its slot, the descriptor is registered with epoll, once and for all. |
//! | the loop sleeps | `io_uring_enter` hands the entry over, and waits | `epoll_pwait2` waits |
//! | bytes arrive | The kernel writes them into the buffer and posts a completion. | The kernel reports an edge: readable. |
//! | the loop wakes | The slot becomes *done* and keeps the result; the task becomes ready. | The registration notes "readable"; the task becomes ready. |
//! | second poll | The operation is moved out of its slot; buffer and count go to the caller. | `recv` is called and moves the bytes; the same from here. |
//! | dropped instead | The slot becomes an *orphan* and a cancel is queued. When the operation's own last completion arrives, bytes that came all the same go to the stream's queue for the next read, and the buffer is freed. | The slot is emptied. Nothing was received, so nothing is lost. |
//!
//! `stream.recv().await` receives into the runtime's own memory, and is another story on the proactor: the first one
//! begins a *standing operation*, a multishot receive that belongs to the stream. From then on the kernel takes a buffer
//! of the ring that `driver/buffers.rs` keeps filled whenever bytes arrive, and each completion puts a [`Chunk`](buf::Chunk)
//! into the stream's queue (`op/endpoint.rs`) and wakes who waits. A `recv` that finds something there is no operation at
//! all. A dropped one takes nothing along, since it had nothing.
//!
//! # What one echo round trip costs
//!
//! A server that receives a message and sends it back does two operations. With 64 connections of 64 bytes, in
//! instructions in user space, the mean of receives and sends (callgrind over both ends of an echo in one loop; Rust
//! 1.95, x86-64, link-time optimisation):
//!
//! | part | of one operation | where |
//! |---|---|---|
//! | the future: the gate; the buffer and entry of a send made, moved into the slot, queued, and later the result taken out again; or what has arrived taken from the endpoint | 530 | `driver/submission.rs`, `repeat.rs`, `dispatch.rs`, `op/endpoint.rs` |
//! | the completion taken from the queue, its slot found and stepped, received bytes queued with their endpoint, the task made ready | 265 | `driver/ring.rs`, `slots.rs`, `buffers.rs`, `op/standing.rs` |
//! | the task: out of the ready queue, polled by way of its table, references | 130, the server's own code included | `task/scheduler.rs`, `cell.rs` |
//! | its share of the turn and of the visit to the kernel | 15 | `runtime/core.rs` |
//! | **together** | **940** | |
//!
//! `cargo bench --bench instructions -- echo` counts all four of a round trip, with 8 connections: 4,211. The parts above
//! were measured when it counted 3,839; the checks that make every operation sound and every descriptor usable came since.
//!
//! None of it allocates, hashes, or takes an atomic read-modify-write, and there is one system call for all that is
//! ready: 0.03 of one per round trip with 64 connections. Everything else, 95 % of the round trip, is the kernel's
//! loopback, which a loop without a runtime pays as well. Above that loop, the bare ring of `benches/rivals`, remain 2
//! to 6 % of CPU time: tasks, futures, and the ownership of buffers, none of which it has. These figures are those of
//!
//! ```text
//! cd benches/rivals && cargo run --release -- --only echo-64-64 --runtimes bare-ring,proactor,tokio,monoio --rounds 9
//! ```
//!
//! # Invariants
//!
//! - **An operation leaves its slot only at its terminal completion**: not when its future is dropped, not
//!   when its cancel completes, not when the ring is closed. Until then its memory does not move and is not
//!   freed; at a shutdown's deadline it is leaked, and counted.
//! - **What the kernel delivers belongs to the endpoint**, not to a future: its queue is the first place where any receive
//!   looks. A buffer lies either in the kernel's ring, in the pool, or with chunks that keep it, and goes from one to the
//!   next by one hand.
//! - **A key is used once.** Index and generation go to the kernel as `user_data`, so that what comes late
//!   meets nobody.
//! - **A slot holds a share of its descriptor**, so that a number is not closed, and so not used again, while
//!   an entry that names it may be consumed. A place of the ring's own table is set aside before the operation that fills
//!   it, and used again only behind the entry that empties it.
//! - **A drop outside the running loop closes at once**: it hands the cancel of its operation over, takes the completion,
//!   and closes. It runs no waker and no destructor of other operations; the loop does that in its next turn.
//! - **No code of the user** (wakers, destructors, futures) **runs while the driver is borrowed.**
//! - **Only `driver/mod.rs` matches on the backend**; only `driver/kernel.rs` calls io_uring (with `open.rs` and
//!   `resize.rs`, which make the ring and a larger one), only `driver/poller.rs` waits with epoll
//!   (`listening.rs` makes the set by which a ring polls a listener), and a running loop waits in
//!   these two alone (but for a pause when the kernel refuses a ring's enter again and again).
//! - **Only `time` reads the clock**, and all randomness comes from [`Config::seed`].
//! - **There is no thread but the caller's** until the blocking pool gets its first job.
//! - **Who is cancelled ends when what it began is over**: operations are reaped, tasks that it cancelled have ended, its
//!   clean-ups are done. Nobody cancels a clean-up.
//! - **`unsafe` is in `task/`, `driver/`, `op/`, `buf/` and `sys/`**, and where `sync/` makes the guards of its locks; every
//!   other file forbids it.
//!
//! # Backends and kernels
//!
//! [`Proactor`] and [`Selector`] are what they say, or fail with cause and cure. [`Auto`] takes the proactor
//! where the kernel lets it, and says in its [`Report`] why where not; `PROACTOR_BACKEND=proactor` or
//! `=selector` decides for it. Container engines forbid io_uring by default. The proactor wants Linux 6.1 and
//! has fallbacks for what is newer, each of which can be forced by [`Config::mask`]; it makes do with 5.11.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `bytes` | `Bytes` and `BytesMut` as buffers; a [`Chunk`](buf::Chunk) becomes a `Bytes` without a copy |
//!
//! # Misuse
//!
//! What needs a loop and finds none panics and names the fix, and so does a loop inside a loop:
//!
//! ```should_panic
//! proactor::run(async {
//!     proactor::run(async {}) // a second loop would stop the first: panics
//! });
//! ```
//!
//! A runtime belongs to the process in which it was made. In a child of fork(2) `block_on` panics and says so,
//! `turn` gives an error, operations end with `ECANCELED`, handles with
//! [`RuntimeGone`](task::RuntimeGone); what the child inherited can be dropped there without harm to the parent,
//! and the child can make runtimes of its own. Descriptors are not inherited by programs that are executed.
//!
//! What belongs to one thread does not compile on another:
//!
//! ```compile_fail,E0277
//! fn must_be_send<T: Send>() {}
//! must_be_send::<proactor::net::UdpSocket>();
//! ```
//! ```compile_fail,E0277
//! fn must_be_send<T: Send>() {}
//! must_be_send::<proactor::fs::File>();
//! ```
//! ```
//! fn must_be_send<T: Send + Sync>() {}
//! must_be_send::<proactor::task::Handle>();
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(target_os = "linux"))]
compile_error!("proactor is for Linux: its backends are io_uring and epoll");

#[cfg(not(target_pointer_width = "64"))]
compile_error!("proactor is for 64-bit machines: file offsets are passed to system calls in one register");

#[macro_use]
mod error;
pub mod buf;
pub mod combine;
#[macro_use]
mod driver;
pub mod fs;
pub mod guide;
pub mod io;
pub mod net;
mod op;
mod runtime;
pub mod scope;
/// For the crate's own tests; no part of the interface.
#[doc(hidden)]
pub mod testing {
    pub use crate::driver::kernel::Fault;
}
pub mod signal;
pub mod stream;
pub mod sync;
mod sys;
pub mod task;
#[cfg(test)]
mod tests;
pub mod time;

pub use combine::{as_completed, gather, shield, try_gather, wait};
pub use driver::feature::{Feature, FeatureState};
pub use runtime::config::Config;
pub use runtime::leak::Leak;
pub use runtime::report::{Backend, FeatureReport, Live, Report, Shutdown, Stats};
pub use runtime::rng::random;
pub use runtime::runner::Runner;
pub use runtime::testing::{Tester, test};
pub use runtime::{Auto, Budget, Embed, Proactor, Runtime, Selector, Turn, Wait, run};
pub use task::{spawn, spawn_blocking, yield_now};
