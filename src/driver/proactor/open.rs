//! Opening a ring: the ladder of setup flags, a test that the ring works, and a probe of its features.
//!
//! Facts that shape this file: the kernel has a probe for each operation, but none for multishot forms and most flags. Each
//! of these came in one kernel together with an operation that can be probed. Incremental consumption of buffers shows when
//! a ring of buffers is registered.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use io_uring::types::{Fd, Napi};
use io_uring::{IoUring, Probe, opcode};

use super::kernel::{Kernel, RingConfig};
use super::resize::COMPLETIONS;
use super::setup::{Attempt, Next, Refused, SetupCall};
use super::uring::{CLOSED, REGISTER_RING_FDS, STREAMS, Uring};
use crate::driver::feature::{Feature, FeatureSet};
use crate::driver::memory::buffer_ring::BufferRing;
use crate::driver::poll_mode::Deadline;
use crate::op::Entry;
use crate::op::catalogue::net::multishot::limited;
use crate::sys;

/// The features and opcodes that the kernel granted.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) features: FeatureSet,
    pub(crate) opcodes: Opcodes,
    /// The features that the kernel has and refused, with its error.
    pub(crate) refused: Vec<(Feature, i32)>,
    /// The ring of buffers for the chunks of streams.
    pub(crate) buffers: Option<BufferRing>,
}

/// The set of operations that a ring knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Opcodes([u64; 4]);

impl Opcodes {
    #[inline]
    pub(crate) fn has(self, code: u8) -> bool {
        self.0[usize::from(code / 64)] & 1 << (code % 64) != 0
    }

    fn set(&mut self, code: u8, known: bool) {
        self.0[usize::from(code / 64)] &= !(1 << (code % 64));
        self.0[usize::from(code / 64)] |= u64::from(known) << (code % 64);
    }
}

impl Granted {
    /// Adds a feature, unless it is masked.
    fn add(&mut self, feature: Feature, masked: FeatureSet) {
        if !masked.has(feature) {
            self.features = self.features.with(feature);
        }
    }

    /// Adds the features that cannot be probed. Each came in one kernel with an operation that can. (sendmsg came last.)
    fn add_unprobed(&mut self, masked: FeatureSet) {
        for (feature, contemporary) in [
            (Feature::BufferRing, opcode::Socket::CODE),
            (Feature::MultishotRecv, opcode::SendZc::CODE),
            (Feature::MultishotRead, opcode::ReadMulti::CODE),
            // Came in 5.13, before the first kernel with the setup that a ring needs here.
            (Feature::MultishotPoll, opcode::MsgRingData::CODE),
            (Feature::SendZeroCopy, opcode::SendMsgZc::CODE),
            (Feature::RegisteredBuffers, opcode::Socket::CODE),
            // The last operation that a direct descriptor needs.
            (Feature::DirectDescriptors, opcode::Ftruncate::CODE),
        ] {
            if self.opcodes.has(contemporary) {
                self.add(feature, masked);
            }
        }
    }

    /// Returns the names of the flags with which the ring was set up.
    pub(crate) fn setup_flags(&self) -> Vec<&'static str> {
        let chosen = self.features.iter().filter(|feature| feature.is_setup_flag()).map(Feature::name);
        ["CLAMP", "CQSIZE"].into_iter().chain(chosen).collect()
    }
}

impl Uring {
    /// Sets up a ring by the ladder of attempts, and tests it with a registration and a round trip.
    pub(crate) fn open(config: RingConfig) -> Result<(Uring, Granted), Refused> {
        let masked = config.masked;
        let (ring, flags) = set_up(&config)?;
        let opcodes = probe(&ring, masked).map_err(|error| refusal(SetupCall::Register, &error))?;
        let mut granted = Granted { features: flags, opcodes, refused: Vec::new(), buffers: None };
        let mut uring = Self::with_features_of_ring(ring, &config, &mut granted);
        let refused = |error| refusal(SetupCall::Enter, &error);
        uring.round_trip(&opcode::Nop::new().build()).map_err(refused)?;
        granted.add_unprobed(masked);
        if !uring.closes_direct_at_once() {
            granted.features = granted.features.without(Feature::DirectDescriptors);
        }
        uring.busy_poll(&config, &mut granted);
        uring.provide_buffers(masked, &mut granted);
        if granted.features.has(Feature::BufferRing) {
            let receives = granted.features.has(Feature::MultishotRecv) && !masked.has(Feature::RecvLimit);
            if receives && uring.limits_receives().map_err(refused)? {
                granted.features = granted.features.with(Feature::RecvLimit);
            }
        } else {
            // A multishot receive needs a ring of buffers.
            let features = granted.features.without(Feature::MultishotRecv);
            granted.features = features.without(Feature::MultishotRead);
        }
        if uring.polled {
            // The kernel's thread always has the credentials with which the ring was made; a system call has the present
            // ones.
            AS_PROCESS.iter().for_each(|code| granted.opcodes.set(*code, false));
        }
        uring.fault = config.fault.map(|fault| (fault, 0));
        Ok((uring, granted))
    }

