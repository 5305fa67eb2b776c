//! The order in which a queue returns its items: first in first out, last in first out, or smallest first.
//!
//! Comparisons are the only user code that runs while a queue is locked. A comparison that panics must lose no item.
//! That is why this file has its own heap: it swaps items in place, and none is ever outside of it.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

mod sealed {
    pub trait Sealed {}
}

/// The order of a queue: [`Fifo`], [`Lifo`] or [`Priority`]. It is implemented in this crate only.
pub trait Order<T>: sealed::Sealed + 'static {
    #[doc(hidden)]
    type Items: Items<T>;
}

/// The items of a queue.
pub trait Items<T>: Default {
    fn len(&self) -> usize;
    /// Adds an item. It is added even if a comparison panics.
    fn push(&mut self, item: T) -> thread::Result<()>;
    /// Removes the next item. It stays if a comparison panics.
    fn pop(&mut self) -> thread::Result<Option<T>>;
}

/// First in, first out.
#[derive(Clone, Copy, Debug)]
pub enum Fifo {}

/// Last in, first out.
#[derive(Clone, Copy, Debug)]
pub enum Lifo {}

/// Smallest first; equal items in the order in which they were put.
#[derive(Clone, Copy, Debug)]
pub enum Priority {}

impl sealed::Sealed for Fifo {}
impl sealed::Sealed for Lifo {}
impl sealed::Sealed for Priority {}

impl<T> Order<T> for Fifo {
    type Items = VecDeque<T>;
}

impl<T> Order<T> for Lifo {
    type Items = Vec<T>;
}

impl<T: Ord> Order<T> for Priority {
    type Items = Heap<T>;
}

impl<T> Items<T> for VecDeque<T> {
    fn len(&self) -> usize {
        self.len()
    }

    fn push(&mut self, item: T) -> thread::Result<()> {
        self.push_back(item);
        Ok(())
    }

    fn pop(&mut self) -> thread::Result<Option<T>> {
        Ok(self.pop_front())
    }
}

impl<T> Items<T> for Vec<T> {
    fn len(&self) -> usize {
        self.len()
    }

    fn push(&mut self, item: T) -> thread::Result<()> {
        self.push(item);
        Ok(())
    }

    fn pop(&mut self) -> thread::Result<Option<T>> {
        Ok(self.pop())
    }
}

/// A binary heap: no item is less than its parent, that of `i` being at `(i - 1) / 2`.
pub struct Heap<T> {
    /// The items with their numbers, by which equal items keep their order.
    items: Vec<(T, u64)>,
    next_number: u64,
}

impl<T> Default for Heap<T> {
    fn default() -> Self {
        Heap { items: Vec::new(), next_number: 0 }
    }
}

impl<T> fmt::Debug for Heap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").field("len", &self.items.len()).finish_non_exhaustive()
    }
}

impl<T: Ord> Heap<T> {
    fn rise(&mut self, mut index: usize) {
        while index > 0 {
            let parent = (index - 1) / 2;
            if self.items[parent] <= self.items[index] {
                return;
            }
            self.items.swap(parent, index);
            index = parent;
        }
    }

    fn sink(&mut self, mut index: usize) {
        loop {
            let (left, right) = (2 * index + 1, 2 * index + 2);
            if left >= self.items.len() {
                return;
            }
            let less =
                if right < self.items.len() && self.items[right] < self.items[left] { right } else { left };
            if self.items[index] <= self.items[less] {
                return;
            }
            self.items.swap(index, less);
            index = less;
        }
    }
}

impl<T: Ord> Items<T> for Heap<T> {
    fn len(&self) -> usize {
        self.items.len()
    }

    fn push(&mut self, item: T) -> thread::Result<()> {
        self.items.push((item, self.next_number));
        self.next_number += 1;
        let last = self.items.len() - 1;
        catch_unwind(AssertUnwindSafe(|| self.rise(last)))
    }

    fn pop(&mut self) -> thread::Result<Option<T>> {
        if self.items.is_empty() {
            return Ok(None);
        }
        let item = self.items.swap_remove(0);
        match catch_unwind(AssertUnwindSafe(|| self.sink(0))) {
            Ok(()) => Ok(Some(item.0)),
            Err(panic) => {
                self.items.push(item);
                Err(panic)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Against a map from priority and number to item.
        #[test]
        fn a_heap_gives_the_least_and_equals_in_order(steps in prop::collection::vec(prop::option::of(0..8_u8), 1..200)) {
            #[derive(Debug)]
            struct Item(u8, usize);
            impl PartialEq for Item {
                fn eq(&self, other: &Self) -> bool {
                    self.0 == other.0
                }
            }
            impl Eq for Item {}
            impl PartialOrd for Item {
                fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                    Some(self.cmp(other))
                }
            }
            impl Ord for Item {
                fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                    self.0.cmp(&other.0)
                }
            }
            let (mut heap, mut model) = (Heap::default(), BTreeMap::new());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Some(priority) => {
                        heap.push(Item(priority, number)).unwrap();
                        model.insert((priority, number), ());
                    }
                    None => {
                        let item = heap.pop().unwrap().map(|item| (item.0, item.1));
                        prop_assert_eq!(item, model.pop_first().map(|(item, ())| item));
                    }
                }
                prop_assert_eq!(heap.len(), model.len());
            }
        }
    }
}
