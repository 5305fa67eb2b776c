//! Optional features of the kernel. Each has a fallback and can be masked.
#![forbid(unsafe_code)]

use std::fmt;

/// A kernel feature that a backend uses if available, and has a fallback for.
///
/// Masking one ([`Config::mask`](crate::Config::mask)) forces its fallback, so that the fallback can be tested on a
/// kernel that has the feature.
///
/// # Examples
/// ```
/// use proactor::{Auto, Config, Feature};
/// let runtime = Auto::with_config(&Config::new().mask(Feature::DeferTaskrun)).unwrap();
/// println!("{}", runtime.report());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Feature {
    /// `IORING_SETUP_SUBMIT_ALL` (5.18): a bad entry does not stop the rest of its batch.
    SubmitAll,
    /// `IORING_SETUP_COOP_TASKRUN` (5.19): completions do not interrupt the thread.
    CoopTaskrun,
    /// `IORING_SETUP_SINGLE_ISSUER` (6.0): only one thread submits, so the kernel need not lock.
    SingleIssuer,
    /// `IORING_SETUP_DEFER_TASKRUN` (6.1): completions are posted when the loop asks for them. Needs
    /// [`SingleIssuer`](Self::SingleIssuer).
    DeferTaskrun,
    /// `IORING_SETUP_NO_SQARRAY` (6.6): one indirection fewer for each submission.
    NoSqarray,
    /// `IORING_REGISTER_RING_FDS` (5.18): no look-up of the ring's descriptor for each call.
    RegisteredRing,
    /// `IOSQE_CQE_SKIP_SUCCESS` (5.17): a successful cancel request posts no completion of its own.
    CqeSkip,
    /// `IORING_OP_FTRUNCATE` (6.9); otherwise ftruncate(2) on the blocking pool.
    Ftruncate,
    /// Multishot `IORING_OP_RECV` and `IORING_OP_RECVMSG` (6.0): one operation receives until it is stopped. Needs
    /// [`BufferRing`](Self::BufferRing); otherwise the loop polls, and receives when data is there.
    MultishotRecv,
    /// `IORING_OP_READ_MULTISHOT` (6.7): the same for pipes. Needs [`BufferRing`](Self::BufferRing).
    MultishotRead,
    /// Multishot `IORING_OP_POLL_ADD` (5.13): one operation reports readiness until it is stopped, for
    /// [`AsyncFd`](crate::io::AsyncFd); otherwise each wait takes one.
    MultishotPoll,
    /// `IORING_REGISTER_PBUF_RING` (5.19): the kernel takes a buffer when data arrives.
    BufferRing,
    /// `IOU_PBUF_RING_INC` (6.12): several receives share a buffer; otherwise each takes one.
    IncrementalBuffers,
    /// `IORING_RECVSEND_BUNDLE` for receives (6.10): one receive may fill several buffers. Not needed where buffers are
    /// consumed incrementally ([`IncrementalBuffers`](Self::IncrementalBuffers)).
    RecvBundle,
    /// A limit for the total bytes of a multishot `IORING_OP_RECV` (`optlen`, 6.17): the kernel stops the operation
    /// after 256 KiB, so that one poll of the ring brings no more than that for a slow receiver; otherwise the loop
    /// stops it when it sees them. Needs [`MultishotRecv`](Self::MultishotRecv).
    RecvLimit,
    /// `IORING_OP_SEND_ZC` and `IORING_OP_SENDMSG_ZC` (6.0, 6.1): sends without a copy, where they are requested;
    /// otherwise ordinary sends.
    SendZeroCopy,
    /// Direct descriptors, in a table of the ring (`IORING_REGISTER_FILES2`, `IORING_OP_FIXED_FD_INSTALL`; used from
    /// 6.13 on: before, one that was closed stayed open while an operation waited on another): see
    /// [`net::direct`](crate::net::direct). Needs [`Ftruncate`](Self::Ftruncate); otherwise ordinary ones are used.
    DirectDescriptors,
    /// `IORING_REGISTER_BUFFERS2` (5.19, with a sparse table): see [`RegisteredBuf`](crate::buf::RegisteredBuf), which
    /// is otherwise an ordinary buffer.
    RegisteredBuffers,
    /// `IORING_ENTER_ABS_TIMER` (6.12): a wait ends at an absolute time instead of after a duration, so a loop whose
    /// timers don't change need not read the clock before it sleeps. Not used in a time namespace with an offset, which
    /// this call does not apply.
    AbsoluteTimer,
    /// `IORING_REGISTER_RESIZE_RINGS` (6.13), where [`Config::grow_ring`](crate::Config::grow_ring) requests it: a ring
    /// whose queues keep overflowing grows. Needs [`DeferTaskrun`](Self::DeferTaskrun) and
    /// [`NoSqarray`](Self::NoSqarray); otherwise its size is fixed, and overflows cost further system calls.
    ResizeRings,
    /// `min_wait_usec` of io_uring_enter(2) (6.12), where [`Config::batch`](crate::Config::batch) requests it.
    MinWait,
    /// `IORING_SETUP_SQPOLL` (5.11 for unprivileged users), where [`Config::sqpoll`](crate::Config::sqpoll) requests
    /// it: a kernel thread takes submissions, without a system call.
    SqPoll,
    /// `IORING_REGISTER_NAPI` (6.9), where [`Config::napi_busy_poll`](crate::Config::napi_busy_poll) requests it.
    NapiBusyPoll,
    /// epoll_pwait2(2) (5.11), which has timeouts in nanoseconds; otherwise epoll_wait(2), which has them in
    /// milliseconds.
    EpollPwait2,
}

