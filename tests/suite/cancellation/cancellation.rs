//! Requests for a task's end: counted, caught by a part of it, taken back, and when the task has ended.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use proactor::task::{Cancelled, TaskState, catch_cancel, current, try_current};
use proactor::time::sleep;
use proactor::{Runtime, join, select, spawn, yield_now};

use crate::kit::*;

tests! {
    a_request_ends_only_what_is_caught,
    an_accepted_request_ends_the_task_at_its_next_await,
    a_task_without_another_await_gives_its_result,
    a_request_while_one_is_handled_goes_to_what_is_around,
    a_request_goes_around_a_scope_that_has_not_seen_the_one_before,
    requests_before_a_turn_are_delivered_once_and_counted,
    a_request_is_taken_back_before_it_is_delivered,
    requests_to_a_task_at_each_point_of_its_life,
    all_scopes_side_by_side_are_reached,
    scopes_with_wakers_of_their_own_are_reached,
    a_waker_that_panics_at_a_request_leaves_the_loop_in_order,
    a_scope_moves_with_its_future_to_another_task,
    the_future_of_block_on_catches_cancellations,
    a_request_continues_when_all_its_handlers_have_ended,
    a_request_is_not_lost_with_the_scope_that_has_caught_it,
    a_request_ends_the_handling_of_the_one_before,
}

fn a_request_ends_only_what_is_caught<R: Runtime>() {
    run::<R>(async {
        let dropped = Rc::new(Cell::new(0));
        let (inside, log) = (Counted(dropped.clone()), Log::default());
        let noted = log.clone();
        let task = spawn(async move {
            let _outside = noted.in_drop("outside");
            let caught = catch_cancel(async {
                let _inside = inside;
                pending::<()>().await
            });
            let cancelled = caught.await.unwrap_err();
            assert_eq!(current().cancelling(), 1);
            sleep(Duration::from_nanos(1)).await;
            noted.note("handled");
            assert_eq!(cancelled.uncancel(), 0);
            sleep(Duration::from_nanos(1)).await;
            7
        });
        turns(1).await;
        task.request_cancel();
        yield_now().await;
        assert_eq!(dropped.get(), 1, "dropped at once");
        assert!(log.is_empty());
        assert_eq!(task.await.unwrap(), 7);
        assert_eq!(log.take(), ["handled", "outside"]);
    });
}

fn an_accepted_request_ends_the_task_at_its_next_await<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let noted = log.clone();
        let task = spawn(async move {
            let caught = catch_cancel(pending::<()>()).await;
            yield_now().await;
            noted.note("handled");
            drop(caught);
            noted.note("let go");
            yield_now().await;
            noted.note("went on");
        });
        turns(1).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["handled", "let go"]);
    });
}

fn a_task_without_another_await_gives_its_result<R: Runtime>() {
    run::<R>(async {
        let task = spawn(async { catch_cancel(pending::<()>()).await.is_err() });
        turns(1).await;
        assert!(task.cancel().await.unwrap());
        // The request itself may be the result, and outlives the task.
        let task = spawn(async { catch_cancel(pending::<()>()).await });
        turns(1).await;
        let cancelled = task.cancel().await.unwrap().unwrap_err();
        assert_eq!(cancelled.uncancel(), 0);
    });
}

fn a_request_while_one_is_handled_goes_to_what_is_around<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let noted = log.clone();
        let task = spawn(async move {
            let outer = catch_cancel(async {
                let inner = catch_cancel(pending::<()>()).await.unwrap_err();
                noted.note("inner");
                pending::<()>().await;
                drop(inner);
            });
            let outer = outer.await.unwrap_err();
            noted.note("outer");
            assert_eq!(outer.uncancel(), 1, "the first one was never taken back");
            yield_now().await;
            pending::<()>().await;
        });
        turns(1).await;
        task.request_cancel();
        turns(1).await;
        assert_eq!(log.take(), ["inner"]);
        task.request_cancel();
        turns(1).await;
        assert_eq!(log.take(), ["outer"]);
        assert!(task.cancel().await.unwrap_err().is_cancelled(), "the third finds nobody who catches");
    });
}

fn a_request_goes_around_a_scope_that_has_not_seen_the_one_before<R: Runtime>() {
    run::<R>(async {
        let task = spawn(async {
            let outer = catch_cancel(async {
                let mut put_aside = Box::pin(catch_cancel(pending::<()>()));
                assert!(poll_once(&mut put_aside).await.is_pending());
                pending::<()>().await;
            });
            outer.await.unwrap_err().uncancel()
        });
        turns(1).await;
        for _ in 0..2 {
            task.request_cancel();
            turns(1).await;
        }
        assert_eq!(task.await.unwrap(), 1);
    });
}

