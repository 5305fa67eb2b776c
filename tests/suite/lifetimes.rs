//! How runtimes end, and what outlives them: operations in flight, wakers, handles, objects, threads.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proactor::fs::File;
use proactor::net::{TcpListener, TcpStream, UdpSocket};
use proactor::task::{JoinError, JoinHandle, RemoteHandle};
use proactor::time::sleep;
use proactor::{Budget, Config, Embed, Runtime, Shutdown, Wait, spawn, spawn_blocking, yield_now};

use crate::kit::*;

tests! {
    t20_shutdown_ends_ten_thousand_operations,
    t20_shutdown_ends_ten_thousand_file_operations,
    t20_shutdown_without_time_ends_reads,
    t21_shutdown_goes_on_under_a_storm_of_signals,
    t23_a_runtime_may_be_dropped_by_a_panic,
    t23_a_runtime_may_be_dropped_by_a_panic_of_its_own_future,
    t24_wakers_fire_before_during_and_after_the_end,
    t24_a_waker_keeps_only_what_it_needs_of_its_runtime,
    t24_a_hundred_thousand_wakes_wait_for_their_loop,
    t24_a_hundred_thousand_wakes_that_no_loop_takes,
    t25_a_remote_handle_is_used_after_its_runtime,
    t25_a_remote_handle_waits_while_its_runtime_ends,
    t25_remote_handles_race_with_the_end,
    t26_objects_are_closed_after_their_runtime,
    t26_objects_are_closed_in_the_destructors_of_a_thread,
    t27_a_thousand_runtimes_leave_nothing,
    t29_a_loop_inside_a_loop_panics_with_the_cure,
    t29_a_second_runtime_inside_the_first_panics_with_the_cure,
    t29_a_loop_inside_a_task_panics_with_the_cure,
    t29_a_loop_inside_code_that_a_loop_calls_panics_with_the_cure,
    t30_a_spawn_in_a_drop_during_shutdown_ends,
    t30_an_endless_chain_of_spawns_in_drops_ends,
    t30_a_spawn_in_a_drop_during_shutdown_that_leaves_an_operation,
    t30_an_operation_that_a_drop_begins_during_shutdown_is_ended;
    proactor:
    t20_shutdown_ends_ten_thousand_operations_on_one_descriptor,
    t22_a_read_that_nothing_stops_is_leaked,
    t28_a_thread_may_end_with_a_leaked_runtime;
    selector:
    t22_a_call_that_nothing_stops_is_leaked,
}

/// What a shutdown took: visits to the kernel, and cancels.
#[derive(Debug)]
struct Cost {
    visits: u64,
    cancels: u64,
}

/// Ends a runtime that has `ops` operations in flight, of a task each.
#[track_caller]
fn shutdown_cost<R: Runtime>(runtime: R, ops: usize) -> Cost {
    let report = runtime.report();
    assert_eq!((report.live.tasks, report.live.ops), (ops, ops));
    let Shutdown { tasks, ops_leaked, jobs_leaked, stats, .. } = runtime.shutdown(Duration::from_secs(30));
    assert_eq!((tasks, ops_leaked, jobs_leaked), (ops, 0, 0));
    Cost {
        visits: stats.kernel_visits - report.stats.kernel_visits,
        cancels: stats.cancels - report.stats.cancels,
    }
}

/// The cost grows with the operations, and no faster: the visits bring or hand over many at a time, and each
/// operation is cancelled once (and the ring's own).
#[track_caller]
fn assert_linear<R: Runtime>(ops: usize, cost: &Cost) {
    let ops = ops as u64;
    assert!(cost.visits <= ops / 8 + 16, "{ops} operations: {cost:?}");
    assert!(cost.cancels <= if is_proactor::<R>() { ops + 1 } else { 0 }, "{ops} operations: {cost:?}");
}

/// A thousand and ten thousand, or what the limit of descriptors allows.
fn thousands() -> [usize; 2] {
    let most = 10_000.min(descriptor_limit() - 200);
    [most / 10, most]
}

/// A socket for which nothing comes.
fn silent_socket() -> UdpSocket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    UdpSocket::from_std(socket.into()).unwrap()
}

fn t20_shutdown_ends_ten_thousand_operations<R: Runtime>() {
    alone(|| {
        let before = descriptors();
        for ops in thousands() {
            let runtime = R::new().unwrap();
            let dropped = Rc::new(Cell::new(0));
            runtime.block_on(async {
                for _ in 0..ops {
                    let (socket, counted) = (silent_socket(), Counted(dropped.clone()));
                    let buffer = Acts(Vec::with_capacity(16), move || {
                        let _ = &counted;
                    });
                    drop(spawn(async move { socket.recv(buffer).await.map(drop) }));
                }
                turns(2).await;
            });
            assert_eq!(dropped.get(), 0);
            let cost = shutdown_cost(runtime, ops);
            assert_linear::<R>(ops, &cost);
            assert_eq!(dropped.get() as usize, ops, "each buffer is dropped, once");
            assert_eq!(descriptors(), before);
        }
    });
}

