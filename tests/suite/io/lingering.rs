//! SO_LINGER with a time: close(2) waits so long for the peer, and the loop does not. Here the time is a day, and a peer
//! reads nothing until it is told to.

use std::io::Write;
use std::net::TcpListener as StdListener;
use std::time::Duration;

use proactor::net::{TcpListener, TcpStream, direct, lookup_host};
use proactor::{Config, Runtime, spawn, spawn_blocking};
use socket2::SockRef;

use crate::kit::*;

tests! {
    t154_a_drop_of_a_stream_that_lingers_does_not_wait,
    t154_a_cancelled_task_drops_a_stream_that_lingers,
    t154_a_fork_leaves_the_option_to_its_parent,
    t154_a_direct_stream_of_a_listener_that_lingers_does_not_wait,
    t155_close_waits_for_the_peer_beside_the_loop,
    t155_a_dropped_close_does_not_wait,
    t155_a_runtime_does_not_wait_for_a_close_that_lingers,
    t200_closes_that_linger_hold_up_nothing_else,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// In which way a stream comes to linger.
#[derive(Clone, Copy, Debug)]
enum Way {
    Method,
    AsFd,
    FromStd,
    Listener,
}

const WAYS: [Way; 4] = [Way::Method, Way::AsFd, Way::FromStd, Way::Listener];

impl Way {
    /// A stream that lingers, and its peer.
    async fn pair(self) -> (TcpStream, std::net::TcpStream) {
        match self {
            Way::Method => {
                let (ours, peer) = half_pair();
                ours.set_linger(Some(DAY)).unwrap();
                (ours, peer)
            }
            Way::AsFd => {
                let listener = StdListener::bind("127.0.0.1:0").unwrap();
                let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                SockRef::from(&ours).set_linger(Some(DAY)).unwrap();
                (ours, listener.accept().unwrap().0)
            }
            Way::FromStd => {
                let (ours, peer) = std_pair();
                SockRef::from(&ours).set_linger(Some(DAY)).unwrap();
                (TcpStream::from_std(ours).unwrap(), peer)
            }
            Way::Listener => {
                let listener = StdListener::bind("127.0.0.1:0").unwrap();
                SockRef::from(&listener).set_linger(Some(DAY)).unwrap();
                let listener = TcpListener::from_std(listener).unwrap();
                let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                (listener.accept().await.unwrap().0, peer)
            }
        }
    }

    /// The same with more bytes on their way than the peer's kernel takes; gives how many.
    async fn full_pair(self) -> (TcpStream, std::net::TcpStream, usize) {
        let (ours, peer) = self.pair().await;
        assert_eq!(SockRef::from(&ours).linger().unwrap(), Some(DAY));
        let mut write = ours.write_all(vec![7; 32 << 20]);
        assert!(poll_once(&mut write).await.is_pending());
        turns(3).await;
        let _ = write.cancel().await;
        let sent = ours.bytes_sent() as usize;
        (ours, peer, sent)
    }
}

fn t154_a_drop_of_a_stream_that_lingers_does_not_wait<R: Runtime>() {
    run::<R>(async {
        for way in WAYS {
            let (ours, peer, sent) = way.full_pair().await;
            drop(ours);
            // The kernel goes on sending, as after the time.
            assert_eq!(read_to_end(peer).len(), sent, "{way:?}");
        }
        // Zero means a reset, and goes on meaning that.
        let (ours, mut peer) = half_pair();
        ours.set_linger(Some(Duration::ZERO)).unwrap();
        drop(ours);
        while peer.write_all(b"x").is_ok() {}
    });
}

fn t154_a_direct_stream_of_a_listener_that_lingers_does_not_wait<R: Runtime>() {
    run::<R>(async {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        SockRef::from(&listener).set_linger(Some(DAY)).unwrap();
        let listener = direct::TcpListener::from_std(listener).unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ours = listener.accept().await.unwrap();
        let mut write = ours.write_all(vec![7; 32 << 20]);
        assert!(poll_once(&mut write).await.is_pending());
        turns(3).await;
        let _ = write.cancel().await;
        let sent = ours.bytes_sent() as usize;
        drop(ours);
        turns(4).await;
        let reading = thread(move || read_to_end(peer).len());
        assert_eq!(reading.ended().await, sent);
    });
}

fn t154_a_fork_leaves_the_option_to_its_parent<R: Runtime>() {
    alone(|| {
        let runtime = R::new().unwrap();
        let (ours, _peer) = runtime.block_on(Way::Method.pair());
        // SAFETY: the child drops what it has inherited and ends; the process has one thread.
        match unsafe { libc::fork() } {
            0 => {
                drop(ours);
                // SAFETY: it takes a plain number.
                unsafe { libc::_exit(0) };
            }
            child => {
                let ended = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child), None).unwrap();
                assert!(matches!(ended, nix::sys::wait::WaitStatus::Exited(_, 0)), "{ended:?}");
            }
        }
        assert_eq!(ours.linger().unwrap(), Some(DAY));
        drop(ours);
        end(runtime);
    });
}