fn requests_before_a_turn_are_delivered_once_and_counted<R: Runtime>() {
    run::<R>(async {
        let task = spawn(async {
            let left = catch_cancel(pending::<()>()).await.unwrap_err().uncancel();
            yield_now().await; // not ended by the second: as in asyncio, the two were one
            left
        });
        turns(1).await;
        assert!(task.request_cancel() && task.request_cancel());
        assert_eq!(task.cancelling(), 2);
        assert_eq!(task.await.unwrap(), 1);
    });
}

fn a_request_is_taken_back_before_it_is_delivered<R: Runtime>() {
    run::<R>(async {
        let task = spawn(async {
            yield_now().await;
            "on"
        });
        task.request_cancel();
        task.request_cancel();
        assert_eq!((task.task().uncancel(), task.task().uncancel(), task.task().uncancel()), (1, 0, 0));
        assert_eq!(task.await.unwrap(), "on");
    });
}

fn requests_to_a_task_at_each_point_of_its_life<R: Runtime>() {
    run::<R>(async {
        // Before its first turn: it is dropped unpolled.
        let polled = Rc::new(Cell::new(false));
        let polls = polled.clone();
        let task = spawn(async move { polls.set(true) });
        assert!(task.cancel().await.unwrap_err().is_cancelled() && !polled.get());
        // By itself: at its next await, and not if there is none.
        let ends = spawn(async { current().request_cancel() });
        assert!(ends.await.unwrap());
        let waits = spawn(async {
            current().request_cancel();
            yield_now().await;
        });
        assert!(waits.await.unwrap_err().is_cancelled());
        // By its own destructor, and while it cleans up: it is ending already.
        let (log, goes_on) = (Log::default(), Signal::default());
        let closing = gated(&log, &goes_on);
        let task = spawn(async move {
            let me = current();
            let _asks = OnDrop(move || assert!(me.request_cancel()));
            hold(closing).await
        });
        turns(1).await;
        task.request_cancel();
        until(|| !log.is_empty()).await;
        assert_eq!(task.task().state(), TaskState::Ending);
        assert!(task.request_cancel() && !task.is_finished());
        goes_on.set();
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["closes", "closed"]);
        // When it has ended.
        let task = spawn(async {});
        yield_now().await;
        assert!(!task.request_cancel());
        assert_eq!(task.cancelling(), 0);
    });
}

fn all_scopes_side_by_side_are_reached<R: Runtime>() {
    run::<R>(async {
        let task = spawn(async {
            let (first, second) =
                join(catch_cancel(pending::<()>()), catch_cancel(catch_cancel(pending::<()>()))).await;
            let second: Cancelled = second.unwrap().unwrap_err(); // the inner one of the two
            drop(first);
            second.uncancel(); // takes back what the first has let go
            yield_now().await;
            "on"
        });
        turns(1).await;
        assert_eq!(task.cancel().await.unwrap(), "on");
    });
}

/// Polls a future only when its own waker was called.
struct WithWaker<F> {
    future: Pin<Box<F>>,
    waker: Arc<Bell>,
}

struct Bell {
    rung: std::sync::atomic::AtomicBool,
    task: std::sync::Mutex<Option<Waker>>,
    panics: bool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, std::sync::atomic::Ordering::SeqCst);
        let task = self.task.lock().unwrap().take();
        task.into_iter().for_each(Waker::wake);
        assert!(!self.panics, "expected: a waker that panics");
    }
}

impl<F> WithWaker<F> {
    fn new(future: F, panics: bool) -> Self {
        let (rung, task) = (true.into(), std::sync::Mutex::default());
        WithWaker { future: Box::pin(future), waker: Arc::new(Bell { rung, task, panics }) }
    }
}

impl<F: Future> Future for WithWaker<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        *self.waker.task.lock().unwrap() = Some(cx.waker().clone());
        if !self.waker.rung.swap(false, std::sync::atomic::Ordering::SeqCst) {
            return Poll::Pending;
        }
        let waker = self.waker.clone().into();
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

fn scopes_with_wakers_of_their_own_are_reached<R: Runtime>() {
    run::<R>(async {
        let (stream, _peer) = half_pair();
        let task = spawn(async move {
            let scope = || {
                let read = stream.read(Tombstone::new(1));
                WithWaker::new(catch_cancel(async { read.await.map(drop) }), false)
            };
            let first = scope();
            let caught =
                join(first, WithWaker::new(catch_cancel(sleep(Duration::from_secs(600))), false)).await;
            (caught.0.unwrap_err().uncancel(), caught.1.is_err())
        });
        turns(2).await;
        assert_eq!(task.cancel().await.unwrap(), (0, true));
    });
}

