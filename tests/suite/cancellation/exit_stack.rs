//! Stacks of resources, closed from the top.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use proactor::scope::{ExitStack, exit_stack};
use proactor::{Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    a_stack_is_closed_from_its_top,
    a_stack_that_is_dropped_while_closing_continues,
    a_stack_that_was_emptied_ends_nothing,
}

fn failed<T>(what: &str) -> io::Result<T> {
    Err(io::Error::other(what.to_owned()))
}

fn a_stack_is_closed_from_its_top<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let with = |stack: &ExitStack, fails: bool| {
            for name in ["bottom", "middle", "top"] {
                let log = log.clone();
                stack.defer(async move || {
                    yield_now().await;
                    log.note(name);
                    if fails && name != "bottom" { failed(name) } else { Ok(()) }
                });
            }
            assert_eq!(stack.len(), 3);
        };
        let value = exit_stack(async |stack| {
            with(stack, false);
            io::Result::Ok(7)
        });
        assert_eq!((value.await.unwrap(), log.take()), (7, vec!["top", "middle", "bottom"]));
        let first = exit_stack(async |stack| {
            let _: () = with(stack, true);
            io::Result::Ok(())
        })
        .await;
        assert_eq!(
            (first.unwrap_err().to_string(), log.take()),
            ("top".into(), vec!["top", "middle", "bottom"])
        );
        let body = exit_stack(async |stack| {
            with(stack, true);
            failed::<()>("body")
        });
        assert_eq!((body.await.unwrap_err().to_string(), log.take().len()), ("body".into(), 3));
    });
}

fn a_stack_that_is_dropped_while_closing_continues<R: Runtime>() {
    run::<R>(async {
        let (log, goes_on) = (Log::default(), Signal::default());
        let (noted, gate) = (log.clone(), goes_on.clone());
        let task = spawn(exit_stack(async move |stack| {
            let lent = stack.enter(noting(&noted, "bottom closes", "bottom closed"));
            let _lent_for_as_long_as_the_block = lent;
            stack.enter(noting(&noted, "middle closes", "middle closed"));
            stack.defer(async move || {
                noted.note("top closes");
                gate.await;
                noted.note("top closed");
                Ok(())
            });
            io::Result::Ok(())
        }));
        until(|| !log.is_empty()).await;
        task.request_cancel();
        turns(2).await;
        goes_on.set();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(
            log.take(),
            ["top closes", "top closed", "middle closes", "middle closed", "bottom closes", "bottom closed"]
        );
    });
}

fn a_stack_that_was_emptied_ends_nothing<R: Runtime>() {
    run::<R>(async {
        let log = Log::default();
        let mut stack = ExitStack::new();
        stack.enter(noting(&log, "closes", "closed"));
        let other = stack.pop_all();
        assert!(stack.is_empty() && other.len() == 1);
        stack.close().await.unwrap();
        assert!(log.is_empty());
        other.close().await.unwrap();
        assert_eq!(log.take(), ["closes", "closed"]);
        // Dropped, it does the same beside whatever goes on.
        let many = ExitStack::new();
        let count = Rc::new(Cell::new(0));
        for _ in 0..3_000 {
            let count = count.clone();
            many.defer(async move || {
                count.set(count.get() + 1);
                Ok(())
            });
        }
        drop(many);
        until(|| count.get() == 3_000).await;
    });
}
