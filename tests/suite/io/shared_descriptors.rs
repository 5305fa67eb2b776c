//! Descriptors that others use as well, or that are in an unusual state: urgent data, flags that another process changes.

use std::io::Write;
use std::net::TcpListener as StdListener;
use std::os::fd::AsRawFd;

use proactor::io::{PipeReader, PipeWriter};
use proactor::net::{TcpListener, TcpStream, UdpSocket};
use proactor::{Feature, Runtime};

use crate::kit::*;

tests! {
    t165_urgent_data_stops_no_receive,
    t166_a_descriptor_that_is_made_blocking_stops_no_loop,
    t167_a_queue_of_errors_disturbs_no_receive_and_no_send,
    t167_an_error_may_come_while_something_waits,
    t167_waiting_beside_a_queue_of_errors_takes_no_thread_and_no_turns,
    t167_fifty_writes_beside_a_queue_of_errors_take_no_fifty_threads,
    t168_the_flags_of_a_shared_description_stay,
    t169_a_descriptor_need_not_be_what_its_type_says,
}

const MASKS: &[&[Feature]] = &[&[], &[Feature::MultishotRecv]];

/// Every way to receive from a stream: the bytes that it gives, none at the end.
async fn receive(stream: &TcpStream, way: usize) -> Vec<u8> {
    match way {
        0 => stream.read(Vec::with_capacity(4_096)).await.unwrap().1,
        1 => stream.recv().await.unwrap().unwrap_or_default().to_vec(),
        2 => {
            stream.read_vectored([Vec::with_capacity(2), Vec::with_capacity(4_096)]).await.unwrap().1.concat()
        }
        // Large enough that a multishot receive is ended for it.
        _ => stream.read(Vec::with_capacity(100_000)).await.unwrap().1,
    }
}

/// recv(2) stops at the mark of urgent data, and gives the bytes behind it to the next call.
fn t165_urgent_data_stops_no_receive<R: Runtime>() {
    with_masks(MASKS, async |_: &R| {
        for way in 0..4 {
            let (ours, mut peer) = half_pair();
            peer.set_nodelay(true).unwrap();
            // Somebody has waited before: from then on the selector trusts what epoll reports.
            let (first, ()) = join(receive(&ours, way), async { peer.write_all(b"first").unwrap() }).await;
            assert_eq!(first, b"first");
            for round in 0..3 {
                let mut received = Vec::new();
                let mut next = std::pin::pin!(receive(&ours, way));
                assert!(poll_once(&mut next).await.is_pending(), "way {way}, round {round}");
                turns(2).await;
                peer.write_all(b"abc").unwrap();
                send_urgent(&peer);
                peer.write_all(b"def").unwrap();
                received.extend(next.await);
                while received.len() < 6 {
                    received.extend(receive(&ours, way).await);
                }
                assert_eq!(received, b"abcdef", "way {way}, round {round}");
            }
            drop(peer);
            assert_eq!(receive(&ours, way).await, b"");
        }
    });
}

fn send_urgent(peer: &std::net::TcpStream) {
    // SAFETY: the one byte is there.
    let sent = unsafe { libc::send(peer.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) };
    assert_eq!(sent, 1);
}

/// Whether O_NONBLOCK is set.
fn is_nonblocking(fd: &impl AsRawFd) -> bool {
    // SAFETY: F_GETFL takes no pointer.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    assert!(flags >= 0);
    flags & libc::O_NONBLOCK != 0
}

/// Clears O_NONBLOCK, as another process may that shares the open file description.
fn make_blocking(fd: &impl AsRawFd) {
    // SAFETY: these take no pointer.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    // SAFETY: as above.
    let set = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags & !libc::O_NONBLOCK) };
    assert_eq!(set, 0);
    assert!(!is_nonblocking(fd));
}

