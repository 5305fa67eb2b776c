//! Pipes, and descriptors of others: `io::pipe`, `AsyncFd`.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use proactor::buf::Chunk;
use proactor::io::{AsyncFd, PipeReader, PipeWriter, direct, pipe};
use proactor::{Config, Feature, Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    a_pipe_carries_bytes,
    a_pipe_delivers_all_bytes_to_every_kind_of_read,
    a_dropped_read_of_a_pipe_loses_no_byte,
    a_write_to_a_pipe_waits_for_room,
    a_broken_pipe_is_an_error,
    a_pipe_ends_with_its_last_writer,
    a_pipe_of_others_is_taken_over,
    a_quiet_pipe_keeps_what_was_read,
    a_direct_pipe_is_a_pipe,
    readiness_is_a_level,
    attempts_are_made_until_one_succeeds,
    attempts_take_turns,
    attempts_from_many_tasks_lose_nothing,
    a_wait_for_readiness_can_be_given_up,
    an_object_s_end_is_readiness,
    the_object_comes_back,
    an_object_is_released_at_once,
    attempts_that_succeed_let_the_others_run,
    waiters_that_another_task_forestalled_are_notified_again,
    an_attempt_in_vain_is_woken_by_the_next_event,
    attempts_wait_although_an_error_lies_in_its_queue,
    pipes_of_packets_and_terminals_give_all_they_have,
    an_installed_pipe_is_still_a_pipe;
    proactor:
    attempts_share_one_operation,
    a_pipe_has_one_operation_for_all_chunks,
}

/// The backend with each feature in use, and with each of those masked that these stand on.
fn on_machines<R: Runtime>(test: impl AsyncFn(&R)) {
    let masks: &[&[Feature]] = &[
        &[],
        &[Feature::MultishotRead],
        &[Feature::MultishotPoll],
        &[Feature::BufferRing],
        &[Feature::IncrementalBuffers],
        &[Feature::DirectDescriptors],
        &[Feature::MultishotRead, Feature::DirectDescriptors],
        &[Feature::DeferTaskrun, Feature::CoopTaskrun],
    ];
    with_masks(masks, test);
}

async fn collect(reader: &PipeReader) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = reader.recv().await.unwrap() {
        assert!(!chunk.is_empty());
        all.extend_from_slice(&chunk);
    }
    all
}

fn a_pipe_carries_bytes<R: Runtime>() {
    on_machines(async |_: &R| {
        for len in [0, 1, 5_000, 1_000_000] {
            let (reader, writer) = pipe().unwrap();
            let sent = pattern(len);
            let writing = spawn({
                let sent = sent.clone();
                async move {
                    for part in sent.chunks(70_001) {
                        writer.write_all(part.to_vec()).await.unwrap();
                    }
                    writer.bytes_written()
                }
            });
            assert_bytes(&collect(&reader).await, &sent);
            assert_eq!(writing.await.unwrap(), len as u64);
            assert_eq!(reader.recv().await.unwrap(), None, "the end stays the end");
            assert_eq!(reader.read([0; 4]).await.unwrap().0, 0);
        }
    });
}

fn a_pipe_delivers_all_bytes_to_every_kind_of_read<R: Runtime>() {
    on_machines(async |_: &R| {
        let (reader, writer) = pipe().unwrap();
        let sent = pattern(300_000);
        let writing = spawn({
            let sent = sent.clone();
            async move { drop(writer.write_all(sent).await.unwrap()) }
        });
        let mut received = Vec::new();
        for round in 0.. {
            let before = received.len();
            match round % 4 {
                0 => received.extend_from_slice(&reader.recv().await.unwrap().unwrap_or_default()),
                1 => received.extend(reader.read(Vec::with_capacity(1_000)).await.unwrap().1),
                2 if before + 3_000 <= sent.len() => {
                    received.extend(reader.read_exact(vec![0; 3_000]).await.unwrap().1);
                }
                2 => continue,
                // More than is copied from what has been read ahead.
                _ => received.extend(reader.read(Vec::with_capacity(100_000)).await.unwrap().1),
            }
            if received.len() == before {
                break;
            }
        }
        assert_bytes(&received, &sent);
        writing.await.unwrap();
    });
}

