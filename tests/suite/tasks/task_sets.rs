//! Task sets: tasks that are independent of each other, whose results are kept or dropped, and which end together.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proactor::net::{TcpListener, TcpStream};
use proactor::task::{self, Builder, TaskSet, catch_cancel};
use proactor::{Config, Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    t250_a_task_that_fails_ends_no_other_task_of_its_set,
    t250_results_come_in_the_order_of_the_ends,
    t250_tasks_of_a_set_without_results_leave_nothing,
    t250_failures_in_a_set_without_results_are_reported,
    t250_a_dropped_join_next_loses_no_result,
    t250_several_wait_for_the_results_of_one_set,
    t250_a_shutdown_waits_for_all_together_and_then_forces,
    t250_a_shutdown_in_time_forces_nothing,
    t250_a_set_that_is_shut_down_takes_no_new_tasks_until_it_has_ended,
    t250_a_dropped_set_cancels_its_tasks,
    t250_a_cancelled_task_of_a_set_has_ended_when_its_operations_are_reaped,
    t250_tasks_of_a_set_have_names_and_can_be_eager,
}

const LONG: Duration = Duration::from_secs(600);

fn t250_a_task_that_fails_ends_no_other_task_of_its_set<R: Runtime>() {
    run::<R>(async {
        let set = TaskSet::new();
        let cancelled = set.spawn(pending());
        set.spawn(async { panic!("expected: one of many") });
        set.spawn(async { Err("out of paper") });
        set.spawn(async {
            turns(5).await;
            Ok(1)
        });
        assert!(cancelled.request_cancel());
        assert_eq!(set.len(), 4);
        let mut seen = Vec::new();
        while let Some(result) = set.join_next().await {
            seen.push(match result {
                Ok(result) => format!("{result:?}"),
                Err(error) => error.to_string(),
            });
        }
        seen.sort();
        let expected = [
            "Err(\"out of paper\")",
            "Ok(1)",
            "the task panicked: expected: one of many",
            "the task was cancelled",
        ];
        assert_eq!(seen, expected);
        assert!(set.is_empty());
    });
}

fn t250_results_come_in_the_order_of_the_ends<R: Runtime>() {
    run::<R>(async {
        let set = TaskSet::new();
        for number in [3, 1, 2] {
            set.spawn(async move {
                for _ in 0..number {
                    yield_now().await;
                }
                number
            });
        }
        assert!(set.try_join_next().is_none());
        turns(8).await;
        assert!(set.is_empty(), "all have ended, and their results are kept");
        let mut order = Vec::new();
        while let Some(result) = set.try_join_next() {
            order.push(result.unwrap());
        }
        assert_eq!(order, [1, 2, 3]);
        assert!(set.join_next().await.is_none());
    });
}

fn t250_tasks_of_a_set_without_results_leave_nothing<R: Runtime>() {
    run::<R>(async {
        let set = TaskSet::without_results();
        let (gone, counted) = (Rc::new(Cell::new(0)), 100);
        for _ in 0..counted {
            let gone = gone.clone();
            set.spawn(async move {
                yield_now().await;
                OnDrop(move || gone.set(gone.get() + 1))
            });
        }
        assert!(set.join_next().await.is_none(), "it waits for the end of all");
        assert_eq!((gone.get(), set.len()), (counted, 0), "the results are gone");
        assert!(set.try_join_next().is_none());
    });
}

fn t250_failures_in_a_set_without_results_are_reported<R: Runtime>() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let config =
        Config::new().on_unhandled(move |unhandled| log.lock().unwrap().push(unhandled.message().to_owned()));
    let runtime = R::with_config(&config).unwrap();
    runtime.block_on(async {
        let set = TaskSet::without_results();
        set.try_spawn(async { Err::<(), _>("reset by peer") });
        set.spawn(async { panic!("expected: reported") });
        set.spawn(async { Err("an error that is the task's own affair") });
        assert!(set.join_next().await.is_none());
        let set = TaskSet::new();
        set.spawn(async { panic!("expected: nobody takes it") });
        turns(2).await;
        assert_eq!(seen.lock().unwrap().len(), 2, "the result may still be taken");
        drop(set);
    });
    assert_eq!(*seen.lock().unwrap(), ["reset by peer", "expected: reported", "expected: nobody takes it"]);
    end(runtime);
}

fn t250_a_dropped_join_next_loses_no_result<R: Runtime>() {
    run::<R>(async {
        let set = TaskSet::new();
        set.spawn(async {
            yield_now().await;
            7
        });
        let mut waits = set.join_next();
        assert!(poll_once(&mut waits).await.is_pending());
        turns(3).await;
        drop(waits); // it was woken, and not polled again
        assert_eq!(set.join_next().await.unwrap().unwrap(), 7);
    });
}

