//! What is used wrongly says so, and how to do it; nothing hangs.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::time::Duration;

use proactor::buf::RegisteredBuf;
use proactor::fs::File;
use proactor::io::AsyncFd;
use proactor::net::{Leftover, TcpListener, TcpStream, UdpSocket, direct};
use proactor::signal::{self, Kind};
use proactor::task::{
    self, BlockingPool, Builder, Child, GroupHandle, Handle, JoinError, LocalHandle, RuntimeGone, TaskGroup,
    TaskSet, spawn_blocking_on,
};
use proactor::time::sleep;
use proactor::{Budget, Embed, Runtime, Wait, spawn, spawn_blocking, task_local, yield_now};

use crate::kit::*;

tests! {
    spawn_outside_a_runtime_names_the_cure,
    t242_a_panic_outside_a_runtime_names_the_callers_file,
    t242_tasks_are_spawned_where_the_caller_is,
    futures_polled_outside_a_runtime_name_the_cure,
    objects_made_outside_a_runtime_name_the_cure,
    an_object_of_one_runtime_panics_in_another,
    t194_an_accept_that_had_begun_panics_in_another_runtime,
    t194_an_accept_that_had_begun_panics_after_its_runtime,
    a_stream_does_not_hang_after_its_runtime,
    a_read_that_had_begun_does_not_hang_after_its_runtime,
    a_sleep_of_an_ended_runtime_panics_with_the_cure,
    a_handle_reports_the_end_of_its_runtime,
    a_future_polled_after_its_result_panics,
    a_join_handle_polled_after_its_result_panics,
    a_remote_handle_has_one_result,
    t29_a_loop_inside_a_loop_panics_with_the_cure,
    t29_a_second_runtime_inside_the_first_panics_with_the_cure,
    t29_a_loop_inside_a_task_panics_with_the_cure,
    t29_a_loop_inside_code_that_a_loop_calls_panics_with_the_cure,
}

#[track_caller]
fn names_run(what: &str, message: &str) {
    assert!(message.contains(what) && message.contains("proactor::run"), "{message}");
}

