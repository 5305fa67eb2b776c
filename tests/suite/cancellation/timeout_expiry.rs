//! Time limits that wait for what they end: `wait_for`, and `timeout_scope` with its limit that moves.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use proactor::scope::using;
use proactor::task::catch_cancel;
use proactor::time::{Elapsed, LimitHandle, sleep, sleep_until, timeout_scope, timeout_scope_at, wait_for};
use proactor::{Runtime, spawn, spawn_blocking, yield_now};

use crate::kit::*;

tests! {
    wait_for_waits_until_the_kernel_has_released_the_buffer,
    wait_for_waits_for_clean_ups_and_tasks_that_it_cancels,
    wait_for_waits_for_no_job_and_no_detached_task,
    a_result_at_the_last_moment_wins,
    a_wait_for_is_cancelled_while_it_awaits_the_rest,
    a_limit_moves_forth_and_back,
    t228_another_task_moves_a_limit,
    a_limit_in_the_past_ends_the_block,
    limits_inside_each_other,
    a_block_that_is_ended_has_cleaned_up,
    limits_leave_no_timer,
    t303_an_outer_limit_expires_in_the_handler_of_an_inner_one,
}

const SHORT: Duration = Duration::from_millis(2);
const LONG: Duration = Duration::from_secs(600);

fn wait_for_waits_until_the_kernel_has_released_the_buffer<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let (stream, peer) = half_pair();
        let (canary, watch) = Canary::new(100);
        assert!(matches!(wait_for(SHORT, stream.read(canary)).await, Err(Elapsed)));
        watch.assert_untouched();
        assert_eq!(runtime.report().live.ops, 0);
        // Several at a time, and one in a scope inside.
        let (first, second) = (Canary::new(10), Canary::new(10));
        let (other, _other_peer) = half_pair();
        let scope = async { drop(catch_cancel(other.read(second.0)).await) };
        let both = join(stream.read(first.0), scope);
        assert!(wait_for(SHORT, both).await.is_err());
        first.1.assert_untouched();
        second.1.assert_untouched();
        assert_eq!(runtime.report().live.ops, 0);
        drop(peer);
    });
    end(runtime);
}

fn wait_for_waits_for_clean_ups_and_tasks_that_it_cancels<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let closing = noting(&log, "closes", "closed");
        let noted = log.clone();
        let child = spawn(async move {
            let caught = catch_cancel(pending::<()>()).await;
            turns(3).await;
            noted.note("child");
            drop(caught);
        });
        let limited = wait_for(SHORT, async move {
            let _child = child.cancel_on_drop();
            hold(closing).await
        });
        assert!(limited.await.is_err());
        assert_eq!(log.take(), ["child", "closes", "closed"]);
    });
}

fn wait_for_waits_for_no_job_and_no_detached_task<R: Runtime>() {
    run::<R>(async {
        let (go, gate) = mpsc::channel::<()>();
        let job = spawn_blocking(move || gate.recv().is_err());
        let detached = spawn(pending::<()>());
        let view = detached.task();
        let limited = wait_for(SHORT, async move { (job.await, detached.await) });
        assert!(limited.await.is_err()); // it would wait for ever
        drop(go);
        assert_eq!(view.cancelling(), 0);
        view.request_cancel();
    });
}

fn a_result_at_the_last_moment_wins<R: Runtime>() {
    run::<R>(async {
        let signal = Signal::default();
        let says = signal.clone();
        let limited = wait_for(SHORT, async move {
            signal.await;
            "in time"
        });
        let task = spawn(limited);
        yield_now().await;
        // The loop stands still until the time is up; the result is there in the same turn.
        std::thread::sleep(SHORT * 3);
        says.set();
        assert_eq!(task.await.unwrap(), Ok("in time"));
        let limited = timeout_scope(SHORT, async |limit| {
            yield_now().await;
            std::thread::sleep(SHORT * 3);
            assert!(limit.is_expired());
            "in time"
        });
        assert_eq!(limited.await, Ok("in time"));
    });
}

