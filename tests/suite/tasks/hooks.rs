//! What a loop tells: errors that nobody took, tasks that start, polls that take long, what was left at its end; and
//! `Runner`.

use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{SIGINT, raise};
use proactor::combine::try_gather_tasks;
use proactor::scope::{exit_stack, using};
use proactor::sync::Event;
use proactor::task::{
    BlockingPool, Builder, LocalHandle, call_soon, catch_cancel, current, spawn_blocking_on, try_spawn,
};
use proactor::{Config, Leak, Runner, Runtime, join, shield, signal, spawn, yield_now};

use crate::kit::*;

tests! {
    a_panic_that_was_not_retrieved_is_reported,
    a_panic_that_was_retrieved_is_not_reported,
    an_error_that_was_not_retrieved_is_reported,
    a_cancellation_is_no_error,
    t314_the_error_of_a_handle_in_a_shield_given_up_counts_as_retrieved,
    errors_at_the_end_are_reported,
    a_hook_that_panics_does_no_harm,
    each_task_is_reported_before_it_runs,
    a_slow_poll_is_reported_with_name_and_place,
    a_quick_poll_is_not_reported,
    debug_mode_reports_what_was_left,
    a_runner_runs_several_futures_on_one_loop,
    a_main_future_can_be_cancelled,
    a_main_future_can_catch_its_cancellation,
    a_main_future_that_waits_for_a_cancelled_task_is_cancelled,
    a_request_for_one_main_future_is_not_for_the_next,
    an_interrupt_is_caught_on_request_only,
    the_first_interrupt_cancels_the_main_future,
    the_second_interrupt_ends_the_process,
    t223_an_interrupt_before_the_main_future_begins_cancels_it,
    t224_an_interrupt_differs_from_a_cancellation,
    t227_values_of_one_main_future_are_those_of_the_next,
    t227_an_interrupt_ends_a_main_future_that_never_waits,
    t225_a_clean_up_that_fails_names_the_line_of_its_registration,
    a_custom_pool_runs_jobs,
    a_pool_that_is_shut_down_refuses_work,
    a_pool_for_all_closures_outlives_its_runtime,
}

type Told = Arc<Mutex<Vec<String>>>;

fn with_hook<R: Runtime>() -> (R, Told) {
    let told = Told::default();
    let log = told.clone();
    let config = Config::new().on_unhandled(move |unhandled| {
        assert_eq!(unhandled.spawned_at().file(), file!());
        let name = unhandled.name().unwrap_or("-");
        let kind = if unhandled.is_panic() { "panic" } else { "error" };
        log.lock().unwrap().push(format!("{name} {kind} {}", unhandled.message()));
    });
    (R::with_config(&config).unwrap(), told)
}

fn a_panic_that_was_not_retrieved_is_reported<R: Runtime>() {
    let (runtime, told) = with_hook::<R>();
    runtime.block_on(async {
        drop(Builder::new().name("detached").spawn(async { panic!("expected: one") }));
        let kept = spawn(async { panic!("expected: {}", 2) });
        yield_now().await;
        assert_eq!(
            *told.lock().unwrap(),
            ["detached panic expected: one"],
            "the other may still be asked for"
        );
        drop(kept);
        assert_eq!(*told.lock().unwrap(), ["detached panic expected: one", "- panic expected: 2"]);
    });
    end(runtime);
    assert_eq!(told.lock().unwrap().len(), 2, "once each");
}

fn a_panic_that_was_retrieved_is_not_reported<R: Runtime>() {
    let (runtime, told) = with_hook::<R>();
    runtime.block_on(async {
        assert!(spawn(async { panic!("expected") }).await.unwrap_err().is_panic());
        assert!(spawn(async { panic!("expected") }).cancel().await.is_err());
        let mut task = spawn(async { panic!("expected") });
        yield_now().await;
        assert!(task.try_take().unwrap().is_err());
    });
    end(runtime);
    assert!(told.lock().unwrap().is_empty());
}

fn an_error_that_was_not_retrieved_is_reported<R: Runtime>() {
    let (runtime, told) = with_hook::<R>();
    runtime.block_on(async {
        try_spawn(async { Err::<(), _>("out of paper") });
        try_spawn(async { Ok::<_, String>(1) });
        drop(Builder::new().name("named").try_spawn(async { Err::<(), _>("out of ink") }));
        spawn(async { Err::<(), _>("nobody's business") });
        assert_eq!(try_spawn(async { Err::<(), _>("taken") }).await.unwrap(), Err("taken"));
    });
    end(runtime);
    assert_eq!(*told.lock().unwrap(), ["- error out of paper", "named error out of ink"]);
}