fn a_dropped_read_of_a_pipe_loses_no_byte<R: Runtime>() {
    on_machines(async |_: &R| {
        let (reader, writer) = pipe().unwrap();
        let mut received = Vec::new();
        for round in 0..100u8 {
            let mut receive = reader.recv();
            let mut read = reader.read(Vec::with_capacity(4));
            let first = if round % 2 == 0 { poll_once(&mut receive).await.is_ready() } else { false };
            let second = if round % 3 == 0 { poll_once(&mut read).await.is_ready() } else { false };
            assert!(!first && !second, "everything had been taken");
            turns(1).await;
            writer.write_all([round; 3]).await.unwrap();
            if round % 5 == 0 {
                turns(1).await;
            }
            drop((receive, read));
            received.extend(reader.read_exact([0; 3]).await.unwrap().1);
        }
        assert_eq!(received, (0..100u8).flat_map(|round| [round; 3]).collect::<Vec<_>>());
    });
}

fn a_write_to_a_pipe_waits_for_room<R: Runtime>() {
    on_machines(async |_: &R| {
        let (reader, writer) = pipe().unwrap();
        let mut write = writer.write_all(pattern(500_000));
        assert!(poll_once(&mut write).await.is_pending());
        turns(3).await;
        assert!(poll_once(&mut write).await.is_pending());
        drop(write);
        // What it had written stays, and the next write comes behind it.
        let (next, read) = join(writer.write_all("next"), async {
            let mut received = Vec::new();
            while !received.ends_with(b"next") {
                received.extend_from_slice(&reader.recv().await.unwrap().unwrap());
            }
            received
        })
        .await;
        next.unwrap();
        assert_eq!(read.len() as u64, writer.bytes_written());
        assert_bytes(&read[..read.len() - 4], &pattern(500_000)[..read.len() - 4]);
    });
}

fn a_broken_pipe_is_an_error<R: Runtime>() {
    on_machines(async |_: &R| {
        let (reader, writer) = pipe().unwrap();
        reader.close().await.unwrap();
        let error = writer.write_all("nobody").await.unwrap_err();
        assert_eq!(error.error().kind(), ErrorKind::BrokenPipe);
        assert_eq!(error.into_parts().1, "nobody");
    });
}

fn a_pipe_ends_with_its_last_writer<R: Runtime>() {
    on_machines(async |_: &R| {
        let (reader, writer) = pipe().unwrap();
        let mut receive = reader.recv();
        assert!(poll_once(&mut receive).await.is_pending());
        turns(2).await;
        drop(writer);
        assert_eq!(receive.await.unwrap(), None);
        let mut chunks = reader.chunks();
        assert!(chunks.next().await.is_none());
        let (reader, writer) = pipe().unwrap();
        let mut read = reader.read_exact([0; 10]);
        assert!(poll_once(&mut read).await.is_pending());
        writer.write_all("four").await.unwrap();
        writer.close().await.unwrap();
        let error = read.await.unwrap_err();
        assert_eq!(error.error().kind(), ErrorKind::UnexpectedEof);
    });
}

fn a_pipe_of_others_is_taken_over<R: Runtime>() {
    on_machines(async |_: &R| {
        let (theirs, ours) = std::io::pipe().unwrap();
        let ours = PipeWriter::from_fd(OwnedFd::from(ours)).unwrap();
        let reading = thread(move || {
            let mut theirs = theirs;
            let mut bytes = Vec::new();
            theirs.read_to_end(&mut bytes).unwrap();
            bytes
        });
        ours.write_all("to a thread").await.unwrap();
        drop(ours);
        assert_eq!(reading.ended().await, b"to a thread");
        let (ours, mut theirs) = std::io::pipe().unwrap();
        let ours = PipeReader::from_fd(OwnedFd::from(ours)).unwrap();
        let writing = thread(move || theirs.write_all(&pattern(200_000)).unwrap());
        assert_bytes(&collect(&ours).await, &pattern(200_000));
        writing.ended().await;
        let mut read = ours.as_fd().try_clone_to_owned().map(std::fs::File::from).unwrap();
        assert_eq!(read.read(&mut [0; 1]).unwrap(), 0);
    });
}

fn a_quiet_pipe_keeps_what_was_read<R: Runtime>() {
    on_machines(async |runtime: &R| {
        let (reader, writer) = pipe().unwrap();
        let mut receive = reader.recv();
        assert!(poll_once(&mut receive).await.is_pending());
        turns(2).await;
        writer.write_all("early").await.unwrap();
        turns(2).await;
        drop(receive);
        reader.quiesce().await.unwrap();
        writer.quiesce().await.unwrap();
        assert_eq!(runtime.report().live.multishot, 0);
        assert_eq!(reader.recv().await.unwrap().unwrap(), *b"early");
    });
}

