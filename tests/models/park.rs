//! Parking: a loop that falls asleep is woken by each node and stop that arrives meanwhile, and by nothing else.

use std::sync::Arc as StdArc;
use std::sync::atomic::AtomicUsize as StdAtomicUsize;

use loom::cell::UnsafeCell;
use loom::thread::{self, JoinHandle};

use crate::kit::{Model, join, sleep};
use crate::sys::sync::Arc;
use crate::sys::sync::atomic::{AtomicUsize, Ordering};
use crate::task::threads::inbox::Shared;

pub(crate) fn models() -> Vec<Model> {
    vec![
        ("park_against_two_posts", against_two_posts),
        ("park_against_posts_in_a_row", against_posts_in_a_row),
        ("park_against_stop_and_post", against_stop_and_post),
        ("park_ended_by_something_else", ended_by_something_else),
    ]
}

/// The number of delivered closures. Only the loop counts them, so that loom need not track it.
type Count = StdArc<StdAtomicUsize>;

/// Starts a thread that posts this number of closures.
fn producer(shared: &Arc<Shared>, delivered: &Count, posts: usize) -> JoinHandle<()> {
    let (shared, delivered) = (shared.clone(), delivered.clone());
    thread::spawn(move || (0..posts).for_each(|_| post(&shared, &delivered)))
}

/// Posts a closure that reads what this thread wrote before.
fn post(shared: &Shared, delivered: &Count) {
    let written = UnsafeCell::new(0);
    // SAFETY: no other thread has a reference to it yet.
    written.with_mut(|value| unsafe { *value = 7 });
    let delivered = delivered.clone();
    let posted = shared.post(move |_| {
        // SAFETY: the writer has passed it on; loom checks that the write is visible here.
        assert_eq!(written.with(|value| unsafe { *value }), 7);
        delivered.fetch_add(1, Ordering::Relaxed);
    });
    assert!(posted.is_ok(), "the inbox is open");
}

/// Runs turns until this number of closures was delivered.
fn run_until(shared: &Shared, delivered: &Count, count: usize) {
    loop {
        shared.deliver();
        if delivered.load(Ordering::Relaxed) == count {
            return;
        }
        sleep(shared, false);
    }
}

fn against_two_posts() {
    let shared = Shared::new().unwrap();
    let delivered = Count::default();
    let producers = [(); 2].map(|()| producer(&shared, &delivered, 1));
    run_until(&shared, &delivered, 2);
    join(producers);
}

/// The loop sleeps several times: a signal that is left over from one sleep does no harm to the next.
fn against_posts_in_a_row() {
    let shared = Shared::new().unwrap();
    let delivered = Count::default();
    let producer = producer(&shared, &delivered, 3);
    run_until(&shared, &delivered, 3);
    join([producer]);
}

fn against_stop_and_post() {
    let shared = Shared::new().unwrap();
    let delivered = Count::default();
    let producer = producer(&shared, &delivered, 1);
    let written = Arc::new(AtomicUsize::new(0));
    let stopper = {
        let (shared, written) = (shared.clone(), written.clone());
        thread::spawn(move || {
            written.store(7, Ordering::Relaxed);
            shared.request_stop();
        })
    };
    let mut stopped = false;
    loop {
        shared.deliver();
        if shared.take_stop() {
            assert!(!stopped, "once for each request");
            assert_eq!(written.load(Ordering::Relaxed), 7, "what was written before the request");
            stopped = true;
        }
        if stopped && delivered.load(Ordering::Relaxed) == 1 {
            break;
        }
        sleep(&shared, true);
    }
    assert!(!shared.take_stop());
    join([producer, stopper]);
}

/// A completion or a timer ends the first sleep, so that its signal, if there was one, stays unread.
fn ended_by_something_else() {
    let shared = Shared::new().unwrap();
    let delivered = Count::default();
    let first = producer(&shared, &delivered, 1);
    if shared.park(false) {
        shared.awake();
    }
    let second = producer(&shared, &delivered, 1);
    run_until(&shared, &delivered, 2);
    join([first, second]);
}
