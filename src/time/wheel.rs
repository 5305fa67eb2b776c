//! The timing wheel: which timers are due, and when to look next.
//!
//! A runtime keeps one timer per pending sleep and per pending timeout. Nearly
//! all timeouts are dropped before they fire, so arming and disarming have to
//! cost O(1), and neither may allocate once the arena has grown to its working
//! size. A heap or a tree pays O(log n) for both. This is the hierarchical
//! timing wheel of Varghese and Lauck (SOSP '87) instead.
//!
//! What this module does not know: the clock (time is a `u64` of nanoseconds
//! since an epoch that the caller chose), wakers, and futures. A payload is a
//! `W`; it is handed back when its time has come, and no code of `W` runs in
//! here, not even its destructor.
//!
//! # Shape
//!
//! Time is cut into ticks of 2^14 ns, and a tick number is read as base-256
//! digits, one level per digit. A timer lives on the level of the *highest
//! digit in which its tick differs from the current tick*, in the slot that
//! this digit names. Three facts follow, and everything below leans on them:
//!
//! * A slot is never behind the current tick and never wraps around, so the
//!   first set bit of a level's bitmap is the level's earliest slot.
//! * Everything on a level is earlier than anything on the level above it, so
//!   the first occupied slot of the first occupied level is the next to visit.
//! * When time moves from one tick to another, the slots passed are all those
//!   on the levels below the highest digit that changes, and on that digit's
//!   own level those up to the new digit. Only the last of these can hold
//!   timers that are still to come, so one advance touches a timer at most
//!   once, however long the gap was.
//!
//! Six digits of eight bits reach 2^62 ns (146 years). The rest of `u64` takes
//! a seventh digit that is never above 4; five more slots for it are cheaper
//! than a special case for deadlines beyond the top level.
//!
//! The order within a slot means nothing: timers are pushed at the head of a
//! list, and what an advance fires is sorted by deadline and age afterwards.
//! The age comes with the key: generations are drawn from one counter for the
//! whole wheel, which makes them insertion numbers too.
//!
//! A deadline may also be given as a duration from a time that is yet to come:
//! the caller looks at the clock once for all of them, and *anchors* them. Until
//! then they are in a slot of their own, of no time. So arming one needs no
//! look at the clock, and one that is disarmed before never had any.
//!
//! With a million timers every entry is a cache miss, and a list makes each
//! miss wait for the one before. So a slot is not one list but several (the
//! lanes), emptied side by side, and the free entries are a stack of indices
//! rather than a list threaded through the entries (as in the `slab` crate).
#![forbid(unsafe_code)]

use std::num::NonZeroU32;

/// A tick is 2^14 ns = 16.4 µs: finer than the kernel's own timer slack
/// (50 µs), and coarse enough that a slot gathers timers worth one wakeup.
const TICK_BITS: u32 = 14;
const TICK_NS: u64 = 1 << TICK_BITS;

const DIGIT_BITS: u32 = 8;
const SLOTS_PER_LEVEL: usize = 1 << DIGIT_BITS;
const LEVELS: usize = 7;

/// The tick that the latest deadline, `u64::MAX`, rounds up to.
const LAST_TICK: u64 = 1 << (u64::BITS - TICK_BITS);
/// The top level stops at the largest digit that a tick can have there.
const SLOTS: usize =
    (LEVELS - 1) * SLOTS_PER_LEVEL + (LAST_TICK >> ((LEVELS - 1) as u32 * DIGIT_BITS)) as usize + 1;

/// The slot of what is not anchored yet.
const FRESH: usize = SLOTS;

/// Lists per slot: how many cache misses can be under way while one is emptied.
/// With a million timers, 8 takes a third off the cost of one list; 16 gains a
/// little more there, but costs it again wherever a slot holds one timer.
const LANES: usize = 8;

