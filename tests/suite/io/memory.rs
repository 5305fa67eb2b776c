//! The memory that received bytes hold while they are kept: by the program as chunks, or in the queue of a stream or
//! socket whose receiver does not come. It is bounded by the bytes, not by the number of pieces that they came in, and
//! the others go on receiving.

use std::io::{Read, Write};

use proactor::buf::Chunk;
use proactor::net::{TcpStream, UdpSocket};
use proactor::{Config, Feature, Runtime};

use crate::kit::*;

tests! {
    t110_small_chunks_that_are_kept_hold_few_buffers,
    t111_an_idle_receiver_holds_few_buffers,
    t112_small_datagrams_that_are_kept_hold_few_buffers,
    t112_small_datagrams_that_are_not_received_hold_few_buffers,
    t113_a_pool_that_is_full_recovers;
    proactor:
    t114_one_turn_receives_little_for_an_idle_receiver,
}

/// Buffers of a pool in these tests.
const BUFFERS: u32 = 64;
/// Buffers that small pieces may hold: a sixteenth of the pool, and those that the kernel or the loop fills now.
const FEW: usize = BUFFERS as usize / 16 + 8;

/// Runs a test with each way in which a backend receives into its own memory, with so many buffers. Nothing may be left
/// behind.
fn with_buffers<R: Runtime>(buffers: u32, test: impl AsyncFn(&R)) {
    let masks: &[&[Feature]] = &[
        &[],
        &[Feature::IncrementalBuffers],
        &[Feature::IncrementalBuffers, Feature::RecvBundle],
        &[Feature::MultishotRecv],
        &[Feature::BufferRing],
    ];
    let count = if is_proactor::<R>() { masks.len() } else { 1 };
    for mask in &masks[..count] {
        let config = Config::new().stream_buffers(buffers).datagram_buffers(buffers);
        let runtime = R::with_config(&config.mask_all(mask.iter().copied())).unwrap();
        runtime.block_on(test(&runtime));
        runtime.block_on(nothing_is_left(&runtime));
        end(runtime);
    }
}

fn buffers<R: Runtime>(runtime: &R) -> usize {
    runtime.report().live.buffers
}

/// Sends so many bytes and receives them, in chunks that are dropped at once.
async fn pass_through(ours: &TcpStream, peer: &mut std::net::TcpStream, len: usize) {
    peer.write_all(&pattern(len)).unwrap();
    let mut received = Vec::new();
    while received.len() < len {
        received.extend_from_slice(&ours.recv().await.unwrap().unwrap());
    }
    assert_bytes(&received, &pattern(len));
}

fn t110_small_chunks_that_are_kept_hold_few_buffers<R: Runtime>() {
    with_buffers(BUFFERS, async |runtime: &R| {
        let (ours, mut peer) = half_pair();
        let (other, mut others_peer) = half_pair();
        let mut kept: Vec<Chunk> = Vec::new();
        for round in 0..100_u8 {
            peer.write_all(&[round]).unwrap();
            kept.push(ours.recv().await.unwrap().unwrap());
            // As many bytes as a buffer has, not so large that they would be received in another way.
            for _ in 0..8 {
                pass_through(&other, &mut others_peer, 8 << 10).await;
            }
        }
        let held = buffers(runtime);
        assert!(held <= FEW, "100 bytes hold {held} buffers");
        assert!(kept.iter().enumerate().all(|(round, chunk)| *chunk == [round as u8]));
    });
}

fn t111_an_idle_receiver_holds_few_buffers<R: Runtime>() {
    const BYTES: usize = 400;
    with_buffers(BUFFERS, async |runtime: &R| {
        let (sleeper, mut peer) = half_pair();
        let (other, mut others_peer) = half_pair();
        assert!(poll_once(&mut sleeper.recv()).await.is_pending());
        for byte in pattern(BYTES) {
            peer.write_all(&[byte]).unwrap();
            turns(1).await;
        }
        let held = buffers(runtime);
        assert!(held <= FEW, "{BYTES} bytes in a queue hold {held} buffers");
        // The others have theirs: what receives for them is not ended for want of a buffer.
        let multishot = usize::from(uses(runtime, Feature::MultishotRecv));
        let mut waiting = other.recv();
        for round in 0..50 {
            assert!(poll_once(&mut waiting).await.is_pending());
            turns(1).await;
            assert_eq!(runtime.report().live.multishot, 2 * multishot, "round {round}");
            others_peer.write_all(&[round; 100]).unwrap();
            assert_eq!((&mut waiting).await.unwrap().unwrap(), [round; 100]);
            waiting = other.recv();
        }
        drop(waiting);
        let mut received = Vec::new();
        while received.len() < BYTES {
            received.extend_from_slice(&sleeper.recv().await.unwrap().unwrap());
        }
        assert_bytes(&received, &pattern(BYTES));
    });
}

