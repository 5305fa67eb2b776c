//! The blocking pool: closures on threads, as tasks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock, mpsc};
use std::time::Duration;

use proactor::net::lookup_host;
use proactor::task::JoinError;
use proactor::{Config, Runtime, spawn, spawn_blocking, yield_now};

use crate::kit::*;

tests! {
    results_of_any_type_come_back,
    there_is_no_thread_before_the_first_job,
    there_are_never_more_threads_than_allowed,
    idle_threads_end,
    a_job_blocks_neither_the_loop_nor_other_jobs,
    a_panic_of_a_job_is_its_task_s,
    a_cancel_withdraws_a_job_that_has_not_begun,
    a_cancel_before_the_first_poll_withdraws_too,
    a_cancel_of_a_job_that_has_begun_drops_its_result,
    a_dropped_handle_lets_the_job_run,
    many_tasks_have_jobs_at_once,
    shutdown_waits_for_jobs,
    shutdown_tells_of_a_job_that_never_ends,
    shutdown_drops_jobs_that_have_not_begun,
    t183_closures_that_wait_hold_up_neither_names_nor_files,
    t186_a_thread_that_cannot_be_started_is_named,
    a_closure_that_a_destructor_hands_over_at_the_end_is_not_kept,
}

const NAME: &str = "proactor-pool";

fn with_threads<R: Runtime>(threads: usize) -> R {
    R::with_config(&Config::new().pool_threads(threads)).unwrap()
}

/// A job that says when it has begun, and ends when `open` is dropped or sent to.
struct Held {
    job: proactor::task::JoinHandle<u32>,
    open: mpsc::Sender<()>,
}

async fn held() -> Held {
    let (open, gate) = mpsc::channel();
    let begun = Signal::default();
    let begins = begun.clone();
    let job = spawn_blocking(move || {
        begins.set();
        let _ = gate.recv();
        7
    });
    begun.await;
    Held { job, open }
}

fn results_of_any_type_come_back<R: Runtime>() {
    run::<R>(async {
        assert_eq!(spawn_blocking(|| 6 * 7).await.unwrap(), 42);
        assert_eq!(spawn_blocking(|| String::from("text")).await.unwrap(), "text");
        spawn_blocking(|| ()).await.unwrap();
        assert_eq!(spawn_blocking(|| [7_u8; 10_000]).await.unwrap(), [7; 10_000]);
        let result: Result<u8, std::num::ParseIntError> = spawn_blocking(|| "x".parse()).await.unwrap();
        assert!(result.is_err());
        let here = std::thread::current().id();
        let there = spawn_blocking(|| std::thread::current().id()).await.unwrap();
        assert_ne!(here, there);
    });
}

fn there_is_no_thread_before_the_first_job<R: Runtime>() {
    alone(|| {
        run::<R>(async {
            let (a, b) = pair().await;
            let echoing = spawn(echo(b));
            a.write_all("text").await.unwrap();
            assert_eq!(&a.read_exact([0; 4]).await.unwrap().1, b"text");
            drop(a);
            echoing.await.unwrap();
            proactor::time::sleep(Duration::from_millis(1)).await;
            let before = threads();
            assert_eq!(before.len(), 1, "{before:?}");
            let held = held().await;
            assert_eq!(threads_named(NAME), 1);
            drop(held.open);
            assert_eq!(held.job.await.unwrap(), 7);
        });
    });
}

fn there_are_never_more_threads_than_allowed<R: Runtime>() {
    alone(|| {
        let runtime = with_threads::<R>(4);
        runtime.block_on(async {
            let gate = Arc::new(RwLock::new(()));
            let closed = gate.write().unwrap();
            let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let jobs: Vec<_> = (0..20)
                .map(|number| {
                    let (gate, running, most) = (gate.clone(), running.clone(), most.clone());
                    spawn_blocking(move || {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        drop(gate.read());
                        running.fetch_sub(1, Ordering::SeqCst);
                        number
                    })
                })
                .collect();
            until(|| running.load(Ordering::SeqCst) == 4).await;
            turns(5).await;
            assert_eq!(threads_named(NAME), 4);
            drop(closed);
            for (number, job) in jobs.into_iter().enumerate() {
                assert_eq!(job.await.unwrap(), number);
            }
            assert_eq!(most.load(Ordering::SeqCst), 4);
        });
        end(runtime);
    });
}

