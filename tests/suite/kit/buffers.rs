//! Buffers that show who touches them after their end, and buffers that act at their end.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Mutex;

use proactor::buf::{IoBuf, IoBufMut};

/// A buffer of whole pages that becomes inaccessible when it is dropped: the kernel, or whoever uses it
/// afterwards, gets a fault instead of memory that somebody else has by then. It stays so until ten thousand others
/// have been dropped: a process has room for some 65,000 mappings.
#[derive(Debug)]
pub(crate) struct Tombstone {
    address: *mut u8,
    size: usize,
    init: usize,
}

impl Tombstone {
    pub(crate) const PAGE: usize = 4096;
    const KEPT: usize = 10_000;

    pub(crate) fn new(pages: usize) -> Self {
        let size = pages * Self::PAGE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, wherever the kernel likes.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) };
        assert_ne!(address, libc::MAP_FAILED);
        Tombstone { address: address.cast(), size, init: 0 }
    }

    /// One whose bytes are all there.
    pub(crate) fn filled(pages: usize, bytes: &[u8]) -> Self {
        let mut this = Tombstone::new(pages);
        assert!(bytes.len() <= this.size);
        // SAFETY: the mapping is ours alone, large enough, and zeroed by the kernel.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), this.address, bytes.len()) };
        this.init = bytes.len();
        this
    }
}

impl std::ops::Deref for Tombstone {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping lives as long as the value, and these bytes are initialised.
        unsafe { std::slice::from_raw_parts(self.address, self.init) }
    }
}

impl Drop for Tombstone {
    fn drop(&mut self) {
        static DROPPED: Mutex<VecDeque<(usize, usize)>> = Mutex::new(VecDeque::new());
        // SAFETY: the mapping is ours.
        let locked = unsafe { libc::mprotect(self.address.cast(), self.size, libc::PROT_NONE) };
        assert_eq!(locked, 0);
        let mut dropped = DROPPED.lock().unwrap();
        dropped.push_back((self.address.addr(), self.size));
        if dropped.len() > Self::KEPT
            && let Some((address, size)) = dropped.pop_front()
        {
            // SAFETY: it was the mapping of a value that was dropped long ago.
            unsafe { libc::munmap(std::ptr::without_provenance_mut(address), size) };
        }
    }
}

// SAFETY: the mapping stays where it is and belongs to this value until the drop.
unsafe impl IoBuf for Tombstone {
    fn read_ptr(&self) -> *const u8 {
        self.address
    }

    fn init_len(&self) -> usize {
        self.init
    }
}

// SAFETY: as above; all of it may be written.
unsafe impl IoBufMut for Tombstone {
    fn write_ptr(&mut self) -> *mut u8 {
        self.address
    }

    fn total_len(&self) -> usize {
        self.size
    }

    unsafe fn set_init(&mut self, len: usize) {
        self.init = len;
    }
}

/// A buffer whose memory is never given back: what is written into it after its drop shows.
///
/// Where a [`Tombstone`] turns a late access of the kernel into a fault that the operation reports, this one
/// keeps the evidence of an access that nobody reports.
#[derive(Debug)]
pub(crate) struct Canary {
    memory: &'static [Cell<u8>],
    init: usize,
    dropped: Rc<Cell<bool>>,
}

/// Looks after a [`Canary`].
#[derive(Debug)]
pub(crate) struct CanaryWatch {
    memory: &'static [Cell<u8>],
    dropped: Rc<Cell<bool>>,
}

impl Canary {
    const SONG: u8 = 0xA5;

    /// A buffer of `len` bytes, and who looks after it. The memory is lost on purpose.
    pub(crate) fn new(len: usize) -> (Canary, CanaryWatch) {
        let memory = Cell::from_mut(vec![0_u8; len].leak()).as_slice_of_cells();
        keep(memory.as_ptr().addr());
        let dropped = Rc::new(Cell::new(false));
        (Canary { memory, init: 0, dropped: dropped.clone() }, CanaryWatch { memory, dropped })
    }
}

/// Forgets a value, like `mem::forget`, but in a place where a leak detector finds that it was meant.
pub(crate) fn forget<T>(value: T) {
    keep(Box::into_raw(Box::new(value)).addr());
}

/// Remembers an address for ever.
fn keep(address: usize) {
    static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    KEPT.lock().unwrap().push(address);
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.memory.iter().for_each(|byte| byte.set(Self::SONG));
        self.dropped.set(true);
    }
}

impl CanaryWatch {
    /// Whether the buffer has been dropped.
    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.get()
    }

    /// Whether these bytes lie at the buffer's start, whoever has put them there.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        bytes.iter().enumerate().all(|(place, byte)| self.byte(place) == *byte)
    }

    /// What lies in the memory now.
    pub(crate) fn byte(&self, place: usize) -> u8 {
        let address = self.memory[place].as_ptr();
        // While the kernel has the memory, the sanitizer ends who reads it; it does not see this.
        #[cfg(all(proactor_asan, target_arch = "x86_64"))]
        {
            let byte: u8;
            // SAFETY: the reference is to live memory.
            unsafe { std::arch::asm!("mov {0}, byte ptr [{1}]", out(reg_byte) byte, in(reg) address) };
            byte
        }
        // Read in a way that the compiler can't foresee: the kernel writes behind its back.
        // SAFETY: the reference is to live memory.
        #[cfg(not(all(proactor_asan, target_arch = "x86_64")))]
        unsafe {
            address.read_volatile()
        }
    }

    /// Reads the memory as a program does.
    pub(crate) fn touch(&self, place: usize) -> u8 {
        std::hint::black_box(&self.memory[place]).get()
    }

    /// Nobody has written into the memory since the drop.
    #[track_caller]
    pub(crate) fn assert_untouched(&self) {
        assert!(self.is_dropped(), "the buffer is still somebody's");
        let written = (0..self.memory.len()).find(|place| self.byte(*place) != Canary::SONG);
        assert_eq!(written, None, "somebody wrote into a buffer that had been dropped");
    }
}

// SAFETY: the memory stays where it is for ever.
unsafe impl IoBuf for Canary {
    fn read_ptr(&self) -> *const u8 {
        self.memory.as_ptr().cast()
    }

    fn init_len(&self) -> usize {
        self.init
    }
}

// SAFETY: as above; all of it may be written.
unsafe impl IoBufMut for Canary {
    fn write_ptr(&mut self) -> *mut u8 {
        self.memory.as_ptr().cast_mut().cast()
    }

    fn total_len(&self) -> usize {
        self.memory.len()
    }

    unsafe fn set_init(&mut self, len: usize) {
        self.init = len;
    }
}

/// A buffer that does something when it is dropped.
pub(crate) struct Acts<F: FnMut() + 'static>(pub(crate) Vec<u8>, pub(crate) F);

impl<F: FnMut()> Drop for Acts<F> {
    fn drop(&mut self) {
        (self.1)();
    }
}

// SAFETY: that of the vector.
unsafe impl<F: FnMut()> IoBuf for Acts<F> {
    fn read_ptr(&self) -> *const u8 {
        self.0.read_ptr()
    }

    fn init_len(&self) -> usize {
        self.0.init_len()
    }
}

// SAFETY: that of the vector.
unsafe impl<F: FnMut()> IoBufMut for Acts<F> {
    fn write_ptr(&mut self) -> *mut u8 {
        self.0.write_ptr()
    }

    fn total_len(&self) -> usize {
        self.0.total_len()
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.0.set_init(len) };
    }
}
