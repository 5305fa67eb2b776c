//! Operations that make a descriptor, dropped at every moment, leave none; and an operation means the file that had
//! the number when it began, whoever has it later.

use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use proactor::fs::File;
use proactor::net::{TcpListener, TcpStream, UdpSocket};
use proactor::{Config, Feature, Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    a_listener_is_gone_when_the_loop_has_been_left,
    t07_dropped_opens_leave_no_descriptor,
    t07_dropped_connects_and_binds_leave_no_descriptor;
    proactor:
    t06_a_connection_accepted_for_a_dropped_accept_is_kept_or_closed,
    t18_a_read_means_the_file_that_had_the_number,
    t18_a_receive_means_the_socket_that_had_the_number,
    t18_a_dropped_operation_never_means_the_next_owner_of_its_number,
}

/// However much else is to be done by then.
fn a_listener_is_gone_when_the_loop_has_been_left<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (mut peers, mut tasks) = (Vec::new(), Vec::new());
    let address = runtime.block_on(async {
        let listener = TcpListener::bind((own_host(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepting = Box::pin(listener.accept());
        assert!(poll_once(&mut accepting).await.is_pending());
        for _ in 0..100 {
            let (ours, peer) = half_pair();
            tasks.push(spawn(async move { while ours.recv().await.unwrap().is_some() {} }));
            peers.push(peer);
        }
        turns(3).await;
        for peer in &mut peers {
            peer.write_all(b"x").unwrap();
        }
        drop(accepting);
        address
    });
    let error = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    drop((tasks, peers));
    end(runtime);
}

// What makes connections in every round has short long forms: a closed connection keeps its port for a minute,
// and there are some 28,000 for all tests.

// ---------------------------------------------------------------- dropped accepts

/// When an accept is dropped, and when the client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Race {
    /// In one turn.
    ConnectThenDrop,
    /// In one turn: the kernel reports the client before it hears of the cancel, unless it makes completions only
    /// when the loop asks.
    DropThenConnect,
    /// The report is there.
    Completed,
    /// The kernel has given up.
    Cancelled,
}

fn t06_a_connection_accepted_for_a_dropped_accept_is_kept_or_closed<R: Runtime>() {
    alone(|| {
        for config in deliveries::<R>(&Config::new()) {
            let runtime = R::with_config(&config).unwrap();
            let before = descriptors();
            runtime.block_on(async {
                for _ in 0..rounds(10, 60) {
                    for race in
                        [Race::ConnectThenDrop, Race::DropThenConnect, Race::Completed, Race::Cancelled]
                    {
                        for taken in [true, false] {
                            accept_race(race, taken).await;
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
async fn accept_race(race: Race, taken: bool) {
    let sockets = || descriptors().iter().filter(|link| link.starts_with("socket:")).count();
    let others = sockets();
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
    assert_eq!(sockets(), others + 2, "the listener and the client: nobody has asked for the connection");
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

// ---------------------------------------------------------------- numbers that are used again

/// Settings under which an entry lies in the queue, or in the backlog because the kernel refuses enters.
fn queues<R: Runtime>() -> Vec<Config> {
    let mut configs = deliveries::<R>(&Config::new());
    configs.push(Config::new().ring_entries(8).fault(REFUSING));
    configs
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
                    assert!(poll_once(&mut write).await.is_pending());
                    // A job of the blocking pool would keep the number until it has reported back.
                    let cut = uses(&runtime, Feature::Ftruncate).then(|| file.set_len(7));
                    if let Some(mut cut) = cut {
                        assert!(poll_once(&mut cut).await.is_pending());
                    }
                    drop(write);
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