fn a_cancellation_is_no_error<R: Runtime>() {
    let (runtime, told) = with_hook::<R>();
    runtime.block_on(async {
        drop(spawn(std::future::pending::<()>()).cancel_on_drop());
        drop(try_spawn(std::future::pending::<Result<(), String>>()).cancel_on_drop());
        yield_now().await;
    });
    end(runtime);
    assert!(told.lock().unwrap().is_empty());
}

fn errors_at_the_end_are_reported<R: Runtime>() {
    struct Fails;
    impl Drop for Fails {
        fn drop(&mut self) {
            panic!("expected: in its drop");
        }
    }
    let (runtime, told) = with_hook::<R>();
    runtime.block_on(async {
        spawn(async {
            let _fails = Fails;
            std::future::pending::<()>().await;
        });
        try_spawn(async {
            let _cancelled = catch_cancel(std::future::pending::<()>()).await.unwrap_err();
            yield_now().await;
            Err::<(), _>("while it cleaned up")
        });
        yield_now().await;
    });
    end(runtime);
    assert_eq!(*told.lock().unwrap(), ["- panic expected: in its drop", "- error while it cleaned up"]);
}

fn t314_the_error_of_a_handle_in_a_shield_given_up_counts_as_retrieved<R: Runtime>() {
    async fn fails(go: Rc<Event>, what: &'static str) -> Result<(), &'static str> {
        go.wait().await;
        Err(what)
    }
    async fn panics(go: Rc<Event>, what: &'static str) {
        go.wait().await;
        std::panic::resume_unwind(Box::new(what));
    }
    /// Polls a future once, and drops it.
    async fn give_up(future: impl Future) {
        assert!(poll_once(&mut pin!(future)).await.is_pending());
    }

    let (runtime, told) = with_hook::<R>();
    runtime.block_on(async {
        let go = Rc::new(Event::new());
        give_up(shield(panics(go.clone(), "future"))).await;
        give_up(shield(spawn(panics(go.clone(), "panic of a handle")))).await;
        give_up(shield(try_spawn(fails(go.clone(), "error of a handle")))).await;
        let mut handle = try_spawn(fails(go.clone(), "by reference"));
        give_up(&mut handle).await;
        drop(handle);
        let mut kept = try_spawn(fails(go.clone(), "retrieved later"));
        give_up(&mut kept).await;
        go.set();
        assert_eq!(kept.await.unwrap(), Err("retrieved later"));
        while !LocalHandle::current().tasks().is_empty() {
            yield_now().await; // the shields' own tasks
        }
    });
    end(runtime);
    let mut told = told.lock().unwrap().clone();
    told.sort();
    assert_eq!(told, ["- error by reference", "- panic future"]);
}

fn a_hook_that_panics_does_no_harm<R: Runtime>() {
    let config = Config::new()
        .on_unhandled(|_| panic!("expected: the hook"))
        .on_spawn(|_| panic!("expected: the other hook"));
    let runtime = R::with_config(&config).unwrap();
    runtime.block_on(async {
        spawn(async { panic!("expected") });
        call_soon(|| panic!("expected"));
        assert_eq!(spawn(async { 42 }).await.unwrap(), 42);
    });
    end(runtime);
}

fn each_task_is_reported_before_it_runs<R: Runtime>() {
    let told = Told::default();
    let log = told.clone();
    let config = Config::new().on_spawn(move |task| {
        assert_eq!(task.spawned_at().file(), file!());
        log.lock().unwrap().push(task.name().unwrap_or_default());
    });
    let runtime = R::with_config(&config).unwrap();
    let before = Builder::new().name("eager").eager(true);
    runtime.block_on(async {
        let seen = told.clone();
        let eager = before.spawn(async move { seen.lock().unwrap().clone() });
        assert_eq!(eager.await.unwrap(), ["eager"]);
        Builder::new().name("spawned").spawn(async {}).await.unwrap();
        call_soon(|| ());
        yield_now().await;
    });
    end(runtime);
    assert_eq!(*told.lock().unwrap(), ["eager", "spawned"], "callbacks are no tasks");
}

fn slow<R: Runtime>(limit: Duration) -> (R, Told) {
    let told = Told::default();
    let log = told.clone();
    let config = Config::new().slow_poll(limit).on_slow_poll(move |slow| {
        assert!(slow.duration() >= limit);
        let (name, place) = (slow.name().unwrap_or_default(), slow.spawned_at());
        log.lock().unwrap().push(format!("{name} {} {} {}", slow.is_callback(), place.file(), place.line()));
    });
    (R::with_config(&config).unwrap(), told)
}

fn a_slow_poll_is_reported_with_name_and_place<R: Runtime>() {
    let (runtime, told) = slow::<R>(Duration::from_millis(20));
    let mut lines = (0, 0);
    runtime.block_on(async {
        let hold_up = || std::thread::sleep(Duration::from_millis(20));
        lines.0 = line!() + 1;
        let task = Builder::new().name("busy").spawn(async move { hold_up() });
        task.await.unwrap();
        lines.1 = line!() + 1;
        call_soon(hold_up);
        yield_now().await;
    });
    end(runtime);
    let told = told.lock().unwrap();
    let expected = [format!("busy false {} {}", file!(), lines.0), format!(" true {} {}", file!(), lines.1)];
    assert!(expected.iter().all(|line| told.contains(line)), "{told:?}");
}

fn a_quick_poll_is_not_reported<R: Runtime>() {
    let (runtime, told) = slow::<R>(Duration::from_secs(3_600));
    runtime.block_on(async { spawn(yield_now()).await.unwrap() });
    end(runtime);
    assert!(told.lock().unwrap().is_empty());
}

fn debug_mode_reports_what_was_left<R: Runtime>() {
    let told = Told::default();
    for debug in [false, true] {
        let log = told.clone();
        let config = Config::new().debug(debug).on_leak(move |leak| {
            assert!(matches!(leak, Leak::Task(_)), "{leak}");
            log.lock().unwrap().push(leak.to_string());
        });
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            drop(Builder::new().name("forgotten").spawn(std::future::pending::<()>()));
            spawn(async {}).await.unwrap();
        });
        end(runtime);
    }
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1, "only where it is asked for: {told:?}");
    assert!(told[0].contains(concat!("(\"forgotten\"), spawned at ", file!(), ":")), "{told:?}");
}

