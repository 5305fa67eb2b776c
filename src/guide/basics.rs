//! The terms that every lesson uses, each with its counterpart in Python; and at the end, which function to take.
//!
//! # Concurrency and parallelism
//!
//! *Concurrent* tasks are under way in the same period: each has begun, and none has ended. *Parallel* tasks run at the same
//! instant, on different processors. A loop gives concurrency on one thread: of ten thousand tasks one runs, and the others
//! wait for the network, a timer or a lock. That is all that waiting needs. Computing gains from parallelism alone: from
//! threads ([`spawn_blocking`](fn@crate::spawn_blocking)), or from one loop for each processor, every one on a thread of its own.
//!
//! # Cooperative multitasking
//!
//! The kernel *preempts* threads: it takes the processor away at any instruction. Tasks *cooperate*: one runs until an
//! `await` finds something that is not ready. So code between two awaits is never interrupted by another task, which saves
//! most locks; and a task that never waits stops all others. To let them run in a long loop, await
//! [`yield_now`](fn@crate::yield_now), which is `asyncio.sleep(0)`; for seconds of computing, use a thread.
//!
//! # The language and the library
//!
//! | | Python | Rust |
//! |---|---|---|
//! | the language | `async def`, `await`, `async for`, `async with`; the methods `__await__`, `__aiter__`, `__aenter__` | `async fn`, `async { }`, `.await`; the traits [`Future`] and [`IntoFuture`], [`Waker`](std::task::Waker) |
//! | the library | asyncio: the loop, tasks, `sleep`, `gather`, streams, locks | this crate: the loop, tasks, `sleep`, `gather`, streams, locks |
//!
//! The language knows functions that can pause, and nothing of loops. It is the library that calls such a function again
//! when it can go on. So `await` is a keyword and [`spawn`](fn@crate::spawn) is a function, and another library (trio, tokio) has
//! other functions under the same keywords.
//!
//! `await` stands in async code alone. Elsewhere it does not compile, where Python has a `SyntaxError`:
//! ```compile_fail,E0728
//! fn main() {
//!     proactor::yield_now().await; // `await` is only allowed inside `async` functions and blocks
//! }
//! ```
//! The way in from ordinary code is [`run`](fn@crate::run):
//! ```
//! fn main() {
//!     proactor::run(async { proactor::yield_now().await });
//! }
//! ```
//!
//! # Three kinds of awaitables
//!
//! | | coroutine | future | task |
//! |---|---|---|---|
//! | Python | what an `async def` returns when it is called | `asyncio.Future` | `asyncio.Task` |
//! | here | what an `async fn` returns; any [`Future`] | [`Promised`](crate::task::Promised), made by [`promise`](crate::task::promise()) | [`JoinHandle`](crate::task::JoinHandle), made by [`spawn`](fn@crate::spawn) |
//! | is | code, and the place where it is paused | a place for a result | a coroutine that the loop runs, and the place for its result |
//! | runs | while it is awaited, as a part of the task that awaits | not at all: other code settles it | by itself, from the next turn on |
//! | awaited again | Python raises; here it is used up, and the compiler refuses | Python gives the result again; here [`shared`](crate::task::Promised::shared) ones do | Python gives the result again; here the handle is used up |
//! | dropped | ends where it is paused; never begun, it has done nothing | a result that was not taken goes | goes on |
//!
//! The words differ: Rust calls *future* whatever can be polled, so all three are futures in its sense.
//!
//! ```
//! use proactor::{spawn, task::promise};
//!
//! async fn coroutine() -> u32 {
//!     1
//! }
//!
//! proactor::run(async {
//!     assert_eq!(coroutine().await, 1); // runs here, as a call would
//!     let task = spawn(coroutine()); // runs from the next turn on, whether it is awaited or not
//!     let (giver, future) = promise::<u32, ()>(); // no code of its own
//!     spawn(async move { giver.set_result(2) });
//!     assert_eq!((task.await.unwrap(), future.await), (1, Ok(2)));
//! });
//! ```
//!
//! # When an await gives way
//!
//! It gives way when what it awaits is not ready *now*, and for no other reason. The value does not decide it: an await that
//! gives `()`, an error or an empty list gives way or does not, just as one that gives a megabyte.
//!
//! ```
//! use proactor::{spawn, sync::queue, yield_now};
//! use std::{cell::Cell, rc::Rc};
//!
//! proactor::run(async {
//!     let ran = Rc::new(Cell::new(false));
//!     let mark = ran.clone();
//!     let queue = Rc::new(queue::unbounded());
//!     queue.try_put("an item").unwrap();
//!     let (other, items) = (spawn(async move { mark.set(true) }), queue.clone());
//!     assert_eq!(items.get().await, Ok("an item")); // there is one: no other task runs
//!     assert!(!ran.get());
//!     yield_now().await; // gives nothing, and gives way
//!     assert!(ran.get());
//!     other.await.unwrap();
//! });
//! ```
//!
//! # One object, awaited twice
//!
//! `.await` takes its object, as Python's coroutines are used up. An object with `__await__` can be awaited again, for each
//! await makes a new iterator of it. Its counterpart is [`IntoFuture`] for a *reference*: each await of `&object` makes a new
//! future, and the object stays.
//!
//! ```
//! use std::future::{IntoFuture, Ready, ready};
//!
//! struct Countdown(u32);
//!
//! impl IntoFuture for &Countdown {
//!     type Output = u32;
//!     type IntoFuture = Ready<u32>;
//!
//!     fn into_future(self) -> Ready<u32> {
//!         ready(self.0)
//!     }
//! }
//!
//! proactor::run(async {
//!     let countdown = Countdown(3);
//!     assert_eq!((&countdown).await, 3);
//!     assert_eq!((&countdown).await, 3); // once more
//! });
//! ```
//!
//! [`SharedPromised`](crate::task::SharedPromised) is such an object. `(&mut future).await` is something else: it goes on with
//! the *same* future, which a [`timeout`](crate::time::timeout()) or a [`select!`](crate::select) has left unfinished.
//!
//! # Which one do I take?
//!
//! | to | of asyncio | here |
//! |---|---|---|
//! | run one coroutine to its end | `await coro()`; from ordinary code `run(coro())` | `coro().await`; [`run(coro())`](fn@crate::run) |
//! | start and forget | `create_task(coro())`, and keep the task | [`spawn(coro())`](fn@crate::spawn), and drop the handle; [`try_spawn`](crate::task::try_spawn()) where its error is to be told |
//! | start many, and end them together | a `set` of tasks, with `add_done_callback(tasks.discard)` | [`TaskSet`](crate::task::TaskSet): `spawn`, `shutdown(grace)` |
//! | start, and have the result later | `task = create_task(coro())`, `await task` | `let task = spawn(coro())`, `task.await` |
//! | have all results | `gather` | [`gather`](fn@crate::gather); of different types [`join!`](crate::join); the first error at once [`try_gather`](fn@crate::try_gather) |
//! | have all or end all | `TaskGroup` | [`task_group`](crate::task::task_group()), [`TaskGroup`](crate::task::TaskGroup) |
//! | have them as they come | `as_completed` | [`as_completed`](fn@crate::as_completed) |
//! | have the first | `wait(FIRST_COMPLETED)` | [`select!`](crate::select); of tasks that go on [`wait`](fn@crate::wait) |
//! | limit the time | `timeout`, `wait_for` | [`timeout`](crate::time::timeout()), [`timeout_scope`](crate::time::timeout_scope()), [`wait_for`](crate::time::wait_for()) |
//! | have logic of one's own | `wait` in a loop; a `Future` and callbacks | [`wait`](fn@crate::wait) in a loop; a [`promise`](crate::task::promise()); [`Future::poll`] by hand |
#![forbid(unsafe_code)]
#![allow(clippy::needless_doctest_main, reason = "what stands outside of async code is the point")]
