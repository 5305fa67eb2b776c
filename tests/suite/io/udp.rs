//! UDP: datagrams whole, in order on loopback, and none lost by a future that is dropped.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use proactor::Runtime;
use proactor::buf::IoBuf;
use proactor::net::UdpSocket;
use proactor::time::timeout;

use crate::kit::*;

tests! {
    a_datagram_arrives_with_its_sender,
    a_pending_receive_gets_the_datagram,
    t64_a_long_datagram_is_cut_to_the_buffer,
    a_large_datagram_arrives_whole,
    a_datagram_that_is_too_large_is_an_error_with_its_buffer,
    t64_an_empty_datagram_arrives,
    a_connected_socket_knows_its_peer,
    a_connected_socket_gets_an_error_for_a_refusal,
    datagrams_arrive_in_their_order,
    receives_get_the_datagrams_in_their_order,
    a_dropped_receive_loses_no_datagram,
    a_datagram_taken_by_a_dropped_receive_keeps_its_sender,
    broadcast_is_an_option,
    a_socket_of_the_standard_library_is_taken_over,
    a_socket_whose_receive_was_dropped_frees_its_port,
    close_frees_the_port,
    close_beside_a_live_future_is_busy,
    close_after_a_receive_that_timed_out_is_ok,
    a_cancelled_receive_gives_its_buffer_back,
    a_cancelled_send_that_never_began_sends_nothing,
    a_taken_port_is_named,
    ipv6_works_like_ipv4,
}

/// A socket of ours, and one of the standard library that is connected to it.
async fn ours_and_peer() -> (UdpSocket, std::net::UdpSocket) {
    let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.connect(ours.local_addr().unwrap()).unwrap();
    (ours, peer)
}

fn a_datagram_arrives_with_its_sender<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        let address = peer.local_addr().unwrap();
        peer.send(b"question").unwrap();
        let ((count, sender), buffer) = ours.recv_from(Vec::with_capacity(64)).await.unwrap();
        assert_eq!((count, sender, &buffer[..]), (8, address, &b"question"[..]));
        assert_eq!(ours.send_to("answer", sender).await.unwrap(), (6, "answer"));
        let mut answer = [0; 64];
        let (count, sender) = peer.recv_from(&mut answer).unwrap();
        assert_eq!((&answer[..count], sender), (&b"answer"[..], ours.local_addr().unwrap()));
    });
}

fn a_pending_receive_gets_the_datagram<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        let mut receive = ours.recv_from([0; 4]);
        assert!(poll_once(&mut receive).await.is_pending());
        turns(2).await;
        peer.send(b"late").unwrap();
        let ((count, sender), buffer) = receive.await.unwrap();
        assert_eq!((count, sender, buffer), (4, peer.local_addr().unwrap(), *b"late"));
    });
}

fn t64_a_long_datagram_is_cut_to_the_buffer<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        peer.send(b"0123456789").unwrap();
        peer.send(b"next").unwrap();
        let ((count, _), buffer) = ours.recv_from([0; 4]).await.unwrap();
        assert_eq!((count, buffer), (4, *b"0123"));
        let (count, buffer) = ours.recv(Vec::with_capacity(16)).await.unwrap();
        assert_eq!((count, &buffer[..]), (4, &b"next"[..]), "the rest is not a datagram");
    });
}

fn a_large_datagram_arrives_whole<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        let bytes = pattern(65_507);
        let sender = UdpSocket::from_std(peer).unwrap();
        assert_eq!(sender.send(bytes.clone()).await.unwrap().0, bytes.len());
        let (count, buffer) = ours.recv(Vec::with_capacity(70_000)).await.unwrap();
        assert_eq!(count, bytes.len());
        assert_bytes(&buffer, &bytes);
    });
}

fn a_datagram_that_is_too_large_is_an_error_with_its_buffer<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        let bytes = pattern(65_508);
        let address = bytes.as_ptr();
        let failed = ours.send_to(bytes, peer.local_addr().unwrap()).await.unwrap_err();
        assert_eq!(failed.error().raw_os_error(), Some(libc::EMSGSIZE));
        let buffer = failed.into_buf();
        assert_eq!(buffer.as_ptr(), address);
    });
}

fn t64_an_empty_datagram_arrives<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        peer.send(b"").unwrap();
        let ((count, sender), buffer) = ours.recv_from(b"old".to_vec()).await.unwrap();
        assert_eq!((count, sender, buffer), (0, peer.local_addr().unwrap(), vec![]));
        assert_eq!(ours.send_to("", sender).await.unwrap().0, 0);
        assert_eq!(peer.recv(&mut [0; 8]).unwrap(), 0);
        // Also when it comes to a receive that waits.
        let mut receive = ours.recv([0; 4]);
        assert!(poll_once(&mut receive).await.is_pending());
        peer.send(b"").unwrap();
        assert_eq!(receive.await.unwrap().0, 0);
    });
}

