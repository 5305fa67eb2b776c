//! Receives that are dropped and forgotten: at once, before the kernel knows of them, while it has them, ten
//! thousand at a time.
//!
//! Whatever the moment: the kernel writes into no memory that somebody else may have by then, and no byte is lost.

use std::cell::Cell;
use std::io::{ErrorKind, Read};
use std::rc::Rc;
use std::time::{Duration, Instant};

use proactor::fs::{File, OpenOptions};
use proactor::net::{TcpListener, UdpSocket};
use proactor::time::{Elapsed, timeout_at};
use proactor::{Config, Runtime, spawn};

use crate::kit::*;

tests! {
    t02_a_dropped_receive_touches_no_freed_buffer_and_takes_no_byte,
    t03_a_forgotten_receive_keeps_its_buffer,
    t03_a_forgotten_file_read_keeps_its_buffer,
    t03_a_forgotten_accept_ends_with_its_runtime,
    t10_ten_thousand_tasks_time_out_in_one_tick,
    t10_ten_thousand_operations_time_out_at_once;
    proactor:
    t09_a_receive_dropped_before_its_submission,
    t09_an_open_or_write_dropped_before_its_submission,
}

/// When a receive is dropped, and when the peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// The receive was never polled.
    Unpolled,
    /// The kernel does not know of it.
    Unsubmitted,
    /// The kernel does; bytes come when it has been told to give up.
    Cancelled,
    /// Bytes come after the drop, before the kernel hears of it.
    DropThenBytes,
    /// Bytes come, and then the drop, in one turn.
    BytesThenDrop,
    /// The result is there.
    Completed,
}

const ORDERS: [Order; 6] = [
    Order::Unpolled,
    Order::Unsubmitted,
    Order::Cancelled,
    Order::DropThenBytes,
    Order::BytesThenDrop,
    Order::Completed,
];

/// Lets the peer send and drops the receive, in this order; then whoever still receives has time to do it, or not.
async fn drop_in_order(order: Order, ends: &Ends, mut receive: Pending, message: &[u8], late: bool) {
    if order != Order::Unpolled {
        assert!(poll_once(&mut receive).await.is_pending());
    }
    if !matches!(order, Order::Unpolled | Order::Unsubmitted) {
        turns(2).await;
    }
    if matches!(order, Order::BytesThenDrop | Order::Completed) {
        ends.send(message);
    }
    if order == Order::Completed {
        turns(2).await;
    }
    drop(receive);
    if order == Order::Cancelled {
        turns(2).await;
    }
    if !matches!(order, Order::BytesThenDrop | Order::Completed) {
        ends.send(message);
    }
    if late {
        turns(1).await;
    }
}

fn t02_a_dropped_receive_touches_no_freed_buffer_and_takes_no_byte<R: Runtime>() {
    for config in deliveries::<R>(&Config::new()) {
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            for kind in RECEIVES {
                let ends = kind.ends();
                // Every tombstone is a mapping for good, and a process may have some 65,000.
                for round in 0..rounds(4, 200) {
                    for order in ORDERS {
                        let message = format!("{round} {order:?}").into_bytes();
                        // Its pages are gone with it: the kernel would get a fault.
                        let receive = kind.begin(&ends, || Tombstone::new(1));
                        drop_in_order(order, &ends, receive, &message, round % 2 == 1).await;
                        ends.expect(&message).await;

                        // Its memory stays, and shows who writes into it.
                        let mut watches = Vec::new();
                        let receive = kind.begin(&ends, || {
                            let (canary, watch) = Canary::new(100);
                            watches.push(watch);
                            canary
                        });
                        drop_in_order(order, &ends, receive, &message, round % 2 == 1).await;
                        let with_kernel = matches!(order, Order::DropThenBytes | Order::BytesThenDrop);
                        if is_proactor::<R>() && with_kernel && round % 2 == 0 {
                            assert!(watches.iter().all(|watch| !watch.is_dropped()), "{order:?}");
                        }
                        ends.expect(&message).await;
                        reaped(&runtime).await;
                        watches.iter().for_each(CanaryWatch::assert_untouched);
                    }
                }
                ends.expect_nothing().await;
            }
        });
        end(runtime);
    }
}

// ---------------------------------------------------------------- forgotten futures

