//! A table of the ring, for descriptors or buffers, and its free places.
//!
//! The table is registered empty when the ring is made. The kernel could choose places for descriptors itself. But a
//! multishot accept that finds the table full has accepted the connection by then, and drops it. So each place is reserved
//! here before the operation that fills it starts, and every file that the kernel opens has a place.
//!
//! Entries may use a place again as soon as the entry that closes its descriptor has been queued, because entries are taken
//! in order. A call that fills a place overtakes the queue, so it may use the place only after that entry has been taken.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::io;

/// The largest number of places of a table.
pub(crate) const MAX_PLACES: u32 = 1 << 20;

#[derive(Debug)]
pub(in crate::driver) struct Table {
    places: u32,
    state: Cell<State>,
    free: RefCell<Vec<u32>>,
    /// Places that are free for later entries: the kernel may not yet have taken the entry that empties the place.
    leaving: RefCell<Vec<u32>>,
    /// The first place that was never used.
    next: Cell<u32>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The table was not registered: the backend has none, or it is masked.
    Absent,
    Registered,
    /// The kernel has refused the table with this `errno`.
    Refused(i32),
}

impl Table {
    pub(in crate::driver) fn new(places: u32) -> Self {
        Table {
            places,
            state: Cell::new(State::Absent),
            free: RefCell::default(),
            leaving: RefCell::default(),
            next: Cell::new(0),
        }
    }

    /// Returns the `errno` with which the kernel has refused the table.
    pub(in crate::driver) fn refused(&self) -> Option<i32> {
        match self.state.get() {
            State::Refused(errno) => Some(errno),
            State::Absent | State::Registered => None,
        }
    }

    /// Registers the table with the kernel by calling `register`.
    pub(in crate::driver) fn register(&self, register: impl FnOnce(u32) -> io::Result<()>) {
        self.state.set(match register(self.places) {
            Ok(()) => State::Registered,
            Err(error) => State::Refused(error.raw_os_error().unwrap_or(libc::EIO)),
        });
    }

    /// Reserves a place for an entry or for a call. Returns `None` if there is no table.
    pub(in crate::driver) fn take(&self, by: Filler) -> Result<Option<u32>, Full> {
        if !matches!(self.state.get(), State::Registered) {
            return Ok(None);
        }
        let left = || if by == Filler::Entry { self.leaving.borrow_mut().pop() } else { None };
        if let Some(index) = self.free.borrow_mut().pop().or_else(left) {
            return Ok(Some(index));
        }
        let index = self.next.get();
        if index == self.places {
            return Err(Full { places: self.places });
        }
        self.next.set(index + 1);
        Ok(Some(index))
    }

    /// Frees a place for entries behind one that has been queued.
    pub(in crate::driver) fn leave(&self, index: u32) {
        self.leaving.borrow_mut().push(index);
    }

    /// Returns true if places wait until entries have been taken.
    pub(in crate::driver) fn waits(&self) -> bool {
        !self.leaving.borrow().is_empty()
    }

    /// Notes that all queued entries have been taken.
    pub(in crate::driver) fn all_taken(&self) {
        self.free.borrow_mut().append(&mut self.leaving.borrow_mut());
    }

    /// Frees a place.
    pub(in crate::driver) fn give_back(&self, index: u32) {
        self.free.borrow_mut().push(index);
    }

    /// Returns the number of places in use.
    pub(in crate::driver) fn taken(&self) -> usize {
        self.next.get() as usize - self.free.borrow().len() - self.leaving.borrow().len()
    }
}

/// The way in which a place is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) enum Filler {
    /// An entry of the queue.
    Entry,
    /// A call, which overtakes the queue.
    Call,
}

/// The error of a full table.
#[derive(Clone, Copy, Debug)]
pub(in crate::driver) struct Full {
    pub(in crate::driver) places: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_out_once_and_again_when_they_are_free() {
        let table = Table::new(3);
        table.register(|_| Ok(()));
        let take = || table.take(Filler::Entry).unwrap();
        assert_eq!([take(), take(), take()], [Some(0), Some(1), Some(2)]);
        let full = table.take(Filler::Entry).unwrap_err();
        assert_eq!(full.places, 3);
        table.give_back(1);
        assert_eq!((table.taken(), take(), table.taken()), (2, Some(1), 3));
        // One whose descriptor is being closed is for entries alone, until that has been taken.
        table.leave(2);
        let call = || table.take(Filler::Call).ok().flatten();
        assert_eq!((table.taken(), table.waits(), call()), (2, true, None));
        assert_eq!(take(), Some(2));
        table.leave(0);
        table.all_taken();
        assert_eq!((table.waits(), call()), (false, Some(0)));
    }

    #[test]
    fn a_table_that_is_not_registered_has_no_places() {
        let table = Table::new(3);
        assert_eq!((table.take(Filler::Call).unwrap(), table.refused()), (None, None));
        table.register(|_| Err(io::Error::from_raw_os_error(libc::EMFILE)));
        assert_eq!(table.take(Filler::Entry).unwrap(), None);
        assert_eq!((table.refused(), table.taken()), (Some(libc::EMFILE), 0));
    }
}
