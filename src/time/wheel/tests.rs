//! Unit tests of the wheel.
#![forbid(unsafe_code)]

use super::ticks::LEVELS;
use super::*;

pub(super) const T: u64 = TICK_NS;
const SECOND: u64 = 1_000_000_000;

pub(super) fn advance<W>(wheel: &mut Wheel<W>, now_ns: u64) -> Vec<W> {
    let mut fired = Vec::new();
    wheel.advance(now_ns, &mut fired);
    fired
}

#[test]
fn a_zero_deadline_fires_at_the_first_advance() {
    let mut wheel = Wheel::new();
    wheel.insert(0, 'a');
    assert_eq!(wheel.next_expiry(0), Some(0));
    assert_eq!(advance(&mut wheel, 0), ['a']);
    assert!(wheel.is_empty());
    assert_eq!(wheel.next_expiry(0), None);
}

#[test]
fn a_past_deadline_fires_at_the_next_advance() {
    let mut wheel = Wheel::new();
    let now = 5 * T + 700;
    assert_eq!(advance(&mut wheel, now), []);
    // Long past, in the current tick, and now: the latter two round up to
    // a tick to come.
    wheel.insert(now, 'c');
    wheel.insert(5 * T + 1, 'b');
    wheel.insert(3, 'a');
    assert!(wheel.next_expiry(0).unwrap() <= now);
    assert_eq!(advance(&mut wheel, now), ['a', 'b', 'c']);
}

#[test]
fn a_deadline_that_passes_before_the_next_advance_fires_there() {
    // The second: the tick after the current one is on the next level.
    for tick in [5, 255] {
        let mut wheel = Wheel::new();
        advance(&mut wheel, 3 * T);
        wheel.insert(tick * T + 800, 'd');
        wheel.insert(tick * T + 2, 'b');
        wheel.insert((tick + 1) * T + 1, 'f');
        wheel.insert(tick * T, 'a');
        wheel.resolve_relative(tick * T + 600);
        wheel.insert_after(0, 'c');
        wheel.resolve_relative(tick * T + 600);
        assert_eq!(advance(&mut wheel, tick * T + 700), ['a', 'b', 'c']);
        assert_eq!(advance(&mut wheel, tick * T + 801), [], "armed before: it has time until the tick ends");
        wheel.insert_after(0, 'e');
        assert_eq!(advance(&mut wheel, tick * T + 900), ['d', 'e']);
        assert_eq!(advance(&mut wheel, (tick + 1) * T), []);
        assert_eq!(advance(&mut wheel, (tick + 2) * T), ['f']);
    }
}

#[test]
fn a_timer_armed_late_keeps_its_place_among_equals() {
    let mut wheel = Wheel::new();
    wheel.insert(5 * T + 600, 'b');
    wheel.insert(5 * T + 500, 'a');
    advance(&mut wheel, 5 * T);
    advance(&mut wheel, 5 * T + 700);
    assert_eq!(wheel.len(), 2, "rounded up, so not due yet");
    // Due in the slot before theirs, yet the last of the three.
    wheel.insert(5 * T + 600, 'c');
    assert_eq!(advance(&mut wheel, 6 * T), ['a', 'b', 'c']);
}

#[test]
fn a_duration_counts_from_the_time_of_resolving() {
    let mut wheel = Wheel::new();
    assert!(!wheel.has_relative());
    let dropped = wheel.insert_after(0, 'x');
    wheel.insert_after(2 * T, 'b');
    let other = wheel.insert_after(2 * T, 'y');
    wheel.insert_after(T, 'a');
    assert!(wheel.has_relative());
    assert_eq!((wheel.remove(dropped), wheel.len()), (Some('x'), 3));
    assert_eq!(wheel.next_expiry(0), None, "they have no time yet");
    wheel.resolve_relative(10 * T);
    assert!(!wheel.has_relative());
    assert_eq!(wheel.next_expiry(0), Some(11 * T));
    assert_eq!(wheel.remove(other), Some('y'));
    assert_eq!(advance(&mut wheel, 11 * T - 1), []);
    wheel.insert_after(0, 'c'); // an advance resolves as well
    wheel.insert_after(u64::MAX, 'd');
    assert_eq!(advance(&mut wheel, 12 * T), ['a', 'b', 'c']);
    assert_eq!(wheel.clear(), ['d']);
    assert!(!wheel.has_relative());
}

