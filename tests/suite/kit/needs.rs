//! Tests that need more of the kernel than Linux 6.1 has. Where it is missing they are reported as ignored, with the
//! feature's name.

use proactor::{Feature, FeatureState, Proactor};

/// Something that a kernel has or lacks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    /// A feature of io_uring that the crate uses where it is there.
    Uses(Feature),
    /// A behaviour that came with a version of Linux.
    Since(u32, u32, &'static str),
    /// io_uring is allowed.
    Uring,
    /// The sysctl `kernel.io_uring_disabled` is 2, as `tests/kernels/run --refuse-uring` sets it.
    UringDisabled,
}

/// A test's name without that of its crate, and its need.
pub(crate) const NEEDS: &[(&str, Need)] = &[
    ("proactor::direct::a_refused_table_leaves_ordinary_descriptors", Need::Uses(Feature::DirectDescriptors)),
    (
        "proactor::direct::a_full_table_is_an_error_and_loses_no_connection",
        Need::Uses(Feature::DirectDescriptors),
    ),
    (
        "proactor::direct::what_has_arrived_is_taken_although_the_table_is_full",
        Need::Uses(Feature::DirectDescriptors),
    ),
    (
        "proactor::direct::a_direct_descriptor_means_nothing_to_another_ring",
        Need::Uses(Feature::DirectDescriptors),
    ),
    ("proactor::pipes::a_pipe_has_one_operation_for_all_chunks", Need::Uses(Feature::MultishotRead)),
    // 6.1 reads such a file while the operation is submitted. (Whether a file can be read without waiting was
    // decided by its kind until 6.5.)
    (
        "proactor::shutdown::t22_a_read_that_nothing_stops_is_leaked",
        Need::Since(6, 5, "reads of memory files in a thread of the kernel"),
    ),
    // Neither 6.1 nor 6.12 counts it, 6.18 does.
    (
        "proactor::limits::t53_little_memory_for_rings_gives_small_rings_and_then_none",
        Need::Since(6, 14, "memory of rings that counts against RLIMIT_MEMLOCK"),
    ),
    ("selector::limits::t55_a_filter_that_refuses_the_ring_is_named", Need::Uring),
    ("selector::limits::t121_a_kernel_without_io_uring_is_named", Need::UringDisabled),
];

/// What this kernel lacks for a test, if it lacks something.
pub(crate) fn lacks(test: &str) -> Option<String> {
    let (_, need) = NEEDS.iter().find(|(name, _)| *name == test)?;
    match *need {
        Need::Uses(feature) => {
            let features = Proactor::new().ok()?.report().features;
            let state = features.iter().find(|report| report.feature == feature)?.state;
            (state != FeatureState::On).then(|| format!("{feature}: {state}"))
        }
        Need::Since(major, minor, what) => {
            (release() < (major, minor)).then(|| format!("Linux {major}.{minor}: {what}"))
        }
        Need::Uring => Proactor::new().is_err().then(|| "io_uring".to_owned()),
        Need::UringDisabled => {
            let value = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
            (value.trim() != "2").then(|| "kernel.io_uring_disabled=2".to_owned())
        }
    }
}

/// The version of the running kernel.
fn release() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap_or(0))
}