fn a_wait_for_is_cancelled_while_it_awaits_the_rest<R: Runtime>() {
    run::<R>(async {
        for scope in [false, true] {
            let (log, goes_on) = (Log::default(), Signal::default());
            let closing = gated(&log, &goes_on);
            let inner = hold(closing);
            let outer = noting(&log, "outer closes", "outer closed");
            let task = spawn(async move {
                using(outer, async |_| {
                    let _ = if scope {
                        timeout_scope(SHORT, async move |_| inner.await).await
                    } else {
                        wait_for(SHORT, inner).await
                    };
                    io::Result::Ok(())
                })
                .await
            });
            until(|| !log.is_empty()).await;
            task.request_cancel();
            turns(3).await;
            assert!(!task.is_finished());
            goes_on.set();
            assert!(task.await.unwrap_err().is_cancelled());
            assert_eq!(log.take(), ["closes", "closed", "outer closes", "outer closed"]);
        }
    });
}

/// As `Timeout.reschedule` of asyncio, which any task may call.
fn t228_another_task_moves_a_limit<R: Runtime>() {
    run::<R>(async {
        // Earlier: the task that waits is woken for it.
        let handle = Rc::new(RefCell::new(None));
        let given = handle.clone();
        let limited = spawn(timeout_scope(None, async move |limit| {
            given.replace(Some(limit.handle()));
            pending::<()>().await
        }));
        yield_now().await;
        let handle: LimitHandle = handle.take().unwrap();
        let other = handle.clone();
        turns(3).await;
        assert!(other.reset(Instant::now()));
        assert_eq!(limited.await.unwrap(), Err(Elapsed));
        assert!(!handle.reset(None), "it has ended");

        // Later, before the task has seen the first of two; and seen by the block.
        let limited = timeout_scope(LONG, async |limit| {
            let handle = limit.handle();
            let far = Instant::now() + LONG * 2;
            let moves = spawn({
                let handle = handle.clone();
                async move { (handle.reset(Instant::now()), handle.reset(far)) }
            });
            assert_eq!(moves.await.unwrap(), (true, true));
            assert_eq!(limit.deadline(), Some(far));
            assert!(handle.reset(None));
            yield_now().await;
            assert_eq!(limit.deadline(), None);
            handle
        });
        let handle = limited.await.unwrap();
        assert!(!handle.reset(Instant::now()), "it has ended");

        // When the block has been asked to end, it is too late.
        let limited = timeout_scope(SHORT, async |limit| {
            let handle = limit.handle();
            drop(catch_cancel(pending::<()>()).await.unwrap_err());
            assert!(!handle.reset(None));
            pending::<()>().await
        });
        assert_eq!(limited.await, Err(Elapsed));
    });
}

fn a_limit_moves_forth_and_back<R: Runtime>() {
    run::<R>(async {
        let forth = timeout_scope(SHORT, async |limit| {
            limit.reset(Instant::now() + LONG);
            sleep(SHORT * 3).await;
            assert!(!limit.is_expired());
            limit.reset(None);
            assert_eq!(limit.deadline(), None);
            sleep(SHORT).await;
            "forth"
        });
        assert_eq!(forth.await, Ok("forth"));
        let back = timeout_scope(LONG, async |limit| {
            sleep(Duration::from_nanos(1)).await;
            limit.reset(Instant::now() + SHORT);
            pending::<()>().await
        });
        assert_eq!(back.await, Err(Elapsed));
        let from_none = timeout_scope(None, async |limit| {
            yield_now().await;
            limit.reset(Instant::now() + SHORT);
            pending::<()>().await
        });
        assert_eq!(from_none.await, Err(Elapsed));
        // In the last poll, which comes when the time is up.
        let again = timeout_scope(SHORT, async |limit| {
            sleep_until(limit.deadline().unwrap()).await;
            std::thread::sleep(SHORT);
            limit.reset(Instant::now() + LONG);
            sleep(SHORT).await;
            "again"
        });
        assert_eq!(again.await, Ok("again"));
    });
}

