//! Panics of futures, destructors and wakers: each ends what it concerns and nothing else.

use std::cell::Cell;
use std::future::{Future, pending};
use std::io::Write;
use std::panic::panic_any;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use proactor::task::{JoinError, JoinHandle};
use proactor::time::{sleep, sleep_until};
use proactor::{Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    t31_a_panic_in_poll_ends_only_its_task,
    t31_a_task_that_panics_releases_its_operations,
    t31_the_payload_of_a_panic_comes_back,
    t32_a_panic_in_the_drop_of_a_cancelled_future_is_its_outcome,
    t32_a_panic_in_the_drop_of_a_finished_future_is_its_outcome,
    t32_a_panic_in_the_drop_of_an_unused_output_is_contained,
    t32_a_payload_whose_drop_panics_is_contained,
    t32_a_panic_in_the_drop_of_a_future_keeps_no_other_from_its_end,
    t33_a_waker_that_panics_keeps_no_completion_from_the_others,
    t33_a_waker_that_panics_keeps_no_timer_from_the_others,
    t33_a_waker_that_panics_keeps_no_task_from_its_end,
}

#[track_caller]
fn panicked<T: std::fmt::Debug>(outcome: Result<T, JoinError>) -> String {
    match outcome {
        Err(JoinError::Panicked(panic)) => panic.message().to_owned(),
        other => panic!("it did not panic: {other:?}"),
    }
}

fn t31_a_panic_in_poll_ends_only_its_task<R: Runtime>() {
    run::<R>(async {
        // Every second one of many that wait for the same things ends in a panic.
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                spawn(async move {
                    let (ours, theirs) = pair().await;
                    let echoing = spawn(echo(theirs));
                    ours.write_all("text").await.unwrap();
                    if number % 2 == 1 {
                        panic!("expected: {number}");
                    }
                    sleep(Duration::from_micros(100)).await;
                    let echoed = ours.read_exact([0; 4]).await.unwrap().1;
                    drop(ours);
                    echoing.await.unwrap();
                    echoed
                })
            })
            .collect();
        for (number, outcome) in join_all(tasks).await.into_iter().enumerate() {
            match number % 2 {
                0 => assert_eq!(&outcome.unwrap(), b"text"),
                _ => {
                    let error = outcome.unwrap_err();
                    assert!(error.is_panic() && !error.is_cancelled());
                    assert_eq!(error.to_string(), format!("the task panicked: expected: {number}"));
                    assert_eq!(panicked::<()>(Err(error)), format!("expected: {number}"));
                }
            }
        }
    });
}

fn t31_a_task_that_panics_releases_its_operations<R: Runtime>() {
    alone(|| {
        let before = descriptors();
        let runtime = R::new().unwrap();
        runtime.block_on(async {
            let (stream, peer) = half_pair();
            let task = spawn(async move {
                let mut read = stream.read(Tombstone::new(1));
                assert!(poll_once(&mut read).await.is_pending());
                turns(2).await;
                panic!("expected: with a read in flight");
            });
            assert_eq!(panicked(task.await.map(|()| ())), "expected: with a read in flight");
            until(|| live(&runtime) == (0, 0, 0)).await;
            assert!(read_to_end(peer).is_empty(), "the stream is closed");
        });
        end(runtime);
        assert_eq!(descriptors(), before);
    });
}

fn t31_the_payload_of_a_panic_comes_back<R: Runtime>() {
    run::<R>(async {
        let failed = spawn(async { std::panic::resume_unwind(Box::new(42_u64)) });
        let payload = failed.await.map(|()| ()).unwrap_err().into_panic();
        assert_eq!(*payload.downcast::<u64>().unwrap(), 42);
    });
}

#[derive(Debug)]
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("expected: in drop");
    }
}

