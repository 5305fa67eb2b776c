//! What belongs to a task: its locals, its name, who is current; eager tasks; promises; callbacks for an end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use proactor::task::{
    AlreadySettled, Builder, Ended, LocalHandle, PromiseError, TaskState, call_soon, current, promise,
    spawn_eager, try_current, try_spawn,
};
use proactor::{Runtime, spawn, task_local, yield_now};

use crate::kit::*;

tests! {
    a_task_inherits_the_values_of_its_spawner,
    values_are_those_of_the_moment_of_the_spawn,
    a_value_that_a_task_sets_is_its_own,
    callbacks_and_eager_tasks_inherit_values,
    a_value_is_put_back_after_a_block,
    values_do_not_follow_to_another_thread,
    an_unused_value_is_dropped,
    the_drop_of_a_value_may_use_the_locals,
    a_task_local_without_a_value_is_an_error,
    an_eager_task_runs_before_its_spawn_returns,
    an_eager_task_that_waits_continues_like_any_other,
    an_eager_task_that_panics_gives_its_panic_to_its_handle,
    eager_tasks_nest,
    an_eager_task_may_be_cancelled_by_its_own_body,
    the_current_task_is_the_one_that_is_polled,
    all_tasks_are_listed_until_they_have_ended,
    a_task_knows_its_state_and_place,
    a_promise_is_settled_once,
    a_promise_that_is_dropped_is_cancelled,
    a_promise_may_be_cancelled_by_its_waiter,
    callbacks_of_a_promise_come_in_the_next_turn,
    callbacks_of_an_end_come_in_the_next_turn_and_in_order,
    a_callback_for_an_end_that_was_is_called_soon,
    a_callback_that_was_taken_back_is_not_called,
    callbacks_that_are_added_between_two_runs_have_names_too,
    a_callback_that_no_loop_could_call_is_refused,
    callbacks_learn_how_the_task_ended,
    t286_how_a_task_has_ended_outlives_its_result,
    t286_how_a_task_of_a_set_has_ended_outlives_its_result,
    t287_a_callback_for_an_end_that_panics_names_its_caller,
    the_result_is_taken_once,
    a_dump_shows_which_task_awaits_which,
}

task_local! {
    static USER: String;
    static DEPTH: u32 = 7;
    static HELD: Rc<Counted>;
}

fn a_task_inherits_the_values_of_its_spawner<R: Runtime>() {
    run::<R>(async {
        USER.set("ann".into());
        let inner = spawn(async { spawn(async { (USER.get(), DEPTH.get()) }).await.unwrap() });
        assert_eq!(inner.await.unwrap(), ("ann".into(), 7));
    });
}

fn values_are_those_of_the_moment_of_the_spawn<R: Runtime>() {
    run::<R>(async {
        USER.set("before".into());
        let task = spawn(async { USER.get() });
        USER.set("after".into());
        assert_eq!(task.await.unwrap(), "before");
        assert_eq!(USER.get(), "after");
    });
}

fn a_value_that_a_task_sets_is_its_own<R: Runtime>() {
    run::<R>(async {
        DEPTH.set(1);
        let tasks: Vec<_> = (10..13)
            .map(|number| {
                spawn(async move {
                    let inherited = DEPTH.get();
                    DEPTH.set(number);
                    yield_now().await; // the others set theirs
                    (inherited, DEPTH.get(), spawn(async { DEPTH.get() }).await.unwrap())
                })
            })
            .collect();
        for (number, task) in (10..13).zip(tasks) {
            assert_eq!(task.await.unwrap(), (1, number, number));
        }
        assert_eq!(DEPTH.get(), 1);
    });
}

fn callbacks_and_eager_tasks_inherit_values<R: Runtime>() {
    run::<R>(async {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = || {
            let seen = seen.clone();
            move || seen.borrow_mut().push(DEPTH.get())
        };
        DEPTH.set(1);
        call_soon(log());
        let eager = log();
        spawn_eager(async move {
            eager();
            DEPTH.set(100);
        });
        assert_eq!(DEPTH.get(), 1, "an eager task has values of its own as well");
        DEPTH.set(2);
        yield_now().await;
        assert_eq!(*seen.borrow(), [1, 1]);
    });
}

