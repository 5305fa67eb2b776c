//! Read-write locks and semaphores, local and shared: order among those who want little and those who want much, and
//! what becomes of permits whose owner goes.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use proactor::sync::base::{RwLock, Semaphore};
use proactor::sync::{Flavor, TryAcquireError, shared};
use proactor::{Runtime, spawn, yield_now};

use crate::kit::*;

on_both_flavors! {
    readers_share_and_a_writer_waits_for_all,
    a_reader_behind_a_writer_waits,
    a_writer_that_goes_lets_the_readers_behind_it_in,
    a_downgrade_lets_readers_in_and_no_writer,
    a_large_request_in_front_holds_up_the_small_ones,
    a_large_request_that_goes_lets_the_small_ones_through,
    permits_of_a_served_waiter_that_is_dropped_go_to_the_next,
    a_closed_semaphore_refuses_but_keeps_its_word,
    a_bounded_semaphore_takes_no_permit_too_many,
    forgotten_permits_are_gone_until_added,
    a_semaphore_has_a_largest_number_of_permits,
    t220_no_newcomer_overtakes_a_waiter_that_was_served_and_has_not_run,
    t220_nobody_overtakes_a_reader_that_was_served_and_has_not_run,
    t220_a_served_waiter_that_goes_lets_newcomers_take_permits_again;
    a_shared_semaphore_between_loops_that_give_up,
}

mod bodies {
    use super::*;

    pub(super) async fn readers_share_and_a_writer_waits_for_all<F: Flavor>() {
        let mut lock = RwLock::<F, _>::new(1);
        {
            let (first, second) = (lock.read().await, lock.try_read().unwrap());
            assert!(lock.try_write().is_none());
            let mut writer = Queued::new(lock.write());
            drop(first);
            writer.waits();
            drop(second);
            *writer.served() += 1;
        }
        *lock.get_mut() += 1;
        assert_eq!(format!("{lock:?}"), "RwLock { value: 3 }");
        assert_eq!(lock.into_inner(), 3);
    }

    pub(super) async fn a_reader_behind_a_writer_waits<F: Flavor>() {
        let lock = RwLock::<F, _>::new(1);
        let reader = lock.read().await;
        let writer = Queued::new(lock.write());
        assert!(lock.try_read().is_none(), "a writer is first");
        let [mut a, mut b] = [(); 2].map(|()| Queued::new(lock.read()));
        let late = Queued::new(lock.write());
        drop(reader);
        let mut guard = writer.served();
        a.waits();
        b.waits();
        *guard = 2;
        drop(guard);
        let (a, b) = (a.served(), b.served());
        assert_eq!((*a, *b, late.is_woken()), (2, 2, false));
        drop((a, b));
        *late.served() = 3;
    }

    pub(super) async fn a_writer_that_goes_lets_the_readers_behind_it_in<F: Flavor>() {
        let lock = RwLock::<F, _>::new(1);
        let reader = lock.read().await;
        let writer = Queued::new(lock.write());
        let [a, b] = [(); 2].map(|()| Queued::new(lock.read()));
        drop(writer);
        assert_eq!(*reader + *a.served() + *b.served(), 3);
        drop(reader);
        assert!(lock.try_write().is_some());
    }

    pub(super) async fn a_downgrade_lets_readers_in_and_no_writer<F: Flavor>() {
        let lock = RwLock::<F, _>::new(1);
        let mut guard = lock.write().await;
        let reader = Queued::new(lock.read());
        let mut writer = Queued::new(lock.write());
        let mut late = Queued::new(lock.read());
        *guard = 2;
        let guard = guard.downgrade();
        assert_eq!((*guard, *reader.served()), (2, 2));
        writer.waits();
        late.waits();
        drop(guard);
        drop(writer.served());
        drop(late.served());
        assert!(lock.try_write().is_some());
    }

