//! Direct descriptors: sockets and files that belong to the ring, and ordinary ones in their place where there are none.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;

use proactor::fs::OpenOptions;
use proactor::fs::direct::File;
use proactor::io::direct::pipe as direct_pipe;
use proactor::net::direct::{TcpListener, TcpStream};
use proactor::{Config, Feature, FeatureState, Runtime, spawn, yield_now};

use crate::kit::*;

tests! {
    streams_move_bytes_as_ordinary_ones_do,
    a_stream_is_received_in_any_way,
    a_direct_stream_has_no_number,
    a_dropped_stream_is_closed,
    t320_a_direct_descriptor_closes_while_an_operation_waits_on_another,
    a_closed_direct_stream_reports_it,
    a_dropped_accept_loses_no_direct_connection,
    connecting_tries_one_address_after_the_other,
    a_dropped_connect_leaves_nothing,
    options_and_addresses_are_the_socket_s,
    an_installed_stream_has_what_was_received,
    install_is_refused_while_a_future_is_there,
    places_are_used_again,
    a_refused_table_leaves_ordinary_descriptors,
    streams_that_are_open_at_shutdown_are_closed,
    files_read_and_write_as_ordinary_ones_do,
    a_file_opened_for_a_dropped_future_is_closed,
    a_quiesced_file_has_no_operations,
    a_reset_is_kept_for_the_next_receive;
    proactor:
    a_full_table_is_an_error_and_loses_no_connection,
    what_has_arrived_is_taken_although_the_table_is_full,
    a_queued_close_never_hits_the_next_owner_of_its_place,
    a_direct_descriptor_means_nothing_to_another_ring,
}

/// The backend with direct descriptors, without them, and with each of those masked that receiving stands on.
fn on_machines<R: Runtime>(test: impl AsyncFn(&R)) {
    let masks: &[&[Feature]] = &[
        &[],
        &[Feature::DirectDescriptors],
        &[Feature::Ftruncate],
        &[Feature::IncrementalBuffers],
        &[Feature::MultishotRecv],
        &[Feature::BufferRing],
        &[Feature::CqeSkip],
        &[Feature::DeferTaskrun, Feature::CoopTaskrun],
    ];
    with_masks(masks, test);
}

/// A direct stream, and its peer as a blocking stream of the standard library.
async fn half() -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().await.unwrap(), peer)
}

fn streams_move_bytes_as_ordinary_ones_do<R: Runtime>() {
    on_machines(async |runtime: &R| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = listener.accept().await.unwrap();
        let places = if uses(runtime, Feature::DirectDescriptors) { 2 } else { 0 };
        assert_eq!(runtime.report().live.direct, places);
        let sent = pattern(500_000);
        let echo = spawn(async move {
            while let Some(chunk) = server.recv().await.unwrap() {
                server.write_all(chunk).await.unwrap();
            }
            server.shutdown(Shutdown::Write).await.unwrap();
        });
        let sending = async {
            let (first, rest) = sent.split_at(1_000);
            client.write_all(first.to_vec()).await.unwrap();
            let (second, rest) = rest.split_at(100_000);
            client.write_all_vectored([second[..9].to_vec(), second[9..].to_vec()]).await.unwrap();
            client.write_all_zerocopy(rest.to_vec()).await.unwrap();
            assert_eq!(client.bytes_sent(), 500_000);
            client.shutdown(Shutdown::Write).await.unwrap();
        };
        let receiving = async {
            let mut received = Vec::new();
            let (_, exact) = client.read_exact(vec![0; 70_000]).await.unwrap();
            received.extend(exact);
            let (count, [a, b]) =
                client.read_vectored([Vec::with_capacity(10), Vec::with_capacity(20)]).await.unwrap();
            assert_eq!(count, a.len() + b.len());
            received.extend(a.into_iter().chain(b));
            let (_, some) = client.read(Vec::with_capacity(300)).await.unwrap();
            received.extend(some);
            while let Some(chunk) = client.recv().await.unwrap() {
                received.extend_from_slice(&chunk);
            }
            received
        };
        let ((), received) = join(sending, receiving).await;
        assert_bytes(&received, &sent);
        echo.await.unwrap();
    });
}

