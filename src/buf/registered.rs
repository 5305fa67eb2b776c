//! `RegisteredBuf`: memory that a ring has mapped once and for all.
//!
//! It reports its end to a [`Registrar`], and knows nothing of rings.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Weak;

use super::{IoBuf, IoBufMut};

/// A ring that registers buffers.
pub(crate) trait Registrar {
    /// Whether this ring carries out the operations that begin now on this thread.
    fn is_current(&self) -> bool;

    /// Unregisters the buffer in this place, which is about to be freed.
    fn unregister(&self, place: u16);
}

/// Where a buffer is registered with the ring that carries operations out; see [`IoBuf::registration`].
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    pub(crate) place: u16,
}

/// Page-aligned memory, registered with the runtime's ring if possible.
///
/// The kernel looks up and pins the pages of a registered buffer once, and not for each operation.
///
/// This pays off where an operation works on the caller's pages: reads and writes of files that bypass the page cache
/// (`O_DIRECT`), and sends without a copy ([`write_zerocopy`](crate::net::TcpStream::write_zerocopy)). Other operations
/// use it as any buffer. All of its bytes are initialised, to zero at first. A [`slice`](IoBuf::slice) of it is
/// registered as well.
///
/// For unprivileged users its memory counts against RLIMIT_MEMLOCK. If it can't be registered (the limit is too low,
/// more than 1,024 buffers, another runtime, the selector), it is an ordinary buffer. Dropping it removes the
/// registration.
///
/// # Examples
/// ```
/// use proactor::buf::{IoBuf, RegisteredBuf};
/// use proactor::fs::OpenOptions;
/// proactor::run(async {
///     let path = std::env::temp_dir().join(format!("proactor-registered-{}", std::process::id()));
///     let file = OpenOptions::new().read(true).write(true).create(true).open(&path).await?;
///     let mut buffer = RegisteredBuf::new(8192);
///     buffer[..5].copy_from_slice(b"bytes");
///     let (_, buffer) = file.write_all_at(buffer.slice(..4096), 0).await?;
///     let (count, buffer) = file.read_at(buffer.into_inner(), 0).await?;
///     assert_eq!((count, &buffer[..5]), (4096, &b"bytes"[..]));
///     std::fs::remove_file(&path)
/// }).unwrap();
/// ```
pub struct RegisteredBuf(Box<Registered>); // no larger than a pointer, so that operations on it lie in their slots

struct Registered {
    memory: NonNull<u8>,
    len: usize,
    place: Option<(u16, Weak<dyn Registrar>)>,
}

const PAGE: usize = 4_096;

fn layout(len: usize) -> Layout {
    Layout::from_size_align(len.max(1), PAGE).expect("a buffer is smaller than the address space")
}

impl RegisteredBuf {
    /// Makes a buffer that is not registered yet.
    pub(crate) fn unregistered(len: usize) -> Self {
        let layout = layout(len);
        // SAFETY: the layout has a size.
        let memory =
            NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        RegisteredBuf(Box::new(Registered { memory, len, place: None }))
    }

    /// Notes that the buffer was registered.
    pub(crate) fn registered(&mut self, place: u16, home: Weak<dyn Registrar>) {
        self.0.place = Some((place, home));
    }

    /// Whether it is registered with a ring.
    pub fn is_registered(&self) -> bool {
        self.0.place.as_ref().is_some_and(|(_, home)| home.strong_count() > 0)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some((place, home)) = self.place.take()
            && let Some(home) = home.upgrade()
        {
            home.unregister(place);
        }
        // SAFETY: `unregistered` made it with this layout.
        unsafe { dealloc(self.memory.as_ptr(), layout(self.len)) };
    }
}

impl Deref for RegisteredBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: this value owns `len` bytes, which are initialised.
        unsafe { std::slice::from_raw_parts(self.0.memory.as_ptr(), self.0.len) }
    }
}

impl DerefMut for RegisteredBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above. The caller owns the buffer, so no operation does.
        unsafe { std::slice::from_raw_parts_mut(self.0.memory.as_ptr(), self.0.len) }
    }
}

// SAFETY: the memory stays where it is, is initialised as a whole, and belongs to this value.
#[diagnostic::do_not_recommend]
unsafe impl IoBuf for RegisteredBuf {
    fn read_ptr(&self) -> *const u8 {
        self.0.memory.as_ptr()
    }

    fn init_len(&self) -> usize {
        self.0.len
    }

    fn registration(&self) -> Option<Registration> {
        let (place, home) = self.0.place.as_ref()?;
        let home = home.upgrade()?;
        home.is_current().then_some(Registration { place: *place })
    }
}

// SAFETY: as above; all of it may be written.
#[diagnostic::do_not_recommend]
unsafe impl IoBufMut for RegisteredBuf {
    fn write_ptr(&mut self) -> *mut u8 {
        self.0.memory.as_ptr()
    }

    fn total_len(&self) -> usize {
        self.0.len
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= self.0.len, "{len} bytes do not fit into the buffer");
    }
}

impl fmt::Debug for RegisteredBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredBuf")
            .field("len", &self.0.len)
            .field("registered", &self.is_registered())
            .finish_non_exhaustive()
    }
}
