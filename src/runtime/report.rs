//! `Report`: the backend of a runtime, the reason for it, and counters.
#![forbid(unsafe_code)]

use std::{fmt, io};

use super::backend::Backend;
use super::config::required;
use super::core::Core;
use crate::driver::feature::{Feature, FeatureState};
use crate::driver::poll_mode::BackendInfo;

/// Information about a runtime: backend, kernel features, counters. `Display` formats it as text.
///
/// # Examples
/// ```
/// let runtime = proactor::Auto::new().unwrap();
/// let report = runtime.report();
/// println!("{report}");
/// assert_eq!(report.live.tasks, 0);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The backend in use.
    pub backend: Backend,
    /// The reason for the selector, if `Auto` chose it.
    pub reason: Option<String>,
    /// The setup flags of the ring, by their names in the kernel.
    pub setup_flags: Vec<&'static str>,
    /// Entries of the ring's submission queue: the configured number, or more if it has grown
    /// ([`Feature::ResizeRings`]); 0 on the selector.
    pub ring_entries: u32,
    /// The seed of the runtime's random numbers, for [`Config::seed`](crate::Config::seed).
    pub seed: u64,
    /// The state of each kernel feature.
    pub features: Vec<FeatureReport>,
    /// Counters since the runtime was made.
    pub stats: Stats,
    /// The current numbers of tasks, operations and other resources.
    pub live: Live,
}

/// The state of one kernel feature; part of [`Report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeatureReport {
    /// The feature.
    pub feature: Feature,
    /// The state of the feature.
    pub state: FeatureState,
}

/// Counters of a runtime since it was made; part of [`Report`] and [`Shutdown`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Turns of the loop.
    pub turns: u64,
    /// Polls of tasks and of the future in `block_on`.
    pub polls: u64,
    /// Calls of io_uring_enter(2), or of epoll_wait(2) and epoll_pwait2(2).
    pub kernel_visits: u64,
    /// Other system calls made for operations: the selector's recv, send, epoll_ctl and so on, and calls on
    /// the blocking pool.
    pub calls: u64,
    /// Operations submitted to the ring or to the pool.
    pub submissions: u64,
    /// Completions, or readiness events.
    pub completions: u64,
    /// Cancels submitted to the ring.
    pub cancels: u64,
    /// Overflows of the ring's completion queue; no completion is lost by an overflow.
    pub overflows: u64,
    /// Times that the ring's submission queue was full.
    pub full_queues: u64,
}

impl Stats {
    /// All system calls that the loop made for operations.
    pub fn system_calls(&self) -> u64 {
        self.kernel_visits + self.calls
    }
}

/// Current numbers of a runtime's resources; part of [`Report`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Live {
    /// Tasks that have not ended.
    pub tasks: usize,
    /// Operations that have not completed, those of dropped futures included.
    pub ops: usize,
    /// Operations that belong to streams, sockets and other descriptors: multishot receives and polls.
    pub multishot: usize,
    /// Occupied places of the ring's table of direct descriptors.
    pub direct: usize,
    /// Pooled buffers that chunks keep.
    pub buffers: usize,
    /// Timers that are set.
    pub timers: usize,
}

