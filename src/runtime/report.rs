//! `Report`: what a runtime runs on, why, and what it has done.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;

use super::core::Core;
use super::required;
use crate::driver::Machinery;
use crate::driver::feature::{Feature, FeatureState};

/// The machine that a runtime drives its I/O with.
///
/// # Examples
/// ```
/// use proactor::{Backend, Selector};
/// assert_eq!(Selector::new().unwrap().backend(), Backend::Selector);
/// assert_eq!(Backend::Proactor.to_string(), "proactor");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Completions, by io_uring.
    Proactor,
    /// Readiness, by epoll.
    Selector,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Proactor => "proactor",
            Backend::Selector => "selector",
        })
    }
}

/// What a runtime says of itself; `Display` gives it as text.
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
    /// Why it is the selector, where `Auto` had to or was told to take it.
    pub reason: Option<String>,
    /// The flags with which the ring was set up, in the kernel's words.
    pub setup_flags: Vec<&'static str>,
    /// Entries of the ring's submission queue: those that were asked for, or more where it has grown
    /// ([`Feature::ResizeRings`]); 0 on the selector.
    pub ring_entries: u32,
    /// What became of each feature of the kernel.
    pub features: Vec<FeatureReport>,
    /// What has been done so far.
    pub stats: Stats,
    /// What there is now.
    pub live: Live,
}

/// What became of one feature of the kernel; part of [`Report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeatureReport {
    /// The feature.
    pub feature: Feature,
    /// What became of it.
    pub state: FeatureState,
}

/// What a runtime has done since it was made; part of [`Report`] and [`Shutdown`].
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
    /// Operations handed to the ring or to the pool.
    pub submissions: u64,
    /// Completions, or events of readiness.
    pub completions: u64,
    /// Cancels handed to the ring.
    pub cancels: u64,
    /// Times that the ring's completion queue overflowed; nothing is lost by that.
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

/// What a runtime holds now; part of [`Report`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Live {
    /// Tasks that have not ended.
    pub tasks: usize,
    /// Operations that have not been taken apart, those of dropped futures included.
    pub ops: usize,
    /// Operations that belong to streams, sockets and other descriptors: multishot receives and polls.
    pub standing: usize,
    /// Places of the ring's table of direct descriptors that are taken.
    pub direct: usize,
    /// Pooled buffers whose memory chunks keep.
    pub buffers: usize,
    /// Timers that are set.
    pub timers: usize,
}

/// What a shutdown cancelled and left behind, and what the runtime did in its life.
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
    /// Tasks that were still there and have been cancelled.
    pub tasks: usize,
    /// Operations that the kernel or the pool still had at the deadline. Some are not waited for so long:
    /// - zero-copy writes whose results have come, and whose buffers the kernel still reads: one second from when
    ///   everything else is over;
    /// - opens and looks at metadata whose futures were dropped while a thread of the pool made the call: some 100 ms from
    ///   then.
    ///
    /// What is leaked stays until the process ends: the memory of these operations is never freed, and their descriptors stay
    /// open, but for zero-copy writes whose results have come: these keep their buffers alone.
    pub ops_leaked: usize,
    /// Jobs of the blocking pool that were still running at the deadline. When only jobs that nobody waits for are left, the
    /// end waits 100 ms for them: look-ups of names whose futures were dropped, and the opens and looks at metadata above,
    /// which so have some 200 ms in all.
    pub jobs_leaked: usize,
    /// What the runtime has done in all, its end included.
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
        let Live { tasks, ops, standing, direct, buffers, timers } = self.live;
        write!(
            f,
            "live       {tasks} tasks, {ops} operations, {standing} standing, {direct} direct descriptors, {buffers} buffers, \
             {timers} timers"
        )
    }
}

impl Core {
    pub(crate) fn report(&self) -> Report {
        let machinery = self.driver.machinery();
        let report = |feature: &Feature| FeatureReport {
            feature: *feature,
            state: self.feature_state(*feature, &machinery),
        };
        let features = Feature::ALL.iter().map(report).collect();
        let Machinery { ring_entries, setup_flags, .. } = machinery;
        Report {
            backend: self.backend,
            reason: self.reason.clone(),
            setup_flags,
            ring_entries,
            features,
            stats: self.stats(),
            live: Live {
                tasks: self.scheduler.live_tasks(),
                ops: self.driver.live_operations(),
                standing: self.driver.standing_operations(),
                direct: self.driver.direct_descriptors(),
                buffers: self.driver.chunk_buffers(),
                timers: self.timers.live(),
            },
        }
    }

    fn feature_state(&self, feature: Feature, machinery: &Machinery) -> FeatureState {
        let Machinery { features, refused, .. } = machinery;
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

    /// An error when a feature that the configuration requires is not in use.
    pub(super) fn check_required(&self) -> io::Result<()> {
        let machinery = self.driver.machinery();
        for feature in self.config.required.iter() {
            let state = self.feature_state(feature, &machinery);
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