fn t32_a_panic_in_the_drop_of_a_cancelled_future_is_its_outcome<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        for begun in [true, false] {
            let (stream, _peer) = half_pair();
            let task = spawn(async move {
                let _guard = PanicsInDrop;
                let _ = stream.read(Tombstone::new(1)).await;
                pending::<()>().await;
            });
            if begun {
                turns(2).await;
                assert_eq!(panicked(task.cancel().await), "expected: in drop");
            } else {
                // The body has not run, and made no guard.
                assert!(task.cancel().await.unwrap_err().is_cancelled());
            }
            assert_eq!(live(&runtime).1, 0, "its read has been reaped all the same");
        }
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    });
    end(runtime);
}

/// Gives `Output` at once, and panics in its drop.
struct ReadyAndPanics<T>(Option<T>);

impl<T> Unpin for ReadyAndPanics<T> {}

impl<T> Future for ReadyAndPanics<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        Poll::Ready(self.0.take().unwrap())
    }
}

impl<T> Drop for ReadyAndPanics<T> {
    fn drop(&mut self) {
        panic!("expected: after its result");
    }
}

fn t32_a_panic_in_the_drop_of_a_finished_future_is_its_outcome<R: Runtime>() {
    run::<R>(async {
        let dropped = Rc::new(Cell::new(0));
        let task = spawn(ReadyAndPanics(Some(Counted(dropped.clone()))));
        assert_eq!(panicked(task.await), "expected: after its result");
        assert_eq!(dropped.get(), 1, "the output is gone, once");
        // The output's destructor panics on top of it.
        let task = spawn(ReadyAndPanics(Some(PanicsInDrop)));
        assert_eq!(panicked(task.await), "expected: after its result");
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    });
}

fn t32_a_panic_in_the_drop_of_an_unused_output_is_contained<R: Runtime>() {
    let runtime = R::new().unwrap();
    let kept = runtime.block_on(async {
        spawn(async { PanicsInDrop });
        turns(2).await;
        // The same, with the output there before the handle goes.
        let task = spawn(async { PanicsInDrop });
        until(|| task.is_finished()).await;
        drop(task);
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
        let task = spawn(async { PanicsInDrop });
        until(|| task.is_finished()).await;
        assert_eq!(live(&runtime).0, 0);
        vec![task]
    });
    end(runtime);
    drop(kept); // after the runtime
}

fn t32_a_payload_whose_drop_panics_is_contained<R: Runtime>() {
    // Alone: what is not contained may end the process.
    Alone::new().leaks().run(|| {
        let runtime = R::new().unwrap();
        let kept = runtime.block_on(async {
            spawn(panics_twice());
            turns(2).await;
            let task = spawn(panics_twice());
            turns(2).await;
            drop(task);
            // One that is cancelled, and panics with such a payload in its drop.
            struct Guard;
            impl Drop for Guard {
                fn drop(&mut self) {
                    panic_any(PanicsInDrop)
                }
            }
            let task = spawn(async {
                let _guard = Guard;
                pending::<()>().await;
            });
            yield_now().await;
            task.request_cancel();
            drop(task);
            turns(2).await;
            // An output that nobody wants, whose drop panics with such a payload.
            spawn(async { Guard });
            turns(2).await;
            assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
            assert_eq!(live(&runtime).0, 0);
            let task = spawn(panics_twice());
            turns(2).await;
            vec![task]
        });
        end(runtime);
        drop(kept);
        // Several wakers of one batch panic with such payloads: one comes out, the others are dropped.
        let runtime = R::new().unwrap();
        let explosive = Waker::from(Arc::new(Explosive(|| panic_any(PanicsInDrop))));
        let reads = Reads::begin(&runtime, 4, &[0, 1, 3], &explosive);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(pending::<()>());
        }));
        forget(panic.unwrap_err().downcast::<PanicsInDrop>().unwrap());
        reads.assert_delivered(&runtime);
        end(runtime);
    });
}

/// Panics with a payload that panics when it is dropped.
async fn panics_twice() {
    panic_any(PanicsInDrop)
}

