//! The set of the wheel's occupied slots.
#![forbid(unsafe_code)]

use super::ticks::{LEVELS, SLOTS_PER_LEVEL};

/// The occupied slots, as bits.
#[derive(Default)]
pub(super) struct Bitmap {
    /// One bit per slot, set while it is not empty.
    slots: [[u64; SLOTS_PER_LEVEL / 64]; LEVELS],
    /// One bit per level, set while it has an occupied slot.
    levels: u32,
}

impl Bitmap {
    #[inline]
    pub(super) fn set(&mut self, level: usize, digit: usize) {
        self.slots[level][digit / 64] |= 1 << (digit % 64);
        self.levels |= 1 << level;
    }

    /// Clears the bit of a slot, which is given by its index among all slots.
    #[inline]
    pub(super) fn clear(&mut self, slot: usize) {
        let (level, digit) = (slot / SLOTS_PER_LEVEL, slot % SLOTS_PER_LEVEL);
        let words = &mut self.slots[level];
        words[digit / 64] &= !(1 << (digit % 64));
        if words.iter().all(|&word| word == 0) {
            self.levels &= !(1 << level);
        }
    }

    #[inline]
    pub(super) fn contains(&self, level: usize, digit: usize) -> bool {
        self.slots[level][digit / 64] & 1 << (digit % 64) != 0
    }

    /// Returns the lowest level that has an occupied slot; 32 if no level has.
    #[inline]
    pub(super) fn first_level(&self) -> u32 {
        self.levels.trailing_zeros()
    }

    /// Returns the first occupied slot of a level, if any.
    #[inline]
    pub(super) fn first(&self, level: usize) -> Option<usize> {
        let words = self.slots.get(level)?;
        let at = words.iter().position(|&word| word != 0)?;
        Some(at * 64 + words[at].trailing_zeros() as usize)
    }
}
