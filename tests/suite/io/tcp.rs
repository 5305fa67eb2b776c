//! TCP: bytes in order, ends and errors, and nothing lost by futures that are dropped or cancelled.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use proactor::buf::{BufResult, IoBuf};
use proactor::io::Cancellable;
use proactor::net::{Read, TcpListener, TcpStream, lookup_host};
use proactor::time::timeout;
use proactor::{Runtime, spawn, yield_now};
use socket2::SockRef;

use crate::kit::*;

tests! {
    a_byte_is_echoed,
    a_page_is_echoed,
    a_mebibyte_is_echoed_through_small_buffers,
    a_read_fills_from_the_start_up_to_the_capacity,
    a_read_fills_arrays_and_boxes,
    a_read_without_room_gives_zero_at_once,
    the_end_of_the_stream_stays_the_end,
    a_read_at_the_end_sets_the_length_too,
    read_exact_fills_the_buffer_from_many_pieces,
    read_exact_at_the_end_gives_the_buffer_back,
    write_all_waits_for_a_slow_reader,
    a_vectored_read_fills_one_buffer_after_the_other,
    a_vectored_read_fills_twenty_buffers,
    a_vectored_write_skips_empty_buffers,
    a_vectored_write_sends_twenty_buffers,
    write_all_vectored_sends_everything,
    the_writing_direction_ends_alone,
    the_reading_direction_ends_alone,
    a_shutdown_ends_a_pending_read,
    a_reset_is_an_error_of_the_read,
    a_write_to_a_closed_peer_is_an_error_and_no_signal,
    a_refused_connect_names_the_address,
    a_connect_tries_addresses_until_one_accepts,
    a_name_that_does_not_resolve_is_named,
    an_empty_list_of_addresses_is_an_error,
    accept_tells_the_address_of_the_peer,
    a_stream_of_the_standard_library_is_taken_over,
    a_listener_of_the_standard_library_is_taken_over,
    halves_can_be_reunited,
    halves_of_two_streams_are_given_back,
    a_dropped_write_half_ends_its_direction,
    a_forgotten_write_half_does_not_end_its_direction,
    a_dropped_read_half_ends_nothing,
    borrowed_halves_work_at_the_same_time,
    options_are_those_that_were_set,
    sent_bytes_are_counted,
    a_dropped_write_is_counted_and_not_overtaken,
    close_gives_ok_and_the_peer_sees_the_end,
    close_beside_a_live_future_is_busy,
    close_after_a_read_that_timed_out_is_ok,
    a_stream_whose_read_was_dropped_ends_when_it_is_dropped,
    a_listener_whose_accept_was_dropped_frees_its_port,
    a_listener_closes_after_a_dropped_accept,
    two_hundred_connections_at_once,
    reads_get_the_bytes_in_their_order,
    writes_are_not_interleaved,
    a_dropped_read_loses_no_byte,
    reads_dropped_in_a_stream_of_bytes_lose_none,
    a_dropped_accept_loses_no_connection,
    a_cancelled_read_gives_its_buffer_back,
    a_cancelled_read_exact_gives_what_it_had,
    another_task_cancels_a_pending_read,
    another_task_cancels_a_read_that_waits_behind_another,
    a_cancel_before_the_first_poll_never_begins,
    a_cancelled_read_whose_bytes_came_loses_none,
    a_cancelled_accept_leaves_the_listener_usable,
    a_cancel_of_a_completed_operation_does_nothing,
    ipv6_works_like_ipv4,
    literals_need_no_resolver,
    localhost_is_looked_up,
}

/// Socket buffers so small that transfers take many steps; the receiver's is that of a segment on loopback,
/// below which TCP goes on by its timers only.
fn small(socket: &impl AsFd) {
    let socket = SockRef::from(socket);
    socket.set_send_buffer_size(8 * 1024).unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
}

async fn echoes(len: usize) {
    let (stream, peer) = half_pair();
    small(&stream);
    small(&peer);
    let peer = exchange(peer, pattern(len));
    echo(stream).await; // drops it, which the peer takes for the end
    assert_bytes(&peer.ended().await, &pattern(len));
}

/// Reads until `len` bytes are there.
async fn read_len(stream: &TcpStream, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        let (count, bytes) = stream.read(Vec::with_capacity(len - all.len())).await.unwrap();
        assert_ne!(count, 0, "the stream ended after {} of {len} bytes", all.len());
        all.extend(bytes);
    }
    all
}

/// Sees on a blocking thread what the peer gets until the end.
fn reading(peer: std::net::TcpStream) -> Thread<Vec<u8>> {
    thread(move || read_to_end(peer))
}

#[track_caller]
fn assert_cancelled<T: std::fmt::Debug, B: std::fmt::Debug>(result: BufResult<T, B>) -> B {
    let (error, buffer) = result.unwrap_err().into_parts();
    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
    buffer
}

// ---------------------------------------------------------------- bytes

fn a_byte_is_echoed<R: Runtime>() {
    run::<R>(echoes(1));
}

fn a_page_is_echoed<R: Runtime>() {
    run::<R>(echoes(4096));
}

fn a_mebibyte_is_echoed_through_small_buffers<R: Runtime>() {
    run::<R>(echoes(1 << 20));
}