fn a_stream_is_received_in_any_way<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, mut peer) = half().await;
        for len in [1, 10, 5_000, 70_000, 200_000, 300_000, 3, 3, 3, 3] {
            let sent = pattern(len);
            let mut early = ours.recv();
            assert!(poll_once(&mut early).await.is_pending());
            turns(2).await;
            drop(early); // loses nothing
            let sending = thread({
                let (mut peer, sent) = (peer.try_clone().unwrap(), sent.clone());
                move || peer.write_all(&sent).unwrap()
            });
            let mut received = Vec::new();
            while received.len() < len {
                let mut next = ours.recv();
                let chunk = match poll_once(&mut next).await {
                    std::task::Poll::Ready(chunk) => chunk,
                    std::task::Poll::Pending => next.await,
                };
                received.extend_from_slice(&chunk.unwrap().unwrap());
            }
            assert_bytes(&received, &sent);
            sending.ended().await;
        }
        // A receive that is cancelled while it is armed, and the end.
        let mut receive = ours.recv();
        assert!(poll_once(&mut receive).await.is_pending());
        let error = receive.cancel().await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
        peer.write_all(b"end").unwrap();
        drop(peer);
        assert_eq!(ours.recv().await.unwrap().unwrap(), *b"end");
        assert_eq!(ours.recv().await.unwrap(), None);
    });
}

fn a_direct_stream_has_no_number<R: Runtime>() {
    alone(|| {
        let runtime = R::new().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let before = descriptors().len();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let server = listener.accept().await.unwrap();
            let file = File::open("/proc/self/cmdline").await.unwrap();
            let more = if uses(&runtime, Feature::DirectDescriptors) { 0 } else { 3 };
            assert_eq!(descriptors().len(), before + more);
            client.write_all("through the table").await.unwrap();
            assert_eq!(server.recv().await.unwrap().unwrap(), *b"through the table");
            let server = server.install().await.unwrap();
            let file = file.install().await.unwrap();
            server.write_all("and back").await.unwrap();
            assert_eq!(client.recv().await.unwrap().unwrap(), *b"and back");
            drop((client, server, file));
            turns(3).await;
            assert_eq!(descriptors().len(), before);
        });
        end(runtime);
    });
}

fn a_dropped_stream_is_closed<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, peer) = half().await;
        drop(ours);
        assert_eq!(thread(move || read_to_end(peer)).ended().await, b"");
        // Also when a receive is armed, a future is in flight, and another has been dropped.
        let (ours, peer) = half().await;
        let mut receive = ours.recv();
        assert!(poll_once(&mut receive).await.is_pending());
        turns(2).await;
        drop((receive, ours));
        assert_eq!(thread(move || read_to_end(peer)).ended().await, b"");
        let (ours, peer) = half().await;
        let mut read = ours.read(Vec::with_capacity(100_000));
        assert!(poll_once(&mut read).await.is_pending());
        drop(ours);
        turns(2).await;
        drop(read);
        assert_eq!(thread(move || read_to_end(peer)).ended().await, b"");
    });
}

/// Before Linux 6.13 the kernel frees the files of a table in the order in which operations began.
fn t320_a_direct_descriptor_closes_while_an_operation_waits_on_another<R: Runtime>() {
    on_machines(async |_: &R| {
        let (idle, _idle_writer) = direct_pipe().unwrap();
        let mut waits = idle.recv();
        assert!(poll_once(&mut waits).await.is_pending());
        turns(2).await;
        let (reader, writer) = direct_pipe().unwrap();
        writer.write_all("all").await.unwrap();
        drop(writer);
        assert_eq!(reader.recv().await.unwrap().unwrap(), *b"all");
        assert_eq!(reader.recv().await.unwrap(), None);
        let (stream, mut peer) = half().await;
        peer.set_nonblocking(true).unwrap();
        drop(stream);
        until(|| peer.read(&mut [0]).is_ok_and(|count| count == 0)).await;
    });
}

