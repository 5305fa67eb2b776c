//! A kernel that refuses, and processes under limits.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use libc::{SYS_io_uring_enter, SYS_io_uring_register, SYS_io_uring_setup};
use nix::sys::resource::Resource;
use proactor::fs::File;
use proactor::io::Cancellable;
use proactor::net::{TcpListener, TcpStream, UdpSocket};
use proactor::time::sleep;
use proactor::{Auto, Backend, Config, Feature, FeatureState, Proactor, Runtime, spawn, spawn_blocking};

use crate::kit::*;

tests! {
    t52_accept_without_a_descriptor_pauses,
    t52_accept_resumes_when_a_descriptor_is_closed,
    t52_a_pausing_accept_can_be_cancelled,
    t57_a_fork_gets_an_error_and_its_parent_continues,
    t57_a_fork_inside_a_task_ends_its_loop,
    t57_a_program_that_is_executed_inherits_nothing,
    t59_a_write_to_a_closed_peer_is_an_error_where_the_signal_is_deadly,
    t55_a_filter_that_refuses_the_ring_is_named;
    proactor:
    t53_little_memory_for_rings_gives_small_rings_and_then_none,
    t54_rings_are_made_right_after_many_were_closed;
    selector:
    t121_a_kernel_without_io_uring_is_named,
}

/// A listener with clients in its backlog, in a process that has no descriptor left.
struct Exhausted {
    listener: TcpListener,
    clients: Vec<std::net::TcpStream>,
    /// What takes the descriptors.
    files: Vec<std::fs::File>,
}

async fn exhausted(clients: usize) -> Exhausted {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let clients = (0..clients).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    // The first attempt may need more than a descriptor for the connection itself.
    let files = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    Exhausted { listener, clients, files }
}

/// Accepts, and tries again at once whatever happens.
async fn serve(listener: TcpListener, accepted: Rc<RefCell<Vec<TcpStream>>>, errors: Rc<Cell<u32>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => accepted.borrow_mut().push(stream),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                errors.set(errors.get() + 1);
            }
        }
    }
}

fn t52_accept_without_a_descriptor_pauses<R: Runtime>() {
    Alone::new().limit(Resource::RLIMIT_NOFILE, 64).run(|| {
        let runtime = R::new().unwrap();
        runtime.block_on(async {
            let Exhausted { listener, mut clients, mut files } = exhausted(3).await;
            let (accepted, errors) = (Rc::default(), Rc::<Cell<u32>>::default());
            let began = Instant::now();
            let serving = spawn(serve(listener, Rc::clone(&accepted), errors.clone()));
            sleep(Duration::from_millis(300)).await;
            until(|| errors.get() >= 2).await;
            // The pauses are 5, 10, 20, … ms, and timers are never early.
            let (mut most, mut pauses) = (1, Duration::ZERO);
            while pauses <= began.elapsed() {
                pauses += Duration::from_millis(5 << (most - 1));
                most += 1;
            }
            assert!((2..=most).contains(&errors.get()), "{} attempts instead of {most}", errors.get());
            let accepted_before = accepted.borrow().len();
            assert_eq!(accepted_before, 0);
            // Others close theirs, of which the runtime hears nothing.
            files.truncate(files.len() - 3);
            until(|| accepted.borrow().len() == 3).await;
            for client in &mut clients {
                client.write_all(b"x").unwrap();
            }
            for stream in accepted.take() {
                assert_eq!(stream.read_exact([0; 1]).await.unwrap().1, *b"x");
            }
            assert!(serving.cancel().await.unwrap_err().is_cancelled());
        });
        end(runtime);
    });
}

fn t52_accept_resumes_when_a_descriptor_is_closed<R: Runtime>() {
    Alone::new().limit(Resource::RLIMIT_NOFILE, 64).run(|| {
        let runtime = R::new().unwrap();
        runtime.block_on(async {
            let mut ours = Vec::new();
            for _ in 0..2 {
                ours.push(File::open("/dev/null").await.unwrap());
            }
            let Exhausted { listener, clients: _clients, files: _files } = exhausted(3).await;
            let (accepted, errors) = (Rc::default(), Rc::<Cell<u32>>::default());
            spawn(serve(listener, Rc::clone(&accepted), errors.clone()));
            // The next pause is a long one now, much longer than some turns of the loop.
            until(|| errors.get() == 7).await;
            drop(ours.pop());
            turns(5).await;
            assert_eq!(accepted.borrow().len(), 1, "a dropped file makes room");
            let before = errors.get();
            until(|| errors.get() == before + 7).await;
            ours.pop().unwrap().close().await.unwrap();
            turns(5).await;
            assert_eq!(accepted.borrow().len(), 2, "a closed file makes room");
            let before = errors.get();
            until(|| errors.get() == before + 7).await;
            drop(accepted.borrow_mut().pop());
            turns(5).await;
            assert_eq!(accepted.borrow().len(), 2, "a dropped stream makes room");
        });
        end(runtime);
    });
}

