//! The loop itself: one turn, and how a runtime begins. How it ends is in `shutdown.rs`.
//!
//! A turn takes the inbox, fires timers, runs one generation of the ready queue, and visits the kernel:
//! waiting when nothing can go on, without waiting when enough has been done since the last visit or the
//! ring says that there is work. It knows the scheduler, the timers and the driver, which do not know each
//! other's insides; it matches on no backend.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::backend::Backend;
use super::config::Config;
use crate::driver::stats::Counter;
use crate::driver::visit::Park;
use crate::driver::{self, Driver};
use crate::sys::rng::Rng;
use crate::task::cancel::cleanup::dispose;
use crate::task::scheduler::{EnteredScheduler, Scheduler, Step};
use crate::task::threads::inbox::Shared;
use crate::task::{Handle, JoinHandle, LocalHandle};
use crate::time::{Timers, now, since_boot};

/// After this time in ready tasks the kernel is visited, whatever the budget says.
const KERNEL_INTERVAL: Duration = Duration::from_micros(200);

/// Polls between two looks at the clock, at most, while tasks are ready.
const CLOCK_POLLS: u32 = 16;

/// Looks at memory between two looks at the clock, while the loop spins.
const SPIN_LOOKS: u32 = 64;

pub struct Core {
    pub(super) scheduler: Rc<Scheduler>,
    pub(super) timers: Rc<Timers>,
    pub(super) driver: Rc<Driver>,
    pub(super) rng: Rc<Rng>,
    pub(super) seed: u64,
    pub(super) config: Config,
    pub(super) backend: Backend,
    pub(super) reason: Option<String>,
    pub(super) turns: Counter,
    pub(super) polls: Counter,
    /// Polls since the last visit to the kernel.
    pub(super) since_visit: Cell<u32>,
    /// When the first turn after the last visit ended with tasks that are ready.
    pub(super) busy_since: Cell<Option<Instant>>,
    /// After how many polls since the last visit the clock is looked at next.
    pub(super) next_look: Cell<u32>,
    pub(super) ended: Cell<bool>,
}

/// The limits of a turn: the time to wait, and the number of tasks to poll.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) wait: Until,
    pub(super) polls: usize,
    /// Whether `Handle::stop` ends the wait.
    pub(super) stoppable: bool,
}

/// The clock, looked at once at most, and not at all by a turn to which time is of no matter.
#[derive(Debug, Default)]
pub(super) struct Clock(Option<Instant>);

impl Clock {
    fn read(&mut self) -> Instant {
        *self.0.get_or_insert_with(now)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    Now,
    At(Instant),
    Event,
}

impl Core {
    pub(crate) fn proactor(config: &Config) -> io::Result<Self> {
        config.check()?;
        let scheduler = Scheduler::new(config.pool_threads, config.pool_keep_alive, config.hooks())?;
        let machine = driver::Backend::ring(config.ring(), scheduler.shared())?;
        Self::new(config, scheduler, machine, Backend::Proactor, None)
    }

    pub(crate) fn selector(config: &Config, reason: Option<String>) -> io::Result<Self> {
        config.check()?;
        let scheduler = Scheduler::new(config.pool_threads, config.pool_keep_alive, config.hooks())?;
        let machine = driver::Backend::poller(config.masked, scheduler.shared())?;
        Self::new(config, scheduler, machine, Backend::Selector, reason)
    }

    fn new(
        config: &Config,
        scheduler: Rc<Scheduler>,
        machine: driver::Backend,
        backend: Backend,
        reason: Option<String>,
    ) -> io::Result<Self> {
        let seed = config.seed.unwrap_or_else(super::rng::random_seed);
        let core = Core {
            timers: Timers::new(),
            driver: Driver::new(machine, scheduler.clone(), config.resources),
            rng: Rng::new(seed),
            seed,
            scheduler,
            config: config.clone(),
            backend,
            reason,
            turns: Counter::default(),
            polls: Counter::default(),
            since_visit: Cell::new(0),
            busy_since: Cell::new(None),
            next_look: Cell::new(0),
            ended: Cell::new(false),
        };
        core.check_required()?;
        Ok(core)
    }