    /// Wraps a ring, and adds the features of its setup, of its enter and of its registrations.
    fn with_features_of_ring(ring: IoUring, config: &RingConfig, granted: &mut Granted) -> Self {
        let masked = config.masked;
        let parameters = ring.params();
        if parameters.is_feature_skip_cqe_on_success() {
            granted.add(Feature::CqeSkip, masked);
        }
        if granted.opcodes.has(opcode::Ftruncate::CODE) {
            granted.add(Feature::Ftruncate, masked);
        }
        // Both came with Linux 6.12.
        if parameters.is_feature_min_timeout() {
            if !sys::has_own_time() {
                granted.add(Feature::AbsoluteTimer, masked);
            }
            if config.batch.is_some() {
                granted.add(Feature::MinWait, masked);
            }
        }
        let batch = config.batch.filter(|_| granted.features.has(Feature::MinWait));
        let polled = parameters.is_setup_sqpoll();
        let mut uring =
            Uring { ring, registered: None, fault: None, batch, polled, grows: false, inherited: false };
        let wanted = config.grows && !masked.has(Feature::ResizeRings);
        if wanted && granted.features.has(Feature::NoSqarray) && uring.can_resize() {
            uring.grows = true;
            granted.add(Feature::ResizeRings, masked);
        }
        if !masked.has(Feature::RegisteredRing) {
            // A thread has room for 16 rings. Without the registration each call looks the descriptor up.
            let descriptor = uring.as_raw_fd() as u64;
            uring.registered = uring.register_descriptor(REGISTER_RING_FDS, u32::MAX, descriptor).ok();
        }
        if uring.registered.is_some() {
            granted.add(Feature::RegisteredRing, masked);
        }
        uring
    }

    /// Registers busy polling of network devices, if the configuration requests it.
    fn busy_poll(&self, config: &RingConfig, granted: &mut Granted) {
        let Some(microseconds) = config.napi_busy_poll else { return };
        if config.masked.has(Feature::NapiBusyPoll) {
            return;
        }
        let mut napi = Napi::new().set_busy_poll_timeout(microseconds).set_prefer_busy_poll(true);
        match self.ring.submitter().register_napi(&mut napi) {
            Ok(()) => granted.add(Feature::NapiBusyPoll, config.masked),
            Err(error) => granted.refused.push((Feature::NapiBusyPoll, errno_of(&error))),
        }
    }

    /// Registers the ring of buffers for streams, with incremental consumption if the kernel has it.
    fn provide_buffers(&self, masked: FeatureSet, granted: &mut Granted) {
        if !granted.features.has(Feature::BufferRing) {
            return;
        }
        let incremental = (!masked.has(Feature::IncrementalBuffers))
            .then(|| self.register_buffers(STREAMS, true).ok())
            .flatten();
        match incremental.map_or_else(|| self.register_buffers(STREAMS, false), Ok) {
            Ok(ring) => {
                if ring.is_incremental() {
                    granted.add(Feature::IncrementalBuffers, masked);
                } else if self.ring.params().is_feature_recvsend_bundle() {
                    granted.add(Feature::RecvBundle, masked);
                }
                granted.buffers = Some(ring);
            }
            Err(error) => {
                granted.features = granted.features.without(Feature::BufferRing);
                granted.refused.push((Feature::BufferRing, errno_of(&error)));
            }
        }
    }