#[test]
fn an_expiry_gathers_timers_that_follow_soon() {
    let mut wheel = Wheel::new();
    let first = wheel.insert(9 * T, ());
    assert_eq!(wheel.next_expiry(3), Some(9 * T), "alone, it is not kept waiting");
    wheel.insert(13 * T, ());
    assert_eq!(wheel.next_expiry(3), Some(9 * T));
    wheel.insert(11 * T, ());
    wheel.insert(12 * T, ());
    assert_eq!((wheel.next_expiry(0), wheel.next_expiry(3)), (Some(9 * T), Some(12 * T)));
    wheel.remove(first);
    assert_eq!(wheel.next_expiry(3), Some(13 * T));
    // The lowest level ends before the next timer, which is not known exactly.
    let mut wheel = Wheel::new();
    wheel.insert(255 * T, ());
    wheel.insert(256 * T, ());
    assert_eq!(wheel.next_expiry(3), Some(255 * T));
}

#[test]
fn never_early_by_a_nanosecond() {
    for deadline in [1, T - 1, T, T + 1, 256 * T, 256 * T + 1, SECOND, 1 << 62] {
        let mut wheel = Wheel::new();
        wheel.insert(deadline, ());
        assert!(advance(&mut wheel, deadline - 1).is_empty());
        let rounded = tick_at_or_after(deadline) * T;
        assert_eq!(advance(&mut wheel, rounded).len(), 1, "{deadline}");
    }
}

#[test]
fn the_whole_range_of_u64_works() {
    let mut wheel = Wheel::new();
    let deadlines = [u64::MAX, u64::MAX - 1, u64::MAX - T, 3 << 62, 1 << 62, 1];
    for deadline in deadlines {
        wheel.insert(deadline, deadline);
    }
    assert_eq!(advance(&mut wheel, 1 << 62), [1, 1 << 62]);
    assert_eq!(advance(&mut wheel, (3 << 62) - 1), []);
    assert_eq!(advance(&mut wheel, 3 << 62), [3 << 62]);
    // The last two ticks: the first fires at its end, the other one only
    // at the last instant.
    assert_eq!(advance(&mut wheel, u64::MAX - 1), [u64::MAX - T]);
    assert_eq!(wheel.next_expiry(0), Some(u64::MAX));
    assert_eq!(advance(&mut wheel, u64::MAX), [u64::MAX - 1, u64::MAX]);
    wheel.insert(u64::MAX, 7);
    assert_eq!(advance(&mut wheel, u64::MAX), [7]);
}

#[test]
fn one_tick_fires_by_deadline_then_insertion() {
    let mut wheel = Wheel::new();
    for (deadline, name) in [(9, 'd'), (7, 'b'), (9, 'e'), (8, 'c'), (1, 'a'), (9, 'f')] {
        wheel.insert(deadline, name);
    }
    let fired = advance(&mut wheel, T);
    assert_eq!(fired, ['a', 'b', 'c', 'd', 'e', 'f']);
}

#[test]
fn order_holds_across_cascades() {
    // One deadline, armed from ever closer: each starts on another level.
    let deadline = (1 << 40) * T + 5;
    let mut wheel = Wheel::new();
    for (name, before) in [1 << 39, 1 << 30, 1 << 20, 1 << 10, 3].into_iter().enumerate() {
        advance(&mut wheel, deadline - before * T);
        wheel.insert(deadline, name);
        wheel.insert(deadline + 1, name + 10);
    }
    assert_eq!(advance(&mut wheel, deadline - 1), []);
    let fired = advance(&mut wheel, deadline + T);
    assert_eq!(fired, [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]);
}