fn a_value_is_put_back_after_a_block<R: Runtime>() {
    run::<R>(async {
        DEPTH.set(1);
        let task = DEPTH.with_value(2, || {
            assert_eq!(DEPTH.get(), 2);
            spawn(async { DEPTH.get() })
        });
        assert_eq!(DEPTH.get(), 1);
        assert_eq!(task.await.unwrap(), 2);
        let panicked = panic_of(|| DEPTH.with_value(3, || panic!("expected")));
        assert_eq!((&*panicked, DEPTH.get()), ("expected", 1));
        DEPTH.unset();
        assert_eq!(DEPTH.get(), 7, "the default");
        USER.with_value("ann".into(), || assert_eq!(USER.get(), "ann"));
        USER.with(|user| assert!(user.is_none(), "there was none before"));
    });
}

fn values_do_not_follow_to_another_thread<R: Runtime>() {
    run::<R>(async {
        DEPTH.set(1);
        assert_eq!(proactor::spawn_blocking(|| DEPTH.get()).await.unwrap(), 7);
        let handle = proactor::task::Handle::current();
        let there = thread(move || handle.spawn(|| async { DEPTH.get() }).join().unwrap());
        assert_eq!(there.ended().await, 7);
    });
}

fn an_unused_value_is_dropped<R: Runtime>() {
    run::<R>(async {
        let drops = Rc::new(Cell::new(0));
        let task = spawn({
            let drops = drops.clone();
            async move {
                HELD.set(Rc::new(Counted(drops.clone())));
                let heir = spawn(std::future::pending::<()>());
                HELD.set(Rc::new(Counted(drops)));
                Some(heir)
            }
        });
        let heir = task.await.unwrap().unwrap();
        assert_eq!(drops.get(), 1, "the second has gone with its task; the first was inherited");
        let _ = heir.cancel().await;
        yield_now().await;
        assert_eq!(drops.get(), 2);
    });
}

fn the_drop_of_a_value_may_use_the_locals<R: Runtime>() {
    struct Nosy(Rc<Cell<u32>>);
    impl Drop for Nosy {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            DEPTH.with(|depth| assert!(depth.is_some()));
            if try_current().is_some() {
                DEPTH.set(self.0.get());
                spawn(async {});
            }
        }
    }
    task_local! { static NOSY: Rc<Nosy> }
    let drops = Rc::new(Cell::new(0));
    run::<R>(async {
        NOSY.set(Rc::new(Nosy(drops.clone())));
        NOSY.set(Rc::new(Nosy(drops.clone())));
        assert_eq!((drops.get(), DEPTH.get()), (1, 1));
        let counts = drops.clone();
        spawn(async move { NOSY.set(Rc::new(Nosy(counts))) }).await.unwrap();
        yield_now().await; // tasks that drops have spawned have inherited a value
        NOSY.unset();
        assert_eq!((drops.get(), DEPTH.get()), (3, 3));
    });
    assert_eq!(drops.get(), 3);
}

fn a_task_local_without_a_value_is_an_error<R: Runtime>() {
    run::<R>(async {
        let message = panic_of(|| USER.get());
        assert!(message.contains("no value"), "{message}");
    });
    let message = panic_of(|| DEPTH.set(1));
    assert!(message.contains("needs a running proactor runtime"), "{message}");
    assert_eq!(DEPTH.get(), 7);
}

fn an_eager_task_runs_before_its_spawn_returns<R: Runtime>() {
    run::<R>(async {
        let ran = Rc::new(Cell::new(0));
        let counts = ran.clone();
        let task = spawn_eager(async move { counts.set(counts.get() + 1) });
        assert_eq!(ran.get(), 1);
        assert!(task.is_finished());
        assert!(LocalHandle::current().tasks().is_empty());
        let (counts, name) = (ran.clone(), "eager");
        let task = Builder::new().name(name).eager(true).spawn(async move {
            counts.set(counts.get() + 1);
            current().name()
        });
        assert_eq!(ran.get(), 2);
        assert_eq!(task.await.unwrap().as_deref(), Some(name));
        yield_now().await;
        assert_eq!(ran.get(), 2, "polled once");
    });
}

fn an_eager_task_that_waits_continues_like_any_other<R: Runtime>() {
    run::<R>(async {
        let steps = Rc::new(RefCell::new(Vec::new()));
        let log = steps.clone();
        let task = spawn_eager(async move {
            log.borrow_mut().push("before");
            proactor::io::nop().await.unwrap();
            proactor::time::sleep(std::time::Duration::from_nanos(1)).await;
            log.borrow_mut().push("after");
            42
        });
        steps.borrow_mut().push("spawned");
        assert_eq!(task.await.unwrap(), 42);
        assert_eq!(*steps.borrow(), ["before", "spawned", "after"]);
    });
}

