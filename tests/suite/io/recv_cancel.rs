//! What is received into the runtime's memory: chunks of streams, datagrams, connections that were accepted ahead. It
//! comes whole and in order, however it is asked for, and what nobody has taken yet is kept, within limits.

use std::io::Write;
use std::net::Shutdown;
use std::pin::Pin;
use std::time::Duration;

use proactor::buf::Chunk;
use proactor::net::{TcpListener, TcpStream, UdpSocket};
use proactor::{Config, Feature, Runtime, spawn};

use crate::kit::*;

tests! {
    a_stream_comes_whole_in_chunks,
    chunks_end_with_the_stream,
    reads_and_chunks_see_the_bytes_in_order,
    a_large_read_is_made_by_the_kernel,
    a_dropped_read_exact_gives_back_what_it_had,
    chunks_are_sent_onward,
    t46_chunks_outlive_their_runtime_and_go_to_other_threads,
    t04_a_dropped_receive_loses_no_byte,
    t05_a_dropped_accept_loses_no_connection,
    t13_a_dropped_listener_closes_what_it_had_accepted,
    t45_a_thousand_streams_share_few_buffers,
    an_idle_receiver_leaves_buffers_to_the_others,
    a_reset_comes_behind_the_bytes,
    datagrams_arrive_complete_with_their_senders,
    datagrams_and_receives_into_buffers_are_mixed,
    connections_are_a_stream,
    quiesce_leaves_nothing_with_the_kernel,
    a_stream_given_away_takes_its_leftover_along,
    t241_a_stream_comes_back_with_its_leftover,
    t241_head_and_chunk_are_one_vectored_write,
    poll_forms_wait_like_their_futures,
    a_close_ends_a_receive_that_was_armed,
    a_quiesced_stream_is_usable_while_the_future_is_kept,
    a_cancelled_read_that_is_dropped_gives_back_before_the_next_receives;
    proactor:
    a_stream_has_one_operation_for_all_chunks,
    a_stream_of_large_pieces_has_no_multishot_operation,
    one_receive_fills_several_buffers,
}

/// The backend with each feature in use, and with each of those masked that receiving stands on.
fn machines<R: Runtime>() -> Vec<Config> {
    let masks: &[&[Feature]] = &[
        &[],
        &[Feature::IncrementalBuffers],
        &[Feature::IncrementalBuffers, Feature::RecvBundle],
        &[Feature::MultishotRecv],
        &[Feature::BufferRing],
        &[Feature::DeferTaskrun, Feature::CoopTaskrun],
    ];
    let count = if is_proactor::<R>() { masks.len() } else { 1 };
    masks[..count].iter().map(|mask| Config::new().mask_all(mask.iter().copied())).collect()
}

/// Runs a test on each of them; nothing may be left behind.
fn on_machines<R: Runtime>(test: impl AsyncFn(&R)) {
    for config in machines::<R>() {
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(test(&runtime));
        runtime.block_on(nothing_is_left(&runtime));
        end(runtime);
    }
}

/// All that a stream receives.
async fn collect(stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = stream.recv().await.unwrap() {
        assert!(!chunk.is_empty());
        all.extend_from_slice(&chunk);
    }
    all
}

fn a_stream_comes_whole_in_chunks<R: Runtime>() {
    on_machines(async |_: &R| {
        for len in [0, 1, 63, 5_000, 70_000, 3_000_000] {
            let (ours, mut peer) = half_pair();
            let sent = pattern(len);
            let sending = thread(move || {
                for part in sent.chunks(7_001) {
                    peer.write_all(part).unwrap();
                }
                sent
            });
            let received = collect(&ours).await;
            assert_bytes(&received, &sending.ended().await);
        }
    });
}

fn chunks_end_with_the_stream<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, mut peer) = half_pair();
        peer.write_all(b"last words").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let mut chunks = ours.chunks();
        let mut words = Vec::new();
        while let Some(chunk) = chunks.next().await {
            words.extend_from_slice(&chunk.unwrap());
        }
        assert_eq!(words, b"last words");
        assert!(chunks.next().await.is_none());
        for _ in 0..3 {
            assert_eq!(ours.recv().await.unwrap(), None, "the end stays the end");
            assert_eq!(ours.read([0; 4]).await.unwrap().0, 0);
        }
    });
}

