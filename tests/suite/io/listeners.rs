//! Listeners that several loops or processes share, and what a listener holds: nothing is accepted before somebody asks.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::Poll;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use proactor::fs::File;
use proactor::net::{TcpListener, direct};
use proactor::{Config, Feature, Runtime};

use crate::kit::*;

tests! {
    t130_a_loop_that_is_away_takes_no_client_of_another,
    t131_two_loops_share_the_clients_of_a_listener,
    t132_connections_that_are_not_accepted_take_no_descriptors,
    t133_a_connection_that_was_reset_before_its_accept_is_accepted,
    t134_a_port_is_free_at_once_after_a_hard_end,
    t135_a_pending_accept_takes_nothing_before_it_is_polled,
    t136_a_listener_dropped_outside_its_loop_is_closed_at_once,
    t193_a_blocking_listener_whose_client_has_gone_stops_no_loop,
    t193_loops_that_share_a_blocking_listener_keep_running,
    t193_a_client_accepted_for_a_dropped_future_is_not_lost;
    proactor:
    t137_a_blocking_listener_does_not_stop_the_loop,
}

const MASKS: &[&[Feature]] =
    &[&[], &[Feature::DirectDescriptors], &[Feature::DeferTaskrun, Feature::CoopTaskrun]];

/// The backend, and each of its forms on which accepts depend.
fn machines<R: Runtime>() -> impl Iterator<Item = Config> {
    let count = if is_proactor::<R>() { MASKS.len() } else { 1 };
    MASKS[..count].iter().map(|mask| Config::new().mask_all(mask.iter().copied()))
}

/// A listener of either type.
enum Listener {
    Plain(TcpListener),
    Direct(direct::TcpListener),
}

impl Listener {
    fn new(direct: bool, listener: &std::net::TcpListener) -> Self {
        let listener = listener.try_clone().unwrap();
        match direct {
            false => Listener::Plain(TcpListener::from_std(listener).unwrap()),
            true => Listener::Direct(direct::TcpListener::from_std(listener).unwrap()),
        }
    }

    /// Accepts a client, sends it a byte, and closes the connection.
    async fn serve(&self) {
        match self {
            Listener::Plain(listener) => {
                let (stream, _) = listener.accept().await.unwrap();
                stream.write_all(b"x".to_vec()).await.unwrap();
                stream.close().await.unwrap();
            }
            Listener::Direct(listener) => {
                let stream = listener.accept().await.unwrap();
                stream.write_all(b"x".to_vec()).await.unwrap();
                stream.close().await.unwrap();
            }
        }
    }
}

/// Waits until the server has sent its byte.
fn served(mut client: std::net::TcpStream) {
    assert_eq!(client.read(&mut [0; 2]).unwrap(), 1);
}

/// What a loop does that leaves a listener alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    Computes,
    Sleeps,
    /// And one of its tasks waits in an accept.
    SleepsInAccept,
    OutsideBlockOn,
    OutsideBlockOnInAccept,
    ListenerDropped,
}

const AWAY: [Away; 6] = [
    Away::Computes,
    Away::Sleeps,
    Away::SleepsInAccept,
    Away::OutsideBlockOn,
    Away::OutsideBlockOnInAccept,
    Away::ListenerDropped,
];

/// Stays away until it is called back.
struct Absence {
    begins: mpsc::Sender<()>,
    over: Arc<AtomicBool>,
    ends: mpsc::Receiver<()>,
}

impl Absence {
    fn stay(&self, away: Away) {
        self.begins.send(()).unwrap();
        if away == Away::Computes {
            while !self.over.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
        }
        self.ends.recv().unwrap();
    }
}

/// A loop that accepts once and is then away.
fn accept_once_and_leave<R: Runtime>(
    config: &Config,
    away: Away,
    direct: bool,
    listener: &std::net::TcpListener,
    absence: &Absence,
) {
    let runtime = R::with_config(config).unwrap();
    let listener = runtime.block_on(async {
        let listener = Listener::new(direct, listener);
        listener.serve().await;
        listener
    });
    match away {
        Away::Computes | Away::Sleeps => runtime.block_on(async { absence.stay(away) }),
        Away::SleepsInAccept => runtime.block_on(async {
            let mut accept = Box::pin(listener.serve());
            assert!(poll_once(&mut accept).await.is_pending());
            turns(2).await;
            absence.stay(away);
        }),
        Away::OutsideBlockOn => absence.stay(away),
        Away::OutsideBlockOnInAccept => {
            let mut accept = Box::pin(listener.serve());
            runtime.block_on(async {
                assert!(poll_once(&mut accept).await.is_pending());
                turns(2).await;
            });
            absence.stay(away);
        }
        Away::ListenerDropped => {
            drop(listener);
            absence.stay(away);
        }
    }
    end(runtime);
}

