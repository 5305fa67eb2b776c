//! The floor of an executor: boxed futures, polled in turn with a waker that does nothing. No queue, no handles.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::peer::Yield;

/// Tasks made and polled, a thousand at a time.
pub fn spawns(ops: u64) -> io::Result<()> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut tasks: Vec<Pin<Box<dyn Future<Output = u64>>>> = Vec::with_capacity(1_000);
    let mut left = ops;
    while left > 0 {
        let batch = left.min(1_000);
        for number in 0..batch {
            tasks.push(Box::pin(async move { std::hint::black_box(number) }));
        }
        for mut task in tasks.drain(..) {
            assert!(task.as_mut().poll(&mut cx).is_ready());
        }
        left -= batch;
    }
    Ok(())
}

/// A hundred tasks that yield.
pub fn yields(ops: u64) -> io::Result<()> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    for _ in 0..100 {
        tasks.push(Box::pin(async move {
            for _ in 0..ops / 100 {
                Yield(false).await;
            }
        }));
    }
    while !tasks.is_empty() {
        tasks.retain_mut(|task| matches!(task.as_mut().poll(&mut cx), Poll::Pending));
    }
    Ok(())
}