fn reads_and_chunks_see_the_bytes_in_order<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, mut peer) = half_pair();
        let sent = pattern(600_000);
        let sending = thread(move || {
            peer.write_all(&sent).unwrap();
            sent
        });
        let mut received = Vec::new();
        for round in 0.. {
            let before = received.len();
            match round % 5 {
                0 | 3 => match ours.recv().await.unwrap() {
                    Some(chunk) => received.extend_from_slice(&chunk),
                    None => break,
                },
                1 => received.extend_from_slice(&ours.read(Vec::with_capacity(100)).await.unwrap().1),
                2 => {
                    let (_, [a, b]) = ours
                        .read_vectored([Vec::with_capacity(10), Vec::with_capacity(2_000)])
                        .await
                        .unwrap();
                    received.extend_from_slice(&a);
                    received.extend_from_slice(&b);
                }
                _ => received.extend_from_slice(&ours.read(Vec::with_capacity(100_000)).await.unwrap().1),
            }
            if received.len() == before {
                break;
            }
        }
        assert_bytes(&received, &sending.ended().await);
    });
}

fn a_large_read_is_made_by_the_kernel<R: Runtime>() {
    on_machines(async |runtime: &R| {
        let (ours, mut peer) = half_pair();
        peer.write_all(b"small").unwrap();
        assert_eq!(ours.recv().await.unwrap().unwrap(), *b"small");
        let reading = spawn(async move {
            let (_, read) = ours.read(Vec::with_capacity(1 << 20)).await.unwrap();
            (read, ours)
        });
        turns(4).await;
        assert_eq!(runtime.report().live.multishot, 0, "the read waits for the end of the standing receive");
        peer.write_all(b"large").unwrap();
        let (read, ours) = reading.await.unwrap();
        assert_eq!(read, b"large");
        peer.write_all(b"small again").unwrap();
        assert_eq!(ours.recv().await.unwrap().unwrap(), *b"small again");
    });
}

fn a_dropped_read_exact_gives_back_what_it_had<R: Runtime>() {
    on_machines(async |_: &R| {
        for armed in [false, true] {
            let (ours, mut peer) = half_pair();
            if armed {
                peer.write_all(b"x").unwrap();
                assert_eq!(ours.recv().await.unwrap().unwrap(), *b"x");
            }
            for _ in 0..3 {
                let mut read = ours.read_exact(vec![0; 10]);
                assert!(poll_once(&mut read).await.is_pending());
                peer.write_all(b"abc").unwrap();
                turns(4).await;
                assert!(poll_once(&mut read).await.is_pending(), "three bytes of ten");
                peer.write_all(b"d").unwrap();
                drop(read);
                assert_eq!(ours.read_exact([0; 4]).await.unwrap().1, *b"abcd");
            }
        }
    });
}

fn chunks_are_sent_onward<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, peer) = half_pair();
        let echo = spawn(async move {
            while let Some(mut chunk) = ours.recv().await.unwrap() {
                let head = chunk.split_to(chunk.len() / 2);
                ours.write_all(head).await.unwrap();
                ours.write_all(chunk).await.unwrap();
            }
        });
        let sent = pattern(1_000_000);
        let received = exchange(peer, sent.clone()).ended().await;
        assert_bytes(&received, &sent);
        echo.await.unwrap();
    });
}