fn poll_by_hand<F: Future>(future: Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What a future says that is polled here for the first time.
#[track_caller]
fn polled<F: Future>(future: F) -> String {
    let mut future = pin!(future);
    panic_of(|| poll_by_hand(future.as_mut()))
}

fn spawn_outside_a_runtime_names_the_cure<R: Runtime>() {
    let runtime = R::new().unwrap(); // it is there, but does not run
    names_run("spawn needs", &panic_of(|| spawn(async {})));
    names_run("spawn_blocking needs", &panic_of(|| spawn_blocking(|| ())));
    names_run("Handle::current needs", &panic_of(Handle::current));
    assert!(Handle::try_current().is_none());
    end(runtime);
}

type Misuse = (&'static str, Box<dyn FnOnce()>);

fn misuse<T>(name: &'static str, f: impl FnOnce() -> T + 'static) -> Misuse {
    (name, Box::new(|| drop(f())))
}

task_local! {
    static WORD: &'static str;
}

/// Every public function that panics outside a runtime, by its file and name.
fn misuses() -> Vec<Misuse> {
    let listener = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let stream = move || std::net::TcpStream::connect(listener().local_addr().unwrap()).unwrap();
    let null = || std::fs::File::open("/dev/null").unwrap();
    let set = TaskSet::<Result<(), String>>::new;
    let group = TaskGroup::<String>::new;
    let handle = |call: fn(&GroupHandle<String>) -> Child<()>| {
        move || {
            let group = TaskGroup::<String>::new(); // after its end its handle would be silent
            let child = call(&group.handle());
            drop(group);
            child
        }
    };
    vec![
        misuse("task/handle/local_handle.rs current", || LocalHandle::current()),
        misuse("runtime/rng.rs random", || proactor::random()),
        misuse("net/direct/listener.rs from_std", move || direct::TcpListener::from_std(listener())),
        misuse("net/tcp/listener.rs from_std", move || TcpListener::from_std(listener())),
        misuse("net/tcp/stream.rs from_std", move || TcpStream::from_std(stream())),
        misuse("net/tcp/stream.rs from_owned_fd", move || {
            TcpStream::from_owned_fd(stream().into(), Leftover::default())
        }),
        misuse("net/udp.rs from_std", move || UdpSocket::from_std(udp())),
        misuse("signal/handler.rs on", || signal::on(Kind::HANGUP, || ())),
        misuse("signal/mod.rs stream", || signal::stream(Kind::HANGUP)),
        misuse("signal/mod.rs ctrl_c", || signal::ctrl_c()),
        misuse("task/threads/blocking.rs spawn_blocking", || spawn_blocking(|| ())),
        misuse("task/threads/blocking.rs spawn_blocking_on", || {
            spawn_blocking_on(&BlockingPool::new(1), || ())
        }),
        misuse("task/handle/call_soon.rs call_soon", || task::call_soon(|| ())),
        misuse("task/threads/handle.rs current", || Handle::current()),
        misuse("task/handle/task_local.rs set", || WORD.set("")),
        misuse("task/handle/task_local.rs unset", || WORD.unset()),
        misuse("task/handle/task_local.rs with_value", || WORD.with_value("", || ())),
        misuse("task/handle/spawn.rs spawn", || spawn(async {})),
        misuse("task/handle/spawn.rs spawn", || Builder::new().spawn(async {})),
        misuse("task/handle/spawn.rs try_spawn", || task::try_spawn(async { Ok::<(), String>(()) })),
        misuse("task/handle/spawn.rs try_spawn", || Builder::new().try_spawn(async { Ok::<(), String>(()) })),
        misuse("task/handle/spawn.rs spawn_eager", || task::spawn_eager(async {})),
        misuse("task/group/task_group.rs spawn", move || group().spawn(async { Ok(()) })),
        misuse("task/group/task_group.rs spawn_named", move || group().spawn_named("", async { Ok(()) })),
        misuse("task/group/task_group.rs spawn_eager", move || group().spawn_eager(async { Ok(()) })),
        misuse("task/group/task_group.rs spawn", handle(|handle| handle.spawn(async { Ok(()) }))),
        misuse(
            "task/group/task_group.rs spawn_named",
            handle(|handle| handle.spawn_named("", async { Ok(()) })),
        ),
        misuse("task/group/task_group.rs spawn_eager", handle(|handle| handle.spawn_eager(async { Ok(()) }))),
        misuse("task/group/task_set.rs spawn", move || set().spawn(async { Ok(()) })),
        misuse("task/group/task_set.rs spawn_with", move || {
            set().spawn_with(Builder::new(), async { Ok(()) })
        }),
        misuse("task/group/task_set.rs try_spawn", move || set().try_spawn(async { Ok(()) })),
        misuse("task/group/task_set.rs try_spawn_with", move || {
            set().try_spawn_with(Builder::new(), async { Ok(()) })
        }),
        misuse("task/report/task_info.rs current", || task::current()),
        misuse("fs/file.rs from_std", move || File::from_std(null())),
        misuse("combine/as_completed.rs as_completed", || proactor::as_completed([pending::<()>()])),
        misuse("combine/gather.rs gather", || proactor::gather([pending::<()>()])),
        misuse("combine/shield.rs shield", || proactor::shield(pending::<()>())),
        misuse("combine/try_gather.rs try_gather", || {
            proactor::try_gather([pending::<Result<(), String>>()])
        }),
        misuse("io/async_fd.rs readable", move || AsyncFd::new(udp()).readable()),
        misuse("io/async_fd.rs writable", move || AsyncFd::new(udp()).writable()),
        misuse("io/direct.rs pipe", || proactor::io::direct::pipe()),
        misuse("io/pipe.rs pipe", || proactor::io::pipe()),
        misuse("io/pipe.rs from_fd", move || proactor::io::PipeReader::from_fd(null().into())),
        misuse("io/pipe.rs from_fd", move || proactor::io::PipeWriter::from_fd(null().into())),
        misuse("io/registered.rs new", || RegisteredBuf::new(8)),
        misuse("io/registered.rs try_new", || RegisteredBuf::try_new(8)),
    ]
}

fn t242_a_panic_outside_a_runtime_names_the_callers_file<R: Runtime>() {
    let runtime = R::new().unwrap(); // it is there, but does not run
    let mut tested = BTreeSet::new();
    for (name, misuse) in misuses() {
        let place = panic_place(misuse).unwrap_or_else(|| panic!("{name} did not panic"));
        assert_eq!(place, file!(), "{name}");
        tested.insert(name.to_owned());
    }
    let sources = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../src"));
    // In a virtual machine there is the binary alone.
    if sources.is_dir() {
        let documented = documented_misuses(sources);
        assert_eq!(
            documented.difference(&tested).collect::<Vec<_>>(),
            [] as [&String; 0],
            "they are not tested"
        );
    }
    let inside = panic_place(|| runtime.block_on(async { proactor::run(async {}) }));
    assert_eq!(inside.as_deref(), Some(file!()), "run inside a runtime");
    let without = panic_place(|| runtime.block_on(async { drop(WORD.get().to_owned()) }));
    assert_eq!(without.as_deref(), Some(file!()), "a task-local without a value");
    end(runtime);
}

/// The public functions of the sources whose documents say that they panic outside a runtime. (Of a future, and of what is
/// called with a context, it is the poll that panics.)
fn documented_misuses(sources: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![sources.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let file = path.strip_prefix(sources).unwrap().display();
            let mut panics = false;
            for line in text.lines().map(str::trim_start) {
                panics |= line.starts_with("/// Outside a runtime") || line.starts_with("/// Outside a task");
                if let Some((front, rest)) = line.split_once("fn ").filter(|_| !line.starts_with("//")) {
                    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                    let polled = name.starts_with("poll_") || name == "recv";
                    if std::mem::take(&mut panics) && front == "pub " && !polled {
                        found.insert(format!("{file} {name}"));
                    }
                }
            }
        }
    }
    found
}

/// Also by what spawns several at once.
fn t242_tasks_are_spawned_where_the_caller_is<R: Runtime>() {
    run::<R>(async {
        let _gathered = proactor::try_gather([pending::<Result<(), String>>()]);
        let _shielded = proactor::shield(pending::<()>());
        let tasks = LocalHandle::current().tasks();
        assert_eq!(tasks.len(), 2);
        for task in tasks {
            assert_eq!(task.spawned_at().file(), file!());
            task.request_cancel();
        }
    });
}

fn futures_polled_outside_a_runtime_name_the_cure<R: Runtime>() {
    let runtime = R::new().unwrap();
    names_run("sleep", &polled(sleep(Duration::from_secs(1))));
    names_run(
        "timeout",
        &polled(proactor::time::timeout(Duration::from_secs(1), std::future::pending::<()>())),
    );
    names_run("", &polled(TcpStream::connect("127.0.0.1:9")));
    names_run("", &polled(TcpStream::connect("localhost:9")));
    names_run("", &polled(TcpListener::bind("127.0.0.1:0")));
    names_run("", &polled(UdpSocket::bind("127.0.0.1:0")));
    names_run("File::open", &polled(File::open("/dev/null")));
    names_run("", &polled(proactor::fs::metadata("/dev/null")));
    names_run("", &polled(proactor::io::nop()));
    let (stream, _peer) = runtime.block_on(async { half_pair() });
    names_run("", &polled(stream.read(vec![0; 3])));
    drop(stream);
    end(runtime);
}

fn objects_made_outside_a_runtime_name_the_cure<R: Runtime>() {
    let file = std::fs::File::open("/dev/null").unwrap();
    names_run("File::from_std", &panic_of(|| File::from_std(file)));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    names_run("UdpSocket::from_std", &panic_of(|| UdpSocket::from_std(socket)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    names_run("TcpListener::from_std", &panic_of(|| TcpListener::from_std(listener)));
}

fn an_object_of_one_runtime_panics_in_another<R: Runtime>() {
    let (first, second) = (R::new().unwrap(), R::new().unwrap());
    let (stream, mut peer) = first.block_on(async { half_pair() });
    let listener = first.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let socket = first.block_on(UdpSocket::bind("127.0.0.1:0")).unwrap();
    second.block_on(async {
        let expected = "belongs to another runtime";
        for message in [
            polled(stream.read(vec![0; 3])),
            polled(stream.write("abc")),
            polled(listener.accept()),
            polled(socket.recv(vec![0; 3])),
        ] {
            assert!(message.contains(expected), "{message}");
        }
        turns(2).await;
    });
    // Nothing is spoilt in the first.
    first.block_on(async {
        stream.write_all("abc").await.unwrap();
        let mut buffer = [0; 3];
        std::io::Read::read_exact(&mut peer, &mut buffer).unwrap();
        assert_eq!(&buffer, b"abc");
    });
    drop((stream, listener, socket));
    end(second);
    end(first);
}

/// An accept makes a stream, which would belong to the other runtime.
fn t194_an_accept_that_had_begun_panics_in_another_runtime<R: Runtime>() {
    let (first, second) = (R::new().unwrap(), R::new().unwrap());
    let refused = |message: String| assert!(message.contains("belongs to another runtime"), "{message}");
    for is_lent in [false, true] {
        let listener = first.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        if is_lent {
            let _ = listener.as_fd();
        }
        let mut accept = listener.accept();
        first.block_on(async {
            assert!(poll_once(&mut accept).await.is_pending());
            turns(2).await;
        });
        refused(panic_of(|| second.block_on(poll_once(&mut accept))));
        let client = std::net::TcpStream::connect(address).unwrap();
        refused(panic_of(|| second.block_on(poll_once(&mut accept))));
        first.block_on(turns(2)); // it hears of the client
        refused(panic_of(|| second.block_on(poll_once(&mut accept))));
        names_run("accept", &panic_of(|| poll_by_hand(Pin::new(&mut accept))));
        // Nothing is spoilt in the first.
        let (stream, peer) = first.block_on(&mut accept).unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        drop((stream, listener));
    }
    end(second);
    end(first);
}

fn t194_an_accept_that_had_begun_panics_after_its_runtime<R: Runtime>() {
    let first = R::new().unwrap();
    let listener = first.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let [mut begun, new] = [(); 2].map(|()| listener.accept());
    first.block_on(async {
        assert!(poll_once(&mut begun).await.is_pending());
        turns(2).await;
    });
    end(first);
    let second = R::new().unwrap();
    for accept in [begun, new] {
        let message = panic_of(|| second.block_on(accept));
        assert!(message.contains("belongs to another runtime"), "{message}");
    }
    end(second);
}

fn a_stream_does_not_hang_after_its_runtime<R: Runtime>() {
    let first = R::new().unwrap();
    let (stream, _peer) = first.block_on(async { half_pair() });
    end(first);
    let message = polled(stream.read(vec![0; 3]));
    assert!(message.contains("runtime"), "{message}");
    run::<R>(async {
        let message = polled(stream.read(vec![0; 3]));
        assert!(message.contains("belongs to another runtime"), "{message}");
        turns(2).await;
    });
}

fn a_read_that_had_begun_does_not_hang_after_its_runtime<R: Runtime>() {
    let first = R::new().unwrap();
    let (stream, _peer) = first.block_on(async { half_pair() });
    let mut read = stream.read(vec![0; 3]);
    first.block_on(async {
        assert!(poll_once(&mut read).await.is_pending());
        turns(1).await;
    });
    end(first);
    let second = R::new().unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        second.block_on(async { poll_once(&mut read).await.map(|result| result.is_err()) })
    }));
    // It says that it was cancelled, or panics.
    assert!(result.is_err() || result.is_ok_and(|polled| polled == std::task::Poll::Ready(true)));
    end(second);
}

