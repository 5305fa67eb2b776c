//! Groups where somebody does what few do: waits for a task beside its group, has a waker that panics, fails before the
//! group is awaited.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use proactor::task::{self, Child, Group, GroupError, GroupHandle, TaskGroup, task_group};
use proactor::{Config, Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    a_waiter_for_a_task_is_woken_beside_its_group,
    a_group_that_has_failed_does_not_begin_its_body,
    a_hook_that_ends_the_group_ends_the_reported_task,
    children_end_with_their_group_though_a_waker_panics,
    a_body_that_panics_before_it_is_a_future_drops_the_children,
    a_panic_in_a_dropped_task_group_propagates,
    a_panic_after_the_group_is_reported,
    a_refused_child_has_a_result,
    an_error_that_cannot_be_displayed_does_no_harm,
    the_result_of_a_promise_is_dropped_with_its_waiter,
}

fn a_waiter_for_a_task_is_woken_beside_its_group<R: Runtime>() {
    run::<R>(async {
        // Inside of the group, and the handle's waiter comes second.
        let group = TaskGroup::<()>::new();
        let child = group.spawn(async {
            turns(3).await;
            Ok(1)
        });
        let sum = group.spawn(async move { Ok(child.await.unwrap() + 1) });
        group.join().await.unwrap();
        assert_eq!(sum.await.unwrap(), 2);
        // Outside of it, and the handle's waiter comes first.
        let group = TaskGroup::<()>::new();
        let child = group.spawn(async {
            turns(3).await;
            Ok(1)
        });
        let waits = spawn(child);
        turns(1).await;
        group.join().await.unwrap();
        assert_eq!(waits.await.unwrap().unwrap(), 1);
    });
}

fn a_group_that_has_failed_does_not_begin_its_body<R: Runtime>() {
    run::<R>(async {
        let group = TaskGroup::new();
        group.spawn(async { Err::<(), _>("too soon") });
        turns(2).await;
        let ended = group.run(async |_| pending::<Result<(), _>>().await).await;
        assert!(ended.unwrap_err().iter().eq(&["too soon"]));
        let group = TaskGroup::<&str>::new();
        group.cancel();
        assert_eq!(group.run(async |_| pending::<Result<(), _>>().await).await, Ok(None));
    });
}

fn a_hook_that_ends_the_group_ends_the_reported_task<R: Runtime>() {
    thread_local! {
        static GROUP: RefCell<Option<GroupHandle<()>>> = const { RefCell::new(None) };
    }
    let config = Config::new().on_spawn(|_| {
        let group = GROUP.take();
        group.into_iter().for_each(|group| group.cancel());
    });
    let runtime = R::with_config(&config).unwrap();
    runtime.block_on(async {
        let group = TaskGroup::<()>::new();
        GROUP.set(Some(group.handle()));
        let child = group.spawn(pending::<Result<(), _>>());
        assert_eq!(group.run(async |_| Ok(())).await, Ok(None));
        assert!(child.await.unwrap_err().is_cancelled());
    });
    end(runtime);
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("expected: a waker on fire");
    }
}

/// The children have the address of what goes with the group, so none may be left that could use it.
fn children_end_with_their_group_though_a_waker_panics<R: Runtime>() {
    run::<R>(async {
        let kept: Rc<RefCell<Vec<Child<()>>>> = Rc::default();
        let dropped = Rc::new(std::cell::Cell::new(0));
        let group = task_group(async |g: &Group<'_, '_, (), ()>| {
            for _ in 0..3 {
                let guard = Counted(dropped.clone());
                kept.borrow_mut().push(g.spawn(async move {
                    let _guard = guard;
                    pending().await
                }));
            }
            pending().await
        });
        let mut group: Pin<Box<dyn Future<Output = Result<(), GroupError<()>>>>> = Box::pin(group);
        for _ in 0..2 {
            assert!(group.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        let waker = Waker::from(Arc::new(Panics));
        let first = Pin::new(&mut kept.borrow_mut()[0]).poll(&mut Context::from_waker(&waker));
        assert!(first.is_pending());
        let message = panic_of(|| drop(group));
        assert_eq!((&*message, dropped.get()), ("expected: a waker on fire", 3));
        for child in kept.take() {
            assert!(child.is_finished() && !child.request_cancel());
        }
    });
}

fn a_body_that_panics_before_it_is_a_future_drops_the_children<R: Runtime>() {
    thread_local! {
        static SHARED: Rc<()> = Rc::new(());
    }
    fn body<'scope>(group: &'scope Group<'scope, '_, (), ()>) -> std::future::Pending<Result<(), ()>> {
        let shared = SHARED.with(Rc::clone);
        group.spawn(async move {
            let _shared = shared;
            Ok(())
        });
        panic!("expected: no future")
    }
    run::<R>(async {
        let mut group: Pin<Box<dyn Future<Output = Result<(), GroupError<()>>>>> = Box::pin(task_group(body));
        let message = panic_of(|| {
            let _ = group.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        assert_eq!(message, "expected: no future");
        assert_eq!(SHARED.with(Rc::strong_count), 1);
    });
}

fn a_panic_in_a_dropped_task_group_propagates<R: Runtime>() {
    run::<R>(async {
        let group = TaskGroup::<()>::new();
        group.spawn(async { panic_now::<()>() });
        turns(2).await;
        assert_eq!(panic_of(|| drop(group)), "expected: on fire");
    });
}

fn a_panic_after_the_group_is_reported<R: Runtime>() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic_now::<()>().unwrap();
        }
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let config =
        Config::new().on_unhandled(move |unhandled| log.lock().unwrap().push(unhandled.message().to_owned()));
    let runtime = R::with_config(&config).unwrap();
    runtime.block_on(async {
        let group = TaskGroup::<()>::new();
        group.spawn(async {
            let _bad = Bad;
            pending::<Result<(), _>>().await
        });
        group.spawn(async {
            let _caught = task::catch_cancel(pending::<()>()).await;
            panic_now::<()>()
        });
        turns(2).await;
        drop(group);
        turns(4).await;
    });
    end(runtime);
    assert_eq!(*seen.lock().unwrap(), ["expected: on fire", "expected: on fire"]);
}

fn panic_now<T>() -> Result<T, ()> {
    panic!("expected: on fire")
}

fn a_refused_child_has_a_result<R: Runtime>() {
    run::<R>(async {
        let group = TaskGroup::<()>::new();
        group.cancel();
        let mut child = group.spawn(async { Ok(()) });
        assert!(child.is_finished() && child.try_take().unwrap().unwrap_err().is_cancelled());
        assert!(child.try_take().is_none(), "it has been taken");
    });
}

fn an_error_that_cannot_be_displayed_does_no_harm<R: Runtime>() {
    struct Mute;
    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("expected: no words")
        }
    }
    run::<R>(async {
        drop(task::try_spawn(async { Err::<(), _>(Mute) }));
        let task = task::try_spawn(async { Err::<(), _>(Mute) });
        while !task.is_finished() {
            yield_now().await;
        }
        assert!(catch_unwind(AssertUnwindSafe(|| drop(task.task()))).is_ok());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(task))).is_ok());
    });
}

fn the_result_of_a_promise_is_dropped_with_its_waiter<R: Runtime>() {
    run::<R>(async {
        let dropped = Rc::new(std::cell::Cell::new(0));
        let (promise, promised) = task::promise::<Counted, ()>();
        assert!(promise.set_result(Counted(dropped.clone())).is_ok());
        drop(promised);
        assert_eq!(dropped.get(), 1);
        assert!(promise.is_done());
    });
}