fn t166_a_descriptor_that_is_made_blocking_stops_no_loop<R: Runtime>() {
    with_masks(MASKS, async |_: &R| {
        for way in 0..4 {
            let (ours, mut peer) = half_pair();
            for round in 0..2 {
                make_blocking(&ours);
                let mut next = std::pin::pin!(receive(&ours, way));
                assert!(poll_once(&mut next).await.is_pending(), "way {way}, round {round}");
                turns(2).await;
                peer.write_all(b"abc").unwrap();
                assert_eq!(next.await, b"abc");
            }
        }
        written_to_a_blocking_stream().await;
        datagrams_of_a_blocking_socket().await;
        accepted_by_blocking_listeners().await;
    });
}

async fn written_to_a_blocking_stream() {
    for vectored in [false, true] {
        let (ours, peer) = half_pair();
        make_blocking(&ours);
        write_unread(ours, peer, vectored).await;
    }
}

/// Writes more than the kernel takes at once, while nobody reads at first.
async fn write_unread(ours: TcpStream, peer: std::net::TcpStream, vectored: bool) {
    let sent = pattern(8 << 20);
    let write = async {
        if vectored {
            let (one, two) = sent.split_at(1_000_000);
            drop(ours.write_all_vectored([one.to_vec(), two.to_vec()]).await.unwrap());
        } else {
            drop(ours.write_all(sent.clone()).await.unwrap());
        }
    };
    let mut write = std::pin::pin!(write);
    assert!(poll_once(&mut write).await.is_pending());
    turns(2).await;
    let reading = thread(move || -> Vec<u8> {
        let mut received = vec![0; 8 << 20];
        std::io::Read::read_exact(&mut &peer, &mut received).unwrap();
        received
    });
    write.await;
    assert_bytes(&reading.ended().await, &sent);
}

async fn datagrams_of_a_blocking_socket() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.connect(socket.local_addr().unwrap()).unwrap();
    let socket = UdpSocket::from_std(socket).unwrap();
    for chunk in [false, true] {
        make_blocking(&socket);
        let mut next = std::pin::pin!(async {
            if chunk {
                socket.recv_chunk().await.unwrap().0.to_vec()
            } else {
                socket.recv_from(Vec::with_capacity(64)).await.unwrap().1
            }
        });
        assert!(poll_once(&mut next).await.is_pending());
        turns(2).await;
        peer.send(b"datagram").unwrap();
        assert_eq!(next.await, b"datagram");
        let address = peer.local_addr().unwrap();
        assert_eq!(socket.send_to("answer", address).await.unwrap().0, 6);
    }
}

/// The crate's own, and one of the standard library.
async fn accepted_by_blocking_listeners() {
    let own = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let adopted = TcpListener::from_std(StdListener::bind("127.0.0.1:0").unwrap()).unwrap();
    for listener in [own, adopted] {
        let address = listener.local_addr().unwrap();
        for _ in 0..3 {
            make_blocking(&listener);
            let mut accept = listener.accept();
            assert!(poll_once(&mut accept).await.is_pending());
            turns(2).await;
            let client = std::net::TcpStream::connect(address).unwrap();
            assert_eq!(accept.await.unwrap().1, client.local_addr().unwrap());
        }
    }
}

fn set_option<T>(socket: &impl AsRawFd, level: i32, option: i32, value: T) {
    let (pointer, len) = ((&raw const value).cast(), size_of::<T>() as u32);
    // SAFETY: the value lives until the call has returned.
    assert_eq!(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, pointer, len) }, 0);
}

