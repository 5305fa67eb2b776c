//! `Config`: the settings of a runtime.
#![forbid(unsafe_code)]

mod check;
pub(crate) mod required;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::leak::{Leak, Leaks, OnLeak};
use crate::driver::Resources;
use crate::driver::feature::{Feature, FeatureSet};
use crate::driver::proactor::kernel::{Fault, RingConfig};
use crate::op::fd::descriptor::ZeroCopy;
use crate::task::report::hooks::{Hooks, OnSlowPoll, OnSpawn, Stopwatch};
use crate::task::report::unhandled::OnUnhandled;
use crate::task::{BlockingPool, SlowPoll, Task, Unhandled};

/// The settings of a runtime; the defaults suit most programs.
///
/// # Examples
/// ```
/// use proactor::{Auto, Config};
/// let config = Config::new().ring_entries(64).pool_threads(4);
/// assert_eq!(Auto::with_config(&config).unwrap().block_on(async { 42 }), 42);
/// ```
#[derive(Clone)]
#[must_use = "a configuration does nothing by itself"]
pub struct Config {
    pub(crate) ring_entries: u32,
    pub(crate) grow_ring: bool,
    pub(crate) turn_budget: u32,
    pub(crate) pool_threads: usize,
    pub(crate) pool_keep_alive: Duration,
    pub(crate) shutdown_deadline: Duration,
    pub(crate) resources: Resources,
    pub(crate) seed: Option<u64>,
    pub(crate) masked: FeatureSet,
    pub(crate) required: FeatureSet,
    /// The first word in `PROACTOR_MASK` that names no feature.
    pub(crate) unknown_feature: Option<String>,
    pub(crate) fault: Option<Fault>,
    pub(crate) spin: Option<Duration>,
    pub(crate) batch: Option<(u32, Duration)>,
    pub(crate) sqpoll: Option<Duration>,
    pub(crate) napi_busy_poll: Option<Duration>,
    pub(crate) debug: bool,
    pub(crate) slow_poll: Option<Duration>,
    pub(crate) on_unhandled: Option<OnUnhandled>,
    pub(crate) on_spawn: Option<OnSpawn>,
    pub(crate) on_slow_poll: Option<OnSlowPoll>,
    pub(crate) on_leak: Option<OnLeak>,
    pub(crate) blocking_pool: Option<BlockingPool>,
}

impl Default for Config {
    fn default() -> Self {
        let (masked, unknown_feature) = check::masked_by_environment();
        Config {
            ring_entries: 256,
            grow_ring: false,
            turn_budget: 256,
            pool_threads: 64,
            pool_keep_alive: Duration::from_secs(10),
            shutdown_deadline: Duration::from_secs(5),
            resources: Resources::default(),
            seed: None,
            masked,
            required: FeatureSet::default(),
            unknown_feature,
            fault: None,
            spin: None,
            batch: None,
            sqpoll: None,
            napi_busy_poll: None,
            debug: std::env::var_os("PROACTOR_DEBUG").is_some_and(|value| value == "1"),
            slow_poll: None,
            on_unhandled: None,
            on_spawn: None,
            on_slow_poll: None,
            on_leak: None,
            blocking_pool: None,
        }
    }
}

impl Config {
    /// Makes the default configuration.
    pub fn new() -> Self {
        Config::default()
    }

    /// Sets the entries of the submission queue, rounded up to a power of two: 1 to 32,768; 256 by default. The
    /// completion queue has four times as many. Their memory (about 130 bytes for each entry) counts against
    /// RLIMIT_MEMLOCK of ordinary users. More operations may be in flight than there are entries.
    pub fn ring_entries(mut self, entries: u32) -> Self {
        self.ring_entries = entries;
        self
    }

    /// Lets the ring double its size when its queues keep overflowing ([`Feature::ResizeRings`], Linux 6.13);
    /// operations stay in flight. Off by default: before Linux 7.0 (and stable kernels with the same fix, of March
    /// 2026: "io_uring: ensure ctx->rings is stable for task work flags manipulation") the kernel may write to the old
    /// queues just after it has freed them. On those kernels set enough [entries](Self::ring_entries) from the start.
    pub fn grow_ring(mut self, grow: bool) -> Self {
        self.grow_ring = grow;
        self
    }

