//! The runtime's own random numbers: SplitMix64 (Steele, Lea and Flood 2014), begun at `Config::seed`, or at a random seed.
#![forbid(unsafe_code)]

use crate::sys::rng::try_random;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Returns a random seed. The keys of `RandomState` come from getrandom(2); the process id makes the seed of a fork, which
/// inherits the keys, differ from that of its parent.
pub(super) fn random_seed() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

/// Returns the next of the runtime's random numbers. Do not use them for secrets.
///
/// Each runtime has a random seed, unless [`Config::seed`] sets one. The same seed gives the same numbers.
/// [`Report::seed`](crate::Report::seed) gives the seed in use, to repeat a run.
///
/// # Panics
/// Outside a runtime.
///
/// # Examples
/// ```
/// use proactor::{Auto, Config, random};
/// let draw = || Auto::with_config(&Config::new().seed(7)).unwrap().block_on(async { random() });
/// assert_eq!(draw(), draw());
/// ```
///
/// [`Config::seed`]: crate::Config::seed
#[track_caller]
pub fn random() -> u64 {
    crate::sys::context::expect_runtime(try_random(), "random")
}