fn t20_shutdown_ends_ten_thousand_file_operations<R: Runtime>() {
    alone(|| {
        let before = descriptors();
        let folder = TempDir::new();
        let path = folder.file("file", b"text");
        for ops in [1_000, 10_000] {
            let runtime = R::with_config(&Config::new().pool_threads(2)).unwrap();
            let dropped = Rc::new(Cell::new(0));
            let reads: Vec<_> = runtime.block_on(async {
                let file = File::open(&path).await.unwrap();
                let begin = |_| {
                    let counted = Counted(dropped.clone());
                    let buffer = Acts(Vec::with_capacity(16), move || {
                        let _ = &counted;
                    });
                    let mut read = file.read_at(buffer, 0);
                    assert!(pin!(&mut read).poll(&mut Context::from_waker(Waker::noop())).is_pending());
                    read
                };
                (0..ops).map(begin).collect()
            });
            let stats = runtime.report().stats;
            let left = runtime.shutdown(Duration::from_secs(30));
            assert_eq!((left.ops_leaked, left.jobs_leaked), (0, 0));
            let visits = left.stats.kernel_visits - stats.kernel_visits;
            assert!(visits <= ops / 8 + 16, "{visits} visits for {ops} operations");
            drop(reads);
            assert_eq!(u64::from(dropped.get()), ops, "each buffer is dropped, once");
            assert_eq!(descriptors(), before);
        }
    });
}

fn t20_shutdown_ends_ten_thousand_operations_on_one_descriptor<R: Runtime>() {
    alone(|| {
        let before = descriptors();
        for ops in [1_000, 10_000] {
            let runtime = R::new().unwrap();
            let (empty, _writer) = std::io::pipe().unwrap();
            runtime.block_on(async {
                let file = Rc::new(File::from_std(OwnedFd::from(empty).into()));
                for _ in 0..ops {
                    let file = file.clone();
                    drop(spawn(async move { file.read_at(Vec::with_capacity(16), 0).await.map(drop) }));
                }
                turns(2).await;
            });
            let cost = shutdown_cost(runtime, ops);
            assert_linear::<R>(ops, &cost);
        }
        assert_eq!(descriptors(), before);
    });
}

fn t20_shutdown_without_time_ends_reads<R: Runtime>() {
    let runtime = R::new().unwrap();
    let peers: Vec<_> = runtime.block_on(async {
        let peers = (0..100).map(|_| {
            let (stream, peer) = half_pair();
            drop(spawn(async move { stream.read(Tombstone::new(1)).await.map(|_| ()) }));
            peer
        });
        let peers = peers.collect();
        turns(3).await;
        peers
    });
    let left = runtime.shutdown(Duration::ZERO);
    assert_eq!((left.tasks, left.ops_leaked, left.jobs_leaked), (100, 0, 0));
    for mut peer in peers {
        peer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0, "the streams are closed");
    }
}

/// Signals that have interrupted this process.
static SIGNALS: AtomicU64 = AtomicU64::new(0);

/// Has SIGUSR1 counted, by a handler after which system calls are not restarted.
fn count_signals() {
    extern "C" fn count(_: i32) {
        SIGNALS.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: a handler that lives for ever and only counts, in a structure that outlives the call; zeros mean
    // no flags and an empty mask.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count as extern "C" fn(i32) as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
    }
}

fn signals() -> u64 {
    SIGNALS.load(Ordering::Relaxed)
}

/// Waits for so many more.
fn after_signals(count: u64) {
    let since = signals();
    while signals() < since + count {
        std::thread::yield_now();
    }
}

/// Says that it is dropped: that a runtime is ending.
struct SaysInDrop(Arc<AtomicBool>);

impl Drop for SaysInDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn t21_shutdown_goes_on_under_a_storm_of_signals<R: Runtime>() {
    alone(|| {
        count_signals();
        let over = Arc::new(AtomicBool::new(false));
        let target = nix::unistd::gettid().as_raw();
        let storm = thread({
            let over = over.clone();
            move || {
                while !over.load(Ordering::Relaxed) {
                    // SAFETY: tgkill(2) takes plain numbers.
                    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), target, libc::SIGUSR1) };
                    // A thread that gets the next while it handles one does nothing else at all.
                    (0..300).for_each(|_| std::hint::spin_loop());
                }
            }
        });
        after_signals(1);
        let folder = TempDir::new();
        let fifo = folder.fifo();
        let before = descriptors();
        for _ in 0..rounds(20, 2_000) {
            let runtime = R::new().unwrap();
            let ending = Arc::new(AtomicBool::new(false));
            let in_the_middle = {
                let ending = ending.clone();
                move || {
                    while !ending.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    after_signals(20);
                }
            };
            runtime.block_on(async {
                for _ in 0..100 {
                    let socket = silent_socket();
                    drop(spawn(async move { socket.recv(Tombstone::new(1)).await.map(drop) }));
                }
                let says = SaysInDrop(ending);
                drop(spawn(async move {
                    let _says = says;
                    sleep(Duration::from_secs(3_600)).await;
                }));
                // What ends only after more of the storm, so that the shutdown waits in the middle of it: a
                // job, and on the selector an operation.
                let (begun, waits) = (Signal::default(), in_the_middle.clone());
                let begins = begun.clone();
                drop(spawn_blocking(move || {
                    begins.set();
                    waits();
                }));
                let open = File::open(&fifo);
                drop(spawn(async move { open.await.map(drop) }));
                begun.await;
                turns(2).await;
            });
            let fifo = fifo.clone();
            let opener = thread(move || {
                in_the_middle();
                // With a writer there, who waits to open it for reading goes on.
                drop(std::fs::File::options().read(true).write(true).open(fifo).unwrap());
            });
            let since = signals();
            end(runtime);
            assert!(signals() >= since + 20, "the storm was in the shutdown");
            opener.join();
            assert_eq!(descriptors(), before);
        }
        over.store(true, Ordering::Relaxed);
        storm.join();
    });
}

