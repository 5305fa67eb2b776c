//! What is sent: in order and counted, whole or cancelled, with copies and without; and how streams and listeners end.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use proactor::buf::IoBuf;
use proactor::net::{TcpListener, TcpStream};
use proactor::{Config, Feature, Runtime, spawn};

use crate::kit::*;

tests! {
    t12_a_cancelled_write_reports_what_was_sent,
    t15_a_dropped_send_without_a_copy_keeps_its_buffer,
    t16_a_dropped_stream_ends_although_a_receive_was_pending,
    t17_a_dropped_listener_frees_its_port_although_an_accept_was_pending,
    sends_without_a_copy_come_whole_and_in_order,
    t47_a_send_without_a_copy_to_a_closed_peer,
    t47_where_nothing_can_be_sent_without_a_copy_it_is_copied;
    proactor:
    sends_of_a_size_go_without_a_copy,
}

/// A stream of ours whose peer takes little until it reads.
fn narrow_pair() -> (TcpStream, std::net::TcpStream) {
    let (ours, peer) = half_pair();
    ours.set_send_buffer_size(4_096).unwrap();
    socket2::SockRef::from(&peer).set_recv_buffer_size(4_096).unwrap();
    (ours, peer)
}

fn t12_a_cancelled_write_reports_what_was_sent<R: Runtime>() {
    run::<R>(async {
        for zerocopy in [false, true] {
            for all in [false, true] {
                let (ours, mut peer) = narrow_pair();
                let sent = pattern(8 << 20);
                let mut write = match (zerocopy, all) {
                    (false, false) => boxed(ours.write(sent.clone())),
                    (false, true) => boxed(ours.write_all(sent.clone())),
                    (true, false) => boxed(ours.write_zerocopy(sent.clone())),
                    (true, true) => boxed(ours.write_all_zerocopy(sent.clone())),
                };
                let _ = poll_once(&mut write).await;
                turns(3).await;
                drop(write);
                // A later write waits until it is known what became of the other.
                let reading = thread(move || {
                    let mut received = Vec::new();
                    peer.read_to_end(&mut received).unwrap();
                    received
                });
                ours.write_all("end").await.unwrap();
                let count = ours.bytes_sent() as usize - 3;
                assert!(count <= sent.len());
                drop(ours);
                let received = reading.ended().await;
                assert_bytes(&received, &[&sent[..count], b"end"].concat());

                let (ours, mut peer) = narrow_pair();
                let mut write = ours.write_all(sent.clone());
                assert!(poll_once(&mut write).await.is_pending());
                turns(3).await;
                let error = write.cancel().await.unwrap_err();
                assert_eq!(error.error().raw_os_error(), Some(libc::ECANCELED));
                assert_bytes(&error.into_buf(), &sent);
                let count = ours.bytes_sent() as usize;
                drop(ours);
                let reading = thread(move || {
                    let mut received = Vec::new();
                    peer.read_to_end(&mut received).unwrap();
                    received
                });
                assert_bytes(&reading.ended().await, &sent[..count]);
            }
        }
    });
}

fn t15_a_dropped_send_without_a_copy_keeps_its_buffer<R: Runtime>() {
    run::<R>(async {
        for stage in 0..4 {
            let (ours, mut peer) = narrow_pair();
            let mut write = ours.write_zerocopy(Tombstone::filled(64, &[7; 64 * Tombstone::PAGE]));
            if stage > 0 {
                let _ = poll_once(&mut write).await;
            }
            turns(stage).await;
            drop(write);
            let reading = thread(move || {
                let mut received = Vec::new();
                peer.read_to_end(&mut received).unwrap();
                received
            });
            ours.write_all("x").await.unwrap();
            let count = ours.bytes_sent() as usize - 1;
            drop(ours);
            let received = reading.ended().await;
            assert_bytes(&received, &[vec![7; count], b"x".to_vec()].concat());
        }
    });
}

fn t16_a_dropped_stream_ends_although_a_receive_was_pending<R: Runtime>() {
    run::<R>(async {
        for kind in [Receive::Read, Receive::ReadExact, Receive::ReadVectored, Receive::Chunk] {
            for dropped in [false, true] {
                let Ends::Stream(ours, mut peer) = kind.ends() else { unreachable!() };
                let mut receive = match kind {
                    Receive::Chunk => boxed(ours.recv()),
                    Receive::Read => boxed(ours.read(Tombstone::new(1))),
                    Receive::ReadExact => boxed(ours.read_exact(Tombstone::new(1))),
                    _ => boxed(ours.read_vectored([Tombstone::new(1)])),
                };
                assert!(poll_once(&mut receive).await.is_pending());
                turns(1).await;
                if dropped {
                    drop((receive, ours));
                } else {
                    drop((ours, receive));
                }
                turns(2).await;
                peer.set_nonblocking(true).unwrap();
                assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0, "{kind:?}: the end, after two turns");
            }
        }
    });
}

