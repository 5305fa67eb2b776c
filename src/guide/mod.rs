//! Coming from asyncio: a walk through the lessons; where Python and Rust differ; and [asyncio's names](names), each with
//! its name here.
//!
//! The *lessons* are short programs, one for each idea of the tutorials that people learn asyncio from. They lie in
//! `examples/lessons/`, say at their top what you will see, and at their end what they print:
//!
//! ```text
//! cargo run --example lesson_03_count
//! PROACTOR_BACKEND=selector cargo run --example lesson_03_count
//! LESSON_SPEED=10 cargo run --example lesson_03_count          # seconds of 100 ms
//! ```
//!
//! New to async programs? [The basics](basics) explain the terms that the lessons use, and which function to take for what.
//!
//! Of Python this guide says what CPython 3.11 does, and names the version where something is newer.
//!
//! # A loop
//!
//! *Lesson 1, `01_run.rs`.* [`run`] is `asyncio.run`: it makes a loop, runs one future to its end, cancels the tasks that are
//! left, and ends the loop. By hand that is a [`Runtime`] ([`Proactor`], [`Selector`], or [`Auto`], which chooses), its
//! [`block_on`](crate::Runtime::block_on), and [`shutdown`](crate::Runtime::shutdown) or a drop.
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
//! - The main coroutine of `asyncio.run` is a task. The future given to `run` or `block_on` is none: it may borrow, and nobody
//!   can cancel it. That of a [`Runner`] can be cancelled, by Ctrl-C too, if it is asked to.
//! - A loop inside a loop is refused, as by Python.
//! - There is one loop for each thread, and what belongs to it does not leave its thread: the compiler sees to that. Where
//!   Python documents "not thread-safe", the program here is not accepted.
//!
//! # A future does nothing until it is polled
//!
//! *Lesson 2, `02_suspend.rs`.* Calling an async function runs none of its code, in both languages. In Python it makes a
//! coroutine object; in Rust a value of a type that the compiler has written for this function, with its variables in it. It
//! is not allocated anywhere, it is *polled* by whoever awaits it, and it stops where it was polled last if nobody does so
//! again. One that is dropped unpolled has done nothing: the compiler warns of a call whose future is not used, where Python
//! warns at run time that a coroutine "was never awaited".
//!
//! An `await` gives control back only when what it awaits is not ready. That is so in both languages, and surprises in both:
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
//!         add(1, 2).await; // nobody else runs meanwhile
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
//! *Lessons 3 and 4, `03_count.rs`, `04_chain.rs`.* Three countings of a second take three seconds when each is awaited before
//! the next begins, and one second when all are awaited together. What overlaps is the waiting; there is one thread in both
//! cases. Coroutines that await each other form chains: within one there is an order, between them there is none. Random
//! delays come from [`random`], which begins at [`Config::seed`], so that a run can be repeated.
//!
//! # What blocks
//!
//! *Lesson 5, `05_block.rs`.* `std::thread::sleep` in a coroutine is `time.sleep` in a coroutine: it stops the loop, and all
//! tasks with it. So does a long computation. Both go to the blocking pool: [`spawn_blocking`] is `asyncio.to_thread`.
//! [`Config::slow_poll`], or `PROACTOR_DEBUG=1`, tells of what has held up the loop, as asyncio's debug mode does.
//!
//! - `to_thread` copies context variables to the thread. Here the values of [task-locals](crate::task_local) stay with their
//!   task, for they need not be fit for other threads: move what the closure needs into it.
//! - A call on a thread can't be stopped, in neither language. Cancelling it withdraws a call that no thread has begun; one
//!   that runs goes on, and its result is dropped.
//!
//! # Awaiting a future, awaiting a task
//!
//! *Lesson 6, `06_spawn.rs`.* [`spawn`] is `create_task`. The task is polled by the loop, from the next turn on, and whoever
//! awaits its handle only waits for the result. So two tasks overlap although they are awaited one after the other, and two
//! futures do not:
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
//! The order of awaits then decides when a result is seen, and not when it is there. Where handles differ:
//!
//! - *Dropped*, a handle lets its task go on, and the loop keeps the task. (asyncio keeps weak references only, and asks you
//!   to keep a strong one.) [`JoinHandle::cancel_on_drop`] makes a handle that takes its task along.
//! - *Cancelling who awaits* a task cancels that task too in Python, unless it is shielded. Here it does not: the handle is
//!   dropped, and the task goes on, unless its handle was made by `cancel_on_drop`.
//! - *Awaited*, a handle is used up. A Python task can be awaited again, and by several; here what several want is a
//!   [`SharedPromised`](crate::task::SharedPromised), say, which the task settles, or a [`watch`](crate::sync::watch) channel.
//! - *A task that fails* gives its `Result` like any value. A panic is caught, and is the handle's
//!   [`JoinError::Panicked`]. If nobody takes it, it goes to [`Config::on_unhandled`], which is "Task exception was never
//!   retrieved". An `Err` that nobody takes goes there for tasks that were started by [`try_spawn`], and for no others: only
//!   there is it known that the output is an error.
//!
//! # Several at once
//!
//! *Lessons 7 to 9, `07_gather.rs`, `08_as_completed.rs`, `09_wait.rs`.*
//!
//! | asyncio | here | the difference |
//! |---|---|---|
//! | `gather(*fs, return_exceptions=True)` | [`gather`](fn@crate::gather) | The futures run in the task that awaits, and only while it does. They may borrow. Dropping it drops them. |
//! | `gather(*fs)` | [`try_gather`](fn@crate::try_gather) | As in Python: tasks; the first error is the answer at once, the others *go on*. |
//! | `as_completed(fs)` | [`as_completed`](fn@crate::as_completed) | It gives the place of the future along with the output. The futures run only while `next` is awaited. |
//! | `wait(tasks, return_when=...)` | [`wait`](fn@crate::wait) | Places instead of sets of tasks: the handles stay with you, with the results in them. |
//! | | [`join!`](crate::join), [`try_join!`](crate::try_join), [`select!`](crate::select) | For futures of different types, in place, without a task or an allocation. |
//!
//! `gather` makes tasks of coroutines, and these run whether somebody awaits the `gather` or not. Where that matters, spawn the
//! futures and gather the handles.
//!
//! For `wait` a task that was cancelled has failed, which in Python it has not: `FIRST_EXCEPTION` goes on waiting there. A time
//! limit for `wait` is no error; for `as_completed` it is put around each step, or around the loop, where Python has an
//! argument that raises.
//!
//! # Groups
//!
//! *Lesson 10, `10_group.rs`.* [`task_group`](crate::task::task_group()) has the rules of `TaskGroup` (3.11): the first error
//! cancels the other children and the body; the group waits until all have ended, with their clean-ups; then it gives every
//! error, as a [`GroupError`](crate::task::GroupError). A child that is cancelled is no error.
//!
//! ```
//! use proactor::task::{GroupError, task_group};
//!
//! proactor::run(async {
//!     let texts = [String::from("1"), String::from("x")];
//!     let ended: Result<(), GroupError> = task_group(async |g| {
//!         for text in &texts {
//!             g.spawn(async { Ok(text.parse::<i32>()?) }); // borrowed from around the group
//!         }
//!         Ok(())
//!     }).await;
//!     let (numbers, rest) = ended.unwrap_err().downcast::<std::num::ParseIntError>(); // except* ValueError
//!     assert!(numbers.len() == 1 && rest.is_none());
//! });
//! ```
//!
//! - Its children are no tasks, but futures that the group polls: so they can borrow. They are not in the list of tasks, and
//!   `task::current` is the task around; their task-locals are their own, as those of Python's tasks. The children of a [`TaskGroup`](crate::task::TaskGroup) are tasks, and borrow nothing.
//! - Cancelling the task cancels the body alone, as in Python: it may catch that and await its children, which are cancelled
//!   when the body has left. A body that swallows the request (`uncancel()`) leaves the group as it was; one that lets it go
//!   and gives a value is cancelled all the same, where Python takes any body that returns for one that has swallowed it.
//! - A task that is cancelled while its group is ending goes on waiting for the children, and the body gets the request, as in
//!   Python. From the second one on so do children that are no tasks, which nothing else could cancel.
//! - What fails is a child that gives an `Err`. One that panics ends the group as well, and the panic goes on when all have
//!   ended; errors beside it go to [`Config::on_unhandled`].
//! - Spawning into a group that is ending raises in Python. Here the future is dropped, and its handle says that it was
//!   cancelled.
//! - `g.cancel()` ends a group quietly; Python has that from 3.15 on. `TaskGroup::run` gives `Ok(None)` then.
//!
//! # Time limits
//!
//! *Lesson 11, `11_timeout.rs`.* Both of Python's, `asyncio.timeout` (3.11) and `wait_for`, answer when what they gave up has
//! ended, clean-ups included. So do [`wait_for`] and [`timeout_scope`]. [`timeout`] is what other Rust runtimes have: it drops
//! the future and answers at once, and clean-ups go on behind it.
//!
//! ```
//! use proactor::{task::catch_cancel, time::{sleep, timeout_scope}};
//! use std::{future::pending, time::Duration};
//!
//! proactor::run(async {
//!     let limited = timeout_scope(Duration::from_millis(5), async |_| { // async with timeout(0.005):
//!         match catch_cancel(pending::<()>()).await {                   //     try:
//!             Ok(()) => "all",                                          //         ...
//!             Err(_cancelled) => {                                      //     except CancelledError:
//!                 sleep(Duration::from_millis(1)).await;                //         await save()
//!                 "saved"
//!             }
//!         }
//!     });
//!     assert_eq!(limited.await, Ok("saved"));
//! });
//! ```
//!
//! - `wait_for` and `timeout_scope` send a request to what is inside, as Python raises `CancelledError` there. What catches
//!   it may await, and lets it go, or swallows it by `uncancel()`. A value or an error that comes out is the result. `timeout`
//!   sends none: a `catch_cancel` inside it is dropped and does not run.
//! - Of two limits that are up at the same moment the outer one ends both, and a cancellation of the task wins over a limit,
//!   as in Python.
//! - All poll once more at the end of the time, so that a result that is there wins. In Python `wait_for` did so until 3.11;
//!   `timeout` does not.
//! - Moving a limit that has expired is an error in Python, and has no effect here.
//! - `wait_for` of zero polls its future once before it gives up; Python does not start the coroutine.
//!
//! A dropped read or accept of this crate loses nothing: what arrives for it goes to the next one.
//!
//! # Shields
//!
//! *Lesson 12, `12_shield.rs`.* [`shield`](fn@crate::shield) makes a task of its future, and who gives it up does not stop
//! that. Unlike Python's it need not be kept: the loop keeps the task.
//!
//! # Cancellation
//!
//! *Lesson 13, `13_cancel.rs`.* `task.cancel()` is [`JoinHandle::request_cancel`]; [`JoinHandle::cancel`] also waits for the
//! end, and tells what became of it. A task is stopped at an await and nowhere else, and one that has not begun never begins.
//! So far both are alike. A task that *returns* while a request is pending, without another await, is cancelled in Python,
//! and its result is lost; here the result stands. And at the await Python *raises* `CancelledError`, and the coroutine goes on from there through its
//! `except` and `finally` blocks, which may await. Rust *drops* the future: destructors run, from the inside out, and can't
//! await. In their place there are:
//!
//! | Python | here |
//! |---|---|
//! | `finally:` without an await | a destructor (`Drop`) |
//! | `finally:` with an await, `async with` | [`using`](crate::scope::using), [`ExitStack`](crate::scope::ExitStack): clean-ups that the task's end waits for |
//! | `except CancelledError:` ... `raise` | [`catch_cancel`](crate::task::catch_cancel()), and the [`Cancelled`](crate::task::Cancelled) that it gives is dropped at the end of what corresponds to the block |
//! | `except CancelledError: pass` | `catch_cancel`, and [`Cancelled::uncancel`](crate::task::Cancelled::uncancel) |
//!
//! ```
//! use proactor::{spawn, task::catch_cancel, yield_now};
//!
//! proactor::run(async {
//!     let task = spawn(async {
//!         if let Err(cancelled) = catch_cancel(std::future::pending::<()>()).await {
//!             yield_now().await;  // says goodbye: it may await while it keeps the token
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
//! - A second request interrupts a Python `finally` block in its await. Here nobody cancels a clean-up; a request that comes
//!   while another one is being handled by code around `catch_cancel` is delivered to what is around that.
//! - Swallowing a request without `uncancel()` is possible in Python, and leaves the count up. Here a token that is dropped
//!   lets the request stand, and so nothing is swallowed by mistake.
//! - A task whose I/O was cancelled has ended when the kernel has let go of its buffers.
//!
//! # Something of one's own that can be awaited
//!
//! *Lesson 14, `14_awaitable.rs`.* Where Python has `__await__`, a generator that yields futures to the loop, Rust has
//! [`Future::poll`], which is called, and answers `Ready` or `Pending`. `Pending` is a promise:
//! that somebody calls the waker when it is worth polling again. There is nothing else below an async function.
//! [`IntoFuture`] makes something awaitable that is not a future itself. What a callback will settle
//! is a [`promise`](crate::task::promise()), asyncio's `Future`. Two differences: a task that is cancelled while it awaits one
//! leaves the promise open, where asyncio cancels it; and an error that is set and never taken is dropped without a word.
//!
//! # Generators and loops over them
//!
//! *Lesson 15, `15_generate.rs`.* [`generate`](crate::stream::generate()) is an `async def` with `yield` in it, and
//! `while let Some(x) = xs.next().await` is `async for x in xs`.
//!
//! - The block is a task of its own, which never runs ahead of who reads it. So it begins with the task-locals of its first
//!   reader and does not see later ones; `task::current` is another one inside; and it borrows nothing. In Python its code
//!   runs in the task of the reader.
//! - A Python generator that is left early is closed when it has been collected, or at the end of the loop. Here leaving its
//!   scope drops it, which closes it beside whatever goes on. `close().await`, Python's `aclose`, waits for that.
//! - There is no `asend` and no `athrow`: give the block a [channel](crate::sync::mpsc).
//!
//! # Blocks that close what they opened
//!
//! *Lesson 16, `16_using.rs`.* [`using`](crate::scope::using) is `async with`, [`AsyncClose`](crate::scope::AsyncClose) is
//! `__aexit__`, [`exit_stack`](crate::scope::exit_stack()) is `AsyncExitStack`. What stands in `__aenter__` is awaited before.
//! `close` does not see the error of the block, and can't swallow it.
//!
//! # Queues, locks, events
//!
//! *Lesson 17, `17_queue.rs`.* [`sync`](crate::sync) has asyncio's primitives, [`sync::shared`](crate::sync::shared) the same
//! between threads. All are strictly fair: `get_nowait` of a Python queue takes the only item from a `get` that has been woken
//! for it; [`try_get`](crate::sync::queue::Queue::try_get) leaves it there. A lock protects a value, and its guard is the only
//! way to it.
//!
//! Tasks of one loop run one at a time, so that a `Cell` or a `RefCell` will often do: what stands between two awaits is not
//! interrupted. A `RefCell` must not stay borrowed across an await; a [`Mutex`](crate::sync::Mutex) may stay locked.
//!
//! # Tasks, threads, processes
//!
//! *Lesson 18, `18_work.rs`.* For waiting, tasks do as well as threads, at a fraction of the cost. For computing they gain
//! nothing: use threads, which gain as much as there are processors. Python needs processes for that, unless it is built
//! without its global lock.
//!
//! # Two loops
//!
//! *Lesson 19, `19_backends.rs`.* asyncio has a selector loop and, on Windows, a proactor loop. Here both run on Linux, with the
//! same results, and the lesson counts their system calls side by side: the selector is told what is ready, and makes a call
//! for each; the proactor hands over what it wants done, and gets results. On a proactor asyncio has no `add_reader`; here
//! there is [one](crate::task::LocalHandle::add_reader) on both.
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
//! # The table
//!
//! [asyncio's names](names), one by one, are a page of their own.
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
pub mod map;
pub mod names;