#[test]
fn order_survives_the_wrap_of_the_generations() {
    let mut wheel = Wheel::new();
    wheel.newest = NonZeroU32::new(u32::MAX - 2).unwrap();
    let keys: Vec<_> = (0..6).map(|name| wheel.insert(5, name)).collect();
    assert_eq!(wheel.get_mut(keys[5]), Some(&mut 5));
    assert_eq!(advance(&mut wheel, T), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn cancelling_all_leaves_nothing() {
    let mut wheel = Wheel::new();
    let keys: Vec<_> = (0..1000).map(|i| wheel.insert(i * i * i * 977, i)).collect();
    // Back to front for one half, front to back for the other: heads,
    // tails and middles of lists.
    for (i, &key) in keys.iter().enumerate().skip(500) {
        assert_eq!(wheel.remove(key), Some(i as u64));
    }
    for (i, &key) in keys.iter().enumerate().take(500).rev() {
        assert_eq!(wheel.remove(key), Some(i as u64));
    }
    assert_eq!((wheel.len(), wheel.next_expiry(0)), (0, None));
    assert!(wheel.heads.iter().flatten().all(|&head| head == NIL));
    assert_eq!(advance(&mut wheel, u64::MAX), []);
}

#[test]
fn clear_hands_back_every_payload() {
    let mut wheel = Wheel::new();
    let old = wheel.insert(SECOND, 0);
    wheel.insert(3, 1);
    let mut payloads = wheel.clear();
    payloads.sort_unstable();
    assert_eq!(payloads, [0, 1]);
    assert_eq!((wheel.len(), wheel.next_expiry(0)), (0, None));
    wheel.insert(SECOND, 2);
    assert_eq!(wheel.remove(old), None);
    assert_eq!(advance(&mut wheel, 2 * SECOND), [2]);
}

#[test]
fn a_stale_key_finds_nothing() {
    let mut wheel = Wheel::new();
    let removed = wheel.insert(SECOND, 'a');
    assert_eq!(wheel.remove(removed), Some('a'));
    let fired = wheel.insert(1, 'b');
    assert_eq!(advance(&mut wheel, T), ['b']);
    let live = wheel.insert(SECOND, 'c');
    assert!(removed.index == live.index && fired.index == live.index);
    for stale in [removed, fired] {
        assert_eq!(wheel.get_mut(stale), None);
        assert_eq!(wheel.remove(stale), None);
    }
    *wheel.get_mut(live).unwrap() = 'd';
    assert_eq!(wheel.remove(live), Some('d'));
}

#[test]
fn time_does_not_run_backwards() {
    let mut wheel = Wheel::new();
    advance(&mut wheel, SECOND);
    wheel.insert(10, 'a');
    assert_eq!(advance(&mut wheel, 5), []);
    assert_eq!(advance(&mut wheel, SECOND), ['a']);
}

#[test]
fn following_next_visit_fires_on_time_with_few_visits() {
    for bits in 0..64 {
        let deadline = 0xb5ad_4ece_da1c_e2a9 >> bits;
        let mut wheel = Wheel::new();
        wheel.insert(deadline, ());
        let mut advances = 0;
        while let Some(expiry) = wheel.next_expiry(0) {
            advances += 1;
            let fires = !advance(&mut wheel, expiry).is_empty();
            let rounded = tick_at_or_after(deadline) * T;
            assert_eq!(fires, expiry == rounded, "{deadline} at {expiry}");
        }
        assert!(advances <= LEVELS, "{advances} advances for {deadline}");
    }
}

#[test]
fn a_long_gap_costs_no_walk_over_empty_slots() {
    // 2^50 ticks per round: a walk would not end.
    for _ in 0..1000 {
        let mut wheel = Wheel::new();
        wheel.insert(1, 'a');
        wheel.insert(u64::MAX - T, 'b');
        assert_eq!(advance(&mut wheel, u64::MAX - 1), ['a', 'b']);
    }
}

#[test]
fn next_visit_is_exact_on_the_lowest_level_and_after_a_removal() {
    let mut wheel = Wheel::new();
    let near = wheel.insert(3 * T + 1, ());
    wheel.insert(9 * T, ());
    let far = wheel.insert(SECOND, ());
    assert_eq!(wheel.next_expiry(0), Some(4 * T));
    wheel.remove(near);
    assert_eq!(wheel.next_expiry(0), Some(9 * T));
    assert_eq!(advance(&mut wheel, 9 * T).len(), 1);
    let expiry = wheel.next_expiry(0).unwrap();
    assert!(9 * T < expiry && expiry <= SECOND);
    wheel.remove(far);
    assert_eq!(wheel.next_expiry(0), None);
}

#[test]
fn an_entry_is_small() {
    use std::task::Waker;
    let entry = size_of::<Option<Entry<Option<Waker>>>>();
    assert_eq!(entry, 24 + size_of::<Waker>());
    assert_eq!(size_of::<Option<TimerKey>>(), 8);
}
