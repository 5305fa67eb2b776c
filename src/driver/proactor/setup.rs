//! The ladder of attempts to set up a ring, and the message if none works: pure decisions on error numbers.
//!
//! - The first attempt requests every flag.
//! - EINVAL: the kernel does not know a flag. The newest group of flags is dropped.
//! - ENOMEM: some kernels charge the memory of rings against RLIMIT_MEMLOCK, and free that of a closed ring late. The attempt
//!   is repeated after a pause; there are more repetitions if this process has closed rings. Then the ring is halved, down to
//!   64 entries.
//! - Any other error is a refusal.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::time::Duration;

use crate::driver::feature::{Feature, FeatureSet};

/// The largest ring that the kernel makes.
pub(crate) const MAX_ENTRIES: u32 = 32_768;
const MIN_ENTRIES: u32 = 64;
/// Pauses of 1, 2, 4, … ms: 127 ms in all, in case another process of the same user has closed rings.
const MEMORY_RETRIES: u32 = 7;
/// Pauses if this process has closed rings: 2 s in all. Two busy cores have taken more than 127 ms to free the memory.
const MEMORY_RETRIES_WHEN_DUE: u32 = 11;

/// Flags that came with one kernel, newest first; a group is dropped as a whole.
const GROUPS: [&[Feature]; 4] = [
    &[Feature::NoSqarray],                       // 6.6
    &[Feature::DeferTaskrun],                    // 6.1
    &[Feature::SingleIssuer],                    // 6.0
    &[Feature::CoopTaskrun, Feature::SubmitAll], // 5.18, 5.19
];

/// One attempt to set up a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) entries: u32,
    pub(crate) flags: FeatureSet,
    memory_retries: u32,
    waited: u32,
}

/// The next step after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Try(Attempt),
    WaitAndTry(Duration, Attempt),
    GiveUp,
}

impl Attempt {
    /// Creates the first attempt. `memory_is_due`: this process has closed rings. `polled`: a kernel thread takes the
    /// submissions. Then that thread also posts the completions, so flags that leave this to the loop are not requested.
    pub(crate) fn first(entries: u32, masked: FeatureSet, memory_is_due: bool, polled: bool) -> Self {
        let wanted = GROUPS.iter().flat_map(|group| group.iter().copied());
        let mut flags = usable(wanted.filter(|flag| !masked.has(*flag)).collect());
        if polled && !masked.has(Feature::SqPoll) {
            flags = flags.without(Feature::DeferTaskrun).without(Feature::CoopTaskrun).with(Feature::SqPoll);
        }
        let memory_retries = if memory_is_due { MEMORY_RETRIES_WHEN_DUE } else { MEMORY_RETRIES };
        Attempt { entries, flags, memory_retries, waited: 0 }
    }

    /// Returns the next step after this attempt has failed with `errno`.
    pub(crate) fn failed(self, errno: i32) -> Next {
        match errno {
            libc::EINVAL => {
                let group = GROUPS.iter().find(|group| group.iter().any(|flag| self.flags.has(*flag)));
                match group {
                    None => Next::GiveUp,
                    Some(group) => {
                        let flags = group.iter().fold(self.flags, |flags, flag| flags.without(*flag));
                        Next::Try(Attempt { flags, ..self })
                    }
                }
            }
            libc::ENOMEM if self.waited < self.memory_retries => {
                let pause = Duration::from_millis(1 << self.waited);
                Next::WaitAndTry(pause, Attempt { waited: self.waited + 1, ..self })
            }
            libc::ENOMEM if self.entries > MIN_ENTRIES => {
                Next::Try(Attempt { entries: (self.entries / 2).max(MIN_ENTRIES), ..self })
            }
            _ => Next::GiveUp,
        }
    }
}

/// Removes flags whose precondition is missing.
fn usable(flags: FeatureSet) -> FeatureSet {
    if flags.has(Feature::SingleIssuer) { flags } else { flags.without(Feature::DeferTaskrun) }
}

/// The system call with which the kernel refused a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetupCall {
    Setup,
    Register,
    Enter,
}

impl fmt::Display for SetupCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetupCall::Setup => "io_uring_setup",
            SetupCall::Register => "io_uring_register",
            SetupCall::Enter => "io_uring_enter",
        })
    }
}

/// The refusal of a ring: the cause and the remedy.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) call: SetupCall,
    pub(crate) errno: i32,
    /// The kernel's release, as in `uname -r`.
    pub(crate) release: String,
    /// The sysctl `kernel.io_uring_disabled`, where it can be read.
    pub(crate) disabled: Option<u8>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from_raw_os_error(self.errno);
        write!(
            f,
            "io_uring is not available: {} answered \"{error}\" on Linux {}; ",
            self.call, self.release
        )?;
        match (self.errno, self.disabled) {
            (libc::EPERM, Some(2)) => {
                f.write_str("the sysctl kernel.io_uring_disabled is 2 and forbids it to all users: set it to 0")
            }
            (libc::EPERM, Some(1)) => f.write_str(
                "the sysctl kernel.io_uring_disabled is 1 and forbids it to users outside the group \
                 kernel.io_uring_group: set it to 0, or join the group",
            ),
            (libc::EPERM | libc::EACCES, _) => f.write_str(
                "a seccomp filter or security module forbids it, as the default profiles of container engines \
                 do: allow io_uring_setup, io_uring_enter and io_uring_register",
            ),
            (libc::ENOSYS, _) => f.write_str(
                "the kernel was built without it or is older than 5.1, or a seccomp filter hides it: use a \
                 kernel of 6.1 or later, or allow io_uring_setup, io_uring_enter and io_uring_register",
            ),
            (libc::ENOMEM, _) => f.write_str(
                "its memory counts against RLIMIT_MEMLOCK: raise that limit (ulimit -l), make fewer rings, or \
                 ask for fewer ring entries",
            ),
            (libc::EMFILE | libc::ENFILE, _) => {
                f.write_str("there is no free descriptor: raise RLIMIT_NOFILE (ulimit -n)")
            }
            (libc::EOPNOTSUPP, _) => f.write_str(
                "the kernel, or a sandbox in its place, does not support it: use a kernel of 6.1 or later",
            ),
            (libc::EINVAL, _) => {
                f.write_str("the kernel is too old: the proactor needs 5.11 and is made for 6.1 or later")
            }
            _ => f.write_str("the cause is unknown"),
        }?;
        f.write_str("; or use the selector backend (PROACTOR_BACKEND=selector, Selector or Auto)")
    }
}