fn t46_chunks_outlive_their_runtime_and_go_to_other_threads<R: Runtime>() {
    for config in machines::<R>() {
        let runtime = R::with_config(&config).unwrap();
        let chunks: Vec<Chunk> = runtime.block_on(async {
            let (ours, mut peer) = half_pair();
            let mut chunks = Vec::new();
            for round in 0..100_u8 {
                peer.write_all(&[round; 50]).unwrap();
                let mut chunk = ours.recv().await.unwrap().unwrap();
                while chunk.len() > 10 {
                    chunks.push(chunk.split_to(10));
                }
                chunks.push(chunk);
            }
            chunks
        });
        assert!(runtime.report().live.buffers > 0);
        let (early, late): (Vec<_>, Vec<_>) =
            chunks.into_iter().enumerate().partition(|(place, _)| place % 2 == 0);
        let check = |chunks: Vec<(usize, Chunk)>| {
            chunks.iter().for_each(|(place, chunk)| assert_eq!(*chunk, [(place / 5) as u8; 10]));
        };
        std::thread::spawn(move || check(early)).join().unwrap();
        end(runtime);
        std::thread::spawn(move || check(late)).join().unwrap();
    }
}

fn t04_a_dropped_receive_loses_no_byte<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, mut peer) = half_pair();
        let mut received = Vec::new();
        for round in 0..200_u8 {
            let mut receive = boxed(ours.recv());
            let began = round % 3 > 0;
            if began && poll_once(&mut receive).await.is_ready() {
                continue; // what it had was taken and dropped, as the test counts below
            }
            if round % 3 == 1 {
                turns(1).await;
            }
            peer.write_all(&[round; 3]).unwrap();
            if round % 2 == 0 {
                turns(1).await;
            }
            drop(receive);
            let (_, bytes) = ours.read_exact(vec![0; 3]).await.unwrap();
            received.extend(bytes);
        }
        assert_eq!(received, (0..200).flat_map(|round| [round; 3]).collect::<Vec<u8>>());
    });
}

fn t05_a_dropped_accept_loses_no_connection<R: Runtime>() {
    on_machines(async |_: &R| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for round in 0..60 {
            let mut accept = boxed(listener.accept());
            if round % 3 > 0 {
                assert!(poll_once(&mut accept).await.is_pending());
            }
            if round % 3 == 1 {
                turns(2).await;
            }
            let clients = connect_in_order(&listener, address, 3).await;
            if round % 2 == 0 {
                turns(2).await;
            }
            drop(accept);
            for client in clients {
                let (_, peer) = listener.accept().await.unwrap();
                assert_eq!(peer, client.local_addr().unwrap(), "in order, each once");
            }
        }
    });
}

fn t13_a_dropped_listener_closes_what_it_had_accepted<R: Runtime>() {
    on_machines(async |_: &R| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let first = std::net::TcpStream::connect(address).unwrap();
        drop(listener.accept().await.unwrap());
        let clients: Vec<_> = (0..50).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        turns(3).await;
        drop(listener);
        for client in std::iter::once(first).chain(clients) {
            let reading = thread(move || std::io::Read::read(&mut &client, &mut [0; 1]));
            let ended = reading.ended().await;
            assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        }
    });
}

fn t45_a_thousand_streams_share_few_buffers<R: Runtime>() {
    for config in machines::<R>() {
        let config = config.stream_buffers(2).datagram_buffers(2);
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            let count = rounds(300, 1_000);
            let (ours, peers): (Vec<_>, Vec<_>) = (0..count).map(|_| half_pair()).unzip();
            let receiving: Vec<_> =
                ours.into_iter().map(|ours| spawn(async move { collect(&ours).await })).collect();
            turns(2).await;
            let sent = pattern(3_000);
            let sending = thread(move || {
                for part in sent.chunks(1_000) {
                    for mut peer in &peers {
                        peer.write_all(part).unwrap();
                    }
                }
                (sent, peers) // which end with the thread's result
            });
            let (sent, peers) = sending.ended().await;
            drop(peers);
            for receiving in receiving {
                assert_bytes(&receiving.await.unwrap(), &sent);
            }
        });
        assert_eq!(runtime.report().live.buffers, 0);
        end(runtime);
    }
}