fn t52_a_pausing_accept_can_be_cancelled<R: Runtime>() {
    Alone::new().limit(Resource::RLIMIT_NOFILE, 64).run(|| {
        let runtime = R::new().unwrap();
        runtime.block_on(async {
            let Exhausted { listener, clients, files } = exhausted(1).await;
            for _ in 0..9 {
                assert_eq!(listener.accept().await.unwrap_err().raw_os_error(), Some(libc::EMFILE));
            }
            let mut accept = listener.accept();
            assert!(poll_once(&mut accept).await.is_pending(), "it pauses");
            assert_eq!(live(&runtime), (0, 0, 1), "without an operation, with a timer");
            let error = accept.cancel().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
            assert_eq!(live(&runtime), (0, 0, 0));
            let mut accept = listener.accept();
            assert!(poll_once(&mut accept).await.is_pending());
            drop(accept);
            assert_eq!(live(&runtime), (0, 0, 0));
            // One that another task polls is woken to see that it was cancelled.
            let accept = Rc::new(RefCell::new(listener.accept()));
            let polled = accept.clone();
            let task = spawn(std::future::poll_fn(move |cx| Pin::new(&mut *polled.borrow_mut()).poll(cx)));
            turns(2).await;
            accept.borrow_mut().request_cancel();
            assert_eq!(task.await.unwrap().unwrap_err().raw_os_error(), Some(libc::ECANCELED));
            drop((files, clients));
        });
        end(runtime);
    });
}

/// The proactor's test asks for the proactor by name, the selector's lets `Auto` find out.
fn t55_a_filter_that_refuses_the_ring_is_named<R: Runtime>() {
    for (call, name) in [
        (SYS_io_uring_setup, "io_uring_setup"),
        (SYS_io_uring_enter, "io_uring_enter"),
        (SYS_io_uring_register, "io_uring_register"),
    ] {
        for (errno, cause) in [
            (libc::EPERM, "seccomp filter"),
            (libc::ENOSYS, "seccomp filter hides it"),
            (libc::EOPNOTSUPP, "does not support it"),
        ] {
            Alone::new().case(format!("{name} {errno}")).refuse(&[call], errno).run(|| {
                let before = descriptors();
                let reason = if is_proactor::<R>() {
                    Proactor::new().unwrap_err().to_string()
                } else {
                    let runtime = Auto::new().unwrap();
                    assert_eq!(runtime.backend(), Backend::Selector);
                    let (ours, _peer) = runtime.block_on(pair());
                    runtime
                        .block_on(async { ours.write_all(b"it works".as_slice()).await.map(drop) })
                        .unwrap();
                    drop(ours);
                    let reason = runtime.report().reason.unwrap();
                    drop(_peer);
                    end(runtime);
                    reason
                };
                for word in [name, cause, "PROACTOR_BACKEND=selector"] {
                    assert!(reason.contains(word), "without {word}: {reason}");
                }
                assert_eq!(descriptors(), before, "a refusal leaves nothing open");
            });
        }
    }
}

/// `tests/kernels/run --refuse-uring` boots a kernel that forbids it by its sysctl.
fn t121_a_kernel_without_io_uring_is_named<R: Runtime>() {
    alone(|| {
        let before = descriptors();
        let named = Proactor::new().unwrap_err().to_string();
        let runtime = Auto::new().unwrap();
        assert_eq!(runtime.backend(), Backend::Selector);
        runtime.block_on(everyday());
        let reason = runtime.report().reason.unwrap();
        end(runtime);
        assert_eq!(descriptors(), before, "a refusal leaves nothing open");
        for said in [named, reason] {
            assert!(said.contains("kernel.io_uring_disabled is 2"), "{said}");
        }
    });
}

async fn everyday() {
    let (a, b) = pair().await;
    let echoing = spawn(echo(b));
    a.write_all("text").await.unwrap();
    assert_eq!(&a.read_exact([0; 4]).await.unwrap().1, b"text");
    assert_eq!(spawn_blocking(|| 7).await.unwrap(), 7);
    drop(a);
    echoing.await.unwrap();
}