fn a_closed_direct_stream_reports_it<R: Runtime>() {
    on_machines(async |runtime: &R| {
        let (ours, peer) = half().await;
        let mut receive = ours.recv();
        assert!(poll_once(&mut receive).await.is_pending());
        turns(1).await;
        drop(receive);
        ours.close().await.unwrap();
        assert_eq!(runtime.report().live.direct, 0);
        assert_eq!(read_to_end(peer), b"");
        let (ours, _peer) = half().await;
        let _receive = ours.recv();
        assert_eq!(ours.close().await.unwrap_err().kind(), ErrorKind::ResourceBusy);
    });
}

fn a_dropped_accept_loses_no_direct_connection<R: Runtime>() {
    on_machines(async |_: &R| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for round in 0..50u8 {
            let mut accept = listener.accept();
            assert!(poll_once(&mut accept).await.is_pending());
            turns(1).await;
            let mut peer = std::net::TcpStream::connect(address).unwrap();
            peer.write_all(&[round]).unwrap();
            if round % 2 == 0 {
                turns(1).await; // the client is reported, and the future not polled
            }
            drop(accept);
            let server = listener.accept().await.unwrap();
            assert_eq!(server.read_exact([0]).await.unwrap().1, [round]);
        }
        // One that nobody takes is closed with the listener.
        let mut accept = listener.accept();
        assert!(poll_once(&mut accept).await.is_pending());
        turns(1).await;
        let mut peer = std::net::TcpStream::connect(address).unwrap();
        turns(1).await;
        drop((accept, listener));
        let gone = thread(move || peer.read(&mut [0; 1]).unwrap_or(0)).ended().await;
        assert_eq!(gone, 0);
    });
}

fn connecting_tries_one_address_after_the_other<R: Runtime>() {
    on_machines(async |_: &R| {
        let (_socket, nobody) = unused_address();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(&[nobody, address][..]).await.unwrap();
        assert_eq!(stream.peer_addr().await.unwrap(), address);
        let error = TcpStream::connect(nobody).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&nobody.to_string()), "{error}");
    });
}

fn a_dropped_connect_leaves_nothing<R: Runtime>() {
    on_machines(async |runtime: &R| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for polls in 0..4 {
            let mut connect = TcpStream::connect(address);
            for _ in 0..polls {
                if poll_once(&mut connect).await.is_ready() {
                    break;
                }
                turns(1).await;
            }
            drop(connect);
            nothing_is_left(runtime).await;
            let mut connect = TcpStream::connect(address);
            for _ in 0..polls {
                if poll_once(&mut connect).await.is_ready() {
                    break;
                }
            }
            if polls == 0 {
                let error = connect.cancel().await.unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
            }
        }
    });
}

fn options_and_addresses_are_the_socket_s<R: Runtime>() {
    on_machines(async |_: &R| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.set_nodelay(true).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = listener.accept().await.unwrap();
        assert_eq!(server.peer_addr().await.unwrap(), client.local_addr().await.unwrap());
        assert_eq!(server.local_addr().await.unwrap(), listener.local_addr().unwrap());
        client.set_nodelay(true).await.unwrap();
        client.set_recv_buffer_size(10_000).await.unwrap();
        client.set_send_buffer_size(20_000).await.unwrap();
        let (client, server) = (client.install().await.unwrap(), server.install().await.unwrap());
        assert!(client.nodelay().unwrap() && server.nodelay().unwrap());
        assert_eq!(
            (client.recv_buffer_size().unwrap(), client.send_buffer_size().unwrap()),
            (20_000, 40_000)
        );
    });
}

