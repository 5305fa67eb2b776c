//! What a task leaves when it is cancelled, in whole or in part, and who waits for that.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use proactor::task::{Ended, JoinHandle, TaskState, catch_cancel, current};
use proactor::time::wait_for;
use proactor::{Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    what_was_caught_has_left_nothing_with_the_kernel,
    what_was_caught_has_cleaned_up_and_ended_its_tasks,
    a_request_while_remains_are_awaited_goes_to_what_is_around,
    a_panic_of_what_is_caught_is_the_tasks_once_its_remains_are_over,
    tasks_that_cancel_each_other_end,
    a_part_of_a_task_that_cancels_its_own_task_ends,
    a_cancelled_task_waits_for_an_ending_task_whose_handle_it_drops,
    callbacks_come_when_a_cancelled_task_has_cleaned_up,
    nothing_keeps_a_task_that_has_ended,
}

fn what_was_caught_has_left_nothing_with_the_kernel<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let (stream, _peer) = half_pair();
        let stream = Rc::new(stream);
        let (canary, watch) = Canary::new(100);
        let reads = stream.clone();
        let task = spawn(async move {
            let cancelled = catch_cancel(async { reads.read(canary).await.map(drop) }).await.unwrap_err();
            watch.assert_untouched();
            cancelled.uncancel()
        });
        turns(2).await;
        assert_eq!(task.cancel().await.unwrap(), 0);
        assert_eq!(runtime.report().live.ops, 0);
    });
    end(runtime);
}

fn what_was_caught_has_cleaned_up_and_ended_its_tasks<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let (noted, closing) = (log.clone(), noting(&log, "closes", "closed"));
        let task = spawn(async move {
            let child_log = noted.clone();
            let caught = catch_cancel(async move {
                let child = spawn(async move {
                    let caught = catch_cancel(pending::<()>()).await;
                    turns(3).await;
                    child_log.note("child");
                    drop(caught);
                });
                let _child = child.cancel_on_drop();
                hold(closing).await
            });
            let cancelled = caught.await.unwrap_err();
            noted.note("caught");
            cancelled.uncancel()
        });
        turns(1).await;
        assert_eq!(task.cancel().await.unwrap(), 0);
        assert_eq!(log.take(), ["child", "closes", "closed", "caught"]);
    });
}

fn a_request_while_remains_are_awaited_goes_to_what_is_around<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let (noted, goes_on) = (log.clone(), Signal::default());
        let closing = gated(&log, &goes_on);
        let task = spawn(async move {
            let outer = catch_cancel(async {
                let inner = catch_cancel(hold(closing));
                let _caught = inner.await;
                unreachable!("the second request comes before the remains of the first are over");
            });
            drop(outer.await.map(|()| ()));
            noted.note("outer");
        });
        turns(1).await;
        task.request_cancel();
        until(|| !log.is_empty()).await;
        task.request_cancel();
        turns(2).await;
        assert_eq!(log.take(), ["closes"], "nobody cancels a clean-up, and the outer one awaits it");
        goes_on.set();
        task.await.unwrap();
        assert_eq!(log.take(), ["closed", "outer"]);
    });
}

fn a_panic_of_what_is_caught_is_the_tasks_once_its_remains_are_over<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let closing = noting(&log, "closes", "closed");
        let task = spawn(async move {
            let caught = catch_cancel(async move {
                let _panics = OnDrop(|| panic!("expected: a destructor"));
                hold(closing).await
            });
            drop(caught.await.map(|_| ()));
            unreachable!("the panic goes on here");
        });
        turns(1).await;
        assert!(task.cancel().await.unwrap_err().is_panic());
        assert_eq!(log.take(), ["closes", "closed"]);
    });
}

type Place = Rc<RefCell<Option<JoinHandle<()>>>>;

/// A task that ends the one whose handle lies there when it is told to, and goes on; or with itself.
fn partner(other: &Place, told: Signal) -> JoinHandle<()> {
    let other = other.clone();
    spawn(async move {
        let handle = Rc::new(RefCell::new(None));
        let held = handle.clone();
        let _with_itself = OnDrop(move || drop(held.take()));
        yield_now().await;
        handle.replace(other.take());
        told.await;
        drop(handle.take());
        pending::<()>().await
    })
}