fn t53_little_memory_for_rings_gives_small_rings_and_then_none<R: Runtime>() {
    Alone::new().limit(Resource::RLIMIT_MEMLOCK, 64 << 10).nobody().run(|| {
        let before = descriptors();
        let config = Config::new().ring_entries(4_096);
        let mut rings = Vec::new();
        let refused = loop {
            match R::with_config(&config) {
                Ok(runtime) => {
                    let entries = runtime.report().ring_entries;
                    assert!((64..4_096).contains(&entries), "{entries}");
                    runtime.block_on(everyday());
                    rings.push(runtime);
                }
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), std::io::ErrorKind::OutOfMemory);
        assert!(refused.to_string().contains("RLIMIT_MEMLOCK"), "{refused}");
        // If this user had processes before, the rings of the tests beside this one count as well, and may have
        // been closed in between.
        let mut more = Vec::new();
        let auto = loop {
            match Auto::with_config(&config).unwrap() {
                auto if auto.backend() == Backend::Selector => break auto,
                lucky => more.push(lucky),
            }
        };
        assert!(auto.report().reason.unwrap().contains("RLIMIT_MEMLOCK"));
        auto.block_on(everyday());
        drop((auto, more));
        rings.drain(..).for_each(end);
        assert_eq!(descriptors(), before);
        // The kernel gives the memory back a while after the rings were closed: the attempts wait for it.
        if has_user_of_its_own() {
            let again = R::with_config(&config).unwrap();
            again.block_on(everyday());
            end(again);
        }
    });
}

fn t54_rings_are_made_right_after_many_were_closed<R: Runtime>() {
    Alone::new().limit(Resource::RLIMIT_MEMLOCK, 8 << 20).nobody().run(|| {
        // Some 60 rings of this size fit under the limit at a time.
        let config = Config::new().ring_entries(1_024);
        for _ in 0..rounds(400, 4_000) {
            let runtime = R::with_config(&config).unwrap();
            runtime.block_on(async { proactor::io::nop().await }).unwrap();
            let report = runtime.report();
            let registered = report.features.iter().find(|of| of.feature == Feature::RegisteredRing).unwrap();
            assert_eq!(registered.state, FeatureState::On, "a thread has room for 16");
            end(runtime);
        }
    });
}

/// Forks; the child does `work` and ends with it. The parent gets the child, which must end well.
fn fork(work: impl FnOnce()) -> Fork {
    // SAFETY: the process has no other thread that could hold a lock of the allocator or of the standard
    // library, except the watchdog, which sleeps. The child never returns from here.
    match unsafe { libc::fork() } {
        0 => {
            end_with_parent();
            let code = i32::from(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err());
            // SAFETY: ends the process, without destructors, which are the parent's to run.
            unsafe { libc::_exit(code) }
        }
        child => Fork(nix::unistd::Pid::from_raw(child)),
    }
}

#[must_use]
struct Fork(nix::unistd::Pid);

impl Fork {
    fn ended_well(self) {
        let status = nix::sys::wait::waitpid(self.0, None).unwrap();
        assert_eq!(status, nix::sys::wait::WaitStatus::Exited(self.0, 0));
    }
}

fn t57_a_fork_gets_an_error_and_its_parent_continues<R: Runtime>() {
    alone(|| {
        let runtime = R::with_config(&Config::new().shutdown_deadline(Duration::from_secs(3_600))).unwrap();
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let (stream, mut peer) = runtime.block_on(async { half_pair() });
        let (idle, mut idle_peer) = runtime.block_on(async { half_pair() });
        let idle = Rc::new(idle);
        let stream = Rc::new(stream);
        let reading = stream.clone();
        let read = runtime.spawn(async move { reading.read_exact([0; 5]).await.unwrap().1 });
        let (begun, runs) = std::sync::mpsc::channel();
        let job = move || {
            begun.send(()).unwrap();
            held.recv().is_err()
        };
        let job = runtime.spawn(async { spawn_blocking(job).await.unwrap() });
        runtime.block_on(turns(3)); // the read is in flight
        runs.recv().unwrap();
        let handle = runtime.handle();
        let mut begun = Box::pin(idle.read([0; 1]));
        runtime.block_on(async { assert!(poll_once(&mut begun).await.is_pending()) });

        let all = RefCell::new(Some((begun, read, stream, idle, runtime)));
        let told = || {
            let all = all.borrow();
            let (.., runtime) = all.as_ref().unwrap();
            let said = panic_of(|| runtime.block_on(async {}));
            assert!(said.contains("fork(2)"), "{said}");
            assert!(handle.is_closed());
            assert!(handle.call_soon(|| ()).is_err());
            handle.stop();
        };
        let works = || run::<R>(everyday()); // a runtime of the child's own
        let children = [
            fork(|| {
                told();
                works();
            }),
            fork(|| {
                // What belongs to the parent is let go of, at once although the deadline is an hour away.
                drop(all.take());
                works();
            }),
            fork(|| {
                told();
                drop(all.take());
                works();
            }),
        ];
        for child in children {
            child.ended_well();
        }
        let (begun, read, _stream, _idle, runtime) = all.take().unwrap();
        peer.write_all(b"hello").unwrap();
        assert_eq!(&runtime.block_on(read).unwrap(), b"hello");
        idle_peer.write_all(b"x").unwrap();
        assert_eq!(runtime.block_on(begun).unwrap(), (1, *b"x"));
        drop(hold);
        assert!(runtime.block_on(job).unwrap());
        end(runtime);
    });
}

