//! Random numbers of a runtime: SplitMix64 (Steele, Lea and Flood 2014).
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::rc::Rc;

use super::context::{self, Context, Entered};

thread_local! {
    static CURRENT: Context<Rng> = const { Context::new() };
}

#[derive(Debug)]
pub(crate) struct Rng {
    state: Cell<u64>,
    /// The next number, computed in advance, so that the caller does not wait for the multiplications.
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

/// Returns the next random number of the thread's runtime, if there is one.
#[inline]
pub(crate) fn try_random() -> Option<u64> {
    context::with(&CURRENT, |current| current.map(Rng::next))
}