fn a_read_fills_from_the_start_up_to_the_capacity<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        peer.write_all(b"0123456789").unwrap();
        let mut buffer = Vec::with_capacity(4);
        buffer.extend(b"xyz");
        let capacity = buffer.capacity();
        let (count, buffer) = stream.read(buffer).await.unwrap();
        assert_eq!((count, buffer.len()), (capacity, capacity));
        assert_eq!(buffer, b"0123456789"[..capacity]);
        let (count, buffer) = stream.read(Vec::with_capacity(100)).await.unwrap();
        assert_eq!(count, 10 - capacity);
        assert_eq!(buffer, b"0123456789"[capacity..]);
    });
}

fn a_read_fills_arrays_and_boxes<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        peer.write_all(b"abcdef").unwrap();
        assert_eq!(stream.read([b'.'; 4]).await.unwrap(), (4, *b"abcd"));
        let boxed = vec![b'.'; 4].into_boxed_slice();
        let (count, boxed) = stream.read(boxed).await.unwrap();
        assert_eq!((count, &boxed[..]), (2, &b"ef.."[..]));
    });
}

fn a_read_without_room_gives_zero_at_once<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        assert_eq!(stream.read(Vec::new()).await.unwrap(), (0, vec![]));
        assert_eq!(stream.read_exact([0; 0]).await.unwrap().0, 0);
        assert_eq!(stream.write_all("").await.unwrap().0, 0);
        peer.write_all(b"x").unwrap();
        assert_eq!(stream.read(Vec::new()).await.unwrap(), (0, vec![]));
        assert_eq!(stream.read([0; 1]).await.unwrap(), (1, *b"x"), "nothing was taken");
    });
}

fn the_end_of_the_stream_stays_the_end<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        peer.write_all(b"last").unwrap();
        drop(peer);
        assert_eq!(read_len(&stream, 4).await, b"last");
        for _ in 0..3 {
            assert_eq!(stream.read(Vec::with_capacity(8)).await.unwrap(), (0, vec![]));
        }
        assert_eq!(stream.read_vectored([[0; 2], [0; 2]]).await.unwrap().0, 0);
    });
}

fn a_read_at_the_end_sets_the_length_too<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = half_pair();
        drop(peer);
        let (count, buffers) = stream.read_vectored([b"old".to_vec()]).await.unwrap();
        assert_eq!((count, buffers[0].len()), (0, 0));
        let (count, buffer) = stream.read(b"old".to_vec()).await.unwrap();
        assert_eq!((count, buffer.len()), (0, 0));
    });
}

fn read_exact_fills_the_buffer_from_many_pieces<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        peer.set_nodelay(true).unwrap();
        let (next, asked) = mpsc::channel();
        let peer = thread(move || {
            for piece in pattern(1000).chunks(100) {
                asked.recv().unwrap();
                peer.write_all(piece).unwrap();
            }
        });
        let mut read = stream.read_exact(Vec::with_capacity(1000));
        for _ in 0..10 {
            assert!(poll_once(&mut read).await.is_pending());
            next.send(()).unwrap();
            turns(2).await;
        }
        let (count, buffer) = read.await.unwrap();
        assert_eq!(count, 1000);
        assert_bytes(&buffer, &pattern(1000));
        peer.ended().await;
    });
}

fn read_exact_at_the_end_gives_the_buffer_back<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        peer.write_all(b"abc").unwrap();
        drop(peer);
        let buffer = Vec::with_capacity(8);
        let address = buffer.as_ptr();
        let (error, buffer) = stream.read_exact(buffer).await.unwrap_err().into_parts();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!((&buffer[..], buffer.as_ptr()), (&b"abc"[..], address));
    });
}

fn write_all_waits_for_a_slow_reader<R: Runtime>() {
    const LEN: usize = 4 << 20;
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        small(&stream);
        small(&peer);
        let bytes = pattern(LEN);
        let address = bytes.as_ptr();
        let mut write = stream.write_all(bytes);
        assert!(poll_once(&mut write).await.is_pending());
        turns(10).await;
        assert!(poll_once(&mut write).await.is_pending());
        let peer = thread(move || {
            let (mut all, mut piece) = (Vec::new(), [0; 8_000]);
            while all.len() < LEN {
                let count = peer.read(&mut piece).unwrap();
                assert_ne!(count, 0);
                all.extend(&piece[..count]);
                std::thread::yield_now();
            }
            all
        });
        let (count, bytes) = write.await.unwrap();
        assert_eq!((count, bytes.as_ptr()), (LEN, address));
        assert_bytes(&peer.ended().await, &bytes);
    });
}

// ---------------------------------------------------------------- vectored

fn a_vectored_read_fills_one_buffer_after_the_other<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        peer.write_all(b"abcdefg").unwrap();
        let sizes = [3, 0, 2, 8];
        let buffers = sizes.map(|size| vec![b'.'; size].into_boxed_slice());
        let (count, buffers) = stream.read_vectored(buffers).await.unwrap();
        assert_eq!(count, 7);
        assert_eq!(buffers.concat(), b"abcdefg......");
        // The lengths tell what was read.
        peer.write_all(b"12345").unwrap();
        let mut buffers: Vec<Vec<u8>> = vec![vec![b'.'; 3], vec![], vec![b'.'; 4], vec![b'.'; 4]];
        buffers.iter_mut().for_each(Vec::shrink_to_fit);
        let (count, buffers) = stream.read_vectored(buffers).await.unwrap();
        assert_eq!(count, 5);
        assert_eq!(buffers, [&b"123"[..], b"", b"45", b""]);
    });
}

