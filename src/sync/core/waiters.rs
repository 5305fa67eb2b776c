//! A queue of waiters: first come, first served; any waiter may leave at any time, in constant time.
//!
//! It knows neither wakers nor locks; the type of a waiter is a parameter. The entries are a list threaded through an
//! arena that is used again, so that waiting allocates nothing once the arena has its size. A ticket is used once: it
//! finds nothing after its waiter was taken out of the queue, which is how a waiter learns that it was served. The
//! guards of locks rely on this, so an entry is retired after 2^32 - 1 tickets.
#![forbid(unsafe_code)]

use std::num::NonZeroU32;

/// End of a list.
const NIL: u32 = u32::MAX;

/// The last generation of an entry. Unit tests and models reach it.
const LAST_GENERATION: NonZeroU32 = if cfg!(test) { NonZeroU32::new(7).unwrap() } else { NonZeroU32::MAX };

/// Identifies a waiter in the queue. It may outlive the waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    index: u32,
    /// Not zero, so that an `Option<Ticket>` is no larger.
    generation: NonZeroU32,
}

#[derive(Debug)]
struct Entry<T> {
    generation: NonZeroU32,
    prev: u32,
    /// The next in the queue, or the next that is free.
    next: u32,
    waiter: Option<T>,
}

#[derive(Debug)]
pub(crate) struct Waiters<T> {
    entries: Vec<Entry<T>>,
    head: u32,
    tail: u32,
    free: u32,
    len: u32,
}

impl<T> Waiters<T> {
    pub(crate) const fn new() -> Self {
        Waiters { entries: Vec::new(), head: NIL, tail: NIL, free: NIL, len: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Adds a waiter at the end.
    pub(crate) fn push_back(&mut self, waiter: T) -> Ticket {
        let index = match self.free {
            NIL => {
                let index = u32::try_from(self.entries.len()).ok().filter(|index| *index != NIL);
                let generation = NonZeroU32::MIN;
                self.entries.push(Entry { generation, prev: NIL, next: NIL, waiter: Some(waiter) });
                index.expect("fewer than 2^32 waiters")
            }
            index => {
                let entry = &mut self.entries[index as usize];
                self.free = entry.next;
                entry.waiter = Some(waiter);
                index
            }
        };
        let tail = std::mem::replace(&mut self.tail, index);
        let entry = &mut self.entries[index as usize];
        (entry.prev, entry.next) = (tail, NIL);
        let generation = entry.generation;
        match tail {
            NIL => self.head = index,
            tail => self.entries[tail as usize].next = index,
        }
        self.len += 1;
        Ticket { index, generation }
    }

    /// Returns the waiter that has waited longest.
    pub(crate) fn front(&self) -> Option<&T> {
        self.entries.get(self.head as usize)?.waiter.as_ref()
    }

    /// Removes the waiter that has waited longest.
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        (self.head != NIL).then(|| self.take(self.head))
    }

    /// Returns the waiter with this ticket, if it still waits.
    pub(crate) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut T> {
        let entry = self.entries.get_mut(ticket.index as usize)?;
        entry.waiter.as_mut().filter(|_| entry.generation == ticket.generation)
    }

    /// Removes the waiter with this ticket, if it still waits.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        self.get_mut(ticket)?;
        Some(self.take(ticket.index))
    }

    /// Removes all waiters, in order.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.pop_front())
    }

    /// Calls `f` with each waiter, in order, and keeps it in the queue.
    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&mut T)) {
        let mut index = self.head;
        while let Some(entry) = self.entries.get_mut(index as usize) {
            index = entry.next;
            f(entry.waiter.as_mut().expect("an entry of the queue has its waiter"));
        }
    }

    fn take(&mut self, index: u32) -> T {
        let entry = &mut self.entries[index as usize];
        let waiter = entry.waiter.take().expect("an entry of the queue has its waiter");
        let (prev, next) = (entry.prev, entry.next);
        // An entry whose generations are used up stays empty: its next ticket would be equal to an old one.
        if entry.generation < LAST_GENERATION {
            entry.generation = entry.generation.saturating_add(1);
            entry.next = self.free;
            self.free = index;
        }
        match prev {
            NIL => self.head = next,
            prev => self.entries[prev as usize].next = next,
        }
        match next {
            NIL => self.tail = prev,
            next => self.entries[next as usize].prev = prev,
        }
        self.len -= 1;
        waiter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn first_come_first_served_and_a_ticket_is_used_once() {
        let mut waiters = Waiters::new();
        let tickets: Vec<_> = (0..4).map(|i| waiters.push_back(i)).collect();
        assert_eq!(waiters.remove(tickets[1]), Some(1));
        assert_eq!(waiters.remove(tickets[1]), None);
        assert_eq!(waiters.push_back(9).index, tickets[1].index, "the place is used again");
        assert_eq!(waiters.get_mut(tickets[1]), None, "but by another ticket");
        assert_eq!(waiters.drain().collect::<Vec<_>>(), [0, 2, 3, 9]);
        assert!(waiters.is_empty() && waiters.front().is_none());
    }

    #[test]
    fn t71_a_place_whose_generations_are_used_up_is_retired() {
        let mut waiters = Waiters::new();
        let first = waiters.push_back(0);
        assert_eq!(waiters.remove(first), Some(0));
        for number in 1..=3 * LAST_GENERATION.get() {
            let ticket = waiters.push_back(number);
            assert_ne!(ticket, first, "after {number} others");
            assert_eq!(waiters.get_mut(first), None);
            assert_eq!(waiters.pop_front(), Some(number));
        }
        assert_eq!(waiters.entries.len(), 4, "one place for as many waiters as there are generations");
    }

    proptest! {
        /// Against a plain queue of (ticket, waiter).
        #[test]
        fn it_is_a_queue(steps in prop::collection::vec((0..4_u8, any::<prop::sample::Index>()), 1..200)) {
            let (mut waiters, mut model) = (Waiters::new(), VecDeque::new());
            let mut gone = Vec::new();
            for (number, (step, pick)) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => model.push_back((waiters.push_back(number), number)),
                    2 => {
                        let front = model.pop_front();
                        prop_assert_eq!(waiters.pop_front(), front.map(|(_, number)| number));
                        gone.extend(front.map(|(ticket, _)| ticket));
                    }
                    _ if !model.is_empty() => {
                        let (ticket, number) = model.remove(pick.index(model.len())).unwrap();
                        prop_assert_eq!(waiters.remove(ticket), Some(number));
                        gone.push(ticket);
                    }
                    _ => {}
                }
                prop_assert_eq!(waiters.len(), model.len());
                prop_assert_eq!(waiters.front().copied(), model.front().map(|(_, number)| *number));
                prop_assert!(gone.iter().all(|ticket| waiters.get_mut(*ticket).is_none()));
            }
            prop_assert_eq!(waiters.drain().collect::<Vec<_>>(), model.into_iter().map(|(_, n)| n).collect::<Vec<_>>());
        }
    }
}
