//! Combining futures and tasks: order, errors, panics, cancellation, and what is left of the losers.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, ready};
use std::io::Write;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use proactor::combine::{ReturnWhen, try_gather_tasks, wait_results};
use proactor::stream::StreamExt;
use proactor::task::{Builder, JoinHandle, catch_cancel, current, promise, try_spawn};
use proactor::time::timeout;
use proactor::{
    Config, Runtime, as_completed, gather, join, select, shield, spawn, try_gather, try_join, wait, yield_now,
};

use crate::kit::*;

tests! {
    gather_gives_outputs_in_the_order_of_its_arguments,
    gather_borrows_and_takes_errors_for_outputs,
    gather_of_nothing_is_ready,
    gather_of_ten_thousand,
    gather_polls_only_what_was_woken,
    gather_lets_other_tasks_run,
    gather_passes_a_panic_on_and_drops_the_others,
    a_dropped_gather_drops_its_futures,
    gathers_nest,
    a_gather_whose_runtime_is_gone_panics_instead_of_waiting_for_ever,
    try_gather_gives_values_in_the_order_of_its_arguments,
    try_gather_gives_the_first_error_at_once_and_the_others_continue,
    later_errors_of_a_try_gather_are_dropped,
    try_gather_of_nothing_is_ready,
    a_panic_in_a_try_gather_propagates_and_the_others_continue,
    a_cancelled_try_gather_cancels_its_tasks_and_ends_after_them,
    a_cancelled_task_of_a_try_gather_cancels_the_waiter,
    a_cancellation_of_the_waiter_leaves_sibling_branches_alone,
    a_select_takes_all_patterns_and_nests,
    try_gather_takes_tasks_over,
    as_completed_gives_outputs_in_the_order_of_their_ends,
    as_completed_borrows_and_is_a_stream,
    as_completed_loses_nothing_at_a_timeout,
    wait_for_the_first_leaves_the_others_and_all_results,
    wait_loses_nothing_at_the_timeout,
    wait_for_an_exception_that_never_comes_waits_for_all,
    wait_for_an_exception_ends_at_a_panic_and_at_a_cancellation,
    wait_for_an_exception_ends_at_errors_that_are_to_be_seen,
    wait_for_what_has_ended_or_is_nothing_is_ready,
    a_dropped_wait_cancels_nothing,
    wait_for_ten_thousand_one_by_one,
    a_shielded_future_continues_and_can_be_awaited_later,
    a_shielded_handle_does_not_cancel_its_task,
    a_shield_passes_panics_and_cancellations_on,
    join_gives_all_outputs_and_polls_no_future_again,
    join_takes_references_and_many_futures,
    try_join_drops_the_others_at_the_first_error,
    select_runs_the_handler_of_the_first,
    select_is_fair_by_the_seed,
    select_in_order_on_request,
    select_conditions_patterns_and_else,
    select_without_a_branch_panics,
    select_handlers_stand_in_the_code_around,
    select_drops_the_losers_before_the_handler,
    select_of_a_read_that_loses_loses_no_bytes,
    select_of_thirty_two,
}

/// A future that counts its polls and is ready with the one of this number.
#[derive(Debug)]
struct Polls(Rc<Cell<usize>>, usize);