/// Whether poll(2) reports an error on it.
fn has_error(fd: &impl AsRawFd) -> bool {
    let mut pollfd = libc::pollfd { fd: fd.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: the structure lives until the call has returned.
    assert!(unsafe { libc::poll(&raw mut pollfd, 1, 0) } >= 0);
    pollfd.revents & libc::POLLERR != 0
}

/// A socket with something in its queue of errors, for good: somebody refused a datagram.
fn refused_socket() -> std::net::UdpSocket {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    set_option(&socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1);
    let (_kept, nobody) = unused_address();
    socket.send_to(b"for nobody", nobody).unwrap();
    while !has_error(&socket) {
        std::thread::yield_now();
    }
    socket.take_error().unwrap();
    assert!(has_error(&socket));
    socket
}

/// Time stamps of what is sent lie in the queue of errors.
const STAMPS: u32 = libc::SOF_TIMESTAMPING_TX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;

/// A stream with time stamps in its queue of errors, and its peer.
fn stamped_pair() -> (std::net::TcpStream, std::net::TcpStream) {
    let (mut ours, mut peer) = std_pair();
    set_option(&ours, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, STAMPS);
    ours.write_all(b"stamped").unwrap();
    std::io::Read::read_exact(&mut peer, &mut [0; 7]).unwrap();
    while !has_error(&ours) {
        std::thread::yield_now();
    }
    (ours, peer)
}

async fn receive_datagram(socket: &UdpSocket, way: usize) -> Vec<u8> {
    match way {
        0 => socket.recv_from(Vec::with_capacity(64)).await.unwrap().1,
        1 => socket.recv(Vec::with_capacity(64)).await.unwrap().1,
        _ => socket.recv_chunk().await.unwrap().0.to_vec(),
    }
}

fn t167_a_queue_of_errors_disturbs_no_receive_and_no_send<R: Runtime>() {
    with_masks(MASKS, async |_: &R| {
        for way in 0..3 {
            let socket = UdpSocket::from_std(refused_socket()).unwrap();
            let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            peer.connect(socket.local_addr().unwrap()).unwrap();
            for round in 0..3 {
                let mut next = std::pin::pin!(receive_datagram(&socket, way));
                assert!(poll_once(&mut next).await.is_pending(), "way {way}, round {round}");
                turns(4).await;
                assert!(poll_once(&mut next).await.is_pending(), "way {way}, round {round}");
                peer.send(b"datagram").unwrap();
                assert_eq!(next.await, b"datagram", "way {way}, round {round}");
                let address = peer.local_addr().unwrap();
                assert_eq!(socket.send_to("answer", address).await.unwrap().0, 6);
            }
            // One that is given up, and one that is cancelled, disturb nobody.
            let mut dropped = std::pin::pin!(receive_datagram(&socket, way));
            assert!(poll_once(&mut dropped).await.is_pending());
            turns(2).await;
            let error = socket.recv(Vec::with_capacity(8)).cancel().await.unwrap_err();
            assert_eq!(error.error().raw_os_error(), Some(libc::ECANCELED));
            peer.send(b"kept").unwrap();
            assert_eq!(dropped.await, b"kept");
        }
        for way in 0..4 {
            let (ours, mut peer) = stamped_pair();
            let ours = TcpStream::from_std(ours).unwrap();
            for round in 0..3 {
                let mut next = std::pin::pin!(receive(&ours, way));
                assert!(poll_once(&mut next).await.is_pending(), "way {way}, round {round}");
                turns(4).await;
                assert!(poll_once(&mut next).await.is_pending(), "way {way}, round {round}");
                peer.write_all(b"bytes").unwrap();
                assert_eq!(next.await, b"bytes", "way {way}, round {round}");
            }
            drop(peer);
            assert_eq!(receive(&ours, way).await, b"");
        }
        for vectored in [false, true] {
            let (ours, peer) = stamped_pair();
            write_unread(TcpStream::from_std(ours).unwrap(), peer, vectored).await;
        }
    });
}

fn t167_an_error_may_come_while_something_waits<R: Runtime>() {
    with_masks(MASKS, async |_: &R| {
        for way in 0..4 {
            let (ours, mut peer) = half_pair();
            let mut next = std::pin::pin!(receive(&ours, way));
            assert!(poll_once(&mut next).await.is_pending());
            turns(2).await;
            set_option(&ours, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, STAMPS);
            ours.write_all("stamped").await.unwrap();
            std::io::Read::read_exact(&mut peer, &mut [0; 7]).unwrap();
            until(|| has_error(&ours)).await;
            turns(200).await; // more than the kernel tries again
            assert!(poll_once(&mut next).await.is_pending(), "way {way}");
            peer.write_all(b"bytes").unwrap();
            assert_eq!(next.await, b"bytes", "way {way}");
        }
        for way in 0..3 {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            peer.connect(socket.local_addr().unwrap()).unwrap();
            set_option(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, STAMPS);
            let mut next = std::pin::pin!(receive_datagram(&socket, way));
            assert!(poll_once(&mut next).await.is_pending());
            turns(2).await;
            socket.send_to("stamped", peer.local_addr().unwrap()).await.unwrap();
            until(|| has_error(&socket)).await;
            turns(200).await;
            assert!(poll_once(&mut next).await.is_pending(), "way {way}");
            peer.send(b"datagram").unwrap();
            assert_eq!(next.await, b"datagram", "way {way}");
        }
    });
}

fn t167_waiting_beside_a_queue_of_errors_takes_no_thread_and_no_turns<R: Runtime>() {
    alone(|| {
        for mask in MASKS {
            let runtime = R::with_config(&proactor::Config::new().mask_all(mask.iter().copied())).unwrap();
            runtime.block_on(async {
                for way in 0..4 {
                    let (streams, mut peers): (Vec<_>, Vec<_>) = (0..50).map(|_| stamped_pair()).unzip();
                    let reads: Vec<_> = streams
                        .into_iter()
                        .map(|stream| {
                            let stream = TcpStream::from_std(stream).unwrap();
                            proactor::spawn(async move { receive(&stream, way).await })
                        })
                        .collect();
                    turns(300).await; // more than the kernel tries again
                    let before = runtime.report().stats;
                    turns(10).await;
                    let after = runtime.report().stats;
                    let threads = threads();
                    assert!(
                        !threads.iter().any(|name| name.starts_with("iou-wrk")),
                        "way {way}: {threads:?}"
                    );
                    // The turns themselves: a visit and a completion each.
                    let (visits, completions) =
                        (after.kernel_visits - before.kernel_visits, after.completions - before.completions);
                    assert!(
                        visits <= 30 && completions <= 30,
                        "way {way}: {visits} visits, {completions} completions"
                    );
                    peers.iter_mut().for_each(|peer| peer.write_all(b"late").unwrap());
                    for read in reads {
                        assert_eq!(read.await.unwrap(), b"late", "way {way}");
                    }
                }
            });
            end(runtime);
        }
    });
}

fn t167_fifty_writes_beside_a_queue_of_errors_take_no_fifty_threads<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            for vectored in [false, true] {
                let (writes, peers): (Vec<_>, Vec<_>) = (0..50)
                    .map(|_| {
                        let (ours, peer) = std_pair();
                        set_option(&ours, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, STAMPS);
                        socket2::SockRef::from(&ours).set_send_buffer_size(8 << 10).unwrap();
                        let (ours, sent) = (TcpStream::from_std(ours).unwrap(), pattern(256 << 10));
                        let write = proactor::spawn(async move {
                            if vectored {
                                drop(ours.write_all_vectored([sent]).await.unwrap());
                            } else {
                                drop(ours.write_all(sent).await.unwrap());
                            }
                        });
                        (write, peer)
                    })
                    .unzip();
                turns(300).await;
                let workers = threads().iter().filter(|name| name.starts_with("iou-wrk")).count();
                assert!(workers < 10, "{workers} threads of the kernel");
                let reading = thread(move || peers.into_iter().map(count_to_end).collect::<Vec<_>>());
                for write in writes {
                    write.await.unwrap();
                }
                assert_eq!(reading.ended().await, [256 << 10; 50]);
            }
        });
    });
}

