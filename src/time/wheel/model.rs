//! The wheel beside an ordered map: both must fire the same timers at the same times.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::{T, advance};
use super::ticks::tick_at_or_after;
use super::{TimerKey, Wheel};

#[derive(Clone, Debug)]
enum Op {
    /// A deadline this long after (or before) the current time.
    InsertAfter(u64),
    InsertBefore(u64),
    /// The same deadline as an earlier timer's, which may be past.
    InsertEqual(prop::sample::Index),
    InsertAt(u64),
    /// A duration that counts from the next `Resolve`.
    InsertLater(u64),
    Resolve,
    /// Any key ever handed out, so stale ones too.
    Remove(prop::sample::Index),
    Advance(u64),
    AdvanceToExpiry,
}

/// As many small spans as large ones, and many whole ticks.
fn span(bits: std::ops::Range<u32>) -> impl Strategy<Value = u64> {
    (bits, any::<u64>(), any::<bool>()).prop_map(|(bits, random, whole)| {
        let span = random % (1 << bits);
        if whole { span / T * T } else { span }
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => span(0..45).prop_map(Op::InsertAfter),
        1 => span(45..64).prop_map(Op::InsertAfter),
        1 => span(0..30).prop_map(Op::InsertBefore),
        3 => any::<prop::sample::Index>().prop_map(Op::InsertEqual),
        1 => (u64::MAX - 3 * T..=u64::MAX).prop_map(Op::InsertAt),
        4 => span(0..45).prop_map(Op::InsertLater),
        1 => (u64::MAX - 3 * T..=u64::MAX).prop_map(Op::InsertLater),
        2 => Just(Op::Resolve),
        4 => any::<prop::sample::Index>().prop_map(Op::Remove),
        5 => span(0..40).prop_map(Op::Advance),
        1 => span(40..60).prop_map(Op::Advance),
        3 => Just(Op::AdvanceToExpiry),
    ]
}

/// The wheel beside an ordered map that specifies the behaviour. A
/// timer's payload is its insertion number.
struct Model {
    wheel: Wheel<usize>,
    now: u64,
    issued: Vec<(u64, TimerKey)>,
    /// (deadline, insertion number) to the time by which it must fire.
    live: BTreeMap<(u64, usize), u64>,
    /// Durations of the relative timers.
    relative: BTreeMap<usize, u64>,
}

impl Model {
    fn insert(&mut self, deadline: u64) {
        let number = self.issued.len();
        let key = self.wheel.insert(deadline, number);
        self.issued.push((deadline, key));
        self.live.insert((deadline, number), self.latest(deadline));
    }

    fn latest(&self, deadline: u64) -> u64 {
        let late = deadline <= self.now;
        let rounded = tick_at_or_after(deadline).saturating_mul(T);
        if late { self.now } else { rounded }
    }

    fn insert_later(&mut self, duration: u64) {
        let number = self.issued.len();
        let key = self.wheel.insert_after(duration, number);
        self.issued.push((u64::MAX, key));
        self.relative.insert(number, duration);
    }

    /// Gives relative timers their deadlines.
    fn resolved(&mut self, at: u64) {
        for (number, duration) in std::mem::take(&mut self.relative) {
            let deadline = at.saturating_add(duration);
            self.issued[number].0 = deadline;
            self.live.insert((deadline, number), self.latest(deadline));
        }
    }

    fn remove(&mut self, number: usize) {
        let (deadline, key) = self.issued[number];
        let relative = self.relative.remove(&number).is_some();
        let expected = (self.live.remove(&(deadline, number)).is_some() || relative).then_some(number);
        assert_eq!(self.wheel.get_mut(key).copied(), expected);
        assert_eq!(self.wheel.remove(key), expected);
        assert_eq!(self.wheel.remove(key), None);
    }

    fn advance(&mut self, now: u64) {
        self.resolved(now);
        self.now = now;
        let fired: Vec<_> =
            advance(&mut self.wheel, now).into_iter().map(|number| (self.issued[number].0, number)).collect();
        assert!(fired.is_sorted(), "out of order: {fired:?}");
        for timer in fired {
            assert!(timer.0 <= now, "{timer:?} is early at {now}");
            assert!(self.live.remove(&timer).is_some(), "{timer:?} is gone");
        }
        let missed = self.live.iter().find(|&(_, &latest)| latest <= now);
        assert_eq!(missed, None, "at {now}");
        // A loop that sleeps until the next expiry makes progress.
        assert!(self.wheel.next_expiry(0).is_none_or(|expiry| expiry > now));
    }

    fn check(&self) {
        assert_eq!(self.wheel.len(), self.live.len() + self.relative.len());
        assert_eq!(self.wheel.has_relative(), !self.relative.is_empty());
        let expiry = self.wheel.next_expiry(0);
        assert_eq!(expiry.is_none(), self.live.is_empty());
        if let Some(expiry) = expiry {
            assert!(self.live.values().all(|&latest| expiry <= latest));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 128 }))]

    #[test]
    fn agrees_with_an_ordered_map(ops in prop::collection::vec(op(), 1..200)) {
        let mut model = Model {
            wheel: Wheel::new(),
            now: 0,
            issued: Vec::new(),
            live: BTreeMap::new(),
            relative: BTreeMap::new(),
        };
        for op in ops {
            let (now, issued) = (model.now, model.issued.len());
            match op {
                Op::InsertAfter(span) => model.insert(now.saturating_add(span)),
                Op::InsertBefore(span) => model.insert(now.saturating_sub(span)),
                Op::InsertAt(deadline) => model.insert(deadline),
                Op::InsertLater(duration) => model.insert_later(duration),
                Op::Resolve => {
                    model.wheel.resolve_relative(now);
                    model.resolved(now);
                }
                Op::Advance(span) => model.advance(now.saturating_add(span)),
                Op::AdvanceToExpiry => {
                    let expiry = model.wheel.next_expiry(0);
                    model.advance(expiry.map_or(now, |expiry| expiry.max(now)));
                }
                Op::InsertEqual(_) | Op::Remove(_) if issued == 0 => {}
                Op::InsertEqual(which) => model.insert(model.issued[which.index(issued)].0),
                Op::Remove(which) => model.remove(which.index(issued)),
            }
            model.check();
        }
        model.advance(u64::MAX);
        model.check();
        assert!(model.live.is_empty(), "lost: {:?}", model.live);
        assert!(model.issued.iter().all(|&(_, key)| model.wheel.get_mut(key).is_none()));
    }
}