fn t57_a_fork_inside_a_task_ends_its_loop<R: Runtime>() {
    alone(|| {
        let runtime = R::new().unwrap();
        let parent = std::process::id();
        let is_child = move || std::process::id() != parent;
        let said = panic_catching(|| {
            runtime.block_on(async {
                let (stream, mut peer) = half_pair();
                let folder = TempDir::new();
                let file = File::open(folder.file("file", b"content")).await.unwrap();
                let mut read = stream.read([0; 5]);
                assert!(poll_once(&mut read).await.is_pending());
                turns(2).await;
                // SAFETY: as in `fork`; this child ends below.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    end_with_parent();
                    std::mem::forget(folder); // it is the parent's
                    let error = stream.write("lost").await.unwrap_err().into_parts().0;
                    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
                    let error = file.read_at([0; 7], 0).await.unwrap_err().into_parts().0;
                    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
                    let _ = read.await; // which is the parent's, and never ends here
                    unreachable!("the loop of a fork has ended");
                }
                Fork(nix::unistd::Pid::from_raw(child)).ended_well();
                peer.write_all(b"hello").unwrap();
                assert_eq!(&read.await.unwrap().1, b"hello");
                assert_eq!(&file.read_at([0; 7], 0).await.unwrap().1, b"content");
                drop(stream);
                assert_eq!(read_to_end(peer), b"", "the child has sent nothing");
            });
        });
        if is_child() {
            let told = said.is_some_and(|said| said.contains("fork(2)"));
            // SAFETY: ends the child, without destructors, which are the parent's to run.
            unsafe { libc::_exit(i32::from(!told)) }
        }
        assert_eq!(said, None);
        end(runtime);
    });
}

fn t57_a_program_that_is_executed_inherits_nothing<R: Runtime>() {
    let of_ours =
        |link: &String| ["socket:", "anon_inode:", "proactor-suite"].iter().any(|kind| link.contains(kind));
    let inherits = move || {
        let inherited: Vec<String> = descriptors().into_iter().filter(of_ours).collect();
        assert_eq!(inherited, Vec::<String>::new());
    };
    if is_alone() {
        return drop(Alone::new().run(inherits));
    }
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        let folder = TempDir::new();
        let file = File::open(folder.file("file", b"content")).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut read = server.read([0; 1]);
        assert!(poll_once(&mut read).await.is_pending());
        turns(2).await;
        Alone::new().run(inherits);
        drop((file, client, udp, read));
    });
    end(runtime);
}

fn t59_a_write_to_a_closed_peer_is_an_error_where_the_signal_is_deadly<R: Runtime>() {
    alone(|| {
        // SAFETY: restores what a program that is not written in Rust begins with.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        run::<R>(async {
            let (closed, peer) = half_pair();
            reset(peer);
            until_reset(&closed).await;
            let broken = |error: std::io::Error| assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
            broken(closed.write("text").await.unwrap_err().into());
            broken(closed.write_all("text").await.unwrap_err().into());
            broken(closed.write_vectored(["te", "xt"]).await.unwrap_err().into());
            broken(closed.write_all_vectored(["te", "xt"]).await.unwrap_err().into());
            // One that was waiting for room when the peer went.
            let (full, peer) = half_pair();
            let mut writing = full.write_all(vec![0; 16 << 20]);
            assert!(poll_once(&mut writing).await.is_pending());
            turns(2).await;
            reset(peer);
            writing.await.unwrap_err();
        });
    });
}

/// Until the stream has heard of its peer's reset, and the error has been taken.
async fn until_reset(stream: &TcpStream) {
    let error = stream.read([0; 1]).await.unwrap_err();
    assert_eq!(error.into_parts().0.kind(), std::io::ErrorKind::ConnectionReset);
}
