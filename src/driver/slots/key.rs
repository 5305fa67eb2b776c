//! The key of an operation in flight: its slot and generation.
#![forbid(unsafe_code)]

/// Names an operation in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl Key {
    /// As the kernel's `user_data`. Never more than 63 bits, and never [`crate::driver::proactor::ring::NOBODY`].
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(crate) fn unpack(user_data: u64) -> Self {
        Key { index: user_data as u32, generation: (user_data >> 32) as u32 }
    }
}
