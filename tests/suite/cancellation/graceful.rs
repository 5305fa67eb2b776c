//! Ends of everything (a set's shutdown, a runtime's end, a drop): a task that handles a request already keeps its time.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use proactor::task::{GroupError, TaskSet, catch_cancel, task_group};
use proactor::time::timeout_scope;
use proactor::{Runtime, join, spawn, yield_now};

use crate::kit::*;

tests! {
    t270_a_shutdown_lets_tasks_finish_what_they_began_before,
    t270_two_shutdowns_at_a_time_ask_once,
    t270_a_task_that_handles_a_request_for_ever_is_forced_and_counted,
    t270_a_task_that_goes_on_after_its_limit_is_asked_then,
    t270_a_task_that_has_swallowed_a_request_is_asked_again,
    t271_the_end_of_a_runtime_lets_tasks_finish_what_they_began_before,
    t271_a_drop_lets_tasks_finish_what_they_began_before,
    t272_a_task_of_a_set_that_awaits_the_end_of_the_set_panics,
    t273_destructors_that_start_tasks_for_ever_do_not_hold_up_a_shutdown,
}

const LONG: Duration = Duration::from_secs(600);

/// The part of a task that was asked to end.
#[derive(Clone, Default)]
struct Save {
    begun: Rc<Cell<bool>>,
    done: Rc<Cell<bool>>,
}

impl Save {
    /// Saves when the task is asked to end.
    async fn at_end(self) {
        let _request = catch_cancel(pending::<()>()).await;
        self.begun.set(true);
        turns(20).await;
        self.done.set(true);
    }

    async fn begins(&self) {
        while !self.begun.get() {
            yield_now().await;
        }
        assert!(!self.done.get());
    }
}

/// Starts tasks that are about to save, each for another reason.
async fn saving(set: &TaskSet<()>) -> Vec<Save> {
    let saves: Vec<Save> = (0..5).map(|_| Save::default()).collect();
    set.spawn(saves[0].clone().at_end());
    turns(2).await;
    set.request_cancel();
    let save = saves[1].clone();
    set.spawn(async { _ = timeout_scope(Duration::ZERO, async |_| save.at_end().await).await });
    let save = saves[2].clone();
    set.spawn(async {
        let _: Result<(), GroupError<&str>> = task_group(async move |g| {
            g.spawn(async { Err::<(), _>("failed") });
            save.at_end().await;
            Ok(())
        })
        .await;
    });
    let save = saves[3].clone();
    set.spawn(async {
        let inner = spawn(save.at_end()).cancel_on_drop();
        turns(2).await;
        inner.request_cancel();
        yield_now().await;
        pending::<()>().await
    });
    let save = saves[4].clone();
    let task = set.spawn(async { _ = catch_cancel(save.at_end()).await });
    turns(2).await;
    task.request_cancel();
    for save in &saves {
        save.begins().await;
    }
    saves
}

fn t270_a_shutdown_lets_tasks_finish_what_they_began_before<R: Runtime>() {
    run::<R>(async {
        let set = TaskSet::without_results();
        let saves = saving(&set).await;
        assert_eq!(set.shutdown(LONG).await, 0);
        assert_eq!(saves.iter().map(|save| save.done.get()).collect::<Vec<_>>(), [true; 5]);
    });
}

fn t270_two_shutdowns_at_a_time_ask_once<R: Runtime>() {
    run::<R>(async {
        let set = TaskSet::without_results();
        let save = Save::default();
        set.spawn(save.clone().at_end());
        turns(2).await;
        let second = async {
            save.begins().await;
            set.shutdown(LONG).await
        };
        assert_eq!(join!(set.shutdown(LONG), second), (0, 0));
        assert!(save.done.get());
    });
}

fn t270_a_task_that_handles_a_request_for_ever_is_forced_and_counted<R: Runtime>() {
    run::<R>(async {
        let set = TaskSet::new();
        set.spawn(async {
            let _request = catch_cancel(pending::<()>()).await;
            pending::<()>().await;
        });
        turns(2).await;
        set.request_cancel();
        turns(2).await;
        assert_eq!(set.shutdown(Duration::from_millis(5)).await, 1);
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
    });
}

