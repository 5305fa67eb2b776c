//! Resources that are closed when their block ends, whichever way it ends, and in which order.

use std::cell::Cell;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use proactor::scope::{AsyncClose, ExitStack, exit_stack, using};
use proactor::time::sleep;
use proactor::{Config, Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    a_resource_is_closed_when_its_block_ends,
    blocks_inside_each_other_are_closed_from_the_inside,
    a_resource_is_closed_once_when_it_is_dropped_while_closing,
    a_branch_that_loses_is_closed_beside,
    a_panic_of_the_block_closes,
    a_close_that_panics_at_once_while_a_panic_unwinds,
    a_close_that_panics_is_not_polled_again,
    clean_ups_that_fail_or_panic_keep_no_others_from_being_done,
    clean_ups_may_do_anything,
    what_a_panicking_clean_up_leaves_is_awaited,
    the_end_of_block_on_closes_what_its_future_held,
    outside_a_runtime_a_resource_is_dropped,
}

/// A block that does not end.
async fn for_good<R>(_: &mut R) -> io::Result<()> {
    pending().await
}

fn failed<T>(what: &str) -> io::Result<T> {
    Err(io::Error::other(what.to_owned()))
}

fn a_resource_is_closed_when_its_block_ends<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let value = using(noting(&log, "closes", "closed"), async |_| io::Result::Ok(7)).await;
        assert_eq!((value.unwrap(), log.take()), (7, vec!["closes", "closed"]));
        let fails = using(noting(&log, "closes", "closed"), async |_| failed::<()>("block")).await;
        assert_eq!((fails.unwrap_err().to_string(), log.take()), ("block".into(), vec!["closes", "closed"]));
        let fails = using(Closes(async || failed("close")), async |_| io::Result::Ok(7)).await;
        assert_eq!(fails.unwrap_err().to_string(), "close");
        let both = using(Closes(async || failed("close")), async |_| failed::<()>("block")).await;
        assert_eq!(both.unwrap_err().to_string(), "block");
    });
}

fn blocks_inside_each_other_are_closed_from_the_inside<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let log = Log::default();
        let (outer, inner) =
            (noting(&log, "outer closes", "outer closed"), noting(&log, "inner closes", "inner closed"));
        let (noted, (stream, _peer)) = (log.clone(), half_pair());
        let task = spawn(async move {
            let _last = noted.in_drop("dropped");
            using(outer, async |_| {
                using(inner, async |_| {
                    stream.read(Tombstone::new(1)).await.map(drop).map_err(io::Error::from)
                })
                .await
            })
            .await
        });
        turns(2).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["dropped", "inner closes", "inner closed", "outer closes", "outer closed"]);
        assert_eq!(runtime.report().live.ops, 0);
    });
    assert_eq!(runtime.report().live.tasks, 0);
    end(runtime);
}

fn a_resource_is_closed_once_when_it_is_dropped_while_closing<R: Runtime>() {
    run::<R>(async {
        let (log, goes_on) = (Log::default(), Signal::default());
        let (noted, gate) = (log.clone(), goes_on.clone());
        let outer = noting(&log, "outer closes", "outer closed");
        let task = spawn(async move {
            let inner = Closes(async move || {
                noted.note("inner closes");
                gate.await;
                noted.note("inner closed");
                Ok(())
            });
            using(outer, async |_| using(inner, async |_| io::Result::Ok(())).await).await
        });
        until(|| !log.is_empty()).await;
        task.request_cancel();
        turns(2).await;
        assert!(!task.is_finished());
        goes_on.set();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["inner closes", "inner closed", "outer closes", "outer closed"]);
    });
}

fn a_branch_that_loses_is_closed_beside<R: Runtime>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let log = Log::default();
        let lost = race(using(noting(&log, "closes", "closed"), for_good), yield_now()).await;
        assert!(lost.is_err());
        assert!(log.is_empty(), "nobody waits for it");
        until(|| runtime.report().live.tasks == 0).await;
        assert_eq!(log.take(), ["closes", "closed"]);
        // Who is cancelled meanwhile waits for it, and its own come after it.
        let (first, second) = (noting(&log, "closes", "closed"), noting(&log, "then closes", "then closed"));
        let task = spawn(async move {
            let _ = race(using(first, for_good), std::future::ready(())).await;
            yield_now().await;
            let _ = using(second, for_good).await;
        });
        until(|| !log.is_empty()).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["closes", "closed", "then closes", "then closed"]);
    });
    end(runtime);
}

