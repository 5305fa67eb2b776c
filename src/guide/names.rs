//! The names of asyncio, each with its counterpart here.
//!
//! *Not mapped* means that there is no counterpart, and gives the reason. *To come* means that the name belongs to a
//! part of the crate that does not exist yet: Unix sockets, buffered readers and writers, servers, processes,
//! transports. The [guide](super) and the page of each item describe differences in behaviour.
//!
//! # Running
//!
//! | asyncio | here |
//! |---|---|
//! | `run(main)` | [`run`](fn@crate::run); with settings, [`Runtime::with_config`](crate::Runtime::with_config) and [`block_on`](crate::Runtime::block_on) |
//! | `run(debug=True)` | [`Config::debug`](crate::Config::debug), or `PROACTOR_DEBUG=1` |
//! | `run(loop_factory=...)` | the type of the runtime: [`Proactor`](crate::Proactor), [`Selector`](crate::Selector), [`Auto`](crate::Auto) |
//! | `Runner` | [`Runner`](crate::Runner) |
//! | `Runner.run` | [`Runner::run`](crate::Runner::run) |
//! | `Runner.get_loop` | [`Runner::local`](crate::Runner::local), [`Runner::handle`](crate::Runner::handle) |
//! | `Runner.close` | [`Runner::close`](crate::Runner::close) |
//! | Ctrl-C cancels the main task | [`Runner::cancel_on_ctrl_c`](crate::Runner::cancel_on_ctrl_c), on request only; the second ends the process with status 130, also while user code blocks the loop; for SIGTERM and others [`Runner::cancel_on_signals`](crate::Runner::cancel_on_signals) |
//! | `KeyboardInterrupt` from `run` | [`JoinError::Cancelled`](crate::task::JoinError::Cancelled) and [`Runner::is_interrupted`](crate::Runner::is_interrupted); inside, [`signal::is_interrupted`](crate::signal::is_interrupted); [`Runner::interrupted_by`](crate::Runner::interrupted_by) names the signal |
//! | `new_event_loop` | [`Runtime::new`](crate::Runtime::new) |
//! | `run_until_complete` | [`Runtime::block_on`](crate::Runtime::block_on) |
//! | `run_forever`, `stop` | [`Runtime::run_forever`](crate::Runtime::run_forever), [`Handle::stop`](crate::task::Handle::stop) |
//! | `is_closed` | [`Handle::is_closed`](crate::task::Handle::is_closed) |
//! | `is_running` | on its own thread, [`LocalHandle::try_current`](crate::task::LocalHandle::try_current) |
//! | `close` | [`Runtime::shutdown`](crate::Runtime::shutdown), which reports what was left, or a drop |
//! | `get_running_loop` | [`LocalHandle::current`](crate::task::LocalHandle::current), [`Handle::current`](crate::task::Handle::current) |
//! | `get_event_loop`, `set_event_loop`, policies | not mapped: policies are deprecated there (3.14), and a loop is made by its type here |
//! | `SelectorEventLoop` | [`Selector`](crate::Selector) |
//! | `ProactorEventLoop` | [`Proactor`](crate::Proactor) |
//! | `EventLoop` (3.13) | [`Auto`](crate::Auto) |
//! | `AbstractEventLoop` | [`Runtime`](crate::Runtime); [`Embed`](crate::Embed), to drive it from another loop |
//! | `unittest.IsolatedAsyncioTestCase` | [`proactor::test`](fn@crate::test), on both backends; [`Tester`](crate::Tester) |
//!
//! # Tasks
//!
//! | asyncio | here |
//! |---|---|
//! | `create_task(coro)` | [`spawn`](fn@crate::spawn); [`try_spawn`](crate::task::try_spawn()) if an unretrieved error is to be reported |
//! | `create_task(name=...)` | [`task::Builder::name`](crate::task::Builder::name) |
//! | `create_task(context=...)` | not mapped: a task inherits its spawner's [task-locals](crate::task_local), and sets its own |
//! | `create_task(eager_start=True)` (3.14), `eager_task_factory` (3.12) | [`spawn_eager`](crate::task::spawn_eager), [`task::Builder::eager`](crate::task::Builder::eager); in groups [`Group::spawn_eager`](crate::task::Group::spawn_eager), [`TaskGroup::spawn_eager`](crate::task::TaskGroup::spawn_eager) |
//! | `create_eager_task_factory` | not mapped: there is one type of task. [`spawn_eager`](crate::task::spawn_eager) for each that is to start at once |
//! | `ensure_future` | not mapped: `spawn` makes a task of any future |
//! | `Task` | [`JoinHandle`](crate::task::JoinHandle), which owns the result; [`Task`](crate::task::Task), which gives information |
//! | `current_task` | [`task::current`](crate::task::current) |
//! | `all_tasks` | [`LocalHandle::tasks`](crate::task::LocalHandle::tasks) |
//! | `Task.cancel` | [`JoinHandle::request_cancel`](crate::task::JoinHandle::request_cancel), [`JoinHandle::cancel`](crate::task::JoinHandle::cancel); without a message |
//! | `Task.cancelling` | [`JoinHandle::cancelling`](crate::task::JoinHandle::cancelling), [`Task::cancelling`](crate::task::Task::cancelling) |
//! | `Task.uncancel` | [`Cancelled::uncancel`](crate::task::Cancelled::uncancel), [`Task::uncancel`](crate::task::Task::uncancel) |
//! | `CancelledError` | [`JoinError::Cancelled`](crate::task::JoinError::Cancelled) for the waiter; inside, the future is dropped |
//! | `try: ... except CancelledError:` | [`catch_cancel`](crate::task::catch_cancel()) |
//! | `Task.done`, `cancelled` | [`JoinHandle::is_finished`](crate::task::JoinHandle::is_finished); [`Task::state`](crate::task::Task::state), whose [`Ended`](crate::task::Ended) stays when the result is taken or dropped |
//! | `Task.result`, `exception` | [`JoinHandle::try_take`](crate::task::JoinHandle::try_take), or the await |
//! | `Task.add_done_callback`, `remove_done_callback` | [`JoinHandle::on_done`](crate::task::JoinHandle::on_done), [`remove_on_done`](crate::task::JoinHandle::remove_on_done), which takes the number that `on_done` gave, not the function, and removes one |
//! | `Task.get_name` | [`JoinHandle::name`](crate::task::JoinHandle::name), [`Task::name`](crate::task::Task::name) |
//! | `Task.set_name` | not mapped: a task gets its name before it starts, by [`task::Builder::name`](crate::task::Builder::name) |
//! | `Task.get_context` | not mapped: a task's [task-locals](crate::task_local) are read inside it |
//! | `Task.get_loop`, `Future.get_loop` | not mapped: a handle stays on its loop's thread, where [`LocalHandle::current`](crate::task::LocalHandle::current) gives the loop |
//! | `Task.get_stack`, `print_stack`, `get_coro` | not mapped: a future has no stack. [`Task::spawned_at`](crate::task::Task::spawned_at), [`LocalHandle::dump`](crate::task::LocalHandle::dump) |
//! | "Task exception was never retrieved" | [`Config::on_unhandled`](crate::Config::on_unhandled) |
//! | `shield` | [`shield`](fn@crate::shield) |
//! | `to_thread` | [`spawn_blocking`](fn@crate::spawn_blocking); context variables are not copied |
//! | `run_coroutine_threadsafe` | [`Handle::spawn`](crate::task::Handle::spawn), [`RemoteHandle`](crate::task::RemoteHandle) |
//! | `sleep(d)` | [`time::sleep`](crate::time::sleep()), [`time::sleep_until`](crate::time::sleep_until) |
//! | `concurrent.futures.Future.result`, `result(timeout)` | [`RemoteHandle::join`](crate::task::RemoteHandle::join), [`join_timeout`](crate::task::RemoteHandle::join_timeout) |
//! | `sleep(d, result)` | not mapped: write the value after the await, as in `{ sleep(d).await; value }` |
//! | `sleep(0)` | [`yield_now`](fn@crate::yield_now) |
//! | `iscoroutine`, `isfuture`, `iscoroutinefunction` | not mapped: the types tell |
//!
//! # Several at once
//!
//! | asyncio | here |
//! |---|---|
//! | `gather(return_exceptions=True)` | [`gather`](fn@crate::gather); for a list of different types, [`join!`](crate::join) |
//! | `gather()` | [`try_gather`](fn@crate::try_gather), [`try_gather_tasks`](crate::combine::try_gather_tasks). [`try_join!`](crate::try_join) drops the others |
//! | `wait(tasks, timeout=...)` | [`wait`](fn@crate::wait), [`wait_results`](crate::combine::wait_results), [`WaitTasks::timeout`](crate::combine::WaitTasks::timeout) |
//! | `return_when=FIRST_COMPLETED`, `FIRST_EXCEPTION`, `ALL_COMPLETED` | [`WaitTasks::until`](crate::combine::WaitTasks::until), [`ReturnWhen`](crate::combine::ReturnWhen) |
//! | `as_completed` | [`as_completed`](fn@crate::as_completed), with a [`timeout`](crate::time::timeout()) around each step |
//! | `wait(return_when=FIRST_COMPLETED)`, for two or three | [`select!`](crate::select) |
//! | `wait_for` | [`time::wait_for`](crate::time::wait_for()) |
//! | `timeout`, `timeout_at` | [`time::timeout_scope`](crate::time::timeout_scope()), [`time::timeout_scope_at`](crate::time::timeout_scope_at); answering at once, [`time::timeout`](crate::time::timeout()), [`time::timeout_at`](crate::time::timeout_at) |
//! | `Timeout.reschedule`, `when`, `expired` | [`TimeLimit::reset`](crate::time::TimeLimit::reset), [`deadline`](crate::time::TimeLimit::deadline), [`is_expired`](crate::time::TimeLimit::is_expired) |
//! | `Timeout.reschedule`, from another task | [`LimitHandle::reset`](crate::time::LimitHandle::reset) |
//! | `TimeoutError` | [`Elapsed`](crate::time::Elapsed) |
//! | `TaskGroup` | [`task_group`](crate::task::task_group()), whose children may borrow; [`TaskGroup`](crate::task::TaskGroup), whose children are tasks |
//! | `TaskGroup.create_task` | [`Group::spawn`](crate::task::Group::spawn), [`TaskGroup::spawn`](crate::task::TaskGroup::spawn), both with a `spawn_named` |
//! | `TaskGroup.cancel` (3.15) | [`Group::cancel`](crate::task::Group::cancel), [`Group::finish`](crate::task::Group::finish), [`TaskGroup::cancel`](crate::task::TaskGroup::cancel) |
//! | `ExceptionGroup` | [`GroupError`](crate::task::GroupError) |
//! | `except*`, `split` | [`GroupError::downcast`](crate::task::GroupError::downcast), [`GroupError::split`](crate::task::GroupError::split) |
//!
//! # Futures, generators, contexts
//!
//! | asyncio | here |
//! |---|---|
//! | `Future`, `loop.create_future` | [`task::promise`](crate::task::promise()) |
//! | `Future.set_result`, `set_exception` | [`Promise::set_result`](crate::task::Promise::set_result), [`set_error`](crate::task::Promise::set_error) |
//! | `InvalidStateError` | [`AlreadySettled`](crate::task::AlreadySettled) |
//! | `Future.done`, `cancelled`, `cancel` | [`Promised::is_done`](crate::task::Promised::is_done), [`is_cancelled`](crate::task::Promised::is_cancelled), [`cancel`](crate::task::Promised::cancel) |
//! | `Future.result`, `exception` | [`Promised::outcome`](crate::task::Promised::outcome), by reference; [`Promised::try_take`](crate::task::Promised::try_take), or the await |
//! | `Future.add_done_callback`, `remove_done_callback` | [`Promised::on_done`](crate::task::Promised::on_done), [`remove_on_done`](crate::task::Promised::remove_on_done) |
//! | a `Future` that several await, or one twice | [`SharedPromised`](crate::task::SharedPromised), by [`Promised::shared`](crate::task::Promised::shared) |
//! | `wrap_future` | a [`sync::shared::oneshot`](crate::sync::shared::oneshot) channel whose sender the thread has |
//! | `__await__` | [`Future`], [`IntoFuture`] |
//! | `async def` with `yield` | [`stream::generate`](crate::stream::generate()), [`Yielder::give`](crate::stream::Yielder::give) |
//! | `async for` | [`StreamExt::next`](crate::stream::StreamExt::next) in a `while let` |
//! | `aclose` | [`Generator::close`](crate::stream::Generator::close), or a drop |
//! | `asend`, `athrow` | not mapped: use a [channel](crate::sync::mpsc) |
//! | `shutdown_asyncgens` | part of every runtime's shutdown |
//! | `async with`, `aclosing` | [`scope::using`](crate::scope::using), [`AsyncClose`](crate::scope::AsyncClose) |
//! | `AsyncExitStack` | [`scope::exit_stack`](crate::scope::exit_stack()), [`ExitStack`](crate::scope::ExitStack) |
//! | `contextvars.ContextVar` | [`task_local!`](crate::task_local), [`TaskLocal`](crate::task::TaskLocal) |
//! | `copy_context`, `Context.run` | not mapped; [`TaskLocal::with_value`](crate::task::TaskLocal::with_value) for one value |
//! | `add_done_callback(context=...)` | not mapped: a callback has the values of the moment when it was added |
//!
//! # Locks and queues
//!
//! Each exists in two forms: for the tasks of one loop, and in [`sync::shared`](crate::sync::shared) between threads.
//!
//! | asyncio | here |
//! |---|---|
//! | `Lock` | [`sync::Mutex`](crate::sync::Mutex); beside it [`sync::RwLock`](crate::sync::RwLock) |
//! | `Lock.acquire`, `async with lock` | [`Mutex::lock`](crate::sync::base::Mutex::lock), whose guard dereferences to the value; [`try_lock`](crate::sync::base::Mutex::try_lock) |
//! | `Lock.release` | the drop of the guard |
//! | `Lock.locked` | [`Mutex::is_locked`](crate::sync::base::Mutex::is_locked) |
//! | `Event` | [`sync::Event`](crate::sync::Event) |
//! | `Event.set`, `clear`, `is_set`, `wait` | [`set`](crate::sync::base::Event::set), [`clear`](crate::sync::base::Event::clear), [`is_set`](crate::sync::base::Event::is_set), [`wait`](crate::sync::base::Event::wait) |
//! | `Condition` | [`sync::Condition`](crate::sync::Condition) |
//! | `Condition.wait`, `wait_for` | [`wait`](crate::sync::base::Condition::wait), [`wait_for`](crate::sync::base::Condition::wait_for), which take the guard and return it |
//! | `Condition.notify`, `notify_all` | [`notify`](crate::sync::base::Condition::notify), [`notify_all`](crate::sync::base::Condition::notify_all), with or without the lock |
//! | `Condition.acquire`, `release`, `locked` | those of the [`Mutex`](crate::sync::Mutex) beside it |
//! | `Semaphore`, `BoundedSemaphore` | [`sync::Semaphore`](crate::sync::Semaphore), and its [`bounded`](crate::sync::base::Semaphore::bounded) |
//! | `Semaphore.acquire`, `async with semaphore` | [`acquire`](crate::sync::base::Semaphore::acquire), [`acquire_many`](crate::sync::base::Semaphore::acquire_many) |
//! | `Semaphore.release` | the drop of the permit; without one, [`add_permits`](crate::sync::base::Semaphore::add_permits) |
//! | `Semaphore.locked` | [`try_acquire`](crate::sync::base::Semaphore::try_acquire) fails; [`available_permits`](crate::sync::base::Semaphore::available_permits) gives the number |
//! | `Barrier`, `BrokenBarrierError` | [`sync::Barrier`](crate::sync::Barrier), [`sync::BrokenBarrier`](crate::sync::BrokenBarrier) |
//! | `Barrier.wait`, `reset`, `abort` | [`wait`](crate::sync::base::Barrier::wait), [`reset`](crate::sync::base::Barrier::reset), [`abort`](crate::sync::base::Barrier::abort) |
//! | `Barrier.parties`, `n_waiting`, `broken` | [`parties`](crate::sync::base::Barrier::parties), [`n_waiting`](crate::sync::base::Barrier::n_waiting), [`is_broken`](crate::sync::base::Barrier::is_broken) |
//! | `Queue` | [`queue::bounded`](crate::sync::queue::bounded), [`queue::unbounded`](crate::sync::queue::unbounded) |
//! | `PriorityQueue`, `LifoQueue` | [`queue::priority`](crate::sync::queue::priority), [`queue::lifo`](crate::sync::queue::lifo) |
//! | `Queue.put`, `get` | [`Queue::put`](crate::sync::queue::Queue::put), [`get`](crate::sync::queue::Queue::get) |
//! | `Queue.put_nowait`, `get_nowait` | [`Queue::try_put`](crate::sync::queue::Queue::try_put), [`try_get`](crate::sync::queue::Queue::try_get) |
//! | `Queue.qsize`, `empty`, `full`, `maxsize` | [`Queue::len`](crate::sync::queue::Queue::len), [`is_empty`](crate::sync::queue::Queue::is_empty), [`is_full`](crate::sync::queue::Queue::is_full), [`maxsize`](crate::sync::queue::Queue::maxsize) |
//! | `Queue.join`, `task_done` | [`Queue::join`](crate::sync::queue::Queue::join), [`task_done`](crate::sync::queue::Queue::task_done) |
//! | `Queue.shutdown` (3.13) | [`Queue::shutdown`](crate::sync::queue::Queue::shutdown) |
//! | `QueueFull`, `QueueEmpty`, `QueueShutDown` | [`TryPutError`](crate::sync::queue::TryPutError), [`TryGetError`](crate::sync::queue::TryGetError), [`QueueShutDown`](crate::sync::queue::QueueShutDown) |
//! | (none) | channels: [`oneshot`](crate::sync::oneshot), [`mpsc`](crate::sync::mpsc), [`broadcast`](crate::sync::broadcast), [`watch`](crate::sync::watch) |
//!
//! # Streams and processes
//!
//! | asyncio | here |
//! |---|---|
//! | `open_connection` | [`TcpStream::connect`](crate::net::TcpStream::connect) |
//! | `happy_eyeballs_delay` | to come; addresses are tried one after the other |
//! | `start_server` | [`TcpListener`](crate::net::TcpListener), and a task for each connection |
//! | `Server.close`, `close_clients`, `abort_clients`, `serve_forever` | to come; a drop of the listener, and a [`TaskGroup`](crate::task::TaskGroup) of the connections |
//! | `open_unix_connection`, `start_unix_server` | to come |
//! | `StreamReader.read`, `readexactly` | [`TcpStream::read`](crate::net::TcpStream::read), [`recv`](crate::net::TcpStream::recv), [`read_exact`](crate::net::TcpStream::read_exact) |
//! | `StreamReader.readline`, `readuntil`, `at_eof` | to come |
//! | `StreamWriter.write` and `drain` | [`TcpStream::write_all`](crate::net::TcpStream::write_all) does both: it completes when the kernel has taken all bytes |
//! | `StreamWriter.write_eof`, `close`, `wait_closed` | [`TcpStream::shutdown`](crate::net::TcpStream::shutdown), [`close`](crate::net::TcpStream::close) |
//! | `StreamWriter.get_extra_info` | [`TcpStream::peer_addr`](crate::net::TcpStream::peer_addr), [`local_addr`](crate::net::TcpStream::local_addr) |
//! | `StreamReader`, `StreamWriter` | [`TcpStream`](crate::net::TcpStream) is both; it has [halves](crate::net::TcpStream::split) |
//! | `StreamReader.feed_data`, `feed_eof`, `exception`, `set_exception`, `StreamReaderProtocol` | not mapped: only the kernel feeds a stream |
//! | `IncompleteReadError` | an error of kind `UnexpectedEof` from [`read_exact`](crate::net::TcpStream::read_exact); the [`BufError`](crate::buf::BufError) has the buffer |
//! | `LimitOverrunError` | to come, with `readuntil` |
//! | `SendfileNotAvailableError` | to come, with `sendfile` |
//! | high and low water marks | not mapped: the crate buffers no output; a write ends when the kernel has taken the bytes |
//! | `start_tls`, `ssl=` | to come |
//! | `create_subprocess_exec`, `create_subprocess_shell`, `communicate`, `wait`, `send_signal`, `terminate`, `kill` | to come; until then `std::process` in [`spawn_blocking`](fn@crate::spawn_blocking) |
//!
//! # The loop
//!
//! | asyncio | here |
//! |---|---|
//! | `call_soon` | [`LocalHandle::call_soon`](crate::task::LocalHandle::call_soon) |
//! | `call_later`, `call_at`, `time` | [`LocalHandle::call_later`](crate::task::LocalHandle::call_later), [`call_at`](crate::task::LocalHandle::call_at), [`now`](crate::task::LocalHandle::now) |
//! | `Handle`, `TimerHandle`: `cancel`, `cancelled`, `when` | [`CallHandle`](crate::task::CallHandle) |
//! | `call_soon_threadsafe` | [`Handle::call_soon`](crate::task::Handle::call_soon) |
//! | `add_reader`, `remove_reader` | [`LocalHandle::add_reader`](crate::task::LocalHandle::add_reader), [`remove_reader`](crate::task::LocalHandle::remove_reader); [`AsyncFd::readable`](crate::io::AsyncFd::readable) |
//! | `add_writer`, `remove_writer` | [`LocalHandle::add_writer`](crate::task::LocalHandle::add_writer), [`remove_writer`](crate::task::LocalHandle::remove_writer); [`AsyncFd::writable`](crate::io::AsyncFd::writable) |
//! | `sock_recv`, `sock_recv_into`, `sock_sendall`, `sock_connect`, `sock_accept` | [`TcpStream::from_std`](crate::net::TcpStream::from_std), [`TcpListener::from_std`](crate::net::TcpListener::from_std), and their methods; for other sockets, [`AsyncFd`](crate::io::AsyncFd) |
//! | `sock_recvfrom`, `sock_recvfrom_into`, `sock_sendto` | [`UdpSocket::recv_from`](crate::net::UdpSocket::recv_from), [`send_to`](crate::net::UdpSocket::send_to) |
//! | `sock_sendfile`, `sendfile` | to come |
//! | `create_datagram_endpoint` | [`UdpSocket`](crate::net::UdpSocket) |
//! | `create_connection`, `create_server`, transports and protocols | to come, if at all: streams and tasks do the same |
//! | `BaseProtocol`, `Protocol`, `BufferedProtocol` | to come, if at all: a task that awaits [`TcpStream::recv`](crate::net::TcpStream::recv), or [`read`](crate::net::TcpStream::read) into its own buffers |
//! | `DatagramProtocol` | to come, if at all: a task that awaits [`UdpSocket::recv_from`](crate::net::UdpSocket::recv_from) |
//! | `SubprocessProtocol` | to come, if at all, with processes |
//! | `BaseTransport`, `ReadTransport`, `WriteTransport`, `Transport`, `DatagramTransport`, `SubprocessTransport` | to come, if at all: the methods of the stream or socket. `pause_reading` is a task that does not receive, and `pause_writing` an await of [`write_all`](crate::net::TcpStream::write_all) |
//! | `connect_read_pipe`, `connect_write_pipe` | [`PipeReader::from_fd`](crate::io::PipeReader::from_fd), [`PipeWriter::from_fd`](crate::io::PipeWriter::from_fd) |
//! | `getaddrinfo` | [`net::lookup_host`](crate::net::lookup_host) |
//! | `getnameinfo` | to come |
//! | `add_signal_handler`, `remove_signal_handler` | [`signal::on`](crate::signal::on()), [`Handler::remove`](crate::signal::Handler::remove); [`signal::stream`](crate::signal::stream()), [`signal::ctrl_c`](crate::signal::ctrl_c) |
//! | `run_in_executor` | [`spawn_blocking_on`](crate::task::spawn_blocking_on), [`BlockingPool`](crate::task::BlockingPool) |
//! | `set_default_executor` | [`Config::blocking_pool`](crate::Config::blocking_pool), [`Config::pool_threads`](crate::Config::pool_threads) |
//! | `shutdown_default_executor(timeout)` | [`BlockingPool::shutdown`](crate::task::BlockingPool::shutdown); for the pool of the runtime, [`Config::shutdown_deadline`](crate::Config::shutdown_deadline) |
//! | `set_exception_handler` | [`Config::on_unhandled`](crate::Config::on_unhandled) |
//! | `get_exception_handler`, `get_task_factory`, `get_debug` | not mapped: the settings of a runtime do not change, and its hooks can't be read |
//! | `call_exception_handler`, `default_exception_handler` | not mapped: without a hook errors go to standard error |
//! | `set_task_factory` | [`Config::on_spawn`](crate::Config::on_spawn), which observes |
//! | `set_debug`, `PYTHONASYNCIODEBUG` | [`Config::debug`](crate::Config::debug), `PROACTOR_DEBUG=1`; [`Config::on_leak`](crate::Config::on_leak) |
//! | `slow_callback_duration` | [`Config::slow_poll`](crate::Config::slow_poll), [`Config::on_slow_poll`](crate::Config::on_slow_poll) |
//! | `python -m asyncio ps`, `pstree` (3.14) | [`LocalHandle::dump`](crate::task::LocalHandle::dump) and [`Handle::dump`](crate::task::Handle::dump), from inside the process; on a signal, by [`signal::on`](crate::signal::on()) |
//! | `capture_call_graph`, `print_call_graph` (3.14) | the same; [`Task::awaited_by`](crate::task::Task::awaited_by) |
#![forbid(unsafe_code)]
