//! Sends without a copy to a peer that reads nothing: once the result is known the kernel keeps the buffer, and nothing
//! else waits for the peer.

use std::cell::Cell;
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use proactor::net::TcpStream;
use proactor::{Config, Runtime, spawn};

use crate::kit::*;

tests! {
    t152_a_given_up_send_without_a_copy_holds_up_no_close,
    t152_a_given_up_send_without_a_copy_holds_up_no_later_write,
    t152_a_cancelled_task_does_not_wait_for_its_peer,
    t153_a_peer_that_reads_nothing_does_not_hold_up_the_end,
    t153_a_future_that_outlives_its_runtime_lets_the_stream_close;
    proactor:
    t152_a_server_with_timeouts_keeps_its_descriptors,
}

/// More than the kernel takes for a peer that reads nothing.
const LARGE: usize = 2 << 20;

/// A stream of ours whose kernel, and whose peer's, take less than that.
fn narrow_pair() -> (TcpStream, std::net::TcpStream) {
    let (ours, peer) = half_pair();
    ours.set_send_buffer_size(128 << 10).unwrap();
    socket2::SockRef::from(&peer).set_recv_buffer_size(128 << 10).unwrap();
    (ours, peer)
}

/// A buffer that counts its drops.
fn counted(drops: &Rc<Cell<u32>>) -> impl proactor::buf::IoBuf + use<> {
    let drops = drops.clone();
    Acts(pattern(LARGE), move || drops.set(drops.get() + 1))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    One,
    All,
    Vectored,
}

const WAYS: [Way; 3] = [Way::One, Way::All, Way::Vectored];

impl Way {
    fn begin(self, stream: &TcpStream, drops: &Rc<Cell<u32>>) -> Pending {
        match self {
            Way::One => boxed(stream.write_zerocopy(counted(drops))),
            Way::All => boxed(stream.write_all_zerocopy(counted(drops))),
            Way::Vectored => boxed(stream.write_all_vectored_zerocopy([counted(drops)])),
        }
    }
}

/// A stream on which a send has been given up; the peer has read nothing.
async fn given_up(way: Way, drops: &Rc<Cell<u32>>) -> (TcpStream, std::net::TcpStream) {
    let (ours, peer) = narrow_pair();
    let mut write = way.begin(&ours, drops);
    let _ = poll_once(&mut write).await;
    turns(3).await;
    drop(write);
    turns(2).await;
    (ours, peer)
}

fn t152_a_given_up_send_without_a_copy_holds_up_no_close<R: Runtime>() {
    run::<R>(async {
        for way in WAYS {
            for closes in [false, true] {
                let drops = Rc::default();
                let (ours, peer) = given_up(way, &drops).await;
                let sent = ours.bytes_sent() as usize;
                if closes {
                    ours.close().await.unwrap();
                } else {
                    drop(ours);
                }
                // The peer gets what was sent, and then the end.
                let reading = thread(move || read_to_end(peer));
                assert_bytes(&reading.ended().await, &pattern(LARGE)[..sent]);
                until(|| drops.get() == 1).await;
            }
        }
    });
}

fn t152_a_given_up_send_without_a_copy_holds_up_no_later_write<R: Runtime>() {
    run::<R>(async {
        for way in WAYS {
            let drops = Rc::default();
            let (ours, mut peer) = given_up(way, &drops).await;
            let sent = ours.bytes_sent() as usize;
            assert!(sent > 0 && sent < LARGE, "{sent}");
            // Its turn comes although the buffer is still with the kernel; a copy waits for room.
            let mut later = ours.write_all("later");
            if poll_once(&mut later).await.is_pending() {
                turns(2).await;
                let _ = later.cancel().await;
            }
            let written = ours.bytes_sent() as usize - sent;
            let mut received = vec![0; sent];
            peer.read_exact(&mut received).unwrap();
            assert_bytes(&received, &pattern(LARGE)[..sent]);
            ours.write_all("end").await.unwrap();
            drop(ours);
            let rest = read_to_end(peer);
            assert_eq!(rest, [&b"later"[..written], b"end"].concat());
            until(|| drops.get() == 1).await;
        }
    });
}

fn t152_a_cancelled_task_does_not_wait_for_its_peer<R: Runtime>() {
    run::<R>(async {
        let (ours, peer) = narrow_pair();
        let drops: Rc<Cell<u32>> = Rc::default();
        let buffer = counted(&drops);
        let task = spawn(async move { ours.write_all_zerocopy(buffer).await.map(drop).map_err(drop) });
        turns(3).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        // Its stream is closed: the peer gets what was sent, and the end.
        let reading = thread(move || read_to_end(peer).len());
        assert!(reading.ended().await < LARGE);
        until(|| drops.get() == 1).await;
    });
}

fn t152_a_server_with_timeouts_keeps_its_descriptors<R: Runtime>() {
    alone(|| {
        let runtime = R::with_config(&Config::new().zero_copy_from(1)).unwrap();
        let peers = runtime.block_on(async {
            let (before, mut peers) = (descriptors().len(), Vec::new());
            for _ in 0..20 {
                let (ours, peer) = narrow_pair();
                peers.push(peer);
                let write = ours.write_all(pattern(LARGE));
                let timed_out = proactor::time::timeout(Duration::from_millis(1), write).await;
                assert!(timed_out.is_err());
                drop(ours);
            }
            until(|| descriptors().len() == before + peers.len()).await;
            peers
        });
        drop(peers);
        end(runtime);
    });
}

/// Far more than the watchdog allows.
const DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

fn t153_a_peer_that_reads_nothing_does_not_hold_up_the_end<R: Runtime>() {
    let runtime = R::new().unwrap();
    let drops: Rc<Cell<u32>> = Rc::default();
    let mut peer = runtime.block_on(async {
        let (ours, peer) = narrow_pair();
        let buffer = counted(&drops);
        spawn(async move { ours.write_all_zerocopy(buffer).await.map(drop).map_err(drop) });
        turns(3).await;
        peer
    });
    let left = runtime.shutdown(DEADLINE);
    assert_eq!(left.jobs_leaked, 0);
    // A buffer that the kernel has not given back is leaked, and counted.
    assert_eq!(left.ops_leaked as u32, 1 - drops.get());
    // The stream is closed all the same: what was sent comes, and then the end.
    let mut received = Vec::new();
    peer.read_to_end(&mut received).unwrap();
    assert_bytes(&received, &pattern(LARGE)[..received.len()]);
}

fn t153_a_future_that_outlives_its_runtime_lets_the_stream_close<R: Runtime>() {
    let runtime = R::new().unwrap();
    let drops: Rc<Cell<u32>> = Rc::default();
    let (write, peer) = runtime.block_on(async {
        let (ours, peer) = narrow_pair();
        let mut write = Way::One.begin(&ours, &drops);
        let _ = poll_once(&mut write).await;
        turns(3).await;
        (write, peer)
    });
    runtime.shutdown(DEADLINE);
    drop(write); // with its result, where that has come
    let received = read_to_end(peer);
    assert_bytes(&received, &pattern(LARGE)[..received.len()]);
}