/// How many bytes come until the end; most are dropped.
fn count_to_end(mut peer: std::net::TcpStream) -> u64 {
    std::io::copy(&mut peer, &mut std::io::sink()).unwrap()
}

/// A descriptor of the same open file description.
fn twin(fd: impl std::os::fd::AsFd) -> std::os::fd::OwnedFd {
    fd.as_fd().try_clone_to_owned().unwrap()
}

fn t168_the_flags_of_a_shared_description_stay<R: Runtime>() {
    run::<R>(async {
        let (reader, writer) = std::io::pipe().unwrap();
        let (reader_twin, writer_twin) = (twin(&reader), twin(&writer));
        let reader = PipeReader::from_fd(reader.into()).unwrap();
        let writer = PipeWriter::from_fd(writer.into()).unwrap();
        for round in 0..3 {
            let mut next = reader.recv();
            assert!(poll_once(&mut next).await.is_pending());
            turns(2).await;
            assert!(!is_nonblocking(&reader_twin) && !is_nonblocking(&writer_twin), "round {round}");
            writer.write_all("through").await.unwrap();
            assert_eq!(next.await.unwrap().unwrap(), *b"through");
            let mut next = reader.read(Vec::with_capacity(10));
            assert!(poll_once(&mut next).await.is_pending());
            turns(2).await;
            writer.write_all("again").await.unwrap();
            assert_eq!(next.await.unwrap().1, b"again");
        }
        // More than there is room for, while nobody reads.
        let sent = pattern(300_000);
        let mut write = writer.write_all(sent.clone());
        assert!(poll_once(&mut write).await.is_pending());
        turns(2).await;
        let (received, written) = join(reader.read_exact(vec![0; 300_000]), write).await;
        assert_bytes(&received.unwrap().1, &sent);
        written.unwrap();
        drop((reader, writer));
        assert!(!is_nonblocking(&reader_twin) && !is_nonblocking(&writer_twin));

        let (stream, _peer) = std_pair();
        let stream_twin = twin(&stream);
        let stream = TcpStream::from_std(stream).unwrap();
        assert!(poll_once(&mut stream.read(vec![0; 8])).await.is_pending());
        turns(2).await;
        stream.close().await.unwrap();
        assert!(!is_nonblocking(&stream_twin));

        a_terminal_is_left_as_it_is().await;
    });
}