impl Feature {
    /// All features.
    pub const ALL: &'static [Feature] = &[
        Feature::SubmitAll,
        Feature::CoopTaskrun,
        Feature::SingleIssuer,
        Feature::DeferTaskrun,
        Feature::NoSqarray,
        Feature::RegisteredRing,
        Feature::CqeSkip,
        Feature::Ftruncate,
        Feature::MultishotRecv,
        Feature::MultishotRead,
        Feature::MultishotPoll,
        Feature::BufferRing,
        Feature::IncrementalBuffers,
        Feature::RecvBundle,
        Feature::RecvLimit,
        Feature::SendZeroCopy,
        Feature::DirectDescriptors,
        Feature::RegisteredBuffers,
        Feature::AbsoluteTimer,
        Feature::ResizeRings,
        Feature::MinWait,
        Feature::SqPoll,
        Feature::NapiBusyPoll,
        Feature::EpollPwait2,
    ];

    /// Returns the kernel's name for the feature.
    pub fn name(self) -> &'static str {
        match self {
            Feature::SubmitAll => "SUBMIT_ALL",
            Feature::CoopTaskrun => "COOP_TASKRUN",
            Feature::SingleIssuer => "SINGLE_ISSUER",
            Feature::DeferTaskrun => "DEFER_TASKRUN",
            Feature::NoSqarray => "NO_SQARRAY",
            Feature::RegisteredRing => "REGISTER_RING_FDS",
            Feature::CqeSkip => "CQE_SKIP_SUCCESS",
            Feature::Ftruncate => "OP_FTRUNCATE",
            Feature::MultishotRecv => "RECV_MULTISHOT",
            Feature::MultishotRead => "OP_READ_MULTISHOT",
            Feature::MultishotPoll => "POLL_ADD_MULTI",
            Feature::BufferRing => "REGISTER_PBUF_RING",
            Feature::IncrementalBuffers => "PBUF_RING_INC",
            Feature::RecvBundle => "RECVSEND_BUNDLE",
            Feature::RecvLimit => "RECV_MULTISHOT_LIMIT",
            Feature::SendZeroCopy => "OP_SEND_ZC",
            Feature::DirectDescriptors => "REGISTER_FILES",
            Feature::RegisteredBuffers => "REGISTER_BUFFERS",
            Feature::AbsoluteTimer => "ENTER_ABS_TIMER",
            Feature::ResizeRings => "REGISTER_RESIZE_RINGS",
            Feature::MinWait => "MIN_TIMEOUT",
            Feature::SqPoll => "SQPOLL",
            Feature::NapiBusyPoll => "REGISTER_NAPI",
            Feature::EpollPwait2 => "epoll_pwait2",
        }
    }

    /// Returns true for a flag of io_uring_setup(2).
    pub(crate) fn is_setup_flag(self) -> bool {
        use Feature::*;
        matches!(self, SubmitAll | CoopTaskrun | SingleIssuer | DeferTaskrun | NoSqarray | SqPoll)
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// State of a feature in a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeatureState {
    /// The feature is in use.
    On,
    /// The configuration masks the feature.
    Masked,
    /// The kernel does not have the feature.
    Absent,
    /// The kernel has the feature, but refused it with this `errno`.
    Refused(i32),
    /// The backend does not need the feature, or the configuration does not request it.
    Unused,
}

impl fmt::Display for FeatureState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FeatureState::Refused(errno) => {
                return write!(f, "refused ({})", std::io::Error::from_raw_os_error(*errno));
            }
            FeatureState::On => "on",
            FeatureState::Masked => "masked",
            FeatureState::Absent => "not in this kernel",
            FeatureState::Unused => "not used",
        })
    }
}

/// A set of features.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FeatureSet(u32);

impl FeatureSet {
    pub(crate) fn with(self, feature: Feature) -> Self {
        FeatureSet(self.0 | 1 << feature as u32)
    }

    pub(crate) fn without(self, feature: Feature) -> Self {
        FeatureSet(self.0 & !(1 << feature as u32))
    }

    pub(crate) fn has(self, feature: Feature) -> bool {
        self.0 & 1 << feature as u32 != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.iter().copied().filter(move |feature| self.has(*feature))
    }
}

impl FromIterator<Feature> for FeatureSet {
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> Self {
        features.into_iter().fold(FeatureSet::default(), FeatureSet::with)
    }
}

impl fmt::Debug for FeatureSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
