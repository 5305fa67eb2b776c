//! `Config`: the settings of a runtime.
#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use crate::driver::feature::{Feature, FeatureSet};
use crate::driver::kernel::Fault;
use crate::driver::setup::MAX_ENTRIES;

/// The settings of a runtime; the defaults suit most.
///
/// # Examples
/// ```
/// use proactor::{Auto, Config};
/// let config = Config::new().ring_entries(64).pool_threads(4);
/// assert_eq!(Auto::with_config(&config).unwrap().block_on(async { 42 }), 42);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a configuration does nothing by itself"]
pub struct Config {
    pub(crate) ring_entries: u32,
    pub(crate) turn_budget: u32,
    pub(crate) pool_threads: usize,
    pub(crate) pool_keep_alive: Duration,
    pub(crate) shutdown_deadline: Duration,
    pub(crate) seed: u64,
    pub(crate) masked: FeatureSet,
    pub(crate) fault: Option<Fault>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            ring_entries: 256,
            turn_budget: 256,
            pool_threads: 64,
            pool_keep_alive: Duration::from_secs(10),
            shutdown_deadline: Duration::from_secs(5),
            seed: 0x70726f_6163746f72,
            masked: FeatureSet::default(),
            fault: None,
        }
    }
}

impl Config {
    /// The defaults.
    pub fn new() -> Self {
        Config::default()
    }

    /// Entries of the submission queue, rounded up to a power of two: 1 to 32,768; 256 by default. The
    /// completion queue has four times as many. Their memory (about 130 bytes for each entry) counts against
    /// RLIMIT_MEMLOCK of ordinary users. More operations may be in flight than there are entries.
    pub fn ring_entries(mut self, entries: u32) -> Self {
        self.ring_entries = entries;
        self
    }

    /// Task polls after which the kernel is visited although there are more tasks that can go on; 256 by
    /// default. It is also visited after 200 µs, measured once in each turn.
    pub fn turn_budget(mut self, polls: u32) -> Self {
        self.turn_budget = polls;
        self
    }

    /// The most threads that the blocking pool starts; 64 by default. None is started before the first job.
    pub fn pool_threads(mut self, threads: usize) -> Self {
        self.pool_threads = threads;
        self
    }

    /// How long a thread of the pool waits for another job before it ends; 10 s by default.
    pub fn pool_keep_alive(mut self, keep_alive: Duration) -> Self {
        self.pool_keep_alive = keep_alive;
        self
    }

    /// How long the drop of a runtime waits for operations and blocking jobs to end; 5 s by default. What
    /// has not ended by then is leaked, never freed while the kernel may use it.
    pub fn shutdown_deadline(mut self, deadline: Duration) -> Self {
        self.shutdown_deadline = deadline;
        self
    }

    /// Where the runtime's own random numbers begin ([`random`](crate::random)): two runs with one seed draw
    /// the same.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Does without a feature of the kernel, as if it were not there.
    pub fn mask(mut self, feature: Feature) -> Self {
        self.masked = self.masked.with(feature);
        self
    }

    /// Does without several features of the kernel.
    pub fn mask_all(self, features: impl IntoIterator<Item = Feature>) -> Self {
        features.into_iter().fold(self, Config::mask)
    }

    /// Makes calls of the kernel fail, for tests.
    #[doc(hidden)]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    pub(crate) fn check(&self) -> io::Result<()> {
        let invalid = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        if !(1..=MAX_ENTRIES).contains(&self.ring_entries) {
            let entries = self.ring_entries;
            return invalid(format!(
                "ring_entries is {entries}: choose from 1 to {MAX_ENTRIES} (256 is the default; more \
                 operations than entries may be in flight)"
            ));
        }
        if self.turn_budget == 0 {
            return invalid("turn_budget is 0: no task would ever run; choose 1 or more".into());
        }
        if self.pool_threads == 0 {
            return invalid("pool_threads is 0: no blocking job would ever run; choose 1 or more".into());
        }
        Ok(())
    }
}
