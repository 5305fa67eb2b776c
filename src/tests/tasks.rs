//! Tasks, their handles, wakers and cancellation.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use super::{Count, Dropped, TestLoop, run};
use crate::task::promise;
use crate::task::{Builder, JoinError, PromiseError, catch_cancel, spawn_blocking, spawn_eager};
use crate::{spawn, task_local, yield_now};

#[test]
fn outputs_of_every_size_come_back() {
    run(async {
        assert_eq!(spawn(ready(7)).await.unwrap(), 7);
        assert_eq!(spawn(async { [7_u8; 3_000] }).await.unwrap(), [7; 3_000]);
        assert_eq!(spawn_eager(async { String::from("eager") }).await.unwrap(), "eager");
        let named = Builder::new().name("named").spawn(async {
            yield_now().await;
        });
        assert_eq!(named.name(), Some("named"));
        assert!(format!("{named:?} {:?}", named.task()).contains("named"));
        named.await.unwrap();
        #[repr(align(128))]
        struct Aligned(u8);
        let aligned = Aligned(3);
        let task = spawn(async move {
            yield_now().await;
            assert_eq!((&raw const aligned).addr() % 128, 0);
            aligned.0
        });
        assert_eq!(task.await.unwrap(), 3);
    });
}

/// Each task borrows from itself across an await.
#[test]
fn futures_stay_where_they_are() {
    run(async {
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                spawn(async move {
                    let mut list = [0; 4];
                    let last = &mut list[3];
                    yield_now().await;
                    *last = number;
                    yield_now().await;
                    list[3]
                })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), number);
        }
    });
}

#[test]
fn a_panic_is_the_outcome_and_destructors_run_once() {
    let drops = Rc::new(Cell::new(0));
    run(async {
        for (in_poll, in_drop) in [(true, false), (false, true)] {
            let held = Dropped::new(&drops, in_drop);
            let task = spawn(async move {
                let _held = held;
                yield_now().await;
                if in_poll {
                    resume_unwind(Box::new("polled"));
                }
            });
            let outcome = task.await;
            assert!(outcome.unwrap_err().is_panic(), "{in_poll} {in_drop}");
        }
        let output = Dropped::new(&drops, true);
        spawn(async move { output }); // nobody takes it
        yield_now().await;
        yield_now().await;
    });
    assert_eq!(drops.get(), 3);
}

#[test]
fn a_cancelled_task_is_dropped_where_it_lies() {
    let drops = Rc::new(Cell::new(0));
    run(async {
        let (first, second, third) =
            (Dropped::new(&drops, false), Dropped::new(&drops, true), Dropped::new(&drops, false));
        let waits = spawn(async move {
            let _held = first;
            pending::<()>().await;
        });
        yield_now().await;
        assert!(waits.cancel().await.unwrap_err().is_cancelled());
        let panics = spawn(async move {
            let _held = second;
            pending::<()>().await;
        });
        assert!(panics.cancel().await.unwrap_err().is_panic(), "before its first poll");
        let guarded = spawn(async move {
            let _held = third;
            pending::<()>().await;
        });
        drop(guarded.cancel_on_drop());
        yield_now().await;
        assert_eq!(drops.get(), 3);
    });
}

#[test]
fn a_caught_cancellation_lets_the_task_go_on() {
    run(async {
        let task = spawn(async {
            let cancelled = catch_cancel(pending::<()>()).await.unwrap_err();
            yield_now().await;
            cancelled.uncancel();
            yield_now().await;
            "goes on"
        });
        yield_now().await;
        task.request_cancel();
        assert_eq!(task.await.unwrap(), "goes on");
    });
}

#[test]
fn a_task_may_cancel_and_wake_itself_and_take_its_own_handle_along() {
    run(async {
        let handle = Rc::new(RefCell::new(None));
        let own = handle.clone();
        let task = spawn(async move {
            let task: crate::task::JoinHandle<()> = own.take().unwrap();
            task.request_cancel();
            drop(task);
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                let by_value = cx.waker().clone();
                by_value.wake();
                Poll::<()>::Pending
            })
            .await;
        });
        let state = task.task();
        handle.replace(Some(task));
        while !format!("{:?}", state.state()).contains("Done") {
            yield_now().await;
        }
    });
}

/// A waker that outlives the task, its handle and its loop.
#[test]
fn wakers_outlive_everything() {
    let kept: Rc<RefCell<Vec<Waker>>> = Rc::default();
    let mut test_loop = TestLoop::new();
    let keep = kept.clone();
    let task = spawn(poll_fn(move |cx| {
        keep.borrow_mut().push(cx.waker().clone());
        Poll::<()>::Pending
    }));
    test_loop.turn();
    let waker = kept.borrow()[0].clone();
    thread::spawn(move || waker.wake()).join().unwrap();
    test_loop.turn();
    assert_eq!(kept.borrow().len(), 2, "woken from another thread");
    kept.borrow()[0].wake_by_ref();
    drop(task);
    test_loop.turn();
    test_loop.shut_down();
    drop(test_loop);
    let wakers = kept.take();
    assert_eq!(wakers.len(), 3);
    wakers[0].wake_by_ref();
    let other = wakers[1].clone();
    thread::spawn(move || drop(other)).join().unwrap();
    drop(wakers);
}