fn t130_a_loop_that_is_away_takes_no_client_of_another<R: Runtime>() {
    for config in machines::<R>() {
        for (away, direct) in AWAY.into_iter().flat_map(|away| [(away, false), (away, true)]) {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let (begins, begun) = mpsc::channel();
            let (end_it, ends) = mpsc::channel();
            let over = Arc::new(AtomicBool::new(false));
            let absence = Absence { begins, over: over.clone(), ends };
            let (shared, of_the_other) = (listener.try_clone().unwrap(), config.clone());
            let other = std::thread::spawn(move || {
                accept_once_and_leave::<R>(&of_the_other, away, direct, &shared, &absence);
            });
            served(std::net::TcpStream::connect(address).unwrap());
            begun.recv().unwrap();
            let runtime = R::with_config(&config).unwrap();
            runtime.block_on(async {
                let listener = Listener::new(direct, &listener);
                for _ in 0..5 {
                    let mut accept = Box::pin(listener.serve());
                    assert!(poll_once(&mut accept).await.is_pending());
                    turns(2).await;
                    let client = std::net::TcpStream::connect(address).unwrap();
                    accept.await;
                    served(client);
                }
            });
            over.store(true, Ordering::SeqCst);
            end_it.send(()).unwrap();
            other.join().unwrap();
            end(runtime);
        }
    }
}

fn t131_two_loops_share_the_clients_of_a_listener<R: Runtime>() {
    const EACH: usize = 300;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let counts: Arc<[AtomicUsize; 2]> = Arc::default();
    let loops = [0, 1].map(|own| {
        let (listener, counts) = (listener.try_clone().unwrap(), counts.clone());
        std::thread::spawn(move || {
            run::<R>(async {
                let listener = Listener::new(false, &listener);
                for count in 1..=EACH {
                    listener.serve().await;
                    counts[own].store(count, Ordering::SeqCst);
                    // Busy, until the other has served nearly as many.
                    while count > counts[1 - own].load(Ordering::SeqCst) + 3 {
                        std::thread::yield_now();
                    }
                }
            });
        })
    });
    for _ in 0..2 * EACH / 10 {
        let clients: Vec<_> = (0..10).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        clients.into_iter().for_each(served);
    }
    loops.into_iter().for_each(|handle| handle.join().unwrap());
}

fn t132_connections_that_are_not_accepted_take_no_descriptors<R: Runtime>() {
    alone(|| {
        let folder = TempDir::new();
        let path = folder.file("file", b"content");
        for config in machines::<R>() {
            let runtime = R::with_config(&config).unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let mut clients: Vec<_> =
                    (0..60).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
                clients.iter_mut().for_each(|client| client.write_all(b"?").unwrap());
                let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
                let taken = std::os::fd::AsRawFd::as_raw_fd(&std::fs::File::open("/dev/null").unwrap());
                setrlimit(Resource::RLIMIT_NOFILE, taken as u64 + 24, hard).unwrap();
                for _ in 0..clients.len() {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.read_exact([0; 1]).await.unwrap();
                    turns(2).await;
                    let file = File::open(&path).await.unwrap();
                    let (_, content) = file.read_at(Vec::with_capacity(7), 0).await.unwrap();
                    stream.write_all(content).await.unwrap();
                }
                setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
                for client in clients {
                    assert_eq!(read_to_end(client), b"content");
                }
            });
            end(runtime);
        }
    });
}

fn t133_a_connection_that_was_reset_before_its_accept_is_accepted<R: Runtime>() {
    for config in machines::<R>() {
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let connect_and_reset = || {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                let own = client.local_addr().unwrap();
                client.write_all(b"bytes").unwrap();
                reset(client);
                own
            };
            for (waits, chunks) in [(false, false), (false, true), (true, false), (true, true)] {
                let mut accept = Box::pin(listener.accept());
                if waits {
                    assert!(poll_once(&mut accept).await.is_pending());
                    turns(2).await;
                }
                let client = connect_and_reset();
                let next = std::net::TcpStream::connect(address).unwrap();
                let (stream, peer) = accept.await.unwrap();
                assert_eq!(peer, client);
                let error = if chunks {
                    assert_eq!(stream.recv().await.unwrap().unwrap(), *b"bytes");
                    stream.recv().await.unwrap_err()
                } else {
                    assert_eq!(stream.read_exact([0; 5]).await.unwrap().1, *b"bytes");
                    stream.read([0; 1]).await.unwrap_err().into_parts().0
                };
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                assert_eq!(listener.accept().await.unwrap().1, next.local_addr().unwrap());
            }
            // One of them becomes a direct descriptor.
            let listener = direct::TcpListener::from(listener);
            connect_and_reset();
            let stream = listener.accept().await.unwrap();
            assert_eq!(stream.recv().await.unwrap().unwrap(), *b"bytes");
            assert_eq!(stream.recv().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        });
        end(runtime);
    }
}

