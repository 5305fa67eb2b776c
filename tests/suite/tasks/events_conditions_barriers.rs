//! Events, conditions and barriers, local and shared: who is woken, in which order, and what becomes of a notification
//! whose owner has gone.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

use proactor::sync::base::{Barrier, Condition, Event, Mutex};
use proactor::sync::{Flavor, shared};
use proactor::{Runtime, spawn, yield_now};

use crate::kit::*;

on_both_flavors! {
    an_event_that_is_set_is_not_waited_for,
    all_waiters_return_although_the_event_is_cleared,
    a_waiter_for_an_event_may_go,
    a_wait_unlocks_and_locks_again,
    a_notification_is_for_so_many_in_order,
    a_wait_that_was_not_begun_keeps_the_mutex,
    a_notification_passes_on_when_its_owner_goes,
    a_notification_passes_on_when_its_owner_goes_at_the_mutex,
    who_goes_without_a_notification_passes_none_on,
    wait_for_waits_until_it_holds,
    a_barrier_lets_all_pass_with_positions_of_their_own,
    a_barrier_is_passed_again_before_all_have_gone,
    positions_are_all_different_when_a_waiter_has_left,
    an_abort_breaks_the_barrier_until_a_reset,
    a_reset_ends_the_wait_and_breaks_nothing,
    a_party_that_goes_after_the_barrier_was_passed_changes_nothing,
    the_last_party_passes_though_a_waker_panics,
    a_barrier_for_one_is_no_wait_and_for_none_no_barrier;
    a_shared_event_between_loops,
    a_shared_condition_between_loops,
    a_shared_barrier_between_loops,
}

mod bodies {
    use super::*;

    pub(super) async fn an_event_that_is_set_is_not_waited_for<F: Flavor>() {
        let event = Event::<F>::new();
        assert!(!event.is_set());
        event.set();
        event.set();
        assert!(event.is_set());
        event.wait().await;
        event.wait().await;
        event.clear();
        assert!(!event.is_set());
        Queued::new(event.wait()).waits();
        assert_eq!(format!("{event:?}"), "Event { set: false, waiting: 0 }");
    }

    pub(super) async fn all_waiters_return_although_the_event_is_cleared<F: Flavor>() {
        let event = Event::<F>::new();
        for _ in 0..2 {
            let [a, b, c] = [(); 3].map(|()| Queued::new(event.wait()));
            event.set();
            event.clear();
            let mut late = Queued::new(event.wait());
            a.served();
            b.served();
            c.served();
            late.waits();
        }
    }

    pub(super) async fn a_waiter_for_an_event_may_go<F: Flavor>() {
        let event = Event::<F>::new();
        let [a, b, c] = [(); 3].map(|()| Queued::new(event.wait()));
        drop(b);
        event.set();
        drop(a);
        c.served();
    }

    pub(super) async fn a_wait_unlocks_and_locks_again<F: Flavor>() {
        let (mutex, condition) = (Mutex::<F, _>::new(0), Condition::<F>::new());
        let waits = Queued::new(condition.wait(mutex.lock().await));
        let mut guard = mutex.try_lock().unwrap();
        *guard = 7;
        condition.notify(1);
        assert!(waits.is_woken());
        let mut waits = Queued::new(waits.future); // for the mutex now
        waits.waits();
        drop(guard);
        let guard = waits.served();
        assert_eq!((*guard, mutex.is_locked()), (7, true));
        drop(guard);
        assert!(!mutex.is_locked());
    }

    pub(super) async fn a_notification_is_for_so_many_in_order<F: Flavor>() {
        let (mutex, condition) = (Mutex::<F, _>::new(()), Condition::<F>::new());
        let mut waits = Vec::new();
        for _ in 0..6 {
            waits.push(Queued::new(condition.wait(mutex.lock().await)));
        }
        let woken = |waits: &[Queued<_>]| waits.iter().map(Queued::is_woken).collect::<Vec<_>>();
        condition.notify(0);
        assert_eq!(woken(&waits), [false; 6]);
        condition.notify(2);
        assert_eq!(woken(&waits), [true, true, false, false, false, false]);
        condition.notify(1);
        assert_eq!(woken(&waits), [true, true, true, false, false, false]);
        condition.notify_all();
        assert_eq!(woken(&waits), [true; 6]);
        condition.notify(1); // for nobody, and not kept
        for wait in waits {
            drop(wait.served());
        }
        Queued::new(condition.wait(mutex.lock().await)).waits();
    }

    pub(super) async fn a_wait_that_was_not_begun_keeps_the_mutex<F: Flavor>() {
        let (mutex, condition) = (Mutex::<F, _>::new(()), Condition::<F>::new());
        let wait = condition.wait(mutex.lock().await);
        assert!(mutex.is_locked());
        drop(wait);
        assert!(!mutex.is_locked());
    }