fn an_installed_stream_has_what_was_received<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, mut peer) = half().await;
        ours.write_all("out").await.unwrap();
        let mut receive = ours.recv();
        assert!(poll_once(&mut receive).await.is_pending());
        peer.write_all(b"first").unwrap();
        turns(3).await;
        drop(receive);
        let ours = ours.install().await.unwrap();
        peer.write_all(b" second").unwrap();
        assert_eq!(ours.read_exact([0; 12]).await.unwrap().1, *b"first second");
        assert_eq!(ours.bytes_sent(), 3);
        drop(ours);
        assert_eq!(thread(move || read_to_end(peer)).ended().await, b"out");
    });
}

fn install_is_refused_while_a_future_is_there<R: Runtime>() {
    on_machines(async |_: &R| {
        let (ours, peer) = half().await;
        let receive = ours.recv();
        let error = ours.install().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        drop(receive);
        assert_eq!(thread(move || read_to_end(peer)).ended().await, b"");
        // A write that was given up is waited for.
        let (ours, peer) = half().await;
        let mut write = ours.write_all(vec![7; 10_000_000]);
        assert!(poll_once(&mut write).await.is_pending());
        turns(2).await;
        drop(write);
        let ours = ours.install().await.unwrap();
        let sent = ours.bytes_sent();
        drop(ours);
        assert_eq!(thread(move || read_to_end(peer)).ended().await.len() as u64, sent);
    });
}

fn places_are_used_again<R: Runtime>() {
    let runtime = R::with_config(&Config::new().direct_descriptors(3).ring_entries(4)).unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for round in 0..500u32 {
            let client = TcpStream::connect(address).await.unwrap();
            let server = listener.accept().await.unwrap();
            client.write_all(round.to_ne_bytes().to_vec()).await.unwrap();
            let bytes = server.read_exact([0; 4]).await.unwrap().1;
            assert_eq!(u32::from_ne_bytes(bytes), round);
            if round % 2 == 0 {
                // The place is taken again in the same turn in which it was left.
                drop(client);
                let next = TcpStream::connect(address).await.unwrap();
                assert_eq!(server.recv().await.unwrap(), None);
                next.write_all("next").await.unwrap();
                drop(server);
                let server = listener.accept().await.unwrap();
                assert_eq!(server.read_exact([0; 4]).await.unwrap().1, *b"next");
            }
        }
        drop(listener);
        nothing_is_left(&runtime).await;
    });
    end(runtime);
}

fn a_full_table_is_an_error_and_loses_no_connection<R: Runtime>() {
    let runtime = R::with_config(&Config::new().direct_descriptors(2)).unwrap();
    if !uses(&runtime, Feature::DirectDescriptors) {
        return;
    }
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peers: Vec<_> = (0..4u8).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        for (number, mut peer) in peers.iter().enumerate() {
            peer.write_all(&[number as u8]).unwrap();
        }
        let mut held = vec![listener.accept().await.unwrap(), listener.accept().await.unwrap()];
        let full = |error: std::io::Error| {
            assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
            assert!(error.to_string().contains("raise Config::direct_descriptors"), "{error}");
        };
        full(listener.accept().await.unwrap_err());
        full(TcpStream::connect(address).await.unwrap_err());
        full(File::open("/proc/self/cmdline").await.unwrap_err());
        // The next accept waits, for some time at most, and goes on when there is a place.
        let mut accept = listener.accept();
        assert!(poll_once(&mut accept).await.is_pending());
        let first = held.remove(0);
        assert_eq!(first.read_exact([0]).await.unwrap().1, [0]);
        drop(first);
        loop {
            match accept.await {
                Ok(stream) => break held.push(stream),
                Err(error) => full(error), // the pause was over first
            }
            accept = listener.accept();
        }
        assert_eq!(held.remove(0).read_exact([0]).await.unwrap().1, [1]);
        held.push(listener.accept().await.unwrap());
        for (number, stream) in held.iter().enumerate() {
            assert_eq!(stream.read_exact([0]).await.unwrap().1, [2 + number as u8]);
        }
        drop((held, listener));
        nothing_is_left(&runtime).await;
    });
    end(runtime);
}