fn t03_a_forgotten_receive_keeps_its_buffer<R: Runtime>() {
    for config in deliveries::<R>(&Config::new()) {
        let runtime = R::with_config(&config).unwrap();
        let mut kept = Vec::new();
        runtime.block_on(async {
            for kind in INTO_BUFFERS {
                for known in [false, true] {
                    let ends = kind.ends();
                    let mut watches = Vec::new();
                    let mut receive = kind.begin(&ends, || {
                        let (canary, watch) = Canary::new(100);
                        watches.push(watch);
                        canary
                    });
                    assert!(poll_once(&mut receive).await.is_pending());
                    forget(receive);
                    let other = kind.ends();
                    let mut tombstone = kind.begin(&other, || Tombstone::new(1));
                    assert!(poll_once(&mut tombstone).await.is_pending());
                    forget(tombstone);
                    if known {
                        turns(2).await;
                    }
                    kept.push((ends, watches, other));
                }
            }
            turns(2).await;
            // It is the kernel that writes; the selector would, if somebody polled.
            for (ends, watches, _) in &kept {
                ends.send(b"for nobody");
                if is_proactor::<R>() {
                    until(|| watches[0].holds(b"for nobody")).await;
                }
            }
        });
        assert_eq!(runtime.report().live.ops, 4 * INTO_BUFFERS.len(), "each keeps its slot");
        let dropped = || kept.iter().flat_map(|(_, watches, _)| watches).any(CanaryWatch::is_dropped);
        assert!(!dropped(), "nobody but its future gives a buffer back");
        let runtime_ended = runtime.shutdown(Duration::from_secs(30));
        assert_eq!((runtime_ended.ops_leaked, runtime_ended.jobs_leaked), (0, 0));
        // Nothing is received any more.
        for (ends, watches, other) in &kept {
            let before = if is_proactor::<R>() { &b"for nobody"[..] } else { &[0; 10] };
            ends.send(b"TOO LATE.");
            other.send(b"TOO LATE.");
            assert!(watches[0].holds(before) && !watches[0].is_dropped());
        }
    }
}

fn t03_a_forgotten_file_read_keeps_its_buffer<R: Runtime>() {
    for submitted in [false, true] {
        let runtime = R::new().unwrap();
        let folder = TempDir::new();
        let content = pattern(256 * Tombstone::PAGE);
        let path = folder.file("file", &content);
        let mut watches = Vec::new();
        runtime.block_on(async {
            let file = File::open(&path).await.unwrap();
            for _ in 0..4 {
                let (canary, watch) = Canary::new(content.len());
                let mut read = file.read_at(canary, 0);
                assert!(poll_once(&mut read).await.is_pending());
                forget(read);
                watches.push(watch);
                let mut read = file.read_at(Tombstone::new(256), 0);
                assert!(poll_once(&mut read).await.is_pending());
                forget(read);
            }
            if submitted {
                until(|| watches.iter().all(|watch| watch.holds(&content))).await;
            }
        });
        assert_eq!(runtime.report().live.ops, 8, "each keeps its slot");
        end(runtime);
        // A job of the pool that had not begun was withdrawn, any other read was waited for.
        assert!(watches.iter().all(|watch| watch.holds(&content) || !submitted));
        std::fs::write(&path, vec![0x77; content.len()]).unwrap();
        assert!(watches.iter().all(|watch| !watch.is_dropped() && !watch.holds(&[0x77; 8])));
    }
}

fn t03_a_forgotten_accept_ends_with_its_runtime<R: Runtime>() {
    let runtime = R::new().unwrap();
    let address = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut accept = listener.accept();
        assert!(poll_once(&mut accept).await.is_pending());
        forget(accept);
        turns(2).await;
        let address = listener.local_addr().unwrap();
        forget(listener);
        address
    });
    let live = runtime.report().live;
    assert_eq!(live.ops + live.multishot, 1);
    end(runtime);
    // The listener was forgotten as well, so the client waits in its backlog: nobody accepts it any more.
    let mut client = std::net::TcpStream::connect(address).unwrap();
    client.set_nonblocking(true).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

// ---------------------------------------------------------------- dropped before the submission

fn t09_a_receive_dropped_before_its_submission<R: Runtime>() {
    const COUNT: usize = 40;
    let room = Config::new();
    let crowded = Config::new().ring_entries(8);
    // With a kernel that refuses every other enter the queue stays full, and the backlog begins.
    for (config, refused) in [(room, false), (crowded.clone(), false), (crowded.fault(REFUSING), true)] {
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            for round in 0..rounds(INTO_BUFFERS.len(), 4 * INTO_BUFFERS.len()) {
                let kind = INTO_BUFFERS[round % INTO_BUFFERS.len()];
                let all: Vec<_> = (0..COUNT).map(|_| kind.ends()).collect();
                let mut watches = Vec::new();
                let mut receives: Vec<_> = all
                    .iter()
                    .map(|ends| {
                        kind.begin(ends, || {
                            let (canary, watch) = Canary::new(64);
                            watches.push(watch);
                            canary
                        })
                    })
                    .collect();
                turns(1).await;
                let cancels = runtime.report().stats.cancels;
                for receive in &mut receives {
                    assert!(poll_once(receive).await.is_pending());
                }
                drop(receives);
                let buffers = watches.len() / COUNT;
                let at_once = watches.iter().filter(|watch| watch.is_dropped()).count() / buffers;
                if refused {
                    assert!(at_once > 0 && at_once < COUNT, "{at_once} of {COUNT} were in the backlog");
                } else {
                    assert_eq!(at_once, 0, "their entries are in the queue, or with the kernel");
                    turns(3).await;
                    assert_eq!(runtime.report().live.ops, 0, "they end at once");
                }
                reaped(&runtime).await;
                // Those that the kernel has never heard of need no cancel.
                let cancelled = runtime.report().stats.cancels - cancels;
                assert_eq!(cancelled as usize, COUNT - at_once);
                all.iter().for_each(|ends| ends.send(b"bytes"));
                turns(1).await; // if anybody else receives, this is the time
                for ends in all {
                    ends.expect(b"bytes").await;
                    ends.expect_nothing().await;
                }
                watches.iter().for_each(CanaryWatch::assert_untouched);
            }
        });
        end(runtime);
    }
}

