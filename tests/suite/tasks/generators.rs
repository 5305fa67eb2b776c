//! Streams that are written as a block of code: where block and reader meet, and how the block ends.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use proactor::scope::using;
use proactor::stream::{Generator, StreamExt, generate};
use proactor::task::catch_cancel;
use proactor::{Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    the_block_never_runs_ahead,
    a_next_that_is_dropped_loses_no_value,
    a_reader_may_change,
    gives_side_by_side_take_turns,
    a_give_that_is_dropped_leaves_its_value,
    a_panic_of_the_block_is_the_readers,
    a_stream_is_dropped_in_each_state,
    close_waits_for_the_blocks_clean_up,
    a_cancelled_task_ends_after_its_stream,
    the_end_of_the_runtime_closes_streams,
    a_stream_outlives_its_runtime,
}

fn count(log: &Log) -> Generator<u32> {
    let log = log.clone();
    generate(async move |yields| {
        let _end = log.in_drop("end");
        log.note("begin");
        for number in 0.. {
            yields.give(number).await;
            log.note("asked");
        }
    })
}

fn the_block_never_runs_ahead<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let mut numbers = count(&log);
        turns(2).await;
        assert!(log.is_empty(), "nobody has asked");
        assert_eq!(numbers.next().await, Some(0));
        turns(2).await;
        assert_eq!(log.take(), ["begin"]);
        assert_eq!(numbers.next().await, Some(1));
        turns(2).await;
        assert_eq!(log.take(), ["asked"]);
        numbers.close().await;
        assert_eq!(log.take(), ["end"]);
        let mut three = generate(async |yields| {
            for number in 0..3 {
                yield_now().await;
                yields.give(number).await;
            }
        });
        let mut all = Vec::new();
        while let Some(number) = three.next().await {
            all.push(number);
        }
        assert_eq!((all, three.next().await), (vec![0, 1, 2], None));
    });
}

fn a_next_that_is_dropped_loses_no_value<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let mut numbers = count(&log);
        for number in 0..5 {
            assert!(poll_once(&mut numbers.next()).await.is_pending());
            turns(2).await;
            assert_eq!(numbers.next().await, Some(number));
        }
    });
}

fn a_reader_may_change<R: Runtime>() {
    run::<R>(async {
        let go = Signal::default();
        let gate = go.clone();
        let mut values = generate(async move |yields| {
            gate.await;
            yields.give("value").await;
        });
        let noted = Arc::new(Noted::default());
        let waker = noted.clone().into();
        let mut next = pin!(values.next());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        go.set();
        until(|| noted.is_woken()).await;
        let second = spawn(async move { (values.next().await, values.next().await) });
        assert_eq!(second.await.unwrap(), (Some("value"), None));
    });
}

/// Polls a future with a waker of its own, and only when that was called.
async fn with_own_waker<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut noted = Arc::new(Noted::default());
    let mut begun = false;
    poll_fn(move |cx| {
        cx.waker().wake_by_ref();
        if begun && !noted.is_woken() {
            return Poll::Pending;
        }
        (begun, noted) = (true, Arc::default());
        let waker = noted.clone().into();
        future.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

fn gives_side_by_side_take_turns<R: Runtime>() {
    run::<R>(async {
        let mut values = generate(async |yields| {
            let gives = (0..4).map(|number| Box::pin(with_own_waker(yields.give(number))));
            join_all(gives).await;
            yields.give(9).await;
        });
        let mut all = Vec::new();
        let reading = async {
            while let Some(value) = values.next().await {
                all.push(value);
            }
        };
        let limit = std::time::Duration::from_secs(20);
        proactor::time::timeout(limit, reading).await.expect("a give was not woken");
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 9]);
    });
}

fn a_give_that_is_dropped_leaves_its_value<R: Runtime>() {
    run::<R>(async {
        let mut values = generate(async |yields| {
            drop(yields.give("never polled"));
            assert!(poll_once(&mut yields.give("given")).await.is_pending());
            yields.give("behind it").await;
            assert!(poll_once(&mut yields.give("last")).await.is_pending());
        });
        for expected in [Some("given"), Some("behind it"), Some("last"), None, None] {
            assert_eq!(values.next().await, expected);
        }
    });
}

