//! Callbacks of the loop and watched descriptors: asyncio's `call_soon`, `call_later`, `call_at`, `add_reader`,
//! `add_writer`, and how they stand to tasks.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proactor::task::{CallHandle, LocalHandle, call_soon, try_current};
use proactor::time::sleep;
use proactor::{Config, Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    callbacks_and_tasks_share_one_queue,
    what_is_added_in_a_turn_comes_in_the_next,
    callbacks_of_one_time_keep_their_order,
    a_callback_whose_time_has_passed_is_called_soon,
    t120_callbacks_whose_times_have_passed_keep_the_order_of_their_times,
    a_time_beyond_the_clock_never_comes,
    a_callback_that_was_taken_back_is_not_called,
    a_callback_that_panics_ends_alone,
    a_callback_is_no_task,
    callbacks_may_be_added_before_the_loop_runs,
    stop_finishes_the_turn_and_leaves_the_rest,
    callbacks_that_were_not_called_are_dropped_with_the_runtime,
    a_callback_soon_is_called_before_the_runtime_ends,
    a_reader_is_called_for_as_long_as_there_is_something,
    a_reader_replaces_the_one_before,
    a_reader_may_remove_itself,
    a_removed_reader_is_not_called_any_more,
    a_reader_is_called_for_the_end_of_the_stream,
    a_reader_and_a_writer_of_one_descriptor,
    readers_go_with_the_runtime,
    t291_a_callback_of_the_past_comes_ahead_of_what_is_added_a_turn_later,
    t292_a_regular_file_has_no_reader,
}

/// What has been called, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<u32>>>);

impl Log {
    fn note(&self, what: u32) -> impl FnOnce() + 'static {
        let log = self.0.clone();
        move || log.borrow_mut().push(what)
    }

    #[track_caller]
    fn expect(&self, expected: &[u32]) {
        assert_eq!(self.0.take(), expected);
    }
}

fn callbacks_and_tasks_share_one_queue<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let task = |what| {
            let note = log.note(what);
            spawn(async move { note() });
        };
        task(1);
        call_soon(log.note(2));
        task(3);
        LocalHandle::current().call_soon(log.note(4));
        task(5);
        log.expect(&[]);
        yield_now().await;
        log.expect(&[1, 2, 3, 4, 5]);
    });
}

fn what_is_added_in_a_turn_comes_in_the_next<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let (first, second, third) = (log.note(1), log.note(3), log.note(2));
        call_soon(move || {
            first();
            call_soon(second);
        });
        call_soon(third);
        yield_now().await;
        log.expect(&[1, 2]);
        yield_now().await;
        log.expect(&[3]);
    });
}

fn callbacks_of_one_time_keep_their_order<R: Runtime>() {
    run::<R>(async {
        let (log, local) = (Log::default(), LocalHandle::current());
        let when = Instant::now() + Duration::from_millis(3);
        let earlier = when - Duration::from_millis(1);
        for number in 0..50 {
            let at = if number % 5 == 0 { earlier } else { when };
            assert_eq!(local.call_at(at, log.note(number)).when(), Some(at));
        }
        let later = local.call_later(Duration::from_millis(3), log.note(50));
        assert!(later.when().unwrap() >= when);
        until(|| log.0.borrow().len() == 51).await;
        let expected: Vec<_> = (0..50)
            .filter(|number| number % 5 == 0)
            .chain((0..50).filter(|number| number % 5 != 0))
            .chain([50])
            .collect();
        log.expect(&expected);
    });
}

fn a_callback_whose_time_has_passed_is_called_soon<R: Runtime>() {
    run::<R>(async {
        let (log, local) = (Log::default(), LocalHandle::current());
        local.call_at(local.now() - Duration::from_secs(1), log.note(1));
        local.call_later(Duration::ZERO, log.note(2));
        log.expect(&[]);
        until(|| log.0.borrow().len() == 2).await;
        log.expect(&[1, 2]);
    });
}

