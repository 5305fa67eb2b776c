//! Tasks: order, joining, cancelling, panics, and ways in from other threads.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::{Future, pending, poll_fn};
use std::io::Write;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proactor::task::{Builder, Handle, JoinError, JoinHandle, RuntimeGone, TaskState};
use proactor::time::{sleep, timeout};
use proactor::{Runtime, spawn, wait, yield_now};

use crate::kit::*;

tests! {
    tasks_run_in_the_order_of_their_spawns,
    a_task_is_not_polled_inside_spawn,
    a_handle_gives_the_result,
    a_handle_tells_whether_its_task_has_ended,
    ids_are_unique_and_names_are_kept,
    a_dropped_handle_detaches,
    cancel_on_drop_cancels,
    a_cancel_before_the_first_poll_never_runs_the_body,
    a_task_that_cancels_itself_ends_at_its_next_await,
    a_cancel_drops_the_future_before_it_answers,
    a_cancelled_task_that_finishes_nevertheless_gives_its_result,
    a_cancel_of_an_ended_task_gives_its_result,
    request_cancel_of_an_ended_task_is_refused,
    a_cancel_waits_until_operations_are_reaped,
    a_dropped_cancel_leaves_the_request_standing,
    a_cancelled_task_with_tasks_of_its_own_leaves_them_running,
    a_thread_wakes_a_task,
    every_wake_of_a_storm_is_seen,
    a_waker_that_outlives_its_task_does_nothing,
    a_task_woken_many_times_in_a_turn_is_polled_once,
    a_join_handle_can_move_between_tasks,
    a_handle_spawns_from_another_thread,
    a_remote_handle_is_awaited_in_another_runtime,
    a_remote_handle_cancels,
    a_dropped_remote_handle_detaches,
    a_panic_reaches_the_remote_handle,
    a_handle_reports_that_its_runtime_is_gone,
    call_soon_runs_closures_in_order,
    a_closure_that_never_ran_is_dropped_with_the_runtime,
    the_current_handle_is_that_of_the_loop,
    join_on_the_own_thread_panics_with_the_cure,
    yield_now_lets_every_other_task_run,
    a_task_that_yields_forever_starves_neither_timers_nor_sockets,
    a_loop_over_an_operation_that_is_always_ready_starves_no_task,
    a_reader_of_a_socket_that_is_always_ready_starves_no_task,
    a_hundred_thousand_tasks,
    a_deep_chain_of_joins,
    a_join_handle_that_outlives_its_runtime_is_cancelled,
    a_task_that_ignores_its_cancellation_in_drop_is_still_gone,
    t222_a_task_that_awaits_its_own_handle_panics_with_the_cure,
    t222_a_handle_of_another_loop_panics_with_the_cure,
    t226_a_join_with_a_limit_loses_nothing,
}

fn tasks_run_in_the_order_of_their_spawns<R: Runtime>() {
    run::<R>(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let order = order.clone();
                spawn(async move {
                    order.borrow_mut().push(number);
                    yield_now().await;
                    order.borrow_mut().push(number);
                })
            })
            .collect();
        join_all(tasks).await;
        assert_eq!(*order.borrow(), (0..100).chain(0..100).collect::<Vec<_>>());
    });
}

fn a_task_is_not_polled_inside_spawn<R: Runtime>() {
    run::<R>(async {
        let ran = Rc::new(Cell::new(false));
        let task = spawn({
            let ran = ran.clone();
            async move { ran.set(true) }
        });
        assert!(!ran.get());
        task.await.unwrap();
        assert!(ran.get());
    });
}

fn a_handle_gives_the_result<R: Runtime>() {
    run::<R>(async {
        assert_eq!(spawn(async { String::from("result") }).await.unwrap(), "result");
    });
}

fn a_handle_tells_whether_its_task_has_ended<R: Runtime>() {
    run::<R>(async {
        let task = spawn(yield_now());
        assert!(!task.is_finished());
        until(|| task.is_finished()).await;
        task.await.unwrap();
    });
}

