//! The first phase of a runtime's end: tasks are asked to end and may clean up, until the deadline.

use std::cell::Cell;
use std::future::{Future, pending};
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proactor::net::TcpStream;
use proactor::scope::using;
use proactor::stream::{StreamExt, generate};
use proactor::task::{self, LocalHandle, catch_cancel};
use proactor::time::sleep;
use proactor::{Config, Runtime, spawn, spawn_blocking, yield_now};

use crate::kit::*;

tests! {
    tasks_clean_up_with_timers_and_io,
    tasks_started_during_shutdown_are_cancelled_afterwards,
    tasks_that_a_cleanup_starts_and_awaits_continue,
    each_task_is_cancelled_once,
    without_time_nothing_is_awaited,
    a_task_that_swallows_its_cancellation_is_ended_at_the_deadline,
    a_task_that_never_waits_is_ended_at_the_deadline,
    a_task_that_never_waits_keeps_no_other_from_cleaning_up,
    a_task_that_starts_tasks_for_ever_is_ended_at_the_deadline,
    a_clean_up_that_never_ends_is_dropped_at_the_deadline,
    clean_ups_of_operations_come_after_these,
    watchers_that_were_taken_away_disturb_no_end,
    a_destructor_that_starts_a_task_eagerly,
    a_hook_that_cancels_what_is_started,
    a_task_that_was_cancelled_before_it_was_run_eagerly,
    clean_ups_of_clean_ups_are_awaited_too,
}

/// Longer than the watchdog lets a test run: who waits for the deadline has hung.
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(30);

fn tasks_clean_up_with_timers_and_io<R: Runtime>() {
    let runtime = R::new().unwrap();
    let log = Log::default();
    let (stream, mut peer) = std_pair();
    let noted = log.clone();
    drop(runtime.spawn(async move {
        let stream = TcpStream::from_std(stream).unwrap();
        let caught = catch_cancel(stream.read(Tombstone::new(1))).await;
        stream.write_all("bye").await.unwrap();
        sleep(Duration::from_millis(1)).await;
        assert_eq!(spawn_blocking(|| 7).await.unwrap(), 7);
        noted.note("handled");
        drop(caught.map(|_| ()));
        sleep(LONG).await;
        unreachable!("it was let go");
    }));
    let noted = log.clone();
    drop(runtime.spawn(async move {
        let closing = Closes(async move || {
            sleep(Duration::from_millis(1)).await;
            noted.note("closed");
            Ok(())
        });
        hold(closing).await
    }));
    runtime.block_on(turns(2));
    assert_eq!(runtime.shutdown(LONG).tasks, 2);
    let mut said = String::new();
    peer.read_to_string(&mut said).unwrap();
    assert_eq!(said, "bye");
    let mut log = log.take();
    log.sort_unstable();
    assert_eq!(log, ["closed", "handled"]);
}

fn tasks_started_during_shutdown_are_cancelled_afterwards<R: Runtime>() {
    let runtime = R::new().unwrap();
    let log = Log::default();
    let noted = log.clone();
    drop(runtime.spawn(async move {
        let caught = catch_cancel(pending::<()>()).await;
        let inner = noted.clone();
        spawn(async move {
            inner.note("begins");
            let caught = catch_cancel(pending::<()>()).await;
            yield_now().await;
            inner.note("asked");
            drop(caught);
        });
        for _ in 0..5 {
            sleep(Duration::from_nanos(1)).await;
        }
        noted.note("first ends");
        drop(caught);
    }));
    runtime.block_on(turns(1));
    runtime.shutdown(LONG);
    assert_eq!(log.take(), ["begins", "first ends", "asked"]);
}

fn tasks_that_a_cleanup_starts_and_awaits_continue<R: Runtime>() {
    let runtime = R::new().unwrap();
    let log = Log::default();
    let noted = log.clone();
    drop(runtime.spawn(async move {
        let closing = Closes(async move || {
            let helper = spawn(async {
                sleep(Duration::from_millis(1)).await;
                "helped"
            });
            noted.note(helper.await.unwrap());
            Ok(())
        });
        hold(closing).await
    }));
    runtime.block_on(turns(1));
    runtime.shutdown(LONG);
    assert_eq!(log.take(), ["helped"]);
}

/// A task that needs some turns to handle the request for its end, which a second one would interrupt.
async fn handles(log: Log) {
    let caught = catch_cancel(pending::<()>()).await;
    for _ in 0..5 {
        sleep(Duration::from_nanos(1)).await;
    }
    log.note("handled");
    drop(caught);
}