fn a_vectored_read_fills_twenty_buffers<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        peer.write_all(&pattern(200)).unwrap();
        let (count, buffers) = stream.read_vectored(vec![[0; 10]; 20]).await.unwrap();
        assert_eq!(count, 200);
        assert_bytes(&buffers.concat(), &pattern(200));
    });
}

fn a_vectored_write_skips_empty_buffers<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = half_pair();
        let peer = reading(peer);
        let (count, buffers) = stream.write_vectored(["", "ab", "", "cde", ""]).await.unwrap();
        assert_eq!((count, buffers), (5, ["", "ab", "", "cde", ""]));
        assert_eq!(stream.write_all_vectored(["", ""]).await.unwrap().0, 0);
        assert_eq!(stream.write_vectored(Vec::<&'static str>::new()).await.unwrap().0, 0);
        drop(stream);
        assert_eq!(peer.ended().await, b"abcde");
    });
}

fn a_vectored_write_sends_twenty_buffers<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = half_pair();
        let peer = reading(peer);
        let buffers: Vec<Vec<u8>> = pattern(200).chunks(10).map(<[u8]>::to_vec).collect();
        let (count, back) = stream.write_vectored(buffers.clone()).await.unwrap();
        assert_eq!((count, back), (200, buffers));
        drop(stream);
        assert_bytes(&peer.ended().await, &pattern(200));
    });
}

fn write_all_vectored_sends_everything<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = half_pair();
        small(&stream);
        small(&peer);
        let bytes = pattern(1 << 20);
        let mut buffers: Vec<Vec<u8>> = bytes.chunks(50_001).map(<[u8]>::to_vec).collect();
        buffers.insert(3, Vec::new());
        let mut write = stream.write_all_vectored(buffers.clone());
        assert!(poll_once(&mut write).await.is_pending());
        let peer = reading(peer);
        let (count, back) = write.await.unwrap();
        assert_eq!(count, bytes.len());
        assert!(back == buffers);
        drop(stream);
        assert_bytes(&peer.ended().await, &bytes);
    });
}

// ---------------------------------------------------------------- ends and errors

fn the_writing_direction_ends_alone<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        stream.write_all("question").await.unwrap();
        stream.shutdown(Shutdown::Write).await.unwrap();
        let peer = thread(move || {
            let mut question = Vec::new();
            peer.read_to_end(&mut question).unwrap();
            peer.write_all(b"answer").unwrap();
            question
        });
        assert_eq!(read_len(&stream, 6).await, b"answer");
        assert_eq!(peer.ended().await, b"question");
        let error = stream.write("more").await.unwrap_err();
        assert_eq!((error.kind(), error.into_buf()), (ErrorKind::BrokenPipe, "more"));
    });
}

fn the_reading_direction_ends_alone<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = half_pair();
        stream.shutdown(Shutdown::Read).await.unwrap();
        assert_eq!(stream.read([0; 8]).await.unwrap().0, 0);
        stream.write_all("still").await.unwrap();
        drop(stream);
        assert_eq!(reading(peer).ended().await, b"still");
    });
}

fn a_shutdown_ends_a_pending_read<R: Runtime>() {
    run::<R>(async {
        let (stream, _peer) = half_pair();
        let mut read = stream.read([0; 8]);
        assert!(poll_once(&mut read).await.is_pending());
        turns(2).await;
        stream.shutdown(Shutdown::Both).await.unwrap();
        assert_eq!(read.await.unwrap().0, 0);
    });
}

fn a_reset_is_an_error_of_the_read<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = half_pair();
        let mut read = stream.read(Vec::with_capacity(32));
        assert!(poll_once(&mut read).await.is_pending());
        turns(2).await;
        reset(peer);
        let error = read.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let buffer = error.into_buf();
        assert_eq!((buffer.len(), buffer.capacity()), (0, 32));
    });
}

fn a_write_to_a_closed_peer_is_an_error_and_no_signal<R: Runtime>() {
    alone(|| {
        // SAFETY: nothing else in this process cares for the signal. It kills, as in a C program.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        run::<R>(async {
            for vectored in [false, true] {
                let (stream, peer) = half_pair();
                drop(peer);
                let mut kinds = Vec::new();
                while kinds.len() < 2 {
                    let result = match vectored {
                        false => stream.write_all("x").await.map_err(|error| error.kind()).err(),
                        true => stream.write_vectored(["x", "y"]).await.map_err(|error| error.kind()).err(),
                    };
                    kinds.extend(result);
                }
                let expected = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
                assert!(kinds.iter().all(|kind| expected.contains(kind)), "{kinds:?}");
                assert_eq!(kinds[1], ErrorKind::BrokenPipe, "from then on");
            }
        });
    });
}

// ---------------------------------------------------------------- connect, accept, std

fn a_refused_connect_names_the_address<R: Runtime>() {
    run::<R>(async {
        let (_kept, address) = unused_address();
        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    });
}