    pub(crate) fn backend(&self) -> Backend {
        self.backend
    }

    pub(super) fn shutdown_deadline(&self) -> Duration {
        self.config.shutdown_deadline
    }

    pub(crate) fn driver(&self) -> &Driver {
        &self.driver
    }

    pub(crate) fn shared(&self) -> &Shared {
        self.scheduler.shared()
    }

    pub(crate) fn local(&self) -> LocalHandle {
        LocalHandle::new(self.scheduler.clone())
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle::new(self.scheduler.shared().clone())
    }

    #[track_caller]
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let _entered = self.enter();
        crate::task::spawn(future)
    }

    /// Makes this the thread's current runtime until the guards are dropped.
    pub(super) fn enter(&self) -> impl Drop + use<> {
        struct Entered(
            #[expect(dead_code, reason = "held for its drop, in this order")]
            (
                crate::sys::context::Entered<Rng>,
                crate::sys::context::Entered<Driver>,
                crate::sys::context::Entered<Timers>,
                EnteredScheduler,
            ),
        );
        impl Drop for Entered {
            fn drop(&mut self) {}
        }
        Entered((
            self.rng.clone().enter(),
            self.driver.clone().enter(),
            self.timers.clone().enter(),
            self.scheduler.clone().enter(),
        ))
    }

    /// # Panics
    /// When a runtime already runs on this thread.
    #[track_caller]
    pub(super) fn enter_alone(&self, what: &str) -> impl Drop + use<> {
        assert!(
            crate::task::scheduler::with(|current| current.is_none()),
            "{what}: a proactor runtime already runs on this thread, and a second loop inside it would stop the \
             first: `.await` the future, `spawn` it, or give it to another thread"
        );
        self.scheduler.shared().awake(); // a foreign loop may have left it parked
        self.enter()
    }

