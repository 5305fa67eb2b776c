//! Tools of the models: checking a model, a loop for the owner thread, and a thread that blocks on a future.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::{Duration, Instant};

use loom::thread::JoinHandle as JoinThread;

use crate::sys::eventfd::EventFd;
use crate::sys::memory;
use crate::sys::sync::Arc;
use crate::task::report::hooks::Hooks;
use crate::task::scheduler::EnteredScheduler;
use crate::task::scheduler::{Scheduler, Step};
use crate::task::threads::inbox::Shared;
use crate::task::{Handle, JoinHandle, spawn};

/// A name and the body of one run. The run joins all threads that it starts, and releases everything.
pub(crate) type Model = (&'static str, fn());

/// The number of times that threads are preempted in a run, at most. Most errors between threads show with two preemptions
/// (Musuvathi and Qadeer, "Iterative context bounding", 2007). Without a bound there would be too many runs.
const PREEMPTIONS: usize = 3;

/// Runs a model in every order.
pub(crate) fn check((name, model): Model) {
    let began = Instant::now();
    let runs = std::sync::Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.max_branches = 10_000;
    let count = runs.clone();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        memory::begin();
        model();
        memory::end();
    });
    eprintln!("{name}: {} runs in {:.1} s", runs.load(Ordering::Relaxed), began.elapsed().as_secs_f64());
}

/// A loop on this thread: turns as in `runtime/core/turn.rs`, with tasks and the inbox alone.
pub(crate) struct TestLoop {
    scheduler: Rc<Scheduler>,
    entered: Option<EnteredScheduler>,
}

impl TestLoop {
    pub(crate) fn new() -> Self {
        let scheduler = Scheduler::new(1, Duration::MAX, Hooks::default()).unwrap();
        let entered = Some(scheduler.clone().enter());
        TestLoop { scheduler, entered }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.scheduler.shared()
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle::new(self.shared().clone())
    }

    pub(crate) fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        spawn(future) // the loop of this thread is this one
    }

    /// Delivers the inbox and runs the ready tasks.
    pub(crate) fn turn(&self) {
        self.shared().deliver();
        for _ in 0..self.scheduler.ready_len() {
            assert_ne!(self.scheduler.step(), Step::Root);
        }
    }

    /// Runs turns, and sleeps between them, until the task has ended.
    pub(crate) fn run<T: 'static>(&self, mut task: JoinHandle<T>) -> T {
        self.run_until(false, || task.is_finished());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(&mut task).poll(&mut cx) {
            Poll::Ready(outcome) => outcome.unwrap_or_else(|error| panic!("{error}")),
            Poll::Pending => unreachable!("it has ended"),
        }
    }

    /// Runs turns until a stop is requested, as `run_forever` does.
    pub(crate) fn run_forever(&self) {
        self.run_until(true, || self.shared().take_stop());
    }

    pub(crate) fn run_until(&self, stoppable: bool, over: impl Fn() -> bool) {
        loop {
            self.turn();
            if over() {
                return;
            }
            if self.scheduler.is_ready() {
                continue;
            }
            sleep(self.shared(), stoppable);
        }
    }

    /// Ends the loop as `Core::shutdown` does, without operations. The thread continues without a loop.
    pub(crate) fn shut_down(&mut self) {
        self.scheduler.cancel_all();
        self.scheduler.pool.close();
        self.shared().deliver();
        self.scheduler.kill_all();
        self.shared().close();
        self.scheduler.abandon_all();
        self.entered = None;
    }
}

impl Drop for TestLoop {
    fn drop(&mut self) {
        // A model that fails keeps its first failure.
        if self.entered.is_some() && !std::thread::panicking() {
            self.shut_down();
        }
    }
}

pub(crate) fn join<const N: usize>(threads: [JoinThread<()>; N]) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Sleeps as the loop does, unless the inbox has nodes or a stop was requested.
pub(crate) fn sleep(shared: &Shared, stoppable: bool) {
    if shared.park(stoppable) {
        shared.eventfd.drain();
        shared.awake();
    }
}

/// Blocks this thread, which has no loop, until the future is ready.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Thread(EventFd);
    impl Wake for Thread {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.signal();
        }
    }
    let thread = std::sync::Arc::new(Thread(EventFd::new().unwrap()));
    let waker = thread.clone().into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread.0.drain(),
        }
    }
}
