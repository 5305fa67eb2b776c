//! Promises: a look at one, several that await one, callbacks that are taken back.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use proactor::task::{PromiseError, promise};
use proactor::{Runtime, gather, spawn, yield_now};

use crate::kit::*;

tests! {
    a_promise_is_looked_at_without_a_wait,
    an_outcome_is_taken_without_a_wait,
    callbacks_of_a_promise_are_taken_back,
    a_callback_takes_back_another,
    tasks_and_callbacks_of_a_promise_come_in_the_order_in_which_they_began,
    several_tasks_await_one_promise,
    a_promise_is_awaited_twice,
    a_cancellation_reaches_all_waiters_of_a_promise,
    a_waiter_that_gives_up_leaves_the_others,
    the_last_share_drops_the_outcome,
    t230_a_waker_that_panics_hides_a_result_from_no_task,
}

type Log<T> = Rc<RefCell<Vec<T>>>;

fn a_promise_is_looked_at_without_a_wait<R: Runtime>() {
    let (giver, future) = promise::<u32, &str>();
    assert!(!future.is_done() && !future.is_cancelled() && future.outcome().is_none());
    giver.set_result(42).unwrap();
    assert!(future.is_done() && !future.is_cancelled() && !giver.is_cancelled());
    let (one, two) = (future.outcome(), future.outcome());
    assert_eq!((one.as_deref(), two.as_deref()), (Some(&Ok(42)), Some(&Ok(42))));
    assert!(giver.set_error("late").is_err() && !future.cancel(), "while it is looked at");
    assert!(
        panic_of(|| future.on_done(|| unreachable!())).contains("a callback of the loop needs a running")
    );
    drop((one, two));
    run::<R>(async { assert_eq!(future.await, Ok(42)) });

    let (giver, future) = promise::<u32, &str>();
    giver.set_error("out of paper").unwrap();
    assert!(future.is_done() && !future.is_cancelled());
    assert_eq!(future.outcome().as_deref(), Some(&Err(PromiseError::Failed("out of paper"))));

    let (giver, future) = promise::<u32, &str>();
    assert!(future.cancel());
    assert!(giver.is_done() && giver.is_cancelled() && future.is_cancelled());
    assert_eq!(future.outcome().as_deref(), Some(&Err(PromiseError::Cancelled)));

    let (giver, future) = promise::<u32, &str>();
    drop(giver);
    assert!(future.is_cancelled());
}

fn an_outcome_is_taken_without_a_wait<R: Runtime>() {
    let (giver, mut future) = promise::<String, ()>();
    assert_eq!(future.try_take(), None);
    giver.set_result("42".into()).unwrap();
    assert_eq!(future.try_take(), Some(Ok("42".into())));
    assert_eq!(future.try_take(), None);
    assert!(future.is_done() && future.outcome().is_none());
}

fn callbacks_of_a_promise_are_taken_back<R: Runtime>() {
    run::<R>(async {
        let calls = Log::default();
        let (giver, future) = promise::<(), ()>();
        let ids: Vec<_> = (0..6)
            .map(|number| {
                let calls = calls.clone();
                future.on_done(move || calls.borrow_mut().push(number))
            })
            .collect();
        for taken in [0, 2, 3, 5] {
            assert!(future.remove_on_done(ids[taken]));
            assert!(!future.remove_on_done(ids[taken]), "once");
        }
        giver.set_result(()).unwrap();
        assert!(!future.remove_on_done(ids[1]), "it is about to be called");
        turns(2).await;
        assert_eq!(*calls.borrow(), [1, 4]);
        assert!(!future.remove_on_done(ids[4]));
    });
}

/// As in asyncio: the end has handed all of them to the loop already.
fn a_callback_takes_back_another<R: Runtime>() {
    run::<R>(async {
        let (giver, future) = promise::<(), ()>();
        let future = Rc::new(future);
        let (second, answer) = (Rc::new(Cell::new(None)), Log::default());
        let (asks, id, answers) = (future.clone(), second.clone(), answer.clone());
        future.on_done(move || answers.borrow_mut().push(asks.remove_on_done(id.get().unwrap())));
        let called = answer.clone();
        second.set(Some(future.on_done(move || called.borrow_mut().push(true))));
        giver.set_result(()).unwrap();
        turns(2).await;
        assert_eq!(*answer.borrow(), [false, true]);
    });
}

