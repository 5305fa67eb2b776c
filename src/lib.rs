//! An async runtime for Linux with two backends behind one trait, [`Runtime`]. The *proactor* submits operations to
//! io_uring and resumes tasks on completions. The *selector* waits for readiness with epoll. The same program runs on
//! either. The vocabulary and the behaviour are those of Python's asyncio.
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
//!     drop(client); // the server's `recv` returns `None`
//!     server.await.expect("the server has not panicked")
//! }).unwrap();
//! ```
//!
//! # Everyday tasks
//!
//! | to | use |
//! |---|---|
//! | run a future from ordinary code | [`run`]; a [`Runtime`] and its [`block_on`](Runtime::block_on); [`Runner`] for Ctrl-C and SIGTERM |
//! | start a task | [`spawn`]; [`task_group`](task::task_group()) for work that belongs together; [`TaskSet`](task::TaskSet) for a server's connections |
//! | call something that blocks | [`spawn_blocking`] |
//! | run several futures at once | [`join!`], [`gather`](fn@gather), [`select!`], [`as_completed`](fn@as_completed), [`wait`](fn@wait) |
//! | connect, listen, send and receive | [`net`]: [`TcpStream`](net::TcpStream), [`TcpListener`](net::TcpListener), [`UdpSocket`](net::UdpSocket) |
//! | read and write files and pipes | [`fs`], [`io`] |
//! | sleep, repeat, limit the time | [`sleep`](time::sleep()), [`interval`](time::interval()), [`timeout`](time::timeout()) |
//! | cancel a task, and clean up | [`JoinHandle::cancel`](task::JoinHandle::cancel), [`catch_cancel`](task::catch_cancel()), [`scope::using`] |
//! | share data and pass messages | [`sync`]: locks, events, channels and queues; [`sync::shared`] between threads |
//! | handle signals | [`signal`] |
//! | test on both backends | [`test`](fn@test) |
//! | drive the runtime from another event loop | [`Embed`] |
//! | port an asyncio program | the [`guide`], and [asyncio's names](guide::names) with their counterparts |
//!
//! ## Run a future
//!
//! [`run`] makes a runtime, runs one future to completion, cancels the tasks that are left, and ends the runtime. To change
//! the settings, make the runtime yourself:
//!
//! ```
//! use proactor::{Auto, Config};
//!
//! let runtime = Auto::with_config(&Config::new().pool_threads(4))?;
//! let answer = runtime.block_on(async { 6 * 7 });
//! assert_eq!(answer, 42);
//! # std::io::Result::Ok(())
//! ```
//!
//! ## Spawn tasks
//!
//! A task runs concurrently with the others, on the same thread: it need not be `Send`. Its [`JoinHandle`](task::JoinHandle)
//! is a future of its result. A panic in a task becomes its [`JoinError`](task::JoinError). A dropped handle detaches the
//! task.
//!
//! ```
//! use proactor::{spawn, spawn_blocking};
//!
//! proactor::run(async {
//!     let task = spawn(async { 1 });
//!     let thread = spawn_blocking(|| 2); // on a thread of the pool: it may block
//!     assert_eq!(task.await? + thread.await?, 3);
//!     Ok::<_, proactor::task::JoinError>(())
//! }).unwrap();
//! ```
//!
//! ## Sockets and buffers
//!
//! An operation *owns* its buffer and returns it with the result, also on error: with io_uring the kernel writes into
//! the buffer while the task waits. [`recv`](net::TcpStream::recv) needs no buffer: the runtime provides the memory, and
//! an idle connection keeps none.
//!
//! ```
//! # use proactor::net::{TcpListener, TcpStream};
//! # proactor::run(async {
//! # let listener = TcpListener::bind("127.0.0.1:0").await?;
//! # let stream = TcpStream::connect(listener.local_addr()?).await?;
//! # let (peer, _) = listener.accept().await?;
//! let (count, buffer) = stream.write(vec![1, 2, 3]).await?;
//! # peer.write_all("answer").await?;
//! let (count, buffer) = stream.read(buffer).await?; // the same memory
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```
//!
//! ## Time limits
//!
//! [`timeout`](time::timeout()) drops the future when the time has elapsed. It is safe around a read or an accept: bytes and
//! connections that arrive for a dropped operation go to the next one. [`wait_for`](time::wait_for()) and
//! [`timeout_scope`](time::timeout_scope()) send a cancellation instead, and wait until the cleanups have run.
//!
//! ```
//! use proactor::time::timeout;
//! use std::time::Duration;
//!
//! proactor::run(async {
//!     let socket = proactor::net::UdpSocket::bind("127.0.0.1:0").await?;
//!     let nothing = timeout(Duration::from_millis(5), socket.recv_from([0; 16])).await;
//!     assert!(nothing.is_err()); // elapsed
//!     std::io::Result::Ok(())
//! }).unwrap();
//! ```
//!
//! ## Cancellation
//!
//! [`JoinHandle::cancel`](task::JoinHandle::cancel) requests cancellation and waits for the end of the task. The task's future
//! is dropped at its next await. A cancelled task completes only after its operations have completed and its cleanups have
//! run. With [`catch_cancel`](task::catch_cancel()) a task handles the request in its own code, which may await.
//!
//! ```
//! proactor::run(async {
//!     let task = proactor::spawn(std::future::pending::<()>());
//!     assert!(task.cancel().await.unwrap_err().is_cancelled());
//! });
//! ```
//!
//! ## Choose a backend
//!
//! The type of the runtime chooses its backend:
//!
//! - [`Auto`] uses the proactor if the kernel allows it, and the selector otherwise. [`run`] uses this type.
//! - [`Proactor`] uses io_uring. If the kernel refuses it, the constructor returns an error with the cause and the remedy.
//! - [`Selector`] uses epoll.
//!
//! The environment variable `PROACTOR_BACKEND=proactor` or `PROACTOR_BACKEND=selector` chooses for [`Auto`]. [`Report`]
//! contains the backend in use and the reason for the choice. Container engines forbid io_uring by default.
//!
//! The proactor is designed for Linux 6.1 and later, and runs on 5.11 and later. It has a fallback for each kernel feature
//! that is newer; [`Config::mask`] forces the fallback.
//!
//! ```
//! use proactor::{Auto, Runtime, Selector};
//!
//! fn answer<R: Runtime>() -> std::io::Result<u32> {
//!     Ok(R::new()?.block_on(async { 6 * 7 }))
//! }
//!
//! assert_eq!(answer::<Selector>()?, 42);
//! assert_eq!(answer::<Auto>()?, 42);
//! # std::io::Result::Ok(())
//! ```
//!
//! # Features
//!
//! No feature is on by default.
//!
//! | feature | adds |
//! |---|---|
//! | `bytes` | `Bytes` and `BytesMut` as buffers; conversion of a [`Chunk`](buf::Chunk) into `Bytes` without a copy |
//!
//! # Threads and processes
//!
//! A runtime stays on its thread, and so does everything that belongs to it: sockets, files, tasks. The compiler refuses to
//! send them. A [`Handle`](task::Handle) reaches the runtime from other threads.
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
//!
//! A function that needs a running loop panics without one, and the message names the fix. A loop inside a loop panics too:
//!
//! ```should_panic
//! proactor::run(async {
//!     proactor::run(async {}) // a second loop would stop the first: panics
//! });
//! ```
//!
//! A runtime belongs to the process that made it. In a child of fork(2) `block_on` panics with the cause, `turn` returns an
//! error, operations fail with `ECANCELED`, and handles with [`RuntimeGone`](task::RuntimeGone). The child can drop what it
//! inherited without harm to the parent, and can make runtimes of its own. Executed programs do not inherit descriptors.
//!
//! # The source
//!
//! The [map of the source](guide::map) shows the folders, one turn of the loop as a picture, the life of one read, its cost,
//! and the invariants.

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
    pub use super::driver::proactor::kernel::Fault;
}
pub mod signal;
pub mod stream;
pub mod sync;
mod sys;
pub mod task;
#[cfg(test)]
mod tests;
pub mod time;

#[doc(inline)]
pub use combine::{as_completed, gather, shield, try_gather, wait};
pub use driver::feature::{Feature, FeatureState};
pub use runtime::backend::Backend;
pub use runtime::config::Config;
pub use runtime::leak::Leak;
pub use runtime::report::{FeatureReport, Live, Report, Shutdown, Stats};
pub use runtime::rng::random;
pub use runtime::runner::Runner;
pub use runtime::testing::{Tester, test};
pub use runtime::{Auto, Budget, Embed, Proactor, Runtime, Selector, Turn, Wait, run};
#[doc(inline)]
pub use task::{spawn, spawn_blocking, yield_now};
