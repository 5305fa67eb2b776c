//! Runtimes: running futures, stopping, settings, reports, and how they end.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io::{ErrorKind, Write};
use std::rc::Rc;
use std::time::Duration;

use proactor::fs::File;
use proactor::{
    Auto, Backend, Config, Feature, FeatureState, Proactor, Runner, Runtime, Selector, random, spawn,
    yield_now,
};

use crate::kit::*;

tests! {
    block_on_gives_the_value_of_a_future_that_borrows,
    a_task_survives_between_two_calls_of_block_on,
    tasks_do_not_run_outside_the_loop,
    run_forever_ends_when_a_task_stops_it,
    run_forever_ends_when_another_thread_stops_it,
    a_stop_before_run_forever_ends_its_first_turn,
    a_stop_lets_the_turn_finish,
    t221_a_stop_ends_block_on_with_the_cure,
    t221_a_stop_never_reaches_the_run_after,
    a_panic_propagates_from_block_on_and_the_runtime_stays_usable,
    the_report_names_the_backend,
    the_report_counts_what_is_there,
    each_feature_can_be_masked,
    all_features_can_be_masked_at_once,
    ring_entries_are_granted_as_configured,
    settings_that_make_no_sense_are_refused,
    a_ring_with_one_entry_works,
    a_turn_budget_of_one_works,
    random_numbers_can_be_replayed,
    t282_each_runtime_has_a_random_seed_that_its_report_tells,
    the_variable_decides_for_auto,
    an_empty_variable_decides_nothing,
    a_wrong_variable_is_an_error_that_lists_the_right_values,
    an_explicit_backend_ignores_the_variable,
    run_gives_the_value_and_ends_what_is_left,
    two_runtimes_take_turns_on_one_thread,
    runtimes_on_several_threads_do_not_meet,
    a_shutdown_reports_what_it_cancelled,
    a_drop_ends_all_tasks,
}

fn block_on_gives_the_value_of_a_future_that_borrows<R: Runtime>() {
    let runtime = R::new().unwrap();
    let text = String::from("borrowed");
    assert_eq!(runtime.block_on(async { text.len() }), 8);
    assert_eq!(runtime.block_on(async { &text }), "borrowed");
    end(runtime);
}

fn a_task_survives_between_two_calls_of_block_on<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (count, signal) = (Rc::new(Cell::new(0)), Signal::default());
    let task = runtime.spawn({
        let (count, signal) = (count.clone(), signal.clone());
        async move {
            count.set(1);
            signal.await;
            count.set(2);
        }
    });
    runtime.block_on(yield_now());
    assert_eq!(count.get(), 1);
    signal.set();
    assert_eq!(count.get(), 1, "nothing runs while no loop does");
    runtime.block_on(task).unwrap();
    assert_eq!(count.get(), 2);
    end(runtime);
}

fn tasks_do_not_run_outside_the_loop<R: Runtime>() {
    let runtime = R::new().unwrap();
    let ran = Rc::new(Cell::new(false));
    let task = runtime.spawn({
        let ran = ran.clone();
        async move { ran.set(true) }
    });
    assert!(!ran.get() && !task.is_finished());
    runtime.block_on(task).unwrap();
    assert!(ran.get());
    end(runtime);
}

fn run_forever_ends_when_a_task_stops_it<R: Runtime>() {
    let runtime = R::new().unwrap();
    let handle = runtime.handle();
    let task = runtime.spawn(async move {
        proactor::time::sleep(Duration::from_millis(2)).await;
        handle.stop();
        yield_now().await;
        7
    });
    runtime.run_forever();
    assert!(!task.is_finished());
    assert_eq!(runtime.block_on(task).unwrap(), 7);
    end(runtime);
}

fn run_forever_ends_when_another_thread_stops_it<R: Runtime>() {
    let runtime = R::new().unwrap();
    let handle = runtime.handle();
    let other = thread(move || handle.stop());
    runtime.run_forever();
    other.join();
    end(runtime);
}

fn a_stop_before_run_forever_ends_its_first_turn<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.handle().stop();
    runtime.run_forever();
    // It has been used up: the next call waits for another one.
    let handle = runtime.handle();
    let task = runtime.spawn(async move {
        yield_now().await;
        handle.stop();
    });
    runtime.run_forever();
    assert!(task.is_finished());
    end(runtime);
}