    /// Checks whether a multishot receive can have a limit. A kernel without limits refuses the entry before it looks at the
    /// descriptor, which is invalid here.
    fn limits_receives(&mut self) -> io::Result<bool> {
        let receive = limited(opcode::RecvMulti::new(Fd(-1), STREAMS).build(), 1);
        Ok(self.round_trip(&receive)? == -libc::EBADF)
    }

    /// Submits an operation without pointers and returns its result.
    fn round_trip(&mut self, entry: &Entry) -> io::Result<i32> {
        // SAFETY: the callers' entries point to nothing.
        let pushed = unsafe { self.push(&entry.clone().user_data(u64::MAX)) };
        debug_assert!(pushed, "a new ring has room");
        let mut result = None;
        for _ in 0..1_000 {
            self.enter(1, Deadline::After(Duration::from_millis(10)))?;
            self.reap(|reaped| result = Some(reaped.completion.result));
            if let Some(result) = result {
                return Ok(result);
            }
        }
        Err(io::Error::from_raw_os_error(libc::ETIME))
    }
}

/// Operations that depend on the credentials of the thread that carries them out: those that look up a path or create an
/// object with an owner.
const AS_PROCESS: [u8; 3] = [opcode::OpenAt::CODE, opcode::Statx::CODE, opcode::Socket::CODE];

fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// Describes the refusal of a ring by this call.
fn refusal(call: SetupCall, error: &io::Error) -> Refused {
    Refused {
        call,
        errno: errno_of(error),
        release: sys::kernel_release(),
        disabled: std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
            .ok()
            .and_then(|value| value.trim().parse().ok()),
    }
}

/// Sets up a ring by the ladder of attempts. Returns the ring with its setup flags.
fn set_up(config: &RingConfig) -> Result<(IoUring, FeatureSet), Refused> {
    let (due, polled) = (CLOSED.load(Ordering::Relaxed), config.sqpoll_idle_ms.is_some());
    let mut attempt = Attempt::first(config.entries, config.masked, due, polled);
    let ring = loop {
        let error = match build(attempt, config.sqpoll_idle_ms) {
            Ok(ring) => break ring,
            Err(error) => error,
        };
        match attempt.failed(errno_of(&error)) {
            Next::Try(next) => attempt = next,
            Next::WaitAndTry(pause, next) => {
                sys::pause(pause);
                attempt = next;
            }
            Next::GiveUp => return Err(refusal(SetupCall::Setup, &error)),
        }
    };
    let parameters = ring.params();
    let required = parameters.is_feature_nodrop()
        && parameters.is_feature_ext_arg()
        && parameters.is_feature_fast_poll();
    if !required {
        return Err(refusal(SetupCall::Setup, &io::Error::from_raw_os_error(libc::EINVAL)));
    }
    Ok((ring, attempt.flags))
}

/// Probes the operations of a ring, without those that are masked.
fn probe(ring: &IoUring, masked: FeatureSet) -> io::Result<Opcodes> {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let mut opcodes = Opcodes::default();
    (0..=u8::MAX).for_each(|code| opcodes.set(code, probe.is_supported(code)));
    if masked.has(Feature::Ftruncate) {
        opcodes.set(opcode::Ftruncate::CODE, false);
    }
    Ok(opcodes)
}

fn build(attempt: Attempt, sqpoll_idle_ms: Option<u32>) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.dontfork().setup_clamp().setup_cqsize(attempt.entries.saturating_mul(COMPLETIONS).min(65_536));
    let flags = attempt.flags;
    if flags.has(Feature::SubmitAll) {
        builder.setup_submit_all();
    }
    if flags.has(Feature::CoopTaskrun) {
        builder.setup_coop_taskrun().setup_taskrun_flag();
    }
    if flags.has(Feature::SingleIssuer) {
        builder.setup_single_issuer();
    }
    if flags.has(Feature::DeferTaskrun) {
        builder.setup_defer_taskrun().setup_taskrun_flag();
    }
    if flags.has(Feature::SqPoll) {
        builder.setup_sqpoll(sqpoll_idle_ms.unwrap_or_default());
    }
    if flags.has(Feature::NoSqarray) {
        builder.setup_no_sqarray();
    }
    builder.build(attempt.entries)
}