fn tasks_that_cancel_each_other_end<R: Runtime>() {
    run::<R>(async {
        let (first, second) = (Place::default(), Place::default());
        let (told, never) = (Signal::default(), Signal::default());
        let one = partner(&second, told.clone());
        let two = partner(&first, never);
        let views = [one.task(), two.task()];
        first.replace(Some(one.cancel_on_drop()));
        second.replace(Some(two.cancel_on_drop()));
        turns(3).await;
        told.set(); // the first lets go of the second, which lets go of the first
        let ended = |view: &proactor::task::Task| matches!(view.state(), TaskState::Done(_));
        let both = async { until(|| views.iter().all(ended)).await };
        proactor::time::timeout(Duration::from_secs(20), both).await.expect("they wait for each other");
    });
}

fn a_part_of_a_task_that_cancels_its_own_task_ends<R: Runtime>() {
    run::<R>(async {
        for catches in [false, true] {
            let own = Place::default();
            let holds = own.clone();
            let task = spawn(async move {
                yield_now().await;
                let handle = holds.take();
                let limited = wait_for(Duration::from_nanos(1), async move {
                    let _handle = handle;
                    pending::<()>().await
                });
                if catches {
                    drop(catch_cancel(limited).await.map(drop));
                } else {
                    let _ = limited.await;
                    pending::<()>().await;
                }
            });
            let view = task.task();
            own.replace(Some(task.cancel_on_drop()));
            let ended = until(|| matches!(view.state(), TaskState::Done(_)));
            proactor::time::timeout(Duration::from_secs(20), ended).await.expect("it waits for itself");
        }
    });
}

fn a_cancelled_task_waits_for_an_ending_task_whose_handle_it_drops<R: Runtime>() {
    run::<R>(async {
        let (log, goes_on) = (Log::default(), Signal::default());
        let (closes, gate) = (log.clone(), goes_on.clone());
        let inner = spawn(async move {
            let closing = Closes(async move || {
                gate.await;
                closes.note("closed");
                Ok(())
            });
            hold(closing).await
        });
        turns(1).await;
        inner.request_cancel();
        turns(1).await;
        let noted = log.clone();
        let outer = spawn(async move {
            let ended = wait_for(Duration::from_nanos(1), inner.cancel_on_drop()).await;
            assert!(ended.is_err());
            noted.note("waited");
        });
        turns(5).await;
        assert!(log.is_empty());
        goes_on.set();
        outer.await.unwrap();
        assert_eq!(log.take(), ["closed", "waited"]);
    });
}

fn callbacks_come_when_a_cancelled_task_has_cleaned_up<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let (noted, closing) = (log.clone(), noting(&log, "closes", "closed"));
        let task = spawn(async move { hold(closing).await });
        task.on_done(move |task| {
            assert_eq!(task.state(), TaskState::Done(Ended::Cancelled));
            noted.note("called");
        });
        turns(1).await;
        task.request_cancel();
        until(|| task.is_finished()).await;
        turns(1).await;
        assert_eq!(log.take(), ["closes", "closed", "called"]);
    });
}

proactor::task_local! {
    static OWNER: (proactor::task::Task, Rc<Counted>);
}

fn nothing_keeps_a_task_that_has_ended<R: Runtime>() {
    let runtime = R::new().unwrap();
    let dropped = Rc::new(Cell::new(0));
    let counted = || Counted(dropped.clone());
    runtime.block_on(async {
        // A result that refers to its task, which nobody takes.
        let with = counted();
        let task = spawn(async move { (catch_cancel(pending::<()>()).await, with) });
        turns(1).await;
        task.request_cancel();
        drop(task);
        turns(1).await;
        assert_eq!(dropped.take(), 1);
        // A value of a task that refers to it.
        let with = Rc::new(counted());
        let task = spawn(async move {
            OWNER.set((current(), with));
            spawn(async { OWNER.with(|owner| owner.is_some()) }).await.unwrap()
        });
        assert!(task.await.unwrap());
        turns(1).await;
        assert_eq!(dropped.take(), 1);
        // A callback that refers to it, one that is called and one whose task never ends.
        for ends in [true, false] {
            let with = counted();
            let task = spawn(async move {
                if !ends {
                    pending().await
                }
            });
            let view = task.task();
            task.on_done(move |_| drop((&view, with)));
            turns(2).await;
            assert_eq!(dropped.take(), ends.into());
        }
        OWNER.set((current(), Rc::new(counted())));
        poll_fn(|_| Poll::Ready(())).await;
        let mut scope = pin!(catch_cancel(pending::<()>()));
        assert!(poll_fn(|cx| Poll::Ready(scope.as_mut().poll(cx).is_pending())).await);
    });
    assert_eq!((runtime.report().live.tasks, dropped.get()), (1, 0));
    end(runtime);
    assert_eq!(dropped.get(), 2);
}
