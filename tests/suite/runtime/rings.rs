//! Rings that are full, and kernels that fail.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::time::Duration;

use proactor::fs::File;
use proactor::io::nop;
use proactor::testing::Fault;
use proactor::{Config, Feature, Runtime, spawn};

use crate::kit::*;

tests! {
    ;
    proactor:
    t41_completions_that_overflow_all_arrive,
    t42_one_task_fills_the_queue_many_times_over,
    t43_nothing_is_lost_when_enter_must_be_repeated,
    t43_nothing_is_lost_when_enter_is_interrupted,
    t43_nothing_is_lost_when_enter_is_busy,
    t43_nothing_is_lost_when_enter_is_short_of_memory,
    t44_lost_completions_are_reported,
    t49_two_hundred_that_are_ready_at_once_all_come,
    a_ring_whose_queues_keep_overflowing_grows,
    t101_a_ring_that_grows_touches_no_mapping_of_others,
}

fn t41_completions_that_overflow_all_arrive<R: Runtime>() {
    for entries in [1, 64] {
        let runtime = R::with_config(&Config::new().ring_entries(entries)).unwrap();
        let count = rounds(10_000, 1_000_000);
        runtime.block_on(async {
            // Begun in one poll, with no visit that could take a completion.
            let results = join_all((0..count).map(|_| nop())).await;
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), count);
            // Completions that the kernel makes later, more at once than the queue of either ring takes.
            let pairs: Vec<_> = (0..400).map(|_| half_pair()).collect();
            let (streams, mut peers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let reads =
                streams.into_iter().map(|stream| spawn(async move { stream.read_exact([0; 2]).await }));
            let reads: Vec<_> = reads.collect();
            turns(2).await;
            peers.iter_mut().for_each(|peer| peer.write_all(b"ab").unwrap());
            for read in reads {
                assert_eq!(read.await.unwrap().unwrap().1, *b"ab");
            }
        });
        let stats = runtime.report().stats;
        assert!(stats.overflows > 0, "the queue has never overflowed: {stats:?}");
        assert_eq!(live(&runtime), (0, 0, 0));
        end(runtime);
    }
}

fn t42_one_task_fills_the_queue_many_times_over<R: Runtime>() {
    for entries in [1, 8] {
        let runtime = R::with_config(&Config::new().ring_entries(entries)).unwrap();
        runtime.block_on(async {
            let folder = TempDir::new();
            let content = pattern(10_000);
            let file = File::open(folder.file("file", &content)).await.unwrap();
            let reads = join_all((0..2_000).map(|at| file.read_exact_at(Tombstone::filled(1, &[0; 3]), at)));
            let (reads, nops) = join(reads, join_all((0..3_000).map(|_| nop()))).await;
            for (at, read) in reads.into_iter().enumerate() {
                let (_, buffer) = read.unwrap();
                assert_bytes(&buffer, &content[at..][..buffer.len()]);
            }
            assert_eq!(nops.iter().filter(|result| result.is_ok()).count(), 3_000);
        });
        let stats = runtime.report().stats;
        assert!(stats.full_queues > 100, "the queue was hardly ever full: {stats:?}");
        assert_eq!(live(&runtime), (0, 0, 0));
        end(runtime);
    }
}

/// Everyday work with drops and cancels in it, while every n-th enter fails before or after it has submitted.
fn faulty<R: Runtime>(errno: i32) {
    for (every, after_submission) in
        [2, 3, 5, 7].into_iter().flat_map(|every| [(every, false), (every, true)])
    {
        let fault = Fault::Enter { every, errno, after_submission };
        let runtime = R::with_config(&Config::new().ring_entries(8).fault(fault)).unwrap();
        runtime.block_on(async {
            let folder = TempDir::new();
            let content = pattern(100_000);
            let file = File::open(folder.file("file", &content)).await.unwrap();
            let (client, server) = pair().await;
            let echoing = spawn(echo(server));
            for number in 0..rounds(60, 20_000) {
                let start = number * 100 % 90_000;
                let message = &content[start..][..600];
                if number % 3 == 0 {
                    // Bytes that come for a read that has gone are there for the next.
                    let mut dropped = client.read(Tombstone::new(1));
                    assert!(poll_once(&mut dropped).await.is_pending());
                    if number % 2 == 0 {
                        turns(1).await;
                    }
                    drop(dropped);
                }
                client.write_all(Tombstone::filled(1, message)).await.unwrap();
                let mut echoed = Vec::new();
                while echoed.len() < message.len() {
                    let (count, part) = client.read(Tombstone::new(1)).await.unwrap();
                    assert_ne!(count, 0);
                    echoed.extend_from_slice(&part);
                }
                assert_bytes(&echoed, message);
                if number % 5 == 0 {
                    let mut dropped = file.read_at(Tombstone::new(1), 0);
                    assert!(poll_once(&mut dropped).await.is_pending());
                    drop(dropped);
                    let (count, part) = file.read_at(Tombstone::new(1), start as u64).await.unwrap();
                    assert_bytes(&part, &content[start..][..count]);
                    assert_eq!(count, Tombstone::PAGE);
                }
                if number % 7 == 0 {
                    let error = client.read(Tombstone::new(1)).cancel().await.unwrap_err().into_parts().0;
                    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
                    let many = join_all((0..50).map(|_| nop())).await;
                    assert!(many.iter().all(Result::is_ok));
                }
            }
            drop(client);
            echoing.await.unwrap();
        });
        assert_eq!(live(&runtime), (0, 0, 0));
        end(runtime);
    }
}

