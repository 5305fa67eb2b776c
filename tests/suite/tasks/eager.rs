//! Eager children of groups, and names for the children of every kind of group.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;

use proactor::task::{Child, GroupError, LocalHandle, TaskGroup, current, task_group};
use proactor::{Runtime, task_local, yield_now};

use crate::kit::*;

tests! {
    an_eager_child_runs_before_its_spawn_returns,
    an_eager_child_that_waits_continues_like_any_other,
    an_eager_child_that_fails_ends_its_group_at_once,
    an_eager_child_that_panics_ends_its_group,
    an_eager_child_may_end_its_group,
    an_eager_child_may_start_others,
    an_ending_group_runs_no_eager_child,
    an_eager_child_may_be_cancelled,
    an_eager_child_has_values_of_its_own,
    children_of_every_group_have_names,
    t302_an_eager_child_that_fails_ends_an_eager_child_that_started_it,
}

async fn panics() -> Result<(), ()> {
    panic!("expected: eager")
}

type Log = Rc<RefCell<Vec<&'static str>>>;

/// Does the same with the eager children of each kind of group.
macro_rules! each_group {
    (|$spawn:ident| $test:expr) => {{
        let ended: Result<(), GroupError<&'static str>> = task_group(async |g| {
            macro_rules! $spawn {
                ($child:expr) => {
                    g.spawn_eager($child)
                };
            }
            $test;
            Ok(())
        })
        .await;
        ended.unwrap();
        let ended: Result<Option<()>, GroupError<&'static str>> = TaskGroup::new()
            .run(async |g| {
                macro_rules! $spawn {
                    ($child:expr) => {
                        g.spawn_eager($child)
                    };
                }
                $test;
                Ok(())
            })
            .await;
        ended.unwrap();
        let group = TaskGroup::<&'static str>::new();
        let handle = group.handle();
        macro_rules! $spawn {
            ($child:expr) => {
                handle.spawn_eager($child)
            };
        }
        $test;
        group.join().await.unwrap();
    }};
}

fn an_eager_child_runs_before_its_spawn_returns<R: Runtime>() {
    run::<R>(async {
        each_group!(|spawn| {
            let ran = Rc::new(Cell::new(0));
            let counts = ran.clone();
            let child: Child<u32> = spawn!(async move {
                counts.set(counts.get() + 1);
                Ok(42)
            });
            assert_eq!(ran.get(), 1);
            assert!(child.is_finished());
            assert!(LocalHandle::current().tasks().is_empty());
            assert_eq!(child.await.unwrap(), 42);
            yield_now().await;
            assert_eq!(ran.get(), 1, "polled once");
        });
        let word = String::from("borrowed");
        let ended: Result<usize, GroupError<()>> =
            task_group(async |g| Ok(g.spawn_eager(async { Ok(word.len()) }).await.unwrap())).await;
        assert_eq!(ended.unwrap(), 8);
    });
}

fn an_eager_child_that_waits_continues_like_any_other<R: Runtime>() {
    run::<R>(async {
        each_group!(|spawn| {
            let steps = Log::default();
            let log = steps.clone();
            let child = spawn!(async move {
                log.borrow_mut().push("before");
                proactor::io::nop().await.unwrap();
                proactor::time::sleep(std::time::Duration::from_nanos(1)).await;
                log.borrow_mut().push("after");
                Ok(42)
            });
            steps.borrow_mut().push("spawned");
            assert!(!child.is_finished());
            assert_eq!(child.await.unwrap(), 42);
            assert_eq!(*steps.borrow(), ["before", "spawned", "after"]);
        });
    });
}

fn an_eager_child_that_fails_ends_its_group_at_once<R: Runtime>() {
    run::<R>(async {
        let ended: Result<(), GroupError<&str>> = task_group(async |g| {
            g.spawn_eager(async { Err::<(), _>("out of paper") });
            assert!(g.is_closed());
            assert!(g.spawn(async { Ok(()) }).is_finished(), "it takes no more");
            pending().await
        })
        .await;
        assert!(ended.unwrap_err().iter().eq(&["out of paper"]));
        let ended: Result<Option<()>, GroupError<&str>> = TaskGroup::new()
            .run(async |g| {
                let other = g.spawn(pending::<Result<(), _>>());
                g.spawn_eager(async { Err::<(), _>("out of paper") });
                assert!(g.spawn(async { Ok(()) }).is_finished(), "it takes no more");
                assert!(other.await.unwrap_err().is_cancelled());
                pending().await
            })
            .await;
        assert!(ended.unwrap_err().iter().eq(&["out of paper"]));
    });
}

fn an_eager_child_that_panics_ends_its_group<R: Runtime>() {
    let polled = |test: fn()| assert_eq!(panic_of(test), "expected: eager");
    polled(|| {
        run::<R>(async {
            let _: Result<(), GroupError<()>> = task_group(async |g| {
                g.spawn_eager(panics());
                pending().await
            })
            .await;
        });
    });
    polled(|| {
        run::<R>(async {
            let group = TaskGroup::<()>::new();
            group.spawn_eager(panics());
            let _ = group.join().await;
        });
    });
}