/// The length of a read that takes the kernel a while, in one step.
const LONG_READ: usize = 1 << 20;

fn t22_a_read_that_nothing_stops_is_leaked<R: Runtime>() {
    Alone::new().leaks().run(|| {
        for by_drop in [false, true] {
            let mut memory = memory_file();
            memory.write_all(&vec![7; LONG_READ]).unwrap();
            // The kernel copies in a thread of its own, which no cancel stops: sooner or later it is still at it
            // when the shutdown has returned.
            loop {
                let config = Config::new().shutdown_deadline(Duration::ZERO);
                let runtime = R::with_config(&config).unwrap();
                let (buffer, watch) = Canary::new(LONG_READ);
                let file = memory.try_clone().unwrap();
                runtime.block_on(async {
                    let file = File::from_std(file);
                    drop(spawn(async move { file.read_at(buffer, 0).await.map(drop) }));
                    yield_now().await;
                });
                let leaked = if by_drop {
                    drop(runtime);
                    usize::from(!watch.is_dropped())
                } else {
                    runtime.shutdown(Duration::ZERO).ops_leaked
                };
                let late = watch.byte(LONG_READ - 1) != 7;
                if leaked == 0 {
                    watch.assert_untouched();
                    continue;
                }
                assert_eq!(leaked, 1);
                while watch.byte(LONG_READ - 1) != 7 {
                    std::thread::yield_now();
                }
                assert!((0..LONG_READ).all(|place| watch.byte(place) == 7), "it read to the end");
                assert!(!watch.is_dropped(), "the kernel wrote into a buffer that somebody still had");
                if late {
                    break;
                }
            }
        }
    });
}

fn memory_file() -> std::fs::File {
    // SAFETY: the name is a string that ends; the answer is a descriptor that nobody else owns.
    unsafe {
        let fd = libc::memfd_create(c"long".as_ptr(), libc::MFD_CLOEXEC);
        assert!(fd >= 0);
        std::fs::File::from_raw_fd(fd)
    }
}

fn t22_a_call_that_nothing_stops_is_leaked<R: Runtime>() {
    Alone::new().leaks().run(|| {
        let folder = TempDir::new();
        let fifo = folder.fifo();
        for by_drop in [false, true] {
            let config = Config::new().shutdown_deadline(Duration::ZERO);
            let runtime = R::with_config(&config).unwrap();
            // The thread waits in open(2) until the other side comes, however long that takes.
            let open = File::open(&fifo);
            let task = runtime.spawn(async move { open.await.map(drop) });
            runtime.block_on(async {
                turns(1).await;
                until(waits_in_open).await;
            });
            if by_drop {
                drop(runtime);
            } else {
                let left = runtime.shutdown(Duration::ZERO);
                assert_eq!((left.tasks, left.ops_leaked, left.jobs_leaked), (1, 1, 1));
            }
            assert!(task.is_finished());
            assert!(waits_in_open(), "it goes on, with a path that is still there");
            // Now it ends, and reports to nobody.
            drop(std::fs::File::options().read(true).write(true).open(&fifo).unwrap());
            while threads_named("proactor-pool") > 0 {
                std::thread::yield_now();
            }
        }
    });
}

/// Whether a thread of the pool is in a system call that opens a file.
fn waits_in_open() -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let mut calls = tasks.filter_map(|task| {
        let path = task.ok()?.path();
        let name = std::fs::read_to_string(path.join("comm")).ok()?;
        (name.trim_end() == "proactor-pool").then(|| std::fs::read_to_string(path.join("syscall")).ok())?
    });
    let open = format!("{} ", libc::SYS_openat);
    calls.any(|call| call.starts_with(&open))
}

/// Panics when it is dropped, also while another panic unwinds.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("expected: the drop");
    }
}

/// Tasks and operations of all kinds, some of which panic at their end.
async fn everything_at_once(dropped: &Rc<Cell<u32>>) -> Vec<Box<dyn Any>> {
    let mut kept: Vec<Box<dyn Any>> = Vec::new();
    for panics in [false, true] {
        let (stream, peer) = half_pair();
        let counted = Counted(dropped.clone());
        drop(spawn(async move {
            let _counted = counted;
            let _panics = panics.then(|| PanicsInDrop);
            let _ = stream.read(Tombstone::new(1)).await;
        }));
        let (other, other_peer) = half_pair();
        let counted = Counted(dropped.clone());
        drop(spawn(async move {
            let acts = move || {
                let _ = &counted;
                assert!(!panics, "expected: the buffer");
            };
            let _ = other.read(Acts(Vec::with_capacity(16), acts)).await;
        }));
        drop(spawn(sleep(Duration::from_secs(3_600))));
        drop(spawn_blocking(|| ()));
        kept.push(Box::new((peer, other_peer)));
    }
    turns(2).await;
    kept
}

fn t23_a_runtime_may_be_dropped_by_a_panic<R: Runtime>() {
    // Alone, because it would end the process if it went wrong.
    alone(|| {
        let before = descriptors();
        let dropped = Rc::new(Cell::new(0));
        let message = panic_of(|| {
            let runtime = R::new().unwrap();
            let _kept = runtime.block_on(everything_at_once(&dropped));
            panic!("expected: the first");
        });
        assert_eq!((message.as_str(), dropped.get()), ("expected: the first", 4));
        assert_eq!(descriptors(), before);
    });
}

