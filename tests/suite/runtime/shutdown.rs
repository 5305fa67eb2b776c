//! How runtimes end: with ten thousand operations in flight, without time, in a storm of signals, in a panic, and with
//! destructors that begin something new.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use proactor::fs::File;
use proactor::net::TcpStream;
use proactor::task::{JoinHandle, catch_cancel};
use proactor::time::{sleep, timeout};
use proactor::{Config, Runtime, Shutdown, spawn, spawn_blocking, yield_now};

use crate::kit::*;

tests! {
    t20_shutdown_ends_ten_thousand_operations,
    t20_shutdown_ends_ten_thousand_file_operations,
    t20_shutdown_without_time_ends_reads,
    t01_a_large_read_in_the_middle_of_a_shutdown,
    t21_shutdown_completes_under_a_storm_of_signals,
    t23_a_runtime_may_be_dropped_by_a_panic,
    t23_a_runtime_may_be_dropped_by_a_panic_of_its_own_future,
    t30_a_spawn_in_a_drop_during_shutdown_ends,
    t30_an_endless_chain_of_spawns_in_drops_ends,
    t30_a_spawn_in_a_drop_during_shutdown_that_leaves_an_operation,
    t30_an_operation_that_a_drop_begins_during_shutdown_is_ended,
    a_job_that_talks_to_the_loop_learns_of_its_end,
    a_remote_handle_gets_what_a_task_gives_at_the_end,
    a_future_kept_elsewhere_does_not_hold_up_the_shutdown;
    proactor:
    t20_shutdown_ends_ten_thousand_operations_on_one_descriptor,
    t22_a_read_that_nothing_stops_is_leaked;
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
                    spawn(async move { socket.recv(buffer).await.map(drop) });
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
                    spawn(async move { file.read_at(Vec::with_capacity(16), 0).await.map(drop) });
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
            spawn(async move { stream.read(Tombstone::new(1)).await.map(|_| ()) });
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

/// Says that it is dropped: that a runtime is ending.
struct SaysInDrop(Arc<AtomicBool>);

impl Drop for SaysInDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn t21_shutdown_completes_under_a_storm_of_signals<R: Runtime>() {
    alone(|| {
        let storm = SignalStorm::begin(&[libc::SIGUSR1], 300);
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
                    spawn(async move { socket.recv(Tombstone::new(1)).await.map(drop) });
                }
                let says = SaysInDrop(ending);
                spawn(async move {
                    let _says = says;
                    sleep(Duration::from_secs(3_600)).await;
                });
                // What ends only after more of the storm, so that the shutdown waits in the middle of it: a
                // job.
                let (begun, waits) = (Signal::default(), in_the_middle.clone());
                let begins = begun.clone();
                drop(spawn_blocking(move || {
                    begins.set();
                    waits();
                }));
                let open = File::open(&fifo);
                spawn(async move { open.await.map(drop) });
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
        storm.end();
    });
}

/// The length of a read that takes the kernel a while, in one step.
const LONG_READ: usize = 1 << 20;

fn t22_a_read_that_nothing_stops_is_leaked<R: Runtime>() {
    Alone::new().leaks().run(|| {
        for by_drop in [false, true] {
            let mut memory = memory_file();
            memory.write_all(&vec![7; LONG_READ]).unwrap();
            // The kernel copies in a thread of its own, which no cancel stops: sooner or later it still copies when
            // the shutdown has returned, and goes on to the end.
            loop {
                let config = Config::new().shutdown_deadline(Duration::ZERO);
                let runtime = R::with_config(&config).unwrap();
                let (buffer, watch) = Canary::new(LONG_READ);
                let file = memory.try_clone().unwrap();
                runtime.block_on(async {
                    let file = File::from_std(file);
                    spawn(async move { file.read_at(buffer, 0).await.map(drop) });
                    yield_now().await;
                });
                // Before that it can be cancelled.
                while watch.byte(0) != 7 {
                    std::thread::yield_now();
                }
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
                // The end of the ring may also end that thread, in the middle of a page that it has yet to map. Before
                // Linux 6.18 it stays, and sleeps when it has nothing to do.
                let mut idle = 0;
                while idle < 20 {
                    idle = if is_busy("iou-wrk") { 0 } else { idle + 1 };
                    std::thread::yield_now();
                }
                let whole = (0..LONG_READ).all(|place| watch.byte(place) == 7);
                assert!(late || whole, "the last byte is read last");
                assert!(!watch.is_dropped(), "the kernel wrote into a buffer that somebody still had");
                assert_eq!(eventfds(), 0, "of a runtime that is gone");
                if late && whole {
                    break;
                }
            }
        }
    });
}

