//! What is dropped while its loop does not run is closed at once all the same, although the kernel still had an operation
//! on it: a listener refuses, a stream's peer sees the end, a port is free.

use std::any::Any;
use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use proactor::fs::File;
use proactor::io::{AsyncFd, PipeReader, PipeWriter};
use proactor::net::{TcpListener, TcpStream, UdpSocket, direct};
use proactor::{Config, Feature, Runtime};

use crate::kit::*;

tests! {
    t150_what_is_dropped_outside_its_loop_is_closed_at_once,
    t150_what_is_dropped_in_another_loop_is_closed_at_once,
    t150_what_the_destructors_of_a_thread_drop_is_closed_at_once,
    t150_what_a_panic_drops_is_closed_at_once,
    t150_what_wakers_and_destructors_drop_is_closed_at_once,
    t151_a_drop_outside_its_loop_runs_no_waker,
    t151_what_came_with_a_drop_outside_is_not_slept_over;
    proactor:
    t150_what_is_dropped_outside_a_loop_with_a_polling_thread_is_closed,
}

/// An object with an operation of the kernel's on it.
struct Held {
    name: &'static str,
    /// The object and the future of an operation that has begun.
    parts: [Box<dyn Any>; 2],
    is_closed: Box<dyn Fn() -> bool + Send>,
}

impl Held {
    async fn new<T: 'static>(
        name: &'static str,
        object: T,
        operation: impl Future<Output = ()> + 'static,
        is_closed: impl Fn() -> bool + Send + 'static,
    ) -> Self {
        let mut operation: Pending = Box::pin(operation);
        assert!(poll_once(&mut operation).await.is_pending(), "{name}");
        Held { name, parts: [Box::new(object), Box::new(operation)], is_closed: Box::new(is_closed) }
    }

    /// Takes the object, with its operation in front of it, behind it, or without it.
    fn take(&mut self, order: Order) -> Box<dyn Any> {
        let [object, operation] = std::mem::replace(&mut self.parts, [Box::new(()), Box::new(())]);
        match order {
            Order::OperationFirst => Box::new((operation, object)),
            Order::ObjectFirst => Box::new((object, operation)),
            Order::ObjectAlone => {
                drop(operation);
                object
            }
        }
    }
}

/// Waits until the object is closed, without a turn of its loop. It is closed by now, but a process that another test
/// starts has a copy of every descriptor until it has executed its program.
fn is_closed_in_the_end(is_closed: &dyn Fn() -> bool) {
    while !is_closed() {
        std::thread::yield_now();
    }
}

#[derive(Clone, Copy, Debug)]
enum Order {
    OperationFirst,
    ObjectFirst,
    /// The operation's future is dropped while the loop runs.
    ObjectAlone,
}

const ORDERS: [Order; 3] = [Order::OperationFirst, Order::ObjectFirst, Order::ObjectAlone];

/// Whether a peer sees the end of what comes to it.
fn ends(peer: impl Read + Send + 'static) -> impl Fn() -> bool + Send + 'static {
    let peer = std::sync::Mutex::new(peer);
    move || matches!(peer.lock().unwrap().read(&mut [0; 1]), Ok(0))
}

fn nonblocking_peer() -> (TcpStream, std::net::TcpStream) {
    let (ours, peer) = half_pair();
    peer.set_nonblocking(true).unwrap();
    (ours, peer)
}

fn unix_pair() -> (UnixStream, UnixStream) {
    let (ours, peer) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    peer.set_nonblocking(true).unwrap();
    (ours, peer)
}

/// Whether nobody reads from a pipe any more.
fn breaks(writer: OwnedFd) -> impl Fn() -> bool + Send + 'static {
    let writer = std::fs::File::from(writer);
    move || (&writer).write(b"x").is_err_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    (reader.into(), writer.into())
}

/// One object of each kind.
async fn objects<R: Runtime>() -> Vec<Held> {
    let mut all = sockets().await;
    let (ours, peer) = unix_pair();
    let waits = AsyncFd::new(ours);
    let ready = waits.readable();
    all.push(Held::new("AsyncFd", waits, async move { drop(ready.await) }, ends(peer)).await);

    let (ours, writer) = pipe();
    let reader = PipeReader::from_fd(ours).unwrap();
    let receive = reader.recv();
    all.push(Held::new("pipe", reader, async move { drop(receive.await) }, breaks(writer)).await);

    let (ours, writer) = pipe();
    let reader = PipeReader::from_fd(ours).unwrap();
    let read = reader.read(vec![0; 100_000]);
    all.push(Held::new("pipe that is read", reader, async move { drop(read.await) }, breaks(writer)).await);

    let (reader, ours) = pipe();
    let writer = PipeWriter::from_fd(ours).unwrap();
    let write = writer.write_all(vec![7; 1 << 20]);
    let reader = std::fs::File::from(reader);
    nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    let drained = move || (&reader).read_to_end(&mut Vec::new()).is_ok();
    all.push(Held::new("pipe that is written", writer, async move { drop(write.await) }, drained).await);

    if is_proactor::<R>() {
        let (ours, writer) = pipe();
        let file = File::from_std(ours.into());
        let read = file.read_at(vec![0; 16], 0);
        all.push(Held::new("file", file, async move { drop(read.await) }, breaks(writer)).await);
    }
    turns(2).await;
    all
}