fn t112_small_datagrams_that_are_kept_hold_few_buffers<R: Runtime>() {
    with_buffers(BUFFERS, async |runtime: &R| {
        let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut kept = Vec::new();
        for round in 0..200_u8 {
            peer.send_to(&[round; 20], ours.local_addr().unwrap()).unwrap();
            let (datagram, sender) = ours.recv_chunk().await.unwrap();
            assert_eq!(sender, peer.local_addr().unwrap());
            kept.push(datagram);
        }
        let held = buffers(runtime);
        assert!(held <= FEW, "200 datagrams of 20 bytes hold {held} buffers");
        assert!(kept.iter().enumerate().all(|(round, datagram)| *datagram == [round as u8; 20]));
    });
}

fn t112_small_datagrams_that_are_not_received_hold_few_buffers<R: Runtime>() {
    with_buffers(BUFFERS, async |runtime: &R| {
        let (ours, other) =
            (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(poll_once(&mut ours.recv_chunk()).await.is_pending());
        for round in 0..200_u8 {
            peer.send_to(&[round; 20], ours.local_addr().unwrap()).unwrap();
            turns(1).await;
        }
        let held = buffers(runtime);
        assert!(held <= FEW, "200 datagrams of 20 bytes in a queue hold {held} buffers");
        let multishot = usize::from(uses(runtime, Feature::MultishotRecv));
        for round in 0..50 {
            let mut waiting = other.recv_chunk();
            assert!(poll_once(&mut waiting).await.is_pending());
            turns(1).await;
            assert_eq!(runtime.report().live.multishot, 2 * multishot, "round {round}");
            peer.send_to(&[round; 30], other.local_addr().unwrap()).unwrap();
            assert_eq!(waiting.await.unwrap().0, [round; 30]);
        }
        for round in 0..200_u8 {
            let (datagram, sender) = ours.recv_chunk().await.unwrap();
            assert_eq!((datagram, sender), ([round; 20][..].into(), peer.local_addr().unwrap()));
        }
    });
}

fn t113_a_pool_that_is_full_recovers<R: Runtime>() {
    const LEN: usize = 1 << 20;
    with_buffers(4, async |runtime: &R| {
        let (ours, mut peer) = half_pair();
        let (other, mut others_peer) = half_pair();
        for _ in 0..3 {
            let sending = thread({
                let mut peer = peer.try_clone().unwrap();
                move || peer.write_all(&pattern(LEN)).unwrap()
            });
            let mut kept: Vec<Chunk> = Vec::new();
            while kept.iter().map(|chunk| chunk.len()).sum::<usize>() < LEN {
                kept.push(ours.recv().await.unwrap().unwrap());
                assert!(buffers(runtime) <= 4);
            }
            sending.ended().await;
            for len in [1, 100, 10_000, 100_000] {
                pass_through(&other, &mut others_peer, len).await;
            }
            assert_bytes(&kept.concat(), &pattern(LEN));
            drop(kept);
            pass_through(&ours, &mut peer, 100).await;
            assert!(buffers(runtime) <= 1);
            // Buffers lie with the kernel again.
            for _ in 0..3 {
                pass_through(&other, &mut others_peer, 10).await;
            }
            let mut waiting = other.recv();
            assert!(poll_once(&mut waiting).await.is_pending());
            turns(1).await;
            let multishot = usize::from(uses(runtime, Feature::MultishotRecv));
            assert!(runtime.report().live.multishot >= multishot);
        }
    });
}

fn t114_one_turn_receives_little_for_an_idle_receiver<R: Runtime>() {
    /// What a queue holds at most, and what one receive may bring on top.
    const ENOUGH: usize = (256 + 64) << 10;
    let masks: &[&[Feature]] = &[
        &[],
        &[Feature::IncrementalBuffers],
        &[Feature::IncrementalBuffers, Feature::RecvBundle],
        &[Feature::RecvLimit],
    ];
    with_masks(masks, async |runtime: &R| {
        let (ours, mut peer) = half_pair();
        ours.set_recv_buffer_size(2 << 20).unwrap();
        assert!(poll_once(&mut ours.recv()).await.is_pending());
        turns(2).await;
        // All of it is there before the next visit.
        peer.set_nonblocking(true).unwrap();
        let all = pattern(1 << 20);
        let mut sent = 0;
        while sent < all.len()
            && let Ok(count) = peer.write(&all[sent..])
        {
            sent += count;
        }
        turns(3).await;
        let (fd, leftover) = ours.into_owned_fd().await.unwrap();
        let mut received = leftover.chunks.concat();
        if uses(runtime, Feature::RecvLimit) {
            assert!(received.len() <= ENOUGH, "{} of {sent} bytes were received", received.len());
        }
        drop(peer);
        let mut stream = std::net::TcpStream::from(fd);
        stream.set_nonblocking(false).unwrap();
        stream.read_to_end(&mut received).unwrap();
        assert_bytes(&received, &all[..sent]);
    });
}