fn t23_a_runtime_may_be_dropped_by_a_panic_of_its_own_future<R: Runtime>() {
    alone(|| {
        let before = descriptors();
        let dropped = Rc::new(Cell::new(0));
        let kept = RefCell::default();
        let message = panic_of(|| {
            let runtime = R::new().unwrap();
            runtime.block_on(async {
                *kept.borrow_mut() = everything_at_once(&dropped).await;
                let (stream, _peer) = half_pair();
                let mut read = stream.read(Tombstone::new(1));
                assert!(poll_once(&mut read).await.is_pending());
                turns(1).await;
                panic!("expected: the first");
            });
        });
        assert_eq!((message.as_str(), dropped.get()), ("expected: the first", 4));
        drop(kept);
        assert_eq!(descriptors(), before);
        run::<R>(turns(2)); // and the thread is as it was
    });
}

/// A task that never ends, and its waker.
fn waker_of_a_task<R: Runtime>(runtime: &R, keeps: impl Any) -> Waker {
    let cell: Rc<RefCell<Option<Waker>>> = Rc::default();
    let other = cell.clone();
    drop(runtime.spawn(poll_fn(move |cx| {
        let _ = &keeps;
        other.borrow_mut().get_or_insert_with(|| cx.waker().clone());
        Poll::<()>::Pending
    })));
    runtime.block_on(turns(1));
    cell.take().unwrap()
}

fn t24_wakers_fire_before_during_and_after_the_end<R: Runtime>() {
    alone(|| {
        let before = descriptors();
        let (give, take) = mpsc::channel::<(Vec<Waker>, Arc<AtomicBool>, Signal)>();
        let (done, is_done) = mpsc::channel();
        let firing = thread(move || {
            for (wakers, over, begun) in take {
                while !over.load(Ordering::Relaxed) {
                    wakers.iter().for_each(Waker::wake_by_ref);
                    begun.set();
                    wakers.iter().for_each(|waker| waker.clone().wake());
                }
                for _ in 0..100 {
                    wakers.iter().for_each(Waker::wake_by_ref);
                }
                wakers.into_iter().for_each(Waker::wake);
                done.send(()).unwrap();
            }
        });
        for round in 0..rounds(300, 100_000) {
            let runtime = R::new().unwrap();
            let held = Arc::new(());
            let mut wakers: Vec<_> = (0..3).map(|_| waker_of_a_task(&runtime, held.clone())).collect();
            wakers.push(runtime.block_on(my_waker()));
            wakers.push(runtime.block_on(async { spawn(my_waker()).await.unwrap() }));
            let (over, begun) = (Arc::new(AtomicBool::new(false)), Signal::default());
            give.send((wakers, over.clone(), begun.clone())).unwrap();
            runtime.block_on(begun);
            match round % 2 {
                0 => end(runtime),
                _ => drop(runtime),
            }
            assert_eq!(Arc::strong_count(&held), 1, "the futures are gone, whoever has wakers");
            over.store(true, Ordering::Relaxed);
            is_done.recv().unwrap();
            assert_eq!(descriptors(), before);
        }
        drop(give);
        firing.join();
    });
}

fn t24_a_waker_keeps_only_what_it_needs_of_its_runtime<R: Runtime>() {
    alone(|| {
        let before = descriptors();
        let runtime = R::new().unwrap();
        let held = Arc::new(());
        // Of a task that has ended, of one that is cut off in the middle of its life, of the root.
        let ended = runtime.block_on(async { spawn(my_waker()).await.unwrap() });
        let cut_off = waker_of_a_task(&runtime, held.clone());
        let root = runtime.block_on(my_waker());
        end(runtime);
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(
            descriptors().len(),
            before.len() + 1,
            "the event descriptor, which a wake-up may write to"
        );
        for waker in [ended, cut_off, root] {
            assert_eq!(descriptors().len(), before.len() + 1);
            (0..100_000).for_each(|_| waker.wake_by_ref());
            thread(move || {
                (0..100_000).for_each(|_| waker.clone().wake());
                waker.wake();
            })
            .join();
        }
        assert_eq!(descriptors(), before, "the last waker takes it along");
    });
}

/// Foreign wakes and closures that lie in the inbox of a loop that does not run.
struct Undelivered {
    polls: Rc<Cell<usize>>,
    tasks: usize,
    ran: Arc<AtomicUsize>,
    held: Arc<()>,
}

impl Undelivered {
    const COUNT: usize = 100_000;

    fn new<R: Runtime>(runtime: &R) -> Undelivered {
        let (polls, held) = (Rc::new(Cell::new(0)), Arc::new(()));
        let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
        for _ in 0..Self::COUNT {
            let (polls, held, wakers) = (polls.clone(), held.clone(), wakers.clone());
            drop(runtime.spawn(poll_fn(move |cx| {
                let _ = &held;
                polls.set(polls.get() + 1);
                if polls.get() <= Self::COUNT {
                    wakers.borrow_mut().push(cx.waker().clone());
                }
                Poll::<()>::Pending
            })));
        }
        runtime.block_on(turns(1));
        assert_eq!(polls.replace(0), Self::COUNT);
        polls.set(Self::COUNT);
        let (wakers, handle, ran) = (wakers.take(), runtime.handle(), Arc::new(AtomicUsize::new(0)));
        let runs = ran.clone();
        let keeps = held.clone();
        thread(move || {
            // Many of one task, some of every task, and closures between them.
            for waker in &wakers {
                wakers[0].wake_by_ref();
                waker.clone().wake();
                let (runs, keeps) = (runs.clone(), keeps.clone());
                handle
                    .call_soon(move || {
                        let _keeps = keeps;
                        runs.fetch_add(1, Ordering::Relaxed);
                    })
                    .unwrap();
            }
        })
        .join();
        polls.set(Self::COUNT);
        Undelivered { polls, tasks: Self::COUNT, ran, held }
    }
}

