//! Channels, local and between threads: order, room, fairness, ends; and that a future which is dropped at any time loses
//! nothing.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use proactor::sync::Flavor;
use proactor::sync::mpsc::{self, Permit, Receiver, SendError, Sender, TryRecvError, TrySendError};
use proactor::{Runtime, spawn, yield_now};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use crate::kit::*;

tests! {
    a_oneshot_gives_its_value_once,
    a_oneshot_without_a_sender_is_an_error,
    a_oneshot_without_a_receiver_gives_the_value_back,
    a_closed_oneshot_gives_what_was_sent_before,
    a_oneshot_sender_learns_that_the_receiver_is_gone,
    a_oneshot_crosses_threads,
    items_come_in_the_order_in_which_they_were_sent,
    a_channel_ends_when_its_senders_have_gone,
    a_channel_holds_exactly_its_capacity,
    a_channel_may_be_as_large_as_can_be,
    senders_get_room_in_the_order_in_which_they_came,
    no_sender_overtakes_one_that_waits,
    a_send_that_is_dropped_has_not_sent,
    a_send_that_is_dropped_after_it_was_served_gives_its_place_on,
    a_permit_keeps_a_place_and_gives_it_back,
    a_permit_that_is_forgotten_does_not_keep_the_channel_from_ending,
    a_closed_channel_takes_what_was_reserved_and_nothing_else,
    senders_wait_for_the_end_of_the_channel,
    senders_that_wait_learn_that_the_receiver_has_gone,
    a_receive_that_is_dropped_takes_nothing,
    the_task_that_asked_last_is_woken,
    a_channel_is_a_stream,
    what_is_left_is_dropped_where_it_may_use_the_channel,
    a_waker_that_panics_loses_no_item,
    a_waker_that_panics_in_its_drop_loses_no_item,
    many_threads_send_to_a_loop,
    threads_block_on_a_channel,
    a_loops_thread_must_not_block,
    what_is_shared_goes_to_other_threads,
    a_channel_agrees_with_a_queue_whatever_is_done,
    every_receiver_gets_every_value,
    a_receiver_that_lags_learns_how_much_it_missed,
    a_value_goes_when_all_have_seen_it,
    a_broadcast_receive_that_is_dropped_takes_nothing,
    a_broadcast_ends_when_its_senders_have_gone,
    a_broadcast_crosses_threads,
    a_watch_shows_the_latest,
    a_watched_value_can_be_kept_while_it_changes,
    a_change_by_a_copy_notifies_on_request,
    a_change_that_panics_changes_nothing,
    a_change_notifies_though_the_old_value_panics,
    a_change_is_tried_again_with_a_newer_value,
    a_dropped_changed_leaves_the_value_unseen,
    wait_for_looks_at_the_value_of_now_too,
    a_watch_ends_when_its_senders_have_gone,
    a_watch_crosses_threads,
    a_receiver_that_joins_a_broadcast_after_its_end_learns_of_it,
    a_watch_is_seen_for_good_after_its_end,
}

fn a_oneshot_gives_its_value_once<R: Runtime>() {
    run::<R>(async {
        each!(oneshot, {
            let (sender, mut receiver) = oneshot::channel();
            let (first, noted) = poll_noted(&mut receiver);
            assert!(first.is_pending() && !noted.is_woken());
            assert!(!sender.is_closed());
            sender.send("value").unwrap();
            assert!(noted.is_woken());
            assert_eq!((&mut receiver).await, Ok("value"));
            assert_eq!((&mut receiver).await, Err(oneshot::RecvError));
        });
    });
}

fn a_oneshot_without_a_sender_is_an_error<R: Runtime>() {
    run::<R>(async {
        each!(oneshot, {
            let (sender, mut receiver) = oneshot::channel::<u32>();
            let (first, noted) = poll_noted(&mut receiver);
            assert!(first.is_pending());
            drop(sender);
            assert!(noted.is_woken());
            assert_eq!(receiver.try_recv(), Err(oneshot::TryRecvError::Closed));
            assert_eq!(receiver.await, Err(oneshot::RecvError));
        });
    });
}

fn a_oneshot_without_a_receiver_gives_the_value_back<R: Runtime>() {
    each!(oneshot, {
        let (sender, receiver) = oneshot::channel();
        drop(receiver);
        assert!(sender.is_closed());
        assert_eq!(sender.send("back"), Err("back"));
        let drops = Rc::new(Cell::new(0));
        let (sender, receiver) = oneshot::channel();
        sender.send(Counted(drops.clone())).unwrap();
        assert_eq!(drops.get(), 0);
        drop(receiver);
        assert_eq!(drops.get(), 1);
    });
}

fn a_closed_oneshot_gives_what_was_sent_before<R: Runtime>() {
    each!(oneshot, {
        let (sender, mut receiver) = oneshot::channel();
        sender.send(1).unwrap();
        receiver.close();
        assert_eq!(receiver.try_recv(), Ok(1));
        let (sender, mut receiver) = oneshot::channel();
        receiver.close();
        assert_eq!(sender.send(1), Err(1));
        assert_eq!(receiver.try_recv(), Err(oneshot::TryRecvError::Closed));
    });
}

fn a_oneshot_sender_learns_that_the_receiver_is_gone<R: Runtime>() {
    run::<R>(async {
        each!(oneshot, {
            let (mut sender, receiver) = oneshot::channel::<u32>();
            let (first, noted) = poll_noted(&mut sender.closed());
            assert!(first.is_pending() && !noted.is_woken());
            drop(receiver);
            assert!(noted.is_woken());
            sender.closed().await;

            let (mut sender, mut receiver) = oneshot::channel::<u32>();
            let (_, noted) = poll_noted(&mut sender.closed());
            let (_, receivers) = poll_noted(&mut receiver);
            receiver.close();
            assert!(noted.is_woken() && receivers.is_woken(), "who waits for the value, too");
            sender.closed().await;
            assert_eq!(receiver.await, Err(oneshot::RecvError));
        });
    });
}