fn an_idle_receiver_leaves_buffers_to_the_others<R: Runtime>() {
    for config in machines::<R>() {
        let runtime = R::with_config(&config.stream_buffers(16)).unwrap();
        runtime.block_on(async {
            let (sleeper, peer) = half_pair();
            (&peer).write_all(b"first").unwrap();
            assert_eq!(sleeper.recv().await.unwrap().unwrap(), *b"first");
            let len = 8 << 20;
            let sending = thread(move || {
                (&peer).write_all(&pattern(8 << 20)).unwrap();
            });
            // It sends as much as the kernel and the stream's queue take, while others go on.
            for round in 0..50_u8 {
                let (ours, mut peer) = half_pair();
                for _ in 0..20 {
                    peer.write_all(&[round; 100]).unwrap();
                    let mut received = 0;
                    while received < 100 {
                        let chunk = ours.recv().await.unwrap().unwrap();
                        assert!(chunk.iter().all(|byte| *byte == round));
                        received += chunk.len();
                    }
                }
            }
            assert_bytes(&collect(&sleeper).await, &pattern(len));
            sending.ended().await;
        });
        end(runtime);
    }
}

fn a_reset_comes_behind_the_bytes<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, mut peer) = half_pair();
        peer.write_all(b"one").unwrap();
        assert_eq!(ours.recv().await.unwrap().unwrap(), *b"one");
        let mut receive = boxed(ours.recv());
        assert!(poll_once(&mut receive).await.is_pending());
        reset(peer);
        turns(3).await;
        drop(receive);
        let error = ours.recv().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

fn datagrams_arrive_complete_with_their_senders<R: Runtime>() {
    on_machines(async |_: &R| {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let ours = UdpSocket::bind(any).await.unwrap();
            let address = ours.local_addr().unwrap();
            let peers: Vec<_> = (0..3).map(|_| std::net::UdpSocket::bind(any).unwrap()).collect();
            let mut datagrams = ours.datagrams();
            for len in [0, 1, 1_400, 9_000, 65_000] {
                for peer in &peers {
                    let sent = pattern(len);
                    peer.send_to(&sent, address).unwrap();
                    let (datagram, sender) = datagrams.next().await.unwrap();
                    assert_bytes(&datagram, &sent);
                    assert_eq!(sender, peer.local_addr().unwrap());
                }
            }
        }
    });
}

fn datagrams_and_receives_into_buffers_are_mixed<R: Runtime>() {
    on_machines(async |_: &R| {
        let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.connect(ours.local_addr().unwrap()).unwrap();
        for round in 0..100_u8 {
            let mut receive = boxed(ours.recv_chunk());
            if round % 2 == 0 {
                assert!(poll_once(&mut receive).await.is_pending());
            }
            peer.send(&[round, 1]).unwrap();
            peer.send(&[round, 2]).unwrap();
            if round % 3 == 0 {
                turns(2).await;
            }
            drop(receive);
            let (_, first) = ours.recv_from(Vec::with_capacity(10)).await.unwrap();
            let (second, _) = ours.recv_chunk().await.unwrap();
            assert_eq!((&first[..], &second[..]), (&[round, 1][..], &[round, 2][..]));
        }
    });
}

fn connections_are_a_stream<R: Runtime>() {
    on_machines(async |_: &R| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut incoming = listener.incoming();
        for _ in 0..20 {
            let client = std::net::TcpStream::connect(address).unwrap();
            let (server, peer) = incoming.next().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
            drop(server);
        }
    });
}

fn quiesce_leaves_nothing_with_the_kernel<R: Runtime>() {
    on_machines(async |runtime: &R| {
        let (ours, mut peer) = half_pair();
        peer.write_all(b"one").unwrap();
        assert_eq!(ours.recv().await.unwrap().unwrap(), *b"one");
        let mut dropped = boxed(ours.recv());
        assert!(poll_once(&mut dropped).await.is_pending());
        peer.write_all(b"two").unwrap();
        drop(dropped);
        drop(ours.quiesce()); // it was never polled
        let mut quiesce = ours.quiesce();
        let _ = poll_once(&mut quiesce).await;
        drop(quiesce);
        ours.quiesce().await.unwrap();
        let live = runtime.report().live;
        assert_eq!((live.ops, live.multishot), (0, 0));
        peer.write_all(b"three").unwrap();
        assert_eq!(ours.read_exact([0; 8]).await.unwrap().1, *b"twothree");

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop(listener.accept().await.unwrap());
        listener.quiesce().await.unwrap();
        assert_eq!(runtime.report().live.multishot, 0);
        drop(client);
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert!(poll_once(&mut socket.recv_chunk()).await.is_pending());
        socket.quiesce().await.unwrap();
        assert_eq!(runtime.report().live.multishot, 0);
    });
}

