//! A runtime inside a foreign loop: a descriptor to poll, a deadline, and single turns.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proactor::time::sleep;
use proactor::{Budget, Config, Embed, Feature, Wait, yield_now};

use crate::kit::*;

tests! {
    a_turn_runs_what_is_ready,
    a_turn_runs_each_task_once,
    a_budget_limits_the_polls,
    the_next_deadline_is_now_while_tasks_are_ready,
    the_next_deadline_is_that_of_the_next_timer,
    there_is_no_deadline_without_timers,
    a_turn_waits_until_its_limit,
    a_turn_waits_for_a_timer,
    a_turn_waits_for_a_wake_from_another_thread,
    wakes_from_another_thread_make_the_descriptor_readable,
    a_wake_from_another_thread_ends_a_poll_that_sleeps,
    bytes_end_a_poll_that_sleeps,
    a_closure_from_another_thread_runs_between_turns,
    an_echo_needs_only_poll_and_turn,
    files_and_timers_need_only_poll_and_turn,
    turns_and_block_on_take_turns,
    a_turn_inside_block_on_panics,
    a_flag_that_stays_up_is_not_more_to_do,
    what_comes_before_a_turn_is_announced,
    what_is_dropped_between_turns_is_announced,
    what_is_armed_in_a_turn_counts_from_its_end;
    proactor:
    a_ring_that_has_grown_is_polled_as_before,
}

/// Waits with poll(2) until the descriptor is readable, or the time is over.
fn readable(runtime: &impl Embed, time: Option<Duration>) -> bool {
    let mut entry = libc::pollfd { fd: runtime.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = time.map_or(-1, |time| time.as_nanos().div_ceil(1_000_000) as i32);
    // SAFETY: one entry, which outlives the call.
    let count = unsafe { libc::poll(&raw mut entry, 1, millis) };
    assert!(count >= 0, "{}", std::io::Error::last_os_error());
    count > 0
}

/// Turns until nothing more can be done at once.
fn settle(runtime: &impl Embed) {
    while runtime.turn(Wait::Poll, Budget::default()).unwrap().more {}
}

/// A foreign loop, until a task has ended.
fn drive<T>(runtime: &impl Embed, task: &proactor::task::JoinHandle<T>) {
    while !task.is_finished() {
        if !runtime.turn(Wait::Poll, Budget::default()).unwrap().more && !task.is_finished() {
            let deadline = runtime.next_deadline();
            readable(runtime, deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())));
        }
    }
}

fn a_turn_runs_what_is_ready<R: Embed>() {
    let runtime = R::new().unwrap();
    let tasks = [runtime.spawn(async { 1 }), runtime.spawn(async { 2 })];
    assert!(!tasks[0].is_finished());
    let turn = runtime.turn(Wait::Poll, Budget::default()).unwrap();
    assert_eq!((turn.polled, turn.more), (2, false));
    assert!(tasks.iter().all(|task| task.is_finished()));
    assert_eq!(runtime.turn(Wait::Poll, Budget::default()).unwrap().polled, 0);
    end(runtime);
}

fn a_turn_runs_each_task_once<R: Embed>() {
    let runtime = R::new().unwrap();
    let count = Rc::new(Cell::new(0));
    let counts = count.clone();
    drop(runtime.spawn(async move {
        loop {
            counts.set(counts.get() + 1);
            yield_now().await;
        }
    }));
    for turns in 1..10 {
        assert!(runtime.turn(Wait::Poll, Budget::default()).unwrap().more);
        assert_eq!(count.get(), turns);
    }
    end(runtime);
}

fn a_budget_limits_the_polls<R: Embed>() {
    let runtime = R::new().unwrap();
    let order = Rc::new(RefCell::new(Vec::new()));
    for number in 0..3 {
        let order = order.clone();
        drop(runtime.spawn(async move { order.borrow_mut().push(number) }));
    }
    for number in 0..3 {
        let turn = runtime.turn(Wait::Poll, Budget::polls(1)).unwrap();
        assert_eq!((turn.polled, turn.more), (1, number < 2));
        assert_eq!(order.borrow().last(), Some(&number));
    }
    drop(runtime.spawn(async {}));
    let turn = runtime.turn(Wait::Poll, Budget::polls(0)).unwrap();
    assert_eq!((turn.polled, turn.more), (0, true));
    end(runtime);
}

fn the_next_deadline_is_now_while_tasks_are_ready<R: Embed>() {
    let runtime = R::new().unwrap();
    drop(runtime.spawn(yield_now()));
    for _ in 0..2 {
        assert!(runtime.next_deadline().is_some_and(|deadline| deadline <= Instant::now()));
        runtime.turn(Wait::Poll, Budget::default()).unwrap();
    }
    assert_eq!(runtime.next_deadline(), None);
    end(runtime);
}

