//! Futures dropped and forgotten at every moment of their operation's life: before it begins, before the kernel
//! knows of it, while the kernel has it, when its result is there; and what buffers do when they are dropped.
//!
//! Whatever the moment: the kernel writes into no memory that somebody else may have by then, no byte and no
//! connection is lost, and no descriptor is left.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use proactor::buf::IoBufMut;
use proactor::fs::{File, OpenOptions};
use proactor::io::nop;
use proactor::net::{TcpListener, TcpStream, UdpSocket};
use proactor::time::{Elapsed, timeout_at};
use proactor::{Config, Fault, Feature, Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    t02_a_dropped_receive_touches_no_freed_buffer_and_takes_no_byte,
    t03_a_forgotten_receive_keeps_its_buffer,
    t03_a_forgotten_file_read_keeps_its_buffer,
    t03_a_forgotten_accept_ends_with_its_runtime,
    t07_dropped_opens_leave_no_descriptor,
    t07_dropped_connects_and_binds_leave_no_descriptor,
    t10_ten_thousand_tasks_time_out_in_one_tick,
    t10_ten_thousand_operations_time_out_at_once,
    t19_a_buffer_whose_drop_spawns,
    t19_a_buffer_whose_drop_submits,
    t19_a_buffer_whose_drop_drops_another_future,
    t19_a_buffer_whose_drop_panics,
    a_future_kept_elsewhere_does_not_hold_up_the_shutdown;
    proactor:
    t06_a_connection_accepted_for_a_dropped_accept_is_kept_or_closed,
    t08_what_lies_in_the_queue_when_its_future_is_dropped,
    t08_a_result_that_waits_for_its_task_while_another_drops_its_future,
    t08_a_waker_that_drops_the_futures_of_its_batch,
    t09_a_receive_dropped_before_its_submission,
    t09_an_open_or_write_dropped_before_its_submission,
    t11_no_stale_cancel_hits_the_next_operation,
    t18_a_read_means_the_file_that_had_the_number,
    t18_a_receive_means_the_socket_that_had_the_number,
    t18_a_dropped_operation_never_means_the_next_owner_of_its_number,
}

/// An operation's future, whatever its output.
type Pending = Pin<Box<dyn Future<Output = ()>>>;

fn boxed<F: Future + 'static>(future: F) -> Pending {
    Box::pin(async move { drop(future.await) })
}

/// The ways in which the proactor's completions are made: when the loop asks; at the next system call,
/// whichever it is; and at any time. For the selector there is but one.
fn deliveries<R: Runtime>(config: &Config) -> Vec<Config> {
    let masks: &[&[Feature]] =
        &[&[], &[Feature::DeferTaskrun], &[Feature::DeferTaskrun, Feature::CoopTaskrun]];
    let count = if is_proactor::<R>() { masks.len() } else { 1 };
    masks[..count].iter().map(|mask| config.clone().mask_all(mask.iter().copied())).collect()
}

// What makes connections in every round has short long forms: a closed connection keeps its port for a minute,
// and there are some 28,000 for all tests.

/// Turns until all operations have been reaped.
async fn reaped<R: Runtime>(runtime: &R) {
    until(|| runtime.report().live.ops == 0).await;
}

// ---------------------------------------------------------------- dropped receives

/// A socket of ours and its peer.
enum Ends {
    Stream(TcpStream, std::net::TcpStream),
    Datagrams(UdpSocket, std::net::UdpSocket),
}

impl Ends {
    fn stream() -> Self {
        let (ours, peer) = half_pair();
        peer.set_nodelay(true).unwrap();
        Ends::Stream(ours, peer)
    }

    fn datagrams() -> Self {
        let ours = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.connect(ours.local_addr().unwrap()).unwrap();
        Ends::Datagrams(UdpSocket::from_std(ours).unwrap(), peer)
    }

    fn send(&self, bytes: &[u8]) {
        match self {
            Ends::Stream(_, peer) => (&mut &*peer).write_all(bytes).unwrap(),
            Ends::Datagrams(_, peer) => assert_eq!(peer.send(bytes).unwrap(), bytes.len()),
        }
    }

    /// The next bytes, as many as these, are these; a datagram has its sender as well.
    async fn expect(&self, bytes: &[u8]) {
        match self {
            Ends::Stream(ours, _) => {
                let (_, received) = ours.read_exact(vec![0; bytes.len()]).await.unwrap();
                assert_eq!(received, bytes);
            }
            Ends::Datagrams(ours, peer) => {
                let ((_, sender), received) = ours.recv_from(Vec::with_capacity(100)).await.unwrap();
                assert_eq!((&received[..], sender), (bytes, peer.local_addr().unwrap()));
            }
        }
    }