fn a_panic_of_the_block_closes<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let (outer, inner) =
            (noting(&log, "outer closes", "outer closed"), noting(&log, "inner closes", "inner closed"));
        let task = spawn(async move {
            using(outer, async |_| {
                using(inner, async |_| {
                    yield_now().await;
                    if true {
                        panic!("expected: the block");
                    }
                    io::Result::Ok(())
                })
                .await
            })
            .await
        });
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(log.take(), ["inner closes", "inner closed", "outer closes", "outer closed"]);
    });
}

/// Closing it panics before there is a future, or when the future is dropped.
struct Unruly(Option<Log>);

impl AsyncClose for Unruly {
    #[allow(clippy::manual_async_fn, reason = "what is not in the block is called at once")]
    fn close(self) -> impl Future<Output = io::Result<()>> {
        let Some(log) = self.0 else { panic!("expected: close itself") };
        PanicsInDrop(log)
    }
}

struct PanicsInDrop(Log);

impl Future for PanicsInDrop {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.note("polled");
        Poll::Ready(Ok(()))
    }
}

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("expected: the drop of a close");
    }
}

fn a_close_that_panics_at_once_while_a_panic_unwinds<R: Runtime>() {
    let (config, seen) = unhandled();
    let runtime = R::with_config(&config).unwrap();
    let log = Log::default();
    runtime.block_on(async {
        let outer = noting(&log, "closes", "closed");
        let task = spawn(async move {
            using(outer, async |_| {
                using(Unruly(None), async |_| {
                    yield_now().await;
                    if true {
                        panic!("expected: the block");
                    }
                    io::Result::Ok(())
                })
                .await
            })
            .await
        });
        let panic = task.await.unwrap_err();
        assert!(panic.to_string().contains("the block"), "{panic}");
    });
    assert_eq!(log.take(), ["closes", "closed"]);
    assert_eq!(*seen.lock().unwrap(), ["expected: close itself"]);
    end(runtime);
}

/// A configuration that keeps the errors which nobody took.
fn unhandled() -> (Config, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keeps = seen.clone();
    let config =
        Config::new().on_unhandled(move |error| keeps.lock().unwrap().push(error.message().to_owned()));
    (config, seen)
}

fn a_close_that_panics_is_not_polled_again<R: Runtime>() {
    let (config, seen) = unhandled();
    let runtime = R::with_config(&config).unwrap();
    let log = Log::default();
    runtime.block_on(async {
        for in_a_stack in [false, true] {
            let below = noting(&log, "closes", "closed");
            let panics = Closes(async || {
                yield_now().await;
                panic!("expected: a close")
            });
            let task = spawn(async move {
                if in_a_stack {
                    exit_stack(async |stack| {
                        stack.enter(below);
                        stack.enter(panics);
                        io::Result::Ok(())
                    })
                    .await
                } else {
                    using(below, async |_| using(panics, async |_| io::Result::Ok(())).await).await
                }
            });
            assert!(task.await.unwrap_err().is_panic());
            assert_eq!(log.take(), ["closes", "closed"]);
        }
    });
    assert_eq!(runtime.report().live.tasks, 0);
    assert!(seen.lock().unwrap().is_empty(), "the handle has told of it");
    end(runtime);
}

