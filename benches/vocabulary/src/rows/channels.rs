//! Channels: from many to one, and for one value.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use futures::{SinkExt, StreamExt};

use super::{Row, row};
use crate::loops::{Loop, Ours, Tokio, TokioLocal, TokioWithoutIo, turn};
use crate::measure::{Cost, across, here};

/// A channel of numbers.
trait Channel: 'static {
    type Sender: 'static;
    type Receiver: 'static;
    /// 0 is for those without a limit.
    fn new(capacity: usize) -> (Self::Sender, Self::Receiver);
    fn send(sender: &mut Self::Sender, number: u64) -> impl Future<Output = ()>;
    fn receive(receiver: &mut Self::Receiver) -> impl Future<Output = u64>;
}

macro_rules! channel {
    ($name:ident: $sender:ty, $receiver:ty;
        |$capacity:pat_param| $new:expr, |$tx:ident, $number:ident| $send:expr, |$rx:ident| $receive:expr) => {
        struct $name;

        impl Channel for $name {
            type Sender = $sender;
            type Receiver = $receiver;

            fn new($capacity: usize) -> (Self::Sender, Self::Receiver) {
                $new
            }

            #[inline]
            async fn send($tx: &mut Self::Sender, $number: u64) {
                $send.ok().expect("the receiver is there");
            }

            #[inline]
            async fn receive($rx: &mut Self::Receiver) -> u64 {
                $receive.expect("the sender is there")
            }
        }
    };
}

use proactor::sync::{mpsc, shared};

channel!(Local: mpsc::Sender<u64>, mpsc::Receiver<u64>;
    |capacity| mpsc::channel(capacity), |tx, number| tx.send(number).await, |rx| rx.recv().await);
channel!(LocalUnbounded: mpsc::UnboundedSender<u64>, mpsc::Receiver<u64>;
    |_| mpsc::unbounded_channel(), |tx, number| tx.send(number), |rx| rx.recv().await);
channel!(Shared: shared::mpsc::Sender<u64>, shared::mpsc::Receiver<u64>;
    |capacity| shared::mpsc::channel(capacity), |tx, number| tx.send(number).await, |rx| rx.recv().await);
channel!(SharedUnbounded: shared::mpsc::UnboundedSender<u64>, shared::mpsc::Receiver<u64>;
    |_| shared::mpsc::unbounded_channel(), |tx, number| tx.send(number), |rx| rx.recv().await);

channel!(OfTokio: tokio::sync::mpsc::Sender<u64>, tokio::sync::mpsc::Receiver<u64>;
    |capacity| tokio::sync::mpsc::channel(capacity), |tx, number| tx.send(number).await, |rx| rx.recv().await);
channel!(OfTokioUnbounded: tokio::sync::mpsc::UnboundedSender<u64>, tokio::sync::mpsc::UnboundedReceiver<u64>;
    |_| tokio::sync::mpsc::unbounded_channel(), |tx, number| tx.send(number), |rx| rx.recv().await);

// One place is every sender's own, besides.
channel!(OfFutures: futures::channel::mpsc::Sender<u64>, futures::channel::mpsc::Receiver<u64>;
    |capacity| futures::channel::mpsc::channel(capacity - 1), |tx, number| tx.send(number).await, |rx| rx.next().await);
channel!(OfFuturesUnbounded: futures::channel::mpsc::UnboundedSender<u64>, futures::channel::mpsc::UnboundedReceiver<u64>;
    |_| futures::channel::mpsc::unbounded(), |tx, number| tx.unbounded_send(number), |rx| rx.next().await);

channel!(AsyncChannel: async_channel::Sender<u64>, async_channel::Receiver<u64>;
    |capacity| async_channel::bounded(capacity), |tx, number| tx.send(number).await, |rx| rx.recv().await);
channel!(AsyncChannelUnbounded: async_channel::Sender<u64>, async_channel::Receiver<u64>;
    |_| async_channel::unbounded(), |tx, number| tx.try_send(number), |rx| rx.recv().await);

channel!(Flume: flume::Sender<u64>, flume::Receiver<u64>;
    |capacity| flume::bounded(capacity), |tx, number| tx.send_async(number).await, |rx| rx.recv_async().await);