fn a_runner_runs_several_futures_on_one_loop<R: Runtime>() {
    let runner = Runner::on(R::new().unwrap());
    let task = runner.run(async { [spawn(async { 42 })] }).unwrap();
    let [task] = task;
    assert!(!task.is_finished(), "it goes on with the next");
    assert_eq!(runner.run(task).unwrap().unwrap(), 42);
    let there = runner.handle();
    let thread = thread(move || there.spawn(|| async { 43 }).join().unwrap());
    assert_eq!(runner.run(thread.ended()).unwrap(), 43);
    drop(runner.local().spawn(std::future::pending::<()>()));
    let left = runner.close();
    assert_eq!((left.tasks, left.ops_leaked), (1, 0));
}

fn a_main_future_can_be_cancelled<R: Runtime>() {
    let runner = Runner::on(R::new().unwrap());
    let (stream, _peer) = half_pair_of(&runner);
    let (buffer, watch) = Canary::new(64);
    let drops = Rc::new(Cell::new(0));
    let counted = Counted(drops.clone());
    let outcome = runner.run(async {
        let main = current();
        spawn(async move { main.request_cancel() });
        let _counted = counted;
        stream.read(buffer).await.unwrap();
    });
    assert!(outcome.unwrap_err().is_cancelled());
    assert_eq!(drops.get(), 1);
    assert!(watch.is_dropped(), "its operations have been reaped");
    assert_eq!(runner.run(async { 1 }).unwrap(), 1);
}

fn half_pair_of<R: Runtime>(runner: &Runner<R>) -> (proactor::net::TcpStream, std::net::TcpStream) {
    runner.runtime().block_on(async { half_pair() })
}

fn a_main_future_that_waits_for_a_cancelled_task_is_cancelled<R: Runtime>() {
    let runner = Runner::on(R::new().unwrap());
    let outcome = runner.run(async {
        let beside = catch_cancel(pending::<()>());
        let task = spawn(pending::<Result<(), ()>>());
        task.request_cancel();
        join!(beside, try_gather_tasks([task]))
    });
    assert!(outcome.unwrap_err().is_cancelled());
}

fn a_main_future_can_catch_its_cancellation<R: Runtime>() {
    let runner = Runner::on(R::new().unwrap());
    let outcome = runner.run(async {
        current().request_cancel();
        let cancelled = catch_cancel(std::future::pending::<()>()).await.unwrap_err();
        yield_now().await;
        assert_eq!(cancelled.uncancel(), 0);
        yield_now().await;
        "goes on"
    });
    assert_eq!(outcome.unwrap(), "goes on");
    // For `block_on` a request that nobody catches is without effect.
    runner.runtime().block_on(async {
        current().request_cancel();
        yield_now().await;
        assert_eq!(current().cancelling(), 1);
    });
}

