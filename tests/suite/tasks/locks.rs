//! Mutexes, local and shared: order, hand-over, and waiters that go away at any moment; and guards in other hands.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

use proactor::sync::base::{Mutex, RwLock};
use proactor::sync::{Flavor, shared};
use proactor::{Runtime, spawn, yield_now};

use crate::kit::*;

on_both_flavors! {
    a_mutex_is_passed_on_in_order,
    no_newcomer_overtakes_a_waiter_for_a_mutex,
    a_served_waiter_that_is_dropped_passes_the_mutex_on,
    a_waiter_that_goes_from_the_middle_of_the_queue_leaves_the_others,
    a_waiter_is_woken_by_the_waker_of_its_last_poll,
    a_panic_releases_the_mutex_and_leaves_the_value,
    a_mutex_gives_its_value_back,
    one_at_a_time_among_tasks_that_give_up,
    a_waker_may_use_the_mutex_that_wakes_it,
    a_panic_of_a_waker_leaves_no_one_unserved,
    a_panic_of_a_waker_is_no_concern_of_who_unlocks;
    owned_guards_outlive_their_frame,
    a_shared_mutex_between_loops,
    a_shared_lock_between_a_loop_and_a_thread_without_one,
    shared_locks_are_send,
}

mod bodies {
    use super::*;

    pub(super) async fn a_mutex_is_passed_on_in_order<F: Flavor>() {
        let mutex = Mutex::<F, _>::new(Vec::new());
        let guard = mutex.try_lock().unwrap();
        let [a, mut b, mut c] = [(); 3].map(|()| Queued::new(mutex.lock()));
        drop(guard);
        b.waits();
        c.waits();
        a.served().push('a');
        c.waits();
        b.served().push('b');
        c.served().push('c');
        assert_eq!(*mutex.try_lock().unwrap(), ['a', 'b', 'c']);
    }

    pub(super) async fn no_newcomer_overtakes_a_waiter_for_a_mutex<F: Flavor>() {
        let mutex = Mutex::<F, _>::new(0);
        let guard = mutex.lock().await;
        let first = Queued::new(mutex.lock());
        drop(guard);
        assert!(mutex.is_locked() && mutex.try_lock().is_none(), "it is the first one's");
        let mut late = Queued::new(mutex.lock());
        let guard = first.served();
        late.waits();
        drop(guard);
        drop(late.served());
        assert!(!mutex.is_locked());
    }

    pub(super) async fn a_served_waiter_that_is_dropped_passes_the_mutex_on<F: Flavor>() {
        let mutex = Mutex::<F, _>::new(0);
        let guard = mutex.lock().await;
        let [a, b] = [(); 2].map(|()| Queued::new(mutex.lock()));
        drop(guard);
        assert!(a.is_woken());
        drop(a);
        drop(b); // it was given the mutex by that
        assert!(!mutex.is_locked());
        let guard = mutex.try_lock().unwrap();
        let [a, b] = [(); 2].map(|()| Queued::new(mutex.lock()));
        drop((guard, a));
        drop(b.served());
    }

    pub(super) async fn a_waiter_that_goes_from_the_middle_of_the_queue_leaves_the_others<F: Flavor>() {
        let mutex = Mutex::<F, _>::new(0);
        let guard = mutex.lock().await;
        let [a, b, c] = [(); 3].map(|()| Queued::new(mutex.lock()));
        drop(b);
        let mut d = Queued::new(mutex.lock()); // in the place that is free
        drop(guard);
        drop(a.served());
        d.waits();
        drop(c.served());
        drop(d.served());
        assert!(mutex.try_lock().is_some());
    }

    pub(super) async fn a_waiter_is_woken_by_the_waker_of_its_last_poll<F: Flavor>() {
        let mutex = Mutex::<F, _>::new(0);
        let guard = mutex.lock().await;
        let mut lock = pin!(mutex.lock());
        let (_, first) = poll_noted(&mut lock);
        let (_, last) = poll_noted(&mut lock);
        drop(guard);
        assert!(!first.is_woken() && last.is_woken());
        assert_eq!(Arc::strong_count(&first), 1, "its waker was not kept");
    }

    pub(super) async fn a_panic_releases_the_mutex_and_leaves_the_value<F: Flavor>() {
        let mutex = Rc::new(Mutex::<F, _>::new(0));
        let other = mutex.clone();
        let task = spawn(async move {
            *other.lock().await = 7;
            let _guard = other.lock().await;
            yield_now().await;
            std::panic::resume_unwind(Box::new(()));
        });
        yield_now().await;
        assert!(mutex.is_locked());
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(*mutex.lock().await, 7);
    }