/// The result of a shutdown: cancelled tasks, leaked operations and jobs, and the runtime's counters.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// let runtime = proactor::Auto::new().unwrap();
/// drop(runtime.spawn(std::future::pending::<()>()));
/// let left = runtime.shutdown(Duration::from_secs(1));
/// assert_eq!((left.ops_leaked, left.jobs_leaked), (0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Tasks that had not ended and were cancelled.
    pub tasks: usize,
    /// Those of them, and of their cleanups, that had not ended at the deadline and were dropped: a task that caught its
    /// cancellation and continued, or a cleanup that waits.
    pub tasks_forced: usize,
    /// Operations that the kernel or the pool still had at the deadline. For some the wait is shorter:
    /// - zero-copy writes whose results have arrived, and whose buffers the kernel still reads: one second after
    ///   everything else has ended;
    /// - opens and metadata queries whose futures were dropped while a thread of the pool made the call: some 100 ms
    ///   after everything else has ended.
    ///
    /// Leaks last until the process ends: the memory of these operations is never freed, and their descriptors stay
    /// open. Zero-copy writes whose results have arrived leak only their buffers.
    pub ops_leaked: usize,
    /// Jobs of the blocking pool that were still running at the deadline. If only abandoned jobs are left, the shutdown
    /// waits 100 ms for them: name look-ups whose futures were dropped, and the opens and metadata queries above, which
    /// so have some 200 ms in all.
    pub jobs_leaked: usize,
    /// Counters of the runtime, its shutdown included.
    pub stats: Stats,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "backend    {}", self.backend)?;
        if let Some(reason) = &self.reason {
            writeln!(f, "because    {reason}")?;
        }
        if self.backend == Backend::Proactor {
            writeln!(f, "ring       {} entries, {}", self.ring_entries, self.setup_flags.join(" | "))?;
        }
        for state in [FeatureState::On, FeatureState::Masked, FeatureState::Absent, FeatureState::Unused] {
            let names: Vec<_> =
                self.features.iter().filter(|f| f.state == state).map(|f| f.feature.name()).collect();
            if !names.is_empty() {
                writeln!(f, "features   {state}: {}", names.join(", "))?;
            }
        }
        for FeatureReport { feature, state } in &self.features {
            if let FeatureState::Refused(_) = state {
                writeln!(f, "features   {state}: {feature}")?;
            }
        }
        writeln!(f, "seed       {}", self.seed)?;
        let Live { tasks, ops, multishot, direct, buffers, timers } = self.live;
        write!(
            f,
            "live       {tasks} tasks, {ops} operations, {multishot} multishot operations, {direct} direct descriptors, \
             {buffers} buffers, {timers} timers"
        )
    }
}

impl Core {
    pub(crate) fn report(&self) -> Report {
        let info = self.driver.backend_info();
        let report = |feature: &Feature| FeatureReport {
            feature: *feature,
            state: self.feature_state(*feature, &info),
        };
        let features = Feature::ALL.iter().map(report).collect();
        let BackendInfo { ring_entries, setup_flags, .. } = info;
        Report {
            backend: self.backend,
            reason: self.reason.clone(),
            setup_flags,
            ring_entries,
            seed: self.seed,
            features,
            stats: self.stats(),
            live: Live {
                tasks: self.scheduler.live_tasks(),
                ops: self.driver.live_operations(),
                multishot: self.driver.multishot_operations(),
                direct: self.driver.direct_descriptors(),
                buffers: self.driver.chunk_buffers(),
                timers: self.timers.live(),
            },
        }
    }

    fn feature_state(&self, feature: Feature, info: &BackendInfo) -> FeatureState {
        let BackendInfo { features, refused, .. } = info;
        let asked = match feature {
            Feature::MinWait => self.config.batch.is_some(),
            Feature::SqPoll => self.config.sqpoll.is_some(),
            Feature::NapiBusyPoll => self.config.napi_busy_poll.is_some(),
            Feature::ResizeRings => self.config.grow_ring,
            Feature::RecvBundle => !features.has(Feature::IncrementalBuffers),
            Feature::DeferTaskrun | Feature::CoopTaskrun => !features.has(Feature::SqPoll),
            _ => true,
        };
        let ours = (self.backend == Backend::Selector) == (feature == Feature::EpollPwait2);
        if features.has(feature) {
            FeatureState::On
        } else if !ours {
            FeatureState::Unused
        } else if self.config.masked.has(feature) {
            FeatureState::Masked
        } else if !asked {
            FeatureState::Unused
        } else if let Some((_, errno)) = refused.iter().find(|(refused, _)| *refused == feature) {
            FeatureState::Refused(*errno)
        } else {
            FeatureState::Absent
        }
    }

    /// Returns an error if a feature that the configuration requires is not in use.
    pub(super) fn check_required(&self) -> io::Result<()> {
        let info = self.driver.backend_info();
        for feature in self.config.required.iter() {
            let state = self.feature_state(feature, &info);
            if state != FeatureState::On {
                return Err(required::missing(feature, state, self.backend, self.reason.as_deref()));
            }
        }
        Ok(())
    }

    pub(super) fn stats(&self) -> Stats {
        let stats = &self.driver.stats;
        Stats {
            turns: self.turns.get(),
            polls: self.polls.get(),
            kernel_visits: stats.kernel_visits.get(),
            calls: stats.calls.get(),
            submissions: stats.submissions.get(),
            completions: stats.completions.get(),
            cancels: stats.cancels.get(),
            overflows: stats.overflows.get(),
            full_queues: stats.full_queues.get(),
        }
    }
}
