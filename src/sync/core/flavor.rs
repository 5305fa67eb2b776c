//! The two flavours of each primitive: *local*, for the tasks of one loop, without an atomic; and *threaded*, for any.
//!
//! The behaviour of a primitive is written once, generically over this trait. The flavours differ in how the state is
//! shared and locked, and in the type of a waiter. No user code (a waker, a destructor) runs while a state is locked:
//! waiters to be woken and values to be dropped are moved out of the lock first.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::PoisonError;
use std::task::{Context, Waker};

use crate::sys::sync::atomic::{AtomicUsize, Ordering};
use crate::sys::sync::{Arc, Mutex};
use crate::task::cell::layout::Waiter;

mod sealed {
    pub trait Sealed {}
}

/// A number that is read and changed without the lock. Its changes are totally ordered, and each synchronizes with the
/// earlier ones.
pub trait Count: fmt::Debug {
    fn new(value: usize) -> Self;
    fn get(&self) -> usize;
    /// Adds to the number. Returns the previous value.
    fn add(&self, more: usize) -> usize;
    /// Like `add`, if no other thread ever changes the number.
    fn add_alone(&self, more: usize);
    /// Sets bits. Returns the previous value.
    fn set(&self, bits: usize) -> usize;
    fn clear(&self, bits: usize);
}

