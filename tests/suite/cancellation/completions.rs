//! Completions that meet a future which is being dropped, or a slot that somebody else has by now.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use proactor::fs::File;
use proactor::io::nop;
use proactor::net::direct;
use proactor::testing::Fault;
use proactor::{Config, Feature, Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    ;
    proactor:
    t08_what_lies_in_the_queue_when_its_future_is_dropped,
    t08_a_result_that_waits_for_its_task_while_another_drops_its_future,
    t08_a_waker_that_drops_the_futures_of_its_batch,
    t11_no_stale_cancel_hits_the_next_operation,
}

// ---------------------------------------------------------------- dropped, and the completion is there

/// Polls more operations than the queue holds, so that what was queued before them is with the kernel and,
/// if that can be done at once, completed: nobody has reaped it yet.
async fn crowd(count: usize) -> Vec<impl Future> {
    let mut crowd: Vec<_> = (0..count).map(|_| nop()).collect();
    for nop in &mut crowd {
        assert!(poll_once(nop).await.is_pending());
    }
    crowd
}

fn t08_what_lies_in_the_queue_when_its_future_is_dropped<R: Runtime>() {
    alone(|| {
        let folder = TempDir::new();
        let content = pattern(1_000);
        let path = folder.file("file", &content);
        for config in deliveries::<R>(&Config::new().ring_entries(8)) {
            // The completion queue has room for 32: with more in front it lies with the kernel, overflowed.
            for in_front in [0, 100] {
                let runtime = R::with_config(&config).unwrap();
                runtime.block_on(async {
                    let before = descriptors();
                    for kind in INTO_BUFFERS {
                        let ends = kind.ends();
                        for _ in 0..rounds(5, 5_000) {
                            let front = crowd(in_front).await;
                            ends.send(b"bytes");
                            let mut watches = Vec::new();
                            let mut receive = kind.begin(&ends, || {
                                let (canary, watch) = Canary::new(64);
                                watches.push(watch);
                                canary
                            });
                            assert!(poll_once(&mut receive).await.is_pending());
                            let behind = crowd(16).await;
                            assert!(watches[0].holds(b"bytes"), "the kernel has not come to it");
                            drop((receive, front, behind));
                            ends.send(b"more");
                            ends.expect(b"bytes").await;
                            ends.expect(b"more").await;
                            watches.iter().for_each(CanaryWatch::assert_untouched);
                        }
                        ends.expect_nothing().await;
                    }
                    let file = File::open(&path).await.unwrap();
                    let with_file = descriptors();
                    for _ in 0..rounds(5, 5_000) {
                        let front = crowd(in_front).await;
                        let (canary, watch) = Canary::new(1_000);
                        let mut read = file.read_at(canary, 0);
                        assert!(poll_once(&mut read).await.is_pending());
                        let mut open = File::open(&path);
                        assert!(poll_once(&mut open).await.is_pending());
                        let behind = crowd(16).await;
                        assert_eq!(descriptors().len(), with_file.len() + 1, "it is open");
                        drop((open, read, front, behind));
                        reaped(&runtime).await;
                        watch.assert_untouched();
                        assert_eq!(descriptors(), with_file);
                    }
                    drop(file);
                    let listener = direct::TcpListener::bind("127.0.0.1:0").await.unwrap();
                    let address = listener.local_addr().unwrap();
                    let places = || runtime.report().live.direct;
                    for _ in 0..if uses(&runtime, Feature::DirectDescriptors) { rounds(5, 5_000) } else { 0 }
                    {
                        let mut client = std::net::TcpStream::connect(address).unwrap();
                        let mut accept = listener.accept();
                        assert!(poll_once(&mut accept).await.is_pending(), "it waits for a client");
                        turns(2).await;
                        let front = crowd(in_front).await;
                        assert!(poll_once(&mut accept).await.is_pending(), "the ring is asked for it");
                        let behind = crowd(16).await;
                        drop((accept, front, behind));
                        turns(3).await;
                        assert_eq!(places(), 1, "it was accepted");
                        let server = listener.accept().await.unwrap();
                        server.write_all(b"x".as_slice()).await.unwrap();
                        assert_eq!(client.read(&mut [0; 2]).unwrap(), 1);
                    }
                    drop(listener);
                    reaped(&runtime).await;
                    assert_eq!(descriptors(), before);
                });
                end(runtime);
            }
        }
    });
}