const ADDRESS_VARIABLE: &str = "SUITE_ADDRESS";

/// A server that has accepted, waits for the next client and for the first one's bytes, and then ends without being
/// asked to.
fn serve_until<R: Runtime>(end: impl FnOnce()) {
    let address: SocketAddr = std::env::var(ADDRESS_VARIABLE).unwrap().parse().unwrap();
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (mut accept, mut receive) = (listener.accept(), stream.recv());
        assert!(poll_once(&mut accept).await.is_pending());
        assert!(poll_once(&mut receive).await.is_pending());
        turns(3).await;
        end();
    });
}

fn t134_a_port_is_free_at_once_after_a_hard_end<R: Runtime>() {
    let port = std::net::TcpListener::bind((own_host(), 0)).unwrap().local_addr().unwrap().port();
    let address = SocketAddr::from(SocketAddrV4::new(own_host(), port));
    let ends: [(&str, Option<i32>); 3] =
        [("killed", Some(libc::SIGKILL)), ("terminated", Some(libc::SIGTERM)), ("exit", None)];
    for (name, signal) in ends {
        for round in 0..rounds(5, 30) {
            let mut child =
                Alone::new().case(format!("{name} {round}")).env(ADDRESS_VARIABLE, &address.to_string());
            if let Some(signal) = signal {
                child = child.killed_by(signal);
            }
            let ended = child.run(|| {
                serve_until::<R>(|| match signal {
                    // SAFETY: it takes numbers, and ends this process.
                    Some(signal) => assert_eq!(unsafe { libc::kill(libc::getpid(), signal) }, 0),
                    None => std::process::exit(0),
                });
            });
            if ended.is_some() {
                drop(std::net::TcpListener::bind(address).unwrap()); // with SO_REUSEADDR
            }
        }
    }
}

fn t135_a_pending_accept_takes_nothing_before_it_is_polled<R: Runtime>() {
    for config in machines::<R>() {
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            for round in 0..30 {
                let mut accept = Box::pin(listener.accept());
                assert!(poll_once(&mut accept).await.is_pending());
                turns(round % 3).await;
                let mut clients = connect_in_order(&listener, address, 4).await;
                turns(2).await;
                assert_eq!(backlog(&listener), 4);
                if round % 2 == 0 {
                    assert_eq!(accept.await.unwrap().1, clients.remove(0).local_addr().unwrap());
                } else {
                    drop(accept);
                }
                turns(round % 3).await;
                assert_eq!(backlog(&listener), clients.len() as u32);
                for client in clients {
                    assert_eq!(listener.accept().await.unwrap().1, client.local_addr().unwrap());
                }
            }
        });
        end(runtime);
    }
}

fn t136_a_listener_dropped_outside_its_loop_is_closed_at_once<R: Runtime>() {
    for config in machines::<R>() {
        let runtime = R::with_config(&config).unwrap();
        let (listener, accept) = runtime.block_on(async {
            let listener = TcpListener::bind((own_host(), 0)).await.unwrap();
            drop(std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap());
            drop(listener.accept().await.unwrap());
            let mut accept = listener.accept();
            assert!(poll_once(&mut accept).await.is_pending());
            turns(2).await;
            (listener, accept)
        });
        let address = listener.local_addr().unwrap();
        drop(accept);
        drop(listener);
        let error = std::net::TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        drop(std::net::TcpListener::bind(address).unwrap());
        end(runtime);
    }
}

