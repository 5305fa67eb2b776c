//! Cancellation storms: proxies, servers and receivers that give up at random on every await but `cancel().await`, a
//! hundred thousand times. Not one byte, datagram or connection is lost, doubled or out of order, and in the end
//! everything is where it began.
//!
//! A storm is a function of its seed and of the machine's timing; the seed is printed when it fails, and
//! `PROACTOR_SEED` replays it. `PROACTOR_LONG=1` gives up ten million times.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proactor::buf::Chunk;
use proactor::net::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream, UdpSocket, direct};
use proactor::time::timeout;
use proactor::{Config, Feature, Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    a_proxy_that_gives_up_loses_no_byte,
    an_acceptor_that_gives_up_loses_no_connection,
    an_acceptor_of_direct_descriptors_that_gives_up_loses_no_connection,
    a_receiver_that_gives_up_loses_no_datagram,
}

/// Gives up at random, and counts.
#[derive(Clone)]
struct Fickle {
    random: Rc<RefCell<fastrand::Rng>>,
    given_up: Rc<Cell<u64>>,
}

impl Fickle {
    fn new(seed: u64) -> Self {
        Fickle { random: Rc::new(RefCell::new(fastrand::Rng::with_seed(seed))), given_up: Rc::default() }
    }

    fn below(&self, limit: usize) -> usize {
        self.random.borrow_mut().usize(..limit)
    }

    /// Waits for the future, for some turns at most; gives it back when that was too short.
    async fn wait<F: Future + Unpin>(&self, mut future: F) -> Result<F::Output, F> {
        let patience = self.below(6);
        for turn in 0..=patience {
            if let std::task::Poll::Ready(output) = poll_once(&mut future).await {
                return Ok(output);
            }
            if turn < patience {
                match self.below(3) {
                    0 => yield_now().await,
                    1 => turns(1).await,
                    _ => {
                        // As a timeout gives up: in a poll of the task's own waker.
                        let limit = std::time::Duration::from_micros(self.below(30) as u64);
                        if let Ok(output) = timeout(limit, &mut future).await {
                            return Ok(output);
                        }
                    }
                }
            }
        }
        self.given_up.set(self.given_up.get() + 1);
        Err(future)
    }

    /// Begins the future anew until it has its result.
    async fn insist<F: Future + Unpin>(&self, mut begin: impl FnMut() -> F) -> F::Output {
        loop {
            if let Ok(output) = self.wait(begin()).await {
                return output;
            }
        }
    }
}

/// The storm's seed: another for each run, unless one is asked for.
fn with_seed(storm: impl FnOnce(u64)) {
    let seed =
        std::env::var("PROACTOR_SEED").ok().map(|seed| seed.parse().expect("PROACTOR_SEED is a number"));
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    struct Say(u64);
    impl Drop for Say {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the storm's seed: PROACTOR_SEED={}", self.0);
            }
        }
    }
    let _say = Say(seed);
    storm(seed);
}

/// Each feature masked in turn, for some give-ups, and everything in use for most.
fn storms<R: Runtime>(short: u64, long: u64) -> Vec<(Config, u64)> {
    let most = rounds(short as usize, long as usize) as u64;
    let fewer = match () {
        _ if is_long() => 1,
        _ if slowness() >= 4 => 16, // emulated, that is
        _ if is_sanitized() => 4,
        _ => 1,
    };
    let most = most / fewer;
    let mut storms = vec![
        (Config::new(), most),
        (Config::new().stream_buffers(2).ring_entries(8).grow_ring(true), most / 10),
    ];
    let ours = |feature: &Feature| (*feature == Feature::EpollPwait2) != is_proactor::<R>();
    for feature in Feature::ALL.iter().copied().filter(ours) {
        storms.push((Config::new().mask(feature), most / 20));
    }
    storms
}

/// Runs storms in processes of their own, where nothing else has descriptors; afterwards all must be as before.
fn storm<R: Runtime>(short: u64, long: u64, storm: impl AsyncFn(&Fickle, u64)) {
    alone(|| {
        with_seed(|seed| {
            for (number, (config, give_ups)) in storms::<R>(short, long).into_iter().enumerate() {
                let runtime = R::with_config(&config).unwrap();
                let before = descriptors();
                let fickle = Fickle::new(seed.wrapping_add(number as u64));
                runtime.block_on(async {
                    storm(&fickle, give_ups).await;
                    assert!(fickle.given_up.get() >= give_ups);
                    let nothing = || {
                        let live = runtime.report().live;
                        (live.tasks, live.ops, live.multishot, live.direct, live.buffers) == (0, 0, 0, 0, 0)
                    };
                    until(nothing).await;
                });
                assert_eq!(descriptors(), before);
                end(runtime);
            }
        });
    });
}