fn t24_a_hundred_thousand_wakes_wait_for_their_loop<R: Runtime>() {
    let runtime = R::new().unwrap();
    let Undelivered { polls, tasks, ran, held } = Undelivered::new(&runtime);
    runtime.block_on(turns(2));
    assert_eq!(polls.get() - tasks, tasks, "each task is polled once, however often it was woken");
    assert_eq!(ran.load(Ordering::Relaxed), tasks);
    end(runtime);
    assert_eq!(Arc::strong_count(&held), 1);
}

fn t24_a_hundred_thousand_wakes_that_no_loop_takes<R: Runtime>() {
    let runtime = R::new().unwrap();
    let Undelivered { polls, tasks, ran, held } = Undelivered::new(&runtime);
    let left = runtime.shutdown(Duration::from_secs(30));
    assert_eq!((left.tasks, left.ops_leaked, left.jobs_leaked), (tasks, 0, 0));
    assert_eq!(polls.get(), tasks, "nobody is polled any more");
    assert_eq!(ran.load(Ordering::Relaxed), 0);
    assert_eq!(Arc::strong_count(&held), 1, "what lay in the inbox is gone as well");
}

/// How far a task from another thread has come when its runtime ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// The runtime had ended before.
    Gone,
    NeverTaken,
    Begun,
    Finished,
    Panicked,
}

const STAGES: [Stage; 5] = [Stage::Gone, Stage::NeverTaken, Stage::Begun, Stage::Finished, Stage::Panicked];

impl Stage {
    #[track_caller]
    fn check(self, outcome: Result<Arc<()>, JoinError>) {
        let as_expected = match (self, &outcome) {
            (Stage::Gone, Err(JoinError::RuntimeGone)) => true,
            (Stage::NeverTaken, Err(JoinError::Cancelled | JoinError::RuntimeGone)) => true,
            (Stage::Begun, Err(JoinError::Cancelled)) => true,
            (Stage::Finished, Ok(_)) => true,
            (Stage::Panicked, Err(JoinError::Panicked(panic))) => panic.message() == "expected: afar",
            _ => false,
        };
        assert!(as_expected, "{self:?}: {outcome:?}");
    }
}

/// The handle of a task at that stage, of a runtime that has ended.
fn handle_without_runtime<R: Runtime>(stage: Stage, payload: &Arc<()>) -> RemoteHandle<Arc<()>> {
    let runtime = R::new().unwrap();
    let handle = runtime.handle();
    let keeps = payload.clone();
    let make = move || async move {
        match stage {
            Stage::Finished => keeps,
            Stage::Panicked => panic!("expected: afar"),
            _ => pending().await,
        }
    };
    if stage == Stage::Gone {
        drop(runtime);
        return handle.spawn(make);
    }
    let task = handle.spawn(make);
    if stage != Stage::NeverTaken {
        runtime.block_on(turns(3));
    }
    end(runtime);
    task
}

fn t25_a_remote_handle_is_used_after_its_runtime<R: Runtime>() {
    alone(|| {
        let before = descriptors();
        for stage in STAGES {
            let payload = Arc::new(());
            let make = || handle_without_runtime::<R>(stage, &payload);
            let [polled, joined, dropped, cancelled, awaited] = std::array::from_fn(|_| make());
            let user = thread(move || {
                let mut polled = polled;
                assert!(polled.is_finished());
                let waker = Waker::from(Arc::new(Noted::default()));
                match Pin::new(&mut polled).poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(outcome) => stage.check(outcome),
                    Poll::Pending => panic!("{stage:?}: it waits for nobody"),
                }
                polled.request_cancel();
                drop(polled);
                stage.check(joined.join());
                drop(dropped);
                (0..3).for_each(|_| cancelled.request_cancel());
                stage.check(cancelled.join());
                let runtime = R::new().unwrap();
                awaited.request_cancel();
                stage.check(runtime.block_on(awaited));
                end(runtime);
            });
            user.join();
            assert_eq!(Arc::strong_count(&payload), 1, "{stage:?}: the result is gone");
            assert_eq!(descriptors(), before, "{stage:?}");
        }
    });
}

fn t25_a_remote_handle_waits_while_its_runtime_ends<R: Runtime>() {
    for begun in [true, false] {
        let runtime = R::new().unwrap();
        let noted = Arc::new(Noted::default());
        let waits = noted.clone();
        let (mut polled, joined) =
            (runtime.handle().spawn(pending::<()>), runtime.handle().spawn(pending::<()>));
        if begun {
            runtime.block_on(turns(3));
        }
        let (say, hear) = mpsc::channel();
        let user = thread(move || {
            let waker = Waker::from(waits);
            assert!(Pin::new(&mut polled).poll(&mut Context::from_waker(&waker)).is_pending());
            say.send(()).unwrap();
            assert!(joined.join().is_err());
            polled
        });
        hear.recv().unwrap();
        end(runtime);
        assert!(noted.is_woken(), "who polled it has been woken");
        assert!(user.join().join().is_err());
    }
}

