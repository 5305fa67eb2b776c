//! Queues between threads: a waiter that is dropped after it was served loses nothing for the others.

use loom::thread;

use crate::channels::poll_once_unwoken;
use crate::kit::{Model, block_on, join};
use crate::sync::shared::queue::{self, QueueShutDown};

pub(crate) fn models() -> Vec<Model> {
    vec![
        ("queue_two_getters", two_getters),
        ("queue_a_served_getter_is_dropped", a_served_getter_is_dropped),
        ("queue_a_served_putter_is_dropped", a_served_putter_is_dropped),
        ("queue_put_and_get_through_one_place", put_and_get_through_one_place),
        ("queue_shutdown_against_get_and_put", shutdown_against_get_and_put),
        ("queue_immediate_shutdown_against_join", immediate_shutdown_against_join),
        ("queue_task_done_against_join", task_done_against_join),
    ]
}

fn two_getters() {
    let queue = queue::unbounded();
    let threads = [queue.clone(), queue.clone()].map(|queue| {
        thread::spawn(move || {
            block_on(queue.get()).unwrap();
        })
    });
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    join(threads);
    assert!(queue.is_empty());
}

fn a_served_getter_is_dropped() {
    let queue = queue::unbounded();
    let mut given_up = Box::pin({
        let queue = queue.clone();
        async move { queue.get().await }
    });
    assert!(poll_once_unwoken(&mut given_up).is_pending());
    let puts = thread::spawn({
        let queue = queue.clone();
        move || queue.try_put(7).unwrap()
    });
    let drops = thread::spawn(move || drop(given_up));
    assert_eq!(block_on(queue.get()), Ok(7));
    join([puts, drops]);
}

fn a_served_putter_is_dropped() {
    let queue = queue::bounded(1);
    queue.try_put(0).unwrap();
    let mut given_up = Box::pin({
        let queue = queue.clone();
        async move { queue.put(1).await }
    });
    assert!(poll_once_unwoken(&mut given_up).is_pending());
    let puts = thread::spawn({
        let queue = queue.clone();
        move || block_on(queue.put(2)).unwrap()
    });
    let drops = thread::spawn(move || drop(given_up));
    assert_eq!(block_on(queue.get()), Ok(0));
    assert_eq!(block_on(queue.get()), Ok(2));
    join([puts, drops]);
}

fn put_and_get_through_one_place() {
    let queue = queue::bounded(1);
    let thread = thread::spawn({
        let queue = queue.clone();
        move || (0..3).for_each(|number| block_on(queue.put(number)).unwrap())
    });
    for number in 0..3 {
        assert_eq!(block_on(queue.get()), Ok(number));
    }
    join([thread]);
}

fn shutdown_against_get_and_put() {
    let queue = queue::bounded(1);
    let gets = thread::spawn({
        let queue = queue.clone();
        move || block_on(queue.get()).is_ok()
    });
    let puts = thread::spawn({
        let queue = queue.clone();
        move || block_on(queue.put(7)).is_ok()
    });
    queue.shutdown(false);
    let (got, put) = (gets.join().unwrap(), puts.join().unwrap());
    assert_eq!(put, got || queue.try_get().is_ok());
    assert_eq!(block_on(queue.get()), Err(QueueShutDown(())));
}

fn immediate_shutdown_against_join() {
    let queue = queue::unbounded();
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    let works = thread::spawn({
        let queue = queue.clone();
        move || {
            if block_on(queue.get()).is_ok() {
                queue.task_done().unwrap();
            }
        }
    });
    let shuts = thread::spawn({
        let queue = queue.clone();
        move || queue.shutdown(true)
    });
    block_on(queue.join());
    join([works, shuts]);
    assert!(queue.task_done().is_err());
}

fn task_done_against_join() {
    let queue = queue::unbounded();
    queue.try_put(1).unwrap();
    let mut join_of_first = queue.join();
    assert!(poll_once_unwoken(&mut join_of_first).is_pending());
    let thread = thread::spawn({
        let queue = queue.clone();
        move || {
            queue.try_get().unwrap();
            queue.task_done().unwrap();
            queue.try_put(2).unwrap(); // too late to delay the join, which waits for the first item
        }
    });
    block_on(join_of_first);
    join([thread]);
}