#[test]
fn a_task_is_woken_from_threads_while_it_runs_and_ends() {
    let test_loop = TestLoop::new();
    for _ in 0..3 {
        let mut threads = Vec::new();
        let mut polls = 0;
        let task = spawn(poll_fn(move |cx| {
            polls += 1;
            let wakers = [(); 2].map(|()| cx.waker().clone());
            threads.extend(wakers.map(|waker| {
                thread::spawn(move || {
                    waker.wake_by_ref();
                    waker.wake();
                })
            }));
            if polls == 3 { Poll::Ready(std::mem::take(&mut threads)) } else { Poll::Pending }
        }));
        test_loop.run(task).unwrap().into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn handles_cross_threads() {
    let test_loop = TestLoop::new();
    let handle = test_loop.handle();
    let thread = thread::spawn(move || {
        let task = handle.spawn(|| async {
            yield_now().await;
            vec![1, 2, 3]
        });
        assert_eq!(task.join().unwrap(), [1, 2, 3]);
        let panics = handle.spawn(|| async { resume_unwind(Box::new("there")) });
        assert!(panics.join().unwrap_err().is_panic());
        let endless = handle.spawn(pending::<()>);
        endless.request_cancel();
        assert!(endless.join().unwrap_err().is_cancelled());
        handle.spawn(|| async { "last" })
    });
    let last = test_loop.run(spawn_blocking(move || thread.join().unwrap())).unwrap();
    assert_eq!(test_loop.run(last).unwrap(), "last");
    let left = test_loop.handle().spawn(pending::<()>);
    drop(test_loop);
    assert!(matches!(left.join(), Err(JoinError::RuntimeGone | JoinError::Cancelled)));
}

/// Miri sees a read of what the loop's thread changes at the same time.
#[test]
fn t72_handles_are_printed_on_another_thread_while_the_loop_runs() {
    let test_loop = TestLoop::new();
    let (handle, remote) = (test_loop.handle(), test_loop.handle().spawn(|| async { 7 }));
    let thread = thread::spawn(move || {
        for _ in 0..10 {
            assert!(format!("{handle:?} {remote:?}").contains("Handle"));
            thread::yield_now();
        }
        remote
    });
    for _ in 0..10 {
        spawn(ready(()));
        test_loop.turn();
        thread::yield_now();
    }
    assert_eq!(test_loop.run(thread.join().unwrap()).unwrap(), 7);
}

#[test]
fn a_foreign_waker_and_a_foreign_task_join() {
    let test_loop = TestLoop::new();
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut task = spawn(async { String::from("done") });
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
    test_loop.turn();
    assert_eq!(count.get(), 1);
    assert!(
        matches!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(done)) if done == "done")
    );
    assert!(task.try_take().is_none());
}

#[test]
fn callbacks_and_promises_and_locals() {
    task_local! { static NUMBER: u32; }
    run(async {
        let (promise, future) = promise::<u32, String>();
        let seen = Rc::new(Cell::new(0));
        let note = seen.clone();
        let task = spawn(async move { promise.set_result(5) });
        task.on_done(move |_| note.set(note.get() + 1));
        assert_eq!(future.await, Ok(5));
        task.await.unwrap().unwrap();
        let (promise, mut future) = crate::task::promise::<u32, String>();
        assert!(pin!(&mut future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(promise);
        assert!(matches!(future.await, Err(PromiseError::Cancelled)));
        yield_now().await;
        assert_eq!(seen.get(), 1);
        NUMBER.set(7);
        let inherited = spawn(async { NUMBER.with(|number| number.copied()) }).await.unwrap();
        assert_eq!(inherited, Some(7));
    });
}

#[test]
fn the_end_of_a_loop_drops_what_waits_and_what_is_spawned_meanwhile() {
    struct Spawns(Rc<Cell<usize>>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            if self.0.get() < 4 {
                let next = Spawns(self.0.clone());
                spawn(async move {
                    let _next = next;
                    pending::<()>().await;
                });
            }
        }
    }
    let drops = Rc::new(Cell::new(0));
    let test_loop = TestLoop::new();
    let first = Spawns(drops.clone());
    let task = spawn(async move {
        let _first = first;
        pending::<()>().await;
    });
    test_loop.turn();
    drop(test_loop);
    assert!(task.is_finished());
    assert_eq!(drops.get(), 4);
}

#[test]
fn blocking_jobs_give_their_results() {
    run(async {
        let tasks: Vec<_> = (0..3).map(|number| spawn_blocking(move || vec![number; 10])).collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), vec![number; 10]);
        }
        assert!(
            spawn_blocking(|| resume_unwind(Box::new("job"))).await.map(|(): ()| ()).unwrap_err().is_panic()
        );
    });
}