fn t09_an_open_or_write_dropped_before_its_submission<R: Runtime>() {
    const COUNT: usize = 40;
    alone(|| {
        let runtime = R::with_config(&Config::new().ring_entries(8).fault(REFUSING)).unwrap();
        runtime.block_on(async {
            let before = descriptors();
            for _ in 0..rounds(10, 1_000) {
                let folder = TempDir::new();
                let file = File::create(folder.path("written")).await.unwrap();
                turns(1).await;
                let gone: [_; COUNT] = std::array::from_fn(|_| Rc::new(Cell::new(false)));
                let mut operations = Vec::new();
                for (number, gone) in gone.iter().enumerate() {
                    let gone = gone.clone();
                    let mark = Acts(b"x".to_vec(), move || gone.set(true));
                    let path = folder.path(&number.to_string());
                    let create = OpenOptions::new().write(true).create_new(true).open(path);
                    operations.extend([boxed(file.write_at(mark, number as u64)), boxed(create)]);
                }
                for operation in &mut operations {
                    assert!(poll_once(operation).await.is_pending());
                }
                drop(operations);
                let kept = gone.iter().filter(|gone| !gone.get()).count();
                assert!(kept > 0 && kept < COUNT, "{kept} of {COUNT} were in the queue");
                reaped(&runtime).await;
                // The first may have been done in spite of their cancels; the others have never begun.
                let written = read_file(&folder.path("written"));
                assert!(written.len() <= kept, "{} of {kept}", written.len());
                assert!(gone.iter().all(|gone| gone.get()));
                let created = |number: &usize| folder.path(&number.to_string()).exists();
                assert_eq!((kept..COUNT).find(created), None);
                drop(file);
                assert_eq!(descriptors(), before);
            }
        });
        end(runtime);
    });
}

// ---------------------------------------------------------------- many that time out

/// Sockets that receive nothing, some with a peer that sees their end: as many as there may be.
fn silent_sockets() -> (Vec<Ends>, Vec<UdpSocket>) {
    let streams = 500.min(descriptor_limit() / 8);
    let datagrams = (10_000 - streams).min(descriptor_limit().saturating_sub(2 * streams + 100));
    ((0..streams).map(|_| Ends::stream()).collect(), (0..datagrams).map(|_| silent_socket()).collect())
}

/// As many receives as there may be, which are with the kernel; the peers of some; and the total.
async fn many_receives() -> (Vec<Pending>, Vec<std::net::TcpStream>) {
    let (streams, datagrams) = silent_sockets();
    let mut peers = Vec::new();
    let mut receives: Vec<Pending> = Vec::new();
    for ends in streams {
        let Ends::Stream(ours, peer) = ends else { unreachable!() };
        receives.push(Box::pin(async move { drop(ours.read(Tombstone::new(1)).await) }));
        peers.push(peer);
    }
    for ours in datagrams {
        receives.push(Box::pin(async move { drop(ours.recv(vec![0; 64]).await) }));
    }
    for receive in &mut receives {
        assert!(poll_once(receive).await.is_pending());
    }
    turns(2).await;
    (receives, peers)
}

fn ten_thousand_time_out<R: Runtime>(as_tasks: bool) {
    alone(|| {
        let before = descriptors();
        let runtime = R::with_config(&Config::new().ring_entries(64)).unwrap();
        runtime.block_on(async {
            let open = descriptors();
            let (receives, peers) = many_receives().await;
            let count = receives.len();
            assert_eq!(runtime.report().live.ops, count);
            let cancels = runtime.report().stats.cancels;
            let deadline = Instant::now() + Duration::from_millis(50);
            if as_tasks {
                let tasks: Vec<_> =
                    receives.into_iter().map(|receive| spawn(timeout_at(deadline, receive))).collect();
                for result in join_all(tasks).await {
                    assert_eq!(result.unwrap(), Err(Elapsed));
                }
            } else {
                assert_eq!(timeout_at(deadline, join_all(receives)).await.map(drop), Err(Elapsed));
            }
            reaped(&runtime).await;
            if is_proactor::<R>() {
                assert_eq!(runtime.report().stats.cancels - cancels, count as u64, "one each");
            }
            for mut peer in peers {
                assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0, "its stream is closed");
            }
            assert_eq!(descriptors(), open);
        });
        assert_eq!(live(&runtime), (0, 0, 0));
        end(runtime);
        assert_eq!(descriptors(), before);
    });
}

fn t10_ten_thousand_tasks_time_out_in_one_tick<R: Runtime>() {
    ten_thousand_time_out::<R>(true);
}

fn t10_ten_thousand_operations_time_out_at_once<R: Runtime>() {
    ten_thousand_time_out::<R>(false);
}