fn a_refused_table_leaves_ordinary_descriptors<R: Runtime>() {
    Alone::new().limit(nix::sys::resource::Resource::RLIMIT_NOFILE, 100).run(|| {
        let runtime = R::with_config(&Config::new().direct_descriptors(1_000)).unwrap();
        runtime.block_on(async {
            // The report tells the truth before the first one is asked for.
            let features = runtime.report().features;
            let state =
                features.iter().find(|report| report.feature == Feature::DirectDescriptors).unwrap().state;
            let expected = match R::NAME {
                "selector" => FeatureState::Unused,
                _ => FeatureState::Refused(libc::EMFILE),
            };
            assert_eq!(state, expected);
            let (ours, peer) = half().await;
            ours.write_all("anyway").await.unwrap();
            drop(ours);
            assert_eq!(read_to_end(peer), b"anyway");
        });
        end(runtime);
    });
}

fn streams_that_are_open_at_shutdown_are_closed<R: Runtime>() {
    let runtime = R::new().unwrap();
    let (stream, peer) = runtime.block_on(half());
    let (other, second) = runtime.block_on(half());
    runtime.block_on(async {
        let mut receive = other.recv();
        assert!(poll_once(&mut receive).await.is_pending());
    });
    drop(runtime.spawn(async move { drop(other.recv().await) }));
    let mut write = stream.write_all("too late");
    end(runtime);
    assert_eq!(read_to_end(second), b"");
    // What outlives its runtime does nothing more.
    let waker = std::task::Waker::noop();
    let panic =
        panic_catching(|| drop(Pin::new(&mut write).poll(&mut std::task::Context::from_waker(waker))));
    assert!(panic.is_some_and(|message| message.contains("runtime")));
    drop((write, stream));
    if is_proactor::<R>() {
        assert_eq!(read_to_end(peer), b"");
    }
}