fn t08_a_result_that_waits_for_its_task_while_another_drops_its_future<R: Runtime>() {
    type Shared = Rc<RefCell<Option<Pending>>>;

    /// Polls what is shared, until somebody has taken it.
    async fn wait_for(shared: Shared) {
        std::future::poll_fn(|cx| {
            let mut shared = shared.borrow_mut();
            shared.as_mut().map_or(Poll::Ready(()), |future| future.as_mut().poll(cx))
        })
        .await;
    }

    for config in deliveries::<R>(&Config::new()) {
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            for (number, kind) in RECEIVES.into_iter().cycle().take(rounds(20, 400)).enumerate() {
                let all: [Ends; 2] = std::array::from_fn(|_| kind.ends());
                let mut watches = Vec::new();
                let shared = all.each_ref().map(|ends| -> Shared {
                    Rc::new(RefCell::new(Some(kind.begin(ends, || {
                        let (canary, watch) = Canary::new(64);
                        watches.push(watch);
                        canary
                    }))))
                });
                // Each waits for its own receive; who is polled first drops both.
                let first = Rc::new(Cell::new(true));
                let tasks: Vec<_> = (0..2)
                    .map(|task| {
                        let (shared, first) = (shared.clone(), first.clone());
                        spawn(async move {
                            let mut own = Box::pin(wait_for(shared[task].clone()));
                            assert!(poll_once(&mut own).await.is_pending());
                            yield_now().await;
                            let waker = my_waker().await;
                            let mut woken = false;
                            std::future::poll_fn(|_| {
                                // Not polled, but woken: the result stays in its slot.
                                let mut cx = Context::from_waker(&waker);
                                if std::mem::replace(&mut woken, true) {
                                    return Poll::Ready(());
                                }
                                own.as_mut().poll(&mut cx)
                            })
                            .await;
                            if first.replace(false) {
                                drop((shared[task].take(), shared[1 - task].take()));
                            }
                        })
                    })
                    .collect();
                turns(3).await;
                // Both are woken in the same visit.
                for which in if number % 2 == 0 { [0, 1] } else { [1, 0] } {
                    all[which].send(b"bytes");
                }
                for task in tasks {
                    task.await.unwrap();
                }
                assert!(!first.get());
                for ends in all {
                    ends.expect(b"bytes").await;
                    ends.expect_nothing().await;
                }
                reaped(&runtime).await;
                watches.iter().for_each(CanaryWatch::assert_untouched);
            }
        });
        end(runtime);
    }
}

thread_local! {
    /// What [`DropsAll`] drops.
    static DOOMED: RefCell<Vec<Pending>> = const { RefCell::new(Vec::new()) };
}

/// A waker that drops futures.
struct DropsAll;

impl Wake for DropsAll {
    fn wake(self: Arc<Self>) {
        drop(DOOMED.take());
    }
}

fn t08_a_waker_that_drops_the_futures_of_its_batch<R: Runtime>() {
    for config in deliveries::<R>(&Config::new()) {
        let runtime = R::with_config(&config).unwrap();
        let waker = Waker::from(Arc::new(DropsAll));
        runtime.block_on(async {
            for _ in 0..rounds(20, 100) {
                let kinds = RECEIVES.into_iter().chain(RECEIVES);
                let all: Vec<_> = kinds.map(|kind| (kind, kind.ends())).collect();
                let mut watches = Vec::new();
                for (number, (kind, ends)) in all.iter().enumerate() {
                    let mut receive = kind.begin(ends, || {
                        let (canary, watch) = Canary::new(64);
                        watches.push(watch);
                        canary
                    });
                    if number < RECEIVES.len() {
                        ends.send(b"bytes"); // the others are still with the kernel when they are dropped
                    }
                    assert!(receive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                    DOOMED.with_borrow_mut(|doomed| doomed.push(receive));
                }
                until(|| DOOMED.with_borrow(Vec::is_empty)).await;
                for (number, (_, ends)) in all.into_iter().enumerate() {
                    if number < RECEIVES.len() {
                        ends.expect(b"bytes").await;
                    }
                    ends.expect_nothing().await;
                }
                reaped(&runtime).await;
                watches.iter().for_each(CanaryWatch::assert_untouched);
            }
        });
        end(runtime);
    }
}

// ---------------------------------------------------------------- recycled slots

fn t11_no_stale_cancel_hits_the_next_operation<R: Runtime>() {
    const SOCKETS: usize = 24;
    for every in [2, 3, 5] {
        // Refused enters leave cancels behind while their slots are used again.
        let fault = Fault::Enter { every, errno: libc::EAGAIN, after_submission: false };
        for config in deliveries::<R>(&Config::new().ring_entries(8).fault(fault)) {
            let runtime = R::with_config(&config).unwrap();
            runtime.block_on(async {
                let all: Vec<_> = (0..SOCKETS).map(|_| half_pair()).collect();
                let (mut sent, mut received) = ([0_u8; SOCKETS], [0_u8; SOCKETS]);
                let mut reads: Vec<_> = all.iter().map(|(ours, _)| ours.read([0; 1])).collect();
                let dice = pattern(8_191);
                let mut dice = dice.iter().cycle();
                for _ in 0..rounds(150, 200_000) {
                    for (number, (ours, peer)) in all.iter().enumerate() {
                        let dice = dice.next().unwrap();
                        if dice & 1 == 0 {
                            sent[number] = sent[number].wrapping_add(1);
                            (&mut &*peer).write_all(&[sent[number]]).unwrap();
                        }
                        if dice & 6 == 0 {
                            // A cancel for what may have ended already; the slot is the next one's.
                            reads[number] = ours.read([0; 1]);
                        }
                        if let Poll::Ready(result) = poll_once(&mut reads[number]).await {
                            received[number] = received[number].wrapping_add(1);
                            let result = result.expect("nobody has cancelled it");
                            assert_eq!(result, (1, [received[number]]));
                            reads[number] = ours.read([0; 1]);
                        }
                    }
                    if dice.next().unwrap() & 3 == 0 {
                        turns(1).await;
                    } else {
                        yield_now().await;
                    }
                }
                for (number, mut read) in reads.into_iter().enumerate() {
                    while received[number] != sent[number] {
                        received[number] = received[number].wrapping_add(1);
                        assert_eq!(read.await.unwrap(), (1, [received[number]]));
                        read = all[number].0.read([0; 1]);
                    }
                }
            });
            end(runtime);
        }
    }
}