    /// There is nothing more to receive.
    async fn expect_nothing(self) {
        match self {
            Ends::Stream(ours, peer) => {
                drop(peer);
                assert_eq!(ours.read([0; 1]).await.unwrap().0, 0);
            }
            Ends::Datagrams(..) => {
                self.send(b"last");
                self.expect(b"last").await;
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receive {
    Read,
    ReadExact,
    ReadVectored,
    Recv,
    RecvFrom,
}

const RECEIVES: [Receive; 5] =
    [Receive::Read, Receive::ReadExact, Receive::ReadVectored, Receive::Recv, Receive::RecvFrom];

impl Receive {
    fn ends(self) -> Ends {
        match self {
            Receive::Recv | Receive::RecvFrom => Ends::datagrams(),
            _ => Ends::stream(),
        }
    }

    fn begin<B: IoBufMut>(self, ends: &Ends, mut buf: impl FnMut() -> B) -> Pending {
        match (self, ends) {
            (Receive::Read, Ends::Stream(ours, _)) => boxed(ours.read(buf())),
            (Receive::ReadExact, Ends::Stream(ours, _)) => boxed(ours.read_exact(buf())),
            (Receive::ReadVectored, Ends::Stream(ours, _)) => boxed(ours.read_vectored([buf(), buf()])),
            (Receive::Recv, Ends::Datagrams(ours, _)) => boxed(ours.recv(buf())),
            (Receive::RecvFrom, Ends::Datagrams(ours, _)) => boxed(ours.recv_from(buf())),
            _ => unreachable!(),
        }
    }
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
            for kind in RECEIVES {
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
                    std::mem::forget(tombstone);
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
        assert_eq!(runtime.report().live.ops, 4 * RECEIVES.len(), "each keeps its slot");
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
    assert_eq!(runtime.report().live.ops, 1);
    end(runtime);
    // The listener was forgotten as well, so the client waits in its backlog: nobody accepts it any more.
    let mut client = std::net::TcpStream::connect(address).unwrap();
    client.set_nonblocking(true).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

// ---------------------------------------------------------------- dropped accepts

/// When an accept is dropped, and when the client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Race {
    /// In one turn.
    ConnectThenDrop,
    /// In one turn: the kernel accepts before it hears of the cancel, unless it makes completions only when
    /// the loop asks.
    DropThenConnect,
    /// The result is there.
    Completed,
    /// The kernel has given up.
    Cancelled,
}

fn t06_a_connection_accepted_for_a_dropped_accept_is_kept_or_closed<R: Runtime>() {
    alone(|| {
        for (number, config) in deliveries::<R>(&Config::new()).iter().enumerate() {
            let runtime = R::with_config(config).unwrap();
            let before = descriptors();
            runtime.block_on(async {
                for _ in 0..rounds(10, 60) {
                    for race in
                        [Race::ConnectThenDrop, Race::DropThenConnect, Race::Completed, Race::Cancelled]
                    {
                        for taken in [true, false] {
                            accept_race(race, taken, number > 0).await;
                            reaped(&runtime).await;
                            assert_eq!(descriptors(), before, "{race:?}, taken: {taken}");
                        }
                    }
                }
            });
            end(runtime);
        }
    });
}

/// Drops an accept while a client connects; the connection is then taken by the next accept, or left to the
/// listener's end.
async fn accept_race(race: Race, taken: bool, completes_at_once: bool) {
    let others = descriptors().len();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connect = || std::net::TcpStream::connect(address).unwrap();
    let mut accept = listener.accept();
    assert!(poll_once(&mut accept).await.is_pending());
    turns(2).await;
    let mut client = match race {
        Race::ConnectThenDrop => {
            let client = connect();
            drop(accept);
            client
        }
        Race::DropThenConnect => {
            drop(accept);
            connect()
        }
        Race::Completed => {
            let client = connect();
            turns(2).await;
            drop(accept);
            client
        }
        Race::Cancelled => {
            drop(accept);
            turns(2).await;
            connect()
        }
    };
    let accepted = descriptors().len() - others - 2;
    match race {
        Race::Completed => assert_eq!(accepted, 1, "the connection is kept"),
        Race::Cancelled => assert_eq!(accepted, 0),
        _ if completes_at_once => assert_eq!(accepted, 1, "its completion lies in the queue"),
        _ => {}
    }
    if taken {
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        client.write_all(b"hello").unwrap();
        assert_eq!(&server.read_exact([0; 5]).await.unwrap().1, b"hello");
        let mut next = listener.accept();
        assert!(poll_once(&mut next).await.is_pending());
        turns(1).await;
        assert!(poll_once(&mut next).await.is_pending(), "it was handed out once");
    } else {
        drop(listener);
        turns(3).await;
        match client.read(&mut [0; 1]) {
            Ok(count) => assert_eq!(count, 0, "the connection is closed"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

// ---------------------------------------------------------------- dropped opens

/// Goes some way with a future, and drops it.
async fn drop_at(stage: usize, future: impl Future + 'static) {
    let mut future = boxed(future);
    if stage == 0 {
        return;
    }
    if poll_once(&mut future).await.is_ready() {
        return;
    }
    match stage {
        1 => {}
        2 => yield_now().await,
        3 => turns(1).await,
        4 => turns(3).await, // its result may be here by now
        5 => {
            turns(3).await;
            let _ = poll_once(&mut future).await; // an output is dropped as well
        }
        _ => unreachable!(),
    }
    drop(future);
    if stage.is_multiple_of(2) {
        yield_now().await;
    }
}

const STAGES: usize = 6;

fn t07_dropped_opens_leave_no_descriptor<R: Runtime>() {
    alone(|| {
        for config in deliveries::<R>(&Config::new().ring_entries(8)) {
            let folder = TempDir::new();
            let path = folder.file("file", b"text");
            let runtime = R::with_config(&config).unwrap();
            runtime.block_on(async {
                // The pool's threads and whatever else is made at the first use.
                drop(File::open(&path).await.unwrap());
                let before = descriptors();
                for number in 0..rounds(128, 100_000) {
                    for stage in 0..STAGES {
                        drop_at(stage, File::open(&path)).await;
                        drop_at(stage, File::create(folder.path("new"))).await;
                        drop_at(stage, File::open(folder.path("none"))).await;
                        drop_at(stage, File::open(&path).cancel()).await;
                        if number % 8 == 0 {
                            drop_at(stage, proactor::fs::read(path.clone())).await;
                        }
                    }
                }
                // Many at once, more than the queue holds, dropped while others of them are on their way.
                let mut opens: Vec<_> = (0..128).map(|_| boxed(File::open(&path))).collect();
                for open in &mut opens {
                    let _ = poll_once(open).await;
                }
                opens.truncate(64);
                turns(1).await;
                drop(opens);
                reaped(&runtime).await;
                assert_eq!(descriptors(), before);
            });
            end(runtime);
        }
    });
}

/// An address at which connects wait: its backlog is full.
fn silent_address() -> (SocketAddr, impl Sized) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let only = std::net::TcpStream::connect(address).unwrap();
    (address, (socket, only))
}

fn t07_dropped_connects_and_binds_leave_no_descriptor<R: Runtime>() {
    alone(|| {
        for config in deliveries::<R>(&Config::new().ring_entries(8)) {
            let runtime = R::with_config(&config).unwrap();
            runtime.block_on(async {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let (_kept, refusing) = unused_address();
                let (silent, _full) = silent_address();
                let both = [refusing, silent];
                let before = descriptors();
                for _ in 0..rounds(128, 2_000) / STAGES + 1 {
                    for stage in 0..STAGES {
                        drop_at(stage, TcpStream::connect(address)).await;
                        drop_at(stage, TcpStream::connect(refusing)).await;
                        drop_at(stage, TcpStream::connect(silent)).await;
                        drop_at(stage, TcpStream::connect(&both[..])).await;
                        drop_at(stage, TcpStream::connect(silent).cancel()).await;
                        drop_at(stage, TcpListener::bind("127.0.0.1:0")).await;
                        drop_at(stage, UdpSocket::bind("127.0.0.1:0")).await;
                    }
                    // Those that were made wait in the backlog: room for the next.
                    listener.set_nonblocking(true).unwrap();
                    while listener.accept().is_ok() {}
                }
                // Many that wait at once.
                let mut connects: Vec<_> = (0..128).map(|_| boxed(TcpStream::connect(silent))).collect();
                for connect in &mut connects {
                    assert!(poll_once(connect).await.is_pending());
                }
                connects.truncate(64);
                turns(1).await;
                drop(connects);
                reaped(&runtime).await;
                assert_eq!(descriptors(), before);
            });
            end(runtime);
        }
    });
}

// ---------------------------------------------------------------- dropped, and the completion is there

/// Polls more operations than the queue holds, so that what was queued before them is with the kernel and,
/// if that can be done at once, completed: nobody has reaped it yet.
async fn crowd(count: usize) -> Vec<impl Future> {
    let mut crowd: Vec<_> = (0..count).map(|_| nop()).collect();
    for nop in &mut crowd {
        assert!(poll_once(nop).await.is_pending());
    }
    crowd
}

fn t08_what_lies_in_the_queue_when_its_future_is_dropped<R: Runtime>() {
    alone(|| {
        let folder = TempDir::new();
        let content = pattern(1_000);
        let path = folder.file("file", &content);
        for config in deliveries::<R>(&Config::new().ring_entries(8)) {
            // The completion queue has room for 32: with more in front it lies with the kernel, overflowed.
            for in_front in [0, 100] {
                let runtime = R::with_config(&config).unwrap();
                runtime.block_on(async {
                    let before = descriptors();
                    for kind in RECEIVES {
                        let ends = kind.ends();
                        for _ in 0..rounds(5, 5_000) {
                            let front = crowd(in_front).await;
                            ends.send(b"bytes");
                            let mut watches = Vec::new();
                            let mut receive = kind.begin(&ends, || {
                                let (canary, watch) = Canary::new(64);
                                watches.push(watch);
                                canary
                            });
                            assert!(poll_once(&mut receive).await.is_pending());
                            let behind = crowd(16).await;
                            assert!(watches[0].holds(b"bytes"), "the kernel has not come to it");
                            drop((receive, front, behind));
                            ends.send(b"more");
                            ends.expect(b"bytes").await;
                            ends.expect(b"more").await;
                            watches.iter().for_each(CanaryWatch::assert_untouched);
                        }
                        ends.expect_nothing().await;
                    }
                    let file = File::open(&path).await.unwrap();
                    let with_file = descriptors();
                    for _ in 0..rounds(5, 5_000) {
                        let front = crowd(in_front).await;
                        let (canary, watch) = Canary::new(1_000);
                        let mut read = file.read_at(canary, 0);
                        assert!(poll_once(&mut read).await.is_pending());
                        let mut open = File::open(&path);
                        assert!(poll_once(&mut open).await.is_pending());
                        let behind = crowd(16).await;
                        assert_eq!(descriptors().len(), with_file.len() + 1, "it is open");
                        drop((open, read, front, behind));
                        reaped(&runtime).await;
                        watch.assert_untouched();
                        assert_eq!(descriptors(), with_file);
                    }
                    drop(file);
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    let address = listener.local_addr().unwrap();
                    for _ in 0..rounds(5, 5_000) {
                        let front = crowd(in_front).await;
                        let client = std::net::TcpStream::connect(address).unwrap();
                        let count = descriptors().len();
                        let mut accept = listener.accept();
                        assert!(poll_once(&mut accept).await.is_pending());
                        let behind = crowd(16).await;
                        assert_eq!(descriptors().len(), count + 1, "it is accepted");
                        drop((accept, front, behind));
                        let (_, peer) = listener.accept().await.unwrap();
                        assert_eq!(peer, client.local_addr().unwrap());
                    }
                    drop(listener);
                    reaped(&runtime).await;
                    assert_eq!(descriptors(), before);
                });
                end(runtime);
            }
        }
    });
}

fn t08_a_result_that_waits_for_its_task_while_another_drops_its_future<R: Runtime>() {
    type Shared = Rc<RefCell<Option<Pending>>>;

    /// Polls what is shared, until somebody has taken it.
    async fn wait_for(shared: Shared) {
        std::future::poll_fn(|cx| {
            let mut shared = shared.borrow_mut();
            shared.as_mut().map_or(Poll::Ready(()), |future| future.as_mut().poll(cx))
        })
        .await;
    }

    for config in deliveries::<R>(&Config::new()) {
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            for (number, kind) in RECEIVES.into_iter().cycle().take(rounds(20, 400)).enumerate() {
                let all: [Ends; 2] = std::array::from_fn(|_| kind.ends());
                let mut watches = Vec::new();
                let shared = all.each_ref().map(|ends| -> Shared {
                    Rc::new(RefCell::new(Some(kind.begin(ends, || {
                        let (canary, watch) = Canary::new(64);
                        watches.push(watch);
                        canary
                    }))))
                });
                // Each waits for its own receive; who is polled first drops both.
                let first = Rc::new(Cell::new(true));
                let tasks: Vec<_> = (0..2)
                    .map(|task| {
                        let (shared, first) = (shared.clone(), first.clone());
                        spawn(async move {
                            let mut own = Box::pin(wait_for(shared[task].clone()));
                            assert!(poll_once(&mut own).await.is_pending());
                            yield_now().await;
                            let waker = my_waker().await;
                            let mut woken = false;
                            std::future::poll_fn(|_| {
                                // Not polled, but woken: the result stays in its slot.
                                let mut cx = Context::from_waker(&waker);
                                if std::mem::replace(&mut woken, true) {
                                    return Poll::Ready(());
                                }
                                own.as_mut().poll(&mut cx)
                            })
                            .await;
                            if first.replace(false) {
                                drop((shared[task].take(), shared[1 - task].take()));
                            }
                        })
                    })
                    .collect();
                turns(3).await;
                // Both are woken in the same visit.
                for which in if number % 2 == 0 { [0, 1] } else { [1, 0] } {
                    all[which].send(b"bytes");
                }
                for task in tasks {
                    task.await.unwrap();
                }
                assert!(!first.get());
                for ends in all {
                    ends.expect(b"bytes").await;
                    ends.expect_nothing().await;
                }
                reaped(&runtime).await;
                watches.iter().for_each(CanaryWatch::assert_untouched);
            }
        });
        end(runtime);
    }
}

thread_local! {
    /// What [`DropsAll`] drops.
    static DOOMED: RefCell<Vec<Pending>> = const { RefCell::new(Vec::new()) };
}

/// A waker that drops futures.
struct DropsAll;

impl Wake for DropsAll {
    fn wake(self: Arc<Self>) {
        drop(DOOMED.take());
    }
}

fn t08_a_waker_that_drops_the_futures_of_its_batch<R: Runtime>() {
    for config in deliveries::<R>(&Config::new()) {
        let runtime = R::with_config(&config).unwrap();
        let waker = Waker::from(Arc::new(DropsAll));
        runtime.block_on(async {
            for _ in 0..rounds(20, 100) {
                let kinds = RECEIVES.into_iter().chain(RECEIVES);
                let all: Vec<_> = kinds.map(|kind| (kind, kind.ends())).collect();
                let mut watches = Vec::new();
                for (number, (kind, ends)) in all.iter().enumerate() {
                    let mut receive = kind.begin(ends, || {
                        let (canary, watch) = Canary::new(64);
                        watches.push(watch);
                        canary
                    });
                    if number < RECEIVES.len() {
                        ends.send(b"bytes"); // the others are still with the kernel when they are dropped
                    }
                    assert!(receive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                    DOOMED.with_borrow_mut(|doomed| doomed.push(receive));
                }
                until(|| DOOMED.with_borrow(Vec::is_empty)).await;
                for (number, (_, ends)) in all.into_iter().enumerate() {
                    if number < RECEIVES.len() {
                        ends.expect(b"bytes").await;
                    }
                    ends.expect_nothing().await;
                }
                reaped(&runtime).await;
                watches.iter().for_each(CanaryWatch::assert_untouched);
            }
        });
        end(runtime);
    }
}

// ---------------------------------------------------------------- dropped before the submission

fn t09_a_receive_dropped_before_its_submission<R: Runtime>() {
    const COUNT: usize = 40;
    let refusing = Fault { every: 2, errno: libc::EAGAIN, after_submission: false };
    let room = Config::new();
    let crowded = Config::new().ring_entries(8);
    // With a kernel that refuses every other enter the queue stays full, and the backlog begins.
    for (config, refused) in [(room, false), (crowded.clone(), false), (crowded.fault(refusing), true)] {
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            for round in 0..rounds(RECEIVES.len(), 4 * RECEIVES.len()) {
                let kind = RECEIVES[round % RECEIVES.len()];
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
        let refusing = Fault { every: 2, errno: libc::EAGAIN, after_submission: false };
        let runtime = R::with_config(&Config::new().ring_entries(8).fault(refusing)).unwrap();
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
    let unbound = || {
        // Without a port, of which there are not enough for all the tests that run at once.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        UdpSocket::from_std(socket.into()).unwrap()
    };
    ((0..streams).map(|_| Ends::stream()).collect(), (0..datagrams).map(|_| unbound()).collect())
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

// ---------------------------------------------------------------- recycled slots

fn t11_no_stale_cancel_hits_the_next_operation<R: Runtime>() {
    const SOCKETS: usize = 24;
    for every in [2, 3, 5] {
        // Refused enters leave cancels behind while their slots are used again.
        let fault = Fault { every, errno: libc::EAGAIN, after_submission: false };
        for config in deliveries::<R>(&Config::new().ring_entries(8).fault(fault)) {
            let runtime = R::with_config(&config).unwrap();
            runtime.block_on(async {
                let all: Vec<_> = (0..SOCKETS).map(|_| half_pair()).collect();
                let (mut sent, mut received) = ([0_u8; SOCKETS], [0_u8; SOCKETS]);
                let mut reads: Vec<_> = all.iter().map(|(ours, _)| ours.read([0; 1])).collect();
                let dice = pattern(8_191);
                let mut dice = dice.iter().cycle();
                for _ in 0..rounds(150, 200_000) {
                    for (number, (ours, peer)) in all.iter().enumerate() {
                        let dice = dice.next().unwrap();
                        if dice & 1 == 0 {
                            sent[number] = sent[number].wrapping_add(1);
                            (&mut &*peer).write_all(&[sent[number]]).unwrap();
                        }
                        if dice & 6 == 0 {
                            // A cancel for what may have ended already; the slot is the next one's.
                            reads[number] = ours.read([0; 1]);
                        }
                        if let Poll::Ready(result) = poll_once(&mut reads[number]).await {
                            received[number] = received[number].wrapping_add(1);
                            let result = result.expect("nobody has cancelled it");
                            assert_eq!(result, (1, [received[number]]));
                            reads[number] = ours.read([0; 1]);
                        }
                    }
                    if dice.next().unwrap() & 3 == 0 {
                        turns(1).await;
                    } else {
                        yield_now().await;
                    }
                }
                for (number, mut read) in reads.into_iter().enumerate() {
                    while received[number] != sent[number] {
                        received[number] = received[number].wrapping_add(1);
                        assert_eq!(read.await.unwrap(), (1, [received[number]]));
                        read = all[number].0.read([0; 1]);
                    }
                }
            });
            end(runtime);
        }
    }
}

// ---------------------------------------------------------------- numbers that are used again

/// Settings under which an entry lies in the queue, or in the backlog because the kernel refuses enters.
fn queues<R: Runtime>() -> Vec<Config> {
    let refusing = Fault { every: 2, errno: libc::EAGAIN, after_submission: false };
    let mut configs = deliveries::<R>(&Config::new());
    configs.push(Config::new().ring_entries(8).fault(refusing));
    configs
}

/// Operations in front of the next, so that this lies in the backlog if the kernel refuses enters.
async fn in_front() -> Vec<Pending> {
    let mut crowd: Vec<_> = (0..32).map(|_| boxed(nop())).collect();
    for nop in &mut crowd {
        let _ = poll_once(nop).await;
    }
    crowd
}

fn t18_a_read_means_the_file_that_had_the_number<R: Runtime>() {
    alone(|| {
        let folder = TempDir::new();
        let content = pattern(5_000);
        let (path, other) = (folder.file("file", &content), folder.file("other", &[0x55; 5_000]));
        let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap());
        for config in queues::<R>() {
            let runtime = R::with_config(&config).unwrap();
            runtime.block_on(async {
                for _ in 0..rounds(20, 3_000) {
                    let file = File::open(&path).await.unwrap();
                    let number = file.as_raw_fd();
                    turns(1).await;
                    let _front = in_front().await;
                    let mut read = file.read_at(Tombstone::new(2), 0);
                    let mut exact = file.read_exact_at(Tombstone::new(1), 904);
                    let mut vectored = file.read_vectored_at([vec![0; 1_000], vec![0; 4_000]], 0);
                    let mut metadata = file.metadata();
                    assert!(poll_once(&mut read).await.is_pending());
                    assert!(poll_once(&mut exact).await.is_pending());
                    assert!(poll_once(&mut vectored).await.is_pending());
                    assert!(poll_once(&mut metadata).await.is_pending());
                    drop(file);
                    let others: Vec<_> = (0..4).map(|_| std::fs::File::open(&other).unwrap()).collect();
                    assert_bytes(&read.await.unwrap().1, &content);
                    assert_bytes(&exact.await.unwrap().1, &content[904..]);
                    assert_bytes(&vectored.await.unwrap().1.concat(), &content);
                    assert_eq!(metadata.await.unwrap().ino(), inode);
                    drop(others);
                    // The number is free by now: the last of the futures has gone.
                    assert_eq!(std::fs::File::open(&other).unwrap().as_raw_fd(), number);
                }
            });
            end(runtime);
        }
    });
}

fn t18_a_receive_means_the_socket_that_had_the_number<R: Runtime>() {
    alone(|| {
        for config in queues::<R>() {
            let runtime = R::with_config(&config).unwrap();
            runtime.block_on(async {
                for round in 0..rounds(20, 150) {
                    let datagrams = round % 2 == 1;
                    let new = || if datagrams { Ends::datagrams() } else { Ends::stream() };
                    let ends = new();
                    turns(1).await;
                    let _front = in_front().await;
                    let (canary, watch) = Canary::new(64);
                    let (receive, send): (Pending, Box<dyn Fn()>) = match ends {
                        Ends::Stream(ours, peer) => {
                            let send = move || (&mut &peer).write_all(b"bytes").unwrap();
                            (boxed(ours.read(canary)), Box::new(send))
                        }
                        Ends::Datagrams(ours, peer) => {
                            let send = move || assert_eq!(peer.send(b"bytes").unwrap(), 5);
                            let mut receive = boxed(ours.recv(canary));
                            assert!(poll_once(&mut receive).await.is_pending());
                            (receive, Box::new(send))
                        }
                    };
                    let mut receive = receive;
                    let _ = poll_once(&mut receive).await; // its socket lives by its future alone
                    let others: Vec<_> = (0..3).map(|_| new()).collect();
                    others.iter().for_each(|other| other.send(b"other"));
                    turns(1).await;
                    assert!(watch.holds(&[0; 5]), "it means nobody else's socket");
                    send();
                    until(|| watch.holds(b"bytes") || !is_proactor::<R>()).await;
                    receive.await;
                    for other in others {
                        other.expect(b"other").await;
                    }
                }
            });
            end(runtime);
        }
    });
}

fn t18_a_dropped_operation_never_means_the_next_owner_of_its_number<R: Runtime>() {
    alone(|| {
        let folder = TempDir::new();
        let mut again = [0; 3];
        for config in queues::<R>() {
            let runtime = R::with_config(&config).unwrap();
            runtime.block_on(async {
                for round in 0..rounds(20, 100) {
                    // Files: what was to be written to the first must not go to the second.
                    let file = File::create(folder.path("first")).await.unwrap();
                    let number = file.as_raw_fd();
                    turns(1).await;
                    let front = in_front().await;
                    let mut write = file.write_at(&b"for the first"[..], 0);
                    let mut cut = file.set_len(7);
                    assert!(poll_once(&mut write).await.is_pending());
                    assert!(poll_once(&mut cut).await.is_pending());
                    drop((write, cut));
                    if round % 2 == 0 {
                        drop(file);
                    } else {
                        let _ = file.close().await; // refused if the kernel has not ended them at once
                    }
                    let second = std::fs::File::create(folder.path("second")).unwrap();
                    again[0] += usize::from(second.as_raw_fd() == number);
                    drop(front);
                    reaped(&runtime).await;
                    assert_eq!(second.metadata().unwrap().len(), 0);
                    drop(second);

                    // Streams: neither bytes that were to be sent, nor those of the next to be received.
                    let (ours, peer) = half_pair();
                    let number = ours.as_raw_fd();
                    turns(1).await;
                    let front = in_front().await;
                    let (canary, watch) = Canary::new(64);
                    let mut read = ours.read(canary);
                    let mut write = ours.write_all(&b"for the first"[..]);
                    assert!(poll_once(&mut read).await.is_pending());
                    let _ = poll_once(&mut write).await;
                    drop((read, write));
                    drop(ours);
                    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                    let address = listener.local_addr().unwrap();
                    again[1] += usize::from(listener.as_raw_fd() == number);
                    let connect = |_| {
                        let ours = std::net::TcpStream::connect(address).unwrap();
                        again[1] += usize::from(ours.as_raw_fd() == number);
                        (TcpStream::from_std(ours).unwrap(), listener.accept().unwrap().0)
                    };
                    let others: Vec<_> = (0..3).map(connect).collect();
                    for (_, peer) in &others {
                        (&mut &*peer).write_all(b"for the next").unwrap();
                    }
                    drop(front);
                    reaped(&runtime).await;
                    for (ours, peer) in others {
                        assert_eq!(&ours.read_exact([0; 12]).await.unwrap().1, b"for the next");
                        drop(ours);
                        assert_eq!(read_to_end(peer), b"");
                    }
                    watch.assert_untouched();
                    drop((peer, listener));

                    // Listeners: the accept takes no client of the next one.
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    let number = listener.as_raw_fd();
                    turns(1).await;
                    let front = in_front().await;
                    let mut accept = listener.accept();
                    assert!(poll_once(&mut accept).await.is_pending());
                    drop(accept);
                    drop(listener);
                    let next = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                    again[2] += usize::from(next.as_raw_fd() == number);
                    let client = std::net::TcpStream::connect(next.local_addr().unwrap()).unwrap();
                    drop(front);
                    reaped(&runtime).await;
                    next.set_nonblocking(true).unwrap();
                    assert_eq!(next.accept().unwrap().1, client.local_addr().unwrap());
                }
            });
            end(runtime);
        }
        assert!(again.iter().all(|count| *count > 0), "numbers that were used again: {again:?}");
    });
}

// ---------------------------------------------------------------- buffers that act when they are dropped

/// When the driver lets go of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// With the future, which has not begun.
    Unpolled,
    /// With the future, which waits until another one on the same stream has ended.
    BehindAnother,
    /// Before the kernel knows of it.
    Unsubmitted,
    /// Before there was room in the queue.
    Backlog,
    /// When the kernel has given up.
    InFlight,
    /// When the kernel has delivered bytes for a future that has gone.
    Delivered,
    /// With the future, which has not taken its result.
    Completed,
    /// When a job of the pool, or the kernel, has read a file for a future that has gone.
    FileRead,
    /// At the end of `block_on`, which leaves nothing unsubmitted.
    Return,
    /// In a shutdown that ends a task.
    Shutdown,
    /// With the future, which has outlived its runtime.
    Afterwards,
}

const MOMENTS: [Moment; 11] = [
    Moment::Unpolled,
    Moment::BehindAnother,
    Moment::Unsubmitted,
    Moment::Backlog,
    Moment::InFlight,
    Moment::Delivered,
    Moment::Completed,
    Moment::FileRead,
    Moment::Return,
    Moment::Shutdown,
    Moment::Afterwards,
];

impl Moment {
    fn has_runtime(self) -> bool {
        self != Moment::Afterwards
    }

    /// Whether the runtime goes on afterwards.
    fn goes_on(self) -> bool {
        !matches!(self, Moment::Shutdown | Moment::Afterwards)
    }

    /// Whether the kernel knows of the operation before its future is dropped.
    fn is_submitted(self) -> bool {
        use Moment::*;
        matches!(self, InFlight | Delivered | Completed | Return | Afterwards)
    }

    /// Whether the buffer goes with the future, on the proactor as well.
    fn is_at_once(self) -> bool {
        matches!(self, Moment::Unpolled | Moment::BehindAnother | Moment::Backlog | Moment::Completed)
    }
}

/// The whole life of a runtime, in which a buffer is dropped at this moment, and acts. `prepare` runs before, and
/// what it gives is dropped right behind the buffer's future; `finish` runs afterwards if the runtime goes on.
/// What may meet a panic of the act is done through `attempt`.
fn act_at<R: Runtime, T>(
    moment: Moment,
    mut act: impl FnMut() + 'static,
    prepare: impl AsyncFnOnce() -> T,
    finish: impl AsyncFnOnce(),
    attempt: &mut dyn FnMut(&mut dyn FnMut()),
) {
    let refusing = Fault { every: 2, errno: libc::EAGAIN, after_submission: false };
    let config = match moment {
        Moment::Backlog => Config::new().ring_entries(8).fault(refusing),
        _ => Config::new(),
    };
    let mut runtime = Some(R::with_config(&config).unwrap());
    let ran = Rc::new(Cell::new(0));
    let counts = ran.clone();
    let mut acts = Some(Acts(Vec::with_capacity(10), move || {
        counts.set(counts.get() + 1);
        act();
    }));
    let mut left = None;
    let mut peers = Vec::new();
    let mut beside = Some(runtime.as_ref().unwrap().block_on(prepare()));
    attempt(&mut || {
        runtime.as_ref().unwrap().block_on(async {
            let beside_it = beside.take(); // a panic drops it as well
            let (stream, peer) = half_pair();
            peers.push(peer);
            let acts = acts.take().unwrap();
            if moment == Moment::Shutdown {
                drop(spawn(async move { stream.read(acts).await.map(drop) }));
                turns(2).await;
                return;
            }
            if moment == Moment::FileRead {
                let file = File::open("/dev/zero").await.unwrap();
                let mut read = file.read_at(acts, 0);
                assert!(poll_once(&mut read).await.is_pending());
                drop(read);
                return until(|| ran.get() > 0).await;
            }
            let front = if moment == Moment::Backlog { in_front().await } else { Vec::new() };
            let mut first = stream.read([0; 1]);
            if moment == Moment::BehindAnother {
                assert!(poll_once(&mut first).await.is_pending());
            }
            let mut read = boxed(stream.read(acts));
            if moment != Moment::Unpolled {
                assert!(poll_once(&mut read).await.is_pending());
            }
            if moment.is_submitted() {
                turns(2).await;
            }
            if moment == Moment::Completed {
                peers[0].write_all(b"bytes").unwrap();
                turns(2).await;
            }
            if moment == Moment::Afterwards {
                left = Some(read);
                return;
            }
            drop(read);
            drop(beside_it);
            let at_once = moment.is_at_once() || !is_proactor::<R>();
            assert_eq!(ran.get(), u32::from(at_once), "{moment:?}: the kernel keeps it");
            if moment == Moment::Delivered {
                peers[0].write_all(b"bytes").unwrap();
            }
            if moment == Moment::Return {
                return;
            }
            until(|| ran.get() > 0).await;
            drop((first, front));
            if matches!(moment, Moment::Delivered | Moment::Completed) {
                assert_eq!(&stream.read_exact([0; 5]).await.unwrap().1, b"bytes");
            }
        });
    });
    if moment.goes_on() {
        assert_eq!(ran.get(), 1, "{moment:?}");
        let runtime = runtime.as_ref().unwrap();
        runtime.block_on(async {
            // What the act has left behind comes to its end, and all goes on.
            until(|| live(runtime).0 == 0).await;
            finish().await;
            let ends = Ends::stream();
            let mut receive = Receive::Read.begin(&ends, || Tombstone::new(1));
            assert!(poll_once(&mut receive).await.is_pending());
            turns(1).await;
            ends.send(b"x");
            receive.await;
            ends.expect_nothing().await;
            reaped(runtime).await; // no slot is left behind, whatever happened in the drop
        });
    } else {
        assert_eq!(ran.get(), 0, "{moment:?}");
    }
    attempt(&mut || end(runtime.take().unwrap()));
    assert_eq!(ran.get(), u32::from(moment.has_runtime()), "{moment:?}");
    attempt(&mut || drop(left.take()));
    assert_eq!(ran.get(), 1, "{moment:?}: once");
}

fn t19_a_buffer_whose_drop_spawns<R: Runtime>() {
    for moment in MOMENTS.into_iter().filter(|moment| moment.has_runtime()) {
        let (polled, dropped) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (polls, drops) = (polled.clone(), dropped.clone());
        let act = move || {
            let (polls, counted) = (polls.clone(), Counted(drops.clone()));
            drop(spawn(async move {
                let _counted = counted;
                turns(1).await;
                polls.set(polls.get() + 1);
            }));
        };
        act_at::<R, _>(moment, act, async || {}, async || {}, &mut |work| work());
        // In a shutdown a new task is dropped before it begins.
        assert_eq!((polled.get(), dropped.get()), (u32::from(moment.goes_on()), 1), "{moment:?}");
    }
}

fn t19_a_buffer_whose_drop_submits<R: Runtime>() {
    for moment in MOMENTS.into_iter().filter(|moment| moment.has_runtime()) {
        let kept = Rc::new(RefCell::new(Vec::new()));
        let keeps = kept.clone();
        let act = move || {
            let begin = |mut future: Pending| {
                let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                (future, polled.is_pending())
            };
            let ends = Ends::stream();
            let datagrams = Ends::datagrams();
            let (canary, watch) = Canary::new(64);
            let Ends::Datagrams(ours, _) = &datagrams else { unreachable!() };
            // One stays, one is dropped at once, and there are more than a small queue holds.
            let receive = begin(boxed(ours.recv(canary)));
            drop(begin(Receive::Read.begin(&ends, || Tombstone::new(1))));
            drop((0..20).map(|_| begin(boxed(nop()))).collect::<Vec<_>>());
            keeps.borrow_mut().push((receive, watch, datagrams, ends));
        };
        let finish = async || {
            // What was begun in the drop is an operation like any other.
            let ((receive, pending), watch, datagrams, ends) = kept.borrow_mut().pop().unwrap();
            assert!(pending && !watch.is_dropped(), "{moment:?}");
            datagrams.send(b"bytes");
            receive.await;
            watch.assert_untouched();
            datagrams.expect_nothing().await;
            ends.send(b"x");
            ends.expect(b"x").await;
            ends.expect_nothing().await;
        };
        act_at::<R, _>(moment, act, async || {}, finish, &mut |work| work());
        for ((receive, _), watch, datagrams, _) in kept.take() {
            datagrams.send(b"late");
            drop(receive);
            watch.assert_untouched();
        }
    }
}

fn t19_a_buffer_whose_drop_drops_another_future<R: Runtime>() {
    const LINKS: u32 = 3;
    for moment in MOMENTS {
        for completed in [true, false] {
            // Each future's buffer drops the next future.
            let chain: Rc<RefCell<Vec<Pending>>> = Rc::default();
            let all: Rc<RefCell<Vec<Ends>>> = Rc::default();
            let dropped = Rc::new(Cell::new(0));
            let (rest, counts) = (chain.clone(), dropped.clone());
            let drop_next = move || {
                counts.set(counts.get() + 1);
                let next = rest.borrow_mut().pop();
                drop(next);
            };
            let begin = async || {
                for _ in 0..LINKS {
                    let ends = Ends::stream();
                    let Ends::Stream(ours, _) = &ends else { unreachable!() };
                    let mut read = boxed(ours.read(Acts(Vec::with_capacity(10), drop_next.clone())));
                    assert!(poll_once(&mut read).await.is_pending());
                    chain.borrow_mut().push(read);
                    all.borrow_mut().push(ends);
                }
                turns(2).await;
                if completed {
                    all.borrow().iter().for_each(|ends| ends.send(b"bytes"));
                    turns(2).await;
                }
            };
            let finish = async || {
                until(|| dropped.get() == LINKS + 1).await;
                for ends in all.take() {
                    if completed {
                        ends.expect(b"bytes").await;
                    }
                    ends.expect_nothing().await;
                }
            };
            act_at::<R, _>(moment, drop_next.clone(), begin, finish, &mut |work| work());
            assert_eq!(dropped.get(), LINKS + 1, "{moment:?}");
        }
    }
}

/// Counts its wakes.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn t19_a_buffer_whose_drop_panics<R: Runtime>() {
    for moment in MOMENTS {
        // Other operations end in the same visit, and others are dropped; none of them is lost.
        let all = RefCell::new(Vec::<(Ends, Pending, Arc<Woken>)>::new());
        let (watches, dropped) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let begin = async || {
            let canary = |watches: &RefCell<Vec<CanaryWatch>>| {
                let (canary, watch) = Canary::new(64);
                watches.borrow_mut().push(watch);
                canary
            };
            let mut doomed = Vec::new();
            for kind in RECEIVES {
                let ends = kind.ends();
                let mut receive = kind.begin(&ends, || canary(&watches));
                let woken = Arc::<Woken>::default();
                let waker = Waker::from(woken.clone());
                assert!(receive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                all.borrow_mut().push((ends, receive, woken));

                let ends = kind.ends();
                let mut receive = kind.begin(&ends, || canary(&dropped));
                assert!(poll_once(&mut receive).await.is_pending());
                doomed.push((receive, ends));
            }
            turns(2).await;
            // As many as fill the buffer, which an exact read waits for.
            all.borrow().iter().for_each(|(ends, ..)| ends.send(&[b'x'; 64]));
            doomed
        };
        let finish = async || {
            until(|| all.borrow().iter().all(|(.., woken)| woken.0.load(Ordering::Relaxed) > 0)).await;
            until(|| dropped.borrow().iter().all(CanaryWatch::is_dropped)).await;
            for (ends, receive, _) in all.take() {
                receive.await;
                ends.expect_nothing().await;
            }
            watches.borrow().iter().chain(&*dropped.borrow()).for_each(CanaryWatch::assert_untouched);
        };
        let act = move || {
            // While a test that fails unwinds, a second panic would hide what it says.
            if !std::thread::panicking() {
                panic!("expected: the drop");
            }
        };
        let messages = RefCell::new(Vec::new());
        act_at::<R, _>(moment, act, begin, finish, &mut |work| {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            let Err(panic) = result else { return };
            match panic.downcast::<&str>() {
                Ok(message) => messages.borrow_mut().push(*message),
                Err(other) => std::panic::resume_unwind(other),
            }
        });
        // Dropped with a task's future, as the selector can at once, the buffer's panic is that task's.
        let of_task = moment == Moment::Shutdown && !is_proactor::<R>();
        let expected: &[_] = if of_task { &[] } else { &["expected: the drop"] };
        assert_eq!(*messages.borrow(), expected, "{moment:?}");
    }
}

fn a_future_kept_elsewhere_does_not_hold_up_the_shutdown<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (stream, _peer) = runtime.block_on(async { half_pair() });
    let kept = Rc::new(RefCell::new(None));
    let keeps = kept.clone();
    let (canary, watch) = Canary::new(64);
    drop(runtime.spawn(async move {
        let mut read = stream.read(canary);
        assert!(poll_once(&mut read).await.is_pending());
        *keeps.borrow_mut() = Some(read);
        std::future::pending::<()>().await;
    }));
    runtime.block_on(turns(2));
    // The task began it, but it is not the task that will take its result: that is enough for its end. It
    // would wait for the deadline, and the watchdog would bark before that.
    let left = runtime.shutdown(Duration::MAX);
    assert_eq!((left.tasks, left.ops_leaked, left.jobs_leaked), (1, 0, 0));
    assert!(!watch.is_dropped());
    drop(kept.take());
    watch.assert_untouched();
}
