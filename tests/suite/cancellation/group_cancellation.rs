//! Cancelling the task that runs a group: the body first, then the children; and a group whose child fails.

use std::cell::Cell;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proactor::combine::try_gather_tasks;
use proactor::task::{GroupError, TaskGroup, catch_cancel, current, promise, task_group};
use proactor::time::{Elapsed, timeout_scope, wait_for};
use proactor::{Config, Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    t214_a_body_that_is_cancelled_may_await_its_children,
    t215_children_are_cancelled_when_the_body_has_left,
    a_child_that_fails_while_the_body_handles_a_request_ends_the_group,
    a_body_that_swallows_the_request_leaves_the_group_as_it_was,
    a_limit_cancels_the_body_of_a_group_first,
    a_body_that_ends_with_what_it_waits_for_ends_its_group,
    the_end_of_a_group_by_a_child_counts_as_a_request,
    an_error_and_a_cancellation_in_one_turn,
    t216_errors_beside_a_panic_are_reported,
    a_cancelled_group_is_no_error,
    t300_a_limit_or_a_request_reaches_a_group_that_is_being_cancelled,
    t301_an_outer_group_fails_while_an_inner_one_is_ending,
}

type Ended<T> = Result<T, GroupError<&'static str>>;

const SHORT: Duration = Duration::from_millis(2);

fn t214_a_body_that_is_cancelled_may_await_its_children<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let noted = log.clone();
        let polled = spawn(async move {
            let ended: Ended<()> = task_group(async |g| {
                let child = g.spawn(async {
                    let value = catch_cancel(turns(5)).await;
                    value.map(|()| "child").map_err(|_| "was cancelled")
                });
                let cancelled = catch_cancel(pending::<()>()).await;
                noted.note(child.await.unwrap());
                drop(cancelled);
                pending().await
            })
            .await;
            unreachable!("{ended:?}");
        });
        let noted = log.clone();
        let tasks = spawn(TaskGroup::new().run(async move |g| {
            let child = g.spawn(async {
                let value = catch_cancel(turns(5)).await;
                value.map(|()| "task").map_err(|_| "was cancelled")
            });
            let cancelled = catch_cancel(pending::<()>()).await;
            noted.note(child.await.unwrap());
            drop(cancelled);
            pending::<Result<(), _>>().await
        }));
        turns(2).await;
        let polled = polled.cancel();
        assert!(tasks.cancel().await.unwrap_err().is_cancelled());
        assert!(polled.await.map(|()| ()).unwrap_err().is_cancelled());
        let mut seen = log.take();
        seen.sort_unstable();
        assert_eq!(seen, ["child", "task"]);
    });
}

fn t215_children_are_cancelled_when_the_body_has_left<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let noted = log.clone();
        let task = spawn(async move {
            let ended: Ended<()> = task_group(async |g| {
                g.spawn(async {
                    let _cancelled = catch_cancel(pending::<()>()).await;
                    turns(2).await;
                    noted.note("child");
                    Ok(())
                });
                let _cancelled = catch_cancel(pending::<()>()).await;
                turns(2).await;
                noted.note("body");
                assert!(!g.is_closed());
                Ok(()) // lets the request go
            })
            .await;
            unreachable!("{ended:?}");
        });
        turns(2).await;
        assert!(task.cancel().await.map(|()| ()).unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["body", "child"]);
        // An error of the handler is the group's.
        let task = spawn(async {
            let ended: Ended<()> = task_group(async |g| {
                g.spawn(pending::<Result<(), _>>());
                let _cancelled = catch_cancel(pending::<()>()).await;
                Err("the handler")
            })
            .await;
            ended
        });
        turns(2).await;
        assert!(task.cancel().await.unwrap().unwrap_err().into_iter().eq(["the handler"]));
    });
}

fn a_child_that_fails_while_the_body_handles_a_request_ends_the_group<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let noted = log.clone();
        let task = spawn(async move {
            let ended: Ended<()> = task_group(async |g| {
                g.spawn(async {
                    catch_cancel(turns(5)).await.map_err(|_| "was cancelled")?;
                    Err::<(), _>("failed")
                });
                let _cancelled = catch_cancel(pending::<()>()).await;
                noted.note("handling");
                pending().await
            })
            .await;
            assert!(ended.unwrap_err().into_iter().eq(["failed"]));
            noted.note("given");
            yield_now().await;
            unreachable!("it was cancelled");
        });
        turns(2).await;
        assert!(task.cancel().await.map(|()| ()).unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["handling", "given"]);
    });
}

fn a_body_that_swallows_the_request_leaves_the_group_as_it_was<R: Runtime>() {
    run::<R>(async {
        let task = spawn(async {
            let ended: Ended<u32> = task_group(async |g| {
                let child = g.spawn(async {
                    turns(8).await;
                    Ok(1)
                });
                catch_cancel(pending::<()>()).await.unwrap_err().uncancel();
                g.spawn(async { Ok(()) }); // it takes children as before
                drop(child);
                Ok(2)
            })
            .await;
            assert_eq!(current().cancelling(), 0);
            yield_now().await;
            ended
        });
        let tasks = spawn(TaskGroup::<&str>::new().run(async |g| {
            g.spawn(async { catch_cancel(turns(8)).await.map_err(|_| "was cancelled") });
            catch_cancel(pending::<()>()).await.unwrap_err().uncancel();
            Ok(3)
        }));
        turns(2).await;
        tasks.request_cancel();
        assert_eq!(task.cancel().await.unwrap(), Ok(2));
        assert_eq!(tasks.await.unwrap(), Ok(Some(3)));
    });
}