impl Future for Polls {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.set(self.0.get() + 1);
        assert!(self.0.get() <= self.1, "polled again after its end");
        if self.0.get() == self.1 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Gives the turn away so many times.
async fn yields(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

fn gather_gives_outputs_in_the_order_of_its_arguments<R: Runtime>() {
    run::<R>(async {
        let outputs = gather((0..100).map(async |number| {
            yields(100 - number).await;
            number
        }))
        .await;
        assert!(outputs.into_iter().eq(0..100));
    });
}

fn gather_borrows_and_takes_errors_for_outputs<R: Runtime>() {
    run::<R>(async {
        let words = [String::from("1"), String::from("x")];
        let parsed = gather(words.iter().map(async |word| word.parse::<i32>())).await;
        assert_eq!(parsed[0], Ok(1));
        assert!(parsed[1].is_err());
    });
}

fn gather_of_nothing_is_ready<R: Runtime>() {
    run::<R>(async {
        let mut none = gather(std::iter::empty::<std::future::Ready<()>>());
        assert_eq!(poll_once(&mut none).await, Poll::Ready(vec![]));
    });
}

fn gather_of_ten_thousand<R: Runtime>() {
    run::<R>(async {
        let outputs = gather((0..10_000_usize).map(async |number| {
            yields(number % 7).await;
            number
        }));
        assert!(outputs.await.into_iter().eq(0..10_000));
    });
}

fn gather_polls_only_what_was_woken<R: Runtime>() {
    run::<R>(async {
        let polls = Rc::new(Cell::new(0));
        let sleeper = |signal: Signal| {
            let polls = polls.clone();
            async move {
                let mut signal = pin!(signal);
                std::future::poll_fn(|cx| {
                    polls.set(polls.get() + 1);
                    signal.as_mut().poll(cx)
                })
                .await
            }
        };
        let signals: Vec<_> = (0..1000).map(|_| Signal::default()).collect();
        let mut all = gather(signals.iter().cloned().map(sleeper));
        assert!(poll_once(&mut all).await.is_pending());
        assert_eq!(polls.get(), 1000);
        for (number, signal) in signals.iter().enumerate() {
            signal.set();
            assert_eq!(poll_once(&mut all).await.is_ready(), number == 999);
        }
        assert_eq!(polls.get(), 2000, "each was polled once, and once when it was woken");
    });
}

fn gather_lets_other_tasks_run<R: Runtime>() {
    run::<R>(async {
        let turns = Rc::new(Cell::new(0));
        let other = turns.clone();
        let counter = spawn(async move {
            loop {
                other.set(other.get() + 1);
                yield_now().await;
            }
        });
        // One ends in each turn, behind the others: no reason to poll those again in the same turn.
        gather((0..50).rev().map(yields)).await;
        assert!(turns.get() >= 49, "{}", turns.get());
        assert!(counter.cancel().await.is_err());
    });
}

fn gather_passes_a_panic_on_and_drops_the_others<R: Runtime>() {
    let dropped = Rc::new(Cell::new(0));
    let message = panic_of(|| {
        run::<R>(async {
            gather((0..10).map(async |number| {
                let _guard = Counted(dropped.clone());
                yield_now().await;
                assert_ne!(number, 5, "the fifth");
                pending::<()>().await;
            }))
            .await;
        });
    });
    assert!(message.contains("the fifth"));
    assert_eq!(dropped.get(), 10);
}

fn a_dropped_gather_drops_its_futures<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let (stream, _peer) = half_pair();
        let task = spawn(async move {
            gather((0..3).map(async |_| stream.read(Vec::with_capacity(16)).await)).await;
        });
        turns(2).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        let live = runtime.report().live;
        assert_eq!((live.ops, live.tasks), (0, 0));
    });
    end(runtime);
}

fn gathers_nest<R: Runtime>() {
    run::<R>(async {
        let outer = (0..10).map(async |row| {
            gather((0..10).map(async |column| {
                yields((row * column) % 5).await;
                10 * row + column
            }))
            .await
        });
        assert!(gather(outer).await.into_iter().flatten().eq(0..100));
    });
}

fn a_gather_whose_runtime_is_gone_panics_instead_of_waiting_for_ever<R: Runtime>() {
    let mut gathered = None;
    run::<R>(async { gathered = Some(gather([pending::<()>()])) });
    let (gathered, message) = (gathered.unwrap(), "gather them in the runtime that awaits them");
    assert!(panic_of(|| run::<R>(async { drop(gathered.await) })).contains(message));
}

fn try_gather_gives_values_in_the_order_of_its_arguments<R: Runtime>() {
    run::<R>(async {
        let values = try_gather((0..100).map(async |number| {
            yields(100 - number).await;
            Ok::<_, ()>(number)
        }));
        assert!(values.await.unwrap().into_iter().eq(0..100));
    });
}

fn try_gather_gives_the_first_error_at_once_and_the_others_continue<R: Runtime>() {
    run::<R>(async {
        let (signal, done) = (Signal::default(), Signal::default());
        let answer = try_gather((0..3).map(|number| {
            let (signal, done) = (signal.clone(), done.clone());
            async move {
                match number {
                    0 => signal.await, // as long as nobody lets it go on
                    1 => yield_now().await,
                    _ => return Err("the first in time"),
                }
                if number == 1 {
                    return Err("the second");
                }
                done.set();
                Ok(())
            }
        }))
        .await;
        assert_eq!(answer, Err("the first in time"));
        signal.set();
        done.await;
    });
}