fn t25_remote_handles_race_with_the_end<R: Runtime>() {
    alone(|| {
        let before = descriptors();
        let payload = Arc::new(());
        for _ in 0..rounds(100, 50_000) {
            let runtime = R::new().unwrap();
            let handle = runtime.handle();
            let keeps = payload.clone();
            let (say, hear) = mpsc::channel();
            let user = thread(move || {
                let waker = Waker::from(Arc::new(Noted::default()));
                for number in 0.. {
                    let keeps = keeps.clone();
                    let mut task = handle.spawn(move || async move {
                        yield_now().await;
                        keeps
                    });
                    let _ = say.send(());
                    match number % 4 {
                        0 => task.request_cancel(),
                        1 => drop(Pin::new(&mut task).poll(&mut Context::from_waker(&waker))),
                        2 => drop(task),
                        _ => drop(task.join()),
                    }
                    if handle.is_closed() {
                        return;
                    }
                }
            });
            hear.recv().unwrap();
            runtime.block_on(turns(1));
            end(runtime);
            user.join();
            assert_eq!(Arc::strong_count(&payload), 1);
        }
        assert_eq!(descriptors(), before);
    });
}

/// One object of each kind, those that can with an operation in flight, and what shows that they are closed:
/// peers.
async fn objects(folder: &TempDir) -> (Vec<Box<dyn Any>>, Vec<std::net::TcpStream>) {
    let (stream, peer) = half_pair();
    let mut read = stream.read(Tombstone::new(1));
    assert!(poll_once(&mut read).await.is_pending());
    let (idle, idle_peer) = half_pair();
    let (split, split_peer) = half_pair();
    let (reader, writer) = split.into_split();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut accept = listener.accept();
    assert!(poll_once(&mut accept).await.is_pending());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut receive = socket.recv(Tombstone::new(1));
    assert!(poll_once(&mut receive).await.is_pending());
    let file = File::open(folder.file("file", b"text")).await.unwrap();
    drop(file.read_at(Tombstone::new(1), 0).await.unwrap());
    turns(1).await;
    let kept: [Box<dyn Any>; 10] = [
        Box::new(read),
        Box::new(stream),
        Box::new(idle),
        Box::new(reader),
        Box::new(writer),
        Box::new(listener),
        Box::new(accept),
        Box::new(receive),
        Box::new(socket),
        Box::new(file),
    ];
    (kept.into(), vec![peer, idle_peer, split_peer])
}

/// Descriptors that the objects keep; their futures keep one more, the loop's event descriptor.
const OBJECTS: usize = 6;

fn t26_objects_are_closed_after_their_runtime<R: Runtime>() {
    alone(|| {
        let folder = TempDir::new();
        for reversed in [false, true] {
            let before = descriptors();
            let runtime = R::new().unwrap();
            let (mut kept, peers) = runtime.block_on(objects(&folder));
            end(runtime);
            let all = descriptors().len();
            assert_eq!(all, before.len() + OBJECTS + 1 + peers.len(), "they are still open");
            if reversed {
                kept.reverse();
            }
            // In another runtime, and outside of any.
            let rest = kept.split_off(4);
            run::<R>(async move { drop(kept) });
            drop(rest);
            assert_eq!(descriptors().len(), all - OBJECTS - 1);
            peers.into_iter().for_each(|peer| assert!(read_to_end(peer).is_empty()));
            assert_eq!(descriptors(), before);
        }
    });
}

thread_local! {
    /// Dropped when its thread ends, first to last.
    static KEPT: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

fn t26_objects_are_closed_in_the_destructors_of_a_thread<R: Runtime + 'static>() {
    alone(|| {
        let before = descriptors();
        for place_of_runtime in ["ended", "first", "last"] {
            let user = thread(move || {
                let folder = TempDir::new();
                let runtime = R::new().unwrap();
                let (kept, peers) = runtime.block_on(objects(&folder));
                // A task with an operation, which goes with its runtime.
                let peer = runtime.block_on(async {
                    let (stream, peer) = half_pair();
                    drop(spawn(async move { stream.read(Tombstone::new(1)).await.map(drop) }));
                    turns(2).await;
                    peer
                });
                KEPT.with_borrow_mut(|all| {
                    match place_of_runtime {
                        "ended" => end(runtime),
                        "first" => all.push(Box::new(runtime)),
                        _ => return all.extend(kept.into_iter().chain([Box::new(runtime) as Box<dyn Any>])),
                    }
                    all.extend(kept);
                });
                (peers, peer)
            });
            let (peers, peer) = user.join();
            for peer in peers.into_iter().chain([peer]) {
                assert!(read_to_end(peer).is_empty(), "{place_of_runtime}");
            }
            assert_eq!(descriptors(), before, "{place_of_runtime}");
        }
    });
}

fn t27_a_thousand_runtimes_leave_nothing<R: Runtime>() {
    for nobody in [false, true] {
        for busy in [false, true] {
            let child = Alone::new().case(format!("nobody {nobody}, busy {busy}"));
            let child = if nobody { child.nobody() } else { child };
            child.run(|| {
                (0..300).for_each(|_| one_life::<R>(busy));
                let (open, threads_before, before) = (descriptors(), threads(), resident_bytes());
                (0..1_000).for_each(|_| one_life::<R>(busy));
                assert_eq!(descriptors(), open);
                assert_eq!(threads(), threads_before);
                let grown = resident_bytes().saturating_sub(before);
                // The address sanitizer keeps what was freed for a while.
                let allowed = if is_sanitized() { 512 << 20 } else { 512 << 10 };
                assert!(grown < allowed, "{grown} bytes more than before a thousand runtimes");
            });
        }
    }
}