fn a_stream_given_away_takes_its_leftover_along<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, mut peer) = half_pair();
        assert!(poll_once(&mut ours.recv()).await.is_pending());
        peer.write_all(b"abc").unwrap();
        turns(2).await;
        let (fd, leftover) = ours.into_owned_fd().await.unwrap();
        peer.write_all(b"def").unwrap();
        let mut all: Vec<u8> = leftover.chunks.iter().flat_map(|chunk| chunk.to_vec()).collect();
        let stream = std::net::TcpStream::from(fd);
        stream.set_nonblocking(false).unwrap();
        let mut rest = vec![0; 6 - all.len()];
        std::io::Read::read_exact(&mut &stream, &mut rest).unwrap();
        all.extend(rest);
        assert_eq!((all, leftover.error.is_none()), (b"abcdef".to_vec(), true));

        let (ours, _peer) = half_pair();
        let pending = ours.recv();
        let error = ours.into_owned_fd().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy);
        drop(pending);
    });
}

/// By way of each kind of receive, into another runtime.
fn t241_a_stream_comes_back_with_its_leftover<R: Runtime>() {
    on_machines(async |_: &R| {
        for kind in 0..3 {
            let (ours, mut peer) = half_pair();
            assert!(poll_once(&mut ours.recv()).await.is_pending());
            peer.write_all(b"abc").unwrap();
            turns(2).await;
            let (fd, leftover) = ours.into_owned_fd().await.unwrap();
            peer.write_all(b"def").unwrap();
            drop(peer);
            let received = thread(move || {
                let runtime = R::new().unwrap();
                let all = runtime.block_on(async {
                    let stream = TcpStream::from_owned_fd(fd, leftover).unwrap();
                    match kind {
                        0 => stream.read_exact([0; 6]).await.unwrap().1.to_vec(),
                        1 => {
                            let mut all = stream.read(vec![0; 2]).await.unwrap().1;
                            all.extend(stream.read_exact([0; 4]).await.unwrap().1);
                            all
                        }
                        _ => all_chunks(&stream).await,
                    }
                });
                end(runtime);
                all
            });
            assert_eq!(received.ended().await, b"abcdef", "{kind}");
        }
        // An error comes behind the bytes, once.
        let (ours, _peer) = half_pair();
        let (fd, mut leftover) = ours.into_owned_fd().await.unwrap();
        leftover.chunks = vec![Chunk::new(), Chunk::copy_from_slice(b"x")];
        leftover.error = Some(std::io::ErrorKind::TimedOut.into());
        let stream = TcpStream::from_owned_fd(fd, leftover).unwrap();
        assert_eq!(stream.recv().await.unwrap().unwrap(), *b"x");
        assert_eq!(stream.recv().await.unwrap_err().raw_os_error(), Some(nix::libc::EIO));
        assert!(poll_once(&mut stream.recv()).await.is_pending());
    });
}

async fn all_chunks(stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = stream.recv().await.unwrap() {
        all.extend_from_slice(&chunk);
    }
    all
}

/// A tuple has buffers of different types.
fn t241_head_and_chunk_are_one_vectored_write<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, mut peer) = half_pair();
        peer.write_all(b"content").unwrap();
        let chunk = ours.recv().await.unwrap().unwrap();
        let (count, (head, chunk)) = ours.write_vectored(("7 ".to_owned(), chunk)).await.unwrap();
        assert_eq!((count, head.as_str(), &chunk[..]), (9, "7 ", &b"content"[..]));
        let mut both = [0; 9];
        std::io::Read::read_exact(&mut peer, &mut both).unwrap();
        assert_eq!(&both, b"7 content");
        peer.write_all(b"3 abc").unwrap();
        turns(1).await;
        let (count, (head, body)) = ours.read_vectored(([0; 2], Vec::with_capacity(16))).await.unwrap();
        assert_eq!((count, &head, &body[..]), (5, b"3 ", &b"abc"[..]));
    });
}