fn later_errors_of_a_try_gather_are_dropped<R: Runtime>() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(0));
    let log = seen.clone();
    let runtime = R::with_config(&Config::new().on_unhandled(move |_| *log.lock().unwrap() += 1)).unwrap();
    runtime.block_on(async {
        assert_eq!(try_gather((0..5).map(async |number| Err::<(), _>(number))).await, Err(0));
        turns(2).await;
    });
    end(runtime);
    assert_eq!(*seen.lock().unwrap(), 0);
}

fn try_gather_of_nothing_is_ready<R: Runtime>() {
    run::<R>(async {
        let mut none = try_gather(std::iter::empty::<std::future::Ready<Result<(), ()>>>());
        assert_eq!(poll_once(&mut none).await, Poll::Ready(Ok(vec![])));
    });
}

fn a_panic_in_a_try_gather_propagates_and_the_others_continue<R: Runtime>() {
    run::<R>(async {
        let done = Signal::default();
        let other = done.clone();
        let waiting = spawn(async {
            let futures: [Pin<Box<dyn Future<Output = _>>>; 2] = [
                Box::pin(async move {
                    turns(2).await;
                    other.set();
                    Ok(())
                }),
                Box::pin(async { std::panic::resume_unwind(Box::new("on fire")) }),
            ];
            try_gather::<(), (), _>(futures).await
        });
        assert!(waiting.await.unwrap_err().is_panic());
        done.await;
    });
}

fn a_cancelled_try_gather_cancels_its_tasks_and_ends_after_them<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let cleaned = Rc::new(Cell::new(0));
        let (stream, _peer) = half_pair();
        let stream = Rc::new(stream);
        let task = spawn({
            let cleaned = cleaned.clone();
            try_gather((0..3).map(move |_| {
                let (stream, cleaned) = (stream.clone(), cleaned.clone());
                async move {
                    let read = catch_cancel(stream.read(Vec::with_capacity(16))).await;
                    turns(3).await; // the clean-up
                    cleaned.set(cleaned.get() + 1);
                    read.map(drop).map_err(drop)
                }
            }))
        });
        turns(2).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        let live = runtime.report().live;
        assert_eq!((cleaned.get(), live.ops, live.tasks), (3, 0, 0));
    });
    end(runtime);
}

fn a_cancelled_task_of_a_try_gather_cancels_the_waiter<R: Runtime>() {
    run::<R>(async {
        let tasks: Vec<_> = (0..3).map(|_| spawn(pending::<Result<(), ()>>())).collect();
        let second = tasks[1].task();
        let other = tasks[2].task();
        let waiting = spawn(try_gather_tasks(tasks));
        yield_now().await;
        second.request_cancel();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(other.cancelling(), 0, "the others go on");
        // As an await that raises does in asyncio, it counts as no request; caught and let go, it ends the task.
        let task = spawn(pending::<Result<(), ()>>());
        let child = task.task();
        let waiting = spawn(async {
            let caught = catch_cancel(try_gather_tasks([task])).await;
            assert!(caught.is_err() && current().cancelling() == 0);
            yield_now().await;
            drop(caught);
            yield_now().await;
            unreachable!("it was cancelled");
        });
        yield_now().await;
        child.request_cancel();
        assert!(waiting.await.map(|()| ()).unwrap_err().is_cancelled());
    });
}

fn try_gather_takes_tasks_over<R: Runtime>() {
    run::<R>(async {
        let tasks = [spawn(async { Ok::<_, ()>(1) }), Builder::new().name("two").spawn(async { Ok(2) })];
        assert_eq!(try_gather_tasks(tasks).await, Ok(vec![1, 2]));
        let task = spawn(pending::<Result<(), ()>>());
        let beside = task.task();
        drop(try_gather_tasks([task]));
        assert_eq!(beside.cancelling(), 1);
    });
}

fn as_completed_gives_outputs_in_the_order_of_their_ends<R: Runtime>() {
    run::<R>(async {
        let mut ended = as_completed((0..100).map(async |number| {
            yields(100 - number).await;
            2 * number
        }));
        for number in (0..100).rev() {
            assert_eq!(ended.next().await, Some((number, 2 * number)));
        }
        assert_eq!(ended.next().await, None);
    });
}

fn as_completed_borrows_and_is_a_stream<R: Runtime>() {
    run::<R>(async {
        let words = [String::from("a"), String::from("bcd")];
        let ended = as_completed(words.iter().map(async |word| word.len()));
        let mut stream = pin!(ended);
        let mut sum = 0;
        while let Some((_, length)) = StreamExt::next(&mut stream).await {
            sum += length;
        }
        assert_eq!(sum, 4);
    });
}

