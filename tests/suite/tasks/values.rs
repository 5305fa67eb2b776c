//! Task-locals of callbacks for an end, and of futures that share a task.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;

use proactor::task::{LocalHandle, TaskGroup, promise, spawn_eager, task_group};
use proactor::{Runtime, as_completed, gather, spawn, task_local, yield_now};

use crate::kit::*;

tests! {
    a_callback_of_a_task_has_the_values_of_the_moment_of_adding,
    a_callback_of_a_promise_has_the_values_of_the_moment_of_adding,
    a_callback_that_was_added_outside_of_a_loop_has_no_values,
    a_callback_that_sets_a_value_changes_only_its_own,
    children_of_a_gather_have_values_of_their_own,
    children_of_as_completed_have_values_of_their_own,
    children_of_a_group_have_values_of_their_own,
    the_body_of_a_group_has_the_values_of_its_task,
    values_of_a_child_are_those_of_the_moment_of_its_start,
    a_child_that_is_dropped_has_its_own_values,
    tasks_and_callbacks_of_a_child_inherit_its_values,
    an_eager_task_of_a_child_has_values_of_its_own,
    a_child_that_panics_leaves_the_values_of_its_task,
    values_of_a_child_that_has_ended_are_dropped,
}

task_local! {
    static NUMBER: u32 = 0;
    static HELD: Rc<Counted>;
}

type Log = Rc<RefCell<Vec<u32>>>;

/// Notes the value that a callback sees.
fn note(log: &Log) -> impl FnOnce() + 'static {
    let log = log.clone();
    move || log.borrow_mut().push(NUMBER.get())
}

fn a_callback_of_a_task_has_the_values_of_the_moment_of_adding<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        NUMBER.set(1);
        let task = spawn(async {
            yield_now().await;
            NUMBER.set(100);
        });
        let add = |note: Box<dyn FnOnce()>| task.on_done(move |_| note());
        NUMBER.set(2);
        add(Box::new(note(&log)));
        NUMBER.set(3);
        add(Box::new(note(&log)));
        until(|| log.borrow().len() == 2).await;
        NUMBER.set(4);
        add(Box::new(note(&log))); // it has ended
        NUMBER.set(5);
        until(|| log.borrow().len() == 3).await;
        assert_eq!(*log.borrow(), [2, 3, 4]);
    });
}

fn a_callback_of_a_promise_has_the_values_of_the_moment_of_adding<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let (giver, future) = promise::<(), ()>();
        NUMBER.set(1);
        future.on_done(note(&log));
        NUMBER.set(2);
        future.on_done(note(&log));
        spawn(async move {
            NUMBER.set(100);
            giver.set_result(()).unwrap();
        });
        until(|| log.borrow().len() == 2).await;
        NUMBER.set(3);
        future.on_done(note(&log)); // it is settled
        NUMBER.set(4);
        until(|| log.borrow().len() == 3).await;
        assert_eq!(*log.borrow(), [1, 2, 3]);
    });
}

fn a_callback_that_was_added_outside_of_a_loop_has_no_values<R: Runtime>() {
    let runtime = R::new().unwrap();
    let log = Log::default();
    let task = runtime.spawn(async { NUMBER.set(1) });
    let (giver, future) = promise::<(), ()>();
    let seen = note(&log);
    task.on_done(move |_| seen());
    future.on_done(note(&log));
    runtime.block_on(async {
        NUMBER.set(2);
        giver.set_result(()).unwrap();
        until(|| log.borrow().len() == 2).await;
    });
    assert_eq!(*log.borrow(), [0, 0]);
}

fn a_callback_that_sets_a_value_changes_only_its_own<R: Runtime>() {
    run::<R>(async {
        NUMBER.set(1);
        let log = Log::default();
        let (task, second) = (spawn(async {}), note(&log));
        task.on_done(|_| NUMBER.set(100));
        task.on_done(move |_| second());
        until(|| log.borrow().len() == 1).await;
        assert_eq!((log.borrow()[0], NUMBER.get()), (1, 1));
    });
}

/// Sets a value, lets the others set theirs, and gives what it has inherited and what it has.
async fn set_one(number: u32) -> (u32, u32) {
    let inherited = NUMBER.get();
    NUMBER.set(number);
    yield_now().await;
    (inherited, NUMBER.get())
}

fn children_of_a_gather_have_values_of_their_own<R: Runtime>() {
    run::<R>(async {
        assert_eq!(gather((10..13).map(set_one)).await, [(0, 10), (0, 11), (0, 12)]);
        assert_eq!(NUMBER.get(), 0, "of who has none before");
        NUMBER.set(1);
        let nested = gather((0..2).map(async |_| (set_one(5).await, gather((20..22).map(set_one)).await)));
        assert_eq!(nested.await, vec![((1, 5), vec![(5, 20), (5, 21)]); 2]);
        assert_eq!(NUMBER.get(), 1);
    });
}

fn children_of_as_completed_have_values_of_their_own<R: Runtime>() {
    run::<R>(async {
        NUMBER.set(1);
        let mut seen = as_completed((10..13).map(set_one));
        for number in 10..13 {
            let (_, values) = seen.next().await.unwrap();
            assert_eq!(values, (1, number));
            assert_eq!(NUMBER.get(), 1);
        }
    });
}

