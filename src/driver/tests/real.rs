//! The ring over the kernel, with entries that no operation of the crate has.

use std::sync::Arc;
use std::time::Duration;

use crate::driver::feature::{Feature, FeatureSet};
use crate::driver::poll_mode::{Deadline, Deferred, PollMode};
use crate::driver::proactor::kernel::{Kernel, RingConfig};
use crate::driver::proactor::ring::Ring;
use crate::driver::proactor::uring::Uring;
use crate::driver::slots::arena::Slots;
use crate::driver::stats::Stats;
use crate::op::Op;
use crate::task::threads::inbox::Shared;

use super::scripted::*;

/// The ring over the real kernel.
struct Real {
    ring: Ring<Uring>,
    shared: Arc<Shared>,
    slots: Slots,
    stats: Stats,
    deferred: Deferred,
}

impl Real {
    /// `None`, with the reason printed, where the kernel refuses it.
    fn new(masked: FeatureSet) -> Option<Self> {
        let opened = Uring::open(RingConfig { entries: 64, masked, ..RingConfig::default() });
        let required = std::env::var_os("PROACTOR_REQUIRE_URING").is_some_and(|value| value == "1");
        if let (Err(refused), false) = (&opened, required) {
            eprintln!("not tested: {refused}");
            return None;
        }
        let (uring, granted) = opened.unwrap();
        assert!(granted.features.iter().all(|feature| !masked.has(feature)));
        let shared = Shared::new().unwrap();
        let ring = Ring::new(uring, shared.clone(), true);
        Some(Real {
            ring,
            shared,
            slots: Slots::new(),
            stats: Stats::default(),
            deferred: Deferred::default(),
        })
    }

    fn poll_kernel(&mut self, mode: PollMode) {
        self.ring.poll_kernel(mode, &self.slots, &self.stats, &mut self.deferred).unwrap();
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.ring.disarm_wake(&self.slots, &self.stats, &mut self.deferred);
    }
}

#[test]
#[cfg_attr(miri, ignore = "the real io_uring")]
fn t50_bad_entries_in_a_batch_strand_nothing() {
    for masked in [FeatureSet::default(), FeatureSet::default().with(Feature::SubmitAll)] {
        let Some(mut real) = Real::new(masked) else { return };
        // Bad ones first, last, alone and in a row: a flag that the operation does not know, and credentials
        // that are not registered.
        let entries = (0..30).map(|number| {
            let good = io_uring::opcode::Nop::new().build();
            match number % 7 {
                0 | 3 => (good.flags(io_uring::squeue::Flags::BUFFER_SELECT), -libc::EOPNOTSUPP),
                1 | 5 => (good.personality(999), -libc::EINVAL),
                _ => (good, 0),
            }
        });
        let (log, mut keys) = (Log::default(), Vec::new());
        for (entry, result) in entries {
            let inserted = real.slots.insert(Probe::<SINGLE>(log.clone(), [1; 40]), None, None);
            real.ring.submit(inserted, entry, &real.stats);
            keys.push((inserted.key(), result));
        }
        real.poll_kernel(PollMode::NoWait);
        for (key, result) in keys {
            // SAFETY: inserted with this type.
            let taken = real.slots.find(key).and_then(|done| unsafe { done.take::<Probe<SINGLE>>() });
            let answer = taken.map(|(op, completion, _)| op.complete(completion));
            assert_eq!(answer, Some(result), "one visit has handed over everything ({masked:?})");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "the real io_uring")]
fn t40_a_wake_arrives_after_the_read_of_it_was_cancelled() {
    let Some(mut real) = Real::new(FeatureSet::default()) else { return };
    for _ in 0..20 {
        real.poll_kernel(PollMode::NoWait);
        let ended = real.ring.own_operation().unwrap();
        let cancel = io_uring::opcode::AsyncCancel::new(ended.pack()).build().user_data(CANCEL);
        // SAFETY: a cancel points to nothing.
        assert!(unsafe { real.ring.kernel.push(&cancel) });
        while real.ring.own_operation() == Some(ended) {
            real.poll_kernel(PollMode::NoWait);
        }
        assert!(real.shared.park(true));
        let shared = real.shared.clone();
        let waking = std::thread::spawn(move || shared.post(|_| ()).is_ok());
        // The timeout ends a wait without a wake-up.
        let before = real.stats.completions.get();
        while real.stats.completions.get() == before {
            let began = std::time::Instant::now();
            real.poll_kernel(PollMode::Wait(Deadline::After(Duration::from_secs(20))));
            assert!(began.elapsed() < Duration::from_secs(20), "the wake did not arrive");
        }
        real.shared.awake();
        assert!(waking.join().unwrap());
        real.shared.deliver();
    }
}