/// Listeners, streams and a port.
async fn sockets() -> Vec<Held> {
    let mut all = Vec::new();
    let listener = TcpListener::bind((own_host(), 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let refused = move || {
        std::net::TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    let accept = listener.accept();
    all.push(Held::new("listener", listener, async move { drop(accept.await) }, refused).await);

    let (ours, peer) = nonblocking_peer();
    let receive = ours.recv();
    all.push(Held::new("stream", ours, async move { drop(receive.await) }, ends(peer)).await);

    let (ours, peer) = nonblocking_peer();
    let read = ours.read(vec![0; 100_000]);
    all.push(Held::new("stream that is read", ours, async move { drop(read.await) }, ends(peer)).await);

    let listener = direct::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_nonblocking(true).unwrap();
    let (ours, _) = (listener.accept().await.unwrap(), listener.close().await.unwrap());
    let receive = ours.recv();
    all.push(Held::new("direct stream", ours, async move { drop(receive.await) }, ends(peer)).await);

    let socket = UdpSocket::bind(SocketAddr::from((own_host(), 0))).await.unwrap();
    let address = socket.local_addr().unwrap();
    let receive = socket.recv_from(Vec::with_capacity(16));
    let free = move || std::net::UdpSocket::bind(address).is_ok();
    all.push(Held::new("port", socket, async move { drop(receive.await) }, free).await);
    all
}

/// With multishot operations, and with an operation for each future.
fn configs<R: Runtime>() -> Vec<Config> {
    let single = [Feature::MultishotRecv, Feature::MultishotRead, Feature::MultishotPoll];
    let masked = Config::new().mask_all(single);
    if is_proactor::<R>() { vec![Config::new(), masked] } else { vec![Config::new()] }
}

/// Makes objects, and has them dropped in a certain way: they are closed when that has returned.
fn dropped<R: Runtime>(drop_it: impl Fn(&R, Box<dyn Any>)) {
    for config in configs::<R>() {
        let runtime = R::with_config(&config).unwrap();
        for order in ORDERS {
            let mut all = runtime.block_on(objects::<R>());
            for held in &mut all {
                assert!(!(held.is_closed)(), "{} is open", held.name);
                let object = {
                    let held = &mut *held;
                    runtime.block_on(async { held.take(order) })
                };
                drop_it(&runtime, object);
                is_closed_in_the_end(&held.is_closed);
            }
        }
        runtime.block_on(nothing_is_left(&runtime));
        end(runtime);
    }
}

fn t150_what_is_dropped_outside_its_loop_is_closed_at_once<R: Runtime>() {
    dropped::<R>(|_, object| drop(object));
}

fn t150_what_is_dropped_in_another_loop_is_closed_at_once<R: Runtime>() {
    let other = R::new().unwrap();
    dropped::<R>(|_, object| other.block_on(async { drop(object) }));
    end(other);
}

thread_local! {
    /// Dropped when its thread ends.
    static KEPT: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

fn t150_what_the_destructors_of_a_thread_drop_is_closed_at_once<R: Runtime>() {
    for config in configs::<R>() {
        for order in ORDERS {
            let config = config.clone();
            let user = thread(move || {
                let runtime = R::with_config(&config).unwrap();
                let mut all = runtime.block_on(objects::<R>());
                let taken: Vec<_> = all.iter_mut().map(|held| held.take(order)).collect();
                let closed: Vec<_> = all.into_iter().map(|held| held.is_closed).collect();
                // The runtime is never dropped: what is closed is closed by the objects.
                forget(runtime);
                KEPT.with_borrow_mut(|kept| kept.extend(taken));
                closed
            });
            for is_closed in user.join() {
                is_closed_in_the_end(&is_closed);
            }
        }
    }
}

fn t150_what_a_panic_drops_is_closed_at_once<R: Runtime>() {
    dropped::<R>(|runtime, object| {
        let said = panic_of(|| {
            let _object = object;
            runtime.block_on(async { panic!("expected") });
        });
        assert_eq!(said, "expected");
    });
}

/// Drops what its thread keeps when it is woken.
struct Drops;

impl Wake for Drops {
    fn wake(self: Arc<Self>) {
        drop(KEPT.take());
    }
}

fn t150_what_wakers_and_destructors_drop_is_closed_at_once<R: Runtime>() {
    dropped::<R>(|runtime, object| {
        KEPT.set(vec![object]);
        let (stream, _peer) = runtime.block_on(async { half_pair() });
        let mut read = stream.read(vec![0; 100_000]);
        runtime.block_on(async {
            // What it waits for ends when this future has returned.
            let waker = Waker::from(Arc::new(Drops));
            assert!(std::pin::Pin::new(&mut read).poll(&mut Context::from_waker(&waker)).is_pending());
            turns(1).await;
            proactor::io::Cancellable::request_cancel(&mut read);
        });
        drop(KEPT.take());
    });
    // A chain: the buffer of each operation has the next stream and operation.
    let runtime = R::new().unwrap();
    let (chain, peers) = runtime.block_on(async {
        let mut chain: Option<Box<dyn Any>> = None;
        let mut peers = Vec::new();
        for _ in 0..40 {
            let (stream, peer) = nonblocking_peer();
            let mut next = chain.take();
            let mut read = boxed(stream.read(Acts(vec![0; 100_000], move || drop(next.take()))));
            assert!(poll_once(&mut read).await.is_pending());
            chain = Some(Box::new((stream, read)));
            peers.push(ends(peer));
        }
        turns(2).await;
        (chain, peers)
    });
    drop(chain);
    assert!(peers.iter().all(|ends| ends()));
    runtime.block_on(nothing_is_left(&runtime));
    end(runtime);
}

/// A drop outside of the loop may find that others' operations have ended: they are told by the loop.
fn t151_a_drop_outside_its_loop_runs_no_waker<R: Runtime>() {
    let runtime = R::new().unwrap();
    let noted = Arc::new(Noted::default());
    let (object, read, mut peer) = runtime.block_on(async {
        let object = sockets().await.remove(1);
        let (ours, peer) = half_pair();
        let mut read = ours.read(vec![0; 100_000]);
        let waker = Waker::from(noted.clone());
        assert!(std::pin::Pin::new(&mut read).poll(&mut Context::from_waker(&waker)).is_pending());
        turns(2).await;
        (object, read, peer)
    });
    peer.write_all(b"x").unwrap();
    let is_closed = object.is_closed;
    drop(object.parts);
    is_closed_in_the_end(&is_closed);
    assert!(!noted.is_woken(), "a drop ran the waker of another's");
    runtime.block_on(async {
        until(|| noted.is_woken()).await;
        assert_eq!(read.await.unwrap().0, 1);
    });
    end(runtime);
}

/// What such a drop has found and not told is told before the loop sleeps.
fn t151_what_came_with_a_drop_outside_is_not_slept_over<R: Runtime>() {
    struct Relay(Arc<Noted>, Waker);
    impl Wake for Relay {
        fn wake(self: Arc<Self>) {
            Arc::clone(&self.0).wake();
            self.1.wake_by_ref();
        }
    }
    let runtime = R::new().unwrap();
    for _ in 0..20 {
        let noted = Arc::new(Noted::default());
        let (object, mut read, mut peer) = runtime.block_on(async {
            let object = sockets().await.remove(1);
            let (ours, peer) = half_pair();
            let mut read = ours.read(vec![0; 100_000]);
            // It wakes the future of `block_on`, in a way of its own.
            let waker = Waker::from(Arc::new(Relay(noted.clone(), my_waker().await)));
            assert!(std::pin::Pin::new(&mut read).poll(&mut Context::from_waker(&waker)).is_pending());
            turns(2).await;
            (object, read, peer)
        });
        peer.write_all(b"x").unwrap();
        drop(object);
        let mut polled = false;
        runtime.block_on(std::future::poll_fn(|_| {
            polled = true;
            if noted.is_woken() { Poll::Ready(()) } else { Poll::Pending }
        }));
        assert!(polled);
        assert_eq!(runtime.block_on(&mut read).unwrap().0, 1);
    }
    end(runtime);
}

/// Turns the loop now and then until something holds.
fn until_with<R: Runtime>(runtime: &R, holds: impl Fn() -> bool) {
    while !holds() {
        runtime.block_on(turns(1));
    }
}

fn t150_what_is_dropped_outside_a_loop_with_a_polling_thread_is_closed<R: Runtime>() {
    let runtime = R::with_config(&Config::new().sqpoll(Duration::from_millis(1))).unwrap();
    for order in [Order::OperationFirst, Order::ObjectFirst] {
        for mut held in runtime.block_on(objects::<R>()) {
            drop(held.take(order));
            // The thread in the kernel may take its time, on a busy machine more than a drop waits.
            until_with(&runtime, || (held.is_closed)());
        }
    }
    end(runtime);
}
