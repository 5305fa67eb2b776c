//! The release of task cells, which loom does not see by itself, since a cell is reached by plain pointers.
//!
//! A released cell is filled with rubbish and kept until the run has ended: whoever comes too late meets no
//! object of loom's there, and fails. A cell that is *watched* is also checked for order: each thread says
//! when it has used it ([`Watched::touch`]), and the release must come after that as loom knows it, and come
//! once, before the run ends.

use std::alloc::Layout;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;

use loom::cell::UnsafeCell;

#[derive(Default)]
struct Memory {
    released: Vec<(*mut u8, Layout)>,
    watched: HashMap<*mut u8, Rc<UnsafeCell<()>>>,
}

std::thread_local! {
    /// All threads of a model are one for the operating system.
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// The cell behind a waker.
#[derive(Clone)]
pub(crate) struct Watched(Rc<UnsafeCell<()>>);

impl Watched {
    pub(crate) fn behind(waker: &Waker) -> Self {
        Watched::at(waker.data().cast_mut().cast())
    }

    /// Memory whose release begins at this address.
    pub(crate) fn at(address: *mut u8) -> Self {
        MEMORY.with_borrow_mut(|memory| Watched(memory.watched.entry(address).or_default().clone()))
    }

    /// This thread uses the cell now, and later only to give back the reference that it holds.
    pub(crate) fn touch(&self) {
        self.0.with(|_| ());
    }
}

/// A run begins.
pub(crate) fn begin() {
    MEMORY.take();
}

/// A run has ended.
pub(crate) fn end() {
    let memory = MEMORY.take();
    assert!(memory.watched.is_empty(), "a cell was never released");
    for (address, layout) in memory.released {
        // SAFETY: each was given to `dealloc` once, and not released there.
        unsafe { std::alloc::dealloc(address, layout) };
    }
}

/// # Safety
/// As for [`std::alloc::dealloc`].
pub(crate) unsafe fn dealloc(address: *mut u8, layout: Layout) {
    let watched = MEMORY.with_borrow_mut(|memory| {
        assert!(memory.released.iter().all(|(other, _)| *other != address), "a cell is released twice");
        memory.released.push((address, layout));
        memory.watched.remove(&address)
    });
    if let Some(cell) = watched {
        cell.with_mut(|_| ());
    }
    // SAFETY: the caller gives the memory up, and it stays allocated until the run has ended.
    unsafe { address.write_bytes(0xDD, layout.size()) };
}