fn as_completed_loses_nothing_at_a_timeout<R: Runtime>() {
    run::<R>(async {
        let signals: Vec<_> = (0..10).map(|_| Signal::default()).collect();
        let mut ended = as_completed(signals.iter().cloned());
        assert!(timeout(Duration::ZERO, ended.next()).await.is_err());
        signals.iter().for_each(Signal::set);
        let mut places = Vec::new();
        loop {
            match timeout(Duration::ZERO, ended.next()).await {
                Ok(Some((place, ()))) => places.push(place),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        assert!(places.into_iter().eq(0..10));
    });
}

fn wait_for_the_first_leaves_the_others_and_all_results<R: Runtime>() {
    run::<R>(async {
        let signals: [Signal; 3] = Default::default();
        let task = |(value, signal): (usize, &Signal)| {
            let signal = signal.clone();
            spawn(async move {
                signal.await;
                value
            })
        };
        let mut tasks: Vec<_> = signals.iter().enumerate().map(task).collect();
        let first = signals[1].clone();
        let setter = spawn(async move {
            turns(1).await;
            first.set();
        });
        let waited = wait(&mut tasks).until(ReturnWhen::FirstCompleted).await;
        assert_eq!((waited.done, waited.pending), (vec![1], vec![0, 2]));
        setter.await.unwrap();
        signals.iter().for_each(Signal::set);
        let waited = wait(&mut tasks).await;
        assert_eq!((waited.done, waited.pending), (vec![0, 1, 2], vec![]));
        for (value, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), value);
        }
    });
}

fn wait_loses_nothing_at_the_timeout<R: Runtime>() {
    run::<R>(async {
        let (promise, promised) = promise::<i32, ()>();
        let mut tasks = [spawn(async { promised.await.unwrap() }), spawn(async { 2 })];
        let waited = wait(&mut tasks).timeout(Duration::from_millis(1)).await;
        assert_eq!((waited.done, waited.pending), (vec![1], vec![0]));
        promise.set_result(1).unwrap();
        let [one, two] = tasks;
        assert_eq!((one.await.unwrap(), two.await.unwrap()), (1, 2));
    });
}

fn wait_for_an_exception_that_never_comes_waits_for_all<R: Runtime>() {
    run::<R>(async {
        let mut tasks: Vec<_> = (0..5).map(|count| spawn(yields(count))).collect();
        let waited = wait(&mut tasks).until(ReturnWhen::FirstException).await;
        assert_eq!((waited.done.len(), waited.pending.len()), (5, 0));
        let errors = (0..5).map(|count| {
            spawn(async move {
                yields(count).await;
                Err::<(), _>(count)
            })
        });
        let mut errors: Vec<_> = errors.collect();
        let waited = wait(&mut errors).until(ReturnWhen::FirstException).await;
        assert_eq!(waited.done.len(), 5, "of a plain task any output is a value");
    });
}

fn wait_for_an_exception_ends_at_a_panic_and_at_a_cancellation<R: Runtime>() {
    run::<R>(async {
        let panics = spawn(async {
            yields(3).await;
            std::panic::resume_unwind(Box::new("on fire"))
        });
        let mut tasks = [spawn(pending()), spawn(async {}), panics];
        let waited = wait(&mut tasks).until(ReturnWhen::FirstException).await;
        assert_eq!((waited.done, waited.pending), (vec![1, 2], vec![0]));
        let [mut endless, _, panicked] = tasks;
        assert!(panicked.await.unwrap_err().is_panic());
        endless.request_cancel();
        let mut others = [endless, spawn(pending())];
        let waited = wait(&mut others).until(ReturnWhen::FirstException).await;
        assert_eq!(waited.done, [0]);
        [endless, _] = others;
        assert!(endless.await.unwrap_err().is_cancelled());
    });
}

fn wait_for_an_exception_ends_at_errors_that_are_to_be_seen<R: Runtime>() {
    run::<R>(async {
        let mut tasks = [spawn(pending()), spawn(async { Ok(()) }), spawn(async { Err("no") })];
        let waited = wait_results(&mut tasks).until(ReturnWhen::FirstException).await;
        assert_eq!((waited.done, waited.pending), (vec![1, 2], vec![0]));
        let mut tasks = [try_spawn(pending()), try_spawn(async { Ok(()) }), try_spawn(async { Err("no") })];
        let waited = wait(&mut tasks).until(ReturnWhen::FirstException).await;
        assert_eq!((waited.done, waited.pending), (vec![1, 2], vec![0]));
        let [_, _, failed] = tasks;
        assert_eq!(failed.await.unwrap(), Err("no"));
    });
}