fn each_task_is_cancelled_once<R: Runtime>() {
    let runtime = R::new().unwrap();
    let log = Log::default();
    let child = runtime.spawn(handles(log.clone())).cancel_on_drop();
    drop(runtime.spawn(child));
    let noted = log.clone();
    drop(runtime.spawn(async move {
        let mut values = generate(async move |_| handles(noted).await);
        values.next().await.unwrap_or(())
    }));
    // By way of another thread: of such a task the loop holds the handle.
    let count = Arc::new(AtomicUsize::new(0));
    let counts = count.clone();
    let remote = runtime.handle().spawn(|| async move {
        let caught = catch_cancel(pending::<()>()).await;
        turns(3).await;
        counts.fetch_add(1, Ordering::SeqCst);
        drop(caught);
    });
    runtime.block_on(turns(3));
    runtime.shutdown(LONG);
    assert_eq!(log.take(), ["handled", "handled"]);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    drop(remote);
}

fn without_time_nothing_is_awaited<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (log, dropped) = (Log::default(), Rc::new(Cell::new(0)));
    let (noted, counted) = (log.clone(), Counted(dropped.clone()));
    drop(runtime.spawn(async move {
        let closing = Closes(async move || {
            let _counted = counted;
            yield_now().await;
            noted.note("closed");
            Ok(())
        });
        hold(closing).await
    }));
    runtime.block_on(turns(1));
    runtime.shutdown(Duration::ZERO);
    assert_eq!((log.take(), dropped.get()), (vec![], 1));
}

fn a_task_that_swallows_its_cancellation_is_ended_at_the_deadline<R: Runtime>() {
    let runtime = R::new().unwrap();
    let dropped = Rc::new(Cell::new(0));
    let counted = Counted(dropped.clone());
    drop(runtime.spawn(async move {
        let _counted = counted;
        loop {
            if let Err(cancelled) = catch_cancel(sleep(LONG)).await {
                cancelled.uncancel();
            }
        }
    }));
    runtime.block_on(turns(1));
    runtime.shutdown(SHORT);
    assert_eq!(dropped.get(), 1);
}

fn a_task_that_never_waits_is_ended_at_the_deadline<R: Runtime>() {
    let runtime = R::new().unwrap();
    let dropped = Rc::new(Cell::new(0));
    let counted = Counted(dropped.clone());
    drop(runtime.spawn(async move {
        let _counted = counted;
        let _caught = catch_cancel(pending::<()>()).await;
        loop {
            yield_now().await;
        }
    }));
    runtime.block_on(turns(1));
    runtime.shutdown(SHORT);
    assert_eq!(dropped.get(), 1);
}

fn a_task_that_never_waits_keeps_no_other_from_cleaning_up<R: Runtime>() {
    let runtime = R::new().unwrap();
    let log = Log::default();
    let others = log.clone();
    drop(runtime.spawn(async move {
        let _caught = catch_cancel(pending::<()>()).await;
        while others.is_empty() {
            yield_now().await;
        }
    }));
    let (noted, (stream, peer)) = (log.clone(), std_pair());
    drop(runtime.spawn(async move {
        let stream = TcpStream::from_std(stream).unwrap();
        let _caught = catch_cancel(pending::<()>()).await;
        sleep(Duration::from_nanos(1)).await;
        drop(peer);
        assert_eq!(stream.read(Vec::with_capacity(8)).await.unwrap().0, 0);
        noted.note("handled beside it");
    }));
    runtime.block_on(turns(1));
    runtime.shutdown(LONG);
    assert_eq!(log.take(), ["handled beside it"]);
}

fn a_task_that_starts_tasks_for_ever_is_ended_at_the_deadline<R: Runtime>() {
    let runtime = R::new().unwrap();
    drop(runtime.spawn(async move {
        let _caught = catch_cancel(pending::<()>()).await;
        loop {
            spawn(async {});
            yield_now().await;
        }
    }));
    runtime.block_on(turns(1));
    runtime.shutdown(SHORT);
    let runtime = R::new().unwrap();
    drop(runtime.spawn(starts_eagerly()));
    runtime.block_on(turns(1));
    runtime.shutdown(SHORT);
    // One that hands over to another when it ends, which does the same.
    let runtime = R::new().unwrap();
    drop(runtime.spawn(hands_over()));
    runtime.block_on(turns(1));
    runtime.shutdown(SHORT);
}

fn starts_eagerly() -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async {
        let _caught = catch_cancel(pending::<()>()).await;
        drop(task::spawn_eager(starts_eagerly()));
    })
}

fn hands_over() -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async {
        let _caught = catch_cancel(pending::<()>()).await;
        spawn(hands_over());
        yield_now().await;
    })
}