    /// Sets the number of task polls after which the loop enters the kernel although more tasks are ready; 256 by
    /// default. It also enters the kernel after 200 µs; it reads the clock between turns, after 1, 2, 4, 8 and 16 polls
    /// and then after every 16.
    pub fn turn_budget(mut self, polls: u32) -> Self {
        self.turn_budget = polls;
        self
    }

    /// Sets the maximum number of threads of the blocking pool, 64 by default, for each kind of job: closures of
    /// [`spawn_blocking`](crate::spawn_blocking), name look-ups, file operations, and closes that wait for the peer
    /// ([`set_linger`](crate::net::TcpStream::set_linger)). No kind waits for another. No thread is started before the
    /// first job. Opens, metadata queries and look-ups whose futures were dropped while they ran, up to 256, do not
    /// count.
    pub fn pool_threads(mut self, threads: usize) -> Self {
        self.pool_threads = threads;
        self
    }

    /// Makes [`spawn_blocking`](crate::spawn_blocking) use the given pool, which the runtime's shutdown leaves alone;
    /// asyncio's `set_default_executor`. Jobs of other kinds use the runtime's pool.
    pub fn blocking_pool(mut self, pool: &BlockingPool) -> Self {
        self.blocking_pool = Some(pool.clone());
        self
    }

    /// Sets the time that a thread of the pool waits for another job before it ends; 10 s by default.
    pub fn pool_keep_alive(mut self, keep_alive: Duration) -> Self {
        self.pool_keep_alive = keep_alive;
        self
    }

    /// Sets the time that the drop of a runtime waits for tasks, operations and blocking jobs to end; 5 s by default.
    /// Operations that have not ended by then are leaked, never freed while the kernel may use their memory: see
    /// [`Shutdown::ops_leaked`](crate::Shutdown::ops_leaked).
    pub fn shutdown_deadline(mut self, deadline: Duration) -> Self {
        self.shutdown_deadline = deadline;
        self
    }

    /// Sets the maximum number of buffers for chunks of streams; 1,024 by default (64 MiB), at most 32,768. The runtime
    /// makes them when they are needed, 16 at a time.
    ///
    /// A chunk keeps the buffer that contains its bytes. When chunks keep more than 1/16 of the buffers, chunks below
    /// 1/16 of a buffer (4 KiB) are copied into memory of their exact size; when they keep more than half, chunks below
    /// half of a buffer. When they keep all, the runtime receives into one spare buffer and copies every chunk out of
    /// it: beyond this limit a chunk takes its bytes and about 50 bytes more. The report counts the buffers that chunks
    /// keep ([`Live::buffers`](crate::Live::buffers)).
    pub fn stream_buffers(mut self, buffers: u32) -> Self {
        self.resources.stream_buffers = buffers;
        self
    }

    /// Sets the size of a stream buffer in bytes: 4 KiB to 16 MiB, in whole pages; 64 KiB by default. With
    /// [`Feature::IncrementalBuffers`] a buffer holds many small chunks; without it each chunk takes a buffer.
    pub fn stream_buffer_size(mut self, bytes: u32) -> Self {
        self.resources.stream_buffer_size = bytes;
        self
    }

    /// Sets the maximum number of buffers for datagrams; 1,024 by default, at most 32,768. Each datagram takes a buffer
    /// of 68 KiB, of which only the written pages use memory. When chunks keep many of the buffers, small datagrams are
    /// copied out as [chunks of streams](Self::stream_buffers) are.
    pub fn datagram_buffers(mut self, buffers: u32) -> Self {
        self.resources.datagram_buffers = buffers;
        self
    }

    /// Sets the maximum number of direct descriptors ([`net::direct`](crate::net::direct),
    /// [`fs::direct`](crate::fs::direct)): 1 to 1,048,576, 1,024 by default. The kernel keeps 8 bytes for each, and
    /// refuses more than RLIMIT_NOFILE allows, which the report shows; then ordinary descriptors take their place,
    /// unless direct ones are [required](Self::require).
    pub fn direct_descriptors(mut self, descriptors: u32) -> Self {
        self.resources.direct_descriptors = descriptors;
        self
    }

