//! Wake-ups: from other threads, in any number, at the worst moment; and tasks that never stop waking themselves.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use proactor::time::{sleep, sleep_until};
use proactor::{Config, Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    t35_two_wakes_from_two_threads_both_arrive,
    t36_a_wake_while_the_loop_goes_to_sleep_arrives,
    t37_wakes_by_the_holder_of_a_lock_do_not_block,
    t38_a_storm_of_wakes_loses_none,
    t39_tasks_that_wake_themselves_do_not_starve_io,
    t39_tasks_that_wake_themselves_do_not_starve_timers,
    t39_tasks_that_wake_themselves_do_not_starve_other_threads,
    t39_a_block_on_that_wakes_itself_does_not_starve_tasks,
    t40_a_full_event_counter_does_not_keep_a_wake_away,
}

/// Threads that each answer a round as soon as it has begun, at once or after some spins, and wake the task.
struct Answering {
    round: Arc<AtomicU64>,
    answers: Arc<Vec<AtomicU64>>,
    threads: Vec<Thread<()>>,
}

const OVER: u64 = u64::MAX;

impl Answering {
    fn start(count: usize, waker: &Waker) -> Self {
        let round = Arc::new(AtomicU64::new(0));
        let answers: Arc<Vec<AtomicU64>> = Arc::new((0..count).map(|_| AtomicU64::new(0)).collect());
        let threads = (0..count).map(|index| {
            let (round, answers, waker) = (round.clone(), answers.clone(), waker.clone());
            thread(move || {
                let mut answered = 0;
                loop {
                    match round.load(Ordering::Acquire) {
                        OVER => return,
                        asked if asked > answered => {
                            // The loop needs some time to go to sleep: hit every moment of it.
                            for _ in 0..(asked * 7 + index as u64 * 13) % 1_500 {
                                std::hint::spin_loop();
                            }
                            answered = asked;
                            answers[index].store(asked, Ordering::Release);
                            waker.wake_by_ref();
                        }
                        _ => std::thread::yield_now(),
                    }
                }
            })
        });
        let threads = threads.collect();
        Answering { round, answers, threads }
    }