async fn a_terminal_is_left_as_it_is() {
    let (master, terminal) = terminal();
    let reader = PipeReader::from_fd(twin(&terminal)).unwrap();
    let writer = PipeWriter::from_fd(twin(&terminal)).unwrap();
    let mut master = std::fs::File::from(master);
    for line in [&b"first\n"[..], b"second\n"] {
        let mut next = reader.recv();
        assert!(poll_once(&mut next).await.is_pending());
        turns(2).await;
        master.write_all(line).unwrap();
        assert_eq!(next.await.unwrap().unwrap(), *line);
        let mut next = reader.read(Vec::with_capacity(100));
        assert!(poll_once(&mut next).await.is_pending());
        turns(2).await;
        master.write_all(line).unwrap();
        assert_eq!(next.await.unwrap().1, line);
        writer.write_all("prompt> ").await.unwrap();
        assert!(!is_nonblocking(&terminal));
    }
    drop((reader, writer));
    assert!(!is_nonblocking(&terminal));
}

/// Both ends of a terminal, without echo.
fn terminal() -> (std::os::fd::OwnedFd, std::os::fd::OwnedFd) {
    use std::os::fd::{FromRawFd, OwnedFd};
    let (mut master, mut terminal) = (-1, -1);
    // SAFETY: both numbers live until the call has returned, and belong to nobody else.
    let pair = unsafe {
        assert_eq!(
            libc::openpty(
                &mut master,
                &mut terminal,
                std::ptr::null_mut(),
                std::ptr::null(),
                std::ptr::null()
            ),
            0
        );
        (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(terminal))
    };
    let mut settings = std::mem::MaybeUninit::<libc::termios>::uninit();
    // SAFETY: tcgetattr(3) fills the structure.
    unsafe {
        assert_eq!(libc::tcgetattr(terminal, settings.as_mut_ptr()), 0);
        let mut settings = settings.assume_init();
        settings.c_lflag &= !libc::ECHO;
        assert_eq!(libc::tcsetattr(terminal, libc::TCSANOW, &settings), 0);
    }
    pair
}

