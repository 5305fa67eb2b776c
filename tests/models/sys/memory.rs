//! The release of task cells, which loom does not see by itself, since a cell is reached by plain pointers.
//!
//! A released cell is overwritten and kept until the run has ended: a later use finds no object of loom's there, and
//! fails. A cell that is *watched* is also checked for order: each thread notes its last use ([`Watched::touch`]), and the
//! release must happen after that, as loom sees it, and happen once, before the run ends.

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

    /// Watches the memory whose release begins at this address.
    pub(crate) fn at(address: *mut u8) -> Self {
        MEMORY.with_borrow_mut(|memory| Watched(memory.watched.entry(address).or_default().clone()))
    }

    /// Notes a use of the cell by this thread. Afterwards the thread only drops its reference.
    pub(crate) fn touch(&self) {
        self.0.with(|_| ());
    }
}

/// Prepares for a run.
pub(crate) fn begin() {
    MEMORY.take();
}

/// Ends a run: checks that every watched cell was released, and frees the memory.
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
