//! Signals: each delivery counted for each listener, and dispositions touched only while somebody listens.
//!
//! Dispositions belong to the process, so each test has one of its own. A thread that raises a signal has handled it when
//! `raise` returns: how many deliveries there were is known.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_core::Stream;
use nix::sys::signal::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SaFlags, SigAction, SigHandler, SigSet};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use proactor::signal::{self, Kind};
use proactor::time::timeout;
use proactor::{Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    each_listener_gets_each_delivery,
    a_dropped_recv_loses_no_delivery,
    a_listener_is_a_stream_that_never_ends,
    a_delivery_wakes_a_loop_that_sleeps,
    listeners_of_several_runtimes_get_the_same,
    no_delivery_is_lost_while_others_come_and_go,
    a_burst_of_deliveries_starves_no_task,
    nothing_is_touched_before_and_all_is_put_back_after,
    a_handler_that_others_have_replaced_is_left_alone,
    a_handler_that_others_put_back_gives_the_signal_away,
    a_full_counter_does_not_block_the_handler,
    listeners_go_with_their_runtime_and_their_descriptors_are_used_again,
    a_fork_keeps_its_signals_from_its_parent,
    a_fork_is_ended_by_a_signal_that_only_its_parent_listens_to,
    signals_that_cannot_be_listened_to_are_refused_with_the_reason,
    outside_a_runtime_it_panics_and_leaves_nothing_in_place,
    ctrl_c_listens_from_the_call_to_the_result,
    a_closure_is_called_in_the_loop_once_for_each_delivery,
    a_removed_closure_is_called_no_more,
    a_closure_may_remove_itself,
    a_closure_that_panics_is_removed,
}

fn raise(signal: nix::sys::signal::Signal) {
    nix::sys::signal::raise(signal).unwrap();
}

/// What is in place for a signal: its handler's address, flags, and mask.
fn disposition(signal: nix::sys::signal::Signal) -> (usize, i32, Vec<i32>) {
    // SAFETY: it only asks, into a structure that outlives the call; zeros are a valid one.
    let action = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        assert_eq!(libc::sigaction(signal as i32, std::ptr::null(), &raw mut action), 0);
        action
    };
    // SAFETY: the mask is the one that sigaction(2) has just written.
    let blocks = |signal: &i32| unsafe { libc::sigismember(&raw const action.sa_mask, *signal) == 1 };
    let flags = action.sa_flags & !0x0400_0000; // SA_RESTORER is the C library's own
    (action.sa_sigaction, flags, (1..32).filter(blocks).collect())
}

/// Puts a handler of the program's own in place, which counts to `OWN`.
fn count_with_an_own_handler(signal: nix::sys::signal::Signal) {
    extern "C" fn count(_: i32) {
        OWN.fetch_add(1, Ordering::Relaxed);
    }
    let mut mask = SigSet::empty();
    mask.add(SIGWINCH);
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::SA_NODEFER, mask);
    // SAFETY: the handler only counts.
    unsafe { nix::sys::signal::sigaction(signal, &action) }.unwrap();
}

static OWN: AtomicU64 = AtomicU64::new(0);

async fn assert_nothing_more(listener: &mut signal::Signal) {
    turns(2).await;
    assert!(poll_once(&mut listener.recv()).await.is_pending());
}

async fn recv_many(listener: &mut signal::Signal, count: usize) {
    for _ in 0..count {
        listener.recv().await.unwrap();
    }
}

fn each_listener_gets_each_delivery<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let mut first = signal::stream(Kind::USER1).unwrap();
            raise(SIGUSR1); // of which the second knows nothing
            let mut second = signal::stream(Kind::USER1).unwrap();
            let mut other = signal::stream(Kind::USER2).unwrap();
            (0..1_000).for_each(|_| raise(SIGUSR1));
            raise(SIGUSR2);
            recv_many(&mut first, 1_001).await;
            recv_many(&mut second, 1_000).await;
            recv_many(&mut other, 1).await;
            for listener in [&mut first, &mut second, &mut other] {
                assert_nothing_more(listener).await;
            }
            let waiting = spawn(async move { recv_many(&mut second, 1_000).await });
            for _ in 0..1_000 {
                raise(SIGUSR1);
                yield_now().await;
            }
            waiting.await.unwrap();
            recv_many(&mut first, 1_000).await;
            assert_nothing_more(&mut first).await;
        });
    });
}