fn a_oneshot_crosses_threads<R: Runtime>() {
    use proactor::sync::shared::oneshot;
    run::<R>(async {
        let (ask, question) = oneshot::channel();
        let (reply, answer) = oneshot::channel();
        let thread = thread(move || reply.send(question.blocking_recv().unwrap() + 1).unwrap());
        ask.send(6).unwrap();
        assert_eq!(answer.await, Ok(7));
        thread.ended().await;
    });
}

fn items_come_in_the_order_in_which_they_were_sent<R: Runtime>() {
    run::<R>(async {
        each!(mpsc, {
            let (sender, mut receiver) = mpsc::channel(3);
            let task = spawn(async move {
                for number in 0..100 {
                    sender.send(number).await.unwrap();
                }
            });
            for number in 0..100 {
                assert_eq!(receiver.recv().await, Some(number));
                assert!(receiver.len() <= 3);
            }
            assert_eq!(receiver.recv().await, None);
            task.await.unwrap();
        });
    });
}

fn a_channel_ends_when_its_senders_have_gone<R: Runtime>() {
    run::<R>(async {
        each!(mpsc, {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            let other = sender.clone();
            sender.send(1).unwrap();
            drop(sender);
            assert_eq!(receiver.recv().await, Some(1));
            let (waits, noted) = poll_noted(&mut receiver.recv());
            assert!(waits.is_pending());
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            drop(other);
            assert!(noted.is_woken());
            assert_eq!(receiver.recv().await, None);
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
        });
    });
}

/// Also while the receiver has taken the queue over and works it off.
fn a_channel_holds_exactly_its_capacity<R: Runtime>() {
    each!(mpsc, {
        let (sender, mut receiver) = mpsc::channel(3);
        (0..3).for_each(|number| sender.try_send(number).unwrap());
        for number in 3..50 {
            assert_eq!(sender.try_send(0), Err(TrySendError::Full(0)));
            assert_eq!((sender.len(), receiver.len()), (3, 3));
            assert_eq!(receiver.try_recv(), Ok(number - 3));
            assert_eq!((sender.len(), receiver.len()), (2, 2));
            sender.try_send(number).unwrap();
        }
        assert_eq!((sender.capacity(), receiver.capacity()), (3, Some(3)));
    });
}

fn a_channel_may_be_as_large_as_can_be<R: Runtime>() {
    each!(mpsc, {
        let (sender, mut receiver) = mpsc::channel(usize::MAX);
        assert_eq!(sender.capacity(), usize::MAX);
        assert!(format!("{sender:?}").contains("len: 0"));
        sender.try_send(1).unwrap();
        sender.try_reserve().unwrap().send(2).unwrap();
        drop(sender.try_reserve().unwrap());
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Ok(2)));
    });
}

fn senders_get_room_in_the_order_in_which_they_came<R: Runtime>() {
    each!(mpsc, {
        let (sender, mut receiver) = mpsc::channel(1);
        sender.try_send(0).unwrap();
        let mut sends: Vec<_> = (1..=3).map(|number| sender.send(number)).collect();
        let mut noted: Vec<_> = sends.iter_mut().map(|send| poll_noted(send).1).collect();
        for number in 0..3 {
            assert!(!noted[number].is_woken());
            assert_eq!(receiver.try_recv(), Ok(number));
            assert!(noted[number].is_woken(), "the one who came first");
            for later in number + 1..3 {
                let (poll, new) = poll_noted(&mut sends[later]);
                assert!(poll.is_pending(), "one who came later");
                noted[later] = new;
            }
            assert_eq!(poll_unheard(&mut sends[number]), Poll::Ready(Ok(())));
        }
        assert_eq!(receiver.try_recv(), Ok(3));
    });
}

fn no_sender_overtakes_one_that_waits<R: Runtime>() {
    each!(mpsc, {
        let (sender, mut receiver) = mpsc::channel(1);
        sender.try_send(0).unwrap();
        let mut first = sender.send(1);
        assert!(poll_unheard(&mut first).is_pending());
        assert_eq!(receiver.try_recv(), Ok(0));
        // The place is there, and it is the first's.
        assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
        assert!(sender.try_reserve().is_err());
        assert!(poll_unheard(&mut sender.send(3)).is_pending());
        assert_eq!(poll_unheard(&mut first), Poll::Ready(Ok(())));
        assert_eq!(receiver.try_recv(), Ok(1));
    });
}

fn a_send_that_is_dropped_has_not_sent<R: Runtime>() {
    each!(mpsc, {
        let drops = Rc::new(Cell::new(0));
        let (sender, mut receiver) = mpsc::channel(1);
        drop(sender.send(Counted(drops.clone()))); // never polled
        sender.try_send(Counted(drops.clone())).unwrap();
        let mut waits = sender.send(Counted(drops.clone()));
        assert!(poll_unheard(&mut waits).is_pending());
        drop(waits);
        assert_eq!(drops.get(), 2);
        drop(receiver.try_recv().unwrap());
        assert!(receiver.try_recv().is_err());
    });
}

fn a_send_that_is_dropped_after_it_was_served_gives_its_place_on<R: Runtime>() {
    each!(mpsc, {
        let (sender, mut receiver) = mpsc::channel(1);
        sender.try_send(0).unwrap();
        let (mut first, mut second, mut third) = (sender.send(1), sender.reserve(), sender.send(3));
        assert!(poll_unheard(&mut first).is_pending());
        let (waits, second_noted) = poll_noted(&mut second);
        assert!(waits.is_pending());
        let (waits, third_noted) = poll_noted(&mut third);
        assert!(waits.is_pending());
        assert_eq!(receiver.try_recv(), Ok(0)); // the first is served
        drop(first);
        assert!(second_noted.is_woken() && !third_noted.is_woken());
        drop(second);
        assert!(third_noted.is_woken());
        assert_eq!(poll_unheard(&mut third), Poll::Ready(Ok(())));
        assert_eq!(receiver.try_recv(), Ok(3));
        sender.try_send(4).unwrap();
    });
}

