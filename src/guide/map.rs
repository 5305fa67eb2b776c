//! The map of the source: folders, one turn of the loop, the life of one read, its cost, and the invariants.
//!
//! # Folders
//!
//! - `runtime/`: the loop, its settings and its report: [`Runtime`], [`Embed`], [`Runner`], [`Config`], [`Report`].
//! - [`task/`](crate::task): tasks, groups, cancellation, handles, wakers, entry from other threads, the blocking pool.
//! - [`combine/`](crate::combine): several futures at once: [`gather`], [`as_completed`], [`wait`], [`select!`] and others.
//! - [`time/`](crate::time): sleep, timeout, interval; the timing wheel.
//! - [`scope/`](crate::scope): cleanups that may await.
//! - [`stream/`](crate::stream): streams written as blocks of code.
//! - [`sync/`](crate::sync): locks, events, channels and queues, for one loop and between threads.
//! - [`net/`](crate::net), [`fs/`](crate::fs), [`io/`](crate::io): thin public types, with one operation for each method.
//! - [`signal/`](crate::signal): signals, counted for each listener.
//! - [`buf/`](crate::buf): the traits of owned buffers, windows, groups, errors that return buffers; chunks and their pool.
//! - [`guide/`](crate::guide): coming from asyncio; this map; [benchmarks](crate::guide::benchmarks).
//! - `op/`: the operations: each with its io_uring entry and its system call next to each other.
//! - `driver/`: operations in flight: slots, the ring, the poller, and the futures of operations.
//! - `sys/`: a system call as a value, eventfd, signals, thread-local context, forks.
//!
//! Imports point one way, from the floor of a folder to floors below. From the ground up the floors are:
//!
//! 1. `sys`, `buf`
//! 2. `task`
//! 3. `op`, `time`, `sync`, `scope`
//! 4. `driver`, `stream`
//! 5. `io`, `signal`, `combine`
//! 6. `net`, `fs`, `runtime`
//!
//! No two files import each other, directly or by a chain.
//!
//! Where to begin reading: `runtime/core/turn.rs` is the loop, `op/mod.rs` defines an operation, `driver/slots/lifecycle.rs`
//! its lifecycle, and `driver/engine.rs` has the two engines of a driver, by which the backends differ.
//! *A new operation is three edits*: its struct and `impl Op` in `op/`, one public method, one generic test.
//!
//! # One turn
//!
//! ```text
//! inbox        wake-ups and closures
//!   ↓          from other threads
//! timers       due timers wake tasks;
//!   ↓          no timer: no clock
//! ready queue  one generation: tasks
//!   ↓          ready at the start
//! any task ready?
//!   yes → poll the kernel only after
//!         256 polls or 200 µs, or if
//!         the ring's flags report
//!         work; do not wait there
//!   no  → poll the kernel and wait
//!         there: for a completion,
//!         an event, the next timer,
//!         or another thread
//!   ↓
//! deferred     wake tasks, release
//!              abandoned operations
//! ```
//!
//! A poll is one system call: on the proactor `io_uring_enter`, which submits, waits and reaps at once; on the selector
//! `epoll_pwait2`, which waits.
//!
//! # The life of one read
//!
//! `stream.read(buf).await`, when nothing has arrived yet:
//!
//! | | proactor | selector |
//! |---|---|---|
//! | first poll | The operation (the buffer and a reference to the socket) moves into a *slot*. An entry with the buffer's address goes into the submission queue. No system call. | `recv` is called and returns EAGAIN. The operation moves into a slot. The descriptor is registered with epoll, once for its life. |
//! | the loop sleeps | One system call submits the entry and waits. | One system call waits for an event. |
//! | bytes arrive | The kernel writes them into the buffer and posts a completion. | The kernel reports an edge: readable. |
//! | the loop wakes | The slot becomes *done* and keeps the result. The task becomes ready. | The registration notes "readable". The task becomes ready. |
//! | second poll | The operation moves out of its slot. The caller gets the buffer and the count. | `recv` is called and moves the bytes. The rest is the same. |
//! | dropped instead | The slot becomes an *orphan* and a cancel is queued. At the operation's last completion the buffer is freed; bytes that arrived all the same go to the stream's queue for the next read. | The slot is emptied. Nothing was received, so nothing is lost. |
//!
//! `stream.recv().await` receives into the runtime's own memory. On the proactor the first `recv` starts a *multishot
//! receive* that belongs to the stream. From then on the kernel takes a buffer from the ring that `driver/memory/buffers.rs` keeps
//! filled whenever bytes arrive. Each completion puts a [`Chunk`](crate::buf::Chunk) into the stream's queue
//! (`op/object/endpoint.rs`) and wakes the waiting task. A `recv` that finds a chunk there starts no operation. A dropped `recv`
//! holds no bytes, so it loses none.
//!
//! # The cost of one echo round trip
//!
//! A server that receives a message and sends it back does two operations. With 64 connections of 64 bytes, in
//! instructions in user space per operation, the mean of receives and sends is (callgrind over both ends of an echo in one
//! loop; Rust 1.95, x86-64, link-time optimisation):
//!
//! - **530: the future.** The I/O lock; the buffer and entry of a send made, moved into the slot, queued, and later the
//!   result taken out again; or received data taken from the endpoint. The code is in `driver/operation/submission.rs`,
//!   `driver/operation/transfer.rs`, `driver/operation/dispatch.rs` and `op/object/endpoint.rs`.
//! - **265: the completion.** It is taken from the queue, its slot is found and stepped, received bytes are queued with
//!   their endpoint, and the task is made ready. The code is in `driver/proactor/ring.rs`,
//!   `driver/proactor/deliver.rs`, `driver/slots/slot_ref.rs`, `driver/memory/buffers.rs` and
//!   `op/catalogue/net/multishot.rs`.
//! - **130: the task**, with the server's own code. It leaves the ready queue and is polled through its table; references
//!   are counted. The code is in `task/scheduler/` and `task/cell/`.
//! - **15: its share of the turn** and of the poll of the kernel, in `runtime/core/turn.rs`.
//! - **940: the sum.**
//!
//! `cargo bench --bench instructions -- echo` counts all four operations of a round trip, with 8 connections: 4,211. The
//! parts above were measured when it counted 3,839; the checks that make every operation sound and every descriptor usable
//! were added since.
//!
//! No part allocates, hashes, or takes an atomic read-modify-write. There is one system call for all ready operations: 0.03
//! per round trip with 64 connections. The other 95 % of the round trip is the kernel's loopback, which a loop without a
//! runtime pays as well. Above that loop, the bare ring of `benches/rivals`, the crate adds 2 to 6 % of CPU time: tasks,
//! futures, and the ownership of buffers, none of which the bare ring has. These figures are from
//!
//! ```text
//! cd benches/rivals
//! cargo run --release -- --only echo-64-64 --rounds 9 \
//!     --runtimes bare-ring,proactor,tokio,monoio
//! ```
//!
//! # Invariants
//!
//! - **An operation leaves its slot only at its terminal completion**: not when its future is dropped, not
//!   when its cancel completes, not when the ring is closed. Until then its memory does not move and is not
//!   freed; at a shutdown's deadline it is leaked, and counted.
//! - **Received data belongs to the endpoint**, not to a future: every receive looks into the endpoint's queue first. A
//!   buffer lies in the kernel's ring, in the pool, or with the chunks that keep it, and one piece of code moves it from
//!   each to the next.
//! - **A key is used once.** Index and generation go to the kernel as `user_data`, so a late completion matches no newer
//!   operation.
//! - **A slot holds a reference to its descriptor.** The number is not closed, and so not reused, while an entry that names
//!   it may be consumed. A place of the ring's own table is reserved before the operation that fills it, and reused only
//!   after the entry that empties it.
//! - **A drop outside the running loop closes at once**: it submits the cancel of its operation, takes the completion,
//!   and closes. It runs no waker and no destructor of other operations; the loop does that in its next turn.
//! - **No user code** (wakers, destructors, futures) **runs while the driver is borrowed.**
//! - **Only the files of `driver/` itself match on the engine**; only `driver/proactor/uring.rs` calls io_uring (with `open.rs` and
//!   `resize.rs`, which make the ring and a larger one), only `driver/selector/poller.rs` waits with epoll
//!   (`listening.rs` makes the set by which a ring polls a listener), and a running loop waits in
//!   these two alone (but for a pause when the kernel refuses a ring's enter again and again).
//! - **Only `time` reads the clock**, and all randomness comes from one seed: [`Config::seed`], or a random one that
//!   the report contains.
//! - **There is no thread but the caller's** until the blocking pool gets its first job.
//! - **A cancelled task completes only after everything that it began**: its operations have completed, the tasks that it
//!   cancelled have ended, and its cleanups have run. A cleanup is never cancelled.
//! - **`unsafe` is in `task/`, `driver/`, `op/`, `buf/` and `sys/`**, and where `sync/` makes the guards of its locks; every
//!   other file forbids it.
//!
//! [`Runtime`]: crate::Runtime
//! [`Embed`]: crate::Embed
//! [`Runner`]: crate::Runner
//! [`Config`]: crate::Config
//! [`Config::seed`]: crate::Config::seed
//! [`Report`]: crate::Report
//! [`gather`]: fn@crate::gather
//! [`as_completed`]: fn@crate::as_completed
//! [`wait`]: fn@crate::wait
//! [`select!`]: crate::select
#![forbid(unsafe_code)]