fn a_connected_socket_knows_its_peer<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        assert_eq!(ours.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        let error = ours.send("nowhere").await.unwrap_err();
        assert_eq!(error.error().raw_os_error(), Some(libc::EDESTADDRREQ));
        ours.connect(peer.local_addr().unwrap()).await.unwrap();
        assert_eq!(ours.peer_addr().unwrap(), peer.local_addr().unwrap());
        ours.send("to the peer").await.unwrap();
        let mut buffer = [0; 32];
        let count = peer.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"to the peer");
        // What others send is not for it.
        let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        other.send_to(b"other", ours.local_addr().unwrap()).unwrap();
        peer.send(b"peer").unwrap();
        assert_eq!(ours.recv([0; 4]).await.unwrap(), (4, *b"peer"));
    });
}

fn a_connected_socket_gets_an_error_for_a_refusal<R: Runtime>() {
    run::<R>(async {
        let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let peer = std::net::UdpSocket::bind((own_host(), 0)).unwrap();
        ours.connect(peer.local_addr().unwrap()).await.unwrap();
        drop(peer);
        ours.send("anyone?").await.unwrap();
        let failed = ours.recv(Vec::with_capacity(7)).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(failed.into_buf().capacity(), 7);
    });
}

fn datagrams_arrive_in_their_order<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        let address = ours.local_addr().unwrap();
        let sender = UdpSocket::from_std(peer).unwrap();
        for round in 0..20_u8 {
            for number in 0..10 {
                sender.send_to([round, number], address).await.unwrap();
            }
            for number in 0..10 {
                assert_eq!(ours.recv([0; 2]).await.unwrap(), (2, [round, number]));
            }
        }
    });
}

fn receives_get_the_datagrams_in_their_order<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        let mut receives: Vec<_> = (0..10).map(|_| ours.recv([0; 1])).collect();
        for receive in &mut receives {
            assert!(poll_once(receive).await.is_pending());
        }
        for number in 0..10_u8 {
            peer.send(&[number]).unwrap();
        }
        for (number, result) in (0..).zip(join_all(receives).await) {
            assert_eq!(result.unwrap(), (1, [number]));
        }
    });
}

fn a_dropped_receive_loses_no_datagram<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        let mut dropped = 0;
        for round in 0..2_000_u32 {
            let mut receive = ours.recv([0; 8]);
            assert!(poll_once(&mut receive).await.is_pending());
            if round % 2 == 0 {
                turns(1).await;
            }
            peer.send(&round.to_ne_bytes()).unwrap();
            let result = match race(receive, turns(round as usize % 4)).await {
                Ok(result) => result,
                Err(()) => {
                    dropped += 1;
                    ours.recv([0; 8]).await
                }
            };
            let (count, buffer) = result.unwrap();
            assert_eq!((count, &buffer[..4]), (4, &round.to_ne_bytes()[..]));
        }
        // On the selector what is there is received by the poll.
        assert!(dropped != 0 || !is_proactor::<R>());
        peer.send(b"only").unwrap();
        assert_eq!(ours.recv([0; 4]).await.unwrap(), (4, *b"only"), "and none came twice");
    });
}

fn a_datagram_taken_by_a_dropped_receive_keeps_its_sender<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        let mut receive = ours.recv_from([0; 4]);
        assert!(poll_once(&mut receive).await.is_pending());
        turns(2).await;
        peer.send(b"first").unwrap();
        turns(2).await;
        drop(receive);
        peer.send(b"second").unwrap();
        // Cut to the dropped one's buffer, if that one had it already.
        let ((count, sender), buffer) = ours.recv_from(Vec::with_capacity(64)).await.unwrap();
        assert_eq!((&buffer[..4], sender), (&b"firs"[..], peer.local_addr().unwrap()));
        assert_eq!(count, if is_proactor::<R>() { 4 } else { 5 });
        assert_eq!(ours.recv([0; 6]).await.unwrap(), (6, *b"second"));
    });
}