fn a_direct_pipe_is_a_pipe<R: Runtime>() {
    on_machines(async |runtime: &R| {
        let places = if uses(runtime, Feature::DirectDescriptors) { 2 } else { 0 };
        for len in [1, 5_000, 300_000] {
            let (reader, writer) = direct::pipe().unwrap();
            assert_eq!(runtime.report().live.direct, places);
            let sent = pattern(len);
            let writing = spawn({
                let sent = sent.clone();
                async move {
                    let (first, rest) = sent.split_at(len / 2);
                    writer.write_all(first.to_vec()).await.unwrap();
                    let writer = writer.install().await.unwrap();
                    writer.write_all(rest.to_vec()).await.unwrap();
                    writer.bytes_written()
                }
            });
            let mut received = Vec::new();
            let mut receive = reader.recv();
            assert!(poll_once(&mut receive).await.is_pending());
            turns(2).await;
            drop(receive); // loses nothing
            received.extend(reader.read_exact([0]).await.unwrap().1);
            if let Some(chunk) = reader.recv().await.unwrap() {
                received.extend_from_slice(&chunk);
            }
            received.extend(reader.read(Vec::with_capacity(100)).await.unwrap().1);
            let reader = reader.install().await.unwrap();
            received.extend(collect(&reader).await);
            assert_bytes(&received, &sent);
            assert_eq!(writing.await.unwrap(), len as u64);
            until(|| runtime.report().live.direct == 0).await;
        }
        let (reader, writer) = direct::pipe().unwrap();
        reader.quiesce().await.unwrap();
        writer.quiesce().await.unwrap();
        reader.close().await.unwrap();
        let error = writer.write("nobody").await.unwrap_err();
        assert_eq!(error.error().kind(), ErrorKind::BrokenPipe);
        writer.close().await.unwrap();
    });
}

fn a_pipe_has_one_operation_for_all_chunks<R: Runtime>() {
    let runtime = R::new().unwrap();
    if !uses(&runtime, Feature::MultishotRead) {
        return;
    }
    runtime.block_on(async {
        let (reader, writer) = pipe().unwrap();
        let begun = |stats: proactor::Stats| stats.submissions;
        let mut before = 0;
        for round in 0..101 {
            let mut receive = reader.recv();
            assert!(poll_once(&mut receive).await.is_pending());
            turns(1).await;
            if round == 1 {
                before = begun(runtime.report().stats);
            }
            writer.write_all([7; 5]).await.unwrap();
            assert_eq!(receive.await.unwrap().unwrap(), [7; 5]);
        }
        // For each round a write and a NOP, and some waking.
        let more = begun(runtime.report().stats) - before;
        assert!((190..250).contains(&more), "{more}");
        assert_eq!(runtime.report().live.multishot, 1);
    });
    end(runtime);
}

// ---------------------------------------------------------------- descriptors of others

/// A stream of the standard library that does not block, watched, and its peer.
fn watched() -> (AsyncFd<UnixStream>, UnixStream) {
    let (ours, peer) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (AsyncFd::new(ours), peer)
}

/// Reads once.
async fn some(ours: &AsyncFd<UnixStream>, room: usize) -> Vec<u8> {
    let mut buffer = vec![0; room];
    let count = ours.read_with(|mut stream| stream.read(&mut buffer)).await.unwrap();
    buffer.truncate(count);
    buffer
}

fn readiness_is_a_level<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, mut peer) = watched();
        ours.writable().await.unwrap();
        let mut readable = ours.readable();
        assert!(poll_once(&mut readable).await.is_pending());
        turns(2).await;
        assert!(poll_once(&mut readable).await.is_pending());
        peer.write_all(b"ab").unwrap();
        readable.await.unwrap();
        for _ in 0..3 {
            ours.readable().await.unwrap(); // as long as something is there
        }
        assert_eq!(some(&ours, 1).await, b"a");
        // Two wait at the same time, and both are told.
        let (first, second) = join(ours.readable(), ours.readable()).await;
        first.and(second).unwrap();
        assert_eq!(some(&ours, 9).await, b"b");
        let mut readable = ours.readable();
        assert!(poll_once(&mut readable).await.is_pending());
        turns(1).await;
        assert!(poll_once(&mut readable).await.is_pending());
        // A file is always ready.
        let file = AsyncFd::new(std::fs::File::open("/proc/self/exe").unwrap());
        file.readable().await.unwrap();
    });
}

