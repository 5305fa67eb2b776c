//! The ready queue: tasks that are ready to run, first come, first served.
//!
//! A turn of the loop runs one *generation*: the tasks that were ready when it began. Tasks that become ready meanwhile
//! wait for the next generation, so that a task that is always ready cannot keep the loop from timers and I/O.
//!
//! The queue does not know what a task is. Each item contains its link to the next, so that the queue never grows, and
//! making a million tasks ready allocates nothing.

use std::cell::Cell;
use std::fmt;

/// An item of a [`ReadyQueue`]: a shared reference with room for a link.
pub(crate) trait Link: Sized {
    /// A pointer that stands for one reference to an item.
    type Pointer: Copy;

    fn into_pointer(self) -> Self::Pointer;

    /// # Safety
    /// The pointer comes from `into_pointer`, and is turned back once.
    unsafe fn from_pointer(pointer: Self::Pointer) -> Self;

    /// The link to the next item; only the queue uses it.
    ///
    /// # Safety
    /// The item is still there, and stays while the link is used.
    unsafe fn next<'a>(pointer: Self::Pointer) -> &'a Cell<Option<Self::Pointer>>;
}

pub(crate) struct ReadyQueue<T: Link> {
    head: Cell<Option<T::Pointer>>,
    /// The last item, if there is one.
    tail: Cell<Option<T::Pointer>>,
    len: Cell<usize>,
}

impl<T: Link> ReadyQueue<T> {
    pub(crate) const fn new() -> Self {
        ReadyQueue { head: Cell::new(None), tail: Cell::new(None), len: Cell::new(0) }
    }

    /// Adds an item at the end. The item is in no queue.
    #[inline]
    pub(crate) fn push(&self, item: T) {
        let item = item.into_pointer();
        let place = match self.tail.replace(Some(item)) {
            None => &self.head,
            // SAFETY: the queue owns a reference to every item in it, the last one included.
            Some(last) => unsafe { T::next(last) },
        };
        place.set(Some(item));
        self.len.set(self.len.get() + 1);
    }

    #[inline]
    pub(crate) fn pop(&self) -> Option<T> {
        let item = self.head.get()?;
        // SAFETY: the queue owned a reference to it, and hands it over.
        let next = unsafe { T::next(item) }.take();
        self.head.set(next);
        if next.is_none() {
            self.tail.set(None);
        }
        self.len.set(self.len.get() - 1);
        // SAFETY: as above; it has just left the queue.
        Some(unsafe { T::from_pointer(item) })
    }

    /// The number of items: the size of a generation that begins now.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len.get() == 0
    }
}

impl<T: Link> Drop for ReadyQueue<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

impl<T: Link> fmt::Debug for ReadyQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[derive(Clone)]
    struct Item(Rc<Numbered>);

    struct Numbered {
        number: u32,
        next: Cell<Option<*const Numbered>>,
    }

    impl Item {
        fn new(number: u32) -> Self {
            Item(Rc::new(Numbered { number, next: Cell::new(None) }))
        }
    }

    impl Link for Item {
        type Pointer = *const Numbered;

        fn into_pointer(self) -> *const Numbered {
            Rc::into_raw(self.0)
        }

        unsafe fn from_pointer(pointer: *const Numbered) -> Self {
            // SAFETY: it came from `into_pointer`.
            Item(unsafe { Rc::from_raw(pointer) })
        }

        unsafe fn next<'a>(pointer: *const Numbered) -> &'a Cell<Option<*const Numbered>> {
            // SAFETY: the item is there.
            unsafe { &(*pointer).next }
        }
    }

    #[test]
    fn a_generation_ends_before_what_it_made_ready() {
        let queue = ReadyQueue::new();
        (0..3).for_each(|i| queue.push(Item::new(i)));
        let mut ran = Vec::new();
        for _ in 0..queue.len() {
            let item = queue.pop().unwrap();
            ran.push(item.0.number);
            queue.push(Item::new(item.0.number + 10));
        }
        assert_eq!(ran, [0, 1, 2]);
        assert_eq!(queue.len(), 3);
        assert_eq!(
            std::iter::from_fn(|| queue.pop()).map(|item| item.0.number).collect::<Vec<_>>(),
            [10, 11, 12]
        );
        assert!(queue.is_empty());
    }

    #[test]
    fn items_go_with_the_queue_and_come_back_to_it() {
        let (queue, item) = (ReadyQueue::new(), Item::new(7));
        queue.push(item.clone());
        drop(queue.pop());
        queue.push(item.clone());
        let many = if cfg!(miri) { 100 } else { 100_000 };
        (0..many).for_each(|i| queue.push(Item::new(i)));
        drop(queue);
        assert_eq!(Rc::strong_count(&item.0), 1);
        assert!(item.0.next.get().is_none());
    }
}