fn a_waker_that_panics_at_a_request_leaves_the_loop_in_order<R: Runtime>() {
    let runtime = R::new().unwrap();
    let task = runtime.spawn(async {
        let scopes = (0..2).map(|number| WithWaker::new(catch_cancel(pending::<()>()), number == 0));
        join_all(scopes).await.into_iter().map(|caught| caught.unwrap_err().uncancel()).sum::<usize>()
    });
    runtime.block_on(turns(1));
    task.request_cancel();
    let beside = Rc::new(RefCell::new(None));
    let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
    let sees = seen.clone();
    drop(panic_catching(|| runtime.block_on(turns(2)))); // whether it surfaces or not
    runtime.handle().call_soon(move || *sees.lock().unwrap() = Some(try_current().is_some())).unwrap();
    beside.replace(Some(runtime.block_on(async {
        turns(1).await;
        spawn(async { current().id() }).await.unwrap()
    })));
    assert_eq!(*seen.lock().unwrap(), Some(false), "no task is being polled in a closure of the inbox");
    assert_ne!(beside.take(), Some(task.id()));
    assert_eq!(runtime.block_on(task).unwrap(), 0);
    end(runtime);
}

fn a_scope_moves_with_its_future_to_another_task<R: Runtime>() {
    run::<R>(async {
        let mut scope = Box::pin(catch_cancel(catch_cancel(pending::<()>())));
        let first = spawn(async move {
            assert!(poll_once(&mut scope).await.is_pending());
            (scope,)
        });
        let (scope,) = first.await.unwrap();
        let second = spawn(async move {
            let inner = scope.await.unwrap();
            inner.unwrap_err().uncancel()
        });
        turns(1).await;
        assert_eq!(second.cancel().await.unwrap(), 0);
        // While it lies in a task that goes on, and the other one polls it.
        let place = Rc::new(RefCell::new(None));
        let puts = place.clone();
        let first = spawn(async move {
            let mut scope = Box::pin(catch_cancel(pending::<()>()));
            assert!(poll_once(&mut scope).await.is_pending());
            puts.replace(Some(scope));
            pending::<()>().await
        });
        turns(1).await;
        let scope = place.take().unwrap();
        let second = spawn(async move { scope.await.unwrap_err().uncancel() });
        turns(1).await;
        assert!(first.cancel().await.unwrap_err().is_cancelled(), "it has no scope any more");
        assert!(!second.is_finished());
        assert_eq!(second.cancel().await.unwrap(), 0);
    });
}

fn the_future_of_block_on_catches_cancellations<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let me = current();
        me.request_cancel();
        yield_now().await; // nobody catches it, and the future of `block_on` is not ended
        assert_eq!(me.uncancel(), 0);
        let asked = me.clone();
        spawn(async move { asked.request_cancel() });
        let caught = catch_cancel(pending::<()>()).await;
        assert!(caught.is_err());
        turns(1).await;
    });
    runtime.block_on(async {
        assert_eq!(current().cancelling(), 0, "requests are for one future");
        catch_cancel(turns(2)).await.unwrap();
    });
    end(runtime);
}

fn a_request_continues_when_all_its_handlers_have_ended<R: Runtime>() {
    run::<R>(async {
        for swallowed in [false, true] {
            let log = Log::default();
            let noted = log.clone();
            let task = spawn(async move {
                let quick = async {
                    let cancelled = catch_cancel(pending::<()>()).await.unwrap_err();
                    turns(1).await;
                    drop(cancelled);
                };
                let slow = async {
                    let cancelled = catch_cancel(pending::<()>()).await.unwrap_err();
                    turns(5).await;
                    noted.note("cleaned up");
                    if swallowed {
                        cancelled.uncancel();
                    }
                };
                join!(quick, slow);
                yield_now().await;
                noted.note("goes on");
            });
            turns(1).await;
            let ended = task.cancel().await;
            assert_eq!(ended.is_ok(), swallowed);
            let rest: &[_] = if swallowed { &["goes on"] } else { &[] };
            assert_eq!(log.take(), [&["cleaned up"], rest].concat());
        }
    });
}

fn a_request_is_not_lost_with_the_scope_that_has_caught_it<R: Runtime>() {
    run::<R>(async {
        let signal = Signal::default();
        let arrives = signal.clone();
        let task = spawn(async move {
            select! {
                biased;
                () = arrives => {}
                _ = catch_cancel(pending::<()>()) => unreachable!("the other is ready"),
            }
            yield_now().await;
            unreachable!("it was cancelled");
        });
        turns(1).await;
        signal.set();
        assert!(task.cancel().await.unwrap_err().is_cancelled());
    });
}

fn a_request_ends_the_handling_of_the_one_before<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let noted = log.clone();
        let task = spawn(async move {
            let handled = async {
                let _first = catch_cancel(pending::<()>()).await;
                noted.note("first");
                pending::<()>().await
            };
            let second = catch_cancel(handled).await.unwrap_err();
            turns(3).await;
            noted.note("second");
            assert_eq!(second.uncancel(), 1);
            yield_now().await;
        });
        for _ in 0..2 {
            turns(1).await;
            task.request_cancel();
        }
        task.await.unwrap();
        assert_eq!(log.take(), ["first", "second"]);
    });
}