fn a_connect_tries_addresses_until_one_accepts<R: Runtime>() {
    run::<R>(async {
        let ((_first, one), (_second, two)) = (unused_address(), unused_address());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let three = listener.local_addr().unwrap();
        let stream = TcpStream::connect(&[one, two, three][..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), three);
        let error = TcpStream::connect(&[one, two][..]).await.unwrap_err();
        assert!(error.to_string().contains(&two.to_string()), "the last one's: {error}");
    });
}

fn a_name_that_does_not_resolve_is_named<R: Runtime>() {
    // Longer than a label may be, so that nobody else is asked.
    let name = format!("{}.invalid", "x".repeat(64));
    run::<R>(async {
        let error = TcpStream::connect(format!("{name}:80")).await.unwrap_err();
        assert!(error.to_string().contains(&format!("{name}:80")), "{error}");
        let error = TcpListener::bind((name.as_str(), 0)).await.unwrap_err();
        assert!(error.to_string().contains(&name), "{error}");
        let error = TcpStream::connect("127.0.0.1").await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.1"), "there is no port: {error}");
    });
}

fn an_empty_list_of_addresses_is_an_error<R: Runtime>() {
    run::<R>(async {
        let none: &[SocketAddr] = &[];
        assert_eq!(TcpStream::connect(none).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(TcpListener::bind(none).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

fn accept_tells_the_address_of_the_peer<R: Runtime>() {
    run::<R>(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!((server.peer_addr().unwrap(), server.local_addr().unwrap()), (peer, address));
    });
}

fn a_stream_of_the_standard_library_is_taken_over<R: Runtime>() {
    run::<R>(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let blocking = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let address = blocking.local_addr().unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let stream = TcpStream::from_std(blocking).unwrap();
        assert_eq!(stream.local_addr().unwrap(), address);
        // It was blocking: a read that waits must not stop the loop.
        let mut read = stream.read([0; 4]);
        assert!(poll_once(&mut read).await.is_pending());
        turns(3).await;
        peer.write_all(b"here").unwrap();
        assert_eq!(read.await.unwrap(), (4, *b"here"));
    });
}

fn a_listener_of_the_standard_library_is_taken_over<R: Runtime>() {
    run::<R>(async {
        let blocking = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = blocking.local_addr().unwrap();
        let listener = TcpListener::from_std(blocking).unwrap();
        assert_eq!(listener.local_addr().unwrap(), address);
        let mut accept = listener.accept();
        assert!(poll_once(&mut accept).await.is_pending());
        turns(3).await;
        let client = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(accept.await.unwrap().1, client.local_addr().unwrap());
    });
}

// ---------------------------------------------------------------- halves

fn halves_can_be_reunited<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = half_pair();
        let address = stream.local_addr().unwrap();
        let (reader, writer) = stream.into_split();
        writer.write_all("split ").await.unwrap();
        let stream = reader.reunite(writer).unwrap();
        assert_eq!(stream.local_addr().unwrap(), address);
        stream.write_all("whole").await.unwrap();
        stream.close().await.unwrap();
        assert_eq!(reading(peer).ended().await, b"split whole");
    });
}

fn halves_of_two_streams_are_given_back<R: Runtime>() {
    run::<R>(async {
        let ((one, one_peer), (two, two_peer)) = (half_pair(), half_pair());
        let ((one_reader, one_writer), (two_reader, two_writer)) = (one.into_split(), two.into_split());
        let error = one_reader.reunite(two_writer).unwrap_err();
        assert!(error.to_string().contains("do not belong to the same stream"), "{error}");
        let (one_reader, two_writer) = (error.0, error.1);
        let one = one_reader.reunite(one_writer).unwrap();
        let two = two_reader.reunite(two_writer).unwrap();
        one.write_all("one").await.unwrap();
        two.write_all("two").await.unwrap();
        drop((one, two));
        assert_eq!(reading(one_peer).ended().await, b"one");
        assert_eq!(reading(two_peer).ended().await, b"two");
    });
}

fn a_dropped_write_half_ends_its_direction<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        let (reader, writer) = stream.into_split();
        writer.write_all("bye").await.unwrap();
        drop(writer);
        let peer = thread(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            peer.write_all(b"heard").unwrap();
            all
        });
        assert_eq!(reader.read_exact([0; 5]).await.unwrap().1, *b"heard");
        assert_eq!(peer.ended().await, b"bye");
    });
}

fn a_forgotten_write_half_does_not_end_its_direction<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = half_pair();
        let (reader, writer) = stream.into_split();
        writer.forget();
        reader.as_ref().write_all("later").await.unwrap();
        drop(reader);
        assert_eq!(reading(peer).ended().await, b"later");
    });
}

fn a_dropped_read_half_ends_nothing<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = half_pair();
        let (reader, writer) = stream.into_split();
        let mut read = reader.read([0; 1]);
        assert!(poll_once(&mut read).await.is_pending());
        drop((read, reader));
        turns(2).await;
        writer.write_all("on").await.unwrap();
        drop(writer);
        assert_eq!(reading(peer).ended().await, b"on");
    });
}