fn t01_a_large_read_in_the_middle_of_a_shutdown<R: Runtime>() {
    Alone::new().leaks().run(|| {
        let len = rounds(16 << 20, 96 << 20);
        let mut memory = memory_file();
        memory.write_all(&vec![7; len]).unwrap();
        for shape in 0..3 {
            let runtime = R::new().unwrap();
            let (buffer, watch) = Canary::new(len);
            let file = memory.try_clone().unwrap();
            runtime.block_on(async {
                let file = File::from_std(file);
                let mut read = file.read_at(buffer, 0);
                match shape {
                    0 => {
                        // In a task that is pending.
                        spawn(async move { read.await.map(drop) });
                        yield_now().await;
                    }
                    // Given up first.
                    1 => drop(timeout(Duration::from_micros(10), read).await),
                    // Its future dropped, and nothing else.
                    _ => {
                        let _ = poll_once(&mut read).await;
                        drop(read);
                    }
                }
            });
            end(runtime);
            std::thread::sleep(Duration::from_millis(20)); // for a kernel that would still write
            watch.assert_untouched();
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
        let path = folder.file("leased", b"");
        for by_drop in [false, true] {
            let leased = Leased::new(path.clone());
            let config = Config::new().shutdown_deadline(Duration::ZERO);
            let runtime = R::with_config(&config).unwrap();
            // The thread waits in open(2) until the lease is given back.
            let open = leased.open();
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
            drop(task); // a handle keeps what wakes its loop
            assert!(waits_in_open(), "it goes on, with a path that is still there");
            // Now it ends, and reports to nobody.
            drop(leased);
            while threads_named("proactor-pool") > 0 {
                std::thread::yield_now();
            }
            assert_eq!(eventfds(), 0, "of a runtime that is gone");
        }
    });
}

fn eventfds() -> usize {
    descriptors().iter().filter(|link| link.contains("eventfd")).count()
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
        spawn(async move {
            let _counted = counted;
            let _panics = panics.then(|| PanicsInDrop);
            let _ = stream.read(Tombstone::new(1)).await;
        });
        let (other, other_peer) = half_pair();
        let counted = Counted(dropped.clone());
        spawn(async move {
            let acts = move || {
                let _ = &counted;
                assert!(!panics, "expected: the buffer");
            };
            let _ = other.read(Acts(Vec::with_capacity(16), acts)).await;
        });
        spawn(sleep(Duration::from_secs(3_600)));
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
            spawn(async move {
                let _next = next;
                pending::<()>().await;
            });
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
        spawn(async move {
            let _guard = ReadsInDrop(Some(stream), keeps);
            pending::<()>().await;
        });
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
        spawn(async move { first.read(Acts(Vec::with_capacity(1), acts)).await.map(drop) });
        turns(2).await;
        (first_peer, second_peer)
    });
    end(runtime);
    assert!(begun.take().is_some());
}

fn a_job_that_talks_to_the_loop_learns_of_its_end<R: Runtime>() {
    let runtime = R::new().unwrap();
    let handle = runtime.handle();
    let talking = runtime.spawn(async {
        spawn_blocking(move || {
            while !handle.is_closed() {
                let _ = handle.spawn(async || ()).join();
            }
        })
        .await
    });
    runtime.block_on(turns(3));
    assert!(!talking.is_finished());
    let left = runtime.shutdown(Duration::from_secs(3_600));
    assert_eq!((left.ops_leaked, left.jobs_leaked), (0, 0));
}

fn a_future_kept_elsewhere_does_not_hold_up_the_shutdown<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (stream, _peer) = runtime.block_on(async { half_pair() });
    let kept = Rc::new(RefCell::new(None));
    let keeps = kept.clone();
    let (canary, watch) = Canary::new(64);
    drop(runtime.spawn(async move {
        let mut read = stream.read(canary);
        assert!(poll_once(&mut read).await.is_pending());
        *keeps.borrow_mut() = Some(read);
        std::future::pending::<()>().await;
    }));
    runtime.block_on(turns(2));
    // The task began it, but it is not the task that will take its result: that is enough for its end. It
    // would wait for the deadline, and the watchdog would bark before that.
    let left = runtime.shutdown(Duration::MAX);
    assert_eq!((left.tasks, left.ops_leaked, left.jobs_leaked), (1, 0, 0));
    assert!(!watch.is_dropped());
    drop(kept.take());
    watch.assert_untouched();
}

fn a_remote_handle_gets_what_a_task_gives_at_the_end<R: Runtime>() {
    let runtime = R::new().unwrap();
    let remote = runtime.handle().spawn(async || {
        let told = catch_cancel(pending::<()>()).await;
        yield_now().await;
        drop(told);
        7
    });
    runtime.block_on(turns(5));
    runtime.shutdown(Duration::from_secs(10));
    assert_eq!(remote.join().unwrap(), 7);
}