fn an_eager_task_that_panics_gives_its_panic_to_its_handle<R: Runtime>() {
    run::<R>(async {
        let task = spawn_eager(async { panic!("expected: eager") });
        assert!(task.is_finished());
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(current().id().to_string(), "0", "the caller goes on");
    });
}

fn eager_tasks_nest<R: Runtime>() {
    run::<R>(async {
        let outer = spawn_eager(async {
            let own = current();
            let inner = spawn_eager(async { current() });
            assert!(current() == own);
            let inner = inner.await.unwrap();
            (own, inner)
        });
        let (own, inner) = outer.await.unwrap();
        assert!(own != inner && own.id() < inner.id());
    });
}

fn an_eager_task_may_be_cancelled_by_its_own_body<R: Runtime>() {
    run::<R>(async {
        let task = spawn_eager(async {
            current().request_cancel();
            yield_now().await;
        });
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

fn the_current_task_is_the_one_that_is_polled<R: Runtime>() {
    assert!(try_current().is_none());
    run::<R>(async {
        let main = current();
        let task = spawn(async { current() });
        let id = task.id();
        let seen = task.await.unwrap();
        assert_eq!(seen.id(), id);
        assert!(seen != main && current() == main);
    });
    assert!(panic_of(current).contains("needs a running proactor runtime"));
}

fn all_tasks_are_listed_until_they_have_ended<R: Runtime>() {
    run::<R>(async {
        let local = LocalHandle::current();
        let ids = || {
            let mut ids: Vec<_> = local.tasks().iter().map(|task| task.id()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(), []);
        let short = spawn(yield_now());
        let long = spawn(std::future::pending::<()>());
        assert_eq!(ids(), [short.id(), long.id()]);
        let id = long.id();
        short.await.unwrap();
        assert_eq!(ids(), [id]);
        let _ = long.cancel().await;
        assert_eq!(ids(), []);
    });
}

fn a_task_knows_its_state_and_place<R: Runtime>() {
    run::<R>(async {
        let line = line!() + 1;
        let task = spawn(async { yield_now().await });
        let view = task.task();
        assert_eq!((view.spawned_at().file(), view.spawned_at().line()), (file!(), line));
        assert_eq!(view.state(), TaskState::Ready);
        assert_eq!(current().state(), TaskState::Running);
        let main = current();
        let seen = spawn(async move { (current().state(), main.state()) });
        assert_eq!(seen.await.unwrap(), (TaskState::Running, TaskState::Waiting));
        until(|| view.state() == TaskState::Done(Ended::Finished)).await;
        task.await.unwrap();
        assert_eq!(view.state(), TaskState::Done(Ended::Finished), "also when its result was taken");
        let cancelled = spawn(std::future::pending::<()>());
        cancelled.request_cancel();
        yield_now().await;
        assert_eq!(cancelled.task().state(), TaskState::Done(Ended::Cancelled));
    });
}

fn a_promise_is_settled_once<R: Runtime>() {
    run::<R>(async {
        let (giver, future) = promise::<u32, &str>();
        assert!(!giver.is_done() && !future.is_done());
        let waits = spawn(future);
        yield_now().await;
        assert_eq!(giver.set_result(1), Ok(()));
        assert!(giver.is_done());
        assert_eq!(giver.set_result(2), Err(AlreadySettled(2)));
        assert_eq!(giver.set_error("late"), Err(AlreadySettled("late")));
        drop(giver);
        assert_eq!(waits.await.unwrap(), Ok(1));

        let (giver, future) = promise::<u32, &str>();
        assert_eq!(giver.set_error("out of paper"), Ok(()));
        assert_eq!(giver.set_result(2), Err(AlreadySettled(2)));
        assert_eq!(future.await, Err(PromiseError::Failed("out of paper")));
    });
}

fn a_promise_that_is_dropped_is_cancelled<R: Runtime>() {
    run::<R>(async {
        let (giver, future) = promise::<(), ()>();
        let waits = spawn(future);
        yield_now().await;
        drop(giver);
        assert_eq!(waits.await.unwrap(), Err(PromiseError::Cancelled));
    });
}

fn a_promise_may_be_cancelled_by_its_waiter<R: Runtime>() {
    run::<R>(async {
        let (giver, future) = promise::<u32, ()>();
        assert!(future.cancel());
        assert!(!future.cancel());
        assert!(giver.is_done());
        assert_eq!(giver.set_result(1), Err(AlreadySettled(1)));
        assert_eq!(future.await, Err(PromiseError::Cancelled));
    });
}

fn callbacks_of_a_promise_come_in_the_next_turn<R: Runtime>() {
    run::<R>(async {
        let (giver, future) = promise::<u32, ()>();
        let calls = Rc::new(RefCell::new(Vec::new()));
        for number in 0..3 {
            let calls = calls.clone();
            future.on_done(move || calls.borrow_mut().push(number));
        }
        giver.set_result(1).unwrap();
        assert!(calls.borrow().is_empty(), "never at once");
        let late = calls.clone();
        future.on_done(move || late.borrow_mut().push(3));
        yield_now().await;
        assert_eq!(*calls.borrow(), [0, 1, 2, 3]);
    });
}

fn callbacks_of_an_end_come_in_the_next_turn_and_in_order<R: Runtime>() {
    run::<R>(async {
        let calls = Rc::new(RefCell::new(Vec::new()));
        let task = spawn(async {});
        for number in 0..3 {
            let calls = calls.clone();
            task.on_done(move |_| calls.borrow_mut().push(number));
        }
        let at_end = calls.clone();
        spawn(async move { assert!(at_end.borrow().is_empty(), "never at once") });
        yield_now().await;
        assert!(task.is_finished() && calls.borrow().is_empty());
        yield_now().await;
        assert_eq!(*calls.borrow(), [0, 1, 2]);
    });
}

fn a_callback_for_an_end_that_was_is_called_soon<R: Runtime>() {
    run::<R>(async {
        let task = spawn(async {});
        yield_now().await;
        let called = Rc::new(Cell::new(false));
        let flag = called.clone();
        task.on_done(move |_| flag.set(true));
        assert!(!called.get());
        yield_now().await;
        assert!(called.get());
    });
}

fn a_callback_that_was_taken_back_is_not_called<R: Runtime>() {
    run::<R>(async {
        let calls = Rc::new(RefCell::new(Vec::new()));
        let task = spawn(async {});
        let ids: Vec<_> = (0..3)
            .map(|number| {
                let calls = calls.clone();
                task.on_done(move |_| calls.borrow_mut().push(number))
            })
            .collect();
        assert!(task.remove_on_done(ids[1]));
        assert!(!task.remove_on_done(ids[1]));
        yield_now().await;
        yield_now().await;
        assert_eq!(*calls.borrow(), [0, 2]);
        assert!(!task.remove_on_done(ids[0]), "it has been called");
    });
}

fn a_callback_that_no_loop_could_call_is_refused<R: Runtime>() {
    let runtime = R::new().unwrap();
    let task = runtime.spawn(async {});
    runtime.block_on(turns(1));
    assert!(panic_of(|| task.on_done(|_| unreachable!())).contains("a callback of the loop needs a running"));
}

fn callbacks_that_are_added_between_two_runs_have_names_too<R: Runtime>() {
    let runtime = R::new().unwrap();
    let calls = Rc::new(RefCell::new(Vec::new()));
    let task = runtime.spawn(async {});
    let ids = [0, 1, 2].map(|number| {
        let calls = calls.clone();
        task.on_done(move |_| calls.borrow_mut().push(number))
    });
    assert!(task.remove_on_done(ids[1]));
    assert!(!task.remove_on_done(ids[1]));
    runtime.block_on(turns(3));
    assert_eq!(*calls.borrow(), [0, 2]);
}

fn callbacks_learn_how_the_task_ended<R: Runtime>() {
    run::<R>(async {
        let ends = Rc::new(RefCell::new(Vec::new()));
        let watch = |task: &proactor::task::JoinHandle<()>| {
            let ends = ends.clone();
            task.on_done(move |task| ends.borrow_mut().push(task.state()));
        };
        let finished = spawn(async {});
        let panicked = spawn(async { panic!("expected") });
        let cancelled = spawn(std::future::pending());
        [&finished, &panicked, &cancelled].into_iter().for_each(watch);
        cancelled.request_cancel();
        until(|| ends.borrow().len() == 3).await;
        let expected = [Ended::Finished, Ended::Panicked, Ended::Cancelled].map(TaskState::Done);
        assert_eq!(*ends.borrow(), expected);
        assert!(panicked.await.unwrap_err().is_panic());
    });
}

fn the_result_is_taken_once<R: Runtime>() {
    run::<R>(async {
        let mut task = try_spawn(async { Err::<(), _>("out of paper") });
        assert!(task.try_take().is_none());
        yield_now().await;
        assert_eq!(task.try_take().unwrap().unwrap(), Err("out of paper"));
        assert!(task.try_take().is_none() && task.is_finished());
    });
}

fn a_dump_shows_which_task_awaits_which<R: Runtime>() {
    run::<R>(async {
        let (stream, _peer) = half_pair();
        let reads = Builder::new().name("reads").spawn(async move { stream.read([0; 1]).await.map(drop) });
        let id = reads.id();
        let waits = Builder::new().name("waits").spawn(async move { drop(reads.await) });
        turns(2).await;
        let dump = LocalHandle::current().dump();
        let line = |name: &str| dump.lines().find(|line| line.contains(name)).unwrap().to_owned();
        assert!(
            line("reads").contains(&format!("task {id} \"reads\": Waiting, spawned at {}", file!())),
            "{dump}"
        );
        assert!(line("reads").contains(&format!(", awaited by {}, in flight: recv", waits.id())), "{dump}");
        assert!(!line("waits").contains("in flight"), "{dump}");
    });
}

/// Detached tasks, and tasks whose results were taken, say how they have ended.
fn t286_how_a_task_has_ended_outlives_its_result<R: Runtime>() {
    run::<R>(async {
        let ends = Rc::new(RefCell::new([None; 4]));
        let failing = try_spawn(async { Err::<(), _>("out of paper") });
        let failed = failing.task();
        let tasks = [
            spawn(async {}),
            spawn(async { panic!("expected") }),
            spawn(std::future::pending()),
            spawn(async {
                let _panics = OnDrop(|| panic!("expected: in the drop"));
                std::future::pending().await
            }),
        ];
        for (index, task) in tasks.iter().enumerate() {
            let ends = ends.clone();
            task.on_done(move |task| ends.borrow_mut()[index] = Some(task.state()));
        }
        yield_now().await;
        let views = [0, 1, 2, 3].map(|task| tasks[task].task());
        tasks[2].request_cancel();
        tasks[3].request_cancel();
        drop((tasks, failing));
        turns(3).await;
        let expected = [Ended::Finished, Ended::Panicked, Ended::Cancelled, Ended::Panicked];
        assert_eq!(views.map(|view| view.state()), expected.map(TaskState::Done));
        assert_eq!(*ends.borrow(), expected.map(|end| Some(TaskState::Done(end))));
        assert_eq!(failed.state(), TaskState::Done(Ended::Failed));
    });
}

fn t286_how_a_task_of_a_set_has_ended_outlives_its_result<R: Runtime>() {
    run::<R>(async {
        let set = proactor::task::TaskSet::<()>::without_results();
        let finished = set.spawn(async {});
        let panicked = set.spawn(async { panic!("expected") });
        let cancelled = set.spawn(std::future::pending());
        turns(2).await;
        cancelled.request_cancel();
        turns(3).await;
        let ends = [finished, panicked, cancelled].map(|task| task.state());
        assert_eq!(ends, [Ended::Finished, Ended::Panicked, Ended::Cancelled].map(TaskState::Done));
    });
    // A runtime that ends cancels.
    let runtime = R::new().unwrap();
    let view = runtime.block_on(async { spawn(std::future::pending::<()>()).task() });
    end(runtime);
    assert_eq!(view.state(), TaskState::Done(Ended::Cancelled));
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn t287_a_callback_for_an_end_that_panics_names_its_caller<R: Runtime>() {
    let places = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = places.clone();
    let config = proactor::Config::new().on_unhandled(move |unhandled| {
        let place = unhandled.spawned_at();
        log.lock().unwrap().push((place.file(), place.line()));
    });
    let runtime = R::with_config(&config).unwrap();
    let first = line!() + 4;
    runtime.block_on(async {
        let (settling, promised) = promise::<(), ()>();
        let task = spawn(async {});
        promised.on_done(|| panic!("expected"));
        task.on_done(|_| panic!("expected"));
        settling.set_result(()).unwrap();
        promised.on_done(|| panic!("expected: added late"));
        turns(4).await;
    });
    end(runtime);
    let mut lines = places.lock().unwrap().clone();
    lines.sort_unstable();
    assert_eq!(lines, [0, 1, 3].map(|after| (file!(), first + after)));
}