fn the_next_deadline_is_that_of_the_next_timer<R: Embed>() {
    let runtime = R::new().unwrap();
    let start = Instant::now();
    let _far = runtime.spawn(sleep(Duration::from_secs(3_600))).cancel_on_drop();
    let near = runtime.spawn(sleep(Duration::from_millis(30)));
    settle(&runtime);
    let mut visits = 0;
    while !near.is_finished() {
        let deadline = runtime.next_deadline().unwrap();
        // The wheel may ask for a visit before the time, never for one behind it.
        let most = Instant::now() + Duration::from_millis(31);
        assert!(deadline <= most, "{:?}", deadline - most);
        readable(&runtime, Some(deadline.saturating_duration_since(Instant::now())));
        settle(&runtime);
        visits += 1;
    }
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert!(visits <= 10, "{visits} visits for one timer");
    let far = runtime.next_deadline().unwrap();
    assert!(far <= Instant::now() + Duration::from_secs(3_601));
    end(runtime);
}

fn there_is_no_deadline_without_timers<R: Embed>() {
    let runtime = R::new().unwrap();
    assert_eq!(runtime.next_deadline(), None);
    drop(runtime.spawn(pending::<()>()));
    settle(&runtime);
    assert_eq!(runtime.next_deadline(), None);
    end(runtime);
}

fn a_turn_waits_until_its_limit<R: Embed>() {
    let runtime = R::new().unwrap();
    settle(&runtime);
    for limit in [Instant::now(), Instant::now() + Duration::from_millis(5)] {
        // The kernel may interrupt a wait, as after a signal: then it is begun again, but that is rare.
        let mut turns = 0;
        while turns == 0 || Instant::now() < limit {
            assert_eq!(runtime.turn(Wait::Until(limit), Budget::default()).unwrap().polled, 0);
            turns += 1;
        }
        assert!(turns < 50, "it did not wait: {turns} turns");
    }
    end(runtime);
}

fn a_turn_waits_for_a_timer<R: Embed>() {
    let runtime = R::new().unwrap();
    let start = Instant::now();
    let task = runtime.spawn(sleep(Duration::from_millis(5)));
    while !task.is_finished() {
        runtime.turn(Wait::Forever, Budget::default()).unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(5));
    end(runtime);
}

fn a_turn_waits_for_a_wake_from_another_thread<R: Embed>() {
    let runtime = R::new().unwrap();
    for _ in 0..10 {
        let signal = Signal::default();
        let task = runtime.spawn(signal.clone());
        settle(&runtime);
        let peer = thread(move || signal.set());
        while !task.is_finished() {
            runtime.turn(Wait::Forever, Budget::default()).unwrap();
        }
        peer.join();
    }
    end(runtime);
}

fn wakes_from_another_thread_make_the_descriptor_readable<R: Embed>() {
    let runtime = R::new().unwrap();
    for _ in 0..3 {
        let signal = Signal::default();
        let task = runtime.spawn(signal.clone());
        settle(&runtime);
        assert!(!readable(&runtime, Some(Duration::ZERO)) && !task.is_finished());
        thread(move || signal.set()).join();
        assert!(readable(&runtime, None));
        settle(&runtime);
        assert!(task.is_finished());
    }
    end(runtime);
}

/// Runs something on another thread once this one sleeps.
fn when_asleep(work: impl FnOnce() + Send + 'static) -> Thread<()> {
    // SAFETY: no arguments.
    let stat = format!("/proc/self/task/{}/stat", unsafe { libc::gettid() });
    thread(move || {
        let sleeps = || std::fs::read_to_string(&stat).unwrap().rsplit(')').next().unwrap().starts_with(" S");
        // Several times, because a thread sleeps for a moment on other occasions as well.
        let mut seen = 0;
        while seen < 20 {
            seen = if sleeps() { seen + 1 } else { 0 };
            std::thread::yield_now();
        }
        work();
    })
}

/// On rings whose completions wait for the loop, and on rings whose do not.
fn both_kinds_of_ring<R: Embed>(test: impl Fn(R)) {
    test(R::with_config(&Config::new().mask(Feature::DeferTaskrun)).unwrap());
    test(R::new().unwrap());
}

fn a_wake_from_another_thread_ends_a_poll_that_sleeps<R: Embed>() {
    both_kinds_of_ring(wakes_end_a_poll::<R>);
}