fn a_dropped_recv_loses_no_delivery<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let mut listener = signal::stream(Kind::USER1).unwrap();
            let (mut sent, mut seen) = (0, 0);
            for round in 0..1_000 {
                for _ in 0..round % 3 {
                    raise(SIGUSR1);
                    sent += 1;
                }
                seen += usize::from(poll_once(&mut listener.recv()).await.is_ready());
                if round % 5 == 0 {
                    turns(1).await; // the wait is with the kernel
                }
                raise(SIGUSR1);
                sent += 1;
                seen += usize::from(timeout(Duration::ZERO, listener.recv()).await.is_ok());
            }
            recv_many(&mut listener, sent - seen).await;
            assert_nothing_more(&mut listener).await;
        });
    });
}

fn a_listener_is_a_stream_that_never_ends<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let mut listener = signal::stream(Kind::USER1).unwrap();
            assert_eq!(listener.kind(), Kind::USER1);
            for _ in 0..3 {
                raise(SIGUSR1);
            }
            for _ in 0..3 {
                let next = poll_fn(|cx| Pin::new(&mut listener).poll_next(cx)).await;
                next.unwrap().unwrap();
            }
            assert!(
                poll_once(&mut Box::pin(poll_fn(|cx| Pin::new(&mut listener).poll_next(cx))))
                    .await
                    .is_pending()
            );
        });
    });
}

fn a_delivery_wakes_a_loop_that_sleeps<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let mut listener = signal::stream(Kind::USER1).unwrap();
            let (ask, asked) = std::sync::mpsc::channel();
            let sender = thread(move || asked.into_iter().for_each(|()| raise(SIGUSR1)));
            for _ in 0..100 {
                ask.send(()).unwrap();
                listener.recv().await.unwrap(); // with nothing else that would end the loop's sleep
            }
            drop(ask);
            sender.ended().await;
        });
    });
}

fn listeners_of_several_runtimes_get_the_same<R: Runtime>() {
    alone(|| {
        let before = disposition(SIGUSR1);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let loops: Vec<_> = (0..3)
            .map(|_| {
                let ready = ready.clone();
                thread(move || {
                    run::<R>(async {
                        let mut listener = signal::stream(Kind::USER1).unwrap();
                        ready.send(()).unwrap();
                        recv_many(&mut listener, 1_000).await;
                        assert_nothing_more(&mut listener).await;
                        ready.send(()).unwrap();
                        assert!(signal::stream(Kind::from_raw(libc::SIGRTMIN() + 1)).is_ok());
                    });
                })
            })
            .collect();
        let all = || (0..3).for_each(|_| is_ready.recv().unwrap());
        all();
        (0..1_000).for_each(|_| raise(SIGUSR1));
        all();
        loops.into_iter().for_each(Thread::join);
        assert_eq!(disposition(SIGUSR1), before);
    });
}

fn no_delivery_is_lost_while_others_come_and_go<R: Runtime>() {
    alone(|| {
        let count = rounds(20_000, 2_000_000);
        count_with_an_own_handler(SIGUSR1);
        let before = disposition(SIGUSR1);
        let over = Arc::new(AtomicBool::new(false));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let over = over.clone();
                thread(move || {
                    run::<R>(async {
                        while !over.load(Ordering::Relaxed) {
                            let mut listener = signal::stream(Kind::USER1).unwrap();
                            let _ = timeout(Duration::ZERO, listener.recv()).await;
                        }
                    });
                })
            })
            .collect();
        run::<R>(async {
            // While one listens all the time.
            let mut listener = signal::stream(Kind::USER1).unwrap();
            let sender = thread(move || (0..count).for_each(|_| raise(SIGUSR1)));
            recv_many(&mut listener, count).await;
            sender.ended().await;
            assert_nothing_more(&mut listener).await;
            assert_eq!(OWN.load(Ordering::Relaxed), 0);
        });
        // While the last one comes and goes: the program's own handler has the others.
        let raised = rounds(2_000, 200_000);
        (0..raised).for_each(|_| raise(SIGUSR1));
        over.store(true, Ordering::Relaxed);
        others.into_iter().for_each(Thread::join);
        assert_eq!(disposition(SIGUSR1), before);
        let own = OWN.load(Ordering::Relaxed);
        raise(SIGUSR1);
        assert_eq!(OWN.load(Ordering::Relaxed), own + 1);
    });
}