fn t17_a_dropped_listener_frees_its_port_although_an_accept_was_pending<R: Runtime>() {
    let own = own_host();
    for mask in [None, Some(Feature::DeferTaskrun)] {
        let runtime = R::with_config(&Config::new().mask_all(mask)).unwrap();
        runtime.block_on(async {
            for pending in [false, true] {
                let listener = TcpListener::bind((own, 0)).await.unwrap();
                let address = listener.local_addr().unwrap();
                let mut accept = listener.accept();
                assert!(poll_once(&mut accept).await.is_pending());
                turns(1).await;
                if pending {
                    drop(accept);
                } else {
                    drop(std::net::TcpStream::connect(address).unwrap());
                    drop(accept.await.unwrap());
                }
                drop(listener);
                let error = std::net::TcpStream::connect(address).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                let again = TcpListener::bind(address).await.unwrap();
                let client = std::net::TcpStream::connect(address).unwrap();
                assert_eq!(again.accept().await.unwrap().1, client.local_addr().unwrap());
            }
        });
        end(runtime);
    }
}

fn sends_without_a_copy_come_whole_and_in_order<R: Runtime>() {
    for mask in [None, Some(Feature::SendZeroCopy)] {
        let runtime = R::with_config(&Config::new().mask_all(mask)).unwrap();
        runtime.block_on(async {
            let (ours, peer) = half_pair();
            let reading = thread(move || read_to_end(peer));
            let sent = pattern(1_000_000);
            for (number, part) in sent.chunks(90_001).enumerate() {
                let part = part.to_vec();
                match number % 4 {
                    0 => drop(ours.write_all_zerocopy(part).await.unwrap()),
                    1 => drop(ours.write_all(part).await.unwrap()),
                    2 => {
                        let (head, tail) = part.split_at(part.len() / 3);
                        let parts = [head.to_vec(), tail.to_vec()];
                        drop(ours.write_all_vectored_zerocopy(parts).await.unwrap());
                    }
                    _ => {
                        let (count, part) = ours.write_zerocopy(part).await.unwrap();
                        drop(ours.write_all_zerocopy(part.slice(count..)).await.unwrap());
                    }
                }
            }
            assert_eq!(ours.bytes_sent(), sent.len() as u64);
            ours.shutdown(Shutdown::Write).await.unwrap();
            assert_bytes(&reading.ended().await, &sent);
        });
        end(runtime);
    }
}

fn t47_a_send_without_a_copy_to_a_closed_peer<R: Runtime>() {
    run::<R>(async {
        for vectored in [false, true] {
            let (ours, peer) = half_pair();
            drop(peer);
            let error = loop {
                let error = if vectored {
                    ours.write_all_vectored_zerocopy([vec![7; 10_000], vec![8; 10]])
                        .await
                        .err()
                        .map(|e| e.kind())
                } else {
                    ours.write_all_zerocopy(vec![7; 10_000]).await.err().map(|error| error.kind())
                };
                if let Some(error) = error {
                    break error;
                }
            };
            assert!(matches!(error, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
        }
    });
}

fn t47_where_nothing_can_be_sent_without_a_copy_it_is_copied<R: Runtime>() {
    run::<R>(async {
        let (ours, mut peer) = UnixStream::pair().unwrap();
        // The methods of a stream work on others than TCP's.
        let ours = TcpStream::from_std(std::net::TcpStream::from(OwnedFd::from(ours))).unwrap();
        for _ in 0..3 {
            let writing = spawn({
                let all = ours.write_all_zerocopy(b"zero".to_vec());
                async move { all.await.map(drop) }
            });
            writing.await.unwrap().unwrap();
            ours.write_all_vectored_zerocopy([b"co".to_vec(), b"py".to_vec()]).await.unwrap();
        }
        assert_eq!(ours.bytes_sent(), 24);
        drop(ours);
        let mut received = String::new();
        peer.read_to_string(&mut received).unwrap();
        assert_eq!(received, "zerocopyzerocopyzerocopy");
        let _ = peer.flush();
    });
}

fn sends_of_a_size_go_without_a_copy<R: Runtime>() {
    let runtime = R::with_config(&Config::new().zero_copy_from(1_000)).unwrap();
    let on = uses(&runtime, Feature::SendZeroCopy);
    runtime.block_on(async {
        let (ours, mut peer) = half_pair();
        for (len, completions) in [(999, 1), (1_000, if on { 2 } else { 1 })] {
            turns(2).await;
            let before = runtime.report().stats.completions;
            ours.write_all(vec![7; len]).await.unwrap();
            assert_eq!(runtime.report().stats.completions - before, completions, "{len} bytes");
            peer.read_exact(&mut vec![0; len]).unwrap();
        }
    });
    end(runtime);
}
