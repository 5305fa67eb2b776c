//! Task groups: the first failure ends all, all ends are awaited, and every error comes back; for children that the group
//! polls and may borrow, and for children that are tasks.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use proactor::net::TcpStream;
use proactor::scope::{AsyncClose, using};
use proactor::task::{self, Child, Group, GroupError, JoinHandle, TaskGroup, catch_cancel, task_group};
use proactor::time::timeout;
use proactor::{Runtime, gather, spawn, yield_now};

use crate::kit::*;

tests! {
    children_borrow_and_give_results,
    a_group_waits_for_its_children,
    a_group_without_children_gives_its_body_s_value,
    a_child_s_result_can_leave_the_group,
    the_first_error_cancels_siblings_and_the_body,
    the_body_s_error_cancels_the_children,
    errors_of_one_turn_all_come_back,
    errors_while_ending_come_back_in_order,
    cancelled_children_are_no_errors,
    a_child_is_cancelled_with_what_it_has_begun,
    operations_of_children_are_reaped_when_the_group_ends,
    children_that_catch_their_cancellation_are_awaited,
    clean_ups_are_awaited_at_an_error,
    a_panic_wins_and_waits_for_the_others,
    a_panic_of_the_body_waits_for_the_others,
    a_panic_of_a_destructor_wins,
    a_cancelled_task_awaits_the_children_of_its_group,
    a_second_cancellation_of_the_waiter_reaches_children_that_are_no_tasks,
    a_cancellation_of_a_group_that_was_ending_reaches_its_body,
    groups_side_by_side_wait_for_each_other_at_a_cancellation,
    a_cancelled_task_gets_the_errors_of_its_group_and_ends_at_the_next_await,
    a_dropped_group_drops_its_children_and_its_task_ends_after_them,
    a_timeout_ends_a_group,
    cancel_ends_a_group_quietly,
    finish_gives_the_value,
    children_start_children,
    an_ending_group_takes_no_children,
    groups_nest_and_their_errors_are_a_tree,
    a_group_error_splits,
    a_group_that_has_ended_without_errors_is_an_error_that_stays,
    a_cancellation_of_an_inner_group_s_child_stays_inside,
    children_are_polled_only_when_woken,
    ten_thousand_children,
    children_have_names,
    a_child_that_swallows_its_cancellation_is_awaited,
    a_group_in_block_on_is_ended_by_a_cancellation,
    a_child_handle_outlives_its_group,
    tasks_of_a_group_end_at_the_first_error,
    tasks_of_a_group_are_reaped_and_awaited,
    a_cancelled_join_cancels_its_tasks_and_waits,
    a_dropped_task_group_cancels_its_tasks,
    a_panic_of_a_task_wins,
    tasks_of_a_group_start_others,
    a_long_running_task_group_forgets_ended_tasks,
    t311_the_error_of_a_group_is_returned_by_the_question_mark,
}

type Ended<T> = Result<T, GroupError<&'static str>>;

/// Waits for ever, and counts its drop.
async fn endless<T>(dropped: Rc<Cell<u32>>) -> Result<T, &'static str> {
    let _guard = Counted(dropped);
    pending().await
}

fn children_borrow_and_give_results<R: Runtime>() {
    run::<R>(async {
        let words = vec![String::from("a"), String::from("bcd")];
        let (lengths, mut total) = (RefCell::new(Vec::new()), 0);
        let ended: Ended<usize> = task_group(async |g| {
            for word in &words {
                g.spawn(async {
                    yield_now().await;
                    lengths.borrow_mut().push(word.len());
                    Ok(())
                });
            }
            g.spawn(async {
                total += 1;
                Ok(())
            });
            let five = g.spawn(async { Ok(5) });
            Ok(five.await.unwrap())
        })
        .await;
        assert_eq!((ended, lengths.take(), total), (Ok(5), vec![1, 3], 1));
    });
}

fn a_group_waits_for_its_children<R: Runtime>() {
    run::<R>(async {
        let done = Cell::new(0);
        let ended: Ended<()> = task_group(async |g| {
            for _ in 0..10 {
                g.spawn(async {
                    turns(3).await;
                    done.set(done.get() + 1);
                    Ok(())
                });
            }
            Ok(())
        })
        .await;
        assert_eq!((ended, done.get()), (Ok(()), 10));
    });
}

fn a_group_without_children_gives_its_body_s_value<R: Runtime>() {
    run::<R>(async {
        let ended: Ended<i32> = task_group(async |_| Ok(7)).await;
        assert_eq!(ended, Ok(7));
        let ended: Ended<i32> = task_group(async |_| Err("no")).await;
        assert!(ended.unwrap_err().into_iter().eq(["no"]));
    });
}