fn borrowed_halves_work_at_the_same_time<R: Runtime>() {
    const LEN: usize = 1 << 20;
    run::<R>(async {
        let (stream, peer) = half_pair();
        small(&stream);
        small(&peer);
        let peer = exchange(peer, pattern(LEN));
        let (reader, writer) = stream.split();
        let (read, ()) = join(reader.read_exact(Vec::with_capacity(LEN)), async {
            let mut bytes = pattern(LEN);
            bytes.reverse();
            writer.write_all(bytes).await.unwrap();
            stream.shutdown(Shutdown::Write).await.unwrap();
        })
        .await;
        assert_bytes(&read.unwrap().1, &pattern(LEN));
        let mut received = peer.ended().await;
        received.reverse();
        assert_bytes(&received, &pattern(LEN));
    });
}

// ---------------------------------------------------------------- options, counts, close

fn options_are_those_that_were_set<R: Runtime>() {
    run::<R>(async {
        let (stream, _peer) = half_pair();
        for nodelay in [true, false] {
            stream.set_nodelay(nodelay).unwrap();
            assert_eq!(stream.nodelay().unwrap(), nodelay);
        }
        for linger in [Some(Duration::from_secs(7)), Some(Duration::ZERO), None] {
            stream.set_linger(linger).unwrap();
            assert_eq!(stream.linger().unwrap(), linger);
        }
        stream.set_ttl(42).unwrap();
        assert_eq!(stream.ttl().unwrap(), 42);
        stream.set_recv_buffer_size(20_000).unwrap();
        assert_eq!(stream.recv_buffer_size().unwrap(), 40_000);
        stream.set_send_buffer_size(30_000).unwrap();
        assert_eq!(stream.send_buffer_size().unwrap(), 60_000);
        assert!(stream.take_error().unwrap().is_none());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.set_ttl(43).unwrap();
        assert_eq!(listener.ttl().unwrap(), 43);
    });
}

fn sent_bytes_are_counted<R: Runtime>() {
    run::<R>(async {
        let (stream, _peer) = half_pair();
        assert_eq!(stream.bytes_sent(), 0);
        stream.write_all(pattern(1000)).await.unwrap();
        assert_eq!(stream.bytes_sent(), 1000);
        stream.write_all_vectored(["ab", "cde"]).await.unwrap();
        let (count, _) = stream.write("fg").await.unwrap();
        assert_eq!((count, stream.bytes_sent()), (2, 1007));
    });
}

fn a_dropped_write_is_counted_and_not_overtaken<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = half_pair();
        small(&stream);
        small(&peer);
        let mut write = stream.write_all(pattern(4 << 20));
        assert!(poll_once(&mut write).await.is_pending());
        turns(2).await;
        drop(write);
        let peer = reading(peer);
        stream.write_all("the end").await.unwrap();
        let sent = stream.bytes_sent();
        drop(stream);
        let received = peer.ended().await;
        assert_eq!(received.len() as u64, sent);
        let (front, end) = received.split_at(received.len() - 7);
        assert_eq!(end, b"the end");
        assert!(front.len() < 4 << 20);
        assert_bytes(front, &pattern(4 << 20)[..front.len()]);
    });
}

fn close_gives_ok_and_the_peer_sees_the_end<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = half_pair();
        stream.write_all("done").await.unwrap();
        stream.close().await.unwrap();
        assert_eq!(reading(peer).ended().await, b"done");
        let listener = TcpListener::bind((own_host(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        listener.close().await.unwrap();
        let error = std::net::TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

fn close_beside_a_live_future_is_busy<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        let mut read = stream.read([0; 2]);
        assert!(poll_once(&mut read).await.is_pending());
        assert_eq!(stream.close().await.unwrap_err().kind(), ErrorKind::ResourceBusy);
        peer.write_all(b"ok").unwrap();
        assert_eq!(read.await.unwrap(), (2, *b"ok"), "the future keeps it open");
        assert_eq!(reading(peer).ended().await, b"", "and its end closes it");

        let (stream, _peer) = half_pair();
        let (reader, writer) = stream.into_split();
        let unpolled = writer.write("x");
        let stream = reader.reunite(writer).unwrap();
        assert_eq!(stream.close().await.unwrap_err().kind(), ErrorKind::ResourceBusy);
        drop(unpolled);
    });
}

fn close_after_a_read_that_timed_out_is_ok<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = half_pair();
        timeout(Duration::from_millis(1), stream.read([0; 64])).await.unwrap_err();
        stream.close().await.unwrap();
        assert_eq!(reading(peer).ended().await, b"");
    });
}

fn a_stream_whose_read_was_dropped_ends_when_it_is_dropped<R: Runtime>() {
    run::<R>(async {
        for count in 0..4 {
            let (stream, peer) = half_pair();
            let mut read = stream.read(Vec::with_capacity(64));
            assert!(poll_once(&mut read).await.is_pending());
            turns(count).await;
            drop(read);
            drop(stream);
            assert_eq!(reading(peer).ended().await, b"");
        }
    });
}

