//! Behaviours that CPython's own tests of tasks, futures and eager tasks show, and no other file here: see the second table
//! of `tests/ASYNCIO.md`.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proactor::task::{
    GroupError, JoinError, LocalHandle, PromiseError, current, promise, spawn_eager, task_group,
};
use proactor::{Config, Runtime, gather, spawn, task_local, yield_now};

use crate::kit::*;

tests! {
    a_cancelled_promise_is_a_value_to_the_task_that_awaits_it,
    a_task_that_is_cancelled_leaves_its_promise_open,
    a_task_that_is_cancelled_leaves_the_task_that_it_awaits,
    an_error_of_a_promise_that_is_not_retrieved_is_not_reported,
    a_result_for_a_cancelled_promise_comes_back,
    a_promise_is_settled_by_another_thread,
    a_callback_may_add_another,
    a_promise_may_be_settled_in_an_eager_step,
    an_eager_task_that_has_ended_is_not_cancelled,
    an_eager_task_that_waits_is_cancelled,
    an_eager_task_is_current_and_listed_in_its_first_step,
    an_eager_task_keeps_its_values_in_later_steps,
    awaits_gathers_and_groups_make_no_tasks,
    a_gather_of_handles_takes_cancellations_for_outputs,
    a_value_is_seen_by_what_is_awaited,
}

/// `test_cancel_inner_future`: there the task that awaits it is cancelled.
fn a_cancelled_promise_is_a_value_to_the_task_that_awaits_it<R: Runtime>() {
    run::<R>(async {
        let (_giver, future) = promise::<(), ()>();
        let future = future.shared();
        let waits = future.clone();
        let task = spawn(async move {
            let cancelled = waits.await;
            yield_now().await; // the task goes on
            cancelled
        });
        yield_now().await;
        assert!(future.cancel());
        assert_eq!(task.await.unwrap(), Err(PromiseError::Cancelled));

        // `test_cancel_both_task_and_inner_future`
        let (_giver, future) = promise::<(), ()>();
        let future = future.shared();
        let task = spawn(future.clone());
        yield_now().await;
        assert!(future.cancel() && task.request_cancel());
        assert!(matches!(task.await, Err(JoinError::Cancelled)));
    });
}

/// `test_task_cancel_waiter_future`: there the future is cancelled, too.
fn a_task_that_is_cancelled_leaves_its_promise_open<R: Runtime>() {
    run::<R>(async {
        let (giver, future) = promise::<u32, ()>();
        let task = spawn(future);
        yield_now().await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert!(!giver.is_done());
        assert_eq!(giver.set_result(1), Ok(()));
    });
}

/// `test_cancel_awaited_task`, `test_yield_future_passes_cancel`: there the task that is awaited is cancelled, too.
fn a_task_that_is_cancelled_leaves_the_task_that_it_awaits<R: Runtime>() {
    run::<R>(async {
        for together in [false, true] {
            let (inner, ended) = (spawn(pending::<()>()), Rc::new(Cell::new(false)));
            let (view, mark) = (inner.task(), ended.clone());
            inner.on_done(move |_| mark.set(true));
            let inner = if together { inner.cancel_on_drop() } else { inner };
            let outer = spawn(inner);
            yield_now().await;
            assert!(outer.cancel().await.unwrap_err().is_cancelled());
            turns(2).await;
            assert_eq!(ended.get(), together);
            view.request_cancel();
        }
    });
}

/// `test_tb_logger_exception_unretrieved`: there the loop's handler is told.
fn an_error_of_a_promise_that_is_not_retrieved_is_not_reported<R: Runtime>() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = told.clone();
    let config = Config::new().on_unhandled(move |unhandled| log.lock().unwrap().push(unhandled.to_string()));
    let runtime = R::with_config(&config).unwrap();
    runtime.block_on(async {
        let (giver, future) = promise::<(), &str>();
        giver.set_error("out of paper").unwrap();
        drop((giver, future));
    });
    end(runtime);
    assert!(told.lock().unwrap().is_empty());
}

/// `test_set_result_unless_cancelled`
fn a_result_for_a_cancelled_promise_comes_back<R: Runtime>() {
    run::<R>(async {
        let (giver, future) = promise::<String, ()>();
        assert!(future.cancel());
        assert_eq!(giver.set_result("late".into()).unwrap_err().0, "late");
        assert!(giver.is_cancelled());
        assert_eq!(future.await, Err(PromiseError::Cancelled));
    });
}

/// `test_wrap_future`, `test_wrap_future_cancel`: here by a channel between threads.
fn a_promise_is_settled_by_another_thread<R: Runtime>() {
    run::<R>(async {
        let (sender, receiver) = proactor::sync::shared::oneshot::channel();
        let there = thread(move || sender.send(std::thread::current().id()));
        let id = receiver.await.unwrap();
        assert_ne!(id, std::thread::current().id());
        there.ended().await.unwrap();

        let (sender, receiver) = proactor::sync::shared::oneshot::channel::<u32>();
        drop(receiver);
        let there = thread(move || (sender.is_closed(), sender.send(1).is_err()));
        assert_eq!(there.ended().await, (true, true), "the thread learns that it is given up");
    });
}