fn ids_are_unique_and_names_are_kept<R: Runtime>() {
    run::<R>(async {
        let tasks: Vec<_> = (0..100).map(|_| spawn(async {})).collect();
        let ids: HashSet<_> = tasks.iter().map(JoinHandle::id).collect();
        assert_eq!(ids.len(), 100);
        join_all(tasks).await;
        assert!(!ids.contains(&spawn(async {}).id()), "ids are not used again");
        let named = Builder::new().name("worker").spawn(async { 1 });
        assert_eq!((named.name(), spawn(async {}).name()), (Some("worker"), None));
        assert_eq!(named.await.unwrap(), 1);
    });
}

fn a_dropped_handle_detaches<R: Runtime>() {
    run::<R>(async {
        let done = Signal::default();
        let other = done.clone();
        spawn(async move {
            turns(3).await;
            other.set();
        });
        done.await;
    });
}

fn cancel_on_drop_cancels<R: Runtime>() {
    run::<R>(async {
        let dropped = Rc::new(Cell::new(0));
        let guard = Counted(dropped.clone());
        let task = spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        yield_now().await;
        drop(task.cancel_on_drop());
        yield_now().await;
        assert_eq!(dropped.get(), 1);
    });
}

fn a_cancel_before_the_first_poll_never_runs_the_body<R: Runtime>() {
    run::<R>(async {
        let ran = Rc::new(Cell::new(false));
        let dropped = Rc::new(Cell::new(0));
        let (other, guard) = (ran.clone(), Counted(dropped.clone()));
        let task = spawn(async move {
            let _guard = guard;
            other.set(true);
        });
        assert!(task.request_cancel());
        assert!(matches!(task.await, Err(JoinError::Cancelled)));
        assert_eq!((ran.get(), dropped.get()), (false, 1));
    });
}

fn a_task_that_cancels_itself_ends_at_its_next_await<R: Runtime>() {
    run::<R>(async {
        let own: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let steps = Rc::new(Cell::new(0));
        let task = spawn({
            let (own, steps) = (own.clone(), steps.clone());
            async move {
                steps.set(1);
                assert!(own.borrow().as_ref().unwrap().request_cancel());
                steps.set(2);
                yield_now().await;
                steps.set(3);
            }
        });
        *own.borrow_mut() = Some(task);
        until(|| own.borrow().as_ref().unwrap().is_finished()).await;
        let task = own.borrow_mut().take().unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(steps.get(), 2);
    });
}

fn a_cancel_drops_the_future_before_it_answers<R: Runtime>() {
    run::<R>(async {
        let dropped = Rc::new(Cell::new(0));
        let guard = Counted(dropped.clone());
        let task = spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        yield_now().await;
        let answer = task.cancel().await;
        assert!(matches!(answer, Err(JoinError::Cancelled)));
        assert_eq!(dropped.get(), 1);
    });
}

fn a_cancelled_task_that_finishes_nevertheless_gives_its_result<R: Runtime>() {
    run::<R>(async {
        let own: Rc<RefCell<Option<JoinHandle<i32>>>> = Rc::default();
        let other = own.clone();
        let task = spawn(async move {
            // Asked to end while it runs, and there is no further await.
            other.borrow().as_ref().unwrap().request_cancel();
            7
        });
        *own.borrow_mut() = Some(task);
        yield_now().await;
        let task = own.borrow_mut().take().unwrap();
        assert_eq!(task.await.unwrap(), 7);
    });
}

fn a_cancel_of_an_ended_task_gives_its_result<R: Runtime>() {
    run::<R>(async {
        let task = spawn(async { 7 });
        until(|| task.is_finished()).await;
        assert_eq!(task.cancel().await.unwrap(), 7);
    });
}

fn request_cancel_of_an_ended_task_is_refused<R: Runtime>() {
    run::<R>(async {
        let task = spawn(async { 7 });
        until(|| task.is_finished()).await;
        assert!(!task.request_cancel());
        assert_eq!(task.await.unwrap(), 7);
    });
}

fn a_cancel_waits_until_operations_are_reaped<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        for _ in 0..100 {
            let (stream, _peer) = half_pair();
            let task = spawn(async move {
                let _ = stream.read(Vec::with_capacity(16)).await;
            });
            turns(2).await;
            assert_eq!(runtime.report().live.ops, 1);
            assert!(task.cancel().await.unwrap_err().is_cancelled());
            let live = runtime.report().live;
            assert_eq!((live.ops, live.tasks), (0, 0));
        }
    });
    end(runtime);
}

