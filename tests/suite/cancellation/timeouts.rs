//! Cancellation by a time limit: the request reaches the scopes inside it, as asyncio's `CancelledError` does.

use std::cell::Cell;
use std::future::pending;
use std::pin::Pin;
use std::time::{Duration, Instant};

use proactor::task::{GroupError, TaskState, catch_cancel, current, task_group};
use proactor::time::{Elapsed, sleep, timeout, timeout_at, timeout_scope, timeout_scope_at, wait_for};
use proactor::{Runtime, join, shield, spawn, yield_now};

use crate::kit::*;

tests! {
    t210_a_handler_inside_a_limit_runs_and_may_await,
    the_value_of_a_handler_is_the_result,
    a_handler_that_swallows_the_request_lets_the_body_finish,
    a_request_of_a_limit_is_counted_until_the_limit_ends,
    an_accepted_request_reaches_outer_scopes_inside_the_limit,
    a_limit_reaches_only_what_is_inside,
    a_task_that_fails_while_a_limit_cancels_it,
    a_shielded_future_survives_a_limit,
    t211_limits_due_at_the_same_moment_are_one_request,
    a_limit_inside_a_handler_of_another_limit,
    t212_a_cancellation_of_the_task_wins_over_a_limit,
    t213_a_group_inside_a_limit_ends_its_children_first,
    a_limit_that_has_expired_cannot_be_moved,
    a_limit_moves_with_its_future_to_another_task,
    a_plain_timeout_drops_at_once,
    t291_a_limit_of_zero_is_one_turn,
}

const SHORT: Duration = Duration::from_millis(2);
const LONG: Duration = Duration::from_secs(600);

fn t210_a_handler_inside_a_limit_runs_and_may_await<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let body = async || {
            if let Err(cancelled) = catch_cancel(pending::<()>()).await {
                sleep(SHORT).await;
                log.note("saved");
                drop(cancelled);
                yield_now().await;
                log.note("went on");
            }
        };
        assert_eq!(wait_for(SHORT, body()).await, Err(Elapsed));
        assert_eq!(timeout_scope(SHORT, async |_| body().await).await, Err(Elapsed));
        assert_eq!(log.take(), ["saved", "saved"]);
        assert_eq!(current().cancelling(), 0);
        yield_now().await;
    });
}

fn the_value_of_a_handler_is_the_result<R: Runtime>() {
    run::<R>(async {
        let body = async || match catch_cancel(pending::<()>()).await {
            Ok(()) => Ok("never"),
            Err(_cancelled) => {
                turns(2).await;
                Err("could not save")
            }
        };
        assert_eq!(wait_for(SHORT, body()).await, Ok(Err("could not save")));
        assert_eq!(timeout_scope(SHORT, async |_| body().await).await, Ok(Err("could not save")));
        yield_now().await; // and nothing is left of the request
        assert_eq!(current().cancelling(), 0);
    });
}

fn a_handler_that_swallows_the_request_lets_the_body_finish<R: Runtime>() {
    run::<R>(async {
        let body = async || {
            assert_eq!(catch_cancel(pending::<()>()).await.unwrap_err().uncancel(), 0);
            sleep(SHORT).await;
            "finished"
        };
        assert_eq!(wait_for(SHORT, body()).await, Ok("finished"));
        assert_eq!(timeout_scope(SHORT, async |_| body().await).await, Ok("finished"));
        assert_eq!(current().cancelling(), 0);
    });
}

fn a_request_of_a_limit_is_counted_until_the_limit_ends<R: Runtime>() {
    run::<R>(async {
        let task = spawn(async {
            let limited = timeout_scope(SHORT, async |limit| {
                assert_eq!(current().cancelling(), 0);
                let cancelled = catch_cancel(pending::<()>()).await;
                assert_eq!(current().cancelling(), 1);
                turns(2).await;
                assert!(limit.is_expired());
                drop(cancelled);
                pending::<()>().await;
            });
            assert_eq!(limited.await, Err(Elapsed));
            assert_eq!(current().cancelling(), 0);
            // One that is dropped while its request is handled takes it along.
            let limited = wait_for(SHORT, async {
                let _cancelled = catch_cancel(pending::<()>()).await;
                pending::<()>().await;
            });
            assert!(timeout(SHORT * 4, limited).await.is_err());
            assert_eq!(current().cancelling(), 0);
            yield_now().await;
        });
        task.await.unwrap();
    });
}