    pub(super) async fn a_notification_passes_on_when_its_owner_goes<F: Flavor>() {
        let (mutex, condition) = (Mutex::<F, _>::new(()), Condition::<F>::new());
        let first = Queued::new(condition.wait(mutex.lock().await));
        let second = Queued::new(condition.wait(mutex.lock().await));
        let mut third = Queued::new(condition.wait(mutex.lock().await));
        condition.notify(1);
        assert!(first.is_woken() && !second.is_woken());
        drop(first);
        third.waits();
        drop(second.served());
        third.waits();
        assert!(!mutex.is_locked());
    }

    /// It was notified and waits for the mutex, or has been given that too.
    pub(super) async fn a_notification_passes_on_when_its_owner_goes_at_the_mutex<F: Flavor>() {
        for is_given in [false, true] {
            let (mutex, condition) = (Mutex::<F, _>::new(()), Condition::<F>::new());
            let first = Queued::new(condition.wait(mutex.lock().await));
            let second = Queued::new(condition.wait(mutex.lock().await));
            let guard = mutex.lock().await;
            condition.notify(1);
            let first = Queued::new(first.future);
            if is_given {
                drop(guard);
                assert!(first.is_woken());
                drop(first);
            } else {
                drop(first);
                drop(guard);
            }
            assert!(!mutex.is_locked());
            drop(second.served());
        }
    }

    pub(super) async fn who_goes_without_a_notification_passes_none_on<F: Flavor>() {
        let (mutex, condition) = (Mutex::<F, _>::new(()), Condition::<F>::new());
        let first = Queued::new(condition.wait(mutex.lock().await));
        let mut second = Queued::new(condition.wait(mutex.lock().await));
        drop(first);
        second.waits();
        condition.notify(1);
        let guard = second.served();
        let mut third = Queued::new(condition.wait(guard));
        third.waits();
    }

    pub(super) async fn wait_for_waits_until_it_holds<F: Flavor>() {
        let shop = Rc::new((Mutex::<F, _>::new(0), Condition::<F>::new()));
        drop(shop.1.wait_for(shop.0.lock().await, |stock| *stock == 0).await); // without a wait
        let other = shop.clone();
        let customer = spawn(async move {
            let (stock, arrived) = &*other;
            let mut asked = 0;
            let wanted = |stock: &mut i32| {
                asked += 1;
                *stock == 2
            };
            let mut guard = arrived.wait_for(stock.lock().await, wanted).await;
            *guard = 0;
            drop(guard);
            asked
        });
        for _ in 0..2 {
            yield_now().await;
            let (stock, arrived) = &*shop;
            let mut guard = stock.lock().await;
            *guard += 1;
            arrived.notify_all();
            drop(guard);
            yield_now().await;
        }
        assert_eq!(customer.await.unwrap(), 3);
        assert_eq!(*shop.0.try_lock().unwrap(), 0);
    }

    pub(super) async fn a_barrier_lets_all_pass_with_positions_of_their_own<F: Flavor>() {
        let barrier = Barrier::<F>::new(3);
        for _ in 0..3 {
            let (mut first, second) = (Queued::new(barrier.wait()), Queued::new(barrier.wait()));
            assert_eq!((barrier.n_waiting(), barrier.parties()), (2, 3));
            first.waits();
            assert_eq!(barrier.wait().await, Ok(2));
            assert_eq!((second.served(), first.served()), (Ok(1), Ok(0)));
            assert_eq!(barrier.n_waiting(), 0);
        }
    }

    pub(super) async fn a_barrier_is_passed_again_before_all_have_gone<F: Flavor>() {
        let barrier = Barrier::<F>::new(2);
        let slow = Queued::new(barrier.wait());
        assert_eq!(barrier.wait().await, Ok(1));
        let next = Queued::new(barrier.wait());
        assert_eq!(barrier.n_waiting(), 1);
        assert_eq!(barrier.wait().await, Ok(1));
        barrier.abort(); // too late for either
        assert_eq!((next.served(), slow.served()), (Ok(0), Ok(0)));
    }

    pub(super) async fn positions_are_all_different_when_a_waiter_has_left<F: Flavor>() {
        let barrier = Barrier::<F>::new(3);
        let [first, second] = [(); 2].map(|()| Queued::new(barrier.wait()));
        drop(first);
        assert_eq!(barrier.n_waiting(), 1);
        let mut third = Queued::new(barrier.wait());
        third.waits();
        assert_eq!(barrier.wait().await, Ok(2));
        assert_eq!((second.served(), third.served()), (Ok(0), Ok(1)));
    }