fn a_limit_cancels_the_body_of_a_group_first<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let group = async |swallows| {
            let ended: Ended<()> = task_group(async |g| {
                let child = g.spawn(async { catch_cancel(turns(5)).await.map_err(|_| "was cancelled") });
                let cancelled = catch_cancel(pending::<()>()).await.unwrap_err();
                child.await.unwrap();
                log.note("saved");
                if swallows {
                    cancelled.uncancel();
                }
                Ok(())
            })
            .await;
            ended
        };
        assert_eq!(wait_for(SHORT, group(false)).await, Err(Elapsed));
        assert_eq!(wait_for(SHORT, group(true)).await, Ok(Ok(())));
        assert_eq!(log.take(), ["saved", "saved"]);
        assert_eq!(current().cancelling(), 0);
    });
}

fn a_body_that_ends_with_what_it_waits_for_ends_its_group<R: Runtime>() {
    run::<R>(async {
        let dropped = std::rc::Rc::new(Cell::new(0));
        let counted = Counted(dropped.clone());
        let child = spawn(pending::<Result<(), &str>>());
        let cancels = child.task();
        let task = spawn(async move {
            let ended: Ended<()> = task_group(async |g| {
                g.spawn(async {
                    let _counted = counted;
                    pending::<Result<(), _>>().await
                });
                try_gather_tasks([child]).await.map(drop)
            })
            .await;
            unreachable!("{ended:?}");
        });
        turns(2).await;
        cancels.request_cancel();
        assert!(task.await.map(|()| ()).unwrap_err().is_cancelled());
        assert_eq!(dropped.get(), 1);
    });
}

fn the_end_of_a_group_by_a_child_counts_as_a_request<R: Runtime>() {
    run::<R>(async {
        let ended: Ended<()> = task_group(async |g| {
            g.spawn(async { Err::<(), _>("failed") });
            let cancelled = catch_cancel(pending::<()>()).await;
            assert_eq!(current().cancelling(), 1);
            turns(2).await;
            drop(cancelled);
            Ok(())
        })
        .await;
        assert!(ended.is_err());
        assert_eq!(current().cancelling(), 0);
        // Of two groups that end in one turn the outer one still counts behind the inner one.
        let outer: Ended<()> = task_group(async |g| {
            g.spawn(async {
                turns(1).await;
                Err::<(), _>("outer")
            });
            let inner = catch_cancel(async {
                let inner: Ended<()> = task_group(async |h| {
                    h.spawn(async {
                        turns(1).await;
                        Err::<(), _>("inner")
                    });
                    pending().await
                })
                .await;
                assert!(inner.unwrap_err().into_iter().eq(["inner"]));
            });
            drop(inner.await);
            assert_eq!(current().cancelling(), 1);
            Ok(())
        })
        .await;
        assert!(outer.unwrap_err().into_iter().eq(["outer"]));
        assert_eq!(current().cancelling(), 0);
        // In bodies it is the task that counts, for limits and groups.
        let outer: Ended<()> = task_group(async |_| {
            let inner: Ended<()> = task_group(async |h| {
                h.spawn(async { Err::<(), _>("inner") });
                drop(catch_cancel(pending::<()>()).await);
                assert_eq!(current().cancelling(), 1);
                Ok(())
            })
            .await;
            assert!(inner.is_err() && current().cancelling() == 0);
            let limited = wait_for(SHORT, async {
                let _cancelled = catch_cancel(pending::<()>()).await;
                assert_eq!(current().cancelling(), 1);
            });
            assert_eq!(limited.await, Ok(()));
            assert_eq!(current().cancelling(), 0);
            Ok(())
        })
        .await;
        assert_eq!(outer, Ok(()));
        let tasks = TaskGroup::new().run(async |g| {
            g.spawn(async { Err::<(), _>("failed") });
            let _cancelled = catch_cancel(pending::<()>()).await;
            assert_eq!(current().cancelling(), 1);
            Ok(())
        });
        assert!(tasks.await.is_err());
        assert_eq!(current().cancelling(), 0);
    });
}

fn an_error_and_a_cancellation_in_one_turn<R: Runtime>() {
    run::<R>(async {
        let task = spawn(async {
            let ended: Ended<()> = task_group(async |g| {
                g.spawn(async {
                    turns(1).await;
                    Err::<(), _>("failed")
                });
                pending().await
            })
            .await;
            assert!(ended.unwrap_err().into_iter().eq(["failed"]));
            assert_eq!(current().cancelling(), 1);
            yield_now().await;
            unreachable!("it was cancelled");
        });
        turns(1).await;
        assert_eq!(task.cancelling(), 0);
        assert!(task.cancel().await.map(|()| ()).unwrap_err().is_cancelled());
    });
}