fn clean_ups_that_fail_or_panic_keep_no_others_from_being_done<R: Runtime>() {
    let (config, seen) = unhandled();
    let runtime = R::with_config(&config).unwrap();
    let log = Log::default();
    runtime.block_on(async {
        for round in 0..3 {
            let noted = log.clone();
            let task = spawn(async move {
                let bottom = noting(&noted, "closes", "closed");
                exit_stack(async move |stack| {
                    stack.enter(bottom);
                    match round {
                        0 => stack.defer(async || failed("first")),
                        1 => stack.defer(async || panic!("expected: second")),
                        _ => {
                            stack.enter(Unruly(Some(noted)));
                            stack.enter(Unruly(None));
                        }
                    }
                    let _: () = pending::<()>().await;
                    io::Result::Ok(())
                })
                .await
            });
            turns(1).await;
            assert!(task.cancel().await.unwrap_err().is_cancelled());
            turns(1).await;
            let expected: &[_] =
                if round == 2 { &["polled", "closes", "closed"] } else { &["closes", "closed"] };
            assert_eq!(log.take(), expected);
        }
    });
    let expected = ["first", "expected: second", "expected: close itself", "expected: the drop of a close"];
    assert_eq!(*seen.lock().unwrap(), expected, "each of them");
    end(runtime);
}

fn clean_ups_may_do_anything<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let (noted, (ours, theirs)) = (log.clone(), pair().await);
        let echoing = spawn(echo(theirs));
        let task = spawn(async move {
            let me = proactor::task::current();
            let closing = Closes(async move || {
                assert!(me.request_cancel(), "it is ending");
                assert!(proactor::task::current().request_cancel(), "to which nobody listens");
                ours.write_all("bye").await?;
                assert_eq!(ours.read_exact([0; 3]).await.map_err(io::Error::from)?.1, *b"bye");
                sleep(Duration::from_nanos(1)).await;
                let inner = using(noting(&noted, "closes", "closed"), async |_| io::Result::Ok(()));
                spawn(inner).await.unwrap()?;
                noted.note("done");
                Ok(())
            });
            using(closing, for_good).await
        });
        turns(1).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["closes", "closed", "done"]);
        echoing.await.unwrap();
    });
}

fn what_a_panicking_clean_up_leaves_is_awaited<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let left = noting(&log, "closes", "closed");
        let task = spawn(async move {
            let closing = Closes(async move || {
                using(left, async |_| {
                    yield_now().await;
                    if true {
                        panic!("expected: a clean-up");
                    }
                    Ok(())
                })
                .await
            });
            using(closing, for_good).await
        });
        turns(1).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["closes", "closed"]);
    });
}

/// Ends in its second poll, or panics then, and only its drop drops the other future.
struct Beside<F> {
    other: Pin<Box<F>>,
    polls: u32,
    panics: bool,
}

impl<F: Future> Future for Beside<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        assert!(self.other.as_mut().poll(cx).is_pending());
        self.polls += 1;
        cx.waker().wake_by_ref();
        assert!(!self.panics || self.polls < 2, "expected: the future of block_on");
        if self.polls < 2 { Poll::Pending } else { Poll::Ready(()) }
    }
}

fn the_end_of_block_on_closes_what_its_future_held<R: Runtime>() {
    let runtime = R::new().unwrap();
    let log = Log::default();
    for panics in [false, true] {
        let other = Box::pin(using(noting(&log, "closes", "closed"), for_good));
        let ended = panic_catching(|| runtime.block_on(Beside { other, polls: 0, panics }));
        assert_eq!(ended.is_some(), panics);
        assert!(log.is_empty());
        runtime.block_on(turns(3));
        assert_eq!(log.take(), ["closes", "closed"]);
    }
    // The last one is closed by the end of the runtime.
    let other = Box::pin(using(noting(&log, "closes", "closed"), for_good));
    runtime.block_on(Beside { other, polls: 0, panics: false });
    end(runtime);
    assert_eq!(log.take(), ["closes", "closed"]);
}

fn outside_a_runtime_a_resource_is_dropped<R: Runtime>() {
    let dropped = Rc::new(Cell::new(0));
    let counted = || {
        let counted = Counted(dropped.clone());
        Closes(async move || {
            let _counted = counted;
            panic!("it is not polled")
        })
    };
    let runtime = R::new().unwrap();
    let mut kept = Box::pin(using(counted(), for_good));
    assert!(runtime.block_on(poll_once(&mut kept)).is_pending());
    let stack = ExitStack::new();
    stack.enter(counted());
    drop(kept);
    assert_eq!(dropped.get(), 1);
    end(runtime);
    drop(stack);
    assert_eq!(dropped.get(), 2);
}