    pub(super) async fn an_abort_breaks_the_barrier_until_a_reset<F: Flavor>() {
        let barrier = Barrier::<F>::new(3);
        let [first, second] = [(); 2].map(|()| Queued::new(barrier.wait()));
        barrier.abort();
        assert!(barrier.is_broken());
        assert_eq!(barrier.n_waiting(), 0);
        first.served().unwrap_err();
        drop(second);
        barrier.wait().await.unwrap_err();
        barrier.reset();
        assert!(!barrier.is_broken());
        let [first, second] = [(); 2].map(|()| Queued::new(barrier.wait()));
        assert_eq!(barrier.wait().await, Ok(2));
        barrier.abort(); // too late for those
        assert_eq!((first.served(), second.served()), (Ok(0), Ok(1)));
        barrier.wait().await.unwrap_err();
    }

    pub(super) async fn a_reset_ends_the_wait_and_breaks_nothing<F: Flavor>() {
        let barrier = Barrier::<F>::new(2);
        let before = Queued::new(barrier.wait());
        barrier.reset();
        assert!(!barrier.is_broken());
        let mut after = Queued::new(barrier.wait());
        let message = before.served().unwrap_err().to_string();
        assert!(message.contains("broken"), "{message}");
        after.waits();
        assert_eq!(barrier.wait().await, Ok(1));
        assert_eq!(after.served(), Ok(0));
    }

    pub(super) async fn a_party_that_goes_after_the_barrier_was_passed_changes_nothing<F: Flavor>() {
        let barrier = Barrier::<F>::new(2);
        let goes = Queued::new(barrier.wait());
        assert_eq!(barrier.wait().await, Ok(1));
        let next = Queued::new(barrier.wait());
        drop(goes);
        assert_eq!(barrier.n_waiting(), 1);
        assert_eq!(barrier.wait().await, Ok(1));
        assert_eq!(next.served(), Ok(0));
    }

    pub(super) async fn the_last_party_passes_though_a_waker_panics<F: Flavor>() {
        let barrier = Barrier::<F>::new(3);
        let waker = acting(|| std::panic::resume_unwind(Box::new("a waker's panic")));
        let mut first = pin!(barrier.wait());
        assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let second = Queued::new(barrier.wait());
        assert_eq!(barrier.wait().await, Ok(2));
        assert_eq!((first.await, second.served()), (Ok(0), Ok(1)));
    }

    pub(super) async fn a_barrier_for_one_is_no_wait_and_for_none_no_barrier<F: Flavor>() {
        assert_eq!(Barrier::<F>::new(1).wait().await, Ok(0));
        assert!(panic_of(|| Barrier::<F>::new(0)).contains("one party"));
    }
}

fn a_shared_event_between_loops<R: Runtime>() {
    let (there, back) = (Arc::new(shared::Event::new()), Arc::new(shared::Event::new()));
    let (there_too, back_too) = (there.clone(), back.clone());
    let echo = thread(move || {
        run::<R>(async move {
            for _ in 0..500 {
                there_too.wait().await;
                there_too.clear();
                back_too.set();
            }
        });
    });
    run::<R>(async move {
        for _ in 0..500 {
            there.set();
            back.wait().await;
            back.clear();
        }
    });
    echo.join();
}

/// A queue of one place, by hand.
fn a_shared_condition_between_loops<R: Runtime>() {
    const ITEMS: u32 = 500;
    let place = Arc::new((shared::Mutex::new(None), shared::Condition::new()));
    let other = place.clone();
    let consumer = thread(move || {
        let mut sum = 0;
        run::<R>(async {
            let (slot, changed) = &*other;
            for _ in 0..ITEMS {
                let mut slot = changed.wait_for(slot.lock().await, |slot| slot.is_some()).await;
                sum += slot.take().unwrap();
                changed.notify(1);
            }
        });
        sum
    });
    run::<R>(async move {
        let (slot, changed) = &*place;
        for item in 0..ITEMS {
            let mut slot = changed.wait_for(slot.lock().await, |slot| slot.is_none()).await;
            *slot = Some(item);
            drop(slot);
            changed.notify(1); // not under the mutex, this time
        }
    });
    assert_eq!(consumer.join(), (0..ITEMS).sum::<u32>());
}

fn a_shared_barrier_between_loops<R: Runtime>() {
    const ROUNDS: usize = 300;
    let barrier = Arc::new(shared::Barrier::new(3));
    let threads = [(); 3].map(|()| {
        let barrier = barrier.clone();
        thread(move || {
            let mut sum = 0;
            run::<R>(async {
                for _ in 0..ROUNDS {
                    sum += barrier.wait().await.unwrap();
                }
            });
            sum
        })
    });
    let sum: usize = threads.into_iter().map(Thread::join).sum();
    assert_eq!(sum, ROUNDS * 3);
}
