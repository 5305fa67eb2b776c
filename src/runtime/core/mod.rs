//! The state of a runtime: its scheduler, timers and driver; making and entering it.
//!
//! `turn.rs` has one turn of the loop, `run.rs` has `block_on`, and `shutdown.rs` ends the runtime.
#![forbid(unsafe_code)]

mod run;
mod shutdown;
pub(super) mod turn;

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::backend::Backend;
use super::config::Config;
use crate::driver::stats::Counter;
use crate::driver::{self, Driver};
use crate::sys::rng::Rng;
use crate::task::scheduler::{EnteredScheduler, Scheduler};
use crate::task::threads::inbox::Shared;
use crate::task::{Handle, JoinHandle, LocalHandle};
use crate::time::Timers;

pub struct Core {
    pub(super) scheduler: Rc<Scheduler>,
    pub(super) timers: Rc<Timers>,
    pub(super) driver: Rc<Driver>,
    rng: Rc<Rng>,
    pub(super) seed: u64,
    pub(super) config: Config,
    pub(super) backend: Backend,
    pub(super) reason: Option<String>,
    pub(super) turns: Counter,
    pub(super) polls: Counter,
    /// Polls since the driver was last polled.
    polls_since_io: Cell<u32>,
    /// The time at which the first turn since then ended with ready tasks.
    busy_since: Cell<Option<Instant>>,
    /// The value of `polls_since_io` at which the clock is read next.
    next_clock_check: Cell<u32>,
    ended: Cell<bool>,
}

impl Core {
    pub(crate) fn proactor(config: &Config) -> io::Result<Self> {
        config.check()?;
        let scheduler = Scheduler::new(config.pool_threads, config.pool_keep_alive, config.hooks())?;
        let engine = driver::Engine::ring(config.ring(), scheduler.shared())?;
        Self::new(config, scheduler, engine, Backend::Proactor, None)
    }

    pub(crate) fn selector(config: &Config, reason: Option<String>) -> io::Result<Self> {
        config.check()?;
        let scheduler = Scheduler::new(config.pool_threads, config.pool_keep_alive, config.hooks())?;
        let engine = driver::Engine::poller(config.masked, scheduler.shared())?;
        Self::new(config, scheduler, engine, Backend::Selector, reason)
    }

    fn new(
        config: &Config,
        scheduler: Rc<Scheduler>,
        engine: driver::Engine,
        backend: Backend,
        reason: Option<String>,
    ) -> io::Result<Self> {
        let seed = config.seed.unwrap_or_else(super::rng::random_seed);
        let core = Core {
            timers: Timers::new(),
            driver: Driver::new(engine, scheduler.clone(), config.resources),
            rng: Rng::new(seed),
            seed,
            scheduler,
            config: config.clone(),
            backend,
            reason,
            turns: Counter::default(),
            polls: Counter::default(),
            polls_since_io: Cell::new(0),
            busy_since: Cell::new(None),
            next_clock_check: Cell::new(0),
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
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("backend", &self.backend).finish_non_exhaustive()
    }
}