fn a_burst_of_deliveries_starves_no_task<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let mut listener = signal::stream(Kind::USER1).unwrap();
            (0..5_000).for_each(|_| raise(SIGUSR1));
            let ran = Rc::new(Cell::new(false));
            let other = ran.clone();
            let task = spawn(async move { other.set(true) });
            recv_many(&mut listener, 5_000).await;
            assert!(ran.get());
            task.await.unwrap();
        });
    });
}

fn nothing_is_touched_before_and_all_is_put_back_after<R: Runtime>() {
    alone(|| {
        count_with_an_own_handler(SIGUSR1);
        let before = disposition(SIGUSR1);
        assert_eq!(before.2, [SIGWINCH as i32]);
        let all: Vec<_> = nix::sys::signal::Signal::iterator().map(disposition).collect();
        run::<R>(async {
            turns(2).await;
            let now: Vec<_> = nix::sys::signal::Signal::iterator().map(disposition).collect();
            assert_eq!(now, all, "nobody has asked");
            for _ in 0..2 {
                let mut first = signal::stream(Kind::USER1).unwrap();
                let second = signal::stream(Kind::USER1).unwrap();
                let during = disposition(SIGUSR1);
                assert_ne!(during.0, before.0);
                assert_eq!(during.1, libc::SA_RESTART | libc::SA_ONSTACK);
                raise(SIGUSR1);
                drop(second);
                assert_eq!(disposition(SIGUSR1), during);
                raise(SIGUSR1);
                recv_many(&mut first, 2).await;
                assert_eq!(OWN.load(Ordering::Relaxed), 0);
                drop(first);
                assert_eq!(disposition(SIGUSR1), before);
            }
            raise(SIGUSR1);
            assert_eq!(OWN.load(Ordering::Relaxed), 1);
            let now: Vec<_> = nix::sys::signal::Signal::iterator().map(disposition).collect();
            assert_eq!(now, all);
        });
    });
}

fn a_handler_that_others_have_replaced_is_left_alone<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let listener = signal::stream(Kind::USER1).unwrap();
            count_with_an_own_handler(SIGUSR1);
            let theirs = disposition(SIGUSR1);
            // A new listener is a new wish: it hears, and leaves behind what it has found.
            let mut second = signal::stream(Kind::USER1).unwrap();
            raise(SIGUSR1);
            second.recv().await.unwrap();
            drop(second);
            assert_eq!((OWN.load(Ordering::Relaxed), listener.kind()), (0, Kind::USER1));
            let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
            // SAFETY: it ignores the signal.
            unsafe { nix::sys::signal::sigaction(SIGUSR1, &ignore) }.unwrap();
            drop(listener);
            assert_eq!(disposition(SIGUSR1).0, libc::SIG_IGN);
            let last = signal::stream(Kind::USER1).unwrap();
            count_with_an_own_handler(SIGUSR1);
            drop(last);
            assert_eq!(disposition(SIGUSR1), theirs);
        });
    });
}

fn a_handler_that_others_put_back_gives_the_signal_away<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            count_with_an_own_handler(SIGUSR1);
            let own = disposition(SIGUSR1);
            let listener = signal::stream(Kind::USER1).unwrap();
            let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
            // SAFETY: the first ignores the signal; the second is what was in place before.
            let put_back = unsafe {
                let kept = nix::sys::signal::sigaction(SIGUSR1, &action).unwrap();
                move || nix::sys::signal::sigaction(SIGUSR1, &kept)
            };
            drop(listener);
            put_back().unwrap();
            assert_ne!(disposition(SIGUSR1), own, "it is this crate's handler, and nobody listens");
            raise(SIGUSR1);
            assert_eq!((OWN.load(Ordering::Relaxed), disposition(SIGUSR1)), (1, own));
        });
    });
}

