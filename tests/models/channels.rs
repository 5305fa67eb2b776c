//! Channels between threads: no wake-up and no item is lost, and no item is received twice, in whichever order the threads
//! run and whichever side is dropped.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use loom::thread;

use crate::kit::{Model, block_on, join};
use crate::sync::shared::{broadcast, mpsc, oneshot, watch};

pub(crate) fn models() -> Vec<Model> {
    vec![
        ("oneshot_send_against_receive", oneshot_send_against_receive),
        ("oneshot_sender_dropped", oneshot_sender_dropped),
        ("oneshot_receiver_dropped_against_send", oneshot_receiver_dropped_against_send),
        ("oneshot_closed", oneshot_closed),
        ("oneshot_blocking", oneshot_blocking),
        ("mpsc_two_senders", mpsc_two_senders),
        ("mpsc_a_full_channel", mpsc_a_full_channel),
        ("mpsc_two_senders_of_a_full_channel", mpsc_two_senders_of_a_full_channel),
        ("mpsc_a_waiting_send_is_dropped", mpsc_a_waiting_send_is_dropped),
        ("mpsc_no_sender_overtakes", mpsc_no_sender_overtakes),
        ("mpsc_a_place_is_given_back", mpsc_a_place_is_given_back),
        ("mpsc_receiver_dropped_against_sends", mpsc_receiver_dropped_against_sends),
        ("mpsc_receive_dropped_against_send", mpsc_receive_dropped_against_send),
        ("mpsc_closed_against_a_permit", mpsc_closed_against_a_permit),
        ("mpsc_closed_against_a_send_that_waits", mpsc_closed_against_a_send_that_waits),
        ("broadcast_two_receivers", broadcast_two_receivers),
        ("broadcast_replaced_against_receive", broadcast_replaced_against_receive),
        ("watch_changed_against_send", watch_changed_against_send),
        ("watch_two_modify", watch_two_modify),
    ]
}

/// Polls a future once, with a waker that does nothing.
pub(crate) fn poll_once_unwoken<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A value that counts its drops.
#[derive(Clone, Debug, Default)]
struct Drops(Arc<AtomicUsize>);

#[derive(Debug)]
struct Item(Drops);