    pub(super) async fn a_large_request_in_front_holds_up_the_small_ones<F: Flavor>() {
        let semaphore = Semaphore::<F>::new(3);
        let two = semaphore.acquire_many(2).await.unwrap();
        let large = Queued::new(semaphore.acquire_many(3));
        let mut small = Queued::new(semaphore.acquire());
        assert_eq!(semaphore.available_permits(), 1);
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
        small.waits();
        drop(two);
        let large = large.served().unwrap();
        small.waits();
        drop(large);
        drop(small.served().unwrap());
        assert_eq!(semaphore.available_permits(), 3);
    }

    pub(super) async fn a_large_request_that_goes_lets_the_small_ones_through<F: Flavor>() {
        let semaphore = Semaphore::<F>::new(3);
        let one = semaphore.try_acquire().unwrap();
        let large = Queued::new(semaphore.acquire_many(3));
        let [a, b, mut c] = [(); 3].map(|()| Queued::new(semaphore.acquire()));
        drop(large);
        let (a, b) = (a.served().unwrap(), b.served().unwrap());
        c.waits();
        drop((one, a, b));
        assert_eq!(c.served().unwrap().count(), 1);
        assert_eq!(semaphore.try_acquire_many(3).unwrap().count(), 3);
    }

    pub(super) async fn permits_of_a_served_waiter_that_is_dropped_go_to_the_next<F: Flavor>() {
        let semaphore = Semaphore::<F>::new(2);
        let both = semaphore.try_acquire_many(2).unwrap();
        let large = Queued::new(semaphore.acquire_many(2));
        let [a, b] = [(); 2].map(|()| Queued::new(semaphore.acquire()));
        drop(both);
        assert!(large.is_woken() && !a.is_woken());
        drop(large);
        drop((a.served(), b.served()));
        assert_eq!(semaphore.available_permits(), 2);
    }

    pub(super) async fn a_closed_semaphore_refuses_but_keeps_its_word<F: Flavor>() {
        let semaphore = Semaphore::<F>::new(2);
        let both = semaphore.try_acquire_many(2).unwrap();
        let [served, goes, first, second] = [(); 4].map(|()| Queued::new(semaphore.acquire()));
        drop(both);
        semaphore.close();
        assert!(semaphore.is_closed() && first.is_woken() && second.is_woken());
        let permit = served.served().unwrap();
        assert!(first.served().is_err());
        drop(goes);
        assert_eq!(semaphore.available_permits(), 1, "not for who was told of the close");
        drop(second);
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
        assert!(semaphore.acquire().await.is_err());
        drop(permit);
        assert_eq!(semaphore.available_permits(), 2);
    }

    pub(super) async fn a_bounded_semaphore_takes_no_permit_too_many<F: Flavor>() {
        let semaphore = Semaphore::<F>::bounded(2);
        let permit = semaphore.try_acquire().unwrap();
        let message = panic_of(|| semaphore.add_permits(1));
        assert!(message.contains("2 of at most 2"), "{message}");
        assert_eq!(semaphore.available_permits(), 1, "nothing has changed");
        drop(permit);
        semaphore.try_acquire_many(2).unwrap().forget();
        let waits = Queued::new(semaphore.acquire());
        semaphore.add_permits(2);
        drop(waits.served());
        assert_eq!(semaphore.available_permits(), 2);
        panic_of(|| semaphore.add_permits(1));
    }

    pub(super) async fn forgotten_permits_are_gone_until_added<F: Flavor>() {
        let semaphore = Semaphore::<F>::new(2);
        semaphore.acquire().await.unwrap().forget();
        assert_eq!(semaphore.available_permits(), 1);
        semaphore.add_permits(3);
        assert_eq!(semaphore.acquire_many(4).await.unwrap().count(), 4);
    }

    pub(super) async fn a_semaphore_has_a_largest_number_of_permits<F: Flavor>() {
        let most = Semaphore::<F>::MAX_PERMITS;
        panic_of(|| Semaphore::<F>::new(most + 1));
        let semaphore = Semaphore::<F>::new(most);
        let one = semaphore.try_acquire().unwrap();
        panic_of(|| semaphore.add_permits(1));
        panic_of(|| semaphore.add_permits(usize::MAX));
        panic_of(|| semaphore.acquire_many(most + 1));
        drop(one);
        assert_eq!(semaphore.available_permits(), most);
        assert_eq!(semaphore.try_acquire_many(usize::MAX).unwrap_err(), TryAcquireError::NoPermits);
    }