fn a_permit_keeps_a_place_and_gives_it_back<R: Runtime>() {
    run::<R>(async {
        each!(mpsc, {
            let (sender, mut receiver) = mpsc::channel(2);
            let (kept, other) = (sender.reserve().await.unwrap(), sender.try_reserve().unwrap());
            assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
            let mut waits = sender.send(2);
            let (pending, noted) = poll_noted(&mut waits);
            assert!(pending.is_pending());
            drop(other);
            assert!(noted.is_woken());
            waits.await.unwrap();
            kept.send(3).unwrap();
            assert_eq!((receiver.recv().await, receiver.recv().await), (Some(2), Some(3)));
            assert!(sender.is_empty());
            let permit = sender.try_reserve().unwrap();
            drop(receiver);
            assert_eq!(permit.send(4), Err(SendError(4)));
        });
    });
}

fn a_permit_that_is_forgotten_does_not_keep_the_channel_from_ending<R: Runtime>() {
    each!(mpsc, {
        let (sender, mut receiver) = mpsc::channel(2);
        std::mem::forget(sender.try_reserve().unwrap());
        sender.try_send(1).unwrap();
        assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
        drop(sender);
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    });
}

fn senders_wait_for_the_end_of_the_channel<R: Runtime>() {
    run::<R>(async {
        each!(mpsc, {
            let (sender, mut receiver) = mpsc::channel(1);
            let (unbounded, last) = mpsc::unbounded_channel::<u32>();
            let other = sender.clone();
            let (mut here, mut there) = (sender.closed(), other.closed());
            let mut far = unbounded.closed();
            let polled = [poll_noted(&mut here), poll_noted(&mut there), poll_noted(&mut far)];
            let is_woken = || polled.iter().map(|(_, noted)| noted.is_woken()).collect::<Vec<_>>();
            assert!(polled.iter().all(|(poll, _)| poll.is_pending()));
            other.try_send(7).unwrap();
            assert_eq!(receiver.recv().await, Some(7));
            assert_eq!(is_woken(), [false; 3], "the channels are open");
            receiver.close();
            assert_eq!(is_woken(), [true, true, false]);
            drop(last);
            assert_eq!(is_woken(), [true; 3]);
            here.await;
            there.await;
            far.await;
            sender.closed().await;
        });
    });
}

fn a_closed_channel_takes_what_was_reserved_and_nothing_else<R: Runtime>() {
    run::<R>(async {
        each!(mpsc, {
            let (sender, mut receiver) = mpsc::channel(3);
            sender.try_send(0).unwrap();
            let (used, unused) = (sender.try_reserve().unwrap(), sender.try_reserve().unwrap());
            let mut waits = sender.send(9);
            let (pending, noted) = poll_noted(&mut waits);
            assert!(pending.is_pending());
            receiver.close();
            assert!(noted.is_woken());
            assert_eq!(waits.await, Err(SendError(9)));
            assert_eq!(sender.try_send(9), Err(TrySendError::Closed(9)));
            assert_eq!(sender.send(9).await, Err(SendError(9)));
            assert!(sender.is_closed() && sender.reserve().await.is_err());
            assert_eq!(receiver.recv().await, Some(0));
            let (pending, noted) = poll_noted(&mut receiver.recv());
            assert!(pending.is_pending(), "something may still come");
            used.send(1).unwrap();
            assert!(noted.is_woken());
            assert_eq!(receiver.recv().await, Some(1));
            let (pending, noted) = poll_noted(&mut receiver.recv());
            assert!(pending.is_pending());
            drop(unused);
            assert!(noted.is_woken());
            assert_eq!(receiver.recv().await, None);
        });
    });
}

/// Those who had been served as well.
fn senders_that_wait_learn_that_the_receiver_has_gone<R: Runtime>() {
    each!(mpsc, {
        let (sender, mut receiver) = mpsc::channel(1);
        sender.try_send(0).unwrap();
        let mut sends: Vec<_> = (1..=40).map(|number| sender.send(number)).collect();
        let noted: Vec<_> = sends.iter_mut().map(|send| poll_noted(send).1).collect();
        receiver.try_recv().unwrap();
        drop(receiver);
        assert!(noted.iter().all(|noted| noted.is_woken()));
        drop(sends.remove(0));
        for (number, send) in (2..).zip(&mut sends) {
            assert_eq!(poll_unheard(send), Poll::Ready(Err(SendError(number))));
        }
        assert_eq!((sender.len(), sender.try_send(0)), (0, Err(TrySendError::Closed(0))));
    });
}

fn a_receive_that_is_dropped_takes_nothing<R: Runtime>() {
    run::<R>(async {
        each!(mpsc, {
            let (sender, mut receiver) = mpsc::channel(4);
            let mut waits = receiver.recv();
            let (pending, noted) = poll_noted(&mut waits);
            assert!(pending.is_pending());
            sender.try_send(1).unwrap();
            sender.try_send(2).unwrap();
            assert!(noted.is_woken());
            drop(waits); // woken, and not polled again
            assert_eq!(receiver.recv().await, Some(1));
            drop(receiver.recv());
            assert_eq!(receiver.recv().await, Some(2));
        });
    });
}

fn the_task_that_asked_last_is_woken<R: Runtime>() {
    each!(mpsc, {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (_, first) = poll_noted(&mut receiver.recv());
        let (_, second) = poll_noted(&mut receiver.recv());
        sender.send(1).unwrap();
        assert!(!first.is_woken() && second.is_woken());
    });
}