// ---------------------------------------------------------------- a proxy

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Each side ends its direction when it has sent everything.
    HalfClosed,
    /// The client resets the connection on its way.
    Reset,
}

/// The bytes of connection `id`: no two have the same.
fn bytes_of(id: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(id);
    (0..len).map(|_| random.u8(..)).collect()
}

/// Connects to the proxy, sends its bytes in odd pieces, and gets them back in order, whole unless it has reset.
fn client(proxy: SocketAddr, id: u64, ending: Ending) {
    let mut random = fastrand::Rng::with_seed(!id);
    let bytes = [&id.to_be_bytes()[..], &bytes_of(id, random.usize(..40_000))].concat();
    let mut stream = std::net::TcpStream::connect(proxy).unwrap();
    if random.bool() {
        socket2::SockRef::from(&stream).set_recv_buffer_size(4_096).unwrap();
        socket2::SockRef::from(&stream).set_send_buffer_size(4_096).unwrap();
    }
    let until = if ending == Ending::Reset { random.usize(..=bytes.len()) } else { bytes.len() };
    let mut reader = stream.try_clone().unwrap();
    let expected = bytes.clone();
    let reading = std::thread::spawn(move || {
        let mut received = Vec::new();
        let mut buffer = vec![0; 3_000];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return (received, true),
                Ok(count) => {
                    received.extend_from_slice(&buffer[..count]);
                    assert!(
                        expected.starts_with(&received),
                        "connection {id}: bytes lost, doubled or out of order"
                    );
                }
                Err(error) if ending == Ending::Reset => {
                    assert!(
                        matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                        "{error}"
                    );
                    return (received, false);
                }
                Err(error) => panic!("connection {id}: {error}"),
            }
        }
    });
    let mut sent = 0;
    while sent < until {
        let piece = random.usize(1..5_000).min(until - sent);
        stream.write_all(&bytes[sent..sent + piece]).unwrap();
        sent += piece;
    }
    match ending {
        Ending::HalfClosed => {
            stream.shutdown(Shutdown::Write).unwrap();
            let (received, ended) = reading.join().unwrap();
            assert!(ended);
            assert_bytes(&received, &bytes);
        }
        Ending::Reset => {
            socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
            stream.shutdown(Shutdown::Read).unwrap();
            drop(stream); // the reader's copy goes when it has seen the end
            reading.join().unwrap();
        }
    }
}

/// Sends back what comes, and looks at it: it is the beginning of what the connection's client sends.
fn server(listener: &std::net::TcpListener, over: &AtomicBool) {
    let mut serving = Vec::new();
    loop {
        let (stream, _) = listener.accept().unwrap();
        if over.load(Ordering::SeqCst) {
            break;
        }
        serving.push(std::thread::spawn(move || serve(stream)));
        serving.retain(|serving| !serving.is_finished());
    }
    serving.into_iter().for_each(|serving| serving.join().unwrap());
}

fn serve(mut stream: std::net::TcpStream) {
    let mut id = [0; 8];
    if stream.read_exact(&mut id).is_err() {
        return; // a connect that was given up
    }
    stream.write_all(&id).unwrap_or_default();
    let expected = bytes_of(u64::from_be_bytes(id), 40_000);
    let (mut seen, mut buffer) = (0, vec![0; 5_000]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        assert_bytes(&buffer[..count], &expected[seen..seen + count]);
        seen += count;
        if stream.write_all(&buffer[..count]).is_err() {
            return; // its client has gone
        }
    }
}

/// What one direction of a proxy goes through.
struct Pump {
    fickle: Fickle,
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
}

impl Pump {
    async fn run(self) {
        loop {
            match self.receive().await {
                ControlFlow::Continue(chunk) => {
                    if self.send(chunk).await.is_break() {
                        return; // the other side has gone
                    }
                }
                ControlFlow::Break(true) => return, // dropping the half ends the direction
                ControlFlow::Break(false) => {
                    // A reset goes on as one.
                    let _ =
                        socket2::SockRef::from(self.to.as_ref()).set_linger(Some(std::time::Duration::ZERO));
                    return;
                }
            }
        }
    }