fn a_stop_lets_the_turn_finish<R: Runtime>() {
    let runtime = R::new().unwrap();
    let handle = runtime.handle();
    let first = runtime.spawn(async move { handle.stop() });
    let second = runtime.spawn(async {});
    runtime.run_forever();
    assert!(first.is_finished() && second.is_finished());
    end(runtime);
}

/// As `RuntimeError: Event loop stopped before Future completed.` of asyncio.
fn t221_a_stop_ends_block_on_with_the_cure<R: Runtime>() {
    let runtime = R::new().unwrap();
    let stopped = |future: std::future::Pending<()>| {
        let message = panic_of(|| runtime.block_on(future));
        for word in ["Handle::stop", "run_forever", "Runner"] {
            assert!(message.contains(word), "without {word}: {message}");
        }
    };
    let handle = runtime.handle();
    let first = runtime.spawn(async move { handle.stop() });
    let second = runtime.spawn(async {});
    stopped(pending());
    assert!(first.is_finished() && second.is_finished(), "the turn was finished");
    let handle = runtime.handle();
    let other = thread(move || handle.stop());
    stopped(pending()); // also where the loop sleeps
    other.join();
    runtime.handle().stop();
    stopped(pending()); // and where the stop came before
    assert_eq!(runtime.block_on(async { 5 }), 5);
    end(runtime);
}

fn t221_a_stop_never_reaches_the_run_after<R: Runtime>() {
    let runtime = R::new().unwrap();
    let handle = runtime.handle();
    let run_forever = || {
        let handle = runtime.handle();
        let task = runtime.spawn(async move {
            turns(3).await;
            handle.stop();
        });
        runtime.run_forever();
        assert!(task.is_finished(), "an earlier stop has ended this run");
    };
    // The future has its value in the turn in which the stop comes.
    runtime.block_on(async { handle.stop() });
    run_forever();
    panic_of(|| {
        runtime.block_on(async {
            handle.stop();
            panic!("expected");
        })
    });
    run_forever();
    panic_of(|| {
        runtime.block_on(async {
            handle.stop();
            pending::<()>().await;
        })
    });
    run_forever();
    let runner = Runner::on(runtime);
    runner.run(async { handle.stop() }).unwrap();
    runner.run(turns(3)).unwrap();
    runner.close();
}

fn a_panic_propagates_from_block_on_and_the_runtime_stays_usable<R: Runtime>() {
    let runtime = R::new().unwrap();
    let task = runtime.spawn(async {
        turns(5).await;
        1
    });
    let message = panic_of(|| {
        runtime.block_on(async {
            yield_now().await;
            panic!("expected: on fire")
        })
    });
    assert_eq!(message, "expected: on fire");
    assert_eq!(runtime.block_on(task).unwrap(), 1);
    end(runtime);
}

fn the_report_names_the_backend<R: Runtime>() {
    let runtime = R::new().unwrap();
    let report = runtime.report();
    let expected = if is_proactor::<R>() { Backend::Proactor } else { Backend::Selector };
    assert_eq!((runtime.backend(), report.backend), (expected, expected));
    assert_eq!(report.reason, None, "it was asked for by name");
    assert_eq!(report.ring_entries > 0, is_proactor::<R>());
    assert_eq!(report.features.len(), Feature::ALL.len());
    assert!(report.to_string().contains(R::NAME), "{report}");
    assert_eq!(expected.to_string(), R::NAME);
    end(runtime);
}

/// Waits for bytes that arrive after the read has begun: only the kernel can tell of them, on either backend.
async fn a_visit_to_the_kernel() {
    let (stream, mut peer) = half_pair();
    let mut read = stream.read(Vec::with_capacity(1));
    assert!(poll_once(&mut read).await.is_pending());
    peer.write_all(b"x").unwrap();
    assert_eq!(read.await.unwrap().0, 1);
}

fn the_report_counts_what_is_there<R: Runtime>() {
    let runtime = R::new().unwrap();
    let live = runtime.report().live;
    assert_eq!((live.tasks, live.ops, live.timers), (0, 0, 0));
    runtime.block_on(async {
        let (stream, _peer) = half_pair();
        let task = spawn(proactor::time::sleep(Duration::from_secs(3600)));
        let mut read = stream.read(Vec::with_capacity(1));
        assert!(poll_once(&mut read).await.is_pending());
        a_visit_to_the_kernel().await;
        let live = runtime.report().live;
        assert_eq!((live.tasks, live.ops, live.timers), (1, 1, 1));
        drop(read);
        assert!(task.cancel().await.is_err());
        until(|| runtime.report().live.ops == 0).await;
        let live = runtime.report().live;
        assert_eq!((live.tasks, live.timers), (0, 0));
    });
    let stats = runtime.report().stats;
    assert!(stats.turns > 0 && stats.polls > 0 && stats.kernel_visits > 0);
    assert!(stats.system_calls() >= stats.kernel_visits);
    end(runtime);
}