fn a_child_s_result_can_leave_the_group<R: Runtime>() {
    run::<R>(async {
        let word = String::from("word");
        let ended: Ended<Child<&str>> = task_group(async |g| Ok(g.spawn(async { Ok(&*word) }))).await;
        assert_eq!(ended.unwrap().await.unwrap(), "word");
    });
}

fn the_first_error_cancels_siblings_and_the_body<R: Runtime>() {
    run::<R>(async {
        let dropped = Rc::new(Cell::new(0));
        let ended: Ended<()> = task_group(async |g| {
            for _ in 0..3 {
                g.spawn(endless::<()>(dropped.clone()));
            }
            g.spawn(async {
                turns(1).await;
                Err::<(), _>("the first")
            });
            endless(dropped.clone()).await
        })
        .await;
        assert!(ended.unwrap_err().into_iter().eq(["the first"]));
        assert_eq!(dropped.get(), 4);
    });
}

fn the_body_s_error_cancels_the_children<R: Runtime>() {
    run::<R>(async {
        let dropped = Rc::new(Cell::new(0));
        let ended: Ended<()> = task_group(async |g| {
            g.spawn(endless::<()>(dropped.clone()));
            yield_now().await;
            Err("the body")
        })
        .await;
        assert!(ended.unwrap_err().into_iter().eq(["the body"]));
        assert_eq!(dropped.get(), 1);
    });
}

fn errors_of_one_turn_all_come_back<R: Runtime>() {
    run::<R>(async {
        let signals: [Signal; 3] = Default::default();
        let ended: Ended<()> = task_group(async |g| {
            for (error, signal) in ["one", "two", "three"].into_iter().zip(signals.clone()) {
                // Their last await is over in the same turn; there is none at which the second could be cancelled.
                g.spawn(async move {
                    let caught = catch_cancel(signal).await;
                    if error == "one" {
                        Err::<(), _>(error)
                    } else {
                        caught.map_or(Err(error), |()| Err(error))
                    }
                });
            }
            turns(1).await;
            signals.iter().for_each(Signal::set);
            Ok(())
        })
        .await;
        assert!(ended.unwrap_err().into_iter().eq(["one", "two", "three"]));
    });
}

fn errors_while_ending_come_back_in_order<R: Runtime>() {
    run::<R>(async {
        let ended: Ended<()> = task_group(async |g| {
            for (count, error) in [(3, "third"), (1, "second")] {
                g.spawn(async move {
                    let caught = catch_cancel(pending::<()>()).await;
                    for _ in 0..count {
                        yield_now().await;
                    }
                    drop(caught);
                    Err::<(), _>(error)
                });
            }
            yield_now().await;
            Err("first")
        })
        .await;
        assert!(ended.unwrap_err().into_iter().eq(["first", "second", "third"]));
    });
}

fn cancelled_children_are_no_errors<R: Runtime>() {
    run::<R>(async {
        let dropped = Rc::new(Cell::new(0));
        let ended: Ended<i32> = task_group(async |g| {
            let child = g.spawn(endless::<()>(dropped.clone()));
            let other = g.spawn(async {
                turns(2).await;
                Ok(7)
            });
            yield_now().await;
            assert!(child.cancel().await.unwrap_err().is_cancelled());
            assert_eq!(dropped.get(), 1);
            Ok(other.await.unwrap())
        })
        .await;
        assert_eq!(ended, Ok(7));
    });
}

async fn read(stream: &TcpStream) -> Result<(), &'static str> {
    stream.read(Vec::with_capacity(16)).await.map(drop).map_err(|_| "read")
}

fn a_child_is_cancelled_with_what_it_has_begun<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let (stream, _peer) = half_pair();
        for _ in 0..50 {
            let ended: Ended<()> = task_group(async |g| {
                let child = g.spawn(read(&stream));
                turns(2).await;
                assert_eq!(runtime.report().live.ops, 1);
                assert!(child.cancel().await.unwrap_err().is_cancelled());
                assert_eq!(runtime.report().live.ops, 0, "reaped when it has ended");
                Ok(())
            })
            .await;
            assert_eq!(ended, Ok(()));
        }
    });
    end(runtime);
}

fn operations_of_children_are_reaped_when_the_group_ends<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let pairs: Vec<_> = (0..10).map(|_| half_pair()).collect();
        for _ in 0..10 {
            let ended: Ended<()> = task_group(async |g| {
                for (stream, _) in &pairs {
                    g.spawn(read(stream));
                }
                turns(2).await;
                assert_eq!(runtime.report().live.ops, 10);
                Err("enough")
            })
            .await;
            assert_eq!((ended.unwrap_err().len(), runtime.report().live.ops), (1, 0));
        }
    });
    end(runtime);
}