impl std::error::Error for Refused {}

debug_as_display!(Refused);

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        io::Error::new(io::Error::from_raw_os_error(refused.errno).kind(), refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Feature::*;

    fn flags(attempt: Attempt) -> Vec<Feature> {
        attempt.flags.iter().collect()
    }

    #[test]
    fn einval_drops_the_newest_flags_group_by_group() {
        let mut attempt = Attempt::first(256, FeatureSet::default(), false, false);
        let expected: [&[Feature]; 5] = [
            &[SubmitAll, CoopTaskrun, SingleIssuer, DeferTaskrun, NoSqarray],
            &[SubmitAll, CoopTaskrun, SingleIssuer, DeferTaskrun],
            &[SubmitAll, CoopTaskrun, SingleIssuer],
            &[SubmitAll, CoopTaskrun],
            &[],
        ];
        for (step, expected) in expected.iter().enumerate() {
            assert_eq!(flags(attempt), *expected, "step {step}");
            match attempt.failed(libc::EINVAL) {
                Next::Try(next) => attempt = next,
                Next::GiveUp => assert_eq!(step, 4),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn enomem_waits_then_halves_then_gives_up() {
        for (memory_is_due, patience_ms) in [(false, 127), (true, 2_047)] {
            let mut attempt = Attempt::first(200, FeatureSet::default(), memory_is_due, false);
            let (mut waited, mut sizes) = (Duration::ZERO, vec![200]);
            loop {
                match attempt.failed(libc::ENOMEM) {
                    Next::WaitAndTry(pause, next) => {
                        waited += pause;
                        attempt = next;
                    }
                    Next::Try(next) => {
                        sizes.push(next.entries);
                        attempt = next;
                    }
                    Next::GiveUp => break,
                }
            }
            assert_eq!(waited, Duration::from_millis(patience_ms));
            assert_eq!(sizes, [200, 100, 64]);
        }
    }

    #[test]
    fn every_other_error_is_a_refusal_at_once() {
        let attempt = Attempt::first(256, FeatureSet::default(), false, false);
        let errnos = [libc::EPERM, libc::ENOSYS, libc::EOPNOTSUPP, libc::EMFILE, libc::EFAULT, libc::EACCES];
        for errno in errnos {
            assert_eq!(attempt.failed(errno), Next::GiveUp);
        }
    }

    #[test]
    fn masked_flags_are_never_asked_for() {
        for feature in GROUPS.iter().flat_map(|group| group.iter()) {
            let masked = FeatureSet::default().with(*feature);
            assert!(!Attempt::first(256, masked, false, false).flags.has(*feature));
        }
        let without_issuer = Attempt::first(256, FeatureSet::default().with(SingleIssuer), false, false);
        assert!(!without_issuer.flags.has(DeferTaskrun), "the kernel refuses one without the other");
    }

    #[test]
    fn a_ring_that_the_kernel_polls_makes_its_completions_at_once() {
        let polled = flags(Attempt::first(256, FeatureSet::default(), false, true));
        assert_eq!(polled, [SubmitAll, SingleIssuer, NoSqarray, SqPoll]);
        let masked = FeatureSet::default().with(SqPoll);
        assert!(flags(Attempt::first(256, masked, false, true)).contains(&DeferTaskrun));
    }

    #[test]
    fn refusals_name_cause_and_cure() {
        let say = |errno, disabled| {
            Refused { call: SetupCall::Setup, errno, release: "6.18.0".into(), disabled }.to_string()
        };
        assert!(say(libc::EPERM, Some(2)).contains("kernel.io_uring_disabled is 2"));
        assert!(say(libc::EPERM, Some(1)).contains("kernel.io_uring_group"));
        assert!(say(libc::EPERM, Some(0)).contains("seccomp"));
        assert!(say(libc::ENOSYS, None).contains("6.1 or later"));
        assert!(say(libc::ENOMEM, None).contains("RLIMIT_MEMLOCK"));
        assert!(say(libc::EMFILE, None).contains("RLIMIT_NOFILE"));
        assert!(say(libc::EINVAL, None).contains("too old"));
        assert!(say(libc::EOPNOTSUPP, None).contains("does not support it"));
        for errno in [libc::EPERM, libc::ENOSYS, libc::ENOMEM, libc::EIO] {
            assert!(say(errno, None).contains("PROACTOR_BACKEND=selector"));
        }
    }
}