fn a_clean_up_that_never_ends_is_dropped_at_the_deadline<R: Runtime>() {
    let runtime = R::new().unwrap();
    let dropped = Rc::new(Cell::new(0));
    for _ in 0..2 {
        let counted = Counted(dropped.clone());
        drop(runtime.spawn(async move {
            let closing = Closes(async move || {
                let _counted = counted;
                pending().await
            });
            hold(closing).await
        }));
    }
    runtime.block_on(turns(1));
    runtime.shutdown(SHORT);
    assert_eq!(dropped.get(), 2);
}

fn clean_ups_of_operations_come_after_these<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (canary, watch) = Canary::new(64);
    let (stream, _peer) = std_pair();
    let log = Log::default();
    let noted = log.clone();
    drop(runtime.spawn(async move {
        let stream = TcpStream::from_std(stream).unwrap();
        let closing = Closes(async move || {
            watch.assert_untouched();
            noted.note("closed");
            Ok(())
        });
        using(closing, async move |_| stream.read(canary).await.map(drop).map_err(io::Error::from)).await
    }));
    runtime.block_on(turns(2));
    assert_eq!(runtime.shutdown(LONG).ops_leaked, 0);
    assert_eq!(log.take(), ["closed"]);
}

fn watchers_that_were_taken_away_disturb_no_end<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    let log = Log::default();
    drop(runtime.spawn(handles(log.clone())));
    runtime.block_on(async {
        LocalHandle::current().add_reader(&reader, || ()).unwrap();
        turns(2).await;
        assert!(LocalHandle::current().remove_reader(&reader));
    });
    runtime.shutdown(LONG);
    assert_eq!(log.take(), ["handled"]);
}

fn a_destructor_that_starts_a_task_eagerly<R: Runtime>() {
    let runtime = R::new().unwrap();
    let log = Log::default();
    let other = runtime.spawn(async { pending::<()>().await }).cancel_on_drop();
    let mut other = Some(other);
    let starts = OnDrop(move || {
        let other = other.take();
        drop(task::spawn_eager(async move { other.unwrap().await.is_ok() }));
    });
    drop(runtime.spawn(async move {
        let _starts = starts;
        pending::<()>().await
    }));
    // Queued behind it, the second is woken while the first is being dropped.
    for _ in 0..3 {
        let closing = noting(&log, "closes", "closed");
        drop(runtime.spawn(async move { hold(closing).await }));
    }
    runtime.block_on(turns(1));
    runtime.shutdown(LONG);
    assert_eq!(log.take().len(), 6);
}

fn a_hook_that_cancels_what_is_started<R: Runtime>() {
    let config = Config::new().on_spawn(|task| {
        task.request_cancel();
    });
    let runtime = R::with_config(&config).unwrap();
    let started = Arc::new(Mutex::new(0));
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for number in 0..6 {
            let started = started.clone();
            let begins = async move {
                *started.lock().unwrap() += 1;
                pending::<()>().await
            };
            tasks.push(if number % 2 == 0 { task::spawn_eager(begins) } else { spawn(begins) });
        }
        for task in tasks {
            assert!(task.await.unwrap_err().is_cancelled());
        }
    });
    assert_eq!(runtime.report().live.tasks, 0);
    assert_eq!(*started.lock().unwrap(), 0, "cancelled before they began");
    end(runtime);
}

fn a_task_that_was_cancelled_before_it_was_run_eagerly<R: Runtime>() {
    let config = Config::new().on_spawn(|task| {
        if task.name().is_some() {
            task.request_cancel();
        }
    });
    let runtime = R::with_config(&config).unwrap();
    runtime.block_on(async {
        let go = Signal::default();
        let gate = go.clone();
        let other = spawn(async move {
            gate.await;
            pending::<()>().await
        });
        turns(1).await;
        go.set(); // so it stands first in the queue, and ends before the eager one's turn, which waits for it
        spawn(async {
            spawn(async {});
        });
        let other = other.cancel_on_drop();
        let eager = task::Builder::new().name("eager").eager(true).spawn(other);
        let last = spawn(async { 7 });
        let waited = proactor::time::timeout(Duration::from_secs(20), last).await;
        assert_eq!(waited.expect("it is lost from the queue").unwrap(), 7);
        assert!(eager.await.unwrap_err().is_cancelled());
    });
    end(runtime);
}

fn clean_ups_of_clean_ups_are_awaited_too<R: Runtime>() {
    let runtime = R::new().unwrap();
    let log = Log::default();
    let closing = noting(&log, "closes", "closed");
    drop(runtime.spawn(async move {
        let outer = Closes(async move || {
            // Its loser is closed behind it.
            drop(race(hold(closing), yield_now()).await);
            Ok(())
        });
        hold(outer).await
    }));
    runtime.block_on(turns(1));
    runtime.shutdown(LONG);
    assert_eq!(log.take(), ["closes", "closed"]);
}