fn children_that_catch_their_cancellation_are_awaited<R: Runtime>() {
    run::<R>(async {
        let log = RefCell::new(Vec::new());
        let ended: Ended<()> = task_group(async |g| {
            g.spawn(async {
                let caught = catch_cancel(pending::<()>()).await;
                turns(2).await; // the clean-up
                log.borrow_mut().push("cleaned");
                drop(caught);
                yield_now().await;
                log.borrow_mut().push("beyond the end");
                Ok(())
            });
            yield_now().await;
            Err("no")
        })
        .await;
        assert!(ended.is_err());
        assert_eq!(log.take(), ["cleaned"]);
    });
}

struct Session(Rc<Cell<u32>>);

impl AsyncClose for Session {
    async fn close(self) -> std::io::Result<()> {
        turns(2).await;
        self.0.set(self.0.get() + 1);
        Ok(())
    }
}

fn clean_ups_are_awaited_at_an_error<R: Runtime>() {
    run::<R>(async {
        let closed = Rc::new(Cell::new(0));
        let ended: Ended<()> = task_group(async |g| {
            for _ in 0..5 {
                g.spawn(async {
                    let used =
                        using(Session(closed.clone()), async |_| pending::<std::io::Result<()>>().await);
                    used.await.map_err(|_| "close")
                });
            }
            yield_now().await;
            Err("no")
        })
        .await;
        assert_eq!((ended.unwrap_err().len(), closed.get()), (1, 5));
    });
}

fn a_panic_wins_and_waits_for_the_others<R: Runtime>() {
    let closed = Rc::new(Cell::new(0));
    let message = panic_of(|| {
        run::<R>(async {
            let ended: Ended<()> = task_group(async |g| {
                g.spawn(async {
                    let caught = catch_cancel(pending::<()>()).await;
                    turns(2).await;
                    closed.set(1);
                    drop(caught);
                    Err::<(), _>("an error beside it")
                });
                g.spawn(async {
                    yield_now().await;
                    if true {
                        panic!("expected: on fire");
                    }
                    Ok(())
                });
                pending().await
            })
            .await;
            unreachable!("{ended:?}");
        });
    });
    assert_eq!((&*message, closed.get()), ("expected: on fire", 1));
}

fn a_panic_of_the_body_waits_for_the_others<R: Runtime>() {
    let closed = Rc::new(Cell::new(0));
    let message = panic_of(|| {
        run::<R>(async {
            let ended: Ended<()> = task_group(async |g| {
                g.spawn(async {
                    let _caught = catch_cancel(pending::<()>()).await;
                    turns(2).await;
                    closed.set(1);
                    Ok(())
                });
                yield_now().await;
                panic!("expected: the body")
            })
            .await;
            unreachable!("{ended:?}");
        });
    });
    assert_eq!((&*message, closed.get()), ("expected: the body", 1));
}

fn a_panic_of_a_destructor_wins<R: Runtime>() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("expected: in drop");
        }
    }
    let dropped = Rc::new(Cell::new(0));
    let message = panic_of(|| {
        run::<R>(async {
            let ended: Ended<()> = task_group(async |g| {
                g.spawn(async {
                    let _bomb = Bomb;
                    pending::<Result<(), _>>().await
                });
                g.spawn(endless::<()>(dropped.clone()));
                yield_now().await;
                Err("no")
            })
            .await;
            unreachable!("{ended:?}");
        });
    });
    assert_eq!((&*message, dropped.get()), ("expected: in drop", 1));
}

fn a_cancelled_task_awaits_the_children_of_its_group<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let (stream, _peer) = half_pair();
        let cleaned = Rc::new(Cell::new(0));
        let counts = cleaned.clone();
        let task = spawn(async move {
            let ended: Ended<()> = task_group(async |g| {
                g.spawn(read(&stream));
                for count in [1, 3] {
                    let cleaned = &counts;
                    g.spawn(async move {
                        let _caught = catch_cancel(pending::<()>()).await;
                        turns(count).await;
                        cleaned.set(cleaned.get() + 1);
                        Ok(())
                    });
                }
                pending().await
            })
            .await;
            unreachable!("{ended:?}");
        });
        turns(2).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        let live = runtime.report().live;
        assert_eq!((cleaned.get(), live.ops, live.tasks), (2, 0, 0));
    });
    end(runtime);
}

fn a_second_cancellation_of_the_waiter_reaches_children_that_are_no_tasks<R: Runtime>() {
    /// Does not end when it is told to for the first time, and takes its time over the second.
    async fn stubborn(log: Rc<RefCell<Vec<&'static str>>>, name: &'static str) -> Result<(), &'static str> {
        let _first = catch_cancel(pending::<()>()).await;
        let _second = catch_cancel(turns(20)).await;
        turns(5).await;
        log.borrow_mut().push(name);
        Ok(())
    }
    run::<R>(async {
        let log = Rc::new(RefCell::new(Vec::new()));
        let (polled, tasks) = (stubborn(log.clone(), "polled"), TaskGroup::new());
        tasks.spawn(stubborn(log.clone(), "task"));
        let polled = async {
            task_group(async |g| {
                g.spawn(polled);
                Ok(())
            })
            .await
        };
        let groups = [spawn(polled), spawn(tasks.join())];
        for _ in 0..2 {
            turns(2).await;
            assert!(groups.iter().all(JoinHandle::request_cancel));
        }
        for group in groups {
            assert!(group.await.unwrap_err().is_cancelled());
        }
        assert_eq!(*log.borrow(), ["polled", "task"]);
    });
}