fn t216_errors_beside_a_panic_are_reported<R: Runtime>() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let config =
        Config::new().on_unhandled(move |unhandled| log.lock().unwrap().push(unhandled.message().to_owned()));
    let runtime = R::with_config(&config).unwrap();
    let message = panic_of(|| {
        runtime.block_on(async {
            let ended: Ended<()> = task_group(async |g| {
                for error in ["one", "two"] {
                    g.spawn(async move { catch_cancel(pending::<()>()).await.map_err(|_| error) });
                }
                yield_now().await;
                panic!("expected: on fire")
            })
            .await;
            unreachable!("{ended:?}");
        });
    });
    assert_eq!(message, "expected: on fire");
    let message = panic_of(|| {
        runtime.block_on(async {
            let ended = TaskGroup::new().run(async |g| {
                g.spawn(async { catch_cancel(pending::<()>()).await.map_err(|_| "three") });
                yield_now().await;
                if true {
                    panic!("expected: on fire")
                }
                Ok(())
            });
            let _ = ended.await;
        });
    });
    assert_eq!(message, "expected: on fire");
    end(runtime);
    let expected = ["one", "two", "three"].map(|error| format!("{error:?}, in a group that panicked"));
    assert_eq!(*seen.lock().unwrap(), expected);
}

fn a_cancelled_group_is_no_error<R: Runtime>() {
    run::<R>(async {
        let ended: Ended<()> = task_group(async |g| {
            g.cancel();
            pending().await
        })
        .await;
        assert_eq!(ended, Ok(()));
        let quiet = TaskGroup::<&str>::new();
        let ended = quiet.run(async |g| {
            g.cancel();
            pending::<Result<u32, _>>().await
        });
        assert_eq!(ended.await, Ok(None));
        let quiet = TaskGroup::<&str>::new();
        let child = quiet.spawn(pending::<Result<(), _>>());
        quiet.cancel();
        assert_eq!(quiet.join().await, Ok(()));
        assert!(child.await.unwrap_err().is_cancelled());
    });
}

fn t300_a_limit_or_a_request_reaches_a_group_that_is_being_cancelled<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        // The limit expires while a child cleans up.
        let limited = timeout_scope(None, async |limit| {
            let ended: Ended<()> = task_group(async |g| {
                g.spawn(async {
                    let cancelled = catch_cancel(pending::<()>()).await;
                    limit.reset(Instant::now());
                    turns(9).await;
                    log.note("cleaned up");
                    drop(cancelled);
                    Ok(())
                });
                yield_now().await;
                g.cancel();
                pending().await
            })
            .await;
            ended
        });
        assert_eq!(limited.await, Err(Elapsed));
        assert_eq!(log.take(), ["cleaned up"]);
        assert_eq!(current().cancelling(), 0);
        let cleans_up = async |log: Log| {
            let cancelled = catch_cancel(pending::<()>()).await;
            turns(9).await;
            log.note("cleaned up");
            drop(cancelled);
            Ok::<(), &str>(())
        };
        // The same for the cancellation of the task.
        for of_tasks in [false, true] {
            let noted = log.clone();
            let task = spawn(async move {
                if of_tasks {
                    let ended = TaskGroup::new().run(async move |g| {
                        g.spawn(cleans_up(noted));
                        yield_now().await;
                        g.cancel();
                        pending::<Result<(), _>>().await
                    });
                    drop(ended.await);
                } else {
                    let ended: Ended<()> = task_group(async |g| {
                        g.spawn(cleans_up(noted.clone()));
                        yield_now().await;
                        g.cancel();
                        pending().await
                    })
                    .await;
                    drop(ended);
                }
                yield_now().await;
                unreachable!("it was cancelled");
            });
            turns(4).await;
            assert!(!task.is_finished());
            assert!(task.cancel().await.map(|()| ()).unwrap_err().is_cancelled());
            assert_eq!(log.take(), ["cleaned up"]);
        }
    });
}

fn t301_an_outer_group_fails_while_an_inner_one_is_ending<R: Runtime>() {
    run::<R>(async {
        let ended: Ended<()> = task_group(async |g| {
            let (fails, failing) = promise::<(), ()>();
            g.spawn(async {
                failing.await.unwrap();
                Err::<(), _>("outer")
            });
            let inner: Ended<()> = task_group(async |h| {
                h.spawn(async {
                    let cancelled = catch_cancel(pending::<()>()).await;
                    fails.set_result(()).unwrap();
                    turns(5).await;
                    drop(cancelled);
                    Ok(())
                });
                h.spawn(async { Err::<(), _>("inner") });
                pending().await
            })
            .await;
            assert!(inner.unwrap_err().into_iter().eq(["inner"]));
            assert_eq!(current().cancelling(), 1);
            yield_now().await;
            unreachable!("the outer group has failed");
        })
        .await;
        assert!(ended.unwrap_err().into_iter().eq(["outer"]));
        assert_eq!(current().cancelling(), 0);
        yield_now().await;
    });
}