/// A runtime is made, runs, and ends; idle, or with an operation in flight whose future outlives it.
fn one_life<R: Runtime>(busy: bool) {
    let runtime = R::new().unwrap();
    let mut kept = None;
    runtime.block_on(async {
        if busy {
            let socket = silent_socket();
            let mut receive = socket.recv(Vec::with_capacity(4_096));
            assert!(poll_once(&mut receive).await.is_pending());
            let other = silent_socket();
            drop(spawn(async move { other.recv(Vec::with_capacity(4_096)).await.map(drop) }));
            kept = Some((socket, receive));
        }
        turns(1).await;
    });
    drop(runtime);
    drop(kept);
}

fn t28_a_thread_may_end_with_a_leaked_runtime<R: Runtime>() {
    // Alone: what is leaked stays.
    Alone::new().leaks().run(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let runtime = R::new().unwrap(); // another one, from before
        for begun_elsewhere in [false, true] {
            let drops = dropped.clone();
            let user = thread(move || {
                let runtime = R::new().unwrap();
                let waker = waker_of_a_task(&runtime, ());
                let remote = runtime.handle().spawn(pending::<()>);
                let peer = runtime.block_on(async {
                    let (stream, peer) = half_pair();
                    let acts = move || {
                        drops.fetch_add(1, Ordering::SeqCst);
                    };
                    drop(spawn(async move {
                        let _ = stream.read(Acts(vec![0; 4_096], acts)).await;
                    }));
                    turns(2).await;
                    peer
                });
                let handle = runtime.handle();
                forget(runtime);
                if begun_elsewhere {
                    // The thread goes on with a runtime that ends as it should.
                    run::<R>(turns(2));
                }
                (peer, handle, waker, remote)
            });
            let (mut peer, handle, waker, remote) = user.join();
            // The loop is gone, and nobody waits for it.
            peer.write_all(b"late").unwrap();
            (0..1_000).for_each(|_| waker.wake_by_ref());
            remote.request_cancel();
            assert!(!remote.is_finished() && !handle.is_closed());
            for _ in 0..1_000 {
                handle.call_soon(|| unreachable!("no loop runs it")).unwrap();
            }
            handle.stop();
            drop((waker, remote, handle));
            // Others go on, those from before and new ones.
            runtime.block_on(everyday_work());
            run::<R>(everyday_work());
            drop(peer);
            runtime.block_on(everyday_work());
            assert_eq!(dropped.load(Ordering::SeqCst), 0, "nothing is freed that the kernel may use");
        }
        end(runtime);
        assert_eq!(dropped.load(Ordering::SeqCst), 0);
    });
}

async fn everyday_work() {
    let (client, server) = pair().await;
    let echoing = spawn(echo(server));
    client.write_all("text").await.unwrap();
    assert_eq!(&client.read_exact([0; 4]).await.unwrap().1, b"text");
    sleep(Duration::from_micros(10)).await;
    assert_eq!(spawn_blocking(|| 7).await.unwrap(), 7);
    drop(client);
    echoing.await.unwrap();
}

#[track_caller]
fn names_the_loop(what: &str, message: &str) {
    assert!(message.starts_with(what), "{message}");
    assert!(message.contains("already runs on this thread") && message.contains("`.await`"), "{message}");
    assert!(message.contains("`spawn`") && message.contains("another thread"), "{message}");
}

fn t29_a_loop_inside_a_loop_panics_with_the_cure<R: Embed>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        names_the_loop("block_on", &panic_of(|| runtime.block_on(async {})));
        names_the_loop("run_forever", &panic_of(|| runtime.run_forever()));
        names_the_loop("turn", &panic_of(|| runtime.turn(Wait::Poll, Budget::default())));
        names_the_loop("block_on", &panic_of(|| proactor::run(async {})));
        sleep(Duration::from_micros(1)).await;
        turns(2).await;
    });
    end(runtime);
}

fn t29_a_second_runtime_inside_the_first_panics_with_the_cure<R: Runtime>() {
    run::<R>(async {
        let second = R::new().unwrap();
        names_the_loop("block_on", &panic_of(|| second.block_on(async {})));
        names_the_loop("run_forever", &panic_of(|| second.run_forever()));
        end(second);
        turns(2).await;
    });
}

fn t29_a_loop_inside_a_task_panics_with_the_cure<R: Runtime>() {
    run::<R>(async {
        let error = spawn(async { panic_of(|| proactor::run(async {})) }).await.unwrap();
        names_the_loop("block_on", &error);
        // A thread of the pool is another thread.
        assert_eq!(spawn_blocking(|| R::new().unwrap().block_on(async { 7 })).await.unwrap(), 7);
    });
}

/// Runs a loop when it is dropped, and keeps what that says.
struct RunsInDrop(Rc<RefCell<Vec<String>>>);

impl Drop for RunsInDrop {
    fn drop(&mut self) {
        let message = panic_of(|| proactor::run(async {}));
        self.0.borrow_mut().push(message);
    }
}