/// The numbers of the process's event counters.
fn counters() -> Vec<i32> {
    let is_counter = |fd: &i32| {
        let link = std::fs::read_link(format!("/proc/self/fd/{fd}"));
        link.is_ok_and(|link| link.to_string_lossy().contains("eventfd"))
    };
    (0..64).filter(is_counter).collect()
}

fn a_full_counter_does_not_block_the_handler<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let before = counters();
            let mut listener = signal::stream(Kind::USER1).unwrap();
            let new: Vec<_> = counters().into_iter().filter(|fd| !before.contains(fd)).collect();
            assert_eq!(new.len(), 2, "one to count and one to wait");
            let full = u64::MAX - 1;
            // SAFETY: write(2) reads eight bytes of a number that lives.
            let written = unsafe { libc::write(new[0], (&raw const full).cast(), 8) };
            assert_eq!(written, 8);
            // SAFETY: it points to this thread's own number.
            let errno = || unsafe { &mut *libc::__errno_location() };
            *errno() = libc::ENOTDIR;
            // SAFETY: raise(3) takes a number.
            let raised = unsafe { libc::raise(libc::SIGUSR1) };
            assert_eq!((raised, *errno()), (0, libc::ENOTDIR), "whoever was interrupted sees no other errno");
            listener.recv().await.unwrap();
        });
    });
}

fn listeners_go_with_their_runtime_and_their_descriptors_are_used_again<R: Runtime>() {
    alone(|| {
        let (before, handler) = (descriptors(), disposition(SIGUSR1));
        for round in 0..20 {
            let runtime = R::new().unwrap();
            let seen = Rc::new(Cell::new(0));
            let (counting, other) = (seen.clone(), seen.clone());
            drop(runtime.spawn(async move {
                let mut listener = signal::stream(Kind::USER1).unwrap();
                loop {
                    listener.recv().await.unwrap();
                    counting.set(counting.get() + 1);
                }
            }));
            let on = runtime
                .block_on(async { signal::on(Kind::USER1, move || other.set(other.get() + 1)).unwrap() });
            runtime.block_on(turns(2));
            raise(SIGUSR1);
            runtime.block_on(until(|| seen.get() == 2));
            raise(SIGUSR1); // which nobody takes, in this runtime or the next
            match round % 2 {
                0 => end(runtime),
                _ => drop(runtime),
            }
            assert_eq!(disposition(SIGUSR1), handler);
            drop(on);
            assert_eq!(descriptors().len(), before.len() + 2, "for two listeners at a time");
        }
    });
}

/// Forks; the child does `work` and ends. Gives how it has ended.
fn fork(work: impl FnOnce()) -> WaitStatus {
    // SAFETY: the process has no other thread that could hold a lock of the allocator or of the standard
    // library, except the watchdog, which sleeps. The child never returns from here.
    match unsafe { libc::fork() } {
        0 => {
            end_with_parent();
            let code = i32::from(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err());
            // SAFETY: ends the process, without destructors, which are the parent's to run.
            unsafe { libc::_exit(code) }
        }
        child => waitpid(Pid::from_raw(child), None).unwrap(),
    }
}