/// TCP there and back, and a file.
fn everyday_work<R: Runtime>(config: &Config) -> proactor::Report {
    let runtime = R::with_config(config).unwrap();
    let folder = TempDir::new();
    let path = folder.file("text", &pattern(10_000));
    runtime.block_on(async {
        let (stream, peer) = half_pair();
        let peer = exchange(peer, pattern(100_000));
        echo(stream).await;
        assert_bytes(&peer.ended().await, &pattern(100_000));
        let file = File::open(&path).await.unwrap();
        let (_, bytes) = file.read_at(Vec::with_capacity(20_000), 0).await.unwrap();
        assert_bytes(&bytes, &pattern(10_000));
        let file = proactor::fs::OpenOptions::new().write(true).open(&path).await.unwrap();
        file.set_len(10).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 10);
        // A wait with a limit, and a cancel.
        let (stream, _peer) = half_pair();
        let read = stream.read(Vec::with_capacity(16));
        assert!(proactor::time::timeout(Duration::from_micros(100), read).await.is_err());
    });
    let report = runtime.report();
    end(runtime);
    report
}

fn each_feature_can_be_masked<R: Runtime>() {
    for &feature in Feature::ALL {
        let report = everyday_work::<R>(&Config::new().mask(feature));
        let state = report.features.iter().find(|found| found.feature == feature).unwrap().state;
        let ours = (feature == Feature::EpollPwait2) != is_proactor::<R>();
        assert_eq!(state, if ours { FeatureState::Masked } else { FeatureState::Unused }, "{feature}");
    }
}

fn all_features_can_be_masked_at_once<R: Runtime>() {
    let report = everyday_work::<R>(&Config::new().mask_all(Feature::ALL.iter().copied()));
    assert!(report.features.iter().all(|found| found.state != FeatureState::On), "{report}");
}

fn ring_entries_are_granted_as_configured<R: Runtime>() {
    for (asked, granted) in [(64, 64), (100, 128)] {
        let report = R::with_config(&Config::new().ring_entries(asked)).unwrap().report();
        assert_eq!(report.ring_entries, if is_proactor::<R>() { granted } else { 0 });
    }
}

fn settings_that_make_no_sense_are_refused<R: Runtime>() {
    let wrong = [
        (Config::new().ring_entries(0), "ring_entries is 0"),
        (Config::new().ring_entries(70_000), "ring_entries is 70000"),
        (Config::new().pool_threads(0), "pool_threads is 0"),
        (Config::new().turn_budget(0), "turn_budget is 0"),
    ];
    for (config, expected) in wrong {
        let error = R::with_config(&config).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains("choose"), "it says what to do: {error}");
    }
}

fn a_ring_with_one_entry_works<R: Runtime>() {
    let config = Config::new().ring_entries(1);
    everyday_work::<R>(&config);
    let runtime = R::with_config(&config).unwrap();
    runtime.block_on(async {
        let results = join_all((0..200).map(|_| proactor::io::nop())).await;
        assert!(results.iter().all(Result::is_ok));
    });
    end(runtime);
}

fn a_turn_budget_of_one_works<R: Runtime>() {
    everyday_work::<R>(&Config::new().turn_budget(1));
}