fn a_cancellation_of_a_group_that_was_ending_reaches_its_body<R: Runtime>() {
    /// Does not end when the group tells it to.
    async fn stubborn() -> Result<(), &'static str> {
        let _first = catch_cancel(pending::<()>()).await;
        pending().await
    }
    run::<R>(async {
        let polled = spawn(async {
            let ended: Ended<()> = task_group(async |g| {
                g.spawn(async { Err::<(), _>("failed") });
                stubborn().await
            })
            .await;
            ended
        });
        let quiet = spawn(async {
            let ended: Ended<()> = task_group(async |g| {
                g.spawn(stubborn());
                yield_now().await;
                g.cancel();
                Ok(())
            })
            .await;
            ended
        });
        let tasks = spawn(async {
            let ended = TaskGroup::new().run(async |g| {
                g.spawn(async { Err::<(), _>("failed") });
                stubborn().await
            });
            ended.await.map(drop)
        });
        turns(5).await;
        let groups = [polled, quiet, tasks];
        assert!(groups.iter().all(JoinHandle::request_cancel));
        turns(10).await;
        let [polled, quiet, tasks] = groups;
        assert!(polled.is_finished() && !quiet.is_finished() && tasks.is_finished());
        quiet.request_cancel(); // not the body, but a child
        assert!(polled.await.unwrap().unwrap_err().into_iter().eq(["failed"]));
        assert!(quiet.await.unwrap_err().is_cancelled());
        assert!(tasks.await.unwrap().unwrap_err().into_iter().eq(["failed"]));
    });
}

fn groups_side_by_side_wait_for_each_other_at_a_cancellation<R: Runtime>() {
    run::<R>(async {
        /// A group whose child takes so many turns to end.
        async fn group(log: &Log, takes: usize) -> Ended<()> {
            task_group(async |g| {
                g.spawn(async {
                    let _caught = catch_cancel(pending::<()>()).await;
                    turns(takes).await;
                    log.note("ended");
                    Ok(())
                });
                pending().await
            })
            .await
        }
        let log = Log::default();
        let noted = log.clone();
        let task = spawn(async move {
            let group = async |takes| {
                let ended = group(&noted, takes).await;
                unreachable!("{ended:?}");
            };
            let _: Vec<()> = gather([1, 9].map(group)).await;
        });
        turns(2).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["ended", "ended"], "and neither goes on meanwhile");

        // Nobody can end this one: the groups say that they were cancelled.
        let main = task::current();
        let groups = gather([1, 9].map(|takes| group(&log, takes)));
        spawn(async move {
            turns(2).await;
            main.request_cancel()
        });
        assert!(groups.await.into_iter().all(|ended| ended.unwrap_err().is_empty()));
        assert_eq!(log.take(), ["ended", "ended"]);
        task::current().uncancel();
    });
}

fn a_cancelled_task_gets_the_errors_of_its_group_and_ends_at_the_next_await<R: Runtime>() {
    run::<R>(async {
        let got = Rc::new(Cell::new(false));
        let (seen, begun) = (got.clone(), Rc::new(Cell::new(false)));
        let begins = begun.clone();
        let task = spawn(async move {
            let ended: Ended<()> = task_group(async |g| {
                g.spawn(async {
                    begins.set(true);
                    catch_cancel(pending::<()>()).await.map_err(|_| "while ending")
                });
                Ok(())
            })
            .await;
            assert!(ended.unwrap_err().into_iter().eq(["while ending"]));
            seen.set(true);
            yield_now().await;
            unreachable!("it was cancelled");
        });
        until(|| begun.get()).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert!(got.get());
    });
}

fn a_dropped_group_drops_its_children_and_its_task_ends_after_them<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let (stream, _peer) = half_pair();
        let dropped = Rc::new(Cell::new(0));
        let guard = dropped.clone();
        let task = spawn(async move {
            let group = task_group(async |g| {
                g.spawn(read(&stream));
                g.spawn(endless::<()>(guard.clone()));
                Ok(())
            });
            let ended: Result<Ended<()>, _> = timeout(Duration::from_millis(1), group).await;
            assert!(ended.is_err());
            assert_eq!(guard.get(), 1);
            pending::<()>().await;
        });
        until(|| dropped.get() == 1).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        let live = runtime.report().live;
        assert_eq!((live.ops, live.tasks), (0, 0));
    });
    end(runtime);
}