channel!(FlumeUnbounded: flume::Sender<u64>, flume::Receiver<u64>;
    |_| flume::unbounded(), |tx, number| tx.send(number), |rx| rx.recv_async().await);

channel!(LocalSync: local_sync::mpsc::bounded::Tx<u64>, local_sync::mpsc::bounded::Rx<u64>;
    |capacity| local_sync::mpsc::bounded::channel(capacity), |tx, number| tx.send(number).await, |rx| rx.recv().await);
channel!(LocalSyncUnbounded: local_sync::mpsc::unbounded::Tx<u64>, local_sync::mpsc::unbounded::Rx<u64>;
    |_| local_sync::mpsc::unbounded::channel(), |tx, number| tx.send(number), |rx| rx.recv().await);

const CAPACITY: usize = 128;

async fn receive_all<C: Channel>(receiver: &mut C::Receiver, ops: u64) {
    let mut sum = 0_u64;
    for _ in 0..ops {
        sum = sum.wrapping_add(C::receive(receiver).await);
    }
    assert_eq!(sum, ops * (ops - 1) / 2, "every number has arrived");
}

async fn send_all<C: Channel>(sender: &mut C::Sender, ops: u64) {
    for number in 0..ops {
        C::send(sender, number).await;
    }
}

/// One task fills the channel, another empties it.
fn one_way<L: Loop, C: Channel>(ops: u64) -> Cost {
    here::<L>(ops, async |ops| {
        let (mut sender, mut receiver) = C::new(CAPACITY);
        let task = L::spawn(async move { send_all::<C>(&mut sender, ops).await });
        receive_all::<C>(&mut receiver, ops).await;
        task.await;
    })
}

/// The same, where only good manners keep the sender from sending all at once.
fn one_way_in_bursts<L: Loop, C: Channel>(ops: u64) -> Cost {
    here::<L>(ops, async |ops| {
        let (mut sender, mut receiver) = C::new(0);
        let task = L::spawn(async move {
            for number in 0..ops {
                C::send(&mut sender, number).await;
                if number % CAPACITY as u64 == 0 {
                    turn().await;
                }
            }
        });
        receive_all::<C>(&mut receiver, ops).await;
        task.await;
    })
}

/// Both ends of a pair of channels.
type Ends<C> = (<C as Channel>::Sender, <C as Channel>::Receiver);

fn crossed<C: Channel>() -> (Ends<C>, Ends<C>) {
    let ((to_b, from_a), (to_a, from_b)) = (C::new(1), C::new(1));
    ((to_b, from_b), (to_a, from_a))
}

async fn serve<C: Channel>((sender, receiver): &mut Ends<C>, ops: u64) {
    for number in 0..ops {
        C::send(sender, number).await;
        assert_eq!(C::receive(receiver).await, number);
    }
}

async fn answer<C: Channel>((sender, receiver): &mut Ends<C>, ops: u64) {
    for _ in 0..ops {
        let number = C::receive(receiver).await;
        C::send(sender, number).await;
    }
}

fn ping_pong<L: Loop, C: Channel>(ops: u64) -> Cost {
    here::<L>(ops, async |ops| {
        let (mut a, mut b) = crossed::<C>();
        let task = L::spawn(async move { answer::<C>(&mut b, ops).await });
        serve::<C>(&mut a, ops).await;
        task.await;
    })
}

fn one_way_across<L: Loop, C: Channel<Sender: Send, Receiver: Send>>(ops: u64) -> Cost {
    let (sender, receiver) = C::new(CAPACITY);
    across::<L, _, _>(ops, (receiver, sender), receive_all::<C>, send_all::<C>)
}

fn ping_pong_across<L: Loop, C: Channel<Sender: Send, Receiver: Send>>(ops: u64) -> Cost {
    across::<L, _, _>(ops, crossed::<C>(), serve::<C>, answer::<C>)
}

/// A channel for one value, made for each.
trait Once: 'static {
    type Sender: 'static;
    type Receiver: Future + 'static;
    fn new() -> (Self::Sender, Self::Receiver);
    fn send(sender: Self::Sender, number: u64);
    fn unwrap(output: <Self::Receiver as Future>::Output) -> u64;
}