fn t120_callbacks_whose_times_have_passed_keep_the_order_of_their_times<R: Runtime>() {
    run::<R>(async {
        let (log, local) = (Log::default(), LocalHandle::current());
        let earlier = local.now();
        let later = earlier + Duration::from_nanos(1);
        while local.now() <= later {
            std::hint::spin_loop();
        }
        local.call_at(later, log.note(2));
        local.call_at(earlier, log.note(0));
        local.call_at(later, log.note(3));
        local.call_at(earlier, log.note(1));
        until(|| log.0.borrow().len() == 4).await;
        log.expect(&[0, 1, 2, 3]);
    });
}

fn a_time_beyond_the_clock_never_comes<R: Runtime>() {
    run::<R>(async {
        let call = LocalHandle::current().call_later(Duration::MAX, || unreachable!());
        turns(3).await;
        assert!(call.cancel());
    });
}

fn a_callback_that_was_taken_back_is_not_called<R: Runtime>() {
    run::<R>(async {
        let (log, local) = (Log::default(), LocalHandle::current());
        let counts = Rc::new(Cell::new(0));
        let guarded = || {
            let counted = Counted(counts.clone());
            move || {
                let _counted = counted;
                unreachable!("it was taken back")
            }
        };
        let calls = [call_soon(guarded()), local.call_later(Duration::from_nanos(1), guarded())];
        let called = call_soon(log.note(1));
        assert!(calls.iter().all(CallHandle::cancel) && calls.iter().all(CallHandle::is_cancelled));
        turns(2).await;
        log.expect(&[1]);
        assert_eq!(counts.get(), 2, "and their closures are dropped");
        assert!(!called.cancel() && !called.is_cancelled(), "it has been called");
        assert_eq!(called.when(), None);
    });
}

/// A runtime that notes what it is told of errors that nobody took.
fn with_hook<R: Runtime>() -> (R, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let log = seen.clone();
    let config = Config::new().on_unhandled(move |unhandled| {
        assert!(unhandled.is_callback() && unhandled.is_panic());
        assert_eq!(unhandled.spawned_at().file(), file!());
        log.lock().unwrap().push(unhandled.message().to_owned());
    });
    (R::with_config(&config).unwrap(), seen)
}

fn a_callback_that_panics_ends_alone<R: Runtime>() {
    let (runtime, seen) = with_hook::<R>();
    runtime.block_on(async {
        let log = Log::default();
        call_soon(log.note(1));
        call_soon(|| panic!("expected: soon"));
        call_soon(log.note(2));
        LocalHandle::current().call_later(Duration::from_nanos(1), || panic!("expected: later"));
        until(|| seen.lock().unwrap().len() == 2).await;
        log.expect(&[1, 2]);
    });
    assert_eq!(*seen.lock().unwrap(), ["expected: soon", "expected: later"]);
    end(runtime);
}

fn a_callback_is_no_task<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let called = Rc::new(Cell::new(false));
        let flag = called.clone();
        call_soon(move || {
            assert!(try_current().is_none(), "a callback is no task");
            flag.set(true);
        });
        LocalHandle::current().call_later(Duration::from_secs(3_600), || ());
        assert!(LocalHandle::current().tasks().is_empty());
        assert_eq!(runtime.report().live.tasks, 0);
        yield_now().await;
        assert!(called.get());
    });
    let left = runtime.shutdown(Duration::from_secs(30));
    assert_eq!((left.tasks, left.ops_leaked), (0, 0));
}

fn callbacks_may_be_added_before_the_loop_runs<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (log, local) = (Log::default(), runtime.local());
    assert!(LocalHandle::try_current().is_none());
    local.call_soon(log.note(1));
    let task = local.spawn(async { 2 });
    local.call_later(Duration::from_millis(1), log.note(3));
    log.expect(&[]);
    assert_eq!(runtime.block_on(task).unwrap(), 2);
    log.expect(&[1]);
    runtime.block_on(until(|| !log.0.borrow().is_empty()));
    log.expect(&[3]);
    end(runtime);
}