fn a_timeout_ends_a_group<R: Runtime>() {
    run::<R>(async {
        let dropped = Rc::new(Cell::new(0));
        let ended: Ended<i32> = task_group(async |g| {
            g.spawn(endless::<()>(dropped.clone()));
            let limited = timeout(Duration::from_millis(1), pending::<()>()).await;
            limited.map(|()| 0).map_err(|_| "too late")
        })
        .await;
        assert_eq!((ended.unwrap_err().len(), dropped.get()), (1, 1));
    });
}

fn cancel_ends_a_group_quietly<R: Runtime>() {
    run::<R>(async {
        let dropped = Rc::new(Cell::new(0));
        let ended: Ended<()> = task_group(async |g| {
            g.spawn(endless::<()>(dropped.clone()));
            g.spawn(async {
                turns(1).await;
                g.cancel();
                Ok(())
            });
            endless(dropped.clone()).await
        })
        .await;
        assert_eq!((ended, dropped.get()), (Ok(()), 2));
        yield_now().await; // and the task has not been cancelled
    });
}

fn finish_gives_the_value<R: Runtime>() {
    run::<R>(async {
        let ended: Ended<&str> = task_group(async |g| {
            for (count, name) in [(5, "slow"), (1, "quick")] {
                g.spawn(async move {
                    turns(count).await;
                    g.finish(name);
                    Ok(())
                });
            }
            pending().await
        })
        .await;
        assert_eq!(ended, Ok("quick"));
        let ended: Ended<i32> = task_group(async |g| {
            g.finish(1);
            Ok(2)
        })
        .await;
        assert_eq!(ended, Ok(2));
        let ended: Ended<i32> = task_group(async |g| {
            g.spawn(async { catch_cancel(pending::<()>()).await.map_err(|_| "no") });
            yield_now().await;
            g.finish(1);
            pending().await
        })
        .await;
        assert!(ended.is_err(), "errors come first");
    });
}

fn children_start_children<R: Runtime>() {
    fn tree<'scope>(
        g: &'scope Group<'scope, '_, (), &'static str>,
        depth: usize,
        count: &'scope Cell<usize>,
    ) -> Pin<Box<dyn Future<Output = Result<(), &'static str>> + 'scope>> {
        Box::pin(async move {
            count.set(count.get() + 1);
            if depth > 0 {
                g.spawn(tree(g, depth - 1, count));
                g.spawn(tree(g, depth - 1, count));
            }
            Ok(())
        })
    }
    run::<R>(async {
        let count = Cell::new(0);
        let ended: Ended<()> = task_group(async |g| tree(g, 9, &count).await).await;
        assert_eq!((ended, count.get()), (Ok(()), 1023));
    });
}

fn an_ending_group_takes_no_children<R: Runtime>() {
    run::<R>(async {
        let (dropped, refused) = (Rc::new(Cell::new(0)), Cell::new(false));
        let ended: Ended<()> = task_group(async |g| {
            g.spawn(async {
                let caught = catch_cancel(pending::<()>()).await;
                assert!(g.is_closed());
                let child = g.spawn(endless::<()>(dropped.clone()));
                assert!(child.is_finished());
                refused.set(child.await.unwrap_err().is_cancelled());
                drop(caught);
                Ok(())
            });
            yield_now().await;
            g.cancel();
            Ok(())
        })
        .await;
        // An async fn that was never polled has no guard yet.
        assert_eq!((ended, refused.get(), dropped.get()), (Ok(()), true, 0));
        assert_eq!(Rc::strong_count(&dropped), 1, "dropped, not kept");
    });
}

fn groups_nest_and_their_errors_are_a_tree<R: Runtime>() {
    run::<R>(async {
        let outer: Result<(), GroupError> = task_group(async |g| {
            g.spawn(async {
                let inner: Result<(), GroupError> = task_group(async |h| {
                    h.spawn(async {
                        yield_now().await;
                        Ok("x".parse::<i32>()?)
                    });
                    h.spawn(async {
                        let caught = catch_cancel(pending::<()>()).await;
                        drop(caught);
                        Err::<(), _>(Box::from("second\nin two lines"))
                    });
                    pending().await
                })
                .await;
                Ok(inner?)
            });
            g.spawn(async {
                catch_cancel(pending::<()>()).await?;
                Ok(())
            });
            Ok(())
        })
        .await;
        let error = outer.unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 errors in a task group\n\
             - 2 errors in a task group\n  \
               - invalid digit found in string\n  \
               - second\n    \
                 in two lines\n\
             - cancellation of the task was requested"
        );
        assert_eq!(error.leaves().count(), 3);
        assert!(error.contains::<std::num::ParseIntError>() && !error.contains::<std::fmt::Error>());
        let (numbers, rest) = error.downcast::<std::num::ParseIntError>();
        let (cancelled, rest) = rest.unwrap().downcast::<task::Cancelled>();
        assert_eq!((numbers.len(), cancelled.len()), (1, 1));
        let rest = rest.unwrap();
        assert_eq!(
            rest.to_string(),
            "1 error in a task group\n- 1 error in a task group\n  - second\n    in two lines"
        );
    });
}