/// The flavour of a primitive: [`Local`] or [`Threaded`]. The trait is sealed.
pub trait Flavor: sealed::Sealed + Sized + 'static {
    /// Whether other threads may use the primitive while a future is polled.
    #[doc(hidden)]
    const CROSSES_THREADS: bool;
    #[doc(hidden)]
    type Cell<T>;
    #[doc(hidden)]
    type Rc<T>: Clone + Deref<Target = T>;
    #[doc(hidden)]
    type Word: Word;
    #[doc(hidden)]
    type Waiter: fmt::Debug;
    #[doc(hidden)]
    type Count: Count;

    #[doc(hidden)]
    fn cell<T>(value: T) -> Self::Cell<T>;
    /// Calls `f` with exclusive access to the value. `f` calls no user code.
    #[doc(hidden)]
    fn with<T, U>(cell: &Self::Cell<T>, f: impl FnOnce(&mut T) -> U) -> U;
    #[doc(hidden)]
    fn rc<T>(value: T) -> Self::Rc<T>;
    /// Returns the value, if this is the only reference to it.
    #[doc(hidden)]
    fn unique<T>(rc: &mut Self::Rc<T>) -> Option<&mut T>;
    /// Makes a waiter. May run user code, as may the drop of a waiter: do not call it under the lock.
    #[doc(hidden)]
    fn waiter(cx: &Context<'_>) -> Self::Waiter;
    #[doc(hidden)]
    fn will_wake(waiter: &Self::Waiter, cx: &Context<'_>) -> bool;
    #[doc(hidden)]
    fn wake(waiter: Self::Waiter);
}

/// A number beside the lock: operations that need not wait use it alone.
#[doc(hidden)]
pub trait Word: fmt::Debug {
    fn new(value: usize) -> Self;
    fn load(&self, order: Ordering) -> usize;
    /// Replaces `current` by `new`; returns the present number if it is another. May fail spuriously: call it in a loop.
    fn exchange(&self, current: usize, new: usize, order: Ordering) -> Result<(), usize>;

    /// Replaces the present number by `f` of it. Returns the present number if `f` returns `None`.
    #[inline]
    fn update(&self, order: Ordering, f: impl Fn(usize) -> Option<usize>) -> Result<(), usize> {
        let mut current = self.load(Ordering::Relaxed);
        loop {
            match self.exchange(current, f(current).ok_or(current)?, order) {
                Ok(()) => return Ok(()),
                Err(now) => current = now,
            }
        }
    }
}

impl Word for Cell<usize> {
    #[inline]
    fn new(value: usize) -> Self {
        Cell::new(value)
    }

    #[inline]
    fn load(&self, _: Ordering) -> usize {
        self.get()
    }

    #[inline]
    fn exchange(&self, _: usize, new: usize, _: Ordering) -> Result<(), usize> {
        self.set(new); // no other thread comes between
        Ok(())
    }
}

impl Word for AtomicUsize {
    #[inline]
    fn new(value: usize) -> Self {
        AtomicUsize::new(value)
    }

    #[inline]
    fn load(&self, order: Ordering) -> usize {
        self.load(order)
    }

    #[inline]
    fn exchange(&self, current: usize, new: usize, order: Ordering) -> Result<(), usize> {
        self.compare_exchange_weak(current, new, order, Ordering::Relaxed).map(drop)
    }
}

/// The flavour for the tasks of one loop: no atomics; the primitive does not leave its thread.
#[derive(Clone, Copy, Debug)]
pub enum Local {}

/// The flavour for any threads and loops.
#[derive(Clone, Copy, Debug)]
pub enum Threaded {}

/// A waiter on this thread.
#[derive(Debug)]
pub struct LocalWaiter(Waiter);

impl sealed::Sealed for Local {}

impl Flavor for Local {
    const CROSSES_THREADS: bool = false;
    type Cell<T> = RefCell<T>;
    type Rc<T> = Rc<T>;
    type Word = Cell<usize>;
    type Waiter = LocalWaiter;
    type Count = Cell<usize>;

    #[inline]
    fn cell<T>(value: T) -> RefCell<T> {
        RefCell::new(value)
    }

    #[inline]
    fn with<T, U>(cell: &RefCell<T>, f: impl FnOnce(&mut T) -> U) -> U {
        f(&mut cell.borrow_mut())
    }

    fn rc<T>(value: T) -> Rc<T> {
        Rc::new(value)
    }

    fn unique<T>(rc: &mut Rc<T>) -> Option<&mut T> {
        Rc::get_mut(rc)
    }

    #[inline]
    fn waiter(cx: &Context<'_>) -> LocalWaiter {
        LocalWaiter(Waiter::new(cx))
    }

    #[inline]
    fn will_wake(waiter: &LocalWaiter, cx: &Context<'_>) -> bool {
        waiter.0.will_wake(cx)
    }

    #[inline]
    fn wake(waiter: LocalWaiter) {
        waiter.0.wake();
    }
}

impl sealed::Sealed for Threaded {}

impl Flavor for Threaded {
    const CROSSES_THREADS: bool = true;
    type Cell<T> = Mutex<T>;
    type Rc<T> = Arc<T>;
    type Word = AtomicUsize;
    type Waiter = Waker;
    type Count = AlignedCount;

    fn cell<T>(value: T) -> Mutex<T> {
        Mutex::new(value)
    }

    #[inline]
    fn with<T, U>(cell: &Mutex<T>, f: impl FnOnce(&mut T) -> U) -> U {
        // No user code runs under the lock, so a poisoned lock has a consistent state.
        f(&mut cell.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn rc<T>(value: T) -> Arc<T> {
        Arc::new(value)
    }

    fn unique<T>(rc: &mut Arc<T>) -> Option<&mut T> {
        Arc::get_mut(rc)
    }

    fn waiter(cx: &Context<'_>) -> Waker {
        cx.waker().clone()
    }

    fn will_wake(waiter: &Waker, cx: &Context<'_>) -> bool {
        waiter.will_wake(cx.waker())
    }

    fn wake(waiter: Waker) {
        waiter.wake();
    }
}

impl Count for Cell<usize> {
    fn new(value: usize) -> Self {
        Cell::new(value)
    }

    #[inline]
    fn get(&self) -> usize {
        Cell::get(self)
    }

    #[inline]
    fn add(&self, more: usize) -> usize {
        self.replace(Cell::get(self).wrapping_add(more))
    }

    #[inline]
    fn add_alone(&self, more: usize) {
        self.add(more);
    }

    #[inline]
    fn set(&self, bits: usize) -> usize {
        self.replace(Cell::get(self) | bits)
    }

    #[inline]
    fn clear(&self, bits: usize) {
        Cell::set(self, Cell::get(self) & !bits);
    }
}

/// A count on cache lines of its own, apart from the lock's; two lines, because processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub struct AlignedCount(AtomicUsize);

impl Count for AlignedCount {
    fn new(value: usize) -> Self {
        AlignedCount(AtomicUsize::new(value))
    }

    #[inline]
    fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    #[inline]
    fn add(&self, more: usize) -> usize {
        self.0.fetch_add(more, Ordering::AcqRel)
    }

    #[inline]
    fn add_alone(&self, more: usize) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Release);
    }

    #[inline]
    fn set(&self, bits: usize) -> usize {
        self.0.fetch_or(bits, Ordering::AcqRel)
    }

    #[inline]
    fn clear(&self, bits: usize) {
        self.0.fetch_and(!bits, Ordering::AcqRel);
    }
}