fn idle_threads_end<R: Runtime>() {
    alone(|| {
        let runtime = R::with_config(&Config::new().pool_keep_alive(Duration::from_millis(1))).unwrap();
        runtime.block_on(async {
            for _ in 0..3 {
                spawn_blocking(|| ()).await.unwrap();
                until(|| threads_named(NAME) == 0).await;
            }
        });
        end(runtime);
    });
}

fn a_job_blocks_neither_the_loop_nor_other_jobs<R: Runtime>() {
    run::<R>(async {
        let held = held().await;
        turns(10).await;
        assert_eq!(spawn_blocking(|| 3).await.unwrap(), 3, "another thread takes it");
        held.open.send(()).unwrap();
        assert_eq!(held.job.await.unwrap(), 7);
    });
}

fn a_panic_of_a_job_is_its_task_s<R: Runtime>() {
    let runtime = with_threads::<R>(1);
    runtime.block_on(async {
        let error = spawn_blocking(|| panic!("expected: {}", 7)).await.map(|()| ()).unwrap_err();
        assert!(matches!(error, JoinError::Panicked(panic) if panic.message() == "expected: 7"));
        assert_eq!(spawn_blocking(|| 3).await.unwrap(), 3, "the thread goes on");
    });
    end(runtime);
}

fn withdraws<R: Runtime>(wait: bool) {
    let runtime = with_threads::<R>(1);
    runtime.block_on(async {
        let held = held().await;
        let ran = Arc::new(AtomicBool::new(false));
        let runs = ran.clone();
        let job = spawn_blocking(move || runs.store(true, Ordering::SeqCst));
        if wait {
            yield_now().await;
        }
        assert!(job.cancel().await.unwrap_err().is_cancelled());
        assert_eq!(Arc::strong_count(&ran), 1, "the closure is gone when the task has ended");
        drop(held.open);
        held.job.await.unwrap();
        spawn_blocking(|| ()).await.unwrap(); // whatever was queued before it has run
        assert!(!ran.load(Ordering::SeqCst));
    });
    end(runtime);
}

fn a_cancel_withdraws_a_job_that_has_not_begun<R: Runtime>() {
    withdraws::<R>(true);
}

fn a_cancel_before_the_first_poll_withdraws_too<R: Runtime>() {
    withdraws::<R>(false);
}

fn a_cancel_of_a_job_that_has_begun_drops_its_result<R: Runtime>() {
    run::<R>(async {
        let (open, gate) = mpsc::channel::<()>();
        let (begun, result) = (Signal::default(), Arc::new(()));
        let (begins, gives) = (begun.clone(), result.clone());
        let job = spawn_blocking(move || {
            begins.set();
            let _ = gate.recv();
            gives
        });
        begun.await;
        assert!(job.cancel().await.unwrap_err().is_cancelled());
        assert_eq!(Arc::strong_count(&result), 2, "it runs to its end");
        drop(open);
        until(|| Arc::strong_count(&result) == 1).await;
    });
}

fn a_dropped_handle_lets_the_job_run<R: Runtime>() {
    run::<R>(async {
        let ran = Signal::default();
        let runs = ran.clone();
        drop(spawn_blocking(move || runs.set()));
        ran.await;
    });
}

fn many_tasks_have_jobs_at_once<R: Runtime>() {
    let runtime = with_threads::<R>(8);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..200_u64)
            .map(|number| {
                spawn(async move {
                    let mut sum = 0;
                    for step in 0..10 {
                        sum += spawn_blocking(move || number * step).await.unwrap();
                    }
                    sum
                })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), number as u64 * 45);
        }
    });
    end(runtime);
}

fn shutdown_waits_for_jobs<R: Runtime>() {
    let runtime = R::new().unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let ends = ended.clone();
    let open = runtime.block_on(async move {
        let (open, gate) = mpsc::channel::<()>();
        let begun = Signal::default();
        let begins = begun.clone();
        drop(spawn_blocking(move || {
            begins.set();
            let _ = gate.recv();
            std::thread::yield_now();
            ends.store(true, Ordering::SeqCst);
        }));
        begun.await;
        open
    });
    let opener = thread(move || {
        std::thread::sleep(Duration::from_millis(5));
        drop(open);
    });
    end(runtime);
    assert!(ended.load(Ordering::SeqCst));
    opener.join();
}

fn shutdown_tells_of_a_job_that_never_ends<R: Runtime>() {
    let runtime = R::new().unwrap();
    let held = runtime.block_on(held());
    let left = runtime.shutdown(Duration::from_millis(10));
    assert_eq!((left.jobs_leaked, left.ops_leaked), (1, 0));
    assert!(held.job.is_finished());
    held.open.send(()).unwrap(); // it is still there, and ends by itself
}

