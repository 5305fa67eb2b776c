//! The timing wheel: it finds the timers that are due, and the time at which the next one is.
//!
//! A runtime keeps one timer per pending sleep and per pending timeout. Nearly
//! all timeouts are dropped before they fire, so arming and disarming have to
//! cost O(1), and neither may allocate once the arena has grown to its working
//! size. A heap or a tree pays O(log n) for both. This is the hierarchical
//! timing wheel of Varghese and Lauck (SOSP '87) instead.
//!
//! This module does not know the clock (time is a `u64` of nanoseconds since an
//! epoch that the caller chose), wakers, and futures. A payload is a `W`; the
//! wheel returns it when its deadline has passed, and runs no code of `W`, not
//! even its destructor.
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
//! A timer may also be *relative*: armed with a duration instead of a deadline.
//! The caller reads the clock once for all of them, and *resolves* them: their
//! durations count from that time. Until then they are in a slot of their own,
//! which has no time. So arming a relative timer needs no clock read, and one
//! that is disarmed before it is resolved causes none.
//!
//! With a million timers every entry is a cache miss, and a list makes each
//! miss wait for the one before. So a slot is not one list but several (the
//! lanes), emptied side by side, and the free entries are a stack of indices
//! rather than a list threaded through the entries (as in the `slab` crate).
#![forbid(unsafe_code)]

mod bitmap;
mod entry;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
mod ticks;

use std::num::NonZeroU32;

use bitmap::Bitmap;
use entry::Entry;
pub(crate) use entry::TimerKey;
use ticks::{
    DIGIT_BITS, SLOTS, SLOTS_PER_LEVEL, TICK_NS, digit, level_of, tick_at_or_after, tick_at_or_before,
};

/// The slot of the relative timers.
const RELATIVE: usize = SLOTS;

/// Lists per slot: how many cache misses can be under way while one is emptied.
/// With a million timers, 8 takes a third off the cost of one list; 16 gains a
/// little more there, but costs it again wherever a slot holds one timer.
const LANES: usize = 8;

/// End of a list. The arena has at most 2^32 - 1 entries, so that no index has this value.
const NIL: u32 = u32::MAX;
/// The message of `expect` where an index leads to an entry: a list or a checked key led to the index.
const LINKED: &str = "a linked entry is armed";
/// `Wheel::next` of an empty wheel; later than any tick.
const NEVER: u64 = u64::MAX;

pub(crate) struct Wheel<W> {
    /// The arena. It never shrinks.
    entries: Vec<Option<Entry<W>>>,
    /// Indices of the entries that are `None`.
    free: Vec<u32>,
    /// First entries of each slot's lists, level after level. An entry is in
    /// the lane that its index gives.
    heads: Box<[[u32; LANES]]>,
    occupied: Bitmap,
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
            occupied: Bitmap::default(),
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

    /// Arms a relative timer: its duration counts from the next [`resolve_relative`](Self::resolve_relative).
    pub(crate) fn insert_after(&mut self, duration_ns: u64, payload: W) -> TimerKey {
        let key = self.enter(duration_ns, payload);
        self.link_into(key.index, RELATIVE);
        key
    }

    /// Whether there are relative timers that have not been resolved.
    pub(crate) fn has_relative(&self) -> bool {
        self.heads[RELATIVE] != [NIL; LANES]
    }

    /// Gives all relative timers their deadlines: their durations count from `now_ns`, which is not before the latest
    /// advance.
    pub(crate) fn resolve_relative(&mut self, now_ns: u64) {
        for lane in std::mem::replace(&mut self.heads[RELATIVE], [NIL; LANES]) {
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
        // The next advance, which gets the current time, finds out whether this deadline has passed too.
        self.soonest_ns = self.soonest_ns.min(deadline_ns);
    }

    /// Puts an entry into the arena, but into no slot.
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
            if next == NIL && *lanes == [NIL; LANES] && slot as usize != RELATIVE {
                self.occupied.clear(slot as usize);
                self.next = self.first_occupied_tick();
            }
        }
        Some(self.take(key.index))
    }

    /// Returns the time at which the next advance has work: the earliest deadline, rounded up
    /// to a tick, if that is near (on the lowest level), else the start of the
    /// slot that holds it. Never later than any timer's firing time. A caller
    /// that sleeps until then and advances wakes at most once per level and
    /// slot for nothing.
    ///
    /// With `gather`, timers that are due up to so many ticks after the first may
    /// make it wait for them: for the last one of these that is known exactly.
    ///
    /// Relative timers do not count.
    pub(crate) fn next_expiry(&self, gather: u64) -> Option<u64> {
        if self.next == NEVER {
            return None;
        }
        let mut tick = self.next;
        if gather > 0 && self.occupied.first_level() == 0 {
            let above = tick >> DIGIT_BITS << DIGIT_BITS;
            let (first, last) = (digit(tick, 0), SLOTS_PER_LEVEL - 1);
            let last = last.min(first + gather as usize);
            let occupied = |slot: &usize| self.occupied.contains(0, *slot);
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
        self.resolve_relative(now_ns);
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
            while let Some(slot) = self.occupied.first(level).filter(|&slot| slot <= last) {
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
        self.occupied = Bitmap::default();
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
            self.occupied.set(level, digit);
            let shift = level as u32 * DIGIT_BITS;
            self.next = self.next.min(tick >> shift << shift);
        }
    }

    /// Puts an entry at the head of one of a slot's lists. Returns true if that list was empty.
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
        self.occupied.clear(slot);
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

    /// Moves those timers to `due` whose deadlines have passed within the current tick, which has not ended.
    fn empty_current(&mut self) {
        let end = self.now_tick + 1;
        let level = level_of(end ^ self.now_tick);
        let digit = digit(end, level);
        if self.occupied.contains(level, digit) {
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

    /// Returns the first tick of the earliest occupied slot.
    fn first_occupied_tick(&self) -> u64 {
        let level = self.occupied.first_level();
        let Some(slot) = self.occupied.first(level as usize) else {
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