    pub(super) async fn a_mutex_gives_its_value_back<F: Flavor>() {
        let mut mutex = Mutex::<F, Vec<i32>>::default();
        mutex.get_mut().push(1);
        mutex.lock().await.push(2);
        assert_eq!(format!("{mutex:?}"), "Mutex { value: [1, 2] }");
        let guard = mutex.try_lock().unwrap();
        assert_eq!(format!("{mutex:?} {guard:?}"), "Mutex { value: (locked) } [1, 2]");
        drop(guard);
        assert_eq!(mutex.into_inner(), [1, 2]);
        let unsized_one: Box<Mutex<F, [i32]>> = Box::new(Mutex::new([1, 2]));
        unsized_one.lock().await[0] = 3;
        assert_eq!(*unsized_one.try_lock().unwrap(), [3, 2]);
    }

    /// A hundred tasks want it a hundred times each, and give up now and then at every point at which one can.
    pub(super) async fn one_at_a_time_among_tasks_that_give_up<F: Flavor>() {
        let (mutex, inside) = (Rc::new(Mutex::<F, _>::new(0)), Rc::new(Cell::new(false)));
        let tasks: Vec<_> = (0..100_usize)
            .map(|number| {
                let (mutex, inside) = (mutex.clone(), inside.clone());
                spawn(async move {
                    let mut had = 0;
                    for round in 0..100 {
                        let patience = async {
                            for _ in 0..(number + round) % 7 {
                                yield_now().await;
                            }
                        };
                        if let Ok(mut guard) = race(mutex.lock(), patience).await {
                            assert!(!inside.replace(true));
                            yield_now().await;
                            inside.set(false);
                            *guard += 1;
                            had += 1;
                        }
                    }
                    had
                })
            })
            .collect();
        let had: i32 = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
        assert_eq!(*mutex.try_lock().unwrap(), had);
    }

