//! Locks, channels and queues between tasks, and between threads.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;

use super::{TestLoop, run};
use crate::sync::base::{Barrier, Condition, Event, Mutex, RwLock, Semaphore};
use crate::sync::{Flavor, Local, broadcast, mpsc, oneshot, queue, shared, watch};
use crate::{gather, spawn, yield_now};

/// Polls a future once and drops it.
fn try_once<F: Future>(future: F) -> bool {
    pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

async fn locks<F: Flavor>() {
    let (mutex, lock) = (Mutex::<F, _>::new(String::new()), RwLock::<F, _>::new(Vec::new()));
    let semaphore = Semaphore::<F>::new(2);
    gather((0..6).map(|number| {
        let (mutex, lock, semaphore) = (&mutex, &lock, &semaphore);
        async move {
            let permit = semaphore.acquire().await.unwrap();
            let mut value = mutex.lock().await;
            yield_now().await;
            value.push('x');
            drop(value);
            let mut writer = lock.write().await;
            yield_now().await;
            writer.push(number);
            let reader = writer.downgrade();
            yield_now().await;
            assert!(reader.contains(&number));
            drop(permit);
        }
    }))
    .await;
    assert_eq!((mutex.lock().await.len(), lock.into_inner().len()), (6, 6));
}

#[test]
fn locks_are_held_across_awaits() {
    run(async {
        locks::<Local>().await;
        locks::<crate::sync::Threaded>().await;
    });
}

#[test]
fn owned_guards_keep_their_locks() {
    run(async {
        let mutex = Rc::new(crate::sync::Mutex::new(1));
        let guard = mutex.clone().lock_owned().await;
        let waits = spawn({
            let mutex = mutex.clone();
            async move { *mutex.lock_owned().await += 1 }
        });
        yield_now().await;
        drop(guard);
        waits.await.unwrap();
        assert_eq!(*mutex.lock().await, 2);
        let lock = Arc::new(shared::RwLock::new(vec![1]));
        let reader = lock.clone().read_owned().await;
        assert!(!try_once(lock.clone().write_owned()));
        drop(lock);
        let thread = thread::spawn(move || reader.len());
        assert_eq!(thread.join().unwrap(), 1);
    });
}

#[test]
fn waiters_are_woken_updated_and_dropped() {
    run(async {
        let (event, mutex) = (Event::<Local>::new(), Mutex::<Local, _>::new(0));
        let (condition, barrier) = (Condition::<Local>::new(), Barrier::<Local>::new(2));
        assert!(!try_once(event.wait()));
        let waits = async {
            event.wait().await;
            let guard = condition.wait_for(mutex.lock().await, |value| *value == 1).await;
            drop(guard);
            barrier.wait().await.unwrap()
        };
        let serves = async {
            yield_now().await;
            event.set();
            yield_now().await;
            *mutex.lock().await = 1;
            condition.notify_all();
            barrier.wait().await.unwrap()
        };
        let places: (usize, usize) = crate::join!(waits, serves);
        assert_eq!(places.0 + places.1, 1);
    });
}

#[test]
fn channels_carry_values_and_give_back_what_nobody_took() {
    run(async {
        let (sender, mut receiver) = mpsc::channel::<String>(2);
        let sends = spawn(async move {
            let mut number = 0;
            while sender.send(number.to_string()).await.is_ok() {
                number += 1;
            }
            number
        });
        for number in 0..4 {
            assert_eq!(receiver.recv().await, Some(number.to_string()));
        }
        drop(receiver);
        assert!(sends.await.unwrap() >= 4, "and one found the receiver gone");
        let (sender, receiver) = oneshot::channel();
        spawn(async move { sender.send(vec![1]) });
        assert_eq!(receiver.await, Ok(vec![1]));
        let (sender, mut receiver) = broadcast::channel(2);
        let mut other = sender.subscribe();
        let reads = spawn(async move { other.recv().await });
        yield_now().await;
        sender.send(String::from("all")).unwrap();
        assert_eq!(reads.await.unwrap().unwrap(), "all");
        assert_eq!(receiver.recv().await.unwrap(), "all");
        let (sender, mut receiver) = watch::channel(String::from("old"));
        let changes = spawn(async move {
            receiver.changed().await.unwrap();
            String::clone(&receiver.borrow_and_update())
        });
        yield_now().await;
        sender.send(String::from("new")).unwrap();
        assert_eq!(changes.await.unwrap(), "new");
        let jobs = queue::bounded(1);
        let worker = spawn({
            let jobs = jobs.clone();
            async move {
                let mut sum = 0;
                while let Ok(job) = jobs.get().await {
                    sum += job;
                    jobs.task_done().unwrap();
                }
                sum
            }
        });
        for job in 0..5 {
            jobs.put(job).await.unwrap();
        }
        jobs.join().await;
        jobs.shutdown(false);
        assert_eq!(worker.await.unwrap(), 10);
    });
}

#[test]
fn channels_and_locks_between_loops_on_two_threads() {
    let (sender, mut receiver) = shared::mpsc::channel::<Vec<usize>>(1);
    let mutex = Arc::new(shared::Mutex::new(0));
    let (answer, answered) = shared::oneshot::channel();
    let thread = thread::spawn({
        let mutex = mutex.clone();
        move || {
            TestLoop::new().run(async move {
                for number in 0..8 {
                    sender.send(vec![number]).await.unwrap();
                    *mutex.lock().await += 1;
                }
                drop(sender);
                answered.await.unwrap()
            })
        }
    });
    run(async move {
        let mut sum = 0;
        while let Some(list) = receiver.recv().await {
            sum += list[0];
            *mutex.lock().await += 1;
        }
        assert_eq!((sum, *mutex.lock().await), (28, 16));
        answer.send("thanks").unwrap();
    });
    assert_eq!(thread.join().unwrap(), "thanks");
}