macro_rules! once {
    ($name:ident: $($module:ident)::+) => {
        struct $name;

        impl Once for $name {
            type Sender = $($module)::+::Sender<u64>;
            type Receiver = $($module)::+::Receiver<u64>;

            fn new() -> (Self::Sender, Self::Receiver) {
                $($module)::+::channel()
            }

            #[inline]
            fn send(sender: Self::Sender, number: u64) {
                sender.send(number).ok().expect("the receiver is there");
            }

            #[inline]
            fn unwrap(output: <Self::Receiver as Future>::Output) -> u64 {
                output.expect("the sender has sent")
            }
        }
    };
}

once!(LocalOnce: proactor::sync::oneshot);
once!(SharedOnce: proactor::sync::shared::oneshot);
once!(OnceOfTokio: tokio::sync::oneshot);
once!(OnceOfFutures: futures::channel::oneshot);
once!(OnceOfLocalSync: local_sync::oneshot);

/// Sent before it is awaited.
fn once_ready<L: Loop, O: Once>(ops: u64) -> Cost {
    here::<L>(ops, async |ops| {
        for number in 0..ops {
            let (sender, receiver) = O::new();
            O::send(sender, number);
            assert_eq!(O::unwrap(receiver.await), number);
        }
    })
}

/// Awaited before it is sent, by another task, which finds the sender in a place that both know.
fn once_awaited<L: Loop, O: Once>(ops: u64) -> Cost {
    here::<L>(ops, async |ops| {
        let place = Rc::new(RefCell::new(None));
        let other = place.clone();
        let task = L::spawn(async move {
            let mut number = 0;
            while number < ops {
                let sender = other.borrow_mut().take();
                if let Some(sender) = sender {
                    O::send(sender, number);
                    number += 1;
                }
                turn().await;
            }
        });
        for number in 0..ops {
            let (sender, receiver) = O::new();
            *place.borrow_mut() = Some(sender);
            assert_eq!(O::unwrap(receiver.await), number);
        }
        task.await;
    })
}