fn a_sleep_of_an_ended_runtime_panics_with_the_cure<R: Runtime>() {
    let first = R::new().unwrap();
    let mut armed = sleep(Duration::from_millis(1));
    first.block_on(async { assert!(poll_once(&mut armed).await.is_pending()) });
    end(first);
    run::<R>(async move {
        let message = polled(armed);
        assert!(
            message.contains("has ended")
                && message.contains("create the timer in the runtime that polls it"),
            "{message}"
        );
    });
}

fn a_handle_reports_the_end_of_its_runtime<R: Runtime>() {
    let runtime = R::new().unwrap();
    let handle = runtime.handle();
    assert!(!handle.is_closed());
    drop(runtime);
    assert!(handle.is_closed());
    assert_eq!(handle.call_soon(|| unreachable!()), Err(RuntimeGone));
    assert!(RuntimeGone.to_string().contains("keep the runtime alive"));
    let task = handle.spawn(|| async { unreachable!() });
    assert!(matches!(task.join(), Err::<(), _>(JoinError::RuntimeGone)));
    handle.stop();
}

fn a_future_polled_after_its_result_panics<R: Runtime>() {
    run::<R>(async {
        let mut nop = proactor::io::nop();
        poll_until_ready(&mut nop).await;
        let mut open = File::open("/dev/null");
        poll_until_ready(&mut open).await;
        let mut refused = File::open("\0");
        poll_until_ready(&mut refused).await;
        let (stream, _peer) = half_pair();
        let mut write = stream.write("abc");
        poll_until_ready(&mut write).await;
        let mut metadata = proactor::fs::metadata("\0");
        poll_until_ready(&mut metadata).await;
        for message in [polled(nop), polled(open), polled(refused), polled(write), polled(metadata)] {
            assert!(message.contains("polled after"), "{message}");
        }
        turns(2).await;
    });
}