fn poll_forms_wait_like_their_futures<R: Runtime>() {
    on_machines(async |_: &R| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = thread({
            let address = listener.local_addr().unwrap();
            move || std::net::TcpStream::connect(address).unwrap()
        });
        let (ours, _) = std::future::poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        let mut peer = connecting.ended().await;
        let receiving = spawn(async move {
            let received = std::future::poll_fn(|cx| ours.poll_recv(cx)).await.unwrap();
            (received, ours)
        });
        turns(2).await;
        peer.write_all(b"bytes").unwrap();
        let (received, ours) = receiving.await.unwrap();
        assert_eq!(received.unwrap(), *b"bytes");
        drop(peer);
        assert!(std::future::poll_fn(|cx| ours.poll_recv(cx)).await.unwrap().is_none());

        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(
            Pin::new(&mut std::future::poll_fn(|cx| {
                assert!(socket.poll_recv_chunk(cx).is_pending());
                std::task::Poll::Ready(true)
            }))
            .await
        );
        sender.send_to(b"datagram", socket.local_addr().unwrap()).unwrap();
        let (datagram, _) = std::future::poll_fn(|cx| socket.poll_recv_chunk(cx)).await.unwrap();
        assert_eq!(datagram, *b"datagram");
    });
}

fn a_stream_has_one_operation_for_all_chunks<R: Runtime>() {
    let runtime = R::new().unwrap();
    if !uses(&runtime, Feature::MultishotRecv) {
        return;
    }
    runtime.block_on(async {
        let (ours, mut peer) = half_pair();
        assert!(poll_once(&mut ours.recv()).await.is_pending());
        let before = runtime.report().stats;
        for round in 0..100_u8 {
            peer.write_all(&[round; 9]).unwrap();
            assert_eq!(ours.recv().await.unwrap().unwrap(), [round; 9]);
        }
        let after = runtime.report().stats;
        assert!(after.submissions - before.submissions <= 5, "{before:?} {after:?}");
        assert_eq!(runtime.report().live.multishot, 1);
        let _ = proactor::time::timeout(Duration::ZERO, ours.recv()).await;
        assert_eq!(runtime.report().live.multishot, 1, "it is the stream's, not the future's");
    });
    end(runtime);
}

fn a_close_ends_a_receive_that_was_armed<R: Runtime>() {
    on_machines(async |_: &R| {
        for dropped_write in [false, true] {
            let (ours, peer) = half_pair();
            ours.set_send_buffer_size(4_096).unwrap();
            socket2::SockRef::from(&peer).set_recv_buffer_size(4_096).unwrap();
            assert!(poll_once(&mut ours.recv()).await.is_pending());
            turns(1).await;
            if dropped_write {
                // It shares the stream until it has been taken apart, in the middle of the close.
                let mut write = ours.write_all(vec![7; 4 << 20]);
                assert!(poll_once(&mut write).await.is_pending());
                turns(2).await;
                drop(write);
            }
            ours.close().await.unwrap();
            drop(peer);
        }
        // A socket's port is free at once, in the same way.
        let socket = UdpSocket::bind((own_host(), 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        assert!(poll_once(&mut socket.recv_chunk()).await.is_pending());
        let sending = socket.send_to([0; 10], address);
        drop(sending);
        drop(socket);
        drop(std::net::UdpSocket::bind(address).unwrap());
    });
}

fn a_quiesced_stream_is_usable_while_the_future_is_kept<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, mut peer) = half_pair();
        let mut quiesce = ours.quiesce();
        (&mut quiesce).await.unwrap();
        peer.write_all(b"go on").unwrap();
        assert_eq!(ours.recv().await.unwrap().unwrap(), *b"go on");
        ours.write_all("on we go").await.unwrap();
        drop(quiesce);
    });
}

