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
            Feature::EpollPwait2 => "epoll_pwait2",
        }
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
    /// This kernel has it not, or refused it.
    Absent,
    /// The backend in use has no need of it.
    Unused,
}

impl fmt::Display for FeatureState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FeatureState::On => "on",
            FeatureState::Masked => "masked",
            FeatureState::Absent => "not in this kernel",
            FeatureState::Unused => "not used by this backend",
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