    pub(super) async fn a_waker_may_use_the_mutex_that_wakes_it<F: Flavor>() {
        let mutex = Rc::new(Mutex::<F, _>::new(0));
        let guard = mutex.try_lock().unwrap();
        let mut lock = pin!(mutex.lock());
        let waker = acting({
            let mutex = mutex.clone();
            move || {
                assert!(mutex.try_lock().is_none() && mutex.is_locked());
                let mut other = Queued::new(mutex.lock());
                other.waits();
            }
        });
        assert!(lock.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(guard);
        drop(lock.await);
        assert!(!mutex.is_locked());
    }

    pub(super) async fn a_panic_of_a_waker_leaves_no_one_unserved<F: Flavor>() {
        let lock = RwLock::<F, _>::new(0);
        let guard = lock.try_write().unwrap();
        let before = Queued::new(lock.read());
        let mut read = pin!(lock.read());
        let waker = acting(|| std::panic::resume_unwind(Box::new("a waker's panic")));
        assert!(read.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let after = Queued::new(lock.read());
        drop(guard);
        let guards = (before.served(), after.served(), poll_once(&mut read).await);
        assert!(guards.2.is_ready() && lock.try_write().is_none());
        drop(guards);
        assert!(lock.try_write().is_some());
    }

    pub(super) async fn a_panic_of_a_waker_is_no_concern_of_who_unlocks<F: Flavor>() {
        let waker = acting(|| std::panic::resume_unwind(Box::new("a waker's panic")));
        let mut context = Context::from_waker(&waker);
        let lock = RwLock::<F, _>::new(0);
        let writer = lock.try_write().unwrap();
        let mut read = pin!(lock.read());
        assert!(read.as_mut().poll(&mut context).is_pending());
        let reader = writer.downgrade();
        assert!(poll_once(&mut read).await.is_ready());
        assert_eq!(*reader, 0);

        // Two panics at once would abort the process.
        let mutex = Mutex::<F, _>::new(0);
        let guard = mutex.try_lock().unwrap();
        let mut waits = pin!(mutex.lock());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        let panic = panic_of(move || {
            let _guard = guard;
            std::panic::resume_unwind(Box::new("another"))
        });
        assert_eq!(panic, "another");
        assert!(poll_once(&mut waits).await.is_ready());
    }
}

fn owned_guards_outlive_their_frame<R: Runtime>() {
    use proactor::sync::{Mutex, OwnedMutexGuard, OwnedPermit, RwLock, Semaphore};
    run::<R>(async {
        let mutex = Rc::new(Mutex::new(1));
        let mut guard: OwnedMutexGuard<_> = mutex.clone().lock_owned().await;
        assert!(mutex.clone().try_lock_owned().is_none());
        let waits = Queued::new(mutex.clone().lock_owned());
        let goes = Queued::new(mutex.clone().lock_owned());
        let last = Queued::new(mutex.lock());
        spawn(async move { *guard += 1 }).await.unwrap();
        assert_eq!(*waits.served(), 2);
        drop(goes); // it had been given the mutex
        drop(last.served());
        assert!(!mutex.is_locked());

        let lock = Rc::new(RwLock::new(1));
        let (a, b) = (lock.clone().read_owned().await, lock.clone().read_owned().await);
        let mut writer = Queued::new(lock.clone().write_owned());
        drop(a);
        writer.waits();
        drop(b);
        *writer.served() += 1;
        assert_eq!(*lock.try_write().unwrap(), 2);

        let semaphore = Rc::new(Semaphore::bounded(2));
        let permit: OwnedPermit = semaphore.clone().acquire_many_owned(2).await.unwrap();
        assert!(semaphore.clone().try_acquire_owned().is_err());
        let waits = Queued::new(semaphore.clone().acquire_owned());
        spawn(async move { assert_eq!(permit.count(), 2) }).await.unwrap();
        waits.served().unwrap().forget();
        assert_eq!((semaphore.available_permits(), Rc::strong_count(&semaphore)), (1, 1));
        semaphore.add_permits(1); // the forgotten one
        assert_eq!(semaphore.available_permits(), 2);
    });
}

fn a_shared_mutex_between_loops<R: Runtime>() {
    const TASKS: usize = 8;
    const ROUNDS: usize = 500;
    let mutex = Arc::new(shared::Mutex::new((0, false)));
    let threads = [(); 3].map(|()| {
        let mutex = mutex.clone();
        thread(move || {
            run::<R>(async move {
                let tasks = (0..TASKS).map(|_| {
                    let mutex = mutex.clone();
                    spawn(async move {
                        for round in 0..ROUNDS {
                            let mut guard = mutex.lock().await;
                            assert!(!std::mem::replace(&mut guard.1, true));
                            if round % 8 == 0 {
                                yield_now().await; // with the mutex in hand
                            }
                            guard.0 += 1;
                            guard.1 = false;
                        }
                    })
                });
                join_all(tasks.collect::<Vec<_>>()).await.into_iter().for_each(Result::unwrap);
            });
        })
    });
    threads.into_iter().for_each(Thread::join);
    assert_eq!(mutex.try_lock().unwrap().0, 3 * TASKS * ROUNDS);
}

fn a_shared_lock_between_a_loop_and_a_thread_without_one<R: Runtime>() {
    run::<R>(async {
        let lock = Arc::new(shared::RwLock::new(0));
        let guard = lock.clone().write_owned().await;
        let reading = Signal::default();
        let reader = spawn({
            let (lock, reading) = (lock.clone(), reading.clone());
            async move {
                let waits = lock.read();
                reading.set();
                *waits.await
            }
        });
        reading.await;
        yield_now().await;
        // Unlocked over there.
        thread(move || {
            let mut guard = guard;
            *guard = 7;
        })
        .ended()
        .await;
        assert_eq!(reader.await.unwrap(), 7);
    });
}

fn shared_locks_are_send<R: Runtime>() {
    fn send_and_sync<T: Send + Sync>(_: &T) {}
    fn send<T: Send>(_: &T) {}
    let mutex = Arc::new(shared::Mutex::new(Cell::new(0))); // its value is not Sync
    send_and_sync(&mutex);
    send(&mutex.lock());
    send(&mutex.clone().lock_owned());
    send(&mutex.try_lock());
    let lock = Arc::new(shared::RwLock::new(0));
    send_and_sync(&lock);
    send(&lock.read());
    send(&lock.write());
    send_and_sync(&lock.try_write());
    send_and_sync(&lock.try_read());
    let semaphore = shared::Semaphore::new(1);
    send_and_sync(&semaphore);
    send(&semaphore.acquire());
    send_and_sync(&semaphore.try_acquire());
    let (event, condition, barrier) =
        (shared::Event::new(), shared::Condition::new(), shared::Barrier::new(2));
    send_and_sync(&(&event, &condition, &barrier));
    send(&(event.wait(), barrier.wait()));
    let mutex = shared::Mutex::new(RefCell::new(0));
    send(&condition.wait(mutex.try_lock().unwrap()));
}