impl Drop for Item {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drops {
    fn item(&self) -> Item {
        Item(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn oneshot_send_against_receive() {
    let (sender, receiver) = oneshot::channel();
    let thread = thread::spawn(move || sender.send(Box::new(7)).unwrap());
    assert_eq!(block_on(receiver), Ok(Box::new(7)));
    join([thread]);
}

fn oneshot_sender_dropped() {
    let (sender, receiver) = oneshot::channel::<u32>();
    let thread = thread::spawn(move || drop(sender));
    assert_eq!(block_on(receiver), Err(oneshot::RecvError));
    join([thread]);
}

fn oneshot_receiver_dropped_against_send() {
    let drops = Drops::default();
    let (sender, mut receiver) = oneshot::channel();
    let item = drops.item();
    let thread = thread::spawn(move || drop(sender.send(item)));
    let _ = poll_once_unwoken(&mut receiver);
    drop(receiver);
    join([thread]);
    assert_eq!(drops.count(), 1);
}

fn oneshot_closed() {
    let (mut sender, receiver) = oneshot::channel::<u32>();
    let thread = thread::spawn(move || drop(receiver));
    block_on(sender.closed());
    assert_eq!(sender.send(7), Err(7));
    join([thread]);
}

fn oneshot_blocking() {
    let (sender, receiver) = oneshot::channel();
    let thread = thread::spawn(move || sender.send(7).unwrap());
    assert_eq!(receiver.blocking_recv(), Ok(7));
    join([thread]);
}

fn mpsc_two_senders() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let threads = [(1, sender.clone()), (10, sender)].map(|(first, sender)| {
        thread::spawn(move || {
            sender.send(first).unwrap();
            sender.send(first + 1).unwrap();
        })
    });
    let mut received = Vec::new();
    while let Some(number) = block_on(receiver.recv()) {
        received.push(number);
    }
    let of = |range: std::ops::Range<u32>| {
        received.iter().copied().filter(|n| range.contains(n)).collect::<Vec<_>>()
    };
    assert_eq!((of(0..10), of(10..20)), (vec![1, 2], vec![10, 11]));
    join(threads);
}

/// The sender learns from a count beside the lock whether there is room.
fn mpsc_a_full_channel() {
    let (sender, mut receiver) = mpsc::channel(1);
    let thread = thread::spawn(move || {
        for number in 0..3 {
            block_on(sender.send(number)).unwrap();
        }
    });
    for number in 0..3 {
        assert!(receiver.len() <= 1, "it holds more than it may");
        assert_eq!(block_on(receiver.recv()), Some(number));
    }
    assert_eq!(block_on(receiver.recv()), None);
    join([thread]);
}

fn mpsc_two_senders_of_a_full_channel() {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(0).unwrap();
    let threads = [(1, sender.clone()), (2, sender)]
        .map(|(number, sender)| thread::spawn(move || block_on(sender.send(number)).unwrap()));
    let mut received = Vec::new();
    while let Some(number) = block_on(receiver.recv()) {
        received.push(number);
    }
    received.sort_unstable();
    assert_eq!(received, [0, 1, 2]);
    join(threads);
}

/// A waiting send, which may have got room already, is dropped: the other send completes.
fn mpsc_a_waiting_send_is_dropped() {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(0).unwrap();
    let mut given_up = Box::pin({
        let sender = sender.clone();
        async move { sender.send(1).await }
    });
    assert!(given_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let sends = thread::spawn(move || block_on(sender.send(2)).unwrap());
    let drops = thread::spawn(move || drop(given_up));
    assert_eq!(block_on(receiver.recv()), Some(0));
    assert_eq!(block_on(receiver.recv()), Some(2));
    assert_eq!(block_on(receiver.recv()), None);
    join([sends, drops]);
}

/// A freed place belongs to the waiting send, also before that was woken.
fn mpsc_no_sender_overtakes() {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(0).unwrap();
    let mut waits = sender.send(1);
    assert!(poll_once_unwoken(&mut waits).is_pending());
    let thread = thread::spawn({
        let sender = sender.clone();
        move || assert!(sender.try_send(2).is_err())
    });
    assert_eq!(receiver.try_recv(), Ok(0));
    join([thread]);
    assert_eq!(poll_once_unwoken(&mut waits), Poll::Ready(Ok(())));
}

fn mpsc_a_place_is_given_back() {
    let (sender, mut receiver) = mpsc::channel(1);
    let reserves = thread::spawn({
        let sender = sender.clone();
        move || drop(block_on(sender.reserve()).unwrap())
    });
    let sends = thread::spawn(move || block_on(sender.send(1)).unwrap());
    assert_eq!(block_on(receiver.recv()), Some(1));
    assert_eq!(block_on(receiver.recv()), None);
    join([reserves, sends]);
}

fn mpsc_receiver_dropped_against_sends() {
    let drops = Drops::default();
    let (sender, mut receiver) = mpsc::channel(1);
    let items = [drops.item(), drops.item()];
    let thread = thread::spawn(move || {
        for item in items {
            let _ = block_on(sender.send(item));
        }
    });
    let received = usize::from(receiver.try_recv().is_ok());
    assert!(drops.count() >= received);
    drop(receiver);
    join([thread]);
    assert_eq!(drops.count(), 2);
}

/// A receive that may have been woken is dropped: the next receive finds the item.
fn mpsc_receive_dropped_against_send() {
    let (sender, mut receiver) = mpsc::channel(2);
    let thread = thread::spawn(move || sender.try_send(1).unwrap());
    let first = match poll_once_unwoken(&mut receiver.recv()) {
        Poll::Ready(item) => item,
        Poll::Pending => block_on(receiver.recv()),
    };
    assert_eq!(first, Some(1));
    assert_eq!(block_on(receiver.recv()), None);
    join([thread]);
}

/// The receiver waits for reserved permits before it sees the end, whether they are used or not.
fn mpsc_closed_against_a_permit() {
    let (sender, mut receiver) = mpsc::channel(2);
    let thread = thread::spawn(move || {
        let unused = sender.try_reserve();
        if let Ok(permit) = sender.try_reserve() {
            permit.send(1).unwrap();
            drop(unused);
            return 1;
        }
        drop(unused);
        0
    });
    receiver.close();
    let mut received = 0;
    while block_on(receiver.recv()).is_some() {
        received += 1;
    }
    assert_eq!(thread.join().unwrap(), received);
}

fn mpsc_closed_against_a_send_that_waits() {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(0).unwrap();
    let thread = thread::spawn(move || block_on(sender.send(1)).is_ok());
    assert_eq!(receiver.try_recv(), Ok(0));
    receiver.close();
    let received = block_on(receiver.recv()).is_some();
    assert_eq!(thread.join().unwrap(), received);
}

/// One of two receivers gets the value itself; the other gets a clone, before or at the same time.
fn broadcast_two_receivers() {
    let (sender, mut receiver) = broadcast::channel(1);
    let mut other = sender.subscribe();
    let thread = thread::spawn(move || assert_eq!(block_on(other.recv()), Ok(Box::new(7))));
    assert_eq!(sender.send(Box::new(7)), Ok(2));
    assert_eq!(block_on(receiver.recv()), Ok(Box::new(7)));
    drop(sender);
    assert_eq!(block_on(receiver.recv()), Err(broadcast::RecvError::Closed));
    join([thread]);
}

/// A value is replaced while it is being cloned.
fn broadcast_replaced_against_receive() {
    let (sender, mut receiver) = broadcast::channel(1);
    let keep = sender.subscribe();
    sender.send(Box::new(1)).unwrap();
    let thread = thread::spawn(move || {
        sender.send(Box::new(2)).unwrap();
    });
    let mut received = Vec::new();
    let mut missed = 0;
    loop {
        match block_on(receiver.recv()) {
            Ok(value) => received.push(*value),
            Err(broadcast::RecvError::Lagged(count)) => missed += count,
            Err(broadcast::RecvError::Closed) => break,
        }
    }
    assert!(
        (received == [1, 2] && missed == 0) || (received == [2] && missed == 1),
        "{received:?}, {missed}"
    );
    join([thread]);
    drop(keep);
}

fn watch_changed_against_send() {
    let (sender, mut receiver) = watch::channel(0);
    let thread = thread::spawn(move || {
        sender.send(1).unwrap();
        sender.send(2).unwrap();
    });
    let mut last = 0;
    while block_on(receiver.changed()).is_ok() {
        let value = *receiver.borrow_and_update();
        assert!(value >= last);
        last = value;
    }
    assert_eq!(last, 2);
    join([thread]);
}

/// Two threads modify the value: neither change is lost.
fn watch_two_modify() {
    let (sender, mut receiver) = watch::channel(0);
    let threads = [sender.clone(), sender]
        .map(|sender| thread::spawn(move || sender.send_modify(|number| *number += 1)));
    let wait = pin!(async { receiver.wait_for(|number| *number == 2).await.map(|number| *number) });
    let mut wait = wait;
    assert_eq!(block_on(poll_fn(|cx| wait.as_mut().poll(cx))), Ok(2));
    join(threads);
}