fn a_dropped_cancel_leaves_the_request_standing<R: Runtime>() {
    run::<R>(async {
        let dropped = Rc::new(Cell::new(0));
        let guard = Counted(dropped.clone());
        let task = spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        yield_now().await;
        drop(task.cancel());
        yield_now().await;
        assert_eq!(dropped.get(), 1);
    });
}

fn a_cancelled_task_with_tasks_of_its_own_leaves_them_running<R: Runtime>() {
    run::<R>(async {
        let done = Signal::default();
        let other = done.clone();
        let parent = spawn(async move {
            let child = spawn(async move {
                turns(3).await;
                other.set();
            });
            let _ = child.await;
        });
        yield_now().await;
        assert!(parent.cancel().await.is_err());
        done.await;
    });
}

fn a_thread_wakes_a_task<R: Runtime>() {
    run::<R>(async {
        for _ in 0..200 {
            let signal = Signal::default();
            let other = signal.clone();
            let setter = thread(move || other.set());
            signal.await;
            setter.ended().await;
        }
    });
}

fn every_wake_of_a_storm_is_seen<R: Runtime>() {
    const THREADS: u64 = 4;
    const WAKES: u64 = 50_000;
    run::<R>(async {
        let count = Arc::new(AtomicU64::new(0));
        let waker = my_waker().await;
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (count, waker) = (count.clone(), waker.clone());
                thread(move || {
                    for number in 0..WAKES {
                        count.fetch_add(1, Ordering::Relaxed);
                        match number % 2 {
                            0 => waker.wake_by_ref(),
                            _ => waker.clone().wake(),
                        }
                    }
                })
            })
            .collect();
        // No other waker: a wake that was lost leaves this asleep for good.
        poll_fn(|_| match count.load(Ordering::Relaxed) {
            all if all == THREADS * WAKES => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
        threads.into_iter().for_each(Thread::join);
    });
}

fn a_waker_that_outlives_its_task_does_nothing<R: Runtime>() {
    run::<R>(async {
        let waker = spawn(my_waker()).await.unwrap();
        waker.wake_by_ref();
        let other = waker.clone();
        thread(move || other.wake()).ended().await;
        turns(2).await;
        waker.wake();
        turns(2).await;
    });
}

fn a_task_woken_many_times_in_a_turn_is_polled_once<R: Runtime>() {
    run::<R>(async {
        let polls = Rc::new(Cell::new(0));
        let cell: Rc<RefCell<Option<Waker>>> = Rc::default();
        let task = spawn({
            let (polls, cell) = (polls.clone(), cell.clone());
            poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                *cell.borrow_mut() = Some(cx.waker().clone());
                if polls.get() == 3 { Poll::Ready(()) } else { Poll::Pending }
            })
        });
        yield_now().await;
        assert_eq!(polls.get(), 1);
        let waker = cell.borrow_mut().take().unwrap();
        (0..10).for_each(|_| waker.wake_by_ref());
        turns(2).await;
        assert_eq!(polls.get(), 2);
        waker.wake();
        task.await.unwrap();
    });
}

fn a_join_handle_can_move_between_tasks<R: Runtime>() {
    run::<R>(async {
        let signal = Signal::default();
        let other = signal.clone();
        let mut task = spawn(async move {
            other.await;
            9
        });
        assert!(poll_once(&mut task).await.is_pending());
        // From now on another task waits, and has to be the one that is woken.
        let waiting = spawn(task);
        yield_now().await;
        signal.set();
        assert_eq!(waiting.await.unwrap().unwrap(), 9);
    });
}

fn a_handle_spawns_from_another_thread<R: Runtime>() {
    let runtime = R::new().unwrap();
    let handle = runtime.handle();
    let other = thread(move || {
        let task = handle.spawn(|| async {
            // The future itself need not be Send.
            let value = Rc::new(20);
            turns(2).await;
            *value + 1
        });
        let value = task.join().unwrap();
        handle.stop();
        value
    });
    runtime.run_forever();
    assert_eq!(other.join(), 21);
    end(runtime);
}

