//! The terms that the lessons use, compiler errors about async code, and a table of functions to choose from.
//!
//! # Concurrency and parallelism
//!
//! *Concurrent* tasks are in progress at the same time: each has begun, and none has ended. *Parallel* tasks run at the
//! same instant, on different processors. A loop provides concurrency on one thread: of ten thousand tasks one runs,
//! and the others wait for the network, a timer or a lock. Concurrency is enough for programs that mostly wait.
//! Computations need parallelism: threads ([`spawn_blocking`](fn@crate::spawn_blocking)), or one loop per processor, each
//! on its own thread.
//!
//! # Cooperative multitasking
//!
//! The kernel *preempts* threads: it can interrupt them at any instruction. Tasks *cooperate*: a task runs until it
//! awaits something that is not ready. So another task never interrupts the code between two awaits, and most locks are
//! unnecessary. On the other hand, a task that never waits stops all others. In a long loop, await
//! [`yield_now`](fn@crate::yield_now), which is `asyncio.sleep(0)`, to let others run. Move a computation that takes
//! seconds to a thread.
//!
//! # The language and the library
//!
//! - *The language.* Python has `async def`, `await`, `async for`, `async with`, and the methods `__await__`, `__aiter__`,
//!   `__aenter__`. Rust has `async fn`, `async { }`, `.await`, the traits [`Future`] and [`IntoFuture`], and
//!   [`Waker`](std::task::Waker).
//! - *The library.* In Python it is asyncio, in Rust this crate: the loop, tasks, `sleep`, `gather`, streams, locks.
//!
//! The language has functions that can pause, but no loop. The library resumes such a function when it can continue. So
//! `await` is a keyword and [`spawn`](fn@crate::spawn) is a function, and another library (trio, tokio) has other
//! functions with the same keywords.
//!
//! `await` is allowed in async code only. Elsewhere it does not compile; in Python it is a `SyntaxError`:
//! ```compile_fail,E0728
//! fn main() {
//!     proactor::yield_now().await; // `await` is only allowed inside `async` functions and blocks
//! }
//! ```
//! Ordinary code calls async code through [`run`](fn@crate::run):
//! ```
//! fn main() {
//!     proactor::run(async { proactor::yield_now().await });
//! }
//! ```
//!
//! # Three kinds of awaitables
//!
//! A *coroutine* is code, and the point where it is paused.
//!
//! - In Python it is the return value of an `async def` function; here, the return value of an `async fn`, or any
//!   [`Future`].
//! - It runs while it is awaited, as a part of the awaiting task.
//! - Awaiting it again is an error in Python, and a compile error here: the value has moved.
//! - If it is dropped, it ends where it is paused. If it has not begun, none of its code runs.
//!
//! A *future* is a place for a result.
//!
//! - In Python it is `asyncio.Future`; here, [`Promised`](crate::task::Promised), made by
//!   [`promise`](crate::task::promise()).
//! - It contains no code to run: other code sets the result.
//! - Awaiting it again returns the same result in Python. Here a [`shared`](crate::task::Promised::shared) one does.
//! - If it is dropped, a result that was not taken is dropped with it.
//!
//! A *task* is a coroutine that the loop runs, and a place for its result.
//!
//! - In Python it is `asyncio.Task`; here, [`JoinHandle`](crate::task::JoinHandle), made by [`spawn`](fn@crate::spawn).
//! - It runs independently, from the next turn on.
//! - Awaiting it again returns the same result in Python. Here it is a compile error: the handle has moved.
//! - If its handle is dropped, it continues, detached.
//!
//! The terms differ: Rust calls everything that can be polled a *future*, so all three are futures in Rust's sense.
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
//!     let (promise, future) = promise::<u32, ()>(); // contains no code
//!     spawn(async move { promise.set_result(2) });
//!     assert_eq!((task.await.unwrap(), future.await), (1, Ok(2)));
//! });
//! ```
//!
//! # When an await yields
//!
//! An await yields to other tasks if its future is not ready at that moment, and for no other reason. The type and the
//! size of the result do not matter.
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
//!     yield_now().await; // returns nothing, and yields
//!     assert!(ran.get());
//!     other.await.unwrap();
//! });
//! ```
//!
//! # A future, or an async closure
//!
//! Functions that run a *future* take an `async { }` block or the call of an async function: [`run`](fn@crate::run),
//! [`spawn`](fn@crate::spawn), [`timeout`](crate::time::timeout()), [`shield`](fn@crate::shield). Functions that first make
//! an object for a *block* take an async closure, whose parameter is that object:
//! [`task_group`](crate::task::task_group()), [`timeout_scope`](crate::time::timeout_scope()),
//! [`using`](crate::scope::using), [`exit_stack`](crate::scope::exit_stack()), [`generate`](crate::stream::generate()).
//! [`test`](fn@crate::test) runs its block several times, and takes a closure without parameters.
//!
//! ```
//! use proactor::{spawn, task::{GroupError, task_group}, time::{timeout, timeout_scope}};
//! use std::time::Duration;
//!
//! proactor::run(async {
//!     let second = Duration::from_secs(1);
//!     let task = spawn(async { 1 });
//!     assert_eq!(timeout(second, task).await.unwrap().unwrap(), 1);
//!     assert_eq!(timeout_scope(second, async |_limit| 2).await, Ok(2));
//!     let name = String::from("borrowed");
//!     let ended: Result<usize, GroupError> = task_group(async |g| {
//!         let name = &name; // `async move` then moves the reference only
//!         let children = [1, 2].map(|number| g.spawn(async move { Ok(number + name.len()) }));
//!         let mut sum = 0;
//!         for child in children {
//!             sum += child.await?;
//!         }
//!         Ok(sum)
//!     }).await;
//!     assert_eq!(ended.unwrap(), 19);
//! });
//! ```
//!
//! The compiler's errors about other forms, their causes, and what to write instead:
//!
//! - **E0282 "type annotations needed"**, at the parameter of `|g| async move { }`. A closure that returns a block is not an
//!   async closure: the block could not borrow the parameter. Write `async |g| { }`.
//! - **E0277 "`AsyncFnOnce` is not implemented for `{async block}`"** (up to three times). The function takes a closure. Write
//!   `async |g| { }`, or `async |_| { }`.
//! - **E0277 "`{async closure}` is not a future"**. The function takes a future. Write `async { }`, without bars. The compiler
//!   suggests calling the closure, which has the same effect but is longer.
//! - **E0308 "expected `Result<_, _>`, found `()`"**, at a closure; **E0271 "a future that resolves to `Result<_, _>`"**, at a
//!   `spawn`. The body of a group or of a `using`, and each child of a group, return a `Result`. Write `Ok(())` or
//!   `Ok(value)` as the last line.
//! - **E0283 or E0282 "type annotations needed"**, at an `Ok(())` in a group. Nothing determines the type of the errors. Write
//!   `let ended: Result<(), GroupError> = task_group(...).await`, or `Ok::<_, io::Error>(())`.
//! - **E0373 "async block may outlive the current function"**. A child borrows a variable of the body, or a task borrows
//!   anything. Write `async move { }`. If a child of a group is to borrow `name` from outside the group, write
//!   `let name = &name;` before it.
//! - **E0597 "does not live long enough"**, at a child of a group. The child borrows a variable of the body by a reference.
//!   Make the variable before the group, or move it into the child.
//! - **E0728 "`await` is only allowed inside `async` functions and blocks"**, in a closure. The closure is not async. Write
//!   `async |x| { }` if an async closure is accepted, otherwise a loop.
//!
//! The first six as code:
//!
//! ```compile_fail,E0282
//! # use proactor::time::timeout_scope;
//! # use std::time::{Duration, Instant};
//! # proactor::run(async {
//! # let second = Duration::from_secs(1);
//! timeout_scope(second, |limit| async move { limit.reset(Instant::now()) }).await;
//! # });
//! ```
//! ```compile_fail,E0277
//! # use std::time::Duration;
//! # proactor::run(async {
//! # let second = Duration::from_secs(1);
//! proactor::time::timeout_scope(second, async { 2 }).await;
//! # });
//! ```
//! ```compile_fail,E0277
//! proactor::run(async || { 2 });
//! ```
//! ```compile_fail,E0271
//! # use proactor::task::{GroupError, task_group};
//! # proactor::run(async {
//! let ended: Result<(), GroupError> = task_group(async |g| {
//!     g.spawn(async { proactor::yield_now().await });
//!     Ok(())
//! }).await;
//! # });
//! ```
//! ```compile_fail,E0283
//! # use proactor::task::task_group;
//! # proactor::run(async {
//! task_group(async |g| {
//!     g.spawn(async { Ok(proactor::yield_now().await) });
//!     Ok(())
//! }).await.unwrap();
//! # });
//! ```
//! ```compile_fail,E0373
//! # use proactor::task::{GroupError, task_group};
//! # proactor::run(async {
//! let ended: Result<(), GroupError> = task_group(async |g| {
//!     for number in 0..3 {
//!         g.spawn(async { Ok(println!("{number}")) });
//!     }
//!     Ok(())
//! }).await;
//! # });
//! ```
//!
//! # An object that is awaited twice
//!
//! `.await` consumes its operand, as an await consumes a Python coroutine. A Python object with `__await__` can be
//! awaited again: each await makes a new iterator. The counterpart is [`IntoFuture`] for a *reference*: each await of
//! `&object` makes a new future, and the object remains.
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
//! [`SharedPromised`](crate::task::SharedPromised) is such an object. `(&mut future).await` is different: it continues
//! the *same* future, which a [`timeout`](crate::time::timeout()) or a [`select!`](crate::select) has left unfinished.
//!
//! # Which function to choose
//!
//! | to (in asyncio) | here |
//! |---|---|
//! | run one coroutine to completion (`await`; `run` from ordinary code) | `.await`; [`run`](fn@crate::run) from ordinary code |
//! | start a task and ignore its result (`create_task`, and keep the task) | the statement [`spawn(coro());`](fn@crate::spawn), which drops the handle and so detaches the task; [`try_spawn`](crate::task::try_spawn()) if its error is to be reported |
//! | start a task, and get the result later (`create_task`, then `await`) | [`spawn`](fn@crate::spawn), then `.await` the handle |
//! | start many tasks, and end them together (a `set` of tasks) | [`TaskSet`](crate::task::TaskSet) |
//! | get all results (`gather`) | [`gather`](fn@crate::gather); for different types [`join!`](crate::join); to return at the first error [`try_gather`](fn@crate::try_gather) |
//! | run all, and cancel all if one fails (`TaskGroup`) | [`task_group`](crate::task::task_group()), [`TaskGroup`](crate::task::TaskGroup) |
//! | get results as they complete (`as_completed`) | [`as_completed`](fn@crate::as_completed) |
//! | get the first result (`wait`) | [`select!`](crate::select); for tasks that continue, [`wait`](fn@crate::wait) |
//! | limit the time (`timeout`, `wait_for`) | [`timeout`](crate::time::timeout()), [`timeout_scope`](crate::time::timeout_scope()), [`wait_for`](crate::time::wait_for()) |
//! | write your own logic (`wait` in a loop; a `Future` and callbacks) | [`wait`](fn@crate::wait) in a loop; a [`promise`](crate::task::promise()); [`Future::poll`] by hand |
#![forbid(unsafe_code)]
#![allow(clippy::needless_doctest_main, reason = "the examples show code outside of async code")]
