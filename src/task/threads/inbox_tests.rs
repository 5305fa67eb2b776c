//! The inbox: order of arrival, closing, sleeping, and pushes from many threads.

use super::*;
use std::sync::Mutex;

#[test]
fn closures_arrive_in_order_and_once() {
    let shared = Shared::new().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for i in 0..5 {
        let seen = seen.clone();
        shared.post(move |delivery| seen.lock().unwrap().push((i, delivery))).ok().unwrap();
    }
    shared.deliver();
    shared.deliver();
    let expected: Vec<_> = (0..5).map(|i| (i, Delivery::Run)).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_closed_inbox_discards_what_it_holds_and_refuses_more() {
    let shared = Shared::new().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let other = seen.clone();
    shared.post(move |delivery| other.lock().unwrap().push(delivery)).ok().unwrap();
    shared.close();
    assert_eq!(*seen.lock().unwrap(), [Delivery::Discard]);
    assert!(shared.is_closed());
    assert!(shared.post(|_| ()).is_err());
}

#[test]
fn a_full_inbox_forbids_sleep_and_a_push_ends_it() {
    let shared = Shared::new().unwrap();
    assert!(shared.park(true));
    shared.post(|_| ()).ok().unwrap();
    // The sleeper was announced, so the descriptor has been signalled: the read does not block.
    shared.eventfd.drain();
    shared.awake();
    assert!(!shared.park(true), "there is something to deliver");
    shared.deliver();
    assert!(shared.park(true));
    shared.awake();
    shared.request_stop();
    assert!(!shared.park(true), "a stop was asked for");
    assert!(shared.park(false), "which does not concern a loop that can't be stopped");
    shared.awake();
    assert!(shared.take_stop());
    assert!(!shared.take_stop());
}

#[test]
fn pushes_from_many_threads_are_all_delivered() {
    let shared = Shared::new().unwrap();
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    let count = count.clone();
                    shared
                        .post(move |_| {
                            count.fetch_add(1, Ordering::Relaxed);
                        })
                        .ok()
                        .unwrap();
                }
            });
        }
        while count.load(Ordering::Relaxed) < 4_000 {
            shared.deliver();
            std::thread::yield_now();
        }
    });
}