fn an_accepted_request_reaches_outer_scopes_inside_the_limit<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let limited = wait_for(SHORT, async {
            let outer = catch_cancel(async {
                let inner = catch_cancel(pending::<()>()).await;
                log.note("inner");
                drop(inner);
                pending::<()>().await;
            });
            let cancelled = outer.await;
            turns(2).await;
            log.note("outer");
            drop(cancelled);
            pending::<()>().await;
        });
        let around = catch_cancel(limited).await;
        assert_eq!(around.unwrap(), Err(Elapsed));
        // Both sides of a join catch it, and it goes on when the last is through.
        let limited = wait_for(SHORT, async {
            let side = async |takes, name| {
                let _cancelled = catch_cancel(pending::<()>()).await;
                turns(takes).await;
                log.note(name);
            };
            join!(side(1, "quick"), side(5, "slow"));
            pending::<()>().await;
        });
        assert_eq!(limited.await, Err(Elapsed));
        assert_eq!(log.take(), ["inner", "outer", "quick", "slow"]);
    });
}

fn a_limit_reaches_only_what_is_inside<R: Runtime>() {
    run::<R>(async {
        let goes_on = Signal::default();
        let beside = catch_cancel(goes_on.clone());
        let limited = async {
            assert!(wait_for(SHORT, catch_cancel(pending::<()>())).await.unwrap().is_err());
            assert_eq!(wait_for(SHORT, pending::<()>()).await, Err(Elapsed));
            goes_on.set();
        };
        let (beside, ()) = catch_cancel(async { join!(beside, limited) }).await.unwrap();
        assert!(beside.is_ok());
    });
}

fn a_task_that_fails_while_a_limit_cancels_it<R: Runtime>() {
    run::<R>(async {
        let inner = || {
            spawn(async {
                let _cancelled = catch_cancel(pending::<()>()).await;
                turns(2).await;
                Err::<(), _>("could not save")
            })
        };
        // The future of the limit passes the request on to the task, and gives what becomes of it.
        let limited = wait_for(SHORT, async {
            let mut task = inner();
            match catch_cancel(&mut task).await {
                Ok(ended) => ended,
                Err(_cancelled) => task.cancel().await,
            }
        });
        assert_eq!(limited.await.unwrap().unwrap(), Err("could not save"));
        // A handle that is dropped cancels the task, which the limit waits for.
        let task = inner();
        let view = task.task();
        assert_eq!(wait_for(SHORT, task.cancel_on_drop()).await.map(drop), Err(Elapsed));
        assert!(matches!(view.state(), TaskState::Done(_)));
    });
}

fn a_shielded_future_survives_a_limit<R: Runtime>() {
    run::<R>(async {
        let goes_on = Signal::default();
        let mut shielded = shield(goes_on.clone());
        assert_eq!(wait_for(SHORT, &mut shielded).await, Err(Elapsed));
        assert!(!shielded.is_finished());
        goes_on.set();
        shielded.await;
    });
}