fn a_channel_is_a_stream<R: Runtime>() {
    run::<R>(async {
        each!(mpsc, {
            let (sender, mut receiver) = mpsc::channel(2);
            spawn(async move {
                for number in 0..5 {
                    sender.send(number).await.unwrap();
                }
            });
            let mut received = Vec::new();
            while let Some(number) = poll_fn(|cx| Pin::new(&mut receiver).poll_next(cx)).await {
                received.push(number);
            }
            assert_eq!(received, [0, 1, 2, 3, 4]);
        });
    });
}

/// Items that use the channel in their destructors: some in the queue, some already in the receiver's hands.
fn what_is_left_is_dropped_where_it_may_use_the_channel<R: Runtime>() {
    struct Uses<F: Fn()>(F);
    impl<F: Fn()> Drop for Uses<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    each!(mpsc, {
        let (sender, mut receiver) = mpsc::unbounded_channel::<Box<dyn Any>>();
        let uses = Rc::new(Cell::new(0));
        let item = || {
            let (sender, uses) = (sender.clone(), uses.clone());
            Box::new(Uses(move || {
                assert!(sender.send(Box::new(())).is_err());
                uses.set(uses.get() + 1);
            }))
        };
        sender.send(Box::new(())).unwrap();
        sender.send(item()).unwrap();
        drop(receiver.try_recv().unwrap());
        sender.send(item()).unwrap();
        drop(receiver);
        assert_eq!(uses.get(), 2);
    });
}

fn a_waker_that_panics_loses_no_item<R: Runtime>() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("expected: a waker");
        }
    }
    each!(mpsc, {
        let (sender, mut receiver) = mpsc::channel(1);
        sender.try_send(1).unwrap();
        let waker = Waker::from(Arc::new(Panics));
        let mut waits = sender.send(2);
        assert!(Pin::new(&mut waits).poll(&mut Context::from_waker(&waker)).is_pending());
        let mut received = None;
        panic_catching(|| received = receiver.try_recv().ok());
        assert_eq!(received, Some(1));
        assert_eq!(poll_unheard(&mut waits), Poll::Ready(Ok(())));
        assert_eq!(receiver.try_recv(), Ok(2));
    });
}

/// One is served by a waker of another, while its own waits to be woken.
fn a_waker_that_panics_in_its_drop_loses_no_item<R: Runtime>() {
    const MANY: usize = 40; // more than are taken out of the queue at once
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("expected: a waker's drop");
        }
    }
    each!(broadcast, {
        let (sender, mut first) = broadcast::channel(1);
        let mut others: Vec<_> = (0..MANY).map(|_| sender.subscribe()).collect();
        let mut receiver = sender.subscribe();
        let last = Rc::new(RefCell::new(Box::pin(async move { receiver.recv().await })));
        let received = Rc::new(Cell::new(None));
        let (polled, says) = (last.clone(), received.clone());
        let waker = acting(move || says.set(Some(poll_unheard(&mut *polled.borrow_mut()))));
        let mut waits = first.recv();
        assert!(Pin::new(&mut waits).poll(&mut Context::from_waker(&waker)).is_pending());
        let mut others: Vec<_> = others.iter_mut().map(|other| other.recv()).collect();
        others.iter_mut().for_each(|other| assert!(poll_unheard(other).is_pending()));
        let waker = Waker::from(Arc::new(Panics));
        assert!(last.borrow_mut().as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker); // the queue's is the last
        sender.send(7).unwrap();
        assert_eq!(received.get(), Some(Poll::Ready(Ok(7))));
    });
}

fn many_threads_send_to_a_loop<R: Runtime>() {
    use proactor::sync::shared::mpsc;
    const EACH: u64 = 2_000;
    run::<R>(async {
        let (sender, mut receiver) = mpsc::channel(7);
        let threads: Vec<_> = (0..4_u64)
            .map(|number| {
                let sender = sender.clone();
                thread(move || {
                    if number % 2 == 0 {
                        (0..EACH).for_each(|item| sender.blocking_send((number, item)).unwrap());
                        return;
                    }
                    run::<R>(async move {
                        for item in 0..EACH {
                            sender.send((number, item)).await.unwrap();
                        }
                    });
                })
            })
            .collect();
        drop(sender);
        let mut next = BTreeMap::new();
        while let Some((number, item)) = receiver.recv().await {
            assert_eq!(item, *next.get(&number).unwrap_or(&0));
            next.insert(number, item + 1);
        }
        assert_eq!(next, (0..4).map(|number| (number, EACH)).collect());
        for thread in threads {
            thread.ended().await;
        }
    });
}

fn threads_block_on_a_channel<R: Runtime>() {
    use proactor::sync::shared::mpsc;
    let (sender, mut receiver) = mpsc::channel(2);
    let (done, mut answers) = mpsc::unbounded_channel();
    let thread = thread(move || {
        while let Some(number) = receiver.blocking_recv() {
            done.send(number * 2).unwrap();
        }
    });
    (0..1_000).for_each(|number| sender.blocking_send(number).unwrap());
    drop(sender);
    for number in 0..1_000 {
        assert_eq!(answers.blocking_recv(), Some(number * 2));
    }
    assert_eq!(answers.blocking_recv(), None);
    thread.join();
    let (sender, receiver) = mpsc::channel(2);
    drop(receiver);
    assert_eq!(sender.blocking_send(1), Err(SendError(1)));
}