fn stop_finishes_the_turn_and_leaves_the_rest<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (log, local, handle) = (Log::default(), runtime.local(), runtime.handle());
    let (before, after, next) = (log.note(1), log.note(2), log.note(3));
    local.call_soon(move || {
        before();
        handle.stop();
    });
    local.call_soon(move || {
        after();
        call_soon(next);
    });
    runtime.run_forever();
    log.expect(&[1, 2]);
    runtime.handle().stop();
    runtime.run_forever();
    log.expect(&[3]);
    end(runtime);
}

fn callbacks_that_were_not_called_are_dropped_with_the_runtime<R: Runtime>() {
    let runtime = R::new().unwrap();
    let drops = Rc::new(Cell::new(0));
    let counted = Counted(drops.clone());
    runtime.local().call_later(Duration::from_secs(3_600), move || drop(counted));
    runtime.block_on(yield_now());
    assert_eq!(drops.get(), 0);
    end(runtime);
    assert_eq!(drops.get(), 1);
}

/// As asyncio's `run` gives the loop another iteration.
fn a_callback_soon_is_called_before_the_runtime_ends<R: Runtime>() {
    let runtime = R::new().unwrap();
    let log = Log::default();
    let (drops, note) = (Rc::new(Cell::new(0)), log.note(1));
    let counted = Counted(drops.clone());
    runtime.block_on(async {
        let task = spawn(async move {
            let _counted = counted;
            std::future::pending::<()>().await;
        });
        task.on_done(move |task| {
            assert_eq!(drops.get(), 1);
            assert_eq!(task.cancelling(), 1);
            note();
        });
        yield_now().await;
    });
    end(runtime);
    log.expect(&[1]);
}

/// Our end of a pair of sockets, shared with the closures that read from it.
fn sockets() -> (Rc<UnixStream>, UnixStream) {
    let (ours, peer) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Rc::new(ours), peer)
}

fn a_reader_is_called_for_as_long_as_there_is_something<R: Runtime>() {
    run::<R>(async {
        let ((ours, mut peer), local) = (sockets(), LocalHandle::current());
        let (read, stream) = (Rc::new(RefCell::new(Vec::new())), ours.clone());
        let bytes = read.clone();
        local
            .add_reader(&ours, move || {
                let mut byte = [0; 1]; // less than there is: it is called again
                (&*stream).read_exact(&mut byte).unwrap();
                bytes.borrow_mut().push(byte[0]);
            })
            .unwrap();
        for part in [&b"hello, "[..], b"world"] {
            peer.write_all(part).unwrap();
            until(|| read.borrow().ends_with(part)).await;
        }
        assert_eq!(*read.borrow(), b"hello, world");
        turns(2).await; // nothing more to read, so it is not called
        assert!(local.remove_reader(&ours));
        assert!(!local.remove_reader(&ours));
    });
}

fn a_reader_replaces_the_one_before<R: Runtime>() {
    run::<R>(async {
        let ((ours, mut peer), local) = (sockets(), LocalHandle::current());
        let drops = Rc::new(Cell::new(0));
        let counted = Counted(drops.clone());
        let calls = Rc::new(Cell::new(0));
        let counts = calls.clone();
        local
            .add_reader(&ours, move || {
                let _held = &counted;
                counts.set(counts.get() + 1);
            })
            .unwrap();
        peer.write_all(b"x").unwrap();
        until(|| calls.get() > 0).await;
        let (before, replaced) = (calls.get(), Rc::new(Cell::new(0)));
        let counts = replaced.clone();
        local.add_reader(&ours, move || counts.set(counts.get() + 1)).unwrap();
        until(|| replaced.get() > 2).await;
        assert_eq!(
            (calls.get(), drops.get()),
            (before, 1),
            "the one before has gone, and is not called again"
        );
        assert!(local.remove_reader(&ours));
    });
}

fn a_reader_may_remove_itself<R: Runtime>() {
    run::<R>(async {
        let ((ours, mut peer), local) = (sockets(), LocalHandle::current());
        let calls = Rc::new(Cell::new(0));
        let (counts, stream) = (calls.clone(), ours.clone());
        local
            .add_reader(&ours, move || {
                counts.set(counts.get() + 1);
                assert!(LocalHandle::current().remove_reader(&stream));
            })
            .unwrap();
        peer.write_all(b"x").unwrap();
        until(|| calls.get() > 0).await;
        turns(3).await;
        assert_eq!(calls.get(), 1, "although there is still something to read");
    });
}