fn an_eager_child_may_end_its_group<R: Runtime>() {
    run::<R>(async {
        let ended: Result<(), GroupError<()>> = task_group(async |g| {
            g.spawn(pending::<Result<(), _>>());
            let child = g.spawn_eager(async {
                g.cancel();
                yield_now().await; // it is cancelled as well
                Ok(())
            });
            assert!(child.await.unwrap_err().is_cancelled());
            pending().await
        })
        .await;
        assert!(ended.is_ok());
        let group = TaskGroup::<()>::new();
        let handle = group.handle();
        let child = group.spawn_eager(async move {
            handle.cancel();
            yield_now().await;
            Ok(())
        });
        drop(group.join().await);
        assert!(child.await.unwrap_err().is_cancelled());
    });
}

fn an_eager_child_may_start_others<R: Runtime>() {
    run::<R>(async {
        let ended: Result<u32, GroupError<()>> = task_group(async |g| {
            let outer = g.spawn_eager(async {
                let inner = g.spawn_eager(async { Ok(1) });
                let later = g.spawn(async { Ok(10) });
                Ok(inner.await.unwrap() + later.await.unwrap())
            });
            Ok(outer.await.unwrap() + 100)
        })
        .await;
        assert_eq!(ended.unwrap(), 111);
        for waits in [false, true] {
            let group = TaskGroup::<()>::new();
            let handle = group.handle();
            let outer = group.spawn_eager(async move {
                let inner = handle.spawn_eager(async { Ok(1) });
                let later = handle.spawn(async { Ok(10) });
                if waits {
                    yield_now().await;
                }
                Ok((inner, later))
            });
            let other = group.spawn(async { Ok(100) });
            group.join().await.unwrap();
            let (inner, later) = outer.await.unwrap();
            assert_eq!(inner.await.unwrap() + later.await.unwrap() + other.await.unwrap(), 111);
        }
    });
}

fn an_ending_group_runs_no_eager_child<R: Runtime>() {
    run::<R>(async {
        let ended: Result<(), GroupError<()>> = task_group(async |g| {
            g.cancel();
            let child = g.spawn_eager(panics());
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await;
        ended.unwrap();
        let group = TaskGroup::<()>::new();
        group.cancel();
        let child = group.spawn_eager(panics());
        assert!(child.is_finished() && child.await.unwrap_err().is_cancelled());
        drop(group.join().await);
    });
}

fn an_eager_child_may_be_cancelled<R: Runtime>() {
    run::<R>(async {
        each_group!(|spawn| {
            let child = spawn!(async {
                yield_now().await;
                pending::<Result<(), _>>().await
            });
            assert!(child.cancel().await.unwrap_err().is_cancelled());
        });
    });
}

task_local! { static NUMBER: u32 = 0; }

fn an_eager_child_has_values_of_its_own<R: Runtime>() {
    run::<R>(async {
        NUMBER.set(1);
        each_group!(|spawn| {
            let child = spawn!(async {
                let inherited = NUMBER.get();
                NUMBER.set(2);
                yield_now().await;
                Ok((inherited, NUMBER.get()))
            });
            assert_eq!(NUMBER.get(), 1);
            assert_eq!(child.await.unwrap(), (1, 2));
            assert_eq!(NUMBER.get(), 1);
        });
    });
}

fn children_of_every_group_have_names<R: Runtime>() {
    run::<R>(async {
        let ended: Result<(), GroupError<()>> = task_group(async |g| {
            assert_eq!(g.spawn_named("one", async { Ok(()) }).name(), Some("one"));
            Ok(())
        })
        .await;
        ended.unwrap();
        let group = TaskGroup::<()>::new();
        let name = async || Ok(current().name());
        let (one, two) = (group.spawn_named("one", name()), group.handle().spawn_named("two", name()));
        assert_eq!((one.name(), two.name()), (Some("one"), Some("two")));
        group.join().await.unwrap();
        assert_eq!(one.await.unwrap().as_deref(), Some("one"));
        assert_eq!(two.await.unwrap().as_deref(), Some("two"));
    });
}

fn t302_an_eager_child_that_fails_ends_an_eager_child_that_started_it<R: Runtime>() {
    run::<R>(async {
        let ended: Result<(), GroupError<&'static str>> = task_group(async |g| {
            g.spawn_eager(async {
                g.spawn_eager(async { Err::<(), _>("failed") });
                pending::<Result<(), _>>().await
            });
            Ok(())
        })
        .await;
        assert!(ended.unwrap_err().into_iter().eq(["failed"]));
        let group = TaskGroup::<&'static str>::new();
        let handle = group.handle();
        group.spawn_eager(async move {
            handle.spawn_eager(async { Err::<(), _>("failed") });
            pending::<Result<(), _>>().await
        });
        assert!(group.join().await.unwrap_err().into_iter().eq(["failed"]));
        // The request of the group does not stay.
        assert_eq!(current().cancelling(), 0);
        yield_now().await;
    });
}