fn t43_nothing_is_lost_when_enter_must_be_repeated<R: Runtime>() {
    faulty::<R>(libc::EAGAIN);
}

fn t43_nothing_is_lost_when_enter_is_interrupted<R: Runtime>() {
    faulty::<R>(libc::EINTR);
}

fn t43_nothing_is_lost_when_enter_is_busy<R: Runtime>() {
    faulty::<R>(libc::EBUSY);
}

fn t43_nothing_is_lost_when_enter_is_short_of_memory<R: Runtime>() {
    faulty::<R>(libc::ENOMEM);
}

/// EBADR: completions were lost for want of memory. Nobody can tell which, so the loop does not go on as if nothing had
/// happened; what the kernel may still write into is not freed.
fn t44_lost_completions_are_reported<R: Runtime>() {
    // What is still with the kernel at the end is leaked, and counted.
    Alone::new().leaks().run(|| {
        for every in [1, 7, 40] {
            let fault = Fault::Enter { every, errno: libc::EBADR, after_submission: true };
            let runtime = R::with_config(&Config::new().fault(fault)).unwrap();
            let (canary, watch) = Canary::new(100);
            let message = panic_of(|| {
                runtime.block_on(async {
                    let (ours, _peer) = half_pair();
                    let reading = spawn(async move { ours.read(canary).await.map(drop) });
                    loop {
                        turns(1).await;
                        assert!(!reading.is_finished());
                    }
                })
            });
            assert!(message.contains("io_uring_enter failed, so the loop cannot continue"), "{message}");
            let left = runtime.shutdown(Duration::from_millis(100));
            assert!(left.ops_leaked <= 2, "{left:?}");
            if watch.is_dropped() {
                watch.assert_untouched();
            }
        }
    });
}

/// With DEFER_TASKRUN one enter brings some twenty completions, and the loop enters again for the others.
fn t49_two_hundred_that_are_ready_at_once_all_come<R: Runtime>() {
    for config in deliveries::<R>(&Config::new()) {
        let runtime = R::with_config(&config).unwrap();
        runtime.block_on(async {
            for chunks in [false, true] {
                let (ours, peers): (Vec<_>, Vec<_>) = (0..200).map(|_| half_pair()).unzip();
                let receiving: Vec<_> = ours
                    .into_iter()
                    .map(|ours| {
                        spawn(async move {
                            match chunks {
                                true => ours.recv().await.unwrap().unwrap().to_vec(),
                                false => ours.read(Vec::with_capacity(10)).await.unwrap().1,
                            }
                        })
                    })
                    .collect();
                turns(2).await;
                for mut peer in &peers {
                    peer.write_all(b"ready").unwrap();
                }
                let before = runtime.report().stats.kernel_visits;
                for receiving in receiving {
                    assert_eq!(receiving.await.unwrap(), b"ready");
                }
                let visits = runtime.report().stats.kernel_visits - before;
                assert!(visits <= 60, "{visits} visits for 200 that were ready");
            }
        });
        end(runtime);
    }
}

fn a_ring_whose_queues_keep_overflowing_grows<R: Runtime>() {
    alone(|| grow::<R>());
}