fn a_fork_keeps_its_signals_from_its_parent<R: Runtime>() {
    alone(|| {
        count_with_an_own_handler(SIGUSR1);
        let own = disposition(SIGUSR1);
        let runtime = R::new().unwrap();
        let listener = runtime.block_on(async {
            let listener = signal::stream(Kind::USER1).unwrap();
            drop(signal::stream(Kind::USER1)); // its counter is free, and no child's to use
            listener
        });
        raise(SIGUSR1);
        let inherited = RefCell::new(Some(listener));
        let listens = || {
            run::<R>(async {
                let mut listener = signal::stream(Kind::USER1).unwrap();
                (0..10).for_each(|_| raise(SIGUSR1));
                recv_many(&mut listener, 10).await;
                assert_nothing_more(&mut listener).await;
            });
            assert_eq!(disposition(SIGUSR1), own);
        };
        let ended = fork(|| {
            raise(SIGUSR1);
            assert_eq!(OWN.load(Ordering::Relaxed), 1, "the program's handler has it");
            assert_eq!(disposition(SIGUSR1), own);
            listens();
        });
        assert!(matches!(ended, WaitStatus::Exited(_, 0)), "{ended:?}");
        let ended = fork(|| {
            listens(); // before any signal has come
            let mut copy = inherited.take().unwrap();
            let said = panic_of(|| run::<R>(async { drop(poll_once(&mut copy.recv()).await) }));
            assert!(said.contains("runtime"), "it finds nothing, and can't wait in another loop: {said}");
        });
        assert!(matches!(ended, WaitStatus::Exited(_, 0)), "{ended:?}");
        let ended = fork(|| {
            drop(inherited.take());
            assert_eq!(disposition(SIGUSR1), own);
        });
        assert!(matches!(ended, WaitStatus::Exited(_, 0)), "{ended:?}");
        let mut listener = inherited.take().unwrap();
        runtime.block_on(async {
            listener.recv().await.unwrap();
            assert_nothing_more(&mut listener).await;
            raise(SIGUSR1);
            listener.recv().await.unwrap();
            drop(listener);
        });
        assert_eq!(disposition(SIGUSR1), own);
        end(runtime);
    });
}

fn a_fork_is_ended_by_a_signal_that_only_its_parent_listens_to<R: Runtime>() {
    alone(|| {
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: no code is run by it.
        unsafe { nix::sys::signal::sigaction(SIGTERM, &default) }.unwrap();
        run::<R>(async {
            let mut listener = signal::stream(Kind::TERMINATE).unwrap();
            let ended = fork(|| raise(SIGTERM));
            assert!(matches!(ended, WaitStatus::Signaled(_, SIGTERM, _)), "{ended:?}");
            assert_nothing_more(&mut listener).await;
        });
    });
}

fn signals_that_cannot_be_listened_to_are_refused_with_the_reason<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let refused = [
                (libc::SIGKILL, "acts on it directly"),
                (libc::SIGSTOP, "acts on it directly"),
                (libc::SIGSEGV, "repeated"),
                (libc::SIGBUS, "repeated"),
                (libc::SIGFPE, "repeated"),
                (libc::SIGILL, "repeated"),
                (0, "no such signal"),
                (-1, "no such signal"),
                (65, "no such signal"),
                (i32::MAX, "no such signal"),
            ];
            for (number, reason) in refused {
                let kind = Kind::from_raw(number);
                let errors = [signal::stream(kind).unwrap_err(), signal::on(kind, || ()).unwrap_err()];
                for error in errors {
                    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
                    assert!(error.to_string().contains(reason), "{error}");
                }
            }
            // The C library keeps this one for itself.
            let error = signal::stream(Kind::from_raw(32)).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            assert!(signal::stream(Kind::from_raw(libc::SIGRTMIN())).is_ok());
        });
    });
}

fn outside_a_runtime_it_panics_and_leaves_nothing_in_place<R: Runtime>() {
    alone(|| {
        let before = (disposition(SIGUSR1), disposition(SIGINT));
        let runtime = R::new().unwrap();
        assert!(panic_of(|| signal::stream(Kind::USER1)).contains("signal::stream"));
        assert!(panic_of(|| signal::on(Kind::USER1, || ())).contains("signal::on"));
        assert!(panic_of(signal::ctrl_c).contains("signal::ctrl_c"));
        assert_eq!((disposition(SIGUSR1), disposition(SIGINT)), before);
        end(runtime);
    });
}