fn files_read_and_write_as_ordinary_ones_do<R: Runtime>() {
    on_machines(async |_: &R| {
        let folder = TempDir::new();
        let path = folder.path("file");
        let mut options = OpenOptions::new();
        let file = File::open_with(options.read(true).write(true).create(true), &path).await.unwrap();
        let content = pattern(2_500_000);
        file.write_all_at(content.clone(), 0).await.unwrap();
        file.write_vectored_at([b"ab".to_vec(), b"cd".to_vec()], 10).await.unwrap();
        file.write_at("ef", 14).await.unwrap();
        let mut expected = content;
        expected[10..16].copy_from_slice(b"abcdef");
        file.sync_data().await.unwrap();
        file.sync_all().await.unwrap();
        assert_bytes(&read_file(&path), &expected);
        let (_, read) = file.read_at(Vec::with_capacity(3_000_000), 0).await.unwrap();
        assert_bytes(&read, &expected);
        assert_eq!(file.read_exact_at([0; 6], 10).await.unwrap().1, *b"abcdef");
        let (count, bufs) = file.read_vectored_at([vec![0; 2], vec![0; 4]], 10).await.unwrap();
        assert_eq!((count, bufs.concat()), (6, b"abcdef".to_vec()));
        file.set_len(5).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 5);
        let error = file.read_exact_at([0; 6], 0).await.unwrap_err();
        assert_eq!(error.error().kind(), ErrorKind::UnexpectedEof);
        let file = file.install().await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 5);
        file.close().await.unwrap();
        let file = File::create(&path).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 0);
        file.close().await.unwrap();
        let error = File::open(folder.path("nothing")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

fn a_file_opened_for_a_dropped_future_is_closed<R: Runtime>() {
    alone(|| {
        on_machines(async |runtime: &R| {
            let before = descriptors();
            for turned in [false, true] {
                let mut open = File::open("/proc/self/cmdline");
                let opened = poll_once(&mut open).await.is_ready();
                if turned {
                    turns(2).await;
                }
                drop(open);
                assert!(!opened || !is_proactor::<R>());
                nothing_is_left(runtime).await;
                until(|| descriptors() == before).await;
            }
        });
    });
}

fn a_quiesced_file_has_no_operations<R: Runtime>() {
    on_machines(async |runtime: &R| {
        let folder = TempDir::new();
        let path = folder.file("file", &pattern(1 << 20));
        let ordinary = proactor::fs::File::open(&path).await.unwrap();
        let direct = File::open(&path).await.unwrap();
        let reads = || {
            let buffer = || Vec::with_capacity(1 << 20);
            (ordinary.read_at(buffer(), 0), direct.read_at(buffer(), 0))
        };
        // Futures that have not begun hold nothing up.
        let not_begun = reads();
        ordinary.quiesce().await.unwrap();
        direct.quiesce().await.unwrap();
        drop(not_begun);
        // One that has is waited for, until its result has been taken, or nobody wants it.
        let (mut first, mut second) = reads();
        assert!(poll_once(&mut first).await.is_pending() && poll_once(&mut second).await.is_pending());
        let (mut first_quiet, mut second_quiet) = (ordinary.quiesce(), direct.quiesce());
        assert!(poll_once(&mut first_quiet).await.is_pending());
        assert!(poll_once(&mut second_quiet).await.is_pending());
        assert!(poll_once(&mut second_quiet).await.is_pending());
        assert_eq!(first.await.unwrap().0, 1 << 20);
        first_quiet.await.unwrap();
        drop(second);
        second_quiet.await.unwrap();
        assert_eq!(runtime.report().live.ops, 0);
        // Who waits in another task is woken.
        let (mut first, mut second) = reads();
        assert!(poll_once(&mut first).await.is_pending() && poll_once(&mut second).await.is_pending());
        let waiting = [spawn(ordinary.quiesce()), spawn(direct.quiesce()), spawn(direct.quiesce())];
        yield_now().await;
        assert!(waiting.iter().all(|task| !task.is_finished()));
        drop((first, second));
        for task in waiting {
            task.await.unwrap().unwrap();
        }
        // The wait can be given up.
        let (mut first, _) = reads();
        assert!(poll_once(&mut first).await.is_pending());
        let error = ordinary.quiesce().cancel().await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
        assert_eq!(first.await.unwrap().0, 1 << 20);
    });
}

fn a_reset_is_kept_for_the_next_receive<R: Runtime>() {
    let runtime = R::with_config(&Config::new().mask(Feature::MultishotRecv)).unwrap();
    runtime.block_on(async {
        for polls in 1..4 {
            let (ours, peer) = half().await;
            let mut receive = ours.recv();
            assert!(poll_once(&mut receive).await.is_pending());
            turns(1).await;
            reset(peer);
            let mut seen = None;
            for _ in 0..polls {
                turns(1).await;
                if let std::task::Poll::Ready(result) = poll_once(&mut receive).await {
                    seen = Some(result);
                    break;
                }
            }
            drop(receive);
            let result = match seen {
                Some(result) => result,
                None => ours.recv().await,
            };
            assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset, "after {polls} polls");
        }
    });
    end(runtime);
}

fn what_has_arrived_is_taken_although_the_table_is_full<R: Runtime>() {
    let runtime = R::with_config(&Config::new().direct_descriptors(1)).unwrap();
    if !uses(&runtime, Feature::DirectDescriptors) {
        return;
    }
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = || std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut accept = listener.accept();
        assert!(poll_once(&mut accept).await.is_pending(), "it waits for a client");
        let mut peer = connect();
        turns(2).await;
        assert!(poll_once(&mut accept).await.is_pending(), "the ring is asked for it");
        // One that waits for its turn takes no place.
        let mut second = listener.accept();
        assert!(poll_once(&mut second).await.is_pending());
        drop((accept, second));
        turns(2).await;
        assert_eq!(runtime.report().live.direct, 1);
        let stream = listener.accept().await.unwrap();
        peer.write_all(b"here").unwrap();
        assert_eq!(stream.recv().await.unwrap().unwrap(), *b"here");
        drop((stream, listener));
        nothing_is_left(&runtime).await;
    });
    end(runtime);
}