    #[track_caller]
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _running = self.run_here();
        let mut future = pin!(future); // dropped while the runtime still runs here: it may have something to clean up
        self.drive(|cx, _| future.as_mut().poll(cx))
    }

    /// The same for a future that can be cancelled, like a task: `None` then, when what it has left is over.
    #[track_caller]
    pub(crate) fn block_on_cancellable<F: Future>(&self, future: F) -> Option<F::Output> {
        let _running = self.run_here();
        let mut future = pin!(Some(future));
        let mut remains = None;
        self.drive(|cx, cancelled| {
            if cancelled && remains.is_none() {
                remains = Some(dispose(|| future.set(None)));
            }
            match (&mut remains, future.as_mut().as_pin_mut()) {
                (None, Some(future)) => future.poll(cx).map(Some),
                (Some(remains), _) => Pin::new(remains).poll(cx).map(|()| None),
                (None, None) => unreachable!("the future is there until it is disposed of"),
            }
        })
    }

    /// Makes this the thread's runtime for one future.
    #[track_caller]
    fn run_here(&self) -> (Leave<'_>, impl Drop + use<>) {
        let entered = self.enter_alone("block_on");
        (Leave(self), entered)
    }

    /// Runs the loop until the root, which `poll` polls, is over. It is told when the root is to be cancelled.
    ///
    /// # Panics
    /// When the loop is stopped before.
    #[track_caller]
    fn drive<T>(&self, mut poll: impl FnMut(&mut Context<'_>, bool) -> Poll<T>) -> T {
        let waker = self.scheduler.root_waker();
        let mut cx = Context::from_waker(&waker);
        self.scheduler.renew_root();
        let limits = self.limits(true);
        let mut output = None;
        loop {
            let turned = self.turn_with(limits, &mut |cancelled| match poll(&mut cx, cancelled) {
                Poll::Ready(value) => {
                    output = Some(value);
                    true
                }
                Poll::Pending => false,
            });
            if let Err(error) = turned {
                panic!("{error}");
            }
            if let Some(output) = output.take() {
                return output;
            }
            assert!(
                !self.scheduler.shared().take_stop(),
                "Handle::stop was called before the future of block_on had completed: `stop` ends `run_forever`. To end a \
                 future from elsewhere, run it with `Runner::run` and request its task's cancellation"
            );
        }
    }

    #[track_caller]
    pub(crate) fn run_forever(&self) {
        let _entered = self.enter_alone("run_forever");
        let _leave = Leave(self);
        let limits = self.limits(true);
        loop {
            if let Err(error) = self.turn_with(limits, &mut |_| false) {
                panic!("{error}");
            }
            if self.scheduler.shared().take_stop() {
                return;
            }
        }
    }

    /// Those of the loop's own turns.
    pub(super) fn limits(&self, stoppable: bool) -> Limits {
        Limits { wait: Until::Event, polls: self.config.turn_budget as usize, stoppable }
    }

    /// One turn for a foreign loop, which wants control back as soon as something was done: waits first, if
    /// nothing can go on, and then runs what can.
    #[track_caller]
    pub(super) fn turn(&self, limits: Limits) -> io::Result<usize> {
        let _entered = self.enter_alone("turn");
        let _flush = Flush(self);
        self.driver.check_origin()?;
        self.turns.add(1);
        self.begin(&mut Clock::default());
        if self.scheduler.is_ready() {
            self.driver.visit(Park::No)?;
        } else {
            self.sleep(limits, &mut Clock::default())?;
            self.begin(&mut Clock::default());
        }
        Ok(self.run_generation(limits.polls, &mut |_| false).0)
    }

    /// One turn of the loop's own: runs what can go on, and then visits the kernel. `root` polls the future of
    /// `block_on` and says whether that is over.
    fn turn_with(&self, limits: Limits, root: &mut dyn FnMut(bool) -> bool) -> io::Result<()> {
        self.driver.check_origin()?;
        self.turns.add(1);
        let mut clock = Clock::default();
        self.begin(&mut clock);
        let (polled, over) = self.run_generation(limits.polls, root);
        if over {
            return Ok(());
        }
        if self.scheduler.is_ready() {
            let due = self.since_visit.get() >= self.config.turn_budget
                || self.is_busy_for_long(&mut clock)
                || self.driver.has_work();
            return if due { self.visit(Park::No) } else { Ok(()) };
        }
        if polled > 0 {
            clock = Clock::default(); // time has passed
        }
        self.sleep(limits, &mut clock)
    }

    /// A turn begins: takes the inbox and fires timers.
    #[inline(always)] // this and `sleep`: 64 instructions in each turn, of 1,083 for one with a NOP
    pub(super) fn begin(&self, clock: &mut Clock) {
        self.scheduler.shared().deliver();
        if self.timers.live() > 0 {
            self.timers.fire(clock.read());
        }
    }

    /// Looks at the clock when there have been twice as many polls as at the last look: a turn may be a single short poll,
    /// and cost less than the look. So the visit comes late by what the same tasks take once more, at most.
    fn is_busy_for_long(&self, clock: &mut Clock) -> bool {
        let polls = self.since_visit.get();
        if polls < self.next_look.get() {
            return false;
        }
        self.next_look.set(polls + polls.min(CLOCK_POLLS));
        let now = clock.read();
        match self.busy_since.get() {
            Some(since) => now.saturating_duration_since(since) >= KERNEL_INTERVAL,
            None => {
                self.busy_since.set(Some(now));
                false
            }
        }
    }

    /// Runs what is ready now, `limit` tasks at most. Says how many were polled, and whether the root is over.
    pub(super) fn run_generation(&self, limit: usize, root: &mut dyn FnMut(bool) -> bool) -> (usize, bool) {
        let generation = self.scheduler.ready_len().min(limit);
        let mut over = false;
        for _ in 0..generation {
            match self.scheduler.step() {
                Step::Empty => break,
                Step::Task => {}
                Step::Root => over |= self.scheduler.run_root(&mut *root),
            }
            self.timers.poll_ended();
            self.polls.add(1);
        }
        self.since_visit.set(self.since_visit.get().saturating_add(generation as u32));
        (generation, over)
    }

    /// Nothing can go on: waits in the kernel for the first of an event, a timer and the caller's limit.
    #[inline(always)]
    pub(super) fn sleep(&self, limits: Limits, clock: &mut Clock) -> io::Result<()> {
        let limit = match limits.wait {
            Until::Now => return self.visit(Park::No),
            Until::At(limit) => Some(limit),
            Until::Event => None,
        };
        self.timers.poll_ended(); // one outside of the generation: of an eager task, say
        let until = match (self.timers.next_wake(), limit) {
            (Some(timer), Some(limit)) => Some(timer.min(limit)),
            (timer, limit) => timer.or(limit),
        };
        if let Some(spin) = self.config.spin {
            if self.finds_something(spin, until, limits.stoppable)? {
                return self.visit(Park::No);
            }
            *clock = Clock::default(); // time has passed
        }
        let park = match until {
            None => Park::Forever,
            Some(until) if self.driver.takes_deadlines() => Park::Until(since_boot(until)),
            Some(until) => match until.saturating_duration_since(clock.read()) {
                Duration::ZERO => Park::No,
                time => Park::For(time),
            },
        };
        if park == Park::No || !self.scheduler.shared().park(limits.stoppable) {
            return self.visit(Park::No);
        }
        let visited = self.visit(park);
        self.scheduler.shared().awake();
        visited
    }

    /// Looks around for a while before the loop sleeps: others find it awake, and what comes meanwhile need not wake it.
    /// True when there is something to do.
    fn finds_something(&self, spin: Duration, until: Option<Instant>, stoppable: bool) -> io::Result<bool> {
        let shared = self.scheduler.shared();
        let begin = now();
        let end = match (begin.checked_add(spin), until) {
            (Some(end), Some(until)) => Some(end.min(until)),
            (end, until) => end.or(until),
        };
        self.visit(Park::No)?;
        let mut looks = 0_u32;
        loop {
            if self.driver.has_work() {
                self.visit(Park::No)?;
            }
            if self.scheduler.is_ready() || shared.has_arrivals(stoppable) {
                return Ok(true);
            }
            looks += 1;
            if looks.is_multiple_of(SPIN_LOOKS) {
                if end.is_some_and(|end| now() >= end) {
                    return Ok(false);
                }
                self.visit(Park::No)?; // the selector, and rings that can't tell, have to ask
            }
            std::hint::spin_loop();
        }
    }

    pub(super) fn visit(&self, park: Park) -> io::Result<()> {
        self.since_visit.set(0);
        self.busy_since.set(None);
        self.next_look.set(0);
        self.driver.visit(park)
    }

    /// When the loop next has something to do by itself.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.scheduler.is_ready() || self.driver.has_queued() {
            return Some(now());
        }
        self.timers.poll_ended();
        self.timers.next_visit()
    }

    /// Whether there is more to do at once. What comes after this makes the descriptor readable.
    pub(super) fn has_more(&self) -> io::Result<bool> {
        self.driver.acknowledge();
        if !self.scheduler.is_ready() && self.driver.has_work() {
            // That may be said of work which is done. After this it is, and what comes then has been told.
            let _entered = self.enter_alone("turn");
            self.driver.visit(Park::Drain)?;
        }
        Ok(self.scheduler.is_ready() || self.driver.is_behind())
    }
}

/// Leaves nothing unsubmitted when a turn returns or unwinds.
struct Flush<'a>(&'a Core);

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        self.0.driver.flush();
    }
}

/// When `block_on` returns or unwinds, a foreign loop may go on: nothing is left unsubmitted, and what comes from then on
/// makes the descriptor readable. A stop that came during this run does not reach the next one.
struct Leave<'a>(&'a Core);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.driver.flush();
        self.0.timers.poll_ended();
        let shared = self.0.scheduler.shared();
        shared.take_stop();
        // (In a fork the descriptor is the parent's.)
        if shared.origin.is_here() && !shared.park(false) {
            shared.eventfd.signal(); // for what has come before
        }
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("backend", &self.backend).finish_non_exhaustive()
    }
}
