//! Tasks, groups, locks and channels on a loop without a kernel, so that Miri can run them: it interprets each access
//! to memory, and knows no io_uring.
//!
//! The loop has turns, an inbox and an event counter to sleep on, and neither timers nor operations. The suite in
//! `tests/suite/` shows the same with a kernel and in more detail; these tests are there for the sake of the accesses to
//! memory, in `task/` above all: every function of a task's table, every kind of reference, each order in which a task,
//! its handle and its wakers can end.
#![forbid(unsafe_code)]

mod errors;
mod meetings;
mod several;
mod tasks;
mod wakers;

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use super::task::Handle;
use super::task::report::hooks::Hooks;
use super::task::scheduler::{EnteredScheduler, Scheduler, Step};
use super::task::threads::inbox::Shared;

/// A loop on this thread. Its drop ends it as the end of a runtime does.
struct TestLoop {
    scheduler: Rc<Scheduler>,
    entered: Option<EnteredScheduler>,
}

impl TestLoop {
    fn new() -> Self {
        let scheduler = Scheduler::new(1, Duration::from_millis(1), Hooks::default()).unwrap();
        let entered = Some(scheduler.clone().enter());
        TestLoop { scheduler, entered }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.scheduler.shared()
    }

    fn handle(&self) -> Handle {
        Handle::new(self.shared().clone())
    }

    /// Takes the inbox and runs one generation; true when it was the root's turn as well.
    fn turn(&self) -> bool {
        self.shared().deliver();
        let mut root = false;
        for _ in 0..self.scheduler.ready_len() {
            root |= self.scheduler.step() == Step::Root;
        }
        root
    }

    /// Turns, and sleeps between turns, until the future is ready: `block_on`.
    fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let waker = self.scheduler.root_waker();
        self.scheduler.reset_root();
        loop {
            if self.turn() {
                let polled =
                    self.scheduler.run_root(|_| future.as_mut().poll(&mut Context::from_waker(&waker)));
                if let Poll::Ready(output) = polled {
                    return output;
                }
            }
            if !self.scheduler.is_ready() && self.shared().park(false) {
                self.shared().eventfd.drain();
                self.shared().awake();
            }
        }
    }

    /// As `Core::shutdown` does, with nothing in the kernel. The thread stays, without a loop.
    fn shut_down(&mut self) {
        self.scheduler.cancel_all();
        self.scheduler.pool.close();
        self.shared().deliver();
        self.scheduler.run_cancelled();
        self.scheduler.kill_all();
        self.scheduler.run_cancelled();
        self.shared().close();
        self.scheduler.abandon_all();
        self.entered = None;
    }
}

impl Drop for TestLoop {
    fn drop(&mut self) {
        if self.entered.is_some() {
            self.shut_down();
        }
    }
}

fn run<F: Future>(future: F) -> F::Output {
    TestLoop::new().run(future)
}

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts its drops, and panics in them if it is told to.
struct Dropped {
    count: Rc<Cell<usize>>,
    panics: bool,
}

impl Dropped {
    fn new(count: &Rc<Cell<usize>>, panics: bool) -> Self {
        Dropped { count: count.clone(), panics }
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.count.set(self.count.get() + 1);
        if self.panics {
            std::panic::resume_unwind(Box::new("dropped"));
        }
    }
}
