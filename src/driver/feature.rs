//! Features of the kernel that are used where it has them, each of which can be masked off.
#![forbid(unsafe_code)]

use std::fmt;

/// A feature of the kernel that a backend uses when it is there, and can do without.
///
/// Masking one ([`Config::mask`](crate::Config::mask)) forces its fallback, so that this path can be tested
/// on a kernel that has it.
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
    /// `IORING_SETUP_SUBMIT_ALL` (5.18): a bad entry does not stop the batch behind it.
    SubmitAll,
    /// `IORING_SETUP_COOP_TASKRUN` (5.19): completions do not interrupt the thread.
    CoopTaskrun,
    /// `IORING_SETUP_SINGLE_ISSUER` (6.0): only one thread submits, and the kernel need not lock.
    SingleIssuer,
    /// `IORING_SETUP_DEFER_TASKRUN` (6.1): completions are made when the loop asks for them. Needs
    /// [`SingleIssuer`](Self::SingleIssuer).
    DeferTaskrun,
    /// `IORING_SETUP_NO_SQARRAY` (6.6): one indirection less for each submission.
    NoSqarray,
    /// `IORING_REGISTER_RING_FDS` (5.18): no look-up of the ring's descriptor for each call.
    RegisteredRing,
    /// `IOSQE_CQE_SKIP_SUCCESS` (5.17): a cancel that worked posts no completion of its own.
    CqeSkip,
    /// `IORING_OP_FTRUNCATE` (6.9); else ftruncate(2) on the blocking pool.
    Ftruncate,
    /// Multishot `IORING_OP_RECV` and `IORING_OP_RECVMSG` (6.0): one operation receives until it is ended. Needs
    /// [`BufferRing`](Self::BufferRing); else the loop polls, and receives when there is something.
    MultishotRecv,
    /// `IORING_OP_READ_MULTISHOT` (6.7): the same for pipes. Needs [`BufferRing`](Self::BufferRing).
    MultishotRead,
    /// Multishot `IORING_OP_POLL_ADD` (5.13): one operation reports until it is ended, for
    /// [`AsyncFd`](crate::io::AsyncFd); else one for each wait.
    MultishotPoll,
    /// `IORING_REGISTER_PBUF_RING` (5.19): the kernel takes a buffer when something arrives.
    BufferRing,
    /// `IOU_PBUF_RING_INC` (6.12): several receives share a buffer; else each takes one.
    IncrementalBuffers,
    /// `IORING_RECVSEND_BUNDLE` for receives (6.10): one may fill several buffers. Where buffers are consumed bit by bit
    /// ([`IncrementalBuffers`](Self::IncrementalBuffers)) there is no need of it.
    RecvBundle,
    /// A limit for the bytes of a multishot `IORING_OP_RECV` in all (`optlen`, 6.17): the kernel ends the operation when it
    /// has received 256 KiB, so that one visit brings no more for a receiver who does not come; else the loop ends it when
    /// it sees them. Needs [`MultishotRecv`](Self::MultishotRecv).
    RecvLimit,
    /// `IORING_OP_SEND_ZC` and `IORING_OP_SENDMSG_ZC` (6.0, 6.1): sends that do not copy, where they are asked for; else
    /// the ordinary ones.
    SendZeroCopy,
    /// Direct descriptors, in a table of the ring (`IORING_REGISTER_FILES2`, `IORING_OP_FIXED_FD_INSTALL`; used from 6.10
    /// on, where the ring has all operations on them, and accepts without waiting): see
    /// [`net::direct`](crate::net::direct). Needs [`Ftruncate`](Self::Ftruncate); else ordinary ones take their place.
    DirectDescriptors,
    /// `IORING_REGISTER_BUFFERS2` (5.19, with places that are filled later): see
    /// [`RegisteredBuf`](crate::buf::RegisteredBuf); else it is an ordinary buffer.
    RegisteredBuffers,
    /// `IORING_ENTER_ABS_TIMER` (6.12): a wait ends at a point in time, and not after a length of it, so that a loop whose
    /// timers don't change need not look at the clock before it sleeps. Not used in a time namespace with an offset, of
    /// which the kernel's call does not know.
    AbsoluteTimer,
    /// `IORING_REGISTER_RESIZE_RINGS` (6.13), where [`Config::grow_ring`](crate::Config::grow_ring) asks for it: a ring whose
    /// queues keep overflowing grows. Needs [`DeferTaskrun`](Self::DeferTaskrun) and [`NoSqarray`](Self::NoSqarray); else it
    /// stays as it is, and what overflows costs further visits.
    ResizeRings,
    /// `min_wait_usec` of io_uring_enter(2) (6.12), where [`Config::batch`](crate::Config::batch) asks for it.
    MinWait,
    /// `IORING_SETUP_SQPOLL` (5.11 for ordinary users), where [`Config::sqpoll`](crate::Config::sqpoll) asks for it: a
    /// thread of the kernel takes what is submitted, without a system call.
    SqPoll,
    /// `IORING_REGISTER_NAPI` (6.9), where [`Config::napi_busy_poll`](crate::Config::napi_busy_poll) asks for it.
    NapiBusyPoll,
    /// epoll_pwait2(2) (5.11), which waits in nanoseconds; else epoll_wait(2), which waits in milliseconds.
    EpollPwait2,
}

impl Feature {
    /// All of them.
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

    /// Its name in the kernel's own words.
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

    /// Whether it is a flag of io_uring_setup(2).
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

/// What became of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeatureState {
    /// It is in use.
    On,
    /// The configuration masks it.
    Masked,
    /// This kernel does not have it.
    Absent,
    /// This kernel has it and refused it, with this `errno`.
    Refused(i32),
    /// The backend in use has no need of it, or the configuration does not ask for it.
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