    /// Some bytes, received in one of several ways; or the end, and whether it was in order.
    async fn receive(&self) -> ControlFlow<bool, Chunk> {
        let fickle = &self.fickle;
        let received = loop {
            let size = [1, 10, 1_000, 40_000][fickle.below(4)];
            match fickle.below(5) {
                0 | 1 => match fickle.wait(self.from.recv()).await {
                    Ok(received) => break received.map(Option::unwrap_or_default),
                    Err(pending) if fickle.below(2) == 0 => match pending.cancel().await {
                        Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {}
                        received => break received.map(Option::unwrap_or_default),
                    },
                    Err(pending) => drop(pending),
                },
                2 => match fickle.wait(self.from.read(Vec::with_capacity(size))).await {
                    Ok(received) => break received.map(|(_, buf)| Chunk::from(&buf[..])).map_err(Into::into),
                    Err(pending) if fickle.below(2) == 0 => match pending.cancel().await {
                        Err(error) if error.error().raw_os_error() == Some(libc::ECANCELED) => {}
                        received => break received.map(|(_, buf)| Chunk::from(&buf[..])).map_err(Into::into),
                    },
                    Err(pending) => drop(pending),
                },
                // Bytes of the steps before it was dropped are not lost either.
                3 => match fickle.wait(self.from.read_exact(Vec::with_capacity(5))).await {
                    Ok(Ok((_, buf))) => break Ok(Chunk::from(&buf[..])),
                    // Fewer than five were left.
                    Ok(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                        break Ok(Chunk::from(&error.into_buf()[..]));
                    }
                    Ok(Err(error)) => break Err(error.into()),
                    Err(pending) => drop(pending),
                },
                _ => {
                    let bufs = [Vec::with_capacity(3), Vec::with_capacity(size)];
                    match fickle.wait(self.from.read_vectored(bufs)).await {
                        Ok(Ok((_, bufs))) => break Ok(Chunk::from(&bufs.concat()[..])),
                        Ok(Err(error)) => break Err(error.into()),
                        Err(pending) => drop(pending),
                    }
                }
            }
        };
        let received: std::io::Result<Chunk> = received;
        match received {
            Ok(chunk) if chunk.is_empty() => ControlFlow::Break(true),
            Ok(chunk) => ControlFlow::Continue(chunk),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::TimedOut), "{error}");
                ControlFlow::Break(false)
            }
        }
    }

    async fn send(&self, mut chunk: Chunk) -> ControlFlow<()> {
        let fickle = &self.fickle;
        while !chunk.is_empty() {
            let before = self.to.as_ref().bytes_sent();
            let written = match fickle.wait(self.to.write(chunk.clone())).await {
                Ok(written) => written.map(drop).map_err(std::io::Error::from),
                Err(pending) if fickle.below(2) == 0 => match pending.cancel().await {
                    Err(error) if error.error().raw_os_error() == Some(libc::ECANCELED) => Ok(()),
                    written => written.map(drop).map_err(std::io::Error::from),
                },
                Err(pending) => {
                    drop(pending);
                    // A later write, of nothing, waits until the fate of the dropped one is known.
                    fickle.insist(|| self.to.write("")).await.map(drop).map_err(std::io::Error::from)
                }
            };
            chunk.advance((self.to.as_ref().bytes_sent() - before) as usize);
            if let Err(error) = written {
                assert!(
                    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
                    "{error}"
                );
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

fn a_proxy_that_gives_up_loses_no_byte<R: Runtime>() {
    storm::<R>(100_000, 10_000_000, async |fickle, give_ups| {
        let behind = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server_address = behind.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let serving = thread({
            let over = over.clone();
            move || server(&behind, &over)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy_address = listener.local_addr().unwrap();
        let mut id = 0;
        while fickle.given_up.get() < give_ups {
            let running = Arc::new(AtomicU64::new(16));
            let clients: Vec<_> = (0..16)
                .map(|number| {
                    id += 1;
                    let (id, ending) = (id, if number % 5 == 0 { Ending::Reset } else { Ending::HalfClosed });
                    let running = running.clone();
                    thread(move || {
                        client(proxy_address, id, ending);
                        running.fetch_sub(1, Ordering::SeqCst);
                    })
                })
                .collect();
            let mut pumps = Vec::new();
            // One that was reset before it was accepted does not come.
            loop {
                let inner = match fickle.wait(listener.accept()).await {
                    Ok(accepted) => accepted.unwrap().0,
                    Err(_) if running.load(Ordering::SeqCst) == 0 => break,
                    Err(_) => continue,
                };
                let outer = fickle.insist(|| TcpStream::connect(server_address)).await.unwrap();
                if fickle.below(2) == 0 {
                    outer.set_recv_buffer_size(4_096).unwrap();
                    outer.set_send_buffer_size(4_096).unwrap();
                }
                let ((client_reads, client_writes), (server_reads, server_writes)) =
                    (inner.into_split(), outer.into_split());
                for (from, to) in [(client_reads, server_writes), (server_reads, client_writes)] {
                    pumps.push(spawn(Pump { fickle: fickle.clone(), from, to }.run()));
                }
            }
            for client in clients {
                client.ended().await;
            }
            for pump in pumps {
                pump.await.unwrap();
            }
        }
        over.store(true, Ordering::SeqCst);
        drop(std::net::TcpStream::connect(server_address)); // refused where the server has ended already
        serving.ended().await;
    });
}

// ---------------------------------------------------------------- connections

/// Clients connect and say who they are; all are accepted, each once and in order.
async fn connections<F: Future + Unpin>(
    fickle: &Fickle,
    give_ups: u64,
    address: SocketAddr,
    accept: impl Fn() -> F,
    id_of: impl AsyncFn(F::Output) -> [u8; 8],
) {
    let mut next = 0_u64;
    while fickle.given_up.get() < give_ups {
        let count = fickle.below(40) as u64;
        let connecting = thread(move || {
            let connect = |id: u64| {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                stream.write_all(&id.to_be_bytes()).unwrap();
                stream
            };
            (next..next + count).map(connect).collect::<Vec<_>>()
        });
        for expected in next..next + count {
            let id = id_of(fickle.insist(&accept).await).await;
            assert_eq!(u64::from_be_bytes(id), expected, "each once, in order");
        }
        next += count;
        drop(connecting.ended().await);
        // Nobody is there: all of these are given up.
        for _ in 0..fickle.below(20) {
            assert!(fickle.wait(accept()).await.is_err());
        }
    }
}

fn an_acceptor_that_gives_up_loses_no_connection<R: Runtime>() {
    storm::<R>(20_000, 1_000_000, async |fickle, give_ups| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let id_of = async |accepted: std::io::Result<(TcpStream, SocketAddr)>| {
            let (stream, peer) = accepted.unwrap();
            assert_eq!(peer, stream.peer_addr().unwrap());
            stream.read_exact([0; 8]).await.unwrap().1
        };
        connections(fickle, give_ups, address, || listener.accept(), id_of).await;
    });
}

fn an_acceptor_of_direct_descriptors_that_gives_up_loses_no_connection<R: Runtime>() {
    storm::<R>(20_000, 1_000_000, async |fickle, give_ups| {
        let listener = direct::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let id_of = async |accepted: std::io::Result<direct::TcpStream>| {
            accepted.unwrap().read_exact([0; 8]).await.unwrap().1
        };
        connections(fickle, give_ups, address, || listener.accept(), id_of).await;
    });
}

// ---------------------------------------------------------------- datagrams

fn a_receiver_that_gives_up_loses_no_datagram<R: Runtime>() {
    storm::<R>(20_000, 1_000_000, async |fickle, give_ups| {
        let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = ours.local_addr().unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.connect(address).unwrap();
        let mut next = 0_u64;
        while fickle.given_up.get() < give_ups {
            // As many as the socket's buffer holds for sure: no datagram is lost on the way.
            let count = fickle.below(20) as u64;
            for number in next..next + count {
                peer.send(&number.to_be_bytes()).unwrap();
            }
            for expected in next..next + count {
                let received: [u8; 8] = if fickle.below(2) == 0 {
                    let (datagram, sender) = fickle.insist(|| ours.recv_chunk()).await.unwrap();
                    assert_eq!(sender, peer.local_addr().unwrap());
                    (&datagram[..]).try_into().unwrap()
                } else {
                    let received = fickle.insist(|| ours.recv_from(Vec::with_capacity(8))).await;
                    received.unwrap().1.try_into().unwrap()
                };
                assert_eq!(u64::from_be_bytes(received), expected, "each once, in order");
            }
            next += count;
            for _ in 0..fickle.below(20) {
                assert!(fickle.wait(ours.recv_chunk()).await.is_err());
            }
        }
    });
}