fn ctrl_c_listens_from_the_call_to_the_result<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let before = disposition(SIGINT);
            let mut interrupted = signal::ctrl_c();
            raise(SIGINT);
            (&mut interrupted).await.unwrap();
            assert_eq!(disposition(SIGINT), before, "the next one does what it did before");
            let mut interrupted = signal::ctrl_c();
            assert!(poll_once(&mut interrupted).await.is_pending());
            turns(2).await;
            let sender = thread(|| raise(SIGINT));
            interrupted.await.unwrap();
            sender.ended().await;
            drop(signal::ctrl_c());
            assert_eq!(disposition(SIGINT), before);
        });
    });
}

fn a_closure_is_called_in_the_loop_once_for_each_delivery<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let calls = Rc::new(RefCell::new(Vec::new()));
            let note = |name: &'static str| {
                let (calls, home) = (calls.clone(), std::thread::current().id());
                move || {
                    assert_eq!(std::thread::current().id(), home);
                    calls.borrow_mut().push(name);
                }
            };
            let first = signal::on(Kind::USER1, note("first")).unwrap();
            let second = signal::on(Kind::USER1, note("second")).unwrap();
            let other = signal::on(Kind::USER2, note("other")).unwrap();
            assert_eq!(first.kind(), Kind::USER1);
            for _ in 0..3 {
                let borrowed = calls.borrow_mut(); // a call out of the signal's context would panic
                thread(|| raise(SIGUSR1)).join();
                raise(SIGUSR1);
                drop(borrowed);
                until(|| calls.borrow().len() >= 4).await;
                turns(2).await;
                let mut calls = calls.take();
                calls.sort_unstable();
                assert_eq!(calls, ["first", "first", "second", "second"]);
            }
            raise(SIGUSR2);
            until(|| *calls.borrow() == ["other"]).await;
            drop((first, second, other));
        });
    });
}

fn a_removed_closure_is_called_no_more<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let before = disposition(SIGWINCH);
            let calls = Rc::new(Cell::new(0));
            let counting = calls.clone();
            let held = Counted(Rc::new(Cell::new(0)));
            let dropped = held.0.clone();
            let handler = signal::on(Kind::WINDOW_CHANGE, move || {
                let _ = &held;
                counting.set(counting.get() + 1);
            });
            let handler = handler.unwrap();
            raise(SIGWINCH);
            until(|| calls.get() == 1).await;
            raise(SIGWINCH); // counted, and taken by nobody
            handler.remove();
            assert_eq!(disposition(SIGWINCH), before, "at once");
            raise(SIGWINCH);
            turns(3).await;
            assert_eq!((calls.get(), dropped.get()), (1, 1));
        });
    });
}

fn a_closure_may_remove_itself<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let calls = Rc::new(Cell::new(0));
            let before = disposition(SIGUSR1);
            let own: Rc<RefCell<Option<signal::Handler>>> = Rc::default();
            let (counting, itself) = (calls.clone(), own.clone());
            let handler = signal::on(Kind::USER1, move || {
                counting.set(counting.get() + 1);
                itself.take();
            });
            own.replace(Some(handler.unwrap()));
            for _ in 0..3 {
                raise(SIGUSR1);
            }
            until(|| calls.get() > 0).await;
            turns(3).await;
            assert_eq!((calls.get(), disposition(SIGUSR1)), (1, before));
            assert_eq!(Rc::strong_count(&own), 1, "the closure has gone");
        });
    });
}

fn a_closure_that_panics_is_removed<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let calls = Rc::new(Cell::new(0));
            let counting = calls.clone();
            let before = disposition(SIGUSR1);
            let handler = signal::on(Kind::USER1, move || {
                counting.set(counting.get() + 1);
                panic!("expected");
            });
            let mut beside = signal::stream(Kind::USER1).unwrap();
            raise(SIGUSR1);
            raise(SIGUSR1);
            until(|| calls.get() > 0).await;
            turns(3).await;
            assert_eq!(calls.get(), 1);
            recv_many(&mut beside, 2).await;
            drop(beside);
            assert_eq!(disposition(SIGUSR1), before, "it listens no more");
            drop(handler);
        });
    });
}
