//! Locks between threads: each waiter is woken, a dropped waiter passes on what it was given, and one thread at a time uses
//! the value.
//!
//! The value's cell tells loom of each use (`sys/sync/lock_cell.rs`), so that a model also fails if one user does not see
//! the writes of the one before.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use loom::thread;

use crate::kit::{Model, block_on, join};
use crate::sync::Threaded;
use crate::sync::base::{Barrier, Condition, Event, Mutex, RwLock, Semaphore};
use crate::sys::sync::Arc;
use crate::sys::sync::atomic::{AtomicUsize, Ordering};

pub(crate) fn models() -> Vec<Model> {
    vec![
        ("mutex_of_three_threads", mutex_of_three_threads),
        ("mutex_waiter_dropped_against_unlock", mutex_waiter_dropped_against_unlock),
        ("mutex_waker_changed_against_unlock", mutex_waker_changed_against_unlock),
        ("semaphore_conserves_permits", semaphore_conserves_permits),
        ("semaphore_waiter_for_many_dropped", semaphore_waiter_for_many_dropped),
        ("semaphore_closed_against_release", semaphore_closed_against_release),
        ("rwlock_downgrade_against_a_writer", rwlock_downgrade_against_a_writer),
        ("rwlock_place_with_used_up_generations", rwlock_place_with_used_up_generations),
        ("event_set_against_wait", event_set_against_wait),
        ("event_set_again_is_seen_by_the_clearing_thread", event_set_again_is_seen_by_the_clearing_thread),
        ("condition_notified_under_the_lock", condition_notified_under_the_lock),
        ("condition_waiter_dropped_against_notify", condition_waiter_dropped_against_notify),
        ("barrier_of_two_threads", barrier_of_two_threads),
    ]
}

/// Polls a future once, with a waker that does nothing, and drops it.
fn try_once<F: Future>(future: F) -> bool {
    pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn mutex_of_three_threads() {
    let mutex = Arc::new(Mutex::<Threaded, _>::new(0));
    let threads = [(); 2].map(|()| {
        let mutex = mutex.clone();
        thread::spawn(move || *block_on(mutex.lock()) += 1)
    });
    *block_on(mutex.lock()) += 1;
    join(threads);
    assert_eq!(*mutex.try_lock().unwrap(), 3);
}

/// A waiter may be given the mutex while it is being dropped.
fn mutex_waiter_dropped_against_unlock() {
    let mutex = Arc::new(Mutex::<Threaded, _>::new(0));
    let guard = mutex.try_lock().unwrap();
    let (first, second) = (mutex.clone(), mutex.clone());
    let threads = [
        thread::spawn(move || {
            try_once(first.lock());
        }),
        thread::spawn(move || *block_on(second.lock()) += 1),
    ];
    drop(guard);
    join(threads);
    assert_eq!(*mutex.try_lock().unwrap(), 1);
}

/// A waiter changes its waker while the mutex is unlocked: the first waker does nothing.
fn mutex_waker_changed_against_unlock() {
    let mutex = Arc::new(Mutex::<Threaded, _>::new(0));
    let guard = mutex.try_lock().unwrap();
    let other = mutex.clone();
    let thread = thread::spawn(move || {
        let mut lock = pin!(other.lock());
        if lock.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            drop(block_on(lock));
        }
    });
    drop(guard);
    join([thread]);
    assert!(!mutex.is_locked());
}

fn semaphore_conserves_permits() {
    let semaphore = Arc::new(Semaphore::<Threaded>::new(2));
    let threads = [1, 2].map(|count| {
        let semaphore = semaphore.clone();
        thread::spawn(move || drop(block_on(semaphore.acquire_many(count)).unwrap()))
    });
    drop(block_on(semaphore.acquire()).unwrap());
    join(threads);
    assert_eq!(semaphore.available_permits(), 2);
    assert_eq!(semaphore.try_acquire_many(2).unwrap().count(), 2);
}

/// A waiter for many permits is dropped in front of one that wants fewer, for which there were always enough.
fn semaphore_waiter_for_many_dropped() {
    let semaphore = Arc::new(Semaphore::<Threaded>::new(2));
    let permit = semaphore.try_acquire().unwrap();
    let (first, second) = (semaphore.clone(), semaphore.clone());
    let threads = [
        thread::spawn(move || {
            try_once(first.acquire_many(2));
        }),
        thread::spawn(move || drop(block_on(second.acquire()).unwrap())),
    ];
    drop(permit);
    join(threads);
    assert_eq!(semaphore.try_acquire_many(2).unwrap().count(), 2);
}

