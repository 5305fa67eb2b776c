//! What outlives its runtime: wakers, handles, objects, threads.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proactor::fs::File;
use proactor::net::{TcpListener, UdpSocket};
use proactor::task::{JoinError, RemoteHandle};
use proactor::time::sleep;
use proactor::{Runtime, spawn, spawn_blocking, yield_now};

use crate::kit::*;

tests! {
    t24_wakers_fire_before_during_and_after_the_end,
    t24_a_waker_keeps_only_what_it_needs_of_its_runtime,
    t24_a_hundred_thousand_wakes_wait_for_their_loop,
    t24_a_hundred_thousand_wakes_that_no_loop_takes,
    t25_a_remote_handle_is_used_after_its_runtime,
    t25_a_remote_handle_waits_while_its_runtime_ends,
    t25_remote_handles_race_with_the_end,
    t26_objects_are_closed_after_their_runtime,
    t26_objects_are_closed_in_the_destructors_of_a_thread,
    t27_a_thousand_runtimes_leave_nothing;
    proactor:
    t28_a_thread_may_end_with_a_leaked_runtime,
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
            // A pipe has two ends, and the ring polls a set in the listener's place.
            let own = OBJECTS + 1 + usize::from(is_proactor::<R>());
            assert_eq!(all, before.len() + own + peers.len(), "they are still open");
            if reversed {
                kept.reverse();
            }
            // In another runtime, and outside of any.
            let rest = kept.split_off(4);
            run::<R>(async move { drop(kept) });
            drop(rest);
            assert_eq!(descriptors().len(), all - own);
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
                    spawn(async move { stream.read(Tombstone::new(1)).await.map(drop) });
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
            spawn(async move { other.recv(Vec::with_capacity(4_096)).await.map(drop) });
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
                    spawn(async move {
                        let _ = stream.read(Acts(vec![0; 4_096], acts)).await;
                    });
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