fn a_loops_thread_must_not_block<R: Runtime>() {
    use proactor::sync::shared::{mpsc, oneshot, queue};
    run::<R>(async {
        let (sender, mut receiver) = mpsc::channel(2);
        let (_answers, answer) = oneshot::channel::<u32>();
        let queue = queue::unbounded();
        for (message, cure) in [
            (panic_of(|| sender.blocking_send(1)), "`send(value).await`"),
            (panic_of(|| receiver.blocking_recv()), "`recv().await`"),
            (panic_of(|| answer.blocking_recv()), "`receiver.await`"),
            (panic_of(|| queue.blocking_put(1)), "`put(item).await`"),
            (panic_of(|| queue.blocking_get()), "`get().await`"),
        ] {
            assert!(message.contains("would block the loop") && message.contains(cure), "{message}");
        }
        assert!(sender.is_empty() && queue.is_empty());
    });
}

/// Compiling it is the test. The items need not be `Sync`, but where several threads may look at one.
fn what_is_shared_goes_to_other_threads<R: Runtime>() {
    use proactor::sync::shared::{broadcast, mpsc, oneshot, queue, watch};
    type Item = Cell<u32>;
    fn is_send<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    fn value_is_send<T: Send>(_: &T) {}
    is_shared::<mpsc::Sender<Item>>();
    is_shared::<mpsc::UnboundedSender<Item>>();
    is_send::<mpsc::Receiver<Item>>();
    is_send::<mpsc::Permit<'_, Item>>();
    is_shared::<oneshot::Sender<Item>>();
    is_shared::<oneshot::Receiver<Item>>();
    is_shared::<queue::Queue<Item>>();
    is_shared::<queue::LifoQueue<Item>>();
    is_shared::<queue::PriorityQueue<Item>>();
    is_shared::<broadcast::Sender<u32>>();
    is_shared::<broadcast::Receiver<u32>>();
    is_shared::<watch::Sender<u32>>();
    is_shared::<watch::Receiver<u32>>();
    let (sender, mut receiver) = mpsc::channel::<Item>(1);
    value_is_send(&sender.send(Cell::new(1)));
    value_is_send(&sender.reserve());
    value_is_send(&receiver.recv());
    let queue = queue::unbounded::<Item>();
    value_is_send(&queue.put(Cell::new(1)));
    value_is_send(&queue.get());
    value_is_send(&queue.join());
    let (mut sender, _receiver) = oneshot::channel::<Item>();
    value_is_send(&sender.closed());
    let (_sender, mut receiver) = broadcast::channel::<u32>(1);
    value_is_send(&receiver.recv());
    let (_sender, mut receiver) = watch::channel(1);
    value_is_send(&receiver.changed());
    value_is_send(&receiver.wait_for(|_| true));
}

#[derive(Clone, Debug)]
enum Step {
    Send,
    TrySend,
    /// Of those that wait, this one.
    PollSend(prop::sample::Index),
    DropSend(prop::sample::Index),
    Recv,
    TryRecv,
    Reserve,
    UsePermit,
    DropPermit,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => Just(Step::Send),
        3 => Just(Step::TrySend),
        4 => index().prop_map(Step::PollSend),
        2 => index().prop_map(Step::DropSend),
        4 => Just(Step::Recv),
        2 => Just(Step::TryRecv),
        1 => Just(Step::Reserve),
        1 => Just(Step::UsePermit),
        1 => Just(Step::DropPermit),
        1 => prop::option::weighted(0.1, Just(())).prop_map(|close| close.map_or(Step::Recv, |()| Step::Close)),
    ]
}

/// What a channel is, said plainly.
#[derive(Debug, Default)]
struct Plain {
    capacity: usize,
    items: VecDeque<u32>,
    /// Senders in the order in which they came: their items.
    waiting: VecDeque<u32>,
    served: Vec<u32>,
    permits: usize,
    closed: bool,
}

impl Plain {
    fn has_room(&self) -> bool {
        self.items.len() + self.served.len() + self.permits < self.capacity
    }

    fn admits(&self) -> bool {
        !self.closed && self.waiting.is_empty() && self.has_room()
    }

    fn serve(&mut self) {
        while !self.closed && self.has_room() && !self.waiting.is_empty() {
            self.served.extend(self.waiting.pop_front());
        }
    }

    fn ended(&self) -> bool {
        self.closed && self.permits == 0
    }
}

/// A channel beside the plain one, the sends that wait, permits in hand, and the waker of the last receive that waits.
struct Compared<'a, F: Flavor> {
    sender: &'a Sender<u32, F>,
    receiver: Receiver<u32, F>,
    plain: Plain,
    sends: Vec<(u32, mpsc::Send<'a, u32, F>, Arc<Noted>)>,
    permits: Vec<Permit<'a, u32, F>>,
    waiting_receive: Option<Arc<Noted>>,
}

impl<'a, F: Flavor> Compared<'a, F> {
    fn new(sender: &'a Sender<u32, F>, receiver: Receiver<u32, F>, capacity: usize) -> Self {
        Compared {
            sender,
            receiver,
            plain: Plain { capacity, ..Plain::default() },
            sends: Vec::new(),
            permits: Vec::new(),
            waiting_receive: None,
        }
    }

    fn step(&mut self, step: Step, number: u32) -> TestCaseResult {
        match step {
            Step::Send => self.send(number)?,
            Step::TrySend => self.try_send(number)?,
            Step::PollSend(index) if !self.sends.is_empty() => {
                self.poll_send(index.index(self.sends.len()))?
            }
            Step::DropSend(index) if !self.sends.is_empty() => {
                let (number, _, _) = self.sends.remove(index.index(self.sends.len()));
                self.plain.waiting.retain(|other| *other != number);
                self.plain.served.retain(|other| *other != number);
            }
            Step::PollSend(_) | Step::DropSend(_) => {}
            Step::Recv => self.recv()?,
            Step::TryRecv => {
                let none = if self.plain.ended() { TryRecvError::Closed } else { TryRecvError::Empty };
                prop_assert_eq!(self.receiver.try_recv(), self.plain.items.pop_front().ok_or(none));
            }
            Step::Reserve => {
                let permit = self.sender.try_reserve();
                prop_assert_eq!(permit.is_ok(), self.plain.admits());
                self.plain.permits += usize::from(permit.is_ok());
                self.permits.extend(permit);
            }
            Step::UsePermit => {
                if let Some(permit) = self.permits.pop() {
                    permit.send(number).unwrap();
                    self.plain.permits -= 1;
                    self.plain.items.push_back(number);
                }
            }
            Step::DropPermit => self.plain.permits -= usize::from(self.permits.pop().is_some()),
            Step::Close => {
                self.receiver.close();
                self.plain.closed = true;
                self.plain.waiting.clear();
                self.plain.served.clear();
            }
        }
        self.plain.serve();
        self.check()
    }