fn t154_a_cancelled_task_drops_a_stream_that_lingers<R: Runtime>() {
    run::<R>(async {
        let (ours, peer, sent) = Way::Method.full_pair().await;
        let task = spawn(async move { ours.recv().await.map(drop) });
        turns(2).await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        // The stream's own operation ends with one of the next turns, and the descriptor is closed.
        turns(4).await;
        let reading = thread(move || read_to_end(peer).len());
        assert_eq!(reading.ended().await, sent);
    });
}

fn t155_close_waits_for_the_peer_beside_the_loop<R: Runtime>() {
    run::<R>(async {
        for way in WAYS {
            let (ours, peer, sent) = way.full_pair().await;
            let mut close = ours.close();
            assert!(poll_once(&mut close).await.is_pending(), "{way:?}");
            turns(5).await;
            assert!(poll_once(&mut close).await.is_pending(), "{way:?}");
            let reading = thread(move || read_to_end(peer).len());
            close.await.unwrap();
            assert_eq!(reading.ended().await, sent, "{way:?}");
        }
    });
}

fn t155_a_dropped_close_does_not_wait<R: Runtime>() {
    run::<R>(async {
        for begins in [false, true] {
            let (ours, peer, sent) = Way::Method.full_pair().await;
            let mut close = ours.close();
            if begins {
                assert!(poll_once(&mut close).await.is_pending());
                turns(2).await;
            }
            drop(close);
            let reading = thread(move || read_to_end(peer).len());
            assert_eq!(reading.ended().await, sent);
        }
    });
}

fn t155_a_runtime_does_not_wait_for_a_close_that_lingers<R: Runtime>() {
    Alone::new().leaks().run(|| {
        let runtime = R::new().unwrap();
        let (peer, sent) = runtime.block_on(async {
            let (ours, peer, sent) = Way::Method.full_pair().await;
            let mut close = ours.close();
            assert!(poll_once(&mut close).await.is_pending());
            until(|| is_in_call("proactor-pool", libc::SYS_close)).await;
            spawn(close);
            (peer, sent)
        });
        let left = runtime.shutdown(Duration::from_millis(1));
        assert_eq!((left.ops_leaked, left.jobs_leaked), (1, 1));
        assert_eq!(read_to_end(peer).len(), sent);
    });
}

fn t200_closes_that_linger_hold_up_nothing_else<R: Runtime>() {
    for threads in [1, 4] {
        let runtime = R::with_config(&Config::new().pool_threads(threads)).unwrap();
        runtime.block_on(async {
            let (mut closes, mut peers) = (Vec::new(), Vec::new());
            for _ in 0..=threads {
                let (ours, peer, sent) = Way::Method.full_pair().await;
                let mut close = ours.close();
                assert!(poll_once(&mut close).await.is_pending());
                closes.push(close);
                peers.push((peer, sent));
            }
            let folder = TempDir::new();
            let path = folder.path("file");
            proactor::fs::write(&path, "text").await.unwrap();
            assert_eq!(proactor::fs::read(&path).await.unwrap(), b"text");
            assert_eq!(lookup_host("localhost:80").await.unwrap()[0].port(), 80);
            assert_eq!(spawn_blocking(|| 7).await.unwrap(), 7);
            for close in &mut closes {
                assert!(poll_once(close).await.is_pending());
            }
            // The last one begins when a thread has ended another.
            let reading =
                peers.into_iter().map(|(peer, sent)| (thread(move || read_to_end(peer).len()), sent));
            let reading: Vec<_> = reading.collect();
            for close in closes {
                close.await.unwrap();
            }
            for (read, sent) in reading {
                assert_eq!(read.ended().await, sent);
            }
        });
        end(runtime);
    }
}