async fn poll_until_ready<F: Future + Unpin>(future: &mut F) {
    while poll_once(future).await.is_pending() {
        turns(1).await;
    }
}

fn a_join_handle_polled_after_its_result_panics<R: Runtime>() {
    run::<R>(async {
        let mut task = spawn(async {});
        yield_now().await;
        assert!(poll_once(&mut task).await.is_ready());
        let message = polled(&mut task);
        assert!(message.contains("polled after"), "{message}");
    });
}

#[track_caller]
fn names_the_loop(what: &str, message: &str) {
    assert!(message.starts_with(what), "{message}");
    assert!(message.contains("already runs on this thread") && message.contains("`.await`"), "{message}");
    assert!(message.contains("`spawn`") && message.contains("another thread"), "{message}");
}

fn a_remote_handle_has_one_result<R: Runtime>() {
    let runtime = R::new().unwrap();
    let [mut awaited, mut joined] = [(); 2].map(|()| runtime.handle().spawn(async || 1));
    runtime.block_on(async {
        assert_eq!((&mut awaited).await.unwrap(), 1);
        assert_eq!((&mut joined).await.unwrap(), 1);
        assert!(polled(&mut awaited).contains("after it had given its result"));
    });
    assert!(panic_of(|| joined.join()).contains("after it had given its result"));
    end(runtime);
}