fn a_listener_whose_accept_was_dropped_frees_its_port<R: Runtime>() {
    run::<R>(async {
        for count in 0..4 {
            let listener = TcpListener::bind((own_host(), 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut accept = listener.accept();
            assert!(poll_once(&mut accept).await.is_pending());
            turns(count).await;
            drop(accept);
            drop(listener);
            // No turn of the loop in between.
            let error = std::net::TcpStream::connect(address).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            let again = std::net::TcpListener::bind(address).unwrap();
            assert_eq!(again.local_addr().unwrap(), address);
        }
    });
}

fn a_listener_closes_after_a_dropped_accept<R: Runtime>() {
    run::<R>(async {
        let listener = TcpListener::bind((own_host(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accept = listener.accept();
        assert!(poll_once(&mut accept).await.is_pending());
        turns(2).await;
        drop(accept);
        listener.close().await.unwrap();
        TcpListener::bind(address).await.unwrap();
    });
}

// ---------------------------------------------------------------- many at once

fn two_hundred_connections_at_once<R: Runtime>() {
    run::<R>(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(async move {
            let mut tasks = Vec::new();
            for _ in 0..200 {
                let (stream, _) = listener.accept().await.unwrap();
                tasks.push(spawn(echo(stream)));
            }
            for result in join_all(tasks).await {
                result.unwrap();
            }
        });
        let connected = Cell::new(0);
        let clients = (0..200_usize).map(|number| {
            let connected = &connected;
            async move {
                let stream = TcpStream::connect(address).await.unwrap();
                connected.set(connected.get() + 1);
                until(|| connected.get() == 200).await;
                let bytes = pattern(100 + number);
                stream.write_all(bytes.clone()).await.unwrap();
                let (_, back) = stream.read_exact(Vec::with_capacity(bytes.len())).await.unwrap();
                assert_bytes(&back[..bytes.len()], &bytes);
            }
        });
        join_all(clients).await;
        server.await.unwrap();
    });
}

fn reads_get_the_bytes_in_their_order<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        let sizes: Vec<usize> = (0..50).map(|number| 1 + number * 7 % 40).collect();
        let total: usize = sizes.iter().sum();
        let mut reads: Vec<_> =
            sizes.iter().map(|size| stream.read_exact(vec![0; *size].into_boxed_slice())).collect();
        for read in &mut reads {
            assert!(poll_once(read).await.is_pending());
        }
        peer.write_all(&pattern(total)).unwrap();
        let results = join_all(reads).await;
        let bytes: Vec<u8> = results.into_iter().flat_map(|result| result.unwrap().1.into_vec()).collect();
        assert_bytes(&bytes, &pattern(total));

        let (mut one, mut two) = (stream.read([0; 4]), stream.read([0; 4]));
        assert!(poll_once(&mut one).await.is_pending());
        assert!(poll_once(&mut two).await.is_pending());
        peer.write_all(b"abcdefgh").unwrap();
        let (two, one) = join(two, one).await;
        assert_eq!((one.unwrap().1, two.unwrap().1), (*b"abcd", *b"efgh"));
    });
}

fn writes_are_not_interleaved<R: Runtime>() {
    const LEN: usize = 256 * 1024;
    run::<R>(async {
        let (stream, peer) = half_pair();
        small(&stream);
        small(&peer);
        let (one, two) = (stream.write_all(vec![b'a'; LEN]), stream.write_all(vec![b'b'; LEN]));
        let three = stream.write_all_vectored([vec![b'c'; LEN], vec![b'd'; LEN]]);
        let (mut one, mut two, mut three) = (one, two, three);
        assert!(poll_once(&mut one).await.is_pending());
        assert!(poll_once(&mut two).await.is_pending());
        assert!(poll_once(&mut three).await.is_pending());
        let peer = reading(peer);
        // Polled the other way round, which changes nothing.
        let (three, (two, one)) = join(three, join(two, one)).await;
        assert_eq!((one.unwrap().0, two.unwrap().0, three.unwrap().0), (LEN, LEN, 2 * LEN));
        drop(stream);
        let expected: Vec<u8> = b"abcd".iter().flat_map(|letter| vec![*letter; LEN]).collect();
        assert_bytes(&peer.ended().await, &expected);
    });
}

// ---------------------------------------------------------------- dropped

fn a_dropped_read_loses_no_byte<R: Runtime>() {
    const ROUNDS: usize = 2_000;
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        peer.set_nodelay(true).unwrap();
        let bytes = pattern(ROUNDS * 40);
        let (next, asked) = mpsc::channel::<(usize, usize)>();
        let sent = bytes.clone();
        let peer = thread(move || {
            while let Ok((from, to)) = asked.recv() {
                peer.write_all(&sent[from..to]).unwrap();
            }
        });
        let mut received: Vec<u8> = Vec::new();
        let mut dropped = 0;
        for round in 0..ROUNDS {
            let (from, to) = (received.len(), received.len() + 1 + round * 13 % 40);
            let mut read = stream.read(Vec::with_capacity(1 + round % 50));
            assert!(poll_once(&mut read).await.is_pending());
            if round % 2 == 0 {
                turns(1).await; // so that the kernel knows of it
            }
            next.send((from, to)).unwrap();
            match race(read, turns(round % 4)).await {
                Ok(result) => received.extend(result.unwrap().1),
                Err(()) => dropped += 1,
            }
            while received.len() < to {
                let left = to - received.len();
                match (received.len() + round) % 4 {
                    0 => received.extend(stream.read([0; 1]).await.unwrap().1),
                    1 => match race(stream.read_exact([0; 1]), yield_now()).await {
                        Ok(result) => received.extend(result.unwrap().1),
                        Err(()) => received.extend(stream.read_exact([0; 1]).await.unwrap().1),
                    },
                    2 => received.extend(stream.read(Vec::with_capacity(left)).await.unwrap().1),
                    _ => {
                        let (_, exact) = stream.read_exact(vec![0; left].into_boxed_slice()).await.unwrap();
                        received.extend(exact.into_vec());
                    }
                }
            }
        }
        assert_ne!(dropped, 0);
        assert_bytes(&received, &bytes[..received.len()]);
        drop(next);
        peer.ended().await;
        assert_eq!(stream.read([0; 1]).await.unwrap().0, 0, "and none came twice");
    });
}