fn broadcast_is_an_option<R: Runtime>() {
    run::<R>(async {
        let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert!(!ours.broadcast().unwrap());
        ours.set_broadcast(true).unwrap();
        assert!(ours.broadcast().unwrap());
        ours.set_broadcast(false).unwrap();
        let everybody: SocketAddr = "255.255.255.255:9".parse().unwrap();
        let error = ours.send_to("all", everybody).await.unwrap_err();
        assert!(
            [libc::EACCES, libc::ENETUNREACH].contains(&error.error().raw_os_error().unwrap()),
            "{error}"
        );
    });
}

fn a_socket_of_the_standard_library_is_taken_over<R: Runtime>() {
    run::<R>(async {
        let blocking = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = blocking.local_addr().unwrap();
        let ours = UdpSocket::from_std(blocking).unwrap();
        assert_eq!(ours.local_addr().unwrap(), address);
        // It was blocking: a receive that waits must not stop the loop.
        let mut receive = ours.recv([0; 4]);
        assert!(poll_once(&mut receive).await.is_pending());
        turns(2).await;
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.send_to(b"here", address).unwrap();
        assert_eq!(receive.await.unwrap(), (4, *b"here"));
    });
}

fn a_socket_whose_receive_was_dropped_frees_its_port<R: Runtime>() {
    run::<R>(async {
        for count in 0..4 {
            let ours = UdpSocket::bind((own_host(), 0)).await.unwrap();
            let address = ours.local_addr().unwrap();
            let mut receive = ours.recv_from([0; 64]);
            assert!(poll_once(&mut receive).await.is_pending());
            turns(count).await;
            drop(receive);
            drop(ours);
            // No turn of the loop in between.
            std::net::UdpSocket::bind(address).unwrap();
        }
    });
}

fn close_frees_the_port<R: Runtime>() {
    run::<R>(async {
        let ours = UdpSocket::bind((own_host(), 0)).await.unwrap();
        let address = ours.local_addr().unwrap();
        ours.close().await.unwrap();
        std::net::UdpSocket::bind(address).unwrap();
    });
}

fn close_beside_a_live_future_is_busy<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        let mut receive = ours.recv([0; 2]);
        assert!(poll_once(&mut receive).await.is_pending());
        assert_eq!(ours.close().await.unwrap_err().kind(), ErrorKind::ResourceBusy);
        peer.send(b"ok").unwrap();
        assert_eq!(receive.await.unwrap(), (2, *b"ok"));
    });
}

fn close_after_a_receive_that_timed_out_is_ok<R: Runtime>() {
    run::<R>(async {
        let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        timeout(Duration::from_millis(1), ours.recv([0; 64])).await.unwrap_err();
        ours.close().await.unwrap();
    });
}

fn a_cancelled_receive_gives_its_buffer_back<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        for count in 0..4 {
            let buffer = Vec::with_capacity(100);
            let address = buffer.as_ptr();
            let mut receive = ours.recv_from(buffer);
            assert!(poll_once(&mut receive).await.is_pending());
            turns(count).await;
            let (error, buffer) = receive.cancel().await.unwrap_err().into_parts();
            assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
            assert_eq!((buffer.as_ptr(), buffer.capacity()), (address, 100));
            let (error, buffer) = ours.recv(buffer).cancel().await.unwrap_err().into_parts();
            assert_eq!((error.raw_os_error(), buffer.as_ptr()), (Some(libc::ECANCELED), address));
        }
        peer.send(b"on").unwrap();
        assert_eq!(ours.recv([0; 2]).await.unwrap(), (2, *b"on"));
    });
}

fn a_cancelled_send_that_never_began_sends_nothing<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = ours_and_peer().await;
        let address = peer.local_addr().unwrap();
        let failed = ours.send_to("never", address).cancel().await.unwrap_err();
        assert_eq!(failed.error().raw_os_error(), Some(libc::ECANCELED));
        assert_eq!(failed.into_buf(), "never");
        ours.send_to("sent", address).await.unwrap();
        let mut buffer = [0; 8];
        let count = peer.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"sent");
    });
}

fn a_taken_port_is_named<R: Runtime>() {
    run::<R>(async {
        let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = ours.local_addr().unwrap();
        let error = UdpSocket::bind(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    });
}

fn ipv6_works_like_ipv4<R: Runtime>() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        return; // the machine has no IPv6
    }
    run::<R>(async {
        let one = UdpSocket::bind("[::1]:0").await.unwrap();
        let two = UdpSocket::bind("[::1]:0").await.unwrap();
        one.send_to("<six>".slice(1..4), two.local_addr().unwrap()).await.unwrap();
        let ((count, sender), buffer) = two.recv_from([0; 3]).await.unwrap();
        assert_eq!((count, sender, buffer), (3, one.local_addr().unwrap(), *b"six"));
    });
}