pub fn rows() -> Vec<Row> {
    vec![
        row!("bounded", "a number through a channel of 128, between two tasks";
            "proactor": one_way::<Ours, Local>,
            "proactor shared": one_way::<Ours, Shared>,
            "tokio": one_way::<Tokio, OfTokio>,
            "futures": one_way::<Tokio, OfFutures>,
            "async-channel": one_way::<Tokio, AsyncChannel>,
            "flume": one_way::<Tokio, Flume>,
            "local-sync": one_way::<TokioLocal, LocalSync>,
            "tokio, on proactor": one_way::<Ours, OfTokio>,
            "flume, on proactor": one_way::<Ours, Flume>,
            "local-sync, on proactor": one_way::<Ours, LocalSync>,
        ),
        row!("unbounded", "a number through a channel without a limit, between two tasks, in bursts of 128";
            "proactor": one_way_in_bursts::<Ours, LocalUnbounded>,
            "proactor shared": one_way_in_bursts::<Ours, SharedUnbounded>,
            "tokio": one_way_in_bursts::<Tokio, OfTokioUnbounded>,
            "futures": one_way_in_bursts::<Tokio, OfFuturesUnbounded>,
            "async-channel": one_way_in_bursts::<Tokio, AsyncChannelUnbounded>,
            "flume": one_way_in_bursts::<Tokio, FlumeUnbounded>,
            "local-sync": one_way_in_bursts::<TokioLocal, LocalSyncUnbounded>,
            "tokio, on proactor": one_way_in_bursts::<Ours, OfTokioUnbounded>,
            "flume, on proactor": one_way_in_bursts::<Ours, FlumeUnbounded>,
            "local-sync, on proactor": one_way_in_bursts::<Ours, LocalSyncUnbounded>,
        ),
        row!("ping-pong", "there and back through two channels of 1, between two tasks";
            "proactor": ping_pong::<Ours, Local>,
            "proactor shared": ping_pong::<Ours, Shared>,
            "tokio": ping_pong::<Tokio, OfTokio>,
            "futures": ping_pong::<Tokio, OfFutures>,
            "async-channel": ping_pong::<Tokio, AsyncChannel>,
            "flume": ping_pong::<Tokio, Flume>,
            "local-sync": ping_pong::<TokioLocal, LocalSync>,
            "tokio, on proactor": ping_pong::<Ours, OfTokio>,
            "flume, on proactor": ping_pong::<Ours, Flume>,
            "local-sync, on proactor": ping_pong::<Ours, LocalSync>,
        ),
        row!("bounded-across", "a number through a channel of 128, between two threads";
            "proactor": one_way_across::<Ours, Shared>,
            "tokio": one_way_across::<Tokio, OfTokio>,
            "tokio without I/O": one_way_across::<TokioWithoutIo, OfTokio>,
            "futures": one_way_across::<Tokio, OfFutures>,
            "async-channel": one_way_across::<Tokio, AsyncChannel>,
            "flume": one_way_across::<Tokio, Flume>,
            "flume, on tokio without I/O": one_way_across::<TokioWithoutIo, Flume>,
            "tokio, on proactor": one_way_across::<Ours, OfTokio>,
            "async-channel, on proactor": one_way_across::<Ours, AsyncChannel>,
            "flume, on proactor": one_way_across::<Ours, Flume>,
        ),
        row!("unbounded-across", "a number through a channel without a limit, between two threads";
            "proactor": one_way_across::<Ours, SharedUnbounded>,
            "tokio": one_way_across::<Tokio, OfTokioUnbounded>,
            "tokio without I/O": one_way_across::<TokioWithoutIo, OfTokioUnbounded>,
            "futures": one_way_across::<Tokio, OfFuturesUnbounded>,
            "async-channel": one_way_across::<Tokio, AsyncChannelUnbounded>,
            "flume": one_way_across::<Tokio, FlumeUnbounded>,
            "tokio, on proactor": one_way_across::<Ours, OfTokioUnbounded>,
            "async-channel, on proactor": one_way_across::<Ours, AsyncChannelUnbounded>,
            "flume, on proactor": one_way_across::<Ours, FlumeUnbounded>,
        ),
        row!("ping-pong-across", "there and back through two channels of 1, between two threads";
            "proactor": ping_pong_across::<Ours, Shared>,
            "tokio": ping_pong_across::<Tokio, OfTokio>,
            "tokio without I/O": ping_pong_across::<TokioWithoutIo, OfTokio>,
            "futures": ping_pong_across::<Tokio, OfFutures>,
            "async-channel": ping_pong_across::<Tokio, AsyncChannel>,
            "flume": ping_pong_across::<Tokio, Flume>,
            "tokio, on proactor": ping_pong_across::<Ours, OfTokio>,
            "async-channel, on proactor": ping_pong_across::<Ours, AsyncChannel>,
            "flume, on proactor": ping_pong_across::<Ours, Flume>,
        ),
        row!("ping-pong-unbounded-across", "there and back through two channels without a limit, between two threads";
            "proactor": ping_pong_across::<Ours, SharedUnbounded>,
            "tokio": ping_pong_across::<Tokio, OfTokioUnbounded>,
            "tokio without I/O": ping_pong_across::<TokioWithoutIo, OfTokioUnbounded>,
            "futures": ping_pong_across::<Tokio, OfFuturesUnbounded>,
            "async-channel": ping_pong_across::<Tokio, AsyncChannelUnbounded>,
            "flume": ping_pong_across::<Tokio, FlumeUnbounded>,
            "tokio, on proactor": ping_pong_across::<Ours, OfTokioUnbounded>,
            "flume, on proactor": ping_pong_across::<Ours, FlumeUnbounded>,
        ),
        row!("oneshot-ready", "a channel for one value made, sent into, and awaited";
            "proactor": once_ready::<Ours, LocalOnce>,
            "proactor shared": once_ready::<Ours, SharedOnce>,
            "tokio": once_ready::<Tokio, OnceOfTokio>,
            "futures": once_ready::<Tokio, OnceOfFutures>,
            "local-sync": once_ready::<TokioLocal, OnceOfLocalSync>,
        ),
        row!("oneshot-awaited", "the same, awaited first and sent by another task";
            "proactor": once_awaited::<Ours, LocalOnce>,
            "proactor shared": once_awaited::<Ours, SharedOnce>,
            "tokio": once_awaited::<Tokio, OnceOfTokio>,
            "futures": once_awaited::<Tokio, OnceOfFutures>,
            "local-sync": once_awaited::<TokioLocal, OnceOfLocalSync>,
            "tokio, on proactor": once_awaited::<Ours, OnceOfTokio>,
            "local-sync, on proactor": once_awaited::<Ours, OnceOfLocalSync>,
        ),
    ]
}