fn shutdown_drops_jobs_that_have_not_begun<R: Runtime>() {
    let runtime = with_threads::<R>(1);
    let ran = Arc::new(AtomicBool::new(false));
    let runs = ran.clone();
    let held = runtime.block_on(async move {
        let held = held().await;
        drop(spawn_blocking(move || runs.store(true, Ordering::SeqCst)));
        yield_now().await;
        held
    });
    let left = runtime.shutdown(Duration::ZERO);
    assert_eq!(left.jobs_leaked, 1);
    assert_eq!(Arc::strong_count(&ran), 1);
    drop(held);
    assert!(!ran.load(Ordering::SeqCst));
}

fn t183_closures_that_wait_hold_up_neither_names_nor_files<R: Runtime>() {
    for threads in [1, 64] {
        let runtime = with_threads::<R>(threads);
        runtime.block_on(async {
            let mut all = Vec::new();
            for _ in 0..threads {
                all.push(held().await);
            }
            let further = spawn_blocking(|| 5);
            assert_eq!(lookup_host("localhost:80").await.unwrap()[0].port(), 80);
            let folder = TempDir::new();
            let path = folder.path("file");
            proactor::fs::write(&path, "text").await.unwrap();
            assert_eq!(proactor::fs::read(&path).await.unwrap(), b"text");
            assert_eq!(proactor::fs::metadata(&path).await.unwrap().len(), 4);
            assert!(!further.is_finished(), "the limit holds for closures");
            for held in all {
                drop(held.open);
                held.job.await.unwrap();
            }
            assert_eq!(further.await.unwrap(), 5);
        });
        end(runtime);
    }
}

fn t186_a_thread_that_cannot_be_started_is_named<R: Runtime>() {
    // A leak detector would start a process.
    Alone::new().leaks().refuse(&[libc::SYS_clone, libc::SYS_clone3], libc::EAGAIN).run(|| {
        run::<R>(async {
            let names_cause_and_cure = |said: &str| {
                for part in ["no thread could be started", "os error 11", "ulimit -u"] {
                    assert!(said.contains(part), "without {part}: {said}");
                }
            };
            let error = spawn_blocking(|| ()).await.unwrap_err();
            let JoinError::Panicked(panic) = error else { panic!("{error}") };
            names_cause_and_cure(panic.message());
            names_cause_and_cure(&lookup_host("localhost:80").await.unwrap_err().to_string());
            let folder = TempDir::new();
            let path = folder.file("file", b"text");
            match proactor::fs::read(&path).await {
                Ok(content) => assert_eq!(content, b"text", "the ring needs no thread of this process"),
                Err(error) => names_cause_and_cure(&error.to_string()),
            }
            let file = proactor::fs::File::from_std(std::fs::File::open(&path).unwrap());
            match file.read_at(vec![0; 4], 0).await {
                Ok((_, content)) => assert_eq!(content, b"text"),
                Err(error) => names_cause_and_cure(&error.error().to_string()),
            }
        });
    });
}

fn a_closure_that_a_destructor_hands_over_at_the_end_is_not_kept<R: Runtime>() {
    struct Hands(Arc<AtomicBool>, std::rc::Rc<std::cell::RefCell<Option<proactor::task::JoinHandle<()>>>>);
    impl Drop for Hands {
        fn drop(&mut self) {
            let ran = self.0.clone();
            *self.1.borrow_mut() = Some(spawn_blocking(move || ran.store(true, Ordering::SeqCst)));
        }
    }
    for deadline in [Duration::ZERO, Duration::from_secs(30)] {
        let runtime = with_threads::<R>(1);
        let (ran, job) = (Arc::new(AtomicBool::new(false)), std::rc::Rc::default());
        let hands = Hands(ran.clone(), std::rc::Rc::clone(&job));
        let task = runtime.spawn(async move {
            let _hands = hands;
            std::future::pending::<()>().await
        });
        runtime.block_on(yield_now());
        let left = runtime.shutdown(deadline);
        assert!(task.is_finished() && left.ops_leaked == 0);
        assert!(
            job.take().is_some_and(|job: proactor::task::JoinHandle<()>| job.is_finished()),
            "its waiter gets an answer"
        );
        if left.jobs_leaked == 0 {
            assert_eq!(Arc::strong_count(&ran), 1, "the closure has run or was dropped");
        }
    }
}