    fn send(&mut self, number: u32) -> TestCaseResult {
        let mut send = self.sender.send(number);
        let (poll, noted) = poll_noted(&mut send);
        if self.plain.closed {
            prop_assert_eq!(poll, Poll::Ready(Err(SendError(number))));
        } else if self.plain.admits() {
            prop_assert_eq!(poll, Poll::Ready(Ok(())));
            self.plain.items.push_back(number);
        } else {
            prop_assert_eq!(poll, Poll::Pending);
            self.plain.waiting.push_back(number);
            self.sends.push((number, send, noted));
        }
        Ok(())
    }

    fn try_send(&mut self, number: u32) -> TestCaseResult {
        let expected = if self.plain.closed {
            Err(TrySendError::Closed(number))
        } else if self.plain.admits() {
            self.plain.items.push_back(number);
            Ok(())
        } else {
            Err(TrySendError::Full(number))
        };
        prop_assert_eq!(self.sender.try_send(number), expected);
        Ok(())
    }

    fn poll_send(&mut self, index: usize) -> TestCaseResult {
        let (number, send, noted) = &mut self.sends[index];
        let number = *number;
        let (poll, new) = poll_noted(send);
        *noted = new;
        if self.plain.closed {
            prop_assert_eq!(poll, Poll::Ready(Err(SendError(number))));
        } else if self.plain.served.contains(&number) {
            prop_assert_eq!(poll, Poll::Ready(Ok(())));
            self.plain.served.retain(|other| *other != number);
            self.plain.items.push_back(number);
        } else {
            prop_assert_eq!(poll, Poll::Pending);
            return Ok(());
        }
        drop(self.sends.remove(index));
        Ok(())
    }

    fn recv(&mut self) -> TestCaseResult {
        let (poll, noted) = poll_noted(&mut self.receiver.recv());
        let expected = match self.plain.items.pop_front() {
            None if !self.plain.ended() => Poll::Pending,
            item => Poll::Ready(item),
        };
        prop_assert_eq!(poll, expected);
        self.waiting_receive = poll.is_pending().then_some(noted);
        Ok(())
    }

    /// Both hold the same, and those who were served have been woken, and no others.
    fn check(&self) -> TestCaseResult {
        let plain = &self.plain;
        prop_assert_eq!(self.receiver.len(), plain.items.len());
        for (number, _, noted) in &self.sends {
            let served = plain.closed || plain.served.contains(number);
            prop_assert_eq!(noted.is_woken(), served, "the sender of {}", number);
        }
        if let Some(noted) = &self.waiting_receive {
            let found = !plain.items.is_empty() || plain.ended();
            prop_assert!(noted.is_woken() || !found, "the receiver");
        }
        Ok(())
    }
}

/// Random scripts of sends, receives and drops, step by step against the plain channel: what is received, who is served,
/// who is woken.
fn a_channel_agrees_with_a_queue_whatever_is_done<R: Runtime>() {
    each!(mpsc, {
        let script = (1..4_usize, prop::collection::vec(step(), 1..80));
        let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
        let result = TestRunner::new(config).run(&script, |(capacity, steps)| {
            let (sender, receiver) = mpsc::channel(capacity);
            let mut compared = Compared::new(&sender, receiver, capacity);
            steps.into_iter().zip(0..).try_for_each(|(step, number)| compared.step(step, number))
        });
        result.unwrap_or_else(|error| panic!("{error}"));
    });
}

fn every_receiver_gets_every_value<R: Runtime>() {
    run::<R>(async {
        each!(broadcast, {
            let (sender, mut first) = broadcast::channel(8);
            sender.send(String::from("early")).unwrap();
            let mut second = sender.subscribe();
            let mut waits = second.recv();
            let (pending, noted) = poll_noted(&mut waits);
            assert!(pending.is_pending());
            assert_eq!(sender.send(String::from("late")), Ok(2));
            assert!(noted.is_woken());
            assert_eq!(waits.await.as_deref(), Ok("late"));
            assert_eq!((first.len(), first.resubscribe().len()), (2, 0), "of what is sent from now on");
            assert_eq!(first.recv().await.as_deref(), Ok("early"));
            assert_eq!(first.recv().await.as_deref(), Ok("late"));
            assert_eq!((sender.receiver_count(), first.len(), second.len()), (2, 0, 0));
        });
    });
}

fn a_receiver_that_lags_learns_how_much_it_missed<R: Runtime>() {
    each!(broadcast, {
        let (sender, mut receiver) = broadcast::channel(3);
        for number in 0..10 {
            sender.send(number).unwrap();
        }
        assert_eq!(receiver.len(), 10);
        assert_eq!(receiver.try_recv(), Err(broadcast::TryRecvError::Lagged(7)));
        for number in 7..10 {
            assert_eq!(receiver.try_recv(), Ok(number));
        }
        assert_eq!(receiver.try_recv(), Err(broadcast::TryRecvError::Empty));
    });
}

