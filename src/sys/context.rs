//! The thread-local slots of the loop that is running on a thread.
//!
//! Each layer (tasks, timers, driver) has a slot of its own, so that none needs to know the others. A
//! slot is a plain pointer in thread-local storage without a destructor: reading it costs one load, and it
//! can be read in the destructors of other thread-local values, when it is empty.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::rc::Rc;

use super::sync::LocalKey;

/// A thread's current `T`, if it has one.
///
/// `K` tells how the value is kept: in an `Rc` of its own ([`Whole`]), or as a part of a value in an `Rc` ([`Part`]).
pub(crate) struct Context<T: 'static, K = Whole>(Cell<*const T>, PhantomData<K>);

pub(crate) enum Whole {}
pub(crate) enum Part {}

impl<T, K> Context<T, K> {
    pub(crate) const fn new() -> Self {
        Context(Cell::new(ptr::null()), PhantomData)
    }
}

/// Makes `value` the thread's current one until the guard is dropped; nests.
pub(crate) fn enter<T>(key: &'static LocalKey<Context<T>>, value: Rc<T>) -> Entered<T> {
    // Its own pointer reaches the counts of the `Rc`, which `get` needs; one from a reference would not.
    enter_pointer(key, Rc::as_ptr(&value), value)
}

/// Makes a part of `owner` the thread's current value until the guard is dropped; nests.
pub(crate) fn enter_part<T, O>(
    key: &'static LocalKey<Context<T, Part>>,
    owner: Rc<O>,
    part: fn(&O) -> &T,
) -> Entered<T, O, Part> {
    enter_pointer(key, part(&owner), owner)
}

fn enter_pointer<T, O, K>(
    key: &'static LocalKey<Context<T, K>>,
    value: *const T,
    owner: Rc<O>,
) -> Entered<T, O, K> {
    let previous = key.with(|context| context.0.replace(value));
    Entered { key, previous, value, _owner: owner }
}

/// Calls `f` with the thread's current value.
#[inline(always)] // a load; every wake-up comes through here
pub(crate) fn with<T, K, U>(key: &'static LocalKey<Context<T, K>>, f: impl FnOnce(Option<&T>) -> U) -> U {
    let current = key.with(|context| context.0.get());
    // SAFETY: the guard that stored the pointer holds an `Rc` of the value or its owner, and guards are dropped only by
    // the frame that made them, which is below this one on the stack.
    f(unsafe { current.as_ref() })
}

/// Returns a reference-counted reference to the thread's current value.
pub(crate) fn get<T>(key: &'static LocalKey<Context<T>>) -> Option<Rc<T>> {
    let current = key.with(|context| context.0.get());
    if current.is_null() {
        return None;
    }
    // SAFETY: as in `with`; the value is whole, so the pointer is that of its `Rc`.
    unsafe {
        Rc::increment_strong_count(current);
        Some(Rc::from_raw(current))
    }
}

/// Restores the thread's previous value when dropped. It keeps the current one, by its owner.
pub(crate) struct Entered<T: 'static, O = T, K: 'static = Whole> {
    key: &'static LocalKey<Context<T, K>>,
    previous: *const T,
    value: *const T,
    _owner: Rc<O>,
}

impl<T, O, K> Drop for Entered<T, O, K> {
    fn drop(&mut self) {
        self.key.with(|context| {
            debug_assert!(ptr::eq(context.0.get(), self.value), "guards are dropped in order");
            context.0.set(self.previous);
        });
    }
}

impl<T, O, K> fmt::Debug for Entered<T, O, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}

/// Returns the value found in this thread's runtime, or panics as [`no_runtime`]. (In a closure the panic would name a
/// line of the crate.)
#[inline]
#[track_caller]
pub(crate) fn expect_runtime<T>(found: Option<T>, what: &str) -> T {
    match found {
        Some(found) => found,
        None => no_runtime(what),
    }
}

/// Panics for a function that needs a loop and finds none.
#[track_caller]
pub(crate) fn no_runtime(what: &str) -> ! {
    panic!(
        "{what} needs a running proactor runtime on this thread: call it inside `proactor::run(async {{ … }})` \
         or inside a future given to `Runtime::block_on` or `Runtime::spawn`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! { static NUMBER: Context<u32> = const { Context::new() } }

    #[test]
    fn the_current_value_nests_and_is_restored() {
        assert!(get(&NUMBER).is_none());
        let outer = enter(&NUMBER, Rc::new(1));
        {
            let _inner = enter(&NUMBER, Rc::new(2));
            assert_eq!(get(&NUMBER).as_deref(), Some(&2));
        }
        with(&NUMBER, |current| assert_eq!(current, Some(&1)));
        drop(outer);
        assert!(get(&NUMBER).is_none());
    }
}