fn a_remote_handle_is_awaited_in_another_runtime<R: Runtime>() {
    let home = R::new().unwrap();
    let handle = home.handle();
    let other = thread(move || {
        let away = R::new().unwrap();
        let task = handle.spawn(|| async {
            turns(2).await;
            "from afar"
        });
        let answer = away.block_on(task).unwrap();
        end(away);
        handle.stop();
        answer
    });
    home.run_forever();
    assert_eq!(other.join(), "from afar");
    end(home);
}

fn a_remote_handle_cancels<R: Runtime>() {
    let runtime = R::new().unwrap();
    let handle = runtime.handle();
    let (say, hear) = mpsc::channel();
    let other = thread(move || {
        let task = handle.spawn(move || async move {
            say.send(()).unwrap();
            pending::<()>().await;
        });
        hear.recv().unwrap();
        assert!(!task.is_finished());
        task.request_cancel();
        let answer = task.join();
        handle.stop();
        answer
    });
    runtime.run_forever();
    assert!(matches!(other.join(), Err(JoinError::Cancelled)));
    end(runtime);
}

fn a_dropped_remote_handle_detaches<R: Runtime>() {
    let runtime = R::new().unwrap();
    let handle = runtime.handle();
    drop(runtime.handle().spawn(move || async move {
        turns(3).await;
        handle.stop();
    }));
    runtime.run_forever();
    end(runtime);
}

fn a_panic_reaches_the_remote_handle<R: Runtime>() {
    let runtime = R::new().unwrap();
    let in_future = runtime.handle().spawn(|| async { panic!("expected: in the future") });
    let in_closure =
        runtime.handle().spawn(|| -> std::future::Ready<()> { panic!("expected: in the closure") });
    runtime.block_on(async {
        let answers: [Result<(), JoinError>; 2] = [in_future.await, in_closure.await];
        for (answer, place) in answers.into_iter().zip(["in the future", "in the closure"]) {
            match answer {
                Err(JoinError::Panicked(panic)) => assert!(panic.message().ends_with(place)),
                other => panic!("{other:?}"),
            }
        }
    });
    end(runtime);
}

fn a_handle_reports_that_its_runtime_is_gone<R: Runtime>() {
    let runtime = R::new().unwrap();
    let handle = runtime.handle();
    assert!(!handle.is_closed());
    end(runtime);
    assert!(handle.is_closed());
    let task = handle.spawn(|| async { 1 });
    assert!(task.is_finished());
    task.request_cancel();
    assert!(matches!(task.join(), Err(JoinError::RuntimeGone)));
    let error = handle.call_soon(|| unreachable!()).unwrap_err();
    assert_eq!(error, RuntimeGone);
    assert!(error.to_string().contains("keep the runtime alive"), "{error}");
    handle.stop();
}

fn call_soon_runs_closures_in_order<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (say, hear) = mpsc::channel();
    for number in 0..100 {
        let say = say.clone();
        runtime.handle().call_soon(move || say.send(number).unwrap()).unwrap();
    }
    assert!(hear.try_recv().is_err(), "nothing runs before the loop does");
    runtime.block_on(turns(2));
    assert_eq!(hear.try_iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    // From inside, and from a thread while the loop sleeps.
    runtime.block_on(async {
        let signal = Signal::default();
        let (other, handle) = (signal.clone(), Handle::current());
        let caller = thread(move || handle.call_soon(move || other.set()).unwrap());
        signal.await;
        caller.ended().await;
    });
    end(runtime);
}

fn a_closure_that_never_ran_is_dropped_with_the_runtime<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (say, hear) = mpsc::channel::<()>();
    runtime.handle().call_soon(move || drop(say)).unwrap();
    end(runtime);
    assert_eq!(hear.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

fn the_current_handle_is_that_of_the_loop<R: Runtime>() {
    assert!(Handle::try_current().is_none());
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        async fn is_here() {
            let task = Handle::current().spawn(|| async { std::thread::current().id() });
            assert_eq!(task.await.unwrap(), std::thread::current().id());
        }
        is_here().await;
        let other = thread(|| {
            assert!(Handle::try_current().is_none(), "that of another thread is not given");
            run::<R>(is_here());
        });
        other.ended().await;
        is_here().await;
    });
    assert!(Handle::try_current().is_none());
    end(runtime);
}