    /// Makes sends of this many bytes or more zero-copy on the proactor (`IORING_OP_SEND_ZC`): the network card reads
    /// the caller's buffer, which is returned after that, mostly when the peer has acknowledged the bytes. By default
    /// only explicit calls ([`write_zerocopy`](crate::net::TcpStream::write_zerocopy)) are zero-copy: it gains with
    /// large sends through real cards, and loses on loopback, where the kernel copies all the same.
    pub fn zero_copy_from(mut self, bytes: usize) -> Self {
        self.resources.zero_copy = ZeroCopy::from(bytes);
        self
    }

    /// Makes the loop spin for this time before it sleeps in the kernel: a wake-up from another thread meanwhile needs
    /// no system call on either side. It uses a whole core whenever there is no work; off by default.
    pub fn spin(mut self, time: Duration) -> Self {
        self.spin = Some(time);
        self
    }

    /// Makes a sleeping loop wait for a batch of completions, for up to `time` from the start of its sleep; after that
    /// one completion wakes it. This gives fewer wake-ups and larger batches, at the cost of latency, also of wake-ups
    /// from other threads and of results from the blocking pool. Timers are not delayed. On the proactor, with
    /// [`Feature::MinWait`]; off by default.
    pub fn batch(mut self, completions: u32, time: Duration) -> Self {
        self.batch = Some((completions, time));
        self
    }

    /// Makes a kernel thread take submissions without a system call ([`Feature::SqPoll`]); it sleeps after `idle`, in
    /// whole milliseconds, without submissions. It excludes DEFER_TASKRUN and needs a separate core: with two cores it
    /// only costs. Off by default.
    ///
    /// That thread keeps the credentials that the process has when it makes the runtime. Operations that depend on them
    /// (opening files, metadata by path, new sockets) are done by system calls instead, with the current credentials;
    /// accepted sockets belong to the old ones. Where that matters, drop privileges before you make the runtime.
    pub fn sqpoll(mut self, idle: Duration) -> Self {
        self.sqpoll = Some(idle);
        self
    }

    /// Makes the kernel busy-poll network cards for this time, in whole microseconds, while the loop sleeps
    /// ([`Feature::NapiBusyPoll`]). **Not tested on a real card**: loopback has no busy polling. Off by default.
    pub fn napi_busy_poll(mut self, time: Duration) -> Self {
        self.napi_busy_poll = Some(time);
        self
    }

    /// Sets the seed of the runtime's random numbers ([`random`](crate::random), and the order in which
    /// [`select!`](crate::select) polls its branches): the same seed gives the same numbers. By default each runtime has a
    /// random seed, which [`Report::seed`](crate::Report::seed) gives.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Turns debug mode on; asyncio's `set_debug`. Polls are timed ([`slow_poll`](Self::slow_poll), of 100 ms if no
    /// other time is set), and a runtime that ends reports what was left: cancelled tasks, with their names and places,
    /// leaked operations and jobs. Off by default; `PROACTOR_DEBUG=1` in the environment turns it on.
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// Reports each poll of a task, and each callback, that takes this time or longer: nothing else runs on the loop
    /// meanwhile. It costs two clock reads for each poll; off by default. See [`on_slow_poll`](Self::on_slow_poll).
    pub fn slow_poll(mut self, time: Duration) -> Self {
        self.slow_poll = Some(time);
        self
    }

    /// Sets the hook for slow polls; by default they are written to standard error. It is called on the loop's thread,
    /// between two tasks.
    pub fn on_slow_poll(mut self, hook: impl Fn(&SlowPoll) + Send + Sync + 'static) -> Self {
        self.on_slow_poll = Some(Arc::new(hook));
        self
    }

    /// Sets the hook for what was left when a runtime ends in [debug mode](Self::debug); by default it is written to
    /// standard error.
    pub fn on_leak(mut self, hook: impl Fn(&Leak) + Send + Sync + 'static) -> Self {
        self.on_leak = Some(Arc::new(hook));
        self
    }

    pub(super) fn leaks(&self) -> Leaks {
        Leaks { hook: self.on_leak.clone(), on: self.debug }
    }