fn a_value_goes_when_all_have_seen_it<R: Runtime>() {
    each!(broadcast, {
        let value = Rc::new(());
        let (sender, mut first) = broadcast::channel(4);
        let mut second = sender.subscribe();
        let third = sender.subscribe();
        sender.send(value.clone()).unwrap();
        sender.send(value.clone()).unwrap();
        first.try_recv().unwrap();
        second.try_recv().unwrap();
        assert_eq!(Rc::strong_count(&value), 3, "the third has seen neither");
        drop(third);
        assert_eq!(Rc::strong_count(&value), 2, "nobody has still to see the first");
        second.try_recv().unwrap();
        drop(first);
        assert_eq!(Rc::strong_count(&value), 1);
        drop(second);
        assert!(sender.send(value.clone()).is_err());
        assert_eq!(Rc::strong_count(&value), 1);
    });
}

fn a_broadcast_receive_that_is_dropped_takes_nothing<R: Runtime>() {
    run::<R>(async {
        each!(broadcast, {
            let (sender, mut receiver) = broadcast::channel(4);
            let mut waits = receiver.recv();
            let (pending, noted) = poll_noted(&mut waits);
            assert!(pending.is_pending());
            sender.send(1).unwrap();
            assert!(noted.is_woken());
            drop(waits);
            assert_eq!(receiver.recv().await, Ok(1));
            let (_, noted) = poll_noted(&mut receiver.recv());
            sender.send(2).unwrap();
            assert!(!noted.is_woken(), "its future has gone");
        });
    });
}

fn a_broadcast_ends_when_its_senders_have_gone<R: Runtime>() {
    run::<R>(async {
        each!(broadcast, {
            let (sender, mut receiver) = broadcast::channel(4);
            let mut others: Vec<_> = (0..40).map(|_| sender.subscribe()).collect();
            let mut waits: Vec<_> = others.iter_mut().map(|receiver| receiver.recv()).collect();
            let noted: Vec<_> = waits.iter_mut().map(|wait| poll_noted(wait).1).collect();
            let clone = sender.clone();
            drop(sender);
            assert!(!noted[0].is_woken());
            clone.send(1).unwrap();
            assert!(noted.iter().all(|noted| noted.is_woken()));
            drop(clone);
            assert_eq!(receiver.recv().await, Ok(1));
            assert_eq!(receiver.recv().await, Err(broadcast::RecvError::Closed));
        });
    });
}

fn a_broadcast_crosses_threads<R: Runtime>() {
    use proactor::sync::shared::broadcast;
    const COUNT: u32 = 1_000;
    run::<R>(async {
        let (sender, receiver) = broadcast::channel(COUNT as usize);
        let receivers = [receiver, sender.subscribe(), sender.subscribe()];
        let threads = receivers.map(|mut receiver| {
            thread(move || {
                run::<R>(async move {
                    for number in 0..COUNT {
                        assert_eq!(receiver.recv().await, Ok(number));
                    }
                    assert_eq!(receiver.recv().await, Err(broadcast::RecvError::Closed));
                });
            })
        });
        for number in 0..COUNT {
            sender.send(number).unwrap();
        }
        drop(sender);
        for thread in threads {
            thread.ended().await;
        }
    });
}

fn a_watch_shows_the_latest<R: Runtime>() {
    run::<R>(async {
        each!(watch, {
            let (sender, mut receiver) = watch::channel(0);
            let mut other = receiver.clone();
            assert!(!receiver.has_changed());
            let mut waits = receiver.changed();
            let (pending, noted) = poll_noted(&mut waits);
            assert!(pending.is_pending());
            sender.send(1).unwrap();
            sender.send(2).unwrap();
            assert!(noted.is_woken());
            waits.await.unwrap();
            assert_eq!((*receiver.borrow(), receiver.has_changed()), (2, false));
            assert!(other.has_changed() && other.clone().has_changed() && !receiver.clone().has_changed());
            assert_eq!((*other.borrow(), other.has_changed()), (2, true));
            assert_eq!((*other.borrow_and_update(), other.has_changed()), (2, false));
            assert!(!sender.subscribe().has_changed());
            assert!(poll_unheard(&mut other.changed()).is_pending());
        });
    });
}

fn a_watched_value_can_be_kept_while_it_changes<R: Runtime>() {
    run::<R>(async {
        each!(watch, {
            let (sender, receiver) = watch::channel(String::from("old"));
            let old = receiver.borrow();
            sender.send(String::from("new")).unwrap();
            yield_now().await; // no lock is held across it
            sender.send_modify(|text| text.push_str("er"));
            assert_eq!((old.as_str(), receiver.borrow().as_str()), ("old", "newer"));
        });
    });
}

fn a_change_by_a_copy_notifies_on_request<R: Runtime>() {
    each!(watch, {
        let (sender, mut receiver) = watch::channel(1);
        let mut waits = receiver.changed();
        let (_, noted) = poll_noted(&mut waits);
        assert!(!sender.send_if_modified(|number| {
            *number = 9;
            assert_eq!(*sender.borrow(), 1, "no lock is held");
            false
        }));
        assert!(!noted.is_woken() && *sender.borrow() == 1);
        assert!(sender.send_if_modified(|number| {
            *number += 1;
            true
        }));
        assert!(noted.is_woken());
        assert_eq!(poll_unheard(&mut waits), Poll::Ready(Ok(())));
        drop(waits);
        drop(receiver);
        sender.send_modify(|number| *number += 1);
        assert_eq!((*sender.borrow(), sender.send(9), *sender.borrow()), (3, Err(SendError(9)), 3));
    });
}

fn a_change_that_panics_changes_nothing<R: Runtime>() {
    each!(watch, {
        let (sender, receiver) = watch::channel(vec![1]);
        let message = panic_of(|| {
            sender.send_modify(|list| {
                list.clear();
                panic!("expected: half way");
            });
        });
        assert_eq!(message, "expected: half way");
        assert_eq!((receiver.borrow().as_slice(), receiver.has_changed()), (&[1][..], false));
        sender.send_modify(|list| list.push(2));
        assert_eq!(*receiver.borrow(), [1, 2]);
    });
}