fn a_request_for_one_main_future_is_not_for_the_next<R: Runtime>() {
    let runner = Runner::on(R::new().unwrap());
    runner.run(async { current().request_cancel() }).unwrap();
    runner.run(yield_now()).unwrap();
}

fn an_interrupt_is_caught_on_request_only<R: Runtime>() {
    /// The signals that have a handler, as a mask.
    fn caught() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap()
    }
    alone(|| {
        let before = caught();
        let runner = Runner::on(R::new().unwrap());
        assert_eq!(runner.run(async { caught() }).unwrap(), before);
        let runner = runner.cancel_on_ctrl_c(true);
        let interrupt = 1 << (SIGINT as i32 - 1);
        assert_eq!(runner.run(async { caught() }).unwrap(), before | interrupt);
        assert_eq!(caught(), before);
    });
}

fn the_first_interrupt_cancels_the_main_future<R: Runtime>() {
    alone(|| {
        let runner = Runner::on(R::new().unwrap()).cancel_on_ctrl_c(true);
        let outcome = runner.run(async {
            raise(SIGINT).unwrap();
            std::future::pending::<()>().await;
        });
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(runner.run(async { 1 }).unwrap(), 1);
    });
}

fn t223_an_interrupt_before_the_main_future_begins_cancels_it<R: Runtime>() {
    alone(|| {
        let runner = Runner::on(R::new().unwrap()).cancel_on_ctrl_c(true);
        let task = runner.local().spawn(async { raise(SIGINT).unwrap() });
        let outcome = runner.run(async { unreachable!("it was cancelled before") });
        assert!(outcome.unwrap_err().is_cancelled() && task.is_finished());
        assert!(runner.is_interrupted());
        assert_eq!(runner.run(async { 1 }).unwrap(), 1);
    });
}

/// asyncio's `run` raises `KeyboardInterrupt` for the one and `CancelledError` for the other.
fn t224_an_interrupt_differs_from_a_cancellation<R: Runtime>() {
    alone(|| {
        let runner = Runner::on(R::new().unwrap()).cancel_on_ctrl_c(true);
        let outcome = runner.run(async {
            assert!(!signal::is_interrupted());
            raise(SIGINT).unwrap();
            let cancelled = catch_cancel(pending::<()>()).await.unwrap_err();
            let child = spawn(async { signal::is_interrupted() });
            assert!(signal::is_interrupted() && child.await.unwrap(), "the program can find out");
            drop(cancelled);
            pending::<()>().await;
        });
        assert!(outcome.unwrap_err().is_cancelled());
        assert!(runner.is_interrupted());

        let outcome = runner.run(async {
            assert!(!signal::is_interrupted(), "that was another one's");
            current().request_cancel();
            yield_now().await;
        });
        assert!(outcome.unwrap_err().is_cancelled());
        assert!(!runner.is_interrupted());

        // `test_interrupt_cancelled_task` of CPython: the signal came second.
        let outcome = runner.run(async {
            current().request_cancel();
            raise(SIGINT).unwrap();
            let _cancelled = catch_cancel(pending::<()>()).await.unwrap_err();
            pending::<()>().await; // the signal is a second request
        });
        assert!(outcome.unwrap_err().is_cancelled());
        assert!(!runner.is_interrupted());
    });
}

/// `test_run_keeps_context` of CPython.
fn t227_values_of_one_main_future_are_those_of_the_next<R: Runtime>() {
    proactor::task_local! { static NUMBER: i32 = -1; }
    let runner = Runner::on(R::new().unwrap());
    let exchange = async |number| {
        let before = NUMBER.get();
        yield_now().await;
        NUMBER.set(number);
        before
    };
    assert_eq!(runner.run(exchange(1)).unwrap(), -1);
    assert_eq!(runner.run(exchange(2)).unwrap(), 1);
    assert_eq!(runner.run(async { spawn(async { NUMBER.get() }).await.unwrap() }).unwrap(), 2);
    runner.close();
}

/// `test_interrupt_call_soon` of CPython.
fn t227_an_interrupt_ends_a_main_future_that_never_waits<R: Runtime>() {
    alone(|| {
        let runner = Runner::on(R::new().unwrap()).cancel_on_ctrl_c(true);
        runner.local().call_later(Duration::from_millis(1), || raise(SIGINT).unwrap());
        let outcome = runner.run(async {
            loop {
                yield_now().await;
            }
        });
        let outcome: Result<(), _> = outcome;
        assert!(outcome.unwrap_err().is_cancelled() && runner.is_interrupted());
    });
}

