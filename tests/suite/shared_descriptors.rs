//! Descriptors that others use as well, or that are in an unusual state: urgent data, flags that another process changes.

use std::io::Write;
use std::net::TcpListener as StdListener;
use std::os::fd::AsRawFd;

use proactor::net::{TcpListener, TcpStream, UdpSocket};
use proactor::{Feature, Runtime};

use crate::kit::*;

tests! {
    t165_urgent_data_stops_no_receive,
    t166_a_descriptor_that_is_made_blocking_stops_no_loop,
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
    assert_eq!(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags & !libc::O_NONBLOCK) }, 0);
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

/// More than the kernel takes at once, written while nobody reads.
async fn written_to_a_blocking_stream() {
    for vectored in [false, true] {
        let (ours, peer) = half_pair();
        make_blocking(&ours);
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