/// Another process that has the descriptor may make it blocking.
fn t137_a_blocking_listener_does_not_stop_the_loop<R: Runtime>() {
    for config in machines::<R>() {
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            let ours = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = ours.local_addr().unwrap();
            let shared = ours.try_clone().unwrap();
            let listener = TcpListener::from_std(ours).unwrap();
            for _ in 0..5 {
                shared.set_nonblocking(false).unwrap();
                let mut accept = Box::pin(listener.accept());
                assert!(poll_once(&mut accept).await.is_pending());
                turns(2).await;
                assert!(poll_once(&mut accept).await.is_pending());
                let client = std::net::TcpStream::connect(address).unwrap();
                assert_eq!(accept.await.unwrap().1, client.local_addr().unwrap());
                // Now it is taken to have another, and has none.
            }
            drop(shared);
        });
        end(runtime);
    }
}

/// A listener that is made blocking may have lost its client to another when the loop comes to accept it.
fn t193_a_blocking_listener_whose_client_has_gone_stops_no_loop<R: Runtime>() {
    for config in machines::<R>() {
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            for direct in [false, true] {
                let shared = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let address = shared.local_addr().unwrap();
                let listener = Listener::new(direct, &shared);
                for _ in 0..3 {
                    shared.set_nonblocking(false).unwrap();
                    let mut serve = Box::pin(listener.serve());
                    assert!(poll_once(&mut serve).await.is_pending());
                    turns(2).await;
                    let first = std::net::TcpStream::connect(address).unwrap();
                    turns(2).await; // the loop hears of the client
                    let (taken, _) = shared.accept().unwrap();
                    for _ in 0..3 {
                        assert!(poll_once(&mut serve).await.is_pending());
                        turns(2).await;
                    }
                    drop((taken, first));
                    let second = std::net::TcpStream::connect(address).unwrap();
                    serve.await;
                    served(second);
                }
            }
        });
        runtime.block_on(nothing_is_left(&runtime));
        end(runtime);
    }
}

/// The ring may have accepted for a future that is dropped then.
fn t193_a_client_accepted_for_a_dropped_future_is_not_lost<R: Runtime>() {
    for config in machines::<R>() {
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            for (gives_away, before_drop) in [(false, 0), (false, 2), (true, 2)] {
                let shared = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let address = shared.local_addr().unwrap();
                let listener = TcpListener::from_std(shared).unwrap();
                let mut accept = listener.accept();
                assert!(poll_once(&mut accept).await.is_pending());
                turns(2).await;
                let client = std::net::TcpStream::connect(address).unwrap();
                turns(2).await;
                if let Poll::Ready(accepted) = poll_once(&mut accept).await {
                    // No ring accepts.
                    assert_eq!(accepted.unwrap().1, client.local_addr().unwrap());
                    continue;
                }
                turns(before_drop).await;
                drop(accept);
                if gives_away {
                    let (_listener, connections) = listener.into_owned_fd().await.unwrap();
                    let [connection] = <[_; 1]>::try_from(connections).unwrap();
                    let connection = std::net::TcpStream::from(connection);
                    assert_eq!(connection.peer_addr().unwrap(), client.local_addr().unwrap());
                } else {
                    assert_eq!(listener.accept().await.unwrap().1, client.local_addr().unwrap());
                }
            }
        });
        runtime.block_on(nothing_is_left(&runtime));
        end(runtime);
    }
}

/// Every client wakes all loops, and one of them gets it.
fn t193_loops_that_share_a_blocking_listener_keep_running<R: Runtime>() {
    const CLIENTS: usize = 100;
    for config in machines::<R>() {
        let shared = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = shared.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let counts: Arc<[AtomicUsize; 2]> = Arc::default();
        let loops = [0, 1].map(|own| {
            let (listener, over, counts) = (shared.try_clone().unwrap(), over.clone(), counts.clone());
            let config = config.clone();
            std::thread::spawn(move || {
                let runtime = R::with_config(&config).unwrap();
                runtime.block_on(async {
                    let listener = Listener::new(false, &listener);
                    let server = proactor::spawn(async move {
                        loop {
                            listener.serve().await;
                        }
                    });
                    while !over.load(Ordering::SeqCst) {
                        turns(1).await;
                        counts[own].fetch_add(1, Ordering::SeqCst);
                    }
                    assert!(server.cancel().await.is_err());
                });
                end(runtime);
            })
        });
        let both_go_on = || {
            for count in counts.iter() {
                let before = count.load(Ordering::SeqCst);
                while count.load(Ordering::SeqCst) < before + 5 {
                    std::thread::yield_now();
                }
            }
        };
        both_go_on();
        for _ in 0..CLIENTS {
            shared.set_nonblocking(false).unwrap();
            served(std::net::TcpStream::connect(address).unwrap());
            both_go_on();
        }
        over.store(true, Ordering::SeqCst);
        loops.into_iter().for_each(|handle| handle.join().unwrap());
    }
}