fn a_cancelled_read_that_is_dropped_gives_back_before_the_next_receives<R: Runtime>() {
    on_machines(async |_: &R| {
        for armed in [false, true] {
            let (ours, mut peer) = half_pair();
            if armed {
                assert!(poll_once(&mut ours.recv()).await.is_pending());
            }
            let mut read = ours.read_exact(vec![0; 10]);
            assert!(poll_once(&mut read).await.is_pending());
            peer.write_all(b"abc").unwrap();
            turns(4).await;
            assert!(poll_once(&mut read).await.is_pending());
            let cancel = read.cancel(); // asked, and never awaited
            let mut next = ours.recv();
            assert!(poll_once(&mut next).await.is_pending(), "it waits until the fate of the other is known");
            peer.write_all(b"def").unwrap();
            turns(3).await;
            drop(cancel);
            let mut received = next.await.unwrap().unwrap().to_vec();
            while received.len() < 6 {
                received.extend_from_slice(&ours.recv().await.unwrap().unwrap());
            }
            assert_eq!(received, b"abcdef");
        }
    });
}

fn a_stream_of_large_pieces_has_no_multishot_operation<R: Runtime>() {
    let runtime = R::new().unwrap();
    if !uses(&runtime, Feature::MultishotRecv) {
        return;
    }
    runtime.block_on(async {
        let (ours, mut peer) = half_pair();
        ours.set_recv_buffer_size(1 << 20).unwrap();
        let mut standing = Vec::new();
        for len in [10, 200_000, 200_000, 200_000, 10, 10, 10] {
            // Somebody waits when the piece comes.
            let mut receive = ours.recv();
            assert!(poll_once(&mut receive).await.is_pending());
            turns(3).await;
            standing.push(runtime.report().live.multishot);
            let sending = thread({
                let mut peer = peer.try_clone().unwrap();
                move || peer.write_all(&vec![7; len]).unwrap()
            });
            sending.ended().await;
            let mut received = receive.await.unwrap().unwrap().len();
            while received < len {
                received += ours.recv().await.unwrap().unwrap().len();
            }
        }
        // The first large piece finds it armed, and the first small one finds it gone. (The rest of a large message is
        // small as well, or it is not: one or two more bring it back.)
        assert_eq!((&standing[..5], standing[6]), (&[1, 1, 0, 0, 0][..], 1));
        peer.write_all(b"end").unwrap();
        assert_eq!(ours.recv().await.unwrap().unwrap(), *b"end");
    });
    end(runtime);
}

fn one_receive_fills_several_buffers<R: Runtime>() {
    // Small buffers, so that much is there at once for them, and few, so that the ring goes round.
    let config = Config::new().mask(Feature::IncrementalBuffers).stream_buffer_size(4_096).stream_buffers(40);
    for mask in [None, Some(Feature::RecvBundle)] {
        let runtime = R::with_config(&config.clone().mask_all(mask)).unwrap();
        let bundles = uses(&runtime, Feature::RecvBundle);
        runtime.block_on(async {
            let mut streams: Vec<_> = (0..3).map(|_| half_pair()).collect();
            let (mut completions, mut chunks) = (0, 0);
            for round in 0..30 {
                let sent = pattern(10_000 + 190 * round); // not so large that it would be polled for
                // Somebody waits on each when all of it comes.
                let mut waiting: Vec<_> = streams.iter().map(|(ours, _)| ours.recv()).collect();
                for receive in &mut waiting {
                    assert!(poll_once(receive).await.is_pending());
                }
                turns(2).await;
                for (_, peer) in &mut streams {
                    peer.write_all(&sent).unwrap();
                }
                let before = runtime.report().stats.completions;
                for (receive, (ours, _)) in waiting.into_iter().zip(&streams) {
                    let mut received = receive.await.unwrap().unwrap().to_vec();
                    while received.len() < sent.len() {
                        chunks += 1;
                        received.extend_from_slice(&ours.recv().await.unwrap().unwrap());
                    }
                    assert_bytes(&received, &sent);
                }
                completions += runtime.report().stats.completions - before;
            }
            if uses(&runtime, Feature::MultishotRecv) {
                assert_eq!(bundles, completions < chunks, "{completions} completions for {chunks} chunks");
            }
            drop(streams);
            until(|| runtime.report().live.buffers == 0).await;
        });
        end(runtime);
    }
}