fn wait_for_what_has_ended_or_is_nothing_is_ready<R: Runtime>() {
    run::<R>(async {
        let mut none: [JoinHandle<()>; 0] = [];
        assert!(poll_once(&mut wait(&mut none)).await.is_ready());
        let mut tasks = [spawn(async {}), spawn(pending())];
        yield_now().await;
        assert!(poll_once(&mut wait(&mut tasks).until(ReturnWhen::FirstCompleted)).await.is_ready());
        assert!(poll_once(&mut wait(&mut tasks[..1])).await.is_ready());
        assert!(poll_once(&mut wait(&mut tasks)).await.is_pending());
    });
}

fn a_dropped_wait_cancels_nothing<R: Runtime>() {
    run::<R>(async {
        let mut tasks = [spawn(yields(3))];
        let mut waiting = wait(&mut tasks);
        assert!(poll_once(&mut waiting).await.is_pending());
        drop(waiting);
        let [task] = tasks;
        task.await.unwrap();
    });
}

fn wait_for_ten_thousand_one_by_one<R: Runtime>() {
    run::<R>(async {
        let mut tasks: Vec<_> = (0..10_000).map(|count| spawn(yields(count % 100))).collect();
        let waited = wait(&mut tasks).await;
        assert_eq!(waited.done.len(), 10_000);
    });
}

fn a_shielded_future_continues_and_can_be_awaited_later<R: Runtime>() {
    run::<R>(async {
        let (signal, done) = (Signal::default(), Signal::default());
        let (let_go, other) = (signal.clone(), done.clone());
        let outer = spawn(shield(async move {
            signal.await;
            other.set();
        }));
        yield_now().await;
        assert!(outer.cancel().await.unwrap_err().is_cancelled());
        let_go.set();
        done.await;

        let signal = Signal::default();
        let mut inner = shield(signal.clone());
        assert!(timeout(Duration::ZERO, &mut inner).await.is_err());
        signal.set();
        inner.await;
    });
}

fn a_shielded_handle_does_not_cancel_its_task<R: Runtime>() {
    run::<R>(async {
        let task = spawn(pending::<()>()).cancel_on_drop();
        let beside = task.task();
        let outer = spawn(shield(task));
        yield_now().await;
        assert!(outer.cancel().await.unwrap_err().is_cancelled());
        turns(1).await;
        assert_eq!(beside.cancelling(), 0);
        assert_eq!(shield(spawn(async { 42 })).await.unwrap(), 42);
    });
}

fn a_shield_passes_panics_and_cancellations_on<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let panics = spawn(shield(async { std::panic::resume_unwind(Box::new("on fire")) }));
        let outcome: Result<(), _> = panics.await;
        assert!(outcome.unwrap_err().is_panic());

        let inner: Rc<RefCell<Option<proactor::task::Task>>> = Rc::default();
        let own = inner.clone();
        let outer = spawn(shield(async move {
            own.replace(Some(proactor::task::current()));
            pending::<()>().await;
        }));
        turns(1).await;
        inner.borrow().as_ref().unwrap().request_cancel();
        assert!(outer.await.unwrap_err().is_cancelled());
    });
    end(runtime);
}

fn join_gives_all_outputs_and_polls_no_future_again<R: Runtime>() {
    run::<R>(async {
        let counts: [Rc<Cell<usize>>; 3] = Default::default();
        let polls = |place: usize, count| Polls(counts[place].clone(), count);
        let word = String::from("word");
        let (one, (), (), (), length) =
            join!(async { 1 }, polls(0, 1), polls(1, 5), polls(2, 3), async { word.len() });
        assert_eq!((one, length), (1, 4));
        assert_eq!(counts.map(|count| count.get()), [1, 5, 3]);
    });
}

fn join_takes_references_and_many_futures<R: Runtime>() {
    run::<R>(async {
        let mut own = Box::pin(async { 7 });
        assert_eq!(join!(&mut own), (7,));
        let ones = join!(
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
            ready(1),
        );
        assert_eq!(ones.19, 1);
        // What is temporary in an expression lives as long as its future.
        let length = async |text: &String| text.len();
        assert_eq!(join!(length(&String::from("abc")), length(&"de".repeat(2))), (3, 4));
    });
}

