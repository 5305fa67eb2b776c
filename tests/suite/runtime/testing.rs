//! `test` and `Tester`: what runs the tests of users.

use std::cell::Cell;
use std::future::pending;
use std::time::Duration;

use proactor::task::{Builder, catch_cancel, try_spawn};
use proactor::{Config, Proactor, Runtime, Tester, spawn, yield_now};

use crate::kit::*;

tests! {
    a_body_runs_once_on_a_backend,
    a_test_runs_on_each_backend,
    the_variable_decides_for_tests_too,
    a_refused_backend_is_skipped_with_its_reason,
    a_panic_fails_a_test,
    an_error_fails_a_test,
    a_panic_of_a_task_fails_a_test,
    a_test_that_does_not_end_fails_and_shows_its_tasks,
    the_settings_of_a_test_are_those_of_its_runtime,
    t283_an_error_of_a_task_that_is_not_taken_fails_a_test,
    t284_a_task_that_catches_its_cancellation_for_ever_fails_a_test,
    t285_a_failed_test_names_what_is_left_and_what_waits,
    t285_nested_tests_name_the_backend_once,
}

fn a_body_runs_once_on_a_backend<R: Runtime>() {
    let runs = Cell::new(0);
    Tester::new().run_on::<R, _>(async || {
        runs.set(runs.get() + 1);
        spawn(yield_now()).await.unwrap();
        spawn(pending::<()>()); // cancelled at the end, as by `run`
        runs.set(runs.get() + 10);
    });
    assert_eq!(runs.get(), 11);
}

/// How many backends a test runs on.
fn backends() -> usize {
    let runs = Cell::new(0);
    proactor::test(async || {
        yield_now().await;
        runs.set(runs.get() + 1);
    });
    runs.get()
}

fn a_test_runs_on_each_backend<R: Runtime>() {
    Alone::new().env("PROACTOR_BACKEND", "").run(|| {
        assert_eq!(backends(), 1 + usize::from(Proactor::new().is_ok()));
    });
}

fn the_variable_decides_for_tests_too<R: Runtime>() {
    Alone::new().case(1).env("PROACTOR_BACKEND", R::NAME).run(|| assert_eq!(backends(), 1));
    Alone::new().case(2).env("PROACTOR_BACKEND", "other").run(|| {
        assert!(panic_of(backends).contains("the valid values are"));
    });
}

fn a_refused_backend_is_skipped_with_its_reason<R: Runtime>() {
    let refuse = || Alone::new().env("PROACTOR_BACKEND", "").refuse(&[libc::SYS_io_uring_setup], libc::EPERM);
    let said = refuse().case(1).env("PROACTOR_REQUIRE_URING", "0").run(|| assert_eq!(backends(), 1));
    if let Some(said) = said {
        assert!(said.contains("skipped on the proactor: ") && said.contains("io_uring"), "{said}");
    }
    refuse().case(2).env("PROACTOR_REQUIRE_URING", "1").run(|| {
        assert!(panic_of(backends).contains("the proactor runtime could not be made"));
    });
    // A lack of descriptors is no refusal.
    Alone::new().case(3).env("PROACTOR_BACKEND", R::NAME).run(|| {
        let _all: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
        assert!(panic_of(backends).contains("runtime could not be made"));
    });
}

fn a_panic_fails_a_test<R: Runtime>() {
    assert_eq!(panic_of(|| Tester::new().run_on::<R, ()>(async || panic!("expected"))), "expected");
}

fn an_error_fails_a_test<R: Runtime>() {
    let failed = panic_of(|| Tester::new().run_on::<R, _>(async || Err::<(), _>("out of paper")));
    assert!(failed.contains("returned an error"), "{failed}");
    Tester::new().run_on::<R, _>(async || Ok::<_, String>(()));
}

