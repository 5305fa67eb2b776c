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
use proactor::net::{TcpListener, TcpStream};
use proactor::time::sleep;
use proactor::{Auto, Backend, Proactor, Runtime, spawn};

use crate::kit::*;

tests! {
    t52_accept_without_a_descriptor_pauses,
    t52_accept_goes_on_when_a_descriptor_is_closed,
    t52_a_pausing_accept_can_be_cancelled,
    t55_a_filter_that_refuses_the_ring_is_named,
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
            for stream in accepted.borrow().iter() {
                assert_eq!(stream.read_exact([0; 1]).await.unwrap().1, *b"x");
            }
            assert!(serving.cancel().await.unwrap_err().is_cancelled());
        });
        end(runtime);
    });
}

fn t52_accept_goes_on_when_a_descriptor_is_closed<R: Runtime>() {
    Alone::new().limit(Resource::RLIMIT_NOFILE, 64).run(|| {
        let runtime = R::new().unwrap();
        runtime.block_on(async {
            let mut ours = Vec::new();
            for _ in 0..2 {
                ours.push(File::open("/dev/null").await.unwrap());
            }
            let Exhausted { listener, clients: _clients, files: _files } = exhausted(3).await;
            let (accepted, errors) = (Rc::default(), Rc::<Cell<u32>>::default());
            drop(spawn(serve(listener, Rc::clone(&accepted), errors.clone())));
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
        for (errno, cause) in [(libc::EPERM, "seccomp filter"), (libc::ENOSYS, "seccomp filter hides it")] {
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