    /// `test_acquire_fifo_order_2` and `_4` of CPython's `test_locks`.
    pub(super) async fn t220_no_newcomer_overtakes_a_waiter_that_was_served_and_has_not_run<F: Flavor>() {
        let semaphore = Rc::new(Semaphore::<F>::new(1));
        let log = Rc::new(RefCell::new(Vec::new()));
        let tasks = [1, 2, 3].map(|number| {
            let (semaphore, log) = (semaphore.clone(), log.clone());
            spawn(async move {
                semaphore.acquire().await.unwrap().forget();
                log.borrow_mut().push(number);
                if number == 2 {
                    semaphore.add_permits(1);
                    semaphore.acquire().await.unwrap().forget();
                    log.borrow_mut().push(4);
                }
            })
        });
        yield_now().await;
        assert_eq!(log.take(), [1]);
        semaphore.add_permits(1);
        semaphore.add_permits(1);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(log.take(), [2, 3, 4]);

        let semaphore = Rc::new(Semaphore::<F>::new(0));
        let tasks = [1, 2, 3].map(|number| {
            let (semaphore, log) = (semaphore.clone(), log.clone());
            spawn(async move {
                if number == 2 {
                    semaphore.add_permits(3);
                    assert_eq!(semaphore.available_permits(), 2);
                }
                let refused = semaphore.try_acquire().unwrap_err();
                assert_eq!(refused, TryAcquireError::NoPermits, "task {number}");
                semaphore.acquire().await.unwrap().forget();
                log.borrow_mut().push(number);
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(log.take(), [1, 2, 3]);
        semaphore.add_permits(1);
        drop(semaphore.try_acquire().unwrap());
    }

    pub(super) async fn t220_nobody_overtakes_a_reader_that_was_served_and_has_not_run<F: Flavor>() {
        let lock = Rc::new(RwLock::<F, _>::new(()));
        let log = Rc::new(RefCell::new(Vec::new()));
        let writer = lock.write().await;
        let read = |number| {
            let (lock, log) = (lock.clone(), log.clone());
            spawn(async move {
                let _guard = lock.read().await;
                log.borrow_mut().push(number);
                yield_now().await;
            })
        };
        let first = read(1);
        yield_now().await;
        let second = read(2); // polled before the first, which is woken after this
        drop(writer);
        assert!(lock.try_read().is_none());
        first.await.unwrap();
        second.await.unwrap();
        assert_eq!(log.take(), [1, 2]);
        assert!(lock.try_write().is_some());
    }

    pub(super) async fn t220_a_served_waiter_that_goes_lets_newcomers_take_permits_again<F: Flavor>() {
        let semaphore = Semaphore::<F>::new(0);
        let served = Queued::new(semaphore.acquire());
        semaphore.add_permits(2);
        let newcomer = Queued::new(semaphore.acquire());
        assert!(newcomer.is_woken(), "it waits only until the others have run");
        assert!(semaphore.try_acquire().is_err());
        drop(served);
        drop(newcomer.served().unwrap());
        assert_eq!(semaphore.try_acquire_many(2).unwrap().count(), 2);
    }
}

fn a_shared_semaphore_between_loops_that_give_up<R: Runtime>() {
    let semaphore = Arc::new(shared::Semaphore::new(3));
    let threads = [1, 2, 3].map(|count| {
        let semaphore = semaphore.clone();
        thread(move || {
            run::<R>(async move {
                for round in 0..1_000 {
                    let patience = async {
                        for _ in 0..round % 4 {
                            yield_now().await;
                        }
                    };
                    let permit = race(semaphore.acquire_many(count), patience).await;
                    yield_now().await;
                    drop(permit);
                }
                drop(semaphore.acquire_many(count).await.unwrap()); // none was lost
            });
        })
    });
    threads.into_iter().for_each(Thread::join);
    assert_eq!(semaphore.available_permits(), 3);
}