fn t29_a_loop_inside_a_loop_panics_with_the_cure<R: Embed>() {
    let runtime = R::new().unwrap();
    runtime.block_on(async {
        names_the_loop("block_on", &panic_of(|| runtime.block_on(async {})));
        names_the_loop("run_forever", &panic_of(|| runtime.run_forever()));
        names_the_loop("turn", &panic_of(|| runtime.turn(Wait::Poll, Budget::default())));
        names_the_loop("block_on", &panic_of(|| proactor::run(async {})));
        sleep(Duration::from_micros(1)).await;
        turns(2).await;
    });
    end(runtime);
}

fn t29_a_second_runtime_inside_the_first_panics_with_the_cure<R: Runtime>() {
    run::<R>(async {
        let second = R::new().unwrap();
        names_the_loop("block_on", &panic_of(|| second.block_on(async {})));
        names_the_loop("run_forever", &panic_of(|| second.run_forever()));
        end(second);
        turns(2).await;
    });
}

fn t29_a_loop_inside_a_task_panics_with_the_cure<R: Runtime>() {
    run::<R>(async {
        let error = spawn(async { panic_of(|| proactor::run(async {})) }).await.unwrap();
        names_the_loop("block_on", &error);
        // A thread of the pool is another thread.
        assert_eq!(spawn_blocking(|| R::new().unwrap().block_on(async { 7 })).await.unwrap(), 7);
    });
}

/// Runs a loop when it is dropped, and keeps what that says.
struct RunsInDrop(Rc<RefCell<Vec<String>>>);

impl Drop for RunsInDrop {
    fn drop(&mut self) {
        let message = panic_of(|| proactor::run(async {}));
        self.0.borrow_mut().push(message);
    }
}

fn t29_a_loop_inside_code_that_a_loop_calls_panics_with_the_cure<R: Runtime>() {
    let messages: Rc<RefCell<Vec<String>>> = Rc::default();
    let runtime = R::new().unwrap();
    let (say, hear) = mpsc::channel();
    runtime.handle().call_soon(move || say.send(panic_of(|| proactor::run(async {}))).unwrap()).unwrap();
    runtime.block_on(async {
        // The destructors of a future, and of a buffer that the kernel gives back.
        let guard = RunsInDrop(messages.clone());
        let task = spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        let (stream, _peer) = half_pair();
        let guard = RunsInDrop(messages.clone());
        let mut read = stream.read(Acts(Vec::with_capacity(16), move || drop(RunsInDrop(guard.0.clone()))));
        assert!(poll_once(&mut read).await.is_pending());
        turns(2).await;
        assert!(task.cancel().await.is_err());
        drop(read);
        until(|| messages.borrow().len() == 3).await;
    });
    // And at the end.
    let guard = RunsInDrop(messages.clone());
    drop(runtime.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    }));
    runtime.block_on(turns(1));
    end(runtime);
    assert_eq!(messages.borrow().len(), 4);
    messages.borrow().iter().for_each(|message| names_the_loop("block_on", message));
    names_the_loop("block_on", &hear.recv().unwrap());
    assert_eq!(proactor::run(async { 7 }), 7, "outside it may");
}
