//! The error for a feature that a configuration requires and that is not in use: its name, the cause, the cure.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::io;

use crate::driver::feature::{Feature, FeatureState};
use crate::runtime::backend::Backend;

/// Error: a feature is required and not in use.
pub(crate) struct Missing {
    feature: Feature,
    state: FeatureState,
    backend: Backend,
    /// The reason for the selector.
    reason: Option<String>,
}

/// Makes the error for a required feature that is in this state.
pub(in crate::runtime) fn missing(
    feature: Feature,
    state: FeatureState,
    backend: Backend,
    reason: Option<&str>,
) -> io::Error {
    let missing = Missing { feature, state, backend, reason: reason.map(str::to_owned) };
    io::Error::new(io::ErrorKind::Unsupported, missing)
}

/// Whether an error was made by [`missing`].
pub(in crate::runtime) fn is_missing(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Missing>())
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing { feature, state, backend, reason } = self;
        write!(f, "Config::require: Feature::{feature:?} ({feature}) is not in use: ")?;
        let is_selectors = *feature == Feature::EpollPwait2;
        match state {
            FeatureState::Unused if (*backend == Backend::Selector) != is_selectors => {
                write!(f, "the {backend} does not use it; ")?;
                match reason {
                    Some(reason) => write!(f, "the {backend} was chosen because {reason}; ")?,
                    None if is_selectors => f.write_str("make a Selector, ")?,
                    None => f.write_str("make a Proactor, ")?,
                }
            }
            FeatureState::Unused => f.write_str(not_asked_for(*feature))?,
            FeatureState::Masked => {
                f.write_str("it is masked; take it out of Config::mask and PROACTOR_MASK, ")?;
            }
            FeatureState::Refused(errno) => {
                let error = io::Error::from_raw_os_error(*errno);
                write!(f, "the kernel refused it ({error}); {}", cure(*feature, *errno))?;
            }
            FeatureState::Absent | FeatureState::On => {
                write!(f, "{}", absent(*feature))?;
            }
        }
        f.write_str("or do not require it")
    }
}

/// Describes the configuration that a feature needs.
fn not_asked_for(feature: Feature) -> &'static str {
    match feature {
        Feature::MinWait => "the configuration does not ask for it; set Config::batch, ",
        Feature::SqPoll => "the configuration does not ask for it; set Config::sqpoll, ",
        Feature::NapiBusyPoll => "the configuration does not ask for it; set Config::napi_busy_poll, ",
        Feature::ResizeRings => "the configuration does not ask for it; set Config::grow_ring, ",
        Feature::RecvBundle => "Feature::IncrementalBuffers takes its place; mask that, ",
        Feature::DeferTaskrun | Feature::CoopTaskrun => "Config::sqpoll excludes it; leave that out, ",
        _ => "this configuration does not use it; ",
    }
}

/// Describes the cure for a refusal.
fn cure(feature: Feature, errno: i32) -> &'static str {
    match (feature, errno) {
        (Feature::DirectDescriptors, libc::EMFILE) => {
            "raise RLIMIT_NOFILE (ulimit -n), lower Config::direct_descriptors, "
        }
        (_, libc::ENOMEM) => "raise RLIMIT_MEMLOCK (ulimit -l), free memory, ",
        (_, libc::EPERM | libc::EACCES) => "allow it in the seccomp filter or security module, ",
        _ => "see io_uring_register(2) for this error, ",
    }
}

/// Describes the reason for which a kernel that is new enough for a ring may lack a feature.
fn absent(feature: Feature) -> String {
    let release = crate::sys::kernel_release();
    let needs = match feature {
        Feature::DeferTaskrun => "Feature::SingleIssuer, which must not be masked",
        Feature::MultishotRecv | Feature::MultishotRead => {
            "Feature::BufferRing, which must be in use as well"
        }
        Feature::RecvLimit => "Feature::MultishotRecv, which must be in use as well",
        Feature::DirectDescriptors => "Feature::Ftruncate, which must not be masked",
        Feature::ResizeRings => "Feature::DeferTaskrun and Feature::NoSqarray, which must be in use as well",
        Feature::AbsoluteTimer => "that the process is in no time namespace with an offset",
        _ => {
            return format!(
                "Linux {release} does not have it; use a newer kernel (the docs of Feature name it), "
            );
        }
    };
    format!(
        "Linux {release} does not have it (the docs of Feature name one that has), or it lacks what it needs: {needs}; use a newer kernel, "
    )
}

debug_as_display!(Missing);

impl Error for Missing {}