fn wakes_end_a_poll<R: Embed>(runtime: R) {
    for _ in 0..20 {
        let signal = Signal::default();
        let task = runtime.spawn(signal.clone());
        settle(&runtime);
        let peer = when_asleep(move || signal.set());
        assert!(readable(&runtime, None), "the wake is lost");
        peer.join();
        settle(&runtime);
        assert!(task.is_finished());
    }
    end(runtime);
}

fn bytes_end_a_poll_that_sleeps<R: Embed>() {
    both_kinds_of_ring(bytes_end_a_poll::<R>);
}

fn bytes_end_a_poll<R: Embed>(runtime: R) {
    let (stream, peer) = runtime.block_on(async { half_pair() });
    let (stream, peer) = (Rc::new(stream), Arc::new(peer));
    for _ in 0..20 {
        let (reader, writer) = (stream.clone(), peer.clone());
        let task = runtime.spawn(async move { reader.read_exact([0; 3]).await.unwrap() });
        settle(&runtime);
        let writing = when_asleep(move || std::io::Write::write_all(&mut &*writer, b"abc").unwrap());
        assert!(readable(&runtime, None), "the bytes are not noticed");
        writing.join();
        settle(&runtime);
        assert!(task.is_finished());
    }
    end(runtime);
}

fn a_closure_from_another_thread_runs_between_turns<R: Embed>() {
    let runtime = R::new().unwrap();
    for _ in 0..3 {
        settle(&runtime);
        assert!(!readable(&runtime, Some(Duration::ZERO)));
        let ran = Arc::new(AtomicBool::new(false));
        let (handle, runs) = (runtime.handle(), ran.clone());
        thread(move || handle.call_soon(move || runs.store(true, Ordering::SeqCst)).unwrap()).join();
        assert!(readable(&runtime, None) && !ran.load(Ordering::SeqCst));
        settle(&runtime);
        assert!(ran.load(Ordering::SeqCst));
    }
    end(runtime);
}

fn an_echo_needs_only_poll_and_turn<R: Embed>() {
    let runtime = R::new().unwrap();
    let content = pattern(3_000_000);
    let sent = content.clone();
    let task = runtime.spawn(async move {
        let (stream, peer) = half_pair();
        let peer = exchange(peer, sent);
        echo(stream).await;
        peer.ended().await
    });
    drive(&runtime, &task);
    assert_bytes(&runtime.block_on(task).unwrap(), &content);
    end(runtime);
}

fn files_and_timers_need_only_poll_and_turn<R: Embed>() {
    let runtime = R::new().unwrap();
    let folder = TempDir::new();
    let path = folder.path("file");
    let task = runtime.spawn(async move {
        proactor::fs::write(&path, pattern(100_000)).await.unwrap();
        sleep(Duration::from_millis(2)).await;
        proactor::spawn_blocking(|| ()).await.unwrap();
        proactor::fs::read(&path).await.unwrap()
    });
    drive(&runtime, &task);
    assert_bytes(&runtime.block_on(task).unwrap(), &pattern(100_000));
    end(runtime);
}

fn turns_and_block_on_take_turns<R: Embed>() {
    let runtime = R::new().unwrap();
    for _ in 0..5 {
        let signal = Signal::default();
        let task = runtime.spawn(signal.clone());
        settle(&runtime);
        let peer = thread(move || signal.set());
        runtime.block_on(task).unwrap();
        peer.join();
        let task = runtime.spawn(async { turns(3).await });
        drive(&runtime, &task);
    }
    end(runtime);
}

fn a_turn_inside_block_on_panics<R: Embed>() {
    let (runtime, other) = (R::new().unwrap(), R::new().unwrap());
    runtime.block_on(async {
        for inner in [&runtime, &other] {
            let message = panic_of(|| inner.turn(Wait::Poll, Budget::default()));
            assert!(message.starts_with("turn: ") && message.contains("`.await`"), "{message}");
        }
        turns(2).await;
    });
    end(other);
    end(runtime);
}