fn a_panic_of_a_task_fails_a_test<R: Runtime>() {
    let failed = panic_of(|| {
        Tester::new().run_on::<R, _>(async || {
            spawn(async { panic!("expected: unseen") });
            yield_now().await;
        });
    });
    assert!(failed.contains("panicked, and its result was never retrieved: expected: unseen"), "{failed}");
    Tester::new().run_on::<R, _>(async || {
        assert!(spawn(async { panic!("expected: taken") }).await.unwrap_err().is_panic());
    });
    let own = Config::new().on_unhandled(|_| ());
    Tester::new().config(own).run_on::<R, _>(async || {
        spawn(async { panic!("expected: for a hook") });
        yield_now().await;
    });
}

fn a_test_that_does_not_end_fails_and_shows_its_tasks<R: Runtime>() {
    let failed = panic_of(|| {
        Tester::new().time_limit(Duration::from_millis(5)).run_on::<R, _>(async || {
            let _waits = Builder::new().name("waits for ever").spawn(pending::<()>());
            pending::<()>().await;
        });
    });
    assert!(failed.contains("did not complete within 5ms") && failed.contains("waits for ever"), "{failed}");
}

fn the_settings_of_a_test_are_those_of_its_runtime<R: Runtime>() {
    let number = || {
        let number = Cell::new(0);
        let tester = Tester::new().config(Config::new().seed(7));
        tester.run_on::<R, _>(async || number.set(proactor::random()));
        number.get()
    };
    assert_eq!(number(), number());
}

fn t283_an_error_of_a_task_that_is_not_taken_fails_a_test<R: Runtime>() {
    let failed = panic_of(|| {
        Tester::new().run_on::<R, _>(async || {
            try_spawn(async { Err::<(), _>("out of paper") });
            yield_now().await;
        });
    });
    assert!(failed.contains("failed, and its result was never retrieved: out of paper"), "{failed}");
    Tester::new().run_on::<R, _>(async || {
        assert_eq!(try_spawn(async { Err::<(), _>("taken") }).await.unwrap(), Err("taken"));
    });
}

fn t284_a_task_that_catches_its_cancellation_for_ever_fails_a_test<R: Runtime>() {
    let failed = panic_of(|| {
        Tester::new().time_limit(Duration::from_millis(20)).run_on::<R, _>(async || {
            spawn(async {
                let _cancelled = catch_cancel(pending::<()>()).await;
                pending::<()>().await;
            });
            yield_now().await;
        });
    });
    assert!(failed.contains("the test left 1 task, which did not end within 20ms"), "{failed}");
    Tester::new().run_on::<R, _>(async || {
        spawn(async {
            let cancelled = catch_cancel(pending::<()>()).await;
            yield_now().await;
            drop(cancelled);
        });
        yield_now().await;
    });
}

fn t285_a_failed_test_names_what_is_left_and_what_waits<R: Runtime>() {
    let tester = Tester::new().time_limit(Duration::from_millis(5));
    let failed = panic_of(|| tester.run_on::<R, _>(async || pending::<()>().await));
    assert!(failed.ends_with("within 5ms: its body waits; there are no other tasks"), "{failed}");

    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Cell::new(Some(released));
    let failed = panic_of(|| {
        tester.run_on::<R, _>(async || {
            let released = released.take().unwrap();
            let (begin, begun) = std::sync::mpsc::channel();
            proactor::spawn_blocking(move || {
                begin.send(()).unwrap();
                released.recv()
            });
            yield_now().await;
            begun.recv().unwrap();
        });
    });
    drop(release);
    assert!(failed.contains("the test left 1 job, which did not end"), "{failed}");
}

fn t285_nested_tests_name_the_backend_once<R: Runtime>() {
    let said = Alone::new().run(|| {
        panic_of(|| Tester::new().run_on::<R, _>(async || Tester::new().run_on::<R, _>(async || ())));
    });
    if let Some(said) = said {
        assert_eq!(
            said.matches(&format!("the failed test ran on the {}, with the seed", R::NAME)).count(),
            1,
            "{said}"
        );
    }
}