fn a_group_error_splits<R: Runtime>() {
    run::<R>(async {
        let ended: Result<(), GroupError<i32>> = task_group(async |g| {
            for number in 1..5 {
                g.spawn(async move { catch_cancel(pending::<()>()).await.map_err(|_| number) });
            }
            yield_now().await;
            Err(0)
        })
        .await;
        let (even, odd) = ended.unwrap_err().split(|number| number % 2 == 0);
        assert!(even.unwrap().iter().eq(&[0, 2, 4]));
        let (all, none) = odd.unwrap().split(|number| number % 2 == 1);
        assert!((&all.unwrap()).into_iter().eq(&[1, 3]) && none.is_none());
    });
}

fn a_group_that_has_ended_without_errors_is_an_error_that_stays<R: Runtime>() {
    run::<R>(async {
        let main = task::current();
        let inner: Result<(), GroupError> = task_group(async |_| {
            main.request_cancel(); // which cannot end the future given to `block_on`
            pending().await
        })
        .await;
        main.uncancel();
        let outer: Result<(), GroupError> = task_group(async |_| Ok(inner?)).await;
        let (found, rest) = outer.unwrap_err().downcast::<std::fmt::Error>();
        assert!(found.is_empty());
        assert_eq!(rest.unwrap().len(), 1);
    });
}

fn a_cancellation_of_an_inner_group_s_child_stays_inside<R: Runtime>() {
    run::<R>(async {
        let caught = Cell::new(0);
        let ended: Ended<i32> = task_group(async |g| {
            let sibling = g.spawn(async {
                catch_cancel(turns(5)).await.map_err(|_| "the sibling was not meant")?;
                Ok(1)
            });
            let inner = g.spawn(async {
                let ended: Ended<()> = task_group(async |h| {
                    h.spawn(async {
                        let cancelled = catch_cancel(pending::<()>()).await;
                        caught.set(caught.get() + 1);
                        drop(cancelled);
                        pending::<Result<(), _>>().await
                    });
                    Ok(())
                })
                .await;
                ended.map_err(|_| "inner")
            });
            turns(3).await;
            assert!(inner.cancel().await.unwrap_err().is_cancelled());
            assert_eq!(caught.get(), 1);
            Ok(sibling.await.unwrap())
        })
        .await;
        assert_eq!(ended, Ok(1));
    });
}

fn children_are_polled_only_when_woken<R: Runtime>() {
    run::<R>(async {
        let polls = Cell::new(0);
        let signals: Vec<_> = (0..100).map(|_| Signal::default()).collect();
        let ended: Ended<()> = task_group(async |g| {
            for signal in &signals {
                let polls = &polls;
                g.spawn(async move {
                    let mut signal = signal.clone();
                    std::future::poll_fn(|cx| {
                        polls.set(polls.get() + 1);
                        Pin::new(&mut signal).poll(cx)
                    })
                    .await;
                    Ok(())
                });
            }
            for signal in &signals {
                turns(1).await;
                signal.set();
            }
            Ok(())
        })
        .await;
        assert_eq!((ended, polls.get()), (Ok(()), 200));
    });
}

fn ten_thousand_children<R: Runtime>() {
    run::<R>(async {
        let (sum, dropped) = (Cell::new(0), Rc::new(Cell::new(0)));
        let ended: Ended<()> = task_group(async |g| {
            for number in 0..10_000_usize {
                let sum = &sum;
                g.spawn(async move {
                    for _ in 0..number % 5 {
                        yield_now().await;
                    }
                    sum.set(sum.get() + number);
                    Ok(())
                });
            }
            Ok(())
        })
        .await;
        assert_eq!((ended, sum.get()), (Ok(()), 9_999 * 5_000));
        let ended: Ended<()> = task_group(async |g| {
            for _ in 0..10_000 {
                g.spawn(endless::<()>(dropped.clone()));
            }
            yield_now().await;
            Err("enough")
        })
        .await;
        assert_eq!((ended.unwrap_err().len(), dropped.get()), (1, 10_000));
    });
}

fn children_have_names<R: Runtime>() {
    run::<R>(async {
        let ended: Ended<()> = task_group(async |g| {
            let child = g.spawn_named("worker", async { Ok(()) });
            assert_eq!((child.name(), g.spawn(async { Ok(()) }).name()), (Some("worker"), None));
            Ok(())
        })
        .await;
        assert_eq!(ended, Ok(()));
    });
}