fn t32_a_panic_in_the_drop_of_a_future_keeps_no_other_from_its_end<R: Runtime>() {
    alone(|| {
        let before = descriptors();
        for by_drop in [true, false] {
            let runtime = R::new().unwrap();
            let dropped = Rc::new(Cell::new(0));
            let tasks: Vec<_> = (0..30)
                .map(|number| {
                    let counted = Counted(dropped.clone());
                    runtime.spawn(async move {
                        let (stream, _peer) = half_pair();
                        let _counted = counted;
                        let _panics = (number % 3 == 0).then(|| PanicsInDrop);
                        let _ = stream.read(Tombstone::new(1)).await;
                    })
                })
                .collect();
            runtime.block_on(turns(3));
            assert_eq!(live(&runtime), (30, 30, 0));
            if by_drop {
                drop(runtime);
            } else {
                end(runtime);
            }
            assert_eq!(dropped.get(), 30);
            // Each says what became of it.
            run::<R>(async {
                for (number, task) in tasks.into_iter().enumerate() {
                    match number % 3 {
                        0 => assert_eq!(panicked(task.await), "expected: in drop"),
                        _ => assert!(task.await.unwrap_err().is_cancelled()),
                    }
                }
            });
            assert_eq!(descriptors(), before);
        }
    });
}

/// A waker that panics when it is used.
struct Explosive(fn());

impl Wake for Explosive {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn explosive() -> Waker {
    Waker::from(Arc::new(Explosive(|| panic!("expected: the waker"))))
}

/// A read that is polled by hand.
type Read = Pin<Box<dyn Future<Output = [u8; 3]>>>;

/// Reads that have been answered while no loop ran, so that their completions come in one batch.
struct Reads {
    /// Of tasks.
    tasks: Vec<JoinHandle<[u8; 3]>>,
    /// With a waker that is not the runtime's.
    noted: Vec<(Read, Arc<Noted>)>,
    /// Whose waker panics.
    armed: Vec<Read>,
}

impl Reads {
    /// Begins `count` of them, those at `places` with a waker that panics; beside them, one that is dropped.
    fn begin<R: Runtime>(runtime: &R, count: usize, places: &[usize], waker: &Waker) -> Reads {
        let mut reads = Reads { tasks: Vec::new(), noted: Vec::new(), armed: Vec::new() };
        let mut peers = Vec::new();
        let dropped = runtime.block_on(async {
            let mut begin = || {
                let (stream, peer) = half_pair();
                peers.push(peer);
                Box::pin(async move { stream.read_exact([0; 3]).await.unwrap().1 })
            };
            for place in 0..count {
                let mut read = begin();
                if places.contains(&place) {
                    assert!(read.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
                    reads.armed.push(read);
                } else if place % 3 == 1 {
                    let noted = Arc::new(Noted::default());
                    let waker = Waker::from(noted.clone());
                    assert!(read.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                    reads.noted.push((read, noted));
                } else {
                    reads.tasks.push(spawn(read));
                    yield_now().await; // in order
                }
            }
            let mut dropped = begin();
            assert!(poll_once(&mut dropped).await.is_pending());
            turns(2).await;
            [dropped]
        });
        peers.iter_mut().for_each(|peer| peer.write_all(b"abc").unwrap());
        drop(dropped);
        reads
    }

    #[track_caller]
    fn assert_delivered<R: Runtime>(self, runtime: &R) {
        runtime.block_on(turns(3));
        let lost = self.tasks.iter().filter(|task| !task.is_finished()).count();
        assert_eq!(lost, 0, "of {} tasks", self.tasks.len());
        assert!(self.noted.iter().all(|(_, noted)| noted.is_woken()));
        runtime.block_on(async {
            for task in self.tasks {
                assert_eq!(&task.await.unwrap(), b"abc");
            }
            for mut read in self.noted.into_iter().map(|(read, _)| read).chain(self.armed) {
                let result = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert_eq!(result, Poll::Ready(*b"abc"));
            }
        });
        assert_eq!(live(runtime), (0, 0, 0), "the read that was dropped is over as well");
    }
}

fn t33_a_waker_that_panics_keeps_no_completion_from_the_others<R: Runtime>() {
    for places in [&[0][..], &[4], &[8], &[0, 4, 8], &[0, 1, 2, 3, 4, 5, 6, 7]] {
        let runtime = R::new().unwrap();
        let reads = Reads::begin(&runtime, 9, places, &explosive());
        assert_eq!(panic_of(|| runtime.block_on(pending::<()>())), "expected: the waker");
        reads.assert_delivered(&runtime);
        end(runtime);
    }
    // The same at the end: a waker of an operation that is cancelled by it.
    let runtime = R::new().unwrap();
    let dropped = Rc::new(Cell::new(0));
    let (mut kept, mut peers) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        for number in 0..9 {
            let (stream, peer) = half_pair();
            peers.push(peer);
            if number % 4 == 0 {
                let mut read = stream.read(Tombstone::new(1));
                assert!(pin!(&mut read).poll(&mut Context::from_waker(&explosive())).is_pending());
                kept.push((read, stream));
            } else {
                let counted = Counted(dropped.clone());
                spawn(async move {
                    let _counted = counted;
                    let _ = stream.read(Tombstone::new(1)).await;
                });
            }
        }
        turns(2).await;
    });
    assert_eq!(panic_of(|| runtime.shutdown(Duration::from_secs(30))), "expected: the waker");
    assert_eq!(dropped.get(), 6);
    for (mut read, _) in kept {
        let polled = pin!(&mut read).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_ready(), "it knows of its end");
    }
    drop(peers);
}

