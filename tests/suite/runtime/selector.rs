//! What only the selector does: files by way of the pool, and events that come late.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::time::Duration;

use proactor::fs::File;
use proactor::net::TcpStream;
use proactor::{Config, Runtime, spawn};

use crate::kit::*;

tests! {
    ;
    selector:
    t67_files_go_by_way_of_the_pool_however_small_it_is,
    t67_a_read_is_cancelled_while_the_pool_is_full,
    t67_a_buffer_outlives_a_read_that_a_thread_has_begun,
    t67_a_runtime_ends_while_a_job_runs,
    t68_an_event_of_a_closed_descriptor_has_no_effect,
    t68_a_duplicate_reports_nothing_after_the_close,
}

fn t67_files_go_by_way_of_the_pool_however_small_it_is<R: Runtime>() {
    alone(|| {
        let runtime = R::with_config(&Config::new().pool_threads(1)).unwrap();
        runtime.block_on(async {
            let folder = TempDir::new();
            let content = pattern(300_000);
            let path = folder.path("file");
            proactor::fs::write(&path, content.clone()).await.unwrap();
            let file = File::open(&path).await.unwrap();
            let reads = (0..100).map(|at| file.read_exact_at(vec![0; 2_000], at * 2_000));
            for (at, read) in join_all(reads).await.into_iter().enumerate() {
                assert_bytes(&read.unwrap().1, &content[at * 2_000..][..2_000]);
            }
            assert_eq!(threads_named("proactor-pool"), 1);
        });
        assert_eq!(live(&runtime), (0, 0, 0));
        end(runtime);
    });
}

fn t67_a_read_is_cancelled_while_the_pool_is_full<R: Runtime>() {
    let runtime = R::with_config(&Config::new().pool_threads(1)).unwrap();
    runtime.block_on(async {
        let folder = TempDir::new();
        let content = pattern(Tombstone::PAGE);
        let file = File::open(folder.file("file", &content)).await.unwrap();
        let leased = Leased::new(folder.file("leased", b""));
        let open = leased.open();
        let blocks = spawn(async move { open.await.map(drop) });
        turns(2).await;
        // All of these wait behind it.
        let mut cancelled = file.read_at(Tombstone::new(1), 0);
        let mut dropped = file.read_at(Tombstone::new(1), 0);
        let mut kept = file.read_at(Tombstone::new(1), 0);
        assert!(poll_once(&mut cancelled).await.is_pending());
        assert!(poll_once(&mut dropped).await.is_pending());
        assert!(poll_once(&mut kept).await.is_pending());
        let (error, buffer) = cancelled.cancel().await.unwrap_err().into_parts();
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
        assert_eq!(buffer.len(), 0);
        drop(dropped);
        until(|| runtime.report().live.ops == 2).await; // the one that blocks, and the one that is kept
        assert!(poll_once(&mut kept).await.is_pending());
        drop(leased);
        blocks.await.unwrap().unwrap();
        assert_bytes(&kept.await.unwrap().1, &content);
    });
    assert_eq!(live(&runtime), (0, 0, 0));
    end(runtime);
}

fn t67_a_buffer_outlives_a_read_that_a_thread_has_begun<R: Runtime>() {
    let runtime = R::new().unwrap();
    let mut watches = Vec::new();
    runtime.block_on(async {
        let folder = TempDir::new();
        let content = pattern(1 << 20);
        let file = File::open(folder.file("file", &content)).await.unwrap();
        for number in 0..rounds(60, 5_000) {
            let (buffer, watch) = Canary::new(content.len());
            let mut read = file.read_at(buffer, 0);
            assert!(poll_once(&mut read).await.is_pending());
            // Some are dropped before a thread has begun, some in the middle of the copy, some after.
            for _ in 0..(number % 60) * 1_000 {
                std::hint::spin_loop();
            }
            drop(read);
            if is_long() {
                until(|| watch.is_dropped()).await;
                watch.assert_untouched();
            } else {
                watches.push(watch);
            }
        }
        until(|| runtime.report().live.ops == 0).await;
    });
    end(runtime);
    watches.iter().for_each(CanaryWatch::assert_untouched);
}

