//! Detection of a fork: the process in which a runtime was made.
//!
//! A runtime can't continue in a child made by fork(2): the ring's memory is missing there, its submissions would be
//! the parent's, an epoll set is one and the same for both, and the threads of the pool are gone. So every
//! runtime knows the process that it was made in.
//!
//! The kernel gives a child a page of zeros for one that was marked with MADV_WIPEONFORK (madvise(2), since
//! Linux 4.14), however the child was made: to ask is one load, and no system call. Where a kernel does
//! not know the mark the child is not told apart.

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The process in which this value was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    mark: &'static AtomicU64,
    token: u64,
}

impl Origin {
    pub(crate) fn here() -> Self {
        /// Copied to a child, so that it never takes a token of its parent.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        static MARK: OnceLock<&AtomicU64> = OnceLock::new();
        let mark = *MARK.get_or_init(wiped_page);
        if mark.load(Ordering::Relaxed) == 0 {
            let token = NEXT.fetch_add(1, Ordering::Relaxed);
            // Another thread may be faster: then all threads use its token.
            let _ = mark.compare_exchange(0, token, Ordering::Relaxed, Ordering::Relaxed);
        }
        Origin { mark, token: mark.load(Ordering::Relaxed) }
    }

    /// A number of that process which no fork of it has, nor any process that it is a fork of; never zero.
    pub(crate) fn token(self) -> u64 {
        self.token
    }

    /// Whether this is still that process, and not a fork of it.
    #[inline]
    pub(crate) fn is_here(self) -> bool {
        self.mark.load(Ordering::Relaxed) == self.token
    }
}

/// A number, zero at first, that is zero again in a child.
fn wiped_page() -> &'static AtomicU64 {
    static FALLBACK: AtomicU64 = AtomicU64::new(0);
    if cfg!(miri) {
        return &FALLBACK; // Miri has no fork(2), and does not know the mark
    }
    let size = size_of::<AtomicU64>(); // the kernel rounds it up to a page
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, wherever the kernel likes, that is never taken back. It begins with zeros,
    // and a mapping is aligned for a number. If the mark is refused it is memory like any other.
    unsafe {
        let page = libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0);
        if page == libc::MAP_FAILED {
            return &FALLBACK;
        }
        libc::madvise(page, size, libc::MADV_WIPEONFORK);
        &*page.cast::<AtomicU64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_one_origin() {
        let (first, second) = (Origin::here(), Origin::here());
        assert!(first.is_here() && second.is_here());
        assert_eq!(first.token, second.token);
    }
}