fn a_change_notifies_though_the_old_value_panics<R: Runtime>() {
    #[derive(Clone)]
    struct Moody(bool);
    impl Drop for Moody {
        fn drop(&mut self) {
            if std::mem::take(&mut self.0) {
                panic!("expected: in its drop");
            }
        }
    }
    each!(watch, {
        for is_copied in [false, true] {
            let (sender, mut receiver) = watch::channel(Moody(true));
            let mut waits = receiver.changed();
            let (_, noted) = poll_noted(&mut waits);
            let message = panic_of(|| {
                if is_copied {
                    sender.send_modify(|value| value.0 = false);
                } else {
                    drop(sender.send(Moody(false)));
                }
            });
            assert_eq!((&*message, noted.is_woken()), ("expected: in its drop", true));
            assert_eq!(poll_unheard(&mut waits), Poll::Ready(Ok(())));
        }
    });
}

fn a_change_is_tried_again_with_a_newer_value<R: Runtime>() {
    each!(watch, {
        let (sender, receiver) = watch::channel(1);
        let mut calls = 0;
        sender.send_modify(|number| {
            calls += 1;
            if calls == 1 {
                sender.send(10).unwrap();
            }
            *number += 1;
        });
        assert_eq!((calls, *receiver.borrow()), (2, 11));
    });
}

fn a_dropped_changed_leaves_the_value_unseen<R: Runtime>() {
    run::<R>(async {
        each!(watch, {
            let (sender, mut receiver) = watch::channel(0);
            let mut waits = receiver.changed();
            let (pending, noted) = poll_noted(&mut waits);
            assert!(pending.is_pending());
            sender.send(1).unwrap();
            assert!(noted.is_woken());
            drop(waits);
            receiver.changed().await.unwrap();
        });
    });
}

fn wait_for_looks_at_the_value_of_now_too<R: Runtime>() {
    run::<R>(async {
        each!(watch, {
            let (sender, mut receiver) = watch::channel(5);
            assert_eq!(*receiver.wait_for(|number| *number == 5).await.unwrap(), 5);
            let other = sender.clone();
            let mut looked = Vec::new();
            let mut waits = receiver.wait_for(|number| {
                looked.push(*number);
                if *number == 5 {
                    other.send(6).unwrap(); // no lock is held
                }
                *number == 8
            });
            assert!(poll_unheard(&mut waits).is_pending());
            sender.send(7).unwrap();
            assert!(poll_unheard(&mut waits).is_pending());
            assert!(poll_unheard(&mut waits).is_pending());
            sender.send(8).unwrap();
            assert_eq!(*waits.await.unwrap(), 8);
            assert_eq!(looked, [5, 6, 7, 8]);
            assert!(!receiver.has_changed());
            drop((sender, other));
            assert!(receiver.wait_for(|number| *number == 9).await.is_err());
        });
    });
}

fn a_watch_ends_when_its_senders_have_gone<R: Runtime>() {
    run::<R>(async {
        each!(watch, {
            let (sender, mut receiver) = watch::channel(0);
            let mut other = receiver.clone();
            let mut waits = other.changed();
            let (_, noted) = poll_noted(&mut waits);
            let clone = sender.clone();
            drop(sender);
            assert!(!noted.is_woken());
            clone.send(1).unwrap();
            drop(clone);
            assert!(noted.is_woken());
            receiver.changed().await.unwrap();
            assert_eq!(receiver.changed().await, Err(watch::RecvError));
            assert_eq!(*receiver.borrow(), 1);
        });
    });
}

fn a_watch_crosses_threads<R: Runtime>() {
    use proactor::sync::shared::watch;
    run::<R>(async {
        let (sender, receiver) = watch::channel(0);
        let threads = [receiver.clone(), receiver].map(|mut receiver| {
            thread(move || {
                run::<R>(async move {
                    let mut last = 0;
                    while receiver.changed().await.is_ok() {
                        let value = *receiver.borrow_and_update();
                        assert!(value > last);
                        last = value;
                    }
                    assert_eq!(last, 1_000);
                });
            })
        });
        for number in 1..=1_000 {
            sender.send(number).unwrap();
        }
        drop(sender);
        for thread in threads {
            thread.ended().await;
        }
    });
}

fn a_receiver_that_joins_a_broadcast_after_its_end_learns_of_it<R: Runtime>() {
    run::<R>(async {
        each!(broadcast, {
            let (sender, mut receiver) = broadcast::channel(1);
            sender.send(1).unwrap();
            drop(sender);
            let mut late = receiver.resubscribe();
            assert_eq!(late.try_recv(), Err(broadcast::TryRecvError::Closed));
            assert_eq!(late.recv().await, Err(broadcast::RecvError::Closed));
            assert_eq!(receiver.recv().await, Ok(1), "it has missed nothing");
            assert_eq!(receiver.recv().await, Err(broadcast::RecvError::Closed));
        });
    });
}

fn a_watch_is_seen_for_good_after_its_end<R: Runtime>() {
    run::<R>(async {
        each!(watch, {
            let (sender, mut receiver) = watch::channel(0);
            sender.send(1).unwrap();
            drop(sender);
            let mut other = receiver.clone();
            assert!(receiver.has_changed());
            assert_eq!((*receiver.borrow_and_update(), receiver.has_changed()), (1, false));
            assert_eq!(receiver.changed().await, Err(watch::RecvError));
            assert_eq!(other.wait_for(|value| *value == 1).await.map(|value| *value), Ok(1));
            assert_eq!(other.changed().await, Err(watch::RecvError));
        });
    });
}