fn join_on_the_own_thread_panics_with_the_cure<R: Runtime>() {
    run::<R>(async {
        let task = Handle::current().spawn(|| async { 5 });
        let message = panic_of(|| task.join());
        assert!(message.contains(".await"), "{message}");
    });
}

fn yield_now_lets_every_other_task_run<R: Runtime>() {
    run::<R>(async {
        let count = Rc::new(Cell::new(0));
        for _ in 0..1_000 {
            let count = count.clone();
            spawn(async move { count.set(count.get() + 1) });
        }
        yield_now().await;
        assert_eq!(count.get(), 1_000);
    });
}

fn a_task_that_yields_forever_starves_neither_timers_nor_sockets<R: Runtime>() {
    run::<R>(async {
        let busy = spawn(async {
            loop {
                yield_now().await;
            }
        });
        sleep(Duration::from_millis(2)).await;
        let (stream, peer) = half_pair();
        let peer = exchange(peer, pattern(200_000));
        echo(stream).await;
        assert_bytes(&peer.ended().await, &pattern(200_000));
        assert!(busy.cancel().await.is_err());
    });
}

/// Lets `busy` run beside another task, a timer and a socket, none of which it may keep waiting.
async fn starves_nobody(busy: impl Future<Output = ()> + 'static) {
    let busy = spawn(busy).cancel_on_drop();
    let ran = Rc::new(Cell::new(0));
    let other = spawn({
        let ran = ran.clone();
        async move {
            for _ in 0..100 {
                yield_now().await;
                ran.set(ran.get() + 1);
            }
        }
    });
    sleep(Duration::from_millis(2)).await;
    let (stream, peer) = half_pair();
    let peer = exchange(peer, pattern(50_000));
    echo(stream).await;
    assert_bytes(&peer.ended().await, &pattern(50_000));
    other.await.unwrap();
    assert!(!busy.is_finished(), "it ended, because nobody else had their turn");
}

fn a_loop_over_an_operation_that_is_always_ready_starves_no_task<R: Runtime>() {
    run::<R>(starves_nobody(async {
        // An end, so that a failure is no hang.
        for _ in 0..20_000_000 {
            proactor::io::nop().await.unwrap();
        }
    }));
}

fn a_reader_of_a_socket_that_is_always_ready_starves_no_task<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        let sender = thread(move || while peer.write_all(&[7; 65_536]).is_ok() {});
        starves_nobody(async move {
            let mut buffer = vec![0; 16];
            for _ in 0..20_000_000 {
                let (count, filled) = stream.read(buffer).await.unwrap();
                assert!(count > 0);
                buffer = filled;
            }
        })
        .await;
        sender.ended().await;
    });
}

fn a_hundred_thousand_tasks<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..100_000_u64)
            .map(|number| {
                spawn(async move {
                    yield_now().await;
                    number
                })
            })
            .collect();
        assert_eq!(runtime.report().live.tasks, 100_000);
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        assert_eq!(sum, (0..100_000).sum::<u64>());
        assert_eq!(runtime.report().live.tasks, 0);
    });
    end(runtime);
}

fn a_deep_chain_of_joins<R: Runtime>() {
    run::<R>(async {
        let signal = Signal::default();
        let mut last = spawn(signal.clone());
        for _ in 0..10_000 {
            let before = last;
            last = spawn(async move { before.await.unwrap() });
        }
        yield_now().await;
        signal.set();
        last.await.unwrap();
    });
}

fn a_join_handle_that_outlives_its_runtime_is_cancelled<R: Runtime>() {
    let first = R::new().unwrap();
    let (lost, done) = (first.spawn(pending::<()>()), first.spawn(async { 3 }));
    first.block_on(turns(2));
    end(first);
    assert!(lost.is_finished() && done.is_finished());
    assert!(!lost.request_cancel());
    let second = R::new().unwrap();
    second.block_on(async {
        assert!(matches!(lost.await, Err(JoinError::Cancelled)));
        assert_eq!(done.await.unwrap(), 3, "a result that was there stays");
    });
    end(second);
}