fn t29_a_loop_inside_code_that_a_loop_calls_panics_with_the_cure<R: Runtime>() {
    let messages: Rc<RefCell<Vec<String>>> = Rc::default();
    let runtime = R::new().unwrap();
    let (say, hear) = mpsc::channel();
    runtime.handle().call_soon(move || say.send(panic_of(|| proactor::run(async {}))).unwrap()).unwrap();
    runtime.block_on(async {
        // The destructors of a future, and of a buffer that the kernel gives back.
        let guard = RunsInDrop(messages.clone());
        let task = spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        let (stream, _peer) = half_pair();
        let guard = RunsInDrop(messages.clone());
        let mut read = stream.read(Acts(Vec::with_capacity(16), move || drop(RunsInDrop(guard.0.clone()))));
        assert!(poll_once(&mut read).await.is_pending());
        turns(2).await;
        assert!(task.cancel().await.is_err());
        drop(read);
        until(|| messages.borrow().len() == 3).await;
    });
    // And at the end.
    let guard = RunsInDrop(messages.clone());
    drop(runtime.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    }));
    runtime.block_on(turns(1));
    end(runtime);
    assert_eq!(messages.borrow().len(), 4);
    messages.borrow().iter().for_each(|message| names_the_loop("block_on", message));
    names_the_loop("block_on", &hear.recv().unwrap());
    assert_eq!(proactor::run(async { 7 }), 7, "outside it may");
}

/// Spawns a task that holds the next one when it is dropped.
struct Respawns {
    left: u32,
    drops: Rc<Cell<u32>>,
}

impl Drop for Respawns {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        if self.left > 0 {
            let next = Respawns { left: self.left - 1, drops: self.drops.clone() };
            drop(spawn(async move {
                let _next = next;
                pending::<()>().await;
            }));
        }
    }
}

/// A runtime with a task whose drop begins a chain of so many more.
fn with_chain<R: Runtime>(left: u32) -> (R, Rc<Cell<u32>>) {
    let drops = Rc::new(Cell::new(0));
    let first = Respawns { left, drops: drops.clone() };
    let runtime = R::new().unwrap();
    drop(runtime.spawn(async move {
        let _first = first;
        pending::<()>().await;
    }));
    runtime.block_on(yield_now());
    (runtime, drops)
}

fn t30_a_spawn_in_a_drop_during_shutdown_ends<R: Runtime>() {
    for deadline in [Duration::from_secs(30), Duration::ZERO] {
        let (runtime, drops) = with_chain::<R>(5_000);
        let left = runtime.shutdown(deadline);
        assert_eq!((left.tasks, left.ops_leaked, left.jobs_leaked), (1, 0, 0));
        assert_eq!(drops.get(), 5_001, "each is dropped, and none inside the other");
    }
}

fn t30_an_endless_chain_of_spawns_in_drops_ends<R: Runtime>() {
    // Alone: it would end the process if it went wrong.
    Alone::new().leaks().run(|| {
        let (runtime, drops) = with_chain::<R>(u32::MAX);
        let other = runtime.spawn(pending::<()>());
        let left = runtime.shutdown(Duration::from_secs(30));
        assert_eq!((left.tasks, left.ops_leaked, left.jobs_leaked), (2, 0, 0));
        assert!(drops.get() > 5_000);
        assert!(other.is_finished());
    });
}

/// Starts a read when it is dropped, and a task that holds it.
struct ReadsInDrop(Option<TcpStream>, Rc<RefCell<Option<JoinHandle<()>>>>);

impl Drop for ReadsInDrop {
    fn drop(&mut self) {
        let stream = self.0.take().unwrap();
        let mut read = stream.read(Tombstone::new(1));
        assert!(pin!(&mut read).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        *self.1.borrow_mut() = Some(spawn(async move {
            let _kept = (read, stream);
            pending::<()>().await;
        }));
    }
}

fn t30_a_spawn_in_a_drop_during_shutdown_that_leaves_an_operation<R: Runtime>() {
    let runtime = R::new().unwrap();
    let handle = Rc::new(RefCell::new(None));
    let keeps = handle.clone();
    let _peer = runtime.block_on(async move {
        let (stream, peer) = half_pair();
        drop(spawn(async move {
            let _guard = ReadsInDrop(Some(stream), keeps);
            pending::<()>().await;
        }));
        yield_now().await;
        peer
    });
    end(runtime);
    let handle = handle.borrow_mut().take().unwrap();
    assert!(handle.is_finished());
    assert!(!handle.request_cancel());
    run::<R>(async move { assert!(handle.await.unwrap_err().is_cancelled()) });
}

fn t30_an_operation_that_a_drop_begins_during_shutdown_is_ended<R: Runtime>() {
    let runtime = R::new().unwrap();
    let begun: Rc<RefCell<Option<Box<dyn Any>>>> = Rc::default();
    let keeps = begun.clone();
    let _peers = runtime.block_on(async {
        let ((first, first_peer), (second, second_peer)) = (half_pair(), half_pair());
        let mut second = Some(second);
        // The buffer goes when the kernel has let go of it: after the first round of cancels.
        let acts = move || {
            let stream = second.take().unwrap();
            let mut read = stream.read(Tombstone::new(1));
            assert!(pin!(&mut read).poll(&mut Context::from_waker(Waker::noop())).is_pending());
            *keeps.borrow_mut() = Some(Box::new((read, stream)));
        };
        drop(spawn(async move { first.read(Acts(Vec::with_capacity(1), acts)).await.map(drop) }));
        turns(2).await;
        (first_peer, second_peer)
    });
    end(runtime);
    assert!(begun.take().is_some());
}
