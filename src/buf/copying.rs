//! The policy by which chunks are copied out of their pooled buffer, so that few bytes do not keep much memory.
//!
//! A chunk keeps the whole buffer that its bytes lie in. That costs nothing while chunks go as fast as they come, which
//! is the usual case; so nothing is copied while chunks hold few buffers of the pool. When they hold more, a small chunk
//! gets memory of its own size. The more buffers chunks hold, the larger a chunk must be to keep its buffer:
//!
//! | buffers that chunks hold | copied |
//! |---|---|
//! | up to 1/16 of the pool | nothing |
//! | up to 1/2 | chunks below 1/16 of a buffer |
//! | more | chunks below 1/2 of a buffer |
//! | all | every chunk: it is received into a spare buffer |
//!
//! So small chunks hold 1/16 of the pool at most, and the memory that chunks hold is at most that sixteenth, 16 times
//! their bytes up to half of the pool, and twice their bytes beyond. Pure logic: it knows neither pool nor kernel.
#![forbid(unsafe_code)]

/// Parts of the pool that chunks may hold before small ones are copied.
const FEW: usize = 16;
/// A chunk is small when it has less than this part of its buffer.
const SMALL: usize = 16;

/// Returns the length below which a chunk is copied, if chunks hold `held` of the pool's `max` buffers of `buffer_len`
/// bytes.
pub(crate) fn copied_below(held: usize, max: usize, buffer_len: usize) -> usize {
    if held <= max / FEW {
        0
    } else if held <= max / 2 {
        buffer_len / SMALL
    } else {
        buffer_len / 2
    }
}

/// Whether a chunk of `len` bytes keeps more than twice its size in a buffer of `buffer_len` bytes.
pub(crate) fn wastes(len: usize, buffer_len: usize) -> bool {
    len < buffer_len / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUFFER: usize = 64 << 10;

    #[test]
    fn nothing_is_copied_while_chunks_hold_few_buffers() {
        assert_eq!(copied_below(0, 1_024, BUFFER), 0);
        assert_eq!(copied_below(64, 1_024, BUFFER), 0);
        assert_eq!(copied_below(65, 1_024, BUFFER), 4 << 10);
        assert_eq!(copied_below(512, 1_024, BUFFER), 4 << 10);
        assert_eq!(copied_below(513, 1_024, BUFFER), 32 << 10);
        assert_eq!(copied_below(1_024, 1_024, BUFFER), 32 << 10);
    }

    #[test]
    fn a_tiny_pool_copies_from_its_second_buffer_on() {
        assert_eq!(copied_below(0, 1, BUFFER), 0);
        assert_eq!(copied_below(1, 1, BUFFER), 32 << 10);
        assert_eq!(copied_below(1, 2, BUFFER), 4 << 10);
        assert_eq!(copied_below(2, 2, BUFFER), 32 << 10);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            cases: if cfg!(miri) { 4 } else { 256 },
            ..ProptestConfig::default()
        })]

        /// Chunks of any sizes that are all kept, each in a buffer of its own: the worst case.
        #[test]
        fn the_memory_that_chunks_hold_is_bounded_by_their_bytes(
            max in 1_usize..200,
            lengths in proptest::collection::vec(1_usize..=BUFFER, 0..if cfg!(miri) { 60 } else { 600 }),
        ) {
            let (mut held, mut bytes) = (0, 0);
            for len in lengths {
                if held < max && len >= copied_below(held, max, BUFFER) {
                    held += 1;
                    bytes += len;
                }
                prop_assert!(held <= max);
                let beyond = held.saturating_sub(max / FEW + 1) * BUFFER;
                prop_assert!(beyond <= SMALL * bytes, "{held} buffers for {bytes} bytes");
            }
        }
    }
}
