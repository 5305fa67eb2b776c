//! Several futures at once: groups, gather and its like; scopes and generators.

use std::cell::Cell;
use std::future::{Future, pending};
use std::io;
use std::panic::resume_unwind;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::{Dropped, run};
use crate::combine::ReturnWhen;
use crate::scope::{AsyncClose, using};
use crate::stream::{StreamExt, generate};
use crate::task::task_group;
use crate::task::{GroupError, TaskGroup};
use crate::{as_completed, gather, select, shield, spawn, try_gather, wait, yield_now};

/// Ready with its number after so many turns.
async fn turns(number: usize) -> usize {
    let borrowed = &number;
    for _ in 0..number {
        yield_now().await;
    }
    *borrowed
}

#[test]
fn gather_and_its_like_poll_and_drop_each_where_it_lies() {
    run(async {
        let numbers: Vec<usize> = (0..10).rev().collect();
        assert_eq!(gather(numbers.iter().map(|number| turns(*number))).await, numbers);
        let failed = try_gather((0..6).map(async |number| {
            turns(number).await;
            if number == 3 { Err(number) } else { Ok(number) }
        }));
        assert_eq!(failed.await, Err(3));
        let mut completed = as_completed([3, 1, 2].map(turns));
        assert_eq!(completed.next().await, Some((1, 1)));
        drop(completed);
        let mut tasks = [3, 1].map(|number| spawn(turns(number)));
        let first = wait(&mut tasks).until(ReturnWhen::FirstCompleted).await;
        assert_eq!(first.done, [1]);
        assert_eq!(shield(turns(2)).await, 2);
        let winner = select! {
            one = turns(1) => one,
            two = turns(2) => two,
        };
        assert_eq!(winner, 1);
    });
}

#[test]
fn a_gather_is_dropped_half_way_with_wakers_of_its_futures_about() {
    let drops = Rc::new(Cell::new(0));
    let wakers: Rc<std::cell::RefCell<Vec<Waker>>> = Rc::default();
    run(async {
        let futures = (0..3).map(|number| {
            let (held, wakers) = (Dropped::new(&drops, number == 1), wakers.clone());
            std::future::poll_fn(move |cx| {
                let _held = &held;
                wakers.borrow_mut().push(cx.waker().clone());
                Poll::<()>::Pending
            })
        });
        let mut gathered = Box::pin(gather(futures));
        assert!(gathered.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        wakers.borrow()[2].wake_by_ref();
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(gathered)));
        assert!(dropped.is_err(), "a destructor panicked");
        assert_eq!(drops.get(), 3);
        wakers.borrow().iter().for_each(Waker::wake_by_ref);
        yield_now().await;
    });
    wakers.take().iter().for_each(Waker::wake_by_ref);
}

/// The owner of a gather is woken by whoever wakes one of its futures: here by a task that ends.
#[test]
fn t74_a_waker_that_panics_does_not_reach_who_wakes_a_child() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            resume_unwind(Box::new("a waker"));
        }
    }
    run(async {
        let (settles, settled) = crate::task::promise::<u32, ()>();
        let task = spawn(async move { settles.set_result(5) });
        let mut gathered = Box::pin(gather([settled]));
        let waker = Waker::from(std::sync::Arc::new(Panics));
        assert!(gathered.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        task.await.unwrap().unwrap();
        assert_eq!(gathered.await, [Ok(5)]);
    });
}

#[test]
fn children_of_a_group_borrow_from_around_it() {
    run(async {
        let words = [String::from("a"), String::from("bcd")];
        let longest = Cell::new(0);
        let ended: Result<(), GroupError> = task_group(async |group| {
            for word in &words {
                group.spawn(async {
                    yield_now().await;
                    longest.set(longest.get().max(word.len()));
                    Ok(())
                });
            }
            Ok(())
        })
        .await;
        ended.unwrap();
        assert_eq!(longest.get(), 3);
        let failed: Result<(), GroupError<String>> = task_group(async |group| {
            let child = group.spawn(async { pending::<Result<(), String>>().await });
            group.spawn(async { Err::<(), _>(words[1].clone()) });
            drop(child);
            pending().await
        })
        .await;
        assert!(failed.unwrap_err().iter().eq(&["bcd"]));
    });
}

#[test]
fn groups_end_by_a_panic_and_when_they_are_dropped() {
    let drops = Rc::new(Cell::new(0));
    run(async {
        let (first, second) = (Dropped::new(&drops, false), Dropped::new(&drops, false));
        let task = spawn(async move {
            let ended: Result<(), GroupError> = task_group(async |group| {
                group.spawn(async {
                    let _held = &first;
                    pending::<Result<(), _>>().await
                });
                yield_now().await;
                resume_unwind(Box::new("body"))
            })
            .await;
            ended
        });
        assert!(task.await.is_err());
        let task = spawn(async move {
            let ended: Result<(), GroupError> = task_group(async |group| {
                group.spawn(async {
                    let _held = &second;
                    pending::<Result<(), _>>().await
                });
                Ok(())
            })
            .await;
            ended
        });
        yield_now().await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert_eq!(drops.get(), 2);
        let group = TaskGroup::new();
        let child = group.spawn(async { "42".parse::<i32>() });
        group.spawn(async { "x".parse::<i32>() });
        assert!(group.join().await.is_err());
        assert_eq!(child.await.unwrap(), 42);
    });
}

#[test]
fn scopes_close_and_generators_stop() {
    struct Session(Rc<Cell<usize>>);
    impl AsyncClose for Session {
        async fn close(self) -> io::Result<()> {
            yield_now().await;
            self.0.set(self.0.get() + 1);
            Ok(())
        }
    }
    let closed = Rc::new(Cell::new(0));
    run(async {
        let session = Session(closed.clone());
        assert_eq!(using(session, async |_| io::Result::Ok(42)).await.unwrap(), 42);
        let session = Session(closed.clone());
        let task = spawn(async { using(session, async |_| pending::<io::Result<()>>().await).await });
        yield_now().await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert_eq!(closed.get(), 2);
        let mut squares = pin!(generate(async |yields| {
            for number in 1_u32.. {
                yield_now().await;
                yields.give(number * number).await;
            }
        }));
        assert_eq!(squares.next().await, Some(1));
        assert_eq!(squares.next().await, Some(4));
    });
}