fn t67_a_runtime_ends_while_a_job_runs<R: Runtime>() {
    // Alone, to see what the thread of the pool is doing.
    Alone::new().leaks().run(|| {
        let runtime = R::new().unwrap();
        let folder = TempDir::new();
        let leased = Leased::new(folder.file("leased", b""));
        let open = leased.open();
        drop(runtime.spawn(async move { open.await.map(drop) }));
        runtime.block_on(until(|| is_in_call("proactor-pool", libc::SYS_openat)));
        let left = runtime.shutdown(Duration::ZERO);
        assert_eq!((left.tasks, left.ops_leaked, left.jobs_leaked), (1, 1, 1));
        drop(leased);
        while threads_named("proactor-pool") > 0 {
            std::thread::yield_now();
        }
        // What the late job has opened is nobody's: it is closed.
        let open = descriptors();
        assert!(!open.iter().any(|descriptor| descriptor.contains("leased")), "{open:?}");
    });
}

fn t68_an_event_of_a_closed_descriptor_has_no_effect<R: Runtime>() {
    // Alone, so that nobody else takes the number.
    alone(|| {
        run::<R>(async {
            for _ in 0..50 {
                let ((first, mut first_peer), (second, mut second_peer)) = (half_pair(), half_pair());
                let (third, mut third_peer) = std_pair();
                let number = second.as_raw_fd();
                let mut waiting = second.read([0; 1]);
                let mut reading = first.read([0; 1]);
                assert!(poll_once(&mut reading).await.is_pending());
                assert!(poll_once(&mut waiting).await.is_pending());
                // Both become readable, and are reported together.
                first_peer.write_all(b"1").unwrap();
                second_peer.write_all(b"2").unwrap();
                assert_eq!(reading.await.unwrap(), (1, *b"1"));
                // The second is closed while its event is on the way, and its number goes to another one.
                drop(waiting);
                drop(second);
                let third = TcpStream::from_std(move_to(number, third)).unwrap();
                let mut pending = third.read([0; 1]);
                assert!(poll_once(&mut pending).await.is_pending());
                turns(3).await;
                assert!(poll_once(&mut pending).await.is_pending(), "an event of another has reached it");
                third_peer.write_all(b"3").unwrap();
                assert_eq!(pending.await.unwrap(), (1, *b"3"));
            }
        });
    });
}

/// Gives a stream this number, which is free.
fn move_to(number: i32, stream: std::net::TcpStream) -> std::net::TcpStream {
    // SAFETY: both calls take plain numbers, and dup3(2) answers with a descriptor that nobody else owns.
    unsafe {
        assert_eq!(libc::fcntl(number, libc::F_GETFD), -1, "the number is free");
        FromRawFd::from_raw_fd(libc::dup3(stream.as_raw_fd(), number, libc::O_CLOEXEC))
    }
}

/// The numbers that the process's one epoll set watches.
fn watched() -> Vec<String> {
    let set = only_descriptor("[eventpoll]");
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{set}")).unwrap();
    info.lines().filter(|line| line.starts_with("tfd:")).map(str::to_owned).collect()
}

fn t68_a_duplicate_reports_nothing_after_the_close<R: Runtime>() {
    // Alone, to look into the epoll set.
    alone(|| {
        let runtime = R::new().unwrap();
        let at_first = watched();
        runtime.block_on(async {
            let (stream, mut peer) = half_pair();
            let mut read = stream.read([0; 1]);
            assert!(poll_once(&mut read).await.is_pending()); // it is watched from here on
            assert_eq!(watched().len(), at_first.len() + 1);
            let duplicate = stream.as_fd().try_clone_to_owned().unwrap();
            drop((read, stream));
            assert_eq!(watched(), at_first, "a duplicate would keep what is not taken out before the close");
            let events = || runtime.report().stats.completions;
            let before = events();
            for _ in 0..20 {
                peer.write_all(b"x").unwrap();
                turns(1).await;
            }
            assert_eq!(events(), before);
            // The duplicate is a stream like any other.
            let stream = TcpStream::from_std(duplicate.into()).unwrap();
            assert_eq!(stream.read_exact([0; 20]).await.unwrap().1, [b'x'; 20]);
            let mut read = stream.read([0; 1]);
            assert!(poll_once(&mut read).await.is_pending());
            peer.write_all(b"y").unwrap();
            assert_eq!(read.await.unwrap(), (1, *b"y"));
        });
        end(runtime);
    });
}