fn a_queued_close_never_hits_the_next_owner_of_its_place<R: Runtime>() {
    let fault = proactor::testing::Fault::Enter { every: 2, errno: libc::EAGAIN, after_submission: false };
    for config in [
        Config::new(),
        Config::new().ring_entries(1),
        Config::new().ring_entries(4).fault(fault),
        Config::new().mask(Feature::CqeSkip),
        Config::new().sqpoll(std::time::Duration::from_millis(1)),
    ] {
        // (With a thread that takes what is queued, a place may be in use for some time after it has been left.)
        let runtime = R::with_config(&config.direct_descriptors(8)).unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let folder = TempDir::new();
            let path = folder.file("file", b"content");
            for round in 0..rounds(40, 4_000) {
                // Each is dropped, and its place taken at once by the next, in every way.
                drop(direct_pipe().unwrap());
                let (reader, writer) = direct_pipe().unwrap();
                writer.write_all("through").await.unwrap();
                assert_eq!(reader.recv().await.unwrap().unwrap(), *b"through");
                drop((reader, writer));
                let file = File::open(&path).await.unwrap();
                assert_eq!(file.read_exact_at([0; 7], 0).await.unwrap().1, *b"content");
                drop(file);
                let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                let server = listener.accept().await.unwrap();
                client.write_all("over").await.unwrap();
                assert_eq!(server.read_exact([0; 4]).await.unwrap().1, *b"over");
                drop(client);
                let (reader, writer) = direct_pipe().unwrap();
                drop(server);
                let mut read = reader.read(Vec::with_capacity(8));
                assert!(poll_once(&mut read).await.is_pending());
                if round % 2 == 0 {
                    turns(1).await;
                }
                writer.write_all("and back").await.unwrap();
                assert_eq!(read.await.unwrap().1, b"and back");
            }
        });
        end(runtime);
    }
}

fn a_direct_descriptor_means_nothing_to_another_ring<R: Runtime>() {
    let (one, other) = (R::new().unwrap(), R::new().unwrap());
    if !uses(&one, Feature::DirectDescriptors) {
        return;
    }
    let folder = TempDir::new();
    let (first, second) = (folder.file("first", b"first"), folder.file("second", b"second"));
    let options = || OpenOptions::new().read(true).write(true).clone();
    let ours = one.block_on(File::open_with(&options(), &first)).unwrap();
    let theirs = other.block_on(File::open_with(&options(), &second)).unwrap();
    let refused = |message: String| assert!(message.contains("belongs to another runtime"), "{message}");
    refused(panic_of(|| drop(other.block_on(ours.write_all_at("wrong", 0)))));
    refused(panic_of(|| drop(other.block_on(ours.read_at([0; 4], 0)))));
    refused(panic_of(|| drop(other.block_on(ours.write_vectored_at([b"wrong".to_vec()], 0)))));
    refused(panic_of(|| drop(other.block_on(ours.read_vectored_at([vec![0; 4]], 0)))));
    refused(panic_of(|| other.block_on(ours.sync_all()).unwrap()));
    refused(panic_of(|| other.block_on(ours.set_len(0)).unwrap()));
    refused(panic_of(|| drop(other.block_on(ours.metadata()))));
    let (stream, _peer) = one.block_on(half());
    refused(panic_of(|| other.block_on(stream.set_nodelay(true)).unwrap()));
    refused(panic_of(|| other.block_on(stream.shutdown(Shutdown::Both)).unwrap()));
    refused(panic_of(|| drop(other.block_on(stream.peer_addr()))));
    refused(panic_of(|| drop(other.block_on(stream.close()))));
    refused(panic_of(|| drop(other.block_on(ours.close()))));
    assert_eq!(other.block_on(theirs.read_exact_at([0; 6], 0)).unwrap().1, *b"second");
    other.block_on(theirs.close()).unwrap();
    assert_eq!((read_file(&first), read_file(&second)), (b"first".to_vec(), b"second".to_vec()));
    one.block_on(nothing_is_left(&one));
    end(one);
    end(other);
}
