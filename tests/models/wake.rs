//! Wakers of a task on other threads: no wake-up is lost, and the last reference releases the cell, once and after its last
//! use.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use loom::thread;

use crate::kit::{Model, TestLoop, join};
use crate::sys::memory::Watched;
use crate::sys::sync::Arc;
use crate::sys::sync::atomic::{AtomicBool, Ordering};
use crate::task::JoinHandle;

pub(crate) fn models() -> Vec<Model> {
    vec![
        ("t35_two_wakes_from_two_threads", two_wakes_from_two_threads),
        ("t35_two_wakes_in_a_row", two_wakes_in_a_row),
        ("t36_park_against_wake", park_against_wake),
        ("t24_waker_during_shutdown", waker_during_shutdown),
        ("t24_waker_outlives_the_runtime", waker_outlives_the_runtime),
        ("waker_dropped_while_its_task_ends", dropped_while_its_task_ends),
        ("waker_cloned_and_dropped_on_two_threads", cloned_and_dropped_on_two_threads),
    ]
}

/// A flag that another thread sets before it wakes the task.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn set(&self) {
        // Relaxed: the wake makes it visible to the task.
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes a task that ends when all flags are set, and one waker of it for each flag.
fn task_of<const N: usize>(test_loop: &TestLoop, flags: &[Flag; N]) -> (JoinHandle<()>, [Waker; N], Watched) {
    let wakers = Rc::new(RefCell::new(None));
    let task = test_loop.spawn({
        let (flags, wakers) = (flags.clone(), wakers.clone());
        poll_fn(move |cx| {
            wakers.borrow_mut().get_or_insert_with(|| [(); N].map(|()| Some(cx.waker().clone())));
            if flags.iter().all(Flag::is_set) { Poll::Ready(()) } else { Poll::Pending }
        })
    });
    test_loop.turn();
    let wakers = wakers.take().expect("it was polled").map(|waker| waker.expect("there is one"));
    let watched = Watched::behind(&wakers[0]);
    (task, wakers, watched)
}

fn two_wakes_from_two_threads() {
    let test_loop = TestLoop::new();
    let flags: [Flag; 2] = Default::default();
    let (task, wakers, watched) = task_of(&test_loop, &flags);
    let [a, b] = wakers;
    let [x, y] = flags;
    let threads = [(a, x), (b, y)].map(|(waker, flag)| {
        let watched = watched.clone();
        thread::spawn(move || {
            flag.set();
            watched.touch();
            waker.wake();
        })
    });
    test_loop.run(task);
    join(threads);
}

fn two_wakes_in_a_row() {
    let test_loop = TestLoop::new();
    let flags: [Flag; 2] = Default::default();
    let (task, wakers, watched) = task_of(&test_loop, &flags);
    let [a, b] = wakers;
    let [x, y] = flags;
    let thread = thread::spawn(move || {
        x.set();
        a.wake_by_ref();
        drop(a);
        y.set();
        watched.touch();
        b.wake();
    });
    test_loop.run(task);
    join([thread]);
}

fn park_against_wake() {
    let test_loop = TestLoop::new();
    let flags: [Flag; 1] = Default::default();
    let (task, [waker], watched) = task_of(&test_loop, &flags);
    let [flag] = flags;
    let thread = thread::spawn(move || {
        flag.set();
        watched.touch();
        waker.wake();
    });
    test_loop.run(task);
    join([thread]);
}

/// Wakers fire before, while and after the runtime closes its inbox.
fn waker_during_shutdown() {
    let test_loop = TestLoop::new();
    let flags: [Flag; 2] = Default::default();
    let (task, wakers, watched) = task_of(&test_loop, &flags);
    drop(task);
    let threads = wakers.map(|waker| {
        let watched = watched.clone();
        thread::spawn(move || {
            waker.wake_by_ref();
            watched.touch();
            waker.wake();
        })
    });
    drop(test_loop);
    join(threads);
}

/// The handle is dropped after the loop, as the last local reference.
fn waker_outlives_the_runtime() {
    let test_loop = TestLoop::new();
    let flags: [Flag; 1] = Default::default();
    let (task, [waker], watched) = task_of(&test_loop, &flags);
    let thread = thread::spawn(move || {
        let other = waker.clone();
        waker.wake();
        watched.touch();
        drop(other);
    });
    drop(test_loop);
    assert!(task.is_finished());
    drop(task);
    join([thread]);
}

fn dropped_while_its_task_ends() {
    let test_loop = TestLoop::new();
    let flags: [Flag; 1] = Default::default();
    let (task, [waker], watched) = task_of(&test_loop, &flags);
    let [flag] = flags;
    let thread = thread::spawn(move || {
        watched.touch();
        drop(waker);
    });
    flag.set();
    task.request_cancel();
    test_loop.turn();
    assert!(task.is_finished());
    drop(task);
    drop(test_loop);
    join([thread]);
}

/// The count of wakers falls to zero and rises again, on the owner thread and on others.
fn cloned_and_dropped_on_two_threads() {
    let test_loop = TestLoop::new();
    let flags: [Flag; 2] = Default::default();
    let (task, wakers, watched) = task_of(&test_loop, &flags);
    let threads = wakers.map(|waker| {
        let watched = watched.clone();
        thread::spawn(move || {
            let other = waker.clone();
            drop(waker);
            watched.touch();
            drop(other);
        })
    });
    drop(task);
    drop(test_loop);
    join(threads);
}