/// A program whose standard input or output is not a pipe: `program < file > /dev/null`.
fn t169_a_descriptor_need_not_be_what_its_type_says<R: Runtime>() {
    let masks: &[&[Feature]] = &[&[], &[Feature::MultishotRead], &[Feature::MultishotRecv]];
    with_masks(masks, async |_: &R| {
        let folder = TempDir::new();
        let content = pattern(200_000);
        let path = folder.file("file", &content);
        let open = || PipeReader::from_fd(std::fs::File::open(&path).unwrap().into()).unwrap();
        let (reader, mut received) = (open(), Vec::new());
        while let Some(chunk) = reader.recv().await.unwrap() {
            received.extend_from_slice(&chunk);
        }
        assert_bytes(&received, &content);
        assert_eq!(reader.recv().await.unwrap(), None, "the end stays the end");
        let (count, received) = open().read_exact(vec![0; 200_000]).await.unwrap();
        assert_eq!(count, 200_000);
        assert_bytes(&received, &content);

        let null = || PipeReader::from_fd(std::fs::File::open("/dev/null").unwrap().into()).unwrap();
        let reader = null();
        assert_eq!(reader.recv().await.unwrap(), None);
        assert_eq!(reader.recv().await.unwrap(), None);
        assert_eq!(null().read([1; 8]).await.unwrap().0, 0);
        let zeros = PipeReader::from_fd(std::fs::File::open("/dev/zero").unwrap().into()).unwrap();
        for _ in 0..3 {
            let chunk = zeros.recv().await.unwrap().unwrap();
            assert!(!chunk.is_empty() && chunk.iter().all(|byte| *byte == 0));
            assert_eq!(zeros.read([1; 8]).await.unwrap(), (8, [0; 8]));
        }
        written_elsewhere(&folder).await;
        a_socket_for_a_pipe().await;
    });
}

async fn written_elsewhere(folder: &TempDir) {
    let path = folder.path("written");
    let writer = PipeWriter::from_fd(std::fs::File::create(&path).unwrap().into()).unwrap();
    let sent = pattern(100_000);
    writer.write_all(sent.clone()).await.unwrap();
    writer.write_all("end").await.unwrap();
    assert_eq!(writer.bytes_written(), 100_003);
    writer.close().await.unwrap();
    assert_bytes(&read_file(&path)[..100_000], &sent);
    assert_eq!(read_file(&path)[100_000..], *b"end");
    let null = std::fs::File::options().write(true).open("/dev/null").unwrap();
    let null = PipeWriter::from_fd(null.into()).unwrap();
    assert_eq!(null.write_all(sent).await.unwrap().0, 100_000);
}

async fn a_socket_for_a_pipe() {
    let (ours, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let reader = PipeReader::from_fd(twin(&ours)).unwrap();
    let writer = PipeWriter::from_fd(twin(&ours)).unwrap();
    for _ in 0..2 {
        let mut next = reader.recv();
        assert!(poll_once(&mut next).await.is_pending());
        turns(2).await;
        peer.write_all(b"bytes").unwrap();
        assert_eq!(next.await.unwrap().unwrap(), *b"bytes");
        let mut next = reader.read(Vec::with_capacity(10));
        assert!(poll_once(&mut next).await.is_pending());
        turns(2).await;
        peer.write_all(b"more").unwrap();
        assert_eq!(next.await.unwrap().1, b"more");
        writer.write_all("answer").await.unwrap();
        let mut answer = [0; 6];
        std::io::Read::read_exact(&mut peer, &mut answer).unwrap();
        assert_eq!(answer, *b"answer");
        assert!(!is_nonblocking(&ours));
    }
    drop(peer);
    assert_eq!(reader.recv().await.unwrap(), None);
    let error = writer.write_all("lost").await.unwrap_err();
    assert_eq!(error.error().kind(), std::io::ErrorKind::BrokenPipe);
}