fn t270_a_task_that_goes_on_after_its_limit_is_asked_then<R: Runtime>() {
    run::<R>(async {
        let set = TaskSet::new();
        let save = Save::default();
        let saves = save.clone();
        set.spawn(async {
            _ = timeout_scope(Duration::ZERO, async |_| saves.at_end().await).await;
            pending::<()>().await;
        });
        save.begins().await;
        assert_eq!(set.shutdown(LONG).await, 0);
        assert!(save.done.get());
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
    });
}

fn t270_a_task_that_has_swallowed_a_request_is_asked_again<R: Runtime>() {
    run::<R>(async {
        let set = TaskSet::new();
        let swallowing = Rc::new(Cell::new(false));
        let swallows = swallowing.clone();
        set.spawn(async move {
            let request = catch_cancel(pending::<()>()).await.unwrap_err();
            swallows.set(true);
            turns(5).await;
            request.uncancel();
            catch_cancel(pending::<()>()).await.is_err()
        });
        turns(2).await;
        set.request_cancel();
        while !swallowing.get() {
            yield_now().await;
        }
        assert_eq!(set.shutdown(LONG).await, 0);
        assert!(set.join_next().await.unwrap().unwrap(), "it was not asked by the shutdown");
    });
}

fn t271_the_end_of_a_runtime_lets_tasks_finish_what_they_began_before<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (saves, set) = runtime.block_on(async {
        let set = TaskSet::without_results();
        (saving(&set).await, set)
    });
    runtime.shutdown(LONG);
    assert_eq!(saves.iter().map(|save| save.done.get()).collect::<Vec<_>>(), [true; 5]);
    drop(set);
}

fn t271_a_drop_lets_tasks_finish_what_they_began_before<R: Runtime>() {
    run::<R>(async {
        let owner = spawn(async {
            let set = TaskSet::without_results();
            let saves = saving(&set).await;
            let save = Save::default();
            let task = spawn(save.clone().at_end()).cancel_on_drop();
            turns(2).await;
            task.request_cancel();
            save.begins().await;
            drop((set, task));
            (saves, save)
        });
        let (saves, save) = owner.await.unwrap();
        turns(40).await;
        assert_eq!(saves.iter().map(|save| save.done.get()).collect::<Vec<_>>(), [true; 5]);
        assert!(save.done.get());
    });
}

fn t272_a_task_of_a_set_that_awaits_the_end_of_the_set_panics<R: Runtime>() {
    run::<R>(async {
        let set = Rc::new(TaskSet::without_results());
        let panicked = Rc::new(RefCell::new(String::new()));
        let (own, seen) = (set.clone(), panicked.clone());
        set.spawn(async move {
            let mut wait = own.join_next();
            let panic = panic_of(|| _ = Pin::new(&mut wait).poll(&mut Context::from_waker(Waker::noop())));
            *seen.borrow_mut() = panic;
        });
        assert!(set.join_next().await.is_none());
        assert!(panicked.borrow().contains("Let a task outside the set await it"), "{}", panicked.borrow());
        // In a set with results a task may take those of the others.
        let set = Rc::new(TaskSet::new());
        let own = set.clone();
        set.spawn(async move { own.join_next().await.unwrap().unwrap() + 1 });
        set.spawn(async { 1 });
        turns(5).await;
        assert_eq!(set.join_next().await.unwrap().unwrap(), 2);
    });
}

fn t273_destructors_that_start_tasks_for_ever_do_not_hold_up_a_shutdown<R: Runtime>() {
    struct Again(Rc<TaskSet<()>>, Rc<Cell<bool>>);
    impl Drop for Again {
        fn drop(&mut self) {
            if !self.1.get() {
                let again = Again(self.0.clone(), self.1.clone());
                self.0.spawn(async move {
                    let _again = again;
                    pending().await
                });
            }
        }
    }
    run::<R>(async {
        let (set, stop) = (Rc::new(TaskSet::without_results()), Rc::new(Cell::new(false)));
        let again = Again(set.clone(), stop.clone());
        set.spawn(async move {
            let _again = again;
            pending().await
        });
        turns(2).await;
        assert!(set.shutdown(Duration::from_millis(5)).await <= 1);
        assert!(set.is_empty());
        stop.set(true);
        turns(5).await;
    });
}