/// End of a list. Also why the arena stops one short of 2^32 entries.
const NIL: u32 = u32::MAX;
/// The message of `expect` where an index leads to an entry: a list or a checked key led to the index.
const LINKED: &str = "a linked entry is armed";
/// `Wheel::next` of an empty wheel; later than any tick.
const NEVER: u64 = u64::MAX;

/// Names one armed timer. A key outlives its timer harmlessly: once the timer
/// has fired or was removed, the key finds nothing.
///
/// (Generations repeat after 2^32 insertions. A stale key then finds a timer
/// only if the very insertion that repeats its generation lands on its index.)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimerKey {
    index: u32,
    /// Non-zero so that an `Option<TimerKey>` is no larger than a key.
    generation: NonZeroU32,
}

struct Entry<W> {
    deadline_ns: u64,
    prev: u32,
    next: u32,
    /// The niche in here also makes an `Option<Entry>` no larger than an entry.
    generation: NonZeroU32,
    /// Index into `Wheel::heads`. Sits in what would be padding otherwise.
    slot: u16,
    payload: W,
}

pub(crate) struct Wheel<W> {
    /// The arena. It never shrinks.
    entries: Vec<Option<Entry<W>>>,
    /// Indices of the entries that are `None`.
    free: Vec<u32>,
    /// First entries of each slot's lists, level after level. An entry is in
    /// the lane that its index gives.
    heads: Box<[[u32; LANES]]>,
    /// One bit per slot, set while it is not empty.
    occupied: [[u64; SLOTS_PER_LEVEL / 64]; LEVELS],
    /// One bit per level, set while it has an occupied slot.
    levels: u32,
    /// First tick of the earliest occupied slot, or `NEVER`. Always exact, so
    /// an advance with nothing to do is one comparison.
    next: u64,
    /// Time of the latest advance, in nanoseconds and as the tick it lies in.
    now_ns: u64,
    now_tick: u64,
    /// The earliest deadline that was set since the latest advance.
    soonest_ns: u64,
    /// Generation of the latest insertion.
    newest: NonZeroU32,
    /// Timers that the advance in progress fires, as (deadline, rank, payload);
    /// a field only so that its memory is kept. Empty between advances.
    due: Vec<(u64, u32, W)>,
}