fn t211_limits_due_at_the_same_moment_are_one_request<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let at = Instant::now() + SHORT;
        let outer = timeout_scope_at(at, async |_| {
            let between = catch_cancel(timeout_scope_at(at, async |_| {
                let cancelled = catch_cancel(pending::<()>()).await;
                log.note("inside both");
                assert_eq!(current().cancelling(), 2);
                turns(3).await;
                log.note("and may await");
                drop(cancelled);
                pending::<()>().await;
            }));
            let cancelled = between.await;
            log.note("between");
            assert_eq!(current().cancelling(), 1);
            drop(cancelled);
            yield_now().await;
            log.note("behind");
        });
        assert_eq!(outer.await, Err(Elapsed));
        assert_eq!(log.take(), ["inside both", "and may await", "between"]);
        assert_eq!(current().cancelling(), 0);
        // The same without anything that catches, and with three.
        let at = Instant::now() + SHORT;
        let outer = timeout_scope_at(at, async |_| {
            timeout_scope_at(at, async |_| {
                let inner = timeout_scope_at(at, async |_| pending::<()>().await).await;
                unreachable!("the outermost ends it: {inner:?}");
            })
            .await
        });
        assert_eq!(outer.await.map(|_: Result<(), _>| ()), Err(Elapsed));
        // The body of a group is code of the task.
        let at = Instant::now() + SHORT;
        let outer = timeout_scope_at(at, async |_| {
            let ended: Result<(), GroupError<()>> = task_group(async |_| {
                let inner = timeout_scope_at(at, async |_| pending::<()>().await).await;
                unreachable!("the outer one ends it: {inner:?}");
            })
            .await;
            ended
        });
        assert_eq!(outer.await, Err(Elapsed));
        assert_eq!(current().cancelling(), 0);
    });
}

fn a_limit_inside_a_handler_of_another_limit<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let outer = wait_for(SHORT, async {
            let cancelled = catch_cancel(pending::<()>()).await;
            // It began after the request: so it ends by itself.
            assert_eq!(wait_for(SHORT, pending::<()>()).await, Err(Elapsed));
            log.note("handled");
            drop(cancelled);
            pending::<()>().await;
        });
        assert_eq!(outer.await, Err(Elapsed));
        // It began before: the request of the outer one goes on, and the code behind the inner one does not run.
        let outer = wait_for(SHORT, async {
            let inner = timeout_scope(None, async |limit| {
                let _cancelled = catch_cancel(pending::<()>()).await;
                log.note("handling");
                limit.reset(Instant::now() + SHORT);
                pending::<()>().await;
            });
            let inner = inner.await;
            unreachable!("the outer one ends it: {inner:?}");
        });
        assert_eq!(outer.await.map(|()| ()), Err(Elapsed));
        // And so it is where the inner one's request is caught by what handles that of the outer one.
        let outer = wait_for(SHORT, async {
            let inner = timeout_scope(None, async |limit| {
                let handling = catch_cancel(async {
                    let _cancelled = catch_cancel(pending::<()>()).await;
                    limit.reset(Instant::now() + SHORT);
                    pending::<()>().await;
                });
                drop(handling.await);
                log.note("let go");
                pending::<()>().await;
            });
            let inner = inner.await;
            unreachable!("the outer one ends it: {inner:?}");
        });
        assert_eq!(outer.await.map(|()| ()), Err(Elapsed));
        assert_eq!(log.take(), ["handled", "handling", "let go"]);
        assert_eq!(current().cancelling(), 0);
    });
}

fn t212_a_cancellation_of_the_task_wins_over_a_limit<R: Runtime>() {
    run::<R>(async {
        // While the limit's request is being handled.
        let log = Log::default();
        let noted = log.clone();
        let task = spawn(async move {
            let limited = wait_for(SHORT, async {
                let _cancelled = catch_cancel(pending::<()>()).await;
                noted.note("handling");
                pending::<()>().await;
            });
            let around = catch_cancel(limited).await;
            noted.note(if around.is_err() { "cancelled" } else { "elapsed" });
            assert_eq!(current().cancelling(), 1);
            drop(around);
            yield_now().await;
            noted.note("went on");
        });
        until(|| !log.is_empty()).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["handling", "cancelled"]);
        // The limit is up while the task's own request is being handled inside it.
        let noted = log.clone();
        let task = spawn(async move {
            let limited = wait_for(SHORT, async {
                let _cancelled = catch_cancel(pending::<()>()).await;
                pending::<()>().await;
            });
            let elapsed = limited.await;
            noted.note("went on");
            elapsed
        });
        turns(1).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert!(log.is_empty());
        // A limit that began in the handler is one of its own.
        let task = spawn(async {
            let cancelled = catch_cancel(pending::<()>()).await;
            assert_eq!(wait_for(SHORT, pending::<()>()).await, Err(Elapsed));
            cancelled.unwrap_err().uncancel()
        });
        turns(1).await;
        assert_eq!(task.cancel().await.unwrap(), 0);
        // Nobody can end the future given to `block_on`.
        let me = current();
        let limited = wait_for(SHORT, async {
            me.request_cancel();
            pending::<()>().await;
        });
        assert_eq!(limited.await, Err(Elapsed));
        me.uncancel();
    });
}

