//! The same work under bad conditions: short of descriptors, in a storm of signals, without each feature of the kernel in
//! turn, and given up again and again.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::resource::Resource;
use proactor::net::TcpStream;
use proactor::time::timeout;
use proactor::{Feature, Runtime, spawn};

use crate::kit::*;

tests! {
    t14_twenty_thousand_timeouts_lose_no_byte,
    t51_ten_thousand_connects_come_and_go_with_few_descriptors,
    t56_without_the_first_half_of_the_features,
    t56_without_the_second_half_of_the_features,
    t56_without_any_feature,
    t58_an_echo_in_a_storm_of_signals,
}

fn t14_twenty_thousand_timeouts_lose_no_byte<R: Runtime>() {
    run::<R>(async {
        let (ours, mut peer) = half_pair();
        let total = rounds(20_000, 1_000_000);
        let over = Arc::new(AtomicBool::new(false));
        let sending = thread({
            let over = over.clone();
            move || {
                let mut sent = 0_u64;
                while !over.load(Ordering::SeqCst) {
                    peer.write_all(&[sent as u8; 3]).unwrap();
                    sent += 1;
                    std::thread::yield_now();
                }
                peer.shutdown(std::net::Shutdown::Write).unwrap();
                sent
            }
        });
        let (mut given_up, mut received) = (0, 0_u64);
        let mut check = |bytes: &[u8]| {
            for byte in bytes {
                assert_eq!(*byte, (received / 3) as u8, "lost, doubled or out of order");
                received += 1;
            }
            !bytes.is_empty()
        };
        for round in 0.. {
            let time = Duration::from_nanos(round % 3_000);
            let more = if round % 2 == 0 {
                timeout(time, ours.recv()).await.map(|chunk| check(&chunk.unwrap().unwrap_or_default()))
            } else {
                timeout(time, ours.read(Vec::with_capacity(100))).await.map(|read| check(&read.unwrap().1))
            };
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => given_up += 1,
            }
            // Nothing is given up while there is something.
            if given_up >= total || round > 100 * total as u64 {
                over.store(true, Ordering::SeqCst);
            }
        }
        assert_eq!(received, 3 * sending.ended().await);
    });
}

fn t51_ten_thousand_connects_come_and_go_with_few_descriptors<R: Runtime>() {
    Alone::new().limit(Resource::RLIMIT_NOFILE, 256).run(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (nobody, unused) = unused_address();
        let over = Arc::new(AtomicBool::new(false));
        let accepting = thread({
            let over = over.clone();
            move || {
                while !over.load(Ordering::SeqCst) {
                    // At the limit it finds none either; the clients wait.
                    drop(listener.accept());
                }
            }
        });
        let runtime = R::new().unwrap();
        let before = descriptors();
        runtime.block_on(async {
            for round in 0..100_usize {
                let mut connects: Vec<_> = (0..100)
                    .map(|number| TcpStream::connect(if number % 10 == 9 { unused } else { address }))
                    .collect();
                for connect in &mut connects {
                    let _ = poll_once(connect).await;
                }
                turns(round % 3).await;
                for (number, connect) in connects.into_iter().enumerate() {
                    match (number + round) % 3 {
                        0 => drop(connect),
                        1 => drop(connect.cancel().await),
                        _ => drop(timeout(Duration::from_micros(50), connect).await),
                    }
                }
            }
            until(|| descriptors().len() <= before.len()).await;
            reaped(&runtime).await;
        });
        over.store(true, Ordering::SeqCst);
        drop(std::net::TcpStream::connect(address)); // refused where the thread has ended already
        accepting.join();
        drop(nobody);
        end(runtime);
    });
}

// ---------------------------------------------------------------- without features

/// What is run without features: in the long form the whole program.
const MODULES: [&str; 6] = ["recv_cancel", "tcp", "udp", "cancel", "data", "polled_writes"];

/// Each feature in turn, and with the next: one module for each in the short form, everything in the long one.
fn without_each<R: Runtime>(of: &[Feature]) {
    for (number, pair) in of.iter().zip(of.iter().cycle().skip(1)).enumerate() {
        let all = [""];
        let some = [MODULES[number % MODULES.len()]];
        let modules = if is_long() { &all } else { &some };
        suite_without::<R>(modules, &[*pair.0]);
        if is_long() {
            suite_without::<R>(modules, &[*pair.0, *pair.1]);
        }
    }
}

fn t56_without_the_first_half_of_the_features<R: Runtime>() {
    let features = features::<R>();
    without_each::<R>(&features[..features.len().div_ceil(2)]);
}

fn t56_without_the_second_half_of_the_features<R: Runtime>() {
    let features = features::<R>();
    without_each::<R>(&features[features.len().div_ceil(2)..]);
}

fn t56_without_any_feature<R: Runtime>() {
    suite_without::<R>(&MODULES, &features::<R>());
}

// ---------------------------------------------------------------- signals

fn t58_an_echo_in_a_storm_of_signals<R: Runtime>() {
    alone(|| {
        let storm = SignalStorm::begin(&[libc::SIGUSR1, libc::SIGCHLD], 2_000);
        run::<R>(async {
            for chunks in [false, true] {
                let (ours, mut peer) = half_pair();
                let echoing = spawn(async move {
                    if !chunks {
                        return echo(ours).await;
                    }
                    while let Some(chunk) = ours.recv().await.unwrap() {
                        ours.write_all(chunk).await.unwrap();
                    }
                });
                let rounds = rounds(3_000, 300_000);
                let playing = thread(move || {
                    for round in 0..rounds {
                        let message = [round as u8; 200];
                        peer.write_all(&message).unwrap();
                        let mut back = [0; 200];
                        peer.read_exact(&mut back).unwrap();
                        assert_eq!(back, message);
                    }
                });
                playing.ended().await;
                echoing.await.unwrap();
            }
        });
        storm.end();
    });
}