fn random_numbers_can_be_replayed<R: Runtime>() {
    let draw = |seed| {
        let runtime = R::with_config(&Config::new().seed(seed)).unwrap();
        runtime.block_on(async { [random(), random(), random()] })
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    let [a, b, c] = draw(3);
    assert!(a != b && b != c);
}

fn the_variable_decides_for_auto<R: Runtime>() {
    Alone::new().env("PROACTOR_BACKEND", R::NAME).run(|| {
        let runtime = Auto::new().unwrap();
        assert_eq!(runtime.backend().to_string(), R::NAME);
        let reason = runtime.report().reason.unwrap_or_default();
        assert_eq!(reason.contains("PROACTOR_BACKEND"), !is_proactor::<R>(), "{reason}");
        assert_eq!(proactor::run(async { 1 }), 1);
    });
}

fn an_empty_variable_decides_nothing<R: Runtime>() {
    for value in ["", "auto"] {
        Alone::new().case(value).env("PROACTOR_BACKEND", value).run(|| {
            assert!(Auto::new().is_ok() && R::new().is_ok());
        });
    }
}

fn a_wrong_variable_is_an_error_that_lists_the_right_values<R: Runtime>() {
    Alone::new().env("PROACTOR_BACKEND", "nonsense").run(|| {
        let error = Auto::new().map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let message = error.to_string();
        for part in ["PROACTOR_BACKEND", "nonsense", "proactor", "selector"] {
            assert!(message.contains(part), "{message}");
        }
        let message = panic_of(|| proactor::run(async {}));
        assert!(message.contains("nonsense"), "{message}");
        assert!(R::new().is_ok());
    });
}

fn an_explicit_backend_ignores_the_variable<R: Runtime>() {
    let other = if is_proactor::<R>() { Selector::NAME } else { Proactor::NAME };
    Alone::new().env("PROACTOR_BACKEND", other).run(|| {
        assert_eq!(R::new().unwrap().backend().to_string(), R::NAME);
    });
}

fn run_gives_the_value_and_ends_what_is_left<R: Runtime>() {
    Alone::new().env("PROACTOR_BACKEND", R::NAME).run(|| {
        let dropped = Rc::new(Cell::new(0));
        let guard = Counted(dropped.clone());
        let value = proactor::run(async move {
            let task = spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            yield_now().await;
            assert!(!task.is_finished());
            5
        });
        assert_eq!((value, dropped.get()), (5, 1));
    });
}

fn two_runtimes_take_turns_on_one_thread<R: Runtime>() {
    let (one, two) = (R::new().unwrap(), R::new().unwrap());
    let order = Rc::new(RefCell::new(Vec::new()));
    let count = |name: &'static str| {
        let order = order.clone();
        async move {
            for _ in 0..2 {
                order.borrow_mut().push(name);
                yield_now().await;
            }
        }
    };
    let (a, b) = (one.spawn(count("one")), two.spawn(count("two")));
    two.block_on(b).unwrap();
    assert_eq!(*order.borrow(), ["two", "two"]);
    one.block_on(a).unwrap();
    assert_eq!(*order.borrow(), ["two", "two", "one", "one"]);
    end(one);
    assert_eq!(two.block_on(async { 3 }), 3);
    end(two);
}

fn runtimes_on_several_threads_do_not_meet<R: Runtime>() {
    let threads: Vec<_> = (0..4).map(|_| thread(|| drop(everyday_work::<R>(&Config::new())))).collect();
    threads.into_iter().for_each(Thread::join);
}

fn a_shutdown_reports_what_it_cancelled<R: Runtime>() {
    let runtime = R::new().unwrap();
    for _ in 0..3 {
        drop(runtime.spawn(pending::<()>()));
    }
    runtime.block_on(yield_now());
    let left = runtime.shutdown(Duration::from_secs(30));
    assert_eq!((left.tasks, left.ops_leaked, left.jobs_leaked), (3, 0, 0));
}

fn a_drop_ends_all_tasks<R: Runtime>() {
    let dropped = Rc::new(Cell::new(0));
    let runtime = R::new().unwrap();
    for begun in [true, false] {
        let guard = Counted(dropped.clone());
        let task = runtime.spawn(async move {
            let _guard = guard;
            let (stream, _peer) = half_pair();
            let _ = stream.read(Vec::with_capacity(1)).await;
        });
        if begun {
            runtime.block_on(turns(2));
        }
        drop(task);
    }
    assert_eq!(dropped.get(), 0);
    drop(runtime);
    assert_eq!(dropped.get(), 2);
}

fn t282_each_runtime_has_a_random_seed_that_its_report_tells<R: Runtime>() {
    let draw = |config: &Config| {
        let runtime = R::with_config(config).unwrap();
        let (seed, numbers) = (runtime.report().seed, runtime.block_on(async { [random(), random()] }));
        assert!(runtime.report().to_string().contains(&format!("seed       {seed}")));
        end(runtime);
        (seed, numbers)
    };
    let config = Config::new();
    let ((seed, numbers), (other_seed, others)) = (draw(&config), draw(&config));
    assert!(seed != other_seed && numbers != others, "also with the same settings");
    assert_eq!(draw(&Config::new().seed(seed)), (seed, numbers), "a run can be repeated");
}