fn a_task_that_ignores_its_cancellation_in_drop_is_still_gone<R: Runtime>() {
    /// Wakes its own task while it is dropped.
    struct WakesInDrop(Option<Waker>);
    impl Future for WakesInDrop {
        type Output = ();
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            self.0 = Some(cx.waker().clone());
            Poll::Pending
        }
    }
    impl Drop for WakesInDrop {
        fn drop(&mut self) {
            self.0.take().into_iter().for_each(Waker::wake);
        }
    }
    run::<R>(async {
        let task = spawn(WakesInDrop(None));
        yield_now().await;
        assert!(timeout(Duration::from_secs(30), task.cancel()).await.unwrap().is_err());
        turns(2).await;
    });
}

/// As `RuntimeError: Task cannot await on itself` of asyncio.
fn t222_a_task_that_awaits_its_own_handle_panics_with_the_cure<R: Runtime>() {
    run::<R>(async {
        let slot = Rc::new(RefCell::new(None::<JoinHandle<String>>));
        let own = slot.clone();
        let task = Builder::new().name("itself").spawn(async move {
            yield_now().await;
            let mut handle = own.take().unwrap();
            let message = poll_fn(|cx| Poll::Ready(panic_of(|| Pin::new(&mut handle).poll(cx)))).await;
            let shown = poll_fn(|cx| Poll::Ready(panic_of(|| pin!(wait([&mut handle])).poll(cx)))).await;
            assert_eq!(message, shown);
            own.replace(Some(handle));
            message
        });
        slot.replace(Some(task));
        let mut handle = loop {
            turns(3).await;
            if let Some(handle) = slot.take() {
                break handle;
            }
        };
        let message = handle.try_take().unwrap().unwrap();
        for word in ["\"itself\"", "tasks.rs", "awaits its own handle", "detach"] {
            assert!(message.contains(word), "without {word}: {message}");
        }

        // A task may end itself by its handle: the request is delivered at the await.
        let slot = Rc::new(RefCell::new(None::<JoinHandle<()>>));
        let own = slot.clone();
        let task = spawn(async move {
            yield_now().await;
            let handle = own.take().unwrap();
            let _ = handle.cancel().await;
            unreachable!("it was cancelled");
        });
        let view = task.task();
        slot.replace(Some(task));
        until(|| matches!(view.state(), TaskState::Done(_))).await;
    });
}

/// As `RuntimeError: ... attached to a different loop` of asyncio.
fn t222_a_handle_of_another_loop_panics_with_the_cure<R: Runtime>() {
    let (one, other) = (R::new().unwrap(), R::new().unwrap());
    let mut task = one.spawn(async {
        yield_now().await;
        7
    });
    let message = panic_of(|| other.block_on(&mut task));
    for word in ["another loop", "tasks.rs", "Handle::spawn", "shared::oneshot"] {
        assert!(message.contains(word), "without {word}: {message}");
    }
    let message = panic_of(|| other.block_on(async { wait([&mut task]).await.done.len() }));
    assert!(message.contains("another loop"), "{message}");
    assert_eq!(one.block_on(&mut task).unwrap(), 7);
    // What has ended can be taken anywhere.
    let mut task = one.spawn(async { 8 });
    one.block_on(yield_now());
    assert_eq!(other.block_on(&mut task).unwrap(), 8);
    end(one);
    end(other);
}

fn t226_a_join_with_a_limit_loses_nothing<R: Runtime>() {
    let runtime = R::new().unwrap();
    let handle = runtime.handle();
    let other = thread(move || {
        let (open, gate) = proactor::sync::shared::oneshot::channel();
        let mut task = handle.spawn(move || gate);
        assert!(task.join_timeout(Duration::ZERO).is_none());
        assert!(task.join_timeout(Duration::from_nanos(1)).is_none());
        open.send(7).unwrap();
        assert_eq!(task.join_timeout(Duration::MAX).unwrap().unwrap(), Ok(7));
        panic_of(|| task.join_timeout(Duration::ZERO));

        let mut task = handle.spawn(pending::<()>);
        assert!(task.join_timeout(Duration::ZERO).is_none());
        task.request_cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        handle.stop();
    });
    runtime.run_forever();
    other.join();
    runtime.block_on(async {
        let mut task = Handle::current().spawn(async || 1);
        let message = panic_of(|| task.join_timeout(Duration::MAX));
        assert!(message.contains(".await"), "{message}");
        assert_eq!(task.await.unwrap(), 1);
    });
    end(runtime);
}
