//! Marks for the address sanitizer on memory that the kernel may write into at any time: if a program touches it
//! meanwhile, the sanitizer ends the program with a report.
//!
//! Only builds for the sanitizer (`--cfg proactor_asan`) mark anything. The kernel ignores the marks.

/// Bytes for which the sanitizer keeps one note.
const GRANULE: usize = 8;

/// The whole granules of some memory: address and length. Others' bytes may lie in those at its ends.
#[cfg(any(test, proactor_asan))]
fn granules(address: usize, len: usize) -> (usize, usize) {
    let begin = address.next_multiple_of(GRANULE);
    let end = (address + len) / GRANULE * GRANULE;
    (begin, end.saturating_sub(begin))
}

#[cfg(proactor_asan)]
unsafe extern "C" {
    fn __asan_poison_memory_region(address: *const libc::c_void, len: usize);
    fn __asan_unpoison_memory_region(address: *const libc::c_void, len: usize);
}

/// Marks memory that the kernel gets.
#[inline]
pub(crate) fn lend(start: *const u8, len: usize) {
    #[cfg(proactor_asan)]
    {
        let (begin, len) = granules(start.addr(), len);
        // SAFETY: this changes nothing but the sanitizer's notes.
        unsafe { __asan_poison_memory_region(start.with_addr(begin).cast(), len) };
    }
    let _ = (start, len);
}

/// Removes the marks from memory that the kernel has returned.
#[inline]
pub(crate) fn take_back(start: *const u8, len: usize) {
    #[cfg(proactor_asan)]
    {
        let (begin, len) = granules(start.addr(), len);
        // SAFETY: as above.
        unsafe { __asan_unpoison_memory_region(start.with_addr(begin).cast(), len) };
    }
    let _ = (start, len);
}

/// Removes the marks from a part of such memory. A part may begin and end within a granule: the rest of the granule,
/// for which there is one note, loses its mark too. The whole memory begins and ends with whole granules.
#[inline]
pub(crate) fn take_back_around(start: *const u8, len: usize) {
    let before = start.addr() % GRANULE;
    take_back(start.wrapping_sub(before), (before + len).next_multiple_of(GRANULE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_granules_are_marked() {
        assert_eq!(granules(64, 16), (64, 16));
        assert_eq!(granules(65, 16), (72, 8));
        assert_eq!(granules(65, 7), (72, 0));
        assert_eq!(granules(66, 4).1, 0);
        assert_eq!(granules(71, 10), (72, 8));
        assert_eq!(granules(64, 0).1, 0);
    }

    #[cfg(proactor_asan)]
    #[test]
    fn lent_memory_is_marked_until_it_is_taken_back() {
        unsafe extern "C" {
            fn __asan_address_is_poisoned(address: *const libc::c_void) -> libc::c_int;
        }
        let memory = vec![0_u8; 64];
        // SAFETY: it only reads the sanitizer's notes.
        let is_marked =
            |at: usize| unsafe { __asan_address_is_poisoned(memory.as_ptr().add(at).cast()) } == 1;
        lend(memory.as_ptr().wrapping_add(3), 29);
        let marked: Vec<_> = (0..64).filter(|at| is_marked(*at)).collect();
        assert_eq!(marked, (8..32).collect::<Vec<_>>());
        take_back(memory.as_ptr().wrapping_add(3), 29);
        assert!(!(0..64).any(is_marked));
    }
}