fn attempts_are_made_until_one_succeeds<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, peer) = watched();
        let ours = Rc::new(ours);
        let sent = pattern(1 << 20);
        let writing = spawn({
            let (ours, sent) = (ours.clone(), sent.clone());
            async move {
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    let count = ours.write_with(|mut stream| stream.write(rest)).await.unwrap();
                    rest = &rest[count..];
                }
            }
        });
        let echo = thread(move || {
            let (mut input, mut output) = (peer.try_clone().unwrap(), peer);
            std::io::copy(&mut Read::by_ref(&mut input).take(1 << 20), &mut output).unwrap();
        });
        let mut received = Vec::new();
        while received.len() < sent.len() {
            received.extend(some(&ours, 10_000).await);
        }
        assert_bytes(&received, &sent);
        writing.await.unwrap();
        echo.ended().await;
    });
}

fn attempts_take_turns<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, mut peer) = watched();
        let tries = Cell::new(0);
        let one = || {
            ours.read_with(|mut stream| {
                tries.set(tries.get() + 1);
                let mut byte = [0];
                stream.read_exact(&mut byte).map(|()| byte[0])
            })
        };
        let (mut first, mut second) = (one(), one());
        assert!(poll_once(&mut first).await.is_pending() && poll_once(&mut second).await.is_pending());
        assert_eq!(tries.get(), 1, "the second waits for its turn");
        peer.write_all(b"12").unwrap();
        assert_eq!(first.await.unwrap(), b'1');
        assert_eq!(second.await.unwrap(), b'2');
        // One that is dropped leaves its turn to the next.
        let (mut first, mut second) = (one(), one());
        assert!(poll_once(&mut first).await.is_pending() && poll_once(&mut second).await.is_pending());
        turns(1).await;
        peer.write_all(b"3").unwrap();
        drop(first);
        assert_eq!(second.await.unwrap(), b'3');
    });
}

fn attempts_from_many_tasks_lose_nothing<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, mut peer) = watched();
        let ours = Rc::new(ours);
        let seen = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (ours, seen) = (ours.clone(), seen.clone());
                spawn(async move {
                    for _ in 0..50 {
                        assert_eq!(some(&ours, 1).await.len(), 1);
                        seen.set(seen.get() + 1);
                    }
                })
            })
            .collect();
        let writing = thread(move || {
            for _ in 0..100 {
                peer.write_all(&[7; 10]).unwrap();
                std::thread::yield_now();
            }
            peer
        });
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(seen.get(), 1_000);
        drop(writing.ended().await);
    });
}

fn a_wait_for_readiness_can_be_given_up<R: Runtime>() {
    on_machines(async |runtime: &R| {
        let (ours, mut peer) = watched();
        let canceled = |error: std::io::Error| assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
        canceled(ours.readable().cancel().await.unwrap_err());
        let mut readable = ours.readable();
        assert!(poll_once(&mut readable).await.is_pending());
        canceled(readable.cancel().await.unwrap_err());
        let mut read = ours.read_with(|mut stream| stream.read(&mut [0; 4]));
        assert!(poll_once(&mut read).await.is_pending());
        turns(1).await;
        canceled(read.cancel().await.unwrap_err());
        drop(ours.readable());
        let mut dropped = ours.readable();
        assert!(poll_once(&mut dropped).await.is_pending());
        drop(dropped);
        reaped(runtime).await;
        peer.write_all(b"later").unwrap();
        assert_eq!(some(&ours, 9).await, b"later");
        // It goes with everything that waits.
        let mut read = pin!(async {
            let (ours, _peer) = watched();
            some(&ours, 1).await
        });
        assert!(matches!(futures_poll(read.as_mut()).await, Poll::Pending));
    });
}

/// Polls a future that is pinned.
async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