fn reads_dropped_in_a_stream_of_bytes_lose_none<R: Runtime>() {
    const LEN: usize = 400_000;
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        small(&stream);
        small(&peer);
        let peer = thread(move || {
            for piece in pattern(LEN).chunks(97) {
                peer.write_all(piece).unwrap();
            }
        });
        let mut received: Vec<u8> = Vec::new();
        for round in 0.. {
            let size = 1 + round * 31 % 300;
            let result = match round % 5 {
                0 => race(stream.read(Vec::with_capacity(size)), async {}).await.ok(),
                1 => race(stream.read(Vec::with_capacity(size)), yield_now()).await.ok(),
                2 => match race(stream.read_exact(Vec::with_capacity(1)), turns(1)).await {
                    Ok(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => break,
                    result => result.ok(),
                },
                3 => {
                    let half = size / 2;
                    let read = stream.read_vectored([Vec::with_capacity(half), Vec::with_capacity(size)]);
                    let result = race(read, turns(2)).await.ok();
                    result.map(|result| {
                        result.map(|(count, bufs)| (count, bufs.concat())).map_err(|_| panic!())
                    })
                }
                _ => Some(stream.read(Vec::with_capacity(size)).await),
            };
            match result.map(Result::unwrap) {
                Some((0, _)) if round % 5 != 3 => break,
                Some((_, bytes)) => received.extend(bytes),
                None => {}
            }
        }
        assert_bytes(&received, &pattern(LEN));
        peer.ended().await;
    });
}

fn a_dropped_accept_loses_no_connection<R: Runtime>() {
    const CLIENTS: u8 = 20;
    run::<R>(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accept = listener.accept();
        assert!(poll_once(&mut accept).await.is_pending());
        turns(2).await;
        drop(accept);
        let ask = move |number: u8| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(&[number]).unwrap();
            let mut answer = [0];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer[0], number + 1);
        };
        // Half of them together, the others one by one, so that accepts wait in between.
        let mut clients: Vec<_> = (0..CLIENTS / 2).map(|number| thread(move || ask(number))).collect();
        clients.push(thread(move || (CLIENTS / 2..CLIENTS).for_each(ask)));
        let numbers = Rc::new(RefCell::new(HashSet::new()));
        let (mut servers, mut dropped) = (Vec::new(), 0);
        for count in (0..4).cycle() {
            if servers.len() == usize::from(CLIENTS) {
                break;
            }
            let Ok(accepted) = race(listener.accept(), turns(count)).await else {
                dropped += 1;
                yield_now().await;
                continue;
            };
            let (stream, _) = accepted.unwrap();
            let numbers = numbers.clone();
            servers.push(spawn(async move {
                let (_, byte) = stream.read_exact([0; 1]).await.unwrap();
                numbers.borrow_mut().insert(byte[0]);
                stream.write_all([byte[0] + 1]).await.unwrap();
            }));
        }
        join_all(servers).await.into_iter().for_each(|result| result.unwrap());
        assert_eq!(*numbers.borrow(), (0..CLIENTS).collect());
        for client in clients {
            client.ended().await;
        }
        assert_ne!(dropped, 0);
    });
}

// ---------------------------------------------------------------- cancelled

fn a_cancelled_read_gives_its_buffer_back<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        for count in 0..4 {
            let mut buffer = Vec::with_capacity(100 + count);
            buffer.extend(b"kept");
            let (address, capacity) = (buffer.as_ptr(), buffer.capacity());
            let mut read = stream.read(buffer);
            assert!(poll_once(&mut read).await.is_pending());
            turns(count).await;
            let buffer = assert_cancelled(read.cancel().await);
            assert_eq!((buffer.as_ptr(), buffer.capacity()), (address, capacity));
        }
        peer.write_all(b"after").unwrap();
        assert_eq!(stream.read_exact([0; 5]).await.unwrap().1, *b"after");
    });
}

fn a_cancelled_read_exact_gives_what_it_had<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = pair().await;
        let mut read = stream.read_exact(Vec::with_capacity(100));
        assert!(poll_once(&mut read).await.is_pending());
        peer.write_all("first").await.unwrap();
        let taken = || SockRef::from(&stream).peek(&mut [MaybeUninit::uninit()]).is_err();
        while !taken() {
            assert!(poll_once(&mut read).await.is_pending());
            turns(1).await;
        }
        let buffer = assert_cancelled(read.cancel().await);
        assert_eq!(buffer, b"first");
    });
}

type Shared = Rc<RefCell<Read<Vec<u8>>>>;

fn waiting_for(read: &Shared) -> impl Future<Output = BufResult<usize, Vec<u8>>> + use<> {
    let read = read.clone();
    poll_fn(move |cx| Pin::new(&mut *read.borrow_mut()).poll(cx))
}