fn try_join_drops_the_others_at_the_first_error<R: Runtime>() {
    run::<R>(async {
        let dropped = Rc::new(Cell::new(0));
        let endless = |guard: Counted| async move {
            let _guard = guard;
            pending::<Result<(), _>>().await
        };
        let answer = try_join!(endless(Counted(dropped.clone())), async {
            yield_now().await;
            Err::<(), _>(dropped.get())
        });
        assert_eq!((answer.unwrap_err(), dropped.get()), (0, 1));
        assert_eq!(try_join!(async { Ok::<_, ()>(1) }, async { Ok("two") }), Ok((1, "two")));
    });
}

fn select_runs_the_handler_of_the_first<R: Runtime>() {
    run::<R>(async {
        let got = select! {
            () = pending() => 0,
            text = async { "text" } => text.len(),
        };
        assert_eq!(got, 4);
        let signal = Signal::default();
        signal.set();
        let waited = select! {
            _ = pending::<i32>() => { "never" }
            () = signal => { "signal" }
        };
        assert_eq!(waited, "signal");
    });
}

fn select_is_fair_by_the_seed<R: Runtime>() {
    let draw = |seed| {
        let runtime = R::with_config(&Config::new().seed(seed)).unwrap();
        let mut counts = [0; 3];
        runtime.block_on(async {
            for _ in 0..3000 {
                select! {
                    () = ready(()) => counts[0] += 1,
                    () = ready(()) => counts[1] += 1,
                    () = ready(()) => counts[2] += 1,
                }
            }
        });
        counts
    };
    let counts = draw(7);
    assert_eq!(counts, draw(7), "a run can be replayed");
    assert_ne!(counts, draw(8));
    assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
}

fn select_in_order_on_request<R: Runtime>() {
    run::<R>(async {
        for _ in 0..1000 {
            select! {
                biased;
                () = pending() => unreachable!(),
                () = ready(()) => {}
                () = ready(()) => unreachable!(),
            }
        }
    });
}

fn select_conditions_patterns_and_else<R: Runtime>() {
    run::<R>(async {
        let mut source = None::<std::future::Ready<i32>>;
        let got = select! {
            // Not evaluated, and so no panic.
            number = source.take().unwrap(), if source.is_some() => number,
            Some(mut number) = ready(None::<i32>) => { number += 1; number }
            Some(ref text) = yielded(Some(String::from("abc"))) => text.len() as i32,
        };
        assert_eq!(got, 3);
        let out = select! {
            _ = ready(()), if false => "condition",
            Ok(()) = ready(Err::<(), ()>(())) => "pattern",
            else => "else",
        };
        assert_eq!(out, "else");
    });
}

async fn yielded<T>(value: T) -> T {
    yield_now().await;
    value
}

fn select_without_a_branch_panics<R: Runtime>() {
    let message = panic_of(|| {
        run::<R>(async {
            select! { () = pending(), if false => {} }
        })
    });
    assert!(message.contains("no `else`"), "{message}");
}

fn select_handlers_stand_in_the_code_around<R: Runtime>() {
    async fn parse(text: &str) -> Result<i32, std::num::ParseIntError> {
        let mut sum = 0;
        for _ in 0..3 {
            select! {
                text = ready(text) => sum += text.parse::<i32>()?,
                () = pending() => return Ok(-1),
            }
        }
        'outer: loop {
            loop {
                select! {
                    () = yield_now() => {
                        yield_now().await;
                        sum += 1;
                        if sum > 10 { break 'outer } else { continue 'outer }
                    }
                    () = pending() => {}
                }
            }
        }
        Ok(sum)
    }
    run::<R>(async {
        assert_eq!(parse("2").await, Ok(11));
        assert!(parse("x").await.is_err());
    });
}

fn select_drops_the_losers_before_the_handler<R: Runtime>() {
    run::<R>(async {
        let mut log = vec![0];
        let dropped = Rc::new(Cell::new(0));
        let push = async |log: &mut Vec<i32>, number| {
            let _guard = Counted(dropped.clone());
            yields(number as usize).await;
            log.push(number);
        };
        // Both borrow the log: one as the future that loses, the other in the handler.
        select! {
            () = push(&mut log, 1000) => unreachable!(),
            () = yields(3) => {
                assert_eq!(dropped.get(), 1);
                log.push(1);
            }
        }
        assert_eq!(log, [0, 1]);
    });
}

