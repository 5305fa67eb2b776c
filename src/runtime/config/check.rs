//! Checks of the settings, and the environment variable `PROACTOR_MASK`.
#![forbid(unsafe_code)]

use std::io;

use super::Config;
use crate::driver::MAX_BUFFERS;
use crate::driver::feature::{Feature, FeatureSet};
use crate::driver::memory::table::MAX_PLACES;
use crate::driver::proactor::setup::MAX_ENTRIES;

impl Config {
    /// Checks the settings.
    ///
    /// # Errors
    /// `InvalidInput` for a setting that is out of range.
    pub(crate) fn check(&self) -> io::Result<()> {
        let invalid = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        if !(1..=MAX_ENTRIES).contains(&self.ring_entries) {
            let entries = self.ring_entries;
            return invalid(format!(
                "ring_entries is {entries}: choose from 1 to {MAX_ENTRIES} (256 is the default; more \
                 operations than entries may be in flight)"
            ));
        }
        if let Some(unknown) = &self.unknown_feature {
            let known: Vec<_> = Feature::ALL.iter().map(|feature| feature.name()).collect();
            return invalid(format!(
                "PROACTOR_MASK names {unknown:?}, which is not a feature; the features are {}",
                known.join(", ")
            ));
        }
        for (name, number, max) in [
            ("stream_buffers", self.resources.stream_buffers, MAX_BUFFERS),
            ("datagram_buffers", self.resources.datagram_buffers, MAX_BUFFERS),
            ("direct_descriptors", self.resources.direct_descriptors, MAX_PLACES),
        ] {
            if !(1..=max).contains(&number) {
                return invalid(format!("{name} is {number}: choose from 1 to {max}"));
            }
        }
        let size = self.resources.stream_buffer_size;
        if !(4_096..=16 << 20).contains(&size) || !size.is_multiple_of(4_096) {
            return invalid(format!(
                "stream_buffer_size is {size}: choose from 4096 to 16777216, a multiple of 4096"
            ));
        }
        if let Some((completions, _)) = self.batch
            && !(1..=self.ring_entries).contains(&completions)
        {
            return invalid(format!(
                "batch asks for {completions} completions: choose from 1 to the ring's {} entries",
                self.ring_entries
            ));
        }
        if self.turn_budget == 0 {
            return invalid("turn_budget is 0: no task would ever run; choose 1 or more".into());
        }
        if self.pool_threads == 0 {
            return invalid("pool_threads is 0: no blocking job would ever run; choose 1 or more".into());
        }
        Ok(())
    }
}

/// Returns the features that `PROACTOR_MASK` names, and the first word in it that names no feature.
pub(super) fn masked_by_environment() -> (FeatureSet, Option<String>) {
    let words = std::env::var("PROACTOR_MASK").unwrap_or_default();
    let words = words.split(',').map(str::trim).filter(|word| !word.is_empty());
    let (mut masked, mut unknown) = (FeatureSet::default(), None);
    for word in words {
        match Feature::ALL.iter().find(|feature| feature.name().eq_ignore_ascii_case(word)) {
            Some(feature) => masked = masked.with(*feature),
            None => unknown = unknown.or_else(|| Some(word.to_owned())),
        }
    }
    (masked, unknown)
}