fn a_removed_reader_is_not_called_any_more<R: Runtime>() {
    run::<R>(async {
        let ((ours, mut peer), local) = (sockets(), LocalHandle::current());
        let calls = Rc::new(Cell::new(0));
        let counts = calls.clone();
        local.add_reader(&ours, move || counts.set(counts.get() + 1)).unwrap();
        peer.write_all(b"x").unwrap();
        until(|| calls.get() > 0).await;
        assert!(local.remove_reader(&ours));
        let before = calls.get();
        turns(3).await;
        assert_eq!(calls.get(), before);
    });
}

fn a_reader_is_called_for_the_end_of_the_stream<R: Runtime>() {
    run::<R>(async {
        let ((ours, peer), local) = (sockets(), LocalHandle::current());
        let (ended, stream) = (Rc::new(Cell::new(false)), ours.clone());
        let flag = ended.clone();
        local.add_reader(&ours, move || flag.set((&*stream).read(&mut [0; 1]).unwrap() == 0)).unwrap();
        turns(2).await;
        assert!(!ended.get());
        drop(peer);
        until(|| ended.get()).await;
        assert!(local.remove_reader(&ours));
    });
}

fn a_reader_and_a_writer_of_one_descriptor<R: Runtime>() {
    run::<R>(async {
        let ((ours, mut peer), local) = (sockets(), LocalHandle::current());
        // No room: the writer is not called.
        while (&*ours).write(&[0; 4_096]).is_ok() {}
        let (read, written) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
        let (reads, writes, stream) = (read.clone(), written.clone(), ours.clone());
        local.add_writer(&ours, move || writes.set(true)).unwrap();
        local
            .add_reader(&ours, move || {
                (&*stream).read_exact(&mut [0; 1]).unwrap();
                reads.set(true);
            })
            .unwrap();
        peer.write_all(b"x").unwrap();
        until(|| read.get()).await;
        assert!(!written.get());
        assert!(local.remove_reader(&ours));
        peer.set_nonblocking(true).unwrap();
        while peer.read(&mut [0; 65_536]).is_ok() {}
        until(|| written.get()).await;
        assert!(local.remove_writer(&ours));
        assert!(!local.remove_writer(&ours));
    });
}

fn readers_go_with_the_runtime<R: Runtime>() {
    let drops = Rc::new(Cell::new(0));
    let (ours, _peer) = sockets();
    run::<R>(async {
        let counted = Counted(drops.clone());
        LocalHandle::current().add_reader(&ours, move || _ = &counted).unwrap();
        sleep(Duration::from_nanos(1)).await;
        assert_eq!(drops.get(), 0);
    });
    assert_eq!(drops.get(), 1);
}

fn t291_a_callback_of_the_past_comes_ahead_of_what_is_added_a_turn_later<R: Runtime>() {
    run::<R>(async {
        let (log, local) = (Log::default(), LocalHandle::current());
        let add = |ago: Duration, first| {
            local.call_at(local.now() - ago, log.note(first + 1));
            local.call_soon(log.note(first));
        };
        for _ in 0..20 {
            add(Duration::from_secs(1), 0);
            add(Duration::ZERO, 2);
            yield_now().await;
            local.call_soon(log.note(4));
            local.call_later(Duration::ZERO, log.note(5));
            yield_now().await;
            yield_now().await;
            log.expect(&[0, 2, 1, 3, 4, 5]);
        }
    });
}

fn t292_a_regular_file_has_no_reader<R: Runtime>() {
    run::<R>(async {
        let local = LocalHandle::current();
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        for added in [
            local.add_reader(&file, || panic!("a reader of a file was called")),
            local.add_writer(&file, || panic!("a writer of a file was called")),
        ] {
            assert_eq!(added.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        }
        assert!(!local.remove_reader(&file) && !local.remove_writer(&file));
        turns(2).await;
    });
}
