//! The runtime's own random numbers: SplitMix64 (Steele, Lea and Flood 2014), begun at `Config::seed`, or at a random seed.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;

use crate::sys::context::{self, Context, Entered};

thread_local! {
    static CURRENT: Context<Rng> = const { Context::new() };
}

#[derive(Debug)]
pub(crate) struct Rng {
    state: Cell<u64>,
    /// The next number. It is computed in advance, so that the caller does not wait for the multiplications.
    next: Cell<u64>,
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Rc<Self> {
        let rng = Rng { state: Cell::new(seed), next: Cell::new(0) };
        rng.next();
        Rc::new(rng)
    }

    pub(crate) fn enter(self: Rc<Self>) -> Entered<Rng> {
        context::enter(&CURRENT, self)
    }

    #[inline]
    fn next(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.next.replace(mixed ^ (mixed >> 31))
    }
}

/// Returns a random seed. The keys of `RandomState` come from getrandom(2); the process id makes the seed of a fork, which
/// inherits the keys, differ from that of its parent.
pub(super) fn random_seed() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

/// The next of the runtime's random numbers. Do not use them for secrets.
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
    crate::task::expect_runtime(try_random(), "random")
}

/// [`random`], if there is a runtime.
#[inline]
pub(crate) fn try_random() -> Option<u64> {
    context::with(&CURRENT, |current| current.map(Rng::next))
}