fn a_panic_of_the_block_is_the_readers<R: Runtime>() {
    run::<R>(async {
        let panics = || {
            generate(async |yields| {
                yields.give(1).await;
                panic!("expected: the block");
            })
        };
        let mut values = panics();
        assert_eq!(values.next().await, Some(1));
        let mut next = Box::pin(async move { (values.next().await, values) });
        let reader = spawn(async move { next.as_mut().await.0 });
        assert!(reader.await.unwrap_err().is_panic());
        let mut values = panics();
        values.next().await;
        let message = poll_fn(|cx| {
            let mut polled = Poll::Pending;
            let panic = panic_catching(|| polled = pin!(values.next()).poll(cx).map(drop));
            if panic.is_some() { Poll::Ready(panic) } else { Poll::Pending }
        });
        assert_eq!(message.await.unwrap(), "expected: the block");
        assert_eq!(values.next().await, None, "it is over");
    });
}

fn a_stream_is_dropped_in_each_state<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let dropped = Rc::new(Cell::new(0));
        for state in 0..6 {
            let held = Counted(dropped.clone());
            let more = dropped.clone();
            let mut values = generate(async move |yields| {
                let _held = held;
                yields.give(Counted(more.clone())).await;
                if state == 5 {
                    return;
                }
                yields.give(Counted(more)).await;
            });
            let values_dropped = match state {
                0 => 0, // new
                1 => {
                    assert!(poll_once(&mut values.next()).await.is_pending()); // asked, and never run
                    0
                }
                2 => {
                    assert!(poll_once(&mut values.next()).await.is_pending());
                    turns(1).await; // a value that nobody has taken
                    1
                }
                3 => {
                    drop(values.next().await); // behind a value
                    1
                }
                4 => {
                    drop(values.next().await);
                    assert!(poll_once(&mut values.next()).await.is_pending()); // asked for the second
                    1
                }
                _ => {
                    drop(values.next().await);
                    assert!(values.next().await.is_none()); // over
                    1
                }
            };
            drop(values);
            turns(2).await;
            assert_eq!(dropped.take(), values_dropped + 1, "in state {state}");
            assert_eq!(runtime.report().live.tasks, 0);
        }
    });
    end(runtime);
}

/// A stream whose block holds something that is closed.
fn holding(log: &Log) -> Generator<u32> {
    let closing = noting(log, "closes", "closed");
    generate(async move |yields| {
        let held = using(closing, async |_| {
            yields.give(1).await;
            let _: () = pending::<()>().await;
            io::Result::Ok(())
        });
        held.await.unwrap();
    })
}

fn close_waits_for_the_blocks_clean_up<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let mut values = holding(&log);
        assert_eq!(values.next().await, Some(1));
        values.close().await;
        assert_eq!(log.take(), ["closes", "closed"]);
        let second = using(holding(&log), async |values| io::Result::Ok(values.next().await)).await;
        assert_eq!((second.unwrap(), log.take()), (Some(1), vec!["closes", "closed"]));
        holding(&log).close().await;
        assert!(log.is_empty(), "the block has never begun");
    });
}

fn a_cancelled_task_ends_after_its_stream<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let mut values = holding(&log);
        let noted = log.clone();
        let task = spawn(async move {
            let caught = catch_cancel(async move {
                values.next().await;
                values.next().await
            });
            let caught = caught.await.unwrap_err();
            noted.note("caught");
            caught.uncancel()
        });
        turns(3).await;
        assert_eq!(task.cancel().await.unwrap(), 0);
        assert_eq!(log.take(), ["closes", "closed", "caught"]);
        let mut values = holding(&log);
        let task = spawn(async move {
            values.next().await;
            values.next().await
        });
        turns(3).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["closes", "closed"]);
    });
}

fn the_end_of_the_runtime_closes_streams<R: Runtime>() {
    let runtime = R::new().unwrap();
    let log = Log::default();
    let kept: Rc<RefCell<Option<Generator<u32>>>> = Rc::default();
    runtime.block_on(async {
        let mut values = holding(&log);
        assert_eq!(values.next().await, Some(1));
        kept.replace(Some(values));
    });
    end(runtime);
    assert_eq!(log.take(), ["closes", "closed"]);
    drop(kept.take());
}

fn a_stream_outlives_its_runtime<R: Runtime>() {
    let (first, second) = (R::new().unwrap(), R::new().unwrap());
    let dropped = Rc::new(Cell::new(0));
    let held = Counted(dropped.clone());
    let mut values = generate(async move |yields| {
        yields.give(1).await;
        yields.give(2).await;
        drop(held);
    });
    assert_eq!(first.block_on(values.next()), Some(1));
    end(first);
    assert_eq!(dropped.get(), 1);
    assert_eq!(second.block_on(values.next()), None, "its block has ended with its runtime");
    drop(values);
    end(second);
}