fn t250_several_wait_for_the_results_of_one_set<R: Runtime>() {
    run::<R>(async {
        let set = Rc::new(TaskSet::new());
        let waits: Vec<_> = (0..3)
            .map(|_| {
                let set = set.clone();
                spawn(async move { set.join_next().await.map(Result::unwrap) })
            })
            .collect();
        set.spawn(async {
            turns(2).await;
            1
        });
        set.spawn(async {
            turns(4).await;
            2
        });
        let mut seen: Vec<_> = join_all(waits).await.into_iter().map(Result::unwrap).collect();
        seen.sort();
        assert_eq!(seen, [None, Some(1), Some(2)], "the last one is told that there is no more");
    });
}

fn t250_a_shutdown_waits_for_all_together_and_then_forces<R: Runtime>() {
    run::<R>(async {
        let set = TaskSet::new();
        let log = Rc::new(RefCell::new(Vec::new()));
        for number in 0..3 {
            let log = log.clone();
            set.spawn(async move {
                let _caught = catch_cancel(pending::<()>()).await;
                if number > 0 {
                    pending::<()>().await; // two of three never end by themselves
                }
                turns(3).await;
                log.borrow_mut().push("cleaned up");
                "by itself"
            });
        }
        turns(2).await;
        assert_eq!(set.shutdown(Duration::from_millis(50)).await, 2, "so many were forced");
        assert!(set.is_empty());
        assert_eq!(*log.borrow(), ["cleaned up"]);
        assert_eq!(set.join_next().await.unwrap().unwrap(), "by itself");
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(set.join_next().await.is_none());
    });
}

fn t250_a_shutdown_in_time_forces_nothing<R: Runtime>() {
    run::<R>(async {
        let set = TaskSet::without_results();
        assert_eq!(set.shutdown(LONG).await, 0, "an empty set");
        for _ in 0..10 {
            set.spawn(async {
                let _caught = catch_cancel(pending::<()>()).await;
                turns(3).await;
            });
        }
        turns(2).await;
        assert_eq!(set.shutdown(LONG).await, 0);
        assert!(set.is_empty());
    });
}

fn t250_a_set_that_is_shut_down_takes_no_new_tasks_until_it_has_ended<R: Runtime>() {
    run::<R>(async {
        let set = Rc::new(TaskSet::without_results());
        let (late, begun) = (set.clone(), Rc::new(Cell::new(false)));
        let begins = begun.clone();
        set.spawn(async move {
            let _caught = catch_cancel(pending::<()>()).await;
            late.spawn(async move { begins.set(true) });
        });
        turns(2).await;
        // Given up, it leaves the set open.
        let mut given_up = Box::pin(set.shutdown(LONG));
        assert!(poll_once(&mut given_up).await.is_pending());
        drop(given_up);
        assert_eq!(set.shutdown(LONG).await, 0);
        assert!(!begun.get(), "a task that is started during a shutdown is cancelled before it begins");
        let begins = begun.clone();
        set.spawn(async move { begins.set(true) });
        set.join_next().await;
        assert!(begun.get(), "the set can be used again");
    });
}

fn t250_a_dropped_set_cancels_its_tasks<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let owner = spawn({
            let log = log.clone();
            async move {
                let set = TaskSet::new();
                let notes = log.clone();
                set.spawn(async move {
                    let _caught = catch_cancel(pending::<()>()).await;
                    turns(3).await;
                    notes.note("task");
                });
                pending::<()>().await;
            }
        });
        turns(2).await;
        owner.cancel().await.unwrap_err();
        log.note("owner");
        assert_eq!(log.take(), ["task", "owner"], "a task that is cancelled ends after the tasks of its set");
    });
}

fn t250_a_cancelled_task_of_a_set_has_ended_when_its_operations_are_reaped<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let set = TaskSet::without_results();
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
            let (stream, _) = listener.accept().await.unwrap();
            set.spawn(async move {
                let _ = stream.read(Vec::with_capacity(64)).await;
            });
        }
        turns(2).await;
        assert_eq!((set.len(), runtime.report().live.ops), (4, 4));
        assert_eq!(set.shutdown(LONG).await, 0);
        assert_eq!((set.len(), runtime.report().live.ops), (0, 0));
    });
    end(runtime);
}

fn t250_tasks_of_a_set_have_names_and_can_be_eager<R: Runtime>() {
    run::<R>(async {
        let set = TaskSet::new();
        let task = set.spawn_with(Builder::new().name("reader"), async { task::current().name() });
        assert_eq!(task.name().as_deref(), Some("reader"));
        set.spawn_with(Builder::new().eager(true), async { None });
        assert_eq!(set.len(), 1, "the eager one has ended");
        assert_eq!(set.join_next().await.unwrap().unwrap(), None);
        assert_eq!(set.join_next().await.unwrap().unwrap().as_deref(), Some("reader"));
        let set = TaskSet::new();
        let task =
            set.try_spawn_with(Builder::new().name("writer").eager(true), async { Err::<(), _>("full") });
        assert_eq!(task.name().as_deref(), Some("writer"));
        assert_eq!(set.join_next().await.unwrap().unwrap(), Err("full"));
    });
}