    /// Sets the hook for errors that were never retrieved: a panic of a task or of a callback; an error of a task that
    /// was started by [`try_spawn`](fn@crate::task::try_spawn). asyncio's `set_exception_handler`. By default they are
    /// written to standard error. A panic of the hook itself is caught.
    pub fn on_unhandled(mut self, hook: impl Fn(&Unhandled) + Send + Sync + 'static) -> Self {
        self.on_unhandled = Some(Arc::new(hook));
        self
    }

    pub(super) fn has_on_unhandled(&self) -> bool {
        self.on_unhandled.is_some()
    }

    /// Sets the hook that observes each new task before it runs; asyncio's `set_task_factory` as an observer. A panic
    /// of the hook is caught.
    pub fn on_spawn(mut self, hook: impl Fn(&Task) + Send + Sync + 'static) -> Self {
        self.on_spawn = Some(Arc::new(hook));
        self
    }

    pub(crate) fn hooks(&self) -> Hooks {
        /// asyncio's `slow_callback_duration`.
        const SLOW: Duration = Duration::from_millis(100);
        let limit = self.slow_poll.or(self.debug.then_some(SLOW));
        let stopwatch = limit.map(|limit| Stopwatch {
            clock: crate::time::now,
            limit,
            on_slow_poll: self.on_slow_poll.clone(),
        });
        Hooks {
            on_unhandled: self.on_unhandled.clone(),
            on_spawn: self.on_spawn.clone(),
            stopwatch,
            blocking_pool: self.blocking_pool.clone(),
        }
    }

    /// Masks a kernel feature: the runtime works as if the kernel lacked it. The environment variable does the same:
    /// `PROACTOR_MASK=DEFER_TASKRUN,OP_SEND_ZC`, with the names of [`Feature::name`].
    pub fn mask(mut self, feature: Feature) -> Self {
        self.masked = self.masked.with(feature);
        self
    }

    /// Masks several kernel features.
    pub fn mask_all(self, features: impl IntoIterator<Item = Feature>) -> Self {
        features.into_iter().fold(self, Config::mask)
    }

    /// Requires a kernel feature: making a runtime fails when the feature is not in use, instead of a silent fallback.
    ///
    /// The error names the feature, the cause, and the cure. [`Auto`](crate::Auto) still chooses its backend, and fails
    /// when the backend does not use the feature.
    ///
    /// # Examples
    /// ```
    /// use proactor::{Config, Feature, Runtime, Selector};
    /// let config = Config::new().require(Feature::DirectDescriptors);
    /// let error = Selector::with_config(&config).unwrap_err().to_string();
    /// assert!(error.contains("DirectDescriptors") && error.contains("the selector does not use it"), "{error}");
    /// ```
    pub fn require(mut self, feature: Feature) -> Self {
        self.required = self.required.with(feature);
        self
    }

    /// Requires several kernel features.
    pub fn require_all(self, features: impl IntoIterator<Item = Feature>) -> Self {
        features.into_iter().fold(self, Config::require)
    }

    /// Makes calls of the kernel fail, for tests.
    #[doc(hidden)]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Returns the settings of the ring.
    pub(crate) fn ring(&self) -> RingConfig {
        let clamp = |number: u128| u32::try_from(number).unwrap_or(u32::MAX);
        RingConfig {
            entries: self.ring_entries,
            grows: self.grow_ring,
            masked: self.masked,
            fault: self.fault,
            batch: self.batch.map(|(completions, time)| (completions, clamp(time.as_micros()).max(1))),
            sqpoll_idle_ms: self.sqpoll.map(|idle| clamp(idle.as_millis())),
            napi_busy_poll: self.napi_busy_poll.map(|time| clamp(time.as_micros())),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("ring", &self.ring())
            .field("turn_budget", &self.turn_budget)
            .field("pool_threads", &self.pool_threads)
            .field("pool_keep_alive", &self.pool_keep_alive)
            .field("shutdown_deadline", &self.shutdown_deadline)
            .field("resources", &self.resources)
            .field("required", &self.required)
            .field("seed", &self.seed)
            .field("spin", &self.spin)
            .field("debug", &self.debug)
            .field("hooks", &self.hooks())
            .finish_non_exhaustive()
    }
}