fn an_object_s_end_is_readiness<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, peer) = watched();
        let mut readable = ours.readable();
        assert!(poll_once(&mut readable).await.is_pending());
        let mut read = ours.read_with(|mut stream| stream.read(&mut [0; 4]));
        assert!(poll_once(&mut read).await.is_pending());
        turns(1).await;
        drop(peer);
        readable.await.unwrap();
        assert_eq!(read.await.unwrap(), 0);
        let error = ours.write_with(|mut stream| stream.write(&[1])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

fn the_object_comes_back<R: Runtime>() {
    on_machines(async |_: &R| {
        let (mut ours, mut peer) = watched();
        peer.write_all(b"a").unwrap();
        assert_eq!(some(&ours, 1).await, b"a");
        ours.get_mut().set_read_timeout(None).unwrap();
        assert!(ours.get_ref().peer_addr().unwrap().is_unnamed());
        let mut stream = ours.into_inner();
        peer.write_all(b"b").unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        assert_eq!((byte, Chunk::new()), (*b"b", Chunk::new()));
    });
}

fn attempts_share_one_operation<R: Runtime>() {
    let runtime = R::new().unwrap();
    if !uses(&runtime, Feature::MultishotPoll) {
        return;
    }
    runtime.block_on(async {
        let (ours, mut peer) = watched();
        let mut before = 0;
        for round in 0..101 {
            let mut read = ours.read_with(|mut stream| stream.read(&mut [0; 4]));
            assert!(poll_once(&mut read).await.is_pending());
            turns(1).await;
            if round == 1 {
                before = runtime.report().stats.submissions;
            }
            peer.write_all(b"abc").unwrap();
            assert_eq!(read.await.unwrap(), 3);
        }
        // For each round a NOP, and some waking.
        let more = runtime.report().stats.submissions - before;
        assert!((90..130).contains(&more), "{more}");
        // Reports that nobody comes for end it.
        for _ in 0..20 {
            peer.write_all(b"x").unwrap();
            turns(1).await;
        }
        assert_eq!(runtime.report().live.multishot, 0);
        assert_eq!(some(&ours, 99).await.len(), 20);
    });
    end(runtime);
}

fn an_object_is_released_at_once<R: Runtime>() {
    on_machines(async |_: &R| {
        for comes_back in [false, true] {
            let address = std::net::SocketAddr::from((own_host(), 0));
            let listener = std::net::TcpListener::bind(address).unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap();
            let ours = AsyncFd::new(listener);
            let mut accept = ours.read_with(std::net::TcpListener::accept);
            assert!(poll_once(&mut accept).await.is_pending());
            turns(2).await;
            drop(accept);
            // Somebody else may have the port now.
            if comes_back {
                drop(ours.into_inner())
            } else {
                drop(ours)
            }
            drop(std::net::TcpListener::bind(address).unwrap());
        }
    });
}

fn attempts_that_succeed_let_the_others_run<R: Runtime>() {
    run::<R>(async {
        let (ours, _peer) = watched();
        let others = Rc::new(Cell::new(0));
        let other = spawn({
            let others = others.clone();
            async move {
                loop {
                    others.set(others.get() + 1);
                    proactor::yield_now().await;
                }
            }
        });
        for _ in 0..10_000 {
            ours.write_with(|stream| stream.peer_addr()).await.unwrap();
        }
        assert!(others.get() > 10, "{}", others.get());
        other.cancel().await.unwrap_err();
    });
}

fn waiters_that_another_task_forestalled_are_notified_again<R: Runtime>() {
    on_machines::<R>(async |_| {
        let (ours, mut peer) = watched();
        let (ours, taken) = (Rc::new(ours), Rc::new(Cell::new(0)));
        let taker = || {
            let (ours, taken) = (ours.clone(), taken.clone());
            spawn(async move {
                loop {
                    ours.readable().await.unwrap();
                    let mut object = ours.get_ref();
                    if object.read(&mut [0]).is_ok() {
                        taken.set(taken.get() + 1);
                    }
                }
            })
        };
        let (one, other) = (taker(), taker());
        turns(5).await;
        let mut send = async |counts: std::ops::RangeInclusive<u32>| {
            for count in counts {
                peer.write_all(b"x").unwrap();
                until(|| taken.get() == count).await;
                turns(5).await;
            }
        };
        send(1..=3).await;
        assert!(one.cancel().await.is_err());
        send(4..=6).await;
        assert!(other.cancel().await.is_err());
    });
}

/// However much it has done on the spot before.
fn an_attempt_in_vain_is_woken_by_the_next_event<R: Runtime>() {
    for before in 58..70 {
        let runtime = R::with_config(&Config::new().turn_budget(1)).unwrap();
        runtime.block_on(async {
            let (ours, mut peer) = watched();
            let (ours, tried) = (Rc::new(ours), Rc::new(Cell::new(false)));
            let read = |mut object: &UnixStream| object.read(&mut [0]);
            let first = ours.clone();
            let first = spawn(async move { first.read_with(read).await.unwrap() });
            turns(3).await;
            peer.write_all(b"a").unwrap();
            first.await.unwrap();
            let (second, tries) = (ours.clone(), tried.clone());
            let second = spawn(async move {
                yield_now().await;
                for _ in 0..before {
                    second.read_with(|_| Ok(())).await.unwrap();
                }
                let attempt = |object: &UnixStream| {
                    tries.set(true);
                    read(object)
                };
                second.read_with(attempt).await.unwrap()
            });
            while !tried.get() {
                yield_now().await; // in each turn, so that the byte comes before the task goes on
            }
            peer.write_all(b"b").unwrap();
            assert_eq!(second.await.unwrap(), 1);
        });
        end(runtime);
    }
}

fn attempts_wait_although_an_error_lies_in_its_queue<R: Runtime>() {
    // (A ring without standing polls has the level alone, and tries again and again.)
    run::<R>(async {
        let address = std::net::UdpSocket::bind((own_host(), 0)).unwrap().local_addr().unwrap();
        let socket = std::net::UdpSocket::bind((own_host(), 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let on: libc::c_int = 1;
        // SAFETY: the value outlives the call.
        let answer = unsafe {
            let (value, len) = ((&raw const on).cast(), size_of_val(&on) as u32);
            libc::setsockopt(socket.as_fd().as_raw_fd(), libc::IPPROTO_IP, libc::IP_RECVERR, value, len)
        };
        assert_eq!(answer, 0);
        socket.connect(address).unwrap();
        socket.send(b"nobody").unwrap();
        let ours = AsyncFd::new(socket);
        let attempts = Cell::new(0);
        let mut receive = ours.read_with(|socket| {
            attempts.set(attempts.get() + 1);
            match socket.recv(&mut [0; 9]) {
                // The error is told once, and goes on lying in the queue of errors.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    Err(ErrorKind::WouldBlock.into())
                }
                result => result,
            }
        });
        assert!(poll_once(&mut receive).await.is_pending());
        for _ in 0..50 {
            turns(1).await;
            assert!(poll_once(&mut receive).await.is_pending());
        }
        let loops = proactor::Feature::MultishotPoll;
        assert!(
            attempts.get() < 20
                || std::env::var("PROACTOR_MASK").is_ok_and(|mask| mask.contains(loops.name()))
        );
        drop(receive);
    });
}

fn pipes_of_packets_and_terminals_give_all_they_have<R: Runtime>() {
    on_machines(async |_: &R| {
        let (theirs, ours) = nix::unistd::pipe2(nix::fcntl::OFlag::O_DIRECT).unwrap();
        let reader = PipeReader::from_fd(theirs).unwrap();
        let mut writer = std::fs::File::from(ours);
        for chunks in [false, true] {
            let next = async || {
                if chunks {
                    return reader.recv().await.unwrap().unwrap().to_vec();
                }
                reader.read(Vec::with_capacity(100)).await.unwrap().1
            };
            // The selector watches it from now on, and tries only when it has heard of something.
            let mut early = reader.read(Vec::with_capacity(100));
            assert!(poll_once(&mut early).await.is_pending());
            turns(1).await;
            drop(early);
            writer.write_all(b"first").unwrap();
            writer.write_all(b"second").unwrap();
            turns(1).await;
            let (mut first, second) = (next().await, next().await);
            first.extend(second);
            assert_eq!(first, b"firstsecond");
        }
    });
}

fn an_installed_pipe_is_still_a_pipe<R: Runtime>() {
    let runtime = R::with_config(&Config::new().zero_copy_from(10)).unwrap();
    runtime.block_on(async {
        let (reader, writer) = direct::pipe().unwrap();
        writer.write_all(vec![7; 1_000]).await.unwrap();
        let writer = writer.install().await.unwrap();
        writer.write_all(vec![7; 1_000]).await.unwrap();
        drop(writer);
        assert_eq!(collect(&reader.install().await.unwrap()).await, [7; 2_000]);
    });
    end(runtime);
}