/// The flag by which the kernel says that there is work stays up now and then over none: the work was done between
/// the moment when it was added and the one when the flag was raised.
fn a_flag_that_stays_up_is_not_more_to_do<R: Embed>() {
    let fault = proactor::testing::Fault::RaisedFlag;
    for config in [Config::new(), Config::new().batch(4, Duration::from_secs(600))] {
        let runtime = R::with_config(&config.fault(fault)).unwrap();
        let settles = || (0..100).any(|_| !runtime.turn(Wait::Poll, Budget::default()).unwrap().more);
        assert!(settles(), "there is always more to do, and nothing happens");
        for round in 0..20 {
            let (ours, peer) = runtime.block_on(async { half_pair() });
            let task = runtime.spawn(async move { ours.recv().await.unwrap().unwrap() });
            assert!(settles(), "round {round}");
            let writing = when_asleep(move || std::io::Write::write_all(&mut &peer, b"abc").unwrap());
            assert!(readable(&runtime, None), "the bytes are not noticed");
            writing.join();
            assert!(settles() && task.is_finished(), "round {round}");
        }
        // More than a visit to the kernel takes at once, and nothing to submit that would bring the others.
        let (count, mut peers) = (Rc::new(Cell::new(0)), Vec::new());
        for _ in 0..150 {
            let (ours, peer) = runtime.block_on(async { half_pair() });
            let counts = count.clone();
            drop(runtime.spawn(async move {
                while ours.recv().await.unwrap().is_some() {
                    counts.set(counts.get() + 1);
                }
            }));
            peers.push(peer);
        }
        assert!(settles());
        for _ in 0..3 {
            count.set(0);
            for peer in &mut peers {
                std::io::Write::write_all(peer, b"abc").unwrap();
            }
            while count.get() < 150 {
                assert!(readable(&runtime, None), "{} of 150 have come", count.get());
                assert!(settles());
            }
        }
        let before = runtime.report().stats.kernel_visits;
        let visits = runtime.shutdown(Duration::from_secs(30)).stats.kernel_visits - before;
        assert!(visits < 100, "{visits} visits until nothing was in flight");
    }
}

fn what_comes_before_a_turn_is_announced<R: Embed>() {
    for (ran, asked) in [(false, false), (false, true), (true, false), (true, true)] {
        let runtime = R::new().unwrap();
        if ran {
            runtime.block_on(turns(2));
        }
        if asked {
            assert!(!readable(&runtime, Some(Duration::ZERO)));
        }
        let (handle, came) = (runtime.handle(), Arc::new(AtomicBool::new(false)));
        let comes = came.clone();
        thread(move || handle.call_soon(move || comes.store(true, Ordering::SeqCst)).unwrap()).join();
        assert!(readable(&runtime, None));
        settle(&runtime);
        assert!(came.load(Ordering::SeqCst));
        end(runtime);
    }
}

fn what_is_dropped_between_turns_is_announced<R: Embed>() {
    let runtime = R::new().unwrap();
    let (ours, mut peer) = runtime.block_on(async { half_pair() });
    let ours = Rc::new(ours);
    let reading = ours.clone();
    let task = runtime.spawn(async move { reading.recv().await.unwrap().unwrap() });
    settle(&runtime);
    std::io::Write::write_all(&mut peer, b"abc").unwrap();
    drive(&runtime, &task);
    drop((ours, task));
    while runtime.next_deadline().is_some_and(|deadline| deadline <= Instant::now()) {
        runtime.turn(Wait::Poll, Budget::default()).unwrap();
    }
    assert_eq!(std::io::Read::read(&mut peer, &mut [0; 1]).unwrap(), 0);
    end(runtime);
}

/// Also when nobody asks for the next deadline.
fn what_is_armed_in_a_turn_counts_from_its_end<R: Embed>() {
    let runtime = R::new().unwrap();
    let task = runtime.spawn(sleep(Duration::from_millis(5)));
    settle(&runtime);
    std::thread::sleep(Duration::from_millis(10));
    runtime.turn(Wait::Poll, Budget::default()).unwrap();
    assert!(task.is_finished());
    end(runtime);
}

fn a_ring_that_has_grown_is_polled_as_before<R: Embed>() {
    let runtime = R::with_config(&Config::new().ring_entries(1).grow_ring(true)).unwrap();
    let nops = runtime.spawn(async {
        for _ in 0..100 {
            join_all((0..50).map(|_| proactor::io::nop())).await;
        }
    });
    drive(&runtime, &nops);
    let grown = runtime.report().ring_entries > 1;
    assert_eq!(grown, uses(&runtime, Feature::ResizeRings));
    let echo = runtime.spawn(async {
        let (ours, peer) = half_pair();
        let writing =
            thread(move || std::io::Write::write_all(&mut &peer, b"to a loop that sleeps").unwrap());
        let received = ours.recv().await.unwrap().unwrap();
        writing.ended().await;
        received
    });
    drive(&runtime, &echo);
    assert_eq!(runtime.block_on(echo).unwrap(), *b"to a loop that sleeps");
    let handle = runtime.handle();
    let task = runtime.spawn(sleep(Duration::from_micros(100)));
    drive(&runtime, &task);
    let waking = std::thread::spawn(move || drop(handle.spawn(async || ())));
    assert!(readable(&runtime, None));
    waking.join().unwrap();
    settle(&runtime);
    end(runtime);
}