/// `test_schedule_callbacks_list_mutation_1`, and its kin
fn a_callback_may_add_another<R: Runtime>() {
    run::<R>(async {
        let calls = Rc::new(RefCell::new(Vec::new()));
        let (giver, future) = promise::<(), ()>();
        let future = Rc::new(future);
        let (late, log) = (future.clone(), calls.clone());
        future.on_done(move || {
            log.borrow_mut().push(1);
            let log = log.clone();
            late.on_done(move || log.borrow_mut().push(3));
        });
        let log = calls.clone();
        future.on_done(move || log.borrow_mut().push(2));
        giver.set_result(()).unwrap();
        turns(3).await;
        assert_eq!(*calls.borrow(), [1, 2, 3]);
    });
}

/// `test_await_future_during_eager_step`
fn a_promise_may_be_settled_in_an_eager_step<R: Runtime>() {
    run::<R>(async {
        let (giver, future) = promise::<&str, ()>();
        let task = spawn_eager(async move { giver.set_result("my message") });
        assert!(task.is_finished());
        assert_eq!(future.await, Ok("my message"));
    });
}

/// `test_cancellation_after_eager_completion`
fn an_eager_task_that_has_ended_is_not_cancelled<R: Runtime>() {
    run::<R>(async {
        let task = spawn_eager(async { "finished without a wait" });
        assert!(!task.request_cancel());
        assert_eq!((task.cancelling(), task.await.unwrap()), (0, "finished without a wait"));
    });
}

/// `test_cancellation_after_eager_step_blocks`
fn an_eager_task_that_waits_is_cancelled<R: Runtime>() {
    run::<R>(async {
        let task = spawn_eager(proactor::time::sleep(Duration::MAX));
        assert!(task.request_cancel());
        assert_eq!(task.cancelling(), 1);
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// `test_current_task`, `test_all_tasks_with_eager_completion`, `test_all_tasks_with_blocking`
fn an_eager_task_is_current_and_listed_in_its_first_step<R: Runtime>() {
    run::<R>(async {
        let listed = || LocalHandle::current().tasks().iter().map(|task| task.id()).collect::<Vec<_>>();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let (in_step, list) = (seen.clone(), listed);
        let task = spawn_eager(async move {
            let own = current();
            in_step.replace(list());
            yield_now().await;
            assert!(current() == own);
        });
        let id = task.id();
        assert_eq!((seen.take(), listed()), (vec![id], vec![id]));
        task.await.unwrap();
        assert_eq!(listed(), []);
        let (in_step, list) = (seen.clone(), listed);
        let task = spawn_eager(async move { _ = in_step.replace(list()) });
        assert_eq!((seen.take(), listed()), (vec![task.id()], vec![]));
    });
}

task_local! { static NUMBER: u32 = 0; }

/// `test_context_vars`
fn an_eager_task_keeps_its_values_in_later_steps<R: Runtime>() {
    run::<R>(async {
        NUMBER.set(1);
        let task = spawn_eager(async {
            let inherited = NUMBER.get();
            NUMBER.set(2);
            yield_now().await;
            let kept = NUMBER.get();
            NUMBER.set(3);
            (inherited, kept, NUMBER.get())
        });
        assert_eq!(NUMBER.get(), 1);
        assert_eq!((task.await.unwrap(), NUMBER.get()), ((1, 2, 3), 1));
    });
}

/// `test_awaitables_chain`, `test_recursive_taskgroups`, `test_recursive_gather`, as with Python's eager tasks.
fn awaits_gathers_and_groups_make_no_tasks<R: Runtime>() {
    async fn chain(depth: u32) -> u32 {
        if depth == 0 { 0 } else { 1 + Box::pin(chain(depth - 1)).await }
    }
    async fn gathers(depth: u32) {
        if depth > 0 {
            gather((0..5).map(|_| Box::pin(gathers(depth - 1)))).await;
        }
    }
    async fn groups(depth: u32) -> Result<(), ()> {
        if depth == 0 {
            return Ok(());
        }
        let ended: Result<(), GroupError<()>> = task_group(async |g| {
            for _ in 0..5 {
                g.spawn_eager(Box::pin(groups(depth - 1)));
            }
            Ok(())
        })
        .await;
        ended.map_err(drop)
    }
    let tasks = Arc::new(AtomicUsize::new(0));
    let count = tasks.clone();
    let config = Config::new().on_spawn(move |_| _ = count.fetch_add(1, Ordering::Relaxed));
    let runtime = R::with_config(&config).unwrap();
    runtime.block_on(async {
        assert_eq!(chain(100).await, 100);
        gathers(4).await;
        groups(4).await.unwrap();
    });
    end(runtime);
    assert_eq!(tasks.load(Ordering::Relaxed), 0);
}

/// `test_result_exception_one_cancellation`
fn a_gather_of_handles_takes_cancellations_for_outputs<R: Runtime>() {
    run::<R>(async {
        let tasks = [spawn(async { 1 }), spawn(pending()), spawn(async { 3 })];
        tasks[1].request_cancel();
        let outputs = gather(tasks).await;
        assert!(matches!(outputs[..], [Ok(1), Err(JoinError::Cancelled), Ok(3)]), "{outputs:?}");
    });
}

/// `test_context_1`: a coroutine that is awaited is a part of its task.
fn a_value_is_seen_by_what_is_awaited<R: Runtime>() {
    async fn inner() {
        assert_eq!(NUMBER.get(), 1);
        NUMBER.set(2);
    }
    run::<R>(async {
        NUMBER.set(1);
        inner().await;
        assert_eq!(NUMBER.get(), 2);
        for _ in 0..3 {
            yield_now().await;
            assert_eq!(NUMBER.get(), 2);
        }
    });
}
