//! Coming from asyncio: a walk through the lessons, the differences between Python and Rust, and a page of [asyncio's
//! names](names) with their counterparts. It also contains the [map of the source](map) and [benchmarks].
//!
//! The *lessons* are short programs, one for each idea of the tutorials that people learn asyncio from. They are in
//! `examples/lessons/`. Each one describes at its top what you will see, and at its end what it prints:
//!
//! ```text
//! cargo run --example lesson_03_count
//! PROACTOR_BACKEND=selector cargo run --example lesson_03_count
//! LESSON_SPEED=10 cargo run --example lesson_03_count  # ten times as fast
//! ```
//!
//! New to async programs? [The basics](basics) explain the terms that the lessons use, the usual compiler
//! errors, and which function to choose.
//!
//! For Python, this guide describes CPython 3.11, and names the version where something is newer.
//!
//! # A loop
//!
//! *Lesson 1, `01_run.rs`.* [`run`] is `asyncio.run`: it makes a loop, runs one future to completion, cancels the
//! remaining tasks, and closes the loop. To take these steps yourself, make a [`Runtime`] ([`Proactor`], [`Selector`], or
//! [`Auto`], which chooses), call its [`block_on`](crate::Runtime::block_on), and
//! [shut it down](crate::Runtime::shutdown) or drop it.
//!
//! ```
//! use proactor::Auto;
//!
//! let runtime = Auto::new()?;                                // new_event_loop()
//! let task = runtime.spawn(async { 6 * 7 });                 // loop.create_task(...)
//! assert_eq!(runtime.block_on(task).unwrap(), 42);           // loop.run_until_complete(task)
//! drop(runtime);                                             // loop.close()
//! assert_eq!(proactor::run(async { 6 * 7 }), 42);            // asyncio.run(...)
//! # std::io::Result::Ok(())
//! ```
//!
//! - The main coroutine of `asyncio.run` is a task. The future given to `run` or `block_on` is not a task: it may
//!   borrow, and it cannot be cancelled. The main future of a [`Runner`] can be cancelled.
//! - `asyncio.run` catches SIGINT. A `Runner` catches no signal by default.
//!   [`Runner::cancel_on_signals`] makes it catch signals, such as the SIGTERM that stops a service.
//! - A loop inside a loop is an error, as in Python.
//! - There is one loop per thread, and its objects do not leave the thread: the compiler enforces it. Where Python
//!   documents "not thread-safe", the program does not compile here.
//!
//! # A future does nothing until it is polled
//!
//! *Lesson 2, `02_suspend.rs`.* Calling an async function runs none of its code, in both languages. In Python the call
//! makes a coroutine object. In Rust it makes a value of a type that the compiler generates for this function, with the
//! function's variables in it. The value needs no allocation. Its awaiter *polls* it, and it makes no progress between
//! polls. A future that is dropped unpolled has done nothing: the compiler warns of an unused future, where Python
//! warns at run time that a coroutine "was never awaited".
//!
//! An `await` yields control only if its future is not ready, in both languages:
//!
//! ```
//! use proactor::{spawn, yield_now};
//! use std::{cell::Cell, rc::Rc};
//!
//! async fn add(a: u32, b: u32) -> u32 {
//!     a + b // never waits
//! }
//!
//! proactor::run(async {
//!     let ran = Rc::new(Cell::new(false));
//!     let mark = ran.clone();
//!     let other = spawn(async move { mark.set(true) });
//!     for _ in 0..1000 {
//!         add(1, 2).await; // no other task runs meanwhile
//!     }
//!     assert!(!ran.get());
//!     yield_now().await; // asyncio.sleep(0)
//!     assert!(ran.get());
//!     other.await.unwrap();
//! });
//! ```
//!
//! # One after the other, and at once
//!
//! *Lessons 3 and 4, `03_count.rs`, `04_chain.rs`.* Three counts of one second take three seconds when each is awaited
//! before the next begins, and one second when all are awaited together. The waits overlap; there is one thread in both
//! cases. Coroutines that await each other form chains. Within one chain the order is fixed, between chains it is not.
//! The random delays come from [`random`]. With [`Config::seed`] a run can be repeated; without it, each run draws
//! different numbers.
//!
//! # Blocking calls
//!
//! *Lesson 5, `05_block.rs`.* `std::thread::sleep` in a coroutine stops the loop and all its tasks, as `time.sleep` does
//! in Python. So does a long computation. Both belong on the blocking pool: [`spawn_blocking`] is
//! `asyncio.to_thread`. [`Config::slow_poll`], or `PROACTOR_DEBUG=1`, reports polls that block the loop for long, as
//! asyncio's debug mode does.
//!
//! - `to_thread` copies context variables to the thread. Here the values of [task-locals](crate::task_local) stay with
//!   their task, because they need not be `Send`: move what the closure needs into it.
//! - A call on a thread can't be stopped in either language. Cancelling withdraws a call that no thread has begun. A
//!   call that runs continues, and its result is dropped.
//!
//! # Awaiting a future, awaiting a task
//!
//! *Lesson 6, `06_spawn.rs`.* [`spawn`] is `create_task`. The loop polls the task from the next turn on. Awaiting its
//! handle only waits for the result. So two tasks overlap even if they are awaited one after the other. Two futures do
//! not:
//!
//! ```
//! use proactor::{spawn, time::sleep};
//! use std::time::{Duration, Instant};
//!
//! proactor::run(async {
//!     let nap = || sleep(Duration::from_millis(20));
//!     let start = Instant::now();
//!     let (a, b) = (nap(), nap());
//!     a.await;
//!     b.await; // begins here
//!     assert!(start.elapsed() >= Duration::from_millis(40));
//!
//!     let (a, b) = (spawn(nap()), spawn(nap()));
//!     a.await?; // both have begun
//!     b.await?; // and end together
//!     Ok::<_, proactor::task::JoinError>(())
//! }).unwrap();
//! ```
//!
//! The order of awaits decides when the program sees a result, not when the result is ready. Handles differ in these
//! points:
//!
//! - *Dropped*, a handle detaches its task, and the loop keeps the task. (asyncio keeps weak references only, and asks
//!   you to keep a strong one.) [`JoinHandle::cancel_on_drop`] makes a handle whose drop cancels the task.
//! - *Cancelling the waiter* of a task cancels that task too in Python, unless it is shielded. Here it does not: the
//!   handle is dropped, and the task continues, unless its handle was made by `cancel_on_drop`.
//! - *Awaited*, a handle is consumed. A Python task can be awaited again, and by several tasks. For several waiters,
//!   let the task settle a [`SharedPromised`](crate::task::SharedPromised), or send to a [`watch`](crate::sync::watch)
//!   channel.
//! - *A task that fails* returns its `Result` like any value. A panic is caught, and becomes the handle's
//!   [`JoinError::Panicked`]. An unretrieved panic goes to [`Config::on_unhandled`], which is "Task exception was never
//!   retrieved". An unretrieved `Err` goes there only for tasks started by [`try_spawn`]: only these are known to
//!   return errors.
//!
//! # Several at once
//!
//! *Lessons 7 to 9, `07_gather.rs`, `08_as_completed.rs`, `09_wait.rs`.*
//!
//! - `gather(*fs, return_exceptions=True)` is [`gather`](fn@crate::gather). The futures run inside the awaiting task, and
//!   only while it awaits. They may borrow. Dropping the `gather` drops them.
//! - `gather(*fs)` is [`try_gather`](fn@crate::try_gather). It makes tasks, as in Python. The first error is returned at
//!   once, and the other tasks *continue*.
//! - `as_completed(fs)` is [`as_completed`](fn@crate::as_completed). Each item has the index of the future and its output.
//!   The futures run only while `next` is awaited.
//! - `wait(tasks, return_when=...)` is [`wait`](fn@crate::wait). It returns indices instead of sets of tasks: the caller
//!   keeps the handles, with the results in them.
//! - [`join!`](crate::join), [`try_join!`](crate::try_join) and [`select!`](crate::select) run futures of different types
//!   in place, without a task or an allocation.
//!
//! asyncio's `gather` makes tasks of coroutines, which run even if the `gather` is not awaited. Where that matters,
//! spawn the futures and gather the handles.
//!
//! `wait` treats a cancelled task as failed. Python does not: there, `FIRST_EXCEPTION` continues to wait. A timeout of
//! `wait` is not an error. Python's `as_completed` has a timeout argument; here, put a [`timeout`] around each step or
//! around the loop.
//!
//! # Groups
//!
//! *Lesson 10, `10_group.rs`.* [`task_group`](crate::task::task_group()) has the rules of `TaskGroup` (3.11): the first
//! error cancels the other children and the body; the group waits until all have ended, with their cleanups; then it
//! returns every error, as a [`GroupError`](crate::task::GroupError). A cancelled child is not an error.
//!
//! ```
//! use proactor::task::{GroupError, task_group};
//! use std::num::ParseIntError;
//!
//! proactor::run(async {
//!     let texts = [String::from("1"), String::from("x")];
//!     let ended: Result<(), GroupError> = task_group(async |g| {
//!         for text in &texts {
//!             g.spawn(async { Ok(text.parse::<i32>()?) }); // borrows from outside the group
//!         }
//!         Ok(())
//!     }).await;
//!     // except* ValueError:
//!     let (numbers, rest) = ended.unwrap_err().downcast::<ParseIntError>();
//!     assert!(numbers.len() == 1 && rest.is_none());
//! });
//! ```
//!
//! - Its children are not tasks, but futures that the group polls: so they can borrow. They are not in the list of
//!   tasks, and `task::current` is the enclosing task. Each has its own task-locals, as Python's tasks have. The
//!   children of a [`TaskGroup`](crate::task::TaskGroup) are tasks, and borrow nothing.
//! - Cancelling the task cancels the body alone, as in Python. The body may catch the request and await its children,
//!   which are cancelled when the body has ended. A body that suppresses the request (`uncancel()`) leaves the group
//!   running. A body that does not suppress it and returns a value is cancelled all the same; in Python any body that
//!   returns has suppressed it.
//! - A task that is cancelled while its group is ending continues to wait for the children, and the body gets the
//!   request, as in Python. Further requests also reach the children that are not tasks, because nothing else could
//!   cancel them.
//! - A child fails by returning an `Err`. A child that panics ends the group as well, and the panic propagates when all
//!   have ended; other errors then go to [`Config::on_unhandled`].
//! - `?` passes the errors of a group on, in functions that return `io::Result` or `Result<_, Box<dyn Error>>`: see
//!   [`GroupError`](crate::task::GroupError).
//! - Spawning into a group that is ending raises in Python. Here the future is dropped, and its handle returns
//!   `JoinError::Cancelled`.
//! - `g.cancel()` ends a group without an error; Python has this since 3.15. `TaskGroup::run` then returns `Ok(None)`.
//!
//! # Time limits
//!
//! *Lesson 11, `11_timeout.rs`.* Python's `asyncio.timeout` (3.11) and `wait_for` return when the cancelled code has
//! ended, cleanups included. So do [`wait_for`] and [`timeout_scope`] here. [`timeout`] behaves as in other Rust
//! runtimes: it drops the future and returns at once, and cleanups run in the background.
//!
//! ```
//! use proactor::{task::catch_cancel, time::{sleep, timeout_scope}};
//! use std::{future::pending, time::Duration};
//!
//! proactor::run(async {
//!     let limit = Duration::from_millis(5);
//!     let limited = timeout_scope(limit, async |_| {     // async with timeout(0.005):
//!         match catch_cancel(pending::<()>()).await {    //     try:
//!             Ok(()) => "all",                           //         ...
//!             Err(_cancelled) => {                       //     except CancelledError:
//!                 sleep(Duration::from_millis(1)).await; //         await save()
//!                 "saved"
//!             }
//!         }
//!     });
//!     assert_eq!(limited.await, Ok("saved"));
//! });
//! ```
//!
//! - `wait_for` and `timeout_scope` send a cancellation request to the code inside, where Python raises
//!   `CancelledError`. The code that catches it may await, and then lets the request continue, or suppresses it by
//!   `uncancel()`. A value or an error that it returns is the result. `timeout` sends no request: a `catch_cancel`
//!   inside it is dropped, and its handler does not run.
//! - When two nested limits expire at the same moment, the outer one ends both. A cancellation of the task takes
//!   precedence over a limit. Both are as in Python.
//! - All three poll once more when the time has elapsed, and return a result that is ready then. In Python `wait_for` did
//!   so until 3.11; `timeout` does not.
//! - Moving a limit that has expired is an error in Python, and has no effect here.
//! - If the task is cancelled in a `wait_for`, and the awaited future catches that and then fails, Python raises the error
//!   of the future. Here a future that does not catch the request is dropped. The result of a future that catches it is
//!   returned, and the next await ends the task.
//! - In Python, `wait_for` around a task cancels the task, and raises the error with which the task ends. Here it drops the
//!   handle, and the result is lost; the page of [`wait_for`] shows how to await the task instead.
//! - `wait_for` with a limit of zero polls its future once. Python does not start the coroutine.
//!
//! A dropped read or accept of this crate loses nothing: data and connections that arrive for it go to the next one.
//!
//! # Shields
//!
//! *Lesson 12, `12_shield.rs`.* [`shield`](fn@crate::shield) makes a task of its future. Dropping the shield does not
//! stop the task. Unlike in Python, no reference to it is needed: the loop keeps the task.
//!
//! - When a shield is given up and its future panics later, [`Config::on_unhandled`] is called. When the future was the
//!   handle of a task, the error of that task counts as retrieved, and is not reported; in Python it is. Await `&mut handle`
//!   in place of a shield to have it reported.
//!
//! # Cancellation
//!
//! *Lesson 13, `13_cancel.rs`.* `task.cancel()` is [`JoinHandle::request_cancel`]; [`JoinHandle::cancel`] also waits
//! for the end, and returns the outcome. In both languages a task is stopped only at an await, and a task that has not
//! begun never begins. There are two differences:
//!
//! - A task that *returns* while a request is pending, without another await, is cancelled in Python, and its result is
//!   lost. Here it completes with its result.
//! - At the await, Python *raises* `CancelledError`, and the coroutine continues in its `except` and `finally` blocks, which
//!   may await. Rust *drops* the future: destructors run, innermost first, and can't await.
//!
//! | Python | here |
//! |---|---|
//! | `finally` without an await | a destructor (`Drop`) |
//! | `finally` with an await, `async with` | [`using`](crate::scope::using), [`ExitStack`](crate::scope::ExitStack): cleanups that run before the task completes |
//! | an `except` block that ends in `raise` | [`catch_cancel`](crate::task::catch_cancel()), and drop its [`Cancelled`](crate::task::Cancelled) token where the `except` block would end |
//! | an `except` block that suppresses the error | `catch_cancel`, and [`Cancelled::uncancel`](crate::task::Cancelled::uncancel) |
//!
//! ```
//! use proactor::{spawn, task::catch_cancel, yield_now};
//!
//! proactor::run(async {
//!     let task = spawn(async {
//!         if let Err(cancelled) = catch_cancel(std::future::pending::<()>()).await {
//!             yield_now().await;  // cleanup: it may await while it holds the token
//!             drop(cancelled);    // raise
//!             yield_now().await;  // the task ends here
//!             unreachable!()
//!         }
//!     });
//!     yield_now().await;
//!     assert!(task.cancel().await.unwrap_err().is_cancelled());
//! });
//! ```
//!
//! - A second request interrupts a Python `finally` or `except` block in its await. It interrupts the code after a
//!   `catch_cancel` in the same way: the request goes to the enclosing `catch_cancel`, and where there is none the handler is
//!   dropped at its await. Cleanups are protected: no request reaches the futures that
//!   [`scope::using`](crate::scope::using) and [`ExitStack::defer`](crate::scope::ExitStack::defer) register.
//! - [`TaskSet::shutdown`](crate::task::TaskSet::shutdown) and the end of a runtime make no second request while a task
//!   handles the first; they wait, at most until their deadline. Python's `asyncio.run` cancels again.
//! - Python can suppress a request without `uncancel()`, and the count stays raised. Here the request stands when the
//!   token is dropped, so no request is suppressed by mistake.
//! - A task whose I/O was cancelled completes only after the kernel has released its buffers.
//!
//! # Awaitable types of your own
//!
//! *Lesson 14, `14_awaitable.rs`.* Where Python has `__await__`, a generator that yields futures to the loop, Rust has
//! [`Future::poll`], which returns `Ready` or `Pending`. `Pending` is a promise that the waker is called when another
//! poll is worthwhile. Async functions are built on this alone. [`IntoFuture`] makes a type awaitable that is not
//! a future itself. For a result that a callback sets there is [`promise`](crate::task::promise()), asyncio's `Future`.
//! There are two differences: a task that is cancelled while it awaits a promise leaves the promise open, where asyncio
//! cancels it; and an error that is set and never retrieved is dropped without a report.
//!
//! # Generators and loops over them
//!
//! *Lesson 15, `15_generate.rs`.* [`generate`](crate::stream::generate()) is an `async def` with `yield` in it, and
//! `while let Some(x) = xs.next().await` is `async for x in xs`.
//!
//! - The block is a separate task, which never runs ahead of its reader. So it starts with the task-locals of its first
//!   reader and does not see later ones; `task::current` differs inside; and the block borrows nothing. In Python its
//!   code runs in the task of the reader.
//! - A Python generator that is left early is closed when it is garbage-collected, or at the end of the loop. Here it
//!   is dropped at the end of its scope, and closes in the background. `close().await`, Python's `aclose`, waits for
//!   that.
//! - There is no `asend` and no `athrow`: pass a [channel](crate::sync::mpsc) to the block.
//!
//! # Blocks that close what they opened
//!
//! *Lesson 16, `16_using.rs`.* [`using`](crate::scope::using) is `async with`, [`AsyncClose`](crate::scope::AsyncClose)
//! is `__aexit__`, [`exit_stack`](crate::scope::exit_stack()) is `AsyncExitStack`. The work of `__aenter__` is awaited
//! before the call. `close` does not see the error of the block, and can't suppress it.
//!
//! # Queues, locks, events
//!
//! *Lesson 17, `17_queue.rs`.* [`sync`](crate::sync) has asyncio's primitives, and
//! [`sync::shared`](crate::sync::shared) has the same between threads. All are strictly fair: in Python `get_nowait`
//! can take the only item from a `get` that has been woken for it; [`try_get`](crate::sync::queue::Queue::try_get)
//! leaves it there. A lock protects a value, which is accessible only through the guard.
//!
//! Tasks of one loop run one at a time, so a `Cell` or a `RefCell` is often enough: code between two awaits is not
//! interrupted. A `RefCell` must not stay borrowed across an await; a [`Mutex`](crate::sync::Mutex) may stay locked.
//!
//! # Tasks, threads, processes
//!
//! *Lesson 18, `18_work.rs`.* For waiting, tasks serve as well as threads, at a fraction of the cost. For computing,
//! tasks gain nothing: use threads, which scale with the number of processors. Python needs processes for that, unless
//! it is built without its global lock.
//!
//! # Two loops
//!
//! *Lesson 19, `19_backends.rs`.* asyncio has a selector loop and, on Windows, a proactor loop. Here both run on Linux,
//! with the same results, and the lesson counts their system calls side by side: the selector gets readiness events,
//! and makes a system call for each operation; the proactor submits operations, and gets their results. On a proactor
//! asyncio has no `add_reader`; here there is [one](crate::task::LocalHandle::add_reader) on both.
//!
//! Test your program on both. [`proactor::test`](fn@crate::test), Python's `IsolatedAsyncioTestCase`, runs the body of a test on
//! each, with a time limit, and skips the proactor where the kernel refuses it:
//!
//! ```
//! use proactor::net::{TcpListener, TcpStream};
//!
//! proactor::test(async || {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let client = TcpStream::connect(listener.local_addr()?).await?;
//!     let (server, _peer) = listener.accept().await?;
//!     server.write_all("hello").await?;
//!     let (_count, message) = client.read_exact([0; 5]).await?;
//!     assert_eq!(message, *b"hello");
//!     std::io::Result::Ok(())
//! });
//! ```
//!
//! # asyncio's names
//!
//! The [names of asyncio](names) with their counterparts are a separate page.
//!
//! [`run`]: fn@crate::run
//! [`spawn`]: fn@crate::spawn
//! [`spawn_blocking`]: fn@crate::spawn_blocking
//! [`random`]: fn@crate::random
//! [`Runtime`]: crate::Runtime
//! [`Proactor`]: crate::Proactor
//! [`Selector`]: crate::Selector
//! [`Auto`]: crate::Auto
//! [`Runner`]: crate::Runner
//! [`Runner::cancel_on_signals`]: crate::Runner::cancel_on_signals
//! [`Config::seed`]: crate::Config::seed
//! [`Config::slow_poll`]: crate::Config::slow_poll
//! [`Config::on_unhandled`]: crate::Config::on_unhandled
//! [`JoinHandle::cancel_on_drop`]: crate::task::JoinHandle::cancel_on_drop
//! [`JoinHandle::request_cancel`]: crate::task::JoinHandle::request_cancel
//! [`JoinHandle::cancel`]: crate::task::JoinHandle::cancel
//! [`JoinError::Panicked`]: crate::task::JoinError::Panicked
//! [`try_spawn`]: crate::task::try_spawn()
//! [`timeout`]: crate::time::timeout()
//! [`wait_for`]: crate::time::wait_for()
//! [`timeout_scope`]: crate::time::timeout_scope()
#![forbid(unsafe_code)]

pub mod basics;
pub mod benchmarks;
pub mod map;
pub mod names;