fn t213_a_group_inside_a_limit_ends_its_children_first<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let group = async |fails| {
            let ended: Result<(), GroupError<&str>> = task_group(async |g| {
                g.spawn(async {
                    let _cancelled = catch_cancel(pending::<()>()).await;
                    turns(3).await;
                    log.note("saved");
                    if fails { Err("could not save") } else { Ok(()) }
                });
                pending().await
            })
            .await;
            ended
        };
        assert_eq!(wait_for(SHORT, group(false)).await, Err(Elapsed));
        assert!(wait_for(SHORT, group(true)).await.unwrap().unwrap_err().iter().eq(&["could not save"]));
        assert_eq!(log.take(), ["saved", "saved"]);
        assert_eq!(current().cancelling(), 0);
    });
}

fn a_limit_that_has_expired_cannot_be_moved<R: Runtime>() {
    run::<R>(async {
        let limited = timeout_scope(SHORT, async |limit| {
            let cancelled = catch_cancel(pending::<()>()).await;
            let deadline = limit.deadline();
            limit.reset(Instant::now() + LONG);
            assert!(limit.deadline() == deadline && limit.is_expired());
            drop(cancelled);
            pending::<()>().await;
        });
        assert_eq!(limited.await, Err(Elapsed));
    });
}

fn a_limit_moves_with_its_future_to_another_task<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let noted = log.clone();
        let mut limited = Box::pin(wait_for(SHORT, async move {
            let _cancelled = catch_cancel(pending::<()>()).await;
            turns(1).await;
            noted.note("handled");
        }));
        assert!(poll_once(&mut limited).await.is_pending());
        let limited: Pin<Box<_>> = limited;
        let task = spawn(async move { (limited.await, current().cancelling()) });
        assert_eq!(task.await.unwrap(), (Ok(()), 0));
        assert_eq!(log.take(), ["handled"]);
    });
}

fn a_plain_timeout_drops_at_once<R: Runtime>() {
    run::<R>(async {
        let limited = timeout(SHORT, async {
            let _cancelled = catch_cancel(pending::<()>()).await;
            unreachable!("it is dropped");
        });
        assert_eq!(limited.await.map(|()| ()), Err(Elapsed));
    });
}

fn t291_a_limit_of_zero_is_one_turn<R: Runtime>() {
    run::<R>(async {
        let polls = Cell::new(0);
        let body = async || {
            loop {
                polls.set(polls.get() + 1);
                yield_now().await;
            }
        };
        for _ in 0..20 {
            let limits: [LocalBoxed<'_>; 5] = [
                Box::pin(timeout(Duration::ZERO, body())),
                Box::pin(wait_for(Duration::ZERO, body())),
                Box::pin(timeout_scope(Duration::ZERO, async |_| body().await)),
                Box::pin(timeout_at(Instant::now(), body())),
                Box::pin(timeout_scope_at(Instant::now(), async |_| body().await)),
            ];
            let mut counts = Vec::new();
            for limit in limits {
                let result: Result<(), Elapsed> = limit.await;
                assert_eq!(result, Err(Elapsed));
                counts.push(polls.take());
            }
            // Once at the beginning, and once more at the deadline.
            assert_eq!(counts, [2, 2, 2, 2, 2]);
        }
    });
}

type LocalBoxed<'a> = Pin<Box<dyn Future<Output = Result<(), Elapsed>> + 'a>>;