fn tasks_and_callbacks_of_a_promise_come_in_the_order_in_which_they_began<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let note = |what: &'static str| {
            let log = log.clone();
            move || log.borrow_mut().push(what)
        };
        let (giver, future) = promise::<(), ()>();
        let future = future.shared();
        let task = |what| {
            let (future, note) = (future.clone(), note(what));
            spawn(async move {
                future.await.unwrap();
                note();
            })
        };
        future.on_done(note("callback 0"));
        task("task 1");
        turns(1).await;
        future.on_done(note("callback 2"));
        task("task 3");
        turns(1).await;
        future.on_done(note("callback 4"));
        giver.set_result(()).unwrap();
        assert!(log.borrow().is_empty(), "never at once");
        yield_now().await;
        assert_eq!(*log.borrow(), ["callback 0", "task 1", "callback 2", "task 3", "callback 4"]);
    });
}

fn several_tasks_await_one_promise<R: Runtime>() {
    run::<R>(async {
        let (giver, future) = promise::<String, ()>();
        let future = future.shared();
        let tasks: Vec<_> = (0..3).map(|_| spawn(future.clone())).collect();
        let gathered = gather((0..3).map(|_| &future).map(std::future::IntoFuture::into_future));
        let late = future.clone();
        turns(1).await;
        giver.set_result("42".into()).unwrap();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap(), "42");
        }
        assert_eq!(gathered.await, vec![Ok("42".to_owned()); 3]);
        assert_eq!(late.await.unwrap(), "42");
        assert_eq!(future.outcome().as_deref(), Some(&Ok("42".into())));
    });
}

fn a_promise_is_awaited_twice<R: Runtime>() {
    run::<R>(async {
        let (giver, future) = promise::<(), &str>();
        let mut future = future.shared();
        spawn(async move { giver.set_error("out of paper") });
        let failed = Err(PromiseError::Failed("out of paper"));
        assert_eq!((&future).await, failed);
        assert_eq!((&future).await, failed);
        assert_eq!((&mut future).await, failed);
        assert_eq!(future.await, failed);
    });
}

fn a_cancellation_reaches_all_waiters_of_a_promise<R: Runtime>() {
    run::<R>(async {
        let (giver, future) = promise::<u32, ()>();
        let future = future.shared();
        let tasks: Vec<_> = (0..3).map(|_| spawn(future.clone())).collect();
        yield_now().await;
        assert!(future.cancel());
        assert!(!future.cancel() && future.is_cancelled() && giver.is_cancelled());
        for task in tasks {
            assert_eq!(task.await.unwrap(), Err(PromiseError::Cancelled));
        }
        assert!(giver.set_result(1).is_err());
    });
}

fn a_waiter_that_gives_up_leaves_the_others<R: Runtime>() {
    run::<R>(async {
        let (giver, future) = promise::<u32, ()>();
        let future = future.shared();
        let tasks: Vec<_> = (0..1000).map(|_| spawn(future.clone())).collect();
        yield_now().await;
        let mut left = Vec::new();
        for (number, task) in tasks.into_iter().enumerate() {
            if number % 3 == 0 {
                left.push(task);
            } else {
                assert!(task.cancel().await.unwrap_err().is_cancelled());
            }
        }
        giver.set_result(42).unwrap();
        for task in left {
            assert_eq!(task.await.unwrap(), Ok(42));
        }
    });
}

fn the_last_share_drops_the_outcome<R: Runtime>() {
    run::<R>(async {
        let drops = Rc::new(Cell::new(0));
        let (giver, future) = promise::<Rc<Counted>, ()>();
        let (one, two) = {
            let future = future.shared();
            (future.clone(), future)
        };
        giver.set_result(Rc::new(Counted(drops.clone()))).unwrap();
        drop(one);
        assert_eq!(drops.get(), 0);
        drop((&two).await.unwrap());
        assert_eq!(drops.get(), 0, "it stays for those that come");
        drop(two);
        assert_eq!(drops.get(), 1, "although the other side is there");
        drop(giver);
    });
}

fn t230_a_waker_that_panics_hides_a_result_from_no_task<R: Runtime>() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("expected: a waker");
        }
    }
    run::<R>(async {
        let (giver, future) = promise::<u32, ()>();
        let future = future.shared();
        let mut first = pin!(future.clone());
        let waker = Waker::from(Arc::new(Panics));
        assert!(std::future::Future::poll(first.as_mut(), &mut Context::from_waker(&waker)).is_pending());
        let task = spawn(future);
        yield_now().await;
        giver.set_result(42).unwrap();
        assert_eq!(task.await.unwrap(), Ok(42));
        let polled = std::future::Future::poll(first.as_mut(), &mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(Ok(42)));
    });
}