fn grow<R: Runtime>() {
    for mask in [None, Some(Feature::ResizeRings), Some(Feature::RegisteredRing), Some(Feature::NoSqarray)] {
        let config = Config::new().ring_entries(2).grow_ring(true).mask_all(mask);
        let runtime = R::with_config(&config).unwrap();
        let grows = uses(&runtime, Feature::ResizeRings);
        runtime.block_on(async {
            let folder = TempDir::new();
            let content = pattern(10_000);
            let file = File::open(folder.file("file", &content)).await.unwrap();
            // In flight all the time: a read into a buffer, a standing receive, and one that has been given up.
            let (ours, mut peer) = half_pair();
            let mut waiting = ours.read_exact([0; 4]);
            assert!(poll_once(&mut waiting).await.is_pending());
            let (other, mut second) = half_pair();
            let mut standing = other.recv();
            assert!(poll_once(&mut standing).await.is_pending());
            let crowd = async || {
                let reads = (0..60).map(|at| file.read_exact_at(Tombstone::filled(1, &[0; 3]), at));
                for (at, read) in join_all(reads).await.into_iter().enumerate() {
                    let (_, buffer) = read.unwrap();
                    assert_bytes(&buffer, &content[at..][..buffer.len()]);
                }
            };
            let size = || runtime.report().ring_entries;
            if grows {
                let mut rounds = 0;
                while size() < 64 {
                    crowd().await;
                    rounds += 1;
                    assert!(rounds < 1_000, "the ring has {} entries", size());
                }
                // It is large enough now: the queue is not full any more.
                let before = runtime.report().stats.full_queues;
                for _ in 0..20 {
                    crowd().await;
                }
                assert_eq!(runtime.report().stats.full_queues, before);
            } else {
                for _ in 0..100 {
                    crowd().await;
                }
                assert_eq!(size(), 2);
            }
            peer.write_all(b"abcd").unwrap();
            assert_eq!(waiting.await.unwrap().1, *b"abcd");
            second.write_all(b"efgh").unwrap();
            assert_eq!(standing.await.unwrap().unwrap(), *b"efgh");
            let task = spawn(async { 42 });
            assert_eq!(task.await.unwrap(), 42);
        });
        // Other threads still wake it.
        let handle = runtime.handle();
        let waking = thread(move || handle.spawn(async || 7));
        assert_eq!(runtime.block_on(async { waking.ended().await.await.unwrap() }), 7);
        assert_eq!(live(&runtime), (0, 0, 0));
        end(runtime);
    }
}

fn t101_a_ring_that_grows_touches_no_mapping_of_others<R: Runtime>() {
    // A fork has one thread, so the process is to have no other test.
    alone(|| {
        let runtime = R::with_config(&Config::new().ring_entries(2).grow_ring(true)).unwrap();
        if !uses(&runtime, Feature::ResizeRings) {
            return;
        }
        // Somebody else's mapping of a ring, which forks are to inherit.
        let others: io_uring::IoUring = io_uring::IoUring::builder().dontfork().build(2).unwrap();
        let (size, protection) = (4096, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping of the ring's queues, wherever the kernel likes.
        let theirs = unsafe {
            libc::mmap(std::ptr::null_mut(), size, protection, libc::MAP_SHARED, others.as_raw_fd(), 0)
        };
        assert_ne!(theirs, libc::MAP_FAILED);
        runtime.block_on(async {
            let folder = TempDir::new();
            let file = File::open(folder.file("file", &[7; 64])).await.unwrap();
            let mut rounds = 0;
            while runtime.report().ring_entries < 16 {
                let reads = (0..60).map(|_| file.read_exact_at([0; 64], 0));
                assert!(join_all(reads).await.into_iter().all(|read| read.unwrap().1 == [7; 64]));
                rounds += 1;
                assert!(rounds < 1_000, "the ring does not grow");
            }
            assert!(is_inherited(theirs.addr()), "a mapping of others is kept out of forks");
            // SAFETY: the child makes a few calls and ends, without destructors, which are the parent's to run.
            let child = unsafe { libc::fork() };
            if child == 0 {
                end_with_parent();
                let refused = nop().await.is_err();
                let left = rings();
                let lets_go = left.iter().all(|(begin, _)| *begin == theirs.addr());
                // SAFETY: it ends the child.
                unsafe { libc::_exit(i32::from(!(refused && lets_go))) }
            }
            let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child), None).unwrap();
            assert_eq!(status, nix::sys::wait::WaitStatus::Exited(nix::unistd::Pid::from_raw(child), 0));
            // The parent's goes on.
            nop().await.unwrap();
            assert_eq!(file.read_exact_at([0; 64], 0).await.unwrap().1, [7; 64]);
        });
        end(runtime);
    });
}

/// Where rings are mapped in this process, and with which flags: see proc_pid_smaps(5).
fn rings() -> Vec<(usize, String)> {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut rings, mut begin) = (Vec::new(), None);
    for line in maps.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            rings.extend(begin.take().map(|begin| (begin, flags.to_owned())));
        } else if line.ends_with("anon_inode:[io_uring]") {
            let address = line.split('-').next().unwrap();
            begin = Some(usize::from_str_radix(address, 16).unwrap());
        }
    }
    rings
}

/// Whether the ring that is mapped there lacks the flag `dc` of MADV_DONTFORK.
fn is_inherited(address: usize) -> bool {
    rings().iter().any(|(begin, flags)| *begin == address && !flags.contains(" dc"))
}