fn t33_a_waker_that_panics_keeps_no_timer_from_the_others<R: Runtime>() {
    for places in [&[0][..], &[4], &[8], &[0, 4, 8]] {
        let armed = [2, 20, 200, 2_000]
            .into_iter()
            .any(|delay| fires_around::<R>(places, Duration::from_millis(delay)));
        assert!(armed, "the machine takes more than two seconds to arm some timers");
    }
}

/// Whether nine timers were armed before the first of them was due. If so, all have fired, although the wakers of those at
/// `places` panic.
fn fires_around<R: Runtime>(places: &[usize], delay: Duration) -> bool {
    let runtime = R::new().unwrap();
    let mut armed = Vec::new();
    let mut tasks = Vec::new();
    let deadline = Instant::now() + delay;
    let panicked = panic_catching(|| {
        runtime.block_on(async {
            for place in 0..9 {
                let mut timer = Box::pin(sleep_until(deadline));
                if places.contains(&place) {
                    let _ = timer.as_mut().poll(&mut Context::from_waker(&explosive()));
                    armed.push(timer);
                } else {
                    tasks.push(spawn(timer));
                    yield_now().await;
                }
            }
        });
    });
    let in_time = Instant::now() < deadline;
    if in_time {
        assert_eq!(panicked, None);
        // All are due when the loop comes back.
        while Instant::now() <= deadline + Duration::from_millis(1) {
            std::thread::yield_now();
        }
        assert_eq!(panic_of(|| runtime.block_on(pending::<()>())), "expected: the waker");
        runtime.block_on(turns(3));
        assert!(tasks.iter().all(|task| task.is_finished()));
        drop((tasks, armed));
        assert_eq!(live(&runtime), (0, 0, 0));
        end(runtime);
    }
    in_time
}

fn t33_a_waker_that_panics_keeps_no_task_from_its_end<R: Runtime>() {
    let runtime = R::new().unwrap();
    let signals = [(); 5].map(|()| Signal::default());
    let mut tasks = signals.clone().map(|signal| runtime.spawn(signal));
    runtime.block_on(turns(1));
    // Who waits for the second one to end.
    let waits = explosive();
    assert!(Pin::new(&mut tasks[1]).poll(&mut Context::from_waker(&waits)).is_pending());
    signals.iter().for_each(Signal::set);
    assert_eq!(panic_of(|| runtime.block_on(pending::<()>())), "expected: the waker");
    runtime.block_on(turns(2));
    assert!(tasks.iter().all(|task| task.is_finished()));
    end(runtime);
}