fn t225_a_clean_up_that_fails_names_the_line_of_its_registration<R: Runtime>() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    let config = Config::new().on_unhandled(move |unhandled| {
        assert_eq!(unhandled.spawned_at().file(), file!());
        log.lock().unwrap().push((unhandled.message().to_owned(), unhandled.spawned_at().line()));
    });
    let runtime = R::with_config(&config).unwrap();
    let failing = |message: &'static str| Closes(async move || Err(std::io::Error::other(message)));
    let panicking = Closes(async || panic!("expected: closing"));
    let line = runtime.block_on(async {
        let mut line = 0;
        let block = exit_stack(async |stack| {
            line = line!();
            stack.enter(failing("entered"));
            stack.enter(panicking);
            stack.defer(async || Err(std::io::Error::other("deferred")));
            using(failing("used"), async |_| pending::<std::io::Result<()>>().await).await
        });
        assert!(race(block, turns(2)).await.is_err(), "the block was dropped");
        turns(3).await;
        line
    });
    let told: Vec<_> = lines.lock().unwrap().clone();
    let expected = [("used", 4), ("deferred", 3), ("expected: closing", 2), ("entered", 1)];
    assert_eq!(told, expected.map(|(message, after)| (message.to_owned(), line + after)));
    end(runtime);
}

fn the_second_interrupt_ends_the_process<R: Runtime>() {
    if !is_alone() {
        // In a process of its own, and that in another one, whose end is looked at.
        let said = std::process::Command::new(std::env::current_exe().unwrap())
            .args([ALONE, &format!("{}::hooks::the_second_interrupt_ends_the_process", R::NAME)])
            .output()
            .unwrap();
        assert_eq!(said.status.code(), Some(130), "{}", String::from_utf8_lossy(&said.stderr));
        return;
    }
    let runner = Runner::on(R::new().unwrap()).cancel_on_ctrl_c(true);
    let _ = runner.run(async {
        raise(SIGINT).unwrap();
        let _cancelled = catch_cancel(std::future::pending::<()>()).await.unwrap_err();
        raise(SIGINT).unwrap();
        std::future::pending::<()>().await;
    });
    unreachable!("the process has ended");
}

fn a_custom_pool_runs_jobs<R: Runtime>() {
    let pool = BlockingPool::new(1);
    run::<R>(async {
        let begun = Signal::default();
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let said = begun.clone();
        let first = spawn_blocking_on(&pool, move || {
            said.set();
            gate.recv().unwrap_err();
            std::thread::current().id()
        });
        begun.await;
        // It has one thread, which is busy; the loop's own pool is not.
        let second = spawn_blocking_on(&pool, || unreachable!("it is taken back"));
        proactor::spawn_blocking(|| ()).await.unwrap();
        assert!(second.cancel().await.unwrap_err().is_cancelled());
        drop(open);
        let thread = first.await.unwrap();
        assert_eq!(spawn_blocking_on(&pool, || std::thread::current().id()).await.unwrap(), thread);
        let panicked = spawn_blocking_on(&pool, || panic!("expected")).await;
        assert!(panicked.unwrap_err().is_panic());
    });
    assert_eq!(pool.shutdown(Duration::from_secs(30)), 0);
}

fn a_pool_that_is_shut_down_refuses_work<R: Runtime>() {
    let pool = BlockingPool::new(1);
    assert_eq!(pool.shutdown(Duration::ZERO), 0);
    run::<R>(async {
        let refused = spawn_blocking_on(&pool, || ()).await;
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("the pool was closed before"), "{message}");
    });
    assert!(panic_of(|| BlockingPool::new(0)).contains("choose 1 or more"));
    assert!(panic_of(|| spawn_blocking_on(&pool, || ())).contains("needs a running proactor runtime"));
}

fn a_pool_for_all_closures_outlives_its_runtime<R: Runtime>() {
    let pool = BlockingPool::new(1);
    let mut threads = Vec::new();
    for _ in 0..2 {
        let runtime = R::with_config(&Config::new().blocking_pool(&pool)).unwrap();
        threads.push(
            runtime
                .block_on(async { proactor::spawn_blocking(|| std::thread::current().id()).await.unwrap() }),
        );
        end(runtime);
    }
    assert_eq!(threads[0], threads[1]);
    assert_eq!(pool.shutdown(Duration::from_secs(30)), 0);
}