fn select_of_a_read_that_loses_loses_no_bytes<R: Runtime>() {
    run::<R>(async {
        const TOTAL: usize = 64 * 1024;
        let (stream, mut peer) = half_pair();
        let sent = pattern(TOTAL);
        let bytes = sent.clone();
        let (begin, begins) = std::sync::mpsc::channel();
        let writer = thread(move || {
            begins.recv().unwrap();
            bytes.chunks(113).for_each(|chunk| peer.write_all(chunk).unwrap());
        });
        let mut received = Vec::new();
        while received.len() < TOTAL {
            select! {
                read = stream.read(Vec::with_capacity(1000)) => received.extend(read.unwrap().1),
                () = yield_now() => drop(begin.send(())), // the first read loses: there is nothing yet
            }
        }
        assert_bytes(&received, &sent);
        writer.ended().await;
    });
}

fn select_of_thirty_two<R: Runtime>() {
    run::<R>(async {
        let mut seen = [false; 32];
        while seen.contains(&false) {
            let place = select! {
                n = ready(0) => n, n = ready(1) => n, n = ready(2) => n, n = ready(3) => n,
                n = ready(4) => n, n = ready(5) => n, n = ready(6) => n, n = ready(7) => n,
                n = ready(8) => n, n = ready(9) => n, n = ready(10) => n, n = ready(11) => n,
                n = ready(12) => n, n = ready(13) => n, n = ready(14) => n, n = ready(15) => n,
                n = ready(16) => n, n = ready(17) => n, n = ready(18) => n, n = ready(19) => n,
                n = ready(20) => n, n = ready(21) => n, n = ready(22) => n, n = ready(23) => n,
                n = ready(24) => n, n = ready(25) => n, n = ready(26) => n, n = ready(27) => n,
                n = ready(28) => n, n = ready(29) => n, n = ready(30) => n, n = ready(31) => n,
            };
            seen[place] = true;
        }
    });
}

/// The request comes from one branch of a `join!`; what catches cancellations in another is not where it is to go.
fn a_cancellation_of_the_waiter_leaves_sibling_branches_alone<R: Runtime>() {
    run::<R>(async {
        let endless = spawn(pending::<Result<(), ()>>());
        let target = endless.task();
        let waiting = spawn(async {
            let beside = catch_cancel(pending::<()>());
            let _ = join!(try_gather_tasks([endless]), beside);
        });
        turns(2).await;
        target.request_cancel();
        assert!(waiting.await.unwrap_err().is_cancelled());

        // Caught around one branch, it ends that alone.
        let endless = spawn(pending::<Result<(), ()>>());
        let target = endless.task();
        let waiting = spawn(async {
            let caught = async {
                let caught = catch_cancel(try_gather_tasks([endless])).await;
                caught.map_err(|cancelled| cancelled.uncancel())
            };
            join!(caught, async { catch_cancel(turns(5)).await.is_ok() })
        });
        turns(2).await;
        target.request_cancel();
        assert_eq!(waiting.await.unwrap(), (Err(0), true));
    });
}

fn a_select_takes_all_patterns_and_nests<R: Runtime>() {
    macro_rules! many {
        ($handler:expr) => {
            select! {
                biased;
                _ = ready(()) => $handler,
                _ = ready(()) => 1, _ = ready(()) => 1, _ = ready(()) => 1, _ = ready(()) => 1, _ = ready(()) => 1,
                _ = ready(()) => 1, _ = ready(()) => 1, _ = ready(()) => 1, _ = ready(()) => 1, _ = ready(()) => 1,
                _ = ready(()) => 1, _ = ready(()) => 1, _ = ready(()) => 1, _ = ready(()) => 1, _ = ready(()) => 1,
                _ = ready(()) => 1, _ = ready(()) => 1, _ = ready(()) => 1, _ = ready(()) => 1, _ = ready(()) => 1,
            }
        };
    }
    run::<R>(async {
        let length = select! {
            ref mut text = ready(String::from("a")) => {
                text.push('b');
                text.len()
            }
        };
        assert_eq!(length, 2);
        let number = select! { all @ (1 | 2) = ready(2) => all, else => 0 };
        assert_eq!(number, 2);
        assert_eq!(many!(many!(3)), 3);
    });
}
