//! Results and requests that cross threads: each arrives, in whichever order the threads run.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use loom::thread;

use crate::kit::{Model, TestLoop, block_on, join};
use crate::sys::sync::Arc;
use crate::task::threads::remote_result::{RemoteResult, ResultSender};
use crate::task::{JoinError, RemoteHandle};

pub(crate) fn models() -> Vec<Model> {
    vec![
        ("remote_result_sent_against_poll", sent_against_poll),
        ("remote_result_sent_against_wait", sent_against_wait),
        ("remote_result_sender_dropped", sender_dropped),
        ("join_across_threads", join_across_threads),
        ("cancel_request_against_the_task", cancel_request_against_the_task),
        ("cancel_requests_from_two_threads", cancel_requests_from_two_threads),
        ("t25_remote_handle_while_the_runtime_goes", remote_handle_while_the_runtime_goes),
        ("t25_remote_handle_dropped_while_the_runtime_goes", remote_handle_dropped_while_the_runtime_goes),
        ("t25_spawn_while_the_runtime_goes", spawn_while_the_runtime_goes),
    ]
}

fn sent_against_poll() {
    let result = RemoteResult::new();
    let sender = ResultSender::new(result.clone(), JoinError::Cancelled);
    let thread = thread::spawn(move || sender.send(Ok(Box::new(7))));
    let result = block_on(poll_fn(|cx| result.poll(cx)));
    assert_eq!(*result.unwrap(), 7);
    join([thread]);
}

fn sent_against_wait() {
    let result = RemoteResult::new();
    let sender = ResultSender::new(result.clone(), JoinError::Cancelled);
    let thread = thread::spawn(move || sender.send(Ok(Box::new(7))));
    let _ = result.is_ready();
    assert_eq!(*result.wait().unwrap(), 7);
    join([thread]);
}

fn sender_dropped() {
    let result = RemoteResult::<()>::new();
    let mut sender = ResultSender::new(result.clone(), JoinError::RuntimeGone);
    let thread = thread::spawn(move || {
        sender.set_error_on_drop(JoinError::Cancelled);
        drop(sender);
    });
    let result = block_on(poll_fn(|cx| result.poll(cx)));
    assert!(matches!(result, Err(JoinError::Cancelled)), "{result:?}");
    join([thread]);
}

/// A thread sends a task to a loop that sleeps, and sleeps itself until the result comes back.
fn join_across_threads() {
    let test_loop = TestLoop::new();
    let handle = test_loop.handle();
    let thread = thread::spawn(move || {
        let task = handle.spawn(|| async { Box::new(7) });
        assert_eq!(*task.join().unwrap(), 7);
        handle.stop();
    });
    test_loop.run_forever();
    join([thread]);
}

fn cancel_request_against_the_task() {
    let test_loop = TestLoop::new();
    let handle = test_loop.handle();
    let thread = thread::spawn(move || {
        let task = handle.spawn(pending::<()>);
        task.request_cancel();
        let result = task.join();
        assert!(matches!(result, Err(JoinError::Cancelled)), "{result:?}");
        handle.stop();
    });
    test_loop.run_forever();
    join([thread]);
}

fn cancel_requests_from_two_threads() {
    let test_loop = TestLoop::new();
    let task = Arc::new(test_loop.handle().spawn(pending::<()>));
    let threads = [(); 2].map(|()| {
        let task = task.clone();
        thread::spawn(move || task.request_cancel())
    });
    test_loop.run_until(false, || task.is_finished());
    join(threads);
    drop(test_loop);
    let result = Arc::try_unwrap(task).unwrap().join();
    assert!(matches!(result, Err(JoinError::Cancelled)), "{result:?}");
}

/// A remote handle requests cancellation, is polled once and dropped, on its own thread, while the runtime ends.
fn remote_handle_while_the_runtime_goes() {
    let test_loop = TestLoop::new();
    let handle = test_loop.handle();
    let task = handle.spawn(pending::<()>);
    let thread = thread::spawn(move || {
        task.request_cancel();
        let result = block_on(task);
        assert!(matches!(result, Err(JoinError::Cancelled | JoinError::RuntimeGone)), "{result:?}");
    });
    test_loop.turn();
    drop(test_loop);
    join([thread]);
}

/// A remote handle requests cancellation and is dropped while the runtime ends; its result is not taken.
fn remote_handle_dropped_while_the_runtime_goes() {
    let test_loop = TestLoop::new();
    let task = test_loop.handle().spawn(pending::<()>);
    let thread = thread::spawn(move || {
        task.request_cancel();
        drop(task);
    });
    test_loop.turn();
    drop(test_loop);
    join([thread]);
}

/// A task is sent to a runtime that ends at the same time.
fn spawn_while_the_runtime_goes() {
    let test_loop = TestLoop::new();
    let handle = test_loop.handle();
    let thread = thread::spawn(move || {
        let task = handle.spawn(|| async { 7 });
        let _ = handle.call_soon(|| ());
        handle.stop();
        match task.join() {
            Ok(7) | Err(JoinError::Cancelled | JoinError::RuntimeGone) => {}
            other => panic!("{other:?}"),
        }
    });
    test_loop.turn();
    drop(test_loop);
    join([thread]);
}
