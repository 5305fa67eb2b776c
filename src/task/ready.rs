//! The ready queue: tasks that can go on, first come, first served.
//!
//! A turn of the loop runs one *generation*: what was ready when it began. What becomes ready meanwhile
//! waits for the next, so that a task that is always ready cannot keep the loop from timers and I/O.
//!
//! It does not know what a task is.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) struct ReadyQueue<T>(RefCell<VecDeque<T>>);

impl<T> ReadyQueue<T> {
    pub(crate) const fn new() -> Self {
        ReadyQueue(RefCell::new(VecDeque::new()))
    }

    pub(crate) fn push(&self, item: T) {
        self.0.borrow_mut().push_back(item);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.borrow_mut().pop_front()
    }

    /// How many belong to the generation that begins now.
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_ends_before_what_it_made_ready() {
        let queue = ReadyQueue::new();
        (0..3).for_each(|i| queue.push(i));
        let mut ran = Vec::new();
        for _ in 0..queue.len() {
            let item = queue.pop().unwrap();
            ran.push(item);
            queue.push(item + 10);
        }
        assert_eq!(ran, [0, 1, 2]);
        assert_eq!(queue.len(), 3);
        assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [10, 11, 12]);
        assert!(queue.is_empty());
    }
}