fn another_task_cancels_a_pending_read<R: Runtime>() {
    run::<R>(async {
        let (stream, _peer) = half_pair();
        let read: Shared = Rc::new(RefCell::new(stream.read(Vec::with_capacity(64))));
        let task = spawn(waiting_for(&read));
        turns(3).await;
        assert!(!task.is_finished());
        read.borrow_mut().request_cancel();
        let buffer = assert_cancelled(task.await.unwrap());
        assert_eq!((buffer.len(), buffer.capacity()), (0, 64));
    });
}

fn another_task_cancels_a_read_that_waits_behind_another<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        let reads: [Shared; 3] =
            [64, 65, 66].map(|size| Rc::new(RefCell::new(stream.read(Vec::with_capacity(size)))));
        let [first, second, third] = reads.each_ref().map(|read| spawn(waiting_for(read)));
        turns(3).await;
        reads[1].borrow_mut().request_cancel();
        let buffer = assert_cancelled(second.await.unwrap());
        assert_eq!(buffer.capacity(), 65);
        assert!(!first.is_finished() && !third.is_finished());
        peer.write_all(b"one").unwrap();
        assert_eq!(first.await.unwrap().unwrap().1, b"one");
        peer.write_all(b"three").unwrap();
        assert_eq!(third.await.unwrap().unwrap().1, b"three");
    });
}

fn a_cancel_before_the_first_poll_never_begins<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = pair().await;
        peer.write_all("bytes").await.unwrap();
        let buffer = Vec::with_capacity(9);
        let address = buffer.as_ptr();
        let buffer = assert_cancelled(stream.read(buffer).cancel().await);
        assert_eq!((buffer.as_ptr(), buffer.len()), (address, 0));
        assert_eq!(assert_cancelled(stream.write_all("never").cancel().await), "never");
        assert_eq!(stream.bytes_sent(), 0);
        assert_eq!(stream.read_exact([0; 5]).await.unwrap().1, *b"bytes");
    });
}

/// What has been received when the cancel comes is the result; on the selector nothing is received before the
/// future is polled, so there it may as well be left for the next read.
fn a_cancelled_read_whose_bytes_came_loses_none<R: Runtime>() {
    run::<R>(async {
        let (stream, peer) = pair().await;
        let mut read = stream.read(Vec::with_capacity(64));
        assert!(poll_once(&mut read).await.is_pending());
        turns(1).await;
        peer.write_all("finished").await.unwrap();
        turns(3).await;
        match read.cancel().await {
            Ok((count, buffer)) => assert_eq!((count, &buffer[..]), (8, &b"finished"[..])),
            Err(error) if is_proactor::<R>() => panic!("{error}"),
            Err(error) => {
                assert_eq!(error.error().raw_os_error(), Some(libc::ECANCELED));
                assert_eq!(stream.read_exact([0; 8]).await.unwrap().1, *b"finished");
            }
        }
    });
}

fn a_cancelled_accept_leaves_the_listener_usable<R: Runtime>() {
    run::<R>(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut accept = listener.accept();
        assert!(poll_once(&mut accept).await.is_pending());
        turns(2).await;
        let error = accept.cancel().await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(listener.accept().await.unwrap().1, client.local_addr().unwrap());
    });
}

fn a_cancel_of_a_completed_operation_does_nothing<R: Runtime>() {
    run::<R>(async {
        let (stream, mut peer) = half_pair();
        peer.write_all(b"x").unwrap();
        let mut read = stream.read([0; 1]);
        let result = poll_fn(|cx| Pin::new(&mut read).poll(cx)).await;
        assert_eq!(result.unwrap(), (1, *b"x"));
        read.request_cancel();
        drop(read);
        let mut next = stream.read([0; 1]);
        assert!(matches!(poll_once(&mut next).await, Poll::Pending));
        peer.write_all(b"y").unwrap();
        assert_eq!(next.await.unwrap(), (1, *b"y"));
    });
}

// ---------------------------------------------------------------- addresses

fn ipv6_works_like_ipv4<R: Runtime>() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return; // the machine has no IPv6
    }
    run::<R>(async {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(address.is_ipv6());
        let client = TcpStream::connect(address).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        let window = "<six>".slice(1..4);
        client.write_all(window).await.unwrap();
        assert_eq!(server.read_exact([0; 3]).await.unwrap().1, *b"six");
    });
}

fn literals_need_no_resolver<R: Runtime>() {
    run::<R>(async {
        for literal in ["127.0.0.1:80", "[::1]:443", "0.0.0.0:0"] {
            let address: SocketAddr = literal.parse().unwrap();
            // Ready at once: nothing was asked.
            let mut lookup = lookup_host(literal);
            assert!(matches!(poll_once(&mut lookup).await, Poll::Ready(Ok(found)) if found == [address]));
            let pair = (address.ip().to_string(), address.port());
            assert_eq!(lookup_host(pair).await.unwrap(), [address]);
            assert_eq!(lookup_host(address).await.unwrap(), [address]);
        }
    });
}

fn localhost_is_looked_up<R: Runtime>() {
    run::<R>(async {
        for found in [lookup_host("localhost:80").await, lookup_host(("localhost", 80)).await] {
            let found = found.unwrap();
            assert!(!found.is_empty());
            assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
        }
    });
}