fn a_child_that_swallows_its_cancellation_is_awaited<R: Runtime>() {
    run::<R>(async {
        let ended: Ended<Child<i32>> = task_group(async |g| {
            let child = g.spawn(async {
                if let Err(cancelled) = catch_cancel(pending::<()>()).await {
                    assert_eq!(cancelled.uncancel(), 0);
                }
                turns(2).await;
                Ok(7)
            });
            turns(1).await;
            child.request_cancel();
            Ok(child)
        })
        .await;
        assert_eq!(ended.unwrap().await.unwrap(), 7);
    });
}

fn a_group_in_block_on_is_ended_by_a_cancellation<R: Runtime>() {
    run::<R>(async {
        let cleaned = Cell::new(false);
        let main = task::current();
        let ended: Ended<()> = task_group(async |g| {
            g.spawn(async {
                let caught = catch_cancel(pending::<()>()).await;
                turns(1).await;
                cleaned.set(true);
                drop(caught);
                Ok(())
            });
            yield_now().await;
            main.request_cancel();
            pending().await
        })
        .await;
        assert!(ended.unwrap_err().is_empty() && cleaned.get());
        yield_now().await;
    });
}

fn a_child_handle_outlives_its_group<R: Runtime>() {
    run::<R>(async {
        let kept: Rc<RefCell<Vec<Child<Counted>>>> = Rc::default();
        let dropped = Rc::new(Cell::new(0));
        let ended: Ended<()> = task_group(async |g| {
            for _ in 0..3 {
                kept.borrow_mut().push(g.spawn(async { Ok(Counted(dropped.clone())) }));
            }
            kept.borrow_mut().push(g.spawn(async {
                yield_now().await;
                Err("no")
            }));
            kept.borrow_mut().push(g.spawn(pending()));
            Ok(())
        })
        .await;
        assert!(ended.is_err());
        assert_eq!(dropped.get(), 0);
        let mut kept = kept.take();
        assert!(kept.remove(3).await.unwrap_err().is_cancelled(), "the error is the group's");
        assert!(kept.pop().unwrap().try_take().unwrap().unwrap_err().is_cancelled());
        drop(kept.pop().unwrap().try_take().unwrap());
        assert_eq!(dropped.get(), 1);
        kept.into_iter().for_each(forget); // leaks, and does nothing worse
        assert_eq!(dropped.get(), 1);
    });
}

fn tasks_of_a_group_end_at_the_first_error<R: Runtime>() {
    run::<R>(async {
        let dropped = Rc::new(Cell::new(0));
        let group = TaskGroup::new();
        for _ in 0..3 {
            group.spawn(endless::<()>(dropped.clone()));
        }
        for error in ["one", "two"] {
            group.spawn(
                async move { catch_cancel(turns(1)).await.map_or(Err::<(), _>(error), |()| Err(error)) },
            );
        }
        let ended = group.run(async |_| endless::<()>(dropped.clone()).await).await;
        assert!(ended.unwrap_err().into_iter().eq(["one", "two"]));
        assert_eq!(dropped.get(), 4);
    });
}

fn tasks_of_a_group_are_reaped_and_awaited<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let cleaned = Rc::new(Cell::new(0));
        let ended = TaskGroup::new()
            .run(async |group| {
                for _ in 0..3 {
                    let (stream, peer) = half_pair();
                    let cleaned = cleaned.clone();
                    group.spawn(async move {
                        let _peer = peer;
                        let caught = catch_cancel(read(&stream)).await;
                        turns(2).await;
                        cleaned.set(cleaned.get() + 1);
                        caught.unwrap_or(Ok(()))
                    });
                }
                turns(2).await;
                assert_eq!(runtime.report().live.ops, 3);
                Err::<(), _>("enough")
            })
            .await;
        let live = runtime.report().live;
        assert_eq!((ended.unwrap_err().len(), cleaned.get(), live.ops, live.tasks), (1, 3, 0, 0));
    });
    end(runtime);
}

fn a_cancelled_join_cancels_its_tasks_and_waits<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let cleaned = Rc::new(Cell::new(0));
        let group = TaskGroup::<()>::new();
        for count in 0..3 {
            let cleaned = cleaned.clone();
            group.spawn(async move {
                let _caught = catch_cancel(pending::<()>()).await;
                turns(count).await;
                cleaned.set(cleaned.get() + 1);
                Ok(())
            });
        }
        let task = spawn(group.join());
        turns(1).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert_eq!((cleaned.get(), runtime.report().live.tasks), (3, 0));
    });
    end(runtime);
}