impl<W> Wheel<W> {
    pub(crate) fn new() -> Self {
        Wheel {
            entries: Vec::new(),
            free: Vec::new(),
            heads: vec![[NIL; LANES]; SLOTS + 1].into_boxed_slice(),
            occupied: [[0; SLOTS_PER_LEVEL / 64]; LEVELS],
            levels: 0,
            next: NEVER,
            now_ns: 0,
            now_tick: 0,
            soonest_ns: u64::MAX,
            newest: NonZeroU32::MIN,
            due: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Arms a timer. It fires at the first advance to its deadline rounded up
    /// to a tick or later; if the next advance has reached the deadline, at
    /// that one.
    pub(crate) fn insert(&mut self, deadline_ns: u64, payload: W) -> TimerKey {
        let key = self.enter(deadline_ns, payload);
        self.schedule(key.index, deadline_ns);
        key
    }

    /// Arms a timer whose deadline lies so long after the next [`anchor`](Self::anchor).
    pub(crate) fn insert_after(&mut self, duration_ns: u64, payload: W) -> TimerKey {
        let key = self.enter(duration_ns, payload);
        self.link_into(key.index, FRESH);
        key
    }

    /// Whether there are timers that wait for the next anchor.
    pub(crate) fn has_fresh(&self) -> bool {
        self.heads[FRESH] != [NIL; LANES]
    }

    /// Says that it is now `now_ns`, which is not before the latest advance, to all timers that wait for it.
    pub(crate) fn anchor(&mut self, now_ns: u64) {
        for lane in std::mem::replace(&mut self.heads[FRESH], [NIL; LANES]) {
            let mut index = lane;
            while index != NIL {
                let entry = self.entry(index);
                let next = entry.next;
                let deadline_ns = now_ns.saturating_add(entry.deadline_ns);
                entry.deadline_ns = deadline_ns;
                self.schedule(index, deadline_ns);
                index = next;
            }
        }
    }

    /// Puts an entry into its slot. A past deadline may still round up to a tick to come, when it lies in the
    /// current one; it must not wait for that.
    fn schedule(&mut self, index: u32, deadline_ns: u64) {
        let late = deadline_ns <= self.now_ns;
        self.link(index, if late { self.now_tick } else { tick_at_or_after(deadline_ns) });
        // Whether it had passed as well is known at the next advance, which has looked at the clock.
        self.soonest_ns = self.soonest_ns.min(deadline_ns);
    }

    /// Takes an entry into the arena, but into no slot.
    fn enter(&mut self, deadline_ns: u64, payload: W) -> TimerKey {
        let generation = self.newest.checked_add(1).unwrap_or(NonZeroU32::MIN);
        self.newest = generation;
        let entry = Some(Entry { deadline_ns, prev: NIL, next: NIL, generation, slot: 0, payload });
        let index = if let Some(index) = self.free.pop() {
            self.entries[index as usize] = entry;
            index
        } else {
            let index = u32::try_from(self.entries.len()).unwrap_or(NIL);
            assert!(index != NIL, "more than 2^32 - 1 timers are armed");
            self.entries.push(entry);
            index
        };
        TimerKey { index, generation }
    }

    /// The payload of a timer that is still armed.
    pub(crate) fn get_mut(&mut self, key: TimerKey) -> Option<&mut W> {
        let entry = self.entries.get_mut(key.index as usize)?.as_mut()?;
        (entry.generation == key.generation).then_some(&mut entry.payload)
    }

    /// Disarms a timer and frees its entry at once.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<W> {
        self.get_mut(key)?;
        let &mut Entry { prev, next, slot, .. } = self.entry(key.index);
        if next != NIL {
            self.entry(next).prev = prev;
        }
        if prev != NIL {
            self.entry(prev).next = next;
        } else {
            let lanes = &mut self.heads[slot as usize];
            lanes[key.index as usize % LANES] = next;
            if next == NIL && *lanes == [NIL; LANES] && slot as usize != FRESH {
                self.mark_empty(slot as usize);
                self.next = self.first_occupied_tick();
            }
        }
        Some(self.take(key.index))
    }

    /// When the next advance has work to do: the earliest deadline, rounded up
    /// to a tick, if that is near (on the lowest level), else the start of the
    /// slot that holds it. Never later than any timer's firing time. A caller
    /// that sleeps until then and advances wakes at most once per level and
    /// slot for nothing.
    ///
    /// With `gather`, timers that are due up to so many ticks after the first may
    /// make it wait for them: for the last one of these that is known exactly.
    ///
    /// What is not anchored is not asked.
    pub(crate) fn next_visit(&self, gather: u64) -> Option<u64> {
        if self.next == NEVER {
            return None;
        }
        let mut tick = self.next;
        if gather > 0 && self.levels & 1 != 0 {
            let above = tick >> DIGIT_BITS << DIGIT_BITS;
            let (first, last) = (digit(tick, 0), SLOTS_PER_LEVEL - 1);
            let last = last.min(first + gather as usize);
            let occupied = |slot: &usize| self.occupied[0][slot / 64] & 1 << (slot % 64) != 0;
            tick = above | (first..=last).rev().find(occupied).unwrap_or(first) as u64;
        }
        // Saturating, because `LAST_TICK` starts just past the end of `u64`.
        Some(tick.saturating_mul(TICK_NS))
    }

    /// Moves time to `now_ns` and appends the payloads of all timers due by
    /// then, ordered by deadline and, among equal deadlines, by insertion.
    /// (Insertion numbers wrap: of two timers with the same deadline, one that
    /// is 2^32 insertions old may come second.)
    ///
    /// A `now_ns` before that of an earlier advance does nothing.
    pub(crate) fn advance(&mut self, now_ns: u64, fired: &mut Vec<W>) {
        if now_ns < self.now_ns {
            return;
        }
        self.anchor(now_ns);
        let now_tick = tick_at_or_before(now_ns);
        self.now_ns = now_ns;
        let then = std::mem::replace(&mut self.now_tick, now_tick);
        let soonest_ns = std::mem::replace(&mut self.soonest_ns, u64::MAX);
        // Before the first occupied slot no timer's level depends on which of
        // the ticks is current, so time may move without touching any.
        if now_tick < self.next && now_ns < soonest_ns {
            return;
        }
        let changed = level_of(then ^ now_tick);
        for level in 0..=changed {
            let last = if level == changed { digit(now_tick, level) } else { SLOTS_PER_LEVEL - 1 };
            while let Some(slot) = self.first_occupied(level).filter(|&slot| slot <= last) {
                self.empty_slot(level * SLOTS_PER_LEVEL + slot);
            }
        }
        if soonest_ns <= now_ns {
            self.empty_current();
        }
        self.next = self.first_occupied_tick();

        // Already in order, and then this is one pass, unless a timer was
        // armed late: its slot comes first, whatever its deadline.
        sort(&mut self.due);
        fired.extend(self.due.drain(..).map(|(_, _, payload)| payload));
    }

    /// Disarms everything. The payloads come back, in no order, for the caller
    /// to drop: their destructors may well reach for the wheel again.
    pub(crate) fn clear(&mut self) -> Vec<W> {
        self.heads.fill([NIL; LANES]);
        self.occupied = Default::default();
        self.levels = 0;
        self.next = NEVER;
        // `newest` stays: the old keys must not fit the timers to come.
        self.free.clear();
        let entries = self.entries.drain(..).flatten();
        entries.map(|entry| entry.payload).collect()
    }

    /// Puts an entry, which is in no list, into the slot for `tick`, which is not before `now_tick`.
    fn link(&mut self, index: u32, tick: u64) {
        let level = level_of(tick ^ self.now_tick);
        let digit = digit(tick, level);
        if self.link_into(index, level * SLOTS_PER_LEVEL + digit) {
            self.occupied[level][digit / 64] |= 1 << (digit % 64);
            self.levels |= 1 << level;
            let shift = level as u32 * DIGIT_BITS;
            self.next = self.next.min(tick >> shift << shift);
        }
    }

    /// Puts an entry at the head of one of a slot's lists. True if that was empty.
    fn link_into(&mut self, index: u32, slot: usize) -> bool {
        let lane = index as usize % LANES;
        let head = std::mem::replace(&mut self.heads[slot][lane], index);
        if head != NIL {
            self.entry(head).prev = index;
        }
        let entry = self.entry(index);
        entry.prev = NIL;
        entry.next = head;
        entry.slot = slot as u16;
        head == NIL
    }

    /// Moves a slot's timers to `due`, in order, except those still to come:
    /// these cascade to the level that the new time gives them, a lower one.
    fn empty_slot(&mut self, slot: usize) {
        let start = self.due.len();
        self.mark_empty(slot);
        let mut lanes = std::mem::replace(&mut self.heads[slot], [NIL; LANES]);
        while lanes != [NIL; LANES] {
            for lane in lanes.iter_mut().filter(|lane| **lane != NIL) {
                let index = *lane;
                let entry = self.entries[index as usize].as_ref().expect(LINKED);
                let deadline_ns = entry.deadline_ns;
                *lane = entry.next;
                if deadline_ns > self.now_ns {
                    self.link(index, tick_at_or_after(deadline_ns));
                    continue;
                }
                // The older, the lower; the newest insertion has `u32::MAX`.
                let age = self.newest.get().wrapping_sub(entry.generation.get());
                let payload = self.take(index);
                self.due.push((deadline_ns, !age, payload));
            }
        }
        // Slot by slot is faster than all at the end: the pieces are small.
        sort(&mut self.due[start..]);
    }

    /// Moves those timers to `due` that have passed and lie in the current tick, which is not over.
    fn empty_current(&mut self) {
        let end = self.now_tick + 1;
        let level = level_of(end ^ self.now_tick);
        let digit = digit(end, level);
        if self.occupied[level][digit / 64] & 1 << (digit % 64) != 0 {
            self.empty_slot(level * SLOTS_PER_LEVEL + digit);
        }
    }

    fn entry(&mut self, index: u32) -> &mut Entry<W> {
        self.entries[index as usize].as_mut().expect(LINKED)
    }

    /// Frees an entry that is in no list (any more).
    fn take(&mut self, index: u32) -> W {
        let entry = self.entries[index as usize].take().expect(LINKED);
        self.free.push(index);
        entry.payload
    }

    fn mark_empty(&mut self, slot: usize) {
        let (level, digit) = (slot / SLOTS_PER_LEVEL, slot % SLOTS_PER_LEVEL);
        let words = &mut self.occupied[level];
        words[digit / 64] &= !(1 << (digit % 64));
        if words.iter().all(|&word| word == 0) {
            self.levels &= !(1 << level);
        }
    }

    fn first_occupied(&self, level: usize) -> Option<usize> {
        let words = self.occupied.get(level)?;
        let at = words.iter().position(|&word| word != 0)?;
        Some(at * 64 + words[at].trailing_zeros() as usize)
    }

    fn first_occupied_tick(&self) -> u64 {
        let level = self.levels.trailing_zeros();
        let Some(slot) = self.first_occupied(level as usize) else {
            return NEVER;
        };
        let shift = level * DIGIT_BITS;
        // The digits above are those of the current tick.
        let above = shift + DIGIT_BITS;
        self.now_tick >> above << above | (slot as u64) << shift
    }
}

/// Puts due timers in order. No two ranks are equal, so an unstable sort gives
/// the one possible order, and unlike a stable one it needs no buffer.
fn sort<W>(due: &mut [(u64, u32, W)]) {
    due.sort_unstable_by_key(|&(deadline_ns, rank, _)| (deadline_ns, rank));
}

/// The level of the highest digit that is not zero.
fn level_of(difference: u64) -> usize {
    ((difference | 1).ilog2() / DIGIT_BITS) as usize
}

fn digit(tick: u64, level: usize) -> usize {
    (tick >> (level as u32 * DIGIT_BITS)) as usize % SLOTS_PER_LEVEL
}

fn tick_at_or_after(ns: u64) -> u64 {
    ns.div_ceil(TICK_NS)
}

/// The last instant counts as the tick that ends there: no `u64` is larger, so
/// the timers that round up to `LAST_TICK` would never fire otherwise.
fn tick_at_or_before(ns: u64) -> u64 {
    if ns == u64::MAX { LAST_TICK } else { ns / TICK_NS }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeMap;

    use proptest::prelude::*;

    const T: u64 = TICK_NS;
    const SECOND: u64 = 1_000_000_000;

    fn advance<W>(wheel: &mut Wheel<W>, now_ns: u64) -> Vec<W> {
        let mut fired = Vec::new();
        wheel.advance(now_ns, &mut fired);
        fired
    }

    #[test]
    fn a_zero_deadline_fires_at_the_first_advance() {
        let mut wheel = Wheel::new();
        wheel.insert(0, 'a');
        assert_eq!(wheel.next_visit(0), Some(0));
        assert_eq!(advance(&mut wheel, 0), ['a']);
        assert!(wheel.is_empty());
        assert_eq!(wheel.next_visit(0), None);
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
        assert!(wheel.next_visit(0).unwrap() <= now);
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
            wheel.anchor(tick * T + 600);
            wheel.insert_after(0, 'c');
            wheel.anchor(tick * T + 600);
            assert_eq!(advance(&mut wheel, tick * T + 700), ['a', 'b', 'c']);
            assert_eq!(
                advance(&mut wheel, tick * T + 801),
                [],
                "armed before: it has time until the tick ends"
            );
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
    fn a_duration_counts_from_the_anchor() {
        let mut wheel = Wheel::new();
        assert!(!wheel.has_fresh());
        let dropped = wheel.insert_after(0, 'x');
        wheel.insert_after(2 * T, 'b');
        let other = wheel.insert_after(2 * T, 'y');
        wheel.insert_after(T, 'a');
        assert!(wheel.has_fresh());
        assert_eq!((wheel.remove(dropped), wheel.len()), (Some('x'), 3));
        assert_eq!(wheel.next_visit(0), None, "they have no time yet");
        wheel.anchor(10 * T);
        assert!(!wheel.has_fresh());
        assert_eq!(wheel.next_visit(0), Some(11 * T));
        assert_eq!(wheel.remove(other), Some('y'));
        assert_eq!(advance(&mut wheel, 11 * T - 1), []);
        wheel.insert_after(0, 'c'); // an advance is an anchor as well
        wheel.insert_after(u64::MAX, 'd');
        assert_eq!(advance(&mut wheel, 12 * T), ['a', 'b', 'c']);
        assert_eq!(wheel.clear(), ['d']);
        assert!(!wheel.has_fresh());
    }

    #[test]
    fn a_visit_gathers_what_follows_soon() {
        let mut wheel = Wheel::new();
        let first = wheel.insert(9 * T, ());
        assert_eq!(wheel.next_visit(3), Some(9 * T), "alone, it is not kept waiting");
        wheel.insert(13 * T, ());
        assert_eq!(wheel.next_visit(3), Some(9 * T));
        wheel.insert(11 * T, ());
        wheel.insert(12 * T, ());
        assert_eq!((wheel.next_visit(0), wheel.next_visit(3)), (Some(9 * T), Some(12 * T)));
        wheel.remove(first);
        assert_eq!(wheel.next_visit(3), Some(13 * T));
        // The lowest level ends before the next timer, which is not known exactly.
        let mut wheel = Wheel::new();
        wheel.insert(255 * T, ());
        wheel.insert(256 * T, ());
        assert_eq!(wheel.next_visit(3), Some(255 * T));
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
        assert_eq!(wheel.next_visit(0), Some(u64::MAX));
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
        assert_eq!((wheel.len(), wheel.next_visit(0)), (0, None));
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
        assert_eq!((wheel.len(), wheel.next_visit(0)), (0, None));
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
            let mut visits = 0;
            while let Some(visit) = wheel.next_visit(0) {
                visits += 1;
                let fires = !advance(&mut wheel, visit).is_empty();
                let rounded = tick_at_or_after(deadline) * T;
                assert_eq!(fires, visit == rounded, "{deadline} at {visit}");
            }
            assert!(visits <= LEVELS, "{visits} visits for {deadline}");
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
        assert_eq!(wheel.next_visit(0), Some(4 * T));
        wheel.remove(near);
        assert_eq!(wheel.next_visit(0), Some(9 * T));
        assert_eq!(advance(&mut wheel, 9 * T).len(), 1);
        let visit = wheel.next_visit(0).unwrap();
        assert!(9 * T < visit && visit <= SECOND);
        wheel.remove(far);
        assert_eq!(wheel.next_visit(0), None);
    }

    #[test]
    fn an_entry_is_small() {
        use std::task::Waker;
        let entry = size_of::<Option<Entry<Option<Waker>>>>();
        assert_eq!(entry, 24 + size_of::<Waker>());
        assert_eq!(size_of::<Option<TimerKey>>(), 8);
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// A deadline this long after (or before) the current time.
        InsertAfter(u64),
        InsertBefore(u64),
        /// The same deadline as an earlier timer's, which may be past.
        InsertEqual(prop::sample::Index),
        InsertAt(u64),
        /// A deadline this long after the next anchor.
        InsertLater(u64),
        Anchor,
        /// Any key ever handed out, so stale ones too.
        Remove(prop::sample::Index),
        Advance(u64),
        AdvanceToVisit,
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
            2 => Just(Op::Anchor),
            4 => any::<prop::sample::Index>().prop_map(Op::Remove),
            5 => span(0..40).prop_map(Op::Advance),
            1 => span(40..60).prop_map(Op::Advance),
            3 => Just(Op::AdvanceToVisit),
        ]
    }

    /// The wheel beside an ordered map that says what ought to happen. A
    /// timer's payload is its insertion number.
    struct Model {
        wheel: Wheel<usize>,
        now: u64,
        issued: Vec<(u64, TimerKey)>,
        /// (deadline, insertion number) to the time by which it must fire.
        live: BTreeMap<(u64, usize), u64>,
        /// Durations of those that wait for an anchor.
        fresh: BTreeMap<usize, u64>,
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
            self.fresh.insert(number, duration);
        }

        /// Gives fresh timers their deadlines.
        fn anchored(&mut self, at: u64) {
            for (number, duration) in std::mem::take(&mut self.fresh) {
                let deadline = at.saturating_add(duration);
                self.issued[number].0 = deadline;
                self.live.insert((deadline, number), self.latest(deadline));
            }
        }

        fn remove(&mut self, number: usize) {
            let (deadline, key) = self.issued[number];
            let fresh = self.fresh.remove(&number).is_some();
            let expected = (self.live.remove(&(deadline, number)).is_some() || fresh).then_some(number);
            assert_eq!(self.wheel.get_mut(key).copied(), expected);
            assert_eq!(self.wheel.remove(key), expected);
            assert_eq!(self.wheel.remove(key), None);
        }

        fn advance(&mut self, now: u64) {
            self.anchored(now);
            self.now = now;
            let fired: Vec<_> = advance(&mut self.wheel, now)
                .into_iter()
                .map(|number| (self.issued[number].0, number))
                .collect();
            assert!(fired.is_sorted(), "out of order: {fired:?}");
            for timer in fired {
                assert!(timer.0 <= now, "{timer:?} is early at {now}");
                assert!(self.live.remove(&timer).is_some(), "{timer:?} is gone");
            }
            let missed = self.live.iter().find(|&(_, &latest)| latest <= now);
            assert_eq!(missed, None, "at {now}");
            // A loop that sleeps until the next visit makes progress.
            assert!(self.wheel.next_visit(0).is_none_or(|visit| visit > now));
        }

        fn check(&self) {
            assert_eq!(self.wheel.len(), self.live.len() + self.fresh.len());
            assert_eq!(self.wheel.has_fresh(), !self.fresh.is_empty());
            let visit = self.wheel.next_visit(0);
            assert_eq!(visit.is_none(), self.live.is_empty());
            if let Some(visit) = visit {
                assert!(self.live.values().all(|&latest| visit <= latest));
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
                fresh: BTreeMap::new(),
            };
            for op in ops {
                let (now, issued) = (model.now, model.issued.len());
                match op {
                    Op::InsertAfter(span) => model.insert(now.saturating_add(span)),
                    Op::InsertBefore(span) => model.insert(now.saturating_sub(span)),
                    Op::InsertAt(deadline) => model.insert(deadline),
                    Op::InsertLater(duration) => model.insert_later(duration),
                    Op::Anchor => {
                        model.wheel.anchor(now);
                        model.anchored(now);
                    }
                    Op::Advance(span) => model.advance(now.saturating_add(span)),
                    Op::AdvanceToVisit => {
                        let visit = model.wheel.next_visit(0);
                        model.advance(visit.map_or(now, |visit| visit.max(now)));
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
}