    /// Asks, and waits for all answers; a wake-up that is lost is a wait without end.
    async fn play(self, rounds: usize) {
        for round in 1..=rounds as u64 {
            self.round.store(round, Ordering::Release);
            poll_fn(|_| {
                let all = self.answers.iter().all(|answer| answer.load(Ordering::Acquire) == round);
                if all { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        self.round.store(OVER, Ordering::Release);
        for thread in self.threads {
            thread.ended().await;
        }
    }
}

fn t35_two_wakes_from_two_threads_both_arrive<R: Runtime>() {
    run::<R>(async {
        let task =
            spawn(async { Answering::start(2, &my_waker().await).play(rounds(2_000, 1_000_000)).await });
        task.await.unwrap();
    });
}

fn t36_a_wake_while_the_loop_goes_to_sleep_arrives<R: Runtime>() {
    run::<R>(async {
        // Of a task, and of the future of `block_on`.
        let task =
            spawn(async { Answering::start(1, &my_waker().await).play(rounds(2_000, 1_000_000)).await });
        task.await.unwrap();
        Answering::start(1, &my_waker().await).play(rounds(2_000, 1_000_000)).await;
    });
}

fn t37_wakes_by_the_holder_of_a_lock_do_not_block<R: Runtime>() {
    run::<R>(async {
        const TASKS: usize = 10_000;
        let lock = Arc::new(Mutex::new(0_usize));
        let begun = Rc::new(RefCell::new(Vec::new()));
        let tasks = (0..TASKS).map(|_| {
            let (lock, begun) = (lock.clone(), begun.clone());
            spawn(async move {
                let mut first = true;
                poll_fn(move |cx| {
                    if std::mem::take(&mut first) {
                        begun.borrow_mut().push(cx.waker().clone());
                        return Poll::Pending;
                    }
                    *lock.lock().unwrap() += 1; // stops the loop until the other thread lets go
                    Poll::Ready(())
                })
                .await;
            })
        });
        let tasks: Vec<_> = tasks.collect();
        until(|| begun.borrow().len() == TASKS).await;
        let wakers = begun.take();
        let held = lock.clone();
        let waking = thread(move || {
            let _held = held.lock().unwrap();
            for _ in 0..3 {
                wakers.iter().for_each(Waker::wake_by_ref);
            }
        });
        waking.ended().await;
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*lock.lock().unwrap(), TASKS);
    });
}

fn t38_a_storm_of_wakes_loses_none<R: Runtime>() {
    run::<R>(async {
        const THREADS: usize = 8;
        // So many that at any time some are in the inbox, and others on their way into it.
        const TASKS: usize = 1_000;
        let count = rounds(1_000, 200_000);
        let sent: Arc<Vec<AtomicUsize>> = Arc::new((0..TASKS).map(|_| AtomicUsize::new(0)).collect());
        let begun = Rc::new(RefCell::new(Vec::new()));
        let tasks = (0..TASKS).map(|index| {
            let (sent, begun) = (sent.clone(), begun.clone());
            spawn(async move {
                let waker = my_waker().await;
                begun.borrow_mut().push((index, waker));
                // Each thread wakes each task `count` times; the last wake-up must be heard.
                let expected = THREADS * count;
                let complete = || sent[index].load(Ordering::Acquire) == expected;
                poll_fn(|_| if complete() { Poll::Ready(()) } else { Poll::Pending }).await;
            })
        });
        let tasks: Vec<_> = tasks.collect();
        until(|| begun.borrow().len() == TASKS).await;
        let wakers = begun.take();
        let threads = (0..THREADS).map(|_| {
            let (sent, wakers) = (sent.clone(), wakers.clone());
            thread(move || {
                for _ in 0..count {
                    for (index, waker) in &wakers {
                        sent[*index].fetch_add(1, Ordering::Release);
                        // Also by clones, which come and go on all threads at once.
                        waker.clone().wake();
                    }
                }
            })
        });
        let threads: Vec<_> = threads.collect();
        for task in tasks {
            task.await.unwrap();
        }
        for thread in threads {
            thread.ended().await;
        }
    });
}

/// Tasks that are always ready, and count their polls.
fn restless(count: usize) -> (Rc<Cell<usize>>, Vec<proactor::task::JoinHandle<()>>) {
    let polls = Rc::new(Cell::new(0));
    let tasks = (0..count).map(|_| {
        let polls = polls.clone();
        spawn(async move {
            loop {
                polls.set(polls.get() + 1);
                yield_now().await;
            }
        })
        .cancel_on_drop()
    });
    let tasks = tasks.collect();
    (polls, tasks)
}

fn t39_tasks_that_wake_themselves_do_not_starve_io<R: Runtime>() {
    for count in [1, 5, 2_000] {
        let runtime = R::with_config(&Config::new().turn_budget(256)).unwrap();
        runtime.block_on(async {
            let (stream, mut peer) = half_pair();
            let (polls, _restless) = restless(count);
            turns(2).await;
            for _ in 0..20 {
                let mut read = stream.read([0; 1]);
                assert!(poll_once(&mut read).await.is_pending());
                turns(1).await;
                peer.write_all(b"x").unwrap(); // over loopback it is there when this returns
                let before = polls.get();
                assert_eq!(read.await.unwrap(), (1, *b"x"));
                // At the latest after the budget the kernel is visited; then all that was ready runs once more.
                let passed = polls.get() - before;
                assert!(passed <= 2 * (256 + count) + 10, "{passed} polls of {count} tasks went before");
            }
        });
        end(runtime);
    }
}

fn t39_tasks_that_wake_themselves_do_not_starve_timers<R: Runtime>() {
    for count in [1, 5, 2_000] {
        run::<R>(async move {
            for _ in 0..5 {
                let deadline = Instant::now() + Duration::from_millis(2);
                // The timing wheel's tick is 16 µs; with one task that is many polls.
                let ticked = deadline + Duration::from_micros(100);
                let late = Rc::new(Cell::new(0));
                let tasks: Vec<_> = (0..count)
                    .map(|_| {
                        let late = late.clone();
                        let restless = spawn(async move {
                            loop {
                                late.set(late.get() + usize::from(Instant::now() > ticked));
                                yield_now().await;
                            }
                        });
                        restless.cancel_on_drop()
                    })
                    .collect();
                sleep_until(deadline).await;
                // A generation may be under way when the time comes, and one goes before the timer's task.
                let late = late.get();
                assert!(late <= 3 * count + 3, "{late} polls of {count} tasks after the deadline");
                drop(tasks);
            }
        });
    }
}

fn t39_tasks_that_wake_themselves_do_not_starve_other_threads<R: Runtime>() {
    run::<R>(async {
        let (_polls, _restless) = restless(100);
        for _ in 0..20 {
            let signal = Signal::default();
            let sets = signal.clone();
            let thread = thread(move || sets.set());
            signal.await;
            thread.ended().await;
        }
    });
}

fn t39_a_block_on_that_wakes_itself_does_not_starve_tasks<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let (stream, peer) = half_pair();
        let echoing = spawn(echo(stream));
        let exchanged = exchange(peer, pattern(100_000));
        let timer = spawn(sleep(Duration::from_millis(1)));
        while !(echoing.is_finished() && timer.is_finished()) {
            yield_now().await;
        }
        assert_bytes(&exchanged.ended().await, &pattern(100_000));
    });
    end(runtime);
}

fn t40_a_full_event_counter_does_not_keep_a_wake_away<R: Runtime>() {
    // Alone, to find the loop's event descriptor among those of the process.
    alone(|| {
        let runtime = R::new().unwrap();
        let event = only_descriptor("[eventfd]");
        runtime.block_on(async {
            let asked = Arc::new(AtomicU64::new(0));
            for round in 1..=rounds(300, 100_000) as u64 {
                let (answers, waker) = (asked.clone(), my_waker().await);
                let thread = thread(move || {
                    // Fills the counter, as far as it goes; waits while the loop has not emptied it.
                    let full = (u64::MAX - 1).to_ne_bytes();
                    // SAFETY: the bytes live until the call has returned.
                    unsafe { libc::write(event, full.as_ptr().cast(), full.len()) };
                    answers.store(round, Ordering::Release);
                    waker.wake();
                });
                let heard = || asked.load(Ordering::Acquire) == round;
                poll_fn(|_| if heard() { Poll::Ready(()) } else { Poll::Pending }).await;
                thread.ended().await;
            }
            // And with nobody asleep: the next sleeper is not woken for nothing for ever.
            let mut late = Box::pin(sleep(Duration::from_millis(5)));
            assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut late).poll(cx))).await.is_pending());
            let before = runtime.report().stats.turns;
            late.await;
            assert!(runtime.report().stats.turns - before < 20);
        });
        end(runtime);
    });
}