fn a_dropped_task_group_cancels_its_tasks<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let dropped = Rc::new(Cell::new(0));
        let guard = dropped.clone();
        let task = spawn(async move {
            let group = TaskGroup::new();
            group.spawn(endless::<()>(guard.clone()));
            let (stream, peer) = half_pair();
            group.spawn(async move {
                let _peer = peer;
                read(&stream).await
            });
            pending::<()>().await;
        });
        turns(2).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        let live = runtime.report().live;
        assert_eq!((dropped.get(), live.ops, live.tasks), (1, 0, 0));
    });
    end(runtime);
}

fn a_panic_of_a_task_wins<R: Runtime>() {
    let cleaned = Rc::new(Cell::new(0));
    let message = panic_of(|| {
        run::<R>(async {
            let group = TaskGroup::new();
            let count = cleaned.clone();
            group.spawn(async move {
                let _caught = catch_cancel(pending::<()>()).await;
                turns(2).await;
                count.set(1);
                Err::<(), _>("beside it")
            });
            group.spawn(async {
                yield_now().await;
                if true {
                    panic!("expected: on fire");
                }
                Ok(())
            });
            let _ = group.join().await;
        });
    });
    assert_eq!((&*message, cleaned.get()), ("expected: on fire", 1));
}

fn tasks_of_a_group_start_others<R: Runtime>() {
    run::<R>(async {
        let count = Rc::new(Cell::new(0));
        let group = TaskGroup::<&str>::new();
        let (handle, counter) = (group.handle(), count.clone());
        group.spawn(async move {
            for _ in 0..10 {
                let counter = counter.clone();
                handle.spawn_named("child", async move {
                    turns(1).await;
                    counter.set(counter.get() + 1);
                    Ok(())
                });
            }
            Ok(())
        });
        let handle = group.handle();
        assert_eq!((group.join().await, count.get()), (Ok(()), 10));
        assert!(handle.spawn(async { Ok(()) }).await.unwrap_err().is_cancelled(), "it is over");
    });
}

fn a_long_running_task_group_forgets_ended_tasks<R: Runtime>() {
    run::<R>(async {
        let group = TaskGroup::<&str>::new();
        for _ in 0..1000 {
            group.spawn(async { Ok(()) }).await.unwrap();
            assert!(group.spawn(pending::<Result<(), _>>()).cancel().await.is_err());
        }
        let listed: usize = format!("{:?}", group.handle())
            .chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .unwrap();
        assert!(listed <= 64, "{listed}");
        assert_eq!(group.join().await, Ok(()));
        gather([yield_now()]).await;
    });
}

fn t311_the_error_of_a_group_is_returned_by_the_question_mark<R: Runtime>() {
    type AnyError = Box<dyn Error + Send + Sync>;

    async fn group<E: fmt::Debug + 'static>(child: impl Fn() -> E) -> Result<(), GroupError<E>> {
        let children = task_group(async |g| {
            g.spawn(async { Err::<(), _>(child()) });
            pending().await
        });
        children.await
    }
    async fn as_io_error<E>(child: impl Fn() -> E) -> io::Result<()>
    where
        E: fmt::Debug + fmt::Display + Send + Sync + 'static,
    {
        Ok(group(child).await?)
    }
    async fn as_any_error<E: fmt::Debug + fmt::Display + 'static>(
        child: impl Fn() -> E,
    ) -> Result<(), Box<dyn Error>> {
        Ok(group(child).await?)
    }
    async fn as_sendable_error<E>(child: impl Fn() -> E) -> Result<(), AnyError>
    where
        E: fmt::Debug + fmt::Display + Send + Sync + 'static,
    {
        Ok(group(child).await?)
    }

    let io_error = || io::Error::other("failed");
    let any_error = || AnyError::from("failed");
    let text = "1 error in a task group\n- failed";
    run::<R>(async {
        let error = as_io_error(io_error).await.unwrap_err();
        assert_eq!(error.to_string(), text);
        let inner = error.downcast::<GroupError<io::Error>>().unwrap();
        assert_eq!(inner.into_iter().next().unwrap().kind(), io::ErrorKind::Other);
        let error = as_io_error(any_error).await.unwrap_err();
        assert_eq!(error.to_string(), text);
        assert_eq!(error.downcast::<GroupError<AnyError>>().unwrap().len(), 1);
        assert_eq!(as_io_error(|| "failed").await.unwrap_err().to_string(), text);

        let error = as_any_error(|| Box::<dyn Error>::from("failed")).await.unwrap_err();
        assert_eq!(error.downcast::<GroupError>().unwrap().to_string(), text);
        assert!(as_any_error(io_error).await.unwrap_err().is::<GroupError<io::Error>>());
        assert!(as_any_error(any_error).await.unwrap_err().is::<GroupError<AnyError>>());
        assert!(as_sendable_error(io_error).await.unwrap_err().is::<GroupError<io::Error>>());
        assert!(as_sendable_error(any_error).await.unwrap_err().is::<GroupError<AnyError>>());
    });
}