fn semaphore_closed_against_release() {
    let semaphore = Arc::new(Semaphore::<Threaded>::new(1));
    let permit = semaphore.try_acquire().unwrap();
    let (waits, closes) = (semaphore.clone(), semaphore.clone());
    let threads = [
        thread::spawn(move || drop(block_on(waits.acquire()))), // it gets a permit or an error, but it ends
        thread::spawn(move || closes.close()),
    ];
    drop(permit);
    join(threads);
    assert_eq!(semaphore.available_permits(), 1);
    assert!(semaphore.try_acquire().is_err());
}

fn rwlock_downgrade_against_a_writer() {
    let lock = Arc::new(RwLock::<Threaded, _>::new(0));
    let mut writer = lock.try_write().unwrap();
    let thread = thread::spawn({
        let lock = lock.clone();
        move || {
            assert_eq!(*block_on(lock.read()), 1); // together with the other reader, or after it
            *block_on(lock.write()) += 1;
        }
    });
    *writer += 1;
    let reader = writer.downgrade();
    assert_eq!(*reader, 1);
    drop(reader);
    join([thread]);
    assert_eq!(*lock.try_read().unwrap(), 2);
}

/// A reader that was given the lock and was not polled since is dropped, while a writer waits in a place that the reader had
/// before. Tickets have three bits of generations here.
fn rwlock_place_with_used_up_generations() {
    let lock = Arc::new(RwLock::<Threaded, _>::new(0));
    let guard = lock.try_write().unwrap();
    let mut served = Box::pin(lock.read());
    assert!(served.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(guard);
    for _ in 0..6 {
        assert!(!try_once(lock.write()));
    }
    let thread = thread::spawn({
        let lock = lock.clone();
        move || *block_on(lock.write()) += 1
    });
    drop(served);
    if let Some(value) = lock.try_read() {
        assert!(*value < 2);
    }
    join([thread]);
    assert_eq!(*lock.try_write().expect("all permits are back"), 1);
}

fn event_set_against_wait() {
    let event = Arc::new(Event::<Threaded>::new());
    let written = Arc::new(AtomicUsize::new(0));
    let threads = [(); 2].map(|()| {
        let (event, written) = (event.clone(), written.clone());
        thread::spawn(move || {
            block_on(event.wait());
            assert_eq!(written.load(Ordering::Relaxed), 7);
        })
    });
    written.store(7, Ordering::Relaxed);
    event.set();
    join(threads);
}

/// A thread that clears an event sees the writes before an earlier `set`, also if that found the event set; otherwise the
/// event is set.
fn event_set_again_is_seen_by_the_clearing_thread() {
    let event = Arc::new(Event::<Threaded>::new());
    let written = Arc::new(AtomicUsize::new(0));
    event.set();
    let thread = thread::spawn({
        let (event, written) = (event.clone(), written.clone());
        move || {
            written.store(7, Ordering::Relaxed);
            event.set();
        }
    });
    event.clear();
    if written.load(Ordering::Relaxed) == 0 {
        block_on(event.wait());
        assert_eq!(written.load(Ordering::Relaxed), 7);
    }
    join([thread]);
}

fn condition_notified_under_the_lock() {
    let shared = Arc::new((Mutex::<Threaded, _>::new(0), Condition::<Threaded>::new()));
    let thread = thread::spawn({
        let shared = shared.clone();
        move || {
            let (mutex, condition) = &*shared;
            let guard = block_on(condition.wait_for(block_on(mutex.lock()), |value| *value == 1));
            assert_eq!(*guard, 1);
        }
    });
    {
        let (mutex, condition) = &*shared;
        let mut guard = block_on(mutex.lock());
        *guard = 1;
        condition.notify(1);
    }
    join([thread]);
    assert!(!shared.0.is_locked());
}

/// A waiter may be notified while it is being dropped; then the next waiter is notified.
fn condition_waiter_dropped_against_notify() {
    let shared = Arc::new((Mutex::<Threaded, _>::new(()), Condition::<Threaded>::new()));
    let (mutex, condition) = &*shared;
    let mut first = Box::pin(condition.wait(mutex.try_lock().unwrap()));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let mut second = Box::pin(condition.wait(mutex.try_lock().unwrap()));
    assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let thread = thread::spawn({
        let shared = shared.clone();
        move || shared.1.notify(1)
    });
    drop(first);
    drop(block_on(second));
    join([thread]);
    assert!(!mutex.is_locked());
}

fn barrier_of_two_threads() {
    let barrier = Arc::new(Barrier::<Threaded>::new(2));
    let thread = thread::spawn({
        let barrier = barrier.clone();
        move || {
            try_once(barrier.wait()); // it may be the one that the other waits for, and then passes
        }
    });
    let positions = barrier.clone();
    join([thread]);
    assert_eq!(positions.n_waiting(), 0);
    let thread = thread::spawn(move || block_on(barrier.wait()).unwrap());
    let here = block_on(positions.wait()).unwrap();
    let there = thread.join().unwrap();
    assert_eq!(here + there, 1);
}