fn children_of_a_group_have_values_of_their_own<R: Runtime>() {
    run::<R>(async {
        NUMBER.set(1);
        let ended: Result<_, proactor::task::GroupError<()>> = task_group(async |g| {
            let children: Vec<_> =
                (10..13).map(|number| g.spawn(async move { Ok(set_one(number).await) })).collect();
            for (number, child) in (10..13).zip(children) {
                assert_eq!(child.await.unwrap(), (1, number));
            }
            Ok(NUMBER.get())
        })
        .await;
        assert_eq!((ended.unwrap(), NUMBER.get()), (1, 1));

        let group = TaskGroup::<()>::new();
        let children: Vec<_> =
            (10..13).map(|number| group.spawn(async move { Ok(set_one(number).await) })).collect();
        group.join().await.unwrap();
        for (number, child) in (10..13).zip(children) {
            assert_eq!(child.await.unwrap(), (1, number));
        }
        assert_eq!(NUMBER.get(), 1);
    });
}

/// As the block of Python's `async with TaskGroup()` is a part of its task.
fn the_body_of_a_group_has_the_values_of_its_task<R: Runtime>() {
    run::<R>(async {
        NUMBER.set(1);
        task_group(async |g| {
            assert_eq!(NUMBER.get(), 1);
            NUMBER.set(2);
            let child = g.spawn(async { Ok::<_, ()>(set_one(3).await) });
            assert_eq!(child.await.unwrap(), (2, 3));
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(NUMBER.get(), 2);
        let ended = TaskGroup::<()>::new().run(async |_| {
            yield_now().await;
            NUMBER.set(3);
            Ok(())
        });
        ended.await.unwrap();
        assert_eq!(NUMBER.get(), 3);
    });
}

fn values_of_a_child_are_those_of_the_moment_of_its_start<R: Runtime>() {
    run::<R>(async {
        NUMBER.set(1);
        let gathered = gather([set_one(2)]);
        NUMBER.set(3);
        assert_eq!(gathered.await, [(1, 2)]);
        // Whoever polls it, and whatever that one has.
        let elsewhere = gather([async { (NUMBER.get(), yield_now().await, NUMBER.get()) }]);
        let task = spawn(async move {
            NUMBER.set(100);
            (elsewhere.await, NUMBER.get())
        });
        assert_eq!(task.await.unwrap(), (vec![(3, (), 3)], 100));
    });
}

/// Notes the value that its drop sees.
struct Dropped(Log);

impl Drop for Dropped {
    fn drop(&mut self) {
        note(&self.0)();
    }
}

fn a_child_that_is_dropped_has_its_own_values<R: Runtime>() {
    run::<R>(async {
        NUMBER.set(1);
        let log = Log::default();
        let child = |number| {
            let held = Dropped(log.clone());
            async move {
                NUMBER.set(number);
                pending::<()>().await;
                drop(held);
                Ok(())
            }
        };
        let mut gathered = Box::pin(gather([child(10), child(11)]));
        assert!(poll_once(&mut gathered).await.is_pending());
        drop(gathered);
        assert_eq!(*log.borrow(), [10, 11]);
        let ended: Result<(), proactor::task::GroupError<()>> = task_group(async |g| {
            let cancelled = g.spawn(child(12));
            g.spawn(child(13));
            yield_now().await;
            assert!(cancelled.cancel().await.unwrap_err().is_cancelled());
            g.cancel();
            Ok(())
        })
        .await;
        ended.unwrap();
        assert_eq!((&log.borrow()[2..], NUMBER.get()), (&[12, 13][..], 1));
    });
}

fn tasks_and_callbacks_of_a_child_inherit_its_values<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        gather([async {
            NUMBER.set(10);
            spawn(async { assert_eq!(NUMBER.get(), 10) }).await.unwrap();
            LocalHandle::current().call_soon(note(&log));
            let task = spawn(yield_now());
            let seen = note(&log);
            task.on_done(move |_| seen());
            NUMBER.set(11);
            task.await.unwrap();
        }])
        .await;
        until(|| log.borrow().len() == 2).await;
        assert_eq!((&**log.borrow(), NUMBER.get()), (&[10, 10][..], 0));
    });
}

fn an_eager_task_of_a_child_has_values_of_its_own<R: Runtime>() {
    run::<R>(async {
        gather([async {
            NUMBER.set(10);
            let task = spawn_eager(set_one(11));
            assert_eq!(NUMBER.get(), 10);
            assert_eq!(task.await.unwrap(), (10, 11));
            assert_eq!(NUMBER.get(), 10);
        }])
        .await;
        assert_eq!(NUMBER.get(), 0);
    });
}

fn a_child_that_panics_leaves_the_values_of_its_task<R: Runtime>() {
    run::<R>(async {
        NUMBER.set(1);
        let mut gathered = Box::pin(gather([async {
            NUMBER.set(2);
            panic!("expected");
        }]));
        let panicked = std::future::poll_fn(|cx| {
            let poll = || drop(std::future::Future::poll(gathered.as_mut(), cx));
            std::task::Poll::Ready(panic_of(poll))
        });
        assert_eq!(panicked.await, "expected");
        assert_eq!(NUMBER.get(), 1);
    });
}

fn values_of_a_child_that_has_ended_are_dropped<R: Runtime>() {
    run::<R>(async {
        let drops = Rc::new(Cell::new(0));
        gather((0..2).map(async |_| HELD.set(Rc::new(Counted(drops.clone()))))).await;
        assert_eq!(drops.get(), 2);
        task_group(async |g| {
            let child = g.spawn(async {
                HELD.set(Rc::new(Counted(drops.clone())));
                Ok::<_, ()>(())
            });
            until(|| child.is_finished()).await;
            assert_eq!(drops.get(), 3, "although its handle is there");
            Ok(())
        })
        .await
        .unwrap();
    });
}