fn a_limit_in_the_past_ends_the_block<R: Runtime>() {
    run::<R>(async {
        let past = Instant::now();
        assert_eq!(timeout_scope_at(past, async |_| pending::<()>().await).await, Err(Elapsed));
        assert_eq!(timeout_scope_at(past, async |limit| limit.is_expired()).await, Ok(true));
        assert_eq!(timeout_scope(Duration::ZERO, async |_| pending::<()>().await).await, Err(Elapsed));
        assert_eq!(timeout_scope(Duration::MAX, async |limit| limit.deadline()).await, Ok(None));
        let turns = Rc::new(Cell::new(0));
        let counts = turns.clone();
        let busy = timeout_scope(LONG, async move |limit| {
            limit.reset(past);
            loop {
                yield_now().await;
                counts.set(counts.get() + 1);
            }
        });
        assert_eq!(busy.await.map(|()| ()), Err(Elapsed));
        assert!(turns.get() <= 1, "a block that is always ready is ended as well");
    });
}

fn limits_inside_each_other<R: Runtime>() {
    run::<R>(async {
        let inner = timeout_scope(LONG, async |_| {
            let inner = timeout_scope(SHORT, async |_| pending::<()>().await).await;
            yield_now().await;
            inner
        });
        assert_eq!(inner.await, Ok(Err(Elapsed)));
        let outer = timeout_scope(SHORT, async |_| {
            let inner = timeout_scope(LONG, async |_| pending::<()>().await).await;
            unreachable!("the outer one ends it: {inner:?}");
        });
        assert_eq!(outer.await.map(|()| ()), Err(Elapsed));
        // From inside, the outer one is moved; and of two that are up at once the outer one ends both.
        let moved = timeout_scope(LONG, async |outer| {
            timeout_scope(LONG, async |_| {
                outer.reset(Instant::now() + SHORT);
                pending::<()>().await
            })
            .await
        });
        assert_eq!(moved.await, Err(Elapsed));
        let at = Instant::now() + SHORT;
        let both =
            timeout_scope_at(at, async |_| timeout_scope_at(at, async |_| pending::<()>().await).await);
        assert_eq!(both.await, Err(Elapsed));
    });
}

fn a_block_that_is_ended_has_cleaned_up<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let log = Log::default();
        let (stream, _peer) = half_pair();
        let (canary, watch) = Canary::new(10);
        let closing = noting(&log, "closes", "closed");
        let limited = timeout_scope(SHORT, async |_| {
            using(closing, async |_| stream.read(canary).await.map(drop).map_err(io::Error::from)).await
        });
        assert!(limited.await.is_err());
        watch.assert_untouched();
        assert_eq!(log.take(), ["closes", "closed"]);
        assert_eq!((runtime.report().live.ops, runtime.report().live.tasks), (0, 0));
    });
    end(runtime);
}

fn limits_leave_no_timer<R: Runtime>() {
    let runtime = R::new().unwrap();
    let shared = Arc::new(());
    runtime.block_on(async {
        let timers = || runtime.report().live.timers;
        let held = shared.clone();
        let limited = timeout_scope(LONG, async move |limit| {
            yield_now().await;
            limit.reset(Instant::now() + LONG);
            yield_now().await;
            assert_eq!(timers(), 1, "the one before is gone");
            limit.reset(None);
            yield_now().await;
            assert_eq!(timers(), 0);
            drop(held);
        });
        limited.await.unwrap();
        wait_for(LONG, yield_now()).await.unwrap();
        assert_eq!(timers(), 0);
    });
    assert_eq!(Arc::strong_count(&shared), 1);
    end(runtime);
}

fn t303_an_outer_limit_expires_in_the_handler_of_an_inner_one<R: Runtime>() {
    run::<R>(async {
        for awaits in [false, true] {
            let ended = timeout_scope(LONG, async |outer| {
                let inner = timeout_scope(SHORT, async |_| {
                    let cancelled = catch_cancel(pending::<()>()).await;
                    outer.reset(Instant::now());
                    let second = catch_cancel(pending::<()>()).await;
                    drop((cancelled, second));
                    pending::<()>().await
                })
                .await;
                if awaits {
                    yield_now().await;
                    unreachable!("the outer one has expired: {inner:?}");
                }
                inner
            })
            .await;
            assert_eq!(ended.map(drop), Err(Elapsed));
            assert_eq!(proactor::task::current().cancelling(), 0);
            yield_now().await;
        }
    });
}
